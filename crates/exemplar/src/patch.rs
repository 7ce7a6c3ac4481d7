//! Patch distance: sum of squared differences, with some tolerance for brightness.

use crate::{
    level::{ABOVE, BYTES, COLUMNS, LEFT, Level, PATCH, ROW_BYTES, ROWS},
    simd::Set,
};

/// Largest brightness correction of a copied patch, in levels per colour.
pub const LARGEST_SHADE: i32 = 12;

/// Brightness correction added to a copy's red, green and blue, in eighths of a level; 0 for texture.
pub type Shade = [i8; BYTES];

/// A patch around a pixel to fill, to compare with sources.
#[derive(Debug)]
pub struct Target {
    /// Index of its first byte.
    start: usize,
    /// 255 for bytes that count; `None` if all do.
    mask: Option<[[u8; ROW_BYTES]; ROWS]>,
}

/// The distance between a target and a source.
#[derive(Clone, Copy, Debug)]
pub struct Difference {
    /// Sum of squared differences, minus what the brightness correction explains.
    pub cost: u32,
    /// Sums of target minus source in red, green and blue.
    sums: [i32; 3],
}

impl Difference {
    /// The correction that gives the source the target's mean colour. Zero if only part of the patch counts.
    #[inline(always)]
    pub fn shade(&self) -> Shade {
        const LIMIT: i32 = LARGEST_SHADE * PATCH as i32;
        let [red, green, blue] = self.sums.map(|sum| (sum.clamp(-LIMIT, LIMIT) / (PATCH as i32 / 8)) as i8);
        [red, green, blue, 0]
    }
}

impl Target {
    /// The patch around a pixel; parts outside the picture do not count.
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

    /// Counts only the pixels for which `known(column, row)`, in coordinates of the patch.
    pub fn keep(&mut self, known: impl Fn(usize, usize) -> bool) {
        let mut mask = [[0; ROW_BYTES]; ROWS];
        for (row, mask) in mask.iter_mut().enumerate() {
            for (column, mask) in mask.as_chunks_mut::<BYTES>().0.iter_mut().enumerate() {
                *mask = [if known(column, row) { 255 } else { 0 }; BYTES];
            }
        }
        self.mask = Some(mask);
    }

    /// The distance to the source around a pixel.
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
            // SAFETY: sets come from `Set::here`, which offers only what the CPU supports.
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => unsafe { avx512::sums(own, other, stride) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => unsafe { avx2::sums(own, other, stride) },
            Set::Portable => sums(own, other, stride),
        };
        // Half of a uniform difference in brightness is forgiven.
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

/// The sum of squared differences, and the sums of the differences per channel.
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

    /// Same as [`super::sums`].
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx2,bmi2")]
    pub fn sums(own: &[u8], other: &[u8], stride: usize) -> (i32, [i32; BYTES]) {
        let (mut squares, mut sums) = (_mm512_setzero_si512(), _mm512_setzero_si512());
        for y in 0..ROWS {
            let load = |patch| {
                // SAFETY: `row` is 32 bytes long, which is what this load reads; it needs no alignment.
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

    /// Same as [`super::sums`].
    #[inline]
    #[target_feature(enable = "avx2,bmi2")]
    pub fn sums(own: &[u8], other: &[u8], stride: usize) -> (i32, [i32; BYTES]) {
        let (mut squares, mut sums) = (_mm256_setzero_si256(), _mm256_setzero_si256());
        for y in 0..ROWS {
            for half in [0, ROW_BYTES / 2] {
                let load = |patch| {
                    let half = &row(patch, y * stride)[half..][..ROW_BYTES / 2];
                    // SAFETY: `half` is 16 bytes long, which is what this load reads; it needs no alignment.
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

    /// Reduces 16 lanes, four pixels of four channels, to one sum per channel.
    #[inline]
    #[target_feature(enable = "avx2,bmi2")]
    pub fn channels(sums: __m256i) -> [i32; BYTES] {
        let half = _mm_add_epi16(_mm256_castsi256_si128(sums), _mm256_extracti128_si256::<1>(sums));
        let all = _mm_cvtepi16_epi32(_mm_add_epi16(half, _mm_srli_si128::<8>(half)));
        let mut channels = [0; BYTES];
        // SAFETY: `channels` is 16 bytes long, which is what this store writes; it needs no alignment.
        unsafe { _mm_storeu_si128(channels.as_mut_ptr().cast(), all) };
        channels
    }
}

/// The sum of squared differences of the bytes that count.
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
