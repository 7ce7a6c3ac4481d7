//! Baseline files with one scan, as nearly all photos are, without decoding them.
//!
//! In the entropy-coded data, each block is the difference of its DC coefficient to that of the previous block of
//! its component, followed by codes for its AC coefficients. It suffices to read the codes, and not to decode the
//! coefficients, to know where each block begins. [`Scan`] does that once for the whole file, in a quarter of the
//! time of decoding it, and finds out whether the file is intact. Then parts can be decoded without the rest, and
//! the file can be written with some blocks replaced: all other blocks keep their bits, except that the DC
//! differences in the MCU after a replaced block change.

mod bits;
mod data;
mod head;
mod huffman;
#[cfg(test)]
mod tests;
mod writer;

use std::ops::Range;

use image::{DynamicImage, GrayImage, RgbImage};

use super::{
    Area, JpegError, Part, decode,
    patch::{self, Pixels},
    session::{Frame, Reader},
};
use bits::Bits;
use data::Data;
use head::{Block, Head};
use huffman::{END_OF_BLOCK, SIXTEEN_ZEROES};
use writer::Writer;

const END_OF_IMAGE: u8 = 0xd9;
const RST0: u8 = 0xd0;

/// The most bytes that a block can take, including the padding if it is the last of its restart interval.
const LONGEST_BLOCK: usize = 212;

/// The range of DC coefficients of 8-bit samples. The difference of two can always be encoded.
const DC_RANGE: Range<i32> = -1024..1024;

/// The order in which coefficients are encoded (T.81, figure A.6).
const ZIGZAG: [u8; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7,
    14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39,
    46, 53, 60, 61, 54, 47, 55, 62, 63,
];

/// An intact baseline file with one scan.
#[derive(Debug)]
pub struct Scan {
    head: Head,
    data: Data,
    /// MCUs across and down.
    grid: (usize, usize),
    /// The beginning of each row of MCUs, and the end of each restart interval.
    starts: Vec<Place>,
    ends: Vec<Place>,
    exif: Option<Vec<u8>>,
    icc: Option<Vec<u8>>,
}

/// A position between two MCUs. Between two restart intervals, it is at the start of the later one.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    /// MCUs before it.
    mcu: usize,
    /// Bits of the data before it.
    bit: usize,
    /// The DC coefficients from which the next blocks' differences are counted, for each component.
    last: [i32; 3],
}

impl Scan {
    /// Reads a file. `None` if it is of another kind or damaged; [`decode`] tells which. This is at least as
    /// strict as [`decode`].
    pub fn of(file: &[u8]) -> Option<Self> {
        let head = Head::of(file)?;
        let mut reader = Reader::open(file, true).ok()?;
        let Frame { width, height, colour, .. } = reader.frame();
        let plain = (width, height) == head.size && patch::is_patchable(colour);
        // Subsampled RGB is legal, but not worth supporting here.
        if !plain || colour == patch::RGB && head.blocks.len() != 3 {
            return None;
        }
        let mcu = head.mcu();
        let grid = (width.div_ceil(mcu.0) as usize, height.div_ceil(mcu.1) as usize);
        let longest = grid.0 * grid.1 * head.blocks.len() * LONGEST_BLOCK;
        let intervals = (grid.0 * grid.1).div_ceil(head.interval.unwrap_or(usize::MAX));
        let data = Data::of(&file[head.data..], longest, intervals)?;
        let exif = reader.exif().map(<[u8]>::to_vec);
        let icc = reader.icc().ok()?;
        let mut scan = Self { head, data, grid, starts: vec![], ends: vec![], exif, icc };
        (scan.starts, scan.ends) = scan.walk()?;
        Some(scan)
    }

    /// The EXIF block, from its TIFF header on.
    pub fn exif(&self) -> Option<&[u8]> {
        self.exif.as_deref()
    }

    /// The ICC profile of the photo's colours.
    pub fn icc(&self) -> Option<&[u8]> {
        self.icc.as_deref()
    }

    /// Reads all codes. Returns the beginning of each row and the end of each restart interval.
    fn walk(&self) -> Option<(Vec<Place>, Vec<Place>)> {
        let (mut starts, mut ends) = (Vec::with_capacity(self.grid.1), Vec::new());
        let all = self.grid.0 * self.grid.1;
        let interval = self.head.interval.unwrap_or(all);
        let (mut left, mut mcu) = (interval, 0);
        let mut last = [0; 3];
        let mut bits = Bits::at(&self.data.bytes, 0)?;
        for _ in 0..self.grid.1 {
            starts.push(Place { mcu, bit: bits.position(), last });
            for _ in 0..self.grid.0 {
                for block in &self.head.blocks {
                    let last = &mut last[block.component];
                    *last += block.dc.difference(&mut bits)?;
                    block.ac.skip(&mut bits)?;
                    if !DC_RANGE.contains(last) {
                        return None;
                    }
                }
                (left, mcu) = (left - 1, mcu + 1);
                if left == 0 || mcu == all {
                    let interval_of = self.data.intervals.get(ends.len())?;
                    let rest = (interval_of.end * 8).checked_sub(bits.position())?;
                    if rest >= 8 {
                        return None;
                    }
                    ends.push(Place { mcu, bit: bits.position(), last });
                    (left, last) = (interval, [0; 3]);
                    bits = Bits::at(&self.data.bytes, interval_of.end * 8)?;
                }
            }
        }
        (ends.len() == self.data.intervals.len()).then_some((starts, ends))
    }

    /// The area extended to whole MCUs: what [`Self::patch`] needs of a picture that has changed in it.
    pub fn grow(&self, area: Area) -> Area {
        let (mcu, size) = (self.head.mcu(), self.head.size);
        Area::from_edges(
            area.x / mcu.0 * mcu.0,
            area.y / mcu.1 * mcu.1,
            area.right().next_multiple_of(mcu.0).min(size.0),
            area.bottom().next_multiple_of(mcu.1).min(size.1),
        )
    }

    /// The pixels of a part of the photo as stored, identical to those that [`decode`] returns. `file` is the file
    /// that was scanned.
    ///
    /// # Errors
    /// [`JpegError`] if memory runs out.
    pub fn pixels(&self, file: &[u8], area: Area) -> Result<DynamicImage, JpegError> {
        match self.cropped(file, area)? {
            Some(image) => Ok(image),
            // The part is nearly everything, or it needs a code that the file's tables lack: optimised tables
            // contain only the codes that the file uses.
            None => Ok(cut(decode(file)?.image, area)),
        }
    }

    /// Builds a file of the MCUs that contain the area and one more on every side, since decoders interpolate
    /// chroma, and decodes that.
    fn cropped(&self, file: &[u8], area: Area) -> Result<Option<DynamicImage>, JpegError> {
        let (mcu, size) = (self.head.mcu(), self.head.size);
        let reach = |from: u32, to: u32, mcu: u32, all: usize| {
            ((from / mcu) as usize).saturating_sub(1)..(to.div_ceil(mcu) as usize + 1).min(all)
        };
        let columns = reach(area.x, area.right(), mcu.0, self.grid.0);
        let rows = reach(area.y, area.bottom(), mcu.1, self.grid.1);
        if (columns.len(), rows.len()) == self.grid {
            return Ok(None);
        }
        let edges = |mcus: &Range<usize>, mcu: u32, size: u32| {
            (mcus.start as u32 * mcu, (mcus.end as u32 * mcu).min(size))
        };
        let ((left, right), (top, bottom)) = (edges(&columns, mcu.0, size.0), edges(&rows, mcu.1, size.1));
        let head = Reader::open(file, false)?.write_head(Some((right - left, bottom - top)), &[], &[])?;
        let mut rewriting =
            Rewriting { scan: self, out: Writer::behind(head), last: [0; 3], restarts: false };
        for row in rows {
            let copied = self.places(row, columns.clone()).and_then(|(from, to)| rewriting.copy(from, to));
            if copied.is_none() {
                return Ok(None);
            }
        }
        let image = decode(&rewriting.end())?.image;
        Ok(Some(cut(image, Area { x: area.x - left, y: area.y - top, ..area })))
    }

    /// The positions before and after some MCUs of a row.
    fn places(&self, row: usize, columns: Range<usize>) -> Option<(Place, Place)> {
        let mut walk = Walk::from(self, *self.starts.get(row)?)?;
        (0..columns.start).try_for_each(|_| walk.skip_mcu())?;
        let from = walk.place();
        if columns.end == self.grid.0 {
            return Some((from, *self.starts.get(row + 1).or(self.ends.last())?));
        }
        columns.into_iter().try_for_each(|_| walk.skip_mcu())?;
        Some((from, walk.place()))
    }

    /// As [`patch`](super::patch()), without scanning the file again. `file` is the file that was scanned.
    ///
    /// # Errors
    /// As [`patch`](super::patch()).
    pub fn patch(
        &self,
        file: &[u8],
        edited: &Part<'_>,
        changed: &dyn Fn(Area) -> bool,
    ) -> Result<Vec<u8>, JpegError> {
        match self.patched(file, edited, changed)? {
            Some(patched) => Ok(patched),
            // The new blocks need a code that the tables lack. With new tables, all bits change.
            None => patch::patch_coefficients(file, edited, changed),
        }
    }

    fn patched(
        &self,
        file: &[u8],
        edited: &Part<'_>,
        changed: &dyn Fn(Area) -> bool,
    ) -> Result<Option<Vec<u8>>, JpegError> {
        let mut reader = Reader::open(file, false)?;
        let pixels = Pixels::of(edited, reader.frame())?;
        let head = reader.write_head(None, &patch::kept_exif(self.exif()), self.icc().unwrap_or_default())?;
        let mut rewriting = Rewriting { scan: self, out: Writer::behind(head), last: [0; 3], restarts: true };
        rewriting.out.reserve(self.data.bytes.len() + self.data.bytes.len() / 64);
        let mut done = Place::default();
        for region in pixels.regions(changed) {
            let fresh = pixels.fresh(&mut reader, &region)?;
            for row in region.rows.clone() {
                let new = |block: &Block, column: u32| {
                    let (plane, rows) = &fresh[block.component];
                    let (x, y) = (column * plane.h + block.column, row * plane.v + block.row);
                    let (left, top) = (region.columns.start * plane.h, region.rows.start * plane.v);
                    let blocks = rows.get((y - top) as usize).map(|blocks| blocks.as_chunks().0);
                    match blocks.and_then(|blocks| blocks.get((x - left) as usize)) {
                        Some(block) if changed(pixels.covered(plane, x, y)) => New::Other(block),
                        None if pixels.touches(row, column, changed) => New::Flat,
                        Some(_) | None => New::Same,
                    }
                };
                match rewriting.replace(done, row as usize, region.columns.clone(), new) {
                    Some(place) => done = place,
                    None => return Ok(None),
                }
            }
        }
        let end = self.ends.last().copied().unwrap_or_default();
        Ok(rewriting.copy(done, end).map(|()| rewriting.end()))
    }
}

/// What replaces a block.
enum New<'a> {
    /// Nothing: it stays.
    Same,
    /// These coefficients, in natural order.
    Other(&'a [i16; 64]),
    /// A flat block. It lies beyond the edge of the picture next to changed pixels, and might repeat what was at
    /// the edge.
    Flat,
}

/// Reads the data block by block.
struct Walk<'a> {
    scan: &'a Scan,
    bits: Bits<'a>,
    mcu: usize,
    last: [i32; 3],
}

impl<'a> Walk<'a> {
    fn from(scan: &'a Scan, place: Place) -> Option<Self> {
        let bits = Bits::at(&scan.data.bytes, place.bit)?;
        Some(Self { scan, bits, mcu: place.mcu, last: place.last })
    }

    fn place(&self) -> Place {
        Place { mcu: self.mcu, bit: self.bits.position(), last: self.last }
    }

    /// Reads the next block: its DC coefficient, and the range of bits of the AC coefficients.
    fn block(&mut self, block: &Block) -> Option<(i32, Range<usize>)> {
        let last = &mut self.last[block.component];
        *last += block.dc.difference(&mut self.bits)?;
        let rest = self.bits.position();
        block.ac.skip(&mut self.bits)?;
        Some((*last, rest..self.bits.position()))
    }

    /// Must be called after the last block of an MCU.
    fn end_mcu(&mut self) -> Option<()> {
        self.mcu += 1;
        if let Some(interval) = self.scan.head.interval
            && self.mcu.is_multiple_of(interval)
            && let Some(next) = self.scan.data.intervals.get(self.mcu / interval)
        {
            self.bits = Bits::at(&self.scan.data.bytes, next.start * 8)?;
            self.last = [0; 3];
        }
        Some(())
    }

    fn skip_mcu(&mut self) -> Option<()> {
        for block in &self.scan.head.blocks {
            self.block(block)?;
        }
        self.end_mcu()
    }
}

/// Writes a file from a scan. The methods return `None` if they need a code that the tables lack.
struct Rewriting<'a> {
    scan: &'a Scan,
    out: Writer,
    /// The DC coefficient last written of each component.
    last: [i32; 3],
    /// Whether to write the scan's restart markers.
    restarts: bool,
}

impl Rewriting<'_> {
    /// Must be called before each MCU that is written.
    fn begin_mcu(&mut self, mcu: usize) {
        if let Some(interval) = self.scan.head.interval
            && self.restarts
            && mcu > 0
            && mcu.is_multiple_of(interval)
        {
            self.out.marker(RST0 + ((mcu / interval - 1) % 8) as u8);
            self.last = [0; 3];
        }
    }

    /// Copies the MCUs between two positions.
    fn copy(&mut self, mut from: Place, to: Place) -> Option<()> {
        while from.mcu < to.mcu {
            self.begin_mcu(from.mcu);
            let number = self.scan.head.interval.map_or(0, |interval| from.mcu / interval);
            let end = *self.scan.ends.get(number).filter(|end| end.mcu <= to.mcu).unwrap_or(&to);
            let mut bit = from.bit;
            if self.last != from.last {
                let mut walk = Walk::from(self.scan, from)?;
                for block in &self.scan.head.blocks {
                    let (first, rest) = walk.block(block)?;
                    self.copy_block(block, first, rest)?;
                }
                bit = walk.bits.position();
            }
            self.out.copy(&self.scan.data.bytes, bit, end.bit)?;
            self.last = end.last;
            from = match self.scan.data.intervals.get(number + 1) {
                Some(next) if end.mcu < to.mcu => Place { mcu: end.mcu, bit: next.start * 8, last: [0; 3] },
                _ => end,
            };
        }
        Some(())
    }

    /// Copies the MCUs from `done` to the first of `columns` in `row`, and writes those of `columns` with their
    /// blocks replaced as `new` says. Returns the position after them.
    fn replace<'b>(
        &mut self,
        done: Place,
        row: usize,
        columns: Range<u32>,
        new: impl Fn(&Block, u32) -> New<'b>,
    ) -> Option<Place> {
        let first = columns.start as usize;
        let (from, _) = self.scan.places(row, first..first)?;
        self.copy(done, from)?;
        let mut walk = Walk::from(self.scan, from)?;
        for column in columns {
            self.begin_mcu(walk.mcu);
            for block in &self.scan.head.blocks {
                let (first, rest) = walk.block(block)?;
                match new(block, column) {
                    New::Same => self.copy_block(block, first, rest)?,
                    New::Other(coefficients) => self.coefficients(block, coefficients)?,
                    New::Flat => {
                        self.first(block, self.last[block.component])?;
                        self.ac(block, END_OF_BLOCK)?;
                    }
                }
            }
            walk.end_mcu()?;
        }
        Some(walk.place())
    }

    fn copy_block(&mut self, block: &Block, first: i32, rest: Range<usize>) -> Option<()> {
        self.first(block, first)?;
        self.out.copy(&self.scan.data.bytes, rest.start, rest.end)
    }

    fn coefficients(&mut self, block: &Block, coefficients: &[i16; 64]) -> Option<()> {
        self.first(block, coefficients[0].into())?;
        let mut run = 0;
        for value in ZIGZAG[1..].iter().map(|&at| i32::from(coefficients[usize::from(at)])) {
            if value == 0 {
                run += 1;
                continue;
            }
            while run > 15 {
                self.ac(block, SIXTEEN_ZEROES)?;
                run -= 16;
            }
            let size = size_of(value);
            self.ac(block, run << 4 | size)?;
            self.value(value, size);
            run = 0;
        }
        if run > 0 { self.ac(block, END_OF_BLOCK) } else { Some(()) }
    }

    /// Writes the DC coefficient of a block as a difference.
    fn first(&mut self, block: &Block, first: i32) -> Option<()> {
        let last = &mut self.last[block.component];
        let difference = first - *last;
        *last = first;
        let size = size_of(difference);
        let (code, length) = block.dc.code.of(size)?;
        self.out.put(code, length);
        self.value(difference, size);
        Some(())
    }

    fn ac(&mut self, block: &Block, symbol: u8) -> Option<()> {
        let (code, length) = block.ac.code.of(symbol)?;
        self.out.put(code, length);
        Some(())
    }

    /// Writes a value's additional bits, which encode its sign as well (T.81, F.1.2.1).
    fn value(&mut self, value: i32, size: u8) {
        self.out.put((if value < 0 { value - 1 } else { value }) as u32, size.into());
    }

    fn end(mut self) -> Vec<u8> {
        self.out.marker(END_OF_IMAGE);
        self.out.into_file()
    }
}

/// The number of bits of a value's magnitude: its category (T.81, F.1.2.1).
fn size_of(value: i32) -> u8 {
    (i32::BITS - value.unsigned_abs().leading_zeros()) as u8
}

/// A part of a decoded picture.
fn cut(image: DynamicImage, area: Area) -> DynamicImage {
    if (image.width(), image.height()) == (area.width, area.height) {
        return image;
    }
    let channels = usize::from(image.color().channel_count());
    let (stride, left) = (image.width() as usize * channels, area.x as usize * channels);
    let width = area.width as usize * channels;
    let mut samples = Vec::with_capacity(width * area.height as usize);
    for row in image.as_bytes().chunks_exact(stride).skip(area.y as usize).take(area.height as usize) {
        samples.extend_from_slice(&row[left..left + width]);
    }
    let cut = match channels {
        1 => GrayImage::from_raw(area.width, area.height, samples).map(DynamicImage::from),
        _ => RgbImage::from_raw(area.width, area.height, samples).map(DynamicImage::from),
    };
    cut.expect("as many samples as the part has. This is a bug.")
}
