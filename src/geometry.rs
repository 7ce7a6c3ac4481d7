//! Rectangles of pixels.

/// A rectangle of pixels: the columns `x..right()` of the rows `y..bottom()`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rect {
    /// The leftmost column.
    pub x: u32,
    /// The topmost row.
    pub y: u32,
    /// Number of columns.
    pub width: u32,
    /// Number of rows.
    pub height: u32,
}

impl Rect {
    /// The rectangle of a whole picture.
    pub fn of_size(width: u32, height: u32) -> Self {
        Self { x: 0, y: 0, width, height }
    }

    /// The rectangle from `(x, y)`, included, to `(right, bottom)`, excluded.
    pub fn from_edges(x: u32, y: u32, right: u32, bottom: u32) -> Self {
        Self { x, y, width: right - x, height: bottom - y }
    }

    /// The column after the rightmost one.
    pub fn right(&self) -> u32 {
        self.x + self.width
    }

    /// The row after the lowest one.
    pub fn bottom(&self) -> u32 {
        self.y + self.height
    }

    /// The longer of width and height.
    pub fn longest(&self) -> u32 {
        self.width.max(self.height)
    }

    /// Number of pixels.
    pub fn area(&self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }

    /// Whether the two have a pixel in common.
    pub fn intersects(&self, other: &Rect) -> bool {
        self.x < other.right() && other.x < self.right() && self.y < other.bottom() && other.y < self.bottom()
    }

    /// The smallest rectangle that holds both.
    pub fn union(&self, other: &Rect) -> Self {
        Self::from_edges(
            self.x.min(other.x),
            self.y.min(other.y),
            self.right().max(other.right()),
            self.bottom().max(other.bottom()),
        )
    }

    /// This rectangle grown by `margin` on every side, but not beyond `within`.
    pub fn grown(&self, margin: u32, within: Rect) -> Self {
        Self::from_edges(
            self.x.saturating_sub(margin).max(within.x),
            self.y.saturating_sub(margin).max(within.y),
            (self.right() + margin).min(within.right()),
            (self.bottom() + margin).min(within.bottom()),
        )
    }
}
