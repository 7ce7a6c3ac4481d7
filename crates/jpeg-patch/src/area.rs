/// A rectangle of pixels: the columns `x..right()` of the rows `y..bottom()`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Area {
    /// The leftmost column.
    pub x: u32,
    /// The topmost row.
    pub y: u32,
    /// Number of columns.
    pub width: u32,
    /// Number of rows.
    pub height: u32,
}

impl Area {
    pub(crate) fn from_edges(x: u32, y: u32, right: u32, bottom: u32) -> Self {
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

    /// Whether the two have a pixel in common.
    pub fn intersects(&self, other: &Self) -> bool {
        self.x < other.right() && other.x < self.right() && self.y < other.bottom() && other.y < self.bottom()
    }
}
