//! What is sent back.

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

/// What is known of a request apart from its outcome.
#[derive(Debug)]
pub struct Context {
    /// The request's id: the client's, or one of ours.
    pub id: String,
    /// When its header had been read.
    started: Instant,
    /// The caller's name, once it is known.
    pub caller: Option<String>,
    /// What was asked for, once it is known.
    pub mode: Option<Mode>,
    /// The format that was asked for, once it is known.
    pub format: Option<&'static str>,
    /// Bytes of the files that were sent.
    pub bytes_in: usize,
    /// Bytes of the file that is sent back.
    pub bytes_out: usize,
    /// What was found out on the way.
    pub facts: Facts,
    upload: Upload,
    /// The caller's quota and what is left of it, once it was counted.
    pub rate: Option<(Quota, u32)>,
    /// How long the queue takes, as far as is known.
    pub queue: Duration,
}

impl Context {
    /// That of a request with these headers, which begins now.
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

    /// The body begins to be read.
    pub fn upload_begins(&mut self) {
        self.upload = Upload::Since(Instant::now());
    }

    /// The body has been read, or is read no further.
    pub fn upload_ends(&mut self) {
        self.upload = Upload::Took(self.upload());
    }

    /// How long the body took to arrive, so far.
    pub fn upload(&self) -> Duration {
        match self.upload {
            Upload::None => Duration::ZERO,
            Upload::Since(began) => began.elapsed(),
            Upload::Took(time) => time,
        }
    }

    /// How long the request takes, without what its caller took to send it: a slow phone is not a slow
    /// service.
    pub fn latency(&self) -> Duration {
        self.started.elapsed().saturating_sub(self.upload())
    }

    /// Adds what every reply carries.
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

/// How long a body takes to arrive.
#[derive(Clone, Copy, Debug)]
enum Upload {
    /// None was read.
    None,
    /// It began to be read then.
    Since(Instant),
    /// It took this long.
    Took(Duration),
}

/// The ids of requests, as a pattern.
pub const ID: &str = "^[A-Za-z0-9._-]{1,64}$";

/// Whether a client's request id is one that we repeat, as [`ID`] says.
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
    pub mode: Mode,
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

/// The steps in milliseconds, as the W3C's Server Timing has them.
fn server_timing(timings: &Timings) -> String {
    let milliseconds = |time: Duration| time.as_secs_f64() * 1000.0;
    let steps = timings.steps().iter().map(|(step, time)| format!("{step};dur={:.1}", milliseconds(*time)));
    steps.collect::<Vec<_>>().join(", ")
}

/// The body of every error.
#[derive(JsonSchema, Serialize)]
#[schemars(rename = "Error", deny_unknown_fields)]
pub struct ErrorBody<'a> {
    /// What went wrong, for programs.
    #[schemars(extend("enum" = Problem::codes()))]
    pub error: &'a str,
    /// What went wrong, for people.
    #[schemars(length(min = 1))]
    pub message: &'a str,
    /// The request's id, as in the header.
    #[schemars(regex(pattern = ID))]
    pub request_id: &'a str,
}

/// The body that says that the process lives.
#[derive(JsonSchema, Serialize)]
pub struct Liveness {
    /// `ok`.
    #[schemars(extend("const" = Self::OK))]
    pub status: &'static str,
}

impl Liveness {
    /// The only status there is.
    pub const OK: &'static str = "ok";
}

/// The body that says whether photos can be filled.
#[derive(JsonSchema, Serialize)]
pub struct Readiness {
    /// Whether they can.
    #[schemars(extend("enum" = [Self::READY, Self::NOT_READY]))]
    pub status: &'static str,
    /// Whether the service is about to end.
    pub draining: bool,
    /// The inference servers.
    pub replicas: Vec<ReplicaStatus>,
}

impl Readiness {
    /// They can.
    pub const READY: &'static str = "ready";
    /// They cannot.
    pub const NOT_READY: &'static str = "not ready";
}

/// The reply that tells of a failure.
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

/// A reply of JSON.
pub fn json(body: &impl Serialize, status: StatusCode) -> Response {
    let text = serde_json::to_vec(body).expect("plain data can be written as JSON. This is a bug.");
    let mut response = Response::new(text.into());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// A reply of a text that stays the same.
pub fn fixed(text: &'static str, media_type: &'static str) -> Response {
    let mut response = Response::new(text.into());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

/// Sets a header to a text that came from outside this program. One that no header can hold is left out.
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
