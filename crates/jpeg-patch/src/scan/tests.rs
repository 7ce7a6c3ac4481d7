use turbojpeg_sys::*;

use super::super::header;
use super::super::patch::tests::{area, changed_in, kinds, painted};
use super::super::tests::{Kind, file, grey, picture, with_segment};
use super::*;

/// How many spoilt files and random parts are tried.
const ROUNDS: u32 = 6_000;

const SUBSAMPLINGS: [TJSAMP; 4] =
    [TJSAMP_TJSAMP_444, TJSAMP_TJSAMP_422, TJSAMP_TJSAMP_420, TJSAMP_TJSAMP_440];

/// Numbers that look random, the same in every run.
fn random(mut seed: u32) -> impl FnMut(u32) -> u32 {
    move |below| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 8) % below
    }
}

/// A picture with a texture that takes long codes.
fn noise(width: u32, height: u32) -> DynamicImage {
    let mut random = random(5);
    RgbImage::from_fn(width, height, |x, y| {
        let grain = random(60) as u8;
        image::Rgb([(x * 3) as u8 / 2 + grain, (y * 5) as u8 / 2 + grain, random(256) as u8])
    })
    .into()
}

fn is_plain(kind: Kind) -> bool {
    let usual = SUBSAMPLINGS.contains(&kind.subsampling);
    usual && !kind.progressive && !kind.arithmetic
}

/// Files of all plain kinds, grey ones and restart markers among them.
fn plain_files(image: &DynamicImage) -> Vec<Vec<u8>> {
    let mut files = Vec::new();
    for (restart, optimised) in [(0, false), (0, true), (1, false), (4, true), (7, false), (1_000, true)] {
        let colours = Kind { restart, optimised, colours: Some(TJCS_TJCS_RGB), ..Kind::default() };
        files.push(file(image, colours));
        files.push(file(&grey(image), Kind { colours: None, ..colours }));
        for subsampling in SUBSAMPLINGS {
            files.push(file(image, Kind { subsampling, colours: None, ..colours }));
        }
    }
    files
}

#[test]
fn plain_files_are_walked_and_others_are_not() {
    for kind in kinds() {
        let photo = file(&picture(75, 61), kind);
        assert_eq!(Scan::of(&photo).is_some(), is_plain(kind), "{kind:?}");
    }
    assert!(plain_files(&noise(75, 61)).iter().all(|photo| Scan::of(photo).is_some()));
    let inks = DynamicImage::ImageRgba8(picture(20, 20).to_rgba8());
    assert!(Scan::of(&file(&inks, Kind::default())).is_none());
}

#[test]
fn the_photos_of_the_tests_are_plain() {
    for photo in [
        &include_bytes!("../../../../tests/photos/coffee.jpg")[..],
        include_bytes!("../../../../tests/samples/plain.jpg"),
    ] {
        let image = decode(photo).unwrap().image;
        let whole = area(0, 0, image.width(), image.height());
        assert_eq!(Scan::of(photo).unwrap().pixels(photo, whole).unwrap(), image);
    }
}

#[test]
fn the_pixels_of_any_part_are_those_of_the_whole() {
    let mut random = random(3);
    for (width, height) in [(1, 1), (7, 9), (16, 16), (17, 33), (40, 90), (150, 101), (203, 64)] {
        for image in [picture(width, height), noise(width, height)] {
            for photo in plain_files(&image) {
                let (scan, whole) = (Scan::of(&photo).unwrap(), decode(&photo).unwrap().image);
                for _ in 0..6 {
                    let (x, y) = (random(width), random(height));
                    let part = area(x, y, 1 + random(width - x), 1 + random(height - y));
                    let pixels = scan.pixels(&photo, part).unwrap();
                    assert_eq!(pixels, cut(whole.clone(), part), "{width}x{height} {:?} {part:?}", scan.head);
                }
            }
        }
    }
}

/// What is decoded of a part is no more than the part with its neighbours.
#[test]
fn a_part_is_decoded_without_the_rest() {
    let photo = file(&noise(400, 300), Kind { subsampling: TJSAMP_TJSAMP_420, ..Kind::default() });
    let scan = Scan::of(&photo).unwrap();
    assert!(scan.cropped(&photo, area(100, 100, 50, 50)).unwrap().is_some());
}

/// A table without the code that a part needs first is no obstacle.
#[test]
fn a_part_that_needs_a_code_that_the_file_lacks_is_decoded_with_the_whole() {
    let ramp = RgbImage::from_fn(640, 64, |x, _| image::Rgb([(x / 8 * 3) as u8; 3]));
    let photo = file(&ramp.into(), Kind { optimised: true, ..Kind::default() });
    let (scan, whole) = (Scan::of(&photo).unwrap(), decode(&photo).unwrap().image);
    let part = area(560, 20, 30, 30);
    assert!(scan.cropped(&photo, part).unwrap().is_none());
    assert_eq!(scan.pixels(&photo, part).unwrap(), cut(whole.clone(), part));
}

#[test]
fn untouched_restart_intervals_keep_their_bytes() {
    let kind = Kind { subsampling: TJSAMP_TJSAMP_420, restart: 3, ..Kind::default() };
    let photo = file(&noise(160, 120), kind);
    let image = decode(&photo).unwrap().image;
    let hole = area(50, 34, 9, 9);
    let edited = painted(&image, &[hole]);
    let scan = Scan::of(&photo).unwrap();
    let patched = scan.patch(&photo, &Part::whole(&edited), &changed_in(vec![hole])).unwrap();
    let again = Scan::of(&patched).unwrap();
    let intervals = |scan: &Scan| -> Vec<Vec<u8>> {
        scan.data.intervals.iter().map(|interval| scan.data.bytes[interval.clone()].to_vec()).collect()
    };
    let (old, new) = (intervals(&scan), intervals(&again));
    assert_eq!(old.len(), new.len());
    assert_eq!(old.iter().zip(&new).filter(|(old, new)| old != new).count(), 1);
}

/// Encoders fill blocks beyond the edge with what is at the edge.
#[test]
fn nothing_of_the_hole_is_left_beyond_the_edge() {
    let kind = Kind { subsampling: TJSAMP_TJSAMP_420, ..Kind::default() };
    let photo = file(&noise(33, 40), kind);
    let hole = area(30, 10, 3, 5);
    let edited = painted(&decode(&photo).unwrap().image, &[hole]);
    let scan = Scan::of(&photo).unwrap();
    let patched = scan.patch(&photo, &Part::whole(&edited), &changed_in(vec![hole])).unwrap();
    let scan = Scan::of(&patched).unwrap();
    // The third MCU of the first row has one column of luma blocks inside the picture.
    let (from, _) = scan.places(0, 2..3).unwrap();
    let mut walk = Walk::from(&scan, from).unwrap();
    let blocks: Vec<_> = scan.head.blocks.iter().map(|block| walk.block(block).unwrap()).collect();
    let end = scan.head.blocks[0].ac.code.of(END_OF_BLOCK).unwrap().1 as usize;
    for (beyond, before) in [(1, 0), (3, 2)] {
        assert_eq!(blocks[beyond].0, blocks[before].0);
        assert_eq!(blocks[beyond].1.len(), end);
    }
}

#[test]
fn what_follows_the_image_is_left_out() {
    let photo = file(&picture(64, 48), Kind::default());
    let longer = [&photo[..], b"a second picture of a camera"].concat();
    let scan = Scan::of(&longer).unwrap();
    let image = decode(&photo).unwrap().image;
    let patched = scan.patch(&longer, &Part::whole(&image), &|_| false).unwrap();
    assert_eq!(decode(&patched).unwrap().image, image);
    assert!(patched.len() <= photo.len());
}

#[test]
fn what_is_not_wholly_in_order_is_left_to_libjpeg() {
    let photo = file(&noise(90, 70), Kind { restart: 3, ..Kind::default() });
    let marker = |of: u8| photo.windows(2).position(|pair| pair == [0xff, of]).unwrap();
    let spliced = |at: usize, bytes: &[u8]| [&photo[..at], bytes, &photo[at..]].concat();
    for (what, spoilt) in [
        ("no end", photo[..photo.len() - 2].to_vec()),
        ("more data", spliced(photo.len() - 2, &[0x55])),
        ("more data before a marker", spliced(marker(0xd1), &[0x55])),
        ("a marker too many", spliced(marker(0xd1), &[0xff, 0xd1])),
        ("fill before a marker", spliced(marker(0xd1), &[0xff])),
        ("fill between segments", spliced(marker(0xdb), &[0xff])),
        ("padding between segments", spliced(marker(0xdb), &[0])),
        ("another scan", spliced(photo.len() - 2, &photo[marker(0xda)..photo.len() - 2])),
    ] {
        assert!(Scan::of(&spoilt).is_none(), "{what}");
    }
    for cut in 0..photo.len() {
        assert!(Scan::of(&photo[..cut]).is_none(), "{cut} of {}", photo.len());
    }
    let comment = with_segment(&photo, 0xfe, b"a comment");
    assert!(Scan::of(&comment).is_some());
}

/// What the scan takes, libjpeg takes too, and both see the same.
#[test]
fn spoilt_files_are_taken_only_where_libjpeg_takes_them() {
    let mut random = random(1);
    let mut taken = 0;
    let files: Vec<_> = [picture(70, 50), noise(70, 50)].iter().flat_map(plain_files).collect();
    for round in 0..ROUNDS {
        let mut spoilt = files[random(files.len() as u32) as usize].clone();
        // Half of the damage goes where it is likely to be believed.
        let data = Head::of(&spoilt).unwrap().data as u32;
        let (from, to) = if round % 2 == 0 { (0, data) } else { (data, spoilt.len() as u32) };
        for _ in 0..=random(2) {
            let at = (from + random(to - from)) as usize;
            match random(4) {
                0 => spoilt[at] = random(256) as u8,
                1 => spoilt[at] ^= 1 << random(8),
                2 => drop(spoilt.remove(at)),
                _ => spoilt.insert(at, random(256) as u8),
            }
        }
        let Some(scan) = Scan::of(&spoilt) else { continue };
        let (width, height) = scan.head.size;
        // Damage may claim a huge picture.
        if width > 300 || height > 300 {
            continue;
        }
        taken += 1;
        let decoded = decode(&spoilt).unwrap_or_else(|error| panic!("round {round}: {error}"));
        assert_eq!((scan.exif(), scan.icc()), (decoded.exif.as_deref(), decoded.icc.as_deref()));
        let whole = decoded.image;
        let part = area(random(width), random(height), 1, 1);
        let part = area(part.x, part.y, 1 + random(width - part.x), 1 + random(height - part.y));
        assert_eq!(scan.pixels(&spoilt, part).unwrap(), cut(whole.clone(), part), "round {round}");
        let hole = header(&spoilt).unwrap().grow(area(part.x, part.y, 1, 1));
        let edited = painted(&whole, &[hole]);
        let changed = changed_in(vec![hole]);
        let by_bits = scan.patch(&spoilt, &Part::whole(&edited), &changed).unwrap();
        let patched = patch::patch_coefficients(&spoilt, &Part::whole(&edited), &changed).unwrap();
        assert_eq!(decode(&by_bits).unwrap().image, decode(&patched).unwrap().image, "round {round}");
    }
    assert!(taken > ROUNDS / 20, "only {taken} of {ROUNDS} spoilt files were taken");
}

/// However many restart markers a file has, only as many are kept as it can have intervals.
#[test]
fn a_file_of_restart_markers_takes_no_memory() {
    let photo = file(&noise(90, 70), Kind { restart: 3, ..Kind::default() });
    let data = Head::of(&photo).unwrap().data;
    let markers = (0..1_000_000_u32).flat_map(|i| [0xff, RST0 + (i % 8) as u8]);
    let endless: Vec<u8> = photo[..data].iter().copied().chain(markers).chain([0xff, END_OF_IMAGE]).collect();
    assert!(Data::of(&endless[data..], usize::MAX, 10).is_none());
    assert!(Scan::of(&endless).is_none());
    let intervals = Scan::of(&photo).unwrap().data.intervals.len();
    assert!(Data::of(&photo[data..], usize::MAX, intervals).is_some());
    assert!(Data::of(&photo[data..], usize::MAX, intervals - 1).is_none());
}
