//! A file that may be a picture: decoded within its limits or refused, wholly or in part alike, and what was decoded is
//! written and read back with the same pixels.
#![no_main]

use std::time::{Duration, Instant};

use bytes::Bytes;
use lacuna::{
    geometry::Rect,
    mask::Mask,
    picture::{self, Ahead, Format, Limits, Original, OutputFormat, Photo, Picture, Samples},
};
use libfuzzer_sys::fuzz_target;

/// Larger pictures are read and not written again: the time goes into what is inside of files.
const LARGEST_WRITTEN: u64 = 64 * 64;
const LARGEST_READ: u64 = 1024 * 1024;

fuzz_target!(|file: &[u8]| {
    let Ok(header) = picture::inspect(file, &Limits::DEFAULT) else { return };
    assert!((1..=Limits::DEFAULT.side).contains(&header.width));
    assert!((1..=Limits::DEFAULT.side).contains(&header.height));
    if u64::from(header.width) * u64::from(header.height) > LARGEST_READ {
        return;
    }
    // Decoded in a process of its own, which this program is not.
    if header.format == Format::Heic {
        return;
    }
    let opened = Photo::open(Bytes::copy_from_slice(file), &header, OutputFormat::Jpeg, later());
    let Ok(decoded) = picture::decode(file, &header, later()) else {
        assert!(opened.is_err(), "what cannot be decoded was opened");
        return;
    };
    let size = (decoded.width(), decoded.height());
    let stored = (header.width, header.height);
    assert!(size == stored || size == (stored.1, stored.0), "{stored:?} became {size:?}");
    let photo = opened.expect("what can be decoded is opened");
    assert_eq!(photo.size(), size);
    let part = Rect { x: 0, y: 0, width: size.0.div_ceil(2), height: size.1 };
    let (shown, place, excerpt) = photo.into_part(part).expect("a part of a sound photo");
    assert!(place.intersection(&part) == Some(part), "{place:?} of {part:?}");
    assert!(shown.rgb8(shown.area()) == decoded.rgb8(place), "a part has other pixels");
    if decoded.area().area() > LARGEST_WRITTEN {
        return;
    }

    let original = Original { file, header, excerpt: None };
    let hole = Mask::from_rect(size.0, size.1, part);
    let encoded = |format| read_back(&picture::encode(decoded.clone(), Ahead::default(), format, &original, &hole).unwrap().bytes);

    assert!(same(&decoded, &encoded(OutputFormat::Png)), "a PNG of it has other pixels");
    let webp = encoded(OutputFormat::WebP);
    assert_eq!((webp.width(), webp.height()), size);
    let jpeg = encoded(OutputFormat::Jpeg);
    assert_eq!((jpeg.width(), jpeg.height()), size);
    if excerpt.is_some() {
        let original = Original { file, header, excerpt: excerpt.as_ref() };
        let patched = picture::encode(shown, Ahead::default(), OutputFormat::Jpeg, &original, &hole).unwrap();
        assert!(same(&read_back(&patched.bytes), &jpeg), "a part is patched to other pixels");
    }
});

/// A deadline that does not pass.
fn later() -> Instant {
    Instant::now() + Duration::from_secs(600)
}

fn read_back(file: &[u8]) -> Picture {
    let header = picture::inspect(file, &Limits::DEFAULT).expect("our own file has a good header");
    picture::decode(file, &header, later()).expect("our own file can be decoded")
}

fn same(one: &Picture, two: &Picture) -> bool {
    match (one.samples(), two.samples()) {
        (Samples::Eight(one), Samples::Eight(two)) => one == two,
        (Samples::Sixteen(one), Samples::Sixteen(two)) => one == two,
        _ => false,
    }
}
