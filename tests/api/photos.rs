//! What files of phones and of other programs say beside their pixels.

use image::{
    DynamicImage, GenericImageView, ImageBuffer, ImageEncoder, Luma, Rgb, codecs::webp::WebPEncoder,
};
use reqwest::multipart::Form;

use crate::{
    helpers::{TestApp, boxed, error_of, masked, photo, spawn_app, spawn_app_before},
    samples::{decoded, oriented_jpeg, png, textured},
    stand_in::{FILL, StandIn},
};

/// A PNG with chunks of one's own before and after its pixels.
fn png_with(image: &DynamicImage, before: &[([u8; 4], Vec<u8>)], after: &[([u8; 4], Vec<u8>)]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, image.width(), image.height());
    encoder.set_color(if image.color().has_color() {
        png::ColorType::Rgb
    } else {
        png::ColorType::Grayscale
    });
    let mut writer = encoder.write_header().unwrap();
    for (kind, content) in before {
        writer.write_chunk(png::chunk::ChunkType(*kind), content).unwrap();
    }
    writer.write_image_data(image.as_bytes()).unwrap();
    for (kind, content) in after {
        writer.write_chunk(png::chunk::ChunkType(*kind), content).unwrap();
    }
    drop(writer);
    file
}

/// An Exif block, from its TIFF header on, of nothing but an orientation.
fn exif(orientation: u8) -> Vec<u8> {
    let mut exif = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
    exif.extend([orientation, 0, 0, 0, 0, 0, 0]);
    exif
}

/// The answer and its warning, which is empty where there is none.
async fn answer(app: &TestApp, form: Form) -> (Vec<u8>, String) {
    let response = app.inpaint(form).await;
    let warning = response.headers().get("x-knockout-warning");
    let warning = warning.map_or(String::new(), |warning| warning.to_str().unwrap().to_owned());
    let status = response.status();
    let body = response.bytes().await.unwrap().to_vec();
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
    (body, warning)
}

fn found(file: &[u8], needle: &[u8]) -> bool {
    file.windows(needle.len()).any(|window| window == needle)
}

#[tokio::test(flavor = "multi_thread")]
async fn exif_is_found_where_programs_put_it() {
    let app = spawn_app().await;
    let picture = textured(3, false, 24, 16);
    let heading = [b"Exif\0\0".to_vec(), exif(6)].concat();
    let webp = |exif: Vec<u8>| {
        let mut file = Vec::new();
        let mut encoder = WebPEncoder::new_lossless(&mut file);
        encoder.set_exif_metadata(exif).unwrap();
        encoder.write_image(picture.as_bytes(), 24, 16, image::ExtendedColorType::Rgb8).unwrap();
        file
    };
    let expected = picture.rotate90();
    for (what, file) in [
        ("PNG, before the pixels", png_with(&picture, &[(*b"eXIf", exif(6))], &[])),
        ("PNG, after the pixels", png_with(&picture, &[], &[(*b"eXIf", exif(6))])),
        ("PNG, with the heading of JPEG", png_with(&picture, &[(*b"eXIf", heading.clone())], &[])),
        ("WebP", webp(exif(6))),
        ("WebP, with the heading of JPEG", webp(heading.clone())),
    ] {
        let filled = decoded(&app.filled(boxed(photo(file), [3, 3, 1, 1]).text("dilation", "0")).await);
        assert_eq!(filled.dimensions(), (16, 24), "{what}");
        assert_eq!(filled.get_pixel(0, 0), expected.get_pixel(0, 0), "{what}");
    }
    // A file that is cut after its last pixel is still whole in them.
    let mut cut = png_with(&picture, &[], &[(*b"eXIf", exif(6))]);
    cut.truncate(cut.len() - 20);
    app.filled(boxed(photo(cut), [3, 3, 1, 1])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn colours_that_a_format_cannot_hold_are_warned_of() {
    let app = spawn_app().await;
    let picture = textured(3, false, 24, 16);
    let gamma = |gamma: u32| (*b"gAMA", gamma.to_be_bytes().to_vec());
    let wide = [31_270u32, 32_900, 64_000, 33_000, 21_000, 71_000, 15_000, 6_000];
    let wide = (*b"cHRM", wide.map(u32::to_be_bytes).concat());
    let points = |points: [u8; 4]| (*b"cICP", points.to_vec());
    for (what, chunks, kept, warned) in [
        ("linear", vec![gamma(100_000)], &b"gAMA\0\x01\x86\xa0"[..], true),
        ("wide", vec![gamma(45_455), wide], b"cHRM", true),
        ("Display P3", vec![points([12, 13, 0, 1])], b"cICP\x0c\x0d\0\x01", true),
        ("PQ", vec![points([9, 16, 0, 1])], b"cICP\x09\x10\0\x01", true),
        ("sRGB by cICP", vec![points([1, 13, 0, 1])], b"cICP\x01\x0d\0\x01", false),
        ("sRGB by its chunk", vec![(*b"sRGB", vec![0])], b"sRGB\0", false),
        ("sRGB by gAMA", vec![gamma(45_455)], b"gAMA", false),
    ] {
        let file = png_with(&picture, &chunks, &[]);
        for format in ["png", "webp", "jpg"] {
            let form = boxed(photo(file.clone()), [3, 3, 2, 2]).text("format", format);
            let (answer, warning) = answer(&app, form).await;
            assert_eq!(
                warning.contains("colour space"),
                warned && format != "png",
                "{what}, {format}: {warning}"
            );
            assert_eq!(found(&answer, kept), format == "png", "{what}, {format}");
        }
    }
}

/// A PNG with an ICC profile of `length` bytes for `kind` of colours.
fn with_profile(image: &DynamicImage, kind: [u8; 4], length: usize) -> Vec<u8> {
    let mut profile = vec![0; length];
    profile[16..20].copy_from_slice(&kind);
    profile[36..40].copy_from_slice(b"acsp");
    let mut info = png::Info::with_size(image.width(), image.height());
    info.color_type = if image.color().has_color() { png::ColorType::Rgb } else { png::ColorType::Grayscale };
    info.icc_profile = Some(profile.into());
    let mut file = Vec::new();
    let encoder = png::Encoder::with_info(&mut file, info).unwrap();
    encoder.write_header().unwrap().write_image_data(image.as_bytes()).unwrap();
    file
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grey_profile_is_for_grey_answers_alone() {
    let app = spawn_app().await;
    let grey = textured(1, false, 24, 16);
    let rgb = textured(3, false, 24, 16);
    for (picture, kind, format, kept) in [
        (&grey, b"GRAY", "png", true),
        (&grey, b"GRAY", "jpg", true),
        (&grey, b"GRAY", "webp", false),
        (&rgb, b"GRAY", "png", false),
        (&rgb, b"GRAY", "jpg", false),
        (&rgb, b"RGB ", "png", true),
        (&rgb, b"RGB ", "webp", true),
        (&grey, b"RGB ", "png", false),
    ] {
        let file = with_profile(picture, *kind, 200);
        let (answer, warning) = answer(&app, boxed(photo(file), [3, 3, 2, 2]).text("format", format)).await;
        let name = match format {
            "png" => &b"iCCP"[..],
            "webp" => b"ICCP",
            _ => b"ICC_PROFILE",
        };
        assert_eq!(found(&answer, name), kept, "{kind:?} {format}");
        assert_eq!(warning.contains("colour profile"), !kept, "{kind:?} {format}: {warning}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_of_any_length_is_kept_or_warned_of() {
    let app = spawn_app().await;
    let picture = textured(3, false, 24, 16);
    for length in [16_700_000, 16_707_345, 16_707_346, (16 << 20) - 200, (16 << 20) + 1, 40 << 20] {
        // What inflates to about the limit of 16 MiB or to more is not read.
        let read = length < 16_710_000;
        let file = with_profile(&picture, *b"RGB ", length);
        for format in ["png", "webp", "jpg"] {
            let form = boxed(photo(file.clone()), [3, 3, 2, 2]).text("format", format);
            let response = app.inpaint(form).await;
            let kept = read && (format != "jpg" || length <= 16_707_345);
            let warned = response.headers().contains_key("x-knockout-warning");
            let status = response.status().as_u16();
            assert!(status == 200 && warned != kept, "{length} {format}: {status} {warned}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mask_that_does_not_fit_is_turned_or_warned_of() {
    let app = spawn_app().await;
    // The stored photo has 96 x 64 pixels; the mask of its left half is the upper half of what is displayed.
    let left = |width: u32, height: u32| {
        png(ImageBuffer::from_fn(width, height, |x, _| Luma([u8::from(x < width / 2) * 255])))
    };
    for (orientation, half) in [(6, (0, 0)), (8, (0, 48)), (5, (0, 0)), (7, (0, 48))] {
        for scale in [1, 2] {
            let form = masked(photo(oriented_jpeg(orientation)), left(96 * scale, 64 * scale));
            let (answer, warning) = answer(&app, form.text("dilation", "0")).await;
            assert!(warning.contains("turned"), "{orientation}: {warning}");
            let filled = decoded(&answer).to_rgb8();
            assert_eq!(filled.dimensions(), (64, 96));
            for (x, y, pixel) in filled.enumerate_pixels() {
                let inside = (half.1..half.1 + 48).contains(&y);
                assert_eq!(pixel.0 == FILL, inside, "{orientation}: {x}, {y}");
            }
        }
    }
    for (photo_of, mask, warned) in [
        (oriented_jpeg(6), left(64, 96), false),
        (oriented_jpeg(6), left(32, 48), false),
        (oriented_jpeg(1), left(96, 64), false),
        (oriented_jpeg(1), left(48, 32), false),
        (oriented_jpeg(1), left(64, 96), true),
        (oriented_jpeg(3), left(64, 96), true),
        (oriented_jpeg(6), left(80, 80), true),
    ] {
        let (_, warning) = answer(&app, masked(photo(photo_of), mask)).await;
        assert_eq!(warning.contains("stretched"), warned, "{warning}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn photos_are_as_large_as_the_operator_allows() {
    let phone = png(ImageBuffer::from_pixel(8064, 6048, Luma([90u8])));
    let form = || boxed(photo(phone.clone()), [4000, 3000, 20, 20]);
    let app = spawn_app().await;
    let (status, _, message) = error_of(app.inpaint(form()).await).await;
    assert_eq!((status, message.as_str()), (413, "Image exceeds 10 MB or 4096×4096."));

    let large = ["--max-side=8192", "--max-pixels=50000000", "--max-file-mb=12"];
    let app = spawn_app_before(StandIn::start().await, &large).await;
    assert_eq!(decoded(&app.filled(form()).await).dimensions(), (8064, 6048));
    let too_many = boxed(photo(png(ImageBuffer::from_pixel(8192, 8192, Luma([90u8])))), [0, 0, 9, 9]);
    let (status, _, message) = error_of(app.inpaint(too_many).await).await;
    assert_eq!((status, message.as_str()), (413, "Image exceeds 12 MB or 8192×8192 or 50 megapixels."));
    let mut heavy = png(ImageBuffer::from_pixel(9, 9, Rgb([1u8, 2, 3])));
    heavy.resize(12 << 20, 0);
    app.filled(boxed(photo(heavy.clone()), [1, 1, 2, 2])).await;
    heavy.push(0);
    assert_eq!(error_of(app.inpaint(boxed(photo(heavy), [1, 1, 2, 2])).await).await.0, 413);

    let small = spawn_app_before(StandIn::start().await, &["--max-side=256", "--max-pixels=65536"]).await;
    let wide = boxed(photo(png(ImageBuffer::from_pixel(257, 1, Luma([0u8])))), [0, 0, 9, 1]);
    assert_eq!(error_of(small.inpaint(wide).await).await.0, 413);
    let mask = png(ImageBuffer::from_pixel(257, 1, Luma([255u8])));
    let with_mask = masked(photo(png(textured(1, false, 24, 16))), mask);
    assert_eq!(error_of(small.inpaint(with_mask).await).await.0, 413, "masks too");
}
