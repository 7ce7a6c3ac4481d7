use proptest::prelude::*;
use rustix::time::{ClockId, clock_gettime};

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

/// Checks the invariants of any plan.
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
            // Any part of an earlier hole that it shows must be filled by then.
            let filled = earlier.wave < window.wave || !earlier.core.intersects(&window.source);
            assert!(filled, "{earlier:?} and {window:?}");
        }
        open.clear_rect(window.core);
    }
    assert!(open.is_empty(), "{open:?} of {mask:?} is left by {windows:?}");
    windows
}

#[test]
fn an_empty_mask_needs_no_window() {
    assert_eq!(check(&Mask::empty(100, 100)), []);
}

#[test]
fn a_hole_is_shown_at_native_resolution_in_the_smallest_side_that_holds_its_context() {
    for (hole, side) in
        [(20, 256), (150, 256), (200, 512), (300, 512), (316, 512), (400, 768), (600, 1024), (800, 1024)]
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
        // Each but the first sees the end of the previous fill.
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
        let mask = holes(width, height, &rects).dilate(radius);
        assert_eq!(check(&mask), plainly::plan(&mask));
    }
}

/// A reference implementation that copies the set for every try.
mod plainly {
    use super::super::*;

    pub fn plan(mask: &Mask) -> Vec<Window> {
        let photo = Rect::of_size(mask.width(), mask.height());
        let mut groups = groups(mask, &Sparse::from(mask));
        join_before(&mut groups, photo);
        let mut windows = loop {
            let windows = cover_before(mask, &groups, photo);
            if windows.len() <= MAX_WINDOWS || groups.len() == 1 {
                break windows;
            }
            join_nearest(&mut groups);
        };
        order(&mut windows);
        windows
    }

    /// Merges groups as long as one window for both costs the model no more than one for each.
    fn join_before(groups: &mut Vec<Rect>, photo: Rect) {
        let cost = |hole: &Rect| fitting_side(*hole, photo).map(|side| u64::from(side).pow(2));
        let mut i = 0;
        while i < groups.len() {
            let partner = (i + 1..groups.len()).find(|&j| {
                let both = cost(&groups[i].union(&groups[j]));
                let each = cost(&groups[i]).zip(cost(&groups[j])).map(|(a, b)| a + b);
                both.zip(each).is_some_and(|(both, each)| both <= each)
            });
            match partner {
                // The merged group may now match one that was passed over.
                Some(j) => {
                    let joined = groups.remove(j);
                    groups[i] = groups[i].union(&joined);
                    i = 0;
                }
                None => i += 1,
            }
        }
    }
    /// The windows of all groups. A pixel that an earlier window fills stays with it.
    fn cover_before(mask: &Mask, groups: &[Rect], photo: Rect) -> Vec<Window> {
        let mut open = mask.clone();
        let mut windows = Vec::new();
        for group in groups {
            let Some(hole) = open.bounds_within(*group) else { continue };
            let budget = MAX_WINDOWS.saturating_sub(windows.len());
            let cover = match fitting_side(hole, photo) {
                Some(side) => vec![around(hole, side, side, photo)],
                None => {
                    follow_before(&open, hole, photo, budget).unwrap_or_else(|| vec![shrunken(hole, photo)])
                }
            };
            for window in &cover {
                open.clear_rect(window.core);
            }
            windows.extend(cover);
        }
        windows
    }
    /// Follows a long, thin hole with windows at the photo's own resolution, with the smallest side for which
    /// at most a third of each square is hole; `None` if none fits in `budget` windows. Each sees the fill of
    /// the one before.
    fn follow_before(open: &Mask, hole: Rect, photo: Rect, budget: usize) -> Option<Vec<Window>> {
        SIDES[1..].iter().find_map(|&side| {
            let mut open = open.clone();
            let mut windows = Vec::new();
            while let Some(rest) = open.bounds_within(hole) {
                let window =
                    around(next_piece(&Sparse::from(&open), rest, side - side / 3), side, side, photo);
                let thin = open.count_within(window.source) * 3 <= window.source.area();
                if windows.len() == budget || !thin {
                    return None;
                }
                open.clear_rect(window.core);
                windows.push(window);
            }
            Some(windows)
        })
    }
}

/// The most expensive masks known, for a photo of `side` by `side` pixels.
fn adversarial(side: u32) -> Vec<(&'static str, Mask)> {
    let drawn = |set: &dyn Fn(u32, u32) -> bool| {
        let levels: Vec<u8> =
            (0..side * side).map(|i| if set(i % side, i / side) { 255 } else { 0 }).collect();
        Mask::from_levels(side, side, &levels, 128)
    };
    let noise = |x: u32, y: u32, of: u32| {
        let mixed = (x.wrapping_mul(0x9e37_79b1) ^ y.wrapping_mul(0x85eb_ca6b)).wrapping_mul(0xc2b2_ae35);
        (mixed ^ mixed >> 15).wrapping_mul(0x27d4_eb2f) >> 8 < (1 << 24) / of
    };
    vec![
        ("lines across", drawn(&|_, y| y % 34 == 0)),
        ("lines down", drawn(&|x, _| x % 34 == 0)),
        ("lines far apart", drawn(&|_, y| y % 150 == 0)),
        ("slanted lines", drawn(&|x, y| (x + y) % 60 == 0)),
        ("slanted lines far apart", drawn(&|x, y| (x + y) % 250 == 0)),
        ("a grid", drawn(&|x, y| x % 200 == 0 || y % 200 == 0)),
        ("dots", drawn(&|x, y| x % 70 == 0 && y % 70 == 0)),
        ("dots far apart", drawn(&|x, y| x % 260 == 0 && y % 260 == 0)),
        ("a checkerboard", drawn(&|x, y| (x / 8 + y / 8) % 2 == 0)),
        ("every other pixel", drawn(&|x, y| x % 2 == 0 && y % 2 == 0)),
        (
            "rings",
            drawn(&|x, y| {
                let (x, y) = (f64::from(x) - f64::from(side) / 2.0, f64::from(y) - f64::from(side) / 2.0);
                x.hypot(y) % 90.0 < 2.0
            }),
        ),
        (
            "a spiral",
            drawn(&|x, y| {
                let (x, y) = (f64::from(x) - f64::from(side) / 2.0, f64::from(y) - f64::from(side) / 2.0);
                (x.hypot(y) + y.atan2(x) * 80.0 / std::f64::consts::TAU).rem_euclid(80.0) < 3.0
            }),
        ),
        ("noise", drawn(&|x, y| noise(x, y, 2))),
        ("rare noise", drawn(&|x, y| noise(x, y, 20_000))),
        ("very rare noise", drawn(&|x, y| noise(x, y, 100_000))),
    ]
}

#[test]
fn adversarial_masks_have_the_plan_that_copies_would_give() {
    for (what, mask) in adversarial(1500) {
        assert_eq!(plan(&mask), plainly::plan(&mask), "{what}");
        let mask = mask.dilate(8);
        assert_eq!(check(&mask), plainly::plan(&mask), "{what}");
    }
}

/// CPU time of this thread in milliseconds, as other tests run in parallel.
fn processor() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e3 + time.tv_nsec as f64 / 1e6
}

#[test]
fn any_mask_of_full_size_is_planned_in_a_tenth_of_a_second() {
    for (what, mask) in adversarial(4096) {
        for mask in [mask.dilate(8), mask] {
            // Best of three: whatever shares the core disturbs its caches.
            let tries = [(); 3].map(|()| {
                let started = processor();
                let windows = plan(&mask).len();
                (processor() - started, windows)
            });
            let (took, windows) = tries.into_iter().min_by(|a, b| a.0.total_cmp(&b.0)).expect("three");
            println!("{what}: {windows} windows in {took:.1} ms");
            // Debug assertions slow it down.
            let most = if cfg!(debug_assertions) { 500.0 } else { 100.0 };
            assert!(took < most, "{what}: {took:.1} ms");
        }
    }
}
