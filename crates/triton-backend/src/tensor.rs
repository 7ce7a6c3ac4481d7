//! What comes in, and why it may have no answer.

use std::borrow::Cow;

/// Why a request has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The caller's input cannot be answered.
    BadInput(String),
    /// Triton offered memory that is not used here.
    Unsupported(String),
    /// The caller is not at fault.
    Internal(String),
}

/// An input as it came: bytes of what should be that shape.
#[derive(Clone, Debug)]
pub struct Tensor<'a> {
    /// The shape that the request names, the batch first.
    pub shape: Vec<i64>,
    /// What was sent.
    pub bytes: Cow<'a, [u8]>,
}

/// The output of a request.
#[derive(Debug)]
pub struct Output {
    /// Its shape, the batch first.
    pub shape: [i64; 4],
    /// Its bytes.
    pub bytes: Vec<u8>,
}
