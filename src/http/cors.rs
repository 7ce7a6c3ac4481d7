//! CORS (Fetch standard): which web pages of other origins may call the API.

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

/// Request headers that a page may set.
const SENT: &str = "authorization, content-type, x-request-id";
/// Seconds for which browsers may cache a preflight.
const MAX_AGE: &str = "600";

/// The origins whose pages may call; none by default. Callers authenticate with a token and never a cookie,
/// so allowing an origin gives its pages nothing that their author does not already have.
#[derive(Clone, Debug)]
pub struct Origins {
    allowed: Vec<String>,
    /// Response headers that a page may read, comma-separated.
    read: String,
}

impl Origins {
    /// Takes origins as `scheme://host` or `scheme://host:port`; `*` allows every origin.
    pub fn new(allowed: Vec<String>) -> Self {
        let headers = Endpoint::Inpaint.headers().iter().chain(&[Header::RetryAfter]);
        let read = headers.map(|header| header.name()).collect::<Vec<_>>().join(", ");
        Self { allowed, read }
    }

    /// The request's origin, if it is allowed.
    fn allowed<'a>(&self, headers: &'a HeaderMap) -> Option<&'a HeaderValue> {
        let origin = headers.get(ORIGIN)?;
        let allowed = |allowed: &String| allowed == "*" || allowed.as_bytes() == origin.as_bytes();
        self.allowed.iter().any(allowed).then_some(origin)
    }

    /// The response to a preflight, which browsers send without a token. `None` if the request is not a
    /// preflight or its origin is not allowed.
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

    /// Lets the page read the response if its origin is allowed.
    pub fn mark(&self, headers: &HeaderMap, response: &mut Response) {
        if self.allowed.is_empty() {
            return;
        }
        // A cache must not serve one origin's response to another.
        response.headers_mut().append(VARY, HeaderValue::from_static("origin"));
        if let Some(origin) = self.allowed(headers) {
            response.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            if let Ok(read) = HeaderValue::from_str(&self.read) {
                response.headers_mut().insert(ACCESS_CONTROL_EXPOSE_HEADERS, read);
            }
        }
    }
}
