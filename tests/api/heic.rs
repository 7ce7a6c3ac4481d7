//! HEIC, which the program decodes in a process of itself: these tests start the program.

use std::{
    io::Read,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use image::GenericImageView;
use reqwest::Response;

use crate::{
    helpers::{TOKEN, boxed, error_of, file, photo},
    program::{Gateway, PROGRAM},
    samples::decoded,
    stand_in::StandIn,
};

async fn filled(gateway: &Gateway, heic: Vec<u8>) -> Response {
    let form = boxed(photo(heic), [30, 30, 8, 8]);
    reqwest::Client::new().post(gateway.url()).bearer_auth(TOKEN).multipart(form).send().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn heic_is_read_and_its_rotation_applied() {
    let triton = StandIn::start().await;
    let gateway = Gateway::start(&[("LACUNA_TRITON", &triton.url())]);
    for (name, size, corner) in [
        ("plain.heic", (96, 64), [255, 0, 0]),
        ("rotated.heic", (64, 96), [0, 0, 255]),
        ("deep.heic", (96, 64), [255, 0, 0]),
    ] {
        let response = filled(&gateway, file(&format!("samples/{name}"))).await;
        assert_eq!(response.status(), 200, "{name}");
        let filled = decoded(&response.bytes().await.unwrap());
        assert_eq!(filled.dimensions(), size, "{name}");
        assert_eq!(filled.color().bits_per_pixel() / 3, if name == "deep.heic" { 16 } else { 8 }, "{name}");
        let near = |(seen, wanted): (u8, i32)| (i32::from(seen) - wanted).abs() < 12;
        let seen = filled.to_rgb8().get_pixel(0, 0).0;
        assert!(seen.into_iter().zip(corner).all(near), "{name}: {seen:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_heic_is_refused_and_harms_nobody() {
    let triton = StandIn::start().await;
    let gateway = Gateway::start(&[("LACUNA_TRITON", &triton.url())]);
    let whole = file("samples/plain.heic");
    let (status, code, _) = error_of(filled(&gateway, whole[..whole.len() / 2].to_vec()).await).await;
    assert_eq!((status, code.as_str()), (400, "invalid_image"));
    assert_eq!(filled(&gateway, whole).await.status(), 200);
}

#[test]
fn the_heic_decoder_is_confined_before_it_reads() {
    let mut decoder = Command::new(PROGRAM)
        .args(["decode-heic", "200000000", "60000"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let proc = |name: &str| std::fs::read_to_string(format!("/proc/{}/{name}", decoder.id())).unwrap();
    let value = |text: &str, key: &str| {
        let line = text.lines().find(|line| line.starts_with(key)).map(str::to_owned);
        line.map(|line| line[key.len()..].split_whitespace().next().unwrap().to_owned())
    };
    let end = Instant::now() + Duration::from_secs(5);
    while value(&proc("status"), "Seccomp:").unwrap() != "2" || proc("syscall").starts_with("running") {
        assert!(Instant::now() < end, "no filter: {}", proc("status"));
        thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(value(&proc("status"), "NoNewPrivs:").unwrap(), "1");
    let limits = proc("limits");
    assert_eq!(value(&limits, "Max address space").unwrap(), "200000000");
    assert_eq!(value(&limits, "Max cpu time").unwrap(), "30");
    assert_eq!(value(&limits, "Max file size").unwrap(), "0");

    drop(decoder.stdin.take());
    let mut answer = Vec::new();
    decoder.stdout.take().unwrap().read_to_end(&mut answer).unwrap();
    assert_eq!(answer[0], 1, "an empty file is refused: {}", String::from_utf8_lossy(&answer));
    assert!(decoder.wait().unwrap().success());
}

#[test]
fn the_heic_decoder_ends_when_its_time_is_over() {
    let mut decoder = Command::new(PROGRAM)
        .args(["decode-heic", "200000000", "300"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let started = Instant::now();
    // It waits for a file whose end does not come.
    let mut answer = Vec::new();
    decoder.stdout.take().unwrap().read_to_end(&mut answer).unwrap();
    assert!(started.elapsed() < Duration::from_secs(3) && answer.is_empty());
    assert!(!decoder.wait().unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_photo_of_tiles_is_decoded_whole_or_refused() {
    let triton = StandIn::start().await;
    let gateway = Gateway::start(&[("LACUNA_TRITON", &triton.url())]);
    let grid = file("samples/grid.heic");
    let response = filled(&gateway, grid.clone()).await;
    assert_eq!(response.status(), 200);
    let whole = decoded(&response.bytes().await.unwrap());
    assert_eq!(whole.dimensions(), (160, 96));
    // Red, green, blue and white in the corners, each in a tile of its own.
    for (at, colour) in
        [((0, 0), [255, 0, 0]), ((159, 0), [0, 255, 0]), ((0, 95), [0, 0, 255]), ((159, 95), [255; 3])]
    {
        let seen = whole.get_pixel(at.0, at.1).0;
        let near = seen.iter().zip(colour).all(|(a, b): (&u8, u8)| a.abs_diff(b) < 16);
        assert!(near, "{at:?}: {seen:?}");
    }
    // What comes last in the file are the tiles, one after the other.
    let first = grid.windows(4).position(|window| window == b"mdat").unwrap();
    let lengths = [60, 80, 99].map(|percent| first + (grid.len() - first) * percent / 100);
    for length in [grid.len() * 6 / 10].into_iter().chain(lengths) {
        let (status, code, _) = error_of(filled(&gateway, grid[..length].to_vec()).await).await;
        assert_eq!((status, code.as_str()), (400, "invalid_image"), "{length} of {}", grid.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_heic_says_of_its_colours_is_kept_or_warned_of() {
    let triton = StandIn::start().await;
    let gateway = Gateway::start(&[("LACUNA_TRITON", &triton.url())]);
    for (format, warned) in [("png", false), ("webp", true), ("jpg", true)] {
        let form = boxed(photo(file("samples/grid.heic")), [3, 3, 2, 2]).text("format", format);
        let request = reqwest::Client::new().post(gateway.url()).bearer_auth(TOKEN).multipart(form);
        let response = request.send().await.unwrap();
        let warning =
            response.headers().get("x-knockout-warning").map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(warning.is_some_and(|warning| warning.contains("colour space")), warned, "{format}");
        // Display P3, as PNG says it.
        let file = response.bytes().await.unwrap();
        let kept = file.windows(8).any(|window| window == b"cICP\x0c\x0d\0\x01");
        assert_eq!(kept, !warned, "{format}");
    }
}
