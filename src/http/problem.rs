//! What callers can be told when they get no answer. `/docs`, `/openapi.json` and the README list these.

use strum::VariantArray;
use warp::http::StatusCode;

/// One way of getting no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum Problem {
    /// The mask has no pixel.
    EmptyMask,
    /// The box is empty or leaves the photo.
    BoxOutside,
    /// Only some of x, y, w and h are there.
    PartialBox,
    /// The same, where x and y alone are a point.
    PartialPoint,
    /// `dilation` is out of bounds.
    BadDilation,
    /// `format` is none of ours.
    BadFormat,
    /// The photo has several frames.
    AnimatedImage,
    /// The photo is truncated, corrupt or of a kind that is not read.
    BrokenImage,
    /// The mask is not a picture that can be read.
    BrokenMask,
    /// The point is no pixel of the photo.
    PointOutside,
    /// The form has no photo.
    NoFile,
    /// The form has too many fields.
    TooManyFields,
    /// The form ends early.
    IncompleteForm,
    /// The form is not well-formed.
    MalformedForm,
    /// A field is there twice.
    RepeatedField,
    /// A field has to be an integer.
    NotAnInteger,
    /// A field has to be text.
    NotText,
    /// A field is too long.
    LongField,
    /// The body is compressed.
    CompressedBody,
    /// The body broke off.
    BrokenBody,
    /// No token, or one that is not known.
    Unauthorized,
    /// The path is of no endpoint.
    NotFound,
    /// The endpoint does not take the method.
    MethodNotAllowed,
    /// The body did not arrive in time.
    BodyTimeout,
    /// The photo, the mask or the body is too large.
    TooLarge,
    /// The header of a part is too long.
    LongPartHeader,
    /// The body is not a form.
    NotAForm,
    /// The photo is not a picture of a known kind.
    UnknownFormat,
    /// The segmenter found nothing.
    NoSubject,
    /// The token's quota is used up.
    RateLimited,
    /// The token has as many requests in flight as it may.
    TooManyAtOnce,
    /// The model or the service failed.
    Failed,
    /// No Triton can be reached.
    Unavailable,
    /// Some queue is full.
    Overloaded,
    /// A deadline passed.
    Late,
}

/// What a caller is told of a [`Problem`].
#[derive(Clone, Copy, Debug)]
pub struct Told {
    /// The status of the reply.
    pub status: u16,
    /// `error` of the body, for programs.
    pub code: &'static str,
    /// `message` of the body, for people. An ellipsis stands for a detail.
    pub message: &'static str,
    /// What the description says beside it.
    pub note: &'static str,
}

impl Problem {
    /// What the caller is told.
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

    /// Its name, as the examples of `/openapi.json` have it.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// The status of the reply.
    pub fn status(self) -> StatusCode {
        StatusCode::from_u16(self.told().status).expect("a status of the table. This is a bug.")
    }

    /// The message with its detail.
    pub fn message(self, detail: &str) -> String {
        self.told().message.replacen('…', detail, 1)
    }

    /// The codes of all problems, each once.
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
