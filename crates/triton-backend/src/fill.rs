//! Validates and fills windows.

use std::ops::RangeInclusive;

use crate::padding::Span;
use crate::tensor::{Failure, Tensor};

/// Accepted sides of windows.
const SIDES: RangeInclusive<usize> = 256..=1024;
/// Mask values from this on mark a hole.
const HOLE: u8 = 128;
/// The grey returned for a window without known pixels.
const UNKNOWN: u8 = 128;

/// The windows of one request, all of the same side.
#[derive(Clone, Debug)]
pub struct Batch<'a> {
    count: usize,
    side: usize,
    image: &'a [u8],
    mask: &'a [u8],
}

impl<'a> Batch<'a> {
    /// Validates the two inputs together.
    pub fn parse(image: &'a Tensor<'_>, mask: &'a Tensor<'_>) -> Result<Self, Failure> {
        let [images, height, width] = sizes("image", image, 3)?;
        let [masks, mask_height, mask_width] = sizes("mask", mask, 1)?;
        let refuse = |why: String| Err(Failure::BadInput(why));
        if images != masks {
            return refuse(format!("inputs disagree on the batch size: image {images}, mask {masks}"));
        }
        if height != width || !SIDES.contains(&height) {
            let (least, most) = (SIDES.start(), SIDES.end());
            return refuse(format!(
                "image must be a square with a side of {least} to {most} pixels, got {height}x{width}"
            ));
        }
        if (mask_height, mask_width) != (height, width) {
            return refuse(format!("mask is {mask_height}x{mask_width}, image {height}x{width}"));
        }
        for (name, tensor, channels) in [("image", image, 3), ("mask", mask, 1)] {
            let needed = images.checked_mul(height * width * channels);
            if needed != Some(tensor.bytes.len()) {
                return refuse(format!("{name} has {} bytes, not those of its shape", tensor.bytes.len()));
            }
        }
        Ok(Self { count: images, side: height, image: &image.bytes, mask: &mask.bytes })
    }

    /// Number of windows.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Shape of the output.
    pub fn shape(&self) -> [i64; 4] {
        [self.count, self.side, self.side, 3].map(|size| size as i64)
    }

    /// Fills the windows one by one, so that the result for one does not depend on the rest of the batch.
    pub fn fill(&self) -> Vec<u8> {
        let pixels = self.side * self.side;
        let windows = self.image.chunks_exact(3 * pixels).zip(self.mask.chunks_exact(pixels));
        let mut answer = Vec::with_capacity(self.image.len());
        for (image, mask) in windows {
            let start = answer.len();
            answer.extend_from_slice(image);
            fill_window(self.side, &mut answer[start..], mask);
        }
        answer
    }
}

/// Batch, height and width of a tensor, which must have this many channels.
fn sizes(name: &str, tensor: &Tensor<'_>, channels: i64) -> Result<[usize; 3], Failure> {
    if let [batch, height, width, last] = tensor.shape[..]
        && last == channels
        && let (Ok(batch), Ok(height), Ok(width)) = (batch.try_into(), height.try_into(), width.try_into())
    {
        return Ok([batch, height, width]);
    }
    let shape = &tensor.shape;
    Err(Failure::BadInput(format!(
        "{name} must have the shape [batch, side, side, {channels}], got {shape:?}"
    )))
}

/// Fills the holes of one window, ignoring its colours inside them.
fn fill_window(side: usize, window: &mut [u8], mask: &[u8]) {
    let hole: Vec<u8> = mask.iter().map(|value| u8::from(*value >= HOLE)).collect();
    if !hole.contains(&1) {
        return;
    }
    if !hole.contains(&0) {
        window.fill(UNKNOWN);
        return;
    }
    let (rows, columns) = Span::of_rows_and_columns(side, window, &hole);
    if rows.is_whole() && columns.is_whole() {
        let filled = fill_content(side, side, window, &hole);
        copy_holes(window, &hole, |pixel| 3 * pixel, &filled);
        return;
    }
    let (height, width) = (rows.content().len(), columns.content().len());
    let mut content = Vec::with_capacity(3 * height * width);
    let mut content_hole = Vec::with_capacity(height * width);
    for row in rows.content() {
        let line = row * side + columns.content().start..row * side + columns.content().end;
        content.extend_from_slice(&window[3 * line.start..3 * line.end]);
        content_hole.extend_from_slice(&hole[line]);
    }
    let filled = fill_content(width, height, &content, &content_hole);
    let source = |pixel| 3 * (rows.shown(pixel / side) * width + columns.shown(pixel % side));
    copy_holes(window, &hole, source, &filled);
}

/// Fills the content alone. It has known pixels, since the padding only mirrors it.
fn fill_content(width: usize, height: usize, rgb: &[u8], hole: &[u8]) -> Vec<u8> {
    exemplar::fill(&exemplar::Picture { width, height, rgb, hole, forbidden: &[] }).rgb
}

/// Copies pixels of the hole from `filled`; `source` maps a pixel to its byte offset there.
fn copy_holes(window: &mut [u8], hole: &[u8], source: impl Fn(usize) -> usize, filled: &[u8]) {
    for (pixel, colour) in window.chunks_exact_mut(3).enumerate().filter(|(pixel, _)| hole[*pixel] != 0) {
        let start = source(pixel);
        colour.copy_from_slice(&filled[start..start + 3]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{mirrored_window, noise};

    fn tensor(shape: &[i64], bytes: Vec<u8>) -> Tensor<'static> {
        Tensor { shape: shape.to_vec(), bytes: bytes.into() }
    }

    /// An all-zero image and mask of these shapes.
    fn zeros(image: &[i64], mask: &[i64]) -> [Tensor<'static>; 2] {
        [image, mask].map(|shape| tensor(shape, vec![0; shape.iter().product::<i64>() as usize]))
    }

    fn square_hole(side: usize, hole: usize, value: u8) -> Vec<u8> {
        let middle = (side - hole) / 2..(side + hole) / 2;
        let inside = |pixel: usize| middle.contains(&(pixel / side)) && middle.contains(&(pixel % side));
        (0..side * side).map(|pixel| if inside(pixel) { value } else { 0 }).collect()
    }

    fn filled(side: usize, image: &[u8], mask: &[u8]) -> Vec<u8> {
        let mut window = image.to_vec();
        fill_window(side, &mut window, mask);
        window
    }

    /// The bytes of the pixels inside or outside the mask.
    fn pixels(image: &[u8], mask: &[u8], inside: bool) -> Vec<u8> {
        let chosen = image.chunks_exact(3).zip(mask).filter(|(_, value)| (**value >= 128) == inside);
        chosen.flat_map(|(pixel, _)| pixel).copied().collect()
    }

    #[test]
    fn what_cannot_be_answered_is_refused_with_the_reason() {
        let table: [(&[i64], &[i64], &str); 9] = [
            (&[1, 255, 255, 3], &[1, 255, 255, 1], "a side of 256 to 1024 pixels, got 255x255"),
            (&[1, 1025, 1025, 3], &[1, 1025, 1025, 1], "a side of 256 to 1024 pixels, got 1025x1025"),
            (&[1, 256, 300, 3], &[1, 256, 300, 1], "image must be a square"),
            (&[1, 256, 256, 3], &[1, 256, 257, 1], "mask is 256x257, image 256x256"),
            (&[2, 256, 256, 3], &[1, 256, 256, 1], "inputs disagree on the batch size: image 2, mask 1"),
            (&[1, 256, 256, 1], &[1, 256, 256, 1], "image must have the shape [batch, side, side, 3], got"),
            (&[1, 256, 256, 3], &[1, 256, 256, 3], "mask must have the shape [batch, side, side, 1], got"),
            (&[256, 256, 3], &[1, 256, 256, 1], "got [256, 256, 3]"),
            (&[1, 256, 256, 3], &[], "mask must have the shape"),
        ];
        for (image, mask, reason) in table {
            let [image, mask] = zeros(image, mask);
            let Err(Failure::BadInput(why)) = Batch::parse(&image, &mask) else {
                panic!("taken, not: {reason}")
            };
            assert!(why.contains(reason), "{why}");
        }
    }

    #[test]
    fn inputs_with_too_few_or_too_many_bytes_are_refused() {
        for (image, mask, name) in [(-1, 0, "image"), (1, 0, "image"), (0, -1, "mask"), (0, 1, "mask")] {
            let sized = |shape: &[i64], more: i64| {
                tensor(shape, vec![0; (shape.iter().product::<i64>() + more) as usize])
            };
            let (image, mask) = (sized(&[1, 256, 256, 3], image), sized(&[1, 256, 256, 1], mask));
            let Err(Failure::BadInput(why)) = Batch::parse(&image, &mask) else { panic!("{name} was taken") };
            assert!(why.starts_with(name), "{why}");
        }
        let huge = tensor(&[i64::MAX, 256, 256, 3], vec![]);
        let mask = tensor(&[i64::MAX, 256, 256, 1], vec![]);
        assert!(Batch::parse(&huge, &mask).is_err());
        let negative = tensor(&[-1, 256, 256, 3], vec![]);
        assert!(Batch::parse(&negative, &mask).is_err());
    }

    #[test]
    fn windows_of_a_batch_are_answered_as_alone() {
        let images: Vec<_> = (0..3).map(|seed| noise(256 * 256 * 3, seed)).collect();
        let masks: Vec<_> = (0..3).map(|n| square_hole(256, 20 + 10 * n, 255)).collect();
        let image = tensor(&[3, 256, 256, 3], images.concat());
        let mask = tensor(&[3, 256, 256, 1], masks.concat());
        let batch = Batch::parse(&image, &mask).unwrap();
        assert_eq!((batch.count(), batch.shape()), (3, [3, 256, 256, 3]));
        let alone: Vec<_> = images.iter().zip(&masks).map(|(image, mask)| filled(256, image, mask)).collect();
        assert_eq!(batch.fill(), alone.concat());
    }

    #[test]
    fn known_pixels_stay_and_what_is_in_the_hole_does_not_count() {
        for side in [256, 257] {
            let (image, mask) = (noise(side * side * 3, 6), square_hole(side, 61, 255));
            let mut other = image.clone();
            for (pixel, _) in other.chunks_exact_mut(3).zip(&mask).filter(|(_, value)| **value != 0) {
                pixel.fill(255);
            }
            let answer = filled(side, &image, &mask);
            assert_eq!(pixels(&answer, &mask, false), pixels(&image, &mask, false));
            assert_eq!(answer, filled(side, &other, &mask));
        }
    }

    #[test]
    fn a_mask_value_of_128_is_hole_and_127_is_not() {
        let image = noise(256 * 256 * 3, 7);
        assert_eq!(filled(256, &image, &square_hole(256, 40, 127)), image);
        assert_ne!(filled(256, &image, &square_hole(256, 40, 128)), image);
    }

    #[test]
    fn a_window_without_a_known_pixel_is_grey() {
        assert_eq!(filled(256, &noise(256 * 256 * 3, 8), &[255; 256 * 256]), [128; 256 * 256 * 3]);
    }

    #[test]
    fn the_fill_of_padded_content_is_mirrored_into_its_padding() {
        for (rows, columns) in [(120, 200), (1, 1), (3, 256), (256, 2), (255, 40)] {
            let content = noise(rows * columns * 3, 9);
            let mut hole = vec![0; rows * columns];
            hole[rows / 2 * columns..][..columns.div_ceil(2)].fill(255);
            let answer = filled(
                256,
                &mirrored_window(256, rows, columns, &content),
                &mirrored_window(256, rows, columns, &hole),
            );
            if rows * columns == 1 {
                assert_eq!(answer, [128; 256 * 256 * 3]);
                continue;
            }
            let alone = fill_content(columns, rows, &content, &hole);
            assert_eq!(answer, mirrored_window(256, rows, columns, &alone), "{rows}x{columns}");
        }
    }
}
