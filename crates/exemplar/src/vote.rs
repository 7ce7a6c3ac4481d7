//! The colours of the hole, from the patches that cover its pixels.

use rayon::prelude::*;

use crate::{
    field::{Field, NONE},
    level::{ABOVE, BYTES, COLUMNS, LEFT, Level, ROWS},
};

/// Gives each pixel of the hole the mean of what the patches around it copy to it, the better ones
/// counting more (Wexler et al. 2007). `depth` is that of [`depths`]: patches nearer to the border
/// are surer.
pub fn vote(level: &mut Level, field: &Field, depth: &[u16], sharpness: f32, reach: usize) {
    let width = level.width;
    let known: Vec<f32> = field.costs.iter().filter(|&&cost| cost != NONE).map(|&cost| cost as f32).collect();
    let mean = known.iter().map(|&c| f64::from(c)).sum::<f64>() / known.len().max(1) as f64;
    let scale = 1.0 / (mean as f32 * sharpness).max(64.0);
    let weights: Vec<f32> = field
        .costs
        .par_iter()
        .zip(depth)
        .map(|(&cost, &depth)| {
            if cost == NONE {
                return 0.0;
            }
            let unlike = 1.0 + cost as f32 * scale;
            SURENESS[usize::from(depth).min(SURENESS.len() - 1)] / (unlike * unlike * unlike)
        })
        .collect();
    let mut voted = vec![[0u8; BYTES]; level.hole.len()];
    let (left, right) = (LEFT.min(reach), (COLUMNS - 1 - LEFT).min(reach));
    let (above, below) = (ABOVE.min(reach), (ROWS - 1 - ABOVE).min(reach));
    voted.par_chunks_exact_mut(width).enumerate().for_each(|(y, row)| {
        for (x, pixel) in row.iter_mut().enumerate() {
            if !level.hole[y * width + x] {
                continue;
            }
            // Where all agree there is nothing to weigh.
            let rows = y.saturating_sub(below)..=(y + above).min(level.height - 1);
            let columns = x.saturating_sub(right)..=(x + left).min(width - 1);
            let own = field.offsets[y * width + x];
            if field.costs[y * width + x] != NONE
                && rows.clone().all(|row| {
                    let row = &field.offsets[row * width..][columns.clone()];
                    row.iter().all(|&offset| offset == own)
                })
            {
                let from = level.pixel(
                    x.wrapping_add_signed(isize::from(own[0])),
                    y.wrapping_add_signed(isize::from(own[1])),
                );
                let shade = field.shades[y * width + x];
                *pixel = from;
                for i in 0..3 {
                    pixel[i] =
                        (i32::from(from[i]) + (i32::from(shade[i]) + 4).div_euclid(8)).clamp(0, 255) as u8;
                }
                continue;
            }
            let (mut sum, mut all) = ([0.0f32; BYTES], 0.0f32);
            // A patch whose centre is `right` of the pixel covers it with its left part.
            for centre_y in rows {
                for centre_x in columns.clone() {
                    let centre = centre_y * width + centre_x;
                    let weight = weights[centre];
                    if weight == 0.0 {
                        continue;
                    }
                    let (shade, [across, down]) = (&field.shades[centre], field.offsets[centre]);
                    let from = level.pixel(
                        x.wrapping_add_signed(isize::from(across)),
                        y.wrapping_add_signed(isize::from(down)),
                    );
                    for i in 0..3 {
                        sum[i] += weight * (f32::from(from[i]) + f32::from(shade[i]) * 0.125);
                    }
                    sum[3] += weight * f32::from(from[3]);
                    all += weight;
                }
            }
            if all > 0.0 {
                *pixel = sum.map(|sum| (sum / all + 0.5) as u8);
            } else {
                *pixel = level.pixel(x, y);
            }
        }
    });
    for y in 0..level.height {
        for x in 0..width {
            if level.hole[y * width + x] {
                let at = level.at(x, y);
                level.pixels[at..at + BYTES].copy_from_slice(&voted[y * width + x]);
            }
        }
    }
}

/// How much a patch counts at each depth.
const SURENESS: [f32; 12] = [1.0, 1.0, 0.8, 0.64, 0.512, 0.41, 0.328, 0.262, 0.21, 0.168, 0.134, 0.107];

/// How many steps each pixel of the hole is away from a known one; 0 for known ones.
pub fn depths(level: &Level) -> Vec<u16> {
    let (width, height) = (level.width, level.height);
    let mut depth: Vec<u16> = level.hole.iter().map(|&hole| if hole { u16::MAX - 1 } else { 0 }).collect();
    for y in 0..height {
        for x in 0..width {
            let place = y * width + x;
            let up = if y > 0 { depth[place - width] } else { u16::MAX - 1 };
            let left = if x > 0 { depth[place - 1] } else { u16::MAX - 1 };
            depth[place] = depth[place].min(up.min(left).saturating_add(1));
        }
    }
    for y in (0..height).rev() {
        for x in (0..width).rev() {
            let place = y * width + x;
            let down = if y + 1 < height { depth[place + width] } else { u16::MAX - 1 };
            let right = if x + 1 < width { depth[place + 1] } else { u16::MAX - 1 };
            depth[place] = depth[place].min(down.min(right).saturating_add(1));
        }
    }
    depth
}
