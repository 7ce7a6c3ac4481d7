//! LZ77 matching cheap enough for photos. At every third byte it looks up the latest position with the same
//! eight bytes, extends the match in both directions, and takes it only if its literals would cost more.

use std::ops::Range;

use super::deflate::{Piece, distance_symbol, length_symbol, word};

/// Bytes between lookups. Most matches are longer, and so are found anyway.
const STEP: usize = 3;
/// Longest match that deflate can encode (RFC 1951, 3.2.5).
const LONGEST: usize = 258;
/// Largest distance.
const WINDOW: usize = 32 << 10;
/// Bits of the hash; the table then fits the first-level cache.
const HASH: u32 = 12;
/// Estimated bits of a length and a distance symbol together, before their codes are known.
const SYMBOLS: u32 = 12;
/// Costs are counted in units of 1/8 bit.
const PARTS: u32 = 8;

/// The latest position of each hash.
pub(super) struct Matches {
    newest: Vec<u32>,
}

impl Matches {
    /// Starts with an empty history.
    pub fn new() -> Self {
        Self { newest: vec![0; 1 << HASH] }
    }

    /// Splits a block into literals and matches. Blocks must come in order.
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

    /// Records `at` as the latest position of its hash and returns the previous one.
    #[inline]
    fn replace(&mut self, data: &[u8], at: usize) -> usize {
        let hash = word(data, at).wrapping_mul(0x9e37_79b1_85eb_ca87) >> (64 - HASH);
        std::mem::replace(&mut self.newest[hash as usize], at as u32) as usize
    }
}

/// Extends a match of the eight bytes at `at` in both directions, inside `within` and up to [`LONGEST`].
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

/// Cost of each byte as a literal, from its frequency: its entropy, at least one bit, in units of 1/8 bit.
fn costs(block: &[u8]) -> [u16; 256] {
    let mut counts = [0_u32; 256];
    block.iter().for_each(|&byte| counts[usize::from(byte)] += 1);
    let all = block.len() as f32;
    counts.map(|count| ((all / count.max(1) as f32).log2().max(1.0) * PARTS as f32) as u16)
}
