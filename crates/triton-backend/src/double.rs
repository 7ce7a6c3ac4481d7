//! A test double of Triton: implements the C functions over fake models and requests.
//!
//! What Triton would observe of a request (response, release, statistics) is recorded in the request.

use std::cell::{Cell, RefCell};
use std::ffi::{CStr, CString, c_char, c_int, c_uint, c_void};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::ptr::{self, NonNull};

use crate::ffi::{
    Backend, Error, Input, Instance, MEMORY_CPU, Message, Model, Output, Request, Response, UINT8,
};
use crate::{
    TRITONBACKEND_ModelFinalize, TRITONBACKEND_ModelInitialize, TRITONBACKEND_ModelInstanceFinalize,
    TRITONBACKEND_ModelInstanceInitialize,
};

/// An input tensor, possibly in several buffers.
pub struct FakeInput {
    pub name: &'static str,
    pub kind: c_uint,
    pub shape: Vec<i64>,
    pub parts: Vec<Vec<u8>>,
    pub memory: c_uint,
}

impl FakeInput {
    /// A tensor of bytes in one buffer of ordinary memory.
    pub fn new(name: &'static str, shape: &[i64], bytes: Vec<u8>) -> Self {
        Self { name, kind: UINT8, shape: shape.to_vec(), parts: vec![bytes], memory: MEMORY_CPU }
    }
}

/// A response that was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sent {
    Output { name: String, shape: Vec<i64>, bytes: Vec<u8> },
    Error { code: c_uint, message: String },
}

/// A request and what happened to it.
#[derive(Default)]
pub struct FakeRequest {
    pub inputs: Vec<FakeInput>,
    /// Kind of memory to offer for outputs.
    pub output_memory: c_uint,
    /// Whether creating a response fails.
    pub broken: bool,
    pub sent: RefCell<Vec<Sent>>,
    pub released: Cell<usize>,
    /// Success and times that were reported before the release.
    pub statistics: RefCell<Vec<(bool, [u64; 4])>>,
}

impl FakeRequest {
    pub fn as_ptr(&self) -> *mut Request {
        ptr::from_ref(self).cast_mut().cast()
    }
}

/// The model "double", version 1, with one instance, loaded and unloaded as by Triton.
pub struct FakeModel {
    config: String,
    folder: CString,
    backend: CString,
    state: Cell<*mut c_void>,
    instance_state: Cell<*mut c_void>,
    /// Whether setting its state succeeds.
    keeps_state: bool,
    /// Reported batch sizes.
    pub batches: RefCell<Vec<u64>>,
}

impl FakeModel {
    /// Loads it from `folder`. On failure returns the error's code and message.
    pub fn load(config: String, folder: &Path) -> Result<Box<Self>, (u32, String)> {
        Self::load_from(config, folder, Path::new(BACKEND), true)
    }

    /// Same as [`Self::load`], with a choice of backend folder and of whether setting the state succeeds.
    pub fn load_from(
        config: String,
        folder: &Path,
        backend: &Path,
        keeps_state: bool,
    ) -> Result<Box<Self>, (u32, String)> {
        let text = |path: &Path| CString::new(path.as_os_str().as_bytes()).unwrap();
        let (folder, backend) = (text(folder), text(backend));
        let (state, instance_state) = (Cell::new(ptr::null_mut()), Cell::new(ptr::null_mut()));
        let model =
            Self { config, folder, backend, state, instance_state, keeps_state, batches: RefCell::default() };
        let model = Box::new(model);
        // SAFETY: `model` is alive, and the double's functions accept it.
        taken(unsafe { TRITONBACKEND_ModelInitialize(model.as_ptr().cast()) })?;
        // SAFETY: as above; a fake model is its own instance.
        taken(unsafe { TRITONBACKEND_ModelInstanceInitialize(model.as_ptr()) })?;
        Ok(model)
    }

    /// The model's instance.
    pub fn as_ptr(&self) -> *mut Instance {
        ptr::from_ref(self).cast_mut().cast()
    }
}

impl Drop for FakeModel {
    fn drop(&mut self) {
        // SAFETY: the model, which is its own instance, is still alive.
        let errors = unsafe {
            [
                TRITONBACKEND_ModelInstanceFinalize(self.as_ptr()),
                TRITONBACKEND_ModelFinalize(self.as_ptr().cast()),
            ]
        };
        assert!(errors.iter().all(|error| error.is_null()));
    }
}

/// Where `scripts/stack.py setup` puts this backend and onnxruntime.
const BACKEND: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../.triton/server/backends/lacuna");

/// Takes ownership of an error returned to Triton.
fn taken(error: *mut Error) -> Result<(), (u32, String)> {
    if error.is_null() {
        return Ok(());
    }
    // SAFETY: `TRITONSERVER_ErrorNew` below boxed it, and it is taken only once.
    let error = unsafe { Box::from_raw(error.cast::<FakeError>()) };
    Err((error.code, error.message.to_str().unwrap().to_owned()))
}

struct FakeError {
    code: c_uint,
    message: CString,
}

struct FakeResponse {
    request: *const FakeRequest,
    name: String,
    shape: Vec<i64>,
    bytes: Vec<u8>,
}

fn fail(message: &str) -> *mut Error {
    Box::into_raw(Box::new(FakeError { code: 1, message: CString::new(message).unwrap() })).cast()
}

/// Dereferences a pointer that the tests or a function here handed out.
///
/// # Safety
///
/// The pointer is to a `T` that outlives `'a`.
unsafe fn behind<'a, T, Opaque>(pointer: *mut Opaque) -> &'a T {
    // SAFETY: guaranteed by the caller.
    unsafe { NonNull::new(pointer.cast::<T>()).unwrap().as_ref() }
}

#[unsafe(no_mangle)]
extern "C" fn TRITONSERVER_ErrorNew(code: c_uint, message: *const c_char) -> *mut Error {
    // SAFETY: callers pass a NUL-terminated string.
    let message = unsafe { CStr::from_ptr(message) }.to_owned();
    Box::into_raw(Box::new(FakeError { code, message })).cast()
}

#[unsafe(no_mangle)]
extern "C" fn TRITONSERVER_ErrorDelete(error: *mut Error) {
    // SAFETY: `TRITONSERVER_ErrorNew` boxed it, and it is deleted only once.
    drop(unsafe { Box::from_raw(error.cast::<FakeError>()) });
}

#[unsafe(no_mangle)]
extern "C" fn TRITONSERVER_ErrorMessage(error: *mut Error) -> *const c_char {
    // SAFETY: the error was created here and is alive.
    unsafe { behind::<FakeError, _>(error) }.message.as_ptr()
}

#[unsafe(no_mangle)]
extern "C" fn TRITONSERVER_LogMessage(_: c_uint, _: *const c_char, _: c_int, _: *const c_char) -> *mut Error {
    ptr::null_mut()
}

#[unsafe(no_mangle)]
extern "C" fn TRITONBACKEND_ApiVersion(major: *mut u32, minor: *mut u32) -> *mut Error {
    // SAFETY: callers pass pointers to variables.
    unsafe { (*major, *minor) = (1, 19) };
    ptr::null_mut()
}

#[unsafe(no_mangle)]
extern "C" fn TRITONBACKEND_ModelInstanceModel(
    instance: *mut Instance,
    model: *mut *mut Model,
) -> *mut Error {
    // SAFETY: callers pass a pointer to a variable.
    unsafe { *model = instance.cast() };
    ptr::null_mut()
}

#[unsafe(no_mangle)]
extern "C" fn TRITONBACKEND_ModelName(_: *mut Model, name: *mut *const c_char) -> *mut Error {
    // SAFETY: callers pass a pointer to a variable.
    unsafe { *name = c"double".as_ptr() };
    ptr::null_mut()
}

#[unsafe(no_mangle)]
extern "C" fn TRITONBACKEND_ModelVersion(_: *mut Model, version: *mut u64) -> *mut Error {
    // SAFETY: callers pass a pointer to a variable.
    unsafe { *version = 1 };
    ptr::null_mut()
}

#[unsafe(no_mangle)]
extern "C" fn TRITONBACKEND_ModelRepository(
    model: *mut Model,
    kind: *mut c_uint,
    location: *mut *const c_char,
) -> *mut Error {
    // SAFETY: `model` is a live `FakeModel`; callers pass pointers to variables.
    unsafe { (*kind, *location) = (0, behind::<FakeModel, _>(model).folder.as_ptr()) };
    ptr::null_mut()
}

#[unsafe(no_mangle)]
extern "C" fn TRITONBACKEND_ModelBackend(model: *mut Model, backend: *mut *mut Backend) -> *mut Error {
    // SAFETY: callers pass a pointer to a variable.
    unsafe { *backend = model.cast() };
    ptr::null_mut()
}

#[unsafe(no_mangle)]
extern "C" fn TRITONBACKEND_BackendArtifacts(
    backend: *mut Backend,
    kind: *mut c_uint,
    location: *mut *const c_char,
) -> *mut Error {
    // SAFETY: a backend is a live `FakeModel`; callers pass pointers to variables.
    unsafe { (*kind, *location) = (0, behind::<FakeModel, _>(backend).backend.as_ptr()) };
    ptr::null_mut()
}

#[unsafe(no_mangle)]
extern "C" fn TRITONBACKEND_ModelConfig(
    model: *mut Model,
    version: u32,
    config: *mut *mut Message,
) -> *mut Error {
    assert_eq!(version, 1);
    // SAFETY: `model` is a live `FakeModel`; callers pass a pointer to a variable.
    unsafe { *config = Box::into_raw(Box::new(behind::<FakeModel, _>(model).config.clone())).cast() };
    ptr::null_mut()
}

#[unsafe(no_mangle)]
extern "C" fn TRITONSERVER_MessageSerializeToJson(
    message: *mut Message,
    start: *mut *const c_char,
    bytes: *mut usize,
) -> *mut Error {
    // SAFETY: `message` was created above and is alive; callers pass pointers to variables.
    unsafe {
        let text = behind::<String, _>(message);
        (*start, *bytes) = (text.as_ptr().cast(), text.len());
    }
    ptr::null_mut()
}

#[unsafe(no_mangle)]
extern "C" fn TRITONSERVER_MessageDelete(message: *mut Message) -> *mut Error {
    // SAFETY: `TRITONBACKEND_ModelConfig` boxed it, and it is deleted only once.
    drop(unsafe { Box::from_raw(message.cast::<String>()) });
    ptr::null_mut()
}

#[unsafe(no_mangle)]
extern "C" fn TRITONBACKEND_ModelState(model: *mut Model, state: *mut *mut c_void) -> *mut Error {
    // SAFETY: `model` is a live `FakeModel`; callers pass a pointer to a variable.
    unsafe { *state = behind::<FakeModel, _>(model).state.get() };
    ptr::null_mut()
}

#[unsafe(no_mangle)]
extern "C" fn TRITONBACKEND_ModelSetState(model: *mut Model, state: *mut c_void) -> *mut Error {
    // SAFETY: `model` is a live `FakeModel`.
    let model = unsafe { behind::<FakeModel, _>(model) };
    if !model.keeps_state {
        return fail("no state is kept");
    }
    model.state.set(state);
    ptr::null_mut()
}

#[unsafe(no_mangle)]
extern "C" fn TRITONBACKEND_ModelInstanceState(
    instance: *mut Instance,
    state: *mut *mut c_void,
) -> *mut Error {
    // SAFETY: an instance is a live `FakeModel`; callers pass a pointer to a variable.
    unsafe { *state = behind::<FakeModel, _>(instance).instance_state.get() };
    ptr::null_mut()
}

#[unsafe(no_mangle)]
extern "C" fn TRITONBACKEND_ModelInstanceSetState(instance: *mut Instance, state: *mut c_void) -> *mut Error {
    // SAFETY: an instance is a live `FakeModel`.
    unsafe { behind::<FakeModel, _>(instance) }.instance_state.set(state);
    ptr::null_mut()
}

#[unsafe(no_mangle)]
extern "C" fn TRITONBACKEND_RequestInput(
    request: *mut Request,
    name: *const c_char,
    input: *mut *mut Input,
) -> *mut Error {
    // SAFETY: `request` is a live `FakeRequest`; `name` is NUL-terminated.
    let (request, name) = unsafe { (behind::<FakeRequest, _>(request), CStr::from_ptr(name)) };
    let Some(found) = request.inputs.iter().find(|input| input.name.as_bytes() == name.to_bytes()) else {
        return fail("no such input");
    };
    // SAFETY: callers pass a pointer to a variable.
    unsafe { *input = ptr::from_ref(found).cast_mut().cast() };
    ptr::null_mut()
}

#[unsafe(no_mangle)]
extern "C" fn TRITONBACKEND_RequestRelease(request: *mut Request, _: u32) -> *mut Error {
    // SAFETY: `request` is a live `FakeRequest`.
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
    // SAFETY: `input` is a live `FakeInput`; callers pass pointers to variables.
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
    // SAFETY: `input` is a live `FakeInput`; callers pass pointers to variables.
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
    // SAFETY: `request` is a live `FakeRequest`.
    if unsafe { &*request }.broken {
        return fail("no response can be made");
    }
    let made = FakeResponse { request, name: String::new(), shape: vec![], bytes: vec![] };
    // SAFETY: callers pass a pointer to a variable.
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
    assert_eq!(kind, UINT8);
    // SAFETY: `response` was created here; `name` is NUL-terminated; `shape` has `dimensions` elements.
    unsafe {
        (*response.cast::<FakeResponse>()).name = CStr::from_ptr(name).to_str().unwrap().to_owned();
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
    // SAFETY: an output is a response created here; callers pass pointers to variables.
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
    // SAFETY: `response` was created here and is sent only once; `error` was created here or is null.
    unsafe {
        let response = Box::from_raw(response.cast::<FakeResponse>());
        let sent = match error.cast::<FakeError>().as_ref() {
            Some(error) => {
                Sent::Error { code: error.code, message: error.message.to_str().unwrap().to_owned() }
            }
            None => Sent::Output {
                name: response.name.clone(),
                shape: response.shape.clone(),
                bytes: response.bytes.clone(),
            },
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
    // SAFETY: `request` is a live `FakeRequest`.
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
    // SAFETY: `instance` is a live `FakeModel`.
    unsafe { behind::<FakeModel, _>(instance) }.batches.borrow_mut().push(windows);
    ptr::null_mut()
}
