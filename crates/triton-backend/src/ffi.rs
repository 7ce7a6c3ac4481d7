//! The parts of Triton's C backend interface, version 1, that this crate uses.
//!
//! The program that loads the backend provides the functions. Those that return an error return null on
//! success; the error belongs to the caller.

use std::ffi::{c_char, c_int, c_uint, c_void};

/// The major version declared here; minor versions only add to it.
pub const API_MAJOR: u32 = 1;

/// Data type of byte tensors.
pub const UINT8: c_uint = 2;
/// Ordinary host memory.
pub const MEMORY_CPU: c_uint = 0;
/// Pinned host memory, which GPUs can access too; readable and writable like ordinary memory.
pub const MEMORY_CPU_PINNED: c_uint = 1;
/// Log level for errors.
pub const LOG_ERROR: c_uint = 2;
/// Marks the last response to a request.
pub const RESPONSE_FINAL: u32 = 1;
/// Releases a request completely.
pub const RELEASE_ALL: u32 = 1;
/// Version of the JSON configuration to ask for.
pub const CONFIG_VERSION: u32 = 1;
/// Artifacts in the local file system.
pub const ARTIFACT_FILESYSTEM: c_uint = 0;
/// Error codes.
pub const ERROR_INTERNAL: c_uint = 1;
pub const ERROR_INVALID_ARG: c_uint = 3;
pub const ERROR_UNSUPPORTED: c_uint = 5;

/// Opaque types, used only through pointers.
macro_rules! opaque {
    ($($name:ident),*) => {$(
        #[repr(C)]
        pub struct $name {
            _private: [u8; 0],
        }
    )*};
}

opaque!(Backend, Error, Input, Instance, Message, Model, Output, Request, Response);

unsafe extern "C" {
    #[link_name = "TRITONSERVER_ErrorNew"]
    pub fn error_new(code: c_uint, message: *const c_char) -> *mut Error;
    #[link_name = "TRITONSERVER_ErrorDelete"]
    pub fn error_delete(error: *mut Error);
    #[link_name = "TRITONSERVER_ErrorMessage"]
    pub fn error_message(error: *mut Error) -> *const c_char;
    #[link_name = "TRITONSERVER_LogMessage"]
    pub fn log_message(level: c_uint, file: *const c_char, line: c_int, message: *const c_char)
    -> *mut Error;

    #[link_name = "TRITONSERVER_MessageDelete"]
    pub fn message_delete(message: *mut Message) -> *mut Error;
    /// The text belongs to the message and is not NUL-terminated.
    #[link_name = "TRITONSERVER_MessageSerializeToJson"]
    pub fn message_to_json(message: *mut Message, start: *mut *const c_char, bytes: *mut usize)
    -> *mut Error;

    #[link_name = "TRITONBACKEND_ApiVersion"]
    pub fn api_version(major: *mut u32, minor: *mut u32) -> *mut Error;

    #[link_name = "TRITONBACKEND_ModelInstanceModel"]
    pub fn instance_model(instance: *mut Instance, model: *mut *mut Model) -> *mut Error;
    #[link_name = "TRITONBACKEND_ModelInstanceState"]
    pub fn instance_state(instance: *mut Instance, state: *mut *mut c_void) -> *mut Error;
    #[link_name = "TRITONBACKEND_ModelInstanceSetState"]
    pub fn instance_set_state(instance: *mut Instance, state: *mut c_void) -> *mut Error;

    #[link_name = "TRITONBACKEND_BackendArtifacts"]
    pub fn backend_artifacts(
        backend: *mut Backend,
        kind: *mut c_uint,
        location: *mut *const c_char,
    ) -> *mut Error;

    #[link_name = "TRITONBACKEND_ModelBackend"]
    pub fn model_backend(model: *mut Model, backend: *mut *mut Backend) -> *mut Error;
    /// The caller owns the message.
    #[link_name = "TRITONBACKEND_ModelConfig"]
    pub fn model_config(model: *mut Model, version: u32, config: *mut *mut Message) -> *mut Error;
    #[link_name = "TRITONBACKEND_ModelName"]
    pub fn model_name(model: *mut Model, name: *mut *const c_char) -> *mut Error;
    #[link_name = "TRITONBACKEND_ModelRepository"]
    pub fn model_repository(model: *mut Model, kind: *mut c_uint, location: *mut *const c_char)
    -> *mut Error;
    #[link_name = "TRITONBACKEND_ModelSetState"]
    pub fn model_set_state(model: *mut Model, state: *mut c_void) -> *mut Error;
    #[link_name = "TRITONBACKEND_ModelState"]
    pub fn model_state(model: *mut Model, state: *mut *mut c_void) -> *mut Error;
    #[link_name = "TRITONBACKEND_ModelVersion"]
    pub fn model_version(model: *mut Model, version: *mut u64) -> *mut Error;

    #[link_name = "TRITONBACKEND_RequestInput"]
    pub fn request_input(request: *mut Request, name: *const c_char, input: *mut *mut Input) -> *mut Error;
    #[link_name = "TRITONBACKEND_RequestRelease"]
    pub fn request_release(request: *mut Request, flags: u32) -> *mut Error;

    /// Pointers to unwanted results may be null.
    #[link_name = "TRITONBACKEND_InputProperties"]
    pub fn input_properties(
        input: *mut Input,
        name: *mut *const c_char,
        kind: *mut c_uint,
        shape: *mut *const i64,
        dimensions: *mut u32,
        bytes: *mut u64,
        buffers: *mut u32,
    ) -> *mut Error;
    /// `memory` is the preferred kind on entry and the actual kind on return.
    #[link_name = "TRITONBACKEND_InputBuffer"]
    pub fn input_buffer(
        input: *mut Input,
        index: u32,
        buffer: *mut *const c_void,
        bytes: *mut u64,
        memory: *mut c_uint,
        memory_id: *mut i64,
    ) -> *mut Error;

    #[link_name = "TRITONBACKEND_ResponseNew"]
    pub fn response_new(response: *mut *mut Response, request: *mut Request) -> *mut Error;
    #[link_name = "TRITONBACKEND_ResponseOutput"]
    pub fn response_output(
        response: *mut Response,
        output: *mut *mut Output,
        name: *const c_char,
        kind: c_uint,
        shape: *const i64,
        dimensions: u32,
    ) -> *mut Error;
    /// `memory` as in [`input_buffer`].
    #[link_name = "TRITONBACKEND_OutputBuffer"]
    pub fn output_buffer(
        output: *mut Output,
        buffer: *mut *mut c_void,
        bytes: u64,
        memory: *mut c_uint,
        memory_id: *mut i64,
    ) -> *mut Error;
    /// Transfers the response to Triton; the caller keeps the error.
    #[link_name = "TRITONBACKEND_ResponseSend"]
    pub fn response_send(response: *mut Response, flags: u32, error: *mut Error) -> *mut Error;

    #[link_name = "TRITONBACKEND_ModelInstanceReportStatistics"]
    pub fn report_statistics(
        instance: *mut Instance,
        request: *mut Request,
        success: bool,
        started: u64,
        compute_started: u64,
        compute_ended: u64,
        ended: u64,
    ) -> *mut Error;
    #[link_name = "TRITONBACKEND_ModelInstanceReportBatchStatistics"]
    pub fn report_batch_statistics(
        instance: *mut Instance,
        windows: u64,
        started: u64,
        compute_started: u64,
        compute_ended: u64,
        ended: u64,
    ) -> *mut Error;
}
