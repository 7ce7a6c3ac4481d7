//! What a well-meaning caller gets.

use std::time::Duration;

use image::GenericImageView;
use reqwest::multipart::Form;

use crate::{
    helpers::{TOKEN, boxed, error_of, masked, photo, spawn_app, spawn_app_with},
    samples::{decoded, disc, oriented_jpeg, png, textured},
    stand_in::FILL,
};

const BOX: [u32; 4] = [20, 10, 30, 25];

#[tokio::test(flavor = "multi_thread")]
async fn each_mode_answers_with_its_headers() {
    let app = spawn_app().await;
    let picture = png(textured(3, false, 120, 90));
    let mask = png(disc(120, 90, (60, 45), 12));
    for (form, mode) in [
        (masked(boxed(photo(picture.clone()), BOX), mask), "mask"),
        (boxed(photo(picture.clone()), BOX), "bbox"),
        (photo(picture), "auto-subject"),
    ] {
        let response = app.inpaint(form).await;
        assert_eq!(response.status(), 200, "{mode}");
        let headers = response.headers().clone();
        let header = |name: &str| headers[name].to_str().unwrap().to_owned();
        assert_eq!(header("x-knockout-mode"), mode);
        assert_eq!(header("x-knockout-model"), "stand-in-patchmatch");
        assert_eq!(header("content-type"), "image/png");
        assert!(header("x-knockout-latency").parse::<u64>().is_ok());
        assert_eq!(header("ratelimit-policy"), "\"default\";q=100000;w=6");
        assert!(header("ratelimit").starts_with("\"default\";r="));
        for step in ["decode", "mask", "inpaint", "composite", "encode"] {
            assert!(header("server-timing").contains(&format!("{step};dur=")), "{mode} {step}");
        }
        assert_eq!(header("server-timing").contains("segment;dur="), mode == "auto-subject");
        let length = header("content-length");
        assert_eq!(response.bytes().await.unwrap().len().to_string(), length);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hole_is_filled_by_the_model_and_the_output_has_the_asked_format() {
    let app = spawn_app().await;
    let picture = png(textured(3, false, 120, 90));
    for (format, media_type) in [
        ("png", "image/png"),
        ("webp", "image/webp"),
        ("jpg", "image/jpeg"),
        ("jpeg", "image/jpeg"),
        ("PNG", "image/png"),
    ] {
        let response = app.inpaint(boxed(photo(picture.clone()), BOX).text("format", format)).await;
        assert_eq!(response.headers()["content-type"], media_type, "{format}");
        let body = response.bytes().await.unwrap();
        if media_type == "image/jpeg" {
            assert!(body.starts_with(b"\xff\xd8\xff"));
        } else {
            let filled = decoded(&body).to_rgb8();
            assert_eq!(filled.get_pixel(35, 22).0, FILL, "{format}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hole_over_half_of_the_image_is_warned_of() {
    let app = spawn_app().await;
    let picture = png(textured(3, false, 100, 100));
    let small = app.inpaint(boxed(photo(picture.clone()), [0, 0, 50, 50])).await;
    assert!(!small.headers().contains_key("x-knockout-warning"));
    let large = app.inpaint(boxed(photo(picture), [0, 0, 100, 80])).await;
    assert!(large.headers()["x-knockout-warning"].to_str().unwrap().contains("88%"));
}

#[tokio::test(flavor = "multi_thread")]
async fn boxes_and_masks_are_in_the_photo_as_displayed() {
    let app = spawn_app().await;
    for orientation in 1..=8 {
        let upright = if orientation < 5 { (96, 64) } else { (64, 96) };
        let form = boxed(photo(oriented_jpeg(orientation)), [4, 6, 10, 20]).text("dilation", "0");
        let filled = decoded(&app.filled(form).await);
        assert_eq!(filled.dimensions(), upright, "orientation {orientation}");
        let filled = filled.to_rgb8();
        let count = filled.pixels().filter(|pixel| pixel.0 == FILL).count();
        assert_eq!(count, 200, "orientation {orientation}");
        assert_eq!(filled.get_pixel(4, 6).0, FILL, "orientation {orientation}");
        assert_eq!(filled.get_pixel(13, 25).0, FILL, "orientation {orientation}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exif_orientation_turns_the_photo_once() {
    let app = spawn_app().await;
    let upright = decoded(&app.filled(boxed(photo(oriented_jpeg(1)), [40, 30, 1, 1])).await).to_rgb8();
    // Where the stored picture's corners (top left, top right, bottom left) must be displayed.
    let corners = |o: u8| match o {
        1 => [(0, 0), (95, 0), (0, 63)],
        2 => [(95, 0), (0, 0), (95, 63)],
        3 => [(95, 63), (0, 63), (95, 0)],
        4 => [(0, 63), (95, 63), (0, 0)],
        5 => [(0, 0), (0, 95), (63, 0)],
        6 => [(63, 0), (63, 95), (0, 0)],
        7 => [(63, 95), (63, 0), (0, 95)],
        _ => [(0, 95), (0, 0), (63, 95)],
    };
    for orientation in 1..=8 {
        let turned =
            decoded(&app.filled(boxed(photo(oriented_jpeg(orientation)), [30, 40, 1, 1])).await).to_rgb8();
        for (stored, displayed) in corners(1).into_iter().zip(corners(orientation)) {
            let (stored, displayed): ((u32, u32), (u32, u32)) = (stored, displayed);
            assert_eq!(
                upright.get_pixel(stored.0, stored.1),
                turned.get_pixel(displayed.0, displayed.1),
                "{orientation}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn chunked_bodies_and_http2_are_taken() {
    let app = spawn_app().await;
    let picture = png(textured(3, false, 60, 40));
    let body = [
        b"--edge\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\n".as_slice(),
        &picture,
        b"\r\n--edge\r\ncontent-disposition: form-data; name=\"x\"\r\n\r\n1\r\n--edge\r\ncontent-disposition: form-data; name=\"y\"\r\n\r\n1\r\n--edge\r\ncontent-disposition: form-data; name=\"w\"\r\n\r\n9\r\n--edge\r\ncontent-disposition: form-data; name=\"h\"\r\n\r\n9\r\n--edge--\r\n",
    ]
    .concat();
    let http2 = reqwest::Client::builder().http2_prior_knowledge().build().unwrap();
    for (client, version) in [(&app.client, "HTTP/1.1"), (&http2, "HTTP/2.0")] {
        let chunks: Vec<Result<Vec<u8>, std::io::Error>> =
            body.chunks(1000).map(|chunk| Ok(chunk.to_vec())).collect();
        let response = client
            .post(app.url("/inpaint"))
            .bearer_auth(TOKEN)
            .header("content-type", "multipart/form-data; boundary=edge")
            .body(reqwest::Body::wrap_stream(tokio_stream::iter(chunks)))
            .send()
            .await
            .unwrap();
        assert_eq!(format!("{:?}", response.version()), version);
        assert_eq!(response.status(), 200, "{version}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_request_id_is_kept() {
    let app = spawn_app().await;
    for (sent, kept) in [("abc-1.2_3", true), ("a b", false)] {
        let response = app.client.get(app.url("/nowhere")).header("x-request-id", sent).send().await.unwrap();
        assert_eq!(response.headers()["x-request-id"] == sent, kept);
        assert_eq!(error_of(response).await.1, "not_found");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_says_whether_it_lives_and_whether_it_is_ready() {
    let app = spawn_app().await;
    let get = async |path: &str| app.client.get(app.url(path)).send().await.unwrap();
    assert_eq!(get("/livez").await.status(), 200);
    assert_eq!(app.inpaint(boxed(photo(png(textured(1, false, 20, 20))), [1, 1, 4, 4])).await.status(), 200);
    let ready = get("/readyz").await;
    assert_eq!(ready.status(), 200);
    let body: serde_json::Value = serde_json::from_slice(&ready.bytes().await.unwrap()).unwrap();
    assert_eq!(body["replicas"][0]["models"]["patchmatch"], "stand-in-patchmatch");
    for path in ["/", "/docs", "/openapi.json"] {
        assert_eq!(get(path).await.status(), 200, "{path}");
    }
    let metrics =
        app.client.get(format!("http://{}/metrics", app.admin)).send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("lacuna_requests_total"), "{metrics}");

    let alone = spawn_app_with("http://127.0.0.1:1", &[]).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let get = async |path: &str| alone.client.get(alone.url(path)).send().await.unwrap().status();
    assert_eq!(get("/livez").await, 200);
    assert_eq!(get("/readyz").await, 503);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_under_way_is_finished_when_the_service_ends() {
    let triton = crate::stand_in::StandIn::answering(Duration::from_millis(700), crate::stand_in::fill).await;
    let mut app = crate::helpers::spawn_app_before(triton, &[]).await;
    let form: Form = boxed(photo(png(textured(3, false, 60, 40))), [1, 1, 9, 9]);
    let request = app.client.post(app.url("/inpaint")).bearer_auth(TOKEN).multipart(form);
    let under_way = tokio::spawn(request.send());
    tokio::time::sleep(Duration::from_millis(300)).await;
    app.stop.take().unwrap().send(()).unwrap();
    assert_eq!(under_way.await.unwrap().unwrap().status(), 200);
    tokio::time::timeout(Duration::from_secs(5), app.task.take().unwrap())
        .await
        .expect("the service ends")
        .unwrap();
    assert!(app.client.get(app.url("/livez")).send().await.is_err(), "no new connection is taken");
}
