//! The service answers as `/openapi.json` says: every status, code and header that tests see is looked up there.

use std::{collections::BTreeSet, time::Duration};

use reqwest::{
    Method, Response,
    header::{HeaderMap, HeaderName},
};
use serde_json::Value;

use crate::{
    helpers::{TOKEN, TestApp, boxed, masked, photo, spawn_app, spawn_app_before, spawn_app_with},
    samples::{disc, png, textured},
    stand_in::{StandIn, fill},
};

const BOX: [u32; 4] = [2, 2, 6, 6];

/// The description, as callers get it.
pub async fn description(app: &TestApp) -> Value {
    let text = app.client.get(app.url("/openapi.json")).send().await.unwrap().bytes().await.unwrap();
    serde_json::from_slice(&text).unwrap()
}

/// What a response of the description says, with references followed.
fn resolved<'a>(description: &'a Value, value: &'a Value) -> &'a Value {
    match value["$ref"].as_str() {
        Some(place) => {
            description.pointer(place.trim_start_matches('#')).unwrap_or_else(|| panic!("{place}"))
        }
        None => value,
    }
}

/// Checks an answer of `POST /inpaint` against the description: its status, its media type, its headers.
fn check(description: &Value, status: u16, headers: &HeaderMap) -> String {
    let responses = &description["paths"]["/inpaint"]["post"]["responses"];
    let response = responses.get(status.to_string()).unwrap_or_else(|| panic!("{status} is not described"));
    let media_type = headers["content-type"].to_str().unwrap().to_owned();
    assert!(response["content"].get(&media_type).is_some(), "{status}: {media_type} is not described");
    let described = response["headers"].as_object().unwrap();
    // What HTTP itself has in every answer.
    let plain = ["content-type", "content-length", "date", "connection", "transfer-encoding"];
    for name in headers.keys().map(HeaderName::as_str).filter(|name| !plain.contains(name)) {
        assert!(described.contains_key(name), "{status}: {name} is not described");
    }
    for (name, header) in described {
        let missing = !headers.contains_key(name) && resolved(description, header)["required"] == true;
        assert!(!missing, "{status}: {name} is described and not sent");
    }
    media_type
}

async fn check_answer(description: &Value, response: Response) -> (u16, Option<String>) {
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    check(description, status, &headers);
    if status == 200 {
        return (status, None);
    }
    let body: Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
    let response = &description["paths"]["/inpaint"]["post"]["responses"][status.to_string()];
    let content = &response["content"]["application/json"];
    let codes = content["schema"]["allOf"][1]["properties"]["error"]["enum"].as_array().unwrap();
    assert!(codes.contains(&body["error"]), "{status}: {body} is not described");
    let told = |example: &Value| {
        like(example["value"]["message"].as_str().unwrap(), body["message"].as_str().unwrap())
    };
    assert!(content["examples"].as_object().unwrap().values().any(told), "{status}: {body} has no example");
    (status, Some(body["error"].as_str().unwrap().to_owned()))
}

/// Whether a message is of a pattern, in which an ellipsis stands for anything.
fn like(pattern: &str, message: &str) -> bool {
    match pattern.split_once('…') {
        Some((start, end)) => message.starts_with(start) && message.ends_with(end),
        None => message == pattern,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_as_described() {
    let app = spawn_app().await;
    let description = description(&app).await;
    let picture = png(textured(3, false, 40, 30));
    let mask = png(disc(40, 30, (20, 15), 6));
    let form = || boxed(photo(picture.clone()), BOX);
    let mut seen = BTreeSet::new();
    for form in [
        masked(photo(picture.clone()), mask),
        form(),
        photo(picture.clone()),
        form().text("format", "webp"),
        form().text("format", "jpg"),
        boxed(photo(picture.clone()), [0, 0, 40, 30]),
        boxed(photo(picture.clone()), [0, 0, 90, 90]),
        masked(photo(picture.clone()), png(textured(1, false, 1, 1))),
        masked(photo(picture.clone()), b"text".to_vec()),
        photo(picture.clone()).text("x", "1"),
        photo(b"text".to_vec()),
        photo(picture[..100].to_vec()),
        photo(vec![0; (10 << 20) + 1]),
        form().text("dilation", "33"),
        form().text("format", "gif"),
        form().text("x", "1"),
        form().text("note", "n".repeat(9000)),
    ] {
        seen.insert(check_answer(&description, app.inpaint(form).await).await);
    }
    let bare = app.client.request(Method::POST, app.url("/inpaint"));
    seen.insert(check_answer(&description, bare.send().await.unwrap()).await);
    let bare = app.client.request(Method::POST, app.url("/inpaint")).bearer_auth(TOKEN);
    seen.insert(check_answer(&description, bare.send().await.unwrap()).await);

    let broken = StandIn::answering(Duration::ZERO, |_| Err(tonic::Status::internal("no"))).await;
    let late = StandIn::answering(Duration::from_secs(3), fill).await;
    for app in [
        spawn_app_before(broken, &[]).await,
        spawn_app_before(late, &["--request-timeout=1"]).await,
        spawn_app_with("http://127.0.0.1:1", &[]).await,
        spawn_app_with(
            "http://127.0.0.1:1",
            &["--token-concurrency=1", "--rate-burst=1", "--rate-per-minute=1"],
        )
        .await,
        // The shared quotas cannot be had.
        spawn_app_with(
            "http://127.0.0.1:1",
            &["--rate-redis=redis://127.0.0.1:1", "--rate-redis-fail=closed"],
        )
        .await,
    ] {
        for _ in 0..2 {
            seen.insert(check_answer(&description, app.inpaint(form()).await).await);
        }
    }
    let statuses: BTreeSet<_> = seen.iter().map(|(status, _)| *status).collect();
    assert_eq!(statuses, [200, 400, 401, 413, 415, 429, 500, 503, 504].into());
}

/// What the form reads is what is described: each field of the description is refused where it is there twice, and
/// one that is not of it is passed over.
#[tokio::test(flavor = "multi_thread")]
async fn the_fields_that_are_read_are_those_described() {
    let app = spawn_app().await;
    let description = description(&app).await;
    let fields = description["components"]["schemas"]["InpaintRequest"]["properties"].as_object().unwrap();
    for field in fields.keys() {
        let form = photo(png(textured(3, false, 40, 30))).text(field.clone(), "1").text(field.clone(), "1");
        let answer = app.inpaint(form).await.text().await.unwrap();
        assert!(answer.contains(&format!("The field '{field}' is repeated.")), "{field}: {answer}");
    }
    let unknown = boxed(photo(png(textured(3, false, 40, 30))), BOX).text("seed", "1").text("seed", "1");
    assert_eq!(app.inpaint(unknown).await.status(), 200);
}

/// No endpoint but those described, and each with the methods described.
#[tokio::test(flavor = "multi_thread")]
async fn the_endpoints_are_those_described() {
    let app = spawn_app().await;
    let description = description(&app).await;
    for (path, item) in description["paths"].as_object().unwrap() {
        let method = if item.get("post").is_some() { Method::POST } else { Method::GET };
        let answer = app.client.request(method.clone(), app.url(path)).send().await.unwrap();
        let described = item[method.as_str().to_lowercase()]["responses"].as_object().unwrap();
        assert!(described.contains_key(answer.status().as_str()), "{path}: {}", answer.status());
        let other = app.client.request(Method::DELETE, app.url(path)).send().await.unwrap();
        assert_eq!(other.status(), 405, "{path}");
        assert!(other.headers()["allow"].to_str().unwrap().contains(method.as_str()), "{path}");
    }
}

/// `/mask` has its own fields, headers and errors.
#[tokio::test(flavor = "multi_thread")]
async fn answers_of_mask_are_as_described() {
    let app = spawn_app().await;
    let description = description(&app).await;
    let described = &description["paths"]["/mask"]["post"]["responses"];
    let picture = || photo(png(textured(3, false, 40, 30)));
    for (form, status) in [
        (picture(), 200),
        (picture().text("x", "20").text("y", "15"), 200),
        (picture().text("x", "40").text("y", "15"), 400),
        (picture().text("x", "4"), 400),
        (picture().text("x", "0").text("y", "0"), 422),
        (photo(b"text".to_vec()), 415),
    ] {
        let answer =
            app.client.post(app.url("/mask")).bearer_auth(TOKEN).multipart(form).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), status);
        let told = &described[status.to_string()];
        let headers = told["headers"].as_object().unwrap();
        for (name, header) in headers {
            let missing =
                !answer.headers().contains_key(name) && resolved(&description, header)["required"] == true;
            assert!(!missing, "{status}: {name} is described and not sent");
        }
        assert!(!answer.headers().contains_key("x-knockout-warning"));
        if status != 200 {
            let body: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
            let codes =
                &told["content"]["application/json"]["schema"]["allOf"][1]["properties"]["error"]["enum"];
            assert!(codes.as_array().unwrap().contains(&body["error"]), "{status}: {body}");
        }
    }
    let codes =
        &described["400"]["content"]["application/json"]["schema"]["allOf"][1]["properties"]["error"]["enum"];
    assert!(!codes.as_array().unwrap().contains(&"empty_mask".into()), "there is no mask to be empty");
}
