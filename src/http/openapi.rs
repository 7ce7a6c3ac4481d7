//! The OpenAPI 3.1 document, generated from what parses requests and builds responses.

use schemars::generate::{SchemaGenerator, SchemaSettings};
use serde_json::{Map, Value, json};
use strum::VariantArray;

use super::{
    api::{Endpoint, FORMATS, Field, Header, Kind},
    form::{MAX_FIELD, MAX_FIELDS},
    problem::Problem,
    reply::{ErrorBody, ID, Liveness, Readiness},
};
use crate::{
    inpaint::Mode,
    picture::{Format, OutputFormat},
};

/// The request ID in examples.
const EXAMPLE_ID: &str = "5c2d1f0e-8f3e-4a5b-9d3c-6a1b2e7f4c90";

const ERASING: &str = "The region is the white part of `mask`, else the box `x`, `y`, `w`, `h`, else the photo's subject. Masks and boxes are meant for the photo as displayed: its Exif orientation is applied first. The answer is upright without one, but for a JPG of a JPEG, which is stored as the photo was and keeps its orientation. Outside of the grown region, a PNG or WebP answer has the photo's own pixels, and a JPG of a JPEG has the photo's own blocks of coefficients wherever the region does not touch them.";

const FINDING: &str = "An extension. Finds the object at a point (`x` and `y`) or in a box (`x`, `y`, `w` and `h`), or else the subject of the photo, and answers a grey PNG of the photo's size as displayed: 255 where something was found, 0 elsewhere. Sent to `/inpaint` as `mask`, it is erased there: the mask of the subject gives what no mask gives.";

/// Output formats of `/mask`.
const MASKS: &[(&str, OutputFormat)] = &[("png", OutputFormat::Png)];

pub fn document() -> Value {
    // Collects the schemas of all JSON responses and the types they refer to.
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut types = settings.into_generator();
    let paths =
        Endpoint::VARIANTS.iter().map(|&endpoint| (endpoint.path().to_owned(), path(endpoint, &mut types)));
    let paths: Map<_, _> = paths.collect();
    let mut schemas = Map::new();
    for endpoint in Endpoint::VARIANTS.iter().filter(|endpoint| !endpoint.fields().is_empty()) {
        schemas.insert(form_name(*endpoint), form(*endpoint));
    }
    types.subschema_for::<ErrorBody>();
    schemas.extend(types.take_definitions(true));
    let headers = Header::VARIANTS.iter().filter(|header| **header != Header::Allow);
    let headers: Map<_, _> =
        headers.map(|&header| (header.name().to_owned(), described(header, header.always()))).collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Lacuna",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "Erases anything from a photo.",
            "description": about(),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"token": []}],
        "tags": [
            {"name": "photos", "description": "What needs a token."},
            {"name": "service", "description": "Pages and probes, which need none."},
        ],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "The token that the operator gave you."},
            },
            "parameters": {
                "RequestId": {
                    "name": Header::RequestId.name(),
                    "in": "header",
                    "description": format!("An id of your own for the request. It is repeated in the answer if it matches `{ID}`; else one is made."),
                    "schema": {"type": "string"},
                    "example": EXAMPLE_ID,
                },
            },
            "headers": headers,
            "schemas": schemas,
        },
    })
}

fn about() -> String {
    let told = |problem: Problem| {
        let told = problem.told();
        format!("{} `{}`, \"{}\"", told.status, told.code, told.message)
    };
    format!(
        "`POST /inpaint` takes a photo and a region of it, and returns the photo with the region filled. Every error is the JSON of the schema `Error`; in messages, an ellipsis stands for a detail. An unknown address is answered with {}, a method that an address does not take with {} and the header `{}`.",
        told(Problem::NotFound),
        told(Problem::MethodNotAllowed),
        Header::Allow.name(),
    )
}

/// The path item of an endpoint.
fn path(endpoint: Endpoint, types: &mut SchemaGenerator) -> Value {
    let page = |what, schema| json!({"200": page_answer(what, "text/html", schema)});
    let (id, responses) = match endpoint {
        Endpoint::Inpaint => return form_path(endpoint, "inpaint", ERASING, FORMATS),
        Endpoint::Mask => return form_path(endpoint, "mask", FINDING, MASKS),
        Endpoint::Home => ("home", page("The page.", json!({"type": "string"}))),
        Endpoint::Docs => ("docs", page("The page.", json!({"type": "string"}))),
        Endpoint::OpenApi => {
            let members = json!({"openapi": {"type": "string"}, "info": {"type": "object"}, "paths": {"type": "object"}});
            let schema =
                json!({"type": "object", "required": ["openapi", "info", "paths"], "properties": members});
            ("openapi", json!({"200": page_answer("This document.", "application/json", schema)}))
        }
        Endpoint::Live => {
            let body = types.subschema_for::<Liveness>().to_value();
            ("livez", json!({"200": page_answer("It runs.", "application/json", body)}))
        }
        Endpoint::Ready => {
            let body = types.subschema_for::<Readiness>().to_value();
            let of = |status| json!({"allOf": [body, {"properties": {"status": {"const": status}}}]});
            let ready = page_answer("It can.", "application/json", of(Readiness::READY));
            let not_ready =
                page_answer("It cannot, or is about to end.", "application/json", of(Readiness::NOT_READY));
            ("readyz", json!({"200": ready, "503": not_ready}))
        }
    };
    json!({"get": {
        "operationId": id,
        "tags": ["service"],
        "summary": endpoint.about(),
        "security": [],
        "parameters": [{"$ref": "#/components/parameters/RequestId"}],
        "responses": responses,
    }})
}

/// The path item of an endpoint that takes a form and returns an image in one of `formats`.
fn form_path(endpoint: Endpoint, id: &str, description: &str, formats: &[(&str, OutputFormat)]) -> Value {
    let content = formats.iter().map(|(_, format)| {
        (format.media_type().to_owned(), json!({"schema": {"type": "string", "format": "binary"}}))
    });
    let headers = endpoint.headers().iter().map(|&header| header_of(header, header.always()));
    let answer = json!({
        "description": "A picture of the photo's size as displayed.",
        "headers": headers.collect::<Map<_, _>>(),
        "content": content.collect::<Map<_, _>>(),
    });
    let mut responses = Map::from_iter([("200".to_owned(), answer)]);
    for problems in endpoint.problems().chunk_by(|a, b| a.told().status == b.told().status) {
        responses.insert(problems[0].told().status.to_string(), refusal(problems));
    }
    json!({"post": {
        "operationId": id,
        "tags": ["photos"],
        "summary": endpoint.about(),
        "description": description,
        "parameters": [{"$ref": "#/components/parameters/RequestId"}],
        "requestBody": {
            "required": true,
            "content": {"multipart/form-data": {
                "schema": {"$ref": format!("#/components/schemas/{}", form_name(endpoint))},
                "encoding": encoding(endpoint),
            }},
        },
        "responses": responses,
    }})
}

/// The component name of an endpoint's form schema.
fn form_name(endpoint: Endpoint) -> String {
    format!("{endpoint:?}Request")
}

/// The schema of an endpoint's form.
fn form(endpoint: Endpoint) -> Value {
    let fields = endpoint.fields();
    let properties: Map<_, _> =
        fields.iter().map(|&field| (field.name().to_owned(), of_field(field, endpoint))).collect();
    let required: Vec<_> = fields.iter().filter(|field| field.required()).map(|field| field.name()).collect();
    let mut schema = json!({
        "type": "object",
        "description": format!("Other fields are passed over. One of these may be given once. At most {MAX_FIELDS} fields, of at most {MAX_FIELD} bytes each apart from the files."),
        "required": required,
        "properties": properties,
    });
    // A box must be complete, unless a mask overrides it; for `/mask`, x and y alone are a point.
    let sides = [Field::X, Field::Y, Field::W, Field::H];
    if endpoint == Endpoint::Mask {
        schema["dependentRequired"] =
            json!({"x": ["y"], "y": ["x"], "w": ["x", "y", "h"], "h": ["x", "y", "w"]});
    } else if sides.iter().all(|side| fields.contains(side)) {
        let others = |side| sides.iter().filter(move |other| **other != side).map(|other| other.name());
        let whole: Map<_, _> =
            sides.iter().map(|&side| (side.name().to_owned(), others(side).collect())).collect();
        schema["anyOf"] = json!([{"required": [Field::Mask.name()]}, {"dependentRequired": whole}]);
    }
    schema
}

fn of_field(field: Field, of: Endpoint) -> Value {
    let mut schema = match field.kind() {
        Kind::Picture => json!({"type": "string", "format": "binary"}),
        Kind::Integer { least, most, example } => {
            let mut schema = json!({"type": "integer", "minimum": least, "examples": [example]});
            if let Some(most) = most {
                schema["maximum"] = most.into();
            }
            schema
        }
        Kind::Word(words) => {
            let words: Vec<_> = words.iter().map(|(name, _)| name).collect();
            json!({"type": "string", "enum": words})
        }
    };
    schema["description"] = field.about(of).into();
    if let Some(default) = field.default(of) {
        schema["default"] = default.parse::<u32>().map_or_else(|_| default.into(), Value::from);
    }
    schema
}

/// The encoding object of a form: the media types of its parts.
fn encoding(endpoint: Endpoint) -> Value {
    let media_types: Vec<_> = Format::VARIANTS.iter().map(|format| format.media_type()).collect();
    let fields = endpoint.fields().iter().map(|field| {
        let media_type = match field.kind() {
            Kind::Picture => media_types.join(", "),
            Kind::Integer { .. } | Kind::Word(_) => "text/plain".to_owned(),
        };
        (field.name().to_owned(), json!({"contentType": media_type}))
    });
    fields.collect::<Map<_, _>>().into()
}

/// The response object for all problems that share one status.
fn refusal(problems: &[Problem]) -> Value {
    let status = problems[0].told().status;
    let examples = problems.iter().map(|problem| {
        let told = problem.told();
        let body = ErrorBody { error: told.code, message: told.message, request_id: EXAMPLE_ID };
        let summary = if told.note.is_empty() { told.message } else { told.note };
        (problem.name().to_owned(), json!({"summary": summary, "value": body}))
    });
    let examples: Map<_, _> = examples.collect();
    let mut codes: Vec<_> = problems.iter().map(|problem| problem.told().code).collect();
    codes.dedup();
    let mut headers = vec![(Header::RequestId, true)];
    match status {
        401 => headers.push((Header::WwwAuthenticate, true)),
        429 | 503 => headers.push((Header::RetryAfter, true)),
        _ => {}
    }
    if status != 401 {
        // The shared quotas may be what is unavailable.
        headers.extend([Header::RateLimitPolicy, Header::RateLimit].map(|header| (header, status != 503)));
    }
    json!({
        "description": codes.iter().map(|code| format!("`{code}`")).collect::<Vec<_>>().join(", "),
        "headers": headers.into_iter().map(|(header, always)| header_of(header, always)).collect::<Map<_, _>>(),
        "content": {"application/json": {
            "schema": {"allOf": [
                {"$ref": "#/components/schemas/Error"},
                {"properties": {"error": {"enum": codes}}},
            ]},
            "examples": examples,
        }},
    })
}

/// The response object of a page.
fn page_answer(what: &str, media_type: &str, schema: Value) -> Value {
    json!({
        "description": what,
        "headers": Map::from_iter([header_of(Header::RequestId, true)]),
        "content": {media_type: {"schema": schema}},
    })
}

/// A header object by name; `always` says whether every such response carries it.
fn header_of(header: Header, always: bool) -> (String, Value) {
    let described = match always == header.always() {
        true => json!({"$ref": format!("#/components/headers/{}", header.name())}),
        false => described(header, always),
    };
    (header.name().to_owned(), described)
}

fn described(header: Header, always: bool) -> Value {
    let (schema, example) = match header {
        Header::Mode => {
            let modes: Vec<_> = Mode::VARIANTS.iter().map(|mode| mode.name()).collect();
            (json!({"type": "string", "enum": modes}), json!(Mode::Bbox.name()))
        }
        Header::Model => (json!({"type": "string", "minLength": 1}), json!("patchmatch")),
        Header::Latency => (json!({"type": "integer", "minimum": 0}), json!(380)),
        Header::Warning => (json!({"type": "string", "minLength": 1}), json!("hole covers 61% of the image")),
        Header::RequestId => (json!({"type": "string", "pattern": ID}), json!(EXAMPLE_ID)),
        Header::ServerTiming => (
            json!({"type": "string", "pattern": "^[a-z]+;dur=[0-9.]+(, [a-z]+;dur=[0-9.]+)*$"}),
            json!(
                "queue;dur=0.0, decode;dur=11.2, mask;dur=0.4, composite;dur=1.9, inpaint;dur=104.5, encode;dur=31.0"
            ),
        ),
        Header::RateLimitPolicy => (
            json!({"type": "string", "pattern": "^\"default\";q=[0-9]+;w=[0-9]+$"}),
            json!("\"default\";q=10;w=10"),
        ),
        Header::RateLimit => (
            json!({"type": "string", "pattern": "^\"default\";r=[0-9]+;t=[0-9]+$"}),
            json!("\"default\";r=9;t=1"),
        ),
        Header::CacheControl => (json!({"type": "string", "const": "no-store"}), json!("no-store")),
        Header::RetryAfter => (json!({"type": "integer", "minimum": 1}), json!(3)),
        Header::WwwAuthenticate => (json!({"type": "string", "const": "Bearer"}), json!("Bearer")),
        Header::Allow => (json!({"type": "string"}), json!("GET, HEAD")),
    };
    json!({"required": always, "description": header.about(), "schema": schema, "example": example})
}
