//! The three modes on real photos, with the real Triton and its embedded models.

use image::{DynamicImage, GenericImageView};
use tokio::sync::OnceCell;

use crate::{
    helpers::{TestApp, boxed, error_of, file, masked, photo, spawn_app_with},
    mask::{ask, found, pointed},
    samples::{decoded, disc, png},
};

/// The Triton that `make test` starts. A test that needs it fails without it.
fn triton() -> String {
    std::env::var("LACUNA_TEST_TRITON").expect(
        "this test needs a real Triton: run `make test`, or start one with `make triton` and set \
         LACUNA_TEST_TRITON=http://127.0.0.1:8001",
    )
}

async fn app() -> TestApp {
    let app = spawn_app_with(&triton(), &[]).await;
    static READY: OnceCell<()> = OnceCell::const_new();
    READY
        .get_or_init(|| async {
            for _ in 0..100 {
                if app.client.get(app.url("/readyz")).send().await.unwrap().status() == 200 {
                    return;
                }
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
            panic!("no Triton at {} serves patchmatch", triton());
        })
        .await;
    app
}

/// Asserts that only pixels inside differ, and that the hole was really filled: most of it differs.
fn assert_filled(
    before: &DynamicImage,
    after: &DynamicImage,
    inside: impl Fn(u32, u32) -> bool,
    hole: impl Fn(u32, u32) -> bool,
) {
    let (before, after) = (before.to_rgb8(), after.to_rgb8());
    assert_eq!(before.dimensions(), after.dimensions());
    let (mut changed, mut holes) = (0, 0);
    for (x, y, pixel) in before.enumerate_pixels() {
        let same = pixel == after.get_pixel(x, y);
        assert!(same || inside(x, y), "{x}, {y} changed");
        if hole(x, y) {
            holes += 1;
            changed += u32::from(!same);
        }
    }
    assert!(changed * 10 > holes * 8, "{changed} of {holes} pixels of the hole changed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_box_on_a_photo_is_filled() {
    let app = app().await;
    let picture = file("photos/chelsea.png");
    let before = decoded(&picture);
    let after = app.filled(boxed(photo(picture), [150, 80, 60, 40])).await;
    let near = |x: u32, y: u32, d: u32| (150 - d..210 + d).contains(&x) && (80 - d..120 + d).contains(&y);
    assert_filled(&before, &decoded(&after), |x, y| near(x, y, 8), |x, y| near(x, y, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_masked_part_of_a_photo_is_filled_and_the_same_input_gives_the_same_bytes() {
    let app = app().await;
    let picture = file("photos/coffee.jpg");
    let mask = png(disc(600, 400, (300, 200), 30));
    let whole = app.filled(boxed(photo(picture.clone()), [0, 0, 1, 1]).text("dilation", "0")).await;
    for format in ["png", "webp"] {
        let form = || masked(photo(picture.clone()), mask.clone()).text("format", format);
        let first = app.filled(form()).await;
        let near =
            |x: u32, y: u32, r: i64| (i64::from(x) - 300).pow(2) + (i64::from(y) - 200).pow(2) <= r * r;
        assert_filled(
            &decoded(&whole),
            &decoded(&first),
            |x, y| near(x, y, 39) || (x, y) == (0, 0),
            |x, y| near(x, y, 30),
        );
        assert_eq!(first, app.filled(form()).await, "{format}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_subject_of_a_photo_is_found_and_erased() {
    let app = app().await;
    let picture = file("photos/coffee.jpg");
    let whole = decoded(&app.filled(boxed(photo(picture.clone()), [0, 0, 1, 1]).text("dilation", "0")).await);
    let response = app.inpaint(photo(picture)).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["x-knockout-mode"], "auto-subject");
    assert_eq!(response.headers()["x-knockout-model"], "patchmatch");
    let after = decoded(&response.bytes().await.unwrap());
    // The cup stands in the middle; the table's corners stay as they are.
    let cup = |x: u32, y: u32| (250..350).contains(&x) && (150..250).contains(&y);
    let corner = |x: u32, y: u32| !(60..540).contains(&x) && !(60..360).contains(&y);
    assert_eq!(whole.dimensions(), after.dimensions());
    assert_filled(&whole, &after, |x, y| !corner(x, y) || (x, y) == (0, 0), cup);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_photo_without_a_subject_is_told_so() {
    let app = app().await;
    let sky = image::ImageBuffer::from_fn(320, 240, |_, y| image::Rgb([90, 120 + (y / 4) as u8, 200]));
    let (status, code, _) = error_of(app.inpaint(photo(png(sky))).await).await;
    assert_eq!((status, code.as_str()), (422, "no_subject_detected"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_subject_the_object_at_a_point_and_that_in_a_box_are_shown() {
    let app = app().await;
    let coffee = || photo(file("photos/coffee.jpg"));
    let rocket = || photo(file("photos/rocket.jpg"));
    // The cup stands in the middle; the table's corners are no part of it.
    for form in [coffee(), pointed(coffee(), 300, 200), boxed(coffee(), [120, 30, 400, 340])] {
        let (mask, _) = found(&app, form).await;
        assert_eq!(mask.dimensions(), (600, 400));
        assert_eq!(mask.get_pixel(300, 200).0, [255]);
        for (x, y) in [(2, 2), (597, 2), (2, 397), (597, 397)] {
            assert_eq!(mask.get_pixel(x, y).0, [0], "{x}, {y}");
        }
    }
    let (mask, _) = found(&app, boxed(rocket(), [285, 60, 90, 345])).await;
    let white = mask.enumerate_pixels().filter(|(_, _, pixel)| pixel.0 == [255]);
    let (inside, outside): (Vec<_>, Vec<_>) =
        white.partition(|(x, y, _)| (285..375).contains(x) && (60..405).contains(y));
    assert!(inside.len() > 2000 && outside.is_empty(), "{} and {}", inside.len(), outside.len());
    let sky = image::ImageBuffer::from_fn(320, 240, |_, y| image::Rgb([90, 120 + (y / 4) as u8, 200]));
    let (status, code, _) = error_of(ask(&app, pointed(photo(png(sky)), 100, 100)).await).await;
    assert_eq!((status, code.as_str()), (422, "no_subject_detected"));
}
