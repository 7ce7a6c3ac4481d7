//! The initial fill at the coarsest scale, from the border inwards.

use crate::{
    field::{Field, NONE, NOWHERE, Offset, Rare, remoteness, source},
    level::{ABOVE, BYTES, LEFT, Level},
    patch::Target,
    simd::Set,
};

/// Random candidates per pixel, besides the neighbours' sources: most, fewest, and the budget for all pixels
/// together, which matters if too little is known for a coarser scale.
const MOST_TRIED: usize = 48;
const FEWEST_TRIED: usize = 4;
const TRIED: usize = 250_000;

/// Penalty for the most remote sources, as a multiple of their difference.
const REMOTE: f32 = 2.0;

/// Fills the hole layer by layer: each pixel takes the centre of the source that best matches what is known
/// or filled around it. Starting from any fixed colour would bias the search towards sources of that colour. The
/// pixels of `seeds` get their offsets before all others.
pub fn peel(level: &mut Level, number: usize, seeds: &[(usize, Offset)], rare: &Rare, set: Set) -> Field {
    let mut field = Field::new(level);
    let (width, region) = (level.width, level.region);
    let sources: Vec<usize> = (0..level.source.len()).filter(|&place| level.source[place]).collect();
    let mut places: Vec<usize> = (0..level.target.len()).filter(|&place| level.target[place]).collect();
    places.sort_by_key(|&place| level.depth[place]);
    let tried = (TRIED / places.len().max(1)).clamp(FEWEST_TRIED, MOST_TRIED);
    let mut filled: Vec<bool> = level.hole.iter().map(|&hole| !hole).collect();
    for &(place, offset) in seeds {
        (field.offsets[place], field.costs[place]) = (offset, 0);
        copy(level, &mut filled, region.pixel(place), offset);
    }
    let mut random = fastrand::Rng::with_seed(0);
    let depth = level.depth.clone();
    for layer in places.chunk_by(|&a, &b| depth[a] == depth[b]) {
        let layer: Vec<usize> =
            layer.iter().copied().filter(|&place| field.offsets[place] == NOWHERE).collect();
        for &place in &layer {
            let (x, y) = region.pixel(place);
            let mut target = Target::new(level, x, y);
            target.keep(|column, row| {
                let (x, y) = ((x + column).wrapping_sub(LEFT), (y + row).wrapping_sub(ABOVE));
                x < width && y < level.height && filled[y * width + x]
            });
            let (mut best, mut best_cost) = (NOWHERE, NONE);
            let mut offer = |offset: Offset| {
                if let Some((from_x, from_y)) = source(level, x, y, offset) {
                    let difference = target.difference(level, from_x, from_y, set).cost;
                    let remote = (difference as f32 * REMOTE * remoteness(level, offset)) as u32;
                    let cost =
                        difference.saturating_add(remote).saturating_add(rare.cost(number, from_x, from_y));
                    if cost < best_cost {
                        (best, best_cost) = (offset, cost);
                    }
                }
            };
            for near_y in y.saturating_sub(1)..=y + 1 {
                for near_x in x.saturating_sub(1)..=x + 1 {
                    if let Some(near) = region.place(near_x, near_y) {
                        offer(field.offsets[near]);
                    }
                }
            }
            for _ in 0..tried {
                let Some(&from) = random.choice(&sources) else { break };
                offer([(from % width) as i16 - x as i16, (from / width) as i16 - y as i16]);
            }
            field.offsets[place] = best;
            field.costs[place] = best_cost;
        }
        for place in layer {
            copy(level, &mut filled, region.pixel(place), field.offsets[place]);
        }
    }
    field
}

/// Gives a pixel of the hole the colour of its source, if it has one, and marks it as filled.
fn copy(level: &mut Level, filled: &mut [bool], (x, y): (usize, usize), offset: Offset) {
    if !level.hole[y * level.width + x] {
        return;
    }
    if let Some((from_x, from_y)) = source(level, x, y, offset) {
        let (pixel, at) = (level.pixel(from_x, from_y), level.at(x, y));
        level.pixels[at..at + BYTES].copy_from_slice(&pixel);
    }
    filled[y * level.width + x] = true;
}
