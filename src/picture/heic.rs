//! HEIC, through libheif.

use image::{DynamicImage, ImageBuffer, Rgb, Rgba};
use libheif_rs::{ColorSpace, HeifContext, LibHeif, RgbChroma, SecurityLimits};

use super::{Colour, Error, MAX_SIDE, Picture};

/// Memory that one decoding may take inside libheif, in bytes: the largest picture's planes at 16
/// bits, as decoded and as converted.
const MAX_MEMORY: u64 = 1 << 30;

/// Whether a file's first bytes are those of an HEVC-coded HEIF file. The major brand, or for files
/// of the general brands one of the compatible brands, says so.
pub fn is_heic(bytes: &[u8]) -> bool {
    let Some((size, rest)) = bytes.split_at_checked(4) else { return false };
    let size = u32::from_be_bytes([size[0], size[1], size[2], size[3]]) as usize;
    let Some(brands) = rest.strip_prefix(b"ftyp") else { return false };
    let brands = &brands[..brands.len().min(size.saturating_sub(8))];
    let coded = |brand: &[u8]| matches!(brand, b"heic" | b"heix" | b"heim" | b"heis" | b"hevc" | b"hevx");
    match brands.get(..4) {
        Some(b"mif1" | b"msf1") => brands[4..].chunks_exact(4).skip(1).any(coded),
        Some(major) => coded(major),
        None => false,
    }
}

/// Width and height of the primary image as displayed, without decoding it.
///
/// # Errors
/// [`Error::Invalid`] where libheif cannot read the file's structure.
pub fn size(bytes: &[u8]) -> Result<(u32, u32), Error> {
    let context = open(bytes)?;
    let handle = context.primary_image_handle().map_err(Error::invalid)?;
    Ok((handle.width(), handle.height()))
}

/// The primary image, upright: libheif applies the file's rotation and mirroring itself. 8 bits a
/// sample, or 16 where the file has more than 8.
///
/// # Errors
/// [`Error::Invalid`] where libheif cannot decode it.
pub fn decode(bytes: &[u8]) -> Result<Picture, Error> {
    let context = open(bytes)?;
    let handle = context.primary_image_handle().map_err(Error::invalid)?;
    let alpha = handle.has_alpha_channel();
    let deep = handle.luma_bits_per_pixel() > 8;
    let chroma = match (deep, alpha) {
        (false, false) => RgbChroma::Rgb,
        (false, true) => RgbChroma::Rgba,
        (true, false) => RgbChroma::HdrRgbLe,
        (true, true) => RgbChroma::HdrRgbaLe,
    };
    let decoded = LibHeif::new_checked()
        .and_then(|lib| lib.decode(&handle, ColorSpace::Rgb(chroma), None))
        .map_err(Error::invalid)?;
    let planes = decoded.planes();
    let plane = planes.interleaved.ok_or_else(|| Error::invalid("no interleaved plane"))?;

    let (width, height) = (plane.width, plane.height);
    let row = width as usize * if alpha { 4 } else { 3 } * if deep { 2 } else { 1 };
    let mut bytes = Vec::with_capacity(row * height as usize);
    for line in plane.data.chunks(plane.stride).take(height as usize) {
        bytes.extend_from_slice(line.get(..row).ok_or_else(|| Error::invalid("a short row"))?);
    }
    let image = if deep {
        let samples = widen(&bytes, plane.bits_per_pixel);
        match alpha {
            false => ImageBuffer::<Rgb<u16>, _>::from_raw(width, height, samples).map(DynamicImage::from),
            true => ImageBuffer::<Rgba<u16>, _>::from_raw(width, height, samples).map(DynamicImage::from),
        }
    } else {
        match alpha {
            false => ImageBuffer::<Rgb<u8>, _>::from_raw(width, height, bytes).map(DynamicImage::from),
            true => ImageBuffer::<Rgba<u8>, _>::from_raw(width, height, bytes).map(DynamicImage::from),
        }
    }
    .ok_or_else(|| Error::invalid("a short plane"))?;

    let icc = handle.color_profile_raw().map(|profile| profile.data);
    Ok(Picture::stored(image, Colour { icc, ..Colour::default() }))
}

/// 16-bit samples from little-endian ones of `bits` bits: the high bits are repeated below, so that
/// black stays 0 and white becomes 65 535.
fn widen(bytes: &[u8], bits: u8) -> Vec<u16> {
    let bits = u32::from(bits).clamp(8, 16);
    bytes
        .chunks_exact(2)
        .map(|pair| u32::from(u16::from_le_bytes([pair[0], pair[1]])))
        .map(|sample| ((sample << (16 - bits)) | (sample >> (2 * bits - 16))) as u16)
        .collect()
}

fn open(bytes: &[u8]) -> Result<HeifContext<'_>, Error> {
    let mut context = HeifContext::new().map_err(Error::invalid)?;
    let mut limits = SecurityLimits::new();
    limits.set_max_image_size_pixels(u64::from(MAX_SIDE) * u64::from(MAX_SIDE) * 4);
    limits.set_max_total_memory(MAX_MEMORY);
    context.set_security_limits(&limits).map_err(Error::invalid)?;
    context.read_bytes(bytes).map_err(Error::invalid)?;
    Ok(context)
}
