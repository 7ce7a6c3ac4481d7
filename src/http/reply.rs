//! Responses and their headers.

use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;
use warp::{
    http::{HeaderMap, HeaderValue, StatusCode, header::CONTENT_TYPE},
    reply::Response,
};

use super::{
    api::Header,
    error::ApiError,
    problem::Problem,
    quota::{Allowed, Quota},
};
use crate::{
    inpaint::{Facts, Mode, Timings},
    triton::ReplicaStatus,
};

/// Request context: what headers, logs and metrics need besides the outcome.
#[derive(Debug)]
pub struct Context {
    /// The request ID: the client's if valid, else generated.
    pub id: String,
    /// When the header had been read.
    started: Instant,
    /// The caller's name; `None` until authenticated.
    pub caller: Option<String>,
    /// How the region is specified; `None` until the form has been read.
    pub mode: Option<Mode>,
    /// The requested output format; `None` until the form has been read.
    pub format: Option<&'static str>,
    /// Total size of the uploaded files, in bytes.
    pub bytes_in: usize,
    /// Size of the result, in bytes.
    pub bytes_out: usize,
    /// What the pipeline found out, kept even if it fails.
    pub facts: Facts,
    upload: Upload,
    /// The caller's quota and what is left of it; `None` until counted.
    pub rate: Option<(Quota, u32)>,
    /// Estimated wait in the queue, for `retry-after`.
    pub queue: Duration,
}

impl Context {
    /// Starts the clock of a request with these headers.
    pub fn new(headers: &HeaderMap) -> Self {
        let sent =
            headers.get(Header::RequestId.key()).and_then(|value| value.to_str().ok()).filter(|id| is_id(id));
        let id = sent.map_or_else(|| Uuid::new_v4().to_string(), str::to_owned);
        Self {
            id,
            started: Instant::now(),
            caller: None,
            mode: None,
            format: None,
            bytes_in: 0,
            bytes_out: 0,
            facts: Facts::default(),
            upload: Upload::None,
            rate: None,
            queue: Duration::ZERO,
        }
    }

    /// Starts the upload clock.
    pub fn upload_begins(&mut self) {
        self.upload = Upload::Since(Instant::now());
    }

    /// Stops the upload clock.
    pub fn upload_ends(&mut self) {
        self.upload = Upload::Took(self.upload());
    }

    /// Time spent so far waiting for the body.
    pub fn upload(&self) -> Duration {
        match self.upload {
            Upload::None => Duration::ZERO,
            Upload::Since(began) => began.elapsed(),
            Upload::Took(time) => time,
        }
    }

    /// Time so far without the upload: a slow phone does not make a slow service.
    pub fn latency(&self) -> Duration {
        self.started.elapsed().saturating_sub(self.upload())
    }

    /// Adds the headers that every response carries.
    pub fn finish(&self, mut response: Response) -> Response {
        let headers = response.headers_mut();
        set(headers, Header::RequestId, &self.id);
        if let Some((quota, left)) = self.rate {
            set(headers, Header::RateLimitPolicy, &Allowed::policy(quota));
            set(headers, Header::RateLimit, &Allowed::remaining(quota, left));
        }
        response
    }
}

/// The upload clock.
#[derive(Clone, Copy, Debug)]
enum Upload {
    /// Not started.
    None,
    /// Running since then.
    Since(Instant),
    /// Stopped at this time.
    Took(Duration),
}

/// Valid request IDs, as a regular expression.
pub const ID: &str = "^[A-Za-z0-9._-]{1,64}$";

/// Whether a client's request ID matches [`ID`] and so is echoed.
fn is_id(id: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=64).contains(&id.len()) && id.bytes().all(plain)
}

/// A successful result.
pub struct Answer<'a> {
    /// The encoded image.
    pub bytes: Vec<u8>,
    /// Media type of `bytes`.
    pub media_type: &'static str,
    /// Label of the model used.
    pub model: &'a str,
    /// How the region was specified.
    pub mode: Mode,
    /// Caveats for the `x-knockout-warning` header.
    pub warnings: &'a [String],
    /// Time spent on each step.
    pub timings: &'a Timings,
}

/// The response carrying a result.
pub fn answered(answer: Answer<'_>, context: &Context) -> Response {
    let mut response = Response::new(answer.bytes.into());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(answer.media_type));
    set(headers, Header::CacheControl, "no-store");
    set(headers, Header::Model, answer.model);
    set(headers, Header::Mode, answer.mode.name());
    if !answer.warnings.is_empty() {
        set(headers, Header::Warning, &answer.warnings.join("; "));
    }
    set(headers, Header::ServerTiming, &server_timing(answer.timings));
    let latency = context.latency().as_millis().to_string();
    set(headers, Header::Latency, &latency);
    response
}

/// Formats the steps for W3C Server Timing, in milliseconds.
fn server_timing(timings: &Timings) -> String {
    let milliseconds = |time: Duration| time.as_secs_f64() * 1000.0;
    let steps = timings.steps().iter().map(|(step, time)| format!("{step};dur={:.1}", milliseconds(*time)));
    steps.collect::<Vec<_>>().join(", ")
}

/// The body of every error.
#[derive(JsonSchema, Serialize)]
#[schemars(rename = "Error", deny_unknown_fields)]
pub struct ErrorBody<'a> {
    /// Error code for programs.
    #[schemars(extend("enum" = Problem::codes()))]
    pub error: &'a str,
    /// Error message for humans.
    #[schemars(length(min = 1))]
    pub message: &'a str,
    /// Request ID, as in the header `x-request-id`.
    #[schemars(regex(pattern = ID))]
    pub request_id: &'a str,
}

/// The body of `/livez`.
#[derive(JsonSchema, Serialize)]
pub struct Liveness {
    /// Always `ok`.
    #[schemars(extend("const" = Self::OK))]
    pub status: &'static str,
}

impl Liveness {
    /// The only status.
    pub const OK: &'static str = "ok";
}

/// The body of `/readyz`.
#[derive(JsonSchema, Serialize)]
pub struct Readiness {
    /// Whether the service can fill photos.
    #[schemars(extend("enum" = [Self::READY, Self::NOT_READY]))]
    pub status: &'static str,
    /// Whether the service is shutting down.
    pub draining: bool,
    /// The inference servers and their models.
    pub replicas: Vec<ReplicaStatus>,
}

impl Readiness {
    /// Photos can be filled.
    pub const READY: &'static str = "ready";
    /// Draining, or models are missing.
    pub const NOT_READY: &'static str = "not ready";
}

/// The response for an error.
pub fn failed(error: &ApiError, context: &Context) -> Response {
    let problem = error.problem();
    let body = ErrorBody { error: problem.told().code, message: &error.message(), request_id: &context.id };
    let mut response = json(&body, problem.status());
    let headers = response.headers_mut();
    match error {
        ApiError::Unauthorized => set(headers, Header::WwwAuthenticate, "Bearer"),
        ApiError::MethodNotAllowed(allow) => set(headers, Header::Allow, allow),
        _ => {}
    }
    if let Some(seconds) = error.retry_after(context.queue) {
        set(headers, Header::RetryAfter, &seconds.to_string());
    }
    response
}

/// A JSON response.
pub fn json(body: &impl Serialize, status: StatusCode) -> Response {
    let text = serde_json::to_vec(body).expect("plain data can be written as JSON. This is a bug.");
    let mut response = Response::new(text.into());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// A response with a constant text.
pub fn fixed(text: &'static str, media_type: &'static str) -> Response {
    let mut response = Response::new(text.into());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

/// Sets a header to untrusted text; omits it if the text is no valid header value.
fn set(headers: &mut HeaderMap, header: Header, value: &str) {
    match HeaderValue::from_str(value) {
        Ok(value) => drop(headers.insert(header.key(), value)),
        Err(_) => tracing::warn!(header = header.name(), "a value that no header can hold"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clients_request_id_is_kept_if_it_is_plain() {
        let id = |id: &str| {
            let mut headers = HeaderMap::new();
            set(&mut headers, Header::RequestId, id);
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
