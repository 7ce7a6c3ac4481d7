//! Sets of pixels as bitmaps, one bit per pixel: masks, holes and what is still to be filled.

mod components;
mod dilate;
mod sparse;

pub use sparse::Sparse;

use crate::geometry::Rect;

/// Pixels per word of the bitmap.
const WORD: u32 = u64::BITS;

/// A set of pixels of an image, one bit each.
///
/// Rows are padded to whole 64-bit words. The padding is always zero, so counting and comparing can ignore
/// it. Bit `x % 64` of word `x / 64` is the pixel in column `x`.
#[derive(Clone, PartialEq, Eq)]
pub struct Mask {
    width: u32,
    height: u32,
    bits: Vec<u64>,
}

impl std::fmt::Debug for Mask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Mask({}x{}, {} set)", self.width, self.height, self.count())
    }
}

impl Mask {
    /// The empty set for an image of `width` by `height` pixels.
    pub fn empty(width: u32, height: u32) -> Self {
        let words = width.div_ceil(WORD) as usize;
        Self { width, height, bits: vec![0; words * height as usize] }
    }

    /// The pixels of `rect`, which must lie inside an image of `width` by `height` pixels.
    pub fn from_rect(width: u32, height: u32, rect: Rect) -> Self {
        let mut mask = Self::empty(width, height);
        for y in rect.y..rect.bottom() {
            set_span(mask.row_mut(y), rect.x, rect.right());
        }
        mask
    }

    /// The pixels for which `levels`, `width` x `height` in row order, is at least `threshold`.
    pub fn from_levels(width: u32, height: u32, levels: &[u8], threshold: u8) -> Self {
        assert_eq!(levels.len(), width as usize * height as usize);
        let mut mask = Self::empty(width, height);
        if width == 0 {
            return mask;
        }
        for (y, row) in levels.chunks_exact(width as usize).enumerate() {
            for (word, levels) in mask.row_mut(y as u32).iter_mut().zip(row.chunks(WORD as usize)) {
                *word = levels
                    .iter()
                    .enumerate()
                    .fold(0, |word, (i, &level)| word | u64::from(level >= threshold) << i);
            }
        }
        mask
    }

    /// Resamples the set to another image size by nearest neighbour: each pixel takes the one under its
    /// centre.
    pub fn resized(&self, width: u32, height: u32) -> Self {
        if (width, height) == (self.width, self.height) {
            return self.clone();
        }
        let source = |i: u32, from: u32, to: u32| {
            ((2 * u64::from(i) + 1) * u64::from(from) / (2 * u64::from(to))) as u32
        };
        let columns: Vec<u32> = (0..width).map(|x| source(x, self.width, width)).collect();
        let mut mask = Self::empty(width, height);
        for y in 0..height {
            let from = self.row(source(y, self.height, height));
            let to = mask.row_mut(y);
            for (x, &column) in columns.iter().enumerate() {
                to[x / 64] |= (from[column as usize / 64] >> (column % WORD) & 1) << (x % 64);
            }
        }
        mask
    }

    /// Width of the image, in pixels.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Height of the image, in pixels.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// Whether the pixel in column `x` of row `y` is in the set.
    pub fn contains(&self, x: u32, y: u32) -> bool {
        self.row(y)[(x / WORD) as usize] >> (x % WORD) & 1 == 1
    }

    /// Number of pixels in the set.
    pub fn count(&self) -> u64 {
        self.bits.iter().map(|word| u64::from(word.count_ones())).sum()
    }

    /// Whether the set has no pixels.
    pub fn is_empty(&self) -> bool {
        self.bits.iter().all(|&word| word == 0)
    }

    /// The bounding box of the pixels inside `rect`, if any.
    pub fn bounds_within(&self, rect: Rect) -> Option<Rect> {
        let (mut left, mut right) = (rect.right(), rect.x);
        let (mut top, mut bottom) = (u32::MAX, 0);
        for y in rect.y..rect.bottom() {
            let row = self.row(y);
            // Only search where a pixel would widen the box; while it has no width, that is the whole row.
            let first = next_set(row, rect.x, left);
            let last = last_set(row, right, rect.right());
            left = first.unwrap_or(left);
            right = last.map_or(right, |last| last + 1);
            let inside = || left < right && next_set(row, left, right).is_some();
            if first.is_some() || last.is_some() || inside() {
                top = top.min(y);
                bottom = y + 1;
            }
        }
        (top < bottom).then(|| Rect { x: left, y: top, width: right - left, height: bottom - top })
    }

    /// Whether any pixel of the set lies inside `rect`.
    pub fn intersects(&self, rect: Rect) -> bool {
        (rect.y..rect.bottom()).any(|y| next_set(self.row(y), rect.x, rect.right()).is_some())
    }

    /// Number of pixels of the set inside `rect`.
    pub fn count_within(&self, rect: Rect) -> u64 {
        (rect.y..rect.bottom())
            .map(|y| {
                words_of(rect.x, rect.right())
                    .map(|(i, keep)| u64::from((self.row(y)[i] & keep).count_ones()))
                    .sum::<u64>()
            })
            .sum()
    }

    /// The part of the set inside `rect`, as a set of that size.
    pub fn crop(&self, rect: Rect) -> Self {
        let mut mask = Self::empty(rect.width, rect.height);
        let shift = rect.x % WORD;
        let first = (rect.x / WORD) as usize;
        for y in 0..rect.height {
            let from = self.row(rect.y + y);
            let to = mask.row_mut(y);
            for (i, word) in to.iter_mut().enumerate() {
                let low = from.get(first + i).copied().unwrap_or(0) >> shift;
                let high = match shift {
                    0 => 0,
                    _ => from.get(first + i + 1).copied().unwrap_or(0) << (WORD - shift),
                };
                *word = low | high;
            }
            if let (Some(last), Some(keep)) = (to.last_mut(), tail(rect.width)) {
                *last &= keep;
            }
        }
        mask
    }

    /// The set moved to `(left, top)` in a larger image, where it must fit.
    pub fn placed(&self, (left, top): (u32, u32), (width, height): (u32, u32)) -> Self {
        assert!(left + self.width <= width && top + self.height <= height);
        let mut mask = Self::empty(width, height);
        for y in 0..self.height {
            let to = mask.row_mut(top + y);
            self.runs(y, 0, self.width, |from, end| set_span(to, left + from, left + end));
        }
        mask
    }

    /// The pixel of the set nearest to `(x, y)`, at most `reach` away in either direction.
    fn nearest(&self, (x, y): (u32, u32), reach: u32) -> Option<(u32, u32)> {
        let rows = y.saturating_sub(reach)..(y + reach + 1).min(self.height);
        let (left, right) = (x.saturating_sub(reach), (x + reach + 1).min(self.width));
        let near = rows.flat_map(|row| {
            let before = last_set(self.row(row), left, x + 1);
            let after = next_set(self.row(row), x, right);
            before.into_iter().chain(after).map(move |column| (column, row))
        });
        near.min_by_key(|&(column, row)| {
            let (dx, dy) = (u64::from(column.abs_diff(x)), u64::from(row.abs_diff(y)));
            dx * dx + dy * dy
        })
    }

    /// Copies the part inside `rect` from `other`, which has the same size.
    pub fn copy_rect(&mut self, other: &Mask, rect: Rect) {
        assert_eq!((self.width, self.height), (other.width, other.height));
        for y in rect.y..rect.bottom() {
            let from = other.row(y);
            let to = self.row_mut(y);
            for (i, keep) in words_of(rect.x, rect.right()) {
                to[i] = to[i] & !keep | from[i] & keep;
            }
        }
    }

    /// Removes the pixels of `rect`.
    pub fn clear_rect(&mut self, rect: Rect) {
        for y in rect.y..rect.bottom() {
            let row = self.row_mut(y);
            for (i, keep) in words_of(rect.x, rect.right()) {
                row[i] &= !keep;
            }
        }
    }

    /// Removes the pixels of `other`, which has the same size.
    pub fn subtract(&mut self, other: &Mask) {
        assert_eq!((self.width, self.height), (other.width, other.height));
        for (word, other) in self.bits.iter_mut().zip(&other.bits) {
            *word &= !other;
        }
    }

    /// Calls `each(start, end)` for every run of set pixels in row `y` within columns `left..right`, from
    /// left to right; `end` is exclusive.
    pub fn runs(&self, y: u32, left: u32, right: u32, mut each: impl FnMut(u32, u32)) {
        let row = self.row(y);
        let mut x = left;
        while let Some(start) = next_set(row, x, right) {
            let end = next_clear(row, start, right);
            each(start, end);
            x = end;
        }
    }

    /// The words of row `y`, padding included.
    pub(crate) fn row(&self, y: u32) -> &[u64] {
        let words = self.width.div_ceil(WORD) as usize;
        &self.bits[y as usize * words..][..words]
    }

    fn row_mut(&mut self, y: u32) -> &mut [u64] {
        let words = self.width.div_ceil(WORD) as usize;
        &mut self.bits[y as usize * words..][..words]
    }
}

/// A mask of the bits in a row's last word that are not padding; `None` if none are padding.
fn tail(width: u32) -> Option<u64> {
    (!width.is_multiple_of(WORD)).then(|| (1 << (width % WORD)) - 1)
}

/// Indices of the words that hold columns `left..right`, each with a mask of the bits in that range.
fn words_of(left: u32, right: u32) -> impl Iterator<Item = (usize, u64)> {
    (left / WORD..right.div_ceil(WORD)).map(move |i| {
        let mut keep = u64::MAX;
        if i * WORD < left {
            keep &= u64::MAX << (left - i * WORD);
        }
        if right - i * WORD < WORD {
            keep &= (1 << (right - i * WORD)) - 1;
        }
        (i as usize, keep)
    })
}

fn set_span(row: &mut [u64], left: u32, right: u32) {
    for (i, keep) in words_of(left, right) {
        row[i] |= keep;
    }
}

fn next_set(row: &[u64], left: u32, right: u32) -> Option<u32> {
    if left >= right {
        return None;
    }
    let (first, last) = ((left / WORD) as usize, ((right - 1) / WORD) as usize);
    let head = row[first] & u64::MAX << (left % WORD);
    let (at, word) = match head {
        0 => {
            let at = first + 1 + row[first + 1..=last].iter().position(|&word| word != 0)?;
            (at, row[at])
        }
        _ => (first, head),
    };
    let x = at as u32 * WORD + word.trailing_zeros();
    (x < right).then_some(x)
}

fn last_set(row: &[u64], left: u32, right: u32) -> Option<u32> {
    if left >= right {
        return None;
    }
    let (first, last) = ((left / WORD) as usize, ((right - 1) / WORD) as usize);
    let tail = row[last] & u64::MAX >> (WORD - 1 - (right - 1) % WORD);
    let (at, word) = match tail {
        0 => {
            let at = first + row[first..last].iter().rposition(|&word| word != 0)?;
            (at, row[at])
        }
        _ => (last, tail),
    };
    let x = at as u32 * WORD + (WORD - 1 - word.leading_zeros());
    (x >= left).then_some(x)
}

fn next_clear(row: &[u64], left: u32, right: u32) -> u32 {
    words_of(left, right)
        .find_map(|(i, keep)| {
            let word = !row[i] & keep;
            (word != 0).then(|| i as u32 * WORD + word.trailing_zeros())
        })
        .unwrap_or(right)
}

#[cfg(test)]
mod tests;
