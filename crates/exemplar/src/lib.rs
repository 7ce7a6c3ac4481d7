//! Exemplar-based inpainting: fills a hole with patches from the rest of the picture.
//!
//! From coarse to fine, each pixel of the hole searches for the known patch most like its surroundings
//! (PatchMatch: Barnes et al., SIGGRAPH 2009), then takes the colour on which the overlapping patches agree
//! (Wexler et al., TPAMI 2007), in alternation. The offset field of one scale initialises the next, so at
//! the finest scale large regions are copied verbatim. Straight lines that the hole interrupts are found first
//! and continued through it.

#![expect(
    clippy::inline_always,
    reason = "what is not inlined into the search is compiled without the instructions that the search is compiled for"
)]

mod field;
mod level;
mod lines;
mod origins;
mod patch;
mod rarity;
mod simd;
mod smooth;
mod start;
mod texture;
mod vote;

use field::{Field, NOWHERE, Pass, Rare, Used};
use level::Level;
pub use origins::origins;
use simd::Set;
use vote::{WHOLE_PATCH, vote};

/// A picture with a hole.
#[derive(Clone, Copy, Debug)]
pub struct Picture<'a> {
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// RGB in row order: `width * height * 3` bytes. Colours inside the hole are ignored.
    pub rgb: &'a [u8],
    /// Non-zero for pixels to fill: `width * height` bytes.
    pub hole: &'a [u8],
    /// Non-zero for known pixels that must not be copied: `width * height` bytes, or empty for none.
    pub forbidden: &'a [u8],
}

/// A filled picture.
#[derive(Clone, Debug)]
pub struct Fill {
    /// RGB, as in [`Picture::rgb`]; known pixels are unchanged.
    pub rgb: Vec<u8>,
    /// Per pixel, the offset (columns, rows) to the pixel it was copied from; `[0, 0]` for known pixels and
    /// those without a source.
    pub offsets: Vec<[i16; 2]>,
}

/// The pyramid ends before a side gets smaller than this, in pixels, or once the hole is this shallow.
const SMALLEST_SIDE: usize = 40;
const SMALLEST_DEPTH: u16 = 6;
/// It also ends before a level has fewer source patches than this.
const FEWEST_SOURCES: usize = 64;

/// Search passes at the coarsest scale, and at full size, half, a quarter, and below.
const FIRST_PASSES: usize = 24;
const PASSES: [usize; 4] = [1, 2, 4, 8];
/// A small hole gets more passes: enough to search about this many pixels in all, at most [`MOST_PASSES`].
const SEARCHED: usize = 60_000;
const MOST_PASSES: usize = 6;

/// The level in which lines are found: half size, if there is one.
const TRACED: usize = 1;

/// The longest side at which rarity is measured, in pixels.
const LARGEST_RARE: usize = 128;

/// Weight of rarity in a source's cost, in eighths.
const RARITY: u32 = 2;

/// Fills the hole. The result depends on the picture alone, not on threads or instruction set.
///
/// # Panics
/// If a slice does not have the length that [`Picture`] requires.
pub fn fill(picture: &Picture) -> Fill {
    fill_with(picture, Set::here()[0])
}

fn fill_with(picture: &Picture, set: Set) -> Fill {
    check(picture);
    if picture.hole.iter().all(|&hole| hole == 0) {
        return Fill { rgb: picture.rgb.to_vec(), offsets: vec![[0; 2]; picture.hole.len()] };
    }
    let (level, field) = filled(scales(picture), set);
    let mut rgb = picture.rgb.to_vec();
    for (place, rgb) in rgb.as_chunks_mut::<3>().0.iter_mut().enumerate() {
        if level.hole[place] {
            rgb.copy_from_slice(&level.pixel(place % level.width, place / level.width)[..3]);
        }
    }
    Fill { rgb, offsets: offsets(&level, &field) }
}

fn check(picture: &Picture) {
    let pixels = picture.width * picture.height;
    assert_eq!(picture.rgb.len(), pixels * 3, "three bytes a pixel");
    assert_eq!(picture.hole.len(), pixels, "a byte a pixel");
    assert!(picture.forbidden.is_empty() || picture.forbidden.len() == pixels, "a byte a pixel or none");
}

/// Expands a field's offsets for the hole to all pixels of the level.
fn offsets(level: &Level, field: &Field) -> Vec<[i16; 2]> {
    let mut offsets = vec![[0; 2]; level.hole.len()];
    for (place, &offset) in field.offsets.iter().enumerate() {
        let (x, y) = level.region.pixel(place);
        let pixel = y * level.width + x;
        if level.hole[pixel] && offset != NOWHERE {
            offsets[pixel] = offset;
        }
    }
    offsets
}

/// The pyramid: full size first, each level half the one before, until the hole is shallow.
fn scales(picture: &Picture) -> Vec<Level> {
    let mut levels = vec![Level::new(picture)];
    loop {
        let last = &levels[levels.len() - 1];
        let depth = last.depth.iter().copied().max().unwrap_or(0);
        if depth <= SMALLEST_DEPTH || last.width.min(last.height) < 2 * SMALLEST_SIDE {
            return levels;
        }
        let next = last.halved();
        let sources = next.source.iter().filter(|&&source| source).count();
        if sources < FEWEST_SOURCES || next.target.is_empty() {
            return levels;
        }
        levels.push(next);
    }
}

/// Rarity penalties for a level and all finer ones. Measured at a size that takes little time: where a hole is
/// shallow, the coarsest level is not small.
fn rare(level: &Level, mut number: usize, set: Set) -> Rare {
    let mut smaller: Option<Level> = None;
    loop {
        let last = smaller.as_ref().unwrap_or(level);
        let (short, long) = (last.width.min(last.height), last.width.max(last.height));
        if long <= LARGEST_RARE || short < 2 * SMALLEST_SIDE {
            let costs = rarity::rarity(last, set).into_iter().map(|rarity| rarity / 8 * RARITY).collect();
            return Rare { costs, width: last.width, number };
        }
        smaller = Some(last.halved());
        number += 1;
    }
}

/// Fills from coarse to fine; returns the full-size level and its offset field.
fn filled(mut levels: Vec<Level>, set: Set) -> (Level, Field) {
    let coarsest = levels.len() - 1;
    let traced = coarsest.min(TRACED);
    let lines = lines::lines(&levels[traced]);
    let seeds =
        |level: &Level, number: usize| lines::seeds(&lines, level, 0.5f32.powi((number - traced) as i32));
    let mut level = levels.pop().expect("there is one at least. This is a bug.");
    smooth::smooth(&mut level);
    let rare = rare(&level, coarsest, set);
    let seeded = seeds(&level, coarsest);
    let field = start::peel(&mut level, coarsest, &seeded, &rare, set);
    let mut found = refined(level, field, (coarsest, coarsest), &rare, set);
    while let Some(mut level) = levels.pop() {
        let number = levels.len();
        let (small, field) = found;
        level.take_hole_from(&small);
        let mut field = field.doubled(&level);
        if number >= traced {
            field.seed(&seeds(&level, number));
        }
        vote(&mut level, &field, 1.0, if number <= 1 { 1 } else { WHOLE_PATCH }, set);
        found = refined(level, field, (number, coarsest), &rare, set);
    }
    found
}

/// Alternates searching and voting at one scale. `number` counts the scales from full size (0) down.
fn refined(
    mut level: Level,
    mut field: Field,
    (number, coarsest): (usize, usize),
    rare: &Rare,
    set: Set,
) -> (Level, Field) {
    let targets = level.target.iter().filter(|&&target| target).count();
    let passes = if number == coarsest && number > 0 { FIRST_PASSES } else { PASSES[number.min(3)] };
    let passes = passes.max((SEARCHED / targets.max(1)).min(MOST_PASSES));
    let free = number >= 2 || number == coarsest;
    let side = level.width.max(level.height);
    for pass in 0..passes {
        let used = free.then(|| Used::of(&field, &level, rare, number));
        let settings = Pass {
            seed: ((number as u64) << 8) | pass as u64,
            backwards: pass % 2 == 1,
            radius: match number {
                _ if number == coarsest => side / 2,
                0 => 1,
                1 => 3,
                2 => 16,
                _ => side / 2,
            },
            narrowing: if number <= 2 { 4 } else { 2 },
            incoherence: if number <= 1 { 64 } else { 0 },
            set,
        };
        field.search(&level, used.as_ref(), settings);
        let (sharpness, reach) = match number {
            0 if pass + 1 == passes => (0.3, 1),
            0 => (0.3, 2),
            1 => (0.5, 2),
            _ => (0.5, WHOLE_PATCH),
        };
        vote(&mut level, &field, sharpness, reach, set);
    }
    (level, field)
}

#[cfg(test)]
mod tests;
