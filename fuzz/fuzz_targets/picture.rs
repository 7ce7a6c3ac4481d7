//! A file that may be a picture: decoded within its limits or refused, and what was decoded is written
//! and read back with the same pixels.
#![no_main]

use lacuna::{
    geometry::Rect,
    mask::Mask,
    picture::{self, Format, OutputFormat, Picture, Samples},
};
use libfuzzer_sys::fuzz_target;

/// Larger pictures are read and not written again: the time goes into what is inside of files.
const LARGEST_WRITTEN: u64 = 64 * 64;
const LARGEST_READ: u64 = 1024 * 1024;

fuzz_target!(|file: &[u8]| {
    let Ok(header) = picture::inspect(file) else { return };
    assert!((1..=picture::MAX_SIDE).contains(&header.width));
    assert!((1..=picture::MAX_SIDE).contains(&header.height));
    if u64::from(header.width) * u64::from(header.height) > LARGEST_READ {
        return;
    }
    // Decoded in a process of its own, which this program is not.
    if header.format == Format::Heic {
        return;
    }
    let Ok(decoded) = picture::decode(file, &header) else { return };
    let size = (decoded.width(), decoded.height());
    let stored = (header.width, header.height);
    assert!(size == stored || size == (stored.1, stored.0), "{stored:?} became {size:?}");
    if decoded.area().area() > LARGEST_WRITTEN {
        return;
    }

    let png = read_back(&picture::encode(&decoded, OutputFormat::Png).unwrap().bytes);
    assert!(same(&decoded, &png), "a PNG of it has other pixels");
    let webp = read_back(&picture::encode(&decoded, OutputFormat::WebP).unwrap().bytes);
    assert_eq!((webp.width(), webp.height()), size);
    if header.format == Format::Jpeg {
        let part = Rect { x: 0, y: 0, width: size.0.div_ceil(2), height: size.1 };
        let hole = Mask::from_rect(size.0, size.1, part);
        let jpeg = picture::encode_jpeg_into(file, decoded, &hole).unwrap();
        assert_eq!((read_back(&jpeg.bytes).width(), read_back(&jpeg.bytes).height()), size);
    }
});

fn read_back(file: &[u8]) -> Picture {
    let header = picture::inspect(file).expect("our own file has a good header");
    picture::decode(file, &header).expect("our own file can be decoded")
}

fn same(one: &Picture, two: &Picture) -> bool {
    match (one.samples(), two.samples()) {
        (Samples::Eight(one), Samples::Eight(two)) => one == two,
        (Samples::Sixteen(one), Samples::Sixteen(two)) => one == two,
        _ => false,
    }
}
