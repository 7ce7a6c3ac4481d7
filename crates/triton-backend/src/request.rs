//! Triton's requests, read and answered through its C interface.

use std::borrow::Cow;
use std::ffi::{CStr, CString, c_uint};
use std::ptr::{self, NonNull};
use std::slice;

use crate::ffi;
use crate::tensor::{Failure, Output, Tensor};

/// A request of which this crate is the owner. It is released when it is dropped.
pub struct Request {
    raw: NonNull<ffi::Request>,
}

impl Request {
    /// Takes a request over from Triton.
    ///
    /// # Safety
    ///
    /// `raw` is a request that Triton gave to the backend, that is not released, and that nobody else
    /// will release.
    pub unsafe fn own(raw: NonNull<ffi::Request>) -> Self {
        Self { raw }
    }

    /// For calls that name the request.
    pub fn as_ptr(&self) -> *mut ffi::Request {
        self.raw.as_ptr()
    }

    /// An input of bytes by its name.
    ///
    /// Parts that came in several buffers are joined; a single one is not copied.
    pub fn tensor(&self, name: &CStr) -> Result<Tensor<'_>, Failure> {
        let input = self.input(name)?;
        let (mut kind, mut shape, mut dimensions, mut buffers) = (0, ptr::null(), 0, 0);
        // SAFETY: `input` belongs to this request, which is not released; what is null is not wanted,
        // and the others are variables of the right types.
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
        // SAFETY: Triton keeps so many dimensions there as long as the request is not released.
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
        // SAFETY: the request is not released, the name ends with a zero, `input` is a variable.
        let missing = check(unsafe { ffi::request_input(self.as_ptr(), name.as_ptr(), &mut input) }).err();
        NonNull::new(input).filter(|_| missing.is_none()).ok_or_else(|| {
            let why = missing.map(|message| format!(": {message}")).unwrap_or_default();
            Failure::BadInput(format!("input {} is missing{why}", name.to_string_lossy()))
        })
    }

    /// One of the buffers that an input of this request is in.
    fn buffer(&self, input: NonNull<ffi::Input>, name: &CStr, index: u32) -> Result<&[u8], Failure> {
        let (mut start, mut bytes, mut memory, mut memory_id) = (ptr::null(), 0, ffi::MEMORY_CPU, 0);
        // SAFETY: `input` belongs to this request, which is not released, and has a buffer of this
        // index; the others are variables of the right types.
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
        // SAFETY: Triton keeps so many bytes of the host's memory there as long as the request is not
        // released, and a released one cannot be borrowed.
        Ok(unsafe { slice(start.cast::<u8>(), bytes) })
    }

    /// Sends the one response of this request: the output of that name, or an error where there is none.
    ///
    /// Gives why there is none, or why no response could be sent.
    pub fn respond(&self, name: &CStr, outcome: Result<Output, Failure>) -> Result<(), Failure> {
        let mut response = ptr::null_mut();
        // SAFETY: the request is not released; `response` is a variable.
        check(unsafe { ffi::response_new(&mut response, self.as_ptr()) }).map_err(Failure::Internal)?;
        // SAFETY: the response was just made and is sent below, not before.
        let outcome = outcome.and_then(|output| unsafe { write(response, name, &output) });
        let error = outcome.as_ref().err().map_or(ptr::null_mut(), new_error);
        // SAFETY: the response has not been sent; the error is null or was just made.
        let sent = check(unsafe { ffi::response_send(response, ffi::RESPONSE_FINAL, error) });
        if !error.is_null() {
            // SAFETY: sending leaves the error to its owner, which is this function.
            unsafe { ffi::error_delete(error) };
        }
        outcome.and(sent.map_err(Failure::Internal))
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        // SAFETY: the request is released only here, and nothing that borrows from it is left.
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
/// The response has not been sent or deleted.
unsafe fn write(response: *mut ffi::Response, name: &CStr, answer: &Output) -> Result<(), Failure> {
    let mut output = ptr::null_mut();
    // SAFETY: the response is alive; the name ends with a zero; the shape has as many dimensions as is
    // said; `output` is a variable.
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
    // SAFETY: the output belongs to the response, which is alive; the others are variables.
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
    // SAFETY: Triton gave that many bytes of the host's memory for this output alone.
    unsafe { ptr::copy_nonoverlapping(answer.bytes.as_ptr(), start.cast::<u8>(), answer.bytes.len()) };
    Ok(())
}

fn is_host(memory: c_uint) -> bool {
    matches!(memory, ffi::MEMORY_CPU | ffi::MEMORY_CPU_PINNED)
}

/// A slice that may be nowhere if it is empty.
///
/// # Safety
///
/// Where `length` is not zero, so many elements are at `start` for `'a`, and nobody writes to them.
unsafe fn slice<'a, T>(start: *const T, length: usize) -> &'a [T] {
    if length == 0 || start.is_null() {
        return &[];
    }
    // SAFETY: the caller's.
    unsafe { slice::from_raw_parts(start, length) }
}

/// Triton's error of a failure, which the caller has to give away or delete.
pub fn new_error(failure: &Failure) -> *mut ffi::Error {
    let (code, message) = match failure {
        Failure::BadInput(message) => (ffi::ERROR_INVALID_ARG, message),
        Failure::Unsupported(message) => (ffi::ERROR_UNSUPPORTED, message),
        Failure::Internal(message) => (ffi::ERROR_INTERNAL, message),
    };
    // SAFETY: the message ends with a zero; Triton copies it.
    unsafe { ffi::error_new(code, c_text(message).as_ptr()) }
}

/// Takes an error that a call gave; its message.
pub fn check(error: *mut ffi::Error) -> Result<(), String> {
    if error.is_null() {
        return Ok(());
    }
    // SAFETY: the error is one, and this function its owner; its message lives as long as it does.
    let message = unsafe { text(ffi::error_message(error)) };
    // SAFETY: as above, and nothing that borrows from it is left.
    unsafe { ffi::error_delete(error) };
    Err(message)
}

/// Writes to Triton's log.
pub fn log_error(message: &str) {
    // SAFETY: both texts end with a zero; Triton copies them.
    let failed =
        unsafe { ffi::log_message(ffi::LOG_ERROR, c"triton-backend".as_ptr(), 0, c_text(message).as_ptr()) };
    // There is nowhere to say that a log cannot be written.
    let _ = check(failed);
}

/// A copy of a text of Triton's.
///
/// # Safety
///
/// `start` is null or a text that ends with a zero.
pub unsafe fn text(start: *const std::ffi::c_char) -> String {
    if start.is_null() {
        return String::new();
    }
    // SAFETY: the caller's.
    unsafe { CStr::from_ptr(start) }.to_string_lossy().into_owned()
}

/// A text for Triton, up to the first zero in it.
fn c_text(message: &str) -> CString {
    let bytes: Vec<u8> = message.bytes().take_while(|byte| *byte != 0).collect();
    CString::new(bytes).expect("what is before the first zero has none. This is a bug.")
}
