//! Pictures that tests make for themselves.

use std::io::Cursor;

use image::{DynamicImage, GrayImage, ImageBuffer, ImageFormat, Luma, LumaA, Rgb, Rgba};

use crate::helpers::file;

/// A PNG of any picture.
pub fn png(image: impl Into<DynamicImage>) -> Vec<u8> {
    encoded(image, ImageFormat::Png)
}

/// A lossless WebP of any 8-bit picture.
pub fn webp(image: impl Into<DynamicImage>) -> Vec<u8> {
    encoded(image, ImageFormat::WebP)
}

fn encoded(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.into().write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// What a PNG or WebP shows.
pub fn decoded(bytes: &[u8]) -> DynamicImage {
    image::load_from_memory(bytes).unwrap()
}

/// A picture of one of the eight layouts, with a texture that no fill has by chance.
pub fn textured(channels: u8, sixteen: bool, width: u32, height: u32) -> DynamicImage {
    let at = |x: u32, y: u32, c: u32| {
        let mixed = (x * 7919 + y * 104_729 + c * 1_299_709).wrapping_mul(2_654_435_761);
        (mixed >> 16) as u16
    };
    // Never wholly transparent: such pixels are another test's.
    let alpha = |x: u32, y: u32| at(x, y, 3) | 0x0100;
    match (channels, sixteen) {
        (1, false) => ImageBuffer::from_fn(width, height, |x, y| Luma([at(x, y, 0) as u8])).into(),
        (2, false) => {
            ImageBuffer::from_fn(width, height, |x, y| LumaA([at(x, y, 0) as u8, (alpha(x, y) as u8) | 1]))
                .into()
        }
        (3, false) => {
            ImageBuffer::from_fn(width, height, |x, y| Rgb([0, 1, 2].map(|c| at(x, y, c) as u8))).into()
        }
        (4, false) => ImageBuffer::from_fn(width, height, |x, y| {
            Rgba([at(x, y, 0) as u8, at(x, y, 1) as u8, at(x, y, 2) as u8, alpha(x, y) as u8 | 1])
        })
        .into(),
        (1, true) => ImageBuffer::from_fn(width, height, |x, y| Luma([at(x, y, 0)])).into(),
        (2, true) => ImageBuffer::from_fn(width, height, |x, y| LumaA([at(x, y, 0), alpha(x, y)])).into(),
        (3, true) => ImageBuffer::from_fn(width, height, |x, y| Rgb([0, 1, 2].map(|c| at(x, y, c)))).into(),
        _ => ImageBuffer::from_fn(width, height, |x, y| {
            Rgba([at(x, y, 0), at(x, y, 1), at(x, y, 2), alpha(x, y)])
        })
        .into(),
    }
}

/// A white disc on black, as a mask.
pub fn disc(width: u32, height: u32, (cx, cy): (i64, i64), radius: i64) -> GrayImage {
    ImageBuffer::from_fn(width, height, |x, y| {
        let inside = (i64::from(x) - cx).pow(2) + (i64::from(y) - cy).pow(2) <= radius * radius;
        Luma([if inside { 255 } else { 0 }])
    })
}

/// `tests/samples/plain.jpg` (96 x 64) with an Exif orientation.
pub fn oriented_jpeg(orientation: u8) -> Vec<u8> {
    let jpeg = file("samples/plain.jpg");
    let mut exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
    exif.extend([orientation, 0, 0, 0, 0, 0, 0]);
    let length = (exif.len() + 2) as u16;
    let mut out = jpeg[..2].to_vec();
    out.extend([0xff, 0xe1]);
    out.extend(length.to_be_bytes());
    out.extend(exif);
    out.extend(&jpeg[2..]);
    out
}
