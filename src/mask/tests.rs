use proptest::prelude::*;

use super::*;

fn drawn(rows: &[&str]) -> Mask {
    let mut mask = Mask::empty(rows[0].len() as u32, rows.len() as u32);
    for (y, row) in rows.iter().enumerate() {
        for (x, pixel) in row.bytes().enumerate() {
            if pixel == b'#' {
                set_span(mask.row_mut(y as u32), x as u32, x as u32 + 1);
            }
        }
    }
    mask
}

/// Sparse and dense sets, up to a few words per row.
fn any_mask() -> impl Strategy<Value = Mask> {
    (1..200u32, 1..60u32, 0..64u32).prop_flat_map(|(width, height, density)| {
        proptest::collection::vec(0..64u32, (width * height) as usize).prop_map(move |levels| {
            let levels: Vec<u8> = levels.iter().map(|&l| if l < density / 4 { 255 } else { 0 }).collect();
            Mask::from_levels(width, height, &levels, 128)
        })
    })
}

fn any_rect_in(width: u32, height: u32) -> impl Strategy<Value = Rect> {
    (0..width, 0..height).prop_flat_map(move |(x, y)| {
        (1..=width - x, 1..=height - y).prop_map(move |(w, h)| Rect { x, y, width: w, height: h })
    })
}

proptest! {
    #[test]
    fn dilation_is_every_pixel_within_the_euclidean_distance(mask in any_mask(), radius in 0..40u32) {
        let grown = mask.dilate(radius);
        let set: Vec<(i64, i64)> = (0..mask.height())
            .flat_map(|y| (0..mask.width()).map(move |x| (x, y)))
            .filter(|&(x, y)| mask.contains(x, y))
            .map(|(x, y)| (x.into(), y.into()))
            .collect();
        let reach = i64::from(radius * radius);
        for y in 0..mask.height() {
            for x in 0..mask.width() {
                let near = set.iter().any(|(sx, sy)| (sx - i64::from(x)).pow(2) + (sy - i64::from(y)).pow(2) <= reach);
                prop_assert_eq!(grown.contains(x, y), near, "at {}, {}", x, y);
            }
        }
        prop_assert_eq!(grown.count(), (0..mask.height()).map(|y| (0..mask.width()).filter(|&x| grown.contains(x, y)).count() as u64).sum::<u64>());
    }

    #[test]
    fn crop_clear_count_and_bounds_agree_with_looking_at_every_pixel(
        (mask, rect) in any_mask().prop_flat_map(|m| { let r = any_rect_in(m.width(), m.height()); (Just(m), r) })
    ) {
        let inside = |x: u32, y: u32| (rect.x..rect.right()).contains(&x) && (rect.y..rect.bottom()).contains(&y);
        let part = mask.crop(rect);
        let mut rest = mask.clone();
        rest.clear_rect(rect);
        let mut count = 0;
        for y in 0..mask.height() {
            for x in 0..mask.width() {
                if inside(x, y) {
                    prop_assert_eq!(part.contains(x - rect.x, y - rect.y), mask.contains(x, y));
                    count += u64::from(mask.contains(x, y));
                }
                prop_assert_eq!(rest.contains(x, y), mask.contains(x, y) && !inside(x, y));
            }
        }
        prop_assert_eq!(mask.count_within(rect), count);
        prop_assert_eq!(mask.intersects(rect), count > 0);
        prop_assert_eq!(part.count(), count);
        prop_assert_eq!(rest.count() + count, mask.count());
        match mask.bounds_within(rect) {
            None => prop_assert_eq!(count, 0),
            Some(bounds) => {
                prop_assert_eq!(mask.count_within(bounds), count);
                for edge in [
                    Rect { width: 1, ..bounds },
                    Rect { height: 1, ..bounds },
                    Rect { x: bounds.right() - 1, width: 1, ..bounds },
                    Rect { y: bounds.bottom() - 1, height: 1, ..bounds },
                ] {
                    prop_assert!(mask.count_within(edge) > 0);
                }
            }
        }
    }

    #[test]
    fn every_pixel_belongs_to_one_component(mask in any_mask()) {
        let parts = mask.components();
        prop_assert_eq!(parts.iter().map(|part| part.pixels).sum::<u64>(), mask.count());
        for part in &parts {
            prop_assert!(part.pixels <= mask.count_within(part.bounds));
        }
        // Dilating by one pixel joins what touches by an edge, and nothing that is a pixel apart.
        let mut kept = mask.clone();
        kept.remove_small(1);
        prop_assert_eq!(&kept, &mask);
        kept.remove_small(u64::MAX);
        prop_assert!(kept.is_empty());
    }
}

#[test]
fn components_join_by_edges_and_corners() {
    let mask = drawn(&["##....#...", "..#..#.#..", ".....#.#..", "....#...#.", "#........."]);
    let mut parts: Vec<_> = mask.components().iter().map(|part| (part.bounds, part.pixels)).collect();
    parts.sort_by_key(|(bounds, _)| (bounds.y, bounds.x));
    assert_eq!(
        parts,
        [
            (Rect { x: 0, y: 0, width: 3, height: 2 }, 3),
            (Rect { x: 4, y: 0, width: 5, height: 4 }, 7),
            (Rect { x: 0, y: 4, width: 1, height: 1 }, 1),
        ]
    );
}

#[test]
fn small_components_are_removed_whole() {
    let mut mask = drawn(&["##...#", "#.....", "...###", "...#.."]);
    mask.remove_small(4);
    assert_eq!(mask, drawn(&["......", "......", "...###", "...#.."]));
}

#[test]
fn a_part_that_closes_late_is_one_part() {
    let mask = drawn(&["#.#.#", "#.#.#", "#.###", "###.."]);
    assert_eq!(mask.components().len(), 1);
    assert_eq!(mask.components()[0].pixels, mask.count());
}

#[test]
fn resizing_takes_the_pixel_under_the_centre() {
    let mask = drawn(&["#.", ".#"]);
    assert_eq!(mask.resized(4, 4), drawn(&["##..", "##..", "..##", "..##"]));
    assert_eq!(mask.resized(4, 4).resized(2, 2), mask);
    assert_eq!(mask.resized(2, 2), mask);
    assert_eq!(drawn(&["#####", "....."]).resized(3, 1), drawn(&["..."]));
}

#[test]
fn a_threshold_of_128_splits_the_greys() {
    assert_eq!(Mask::from_levels(4, 1, &[0, 127, 128, 255], 128), drawn(&["..##"]));
}

#[test]
fn a_pixel_at_the_edge_grows_to_a_quarter_of_a_disc_without_gaps() {
    for radius in 0..=63 {
        for (x, y) in [(0, 0), (127, 0), (0, 127), (127, 127)] {
            let grown = Mask::from_rect(128, 128, Rect { x, y, width: 1, height: 1 }).dilate(radius);
            for (to_x, to_y) in (0..128u32).flat_map(|to_y| (0..128u32).map(move |to_x| (to_x, to_y))) {
                let near = to_x.abs_diff(x).pow(2) + to_y.abs_diff(y).pow(2) <= radius * radius;
                assert_eq!(grown.contains(to_x, to_y), near, "{radius} from {x}, {y} at {to_x}, {to_y}");
            }
        }
    }
}

#[test]
fn the_part_nearest_to_a_point_is_found_within_reach() {
    let mut two = Mask::from_rect(200, 40, Rect { x: 3, y: 4, width: 60, height: 20 });
    let other = Rect { x: 70, y: 10, width: 100, height: 5 };
    two.copy_rect(&Mask::from_rect(200, 40, other), Rect { x: 66, y: 0, width: 134, height: 40 });
    let bounds =
        |at, reach| two.part_near(at, reach).and_then(|part| part.bounds_within(Rect::of_size(200, 40)));
    assert_eq!(bounds((80, 12), 0), Some(other));
    assert_eq!(bounds((67, 12), 4), Some(other));
    assert_eq!(bounds((64, 12), 4).map(|bounds| bounds.x), Some(3));
    assert_eq!(bounds((199, 39), 20), None);
    assert_eq!(two.part_near((80, 12), 0).map(|part| part.count()), Some(500));
}

#[test]
fn a_placed_set_is_what_a_crop_takes_back() {
    let set = Mask::from_levels(70, 3, &(0..210).map(|i| (i * 37 % 256) as u8).collect::<Vec<_>>(), 128);
    let placed = set.placed((61, 5), (200, 20));
    assert_eq!(placed.crop(Rect { x: 61, y: 5, width: 70, height: 3 }), set);
    assert_eq!(placed.count(), set.count());
}
