//! Entropy-coded data without byte stuffing and restart markers.

use std::ops::Range;

use super::bits::AHEAD;

const END_OF_IMAGE: u8 = 0xd9;
const RESTART: Range<u8> = 0xd0..0xd8;

/// The data of a scan.
#[derive(Debug)]
pub(super) struct Data {
    /// The bytes of all restart intervals, followed by zeroes.
    pub bytes: Vec<u8>,
    /// The place of each restart interval in them.
    pub intervals: Vec<Range<usize>>,
}

impl Data {
    /// Reads the data of `most` restart intervals from the beginning of `file` to the marker that ends the image.
    /// `None` if anything else follows, a restart marker is out of order, or there are more than `longest` bytes.
    pub fn of(file: &[u8], longest: usize, most: usize) -> Option<Self> {
        let mut bytes = Vec::with_capacity(file.len().min(longest) + AHEAD);
        let mut intervals = Vec::new();
        let (mut rest, mut start) = (file, 0);
        loop {
            let plain = memchr::memchr(0xff, rest)?;
            let (before, after) = rest.split_at(plain);
            bytes.extend_from_slice(before);
            if bytes.len() > longest {
                return None;
            }
            let marker = *after.get(1)?;
            rest = &after[2..];
            match marker {
                0 => bytes.push(0xff),
                _ if marker == RESTART.start + (intervals.len() % RESTART.len()) as u8 => {
                    intervals.push(start..bytes.len());
                    start = bytes.len();
                    if intervals.len() == most {
                        return None;
                    }
                }
                END_OF_IMAGE => {
                    intervals.push(start..bytes.len());
                    bytes.extend([0; AHEAD]);
                    return Some(Self { bytes, intervals });
                }
                _ => return None,
            }
        }
    }
}
