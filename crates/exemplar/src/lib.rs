//! Fills holes of a picture with patches of the rest of it.
//!
//! From coarse to fine, each pixel of the hole looks for the known patch that is most like what surrounds
//! it (PatchMatch: Barnes et al., SIGGRAPH 2009), and the hole takes the colours on which the patches found
//! agree (Wexler et al., TPAMI 2007), in turns. The offsets found at one scale start the next, so that at
//! the finest one large parts are copied as they are.

mod field;
mod level;
mod patch;
#[cfg(target_arch = "x86_64")]
mod simd;
mod start;
mod vote;

use field::{Field, NONE, Pass, Used};
use level::Level;

/// A picture with a hole.
#[derive(Clone, Copy, Debug)]
pub struct Picture<'a> {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// RGB, row after row: `width * height * 3` bytes. Colours inside the hole do not count.
    pub rgb: &'a [u8],
    /// Not zero where a pixel is to be filled: `width * height` bytes.
    pub hole: &'a [u8],
    /// Not zero where a known pixel must not be copied: `width * height` bytes, or empty for none.
    pub forbidden: &'a [u8],
}

/// A filled picture.
#[derive(Clone, Debug)]
pub struct Fill {
    /// RGB as in [`Picture::rgb`]; known pixels are unchanged.
    pub rgb: Vec<u8>,
    /// For each pixel the way, as columns and rows, to the pixel it was copied from; `[0, 0]` for known
    /// pixels and where nothing could be copied.
    pub offsets: Vec<[i16; 2]>,
}

/// The smallest side to which a picture is shrunk, and how deep a hole may be there.
const SMALLEST_SIDE: usize = 40;
const SMALLEST_DEPTH: u16 = 6;
thread_local! { static PASSES: [u64; 4] = std::env::var("EXP").ok().map(|s| { let v: Vec<u64> = s.split(',').map(|a| a.parse().unwrap()).collect(); [v[0], v[1], v[2], v[3]] }).unwrap_or([1, 2, 4, 8]); }

/// Fills the hole. The bytes depend on the picture alone.
pub fn fill(picture: &Picture) -> Fill {
    let t0 = std::time::Instant::now(); let show = std::env::var("EXT").is_ok();
    let mut levels = vec![Level::new(picture)];
    loop {
        let last = &levels[levels.len() - 1];
        let deep = vote::depths(last).into_iter().max().unwrap_or(0) > SMALLEST_DEPTH;
        if !deep || last.width.min(last.height) < 2 * SMALLEST_SIDE {
            break;
        }
        let next = last.halved();
        if next.source.iter().filter(|&&source| source).count() < 64 || !next.hole.contains(&true) {
            break;
        }
        levels.push(next);
    }
    if show { eprintln!("levels {} {:?}", levels.len(), t0.elapsed()); }
    let mut found: Option<(Level, Field)> = None;
    let coarsest = levels.len() - 1;
    for (number, mut level) in levels.into_iter().enumerate().rev() {
        let depth = vote::depths(&level);
        let mut field = match &found {
            None => start::peel(&mut level, &depth),
            Some((small, field)) => {
                let field = field.doubled(small, &level);
                vote::vote(&mut level, &field, &depth, 1.0, if number <= 1 { 1 } else { 8 });
                field
            }
        };
        let passes = if number == coarsest && number > 0 { 12 } else { PASSES.with(|p| p[number.min(3)]) };
        for pass in 0..passes {
            let coarse = number >= 2 || number == coarsest;
            let mean = mean_cost(&field);
            let used = coarse.then(|| Used::of(&field, &level, mean / 4));
            let radius = match number {
                _ if number == coarsest => level.width.max(level.height) / 2,
                0 => 1,
                1 => 3,
                2 => 16,
                _ => level.width.max(level.height) / 2,
            };
            let settings = Pass {
                seed: (number as u64) << 8 | pass,
                backwards: pass % 2 == 1,
                radius,
                narrowing: if number <= 2 { 4 } else { 2 },
                incoherence: if number <= 1 { 48 } else { 0 },
            };
            field.search(&level, used.as_ref(), settings);
            if number > 0 || pass + 1 == passes {
                let (sharpness, reach) = match number { 0 => (0.3, 1), 1 => (0.5, 2), _ => (0.5, 8) };
                vote::vote(&mut level, &field, &depth, sharpness, reach);
            }
        }
        if show { eprintln!("level {number} {:?}", t0.elapsed()); }
        found = Some((level, field));
    }
    let (level, field) = found.expect("there is one level at least. This is a bug.");
    let mut rgb = picture.rgb.to_vec();
    for (place, pixel) in rgb.as_chunks_mut::<3>().0.iter_mut().enumerate() {
        if level.hole[place] {
            pixel.copy_from_slice(&level.pixel(place % level.width, place / level.width)[..3]);
        }
    }
    Fill { rgb, offsets: field.offsets }
}

fn mean_cost(field: &Field) -> u32 {
    let (sum, count) = field
        .costs
        .iter()
        .filter(|&&cost| cost != NONE)
        .fold((0u64, 0u64), |(sum, count), &cost| (sum + u64::from(cost), count + 1));
    (sum / count.max(1)) as u32
}
