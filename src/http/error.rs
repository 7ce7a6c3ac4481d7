//! Maps every failure to what the caller is told. Nothing else does.

use std::time::Duration;

use warp::http::StatusCode;

use super::problem::Problem;
use crate::{
    inpaint,
    picture::{self, Limits},
    triton,
};

/// Why a request was refused or failed.
#[derive(Debug)]
pub enum ApiError {
    /// No endpoint has this path.
    NotFound,
    /// The endpoint does not accept the method; holds those it does.
    MethodNotAllowed(&'static str),
    /// Missing or unknown token.
    Unauthorized,
    /// The token's quota is exhausted; holds the time until the next request is allowed.
    RateLimited(Duration),
    /// The token's limit of requests in flight is reached.
    TooManyAtOnce,
    /// A file or the body exceeds these limits.
    TooLarge(Limits),
    /// The body or form is unusable; holds the problem and the detail for its message.
    Form(Problem, String),
    /// The upload budget is exhausted, or the shared quotas are unreachable but required.
    Overloaded,
    /// Too many responses are still being sent.
    AnswersHeld,
    /// The pipeline failed.
    Inpaint(inpaint::Error),
    /// A panic or another bug of ours.
    Internal(String),
}

impl ApiError {
    /// The documented problem it is reported as.
    pub fn problem(&self) -> Problem {
        match self {
            Self::NotFound => Problem::NotFound,
            Self::MethodNotAllowed(_) => Problem::MethodNotAllowed,
            Self::Unauthorized => Problem::Unauthorized,
            Self::RateLimited(_) => Problem::RateLimited,
            Self::TooManyAtOnce => Problem::TooManyAtOnce,
            Self::TooLarge(_) => Problem::TooLarge,
            Self::Form(problem, _) => *problem,
            Self::Overloaded | Self::AnswersHeld => Problem::Overloaded,
            Self::Inpaint(error) => of_inpaint(error),
            Self::Internal(_) => Problem::Failed,
        }
    }

    /// The public message. The operator's limits replace the documented ones in it.
    pub fn message(&self) -> String {
        use inpaint::Error as E;
        use picture::Error as P;
        let detail = match self {
            // The limits are the operator's.
            Self::TooLarge(limits)
            | Self::Inpaint(E::Photo(P::TooLarge(limits)) | E::Mask(P::TooLarge(limits))) => {
                return limits.to_string();
            }
            Self::MethodNotAllowed(allow) => (*allow).to_owned(),
            Self::Form(_, detail) => detail.clone(),
            Self::Inpaint(E::Photo(P::Invalid(cause))) => cause.clone(),
            Self::Inpaint(E::Mask(error)) => error.to_string(),
            _ => String::new(),
        };
        self.problem().message(&detail)
    }

    /// Whole seconds the caller should wait before retrying, if that makes sense. `queue` is how long the
    /// queue currently takes to clear.
    pub fn retry_after(&self, queue: Duration) -> Option<u64> {
        let wait = match self {
            Self::RateLimited(wait) => *wait,
            // A Triton that recovers is noticed within a second.
            Self::Inpaint(inpaint::Error::Model(triton::Error::Unavailable(_))) => Duration::ZERO,
            Self::TooManyAtOnce => queue,
            _ if self.problem().status() == StatusCode::SERVICE_UNAVAILABLE => queue,
            _ => return None,
        };
        Some(wait.as_secs_f64().ceil().max(1.0) as u64)
    }

    /// The cause, for the log only; `None` if the fault is the caller's.
    pub fn cause(&self) -> Option<String> {
        match self {
            Self::Internal(cause) => Some(cause.clone()),
            Self::Overloaded => Some("no room for the upload, or no shared quotas".to_owned()),
            Self::AnswersHeld => Some("no room for the answer".to_owned()),
            Self::Inpaint(error) if self.problem().status().is_server_error() => Some(error.to_string()),
            _ => None,
        }
    }
}

fn of_inpaint(error: &inpaint::Error) -> Problem {
    use inpaint::Error as E;
    use picture::Error as P;
    match error {
        E::EmptyMask => Problem::EmptyMask,
        E::BoxOutside => Problem::BoxOutside,
        E::PointOutside => Problem::PointOutside,
        E::NoSubject => Problem::NoSubject,
        E::Photo(P::TooLarge(_)) | E::Mask(P::TooLarge(_)) => Problem::TooLarge,
        E::Photo(P::UnknownFormat) => Problem::UnknownFormat,
        E::Photo(P::Animated) => Problem::AnimatedImage,
        E::Photo(P::Invalid(_)) => Problem::BrokenImage,
        E::Mask(P::UnknownFormat | P::Animated | P::Invalid(_)) => Problem::BrokenMask,
        E::Overloaded(_) | E::Model(triton::Error::Overloaded(_)) => Problem::Overloaded,
        E::Model(triton::Error::Unavailable(_)) => Problem::Unavailable,
        E::Late | E::Model(triton::Error::Timeout(_)) => Problem::Late,
        E::Photo(P::Failed(_))
        | E::Mask(P::Failed(_))
        | E::Model(triton::Error::Failed(_))
        | E::Internal(_) => Problem::Failed,
    }
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
            (ApiError::TooLarge(Limits::DEFAULT), 413, "payload_too_large"),
            (ApiError::Form(Problem::RepeatedField, "x".to_owned()), 400, "invalid_request"),
            (ApiError::Form(Problem::BadDilation, String::new()), 400, "invalid_dilation"),
            (ApiError::Overloaded, 503, "overloaded"),
            (ApiError::AnswersHeld, 503, "overloaded"),
            (ApiError::Internal(text()), 500, "inpaint_failed"),
            (ApiError::Inpaint(E::PointOutside), 400, "invalid_point"),
            (ApiError::Inpaint(E::EmptyMask), 400, "empty_mask"),
            (ApiError::Inpaint(E::BoxOutside), 400, "invalid_bbox"),
            (ApiError::Inpaint(E::NoSubject), 422, "no_subject_detected"),
            (ApiError::Inpaint(E::Photo(P::TooLarge(Limits::DEFAULT))), 413, "payload_too_large"),
            (ApiError::Inpaint(E::Photo(P::UnknownFormat)), 415, "unsupported_media_type"),
            (ApiError::Inpaint(E::Photo(P::Animated)), 400, "invalid_image"),
            (ApiError::Inpaint(E::Photo(P::Invalid(text()))), 400, "invalid_image"),
            (ApiError::Inpaint(E::Mask(P::TooLarge(Limits::DEFAULT))), 413, "payload_too_large"),
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
            let told = error.problem().told();
            assert_eq!((told.status, told.code), (status, code), "{error:?}");
            assert!(!error.message().contains('…'), "{error:?}");
            assert_eq!(
                error.retry_after(Duration::ZERO).is_some(),
                status == 429 || status == 503,
                "{error:?}"
            );
            // A cause is never sent, and never missing from the log when the failure is ours.
            if status >= 500 {
                assert!(!error.message().contains("cause"), "{error:?}");
                assert!(error.cause().is_some(), "{error:?}");
            }
        }
    }

    #[test]
    fn messages_have_their_details() {
        let repeated = ApiError::Form(Problem::RepeatedField, "x".to_owned());
        assert_eq!(repeated.message(), "The field 'x' is repeated.");
        assert_eq!(ApiError::MethodNotAllowed("POST").message(), "This resource takes POST only.");
        let broken = || picture::Error::invalid("no end.");
        let photo = ApiError::Inpaint(inpaint::Error::Photo(broken()));
        assert_eq!(photo.message(), "Image could not be decoded: no end.");
        let mask = ApiError::Inpaint(inpaint::Error::Mask(broken()));
        assert_eq!(mask.message(), "mask: Image could not be decoded: no end.");
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
