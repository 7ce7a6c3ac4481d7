use image::{Rgb, RgbImage};
use turbojpeg_sys::*;

use super::super::tests::{Kind, file, grey, picture, with_segment};
use super::super::{Scan, decode, header};
use super::*;

/// How many random files are tried.
const ROUNDS: u32 = 1_000;

/// Tells which areas have a pixel of one of these.
pub(crate) fn changed_in(holes: Vec<Area>) -> impl Fn(Area) -> bool {
    move |at| holes.iter().any(|hole| hole.intersects(&at))
}

pub(crate) fn area(x: u32, y: u32, width: u32, height: u32) -> Area {
    Area { x, y, width, height }
}

/// Every component's blocks, row by row.
pub(crate) fn blocks(file: &[u8]) -> Vec<(Plane, Vec<Vec<i16>>)> {
    let reader = Reader::open(file, false).unwrap();
    let components = reader.frame().components;
    let mut coefficients = reader.read_coefficients().unwrap();
    (0..components)
        .map(|component| {
            let plane = coefficients.plane(component);
            let rows =
                (0..plane.blocks_high).map(|row| coefficients.block_row(component, row).unwrap().to_vec());
            (plane, rows.collect())
        })
        .collect()
}

pub(crate) fn painted(image: &DynamicImage, holes: &[Area]) -> DynamicImage {
    let mut edited = image.to_rgb8();
    for hole in holes {
        for y in hole.y..hole.y + hole.height {
            for x in hole.x..hole.x + hole.width {
                let shade = (x * 5 + y * 3) as u8;
                edited.put_pixel(x, y, Rgb([250, shade / 2, 20]));
            }
        }
    }
    match image {
        DynamicImage::ImageLuma8(_) => DynamicImage::ImageLuma8(DynamicImage::from(edited).to_luma8()),
        _ => edited.into(),
    }
}

pub(crate) fn kinds() -> Vec<Kind> {
    let mut kinds = vec![Kind { colours: Some(TJCS_TJCS_RGB), ..Kind::default() }];
    for subsampling in [
        TJSAMP_TJSAMP_444,
        TJSAMP_TJSAMP_422,
        TJSAMP_TJSAMP_420,
        TJSAMP_TJSAMP_440,
        TJSAMP_TJSAMP_411,
        TJSAMP_TJSAMP_441,
    ] {
        for (progressive, arithmetic, optimised, restart) in [
            (false, false, false, 0),
            (false, false, true, 0),
            (false, false, false, 4),
            (true, false, false, 3),
            (false, true, false, 0),
            (true, true, false, 0),
        ] {
            let colours = None;
            kinds.push(Kind { subsampling, colours, progressive, arithmetic, optimised, restart });
        }
    }
    kinds
}

/// Checks a patch against the rule: the blocks that no hole touches are the original's, the others
/// are those of a picture encoded whole.
fn check(original: &[u8], holes: &[Area], what: &str) -> Vec<u8> {
    let decoded = decode(original).unwrap().image;
    let edited = painted(&decoded, holes);
    let changed = changed_in(holes.to_vec());
    let patched = patch_coefficients(original, &Part::whole(&edited), &changed).unwrap();
    check_blocks(original, &patched, &edited, holes, what);
    if let Some(scan) = Scan::of(original) {
        let by_bits = scan.patch(original, &Part::whole(&edited), &changed).unwrap();
        check_blocks(original, &by_bits, &edited, holes, &format!("{what}, by bits"));
        assert_eq!(decode(&by_bits).unwrap().image, decode(&patched).unwrap().image, "{what}, by bits");
        assert!(Scan::of(&by_bits).is_some(), "{what}, by bits");
        let head =
            |file: &[u8]| file[..file.windows(2).position(|pair| pair == [0xff, 0xdb]).unwrap()].to_vec();
        assert_eq!(head(&by_bits), head(&patched), "{what}, by bits");
        check_part(&scan, original, &edited, holes, &by_bits, what);
    }
    patched
}

/// A part with what has changed is enough.
fn check_part(
    scan: &Scan,
    original: &[u8],
    edited: &DynamicImage,
    holes: &[Area],
    by_bits: &[u8],
    what: &str,
) {
    let grown: Vec<Area> = holes.iter().map(|hole| scan.grow(*hole)).collect();
    let Some(&first) = grown.first() else { return };
    let part = grown.iter().fold(first, |a, b| {
        Area::from_edges(a.x.min(b.x), a.y.min(b.y), a.right().max(b.right()), a.bottom().max(b.bottom()))
    });
    let image = edited.crop_imm(part.x, part.y, part.width, part.height);
    let of_part = Part { image: &image, x: part.x, y: part.y };
    let changed = changed_in(holes.to_vec());
    assert!(scan.patch(original, &of_part, &changed).unwrap() == by_bits, "{what}, of a part");
}

/// Checks the rule.
fn check_blocks(original: &[u8], patched: &[u8], edited: &DynamicImage, holes: &[Area], what: &str) {
    let changed = changed_in(holes.to_vec());
    let decoded = decode(original).unwrap().image;
    let frame = Reader::open(original, false).unwrap().frame();
    let whole = {
        let mut like = Reader::open(original, false).unwrap();
        let (pixels, channels) = samples(edited);
        let size = (edited.width(), edited.height());
        like.encode_alike(&pixels, size, size.0 as usize * channels as usize).unwrap()
    };
    let picture = Pixels::of(&Part::whole(edited), frame).unwrap();
    let planes = blocks(original).into_iter().zip(blocks(patched)).zip(blocks(&whole));
    for (component, (((plane, old), (_, new)), (_, fresh))) in planes.enumerate() {
        assert_eq!(old.len(), new.len(), "{what}");
        for row in 0..plane.blocks_high as usize {
            for column in 0..plane.blocks_wide as usize {
                let block = column * 64..column * 64 + 64;
                let touched = changed(picture.covered(&plane, column as u32, row as u32));
                let expected = if touched { &fresh } else { &old };
                assert_eq!(
                    new[row][block.clone()],
                    expected[row][block],
                    "{what}: component {component}, row {row}, column {column}, touched {touched}"
                );
            }
        }
    }

    let header = header(original).unwrap();
    let result = decode(patched).unwrap().image;
    let grown: Vec<Area> = holes.iter().map(|hole| header.grow(*hole)).collect();
    for y in 0..header.height {
        for x in 0..header.width {
            if !grown.iter().any(|hole| hole.intersects(&area(x, y, 1, 1))) {
                let at = |image: &DynamicImage| image::GenericImageView::get_pixel(image, x, y);
                assert_eq!(at(&result), at(&decoded), "{what}: pixel {x},{y}");
            }
        }
    }
}

#[test]
fn untouched_blocks_keep_their_coefficients_in_every_kind_of_file() {
    for kind in kinds() {
        let original = file(&picture(150, 101), kind);
        check(&original, &[area(50, 30, 37, 21)], &format!("{kind:?}"));
    }
}

#[test]
fn nothing_changes_where_nothing_changed() {
    for kind in kinds() {
        let original = file(&picture(75, 61), kind);
        let patched = check(&original, &[], &format!("{kind:?}"));
        assert_eq!(decode(&patched).unwrap().image, decode(&original).unwrap().image, "{kind:?}");
    }
}

#[test]
fn holes_at_edges_and_corners_of_odd_pictures_are_filled() {
    let holes = [area(0, 0, 3, 2), area(70, 58, 3, 3), area(40, 0, 1, 1), area(72, 20, 1, 9)];
    for subsampling in [TJSAMP_TJSAMP_444, TJSAMP_TJSAMP_422, TJSAMP_TJSAMP_420, TJSAMP_TJSAMP_411] {
        let kind = Kind { subsampling, ..Kind::default() };
        let original = file(&picture(73, 61), kind);
        check(&original, &holes, &format!("{kind:?}"));
        check(&original, &[area(0, 0, 73, 61)], &format!("{kind:?}, all of it"));
    }
}

#[test]
fn pictures_smaller_than_a_block_are_patched() {
    for (width, height) in [(1, 1), (5, 3), (9, 1), (1, 17)] {
        let kind = Kind { subsampling: TJSAMP_TJSAMP_420, ..Kind::default() };
        let original = file(&picture(width, height), kind);
        check(&original, &[area(width - 1, height - 1, 1, 1)], &format!("{width}x{height}"));
    }
}

#[test]
fn grey_photos_are_patched() {
    for progressive in [false, true] {
        let kind = Kind { progressive, ..Kind::default() };
        let original = file(&grey(&picture(77, 59)), kind);
        check(&original, &[area(20, 20, 30, 9)], "grey");
    }
}

/// Some cameras give grey files' one component factors of 2.
#[test]
fn grey_photos_with_odd_sampling_factors_are_patched() {
    let mut original = file(&grey(&picture(77, 59)), Kind::default());
    let frame = original.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
    assert_eq!(original[frame + 11], 0x11);
    original[frame + 11] = 0x22;
    check(&original, &[area(20, 20, 30, 9), area(70, 50, 7, 9)], "grey 2x2");
}

#[test]
fn the_fill_is_seen_in_the_result() {
    let original = file(&picture(120, 90), Kind::default());
    let hole = area(37, 29, 30, 30);
    let patched = check(&original, &[hole], "fill");
    let edited = painted(&decode(&original).unwrap().image, &[hole]).to_rgb8();
    let result = decode(&patched).unwrap().image.to_rgb8();
    for y in hole.y..hole.y + hole.height {
        for x in hole.x..hole.x + hole.width {
            let (is, should) = (result.get_pixel(x, y), edited.get_pixel(x, y));
            let far = is.0.iter().zip(should.0).map(|(a, b)| a.abs_diff(b)).max().unwrap();
            assert!(far < 80, "{x},{y}: {is:?} instead of {should:?}");
        }
    }
}

fn marker(file: &[u8], marker: u8) -> Option<&[u8]> {
    let at = file.windows(2).position(|pair| pair == [0xff, marker])?;
    let length = usize::from(file[at + 2]) << 8 | usize::from(file[at + 3]);
    Some(&file[at + 4..at + 2 + length])
}

#[test]
fn the_kind_of_file_stays() {
    const BASELINE: u8 = 0xc0;
    const PROGRESSIVE: u8 = 0xc2;
    const ARITHMETIC: u8 = 0xc9;
    const RESTART_INTERVAL: u8 = 0xdd;
    let plain = Kind { subsampling: TJSAMP_TJSAMP_420, ..Kind::default() };
    for (kind, frame) in [
        (plain, BASELINE),
        (Kind { progressive: true, ..plain }, PROGRESSIVE),
        (Kind { arithmetic: true, ..plain }, ARITHMETIC),
        (Kind { restart: 4, ..plain }, BASELINE),
    ] {
        let original = file(&picture(150, 101), kind);
        let patched = check(&original, &[area(5, 5, 9, 9)], "kind");
        // Size, precision, identifiers, sampling factors and table numbers.
        assert_eq!(marker(&patched, frame), marker(&original, frame), "{kind:?}");
        assert!(marker(&original, frame).is_some());
        assert_eq!(marker(&patched, RESTART_INTERVAL), marker(&original, RESTART_INTERVAL));
        let (old, new) = (marker(&original, 0xe0), marker(&patched, 0xe0));
        assert_eq!(old.map(|jfif| &jfif[..5]), Some(&b"JFIF\0"[..]));
        assert_eq!(old, new);
    }
}

#[test]
fn rgb_files_are_marked_as_such() {
    let kind = Kind { colours: Some(TJCS_TJCS_RGB), ..Kind::default() };
    let patched = check(&file(&picture(40, 40), kind), &[area(5, 5, 9, 9)], "RGB");
    let adobe = marker(&patched, 0xee).unwrap();
    assert_eq!((&adobe[..5], adobe.last()), (&b"Adobe"[..], Some(&0)));
    assert!(marker(&patched, 0xe0).is_none(), "JFIF would mean YCbCr");
}

#[test]
fn the_profile_and_the_orientation_stay_and_nothing_else() {
    let plain = file(&picture(64, 48), Kind::default());
    let exif = b"Exif\0\0MM\0\x2a\0\0\0\x08\0\x02\
        \x01\x0f\0\x02\0\0\0\x04Cam\0\
        \x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
    let profile = b"ICC_PROFILE\0\x01\x01a profile";
    let mut original = with_segment(&plain, 0xe2, profile);
    original = with_segment(&original, 0xfe, b"a comment");
    original = with_segment(&original, 0xe1, b"http://ns.adobe.com/xap/1.0/\0<place/>");
    original = with_segment(&original, 0xe1, exif);
    let patched = check(&original, &[area(8, 8, 8, 8)], "metadata");
    let decoded = decode(&patched).unwrap();
    assert_eq!(decoded.icc.as_deref(), Some(&b"a profile"[..]));
    let block = decoded.exif.unwrap();
    assert_eq!(Orientation::from_exif_chunk(&block), Some(Orientation::Rotate90));
    for secret in [&b"Cam"[..], b"comment", b"place"] {
        assert!(!patched.windows(secret.len()).any(|bytes| bytes == secret));
    }
}

#[test]
fn an_upright_photo_gets_no_exif_block() {
    let original = file(&picture(64, 48), Kind::default());
    assert!(decode(&check(&original, &[], "upright")).unwrap().exif.is_none());
}

#[test]
fn cmyk_photos_are_left_to_the_caller() {
    let inks = DynamicImage::ImageRgba8(picture(20, 20).to_rgba8());
    let original = file(&inks, Kind::default());
    let decoded = decode(&original).unwrap().image;
    let error = patch(&original, &Part::whole(&decoded), &|_| true).unwrap_err();
    assert!(matches!(error, JpegError::Unsupported(_)), "{error}");
}

#[test]
fn a_truncated_original_is_an_error() {
    let original = file(&picture(90, 60), Kind::default());
    let decoded = decode(&original).unwrap().image;
    let error = patch(&original[..original.len() / 2], &Part::whole(&decoded), &|_| false).unwrap_err();
    assert!(matches!(error, JpegError::Invalid(_)), "{error}");
}

#[test]
fn a_hole_grows_to_whole_blocks_and_the_interpolated_pixel_around_them() {
    let of = |subsampling| header(&file(&picture(100, 50), Kind { subsampling, ..Kind::default() })).unwrap();
    let hole = area(20, 20, 5, 5);
    assert_eq!(of(TJSAMP_TJSAMP_444).grow(hole), area(16, 16, 16, 16));
    assert_eq!(of(TJSAMP_TJSAMP_422).grow(hole), area(15, 16, 18, 16));
    assert_eq!(of(TJSAMP_TJSAMP_420).grow(hole), area(15, 15, 18, 18));
    assert_eq!(of(TJSAMP_TJSAMP_420).grow(area(97, 45, 3, 5)), area(95, 31, 5, 19));
    let grey_header = header(&file(&grey(&picture(100, 50)), Kind::default())).unwrap();
    assert_eq!(grey_header.grow(hole), area(16, 16, 16, 16));
}

/// Whether a patch of everything to `edited` keeps the Huffman tables; its coefficients are right.
fn keeps_tables(original: &[u8], edited: &DynamicImage) -> bool {
    let patched = patch_coefficients(original, &Part::whole(edited), &|_| true).unwrap();
    let whole = {
        let mut like = Reader::open(original, false).unwrap();
        let (pixels, channels) = samples(edited);
        let size = (edited.width(), edited.height());
        like.encode_alike(&pixels, size, size.0 as usize * channels as usize).unwrap()
    };
    for ((_, is), (_, should)) in blocks(&patched).into_iter().zip(blocks(&whole)) {
        assert_eq!(is, should);
    }
    marker(&patched, 0xc4) == marker(original, 0xc4)
}

#[test]
fn huffman_tables_are_kept_where_they_have_every_code() {
    let noise = RgbImage::from_fn(200, 160, |x, y| Rgb([(x * 7) as u8, (y * 13) as u8, (x * y) as u8]));
    let noise = DynamicImage::from(noise);
    let flat = DynamicImage::from(RgbImage::from_pixel(200, 160, Rgb([90, 90, 90])));
    let optimised = Kind { optimised: true, ..Kind::default() };
    // The standard's tables can code anything, those for a flat picture next to nothing.
    assert!(keeps_tables(&file(&flat, Kind::default()), &noise));
    assert!(!keeps_tables(&file(&flat, optimised), &noise));
    let photo = picture(208, 160);
    assert!(keeps_tables(&file(&photo, optimised), &photo));
}

/// Tables may be defined after the scan too, where they mean nothing.
#[test]
fn tables_after_the_scan_are_not_taken_for_those_of_the_file() {
    let optimised = Kind { optimised: true, ..Kind::default() };
    let flat = file(&RgbImage::from_pixel(64, 64, Rgb([90, 90, 90])).into(), optimised);
    let tables = flat.windows(5).enumerate().filter(|(_, head)| head[..2] == [0xff, 0xc4] && head[4] >= 0x10);
    let for_ac = tables.flat_map(|(at, head)| &flat[at..at + 2 + usize::from(head[3])]);
    let for_ac: Vec<u8> = for_ac.copied().collect();
    assert!(!for_ac.is_empty());
    for kind in [optimised, Kind { restart: 2, ..optimised }] {
        let photo = file(&picture(150, 101), kind);
        let mut original = photo[..photo.len() - 2].to_vec();
        original.extend(&for_ac);
        original.extend([0xff, 0xdd, 0, 4, 0, 7]); // and another restart interval
        original.extend([0xff, 0xd9]);
        check(&original, &[], "later tables");
        check(&original, &[area(50, 30, 37, 21)], "later tables");
    }
}

/// A run that leaves its block puts its coefficient last, where it takes a code that the file may lack.
#[test]
fn a_run_beyond_the_end_of_a_block_is_written_with_a_code_that_exists() {
    let mut original = vec![0xff, 0xd8, 0xff, 0xdb, 0, 67, 0];
    original.extend([1; 64]);
    original.extend([0xff, 0xc0, 0, 11, 8, 0, 8, 0, 16, 1, 1, 0x11, 0]); // grey, 16 x 8
    original.extend([0xff, 0xc4, 0, 20, 0x00, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    original.push(0); // 0: no difference
    original.extend([0xff, 0xc4, 0, 22, 0x10, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    original.extend([0xf0, 0xf1, 0x00]); // 00: 16 zeroes, 01: 15 zeroes and a coefficient, 10: end
    original.extend([0xff, 0xda, 0, 8, 1, 1, 0, 0, 63, 0]);
    // Block 1: 0, 00 00 00, 01 and the bit of a one. Block 2: 0, 10.
    original.extend([0b0000_0000, 0b1101_0111]);
    original.extend([0xff, 0xd9]);
    assert_eq!(blocks(&original)[0].1[0][63], 1);
    check(&original, &[], "beyond the end");
    check(&original, &[area(9, 2, 3, 3)], "beyond the end");
}

/// A hole of single blocks must not be an encoder for each.
#[test]
fn a_checkerboard_takes_no_longer_than_the_whole_picture() {
    let whole = picture(2_048, 1_024);
    let original = file(&whole, Kind::default());
    let edited = painted(&decode(&original).unwrap().image, &[area(0, 0, 2_048, 1_024)]);
    let quickest = |changed: &dyn Fn(Area) -> bool| {
        let time = || {
            let start = std::time::Instant::now();
            patch(&original, &Part::whole(&edited), changed).unwrap();
            start.elapsed()
        };
        (0..5).map(|_| time()).min().unwrap()
    };
    for period in [2, 3, 9, BRIDGED + 1, BRIDGED + 2, 40] {
        let some = |at: Area| at.width > 8 || (at.x / 8 + at.y / 8).is_multiple_of(period);
        let (some, all) = (quickest(&some), quickest(&|_| true));
        println!("every {period}th block: {some:?}, all: {all:?}");
        assert!(some < 2 * all, "every {period}th block: {some:?}, all: {all:?}");
    }
}

#[test]
fn a_new_brightness_alone_makes_new_tables() {
    let flat = RgbImage::from_pixel(64, 64, Rgb([90, 90, 90]));
    let mut edited = flat.clone();
    for (x, y) in (16..32).flat_map(|x| (16..32).map(move |y| (x, y))) {
        edited.put_pixel(x, y, Rgb([200, 200, 200]));
    }
    for (subsampling, restart) in
        [(TJSAMP_TJSAMP_444, 0), (TJSAMP_TJSAMP_420, 0), (TJSAMP_TJSAMP_422, 3), (TJSAMP_TJSAMP_420, 1)]
    {
        let kind = Kind { subsampling, restart, optimised: true, ..Kind::default() };
        assert!(!keeps_tables(&file(&flat.clone().into(), kind), &edited.clone().into()), "{kind:?}");
    }
}

#[test]
fn random_holes_in_random_files_follow_the_rule() {
    let mut seed = 11_u32;
    let mut random = move |below: u32| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 8) % below
    };
    let kinds = kinds();
    for round in 0..ROUNDS {
        let mut kind = kinds[random(kinds.len() as u32) as usize];
        // The kinds with tables of their own are the ones with most to go wrong.
        kind.optimised |= !kind.progressive && !kind.arithmetic && random(2) == 0;
        let (width, height) = (1 + random(150), 1 + random(120));
        let mut image = picture(width, height);
        if random(3) == 0 {
            image = image.adjust_contrast(-90.0);
        }
        let original = file(&image, kind);
        let holes: Vec<Area> = (0..random(4))
            .map(|_| {
                let (x, y) = (random(width), random(height));
                area(x, y, 1 + random((width - x).min(40)), 1 + random((height - y).min(40)))
            })
            .collect();
        check(&original, &holes, &format!("round {round}: {width}x{height} {kind:?} {holes:?}"));
    }
}
