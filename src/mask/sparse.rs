//! A bitmap with an index of its empty blocks.

use std::ops::Range;

use super::{Mask, WORD, words_of};
use crate::geometry::Rect;

/// Side of a block in pixels: one word wide.
const BLOCK: u32 = WORD;

/// A set of pixels plus, for each block, whether it holds any: so queries repeated while the set is emptied
/// piece by piece read few words.
#[derive(Clone, Debug)]
pub struct Sparse {
    set: Mask,
    /// The non-empty blocks, one bit each.
    used: Mask,
}

impl From<&Mask> for Sparse {
    fn from(set: &Mask) -> Self {
        let used = Mask::empty(set.width().div_ceil(BLOCK), set.height().div_ceil(BLOCK));
        let mut sparse = Self { set: set.clone(), used };
        sparse.look(Rect::of_size(set.width(), set.height()), None);
        sparse
    }
}

impl Sparse {
    /// Same as [`Mask::bounds_within`].
    pub fn bounds_within(&self, rect: Rect) -> Option<Rect> {
        let (across, down) = blocks(rect);
        let row = |y: &u32| words_of(rect.x, rect.right()).any(|(i, keep)| self.set.row(*y)[i] & keep != 0);
        let top = down.clone().find_map(|block| self.rows(block, rect, &across).find(row))?;
        let bottom = down.rev().find_map(|block| self.rows(block, rect, &across).rev().find(row))?;
        let rect = Rect::from_edges(rect.x, top, rect.right(), bottom + 1);
        let columns = |column: u32| Some((column, self.column(column, rect))).filter(|(_, word)| *word != 0);
        let (first, word) = across.clone().find_map(columns)?;
        let left = first * BLOCK + word.trailing_zeros();
        let (last, word) = across.rev().find_map(columns)?;
        let right = (last + 1) * BLOCK - word.leading_zeros();
        Some(Rect::from_edges(left, top, right, bottom + 1))
    }

    /// Same as [`Mask::count_within`].
    pub fn count_within(&self, rect: Rect) -> u64 {
        let (across, down) = blocks(rect);
        let row = |y| {
            let words = words_of(rect.x, rect.right());
            words.map(|(i, keep)| u64::from((self.set.row(y)[i] & keep).count_ones())).sum::<u64>()
        };
        down.flat_map(|block| self.rows(block, rect, &across)).map(row).sum()
    }

    /// Number of non-empty blocks that `rect` touches.
    pub fn blocks_within(&self, rect: Rect) -> u64 {
        let (across, down) = blocks(rect);
        self.used.count_within(Rect::from_edges(across.start, down.start, across.end, down.end))
    }

    /// The most blocks that a square of `side` pixels can touch.
    pub fn blocks_of_square(side: u32) -> u64 {
        u64::from((side + BLOCK - 2) / BLOCK + 1).pow(2)
    }

    /// Same as [`Mask::clear_rect`].
    pub fn clear_rect(&mut self, rect: Rect) {
        let (across, down) = blocks(rect);
        for block in down {
            for y in self.rows(block, rect, &across) {
                let row = self.set.row_mut(y);
                words_of(rect.x, rect.right()).for_each(|(i, keep)| row[i] &= !keep);
            }
        }
        let inside = self.inside(rect);
        if let Some(inside) = inside {
            self.used.clear_rect(inside);
        }
        self.look(rect, inside);
    }

    /// Same as [`Mask::copy_rect`].
    pub fn copy_rect(&mut self, other: &Self, rect: Rect) {
        self.set.copy_rect(&other.set, rect);
        let inside = self.inside(rect);
        if let Some(inside) = inside {
            self.used.copy_rect(&other.used, inside);
        }
        self.look(rect, inside);
    }

    /// The blocks that lie entirely inside `rect`.
    fn inside(&self, rect: Rect) -> Option<Rect> {
        let end = |end: u32, of: u32| if end == of { end.div_ceil(BLOCK) } else { end / BLOCK };
        let (left, top) = (rect.x.div_ceil(BLOCK), rect.y.div_ceil(BLOCK));
        let (right, bottom) = (end(rect.right(), self.set.width()), end(rect.bottom(), self.set.height()));
        (left < right && top < bottom).then(|| Rect::from_edges(left, top, right, bottom))
    }

    /// Refreshes the index of the blocks that `rect` touches, except those in `known`.
    fn look(&mut self, rect: Rect, known: Option<Rect>) {
        let (across, down) = blocks(rect);
        for block in down {
            let rows = block * BLOCK..((block + 1) * BLOCK).min(self.set.height());
            let used = self.used.row_mut(block);
            for column in across.clone() {
                let one = Rect { x: column, y: block, width: 1, height: 1 };
                if known.is_some_and(|known| known.intersects(&one)) {
                    continue;
                }
                let any = rows.clone().any(|y| self.set.row(y)[column as usize] != 0);
                let (word, bit) = (&mut used[(column / WORD) as usize], 1 << (column % WORD));
                *word = if any { *word | bit } else { *word & !bit };
            }
        }
    }

    /// The rows of `rect` in a row of blocks; none if those blocks are empty.
    fn rows(&self, block: u32, rect: Rect, across: &Range<u32>) -> Range<u32> {
        let blocks = Rect::from_edges(across.start, block, across.end, block + 1);
        match self.used.intersects(blocks) {
            true => rect.y.max(block * BLOCK)..rect.bottom().min((block + 1) * BLOCK),
            false => 0..0,
        }
    }

    /// Which columns of a column of blocks have a pixel in `rect`, as the bits of a word.
    fn column(&self, column: u32, rect: Rect) -> u64 {
        let keep = words_of(rect.x, rect.right()).nth((column - rect.x / WORD) as usize);
        let keep = keep.map_or(0, |(_, keep)| keep);
        let across = column..column + 1;
        let (_, down) = blocks(rect);
        let mut found = 0;
        for y in down.flat_map(|block| self.rows(block, rect, &across)) {
            found |= self.set.row(y)[column as usize] & keep;
            // Every column has been found already.
            if found == keep {
                break;
            }
        }
        found
    }
}

/// The blocks that `rect` touches, as block columns and rows.
fn blocks(rect: Rect) -> (Range<u32>, Range<u32>) {
    let of = |start: u32, end: u32| start / BLOCK..end.div_ceil(BLOCK);
    (of(rect.x, rect.right()), of(rect.y, rect.bottom()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rects(width: u32, height: u32) -> impl Strategy<Value = Rect> {
        (0..width, 0..height).prop_flat_map(move |(x, y)| {
            (1..=width - x, 1..=height - y).prop_map(move |(width, height)| Rect { x, y, width, height })
        })
    }

    proptest! {
        #[test]
        fn it_is_as_the_set_is(
            pixels in prop::collection::vec((0..300u32, 0..200u32), 0..30),
            steps in prop::collection::vec((rects(300, 200), any::<bool>()), 1..12),
            asked in prop::collection::vec(rects(300, 200), 1..12),
        ) {
            let mut whole = Mask::empty(300, 200);
            for (x, y) in pixels {
                whole.row_mut(y)[x as usize / 64] |= 1 << (x % 64);
            }
            let all = Sparse::from(&whole);
            let (mut set, mut sparse) = (whole.clone(), all.clone());
            for (rect, clear) in steps {
                match clear {
                    true => (set.clear_rect(rect), sparse.clear_rect(rect)),
                    false => (set.copy_rect(&whole, rect), sparse.copy_rect(&all, rect)),
                };
                for rect in &asked {
                    prop_assert_eq!(sparse.bounds_within(*rect), set.bounds_within(*rect));
                    prop_assert_eq!(sparse.count_within(*rect), set.count_within(*rect));
                    let least = sparse.blocks_within(*rect).div_ceil(Sparse::blocks_of_square(rect.longest()));
                    prop_assert!(least <= 1, "a square touches no more blocks than it can");
                }
            }
        }
    }
}
