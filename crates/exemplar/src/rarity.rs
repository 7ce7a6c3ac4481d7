//! How unlike everything else each part of the picture is.

use crate::{
    field::{NONE, Offset, source},
    level::Level,
    patch::Target,
    simd::Set,
};

/// Closer patches are not compared: the larger of this many pixels and 1/n of the picture's shorter side.
const NEAR: i32 = 8;
const NEAR_PART: usize = 8;
/// Half the side of the square averaged around a patch, as a fraction (1/n) of the picture's shorter side.
const AROUND: usize = 6;
/// Random candidates per patch in each of the two passes.
const TRIED: usize = 8;

/// For each source, how much farther its most similar patch elsewhere is than is usual around it, as a
/// PatchMatch of the known part against itself finds it; 0 for pixels that are no source. A texture repeats;
/// an object that occurs once does not, and would be seen twice.
pub fn rarity(level: &Level, set: Set) -> Vec<u32> {
    let width = level.width;
    let sources: Vec<usize> = (0..level.source.len()).filter(|&place| level.source[place]).collect();
    let mut offsets: Vec<Offset> = vec![[0; 2]; level.source.len()];
    let mut costs = vec![NONE; level.source.len()];
    let near = NEAR.max((width.min(level.height) / NEAR_PART) as i32);
    let mut random = fastrand::Rng::with_seed(1);
    for pass in 0..2 {
        for number in 0..sources.len() {
            let place = sources[if pass == 0 { number } else { sources.len() - 1 - number }];
            let (x, y) = (place % width, place / width);
            let target = Target::new(level, x, y);
            let (mut best, mut cost) = (offsets[place], costs[place]);
            let mut offer = |offset: Offset| {
                let far = offset.into_iter().any(|way| i32::from(way).abs() > near);
                if far && let Some((from_x, from_y)) = source(level, x, y, offset) {
                    let distance = target.difference(level, from_x, from_y, set).cost;
                    if distance < cost {
                        (best, cost) = (offset, distance);
                    }
                }
            };
            let sides = match pass {
                0 => [place.checked_sub(1), place.checked_sub(width)],
                _ => [Some(place + 1), Some(place + width)],
            };
            for side in sides.into_iter().flatten() {
                if side < costs.len() && costs[side] != NONE {
                    offer(offsets[side]);
                }
            }
            for _ in 0..TRIED {
                if let Some(&from) = random.choice(&sources) {
                    offer([(from % width) as i16 - x as i16, (from / width) as i16 - y as i16]);
                }
            }
            (offsets[place], costs[place]) = (best, cost);
        }
    }
    excess(level, &costs)
}

/// How much each cost exceeds the mean in the square around it.
fn excess(level: &Level, costs: &[u32]) -> Vec<u32> {
    let (width, height) = (level.width, level.height);
    let reach = width.min(height) / AROUND;
    // Summed-area table of costs and their number.
    let mut sums = vec![[0u64; 2]; (width + 1) * (height + 1)];
    for y in 0..height {
        let mut row = [0; 2];
        for x in 0..width {
            if costs[y * width + x] != NONE {
                row = [row[0] + u64::from(costs[y * width + x]), row[1] + 1];
            }
            let above = sums[y * (width + 1) + x + 1];
            sums[(y + 1) * (width + 1) + x + 1] = [above[0] + row[0], above[1] + row[1]];
        }
    }
    let mut excess = vec![0; costs.len()];
    for (place, excess) in excess.iter_mut().enumerate().filter(|&(place, _)| costs[place] != NONE) {
        let (x, y) = (place % width, place / width);
        let (left, right) = (x.saturating_sub(reach), (x + reach + 1).min(width));
        let (top, bottom) = (y.saturating_sub(reach), (y + reach + 1).min(height));
        let at = |x: usize, y: usize, i: usize| sums[y * (width + 1) + x][i];
        let sum = |i| at(right, bottom, i) + at(left, top, i) - at(right, top, i) - at(left, bottom, i);
        *excess = costs[place].saturating_sub((sum(0) / sum(1).max(1)) as u32);
    }
    excess
}
