//! Masks whose aspect ratio differs from the photo's.

use image::metadata::Orientation;

use super::Picture;

const TURNED: &str = "the mask was made for the photo before its turn and was turned with it";
const STRETCHED: &str = "the mask does not have the proportions of the photo and was stretched to it";

impl Picture {
    /// Fits this mask to a photo that is displayed in the size `displayed`, and returns a warning if that took a
    /// guess. A mask that fits only the stored photo, before it was turned by `orientation`, was made by a program
    /// that ignores the Exif orientation, and is turned.
    pub fn fit(&mut self, displayed: (u32, u32), orientation: Orientation) -> Option<&'static str> {
        if alike(self.size(), displayed) {
            return None;
        }
        let quarter = orientation.to_exif() > 4;
        if !quarter || !alike(self.size(), (displayed.1, displayed.0)) {
            return Some(STRETCHED);
        }
        self.turn(orientation);
        Some(TURNED)
    }

    fn size(&self) -> (u32, u32) {
        (self.width(), self.height())
    }
}

/// Whether the first size is the second one scaled, with both sides rounded to whole pixels.
fn alike((width, height): (u32, u32), of: (u32, u32)) -> bool {
    let [across, down] = [(width, of.1), (height, of.0)].map(|(a, b)| u64::from(a) * u64::from(b));
    across.abs_diff(down) <= u64::from(of.0.max(of.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scaled_sizes_are_alike_and_turned_or_stretched_ones_are_not() {
        for (mask, photo) in [
            ((4032, 3024), (4032, 3024)),
            ((1024, 768), (4032, 3024)),
            ((1024, 683), (4000, 2667)),
            ((512, 341), (4000, 2667)),
            ((1, 1), (1, 1)),
            ((40, 30), (400, 300)),
        ] {
            assert!(alike(mask, photo), "{mask:?} {photo:?}");
        }
        for (mask, photo) in [
            ((3024, 4032), (4032, 3024)),
            ((1024, 1024), (4032, 3024)),
            ((1024, 680), (4000, 2700)),
            ((1920, 1080), (4000, 3000)),
            ((24, 16), (16, 24)),
        ] {
            assert!(!alike(mask, photo), "{mask:?} {photo:?}");
        }
    }
}
