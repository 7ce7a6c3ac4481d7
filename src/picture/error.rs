//! Why an upload is rejected.

use super::Limits;

/// Why an upload is rejected. The messages are for the caller.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    /// None of the input formats.
    #[error("Not a JPEG, PNG, WebP or HEIC image.")]
    UnknownFormat,
    /// Larger than the limits.
    #[error("{0}")]
    TooLarge(Limits),
    /// More than one frame.
    #[error("Animated images are not supported.")]
    Animated,
    /// Truncated, corrupt, or an unsupported variant of its format.
    #[error("Image could not be decoded: {0}.")]
    Invalid(String),
    /// A failure of the gateway itself; not for the caller.
    #[error("{0}")]
    Failed(String),
}

impl Error {
    /// An [`Error::Invalid`] with a decoder's message.
    pub(crate) fn invalid(cause: impl std::fmt::Display) -> Self {
        let cause = cause.to_string();
        Self::Invalid(cause.trim_end_matches('.').to_owned())
    }
}
