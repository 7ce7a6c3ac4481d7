//! Fallback colours for a hole that nothing can be copied into.

use crate::level::{BYTES, Level};

/// The grey of a picture without known pixels.
const UNKNOWN: u8 = 128;

/// Fills the hole with surrounding colours, from the finest scale at which they are known.
pub fn smooth(level: &mut Level) {
    if !level.hole.contains(&true) {
        return;
    }
    if level.hole.iter().all(|&hole| hole) {
        for pixel in level.pixels.as_chunks_mut::<BYTES>().0 {
            *pixel = [UNKNOWN, UNKNOWN, UNKNOWN, 0];
        }
        return;
    }
    let mut half = level.halved();
    smooth(&mut half);
    level.take_hole_from(&half);
}
