//! The first fill, at the smallest size: from the border inwards.

use crate::{
    field::{Field, NONE, Offset, source},
    level::{ABOVE, BYTES, LEFT, Level},
    patch::Target,
};

/// Sources tried at random for each pixel, beside those of its neighbours.
const TRIED: usize = 48;

/// Fills the hole one layer after another, each pixel with the middle of the source that fits best to
/// what is known or filled around it. A hole that started with any colour would be filled from what
/// has that colour.
pub fn peel(level: &mut Level, depth: &[u16], rare: &[u32]) -> Field {
    let mut field = Field::new(level);
    let width = level.width;
    let sources: Vec<usize> = (0..level.source.len()).filter(|&place| level.source[place]).collect();
    let mut places: Vec<usize> = (0..level.hole.len()).filter(|&place| level.target[place]).collect();
    places.sort_by_key(|&place| depth[place]);
    let mut filled: Vec<bool> = level.hole.iter().map(|&hole| !hole).collect();
    let mut random = fastrand::Rng::with_seed(0);
    for layer in places.chunk_by(|&a, &b| depth[a] == depth[b]) {
        for &place in layer {
            let (x, y) = (place % width, place / width);
            let mut target = Target::new(level, x, y);
            target.keep(|column, row| {
                let (x, y) = ((x + column).wrapping_sub(LEFT), (y + row).wrapping_sub(ABOVE));
                x < width && y < level.height && filled[y * width + x]
            });
            let (mut best, mut best_cost) = ([0; 2], NONE);
            let mut offer = |offset: Offset| {
                if let Some((from_x, from_y)) = source(level, x, y, offset) {
                    let extra = rare[from_y * width + from_x];
                    if extra >= best_cost {
                        return;
                    }
                    let cost = extra + target.distance(level, from_x, from_y, best_cost - extra);
                    if cost < best_cost {
                        (best, best_cost) = (offset, cost);
                    }
                }
            };
            for near_y in y.saturating_sub(1)..=(y + 1).min(level.height - 1) {
                for near_x in x.saturating_sub(1)..=(x + 1).min(width - 1) {
                    let near = near_y * width + near_x;
                    if field.costs[near] != NONE {
                        offer(field.offsets[near]);
                    }
                }
            }
            for _ in 0..TRIED {
                let Some(&from) = random.choice(&sources) else { break };
                offer([(from % width) as i16 - x as i16, (from / width) as i16 - y as i16]);
            }
            field.offsets[place] = best;
            field.costs[place] = best_cost;
        }
        for &place in layer {
            if !level.hole[place] {
                continue;
            }
            let (x, y) = (place % width, place / width);
            if let Some((from_x, from_y)) = source(level, x, y, field.offsets[place]) {
                let (pixel, at) = (level.pixel(from_x, from_y), level.at(x, y));
                level.pixels[at..at + BYTES].copy_from_slice(&pixel);
            }
            filled[place] = true;
        }
    }
    field
}
