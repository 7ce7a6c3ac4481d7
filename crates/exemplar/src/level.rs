//! One scale of the picture.

use rayon::prelude::*;

use crate::{Picture, texture::texture};

/// Columns of a patch: with four bytes a pixel a row of it fills one 256-bit register.
pub const COLUMNS: usize = 8;
/// Rows of a patch.
pub const ROWS: usize = 7;
/// Columns of a patch to the left of its centre.
pub const LEFT: usize = 4;
/// Rows of a patch above its centre.
pub const ABOVE: usize = 3;
/// Pixels of a patch.
pub const PATCH: usize = COLUMNS * ROWS;
/// Bytes of a row of a patch.
pub const ROW_BYTES: usize = COLUMNS * BYTES;
/// Bytes of a pixel: red, green, blue and texture.
pub const BYTES: usize = 4;
/// Pixels around the picture, so that every patch with its centre in it can be read.
pub const FRAME: usize = 4;

/// How far around the hole sources are looked for.
const RING: usize = 3;

/// Rows that one thread works on at a time.
const BAND: usize = 32;

/// A box of the picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Region {
    pub left: usize,
    pub top: usize,
    pub width: usize,
    pub height: usize,
}

impl Region {
    /// The smallest that holds all that is marked.
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

    /// With so many pixels more on each side, within a picture of `width` by `height`.
    fn grown(self, by: usize, width: usize, height: usize) -> Self {
        if self == Self::default() {
            return self;
        }
        let (left, top) = (self.left.saturating_sub(by), self.top.saturating_sub(by));
        let (right, bottom) = ((self.right() + by).min(width), (self.bottom() + by).min(height));
        Self { left, top, width: right - left, height: bottom - top }
    }

    /// The column after the last.
    pub fn right(self) -> usize {
        self.left + self.width
    }

    /// The row after the last.
    pub fn bottom(self) -> usize {
        self.top + self.height
    }

    /// The pixel of the picture that is at an index of such a list as [`Self::place`] means.
    #[inline(always)]
    pub fn pixel(self, place: usize) -> (usize, usize) {
        (self.left + place % self.width, self.top + place / self.width)
    }

    /// The index in a list of the box's pixels, row after row, of a pixel of the picture.
    #[inline(always)]
    pub fn place(self, x: usize, y: usize) -> Option<usize> {
        let (x, y) = (x.wrapping_sub(self.left), y.wrapping_sub(self.top));
        if x < self.width && y < self.height { Some(y * self.width + x) } else { None }
    }
}

/// One scale of the picture, with what its patches can be copied from.
#[derive(Debug)]
pub struct Level {
    pub width: usize,
    pub height: usize,
    /// `(height + 2 * FRAME) * stride()` pixels of [`BYTES`] bytes.
    pub pixels: Vec<u8>,
    /// Whether the fourth byte of the pixels is their texture; it is 0 at full size.
    textured: bool,
    /// Of each pixel, without the frame, whether it is to be filled.
    pub hole: Vec<bool>,
    /// Whether it is known and must not be copied; empty where all may be.
    forbidden: Vec<bool>,
    /// Whether a whole patch around it can be copied.
    pub source: Vec<bool>,
    /// The box in which sources are looked for. The lists below have its pixels only.
    pub region: Region,
    /// Whether a source is looked for: in the hole and a few pixels around it, where patches that mostly
    /// show what is known make its lines go on in the hole.
    pub target: Vec<bool>,
    /// How many steps the pixel is away from a known one; 0 for known ones.
    pub depth: Vec<u16>,
}

impl Level {
    /// The picture at its own size.
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

    /// The same at half the size. A pixel is the mean of the known ones under it, so that nothing leaks
    /// out of the hole, and hole where none of them is known.
    pub fn halved(&self) -> Self {
        // Measured at full size and averaged from then on, as the colours are.
        let texture = if self.textured { Vec::new() } else { texture(self) };
        self.halved_with(&texture)
    }

    /// The same, for colours alone.
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
            // Where both rows are known, and there are two columns.
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

    /// The pixels that one of half the size stands for: four, of which some are the same at an odd edge.
    pub fn under(&self, x: usize, y: usize) -> [(usize, usize); 4] {
        let (right, below) = ((2 * x + 1).min(self.width - 1), (2 * y + 1).min(self.height - 1));
        [(2 * x, 2 * y), (right, 2 * y), (2 * x, below), (right, below)]
    }

    /// All but its colours.
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

    /// Gives each row the colours that `row` writes.
    fn paint(&mut self, row: impl Fn(usize, &mut [[u8; BYTES]]) + Sync) {
        let (stride, width) = (self.stride(), self.width);
        self.pixels = vec![0; stride * (self.height + 2 * FRAME) * BYTES];
        let lines = self.pixels[FRAME * stride * BYTES..].par_chunks_exact_mut(stride * BYTES);
        lines.take(self.height).enumerate().with_min_len(BAND).for_each(|(y, line)| {
            row(y, line[FRAME * BYTES..][..width * BYTES].as_chunks_mut().0);
        });
    }

    /// Pixels of a row of [`Self::pixels`].
    #[inline(always)]
    pub fn stride(&self) -> usize {
        self.width + 2 * FRAME
    }

    /// Where a pixel's bytes are.
    #[inline(always)]
    pub fn at(&self, x: usize, y: usize) -> usize {
        ((y + FRAME) * self.stride() + x + FRAME) * BYTES
    }

    /// Where the first byte of the patch around a pixel is.
    #[inline(always)]
    pub fn patch_at(&self, x: usize, y: usize) -> usize {
        self.at(x, y) - (ABOVE * self.stride() + LEFT) * BYTES
    }

    /// A pixel's bytes.
    #[inline(always)]
    pub fn pixel(&self, x: usize, y: usize) -> [u8; BYTES] {
        let at = self.at(x, y);
        [self.pixels[at], self.pixels[at + 1], self.pixels[at + 2], self.pixels[at + 3]]
    }

    /// The pixels of a row.
    pub fn line(&self, y: usize) -> &[[u8; BYTES]] {
        self.pixels[self.at(0, y)..][..self.width * BYTES].as_chunks().0
    }

    /// Gives the hole the colours that the same level at half the size has there.
    pub fn take_hole_from(&mut self, half: &Self) {
        self.paint_hole(|x, y| half.pixel(x / 2, y / 2));
    }

    /// Gives each pixel of the hole, at a column and a row, a colour.
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

    /// Whether the patch around a pixel lies in the picture.
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

/// The mean of two pixels beside each other and the two under them.
#[inline(always)]
fn mean_of_four(upper: &[[u8; BYTES]; 2], lower: &[[u8; BYTES]; 2]) -> [u8; BYTES] {
    std::array::from_fn(|i| {
        let sum =
            u16::from(upper[0][i]) + u16::from(upper[1][i]) + u16::from(lower[0][i]) + u16::from(lower[1][i]);
        ((sum + 2) / 4) as u8
    })
}

/// The hole and what is at most [`RING`] pixels beside and above it.
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

/// How many steps each pixel of the region is away from a known one; 0 for known ones.
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
