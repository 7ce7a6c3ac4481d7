//! What callers get when Triton is gone, slow, full or wrong.

use std::time::{Duration, Instant};

use reqwest::multipart::Form;
use tonic::{Code, Status};

use crate::{
    helpers::{boxed, error_of, masked, photo, spawn_app_before, spawn_app_with},
    samples::{png, textured},
    stand_in::{
        StandIn, fill, output,
        protocol::{ModelInferRequest, ModelInferResponse},
    },
};

fn form() -> Form {
    boxed(photo(png(textured(3, false, 40, 30))), [5, 5, 10, 10])
}

#[tokio::test(flavor = "multi_thread")]
async fn no_triton_is_told_at_once() {
    let app = spawn_app_with("http://127.0.0.1:1", &[]).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let started = Instant::now();
    let response = app.inpaint(form()).await;
    assert!(started.elapsed() < Duration::from_secs(1));
    assert_eq!(response.headers()["retry-after"], "1");
    let (status, code, message) = error_of(response).await;
    assert_eq!((status, code.as_str()), (503, "inference_unavailable"));
    assert!(!message.contains("127.0.0.1"), "the cause is not told: {message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_goes_away_is_replaced_by_another() {
    let first = StandIn::start().await;
    let second = StandIn::start().await;
    let addresses = format!("{},{}", first.url(), second.url());
    let app = spawn_app_with(&addresses, &[]).await;
    app.replicas_ready(2).await;
    for _ in 0..4 {
        assert_eq!(app.inpaint(form()).await.status(), 200);
    }
    drop(first);
    for _ in 0..8 {
        assert_eq!(app.inpaint(form()).await.status(), 200, "the other one serves");
    }
    drop(second);
    tokio::time::sleep(Duration::from_millis(800)).await;
    assert_eq!(error_of(app.inpaint(form()).await).await.0, 503);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_says_it_went_away_is_replaced() {
    for (code, message) in [
        (Code::Unavailable, "Server is stopping, scheduler for model has stopped accepting new requests"),
        (Code::Internal, "Stub process 'patchmatch_0_0' is not healthy."),
        (Code::NotFound, "Request for unknown model: 'patchmatch' is not found"),
    ] {
        let well = StandIn::start().await;
        let lost = StandIn::answering(Duration::ZERO, move |_| Err(Status::new(code, message))).await;
        let app = spawn_app_with(&format!("{},{}", lost.url(), well.url()), &[]).await;
        app.replicas_ready(2).await;
        for _ in 0..12 {
            assert_eq!(app.inpaint(form()).await.status(), 200, "{message}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_has_not_been_heard_of_is_waited_for() {
    let lost = StandIn::answering(Duration::ZERO, |_| Err(Status::not_found("unknown model"))).await;
    let waking = StandIn::waking(Duration::from_millis(400)).await;
    let app = spawn_app_with(&format!("{},{}", lost.url(), waking.url()), &[]).await;
    app.replicas_ready(1).await;
    assert_eq!(app.inpaint(form()).await.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_model_is_a_timeout() {
    let slow = StandIn::answering(Duration::from_secs(5), fill).await;
    let app = spawn_app_before(slow, &["--request-timeout=0.5"]).await;
    let started = Instant::now();
    let (status, code, _) = error_of(app.inpaint(form()).await).await;
    assert_eq!((status, code.as_str()), (504, "inference_timeout"));
    assert!(started.elapsed() < Duration::from_secs(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_that_passes_between_our_own_steps_is_a_timeout() {
    let app = spawn_app_before(StandIn::start().await, &["--request-timeout=0.1"]).await;
    app.replicas_ready(1).await;
    // Decoding both and growing the mask takes longer by far.
    let large = png(image::RgbaImage::from_pixel(4096, 4096, image::Rgba([1, 2, 3, 255])));
    let mask = png(image::GrayImage::from_fn(4096, 4096, |_, y| image::Luma([u8::from(y % 34 == 0) * 255])));
    let form = masked(photo(large), mask).text("dilation", "32");
    let (status, code, _) = error_of(app.inpaint(form).await).await;
    assert_eq!((status, code.as_str()), (504, "inference_timeout"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_deadline_ends_a_step_of_our_own() {
    // Encoding it takes seconds.
    let large = png(image::GrayImage::from_fn(8000, 8000, |x, y| {
        image::Luma([(x.wrapping_mul(x / 7) ^ y.wrapping_mul(y / 5)) as u8 & 7])
    }));
    let limits = ["--max-side=8000", "--max-pixels=64000000", "--max-file-mb=100"];
    let form = || boxed(photo(large.clone()), [5, 5, 10, 10]).text("format", "webp");
    let patient = spawn_app_before(StandIn::start().await, &limits).await;
    patient.replicas_ready(1).await;
    let response = patient.inpaint(form()).await;
    assert_eq!(response.status(), 200);
    let whole: u64 = response.headers()["x-knockout-latency"].to_str().unwrap().parse().unwrap();
    drop(patient);

    // After decoding and before the end of encoding, wherever that runs.
    let timeout = Duration::from_millis(whole / 2);
    let flag = format!("--request-timeout={}", timeout.as_secs_f64());
    let hurried = [limits.as_slice(), &[&flag]].concat();
    let app = spawn_app_before(StandIn::start().await, &hurried).await;
    app.replicas_ready(1).await;
    let started = Instant::now();
    let (status, code, _) = error_of(app.inpaint(form()).await).await;
    println!("a step of {whole} ms in all, ended after {:?}", started.elapsed());
    assert_eq!((status, code.as_str()), (504, "inference_timeout"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_fails_at_once_costs_its_callers_nothing() {
    for code in [Code::Internal, Code::Unknown] {
        let well = StandIn::answering(Duration::from_millis(20), fill).await;
        let sick = StandIn::answering(Duration::ZERO, move |_| Err(Status::new(code, "out of memory"))).await;
        let app = spawn_app_with(&format!("{},{}", sick.url(), well.url()), &[]).await;
        app.replicas_ready(2).await;
        for _ in 0..30 {
            assert_eq!(app.inpaint(form()).await.status(), 200, "{code:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_hangs_in_a_ready_triton_is_left_to_another() {
    let well = StandIn::start().await;
    let hangs = StandIn::answering(Duration::from_mins(10), fill).await;
    let app = spawn_app_with(&format!("{},{}", hangs.url(), well.url()), &["--request-timeout=2"]).await;
    app.replicas_ready(2).await;
    for _ in 0..12 {
        assert_eq!(app.inpaint(form()).await.status(), 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn full_queues_are_overload() {
    for message in ["Exceeds maximum queue size", "Request timeout expired"] {
        let full = StandIn::answering(Duration::ZERO, move |_| Err(Status::unavailable(message))).await;
        let app = spawn_app_before(full, &[]).await;
        let response = app.inpaint(form()).await;
        assert_eq!(response.headers()["retry-after"], "1");
        let (status, code, _) = error_of(response).await;
        assert_eq!((status, code.as_str()), (503, "overloaded"), "{message}");
    }
    let slow = StandIn::answering(Duration::from_millis(800), fill).await;
    let app = spawn_app_before(slow, &["--max-concurrent=1", "--max-queue=1"]).await;
    let send = || {
        let request =
            app.client.post(app.url("/inpaint")).bearer_auth(crate::helpers::TOKEN).multipart(form());
        tokio::spawn(request.send())
    };
    let (first, second) = (send(), send());
    tokio::time::sleep(Duration::from_millis(300)).await;
    let started = Instant::now();
    let (status, code, _) = error_of(app.inpaint(form()).await).await;
    assert_eq!((status, code.as_str()), (503, "overloaded"));
    assert!(started.elapsed() < Duration::from_millis(400), "our own queue refuses at once");
    assert_eq!(first.await.unwrap().unwrap().status(), 200);
    assert_eq!(second.await.unwrap().unwrap().status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_answer_is_our_failure_and_its_cause_is_not_told() {
    type Wrong = fn(&ModelInferRequest) -> Result<ModelInferResponse, Status>;
    let table: [(&str, Wrong); 9] = [
        ("another name", |r| {
            Ok(output("result", "UINT8", r.inputs[0].shape.clone(), vec![0; 256 * 256 * 3]))
        }),
        ("another type", |r| {
            Ok(output("output", "FP32", r.inputs[0].shape.clone(), vec![0; 256 * 256 * 3 * 4]))
        }),
        ("another shape", |_| Ok(output("output", "UINT8", vec![1, 3, 256, 256], vec![0; 256 * 256 * 3]))),
        ("another rank", |_| Ok(output("output", "UINT8", vec![256, 256, 3], vec![0; 256 * 256 * 3]))),
        ("too few bytes", |r| Ok(output("output", "UINT8", r.inputs[0].shape.clone(), vec![0; 17]))),
        ("no bytes", |r| {
            let mut answer = output("output", "UINT8", r.inputs[0].shape.clone(), vec![]);
            answer.raw_output_contents.clear();
            Ok(answer)
        }),
        ("no outputs", |_| Ok(Default::default())),
        ("an invalid argument", |_| Err(Status::invalid_argument("the s3cret cause"))),
        ("an internal error", |_| Err(Status::internal("the s3cret cause"))),
    ];
    for (what, wrong) in table {
        let app = spawn_app_before(StandIn::answering(Duration::ZERO, wrong).await, &[]).await;
        let (status, code, message) = error_of(app.inpaint(form()).await).await;
        assert_eq!((status, code.as_str()), (500, "inpaint_failed"), "{what}");
        assert_eq!(message, "Inpaint failed or produced no output.", "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_without_a_subject_is_told_so() {
    let nothing = StandIn::answering(Duration::ZERO, |r| {
        let side = r.inputs[0].shape[1];
        Ok(output("alpha", "UINT8", vec![1, side, side, 1], vec![0; (side * side) as usize]))
    })
    .await;
    let app = spawn_app_before(nothing, &[]).await;
    let (status, code, message) = error_of(app.inpaint(photo(png(textured(3, false, 40, 30)))).await).await;
    assert_eq!((status, code.as_str()), (422, "no_subject_detected"));
    assert_eq!(message, "No subject detected. Send mask or bbox instead.");
}
