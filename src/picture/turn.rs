//! Applying an Exif orientation.

use image::metadata::Orientation;

use super::{Picture, Raw, Samples, SamplesMut};

impl Picture {
    /// Applies `orientation`. Quarter turns are our own, since those of `image` read the picture column by
    /// column, which is slow for the cache.
    pub(super) fn turn(&mut self, orientation: Orientation) {
        use Orientation::{Rotate90, Rotate90FlipH, Rotate270, Rotate270FlipH};
        if !matches!(orientation, Rotate90 | Rotate90FlipH | Rotate270 | Rotate270FlipH) {
            return self.image.apply_orientation(orientation);
        }
        // Each is a transposition, with the rows reversed before it, after it, both or neither.
        if matches!(orientation, Rotate90 | Rotate270FlipH) {
            self.reverse_rows();
        }
        self.transpose();
        if matches!(orientation, Rotate270 | Rotate270FlipH) {
            self.reverse_rows();
        }
    }

    fn reverse_rows(&mut self) {
        let row = self.width() as usize * self.channels();
        match self.samples_mut() {
            SamplesMut::Eight(samples) => reverse_rows(samples, row),
            SamplesMut::Sixteen(samples) => reverse_rows(samples, row),
        }
    }

    fn transpose(&mut self) {
        let (width, height, channels) = (self.width(), self.height(), self.channels());
        let size = (width as usize, height as usize);
        let transposed = match self.samples() {
            Samples::Eight(samples) => Raw::Eight(transposed(samples, size, channels)),
            Samples::Sixteen(samples) => Raw::Sixteen(transposed(samples, size, channels)),
        };
        let image = transposed.into_image(height, width, channels);
        self.image = image.expect("as many samples as before. This is a bug.");
    }
}

fn reverse_rows<L>(samples: &mut [L], row: usize) {
    let half = samples.len() / row / 2 * row;
    let (upper, lower) = samples.split_at_mut(half);
    for (above, below) in upper.chunks_exact_mut(row).zip(lower.rchunks_exact_mut(row)) {
        above.swap_with_slice(below);
    }
}

fn transposed<L: Copy + Default>(samples: &[L], size: (usize, usize), channels: usize) -> Vec<L> {
    match channels {
        1 => pixels_transposed::<L, 1>(samples, size),
        2 => pixels_transposed::<L, 2>(samples, size),
        3 => pixels_transposed::<L, 3>(samples, size),
        _ => pixels_transposed::<L, 4>(samples, size),
    }
}

fn pixels_transposed<L: Copy + Default, const N: usize>(
    samples: &[L],
    (width, height): (usize, usize),
) -> Vec<L> {
    let mut transposed = vec![L::default(); samples.len()];
    transpose::transpose(samples.as_chunks::<N>().0, transposed.as_chunks_mut::<N>().0, width, height);
    transposed
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::picture::Colour;

    fn picture(width: u32, height: u32, channels: usize, sixteen: bool) -> Picture {
        let samples = 0..width * height * channels as u32;
        let raw = match sixteen {
            false => Raw::Eight(samples.map(|i| (i * 37) as u8).collect()),
            true => Raw::Sixteen(samples.map(|i| (i * 4099) as u16).collect()),
        };
        Picture::stored(raw.into_image(width, height, channels).unwrap(), Colour::default())
    }

    proptest! {
        #[test]
        fn pictures_are_turned_as_the_library_turns_them(
            width in 1..70u32,
            height in 1..70u32,
            channels in 1..5usize,
            sixteen: bool,
            exif in 1..9u8,
        ) {
            let orientation = Orientation::from_exif(exif).unwrap();
            let mut ours = picture(width, height, channels, sixteen);
            let mut theirs = ours.clone();
            ours.turn(orientation);
            theirs.image.apply_orientation(orientation);
            prop_assert!(ours.image == theirs.image, "{orientation:?}");
        }
    }
}
