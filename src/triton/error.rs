//! How a call of a model can fail.

/// Why a call of a model failed. The texts are for the log; callers never see them.
#[derive(Debug, thiserror::Error, PartialEq, Eq, Clone)]
pub enum Error {
    /// No replica that serves the model can be reached.
    #[error("no Triton serves the model: {0}")]
    Unavailable(String),
    /// The model's queue is full.
    #[error("Triton is overloaded: {0}")]
    Overloaded(String),
    /// No answer before the deadline.
    #[error("no answer from Triton in time: {0}")]
    Timeout(String),
    /// The model failed, or its output has the wrong name, type, shape or length.
    #[error("the model failed: {0}")]
    Failed(String),
}
