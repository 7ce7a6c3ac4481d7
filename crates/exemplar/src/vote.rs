//! Voting: the colours of the hole as a weighted mean of the overlapping patches.

use rayon::prelude::*;

use crate::{
    field::{Field, NONE},
    level::{ABOVE, BYTES, COLUMNS, LEFT, Level, ROW_BYTES},
    simd::{Set, for_each_set},
};

/// Confidence in a patch by its centre's depth: the closer to the border, the higher.
const SURENESS: [f32; 12] = [1.0, 1.0, 0.8, 0.64, 0.512, 0.41, 0.328, 0.262, 0.21, 0.168, 0.134, 0.107];

/// Rows per unit of parallel work.
const BAND: usize = 8;

/// The weight of each pixel's patch in the region: the less like its source, the lower (Wexler et al. 2007);
/// smaller `sharpness` lowers it faster.
fn weights(level: &Level, field: &Field, sharpness: f32) -> Vec<f32> {
    let scale = 1.0 / (field.mean_cost() as f32 * sharpness).max(64.0);
    let weight = |(&cost, &depth): (&u32, &u16)| {
        let unlike = 1.0 + cost as f32 * scale;
        let weight = SURENESS[usize::from(depth).min(SURENESS.len() - 1)] / (unlike * unlike * unlike);
        if cost == NONE { 0.0 } else { weight }
    };
    field.costs.iter().zip(&level.depth).map(weight).collect()
}

/// The `reach` that makes all of a patch vote.
pub const WHOLE_PATCH: usize = ABOVE;

/// Factor applied to voted texture, in tenths: the mean of different patches is smoother than any of them,
/// and would attract sources that are smoother still.
const TEXTURE_TENTHS: u16 = 11;

/// Sets each pixel of the hole to the weighted mean of what patches centred at most `reach` columns and rows
/// away copy to it.
pub fn vote(level: &mut Level, field: &Field, sharpness: f32, reach: usize, set: Set) {
    let ballot = Ballot { level, field, weights: weights(level, field, sharpness), reach };
    let width = level.region.width;
    let mut voted = vec![[0; BYTES]; level.target.len()];
    voted.par_chunks_mut(width * BAND).enumerate().for_each(|(band, rows)| {
        vote_band(set, &ballot, band * BAND, rows);
    });
    for (row, voted) in voted.chunks_exact(width).enumerate() {
        let y = level.region.top + row;
        for (x, voted) in (level.region.left..).zip(voted) {
            if level.hole[y * level.width + x] {
                let at = level.at(x, y);
                level.pixels[at..at + BYTES].copy_from_slice(voted);
            }
        }
    }
}

struct Ballot<'a> {
    level: &'a Level,
    field: &'a Field,
    weights: Vec<f32>,
    reach: usize,
}

for_each_set!(fn vote_band = vote_rows(ballot: &Ballot, first: usize, rows: &mut [[u8; BYTES]]));

#[inline(always)]
fn vote_rows(ballot: &Ballot, first: usize, rows: &mut [[u8; BYTES]]) {
    let level = ballot.level;
    let width = level.region.width;
    // Wide enough for patches that reach beyond the region.
    let mut sums = vec![[0.0; BYTES]; width + 2 * COLUMNS];
    let mut all = vec![0.0; width + 2 * COLUMNS];
    for (row, voted) in (first..).zip(rows.chunks_exact_mut(width)) {
        sums.fill([0.0; BYTES]);
        all.fill(0.0);
        add_patches(ballot, row, &mut sums, &mut all);
        for (x, voted) in voted.iter_mut().enumerate() {
            let (sum, all) = (sums[x + COLUMNS], all[x + COLUMNS]);
            if all > 0.0 {
                *voted = sum.map(|sum| (sum / (8.0 * all) + 0.5) as u8);
                voted[3] = (u16::from(voted[3]) * TEXTURE_TENTHS / 10).min(255) as u8;
            } else {
                *voted = level.pixel(level.region.left + x, level.region.top + row);
            }
        }
    }
}

/// Sums what patches copy to a row, in eighths of a level times their weight, and the weights.
#[inline(always)]
fn add_patches(ballot: &Ballot, row: usize, sums: &mut [[f32; BYTES]], all: &mut [f32]) {
    let Ballot { level, field, weights, reach } = ballot;
    let region = level.region;
    let counts: [f32; COLUMNS] =
        std::array::from_fn(
            |column| {
                if *reach == WHOLE_PATCH || column.abs_diff(LEFT) <= *reach { 1.0 } else { 0.0 }
            },
        );
    let counts_of_bytes: [f32; ROW_BYTES] = std::array::from_fn(|i| counts[i / BYTES]);
    for centre in row.saturating_sub(*reach)..(row + reach + 1).min(region.height) {
        for x in 0..region.width {
            let place = centre * region.width + x;
            let weight = weights[place];
            if weight == 0.0 {
                continue;
            }
            let [right, down] = field.offsets[place];
            let y = (region.top + row).wrapping_add_signed(isize::from(down));
            let from = level.at((region.left + x).wrapping_add_signed(isize::from(right)), y) - LEFT * BYTES;
            let from: &[u8; ROW_BYTES] = exactly(&level.pixels[from..]);
            let shade = [field.shades[place]; COLUMNS];
            let to = x + COLUMNS - LEFT;
            let sums: &mut [f32; ROW_BYTES] = exactly_mut(sums[to..].as_flattened_mut());
            for (((sum, &from), &shade), count) in
                sums.iter_mut().zip(from).zip(shade.as_flattened()).zip(&counts_of_bytes)
            {
                *sum += weight * count * f32::from(8 * i16::from(from) + i16::from(shade));
            }
            let all: &mut [f32; COLUMNS] = exactly_mut(&mut all[to..]);
            all.iter_mut().zip(&counts).for_each(|(all, count)| *all += weight * count);
        }
    }
}

#[inline(always)]
fn exactly<T, const N: usize>(slice: &[T]) -> &[T; N] {
    slice.first_chunk().expect("patches lie in the frame. This is a bug.")
}

#[inline(always)]
fn exactly_mut<T, const N: usize>(slice: &mut [T]) -> &mut [T; N] {
    slice.first_chunk_mut().expect("there is room on both sides. This is a bug.")
}
