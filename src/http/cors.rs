//! Which web pages of other origins may call (CORS, as the Fetch standard has it).

use super::api::{Endpoint, Header};
use warp::{
    http::{
        HeaderMap, HeaderName, HeaderValue, Method, StatusCode,
        header::{
            ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
            ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN,
            VARY,
        },
    },
    reply::Response,
};

/// What a page may send beside a form.
const SENT: &str = "authorization, content-type, x-request-id";
/// For how long a browser need not ask again, in seconds.
const MAX_AGE: &str = "600";

/// The origins whose pages may call; none by default. A caller shows a token of its own and no cookie, so
/// that no page gets more than who wrote it already has.
#[derive(Clone, Debug)]
pub struct Origins {
    allowed: Vec<String>,
    /// What a page may read beside the body.
    read: String,
}

impl Origins {
    /// These, as `scheme://host` or `scheme://host:port`; `*` is every origin.
    pub fn new(allowed: Vec<String>) -> Self {
        let headers = Endpoint::Inpaint.headers().iter().chain(&[Header::RetryAfter]);
        let read = headers.map(|header| header.name()).collect::<Vec<_>>().join(", ");
        Self { allowed, read }
    }

    /// The origin that the request comes from, if it may.
    fn allowed<'a>(&self, headers: &'a HeaderMap) -> Option<&'a HeaderValue> {
        let origin = headers.get(ORIGIN)?;
        let allowed = |allowed: &String| allowed == "*" || allowed.as_bytes() == origin.as_bytes();
        self.allowed.iter().any(allowed).then_some(origin)
    }

    /// The answer to a browser that asks, without a token, whether a page may call; `None` where this is no
    /// such question, or the page may not.
    pub fn preflight(&self, endpoint: Endpoint, method: &Method, headers: &HeaderMap) -> Option<Response> {
        let asks = *method == Method::OPTIONS && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        if !asks || self.allowed(headers).is_none() {
            return None;
        }
        let mut response = Response::default();
        *response.status_mut() = StatusCode::NO_CONTENT;
        let mut set =
            |name: HeaderName, value| response.headers_mut().insert(name, HeaderValue::from_static(value));
        set(ACCESS_CONTROL_ALLOW_METHODS, endpoint.methods());
        set(ACCESS_CONTROL_ALLOW_HEADERS, SENT);
        set(ACCESS_CONTROL_MAX_AGE, MAX_AGE);
        Some(response)
    }

    /// Lets the page that asked read the answer, if it may.
    pub fn mark(&self, headers: &HeaderMap, response: &mut Response) {
        if self.allowed.is_empty() {
            return;
        }
        // A cache must not give one origin's answer to another.
        response.headers_mut().append(VARY, HeaderValue::from_static("origin"));
        if let Some(origin) = self.allowed(headers) {
            response.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            if let Ok(read) = HeaderValue::from_str(&self.read) {
                response.headers_mut().insert(ACCESS_CONTROL_EXPOSE_HEADERS, read);
            }
        }
    }
}
