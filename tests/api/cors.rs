//! Web pages of other origins.

use reqwest::{Method, header::HeaderMap};

use crate::{
    helpers::{TOKEN, TestApp, boxed, error_of, photo, spawn_app, spawn_app_before},
    samples::{png, textured},
    stand_in::StandIn,
};

const PAGE: &str = "https://photos.example";

/// What a browser asks before a page sends a form with a token.
async fn preflight(app: &TestApp, origin: &str) -> reqwest::Response {
    let request = app.client.request(Method::OPTIONS, app.url("/inpaint")).header("origin", origin);
    let request = request.header("access-control-request-method", "POST");
    request.header("access-control-request-headers", "authorization").send().await.unwrap()
}

async fn call(app: &TestApp, origin: &str, token: &str) -> (u16, HeaderMap) {
    let form = boxed(photo(png(textured(3, false, 24, 16))), [2, 2, 6, 6]);
    let request = app.client.post(app.url("/inpaint")).bearer_auth(token).multipart(form);
    let response = request.header("origin", origin).send().await.unwrap();
    (response.status().as_u16(), response.headers().clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_page_of_another_origin_may_call_by_default() {
    let app = spawn_app().await;
    let response = preflight(&app, PAGE).await;
    assert!(!response.headers().contains_key("access-control-allow-origin"));
    assert_eq!(error_of(response).await.0, 405);
    let (status, headers) = call(&app, PAGE, TOKEN).await;
    assert_eq!(status, 200);
    assert!(!headers.contains_key("access-control-allow-origin") && !headers.contains_key("vary"));
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_allowed_origins_may_call_and_read_the_answer() {
    let origins = format!("--cors-origins={PAGE},http://localhost:3000");
    let app = spawn_app_before(StandIn::start().await, &[&origins]).await;
    for origin in [PAGE, "http://localhost:3000"] {
        let response = preflight(&app, origin).await;
        assert_eq!(response.status(), 204, "without a token");
        let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
        assert_eq!(header("access-control-allow-origin"), origin);
        assert_eq!(header("access-control-allow-methods"), "POST");
        assert!(header("access-control-allow-headers").contains("authorization"));
        for (token, wanted) in [(TOKEN, 200), ("wrong", 401)] {
            let (status, headers) = call(&app, origin, token).await;
            assert_eq!(status, wanted);
            assert_eq!(headers["access-control-allow-origin"], origin, "errors can be read too");
            assert!(headers["access-control-expose-headers"].to_str().unwrap().contains("x-knockout-model"));
            assert_eq!(headers["vary"], "origin");
        }
    }
    for other in
        ["https://photos.example.evil", "http://photos.example", "null", "https://photos.example:444"]
    {
        let response = preflight(&app, other).await;
        assert!(!response.headers().contains_key("access-control-allow-origin"), "{other}");
        assert_eq!(response.status(), 405, "{other}");
        let (_, headers) = call(&app, other, TOKEN).await;
        assert!(!headers.contains_key("access-control-allow-origin"), "{other}");
    }
    let plain = app.client.request(Method::OPTIONS, app.url("/inpaint")).send().await.unwrap();
    assert_eq!(plain.status(), 405, "OPTIONS that asks nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_star_lets_every_origin_in() {
    let app = spawn_app_before(StandIn::start().await, &["--cors-origins=*"]).await;
    assert_eq!(preflight(&app, "https://any.example").await.status(), 204);
    let (status, headers) = call(&app, "https://any.example", TOKEN).await;
    assert_eq!(
        (status, &headers["access-control-allow-origin"]),
        (200, &"https://any.example".parse().unwrap())
    );
}
