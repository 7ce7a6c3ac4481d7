//! The pages that are part of the program.

use warp::reply::Response;

use super::reply::fixed;

const HTML: &str = "text/html; charset=utf-8";

/// The web page: choose a photo, mark what is to go, see it gone.
pub fn home() -> Response {
    fixed(include_str!("pages/home.html"), HTML)
}

/// The API's description for people.
pub fn docs() -> Response {
    fixed(include_str!("pages/docs.html"), HTML)
}

/// The API's description for programs (OpenAPI 3.1).
pub fn openapi() -> Response {
    fixed(include_str!("pages/openapi.json"), "application/json")
}
