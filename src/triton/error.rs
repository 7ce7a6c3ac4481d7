//! How a call of a network can fail.

/// Why the networks gave no answer. The texts are for the log; callers see none of them.
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
    /// The model failed, or its answer has another name, type, shape or length than agreed.
    #[error("the model failed: {0}")]
    Failed(String),
}
