//! The files of `web/`, compiled in and served with ETags.

use std::sync::LazyLock;

use bytes::Bytes;
use sha2::{Digest, Sha256};
use warp::{
    http::{
        HeaderMap, HeaderName, HeaderValue, StatusCode,
        header::{
            CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, REFERRER_POLICY,
            X_CONTENT_TYPE_OPTIONS,
        },
    },
    reply::Response,
};

use super::{
    api::Endpoint,
    form::{MAX_FIELD, MAX_FIELDS, STALL, WHOLE_BODY},
    openapi,
    reply::fixed,
    tables,
};
use crate::picture::{Limits, MB};

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";

/// Content security policy: only what the program itself serves, and images in the page's memory.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self' blob:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// A static file.
#[derive(Debug)]
struct File {
    path: &'static str,
    media_type: &'static str,
    bytes: Bytes,
    etag: HeaderValue,
}

macro_rules! files {
    ($($path:literal from $source:literal as $media_type:expr,)*) => {
        [$(File::new($path, $media_type, Bytes::from_static(include_bytes!(concat!("../../", $source))))),*]
    };
}

/// The files that the web page loads.
static FILES: LazyLock<Vec<File>> = LazyLock::new(|| {
    files![
        "llms.txt" from "web/llms.txt" as "text/plain; charset=utf-8",
        "web/base.css" from "web/base.css" as CSS,
        "web/page.css" from "web/page.css" as CSS,
        "web/docs.css" from "web/docs.css" as CSS,
        "web/icon.svg" from "web/icon.svg" as "image/svg+xml",
        "web/js/docs.js" from "web/js/docs.js" as JS,
        "web/js/dom.js" from "web/js/dom.js" as JS,
        "web/js/intake.js" from "web/js/intake.js" as JS,
        "web/js/keys.js" from "web/js/keys.js" as JS,
        "web/js/marks.js" from "web/js/marks.js" as JS,
        "web/js/page.js" from "web/js/page.js" as JS,
        "web/js/photo.js" from "web/js/photo.js" as JS,
        "web/js/service.js" from "web/js/service.js" as JS,
        "web/js/show.js" from "web/js/show.js" as JS,
        "web/js/state.js" from "web/js/state.js" as JS,
        "web/js/steps.js" from "web/js/steps.js" as JS,
        "web/js/surface.js" from "web/js/surface.js" as JS,
        "web/js/tools.js" from "web/js/tools.js" as JS,
        "web/js/view.js" from "web/js/view.js" as JS,
        "web/samples/chelsea.png" from "tests/photos/chelsea.png" as "image/png",
        "web/samples/coffee.jpg" from "tests/photos/coffee.jpg" as "image/jpeg",
        "web/samples/dandelions.jpg" from "tests/photos/dandelions.jpg" as "image/jpeg",
        "web/samples/rocket.jpg" from "tests/photos/rocket.jpg" as "image/jpeg",
    ]
    .into()
});

impl File {
    fn new(path: &'static str, media_type: &'static str, bytes: Bytes) -> Self {
        let digest: String =
            Sha256::digest(&bytes).iter().take(12).map(|byte| format!("{byte:02x}")).collect();
        let etag = HeaderValue::from_str(&format!("\"{digest}\"")).expect("hexadecimal. This is a bug.");
        Self { path, media_type, bytes, etag }
    }

    /// The file, or 304 if the caller has the current version.
    fn reply(&self, asked: &HeaderMap) -> Response {
        let known = asked.get(IF_NONE_MATCH).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let own = self.etag.to_str().unwrap_or_default();
        let same = |tag: &str| matches!(tag.trim().trim_start_matches("W/"), tag if tag == own || tag == "*");
        let known = known.split(',').any(same);
        let mut response = Response::new(if known { Bytes::new() } else { self.bytes.clone() }.into());
        if known {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        }
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.media_type));
        headers.insert(ETAG, self.etag.clone());
        // Revalidate on every load, so that the page always matches the program it came with.
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        let isolated = HeaderName::from_static("cross-origin-opener-policy");
        headers.insert(isolated, HeaderValue::from_static("same-origin"));
        response
    }
}

/// The file at a path, given without its leading slash.
pub fn file(path: &str, asked: &HeaderMap) -> Option<Response> {
    FILES.iter().find(|file| file.path == path).map(|file| file.reply(asked))
}

/// The HTML pages, which show the operator's limits.
#[derive(Debug)]
pub struct Pages {
    home: File,
    docs: File,
}

impl Pages {
    /// Renders the pages with these limits.
    pub fn new(limits: &Limits) -> Self {
        let page = |path, text: &str| File::new(path, HTML, filled_in(text, limits).into());
        Self {
            home: page("", include_str!("../../web/index.html")),
            docs: page("docs", include_str!("../../web/docs.html")),
        }
    }

    /// The web page: choose a photo, mark what should go, see it gone.
    pub fn home(&self, asked: &HeaderMap) -> Response {
        self.home.reply(asked)
    }

    /// The API reference for humans.
    pub fn docs(&self, asked: &HeaderMap) -> Response {
        self.docs.reply(asked)
    }
}

/// The OpenAPI 3.1 document.
pub fn openapi() -> Response {
    static OPENAPI: LazyLock<String> = LazyLock::new(|| format!("{:#}\n", openapi::document()));
    fixed(&OPENAPI, "application/json")
}

/// Replaces each `{{name}}` in a page with the API's table or limit of that name.
fn filled_in(page: &str, limits: &Limits) -> String {
    let places = [
        ("fields", tables::fields(Endpoint::Inpaint).html()),
        ("mask_fields", tables::fields(Endpoint::Mask).html()),
        ("modes", tables::modes().html()),
        ("headers", tables::headers().html()),
        ("problems", tables::problems().html()),
        ("pages", tables::pages().html()),
        ("max_mib", (limits.bytes / MB).to_string()),
        ("max_bytes", limits.bytes.to_string()),
        ("max_side", limits.side.to_string()),
        ("max_pixels", limits.pixels.to_string()),
        ("max_fields", MAX_FIELDS.to_string()),
        ("max_field_kib", (MAX_FIELD >> 10).to_string()),
        ("whole_body", WHOLE_BODY.as_secs().to_string()),
        ("stall", STALL.as_secs().to_string()),
    ];
    places.iter().fold(page.to_owned(), |page, (name, text)| page.replace(&format!("{{{{{name}}}}}"), text))
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    /// Lists the files below a folder of `web/` that should be served.
    fn below(folder: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() && !matches!(name, "node_modules" | "tests") {
                below(&path, found);
            } else if path
                .extension()
                .is_some_and(|ending| ["css", "svg", "js"].iter().any(|one| ending == *one))
                && !name.contains(".config.")
            {
                let root = Path::new(env!("CARGO_MANIFEST_DIR"));
                found.push(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned());
            }
        }
    }

    #[test]
    fn every_file_of_the_page_is_served() {
        let mut found = Vec::new();
        below(&Path::new(env!("CARGO_MANIFEST_DIR")).join("web"), &mut found);
        assert!(found.len() > 10, "{found:?}");
        for path in found {
            assert!(file(&path, &HeaderMap::new()).is_some(), "{path} is not in FILES");
        }
    }

    #[test]
    fn the_pages_tell_what_may_be_sent() {
        let limits = Limits { bytes: 30 * MB, side: 8192, pixels: 50_000_000 };
        let Pages { home, docs } = Pages::new(&limits);
        let [home, docs] = [home, docs].map(|page| String::from_utf8(page.bytes.into()).unwrap());
        for page in [&home, &docs] {
            assert!(!page.contains("{{") && !page.contains("}}"));
            for limit in ["31457280", "8192", "50000000"] {
                assert!(page.contains(limit), "{limit}");
            }
        }
        for text in ["x-knockout-mode", "Mask has no pixels to inpaint.", "<code>dilation</code>"] {
            assert!(docs.contains(text), "{text}");
        }
    }
}
