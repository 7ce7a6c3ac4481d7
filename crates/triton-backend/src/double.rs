//! Stands in for Triton in the tests: its functions by their names, over requests made here.
//!
//! What Triton sees of a request (its response, its release, its statistics) is in the request.

use std::cell::{Cell, RefCell};
use std::ffi::{CStr, CString, c_char, c_int, c_uint, c_void};
use std::ptr::{self, NonNull};

use crate::ffi::{Error, Input, Instance, MEMORY_CPU, Model, Output, Request, Response, UINT8};

/// An input tensor in parts.
pub struct FakeInput {
    pub name: &'static str,
    pub kind: c_uint,
    pub shape: Vec<i64>,
    pub parts: Vec<Vec<u8>>,
    pub memory: c_uint,
}

impl FakeInput {
    /// Bytes in ordinary memory, in one part.
    pub fn new(name: &'static str, shape: &[i64], bytes: Vec<u8>) -> Self {
        Self { name, kind: UINT8, shape: shape.to_vec(), parts: vec![bytes], memory: MEMORY_CPU }
    }
}

/// What was sent for a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sent {
    Output { shape: Vec<i64>, bytes: Vec<u8> },
    Error { code: c_uint, message: String },
}

/// A request, and what became of it.
#[derive(Default)]
pub struct FakeRequest {
    pub inputs: Vec<FakeInput>,
    /// Where outputs are to be.
    pub output_memory: c_uint,
    /// Whether no response can be made.
    pub broken: bool,
    pub sent: RefCell<Vec<Sent>>,
    pub released: Cell<usize>,
    /// Success and times, as reported before the release.
    pub statistics: RefCell<Vec<(bool, [u64; 4])>>,
}

impl FakeRequest {
    pub fn as_ptr(&self) -> *mut Request {
        ptr::from_ref(self).cast_mut().cast()
    }
}

/// An instance of the model "double".
#[derive(Default)]
pub struct FakeInstance {
    /// Sizes of batches.
    pub batches: RefCell<Vec<u64>>,
}

impl FakeInstance {
    pub fn as_ptr(&self) -> *mut Instance {
        ptr::from_ref(self).cast_mut().cast()
    }
}

struct FakeError {
    code: c_uint,
    message: CString,
}

struct FakeResponse {
    request: *const FakeRequest,
    shape: Vec<i64>,
    bytes: Vec<u8>,
}

fn fail(message: &str) -> *mut Error {
    Box::into_raw(Box::new(FakeError { code: 1, message: CString::new(message).unwrap() })).cast()
}

/// What is behind a pointer that the tests or a function here gave out.
///
/// # Safety
///
/// It is a `T` and alive.
unsafe fn behind<'a, T, Opaque>(pointer: *mut Opaque) -> &'a T {
    // SAFETY: the caller's.
    unsafe { NonNull::new(pointer.cast::<T>()).unwrap().as_ref() }
}

#[unsafe(no_mangle)]
extern "C" fn TRITONSERVER_ErrorNew(code: c_uint, message: *const c_char) -> *mut Error {
    // SAFETY: a text that ends with a zero.
    let message = unsafe { CStr::from_ptr(message) }.to_owned();
    Box::into_raw(Box::new(FakeError { code, message })).cast()
}

#[unsafe(no_mangle)]
extern "C" fn TRITONSERVER_ErrorDelete(error: *mut Error) {
    // SAFETY: made by one of the functions above, and deleted once.
    drop(unsafe { Box::from_raw(error.cast::<FakeError>()) });
}

#[unsafe(no_mangle)]
extern "C" fn TRITONSERVER_ErrorMessage(error: *mut Error) -> *const c_char {
    // SAFETY: an error made here.
    unsafe { behind::<FakeError, _>(error) }.message.as_ptr()
}

#[unsafe(no_mangle)]
extern "C" fn TRITONSERVER_LogMessage(_: c_uint, _: *const c_char, _: c_int, _: *const c_char) -> *mut Error {
    ptr::null_mut()
}

#[unsafe(no_mangle)]
extern "C" fn TRITONBACKEND_ApiVersion(major: *mut u32, minor: *mut u32) -> *mut Error {
    // SAFETY: both are variables of the caller.
    unsafe { (*major, *minor) = (1, 19) };
    ptr::null_mut()
}

#[unsafe(no_mangle)]
extern "C" fn TRITONBACKEND_ModelInstanceModel(
    instance: *mut Instance,
    model: *mut *mut Model,
) -> *mut Error {
    // SAFETY: a variable of the caller.
    unsafe { *model = instance.cast() };
    ptr::null_mut()
}

#[unsafe(no_mangle)]
extern "C" fn TRITONBACKEND_ModelName(_: *mut Model, name: *mut *const c_char) -> *mut Error {
    // SAFETY: a variable of the caller.
    unsafe { *name = c"double".as_ptr() };
    ptr::null_mut()
}

#[unsafe(no_mangle)]
extern "C" fn TRITONBACKEND_RequestInput(
    request: *mut Request,
    name: *const c_char,
    input: *mut *mut Input,
) -> *mut Error {
    // SAFETY: a request of the tests, a text that ends with a zero, a variable of the caller.
    let (request, name) = unsafe { (behind::<FakeRequest, _>(request), CStr::from_ptr(name)) };
    let Some(found) = request.inputs.iter().find(|input| input.name.as_bytes() == name.to_bytes()) else {
        return fail("no such input");
    };
    // SAFETY: as above.
    unsafe { *input = ptr::from_ref(found).cast_mut().cast() };
    ptr::null_mut()
}

#[unsafe(no_mangle)]
extern "C" fn TRITONBACKEND_RequestRelease(request: *mut Request, _: u32) -> *mut Error {
    // SAFETY: a request of the tests.
    let request = unsafe { behind::<FakeRequest, _>(request) };
    request.released.set(request.released.get() + 1);
    ptr::null_mut()
}

#[unsafe(no_mangle)]
extern "C" fn TRITONBACKEND_InputProperties(
    input: *mut Input,
    _: *mut *const c_char,
    kind: *mut c_uint,
    shape: *mut *const i64,
    dimensions: *mut u32,
    _: *mut u64,
    buffers: *mut u32,
) -> *mut Error {
    // SAFETY: an input of a request of the tests, and variables of the caller.
    unsafe {
        let input = behind::<FakeInput, _>(input);
        (*kind, *shape, *dimensions) = (input.kind, input.shape.as_ptr(), input.shape.len() as u32);
        *buffers = input.parts.len() as u32;
    }
    ptr::null_mut()
}

#[unsafe(no_mangle)]
extern "C" fn TRITONBACKEND_InputBuffer(
    input: *mut Input,
    index: u32,
    buffer: *mut *const c_void,
    bytes: *mut u64,
    memory: *mut c_uint,
    _: *mut i64,
) -> *mut Error {
    // SAFETY: an input of a request of the tests, and variables of the caller.
    unsafe {
        let input = behind::<FakeInput, _>(input);
        let part = &input.parts[index as usize];
        (*buffer, *bytes, *memory) = (part.as_ptr().cast(), part.len() as u64, input.memory);
    }
    ptr::null_mut()
}

#[unsafe(no_mangle)]
extern "C" fn TRITONBACKEND_ResponseNew(response: *mut *mut Response, request: *mut Request) -> *mut Error {
    let request: *const FakeRequest = request.cast();
    // SAFETY: a request of the tests.
    if unsafe { &*request }.broken {
        return fail("no response can be made");
    }
    let made = FakeResponse { request, shape: vec![], bytes: vec![] };
    // SAFETY: a variable of the caller.
    unsafe { *response = Box::into_raw(Box::new(made)).cast() };
    ptr::null_mut()
}

#[unsafe(no_mangle)]
extern "C" fn TRITONBACKEND_ResponseOutput(
    response: *mut Response,
    output: *mut *mut Output,
    name: *const c_char,
    kind: c_uint,
    shape: *const i64,
    dimensions: u32,
) -> *mut Error {
    // SAFETY: a response made here, a text, a shape of so many dimensions, a variable of the caller.
    unsafe {
        assert_eq!((CStr::from_ptr(name), kind), (c"output", UINT8));
        (*response.cast::<FakeResponse>()).shape =
            std::slice::from_raw_parts(shape, dimensions as usize).to_vec();
        *output = response.cast();
    }
    ptr::null_mut()
}

#[unsafe(no_mangle)]
extern "C" fn TRITONBACKEND_OutputBuffer(
    output: *mut Output,
    buffer: *mut *mut c_void,
    bytes: u64,
    memory: *mut c_uint,
    _: *mut i64,
) -> *mut Error {
    // SAFETY: outputs are the responses made here; variables of the caller.
    unsafe {
        let response = &mut *output.cast::<FakeResponse>();
        response.bytes = vec![0; bytes as usize];
        (*buffer, *memory) = (response.bytes.as_mut_ptr().cast(), (*response.request).output_memory);
    }
    ptr::null_mut()
}

#[unsafe(no_mangle)]
extern "C" fn TRITONBACKEND_ResponseSend(
    response: *mut Response,
    flags: u32,
    error: *mut Error,
) -> *mut Error {
    assert_eq!(flags, 1, "it is the only response");
    // SAFETY: a response made here, which is sent once, and an error made here or null.
    unsafe {
        let response = Box::from_raw(response.cast::<FakeResponse>());
        let sent = match error.cast::<FakeError>().as_ref() {
            Some(error) => {
                Sent::Error { code: error.code, message: error.message.to_str().unwrap().to_owned() }
            }
            None => Sent::Output { shape: response.shape.clone(), bytes: response.bytes.clone() },
        };
        let request = &*response.request;
        assert_eq!(request.released.get(), 0, "the request is still there");
        request.sent.borrow_mut().push(sent);
    }
    ptr::null_mut()
}

#[unsafe(no_mangle)]
extern "C" fn TRITONBACKEND_ModelInstanceReportStatistics(
    _: *mut Instance,
    request: *mut Request,
    success: bool,
    started: u64,
    compute_started: u64,
    compute_ended: u64,
    ended: u64,
) -> *mut Error {
    // SAFETY: a request of the tests.
    let request = unsafe { behind::<FakeRequest, _>(request) };
    assert_eq!(request.released.get(), 0, "the request is still there");
    let times = [started, compute_started, compute_ended, ended];
    request.statistics.borrow_mut().push((success, times));
    ptr::null_mut()
}

#[unsafe(no_mangle)]
extern "C" fn TRITONBACKEND_ModelInstanceReportBatchStatistics(
    instance: *mut Instance,
    windows: u64,
    _: u64,
    _: u64,
    _: u64,
    _: u64,
) -> *mut Error {
    // SAFETY: an instance of the tests.
    unsafe { behind::<FakeInstance, _>(instance) }.batches.borrow_mut().push(windows);
    ptr::null_mut()
}
