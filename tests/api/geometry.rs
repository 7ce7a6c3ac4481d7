//! Where a fill lands: proved with models that give back what they are shown, so that whatever is cut, padded, scaled
//! and pasted a pixel off, or mixed wrongly, shows in the answer.

use std::{f64::consts::TAU, time::Duration};

use image::{DynamicImage, GrayImage, ImageBuffer, Luma, Rgb, RgbImage, imageops};
use lacuna::{
    geometry::Rect,
    mask::Mask,
    window::{Window, plan},
};
use tonic::Status;

use crate::{
    helpers::{TestApp, masked, photo, spawn_app_before},
    samples::{decoded, png, textured},
    stand_in::{
        StandIn, identity, negative, output,
        protocol::{ModelInferRequest, ModelInferResponse},
    },
};

/// A mask of these boxes.
fn boxes(width: u32, height: u32, boxes: &[[u32; 4]]) -> GrayImage {
    ImageBuffer::from_fn(width, height, |column, row| {
        let inside = |&[x, y, w, h]: &[u32; 4]| (x..x + w).contains(&column) && (y..y + h).contains(&row);
        Luma([if boxes.iter().any(inside) { 255 } else { 0 }])
    })
}

/// The windows that a mask has once it is dilated.
fn windows(mask: &GrayImage, dilation: u32) -> Vec<Window> {
    plan(&Mask::from_levels(mask.width(), mask.height(), mask.as_raw(), 128).dilate(dilation))
}

/// Photos and masks whose windows show them at their own resolution: padded on two or on all sides, moved inside from
/// each edge and corner, side by side and one after the other.
fn unscaled() -> Vec<(&'static str, GrayImage)> {
    let line: Vec<_> = (0..1500).map(|x| [x, 200 + x / 2, 4, 4]).collect();
    vec![
        ("one pixel", boxes(1, 1, &[[0, 0, 1, 1]])),
        ("a photo smaller than any window", boxes(37, 21, &[[5, 4, 9, 11]])),
        ("a photo wider than a window and not as high", boxes(700, 60, &[[10, 10, 8, 8], [600, 20, 30, 30]])),
        ("odd sides", boxes(301, 257, &[[299, 0, 2, 3], [0, 255, 1, 2]])),
        ("corners", boxes(900, 800, &[[0, 0, 9, 9], [891, 0, 9, 9], [0, 791, 9, 9], [891, 791, 9, 9]])),
        (
            "a hole for each side",
            boxes(1400, 1300, &[[40, 60, 20, 20], [500, 100, 300, 300], [600, 700, 500, 500]]),
        ),
        ("a line that is followed", boxes(1504, 1000, &line)),
    ]
}

async fn answer(app: &TestApp, photo_file: Vec<u8>, mask: &GrayImage, dilation: u32) -> DynamicImage {
    let form = masked(photo(photo_file), png(mask.clone())).text("dilation", dilation.to_string());
    decoded(&app.filled(form).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_changes_nothing_gives_back_the_photo() {
    let app = spawn_app_before(StandIn::answering(Duration::ZERO, identity).await, &[]).await;
    for (what, mask) in unscaled() {
        for dilation in [0, 8, 32] {
            assert!(windows(&mask, dilation).iter().all(|window| !window.is_scaled()), "{what}");
            for channels in 1..=4 {
                let before = textured(channels, false, mask.width(), mask.height());
                let after = answer(&app, png(before.clone()), &mask, dilation).await;
                assert!(before == after, "{what}, {channels} channels, dilation {dilation}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_gives_the_negative_changes_the_mask_and_nothing_else() {
    let app = spawn_app_before(StandIn::answering(Duration::ZERO, negative).await, &[]).await;
    for (what, mask) in unscaled() {
        let before = textured(3, false, mask.width(), mask.height()).to_rgb8();
        let after = answer(&app, png(before.clone()), &mask, 0).await.to_rgb8();
        for (x, y, pixel) in before.enumerate_pixels() {
            let wanted = if mask.get_pixel(x, y).0[0] == 255 { pixel.0.map(|level| !level) } else { pixel.0 };
            assert_eq!(after.get_pixel(x, y).0, wanted, "{what}: {x}, {y}");
        }
    }
}

/// Waves so long that scaling keeps them, and so high that a pixel to the side is several levels off.
fn waves(width: u32, height: u32) -> RgbImage {
    let wave = |at: u32, period: f64| 127.5 + 110.0 * (f64::from(at) * TAU / period).sin();
    ImageBuffer::from_fn(width, height, |x, y| {
        Rgb([wave(x, 61.0) as u8, wave(y, 73.0) as u8, wave(x + y, 97.0) as u8])
    })
}

/// The part of a photo that a window shows, scaled by another program and padded as the contract says: what a model
/// that knows the truth would answer.
fn truth(photo: &RgbImage, window: &Window) -> RgbImage {
    let Rect { x, y, width, height } = window.source;
    let source = imageops::crop_imm(photo, x, y, width, height).to_image();
    let (width, height) = window.content();
    let content = imageops::resize(&source, width, height, imageops::FilterType::CatmullRom);
    let (left, top) = ((window.side - width) / 2, (window.side - height) / 2);
    let mirrored = |i: u32, before: u32, length: u32| {
        let i = (i64::from(i) - i64::from(before)).rem_euclid((2 * i64::from(length) - 2).max(1)) as u32;
        i.min((2 * length - 2).max(1) - i).min(length - 1)
    };
    ImageBuffer::from_fn(window.side, window.side, |x, y| {
        *content.get_pixel(mirrored(x, left, width), mirrored(y, top, height))
    })
}

/// The largest difference of two levels.
fn difference<'a>(pairs: impl Iterator<Item = (&'a u8, &'a u8)>) -> u8 {
    pairs.map(|(a, b)| a.abs_diff(*b)).max().unwrap_or_default()
}

/// A window of a hole too large for any is scaled: it shows what is known where it is, and a true answer to it comes
/// back within the resampling's error, which a shift of one pixel exceeds.
#[tokio::test(flavor = "multi_thread")]
async fn a_scaled_window_is_shown_and_pasted_in_its_place() {
    for (size, hole) in [
        ((2600, 2000), [500, 400, 1500, 1200]),
        ((1700, 1300), [0, 0, 1700, 1200]),
        ((3000, 1100), [700, 0, 1300, 1100]),
        ((1201, 2403), [100, 300, 1001, 1703]),
    ] {
        let (photo, mask) = (waves(size.0, size.1), boxes(size.0, size.1, &[hole]));
        let planned = windows(&mask, 0);
        let [window] = planned[..] else { panic!("{planned:?}") };
        assert!(window.is_scaled());
        let answered = truth(&photo, &window);
        let model = move |request: &ModelInferRequest| -> Result<ModelInferResponse, Status> {
            let [shown, hole] = [0, 1].map(|i| &request.raw_input_contents[i][..]);
            let known = hole.iter().flat_map(|level| [*level == 0; 3]);
            let pairs = shown.iter().zip(answered.as_raw()).zip(known);
            let off = difference(pairs.filter(|(_, known)| *known).map(|(pair, _)| pair));
            match off {
                0..=6 => {
                    Ok(output("output", "UINT8", request.inputs[0].shape.clone(), answered.as_raw().clone()))
                }
                off => Err(Status::internal(format!("what is known is shown {off} levels off"))),
            }
        };
        let app = spawn_app_before(StandIn::answering(Duration::ZERO, model).await, &[]).await;
        let after = answer(&app, png(photo.clone()), &mask, 0).await.to_rgb8();
        let off = difference(photo.as_raw().iter().zip(after.as_raw()));
        println!("{size:?}: {off} levels off at most");
        assert!(off <= 6, "{size:?}: {off}");
        // The bound means something: a pixel to the side is further off than it.
        for shifted in [
            imageops::crop_imm(&photo, 1, 0, size.0 - 1, size.1),
            imageops::crop_imm(&photo, 0, 1, size.0, size.1 - 1),
        ] {
            let shifted = shifted.to_image();
            let pairs = shifted.enumerate_pixels().map(|(x, y, pixel)| (pixel, photo.get_pixel(x, y)));
            assert!(difference(pairs.flat_map(|(a, b)| a.0.iter().zip(&b.0))) > 8);
        }
    }
}
