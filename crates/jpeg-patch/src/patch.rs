//! Changing a part of a JPEG photo without a generation loss in the rest.
//!
//! A JPEG file is blocks of 8x8 quantised coefficients, one grid for each component. Decoding a photo
//! and encoding it again changes nearly every block. Here the blocks are read, those that the change
//! touches are computed anew with the file's own tables, and all are written again; entropy coding
//! loses nothing, so the others stay as they were bit for bit.

#[cfg(test)]
pub(crate) mod tests;

use std::ops::Range;

use image::DynamicImage;
use image::metadata::Orientation;

use super::session::{Coefficients, Frame, Plane, Reader};
use super::{Area, Header, JpegError, samples};

/// Components' kinds that can be patched, as in `struct jpeg_patch_frame`.
const CMYK: u32 = 3;
const OTHER: u32 = 4;

/// Runs of MCUs with at most so many between them are encoded as one: beginning another takes the time
/// of about as many.
const BRIDGED: u32 = 16;

/// Writes `original` again with `edited`'s pixels where `changed` says that an area has a changed
/// one.
///
/// `edited` has the original's size and stored orientation, and `changed` is asked about areas inside
/// it. Every 8x8 block without a changed pixel keeps its coefficients bit for bit; a chroma block
/// covers more pixels than a luma block where chroma is subsampled ([`Header::grow`] tells which
/// pixels can differ). Kept: quantisation tables, sampling, colour space, progressive or not, restart
/// interval, ICC profile and the orientation tag. All other metadata is dropped.
///
/// CMYK, YCCK and what libjpeg cannot write (fractional sampling, tables that change between scans)
/// are [`JpegError::Unsupported`].
///
/// # Errors
/// [`JpegError`] for those, and where the original is not a sound file.
pub fn patch(
    original: &[u8],
    edited: &DynamicImage,
    changed: &dyn Fn(Area) -> bool,
) -> Result<Vec<u8>, JpegError> {
    let mut reader = Reader::open(original, true)?;
    let frame = reader.frame();
    let header = Header::of(frame)?;
    if frame.colour == CMYK || frame.colour == OTHER {
        return Err(JpegError::Unsupported("its colours are not grey, YCbCr or RGB".into()));
    }
    assert_eq!(
        (edited.width(), edited.height()),
        (header.width, header.height),
        "the edited picture has another size than the original. This is a bug."
    );
    let exif = reader.exif().and_then(Orientation::from_exif_chunk).map_or(vec![], orientation_tag);
    let icc = reader.icc()?.unwrap_or_default();
    let mut coefficients = reader.read_coefficients()?;

    let (pixels, channels) = samples(edited);
    if channels != if frame.components == 1 { 1 } else { 3 } {
        return Err(JpegError::Unsupported("grey became colour or colour grey".into()));
    }
    let picture = Pixels { samples: &pixels, channels: channels as usize, frame };
    for row in 0..frame.height.div_ceil(8 * frame.max_v) {
        for columns in picture.touched_runs(row, changed) {
            picture.replace(&mut coefficients, row, columns, changed)?;
        }
    }
    coefficients.write(&exif, &icc)
}

/// The edited picture, seen as MCUs: squares or oblongs of whole blocks of every component.
struct Pixels<'a> {
    samples: &'a [u8],
    channels: usize,
    frame: Frame,
}

impl Pixels<'_> {
    /// The part of `across` x `down` that is inside the picture; edge blocks reach beyond it.
    fn area(&self, across: Range<u32>, down: Range<u32>) -> Area {
        let (right, bottom) = (across.end.min(self.frame.width), down.end.min(self.frame.height));
        Area::from_edges(across.start, down.start, right, bottom)
    }

    /// The runs of columns of MCUs with a changed pixel in a row of MCUs; short gaps are part of a run.
    fn touched_runs(&self, row: u32, changed: &dyn Fn(Area) -> bool) -> Vec<Range<u32>> {
        let (wide, high) = (8 * self.frame.max_h, 8 * self.frame.max_v);
        let down = row * high..(row + 1) * high;
        let columns = self.frame.width.div_ceil(wide);
        let mut runs: Vec<Range<u32>> = Vec::new();
        if !changed(self.area(0..columns * wide, down.clone())) {
            return runs;
        }
        for column in 0..columns {
            if changed(self.area(column * wide..(column + 1) * wide, down.clone())) {
                match runs.last_mut() {
                    Some(run) if column - run.end <= BRIDGED => run.end = column + 1,
                    _ => runs.push(column..column + 1),
                }
            }
        }
        runs
    }

    /// Computes the touched blocks of a run of MCUs anew. libjpeg encodes the run as a picture of
    /// its own, which starts and ends on MCU borders (or at the picture's edge) and so has the very
    /// blocks that the whole picture would have there.
    fn replace(
        &self,
        coefficients: &mut Coefficients<'_>,
        row: u32,
        columns: Range<u32>,
        changed: &dyn Fn(Area) -> bool,
    ) -> Result<(), JpegError> {
        let Frame { width, components, max_h, max_v, .. } = self.frame;
        let (wide, high) = (8 * max_h, 8 * max_v);
        let run = self.area(columns.start * wide..columns.end * wide, row * high..(row + 1) * high);
        let stride = width as usize * self.channels;
        let first = run.y as usize * stride + run.x as usize * self.channels;
        let encoded = coefficients.encode_alike(&self.samples[first..], (run.width, run.height), stride)?;
        let mut fresh = Reader::open(&encoded, false)?.read_coefficients()?;
        for component in 0..components {
            let plane = coefficients.plane(component);
            let (left, top) = (columns.start * plane.h, row * plane.v);
            for y in 0..fresh.plane(component).blocks_high {
                let blocks = fresh.block_row(component, y)?;
                coefficients.replace_blocks((component, top + y), left, blocks, |column| {
                    changed(self.covered(&plane, column, top + y))
                })?;
            }
        }
        Ok(())
    }

    /// The pixels that a block of a component covers.
    fn covered(&self, plane: &Plane, column: u32, row: u32) -> Area {
        let span = |at: u32, max: u32, own: u32| at * 8 * max / own..((at + 1) * 8 * max).div_ceil(own);
        self.area(span(column, self.frame.max_h, plane.h), span(row, self.frame.max_v, plane.v))
    }
}

/// An EXIF segment with the orientation tag alone: a little-endian TIFF header and one directory of
/// one entry (EXIF 2.3, 4.6.2). Upright pictures need none.
fn orientation_tag(orientation: Orientation) -> Vec<u8> {
    if orientation == Orientation::NoTransforms {
        return vec![];
    }
    let mut segment = b"Exif\0\0II\x2a\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
    segment.extend([orientation.to_exif(), 0, 0, 0]);
    segment.extend([0; 4]); // no next directory
    segment
}
