//! Pixel rectangles.

use image::metadata::Orientation;

/// A rectangle of pixels: columns `x..right()` of rows `y..bottom()`.
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
    /// The rectangle of a whole image.
    pub fn of_size(width: u32, height: u32) -> Self {
        Self { x: 0, y: 0, width, height }
    }

    /// From `(x, y)`, inclusive, to `(right, bottom)`, exclusive.
    pub fn from_edges(x: u32, y: u32, right: u32, bottom: u32) -> Self {
        Self { x, y, width: right - x, height: bottom - y }
    }

    /// One past the rightmost column.
    pub fn right(&self) -> u32 {
        self.x + self.width
    }

    /// One past the bottom row.
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

    /// Whether the two share a pixel.
    pub fn intersects(&self, other: &Rect) -> bool {
        self.x < other.right() && other.x < self.right() && self.y < other.bottom() && other.y < self.bottom()
    }

    /// The pixels that both share, if any.
    pub fn intersection(&self, other: &Rect) -> Option<Self> {
        self.intersects(other).then(|| {
            let (x, y) = (self.x.max(other.x), self.y.max(other.y));
            Self::from_edges(x, y, self.right().min(other.right()), self.bottom().min(other.bottom()))
        })
    }

    /// The bounding box of both.
    pub fn union(&self, other: &Rect) -> Self {
        Self::from_edges(
            self.x.min(other.x),
            self.y.min(other.y),
            self.right().max(other.right()),
            self.bottom().max(other.bottom()),
        )
    }

    /// This rectangle in the coordinates of `part`, which contains it.
    pub fn within(&self, part: Rect) -> Self {
        Self { x: self.x - part.x, y: self.y - part.y, ..*self }
    }

    /// Grows the rectangle by `margin` on every side, clipped to `within`.
    pub fn grown(&self, margin: u32, within: Rect) -> Self {
        Self::from_edges(
            self.x.saturating_sub(margin).max(within.x),
            self.y.saturating_sub(margin).max(within.y),
            (self.right() + margin).min(within.right()),
            (self.bottom() + margin).min(within.bottom()),
        )
    }

    /// Where this rectangle ends up once its image of `width` by `height` pixels is turned by `orientation`.
    pub fn turned(&self, orientation: Orientation, (width, height): (u32, u32)) -> Self {
        let mirrored_x = || width - self.right();
        let mirrored_y = || height - self.bottom();
        let (x, y) = match orientation {
            Orientation::NoTransforms => (self.x, self.y),
            Orientation::FlipHorizontal => (mirrored_x(), self.y),
            Orientation::Rotate180 => (mirrored_x(), mirrored_y()),
            Orientation::FlipVertical => (self.x, mirrored_y()),
            Orientation::Rotate90FlipH => (self.y, self.x),
            Orientation::Rotate90 => (mirrored_y(), self.x),
            Orientation::Rotate270FlipH => (mirrored_y(), mirrored_x()),
            Orientation::Rotate270 => (self.y, mirrored_x()),
        };
        let swapped = orientation.to_exif() > 4;
        let (width, height) = if swapped { (self.height, self.width) } else { (self.width, self.height) };
        Self { x, y, width, height }
    }
}

#[cfg(test)]
mod tests {
    use image::{DynamicImage, GenericImageView, GrayImage, Luma};

    use super::*;

    #[test]
    fn a_rectangle_turns_as_the_pixels_in_it_do() {
        let rect = Rect { x: 2, y: 1, width: 3, height: 4 };
        let picture = GrayImage::from_fn(9, 7, |x, y| {
            let inside = (2..5).contains(&x) && (1..5).contains(&y);
            Luma([u8::from(inside)])
        });
        for orientation in (1..=8).filter_map(Orientation::from_exif) {
            let mut turned = DynamicImage::from(picture.clone());
            turned.apply_orientation(orientation);
            let found = rect.turned(orientation, (9, 7));
            for (x, y, pixel) in turned.pixels() {
                let inside = (found.x..found.right()).contains(&x) && (found.y..found.bottom()).contains(&y);
                assert_eq!(pixel.0[0] == 1, inside, "{orientation:?} at {x}, {y}");
            }
        }
    }
}
