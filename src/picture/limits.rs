//! Upload limits.

use std::fmt;

/// A megabyte in the API, in bytes.
pub const MB: usize = 1 << 20;

/// The largest file and picture accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a file.
    pub bytes: usize,
    /// Pixels on a side.
    pub side: u32,
    /// Pixels in all.
    pub pixels: u64,
}

impl Limits {
    /// The defaults.
    pub const DEFAULT: Self = Self { bytes: 10 * MB, side: 4096, pixels: 4096 * 4096 };

    /// Whether a picture of this size is within the limits.
    pub fn allow(&self, width: u32, height: u32) -> bool {
        width.max(height) <= self.side && u64::from(width) * u64::from(height) <= self.pixels
    }
}

impl fmt::Display for Limits {
    /// The message for something larger.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { bytes, side, pixels } = self;
        write!(f, "Image exceeds {} MB or {side}×{side}", bytes / MB)?;
        if *pixels < u64::from(*side).pow(2) {
            write!(f, " or {} megapixels", *pixels as f64 / 1e6)?;
        }
        f.write_str(".")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_tells_the_limits_there_are() {
        assert_eq!(Limits::DEFAULT.to_string(), "Image exceeds 10 MB or 4096×4096.");
        let phones = Limits { bytes: 30 * MB, side: 8192, pixels: 50_000_000 };
        assert_eq!(phones.to_string(), "Image exceeds 30 MB or 8192×8192 or 50 megapixels.");
        assert!(phones.allow(8064, 6048) && phones.allow(8192, 1));
        assert!(!phones.allow(8193, 1) && !phones.allow(8192, 8192));
    }
}
