//! A body as it comes over the wire, through the routes: every answer is a documented one. No Triton is
//! known, so what gets as far as the model is answered with 503.
#![no_main]

use std::{
    sync::{Arc, LazyLock, atomic::AtomicBool},
    time::Duration,
};

use clap::Parser;
use lacuna::{
    config::Config,
    gate::{Budget, Gate, Limits},
    http::{self, Origins, Pages, Service, Tokens, routes},
    inpaint::Workshop,
    triton::{Models, Pool, Tls},
};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use tokio::runtime::Runtime;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());

static SERVICE: LazyLock<Arc<Service>> = LazyLock::new(|| {
    let quota = u32::MAX.to_string();
    let arguments =
        ["lacuna", "--tokens=fuzz:token", "--rate-per-minute", &quota, "--rate-burst", &quota].map(str::to_owned);
    let config = Config::parse_from(arguments).check().unwrap();
    let _inside = RUNTIME.enter();
    Arc::new(Service {
        tokens: Tokens::load(&config).unwrap(),
        limits: http::Limits::new(None, false).unwrap(),
        pages: Pages::new(&config.picture_limits()),
        uploads: Budget::new(64 << 20),
        answers: Budget::new(64 << 20),
        workshop: Workshop {
            limits: config.picture_limits(),
            gate: Gate::new(Limits { workers: 1, queue: 1, decoded: 64 << 20 }),
            models: Models::new(Pool::new(Vec::new(), Tls::default(), Vec::new()), "fill", "segment"),
        },
        origins: Origins::new(vec![]),
        timeout: Duration::from_secs(5),
        draining: AtomicBool::new(false),
    })
});

fuzz_target!(|body: &[u8]| {
    let answer = RUNTIME.block_on(
        warp::test::request()
            .method("POST")
            .path("/inpaint")
            .header("authorization", "Bearer token")
            .header("content-type", "multipart/form-data; boundary=b")
            .body(body)
            .reply(&routes(Arc::clone(&SERVICE))),
    );
    let error: Value = serde_json::from_slice(answer.body()).expect("errors are JSON");
    let code = error["error"].as_str().expect("errors have a code");
    let documented = match answer.status().as_u16() {
        400 => {
            ["empty_mask", "invalid_bbox", "invalid_dilation", "invalid_format", "invalid_image"].contains(&code)
                || ["invalid_mask", "invalid_request"].contains(&code)
        }
        413 => code == "payload_too_large",
        415 => code == "unsupported_media_type",
        503 => code == "inference_unavailable",
        _ => false,
    };
    assert!(documented, "{} {error}", answer.status());
    assert_eq!(error["request_id"].as_str(), answer.headers()["x-request-id"].to_str().ok());
});
