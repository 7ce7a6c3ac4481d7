//! How unlike two patches are.

use crate::level::{BYTES, COLUMNS, Level, PATCH, ROWS};

const ROW_BYTES: usize = COLUMNS * BYTES;

/// The patch around a pixel of the hole, to be compared with sources.
#[derive(Debug)]
pub struct Target {
    bytes: [[u8; ROW_BYTES]; ROWS],
    /// 255 where a byte counts.
    mask: [[u8; ROW_BYTES]; ROWS],
    sums: [i32; 3],
    whole: bool,
}

/// The largest shade, in levels, by which a copied patch is made lighter or darker in each colour.
pub const LARGEST_SHADE: i32 = 12;

impl Target {
    /// The patch around a pixel.
    #[inline(always)]
    pub fn new(level: &Level, x: usize, y: usize) -> Self {
        let mut bytes = [[0; ROW_BYTES]; ROWS];
        let (start, stride) = (level.patch_at(x, y), level.stride() * BYTES);
        for (row, bytes) in bytes.iter_mut().enumerate() {
            bytes.copy_from_slice(&level.pixels[start + row * stride..][..ROW_BYTES]);
        }
        let mut target =
            Self { bytes, mask: [[255; ROW_BYTES]; ROWS], sums: [0; 3], whole: level.is_whole(x, y) };
        if target.whole {
            let mut columns = [0u16; ROW_BYTES];
            for row in &target.bytes {
                for i in 0..ROW_BYTES {
                    columns[i] += u16::from(row[i]);
                }
            }
            for column in columns.as_chunks::<BYTES>().0 {
                target.sums.iter_mut().zip(column).for_each(|(sum, &of)| *sum += i32::from(of));
            }
        } else {
            target.keep(|column, row| {
                let (x, y) = (
                    (x + column).wrapping_sub(crate::level::LEFT),
                    (y + row).wrapping_sub(crate::level::ABOVE),
                );
                x < level.width && y < level.height
            });
        }
        target
    }

    /// Lets only the pixels count for which `known` says so of their column and row in the patch.
    pub fn keep(&mut self, known: impl Fn(usize, usize) -> bool) {
        for (row, mask) in self.mask.iter_mut().enumerate() {
            for (column, mask) in mask.as_chunks_mut::<BYTES>().0.iter_mut().enumerate() {
                if !known(column, row) {
                    *mask = [0; BYTES];
                }
            }
        }
        self.whole = false;
    }

    /// What has to be added to the source around `place` to have this patch's shade, in eighths of a level.
    /// Nothing where only part of the patch counts.
    #[inline(always)]
    pub fn shade(&self, level: &Level, place: usize) -> [i8; 3] {
        let mut shade = [0; 3];
        if self.whole {
            let limit = LARGEST_SHADE * PATCH as i32;
            for (i, shade) in shade.iter_mut().enumerate() {
                let difference = self.sums[i] - i32::from(level.sums[place][i]);
                *shade = (difference.clamp(-limit, limit) / (PATCH as i32 / 8)) as i8;
            }
        }
        shade
    }

    /// Sum of squared differences to the source around a pixel, less what the shade explains; `limit` or
    /// more where it is not less than `limit`.
    #[inline(always)]
    pub fn distance(&self, level: &Level, x: usize, y: usize, limit: u32) -> u32 {
        let (start, stride) = (level.patch_at(x, y), level.stride() * BYTES);
        let source = &level.pixels[start..start + (ROWS - 1) * stride + ROW_BYTES];
        if !self.whole {
            return self.rows::<true>(source, stride, limit);
        }
        // Of a difference of all pixels by the same shade three quarters are forgiven.
        let sums = &level.sums[y * level.width + x];
        let limit_of_shade = LARGEST_SHADE * PATCH as i32;
        let mut forgiven = 0;
        for (&own, &other) in self.sums.iter().zip(sums) {
            let difference = (own - i32::from(other)).abs();
            let shade = difference.min(limit_of_shade);
            forgiven += (2 * difference - shade) as u32 / 8 * shade as u32 / (PATCH as u32 / 8);
        }
        let forgiven = forgiven / 4 * 3;
        self.rows::<false>(source, stride, limit.saturating_add(forgiven)).saturating_sub(forgiven)
    }

    #[inline(always)]
    fn rows<const MASKED: bool>(&self, source: &[u8], stride: usize, limit: u32) -> u32 {
        let mut sum = 0;
        for row in 0..ROWS {
            let source: &[u8; ROW_BYTES] = source[row * stride..][..ROW_BYTES]
                .try_into()
                .expect("a slice of that length. This is a bug.");
            let (bytes, mask) = (&self.bytes[row], &self.mask[row]);
            let mut of_row = 0i32;
            for i in 0..ROW_BYTES {
                let mut difference = i16::from(bytes[i]) - i16::from(source[i]);
                if MASKED {
                    difference &= i16::from(mask[i] as i8);
                }
                of_row += i32::from(difference) * i32::from(difference);
            }
            sum += of_row as u32;
            if row == 2 && sum >= limit {
                return sum;
            }
        }
        sum
    }
}
