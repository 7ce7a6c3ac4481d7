//! Encoding.

use std::ops::Range;

use image::{DynamicImage, ExtendedColorType, ImageEncoder, codecs::webp::WebPEncoder};
use jpeg_patch::{Area, Part};
use png_strips::Strips;

use super::{Colour, Excerpt, Format, Header, Picture, colour, photo::inverse};
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
    /// The part of it that was decoded, if not all.
    pub excerpt: Option<&'a Excerpt>,
}

/// What of a result is encoded before its hole is filled.
#[derive(Debug, Default)]
pub struct Ahead(Strips);

/// Encodes what filling `hole` will not change, while the model works: the strips of a PNG that the hole does not
/// touch. The other formats cannot be encoded in parts.
pub fn encode_ahead(picture: &Picture, format: OutputFormat, hole: &Mask) -> Ahead {
    let untouched = |rows: Range<u32>| {
        let rows = Rect { x: 0, y: rows.start, width: picture.width(), height: rows.end - rows.start };
        !hole.intersects(rows)
    };
    match format {
        OutputFormat::Png => Ahead(Strips::of(&picture.image, untouched)),
        OutputFormat::WebP | OutputFormat::Jpeg => Ahead::default(),
    }
}

/// Encodes a picture that differs from `original`, or from the part of it that was decoded, only in the pixels of
/// `hole`, which has the size of the whole photo. `ahead` is what [`encode_ahead`] made of it for the same format and
/// hole. The colour space is kept, all other metadata is dropped.
///
/// From JPEG to JPEG, the file is patched instead of re-encoded: every block of coefficients that the hole
/// does not touch stays the same, bit for bit, and so does the orientation tag. Kinds of JPEG that cannot be
/// patched are re-encoded.
///
/// # Errors
/// [`EncodeError`] if an encoder fails.
pub fn encode(
    picture: Picture,
    ahead: Ahead,
    format: OutputFormat,
    original: &Original,
    hole: &Mask,
) -> Result<Encoded, EncodeError> {
    let unread = picture.profile_unread.then_some(colour::UNREAD);
    let mut encoded = match (original.header.format, format) {
        (_, OutputFormat::Png) => encode_png(&picture, ahead.0),
        (_, OutputFormat::WebP) => encode_webp(&picture)?,
        (Format::Jpeg, OutputFormat::Jpeg) => patch_jpeg(original, picture, hole)?,
        (_, OutputFormat::Jpeg) => encode_jpeg(&picture)?,
    };
    encoded.warnings.extend(unread);
    Ok(encoded)
}

fn patch_jpeg(original: &Original, mut picture: Picture, hole: &Mask) -> Result<Encoded, EncodeError> {
    let orientation = picture.orientation;
    picture.turn(inverse(orientation));
    let stored = (original.header.width, original.header.height);
    let changed = |area: Area| {
        let Area { x, y, width, height } = area;
        hole.intersects(Rect { x, y, width, height }.turned(orientation, stored))
    };
    let patched = match original.excerpt {
        Some(Excerpt { scan, area }) => {
            let part = Part { image: &picture.image, x: area.x, y: area.y };
            scan.patch(original.file, &part, &changed)
        }
        None => jpeg_patch::patch(original.file, &Part::whole(&picture.image), &changed),
    };
    match patched {
        Ok(bytes) => Ok(Encoded { bytes, warnings: vec![] }),
        // Files of which a part can be decoded can be patched.
        Err(error) if original.excerpt.is_some() => Err(EncodeError::from(error)),
        Err(error) => {
            tracing::debug!(%error, "the photo is encoded anew");
            picture.turn(orientation);
            encode_jpeg(&picture)
        }
    }
}

fn encode_png(picture: &Picture, ahead: Strips) -> Encoded {
    let (icc, warning) = colour::profile(&picture.colour, !picture.image.color().has_color(), usize::MAX);
    let bytes = match warning {
        None => ahead.finish(&picture.image, &picture.colour),
        Some(_) => {
            let colour = Colour { icc: icc.map(<[u8]>::to_vec), ..picture.colour.clone() };
            ahead.finish(&picture.image, &colour)
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
