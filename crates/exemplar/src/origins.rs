//! Finds the source patches most like a fill made by somebody else.

use crate::{
    Picture,
    field::{Field, Pass},
    level::{BYTES, Level},
    simd::Set,
};

/// Passes at half size, searching everywhere, and at full size, within [`NEAR`] pixels of what was found.
const PASSES_AT_HALF: u64 = 8;
const PASSES: u64 = 3;
const NEAR: usize = 3;
/// Penalty for offsets that no neighbour has, see [`Pass::incoherence`].
const INCOHERENCE: u32 = 64;

/// For each pixel of a hole that is already filled, the offset (columns, rows) to the known pixel with the
/// most similar surroundings; `[0, 0]` for known pixels and those without a source. Unlike in
/// [`crate::fill`], colours inside the hole count. The result depends on the picture alone.
///
/// # Panics
/// If a slice does not have the length that [`Picture`] requires.
pub fn origins(picture: &Picture) -> Vec<[i16; 2]> {
    crate::check(picture);
    origins_with(picture, Set::here()[0])
}

pub(crate) fn origins_with(picture: &Picture, set: Set) -> Vec<[i16; 2]> {
    let mut level = Level::new(picture);
    level.paint_hole(|x, y| {
        let at = (y * picture.width + x) * 3;
        [picture.rgb[at], picture.rgb[at + 1], picture.rgb[at + 2], 0]
    });
    let mut half = level.halved_without_texture();
    half.paint_hole(|x, y| {
        let pixels = level.under(x, y).map(|(x, y)| level.pixel(x, y));
        std::array::from_fn(|i| {
            (pixels.iter().map(|pixel| u16::from(pixel[i])).sum::<u16>().div_ceil(BYTES as u16)) as u8
        })
    });
    let mut field = Field::new(&half);
    let anywhere = Pass {
        seed: 0,
        backwards: false,
        radius: half.width.max(half.height),
        narrowing: 2,
        incoherence: 0,
        set,
    };
    for pass in 0..PASSES_AT_HALF {
        field.search(&half, None, Pass { seed: pass, backwards: pass % 2 == 1, ..anywhere });
    }
    let mut field = field.doubled(&level);
    let near = Pass { radius: NEAR, narrowing: 4, incoherence: INCOHERENCE, ..anywhere };
    for pass in 0..PASSES {
        let seed = PASSES_AT_HALF + pass;
        field.search(&level, None, Pass { seed, backwards: pass % 2 == 1, ..near });
    }
    crate::offsets(&level, &field)
}
