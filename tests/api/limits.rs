//! Who gets in, and how often.

use std::time::Duration;

use crate::{
    helpers::{TOKEN, boxed, error_of, photo, spawn_app, spawn_app_before},
    samples::{png, textured},
    stand_in::{StandIn, fill},
};

#[tokio::test(flavor = "multi_thread")]
async fn only_a_known_bearer_token_gets_in() {
    let app = spawn_app().await;
    let near = format!("Bearer {TOKEN}x");
    let lower = format!("bearer {TOKEN}");
    let basic = format!("Basic {TOKEN}");
    let long = format!("Bearer {}", "a".repeat(8000));
    let bytes = [b"Bearer ".as_slice(), &[0xff, 0xfe]].concat();
    let send = async |values: &[&[u8]]| {
        let mut request = app.client.post(app.url("/inpaint"));
        for value in values {
            request = request.header("authorization", *value);
        }
        request.multipart(boxed(photo(png(textured(1, false, 9, 9))), [1, 1, 2, 2])).send().await.unwrap()
    };
    for values in [
        &[][..],
        &[b"Bearer ".as_slice()],
        &[b"Bearer"],
        &[TOKEN.as_bytes()],
        &[near.as_bytes()],
        &[basic.as_bytes()],
        &[long.as_bytes()],
        &[&bytes],
        &[lower.as_bytes(), lower.as_bytes()],
    ] {
        let response = send(values).await;
        assert_eq!(response.headers()["www-authenticate"], "Bearer", "{values:?}");
        let (status, code, message) = error_of(response).await;
        assert_eq!(
            (status, code.as_str(), message.as_str()),
            (401, "unauthorized", "Missing or invalid token."),
            "{values:?}"
        );
    }
    assert_eq!(send(&[lower.as_bytes()]).await.status(), 200, "the scheme's case does not matter");
    let in_query = app.client.post(app.url(&format!("/inpaint?token={TOKEN}"))).send().await.unwrap();
    assert_eq!(in_query.status(), 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_used_up_quota_is_refused_with_the_time_to_wait_and_others_are_not_touched() {
    let triton = StandIn::start().await;
    let app =
        spawn_app_before(triton, &["--rate-per-minute=6", "--rate-burst=2", "--tokens=other:0ther"]).await;
    let form = || boxed(photo(png(textured(1, false, 9, 9))), [1, 1, 2, 2]);
    for left in [1, 0] {
        let response = app.inpaint(form()).await;
        assert_eq!(response.status(), 200);
        assert!(
            response.headers()["ratelimit"].to_str().unwrap().starts_with(&format!("\"default\";r={left};"))
        );
    }
    let response = app.inpaint(form()).await;
    let wait: u64 = response.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=10).contains(&wait), "{wait}");
    assert_eq!(response.headers()["ratelimit-policy"], "\"default\";q=2;w=20");
    let (status, code, message) = error_of(response).await;
    assert_eq!((status, code.as_str()), (429, "rate_limit_exceeded"));
    assert_eq!(message, "Slow down. Retry-After header tells you when.");

    let other =
        app.client.post(app.url("/inpaint")).bearer_auth("0ther").multipart(form()).send().await.unwrap();
    assert_eq!(other.status(), 200);
    for _ in 0..20 {
        let unknown = app
            .client
            .post(app.url("/inpaint"))
            .bearer_auth("nobody")
            .multipart(form())
            .send()
            .await
            .unwrap();
        assert_eq!(unknown.status(), 401, "a wrong token uses up nobody's quota");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_token_cannot_take_the_places_of_others() {
    let slow = StandIn::answering(Duration::from_millis(1500), fill).await;
    let app =
        spawn_app_before(slow, &["--token-concurrency=3", "--max-concurrent=8", "--tokens=other:0ther"])
            .await;
    app.replicas_ready(1).await;
    let form = || boxed(photo(png(textured(1, false, 9, 9))), [1, 1, 2, 2]);
    let send = |token: &str| {
        let request = app.client.post(app.url("/inpaint")).bearer_auth(token).multipart(form());
        tokio::spawn(async move { request.send().await.unwrap() })
    };
    let greedy: Vec<_> = (0..8).map(|_| send(TOKEN)).collect();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(send("0ther").await.unwrap().status(), 200, "the other keeps its places");
    let mut served = 0;
    for answer in greedy {
        let answer = answer.await.unwrap();
        if answer.status() == 200 {
            served += 1;
            continue;
        }
        assert!(answer.headers()["retry-after"].to_str().unwrap().parse::<u64>().unwrap() >= 1);
        assert_eq!(error_of(answer).await.1, "rate_limit_exceeded");
    }
    assert_eq!(served, 3);
    assert_eq!(app.inpaint(form()).await.status(), 200, "its places come back");
}
