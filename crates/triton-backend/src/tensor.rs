//! Inputs, outputs and failures.

use std::borrow::Cow;

/// Why a request failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The caller's input, or the model's configuration, is invalid.
    BadInput(String),
    /// Triton offered memory or files of a kind that we do not handle.
    Unsupported(String),
    /// A failure that is not the caller's fault.
    Internal(String),
}

/// An input as received; `bytes` may not match `shape` yet.
#[derive(Clone, Debug)]
pub struct Tensor<'a> {
    /// The shape stated in the request, batch first.
    pub shape: Vec<i64>,
    /// The raw bytes.
    pub bytes: Cow<'a, [u8]>,
}

/// The output of a request.
#[derive(Debug)]
pub struct Output {
    /// Shape, batch first.
    pub shape: [i64; 4],
    /// Raw bytes in row order, channels last.
    pub bytes: Vec<u8>,
}
