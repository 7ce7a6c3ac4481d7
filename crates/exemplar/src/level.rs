//! One level of the image pyramid.

use rayon::prelude::*;

use crate::{Picture, texture::texture};

/// Columns of a patch: a row of it, at four bytes per pixel, fills one 256-bit register.
pub const COLUMNS: usize = 8;
/// Rows of a patch.
pub const ROWS: usize = 7;
/// Columns left of a patch's centre.
pub const LEFT: usize = 4;
/// Rows above a patch's centre.
pub const ABOVE: usize = 3;
/// Pixels per patch.
pub const PATCH: usize = COLUMNS * ROWS;
/// Bytes per row of a patch.
pub const ROW_BYTES: usize = COLUMNS * BYTES;
/// Bytes per pixel: red, green, blue and texture.
pub const BYTES: usize = 4;
/// Padding on every side in pixels, so that a patch centred on any pixel can be read.
pub const FRAME: usize = 4;

/// How far around the hole pixels are matched too.
const RING: usize = 3;

/// Rows per unit of parallel work.
const BAND: usize = 32;

/// A rectangle of the picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Region {
    pub left: usize,
    pub top: usize,
    pub width: usize,
    pub height: usize,
}

impl Region {
    /// The bounding box of the marked pixels; empty if there are none.
    fn around(marked: &[bool], width: usize) -> Self {
        let rows = || marked.chunks_exact(width).enumerate().filter(|(_, row)| row.contains(&true));
        let (Some((top, _)), Some((bottom, _))) = (rows().next(), rows().next_back()) else {
            return Self::default();
        };
        let (mut left, mut right) = (width, 0);
        for (_, row) in rows() {
            left = row.iter().position(|&marked| marked).unwrap_or(width).min(left);
            right = row.iter().rposition(|&marked| marked).unwrap_or(0).max(right);
        }
        Self { left, top, width: right + 1 - left, height: bottom + 1 - top }
    }

    /// Grows it by so many pixels on each side, clipped to `width` by `height`.
    fn grown(self, by: usize, width: usize, height: usize) -> Self {
        if self == Self::default() {
            return self;
        }
        let (left, top) = (self.left.saturating_sub(by), self.top.saturating_sub(by));
        let (right, bottom) = ((self.right() + by).min(width), (self.bottom() + by).min(height));
        Self { left, top, width: right - left, height: bottom - top }
    }

    /// One past the rightmost column.
    pub fn right(self) -> usize {
        self.left + self.width
    }

    /// One past the bottom row.
    pub fn bottom(self) -> usize {
        self.top + self.height
    }

    /// The inverse of [`Self::place`].
    #[inline(always)]
    pub fn pixel(self, place: usize) -> (usize, usize) {
        (self.left + place % self.width, self.top + place / self.width)
    }

    /// The index of a pixel in row order within the region, if it is inside.
    #[inline(always)]
    pub fn place(self, x: usize, y: usize) -> Option<usize> {
        let (x, y) = (x.wrapping_sub(self.left), y.wrapping_sub(self.top));
        if x < self.width && y < self.height { Some(y * self.width + x) } else { None }
    }
}

/// One level of the pyramid, with what can be copied and what must be filled.
#[derive(Debug)]
pub struct Level {
    pub width: usize,
    pub height: usize,
    /// `(height + 2 * FRAME) * stride()` pixels of [`BYTES`] bytes, padding included.
    pub pixels: Vec<u8>,
    /// Whether the fourth byte holds the texture; it is 0 at full size.
    textured: bool,
    /// Pixels to fill; without padding.
    pub hole: Vec<bool>,
    /// Known pixels that must not be copied; empty if there are none.
    forbidden: Vec<bool>,
    /// Pixels whose whole patch can be copied.
    pub source: Vec<bool>,
    /// The bounding box of `target`. The fields below cover only its pixels.
    pub region: Region,
    /// Pixels to match: the hole and a few pixels around it, where patches show mostly known pixels and so
    /// make structures continue into the hole.
    pub target: Vec<bool>,
    /// Distance to the nearest known pixel, in steps; 0 for known ones.
    pub depth: Vec<u16>,
}

impl Level {
    /// The full-size level.
    pub fn new(picture: &Picture) -> Self {
        let hole: Vec<bool> = picture.hole.iter().map(|&hole| hole != 0).collect();
        let forbidden = picture.forbidden.iter().zip(&hole).map(|(&no, &hole)| no != 0 && !hole).collect();
        let mut level = Self::unpainted(picture.width, picture.height, hole, forbidden);
        level.paint(|y, line| {
            let row = y * picture.width..(y + 1) * picture.width;
            let rgb = &picture.rgb.as_chunks::<3>().0[row.clone()];
            for ((pixel, &[red, green, blue]), &hole) in line.iter_mut().zip(rgb).zip(&picture.hole[row]) {
                *pixel = if hole == 0 { [red, green, blue, 0] } else { [0; BYTES] };
            }
        });
        level
    }

    /// Halves the level. A pixel is the mean of the known ones under it, so nothing leaks out of the hole,
    /// and is hole if none of them is known.
    pub fn halved(&self) -> Self {
        // Measured at full size; averaged from then on, like the colours.
        let texture = if self.textured { Vec::new() } else { texture(self) };
        self.halved_with(&texture)
    }

    /// Halves the level without texture.
    pub fn halved_without_texture(&self) -> Self {
        self.halved_with(&[])
    }

    fn halved_with(&self, texture: &[u8]) -> Self {
        let (width, height) = (self.width.div_ceil(2), self.height.div_ceil(2));
        let mut hole = vec![false; width * height];
        for y in self.region.top / 2..self.region.bottom().div_ceil(2) {
            for x in self.region.left / 2..self.region.right().div_ceil(2) {
                hole[y * width + x] = self.under(x, y).iter().all(|&(x, y)| self.hole[y * self.width + x]);
            }
        }
        let mut forbidden = Vec::new();
        if !self.forbidden.is_empty() {
            forbidden.extend((0..width * height).map(|place| {
                self.under(place % width, place / width)
                    .iter()
                    .any(|&(x, y)| self.forbidden[y * self.width + x])
            }));
        }
        let mut level = Self::unpainted(width, height, hole, forbidden);
        level.textured = true;
        let columns = self.region.left / 2..self.region.right().div_ceil(2);
        level.paint(|y, line| {
            let upper = self.line(2 * y);
            let lower = self.line((2 * y + 1).min(self.height - 1));
            // The fast path: both rows are known and there are two columns.
            for ((pixel, upper), lower) in
                line.iter_mut().zip(upper.as_chunks::<2>().0).zip(lower.as_chunks::<2>().0)
            {
                *pixel = mean_of_four(upper, lower);
            }
            let mean = |x: usize| {
                let (mut sum, mut known) = ([0u16; BYTES], 0u16);
                for (x, y) in self.under(x, y).into_iter().filter(|&(x, y)| !self.hole[y * self.width + x]) {
                    let pixel = self.pixel(x, y);
                    (0..BYTES).for_each(|i| sum[i] += u16::from(pixel[i]));
                    known += 1;
                }
                sum.map(|sum| ((sum + known / 2) / known.max(1)) as u8)
            };
            if (self.region.top..self.region.bottom()).contains(&(2 * y))
                || (self.region.top..self.region.bottom()).contains(&(2 * y + 1))
            {
                columns.clone().for_each(|x| line[x] = mean(x));
            }
            if !self.width.is_multiple_of(2) {
                line[width - 1] = mean(width - 1);
            }
            if !texture.is_empty() {
                line.iter_mut().zip(&texture[y * width..]).for_each(|(pixel, &texture)| pixel[3] = texture);
            }
        });
        level
    }

    /// The four pixels under one of half the size; repeated at an odd edge.
    pub fn under(&self, x: usize, y: usize) -> [(usize, usize); 4] {
        let (right, below) = ((2 * x + 1).min(self.width - 1), (2 * y + 1).min(self.height - 1));
        [(2 * x, 2 * y), (right, 2 * y), (2 * x, below), (right, below)]
    }

    /// A level without colours.
    fn unpainted(width: usize, height: usize, hole: Vec<bool>, forbidden: Vec<bool>) -> Self {
        let box_of_hole = Region::around(&hole, width);
        let region = box_of_hole.grown(RING, width, height);
        let mut level = Self {
            width,
            height,
            pixels: Vec::new(),
            textured: false,
            source: Vec::new(),
            target: widened(&hole, width, region),
            depth: depths(&hole, width, region),
            hole,
            forbidden,
            region,
        };
        level.source = level.sources();
        level
    }

    /// Sets the colours: `row` writes those of each row.
    fn paint(&mut self, row: impl Fn(usize, &mut [[u8; BYTES]]) + Sync) {
        let (stride, width) = (self.stride(), self.width);
        self.pixels = vec![0; stride * (self.height + 2 * FRAME) * BYTES];
        let lines = self.pixels[FRAME * stride * BYTES..].par_chunks_exact_mut(stride * BYTES);
        lines.take(self.height).enumerate().with_min_len(BAND).for_each(|(y, line)| {
            row(y, line[FRAME * BYTES..][..width * BYTES].as_chunks_mut().0);
        });
    }

    /// Pixels per row of [`Self::pixels`], padding included.
    #[inline(always)]
    pub fn stride(&self) -> usize {
        self.width + 2 * FRAME
    }

    /// Index of a pixel's first byte in [`Self::pixels`].
    #[inline(always)]
    pub fn at(&self, x: usize, y: usize) -> usize {
        ((y + FRAME) * self.stride() + x + FRAME) * BYTES
    }

    /// Index of the first byte of the patch around a pixel.
    #[inline(always)]
    pub fn patch_at(&self, x: usize, y: usize) -> usize {
        self.at(x, y) - (ABOVE * self.stride() + LEFT) * BYTES
    }

    #[inline(always)]
    pub fn pixel(&self, x: usize, y: usize) -> [u8; BYTES] {
        let at = self.at(x, y);
        [self.pixels[at], self.pixels[at + 1], self.pixels[at + 2], self.pixels[at + 3]]
    }

    /// The pixels of a row, without padding.
    pub fn line(&self, y: usize) -> &[[u8; BYTES]] {
        self.pixels[self.at(0, y)..][..self.width * BYTES].as_chunks().0
    }

    /// Upsamples the colours of the hole from the next coarser level.
    pub fn take_hole_from(&mut self, half: &Self) {
        self.paint_hole(|x, y| half.pixel(x / 2, y / 2));
    }

    /// Sets each pixel of the hole to `colour(x, y)`.
    pub fn paint_hole(&mut self, colour: impl Fn(usize, usize) -> [u8; BYTES]) {
        for y in self.region.top..self.region.bottom() {
            for x in self.region.left..self.region.right() {
                if self.hole[y * self.width + x] {
                    let at = self.at(x, y);
                    self.pixels[at..at + BYTES].copy_from_slice(&colour(x, y));
                }
            }
        }
    }

    /// Whether the patch around a pixel lies within the picture.
    #[inline(always)]
    pub fn is_whole(&self, x: usize, y: usize) -> bool {
        x >= LEFT && x + COLUMNS - LEFT <= self.width && y >= ABOVE && y + ROWS - ABOVE <= self.height
    }

    fn sources(&self) -> Vec<bool> {
        let (width, height) = (self.width, self.height);
        let mut source = vec![false; width * height];
        if width < COLUMNS || height < ROWS {
            return source;
        }
        let inner = LEFT..LEFT + width - COLUMNS + 1;
        let rows = source.par_chunks_exact_mut(width).enumerate().skip(ABOVE).take(height - ROWS + 1);
        rows.with_min_len(BAND).for_each(|(y, row)| {
            let covered = y - ABOVE..y - ABOVE + ROWS;
            let near = covered.end > self.region.top && covered.start < self.region.bottom();
            if !near && self.forbidden.is_empty() {
                row[inner.clone()].fill(true);
                return;
            }
            let mut bad = vec![false; width];
            for marked in [&self.hole, &self.forbidden].into_iter().filter(|marked| !marked.is_empty()) {
                for marked in marked[covered.start * width..covered.end * width].chunks_exact(width) {
                    bad.iter_mut().zip(marked).for_each(|(bad, marked)| *bad |= marked);
                }
            }
            for step in [1, 2, 4] {
                for x in 0..width - step {
                    bad[x] |= bad[x + step];
                }
            }
            row[inner.clone()].iter_mut().zip(bad).for_each(|(source, bad)| *source = !bad);
        });
        source
    }
}

/// The rounded mean of a block of two by two pixels.
#[inline(always)]
fn mean_of_four(upper: &[[u8; BYTES]; 2], lower: &[[u8; BYTES]; 2]) -> [u8; BYTES] {
    std::array::from_fn(|i| {
        let sum =
            u16::from(upper[0][i]) + u16::from(upper[1][i]) + u16::from(lower[0][i]) + u16::from(lower[1][i]);
        ((sum + 2) / 4) as u8
    })
}

/// Dilates the hole by [`RING`] pixels in each direction, diagonals included.
fn widened(hole: &[bool], width: usize, region: Region) -> Vec<bool> {
    let height = hole.len() / width;
    let mut target = vec![false; region.width * region.height];
    for (y, target) in (region.top..).zip(target.chunks_exact_mut(region.width.max(1))) {
        let mut down = vec![false; region.width + 2 * RING];
        for near in y.saturating_sub(RING)..(y + RING + 1).min(height) {
            let hole = &hole[near * width + region.left..][..region.width];
            down[RING..].iter_mut().zip(hole).for_each(|(any, &hole)| *any |= hole);
        }
        for step in 0..=2 * RING {
            target.iter_mut().zip(&down[step..]).for_each(|(target, &any)| *target |= any);
        }
    }
    target
}

/// Distance of each pixel of the region to the nearest known one, in steps; 0 for known ones.
fn depths(hole: &[bool], width: usize, region: Region) -> Vec<u16> {
    const FAR: u16 = u16::MAX - 1;
    let rows = (region.top..region.bottom()).map(|y| &hole[y * width + region.left..][..region.width]);
    let mut depth: Vec<u16> = rows.flatten().map(|&hole| if hole { FAR } else { 0 }).collect();
    let (width, height) = (region.width, region.height);
    for place in 0..width * height {
        let up = if place >= width { depth[place - width] } else { FAR };
        let left = if place % width > 0 { depth[place - 1] } else { FAR };
        depth[place] = depth[place].min(up.min(left) + 1);
    }
    for place in (0..width * height).rev() {
        let down = if place + width < width * height { depth[place + width] } else { FAR };
        let right = if place % width + 1 < width { depth[place + 1] } else { FAR };
        depth[place] = depth[place].min(down.min(right) + 1);
    }
    depth
}
