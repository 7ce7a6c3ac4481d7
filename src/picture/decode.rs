//! Decoding, bounded by the size in the header.

use std::{io::Cursor, time::Instant};

use image::{DynamicImage, ImageDecoder, codecs::webp::WebPDecoder, metadata::Orientation};

use super::{Colour, Error, Limits, Picture, Raw, heic};

/// The most memory for a PNG's ancillary chunks (ICC, Exif, text), decompressed, in bytes.
const MAX_CHUNKS: usize = 16 << 20;

/// The input formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::VariantArray)]
pub enum Format {
    /// JPEG (ITU-T T.81).
    Jpeg,
    /// PNG.
    Png,
    /// WebP.
    WebP,
    /// HEIC (HEVC in HEIF).
    Heic,
}

impl Format {
    /// Its media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::WebP => "image/webp",
            Self::Heic => "image/heic",
        }
    }
}

/// What is known of a file before any pixel is decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The format, detected from the content.
    pub format: Format,
    /// Width in pixels, as stored.
    pub width: u32,
    /// Height in pixels, as stored.
    pub height: u32,
    /// The most memory that the pixels will take, in bytes, and the decoder's process where there is one.
    pub decoded: u64,
}

/// Detects the format of an upload and reads its size, without decoding any pixel.
///
/// # Errors
/// [`Error::UnknownFormat`], [`Error::Invalid`] for a broken header, [`Error::Animated`], and
/// [`Error::TooLarge`] if `limits` are exceeded.
pub fn inspect(bytes: &[u8], limits: &Limits) -> Result<Header, Error> {
    let format = sniff(bytes).ok_or(Error::UnknownFormat)?;
    let mut process = 0;
    let (width, height, pixel) = match format {
        Format::Jpeg => {
            let header = jpeg_patch::header(bytes).map_err(Error::invalid)?;
            (header.width, header.height, if header.components == 1 { 1 } else { 3 })
        }
        Format::Png => {
            let mut decoder = png_decoder(bytes);
            let info = decoder.read_header_info().map_err(Error::invalid)?;
            // A palette or a transparent colour is expanded, to RGBA at most.
            let channels = if info.color_type == png::ColorType::Grayscale { 2 } else { 4 };
            let bytes = if info.bit_depth == png::BitDepth::Sixteen { 2 } else { 1 };
            (info.width, info.height, channels * bytes)
        }
        Format::WebP => {
            let decoder = WebPDecoder::new(Cursor::new(bytes)).map_err(Error::invalid)?;
            if decoder.has_animation() {
                return Err(Error::Animated);
            }
            let (width, height) = decoder.dimensions();
            (width, height, 4)
        }
        Format::Heic => {
            let (width, height) = heic::size(bytes)?;
            process = heic::PROCESS;
            (width, height, heic::PIXEL)
        }
    };
    if !limits.allow(width, height) {
        return Err(Error::TooLarge(*limits));
    }
    if width == 0 || height == 0 {
        return Err(Error::invalid("no pixels"));
    }
    let decoded = process + u64::from(width) * u64::from(height) * pixel;
    Ok(Header { format, width, height, decoded })
}

/// Decodes an upload that [`inspect`] accepted, and applies its Exif orientation. The picture keeps the
/// file's channels and depth; a palette is expanded. The HEIC decoder's process is killed at the deadline.
///
/// # Errors
/// [`Error::Invalid`] for truncated or corrupt data, [`Error::Animated`] for an animated PNG.
pub fn decode(bytes: &[u8], header: &Header, deadline: Instant) -> Result<Picture, Error> {
    let (mut picture, exif) = match header.format {
        Format::Jpeg => {
            let decoded = jpeg_patch::decode(bytes).map_err(Error::invalid)?;
            let colour = Colour { icc: decoded.icc, ..Colour::default() };
            (Picture::stored(decoded.image, colour), decoded.exif)
        }
        Format::Png => decode_png(bytes)?,
        Format::WebP => decode_webp(bytes)?,
        // libheif applies the orientation itself.
        Format::Heic => (heic::decode(bytes, header.decoded, deadline)?, None),
    };
    picture.orientation = orientation_of(exif.as_deref());
    picture.turn(picture.orientation);
    Ok(picture)
}

/// The orientation in an Exif block. In WebP and PNG it should begin with the TIFF header, but some programs write
/// JPEG's prefix first.
pub(super) fn orientation_of(exif: Option<&[u8]>) -> Orientation {
    exif.map(|exif| exif.strip_prefix(b"Exif\0\0").unwrap_or(exif))
        .and_then(Orientation::from_exif_chunk)
        .unwrap_or(Orientation::NoTransforms)
}

fn sniff(bytes: &[u8]) -> Option<Format> {
    if bytes.starts_with(b"\xff\xd8\xff") {
        Some(Format::Jpeg)
    } else if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
        Some(Format::Png)
    } else if bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP") {
        Some(Format::WebP)
    } else if heic::is_heic(bytes) {
        Some(Format::Heic)
    } else {
        None
    }
}

fn png_decoder(bytes: &[u8]) -> png::Decoder<Cursor<&[u8]>> {
    let mut decoder = png::Decoder::new_with_limits(Cursor::new(bytes), png::Limits { bytes: MAX_CHUNKS });
    decoder.set_ignore_text_chunk(true);
    decoder.set_transformations(png::Transformations::EXPAND);
    decoder
}

fn decode_png(bytes: &[u8]) -> Result<(Picture, Option<Vec<u8>>), Error> {
    let mut reader = png_decoder(bytes).read_info().map_err(Error::invalid)?;
    if reader.info().animation_control.is_some() {
        return Err(Error::Animated);
    }
    let size = reader.output_buffer_size().ok_or_else(|| Error::invalid("too large"))?;
    let mut samples = vec![0; size];
    reader.next_frame(&mut samples).map_err(Error::invalid)?;
    if reader.info().exif_metadata.is_none() {
        // It may come after the pixels. An error there is ignored, since the pixels are complete.
        let _ = reader.finish();
    }

    let info = reader.info();
    let (width, height) = info.size();
    let (colour, depth) = reader.output_color_type();
    let samples = match depth {
        png::BitDepth::Sixteen => {
            let (pairs, _) = samples.as_chunks();
            Raw::Sixteen(pairs.iter().map(|&pair| u16::from_be_bytes(pair)).collect())
        }
        _ => Raw::Eight(samples),
    };
    let image = samples.into_image(width, height, colour.samples());
    let image = image.ok_or_else(|| Error::invalid("an unexpected colour type"))?;
    let exif = info.exif_metadata.as_ref().map(|exif| exif.to_vec());
    let mut picture = Picture::stored(image, png_colour(info));
    // The decoder skips a profile that is broken or, decompressed, longer than the limit.
    picture.profile_unread = info.icc_profile.is_none() && has_chunk(bytes, *b"iCCP");
    Ok((picture, exif))
}

/// Whether a PNG has a chunk of this type before its pixels.
fn has_chunk(png: &[u8], wanted: [u8; 4]) -> bool {
    let mut rest = png.get(8..).unwrap_or_default();
    while let (Some(length), Some(kind)) = (rest.first_chunk::<4>(), rest.get(4..8)) {
        if kind == wanted || kind == b"IDAT" {
            return kind == wanted;
        }
        // Length, type and checksum take 12 bytes.
        let after = (u32::from_be_bytes(*length) as usize).saturating_add(12);
        rest = rest.get(after..).unwrap_or_default();
    }
    false
}

fn png_colour(info: &png::Info) -> Colour {
    let pair = |(x, y): (png::ScaledFloat, png::ScaledFloat)| [x.into_scaled(), y.into_scaled()];
    Colour {
        icc: info.icc_profile.as_ref().map(|icc| icc.to_vec()),
        srgb: info.srgb.map(|intent| intent as u8),
        gamma: info.gama_chunk.map(png::ScaledFloat::into_scaled),
        chromaticities: info.chrm_chunk.map(|of| {
            let [white, red, green, blue] = [of.white, of.red, of.green, of.blue].map(pair);
            [white[0], white[1], red[0], red[1], green[0], green[1], blue[0], blue[1]]
        }),
        cicp: info.coding_independent_code_points.map(|points| {
            let range = u8::from(points.is_video_full_range_image);
            [points.color_primaries, points.transfer_function, points.matrix_coefficients, range]
        }),
    }
}

fn decode_webp(bytes: &[u8]) -> Result<(Picture, Option<Vec<u8>>), Error> {
    let mut decoder = WebPDecoder::new(Cursor::new(bytes)).map_err(Error::invalid)?;
    // Broken metadata is ignored, since the pixels do not depend on it.
    let icc = decoder.icc_profile().ok().flatten();
    let exif = decoder.exif_metadata().ok().flatten();
    let image = DynamicImage::from_decoder(decoder).map_err(Error::invalid)?;
    Ok((Picture::stored(image, Colour { icc, ..Colour::default() }), exif))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heic_is_admitted_with_the_process_that_decodes_it() {
        let file = include_bytes!("../../tests/samples/plain.heic");
        let header = inspect(file, &Limits::DEFAULT).unwrap();
        assert_eq!(header.decoded, heic::PROCESS + 96 * 64 * heic::PIXEL);
    }
}
