//! Straight lines that the hole interrupts: found on both of its sides and continued through it.
//!
//! A cable or the gap between two planks is thinner than a pixel at the coarse scales that decide what goes
//! where, so the search alone ends it at the hole. Sun et al. (SIGGRAPH 2005, "Image Completion with Structure
//! Propagation") let the user draw such lines and copy along them; here they are found.

use crate::{
    field::{Offset, source},
    level::{ABOVE, COLUMNS, LEFT, Level, ROWS},
};

/// A line through the hole, in pixels of the level in which it was found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Line {
    from: [f32; 2],
    to: [f32; 2],
    /// Whether it can be copied from beyond `from`, and from beyond `to`.
    clean: [bool; 2],
}

/// The most lines; the most places beside the hole that are compared pairwise; and the most pairs that are
/// followed beyond their ends.
const MOST_LINES: usize = 12;
const MOST_ENDS: usize = 128;
const MOST_FOLLOWED: usize = 48;
/// How much of the gradients around an end must have the same direction, from 0 to 1; and the least sum of
/// squared differences from the mean colour in the patch there.
const COHERENCE: f32 = 0.6;
const CONTRAST: f32 = 1500.0;
/// The cosine of the largest angle between the direction at an end and the line: 8 degrees.
const ALIGNED: f32 = 0.990_268;
/// The shortest line, and how far apart its ends are from those of other lines, in pixels.
const SHORTEST: f32 = 12.0;
const APART: f32 = 3.0;
/// How far around the hole ends are, in pixels.
const AROUND: usize = 6;

/// Half the width of a profile and of the search for the other end across the line, in half pixels.
const HALF: usize = 12;
const SHIFT: usize = 4;
const ACROSS: usize = 2 * HALF + 1;
/// Along the line, outwards from an end, the pixels of which the profile of the end is the mean.
const ALONG: std::ops::RangeInclusive<i32> = -2..=4;
/// The largest 1 - correlation of the profiles of two ends, and of an end's and those beyond it; and by how
/// many half pixels the latter may be shifted.
const UNLIKE: f32 = 0.15;
const UNLIKE_BEYOND: f32 = 0.25;
const DRIFT: i32 = 2;
/// The least variance of a profile, over three colours.
const LEAST_VARIANCE: f32 = 30.0;
/// The largest difference of the mean colours.
const COLOUR: f32 = 40.0;

/// How far from a line pixels are copied along it, in pixels of the level in which it was found; and the least
/// in any level.
const WIDTH: f32 = 2.0;
const LEAST_WIDTH: f32 = 1.0;

/// A place beside the hole where the picture has a direction.
struct End {
    at: [f32; 2],
    direction: [f32; 2],
    strength: f32,
}

/// Two ends that may be those of one line.
struct Pair {
    /// 0 for ends that are alike and face each other.
    unlike: f32,
    /// The ends, moved to the middle of the line.
    from: [f32; 2],
    to: [f32; 2],
    /// The ends, the direction and the distance from the first to the second, and their profiles.
    ends: [[f32; 2]; 2],
    unit: [f32; 2],
    length: f32,
    near: [Profile; 2],
}

/// Mean colours across a line, every half pixel.
type Profile = [[f32; 3]; ACROSS];

/// The lines that the hole interrupts, best first.
pub fn lines(level: &Level) -> Vec<Line> {
    let ends = ends(level);
    let mut pairs: Vec<Pair> = Vec::new();
    for (number, from) in ends.iter().enumerate() {
        pairs.extend(ends[number + 1..].iter().filter_map(|to| pair(level, from, to)));
    }
    pairs.sort_by(|a, b| a.unlike.total_cmp(&b.unlike));
    let mut lines: Vec<Line> = Vec::new();
    let mut followed = 0;
    for pair in pairs {
        let near = |a: [f32; 2], b: [f32; 2]| (a[0] - b[0]).abs().max((a[1] - b[1]).abs()) < APART;
        let is_new = |other: &Line| {
            [other.from, other.to].iter().all(|&end| !near(pair.from, end) && !near(pair.to, end))
        };
        if !lines.iter().all(is_new) {
            continue;
        }
        if lines.len() == MOST_LINES || followed == MOST_FOLLOWED {
            break;
        }
        followed += 1;
        lines.extend(pair.followed(level));
    }
    lines
}

/// The ends of lines at the hole, strongest first: of the patches that are known as a whole, those next to
/// ones that are not.
fn ends(level: &Level) -> Vec<End> {
    let (width, height, region) = (level.width, level.height, level.region);
    let mut ends = Vec::new();
    for y in region.top.saturating_sub(AROUND).max(1)..(region.bottom() + AROUND).min(height - 1) {
        for x in region.left.saturating_sub(AROUND).max(1)..(region.right() + AROUND).min(width - 1) {
            let mut around = (y - 1..=y + 1).flat_map(|y| (x - 1..=x + 1).map(move |x| (x, y)));
            if level.source[y * width + x]
                && around.any(|(x, y)| !level.source[y * width + x] && level.is_whole(x, y))
            {
                ends.extend(end(level, x, y));
            }
        }
    }
    ends.sort_by(|a, b| b.strength.total_cmp(&a.strength));
    ends.truncate(MOST_ENDS);
    ends
}

/// The direction of the picture in the patch around a source pixel, by its structure tensor (Bigün and
/// Granlund 1987), if it has one.
fn end(level: &Level, x: usize, y: usize) -> Option<End> {
    let luma = |x: usize, y: usize| {
        let [red, green, blue, _] = level.pixel(x, y).map(f32::from);
        (2.0 * red + 4.0 * green + blue) / 7.0
    };
    let (mut xx, mut yy, mut xy) = (0.0, 0.0, 0.0);
    let (mut sums, mut squares) = ([0.0; 3], 0.0);
    let (left, top) = (x - LEFT, y - ABOVE);
    for row in top..top + ROWS {
        for column in left..left + COLUMNS {
            for (sum, level) in sums.iter_mut().zip(level.pixel(column, row).map(f32::from)) {
                *sum += level;
                squares += level * level;
            }
            let inside = column > left && column + 1 < left + COLUMNS && row > top && row + 1 < top + ROWS;
            if inside {
                let across = luma(column + 1, row) - luma(column - 1, row);
                let down = luma(column, row + 1) - luma(column, row - 1);
                let weight = (1.0 - column.abs_diff(x) as f32 / 5.0) * (1.0 - row.abs_diff(y) as f32 / 4.0);
                xx += weight * across * across;
                yy += weight * down * down;
                xy += weight * across * down;
            }
        }
    }
    let contrast = squares - sums.iter().map(|sum| sum * sum).sum::<f32>() / (COLUMNS * ROWS) as f32;
    let strength = ((xx - yy) * (xx - yy) + 4.0 * xy * xy).sqrt();
    if contrast < CONTRAST || strength < COHERENCE * (xx + yy + 1.0) {
        return None;
    }
    // The line is perpendicular to the gradient, the direction of the larger eigenvalue. Half-angle formulas
    // instead of trigonometric functions, whose last bit depends on the machine.
    let double = (xx - yy) / strength;
    let [cos, sin] = [1.0 + double, 1.0 - double].map(|twice| (twice / 2.0).max(0.0).sqrt());
    let direction = [if xy < 0.0 { sin } else { -sin }, cos];
    Some(End { at: [x as f32, y as f32], direction, strength })
}

/// The direction and the distance from one place to another.
fn way(from: [f32; 2], to: [f32; 2]) -> ([f32; 2], f32) {
    let way = [to[0] - from[0], to[1] - from[1]];
    let length = (way[0] * way[0] + way[1] * way[1]).sqrt();
    (way.map(|way| way / length), length)
}

/// Two ends, if what is between them may be a line that the hole interrupts.
fn pair(level: &Level, from: &End, to: &End) -> Option<Pair> {
    let (unit, length) = way(from.at, to.at);
    if length < SHORTEST {
        return None;
    }
    let aligned = |end: &End| (end.direction[0] * unit[0] + end.direction[1] * unit[1]).abs();
    let askew = 2.0 - aligned(from) - aligned(to);
    if aligned(from).min(aligned(to)) < ALIGNED || !is_interrupted(level, from.at, unit, length) {
        return None;
    }
    let ends = [from.at, to.at];
    let near = [profile(level, ends[0], unit, -1, ALONG)?, profile(level, ends[1], unit, 1, ALONG)?];
    if apart(&near[0], &near[1]) > COLOUR {
        return None;
    }
    let (unlike, shift) = unlikeness(&near[0], &near[1])?;
    if unlike > UNLIKE {
        return None;
    }
    let beside = |at: [f32; 2], by: f32| [at[0] - unit[1] * by, at[1] + unit[0] * by];
    let middle = middle(&near[0]);
    let (from, to) = (beside(from.at, middle), beside(to.at, middle + shift as f32 / 2.0));
    Some(Pair { unlike: unlike + 4.0 * askew, from, to, ends, unit, length, near })
}

impl Pair {
    /// The line, if it goes on undisturbed on one side at least, as far as it is copied.
    fn followed(&self, level: &Level) -> Option<Line> {
        let clean = [(0, -1), (1, 1)].map(|(end, sign)| {
            (0..self.length as i32 / 2 + 2).all(|step| {
                let here = profile(level, self.ends[end], self.unit, sign, step..=step + 1);
                here.is_some_and(|here| goes_on(&self.near[end], &here))
            })
        });
        (clean != [false; 2]).then_some(Line { from: self.from, to: self.to, clean })
    }
}

/// Whether a line with one profile goes on with another, and nothing else is in its way.
fn goes_on(near: &Profile, here: &Profile) -> bool {
    let alike =
        unlikeness(near, here).is_some_and(|(unlike, shift)| unlike <= UNLIKE_BEYOND && shift.abs() <= DRIFT);
    alike && apart(near, here) <= COLOUR
}

/// Whether the hole lies between two ends, and is not drawn along the line: who erases a cable does not want
/// it back.
fn is_interrupted(level: &Level, from: [f32; 2], unit: [f32; 2], length: f32) -> bool {
    let in_hole = |along: f32, across: f32| {
        let x = (from[0] + unit[0] * along - unit[1] * across).round();
        let y = (from[1] + unit[1] * along + unit[0] * across).round();
        x >= 0.0
            && y >= 0.0
            && (x as usize) < level.width
            && (y as usize) < level.height
            && level.hole[y as usize * level.width + x as usize]
    };
    let long = (0..=length as u32).filter(|&along| in_hole(along as f32, 0.0)).count();
    if long < 3 || (long as f32) < (length - SHORTEST) * 0.9 {
        return false;
    }
    let to_side =
        |side: f32| (1..=long).take_while(|&across| in_hole(length / 2.0, across as f32 * side)).count();
    2 * (to_side(1.0) + to_side(-1.0) + 1) >= long
}

/// The profile across a line of direction `unit` at `at`: the mean over so many pixels along it, where they are
/// known. They are counted backwards if `sign` is -1. `None` if none is known.
fn profile(
    level: &Level,
    at: [f32; 2],
    unit: [f32; 2],
    sign: i32,
    along: std::ops::RangeInclusive<i32>,
) -> Option<Profile> {
    let mut profile = [[0.0; 3]; ACROSS];
    for (number, colour) in profile.iter_mut().enumerate() {
        let across = (number as f32 - HALF as f32) / 2.0;
        let mut known = 0.0;
        for step in along.clone() {
            let step = (sign * step) as f32;
            let x = at[0] + unit[0] * step - unit[1] * across;
            let y = at[1] + unit[1] * step + unit[0] * across;
            if let Some(here) = interpolated(level, x, y) {
                (0..3).for_each(|i| colour[i] += here[i]);
                known += 1.0;
            }
        }
        if known == 0.0 {
            return None;
        }
        colour.iter_mut().for_each(|level| *level /= known);
    }
    Some(profile)
}

/// The colour between pixels, if all four are known.
fn interpolated(level: &Level, x: f32, y: f32) -> Option<[f32; 3]> {
    if x < 0.0 || y < 0.0 {
        return None;
    }
    let (column, row) = (x as usize, y as usize);
    if column + 1 >= level.width || row + 1 >= level.height {
        return None;
    }
    let (right, down) = (x - column as f32, y - row as f32);
    let mut colour = [0.0; 3];
    for (column, row, weight) in [
        (column, row, (1.0 - right) * (1.0 - down)),
        (column + 1, row, right * (1.0 - down)),
        (column, row + 1, (1.0 - right) * down),
        (column + 1, row + 1, right * down),
    ] {
        if level.hole[row * level.width + column] {
            return None;
        }
        let pixel = level.pixel(column, row);
        (0..3).for_each(|i| colour[i] += weight * f32::from(pixel[i]));
    }
    Some(colour)
}

/// Where in a profile the line is: the mean place of its changes, weighted by their squares, in pixels from the
/// profile's middle.
fn middle(profile: &Profile) -> f32 {
    let (mut sum, mut all) = (0.0, 0.0);
    for (number, pair) in profile.windows(2).enumerate() {
        let change: f32 = (0..3).map(|i| (pair[1][i] - pair[0][i]) * (pair[1][i] - pair[0][i])).sum();
        sum += change * (number as f32 + 0.5 - HALF as f32) / 2.0;
        all += change;
    }
    if all > 0.0 { sum / all } else { 0.0 }
}

/// The largest difference of the mean colours of two profiles.
fn apart(a: &Profile, b: &Profile) -> f32 {
    let mean =
        |profile: &Profile, i: usize| profile.iter().map(|colour| colour[i]).sum::<f32>() / ACROSS as f32;
    (0..3).map(|i| (mean(a, i) - mean(b, i)).abs()).fold(0.0, f32::max)
}

/// 1 - the correlation of two profiles, where they fit best, and by how many half pixels the second is shifted
/// there. `None` if there is not enough in them.
fn unlikeness(a: &Profile, b: &Profile) -> Option<(f32, i32)> {
    let a = &a[SHIFT..ACROSS - SHIFT];
    let variance = covariance(a, a);
    if variance < LEAST_VARIANCE {
        return None;
    }
    let shifts = -(SHIFT as i32)..=SHIFT as i32;
    let unlike = shifts.filter_map(|shift| {
        let b = &b[SHIFT.wrapping_add_signed(shift as isize)..][..a.len()];
        let other = covariance(b, b);
        (other >= LEAST_VARIANCE).then(|| (1.0 - covariance(a, b) / (variance * other).sqrt(), shift))
    });
    unlike.min_by(|a, b| a.0.total_cmp(&b.0))
}

/// The covariance of colours, summed over the three.
fn covariance(a: &[[f32; 3]], b: &[[f32; 3]]) -> f32 {
    let count = a.len() as f32;
    let of = |i: usize| {
        let mean = |colours: &[[f32; 3]]| colours.iter().map(|colour| colour[i]).sum::<f32>() / count;
        let (mean_a, mean_b) = (mean(a), mean(b));
        a.iter().zip(b).map(|(a, b)| (a[i] - mean_a) * (b[i] - mean_b)).sum::<f32>() / count
    };
    of(0) + of(1) + of(2)
}

/// For the pixels on the lines, the offsets that copy along them, in a level `scale` times the size of that in
/// which the lines were found.
pub fn seeds(lines: &[Line], level: &Level, scale: f32) -> Vec<(usize, Offset)> {
    let region = level.region;
    let width = (WIDTH * scale).max(LEAST_WIDTH);
    let mut seeds = Vec::new();
    let mut seeded = vec![false; level.target.len()];
    for line in lines {
        // Pixels' centres keep their place.
        let [from, to] = [line.from, line.to].map(|at| at.map(|at| (at + 0.5) * scale - 0.5));
        let (unit, length) = way(from, to);
        // Each half from its own side, or both from the same half beyond one end.
        let half = length / 2.0 + 1.0;
        for place in (0..level.target.len()).filter(|&place| level.target[place]) {
            let (x, y) = region.pixel(place);
            let (right, down) = (x as f32 - from[0], y as f32 - from[1]);
            let along = right * unit[0] + down * unit[1];
            let across = (down * unit[0] - right * unit[1]).abs();
            if seeded[place] || across > width || along < 0.0 || along > length {
                continue;
            }
            let by = match (line.clean, along < length / 2.0) {
                ([true, _], true) => -half,
                ([_, true], false) => half,
                ([true, false], false) => -length,
                _ => length,
            };
            let offset = unit.map(|way| (way * by).round() as i16);
            if source(level, x, y, offset).is_some() {
                seeded[place] = true;
                seeds.push((place, offset));
            }
        }
    }
    seeds
}
