//! Every pixel outside the dilated mask is the input's own.

use std::time::Duration;

use image::{DynamicImage, GenericImageView, ImageBuffer, Luma, Rgba};
use tonic::Status;

use crate::{
    helpers::{boxed, file, masked, photo, spawn_app, spawn_app_before},
    samples::{decoded, disc, png, textured, webp},
    stand_in::{
        StandIn, output,
        protocol::{ModelInferRequest, ModelInferResponse},
    },
};

/// Asserts that two pictures agree wherever `inside` does not hold, and differ somewhere inside.
fn assert_same_outside(
    before: &DynamicImage,
    after: &DynamicImage,
    inside: impl Fn(i64, i64) -> bool,
    what: &str,
) {
    assert_eq!(before.dimensions(), after.dimensions(), "{what}");
    assert_eq!(before.color(), after.color(), "{what}");
    let (width, height) = before.dimensions();
    let size = usize::from(before.color().bytes_per_pixel());
    let (before, after) = (before.as_bytes(), after.as_bytes());
    let mut changed = 0;
    for y in 0..height {
        for x in 0..width {
            let at = (y as usize * width as usize + x as usize) * size..;
            let same = before[at.clone()][..size] == after[at][..size];
            changed += u32::from(!same);
            assert!(same || inside(x.into(), y.into()), "{what}: {x}, {y} changed");
        }
    }
    assert!(changed > 0, "{what}: nothing changed");
}

#[tokio::test(flavor = "multi_thread")]
async fn pixels_outside_the_dilated_mask_keep_their_bytes_in_every_layout() {
    let app = spawn_app().await;
    let (width, height) = (150, 110);
    let mask = png(disc(width, height, (70, 50), 15));
    for (channels, sixteen) in (1..=4).flat_map(|c| [(c, false), (c, true)]) {
        let before = textured(channels, sixteen, width, height);
        for dilation in [0, 8, 32] {
            let form =
                || masked(photo(png(before.clone())), mask.clone()).text("dilation", dilation.to_string());
            let reach = |x: i64, y: i64| {
                (-15i64..=15).any(|dy| {
                    let half = f64::from(15 * 15 - (dy * dy) as i32).sqrt().floor() as i64;
                    let dx = ((x - 70).abs() - half).max(0);
                    dx * dx + (y - 50 - dy).pow(2) <= dilation * dilation
                })
            };
            let what = format!("{channels} channels, sixteen {sixteen}, dilation {dilation}");
            assert_same_outside(&before, &decoded(&app.filled(form()).await), reach, &what);
            if !sixteen {
                let after = decoded(&app.filled(form().text("format", "webp")).await);
                // WebP has no grey.
                let before = if before.color().has_alpha() {
                    before.to_rgba8().into()
                } else {
                    before.to_rgb8().into()
                };
                assert_same_outside(&before, &after, reach, &format!("{what}, webp"));
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn alpha_is_never_changed_and_what_is_wholly_transparent_keeps_its_colour() {
    let app = spawn_app().await;
    let before = ImageBuffer::from_fn(64, 64, |x, y| {
        Rgba([x as u8, y as u8, 9, if x < 32 { 0 } else { y as u8 + 1 }])
    });
    let form = boxed(photo(png(before.clone())), [16, 16, 32, 32]).text("dilation", "0");
    let after = decoded(&app.filled(form).await).to_rgba8();
    for (x, y, pixel) in before.enumerate_pixels() {
        assert_eq!(pixel[3], after.get_pixel(x, y)[3]);
        let filled = (32..48).contains(&x) && (16..48).contains(&y);
        assert_eq!(pixel == after.get_pixel(x, y), !filled, "{x}, {y}");
    }
}

/// A model that fills with a colour of all that it is shown, and takes a while that is never the same: what is
/// shown, and with which fills of other windows in it, decides what comes out.
fn fill_by_all_that_is_shown(request: &ModelInferRequest) -> Result<ModelInferResponse, Status> {
    std::thread::sleep(Duration::from_micros(fastrand::u64(0..20_000)));
    let mut filled = request.raw_input_contents[0].to_vec();
    let shown = request.raw_input_contents.iter().flat_map(|input| input.iter());
    let sum = shown.fold(0u32, |sum, &level| sum.wrapping_mul(31).wrapping_add(u32::from(level)));
    for (rgb, hole) in filled.chunks_exact_mut(3).zip(&request.raw_input_contents[1][..]) {
        if *hole >= 128 {
            rgb.copy_from_slice(&sum.to_be_bytes()[..3]);
        }
    }
    Ok(output("output", "UINT8", request.inputs[0].shape.clone(), filled))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_input_gives_the_same_bytes() {
    let triton = StandIn::answering(Duration::ZERO, fill_by_all_that_is_shown).await;
    let app = spawn_app_before(triton, &[]).await;
    let (width, height) = (1600, 1200);
    let picture = png(textured(3, false, width, height));
    // A line across and spots beside it: windows that see each other's fills, and some that do not.
    let spots = [(200, 150), (1400, 200), (300, 1000), (900, 900), (1450, 1050)];
    let mask = ImageBuffer::from_fn(width, height, |x, y| {
        let spot = spots.iter().any(|&(sx, sy)| x.abs_diff(sx) < 20 && y.abs_diff(sy) < 20);
        Luma([if spot || (x * 3 / 8 + 300).abs_diff(y) < 3 { 255u8 } else { 0 }])
    });
    let mask = png(mask);
    for format in ["png", "webp", "jpg"] {
        let form = || masked(photo(picture.clone()), mask.clone()).text("format", format);
        let first = app.filled(form()).await;
        for _ in 0..2 {
            assert!(first == app.filled(form()).await, "{format}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_icc_profile_is_kept_and_other_metadata_dropped() {
    let app = spawn_app().await;
    let mut profile = vec![0u8; 600];
    profile[36..40].copy_from_slice(b"acsp");
    let mut with = Vec::new();
    let mut encoder = png::Encoder::with_info(&mut with, {
        let mut info = png::Info::with_size(40, 30);
        info.icc_profile = Some(profile.clone().into());
        info.color_type = png::ColorType::Rgb;
        info
    })
    .unwrap();
    encoder.add_text_chunk("Author".into(), "me".into()).unwrap();
    encoder.write_header().unwrap().write_image_data(&[77; 40 * 30 * 3]).unwrap();
    for format in ["png", "webp", "jpg"] {
        let filled = app.filled(boxed(photo(with.clone()), [5, 5, 9, 9]).text("format", format)).await;
        let found = |needle: &[u8]| filled.windows(needle.len()).any(|window| window == needle);
        assert!(!found(b"Author"), "{format}");
        match format {
            "png" => {
                let reader = png::Decoder::new(std::io::Cursor::new(&filled)).read_info().unwrap();
                assert_eq!(reader.info().icc_profile.as_deref(), Some(profile.as_slice()));
            }
            "webp" => assert!(found(b"ICCP") && found(&profile)),
            _ => assert!(found(b"ICC_PROFILE\0") && found(&profile)),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sixteen_bits_are_reduced_for_webp_and_jpg_with_a_warning() {
    let app = spawn_app().await;
    let picture = png(textured(3, true, 50, 50));
    for (format, warned) in [("png", false), ("webp", true), ("jpg", true)] {
        let response = app.inpaint(boxed(photo(picture.clone()), [5, 5, 9, 9]).text("format", format)).await;
        assert_eq!(response.headers().contains_key("x-knockout-warning"), warned, "{format}");
    }
    let alpha =
        app.inpaint(boxed(photo(png(textured(4, false, 50, 50))), [5, 5, 9, 9]).text("format", "jpg")).await;
    assert!(alpha.headers()["x-knockout-warning"].to_str().unwrap().contains("alpha"));
}

#[tokio::test(flavor = "multi_thread")]
async fn masks_are_scaled_by_nearest_neighbour_and_read_by_luma_over_black() {
    let app = spawn_app().await;
    let before = textured(3, false, 80, 60);
    let left_half = |x: i64, _: i64| x < 40;
    let grey = |level: u8| png(ImageBuffer::from_fn(2, 1, |x, _| Luma([if x == 0 { level } else { 0 }])));
    let rgba = |colour: [u8; 4]| {
        png(ImageBuffer::from_fn(2, 1, |x, _| Rgba(if x == 0 { colour } else { [0, 0, 0, 255] })))
    };
    for (mask, what) in [
        (grey(255), "white"),
        (grey(128), "128"),
        (rgba([255, 255, 255, 128]), "half transparent white"),
        (rgba([0, 255, 0, 255]), "green"),
        (webp(ImageBuffer::from_fn(2, 1, |x, _| image::Rgb([if x == 0 { 255u8 } else { 0 }; 3]))), "webp"),
    ] {
        let form = masked(photo(png(before.clone())), mask).text("dilation", "0");
        assert_same_outside(&before, &decoded(&app.filled(form).await), left_half, what);
    }
    for (mask, what) in [
        (grey(127), "127"),
        (rgba([255, 255, 255, 127]), "transparent white"),
        (rgba([255, 0, 0, 255]), "red"),
    ] {
        let response = app.inpaint(masked(photo(png(before.clone())), mask)).await;
        assert_eq!(crate::helpers::error_of(response).await.1, "empty_mask", "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_palette_is_expanded() {
    let app = spawn_app().await;
    let palette = file("samples/palette.png");
    let before = decoded(&palette);
    let after = decoded(&app.filled(boxed(photo(palette), [10, 10, 20, 20]).text("dilation", "0")).await);
    let inside = |x: i64, y: i64| (10..30).contains(&x) && (10..30).contains(&y);
    assert_same_outside(&before, &after, inside, "palette");
}

#[tokio::test(flavor = "multi_thread")]
async fn tiny_thin_and_large_pictures_are_served() {
    let app = spawn_app().await;
    for (width, height) in [(1, 1), (1, 300), (5, 5), (4096, 3), (3, 4096), (1500, 1100)] {
        let form = boxed(photo(png(textured(3, false, width, height))), [0, 0, width, height]);
        assert_eq!(decoded(&app.filled(form).await).dimensions(), (width, height));
    }
}
