use proptest::prelude::*;

use super::*;

fn rect(x: u32, y: u32, width: u32, height: u32) -> Rect {
    Rect { x, y, width, height }
}

fn holes(width: u32, height: u32, rects: &[Rect]) -> Mask {
    let mut mask = Mask::from_rect(width, height, Rect::of_size(width, height));
    mask.subtract(&{
        let mut rest = Mask::from_rect(width, height, Rect::of_size(width, height));
        rects.iter().for_each(|&rect| rest.clear_rect(rect));
        rest
    });
    mask
}

/// What must hold for the plan of any mask.
fn check(mask: &Mask) -> Vec<Window> {
    let photo = Rect::of_size(mask.width(), mask.height());
    let windows = plan(mask);
    assert!(windows.len() <= MAX_WINDOWS, "{} windows", windows.len());
    let mut open = mask.clone();
    for (i, window) in windows.iter().enumerate() {
        assert!(SIDES.contains(&window.side));
        assert_eq!(window.source.union(&photo), photo, "{window:?} leaves the photo");
        assert_eq!(
            window.core.union(&window.source),
            window.source,
            "{window:?} fills what it does not show"
        );
        let (width, height) = window.content();
        assert!(width.max(height) <= window.side && width.min(height) >= 1);
        for earlier in &windows[..i] {
            assert!(earlier.wave <= window.wave);
            let same_time = earlier.wave == window.wave;
            assert!(!(same_time && earlier.core.intersects(&window.core)), "{earlier:?} and {window:?}");
        }
        open.clear_rect(window.core);
    }
    assert!(open.is_empty(), "{open:?} of {mask:?} is left by {windows:?}");
    assert_eq!(windows, plan(mask), "the plan of a mask is always the same");
    windows
}

#[test]
fn an_empty_mask_needs_no_window() {
    assert_eq!(check(&Mask::empty(100, 100)), []);
}

#[test]
fn a_hole_is_shown_at_native_resolution_in_the_smallest_side_that_holds_its_context() {
    for (hole, side) in [(20, 256), (150, 256), (200, 512), (300, 512), (400, 768), (600, 1024), (800, 1024)]
    {
        let windows = check(&holes(4000, 3000, &[rect(1700, 1300, hole, hole)]));
        assert_eq!(windows.len(), 1, "{hole}");
        assert_eq!((windows[0].side, windows[0].is_scaled()), (side, false), "{hole}");
        assert_eq!(windows[0].source.width, side, "{hole}");
    }
}

#[test]
fn a_compact_hole_too_large_for_any_side_is_scaled() {
    let windows = check(&holes(4000, 3000, &[rect(1000, 500, 1500, 1200)]));
    assert_eq!(windows.len(), 1);
    assert!(windows[0].is_scaled());
    assert_eq!(windows[0].source.width, 2500);
}

#[test]
fn holes_at_edges_and_corners_get_windows_inside_the_photo() {
    for x in [0, 1000, 1950] {
        for y in [0, 700, 1450] {
            let windows = check(&holes(2000, 1500, &[rect(x, y, 50, 50)]));
            assert_eq!(windows.len(), 1);
            assert_eq!(windows[0].source.area(), 256 * 256);
        }
    }
}

#[test]
fn near_holes_share_a_window_and_far_ones_run_side_by_side() {
    let near = check(&holes(3000, 2000, &[rect(500, 500, 30, 30), rect(600, 560, 30, 30)]));
    assert_eq!(near.len(), 1);
    let far = check(&holes(3000, 2000, &[rect(100, 100, 30, 30), rect(2500, 1500, 30, 30)]));
    assert_eq!(far.iter().map(|window| window.wave).collect::<Vec<_>>(), [0, 0]);
}

#[test]
fn a_power_line_across_12_megapixels_is_followed_at_native_resolution() {
    for (from, to) in [((0, 700), (3999, 900)), ((0, 0), (3999, 2999)), ((1900, 0), (2100, 2999))] {
        let dots: Vec<Rect> = (0..4000u32)
            .map(|i| rect(from.0 + (to.0 - from.0) * i / 3999, from.1 + (to.1 - from.1) * i / 3999, 1, 1))
            .collect();
        let windows = check(&holes(4000, 3000, &dots).dilate(12));
        assert!(windows.len() > 3, "{windows:?}");
        assert!(windows.iter().all(|window| !window.is_scaled()));
        // Each but the first sees the end of what was filled before it.
        assert_eq!(
            windows.iter().map(|w| w.wave).collect::<Vec<_>>(),
            (0..windows.len()).collect::<Vec<_>>()
        );
    }
}

#[test]
fn many_small_holes_stay_within_the_limit() {
    let dust: Vec<Rect> = (0..60).flat_map(|i| (0..45).map(move |j| rect(i * 66, j * 66, 3, 3))).collect();
    check(&holes(4000, 3000, &dust));
    let few: Vec<Rect> =
        (0..4).flat_map(|i| (0..3).map(move |j| rect(200 + i * 1000, 200 + j * 1000, 20, 20))).collect();
    let windows = check(&holes(4000, 3000, &few));
    assert_eq!(windows.len(), 12);
    assert!(windows.iter().all(|window| window.side == 256));
}

#[test]
fn every_other_pixel_of_a_large_photo_is_planned() {
    let levels: Vec<u8> =
        (0..4096u32 * 4096).map(|i| if i % 2 == 0 && i / 4096 % 2 == 0 { 255 } else { 0 }).collect();
    check(&Mask::from_levels(4096, 4096, &levels, 128));
}

#[test]
fn a_hole_that_is_the_whole_photo_has_one_window() {
    for (width, height) in [(5, 5), (1, 1), (1, 4096), (300, 200), (1024, 1024), (4096, 4096), (4096, 100)] {
        let photo = Rect::of_size(width, height);
        let windows = check(&Mask::from_rect(width, height, photo));
        assert_eq!(windows.len(), 1, "{width}x{height}");
        assert_eq!(windows[0].source, photo);
    }
}

#[test]
fn a_scaled_window_keeps_the_photos_proportions() {
    let window = Window { source: rect(0, 0, 4096, 2731), side: 1024, core: rect(0, 0, 1, 1), wave: 0 };
    assert_eq!(window.content(), (1024, 683));
    let sliver = Window { source: rect(0, 0, 4096, 1), ..window };
    assert_eq!(sliver.content(), (1024, 1));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_set_of_holes_is_covered(
        (width, height) in (1..3000u32, 1..3000u32),
        spots in proptest::collection::vec((0.0..1.0f64, 0.0..1.0f64, 1..1500u32, 1..1500u32, any::<bool>()), 0..40),
        radius in 0..32u32,
    ) {
        let rects: Vec<Rect> = spots.iter().map(|&(x, y, w, h, small)| {
            let (x, y) = ((x * f64::from(width)) as u32, (y * f64::from(height)) as u32);
            let limit = if small { 20 } else { u32::MAX };
            rect(x, y, w.min(width - x).min(limit), h.min(height - y).min(limit))
        }).collect();
        check(&holes(width, height, &rects).dilate(radius));
    }
}
