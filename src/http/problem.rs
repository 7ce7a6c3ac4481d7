//! The documented errors. `/docs`, `/openapi.json` and the README list them.

use strum::VariantArray;
use warp::http::StatusCode;

/// One way a request can fail, as documented for callers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum Problem {
    /// The mask selects no pixel.
    EmptyMask,
    /// The box is empty or extends outside the photo.
    BoxOutside,
    /// Only some of x, y, w and h are given.
    PartialBox,
    /// The same for `/mask`, where x and y alone are a point.
    PartialPoint,
    /// `dilation` is no integer or out of range.
    BadDilation,
    /// `format` names no output format.
    BadFormat,
    /// The photo has several frames.
    AnimatedImage,
    /// The photo is truncated, corrupt or of an unsupported kind.
    BrokenImage,
    /// The mask cannot be decoded.
    BrokenMask,
    /// The point lies outside the photo.
    PointOutside,
    /// The form lacks the photo.
    NoFile,
    /// The form has too many fields.
    TooManyFields,
    /// The form ends early.
    IncompleteForm,
    /// The form is not well-formed.
    MalformedForm,
    /// A field is repeated.
    RepeatedField,
    /// A field should be an integer.
    NotAnInteger,
    /// A field should be UTF-8 text.
    NotText,
    /// A field is too long.
    LongField,
    /// The body is compressed.
    CompressedBody,
    /// The connection failed while the body was read.
    BrokenBody,
    /// Missing or unknown token.
    Unauthorized,
    /// No endpoint has this path.
    NotFound,
    /// The endpoint does not accept the method.
    MethodNotAllowed,
    /// The body did not arrive in time.
    BodyTimeout,
    /// The photo, the mask or the body is too large.
    TooLarge,
    /// A part's header is too long.
    LongPartHeader,
    /// The content type is not `multipart/form-data`.
    NotAForm,
    /// The photo is in no known format.
    UnknownFormat,
    /// The segmenter found nothing.
    NoSubject,
    /// The token's quota is exhausted.
    RateLimited,
    /// The token's limit of requests in flight is reached.
    TooManyAtOnce,
    /// The model or the service failed.
    Failed,
    /// No Triton replica is available.
    Unavailable,
    /// A queue or memory budget is full.
    Overloaded,
    /// A deadline passed.
    Late,
}

/// How a [`Problem`] is reported.
#[derive(Clone, Copy, Debug)]
pub struct Told {
    /// HTTP status.
    pub status: u16,
    /// `error` in the body, for programs.
    pub code: &'static str,
    /// `message` in the body, for humans; an ellipsis stands for a detail.
    pub message: &'static str,
    /// A note for the API reference; may be empty.
    pub note: &'static str,
}

impl Problem {
    /// Status, code and message: the one table of them.
    #[rustfmt::skip]
    pub fn told(self) -> Told {
        let (status, code, message, note) = match self {
            Self::EmptyMask => (400, "empty_mask", "Mask has no pixels to inpaint.", ""),
            Self::BoxOutside => (400, "invalid_bbox", "bbox extends outside the image.", "Also where the box is empty."),
            Self::PartialBox => (400, "invalid_bbox", "bbox needs all of x, y, w and h.", ""),
            Self::PartialPoint => (400, "invalid_bbox", "bbox needs all of x, y, w and h, and a point x and y.", "Of `/mask`."),
            Self::BadDilation => (400, "invalid_dilation", "dilation must be 0..32.", ""),
            Self::BadFormat => (400, "invalid_format", "format must be png, webp or jpg.", ""),
            Self::AnimatedImage => (400, "invalid_image", "Animated images are not supported.", ""),
            Self::BrokenImage => (400, "invalid_image", "Image could not be decoded: ….", "Truncated, damaged, or of a kind that is not read."),
            Self::BrokenMask => (400, "invalid_mask", "mask: …", "The same, of the mask; and where it is no picture at all."),
            Self::PointOutside => (400, "invalid_point", "The point lies outside the image.", "Of `/mask`."),
            Self::NoFile => (400, "invalid_request", "The form has no field 'file'.", ""),
            Self::TooManyFields => (400, "invalid_request", "The form has too many fields.", ""),
            Self::IncompleteForm => (400, "invalid_request", "The form is incomplete.", ""),
            Self::MalformedForm => (400, "invalid_request", "The form cannot be read: ….", ""),
            Self::RepeatedField => (400, "invalid_request", "The field '…' is repeated.", ""),
            Self::NotAnInteger => (400, "invalid_request", "The field '…' is not an integer.", ""),
            Self::NotText => (400, "invalid_request", "The field '…' is not text.", ""),
            Self::LongField => (400, "invalid_request", "The field '…' is too long.", ""),
            Self::CompressedBody => (400, "invalid_request", "A compressed body is not supported.", ""),
            Self::BrokenBody => (400, "invalid_request", "The body broke off.", ""),
            Self::Unauthorized => (401, "unauthorized", "Missing or invalid token.", ""),
            Self::NotFound => (404, "not_found", "No such resource.", ""),
            Self::MethodNotAllowed => (405, "method_not_allowed", "This resource takes … only.", "The header `allow` has the methods."),
            Self::BodyTimeout => (408, "request_timeout", "The request body did not arrive in time.", ""),
            Self::TooLarge => (413, "payload_too_large", "Image exceeds 10 MB or 4096×4096.", "Also of the mask, and of the body as a whole. It tells the limits that the operator set."),
            Self::LongPartHeader => (413, "payload_too_large", "The header of a part is too long.", ""),
            Self::NotAForm => (415, "unsupported_media_type", "Send the request as multipart/form-data.", ""),
            Self::UnknownFormat => (415, "unsupported_media_type", "Not a JPEG, PNG, WebP or HEIC image.", ""),
            Self::NoSubject => (422, "no_subject_detected", "No subject detected. Send mask or bbox instead.", ""),
            Self::RateLimited => (429, "rate_limit_exceeded", "Slow down. Retry-After header tells you when.", ""),
            Self::TooManyAtOnce => (429, "rate_limit_exceeded", "This token has too many requests under way. Retry-After header tells you when to try again.", ""),
            Self::Failed => (500, "inpaint_failed", "Inpaint failed or produced no output.", "A model failed, or the service did."),
            Self::Unavailable => (503, "inference_unavailable", "No inference server can be reached. Retry-After header tells you when to try again.", ""),
            Self::Overloaded => (503, "overloaded", "Too many requests are waiting. Retry-After header tells you when to try again.", ""),
            Self::Late => (504, "inference_timeout", "The image could not be processed in time.", ""),
        };
        Told { status, code, message, note }
    }

    /// The key of its example in `/openapi.json`.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// The status, typed.
    pub fn status(self) -> StatusCode {
        StatusCode::from_u16(self.told().status).expect("a status of the table. This is a bug.")
    }

    /// The message with `detail` in place of the ellipsis.
    pub fn message(self, detail: &str) -> String {
        self.told().message.replacen('…', detail, 1)
    }

    /// All error codes without duplicates.
    pub fn codes() -> Vec<&'static str> {
        let mut codes: Vec<_> = Self::VARIANTS.iter().map(|problem| problem.told().code).collect();
        codes.dedup();
        codes
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::{inpaint::MAX_DILATION, picture::Limits};

    #[test]
    fn each_code_has_one_status_and_stands_in_one_place() {
        let mut statuses = HashMap::new();
        for problem in Problem::VARIANTS {
            let told = problem.told();
            assert_eq!(*statuses.entry(told.code).or_insert(told.status), told.status, "{problem:?}");
        }
        assert_eq!(Problem::codes().len(), statuses.len());
        assert!(Problem::VARIANTS.is_sorted_by_key(|problem| problem.told().status));
    }

    #[test]
    fn messages_name_the_limits_that_are_kept() {
        assert_eq!(Problem::BadDilation.told().message, format!("dilation must be 0..{MAX_DILATION}."));
        assert_eq!(Problem::TooLarge.told().message, Limits::DEFAULT.to_string());
    }
}
