//! Encoding.

use image::{
    DynamicImage, ExtendedColorType, ImageEncoder, codecs::webp::WebPEncoder, metadata::Orientation,
};
use jpeg_patch::Area;

use super::{Colour, Format, Header, Picture, colour};
use crate::{geometry::Rect, mask::Mask};

/// The output formats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OutputFormat {
    /// Lossless, at the picture's own depth and channels.
    #[default]
    Png,
    /// Lossless, 8 bits a sample.
    WebP,
    /// Lossy, 8 bits a sample, no alpha.
    Jpeg,
}

impl OutputFormat {
    /// Its name in the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::WebP => "webp",
            Self::Jpeg => "jpg",
        }
    }

    /// Its media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::WebP => "image/webp",
            Self::Jpeg => "image/jpeg",
        }
    }
}

/// An encoded picture.
#[derive(Clone, Debug)]
pub struct Encoded {
    /// The file.
    pub bytes: Vec<u8>,
    /// What the format could not carry, for the caller.
    pub warnings: Vec<&'static str>,
}

/// An encoder failed: a bug or a lack of memory, never the caller's fault.
#[derive(Debug, thiserror::Error)]
#[error("encoding failed: {0}")]
pub struct EncodeError(String);

impl EncodeError {
    fn from(cause: impl std::fmt::Display) -> Self {
        Self(cause.to_string())
    }
}

/// The file that a picture was decoded from.
#[derive(Clone, Copy, Debug)]
pub struct Original<'a> {
    /// The file's bytes.
    pub file: &'a [u8],
    /// What [`inspect`](super::inspect) read of it.
    pub header: Header,
}

/// Encodes a picture that differs from `original` only in the pixels of `hole`. Its colour space is kept, all
/// other metadata is dropped.
///
/// From JPEG to JPEG, the file is patched instead of re-encoded: every block of coefficients that the hole
/// does not touch stays the same, bit for bit, and so does the orientation tag. Kinds of JPEG that cannot be
/// patched are re-encoded.
///
/// # Errors
/// [`EncodeError`] if an encoder fails.
pub fn encode(
    picture: Picture,
    format: OutputFormat,
    original: &Original,
    hole: &Mask,
) -> Result<Encoded, EncodeError> {
    let unread = picture.profile_unread.then_some(colour::UNREAD);
    let mut encoded = match (original.header.format, format) {
        (_, OutputFormat::Png) => encode_png(&picture),
        (_, OutputFormat::WebP) => encode_webp(&picture)?,
        (Format::Jpeg, OutputFormat::Jpeg) => patch_jpeg(original.file, picture, hole)?,
        (_, OutputFormat::Jpeg) => encode_jpeg(&picture)?,
    };
    encoded.warnings.extend(unread);
    Ok(encoded)
}

fn patch_jpeg(original: &[u8], mut picture: Picture, hole: &Mask) -> Result<Encoded, EncodeError> {
    let orientation = picture.orientation;
    picture.turn(inverse(orientation));
    let stored = (picture.width(), picture.height());
    let changed = |area: Area| {
        let Area { x, y, width, height } = area;
        hole.intersects(Rect { x, y, width, height }.turned(orientation, stored))
    };
    match jpeg_patch::patch(original, &picture.image, &changed) {
        Ok(bytes) => Ok(Encoded { bytes, warnings: vec![] }),
        Err(error) => {
            tracing::debug!(%error, "the photo is encoded anew");
            picture.turn(orientation);
            encode_jpeg(&picture)
        }
    }
}

/// The inverse of an orientation.
fn inverse(orientation: Orientation) -> Orientation {
    match orientation {
        Orientation::Rotate90 => Orientation::Rotate270,
        Orientation::Rotate270 => Orientation::Rotate90,
        other => other,
    }
}

fn encode_png(picture: &Picture) -> Encoded {
    let (icc, warning) = colour::profile(&picture.colour, !picture.image.color().has_color(), usize::MAX);
    let bytes = match warning {
        None => png_strips::encode(&picture.image, &picture.colour),
        Some(_) => {
            let colour = Colour { icc: icc.map(<[u8]>::to_vec), ..picture.colour.clone() };
            png_strips::encode(&picture.image, &colour)
        }
    };
    Encoded { bytes, warnings: warning.into_iter().collect() }
}

fn encode_webp(picture: &Picture) -> Result<Encoded, EncodeError> {
    let (image, depth) =
        to_eight_bits(&picture.image, "webp holds 8 bits a sample; the photo's 16 were reduced");
    let image = image.as_ref().unwrap_or(&picture.image);
    let color = match image.color().channel_count() {
        1 => ExtendedColorType::L8,
        2 => ExtendedColorType::La8,
        3 => ExtendedColorType::Rgb8,
        _ => ExtendedColorType::Rgba8,
    };
    let mut bytes = Vec::new();
    let mut encoder = WebPEncoder::new_lossless(&mut bytes);
    // WebP stores grey as RGB.
    let (icc, profile) = colour::profile(&picture.colour, false, usize::MAX);
    if let Some(icc) = icc {
        encoder.set_icc_profile(icc.to_vec()).map_err(EncodeError::from)?;
    }
    encoder.write_image(image.as_bytes(), image.width(), image.height(), color).map_err(EncodeError::from)?;
    let warnings = [depth, profile, colour::lost(&picture.colour)].into_iter().flatten().collect();
    Ok(Encoded { bytes, warnings })
}

fn encode_jpeg(picture: &Picture) -> Result<Encoded, EncodeError> {
    let (image, depth) =
        to_eight_bits(&picture.image, "jpg holds 8 bits a sample; the photo's 16 were reduced");
    let (flat, alpha) = over_white(image.as_ref().unwrap_or(&picture.image));
    let image = flat.as_ref().or(image.as_ref()).unwrap_or(&picture.image);
    let grey = !image.color().has_color();
    let (icc, profile) = colour::profile(&picture.colour, grey, jpeg_patch::MAX_ICC);
    let bytes = jpeg_patch::encode(image, icc).map_err(EncodeError::from)?;
    let warnings = [alpha, depth, profile, colour::lost(&picture.colour)].into_iter().flatten().collect();
    Ok(Encoded { bytes, warnings })
}

/// The image at 8 bits a sample, and the warning, if it has more.
fn to_eight_bits(
    image: &DynamicImage,
    warning: &'static str,
) -> (Option<DynamicImage>, Option<&'static str>) {
    let eight = match image {
        DynamicImage::ImageLuma16(_) => DynamicImage::ImageLuma8(image.to_luma8()),
        DynamicImage::ImageLumaA16(_) => DynamicImage::ImageLumaA8(image.to_luma_alpha8()),
        DynamicImage::ImageRgb16(_) => DynamicImage::ImageRgb8(image.to_rgb8()),
        DynamicImage::ImageRgba16(_) => DynamicImage::ImageRgba8(image.to_rgba8()),
        _ => return (None, None),
    };
    (Some(eight), Some(warning))
}

/// The 8-bit image over white, and a warning, if it has an alpha channel.
fn over_white(image: &DynamicImage) -> (Option<DynamicImage>, Option<&'static str>) {
    let over = |level: u8, alpha: u8| {
        let (level, alpha) = (u32::from(level), u32::from(alpha));
        ((level * alpha + 255 * (255 - alpha) + 127) / 255) as u8
    };
    let flat = match image {
        DynamicImage::ImageLumaA8(image) => {
            let levels = image.pixels().map(|p| over(p.0[0], p.0[1])).collect();
            image::GrayImage::from_raw(image.width(), image.height(), levels).map(DynamicImage::from)
        }
        DynamicImage::ImageRgba8(image) => {
            let levels = image.pixels().flat_map(|p| [0, 1, 2].map(|i| over(p.0[i], p.0[3]))).collect();
            image::RgbImage::from_raw(image.width(), image.height(), levels).map(DynamicImage::from)
        }
        _ => None,
    };
    let warning = flat.is_some().then_some("jpg holds no alpha; the photo was laid over white");
    (flat, warning)
}
