//! JPEG on libjpeg-turbo: decoding to the same bytes as Pillow, encoding, and [`patch`], which changes part
//! of a photo and keeps all other coefficients.

mod area;
mod patch;
mod scan;
mod session;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use image::{DynamicImage, GrayImage, RgbImage};

pub use area::Area;
pub use patch::{Part, patch};
pub use scan::Scan;
use session::{Frame, Reader};

/// Quality of [`encode`], on libjpeg's scale.
const QUALITY: u8 = 95;

/// The largest ICC profile a JPEG file can hold, in its 255 segments, in bytes.
pub const MAX_ICC: usize = 255 * 65_519;

/// Why a JPEG file could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum JpegError {
    /// Not a JPEG file, or a truncated or corrupt one, with libjpeg's message.
    #[error("not a sound JPEG file: {0}")]
    Invalid(String),
    /// An unsupported kind of JPEG. If [`patch`] does not support it, [`encode`] still may.
    #[error("unsupported JPEG file: {0}")]
    Unsupported(String),
    /// The allocator refused.
    #[error("out of memory in the JPEG codec")]
    Memory,
}

/// The header of a JPEG file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Pixels across, as stored (EXIF orientation not applied).
    pub width: u32,
    /// Pixels down, as stored.
    pub height: u32,
    /// 1 for grey, 3 for colour, 4 for CMYK and YCCK.
    pub components: u8,
    /// Width and height of a minimum coded unit, in pixels.
    mcu: (u32, u32),
    /// How far beyond a block its chroma has an effect, horizontally and vertically: decoders interpolate
    /// subsampled chroma.
    chroma_reach: (u32, u32),
}

impl Header {
    fn of(frame: Frame) -> Result<Self, JpegError> {
        if frame.precision != 8 {
            return Err(JpegError::Unsupported(format!("{} bits a sample", frame.precision)));
        }
        if !matches!(frame.components, 1 | 3 | 4) {
            return Err(JpegError::Unsupported(format!("{} components", frame.components)));
        }
        // The sampling factors of a single component have no meaning.
        let (h, v) = if frame.components == 1 { (1, 1) } else { (frame.max_h, frame.max_v) };
        Ok(Self {
            width: frame.width,
            height: frame.height,
            components: frame.components as u8,
            mcu: (8 * h, 8 * v),
            chroma_reach: (u32::from(h > 1), u32::from(v > 1)),
        })
    }

    /// The pixels that can differ after [`patch`] changed those of `area`: whole blocks of the
    /// coarsest component, and around them one pixel where a decoder interpolates chroma.
    pub fn grow(&self, area: Area) -> Area {
        let start = |at: u32, block: u32, reach: u32| (at / block * block).saturating_sub(reach);
        let end = |at: u32, block: u32, reach: u32, size: u32| (at.next_multiple_of(block) + reach).min(size);
        Area::from_edges(
            start(area.x, self.mcu.0, self.chroma_reach.0),
            start(area.y, self.mcu.1, self.chroma_reach.1),
            end(area.right(), self.mcu.0, self.chroma_reach.0, self.width),
            end(area.bottom(), self.mcu.1, self.chroma_reach.1, self.height),
        )
    }
}

/// A decoded JPEG file.
#[derive(Debug)]
pub struct Decoded {
    /// `ImageLuma8` for grey, else `ImageRgb8`; as stored, EXIF orientation not applied.
    pub image: DynamicImage,
    /// The ICC profile of `image`'s colours. CMYK files lose theirs, since it does not describe RGB.
    pub icc: Option<Vec<u8>>,
    /// The EXIF block, from its TIFF header on.
    pub exif: Option<Vec<u8>>,
}

/// Reads the header and nothing else, so that a picture can be refused for its size.
///
/// # Errors
/// [`JpegError`] where there is no sound header, or one of a kind that is not decoded.
pub fn header(bytes: &[u8]) -> Result<Header, JpegError> {
    Header::of(Reader::open(bytes, false)?.frame())
}

/// Decodes a file that [`header`] was content with; of a multi-picture file, the first picture.
///
/// Memory: the pixels and, for a file of several scans, its coefficients, two bytes a sample.
///
/// # Errors
/// [`JpegError`] where the file is truncated, corrupt or of a kind that is not decoded.
pub fn decode(bytes: &[u8]) -> Result<Decoded, JpegError> {
    let mut reader = Reader::open(bytes, true)?;
    let Header { width, height, components, .. } = Header::of(reader.frame())?;
    let exif = reader.exif().map(<[u8]>::to_vec);
    let icc = if components == 4 { None } else { reader.icc()? };
    let pixels = reader.read_pixels()?;
    let image = match components {
        1 => GrayImage::from_raw(width, height, pixels).map(DynamicImage::ImageLuma8),
        3 => RgbImage::from_raw(width, height, pixels).map(DynamicImage::ImageRgb8),
        _ => RgbImage::from_raw(width, height, rgb_of_inverted_cmyk(&pixels)).map(DynamicImage::ImageRgb8),
    };
    let image = image.expect("the buffer has the picture's size. This is a bug.");
    Ok(Decoded { image, icc, exif })
}

/// Adobe's programs store CMYK inverted, and nearly no others store it. The conversion is the plain
/// one that Pillow makes.
fn rgb_of_inverted_cmyk(pixels: &[u8]) -> Vec<u8> {
    let divided_by_255 = |product: u32| (product + 128 + ((product + 128) >> 8)) >> 8;
    let mut rgb = Vec::with_capacity(pixels.len() / 4 * 3);
    for &[c, m, y, k] in pixels.as_chunks::<4>().0 {
        // Stored k is already 255 - K, what Pillow starts from.
        rgb.extend([c, m, y].map(|ink| {
            let white = u32::from(k);
            (white - divided_by_255((255 - u32::from(ink)) * white)) as u8
        }));
    }
    rgb
}

/// Encodes at quality 95 without chroma subsampling: grey stays grey, 16 bits become 8. Alpha is
/// dropped: flatten the picture first where its colours under alpha must not show.
///
/// # Errors
/// [`JpegError`] where the profile is too long for the format, or memory runs out.
pub fn encode(image: &DynamicImage, icc: Option<&[u8]>) -> Result<Vec<u8>, JpegError> {
    let icc = icc.unwrap_or_default();
    if icc.len() > MAX_ICC {
        return Err(JpegError::Unsupported(format!("an ICC profile of {} bytes", icc.len())));
    }
    let (pixels, components) = samples(image);
    session::encode(&pixels, (image.width(), image.height()), components, QUALITY, icc)
}

/// The picture's samples as libjpeg takes them, and how many a pixel has.
fn samples(image: &DynamicImage) -> (Cow<'_, [u8]>, u32) {
    match image {
        DynamicImage::ImageLuma8(grey) => (Cow::Borrowed(grey.as_raw()), 1),
        DynamicImage::ImageRgb8(rgb) => (Cow::Borrowed(rgb.as_raw()), 3),
        grey if !grey.color().has_color() => (Cow::Owned(grey.to_luma8().into_raw()), 1),
        colour => (Cow::Owned(colour.to_rgb8().into_raw()), 3),
    }
}
