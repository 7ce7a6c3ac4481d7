//! A table of what callers get wrong, against one running server. It must answer each as documented
//! and serve the next.

use std::time::Duration;

use image::{GrayImage, ImageBuffer, Luma, Rgb};
use reqwest::{
    Method, Response,
    multipart::{Form, Part},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    helpers::{TOKEN, TestApp, boxed, error_of, file, masked, photo, spawn_app},
    samples::{oriented_jpeg, png, textured},
};

const BOX: [u32; 4] = [2, 2, 6, 6];

fn small() -> Vec<u8> {
    png(textured(3, false, 24, 16))
}

fn fields(form: Form, fields: &[(&'static str, &str)]) -> Form {
    fields.iter().fold(form, |form, (name, value)| form.text(*name, (*value).to_owned()))
}

/// A PNG of a size that is only in its header.
fn png_header_of(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(png::ColorType::Grayscale);
    drop(encoder.write_header().unwrap());
    bytes
}

async fn expect(app: &TestApp, what: &str, response: Response, wanted: (u16, &str)) {
    if wanted.0 == 200 {
        let status = response.status().as_u16();
        assert_eq!(status, 200, "{what}: {}", response.text().await.unwrap());
        return;
    }
    let (status, code, _) = error_of(response).await;
    assert_eq!((status, code.as_str()), wanted, "{what}");
    let next = app.inpaint(boxed(photo(small()), BOX)).await;
    assert_eq!(next.status(), 200, "the request after '{what}'");
}

#[tokio::test(flavor = "multi_thread")]
async fn pictures_are_taken_or_refused_by_their_content() {
    let app = spawn_app().await;
    let jpeg = file("samples/plain.jpg");
    let truncated = |bytes: &[u8], share: f64| bytes[..(bytes.len() as f64 * share) as usize].to_vec();
    let one_colour: GrayImage = ImageBuffer::from_pixel(4096, 4096, Luma([9]));
    let zip = b"PK\x03\x04\x14\0\0\0\0\0".repeat(50);
    let mut lying = png_header_of(100, 100);
    lying.truncate(lying.len() - 12);
    let sizes = |w, h| png(ImageBuffer::from_pixel(w, h, Rgb([1u8, 2, 3])));
    let table: Vec<(&str, Vec<u8>, (u16, &str))> = vec![
        ("an empty file", vec![], (415, "unsupported_media_type")),
        ("one byte", vec![0xff], (415, "unsupported_media_type")),
        ("a zip", zip, (415, "unsupported_media_type")),
        ("text", b"hello".to_vec(), (415, "unsupported_media_type")),
        ("a GIF", b"GIF89a\x01\0\x01\0\0\0\0;".to_vec(), (415, "unsupported_media_type")),
        ("a BMP", b"BM\x3a\0\0\0\0\0\0\0\x36\0\0\0".to_vec(), (415, "unsupported_media_type")),
        ("an AVIF", b"\0\0\0\x18ftypavif\0\0\0\0avifmif1".to_vec(), (415, "unsupported_media_type")),
        ("an SVG", b"<svg xmlns='http://www.w3.org/2000/svg'/>".to_vec(), (415, "unsupported_media_type")),
        ("half a JPEG", truncated(&jpeg, 0.5), (400, "invalid_image")),
        ("most of a JPEG", truncated(&jpeg, 0.95), (400, "invalid_image")),
        ("a JPEG's first bytes", jpeg[..4].to_vec(), (400, "invalid_image")),
        ("half a PNG", truncated(&small(), 0.5), (400, "invalid_image")),
        ("a PNG's first bytes", small()[..8].to_vec(), (400, "invalid_image")),
        ("a PNG without pixels", lying, (400, "invalid_image")),
        ("half a WebP", truncated(&file("samples/lossy.webp"), 0.5), (400, "invalid_image")),
        ("a WebP's first bytes", file("samples/lossy.webp")[..12].to_vec(), (400, "invalid_image")),
        ("a HEIC's first bytes", file("samples/plain.heic")[..24].to_vec(), (400, "invalid_image")),
        ("an animated WebP", file("samples/animated.webp"), (400, "invalid_image")),
        ("an animated PNG", file("samples/animated.png"), (400, "invalid_image")),
        ("4097 pixels across", sizes(4097, 10), (413, "payload_too_large")),
        ("4097 pixels down", sizes(10, 4097), (413, "payload_too_large")),
        ("a header of 60000 x 60000", png_header_of(60_000, 60_000), (413, "payload_too_large")),
        (
            "a header of 4 billion pixels a side",
            png_header_of(0x7fff_ffff, 0x7fff_ffff),
            (413, "payload_too_large"),
        ),
        ("4096 x 4096 of one colour", png(one_colour), (200, "")),
        ("a CMYK JPEG", file("samples/cmyk.jpg"), (200, "")),
        ("a grey JPEG", file("samples/grey.jpg"), (200, "")),
        ("a palette PNG", file("samples/palette.png"), (200, "")),
        ("a lossy WebP", file("samples/lossy.webp"), (200, "")),
        ("a 16-bit PNG", png(textured(3, true, 24, 16)), (200, "")),
        ("a grey PNG with alpha", png(textured(2, false, 24, 16)), (200, "")),
        ("a 16-bit grey PNG with alpha", png(textured(2, true, 24, 16)), (200, "")),
    ];
    for (what, bytes, wanted) in table {
        expect(&app, what, app.inpaint(boxed(photo(bytes), BOX)).await, wanted).await;
    }
    for orientation in 0..=9 {
        let form = boxed(photo(oriented_jpeg(orientation)), BOX);
        expect(&app, &format!("Exif orientation {orientation}"), app.inpaint(form).await, (200, "")).await;
    }
    let one = boxed(photo(png(textured(3, false, 1, 1))), [0, 0, 1, 1]);
    expect(&app, "1 x 1", app.inpaint(one).await, (200, "")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn masks_are_taken_or_refused_by_their_content() {
    let app = spawn_app().await;
    let jpeg = file("samples/plain.jpg");
    let black = png(ImageBuffer::from_pixel(24, 16, Luma([0u8])));
    let wide = png(ImageBuffer::from_pixel(4097, 1, Luma([255u8])));
    for (what, mask, wanted) in [
        ("an empty mask", vec![], (400, "invalid_mask")),
        ("text for a mask", b"white".to_vec(), (400, "invalid_mask")),
        ("half a JPEG for a mask", jpeg[..jpeg.len() / 2].to_vec(), (400, "invalid_mask")),
        ("an animated mask", file("samples/animated.webp"), (400, "invalid_mask")),
        ("a mask of 4097 pixels", wide, (413, "payload_too_large")),
        ("a black mask", black, (400, "empty_mask")),
        ("a JPEG mask", jpeg, (200, "")),
        ("a WebP mask", file("samples/lossy.webp"), (200, "")),
    ] {
        expect(&app, what, app.inpaint(masked(photo(small()), mask)).await, wanted).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_are_checked() {
    let app = spawn_app().await;
    let full = |x, y, w, h| [("x", x), ("y", y), ("w", w), ("h", h)];
    let huge = "9".repeat(100);
    let boxes = [
        (full("-1", "0", "5", "5"), (400, "invalid_bbox")),
        (full("0", "-1", "5", "5"), (400, "invalid_bbox")),
        (full("0", "0", "-5", "5"), (400, "invalid_bbox")),
        (full("0", "0", "0", "5"), (400, "invalid_bbox")),
        (full("0", "0", "5", "0"), (400, "invalid_bbox")),
        (full("0", "0", "25", "5"), (400, "invalid_bbox")),
        (full("0", "0", "5", "17"), (400, "invalid_bbox")),
        (full("24", "0", "1", "1"), (400, "invalid_bbox")),
        (full("20", "0", "5", "1"), (400, "invalid_bbox")),
        (full("9223372036854775807", "0", "1", "1"), (400, "invalid_bbox")),
        (full("9223372036854775808", "0", "1", "1"), (400, "invalid_bbox")),
        (full(&huge, "0", "1", "1"), (400, "invalid_bbox")),
        (full("1", "0", "9223372036854775807", "1"), (400, "invalid_bbox")),
        (full("-9223372036854775809", "0", "1", "1"), (400, "invalid_bbox")),
        (full("4294967296", "0", "1", "1"), (400, "invalid_bbox")),
        (full("a", "0", "1", "1"), (400, "invalid_request")),
        (full("", "0", "1", "1"), (400, "invalid_request")),
        (full("1.5", "0", "1", "1"), (400, "invalid_request")),
        (full("1e3", "0", "1", "1"), (400, "invalid_request")),
        (full("0x1", "0", "1", "1"), (400, "invalid_request")),
        (full("NaN", "0", "1", "1"), (400, "invalid_request")),
        (full("--1", "0", "1", "1"), (400, "invalid_request")),
        (full("0", "0", "24", "16"), (200, "")),
        (full(" 1 ", "+1", "2", "2"), (200, "")),
    ];
    for (values, wanted) in boxes {
        expect(&app, &format!("{values:?}"), app.inpaint(fields(photo(small()), &values)).await, wanted)
            .await;
    }
    let some: [&[(&'static str, &str)]; 5] = [
        &[("x", "1")],
        &[("x", "1"), ("y", "1"), ("w", "1")],
        &[("h", "1")],
        &[("w", "5"), ("h", "5")],
        &[("y", "")],
    ];
    for values in some {
        let response = app.inpaint(fields(photo(small()), values)).await;
        expect(&app, &format!("{values:?}"), response, (400, "invalid_bbox")).await;
    }
    for dilation in ["33", "-1", "8.5", "", "abc", "99999999999999999999", "0x8", "NaN"] {
        let form = boxed(photo(small()), BOX).text("dilation", dilation);
        expect(&app, &format!("dilation {dilation}"), app.inpaint(form).await, (400, "invalid_dilation"))
            .await;
    }
    for dilation in ["0", "32", "+8", "08"] {
        let form = boxed(photo(small()), BOX).text("dilation", dilation);
        expect(&app, &format!("dilation {dilation}"), app.inpaint(form).await, (200, "")).await;
    }
    for format in ["gif", "", "tiff", "image/png", "png ; x"] {
        let form = boxed(photo(small()), BOX).text("format", format);
        expect(&app, &format!("format {format}"), app.inpaint(form).await, (400, "invalid_format")).await;
    }
    let mask = png(ImageBuffer::from_pixel(24, 16, Luma([255u8])));
    let ignored = masked(fields(photo(small()), &[("x", "nonsense")]), mask);
    expect(&app, "a wrong box beside a mask", app.inpaint(ignored).await, (200, "")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn forms_are_checked() {
    let app = spawn_app().await;
    let no_file = boxed(Form::new(), BOX);
    expect(&app, "no file", app.inpaint(no_file).await, (400, "invalid_request")).await;
    expect(&app, "an empty form", app.inpaint(Form::new()).await, (400, "invalid_request")).await;
    for name in ["x", "dilation", "format"] {
        let form = boxed(photo(small()), BOX).text("dilation", "8").text("format", "png").text(name, "1");
        expect(&app, &format!("{name} twice"), app.inpaint(form).await, (400, "invalid_request")).await;
    }
    for name in ["file", "mask"] {
        let form =
            masked(boxed(photo(small()), BOX), small()).part(name, Part::bytes(small()).file_name("again"));
        expect(&app, &format!("{name} twice"), app.inpaint(form).await, (400, "invalid_request")).await;
    }
    let many = (0..10_000).fold(boxed(photo(small()), BOX), |form, i| form.text(format!("f{i}"), "1"));
    expect(&app, "10 000 fields", app.inpaint(many).await, (400, "invalid_request")).await;
    let long = boxed(photo(small()), BOX).text("note", "n".repeat(100_000));
    expect(&app, "a long field", app.inpaint(long).await, (400, "invalid_request")).await;
    let unknown = boxed(photo(small()), BOX).text("prompt", "sky").text("seed", "1");
    expect(&app, "unknown fields", app.inpaint(unknown).await, (200, "")).await;
    let bytes = boxed(photo(small()), BOX).part("dilation", Part::bytes(vec![0xff, 0xfe]));
    expect(&app, "a field that is not text", app.inpaint(bytes).await, (400, "invalid_request")).await;
    let unchosen = boxed(photo(small()), BOX).part("mask", Part::bytes(vec![]).file_name(""));
    expect(&app, "a mask that was not chosen", app.inpaint(unchosen).await, (200, "")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_are_bounded_while_they_stream_in() {
    let app = spawn_app().await;
    let limit = 10 * 1024 * 1024;
    let padded = |size: usize| {
        let mut bytes = small();
        bytes.resize(size, 0);
        bytes
    };
    for (what, size, wanted) in [
        ("exactly 10 MiB", limit, (200, "")),
        ("a byte over 10 MiB", limit + 1, (413, "payload_too_large")),
        ("11 MiB", 11 << 20, (413, "payload_too_large")),
        ("21 MiB", 21 << 20, (413, "payload_too_large")),
    ] {
        expect(&app, what, app.inpaint(boxed(photo(padded(size)), BOX)).await, wanted).await;
    }
    let mask = masked(photo(small()), padded(limit + 1));
    expect(&app, "a mask over 10 MiB", app.inpaint(mask).await, (413, "payload_too_large")).await;

    let answer = answer_to_an_endless_body(&app).await;
    assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains("request_id"), "{answer}");
    let next = app.inpaint(boxed(photo(small()), BOX)).await;
    assert_eq!(next.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_of_the_wrong_kind_are_refused_in_order() {
    let app = spawn_app().await;
    let send = async |method: Method, path: &str, token: Option<&str>, kind: Option<&str>, body: Vec<u8>| {
        let mut request = app.client.request(method, app.url(path)).body(body);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(kind) = kind {
            request = request.header("content-type", kind);
        }
        request.send().await.unwrap()
    };
    let form = Some("multipart/form-data; boundary=edge");
    for (method, path, token, kind, wanted) in [
        (Method::POST, "/nowhere", None, None, (404, "not_found")),
        (Method::POST, "/inpaint/", None, None, (401, "unauthorized")),
        (Method::POST, "/INPAINT", None, None, (404, "not_found")),
        (Method::POST, "/inpaint/more", None, None, (404, "not_found")),
        (Method::GET, "/inpaint", None, None, (405, "method_not_allowed")),
        (Method::PUT, "/inpaint", Some(TOKEN), form, (405, "method_not_allowed")),
        (Method::DELETE, "/inpaint", Some(TOKEN), form, (405, "method_not_allowed")),
        (Method::PATCH, "/inpaint", None, form, (405, "method_not_allowed")),
        (Method::POST, "/livez", None, None, (405, "method_not_allowed")),
        (Method::POST, "/", None, None, (405, "method_not_allowed")),
        (Method::POST, "/inpaint", None, form, (401, "unauthorized")),
        (Method::POST, "/inpaint", Some("wrong"), None, (401, "unauthorized")),
        (Method::POST, "/inpaint", Some(TOKEN), None, (415, "unsupported_media_type")),
        (Method::POST, "/inpaint", Some(TOKEN), Some("application/json"), (415, "unsupported_media_type")),
        (Method::POST, "/inpaint", Some(TOKEN), Some("image/png"), (415, "unsupported_media_type")),
        (Method::POST, "/inpaint", Some(TOKEN), Some("multipart/form-data"), (415, "unsupported_media_type")),
        (
            Method::POST,
            "/inpaint",
            Some(TOKEN),
            Some("multipart/mixed; boundary=e"),
            (415, "unsupported_media_type"),
        ),
        (Method::POST, "/inpaint", Some(TOKEN), form, (400, "invalid_request")),
    ] {
        let what = format!("{method} {path} {token:?} {kind:?}");
        let response = send(method, path, token, kind, vec![]).await;
        if wanted.0 == 405 {
            let allow = if path == "/inpaint" { "POST" } else { "GET, HEAD" };
            assert_eq!(response.headers()["allow"], allow, "{what}");
        }
        expect(&app, &what, response, wanted).await;
    }
    for body in [
        &b"nonsense"[..],
        b"--edge",
        b"--edge\r\n",
        b"--edge\r\n\r\n\r\n--edge--\r\n",
        b"--edge\r\ncontent-disposition: form-data; name=\"file\"\r\n\r\nhalf",
    ] {
        let what = String::from_utf8_lossy(body).into_owned();
        let response = send(Method::POST, "/inpaint", Some(TOKEN), form, body.to_vec()).await;
        expect(&app, &what, response, (400, "invalid_request")).await;
    }
    let head = app.client.head(app.url("/inpaint")).send().await.unwrap();
    assert_eq!(head.status(), 405);
}

/// What is answered while a body without any boundary is still being sent: read beside the sending, as a client
/// that is told no in the middle of it has to.
async fn answer_to_an_endless_body(app: &TestApp) -> String {
    let (mut from, mut to) = TcpStream::connect(app.address).await.unwrap().into_split();
    let head = format!(
        "POST /inpaint HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {TOKEN}\r\ncontent-type: multipart/form-data; boundary=edge\r\ntransfer-encoding: chunked\r\n\r\n"
    );
    to.write_all(head.as_bytes()).await.unwrap();
    let sending = tokio::spawn(async move {
        let chunk = [b"10000\r\n", &vec![b'-'; 0x10000][..], b"\r\n"].concat();
        while to.write_all(&chunk).await.is_ok() {}
    });
    let mut answer = Vec::new();
    let whole = async {
        let mut chunk = [0; 4096];
        while !String::from_utf8_lossy(&answer).contains("request_id") {
            match from.read(&mut chunk).await {
                Ok(count @ 1..) => answer.extend_from_slice(&chunk[..count]),
                _ => break,
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), whole).await.expect("an answer comes");
    sending.abort();
    String::from_utf8_lossy(&answer).into_owned()
}

/// What a raw exchange gets back.
async fn raw(app: &TestApp, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(app.address).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(5), async {
        let mut chunk = [0; 4096];
        while let Ok(count @ 1..) = stream.read(&mut chunk).await {
            answer.extend_from_slice(&chunk[..count]);
            if String::from_utf8_lossy(&answer).contains("request_id") {
                break;
            }
        }
    })
    .await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expectation_is_answered_before_the_body_is_sent() {
    let app = spawn_app().await;
    let head = |token: &str, length: u64| {
        format!(
            "POST /inpaint HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {token}\r\ncontent-type: multipart/form-data; boundary=edge\r\ncontent-length: {length}\r\nexpect: 100-continue\r\n\r\n"
        )
    };
    let refused = raw(&app, head("wrong", 1000).as_bytes()).await;
    assert!(refused.starts_with("HTTP/1.1 401 "), "{refused}");
    let too_large = raw(&app, head(TOKEN, 50 << 20).as_bytes()).await;
    assert!(too_large.starts_with("HTTP/1.1 413 "), "{too_large}");
    let mut taken = TcpStream::connect(app.address).await.unwrap();
    taken.write_all(head(TOKEN, 10).as_bytes()).await.unwrap();
    let mut answer = [0; 25];
    taken.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 100 Continue\r\n\r\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_ends_early_or_is_not_http_harms_nobody() {
    let app = spawn_app().await;
    for request in [
        &b"nonsense\r\n\r\n"[..],
        b"POST /inpaint HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nnonsense",
        b"GET /\xff\xfe HTTP/1.1\r\nhost: a\r\n\r\n",
    ] {
        let mut stream = TcpStream::connect(app.address).await.unwrap();
        stream.write_all(request).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = Vec::new();
        let _ = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut answer))
            .await
            .expect("it ends");
    }
    let mut half = TcpStream::connect(app.address).await.unwrap();
    let head = format!(
        "POST /inpaint HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {TOKEN}\r\ncontent-type: multipart/form-data; boundary=edge\r\ncontent-length: 5000\r\n\r\n--edge\r\n"
    );
    half.write_all(head.as_bytes()).await.unwrap();
    drop(half);
    let next = app.inpaint(boxed(photo(small()), BOX)).await;
    assert_eq!(next.status(), 200);
}
