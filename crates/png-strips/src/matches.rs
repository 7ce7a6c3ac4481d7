//! A search for repetitions that is cheap enough for photos. At every third byte it looks at the newest place with the
//! same eight bytes, extends what it finds in both directions, and takes it only where its literals would cost more.

use std::ops::Range;

use super::deflate::{Piece, distance_symbol, length_symbol, word};

/// Bytes from one place that is looked at to the next: most repetitions are longer, and are found at some place.
const STEP: usize = 3;
/// The longest repetition that has a symbol (RFC 1951, 3.2.5).
const LONGEST: usize = 258;
/// How far back one may lie.
const WINDOW: usize = 32 << 10;
/// Bits of the hash: the table stays in the nearest cache.
const HASH: u32 = 12;
/// What the symbols of a length and a distance take together, in bits, before their codes are known.
const SYMBOLS: u32 = 12;
/// Parts of a bit in which costs are added.
const PARTS: u32 = 8;

/// Where each hash was seen last.
pub(super) struct Matches {
    newest: Vec<u32>,
}

impl Matches {
    /// Nothing seen yet.
    pub fn new() -> Self {
        Self { newest: vec![0; 1 << HASH] }
    }

    /// Splits a block into literals and repetitions. Blocks must come in order.
    pub fn split(&mut self, data: &[u8], block: Range<usize>) -> Vec<Piece> {
        let costs = costs(&data[block.clone()]);
        let mut pieces = Vec::new();
        let Range { start: mut literals, end } = block;
        let mut at = literals.max(1);
        while at + 8 <= end {
            let before = self.replace(data, at);
            let distance = at - before;
            if word(data, before) != word(data, at) || distance > WINDOW {
                at += STEP;
                continue;
            }
            let found = extended(data, literals..end, at, distance);
            let as_literals: u32 =
                data[found.clone()].iter().map(|&byte| u32::from(costs[usize::from(byte)])).sum();
            let extra = length_symbol(found.len()).1.length + distance_symbol(distance).1.length;
            at += STEP;
            if as_literals <= (SYMBOLS + u32::from(extra)) * PARTS {
                continue;
            }
            pieces.push(Piece { literals: found.start - literals, length: found.len(), distance });
            while at < found.end && at + 8 <= end {
                self.replace(data, at);
                at += STEP;
            }
            at = found.end;
            literals = at;
        }
        pieces.push(Piece { literals: end - literals, length: 0, distance: 1 });
        pieces
    }

    /// Takes `at` as the newest place of its hash, and gives the one before it.
    #[inline]
    fn replace(&mut self, data: &[u8], at: usize) -> usize {
        let hash = word(data, at).wrapping_mul(0x9e37_79b1_85eb_ca87) >> (64 - HASH);
        std::mem::replace(&mut self.newest[hash as usize], at as u32) as usize
    }
}

/// All of `within` that repeats what is `distance` before it, around the eight bytes at `at` that do.
fn extended(data: &[u8], within: Range<usize>, at: usize, distance: usize) -> Range<usize> {
    let (mut start, mut end) = (at, at + 8);
    let last = within.end.min(at + LONGEST);
    while end + 8 <= last && word(data, end) == word(data, end - distance) {
        end += 8;
    }
    while end < last && data[end] == data[end - distance] {
        end += 1;
    }
    let first = within.start.max(distance).max(end.saturating_sub(LONGEST));
    while start > first && data[start - 1] == data[start - 1 - distance] {
        start -= 1;
    }
    start..end
}

/// What each byte takes as a literal, by how often it occurs.
fn costs(block: &[u8]) -> [u16; 256] {
    let mut counts = [0_u32; 256];
    block.iter().for_each(|&byte| counts[usize::from(byte)] += 1);
    let all = block.len() as f32;
    counts.map(|count| ((all / count.max(1) as f32).log2().max(1.0) * PARTS as f32) as u16)
}
