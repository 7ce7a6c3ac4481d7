//! Which status, code and message each failure has. The one place that says so.

use std::{borrow::Cow, time::Duration};

use warp::http::StatusCode;

use crate::{inpaint, picture, triton};

/// Why a request is refused or failed.
#[derive(Debug)]
pub enum ApiError {
    /// The path is of no route.
    NotFound,
    /// The route does not take the method; these it takes.
    MethodNotAllowed(&'static str),
    /// No token, or one that is not known.
    Unauthorized,
    /// The token's quota is used up for this long.
    RateLimited(Duration),
    /// The token has as many requests under way as it may.
    TooManyAtOnce,
    /// The body, or the photo, is larger than we take.
    TooLarge,
    /// The body is not `multipart/form-data`.
    NotAForm,
    /// The form cannot be read, or a field is missing, repeated or not a number.
    BadForm(Cow<'static, str>),
    /// `dilation` is not an integer of 0 to 32.
    BadDilation,
    /// `format` is none of ours.
    BadFormat,
    /// Only some of x, y, w and h are there.
    PartialBox,
    /// The same, where x and y alone are a point.
    PartialPoint,
    /// The body did not arrive in time.
    BodyTimeout,
    /// Too much is being uploaded, or the shared quotas cannot be had and must be.
    Overloaded,
    /// Too many answers wait for their callers to take them.
    AnswersHeld,
    /// The way of the request ended in an error.
    Inpaint(inpaint::Error),
    /// A panic, or another failure of our own.
    Internal(String),
}

/// What the caller is told.
#[derive(Debug, PartialEq, Eq)]
pub struct Public {
    /// The status of the reply.
    pub status: StatusCode,
    /// `error` of the body.
    pub code: &'static str,
    /// `message` of the body.
    pub message: Cow<'static, str>,
}

const TOO_LARGE: &str = "Image exceeds 10 MB or 4096×4096.";
const FAILED: &str = "Inpaint failed or produced no output.";
const OVERLOADED: &str = "Too many requests are waiting. Retry-After header tells you when to try again.";
const UNAVAILABLE: &str =
    "No inference server can be reached. Retry-After header tells you when to try again.";
const AT_ONCE: &str =
    "This token has too many requests under way. Retry-After header tells you when to try again.";
const LATE: &str = "The image could not be processed in time.";

impl ApiError {
    /// What the caller is told of it.
    pub fn public(&self) -> Public {
        let (status, code, message): (u16, &'static str, Cow<'static, str>) = match self {
            Self::NotFound => (404, "not_found", "No such resource.".into()),
            Self::MethodNotAllowed(allow) => {
                (405, "method_not_allowed", format!("This resource takes {allow} only.").into())
            }
            Self::Unauthorized => (401, "unauthorized", "Missing or invalid token.".into()),
            Self::RateLimited(_) => {
                (429, "rate_limit_exceeded", "Slow down. Retry-After header tells you when.".into())
            }
            Self::TooManyAtOnce => (429, "rate_limit_exceeded", AT_ONCE.into()),
            Self::TooLarge => (413, "payload_too_large", TOO_LARGE.into()),
            Self::NotAForm => {
                (415, "unsupported_media_type", "Send the request as multipart/form-data.".into())
            }
            Self::BadForm(what) => (400, "invalid_request", what.clone()),
            Self::BadDilation => (400, "invalid_dilation", "dilation must be 0..32.".into()),
            Self::BadFormat => (400, "invalid_format", "format must be png, webp or jpg.".into()),
            Self::PartialBox => (400, "invalid_bbox", "bbox needs all of x, y, w and h.".into()),
            Self::PartialPoint => {
                (400, "invalid_bbox", "bbox needs all of x, y, w and h, and a point x and y.".into())
            }
            Self::BodyTimeout => (408, "request_timeout", "The request body did not arrive in time.".into()),
            Self::Overloaded | Self::AnswersHeld => (503, "overloaded", OVERLOADED.into()),
            Self::Inpaint(error) => return of_inpaint(error),
            Self::Internal(_) => (500, "inpaint_failed", FAILED.into()),
        };
        Public { status: known(status), code, message }
    }

    /// How long the caller should wait before another attempt, in whole seconds, where the queue takes
    /// `queue` as it is.
    pub fn retry_after(&self, queue: Duration) -> Option<u64> {
        let wait = match self {
            Self::RateLimited(wait) => *wait,
            // A Triton that comes back is seen within a second.
            Self::Inpaint(inpaint::Error::Model(triton::Error::Unavailable(_))) => Duration::ZERO,
            Self::TooManyAtOnce => queue,
            _ if self.public().status == StatusCode::SERVICE_UNAVAILABLE => queue,
            _ => return None,
        };
        Some(wait.as_secs_f64().ceil().max(1.0) as u64)
    }

    /// What the log says and the caller is not told, for failures that are not the caller's.
    pub fn cause(&self) -> Option<String> {
        match self {
            Self::Internal(cause) => Some(cause.clone()),
            Self::Overloaded => Some("no room for the upload, or no shared quotas".to_owned()),
            Self::AnswersHeld => Some("no room for the answer".to_owned()),
            Self::Inpaint(error) if self.public().status.is_server_error() => Some(error.to_string()),
            _ => None,
        }
    }
}

fn of_inpaint(error: &inpaint::Error) -> Public {
    use inpaint::Error as E;
    let (status, code, message): (u16, &'static str, Cow<'static, str>) = match error {
        E::EmptyMask => (400, "empty_mask", "Mask has no pixels to inpaint.".into()),
        E::BoxOutside => (400, "invalid_bbox", "bbox extends outside the image.".into()),
        E::PointOutside => (400, "invalid_point", error.to_string().into()),
        E::NoSubject => {
            (422, "no_subject_detected", "No subject detected. Send mask or bbox instead.".into())
        }
        E::Photo(picture::Error::TooLarge) | E::Mask(picture::Error::TooLarge) => {
            (413, "payload_too_large", TOO_LARGE.into())
        }
        E::Photo(picture::Error::UnknownFormat) => {
            (415, "unsupported_media_type", picture::Error::UnknownFormat.to_string().into())
        }
        E::Photo(error @ (picture::Error::Animated | picture::Error::Invalid(_))) => {
            (400, "invalid_image", error.to_string().into())
        }
        E::Mask(
            error @ (picture::Error::UnknownFormat | picture::Error::Animated | picture::Error::Invalid(_)),
        ) => (400, "invalid_mask", format!("mask: {error}").into()),
        E::Overloaded(_) | E::Model(triton::Error::Overloaded(_)) => (503, "overloaded", OVERLOADED.into()),
        E::Model(triton::Error::Unavailable(_)) => (503, "inference_unavailable", UNAVAILABLE.into()),
        E::Late | E::Model(triton::Error::Timeout(_)) => (504, "inference_timeout", LATE.into()),
        E::Photo(picture::Error::Failed(_))
        | E::Mask(picture::Error::Failed(_))
        | E::Model(triton::Error::Failed(_))
        | E::Internal(_) => (500, "inpaint_failed", FAILED.into()),
    };
    Public { status: known(status), code, message }
}

/// A status that is written above as a number.
fn known(status: u16) -> StatusCode {
    StatusCode::from_u16(status).expect("a status of the table. This is a bug.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::Full;

    #[test]
    fn every_failure_has_its_documented_status_and_code() {
        use inpaint::Error as E;
        use picture::Error as P;
        use triton::Error as T;
        let text = || "cause".to_owned();
        let model = |error| ApiError::Inpaint(E::Model(error));
        let table = [
            (ApiError::NotFound, 404, "not_found"),
            (ApiError::MethodNotAllowed("POST"), 405, "method_not_allowed"),
            (ApiError::Unauthorized, 401, "unauthorized"),
            (ApiError::RateLimited(Duration::from_millis(1)), 429, "rate_limit_exceeded"),
            (ApiError::TooManyAtOnce, 429, "rate_limit_exceeded"),
            (ApiError::TooLarge, 413, "payload_too_large"),
            (ApiError::NotAForm, 415, "unsupported_media_type"),
            (ApiError::BadForm("x".into()), 400, "invalid_request"),
            (ApiError::BadDilation, 400, "invalid_dilation"),
            (ApiError::BadFormat, 400, "invalid_format"),
            (ApiError::PartialBox, 400, "invalid_bbox"),
            (ApiError::PartialPoint, 400, "invalid_bbox"),
            (ApiError::Inpaint(E::PointOutside), 400, "invalid_point"),
            (ApiError::BodyTimeout, 408, "request_timeout"),
            (ApiError::Overloaded, 503, "overloaded"),
            (ApiError::AnswersHeld, 503, "overloaded"),
            (ApiError::Internal(text()), 500, "inpaint_failed"),
            (ApiError::Inpaint(E::EmptyMask), 400, "empty_mask"),
            (ApiError::Inpaint(E::BoxOutside), 400, "invalid_bbox"),
            (ApiError::Inpaint(E::NoSubject), 422, "no_subject_detected"),
            (ApiError::Inpaint(E::Photo(P::TooLarge)), 413, "payload_too_large"),
            (ApiError::Inpaint(E::Photo(P::UnknownFormat)), 415, "unsupported_media_type"),
            (ApiError::Inpaint(E::Photo(P::Animated)), 400, "invalid_image"),
            (ApiError::Inpaint(E::Photo(P::Invalid(text()))), 400, "invalid_image"),
            (ApiError::Inpaint(E::Mask(P::TooLarge)), 413, "payload_too_large"),
            (ApiError::Inpaint(E::Mask(P::UnknownFormat)), 400, "invalid_mask"),
            (ApiError::Inpaint(E::Mask(P::Animated)), 400, "invalid_mask"),
            (ApiError::Inpaint(E::Mask(P::Invalid(text()))), 400, "invalid_mask"),
            (ApiError::Inpaint(E::Photo(P::Failed(text()))), 500, "inpaint_failed"),
            (ApiError::Inpaint(E::Mask(P::Failed(text()))), 500, "inpaint_failed"),
            (ApiError::Inpaint(E::Overloaded(Full)), 503, "overloaded"),
            (ApiError::Inpaint(E::Late), 504, "inference_timeout"),
            (ApiError::Inpaint(E::Internal(text())), 500, "inpaint_failed"),
            (model(T::Unavailable(text())), 503, "inference_unavailable"),
            (model(T::Overloaded(text())), 503, "overloaded"),
            (model(T::Timeout(text())), 504, "inference_timeout"),
            (model(T::Failed(text())), 500, "inpaint_failed"),
        ];
        for (error, status, code) in table {
            let public = error.public();
            assert_eq!((public.status.as_u16(), public.code), (status, code), "{error:?}");
            assert_eq!(
                error.retry_after(Duration::ZERO).is_some(),
                status == 429 || status == 503,
                "{error:?}"
            );
            // A cause is never sent, and never missing from the log when the failure is ours.
            if status >= 500 {
                assert!(!public.message.contains("cause"), "{error:?}");
                assert!(error.cause().is_some(), "{error:?}");
            }
        }
    }

    #[test]
    fn waiting_takes_a_second_at_least() {
        let wait = |millis, queue| ApiError::RateLimited(Duration::from_millis(millis)).retry_after(queue);
        assert_eq!(wait(5, Duration::ZERO), Some(1));
        assert_eq!(wait(2001, Duration::from_secs(9)), Some(3));
        assert_eq!(ApiError::TooManyAtOnce.retry_after(Duration::from_millis(4001)), Some(5));
        assert_eq!(ApiError::Overloaded.retry_after(Duration::from_secs(7)), Some(7));
    }
}
