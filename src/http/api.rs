//! The API as data: endpoints, fields and headers. Parsing and replies take names and bounds from here;
//! `/openapi.json`, `/docs` and the README's tables are generated from it or checked against it.

use strum::VariantArray;
use warp::http::HeaderName;

use super::problem::Problem;
use crate::{
    inpaint::{MAX_DILATION, Mode},
    picture::{Limits, MB, OutputFormat},
};

/// A path that callers may request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, VariantArray)]
pub enum Endpoint {
    /// Erase a region of a photo.
    Inpaint,
    /// Preview the mask of what would be erased.
    Mask,
    /// The web page for trying the service.
    Home,
    /// The API reference for humans.
    Docs,
    /// The API reference for programs.
    OpenApi,
    /// Liveness probe.
    Live,
    /// Readiness probe: can photos be filled?
    Ready,
}

impl Endpoint {
    /// The endpoint for a request path; a trailing slash makes no difference.
    pub fn of(path: &str) -> Option<Self> {
        let plain = path.strip_suffix('/').filter(|plain| !plain.is_empty()).unwrap_or(path);
        Self::VARIANTS.iter().copied().find(|endpoint| endpoint.path() == plain)
    }

    /// The canonical path, without a trailing slash.
    pub fn path(self) -> &'static str {
        match self {
            Self::Inpaint => "/inpaint",
            Self::Mask => "/mask",
            Self::Home => "/",
            Self::Docs => "/docs",
            Self::OpenApi => "/openapi.json",
            Self::Live => "/livez",
            Self::Ready => "/readyz",
        }
    }

    /// One sentence for the API reference.
    pub fn about(self) -> &'static str {
        match self {
            Self::Inpaint => "Erases a region of a photo.",
            Self::Mask => "Shows what would be erased, as a mask of the photo's size. An extension.",
            Self::Home => "A page to try the service with.",
            Self::Docs => "The API for people.",
            Self::OpenApi => "The API for programs, in OpenAPI 3.1.",
            Self::Live => "200 while the service runs, whatever it depends on.",
            Self::Ready => {
                "200 while it can fill photos, else 503; the body names every inference server and its models."
            }
        }
    }

    /// The methods it accepts, as a value of the `allow` header.
    pub fn methods(self) -> &'static str {
        match self {
            Self::Inpaint | Self::Mask => "POST",
            Self::Home | Self::Docs | Self::OpenApi | Self::Live | Self::Ready => "GET, HEAD",
        }
    }

    /// The form fields it reads. It ignores all others.
    pub fn fields(self) -> &'static [Field] {
        match self {
            Self::Inpaint => Field::VARIANTS,
            Self::Mask => &[Field::File, Field::X, Field::Y, Field::W, Field::H, Field::Dilation],
            Self::Home | Self::Docs | Self::OpenApi | Self::Live | Self::Ready => &[],
        }
    }

    /// The headers of a successful response.
    pub fn headers(self) -> &'static [Header] {
        use Header as H;
        match self {
            Self::Inpaint => &[
                H::Mode,
                H::Model,
                H::Latency,
                H::Warning,
                H::RequestId,
                H::ServerTiming,
                H::RateLimitPolicy,
                H::RateLimit,
                H::CacheControl,
            ],
            Self::Mask => &[
                H::Mode,
                H::Model,
                H::Latency,
                H::RequestId,
                H::ServerTiming,
                H::RateLimitPolicy,
                H::RateLimit,
                H::CacheControl,
            ],
            Self::Home | Self::Docs | Self::OpenApi | Self::Live | Self::Ready => &[H::RequestId],
        }
    }

    /// The errors it can return. 404 and 405 are left out: they apply to every path.
    pub fn problems(self) -> Vec<Problem> {
        use Problem as P;
        let told_by = |not: &[Problem]| {
            let here = |problem: &Problem| {
                !matches!(problem, P::NotFound | P::MethodNotAllowed) && !not.contains(problem)
            };
            Problem::VARIANTS.iter().copied().filter(here).collect()
        };
        match self {
            Self::Inpaint => told_by(&[P::PointOutside, P::PartialPoint]),
            Self::Mask => told_by(&[P::EmptyMask, P::BrokenMask, P::BadFormat, P::PartialBox]),
            Self::Home | Self::Docs | Self::OpenApi | Self::Live | Self::Ready => vec![],
        }
    }
}

/// A form field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum Field {
    /// The photo.
    File,
    /// The mask of what to erase, as an image.
    Mask,
    /// Left edge of the box, or a point's column.
    X,
    /// Top edge of the box, or a point's row.
    Y,
    /// Width of the box.
    W,
    /// Height of the box.
    H,
    /// Radius by which the region is dilated.
    Dilation,
    /// Output format.
    Format,
}

/// A field's type.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// An image in any supported input format.
    Picture,
    /// An integer.
    Integer {
        /// The smallest meaningful value.
        least: u32,
        /// The largest value, unless it depends on the photo.
        most: Option<u32>,
        /// The value shown in examples.
        example: u32,
    },
    /// One of a fixed set of words.
    Word(&'static [(&'static str, OutputFormat)]),
}

/// Names of the output formats; the first name of each is the one documented.
pub const FORMATS: &[(&str, OutputFormat)] = &[
    ("png", OutputFormat::Png),
    ("webp", OutputFormat::WebP),
    ("jpg", OutputFormat::Jpeg),
    ("jpeg", OutputFormat::Jpeg),
];

/// The dilation radius if the form has none. 0 for `/mask`: `/inpaint` dilates the mask it is sent.
pub fn default_dilation(endpoint: Endpoint) -> u32 {
    match endpoint {
        Endpoint::Mask => 0,
        _ => 8,
    }
}

impl Field {
    /// The name in the form.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// The type, with bounds and an example.
    pub fn kind(self) -> Kind {
        match self {
            Self::File | Self::Mask => Kind::Picture,
            Self::X => Kind::Integer { least: 0, most: None, example: 295 },
            Self::Y => Kind::Integer { least: 0, most: None, example: 70 },
            Self::W => Kind::Integer { least: 1, most: None, example: 75 },
            Self::H => Kind::Integer { least: 1, most: None, example: 330 },
            Self::Dilation => Kind::Integer { least: 0, most: Some(MAX_DILATION), example: 12 },
            Self::Format => Kind::Word(FORMATS),
        }
    }

    /// Whether a form without it is refused.
    pub fn required(self) -> bool {
        self == Self::File
    }

    /// The value that an endpoint assumes if the field is missing; `None` if that is not a plain value.
    pub fn default(self, of: Endpoint) -> Option<String> {
        match self {
            Self::Dilation => Some(default_dilation(of).to_string()),
            Self::Format => {
                let default = FORMATS.iter().find(|(_, format)| *format == OutputFormat::default());
                default.map(|(name, _)| (*name).to_owned())
            }
            Self::File | Self::Mask | Self::X | Self::Y | Self::W | Self::H => None,
        }
    }

    /// What it means to an endpoint, in Markdown with code in backticks.
    pub fn about(self, of: Endpoint) -> String {
        match self {
            Self::X if of == Endpoint::Mask => "Column of a point, in pixels of the photo as displayed: the object there is found, and it may be a little off. With `w` and `h`, left edge of a box: what stands out in it is found. Without any of them, the subject is.".to_owned(),
            Self::Y if of == Endpoint::Mask => "Row of the point, or top edge of the box.".to_owned(),
            Self::Dilation if of == Endpoint::Mask => format!(
                "Radius in pixels, 0 to {MAX_DILATION}, by which the mask is grown on all sides; `/inpaint` grows what it is sent by itself."
            ),
            Self::File => format!(
                "The photo: JPEG, PNG, WebP or HEIC, told apart by content and not by name; up to {} MiB and {side} x {side} pixels, unless the operator set other limits.",
                Limits::DEFAULT.bytes / MB,
                side = Limits::DEFAULT.side,
            ),
            Self::Mask => "What to erase, as a picture in any of these formats: grey of 128 and more is erased, the rest is kept. Colours count by their luma, transparency as black. A mask of another size is scaled to the photo, nearest neighbour.".to_owned(),
            Self::X => "Left edge of a box to erase, in pixels of the photo as displayed. A box needs all of `x`, `y`, `w` and `h`, lies in the photo, and is ignored beside a mask.".to_owned(),
            Self::Y => "Top edge of the box.".to_owned(),
            Self::W => "Width of the box.".to_owned(),
            Self::H => "Height of the box.".to_owned(),
            Self::Dilation => format!(
                "Radius in pixels, 0 to {MAX_DILATION}, by which the region grows on all sides: it hides the edge of what is erased."
            ),
            Self::Format => "Format of the answer: `png`, `webp` or `jpg`.".to_owned(),
        }
    }
}

/// A response header whose value is part of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, VariantArray)]
pub enum Header {
    /// How the region was specified.
    Mode,
    /// The model that filled or found the region.
    Model,
    /// Time spent in the service.
    Latency,
    /// Caveats about the result.
    Warning,
    /// The request ID.
    RequestId,
    /// Time spent on each step.
    ServerTiming,
    /// The caller's quota.
    RateLimitPolicy,
    /// What is left of the quota.
    RateLimit,
    /// Forbids caches to store the response.
    CacheControl,
    /// When to retry.
    RetryAfter,
    /// The expected authentication scheme.
    WwwAuthenticate,
    /// The methods that the endpoint accepts.
    Allow,
}

impl Header {
    /// The header's name in lower case, as HTTP/2 requires.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mode => "x-knockout-mode",
            Self::Model => "x-knockout-model",
            Self::Latency => "x-knockout-latency",
            Self::Warning => "x-knockout-warning",
            Self::RequestId => "x-request-id",
            Self::ServerTiming => "server-timing",
            Self::RateLimitPolicy => "ratelimit-policy",
            Self::RateLimit => "ratelimit",
            Self::CacheControl => "cache-control",
            Self::RetryAfter => "retry-after",
            Self::WwwAuthenticate => "www-authenticate",
            Self::Allow => "allow",
        }
    }

    /// The name as a key of a header map.
    pub fn key(self) -> HeaderName {
        HeaderName::from_static(self.name())
    }

    /// Whether every response that may carry it does.
    pub fn always(self) -> bool {
        self != Self::Warning
    }

    /// What it means, in Markdown with code in backticks.
    pub fn about(self) -> String {
        match self {
            Self::Mode => {
                let names: Vec<_> = Mode::VARIANTS.iter().map(|mode| format!("`{}`", mode.name())).collect();
                format!("How the region was given: {}.", names.join(", "))
            }
            Self::Model => "The model that filled the region, or found it.".to_owned(),
            Self::Latency => "Whole milliseconds in the service, without the time that the upload took.".to_owned(),
            Self::Warning => "Only where there is something to tell: the region covers over half of the photo, the mask does not have the photo's proportions, or the answer cannot hold the photo's depth, alpha or colour space. Several are separated by semicolons.".to_owned(),
            Self::RequestId => "The request's id, on every answer: the one that was sent, or one of ours. Quote it when you report an error.".to_owned(),
            Self::ServerTiming => "Milliseconds for each step (W3C Server Timing). Steps can overlap.".to_owned(),
            Self::RateLimitPolicy => "The token's quota: `q` requests at once, and `w` seconds until all of them are back (IETF draft \"RateLimit header fields for HTTP\").".to_owned(),
            Self::RateLimit => "What is left of the quota: `r` requests at once, and `t` seconds until it is whole again.".to_owned(),
            Self::CacheControl => "`no-store`: nobody on the way keeps the answer.".to_owned(),
            Self::RetryAfter => "Whole seconds to wait before another attempt; with 429 and 503.".to_owned(),
            Self::WwwAuthenticate => "`Bearer`; with 401.".to_owned(),
            Self::Allow => "The methods that the endpoint takes; with 405.".to_owned(),
        }
    }
}
