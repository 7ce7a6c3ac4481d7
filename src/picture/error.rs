//! What can be wrong with an upload.

use super::Limits;

/// Why an upload is not a picture we take. The messages are for the caller.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    /// The bytes are of none of the formats we read.
    #[error("Not a JPEG, PNG, WebP or HEIC image.")]
    UnknownFormat,
    /// More pixels than we take.
    #[error("{0}")]
    TooLarge(Limits),
    /// More than one frame.
    #[error("Animated images are not supported.")]
    Animated,
    /// Truncated, corrupt, or a variant of the format that we do not read.
    #[error("Image could not be decoded: {0}.")]
    Invalid(String),
    /// Our own failure; not for the caller.
    #[error("{0}")]
    Failed(String),
}

impl Error {
    /// An [`Error::Invalid`] from a decoder's own words.
    pub(crate) fn invalid(cause: impl std::fmt::Display) -> Self {
        let cause = cause.to_string();
        Self::Invalid(cause.trim_end_matches('.').to_owned())
    }
}
