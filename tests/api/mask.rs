//! `POST /mask`: what would be erased, before it is.

use image::GrayImage;
use reqwest::{Response, StatusCode, multipart::Form};

use crate::{
    helpers::{TOKEN, TestApp, boxed, error_of, masked, photo, spawn_app, spawn_app_before},
    samples::{decoded, oriented_jpeg, png, textured},
    stand_in::{StandIn, fill, output},
};

/// Sends a form to `/mask`.
pub async fn ask(app: &TestApp, form: Form) -> Response {
    app.client.post(app.url("/mask")).bearer_auth(TOKEN).multipart(form).send().await.unwrap()
}

/// The mask that comes back, with its file.
pub async fn found(app: &TestApp, form: Form) -> (GrayImage, Vec<u8>) {
    let response = ask(app, form).await;
    let status = response.status();
    let body = response.bytes().await.unwrap();
    assert_eq!(status, StatusCode::OK, "{}", String::from_utf8_lossy(&body));
    let picture = decoded(&body);
    assert_eq!(picture.color(), image::ColorType::L8);
    let mask = picture.to_luma8();
    assert!(mask.pixels().all(|pixel| matches!(pixel.0, [0 | 255])), "black and white");
    (mask, body.to_vec())
}

/// Adds a point to a form.
pub fn pointed(form: Form, x: i64, y: i64) -> Form {
    form.text("x", x.to_string()).text("y", y.to_string())
}

fn picture() -> Vec<u8> {
    png(textured(5, false, 400, 300))
}

fn white(mask: &GrayImage) -> usize {
    mask.pixels().filter(|pixel| pixel.0 == [255]).count()
}

/// The stand-in finds a disc, of a fifth of each side, in the middle of whatever it is shown.
#[tokio::test(flavor = "multi_thread")]
async fn each_way_to_ask_is_answered_with_its_headers() {
    let app = spawn_app().await;
    let cases = [
        ("auto-subject", photo(picture()), (200, 150), (100, 150)),
        ("point", pointed(photo(picture()), 210, 150), (200, 150), (100, 150)),
        // Not under the disc of the whole photo, but under that of what is nearer.
        ("point", pointed(photo(picture()), 150, 75), (150, 100), (200, 150)),
        ("bbox", boxed(photo(picture()), [40, 40, 80, 80]), (80, 80), (44, 44)),
    ];
    for (mode, form, inside, outside) in cases {
        let response = ask(&app, form).await;
        assert_eq!(response.status(), 200, "{mode}");
        let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
        assert_eq!(header("content-type"), "image/png");
        assert_eq!(header("x-knockout-mode"), mode);
        assert_eq!(header("x-knockout-model"), "stand-in-isnet");
        assert_eq!(header("cache-control"), "no-store");
        assert!(header("x-knockout-latency").parse::<u32>().is_ok());
        for step in ["queue", "decode", "segment", "encode"] {
            assert!(header("server-timing").contains(&format!("{step};dur=")), "{step}");
        }
        assert!(
            response.headers().contains_key("ratelimit") && response.headers().contains_key("x-request-id")
        );
        let mask = decoded(&response.bytes().await.unwrap()).to_luma8();
        assert_eq!(mask.dimensions(), (400, 300));
        assert_eq!(mask.get_pixel(inside.0, inside.1).0, [255], "{mode}");
        assert_eq!(mask.get_pixel(outside.0, outside.1).0, [0], "{mode}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mask_sent_on_erases_what_the_subject_mode_does() {
    let app = spawn_app().await;
    let (_, mask) = found(&app, photo(picture())).await;
    for dilation in ["0", "8", "32"] {
        let with_mask = masked(photo(picture()), mask.clone()).text("dilation", dilation);
        let without = photo(picture()).text("dilation", dilation);
        assert_eq!(app.filled(with_mask).await, app.filled(without).await, "{dilation}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_mask_grows_only_if_that_is_asked_for_and_stays_in_a_box_if_not() {
    let app = spawn_app().await;
    let box_ = [40, 40, 80, 80];
    let sizes = async |dilation: &str| {
        let form = boxed(photo(picture()), box_).text("dilation", dilation.to_owned());
        white(&found(&app, form).await.0)
    };
    let plain = white(&found(&app, boxed(photo(picture()), box_)).await.0);
    assert_eq!(plain, sizes("0").await);
    assert!(sizes("8").await > plain && sizes("32").await > sizes("8").await);
    assert_eq!(
        error_of(ask(&app, photo(picture()).text("dilation", "33")).await).await.1,
        "invalid_dilation"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mask_is_that_of_the_photo_as_displayed() {
    let app = spawn_app().await;
    for orientation in [1, 6] {
        let upright = if orientation == 6 { (64, 96) } else { (96, 64) };
        let (mask, _) = found(&app, pointed(photo(oriented_jpeg(orientation)), 40, 40)).await;
        assert_eq!(mask.dimensions(), upright, "orientation {orientation}");
    }
    let beyond = pointed(photo(oriented_jpeg(6)), 64, 40);
    assert_eq!(error_of(ask(&app, beyond).await).await.1, "invalid_point");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_asked_is_told() {
    let app = spawn_app().await;
    let form = || photo(picture());
    let cases = [
        (form().text("x", "5"), 400, "invalid_bbox"),
        (pointed(form(), 5, 5).text("w", "9"), 400, "invalid_bbox"),
        (form().text("w", "9").text("h", "9"), 400, "invalid_bbox"),
        (boxed(form(), [390, 0, 20, 20]), 400, "invalid_bbox"),
        (boxed(form(), [5, 5, 0, 5]), 400, "invalid_bbox"),
        (pointed(form(), 400, 0), 400, "invalid_point"),
        (pointed(form(), 0, -1), 400, "invalid_point"),
        (pointed(form(), i64::MAX, 0), 400, "invalid_point"),
        (form().text("x", "one").text("y", "2"), 400, "invalid_request"),
        (Form::new().text("x", "1").text("y", "2"), 400, "invalid_request"),
        (photo(b"no picture".to_vec()), 415, "unsupported_media_type"),
        (photo(vec![0; 10 * 1024 * 1024 + 1]), 413, "payload_too_large"),
        // No disc of what is looked at reaches into a corner.
        (pointed(form(), 4, 4), 422, "no_subject_detected"),
    ];
    for (form, status, code) in cases {
        let (told, error, message) = error_of(ask(&app, form).await).await;
        assert_eq!((told, error.as_str()), (status, code), "{message}");
    }
    let unknown =
        app.client.post(app.url("/mask")).bearer_auth("wrong").multipart(form()).send().await.unwrap();
    assert_eq!(error_of(unknown).await.0, 401);
    let get = app.client.get(app.url("/mask")).send().await.unwrap();
    assert_eq!(get.headers()["allow"], "POST");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_found_is_said_for_each_way_to_ask() {
    let nothing = StandIn::answering(std::time::Duration::ZERO, |request| match &*request.model_name {
        "isnet" => Ok(output("alpha", "UINT8", vec![1, 1024, 1024, 1], vec![0; 1024 * 1024])),
        _ => fill(request),
    });
    let app = spawn_app_before(nothing.await, &[]).await;
    for form in
        [photo(picture()), pointed(photo(picture()), 200, 150), boxed(photo(picture()), [100, 100, 100, 100])]
    {
        let (status, code, _) = error_of(ask(&app, form).await).await;
        assert_eq!((status, code.as_str()), (422, "no_subject_detected"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn masks_count_towards_the_tokens_quota() {
    let app = spawn_app_before(StandIn::start().await, &["--rate-per-minute=1", "--rate-burst=2"]).await;
    assert_eq!(ask(&app, photo(picture())).await.status(), 200);
    assert_eq!(app.inpaint(boxed(photo(picture()), [1, 1, 4, 4])).await.status(), 200);
    let refused = ask(&app, photo(picture())).await;
    assert!(refused.headers().contains_key("retry-after"));
    assert_eq!(error_of(refused).await.1, "rate_limit_exceeded");
}
