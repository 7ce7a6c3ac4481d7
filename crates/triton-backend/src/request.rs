//! Reads and answers requests through Triton's C interface.

use std::borrow::Cow;
use std::ffi::{CStr, CString, c_uint};
use std::ptr::{self, NonNull};
use std::slice;

use crate::ffi;
use crate::tensor::{Failure, Output, Tensor};

/// An owned request, released on drop.
pub struct Request {
    raw: NonNull<ffi::Request>,
}

impl Request {
    /// Takes ownership of a request from Triton.
    ///
    /// # Safety
    ///
    /// `raw` is a request that Triton passed to the backend, that has not been released, and that nobody else
    /// releases.
    pub unsafe fn own(raw: NonNull<ffi::Request>) -> Self {
        Self { raw }
    }

    /// The raw pointer, for calls about the request.
    pub fn as_ptr(&self) -> *mut ffi::Request {
        self.raw.as_ptr()
    }

    /// Reads a byte input by name.
    ///
    /// Several buffers are joined; a single one is borrowed.
    pub fn tensor(&self, name: &CStr) -> Result<Tensor<'_>, Failure> {
        let input = self.input(name)?;
        let (mut kind, mut shape, mut dimensions, mut buffers) = (0, ptr::null(), 0, 0);
        // SAFETY: `input` belongs to this request, which has not been released; null means an unwanted
        // result, and the other pointers are to local variables of the right types.
        check(unsafe {
            ffi::input_properties(
                input.as_ptr(),
                ptr::null_mut(),
                &mut kind,
                &mut shape,
                &mut dimensions,
                ptr::null_mut(),
                &mut buffers,
            )
        })
        .map_err(Failure::Internal)?;
        if kind != ffi::UINT8 {
            return Err(Failure::BadInput(format!("{} must be UINT8", name.to_string_lossy())));
        }
        // SAFETY: `shape` has `dimensions` elements, which live until the request is released.
        let shape = unsafe { slice(shape, dimensions as usize) }.to_vec();
        let bytes = match buffers {
            1 => Cow::Borrowed(self.buffer(input, name, 0)?),
            _ => {
                let mut joined = Vec::new();
                for index in 0..buffers {
                    joined.extend_from_slice(self.buffer(input, name, index)?);
                }
                Cow::Owned(joined)
            }
        };
        Ok(Tensor { shape, bytes })
    }

    fn input(&self, name: &CStr) -> Result<NonNull<ffi::Input>, Failure> {
        let mut input = ptr::null_mut();
        // SAFETY: the request has not been released; the name is NUL-terminated; `input` is a local variable.
        let missing = check(unsafe { ffi::request_input(self.as_ptr(), name.as_ptr(), &mut input) }).err();
        NonNull::new(input).filter(|_| missing.is_none()).ok_or_else(|| {
            let why = missing.map(|message| format!(": {message}")).unwrap_or_default();
            Failure::BadInput(format!("input {} is missing{why}", name.to_string_lossy()))
        })
    }

    /// One of the buffers of an input of this request.
    fn buffer(&self, input: NonNull<ffi::Input>, name: &CStr, index: u32) -> Result<&[u8], Failure> {
        let (mut start, mut bytes, mut memory, mut memory_id) = (ptr::null(), 0, ffi::MEMORY_CPU, 0);
        // SAFETY: `input` belongs to this request, which has not been released, and has a buffer of this
        // index; the pointers are to local variables of the right types.
        check(unsafe {
            ffi::input_buffer(input.as_ptr(), index, &mut start, &mut bytes, &mut memory, &mut memory_id)
        })
        .map_err(Failure::Internal)?;
        if !is_host(memory) {
            let name = name.to_string_lossy();
            return Err(Failure::Unsupported(format!(
                "{name} is in the memory of a GPU, only the host's is read"
            )));
        }
        let bytes = usize::try_from(bytes)
            .map_err(|_| Failure::BadInput(format!("{} is too large", name.to_string_lossy())))?;
        // SAFETY: the buffer is host memory of `bytes` bytes that lives until the request is released, which
        // the borrow of `self` prevents.
        Ok(unsafe { slice(start.cast::<u8>(), bytes) })
    }

    /// Sends this request's only response: the output `name`, or an error.
    ///
    /// Returns that error, or why no response could be sent.
    pub fn respond(&self, name: &CStr, outcome: Result<Output, Failure>) -> Result<(), Failure> {
        let mut response = ptr::null_mut();
        // SAFETY: the request has not been released; `response` is a local variable.
        check(unsafe { ffi::response_new(&mut response, self.as_ptr()) }).map_err(Failure::Internal)?;
        // SAFETY: the response was just created and is not sent until below.
        let outcome = outcome.and_then(|output| unsafe { write(response, name, &output) });
        let error = outcome.as_ref().err().map_or(ptr::null_mut(), new_error);
        // SAFETY: the response has not been sent; the error is null or was just created.
        let sent = check(unsafe { ffi::response_send(response, ffi::RESPONSE_FINAL, error) });
        if !error.is_null() {
            // SAFETY: sending does not take the error, so this function still owns it.
            unsafe { ffi::error_delete(error) };
        }
        outcome.and(sent.map_err(Failure::Internal))
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        // SAFETY: this is the only release, and no borrow of the request can outlive it.
        let released = check(unsafe { ffi::request_release(self.as_ptr(), ffi::RELEASE_ALL) });
        if let Err(message) = released {
            log_error(&format!("a request cannot be released: {message}"));
        }
    }
}

/// Adds the output to a response.
///
/// # Safety
///
/// `response` has not been sent or deleted.
unsafe fn write(response: *mut ffi::Response, name: &CStr, answer: &Output) -> Result<(), Failure> {
    let mut output = ptr::null_mut();
    // SAFETY: the response is alive; the name is NUL-terminated; the shape has the stated number of
    // dimensions; `output` is a local variable.
    check(unsafe {
        ffi::response_output(
            response,
            &mut output,
            name.as_ptr(),
            ffi::UINT8,
            answer.shape.as_ptr(),
            answer.shape.len() as u32,
        )
    })
    .map_err(Failure::Internal)?;
    let (mut start, mut memory, mut memory_id) = (ptr::null_mut(), ffi::MEMORY_CPU, 0);
    // SAFETY: the output belongs to the response, which is alive; the pointers are to local variables.
    check(unsafe {
        ffi::output_buffer(output, &mut start, answer.bytes.len() as u64, &mut memory, &mut memory_id)
    })
    .map_err(Failure::Internal)?;
    if !is_host(memory) {
        let why = "the output is wanted in the memory of a GPU, only the host's is written";
        return Err(Failure::Unsupported(why.to_owned()));
    }
    if start.is_null() && !answer.bytes.is_empty() {
        return Err(Failure::Internal("there is no memory for the output".to_owned()));
    }
    // SAFETY: Triton allocated this many bytes of host memory for this output; nothing else uses them.
    unsafe { ptr::copy_nonoverlapping(answer.bytes.as_ptr(), start.cast::<u8>(), answer.bytes.len()) };
    Ok(())
}

fn is_host(memory: c_uint) -> bool {
    matches!(memory, ffi::MEMORY_CPU | ffi::MEMORY_CPU_PINNED)
}

/// Makes a slice; an empty one may have any pointer.
///
/// # Safety
///
/// Unless `length` is 0 or `start` null, `length` elements at `start` are valid for `'a` and not written to.
unsafe fn slice<'a, T>(start: *const T, length: usize) -> &'a [T] {
    if length == 0 || start.is_null() {
        return &[];
    }
    // SAFETY: guaranteed by the caller.
    unsafe { slice::from_raw_parts(start, length) }
}

/// Creates a Triton error, which the caller must hand over or delete.
pub fn new_error(failure: &Failure) -> *mut ffi::Error {
    let (code, message) = match failure {
        Failure::BadInput(message) => (ffi::ERROR_INVALID_ARG, message),
        Failure::Unsupported(message) => (ffi::ERROR_UNSUPPORTED, message),
        Failure::Internal(message) => (ffi::ERROR_INTERNAL, message),
    };
    // SAFETY: the message is NUL-terminated, and Triton copies it.
    unsafe { ffi::error_new(code, c_text(message).as_ptr()) }
}

/// Converts the error returned by a call, which it deletes, to its message.
pub fn check(error: *mut ffi::Error) -> Result<(), String> {
    if error.is_null() {
        return Ok(());
    }
    // SAFETY: the error is not null and owned by this function; its message lives as long as it does.
    let message = unsafe { text(ffi::error_message(error)) };
    // SAFETY: as above; the message has been copied.
    unsafe { ffi::error_delete(error) };
    Err(message)
}

/// Writes to Triton's log.
pub fn log_error(message: &str) {
    // SAFETY: both strings are NUL-terminated, and Triton copies them.
    let failed =
        unsafe { ffi::log_message(ffi::LOG_ERROR, c"triton-backend".as_ptr(), 0, c_text(message).as_ptr()) };
    // If logging fails, there is nowhere to report it.
    let _ = check(failed);
}

/// Copies a C string of Triton's.
///
/// # Safety
///
/// `start` is null or a NUL-terminated string.
pub unsafe fn text(start: *const std::ffi::c_char) -> String {
    if start.is_null() {
        return String::new();
    }
    // SAFETY: guaranteed by the caller.
    unsafe { CStr::from_ptr(start) }.to_string_lossy().into_owned()
}

/// Converts a message to a C string, truncated at the first NUL.
fn c_text(message: &str) -> CString {
    let bytes: Vec<u8> = message.bytes().take_while(|byte| *byte != 0).collect();
    CString::new(bytes).expect("what is before the first zero has none. This is a bug.")
}
