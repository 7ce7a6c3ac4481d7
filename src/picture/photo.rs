//! Photos that are decoded only as far as needed.

use std::time::Instant;

use bytes::Bytes;
use image::metadata::Orientation;
use jpeg_patch::{Area, Scan};

use super::{Colour, Error, Format, Header, OutputFormat, Picture, decode, decode::orientation_of};
use crate::geometry::Rect;

/// A photo whose file is intact. If it is a JPEG that is to be returned as JPEG, its pixels are not decoded yet.
#[derive(Debug)]
pub struct Photo {
    size: (u32, u32),
    orientation: Orientation,
    pixels: Pixels,
}

#[derive(Debug)]
enum Pixels {
    Decoded(Picture),
    Encoded(Box<Scan>, Bytes),
}

/// The part of a JPEG photo that was decoded, for patching its file later.
#[derive(Debug)]
pub struct Excerpt {
    pub(super) scan: Box<Scan>,
    /// The part's place in the photo as stored.
    pub(super) area: Area,
}

impl Photo {
    /// Opens an upload that [`inspect`](super::inspect) accepted, to be returned in `format`.
    ///
    /// # Errors
    /// As [`decode`].
    pub fn open(
        file: Bytes,
        header: &Header,
        format: OutputFormat,
        deadline: Instant,
    ) -> Result<Self, Error> {
        let patched = (header.format, format) == (Format::Jpeg, OutputFormat::Jpeg);
        let Some(scan) = patched.then(|| Scan::of(&file)).flatten() else {
            return decode(&file, header, deadline).map(Self::from);
        };
        let orientation = orientation_of(scan.exif());
        let stored = (header.width, header.height);
        let displayed = Rect::of_size(stored.0, stored.1).turned(orientation, stored);
        let size = (displayed.width, displayed.height);
        Ok(Self { size, orientation, pixels: Pixels::Encoded(Box::new(scan), file) })
    }

    /// Width and height in pixels, as displayed.
    pub fn size(&self) -> (u32, u32) {
        self.size
    }

    /// The Exif orientation: how the stored picture is turned for display.
    pub fn orientation(&self) -> Orientation {
        self.orientation
    }

    /// Decodes at least the pixels of `needed`, and all that share a JPEG block with one of them. Returns them
    /// with their place in the photo, and the excerpt if they are not the whole photo's.
    ///
    /// # Errors
    /// [`Error::Failed`] if memory runs out.
    pub fn into_part(self, needed: Rect) -> Result<(Picture, Rect, Option<Excerpt>), Error> {
        let (scan, file) = match self.pixels {
            Pixels::Decoded(picture) => {
                let whole = picture.area();
                return Ok((picture, whole, None));
            }
            Pixels::Encoded(scan, file) => (scan, file),
        };
        let Rect { x, y, width, height } = needed.turned(inverse(self.orientation), self.size);
        let area = scan.grow(Area { x, y, width, height });
        let image = scan.pixels(&file, area).map_err(|error| Error::Failed(error.to_string()))?;
        let colour = Colour { icc: scan.icc().map(<[u8]>::to_vec), ..Colour::default() };
        let mut picture = Picture::stored(image, colour);
        picture.turn(self.orientation);
        picture.orientation = self.orientation;
        let whole = Rect::of_size(self.size.0, self.size.1);
        let stored = whole.turned(inverse(self.orientation), self.size);
        let Area { x, y, width, height } = area;
        let place = Rect { x, y, width, height }.turned(self.orientation, (stored.width, stored.height));
        Ok((picture, place, Some(Excerpt { scan, area })))
    }
}

impl From<Picture> for Photo {
    fn from(picture: Picture) -> Self {
        let (size, orientation) = ((picture.width(), picture.height()), picture.orientation);
        Self { size, orientation, pixels: Pixels::Decoded(picture) }
    }
}

/// The inverse of an orientation.
pub(super) fn inverse(orientation: Orientation) -> Orientation {
    match orientation {
        Orientation::Rotate90 => Orientation::Rotate270,
        Orientation::Rotate270 => Orientation::Rotate90,
        other => other,
    }
}
