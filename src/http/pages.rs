//! The pages that are part of the program.

use std::sync::LazyLock;

use warp::reply::Response;

use super::{
    api::Endpoint,
    form::{MAX_FIELD, MAX_FIELDS, STALL, WHOLE_BODY},
    openapi,
    reply::fixed,
    tables,
};
use crate::picture::{MAX_BYTES, MAX_SIDE};

const HTML: &str = "text/html; charset=utf-8";

/// The web page: choose a photo, mark what is to go, see it gone.
pub fn home() -> Response {
    fixed(include_str!("pages/home.html"), HTML)
}

/// The API's description for people.
pub fn docs() -> Response {
    static DOCS: LazyLock<String> = LazyLock::new(docs_text);
    fixed(&DOCS, HTML)
}

/// The API's description for programs (OpenAPI 3.1).
pub fn openapi() -> Response {
    static OPENAPI: LazyLock<String> = LazyLock::new(|| format!("{:#}\n", openapi::document()));
    fixed(&OPENAPI, "application/json")
}

/// The page, with the tables and limits of the API in their places.
fn docs_text() -> String {
    let places = [
        ("fields", tables::fields(Endpoint::Inpaint).html()),
        ("modes", tables::modes().html()),
        ("headers", tables::headers().html()),
        ("problems", tables::problems().html()),
        ("pages", tables::pages().html()),
        ("max_mib", (MAX_BYTES >> 20).to_string()),
        ("max_bytes", MAX_BYTES.to_string()),
        ("max_side", MAX_SIDE.to_string()),
        ("max_fields", MAX_FIELDS.to_string()),
        ("max_field_kib", (MAX_FIELD >> 10).to_string()),
        ("whole_body", WHOLE_BODY.as_secs().to_string()),
        ("stall", STALL.as_secs().to_string()),
    ];
    let page = include_str!("pages/docs.html").to_owned();
    places.iter().fold(page, |page, (name, text)| page.replace(&format!("{{{{{name}}}}}"), text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_the_page_is_left_open() {
        let page = docs_text();
        assert!(!page.contains("{{") && !page.contains("}}"));
        for text in ["x-knockout-mode", "Mask has no pixels to inpaint.", "<code>dilation</code>", "10485760"]
        {
            assert!(page.contains(text), "{text}");
        }
    }
}
