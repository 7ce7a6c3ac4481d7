//! What is sent back.

use std::time::{Duration, Instant};

use serde::Serialize;
use uuid::Uuid;
use warp::{
    http::{
        HeaderMap, HeaderName, HeaderValue, StatusCode,
        header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
    },
    reply::Response,
};

use super::{
    error::ApiError,
    limit::{Allowed, Quota},
};
use crate::inpaint::Timings;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What is known of a request apart from its outcome.
#[derive(Debug)]
pub struct Context {
    /// The request's id: the client's, or one of ours.
    pub id: String,
    /// When its header had been read.
    pub started: Instant,
    /// The caller's name, once it is known.
    pub caller: Option<String>,
    /// What was asked for, once it is known.
    pub mode: Option<&'static str>,
    /// The caller's quota and what is left of it, once it was counted.
    pub rate: Option<(Quota, u32)>,
    /// How long the queue takes, as far as is known.
    pub queue: Duration,
}

impl Context {
    /// That of a request with these headers, which begins now.
    pub fn new(headers: &HeaderMap) -> Self {
        let sent = headers.get(&REQUEST_ID).and_then(|value| value.to_str().ok()).filter(|id| is_id(id));
        let id = sent.map_or_else(|| Uuid::new_v4().to_string(), str::to_owned);
        Self { id, started: Instant::now(), caller: None, mode: None, rate: None, queue: Duration::ZERO }
    }

    /// Adds what every reply carries.
    pub fn finish(&self, mut response: Response) -> Response {
        let headers = response.headers_mut();
        set(headers, REQUEST_ID, &self.id);
        if let Some((quota, left)) = self.rate {
            set(headers, HeaderName::from_static("ratelimit-policy"), &Allowed::policy(quota));
            set(headers, HeaderName::from_static("ratelimit"), &Allowed::remaining(quota, left));
        }
        response
    }
}

/// Whether a client's request id is one that we repeat: 1 to 64 of `[A-Za-z0-9._-]`.
fn is_id(id: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=64).contains(&id.len()) && id.bytes().all(plain)
}

/// A picture that was asked for.
pub struct Answer<'a> {
    /// Its file.
    pub bytes: Vec<u8>,
    /// The file's media type.
    pub media_type: &'static str,
    /// The label of the model that made it.
    pub model: &'a str,
    /// The mode of the request.
    pub mode: &'static str,
    /// What the caller should know.
    pub warnings: &'a [String],
    /// How long the steps took.
    pub timings: &'a Timings,
}

/// The reply with a picture.
pub fn answered(answer: Answer<'_>, context: &Context) -> Response {
    let mut response = Response::new(answer.bytes.into());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(answer.media_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    set(headers, HeaderName::from_static("x-knockout-model"), answer.model);
    set(headers, HeaderName::from_static("x-knockout-mode"), answer.mode);
    if !answer.warnings.is_empty() {
        set(headers, HeaderName::from_static("x-knockout-warning"), &answer.warnings.join("; "));
    }
    set(headers, HeaderName::from_static("server-timing"), &server_timing(answer.timings));
    let latency = context.started.elapsed().as_millis().to_string();
    set(headers, HeaderName::from_static("x-knockout-latency"), &latency);
    response
}

/// The steps in milliseconds, as the W3C's Server Timing has them.
fn server_timing(timings: &Timings) -> String {
    let milliseconds = |time: Duration| time.as_secs_f64() * 1000.0;
    let steps = timings.steps().iter().map(|(step, time)| format!("{step};dur={:.1}", milliseconds(*time)));
    steps.collect::<Vec<_>>().join(", ")
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    error: &'a str,
    message: &'a str,
    request_id: &'a str,
}

/// The reply that tells of a failure.
pub fn failed(error: &ApiError, context: &Context) -> Response {
    let public = error.public();
    let body = ErrorBody { error: public.code, message: &public.message, request_id: &context.id };
    let mut response = json(&body, public.status);
    let headers = response.headers_mut();
    match error {
        ApiError::Unauthorized => set(headers, WWW_AUTHENTICATE, "Bearer"),
        ApiError::MethodNotAllowed(allow) => set(headers, ALLOW, allow),
        _ => {}
    }
    if let Some(seconds) = error.retry_after(context.queue) {
        set(headers, RETRY_AFTER, &seconds.to_string());
    }
    response
}

/// A reply of JSON.
pub fn json(body: &impl Serialize, status: StatusCode) -> Response {
    let text = serde_json::to_vec(body).expect("plain data can be written as JSON. This is a bug.");
    let mut response = Response::new(text.into());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// A reply of a fixed text.
pub fn fixed(text: &'static str, media_type: &'static str) -> Response {
    let mut response = Response::new(text.into());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

/// Sets a header to a text that came from outside this program. One that no header can hold is left out.
fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    match HeaderValue::from_str(value) {
        Ok(value) => drop(headers.insert(name, value)),
        Err(_) => tracing::warn!(%name, "a value that no header can hold"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clients_request_id_is_kept_if_it_is_plain() {
        let id = |id: &str| {
            let mut headers = HeaderMap::new();
            set(&mut headers, REQUEST_ID, id);
            Context::new(&headers).id
        };
        assert_eq!(id("Abc-1.2_3"), "Abc-1.2_3");
        assert_eq!(id(&"a".repeat(64)), "a".repeat(64));
        for other in ["", "a b", "a\"b", "é", &"a".repeat(65)] {
            assert_ne!(id(other), other);
            assert_eq!(id(other).len(), 36);
        }
    }
}
