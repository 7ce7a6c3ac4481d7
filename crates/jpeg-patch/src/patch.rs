//! Changing a part of a JPEG photo without a generation loss in the rest.
//!
//! A JPEG file consists of blocks of 8x8 quantised coefficients, in one grid per component. Decoding a photo and
//! encoding it again changes nearly every block. Here, only the blocks that the change touches are recomputed, with
//! the file's own tables. Entropy coding is lossless, so all others stay the same, bit for bit. Baseline files are
//! patched by [`Scan`], all others here, by reading and writing the coefficients with libjpeg.

#[cfg(test)]
pub(crate) mod tests;

use std::{borrow::Cow, ops::Range};

use image::DynamicImage;
use image::metadata::Orientation;

use super::session::{Frame, Plane, Reader};
use super::{Area, JpegError, Scan, samples};

/// Colour spaces, as in `struct jpeg_patch_frame`.
pub(crate) const RGB: u32 = 2;
const CMYK: u32 = 3;
const OTHER: u32 = 4;

/// Runs of MCUs with at most so many between them are encoded as one: beginning another takes the time
/// of about as many.
const BRIDGED: u32 = 16;

/// The most MCUs in a region of several rows, to bound the memory of its coefficients.
const LARGEST_REGION: u32 = 2_048;

/// A part of an edited picture.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a> {
    /// Its pixels.
    pub image: &'a DynamicImage,
    /// Its leftmost column in the whole picture.
    pub x: u32,
    /// Its topmost row.
    pub y: u32,
}

impl<'a> Part<'a> {
    /// A whole picture.
    pub fn whole(image: &'a DynamicImage) -> Self {
        Self { image, x: 0, y: 0 }
    }
}

/// Writes `original` again with `edited`'s pixels where `changed` says that an area has a changed
/// one.
///
/// `edited` has the original's stored orientation and contains all MCUs with a changed pixel. `changed` is asked
/// about areas of the whole picture. Every 8x8 block without a changed pixel keeps its coefficients bit for bit; a
/// chroma block covers more pixels than a luma block where chroma is subsampled
/// ([`Header::grow`](super::Header::grow) tells which pixels can differ). Kept: quantisation tables, sampling, colour
/// space, progressive or not, restart interval, ICC profile and the orientation tag. All other metadata is dropped.
///
/// CMYK, YCCK and what libjpeg cannot write (fractional sampling, tables that change between scans)
/// are [`JpegError::Unsupported`].
///
/// # Errors
/// [`JpegError`] for those, and where the original is not a sound file.
pub fn patch(
    original: &[u8],
    edited: &Part<'_>,
    changed: &dyn Fn(Area) -> bool,
) -> Result<Vec<u8>, JpegError> {
    match Scan::of(original) {
        Some(scan) => scan.patch(original, edited, changed),
        None => patch_coefficients(original, edited, changed),
    }
}

/// [`patch`] by reading and writing all coefficients, for files of every kind.
pub(crate) fn patch_coefficients(
    original: &[u8],
    edited: &Part<'_>,
    changed: &dyn Fn(Area) -> bool,
) -> Result<Vec<u8>, JpegError> {
    let mut reader = Reader::open(original, true)?;
    let frame = reader.frame();
    let picture = Pixels::of(edited, frame)?;
    let exif = kept_exif(reader.exif());
    let icc = reader.icc()?.unwrap_or_default();
    let mut coefficients = reader.read_coefficients()?;
    for region in picture.regions(changed) {
        let fresh = picture.fresh(&mut coefficients.reader, &region)?;
        for (component, (plane, blocks)) in (0..).zip(&fresh) {
            let (left, top) = (region.columns.start * plane.h, region.rows.start * plane.v);
            for (blocks, row) in blocks.iter().zip(top..) {
                coefficients.replace_blocks((component, row), left, blocks, |column| {
                    changed(picture.covered(plane, column, row))
                })?;
            }
        }
    }
    coefficients.write(&exif, &icc)
}

/// The EXIF segment of a patched file: the orientation, and nothing else of the original's block.
pub(crate) fn kept_exif(original: Option<&[u8]>) -> Vec<u8> {
    original.and_then(Orientation::from_exif_chunk).map_or(vec![], orientation_tag)
}

/// Whether photos of this colour space can be patched.
pub(crate) fn is_patchable(colour: u32) -> bool {
    !matches!(colour, CMYK | OTHER)
}

/// A rectangle of MCUs.
#[derive(Debug)]
pub(crate) struct Region {
    pub columns: Range<u32>,
    pub rows: Range<u32>,
    /// How many of them are between the first and the last changed MCU of their row.
    touched: u32,
}

/// The blocks of a region: for each component its size and its rows of blocks, 64 coefficients each.
pub(crate) type Fresh = Vec<(Plane, Vec<Vec<i16>>)>;

/// A part of the edited picture, seen as MCUs, which consist of whole blocks of every component.
pub(crate) struct Pixels<'a> {
    samples: Cow<'a, [u8]>,
    channels: usize,
    /// Its place in the whole picture.
    part: Area,
    frame: Frame,
}

impl<'a> Pixels<'a> {
    /// # Errors
    /// [`JpegError::Unsupported`] if the original's colour space cannot be patched, or is not that of `edited`.
    pub fn of(edited: &Part<'a>, frame: Frame) -> Result<Self, JpegError> {
        if !is_patchable(frame.colour) {
            return Err(JpegError::Unsupported("its colours are not grey, YCbCr or RGB".into()));
        }
        let Part { image, x, y } = *edited;
        let part = Area { x, y, width: image.width(), height: image.height() };
        assert!(
            part.right() <= frame.width && part.bottom() <= frame.height,
            "the edited picture is larger than the original. This is a bug."
        );
        let (samples, channels) = samples(image);
        if channels != if frame.components == 1 { 1 } else { 3 } {
            return Err(JpegError::Unsupported("grey became colour or colour grey".into()));
        }
        Ok(Self { samples, channels: channels as usize, part, frame })
    }

    /// The part of `across` x `down` that is inside the picture; edge blocks reach beyond it.
    fn area(&self, across: Range<u32>, down: Range<u32>) -> Area {
        let (right, bottom) = (across.end.min(self.frame.width), down.end.min(self.frame.height));
        Area::from_edges(across.start, down.start, right, bottom)
    }

    /// Whether an MCU has a changed pixel.
    pub fn touches(&self, row: u32, column: u32, changed: &dyn Fn(Area) -> bool) -> bool {
        let (wide, high) = (8 * self.frame.max_h, 8 * self.frame.max_v);
        changed(self.area(column * wide..(column + 1) * wide, row * high..(row + 1) * high))
    }

    /// Regions that cover all MCUs with a changed pixel, and few others, in the order of the file. Regions of
    /// several rows are alone in their rows.
    pub fn regions(&self, changed: &dyn Fn(Area) -> bool) -> Vec<Region> {
        let mut regions: Vec<Region> = Vec::new();
        let mut alone = false;
        for row in 0..self.frame.height.div_ceil(8 * self.frame.max_v) {
            let runs = self.touched_runs(row, changed);
            let one = runs.len() == 1;
            for run in runs {
                let touched = run.len() as u32;
                if let Some(last) = regions.last_mut()
                    && one
                    && alone
                    && last.rows.end == row
                {
                    let columns = last.columns.start.min(run.start)..last.columns.end.max(run.end);
                    let all = columns.len() as u32 * (last.rows.len() as u32 + 1);
                    if all <= LARGEST_REGION.min(2 * (last.touched + touched)) {
                        *last = Region {
                            columns,
                            rows: last.rows.start..row + 1,
                            touched: last.touched + touched,
                        };
                        continue;
                    }
                }
                regions.push(Region { columns: run, rows: row..row + 1, touched });
            }
            alone = one;
        }
        regions
    }

    /// The runs of columns of MCUs with a changed pixel in a row of MCUs; short gaps are part of a run.
    fn touched_runs(&self, row: u32, changed: &dyn Fn(Area) -> bool) -> Vec<Range<u32>> {
        let (wide, high) = (8 * self.frame.max_h, 8 * self.frame.max_v);
        let columns = self.frame.width.div_ceil(wide);
        let mut runs: Vec<Range<u32>> = Vec::new();
        if !changed(self.area(0..columns * wide, row * high..(row + 1) * high)) {
            return runs;
        }
        for column in 0..columns {
            if self.touches(row, column, changed) {
                match runs.last_mut() {
                    Some(run) if column - run.end <= BRIDGED => run.end = column + 1,
                    _ => runs.push(column..column + 1),
                }
            }
        }
        runs
    }

    /// The recomputed blocks of a region. libjpeg encodes it as a picture of its own, which starts and ends on MCU
    /// borders (or at the picture's edge) and so has the same blocks as the whole picture would have there.
    pub fn fresh(&self, reader: &mut Reader<'_>, region: &Region) -> Result<Fresh, JpegError> {
        let Region { columns, rows, .. } = region;
        let (wide, high) = (8 * self.frame.max_h, 8 * self.frame.max_v);
        let shown = self.area(columns.start * wide..columns.end * wide, rows.start * high..rows.end * high);
        let part = self.part;
        assert!(
            shown.x >= part.x
                && shown.y >= part.y
                && shown.right() <= part.right()
                && shown.bottom() <= part.bottom(),
            "a changed MCU is not in the part that was edited. This is a bug."
        );
        let stride = part.width as usize * self.channels;
        let first = (shown.y - part.y) as usize * stride + (shown.x - part.x) as usize * self.channels;
        let size = (shown.width, shown.height);
        let encoded = reader.encode_alike(&self.samples[first..], size, stride)?;
        let mut fresh = Reader::open(&encoded, false)?.read_coefficients()?;
        let planes = (0..self.frame.components).map(|component| {
            let plane = fresh.plane(component);
            let rows = (0..plane.blocks_high).map(|row| Ok(fresh.block_row(component, row)?.to_vec()));
            Ok((plane, rows.collect::<Result<_, _>>()?))
        });
        planes.collect()
    }

    /// The pixels that a block of a component covers.
    pub fn covered(&self, plane: &Plane, column: u32, row: u32) -> Area {
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
