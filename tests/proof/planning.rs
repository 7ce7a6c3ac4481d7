//! What the mask of a hostile caller costs, step by step: `cargo run --release --example planning`.
//!
//! Draws masks of 4096 x 4096 that are many parts, long parts or both, and prints the time of the dilations
//! (all that the feather needs, at the largest dilation), of finding the connected parts, and of planning.

use std::{f64::consts::TAU, time::Instant};

use lacuna::{composite::Feather, inpaint::MAX_DILATION, mask::Mask, window};

const SIDE: u32 = 4096;

/// A mask's name, and which pixels it has.
type Drawn = (&'static str, fn(u32, u32) -> bool);

const MASKS: [Drawn; 10] = [
    ("lines across", |_, y| y % 34 == 0),
    ("lines down", |x, _| x % 34 == 0),
    ("slanted lines", |x, y| (x + y) % 60 == 0),
    ("slanted lines far apart", |x, y| (x + y) % 250 == 0),
    ("grid", |x, y| x % 200 == 0 || y % 200 == 0),
    ("dots", |x, y| x % 70 == 0 && y % 70 == 0),
    ("checkerboard", |x, y| (x / 8 + y / 8) % 2 == 0),
    ("spiral", |x, y| {
        let (x, y) = (f64::from(x) - 2048.0, f64::from(y) - 2048.0);
        (x.hypot(y) + y.atan2(x) * 80.0 / TAU).rem_euclid(80.0) < 3.0
    }),
    ("noise", |x, y| mixed(x, y).is_multiple_of(2)),
    ("rare noise", |x, y| mixed(x, y).is_multiple_of(50_000)),
];

fn mixed(x: u32, y: u32) -> u32 {
    let mixed = (x.wrapping_mul(0x9e37_79b1) ^ y.wrapping_mul(0x85eb_ca6b)).wrapping_mul(0xc2b2_ae35);
    (mixed ^ mixed >> 15).wrapping_mul(0x27d4_eb2f) >> 4
}

fn main() {
    println!("{:>24} | dilation  |   parts   | planning  | windows", "4096 x 4096, ms");
    for (name, set) in MASKS {
        let levels: Vec<u8> =
            (0..SIDE * SIDE).map(|i| if set(i % SIDE, i / SIDE) { 255 } else { 0 }).collect();
        let mask = Mask::from_levels(SIDE, SIDE, &levels, 128);
        for dilation in [0, MAX_DILATION] {
            let started = Instant::now();
            let feather = Feather::new(&mask, dilation);
            let dilated = started.elapsed();
            let started = Instant::now();
            let parts = feather.hole().components().len();
            let found = started.elapsed();
            let started = Instant::now();
            let windows = window::plan(feather.hole()).len();
            let planned = started.elapsed();
            let [dilated, found, planned] = [dilated, found, planned].map(|time| time.as_secs_f64() * 1e3);
            println!(
                "{name:>20} +{dilation:<2} | {dilated:>9.1} | {found:>9.1} | {planned:>9.1} | {windows} of {parts} parts"
            );
        }
    }
}
