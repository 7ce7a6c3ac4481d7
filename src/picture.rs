//! Photos: bounded decoding of uploads, and exact encoding of results.

mod colour;
mod decode;
mod encode;
mod error;
mod fit;
mod heic;
mod limits;
mod photo;
mod rgb;
mod turn;

pub use decode::{Format, Header, decode, inspect};
pub use encode::{Ahead, EncodeError, Encoded, Original, OutputFormat, encode, encode_ahead};
pub use error::Error;
pub use heic::{COMMAND as HEIC_COMMAND, decode_from_stdin as decode_heic_from_stdin};
pub use limits::{Limits, MB};
pub use photo::{Excerpt, Photo};
pub use png_strips::Colour;
pub use rgb::luma;

use image::{DynamicImage, ImageBuffer, metadata::Orientation};

use crate::geometry::Rect;

/// A decoded photo, upright: one to four channels (grey, grey and alpha, RGB, RGBA) of 8 or 16 bits, and its
/// colour space.
#[derive(Clone, Debug)]
pub struct Picture {
    image: DynamicImage,
    colour: Colour,
    /// The Exif orientation that was applied to the stored picture.
    orientation: Orientation,
    /// The file has a colour profile that could not be read.
    profile_unread: bool,
}

/// The samples of a picture, row by row, channels interleaved.
pub enum Samples<'a> {
    /// 8 bits a sample.
    Eight(&'a [u8]),
    /// 16 bits a sample.
    Sixteen(&'a [u16]),
}

/// The samples of a picture, to be changed.
pub enum SamplesMut<'a> {
    /// 8 bits a sample.
    Eight(&'a mut [u8]),
    /// 16 bits a sample.
    Sixteen(&'a mut [u16]),
}

/// Samples from a decoder.
enum Raw {
    Eight(Vec<u8>),
    Sixteen(Vec<u16>),
}

impl Raw {
    /// An image of these samples in row order, or `None` if their number does not match.
    fn into_image(self, width: u32, height: u32, channels: usize) -> Option<DynamicImage> {
        use DynamicImage as D;
        match (self, channels) {
            (Self::Eight(raw), 1) => ImageBuffer::from_raw(width, height, raw).map(D::ImageLuma8),
            (Self::Eight(raw), 2) => ImageBuffer::from_raw(width, height, raw).map(D::ImageLumaA8),
            (Self::Eight(raw), 3) => ImageBuffer::from_raw(width, height, raw).map(D::ImageRgb8),
            (Self::Eight(raw), 4) => ImageBuffer::from_raw(width, height, raw).map(D::ImageRgba8),
            (Self::Sixteen(raw), 1) => ImageBuffer::from_raw(width, height, raw).map(D::ImageLuma16),
            (Self::Sixteen(raw), 2) => ImageBuffer::from_raw(width, height, raw).map(D::ImageLumaA16),
            (Self::Sixteen(raw), 3) => ImageBuffer::from_raw(width, height, raw).map(D::ImageRgb16),
            (Self::Sixteen(raw), 4) => ImageBuffer::from_raw(width, height, raw).map(D::ImageRgba16),
            _ => None,
        }
    }
}

impl Picture {
    /// A picture in the orientation in which it is stored.
    fn stored(image: DynamicImage, colour: Colour) -> Self {
        Self { image, colour, orientation: Orientation::NoTransforms, profile_unread: false }
    }

    /// Width in pixels.
    pub fn width(&self) -> u32 {
        self.image.width()
    }

    /// Height in pixels.
    pub fn height(&self) -> u32 {
        self.image.height()
    }

    /// The rectangle of all its pixels.
    pub fn area(&self) -> Rect {
        Rect::of_size(self.width(), self.height())
    }

    /// Samples a pixel: 1 grey, 2 grey and alpha, 3 RGB, 4 RGBA.
    pub fn channels(&self) -> usize {
        self.image.color().channel_count().into()
    }

    /// Whether the last channel is alpha.
    pub fn has_alpha(&self) -> bool {
        self.image.color().has_alpha()
    }

    /// Its samples.
    pub fn samples(&self) -> Samples<'_> {
        match &self.image {
            DynamicImage::ImageLuma8(i) => Samples::Eight(i),
            DynamicImage::ImageLumaA8(i) => Samples::Eight(i),
            DynamicImage::ImageRgb8(i) => Samples::Eight(i),
            DynamicImage::ImageRgba8(i) => Samples::Eight(i),
            DynamicImage::ImageLuma16(i) => Samples::Sixteen(i),
            DynamicImage::ImageLumaA16(i) => Samples::Sixteen(i),
            DynamicImage::ImageRgb16(i) => Samples::Sixteen(i),
            DynamicImage::ImageRgba16(i) => Samples::Sixteen(i),
            other => unreachable!("{:?} is never decoded. This is a bug.", other.color()),
        }
    }

    /// Its samples, to be changed.
    pub fn samples_mut(&mut self) -> SamplesMut<'_> {
        match &mut self.image {
            DynamicImage::ImageLuma8(i) => SamplesMut::Eight(i),
            DynamicImage::ImageLumaA8(i) => SamplesMut::Eight(i),
            DynamicImage::ImageRgb8(i) => SamplesMut::Eight(i),
            DynamicImage::ImageRgba8(i) => SamplesMut::Eight(i),
            DynamicImage::ImageLuma16(i) => SamplesMut::Sixteen(i),
            DynamicImage::ImageLumaA16(i) => SamplesMut::Sixteen(i),
            DynamicImage::ImageRgb16(i) => SamplesMut::Sixteen(i),
            DynamicImage::ImageRgba16(i) => SamplesMut::Sixteen(i),
            other => unreachable!("{:?} is never decoded. This is a bug.", other.color()),
        }
    }
}
