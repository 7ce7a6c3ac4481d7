//! Dilation by a disc.

use super::{Mask, tail};

/// The largest radius that [`Mask::dilate`] accepts, in pixels: up to here, one neighbouring word on each
/// side is enough.
pub const MAX_RADIUS: u32 = 63;

impl Mask {
    /// Every pixel whose centre is within `radius` pixels (Euclidean, at most `MAX_RADIUS`) of one in the
    /// set.
    ///
    /// A disc is a stack of horizontal spans. A row of the result is the union, over each distance `dy`, of
    /// the source rows at that distance spread sideways by the disc's half-width there. Spreading by `a` and
    /// then by `b` is spreading by `a + b`, so rows are added from the widest span to the narrowest, and each
    /// spread also carries what was gathered before. A row costs `2 * radius` unions and at most `radius`
    /// spreads of whole words, whatever the set looks like.
    pub fn dilate(&self, radius: u32) -> Mask {
        assert!(radius <= MAX_RADIUS);
        if radius == 0 {
            return self.clone();
        }
        let spans = spans(radius);
        let used: Vec<_> = (0..self.height()).map(|y| used_words(self.row(y))).collect();
        let words = self.row_words();
        let mut out = Mask::empty(self.width(), self.height());
        // A zero word at either end gives every word two neighbours.
        let mut gathered = vec![0u64; words + 2];
        let mut scratch = vec![0u64; words + 2];

        for y in 0..self.height() {
            let top = y.saturating_sub(radius);
            let bottom = (y + radius).min(self.height() - 1);
            let Some((first, last)) = used[top as usize..=bottom as usize]
                .iter()
                .flatten()
                .copied()
                .reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
            else {
                continue;
            };
            // The disc reaches at most one word beyond the source pixels.
            let first = first.saturating_sub(1);
            let last = (last + 1).min(words - 1);
            let reach = first..last + 3;

            gathered[reach.clone()].fill(0);
            scratch[reach.clone()].fill(0);
            for span in &spans {
                for dy in span.nearest..=span.farthest {
                    let above = y.checked_sub(dy);
                    let below = Some(y + dy).filter(|&below| below < self.height() && dy > 0);
                    for source in [above, below].into_iter().flatten() {
                        if used[source as usize].is_some() {
                            join(&mut gathered[first + 1..last + 2], &self.row(source)[first..=last]);
                        }
                    }
                }
                spread(&mut gathered[reach.clone()], &mut scratch[reach.clone()], span.spread);
            }

            let row = out.row_mut(y);
            row[first..=last].copy_from_slice(&gathered[first + 1..last + 2]);
            if let (Some(end), Some(keep)) = (row.last_mut(), tail(self.width())) {
                *end &= keep;
            }
        }
        out
    }

    fn row_words(&self) -> usize {
        self.width().div_ceil(super::WORD) as usize
    }
}

/// Rows of a disc that have the same width.
struct Span {
    /// Distances of the nearest and farthest such rows from the centre.
    nearest: u32,
    farthest: u32,
    /// How much farther they reach on each side than the next narrower rows.
    spread: u32,
}

/// The spans of a disc, widest first.
fn spans(radius: u32) -> Vec<Span> {
    let half_width = |dy: u32| (radius * radius - dy * dy).isqrt();
    let mut spans: Vec<Span> = Vec::new();
    let mut nearest = 0;
    for dy in 0..=radius {
        let next = if dy < radius { half_width(dy + 1) } else { 0 };
        let spread = half_width(dy) - next;
        if spread > 0 || dy == radius {
            spans.push(Span { nearest, farthest: dy, spread });
            nearest = dy + 1;
        }
    }
    spans
}

/// Indices of the first and last non-zero words of `row`.
fn used_words(row: &[u64]) -> Option<(usize, usize)> {
    let first = row.iter().position(|&word| word != 0)?;
    let last = row.iter().rposition(|&word| word != 0)?;
    Some((first, last))
}

fn join(into: &mut [u64], from: &[u64]) {
    for (into, from) in into.iter_mut().zip(from) {
        *into |= from;
    }
}

/// Spreads the bits of `row` by `distance` to both sides. `scratch` is as long as `row`; the outermost words
/// of both must be zero and stay so.
fn spread(row: &mut [u64], scratch: &mut [u64], distance: u32) {
    let mut done = 0;
    while done < distance {
        // Bits already spread by `done` can move `done + 1` without leaving gaps. Inside a row twice that
        // would do, but at its ends one side of what was spread is cut off.
        let step = (done + 1).min(distance - done);
        let inner = row.len() - 1;
        for (out, near) in scratch[1..inner].iter_mut().zip(row.windows(3)) {
            *out =
                near[1] | near[1] << step | near[0] >> (64 - step) | near[1] >> step | near[2] << (64 - step);
        }
        row[1..inner].copy_from_slice(&scratch[1..inner]);
        done += step;
    }
}
