//! HEIC. The decoder is a large C++ library that reads untrusted files, so it runs in a sandboxed process
//! that decodes one picture and ends (see `child`).

mod child;

use std::{
    io::{self, Read, Write},
    process::{Child, Command, Stdio},
    time::Instant,
};

pub use child::decode_from_stdin;

use super::{Colour, Error, Picture, Raw};

/// The command of this program that runs the decoder.
pub const COMMAND: &str = "decode-heic";

/// The most bytes per pixel: four samples of 16 bits.
pub const PIXEL: u64 = 8;

/// Memory of the decoder's process apart from the picture, in bytes.
pub const PROCESS: u64 = 48 << 20;

/// The longest profile and the longest message accepted from the decoder, in bytes.
const MAX_ICC: u64 = 16 << 20;
const MAX_MESSAGE: u64 = 1024;

/// Whether this is an HEVC-coded HEIF file, by its major brand or, if that is a general one, by its
/// compatible brands.
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

/// The largest width and height among the file's `ispe` properties (ISO/IEC 23008-12, 6.5.3), as stored.
///
/// # Errors
/// [`Error::Invalid`] if there is none.
pub fn size(bytes: &[u8]) -> Result<(u32, u32), Error> {
    let inside = |content: &'_ [u8], name: &[u8; 4]| -> Option<Vec<u8>> {
        boxes(content).find(|(kind, _)| kind == name).map(|(_, content)| content.to_vec())
    };
    let properties = || {
        // `meta` is a full box: a version and flags come before what it holds.
        let meta = inside(bytes, b"meta")?;
        inside(&inside(meta.get(4..)?, b"iprp")?, b"ipco")
    };
    let extents = |properties: Vec<u8>| {
        boxes(&properties)
            .filter(|(kind, _)| kind == b"ispe")
            .filter_map(|(_, content)| content.get(4..12)?.as_chunks::<4>().0.try_into().ok())
            .map(|[width, height]: [[u8; 4]; 2]| (u32::from_be_bytes(width), u32::from_be_bytes(height)))
            .reduce(|a, b| (a.0.max(b.0), a.1.max(b.1)))
    };
    properties().and_then(extents).ok_or_else(|| Error::invalid("no image size in the file"))
}

/// The boxes of a file or of a box's content (ISO/IEC 14496-12, 4.2), up to the first that is cut off.
fn boxes(mut bytes: &[u8]) -> impl Iterator<Item = ([u8; 4], &[u8])> {
    std::iter::from_fn(move || {
        let (size, kind) = (bytes.first_chunk::<4>()?, bytes.get(4..8)?.first_chunk::<4>()?);
        let (head, size) = match u32::from_be_bytes(*size) {
            0 => (8, bytes.len()),
            1 => (16, u64::from_be_bytes(*bytes.get(8..16)?.first_chunk()?).try_into().ok()?),
            size => (8, size as usize),
        };
        let content = bytes.get(head..size)?;
        bytes = &bytes[size..];
        Some((*kind, content))
    })
}

/// The primary image, upright: the decoder applies the file's rotation and mirroring. 8 bits per sample, or
/// 16 if the file has more than 8. The decoder may take three times the `admitted` bytes, which is four with
/// the picture here, and is killed at the deadline.
///
/// # Errors
/// [`Error::Invalid`] if it cannot be decoded, or the decoder crashed or exceeded its limits;
/// [`Error::Failed`] if the process could not be started.
pub fn decode(bytes: &[u8], admitted: u64, deadline: Instant) -> Result<Picture, Error> {
    let time = deadline.saturating_duration_since(Instant::now()).as_millis();
    let limits = [(3 * admitted).to_string(), time.to_string()];
    decode_by(Command::new("/proc/self/exe").arg(COMMAND).args(limits), bytes, admitted)
}

fn decode_by(decoder: &mut Command, bytes: &[u8], admitted: u64) -> Result<Picture, Error> {
    let child = decoder
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let mut child = child.map_err(|error| Error::Failed(format!("the HEIC decoder: {error}")))?;
    let reply = converse(&mut child, bytes, admitted.saturating_sub(PROCESS) / PIXEL);
    // Nothing more is read from it, so it need not end by itself.
    let _ = child.kill();
    let status = child.wait();
    match reply {
        Ok(Reply::Picture(picture)) => Ok(*picture),
        Ok(Reply::Refused(why)) => Err(Error::invalid(why)),
        Err(error) => {
            tracing::warn!(%error, ?status, "the HEIC decoder crashed or was stopped");
            Err(Error::invalid("the decoder gave up"))
        }
    }
}

/// The response of the decoder's process.
enum Reply {
    Picture(Box<Picture>),
    Refused(String),
}

/// The first byte of each kind of response.
const PICTURE: u8 = 0;
const REFUSED: u8 = 1;

/// Sends the file and reads the response, which is not trusted. The child reads the whole file before it
/// writes, so there is no deadlock.
fn converse(child: &mut Child, file: &[u8], pixels: u64) -> io::Result<Reply> {
    let closed = || io::Error::other("no pipe");
    child.stdin.take().ok_or_else(closed)?.write_all(file)?;
    let mut answer = child.stdout.take().ok_or_else(closed)?;
    let mut kind = [0];
    answer.read_exact(&mut kind)?;
    match kind[0] {
        PICTURE => read_picture(&mut answer, pixels).map(|picture| Reply::Picture(Box::new(picture))),
        REFUSED => {
            let mut text = Vec::new();
            answer.take(MAX_MESSAGE).read_to_end(&mut text)?;
            Ok(Reply::Refused(String::from_utf8_lossy(&text).into_owned()))
        }
        _ => Err(io::Error::other("an answer of an unknown kind")),
    }
}

/// Reads a picture of at most `pixels`. The format: width, height, channels, bits per sample, primaries and
/// transfer function (0 if the file has none) and the profile's length, as seven little-endian 32-bit
/// numbers; the profile; the samples, native-endian if they have 16 bits.
fn read_picture(answer: &mut impl Read, pixels: u64) -> io::Result<Picture> {
    let mut head = [0; 28];
    answer.read_exact(&mut head)?;
    let (numbers, _) = head.as_chunks::<4>();
    let [width, height, channels, bits, primaries, transfer, icc] =
        [0, 1, 2, 3, 4, 5, 6].map(|i| u32::from_le_bytes(numbers[i]));
    let sound = matches!(channels, 3 | 4) && matches!(bits, 8 | 16) && u64::from(icc) <= MAX_ICC;
    if !sound || u64::from(width) * u64::from(height) > pixels {
        return Err(io::Error::other("an answer with impossible numbers"));
    }
    let cicp = match (u8::try_from(primaries), u8::try_from(transfer)) {
        // Of RGB in full range, as the samples are.
        (Ok(primaries @ 1..), Ok(transfer @ 1..)) => Some([primaries, transfer, 0, 1]),
        _ => None,
    };
    let mut profile = vec![0; icc as usize];
    answer.read_exact(&mut profile)?;
    let mut samples = vec![0; width as usize * height as usize * (channels * bits / 8) as usize];
    answer.read_exact(&mut samples)?;
    let samples = match bits {
        8 => Raw::Eight(samples),
        _ => Raw::Sixteen(samples.as_chunks().0.iter().map(|&sample| u16::from_ne_bytes(sample)).collect()),
    };
    let image = samples.into_image(width, height, channels as usize);
    let image = image.ok_or_else(|| io::Error::other("an answer of another length"))?;
    let icc = Some(profile).filter(|profile| !profile.is_empty());
    Ok(Picture::stored(image, Colour { icc, cicp, ..Colour::default() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxed(kind: [u8; 4], content: &[u8]) -> Vec<u8> {
        let size = (content.len() as u32 + 8).to_be_bytes();
        [&size[..], &kind, content].concat()
    }

    fn ispe(width: u32, height: u32) -> Vec<u8> {
        boxed(*b"ispe", &[[0; 4], width.to_be_bytes(), height.to_be_bytes()].concat())
    }

    #[test]
    fn the_size_is_the_largest_of_all_images() {
        let properties = boxed(*b"ipco", &[ispe(512, 512), boxed(*b"irot", &[1]), ispe(4032, 3024)].concat());
        let meta = boxed(*b"meta", &[&[0; 4][..], &boxed(*b"iprp", &properties)].concat());
        let file = [boxed(*b"ftyp", b"heic\0\0\0\0mif1"), meta].concat();
        assert!(is_heic(&file));
        assert_eq!(size(&file), Ok((4032, 3024)));
        for end in 0..file.len() {
            assert!(size(&file[..end]).is_err(), "cut at {end}");
        }
    }

    #[test]
    fn boxes_of_impossible_sizes_end_the_walk() {
        for size in [2u32, 7, 9, u32::MAX] {
            let file = [&size.to_be_bytes()[..], b"meta"].concat();
            assert_eq!(boxes(&file).count(), 0, "{size}");
        }
        let huge = [&1u32.to_be_bytes()[..], b"meta", &u64::MAX.to_be_bytes()].concat();
        assert_eq!(boxes(&huge).count(), 0);
        assert_eq!(boxes(&boxed(*b"free", &[])).count(), 1);
    }

    #[test]
    fn a_decoder_that_crashes_is_a_broken_picture() {
        let decoded = decode_by(&mut Command::new("/bin/false"), &vec![0; 1 << 20], 1 << 20);
        assert_eq!(decoded.unwrap_err(), Error::invalid("the decoder gave up"));
    }

    #[test]
    fn an_answer_is_not_trusted() {
        let head = |numbers: [u32; 7]| numbers.map(u32::to_le_bytes).concat();
        let sound = [&head([2, 1, 3, 8, 12, 13, 0])[..], &[1, 2, 3, 4, 5, 6]].concat();
        let picture = read_picture(&mut &sound[..], 2).unwrap();
        assert_eq!((picture.width(), picture.colour.cicp), (2, Some([12, 13, 0, 1])));
        assert!(read_picture(&mut &sound[..], 1).is_err(), "more than was admitted");
        for numbers in [
            [5000, 1, 3, 8, 0, 0, 0],
            [u32::MAX, u32::MAX, 3, 8, 0, 0, 0],
            [2, 1, 5, 8, 0, 0, 0],
            [2, 1, 3, 7, 0, 0, 0],
            [2, 1, 3, 8, 0, 0, u32::MAX],
            [2, 2, 3, 8, 0, 0, 0],
        ] {
            let answer = [&head(numbers)[..], &[0; 6]].concat();
            assert!(read_picture(&mut &answer[..], 4).is_err(), "{numbers:?}");
        }
    }
}
