use super::*;

/// Stripes with noise, so that every place is unique.
fn picture(width: usize, height: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(7);
    (0..width * height)
        .flat_map(|place| {
            let (x, y) = (place % width, place / width);
            let stripe = if (x / 9 + y / 14) % 2 == 0 { 60 } else { 170 };
            [0, 1, 2].map(|i| (stripe + 10 * i + random.usize(..20)) as u8)
        })
        .collect()
}

fn hole(width: usize, height: usize, [left, top, right, bottom]: [usize; 4]) -> Vec<u8> {
    (0..width * height)
        .map(|place| {
            let (x, y) = (place % width, place / width);
            u8::from((left..right).contains(&x) && (top..bottom).contains(&y)) * 255
        })
        .collect()
}

fn filled(width: usize, height: usize, rgb: &[u8], hole: &[u8], forbidden: &[u8]) -> Fill {
    fill(&Picture { width, height, rgb, hole, forbidden })
}

#[test]
fn known_pixels_keep_their_values_and_offsets_lead_out_of_the_hole() {
    let (rgb, hole) = (picture(150, 110), hole(150, 110, [40, 30, 90, 70]));
    let fill = filled(150, 110, &rgb, &hole, &[]);
    for place in 0..150 * 110 {
        let [right, down] = fill.offsets[place];
        if hole[place] == 0 {
            assert_eq!(fill.rgb[place * 3..][..3], rgb[place * 3..][..3]);
            assert_eq!([right, down], [0, 0]);
        } else {
            let from = place as isize + isize::from(down) * 150 + isize::from(right);
            assert_eq!(hole[from as usize], 0, "{place} is copied from the hole");
        }
    }
}

#[test]
fn the_bytes_are_the_same_with_any_number_of_threads() {
    let (rgb, hole) = (picture(300, 260), hole(300, 260, [60, 50, 220, 200]));
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| filled(300, 260, &rgb, &hole, &[]))
    };
    let one = on(1);
    for threads in [2, 8] {
        let many = on(threads);
        assert!(many.rgb == one.rgb && many.offsets == one.offsets, "{threads} threads");
    }
}

#[test]
fn the_bytes_are_the_same_with_any_instructions() {
    let (rgb, hole) = (picture(200, 160), hole(200, 160, [60, 40, 140, 120]));
    let with =
        |set| fill_with(&Picture { width: 200, height: 160, rgb: &rgb, hole: &hole, forbidden: &[] }, set);
    let portable = with(Set::Portable);
    for set in Set::here() {
        let fill = with(set);
        assert!(fill.rgb == portable.rgb && fill.offsets == portable.offsets, "{set:?}");
    }
}

#[test]
fn what_the_picture_has_inside_the_hole_does_not_count() {
    let (rgb, hole) = (picture(120, 120), hole(120, 120, [40, 40, 80, 80]));
    let mut other = rgb.clone();
    for (pixel, _) in other.chunks_exact_mut(3).zip(&hole).filter(|(_, hole)| **hole != 0) {
        pixel.copy_from_slice(&[255, 0, 60]);
    }
    assert!(filled(120, 120, &rgb, &hole, &[]).rgb == filled(120, 120, &other, &hole, &[]).rgb);
}

#[test]
fn forbidden_pixels_are_never_copied() {
    let (width, height) = (160, 120);
    let mut rgb = picture(width, height);
    let forbidden = self::hole(width, height, [110, 0, 160, 120]);
    for (pixel, _) in rgb.chunks_exact_mut(3).zip(&forbidden).filter(|(_, no)| **no != 0) {
        pixel.copy_from_slice(&[255, 0, 255]);
    }
    let hole = hole(width, height, [60, 40, 112, 80]);
    let fill = filled(width, height, &rgb, &hole, &forbidden);
    for place in (0..width * height).filter(|&place| hole[place] != 0) {
        let [right, down] = fill.offsets[place];
        let from = place as isize + isize::from(down) * width as isize + isize::from(right);
        assert_eq!(forbidden[from as usize], 0, "{place} is copied from what is forbidden");
    }
}

#[test]
fn a_regular_pattern_goes_on() {
    let (width, height) = (256, 256);
    let rgb: Vec<u8> = (0..width * height)
        .flat_map(|place| [if (place % width / 8 + place / width / 8) % 2 == 0 { 40 } else { 200 }; 3])
        .collect();
    let hole = hole(width, height, [100, 100, 160, 150]);
    let fill = filled(width, height, &rgb, &hole, &[]);
    let wrong = fill.rgb.iter().zip(&rgb).filter(|(a, b)| a.abs_diff(**b) > 40).count();
    assert!(wrong < 60 * 50 * 3 / 20, "{wrong} of 9000 bytes are wrong");
}

#[test]
fn a_shade_from_light_to_dark_goes_on() {
    let (width, height) = (256, 256);
    let mut random = fastrand::Rng::with_seed(3);
    let rgb: Vec<u8> = (0..width * height)
        .flat_map(|place| [(40 + place / width / 2 + random.usize(..3)) as u8; 3])
        .collect();
    let hole = hole(width, height, [80, 80, 180, 180]);
    let fill = filled(width, height, &rgb, &hole, &[]);
    let most = fill.rgb.iter().zip(&rgb).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
    assert!(most <= 8, "{most} levels off");
}

#[test]
fn a_hole_that_nothing_can_be_copied_into_takes_the_colours_around_it() {
    let rgb = [[90, 120, 150]; 20 * 20].concat();
    let hole = hole(20, 20, [3, 3, 20, 20]);
    let fill = filled(20, 20, &rgb, &hole, &[]);
    assert_eq!(fill.rgb, rgb);
}

#[test]
fn pictures_of_all_sizes_and_holes_are_filled() {
    for (width, height) in [(1, 1), (1, 40), (7, 6), (8, 7), (9, 90), (33, 31), (64, 64), (100, 3)] {
        let rgb = picture(width, height);
        for hole in [
            vec![0; width * height],
            vec![255; width * height],
            hole(width, height, [0, 0, width / 2, height]),
        ] {
            let fill = filled(width, height, &rgb, &hole, &[]);
            assert_eq!(fill.rgb.len(), rgb.len());
            if hole.iter().all(|&hole| hole != 0) {
                assert!(fill.rgb.iter().all(|&byte| byte == 128), "{width} x {height}");
            }
        }
    }
}

#[test]
fn any_hole_in_any_picture_is_filled_from_what_may_be_copied() {
    let mut random = fastrand::Rng::with_seed(11);
    for round in 0..40 {
        let (width, height) = (random.usize(1..140), random.usize(1..140));
        let rgb: Vec<u8> = (0..width * height * 3).map(|_| random.u8(..)).collect();
        let mut marked = |most: usize| {
            let mut marked = vec![0; width * height];
            for _ in 0..random.usize(0..=most) {
                let (left, top) = (random.usize(..width), random.usize(..height));
                let (right, bottom) = (random.usize(left..width), random.usize(top..height));
                for y in top..=bottom {
                    marked[y * width + left..=y * width + right].fill(random.u8(1..));
                }
            }
            marked
        };
        let (hole, forbidden) = (marked(4), marked(2));
        let fill = filled(width, height, &rgb, &hole, &forbidden);
        for place in 0..width * height {
            let [right, down] = fill.offsets[place].map(isize::from);
            if hole[place] == 0 {
                assert_eq!(fill.rgb[place * 3..][..3], rgb[place * 3..][..3], "round {round}: {place}");
                assert_eq!([right, down], [0, 0], "round {round}: {place}");
            } else if [right, down] != [0, 0] {
                let (x, y) = ((place % width) as isize + right, (place / width) as isize + down);
                assert!((0..width as isize).contains(&x) && (0..height as isize).contains(&y));
                let from = y as usize * width + x as usize;
                assert!(hole[from] == 0 && forbidden[from] == 0, "round {round}: {place} is from {from}");
            }
        }
    }
}

#[test]
fn origins_are_known_places_and_the_same_with_any_threads_and_instructions() {
    let (width, height) = (230, 190);
    let (rgb, hole) = (picture(width, height), hole(width, height, [61, 50, 150, 121]));
    let picture = Picture { width, height, rgb: &rgb, hole: &hole, forbidden: &[] };
    let all = origins(&picture);
    for place in 0..width * height {
        let [right, down] = all[place];
        if hole[place] == 0 {
            assert_eq!([right, down], [0, 0], "{place}");
        } else {
            let from = place as isize + isize::from(down) * width as isize + isize::from(right);
            assert_eq!(hole[from as usize], 0, "{place} is of the hole");
        }
    }
    for set in Set::here() {
        assert!(crate::origins::origins_with(&picture, set) == all, "{set:?}");
    }
    for threads in [1, 2, 8] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        assert!(pool.install(|| origins(&picture)) == all, "{threads} threads");
    }
}

/// Noise with a dark line, three pixels wide, that rises by one pixel in four.
fn cable(width: usize, height: usize) -> (Vec<u8>, impl Fn(usize) -> usize) {
    let centre = move |x: usize| height / 2 + x / 4 - width / 8;
    let mut random = fastrand::Rng::with_seed(3);
    let rgb = (0..width * height)
        .flat_map(|place| {
            let dark = (place / width).abs_diff(centre(place % width)) <= 1;
            let level = if dark { 110 } else { 170 } + random.u8(..30);
            [level; 3]
        })
        .collect();
    (rgb, centre)
}

#[test]
fn a_thin_line_is_found_on_both_sides_and_copied_along() {
    let (width, height) = (640, 480);
    let (rgb, centre) = cable(width, height);
    let hole = hole(width, height, [210, 130, 430, 350]);
    let picture = Picture { width, height, rgb: &rgb, hole: &hole, forbidden: &[] };
    let level = Level::new(&picture);
    let found = lines::lines(&level.halved());
    let seeds = lines::seeds(&found, &level, 2.0);
    for x in 210..430 {
        let place = level.region.place(x, centre(x));
        let (_, [right, down]) = *seeds.iter().find(|&&(at, _)| Some(at) == place).unwrap();
        let from = (x.wrapping_add_signed(right.into()), centre(x).wrapping_add_signed(down.into()));
        assert!(from.1.abs_diff(centre(from.0)) <= 2, "column {x} is copied from {from:?}");
    }
    let fill = fill(&picture);
    let level = |x: usize, y: usize| u32::from(fill.rgb[(y * width + x) * 3]);
    // The mean of what is along the line, so much below it.
    let mean = |columns: std::ops::Range<usize>, below: usize| {
        columns.clone().map(|x| level(x, centre(x) + below)).sum::<u32>() / columns.len() as u32
    };
    for start in (210..430).step_by(20) {
        let (on, off) = (mean(start..start + 20, 0), mean(start..start + 20, 12));
        assert!(on + 40 < off, "{on} on the line and {off} below it, from column {start}");
    }
}

#[test]
fn a_line_that_is_itself_erased_does_not_come_back() {
    let (width, height) = (320, 240);
    let (rgb, centre) = cable(width, height);
    let hole: Vec<u8> = (0..width * height)
        .map(|place| {
            let (x, y) = (place % width, place / width);
            u8::from((110..210).contains(&x) && y.abs_diff(centre(x)) <= 9) * 255
        })
        .collect();
    let level = Level::new(&Picture { width, height, rgb: &rgb, hole: &hole, forbidden: &[] });
    assert_eq!(lines::lines(&level.halved()), []);
}

#[test]
fn few_sources_of_the_strongest_contrast_overflow_nothing() {
    // All but a corner is missing: its one cell is copied thousands of times.
    let (width, height) = (78, 78);
    let mut random = fastrand::Rng::with_seed(11);
    let rgb: Vec<u8> = (0..width * height * 3).map(|_| if random.bool() { 255 } else { 0 }).collect();
    let hole = (0..width * height)
        .map(|place| u8::from(place % width >= 9 || place / width >= 8))
        .collect::<Vec<_>>();
    let fill = filled(width, height, &rgb, &hole, &[]);
    assert_eq!(fill.rgb.len(), rgb.len());
}
