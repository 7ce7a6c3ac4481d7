//! Colours for a hole that nothing can be copied into.

use crate::level::{BYTES, Level};

/// The grey of a picture of which nothing is known.
const UNKNOWN: u8 = 128;

/// Fills the hole with the colours around it, from the smallest scale at which they are known.
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
