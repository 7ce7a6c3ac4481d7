//! One scale of the picture.

use rayon::prelude::*;

use crate::Picture;

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
/// Bytes of a pixel: red, green, blue and texture.
pub const BYTES: usize = 4;
/// Pixels around the picture, so that every patch with its centre in it can be read.
pub const FRAME: usize = 4;

/// How far around the hole sources are looked for.
const RING: usize = 3;

/// Half the side of the square over which texture is averaged.
const TEXTURE_RADIUS: usize = 4;

/// One scale of the picture, with what its patches can be copied from.
#[derive(Debug)]
pub struct Level {
    pub width: usize,
    pub height: usize,
    /// `(height + 2 * FRAME) * stride()` pixels of [`BYTES`] bytes.
    pub pixels: Vec<u8>,
    /// Of each pixel, without the frame, whether it is to be filled.
    pub hole: Vec<bool>,
    /// Whether a source is looked for: in the hole and a few pixels around it, where patches that mostly
    /// show what is known make its lines go on in the hole.
    pub target: Vec<bool>,
    /// Whether it is known and must not be copied.
    pub forbidden: Vec<bool>,
    /// Whether a whole patch around it can be copied.
    pub source: Vec<bool>,
    /// Of the patch around each pixel the sums of its bytes, where it is a source.
    pub sums: Vec<[u16; BYTES]>,
}

impl Level {
    /// The picture at its own size.
    pub fn new(picture: &Picture) -> Self {
        let (width, height) = (picture.width, picture.height);
        let hole: Vec<bool> = picture.hole.iter().map(|&hole| hole != 0).collect();
        let forbidden = match picture.forbidden {
            [] => vec![false; hole.len()],
            forbidden => forbidden.iter().zip(&hole).map(|(&no, &hole)| no != 0 && !hole).collect(),
        };
        let texture = texture(picture, &hole);
        let pixels: Vec<[u8; BYTES]> = picture
            .rgb
            .as_chunks::<3>()
            .0
            .iter()
            .zip(texture)
            .zip(&hole)
            .map(
                |((&[red, green, blue], texture), &hole)| {
                    if hole { [0; BYTES] } else { [red, green, blue, texture] }
                },
            )
            .collect();
        Self::assemble(width, height, &pixels, hole, forbidden)
    }

    /// The same at half the size. A pixel is the mean of the known ones under it, so that nothing leaks
    /// out of the hole, and hole where none of them is known.
    pub fn halved(&self) -> Self {
        let (width, height) = (self.width.div_ceil(2), self.height.div_ceil(2));
        let mut pixels = Vec::with_capacity(width * height);
        let mut hole = Vec::with_capacity(width * height);
        let mut forbidden = Vec::with_capacity(width * height);
        for y in 0..height {
            let rows = 2 * y..(2 * y + 2).min(self.height);
            for x in 0..width {
                let (mut sum, mut known, mut no) = ([0u16; BYTES], 0u16, false);
                for row in rows.clone() {
                    for column in 2 * x..(2 * x + 2).min(self.width) {
                        let place = row * self.width + column;
                        if !self.hole[place] {
                            let pixel = self.pixel(column, row);
                            (0..BYTES).for_each(|i| sum[i] += u16::from(pixel[i]));
                            known += 1;
                            no |= self.forbidden[place];
                        }
                    }
                }
                let mean = |sum: u16| ((sum + known / 2) / known.max(1)) as u8;
                pixels.push(sum.map(mean));
                hole.push(known == 0);
                forbidden.push(no);
            }
        }
        Self::assemble(width, height, &pixels, hole, forbidden)
    }

    fn assemble(
        width: usize,
        height: usize,
        pixels: &[[u8; BYTES]],
        hole: Vec<bool>,
        forbidden: Vec<bool>,
    ) -> Self {
        let stride = width + 2 * FRAME;
        let mut framed = vec![0; stride * (height + 2 * FRAME) * BYTES];
        for (y, row) in pixels.chunks_exact(width).enumerate() {
            framed[((y + FRAME) * stride + FRAME) * BYTES..][..width * BYTES]
                .copy_from_slice(row.as_flattened());
        }
        let mut level = Self {
            width,
            height,
            pixels: framed,
            target: widened(&hole, width),
            hole,
            forbidden,
            source: Vec::new(),
            sums: Vec::new(),
        };
        level.source = level.sources();
        level.sums = level.patch_sums();
        level
    }

    /// Pixels of a row of [`Self::pixels`].
    pub fn stride(&self) -> usize {
        self.width + 2 * FRAME
    }

    /// Where a pixel's bytes are.
    pub fn at(&self, x: usize, y: usize) -> usize {
        ((y + FRAME) * self.stride() + x + FRAME) * BYTES
    }

    /// Where the first byte of the patch around a pixel is.
    pub fn patch_at(&self, x: usize, y: usize) -> usize {
        self.at(x, y) - (ABOVE * self.stride() + LEFT) * BYTES
    }

    /// A pixel's bytes.
    pub fn pixel(&self, x: usize, y: usize) -> [u8; BYTES] {
        let at = self.at(x, y);
        [self.pixels[at], self.pixels[at + 1], self.pixels[at + 2], self.pixels[at + 3]]
    }

    /// Gives the hole the colours that the same level at half the size has there.
    pub fn take_hole_from(&mut self, half: &Self) {
        for y in 0..self.height {
            for x in 0..self.width {
                if self.hole[y * self.width + x] {
                    let at = self.at(x, y);
                    self.pixels[at..at + BYTES].copy_from_slice(&half.pixel(x / 2, y / 2));
                }
            }
        }
    }

    /// Whether the patch around a pixel lies in the picture.
    pub fn is_whole(&self, x: usize, y: usize) -> bool {
        x >= LEFT && x + COLUMNS - LEFT <= self.width && y >= ABOVE && y + ROWS - ABOVE <= self.height
    }

    fn sources(&self) -> Vec<bool> {
        let (width, height) = (self.width, self.height);
        let mut source = vec![false; width * height];
        if width < COLUMNS || height < ROWS {
            return source;
        }
        let bad: Vec<u8> = self.hole.iter().zip(&self.forbidden).map(|(&a, &b)| u8::from(a | b)).collect();
        let inner = width - COLUMNS + 1;
        source.par_chunks_exact_mut(width).enumerate().skip(ABOVE).take(height - ROWS + 1).for_each(
            |(y, row)| {
                let mut any = vec![0u8; width];
                for bad in bad[(y - ABOVE) * width..][..ROWS * width].chunks_exact(width) {
                    any.iter_mut().zip(bad).for_each(|(any, bad)| *any |= bad);
                }
                for step in [1, 2, 4] {
                    for x in 0..width - step {
                        any[x] |= any[x + step];
                    }
                }
                row[LEFT..][..inner].iter_mut().zip(&any).for_each(|(source, &any)| *source = any == 0);
            },
        );
        source
    }

    fn patch_sums(&self) -> Vec<[u16; BYTES]> {
        let (width, height) = (self.width, self.height);
        let mut sums = vec![[0; BYTES]; width * height];
        if width < COLUMNS || height < ROWS {
            return sums;
        }
        let (row_bytes, inner) = (width * BYTES, width - COLUMNS + 1);
        sums.par_chunks_exact_mut(width).enumerate().skip(ABOVE).take(height - ROWS + 1).for_each(
            |(y, row)| {
                let mut down = vec![0u16; row_bytes];
                for above in 0..ROWS {
                    let line = &self.pixels[self.at(0, y + above - ABOVE)..][..row_bytes];
                    down.iter_mut().zip(line).for_each(|(sum, &byte)| *sum += u16::from(byte));
                }
                // Sums of two, four and eight neighbours, in place from the left.
                for step in [1, 2, 4] {
                    for i in 0..row_bytes - step * BYTES {
                        down[i] += down[i + step * BYTES];
                    }
                }
                for (x, sum) in down.as_chunks::<BYTES>().0.iter().take(inner).enumerate() {
                    row[x + LEFT] = *sum;
                }
            },
        );
        sums
    }
}

/// The hole and what is at most [`RING`] pixels beside and above it.
fn widened(hole: &[bool], width: usize) -> Vec<bool> {
    let height = hole.len() / width;
    let mut target = vec![false; hole.len()];
    target.par_chunks_exact_mut(width).enumerate().for_each(|(y, target)| {
        let mut down = vec![false; width + 2 * RING];
        for near in y.saturating_sub(RING)..(y + RING + 1).min(height) {
            down[RING..].iter_mut().zip(&hole[near * width..][..width]).for_each(|(any, &hole)| *any |= hole);
        }
        for step in 0..=2 * RING {
            target.iter_mut().zip(&down[step..]).for_each(|(target, &any)| *target |= any);
        }
    });
    target
}

/// How textured the picture is around each pixel: the mean of the steps between known neighbours, after
/// Newson et al. (2014), "Video Inpainting of Complex Scenes". Averaged at full size and then halved with
/// the colours, it tells grass from a plain green where both look alike.
fn texture(picture: &Picture, hole: &[bool]) -> Vec<u8> {
    let (width, height) = (picture.width, picture.height);
    let luma: Vec<i16> = picture
        .rgb
        .chunks_exact(3)
        .map(|rgb| (u16::from(rgb[0]) + 2 * u16::from(rgb[1]) + u16::from(rgb[2])) as i16)
        .collect();
    // Of each pixel the steps to its right and lower neighbours and how many they are.
    let mut steps = vec![[0u16; 2]; width * height];
    steps.par_chunks_exact_mut(width).enumerate().for_each(|(y, row)| {
        for (x, step) in row.iter_mut().enumerate() {
            let place = y * width + x;
            if hole[place] {
                continue;
            }
            if x + 1 < width && !hole[place + 1] {
                *step = [step[0] + luma[place].abs_diff(luma[place + 1]), step[1] + 1];
            }
            if y + 1 < height && !hole[place + width] {
                *step = [step[0] + luma[place].abs_diff(luma[place + width]), step[1] + 1];
            }
        }
    });
    let mut across = vec![[0u16; 2]; width * height];
    across.par_chunks_exact_mut(width).zip(steps.par_chunks_exact(width)).for_each(|(sums, steps)| {
        let mut sum = [0u16; 2];
        for x in 0..width + TEXTURE_RADIUS {
            if let Some(step) = steps.get(x) {
                sum = [sum[0] + step[0], sum[1] + step[1]];
            }
            if x > 2 * TEXTURE_RADIUS {
                let step = steps[x - 2 * TEXTURE_RADIUS - 1];
                sum = [sum[0] - step[0], sum[1] - step[1]];
            }
            if x >= TEXTURE_RADIUS {
                sums[x - TEXTURE_RADIUS] = sum;
            }
        }
    });
    let mut texture = vec![0u8; width * height];
    const BAND: usize = 64;
    texture.par_chunks_mut(width * BAND).enumerate().for_each(|(band, rows)| {
        let first = band * BAND;
        let mut sums = vec![[0i32; 2]; width];
        let add = |sums: &mut [[i32; 2]], y: usize, sign: i32| {
            sums.iter_mut().zip(&across[y * width..][..width]).for_each(|(sum, row)| {
                *sum = [sum[0] + sign * i32::from(row[0]), sum[1] + sign * i32::from(row[1])];
            });
        };
        for y in first.saturating_sub(TEXTURE_RADIUS)..(first + TEXTURE_RADIUS).min(height) {
            add(&mut sums, y, 1);
        }
        for (y, row) in (first..).zip(rows.chunks_exact_mut(width)) {
            if y + TEXTURE_RADIUS < height {
                add(&mut sums, y + TEXTURE_RADIUS, 1);
            }
            row.iter_mut().zip(&sums).for_each(|(texture, [sum, count])| {
                *texture = (2 * sum / count.max(&1)).min(255) as u8;
            });
            if y >= TEXTURE_RADIUS {
                add(&mut sums, y - TEXTURE_RADIUS, -1);
            }
        }
    });
    texture
}
