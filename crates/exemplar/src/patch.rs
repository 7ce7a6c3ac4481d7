//! How unlike two patches are.

use crate::{
    level::{ABOVE, BYTES, COLUMNS, LEFT, Level, PATCH, ROW_BYTES, ROWS},
    simd::Set,
};

/// The largest shade, in levels, by which a copied patch is made lighter or darker in each colour.
pub const LARGEST_SHADE: i32 = 12;

/// What a copy is made lighter by in red, green and blue, in eighths of a level; nothing in texture.
pub type Shade = [i8; BYTES];

/// The patch around a pixel of the hole, to be compared with sources.
#[derive(Debug)]
pub struct Target {
    /// Where its first byte is.
    start: usize,
    /// 255 for the bytes that count, where not all do.
    mask: Option<[[u8; ROW_BYTES]; ROWS]>,
}

/// How unlike a source is.
#[derive(Clone, Copy, Debug)]
pub struct Difference {
    /// Sum of squared differences, less what the shade explains.
    pub cost: u32,
    /// Sums of what the source lacks in red, green and blue.
    sums: [i32; 3],
}

impl Difference {
    /// What has to be added to the source to have the patch's shade. Nothing where only part of the patch
    /// counts.
    #[inline(always)]
    pub fn shade(&self) -> Shade {
        const LIMIT: i32 = LARGEST_SHADE * PATCH as i32;
        let [red, green, blue] = self.sums.map(|sum| (sum.clamp(-LIMIT, LIMIT) / (PATCH as i32 / 8)) as i8);
        [red, green, blue, 0]
    }
}

impl Target {
    /// The patch around a pixel.
    #[inline(always)]
    pub fn new(level: &Level, x: usize, y: usize) -> Self {
        let mut target = Self { start: level.patch_at(x, y), mask: None };
        if !level.is_whole(x, y) {
            target.keep(|column, row| {
                (x + column).wrapping_sub(LEFT) < level.width && (y + row).wrapping_sub(ABOVE) < level.height
            });
        }
        target
    }

    /// Lets only the pixels count for which `known` says so of their column and row in the patch.
    pub fn keep(&mut self, known: impl Fn(usize, usize) -> bool) {
        let mut mask = [[0; ROW_BYTES]; ROWS];
        for (row, mask) in mask.iter_mut().enumerate() {
            for (column, mask) in mask.as_chunks_mut::<BYTES>().0.iter_mut().enumerate() {
                *mask = [if known(column, row) { 255 } else { 0 }; BYTES];
            }
        }
        self.mask = Some(mask);
    }

    /// The difference to the source around a pixel.
    #[inline(always)]
    pub fn difference(&self, level: &Level, x: usize, y: usize, set: Set) -> Difference {
        let length = ((ROWS - 1) * level.stride() + COLUMNS) * BYTES;
        let own = &level.pixels[self.start..][..length];
        let other = &level.pixels[level.patch_at(x, y)..][..length];
        let stride = level.stride() * BYTES;
        if let Some(mask) = &self.mask {
            return Difference { cost: masked(own, other, stride, mask), sums: [0; 3] };
        }
        let (squares, [red, green, blue, _]) = match set {
            // SAFETY: the set is one that the processor has.
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => unsafe { avx512::sums(own, other, stride) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => unsafe { avx2::sums(own, other, stride) },
            Set::Portable => sums(own, other, stride),
        };
        // Of a difference of all pixels by the same shade half is forgiven.
        let sums = [red, green, blue];
        let explained = |sum: i32| {
            let shade = sum.abs().min(LARGEST_SHADE * PATCH as i32);
            (2 * sum.abs() - shade) * shade
        };
        let forgiven = (explained(red) + explained(green) + explained(blue)) / (2 * PATCH as i32);
        Difference { cost: (squares - forgiven) as u32, sums }
    }
}

#[inline(always)]
fn row(patch: &[u8], start: usize) -> &[u8; ROW_BYTES] {
    patch[start..][..ROW_BYTES].try_into().expect("a slice of that length. This is a bug.")
}

/// The sum of squared differences of two patches, and the sums of the differences in each channel.
fn sums(own: &[u8], other: &[u8], stride: usize) -> (i32, [i32; BYTES]) {
    let (mut squares, mut sums) = (0, [0; BYTES]);
    for y in 0..ROWS {
        let (own, other) = (row(own, y * stride), row(other, y * stride));
        for i in 0..ROW_BYTES {
            let difference = i32::from(own[i]) - i32::from(other[i]);
            squares += difference * difference;
            sums[i % BYTES] += difference;
        }
    }
    (squares, sums)
}

#[cfg(target_arch = "x86_64")]
mod avx512 {
    use std::arch::x86_64::{
        _mm256_add_epi16, _mm256_loadu_si256, _mm512_add_epi16, _mm512_add_epi32, _mm512_castsi512_si256,
        _mm512_cvtepu8_epi16, _mm512_extracti64x4_epi64, _mm512_madd_epi16, _mm512_reduce_add_epi32,
        _mm512_setzero_si512, _mm512_sub_epi16,
    };

    use super::{BYTES, ROWS, avx2::channels, row};

    /// As [`super::sums`].
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx2,bmi2")]
    pub fn sums(own: &[u8], other: &[u8], stride: usize) -> (i32, [i32; BYTES]) {
        let (mut squares, mut sums) = (_mm512_setzero_si512(), _mm512_setzero_si512());
        for y in 0..ROWS {
            let load = |patch| {
                // SAFETY: a row has 32 bytes.
                _mm512_cvtepu8_epi16(unsafe { _mm256_loadu_si256(row(patch, y * stride).as_ptr().cast()) })
            };
            let difference = _mm512_sub_epi16(load(own), load(other));
            sums = _mm512_add_epi16(sums, difference);
            squares = _mm512_add_epi32(squares, _mm512_madd_epi16(difference, difference));
        }
        let half = _mm256_add_epi16(_mm512_castsi512_si256(sums), _mm512_extracti64x4_epi64::<1>(sums));
        (_mm512_reduce_add_epi32(squares), channels(half))
    }
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::{
        __m256i, _mm_add_epi16, _mm_add_epi32, _mm_cvtepi16_epi32, _mm_cvtsi128_si32, _mm_loadu_si128,
        _mm_shuffle_epi32, _mm_srli_si128, _mm_storeu_si128, _mm256_add_epi16, _mm256_add_epi32,
        _mm256_castsi256_si128, _mm256_cvtepu8_epi16, _mm256_extracti128_si256, _mm256_madd_epi16,
        _mm256_setzero_si256, _mm256_sub_epi16,
    };

    use super::{BYTES, ROW_BYTES, ROWS, row};

    /// As [`super::sums`].
    #[inline]
    #[target_feature(enable = "avx2,bmi2")]
    pub fn sums(own: &[u8], other: &[u8], stride: usize) -> (i32, [i32; BYTES]) {
        let (mut squares, mut sums) = (_mm256_setzero_si256(), _mm256_setzero_si256());
        for y in 0..ROWS {
            for half in [0, ROW_BYTES / 2] {
                let load = |patch| {
                    let half = &row(patch, y * stride)[half..][..ROW_BYTES / 2];
                    // SAFETY: half a row has 16 bytes.
                    _mm256_cvtepu8_epi16(unsafe { _mm_loadu_si128(half.as_ptr().cast()) })
                };
                let difference = _mm256_sub_epi16(load(own), load(other));
                sums = _mm256_add_epi16(sums, difference);
                squares = _mm256_add_epi32(squares, _mm256_madd_epi16(difference, difference));
            }
        }
        let quarter = _mm_add_epi32(_mm256_castsi256_si128(squares), _mm256_extracti128_si256::<1>(squares));
        let eighth = _mm_add_epi32(quarter, _mm_shuffle_epi32::<0b0100_1110>(quarter));
        let all = _mm_add_epi32(eighth, _mm_shuffle_epi32::<0b1011_0001>(eighth));
        (_mm_cvtsi128_si32(all), channels(sums))
    }

    /// The sums over four pixels of four channels.
    #[inline]
    #[target_feature(enable = "avx2,bmi2")]
    pub fn channels(sums: __m256i) -> [i32; BYTES] {
        let half = _mm_add_epi16(_mm256_castsi256_si128(sums), _mm256_extracti128_si256::<1>(sums));
        let all = _mm_cvtepi16_epi32(_mm_add_epi16(half, _mm_srli_si128::<8>(half)));
        let mut channels = [0; BYTES];
        // SAFETY: four numbers of 32 bits are what the register holds.
        unsafe { _mm_storeu_si128(channels.as_mut_ptr().cast(), all) };
        channels
    }
}

/// The sum of squared differences of what counts.
fn masked(own: &[u8], other: &[u8], stride: usize, mask: &[[u8; ROW_BYTES]; ROWS]) -> u32 {
    let mut squares = 0;
    for (y, mask) in mask.iter().enumerate() {
        let (own, other) = (row(own, y * stride), row(other, y * stride));
        for i in 0..ROW_BYTES {
            let difference = u32::from(own[i].abs_diff(other[i]) & mask[i]);
            squares += difference * difference;
        }
    }
    squares
}
