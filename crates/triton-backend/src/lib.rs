//! A Triton backend that fills holes of pictures with [`exemplar`], and runs ONNX graphs.
//!
//! - `tensor`: what comes in, what goes out, and why there may be no answer
//! - `contract`: what the configuration of a model says that it is
//! - `padding`: the content of a window, without the mirrored padding around it
//! - `fill`: what a window is filled with, and which are refused
//! - `items`: the pictures of a request for graphs, and which are refused
//! - `isnet`: what is around IS-Net's graph
//! - `graphs`: the ONNX graphs of a folder, checked and run
//! - `runtime`: onnxruntime, loaded once, with the threads of all graphs
//! - `work`: what an instance of a model answers with
//! - `ffi`: what is used of Triton's C interface
//! - `request`: requests, read and answered through it
//! - `state`: models and instances, loaded and let go through it
//! - `execute`: batches of requests
//!
//! Below are the functions that Triton calls.

mod contract;
mod execute;
mod ffi;
mod fill;
mod graphs;
mod isnet;
mod items;
mod padding;
#[cfg(feature = "proof")]
mod proof;
mod request;
mod runtime;
mod state;
mod tensor;
mod work;

#[cfg(test)]
mod double;
#[cfg(test)]
mod samples;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::{self, NonNull};
use std::slice;

use execute::caught;
use request::{Request, check, log_error, new_error};
use tensor::Failure;

/// Called once, when the backend is loaded: refuses a Triton with another interface.
///
/// # Safety
///
/// For Triton alone to call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn TRITONBACKEND_Initialize(_backend: *mut ffi::Backend) -> *mut ffi::Error {
    let (mut major, mut minor) = (0, 0);
    // SAFETY: both are variables.
    let asked = check(unsafe { ffi::api_version(&mut major, &mut minor) });
    match asked {
        Ok(()) if major == ffi::API_MAJOR => ptr::null_mut(),
        Ok(()) => {
            let made_for = ffi::API_MAJOR;
            let message =
                format!("lacuna is for version {made_for} of Triton's backends, this is {major}.{minor}");
            new_error(&Failure::Unsupported(message))
        }
        Err(message) => new_error(&Failure::Internal(message)),
    }
}

/// Called when a model is loaded, before its instances: refuses one that cannot be served.
///
/// # Safety
///
/// For Triton alone to call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn TRITONBACKEND_ModelInitialize(model: *mut ffi::Model) -> *mut ffi::Error {
    // SAFETY: Triton is about to load the model.
    done(|| unsafe { state::load_model(model) })
}

/// Called when a model is unloaded, after its instances.
///
/// # Safety
///
/// For Triton alone to call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn TRITONBACKEND_ModelFinalize(model: *mut ffi::Model) -> *mut ffi::Error {
    // SAFETY: Triton is about to unload the model, and has no instances of it.
    done(|| unsafe { state::unload_model(model) })
}

/// Called when an instance is loaded: loads its graphs.
///
/// # Safety
///
/// For Triton alone to call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn TRITONBACKEND_ModelInstanceInitialize(
    instance: *mut ffi::Instance,
) -> *mut ffi::Error {
    // SAFETY: Triton is about to load the instance, and has loaded its model.
    done(|| unsafe { state::load_instance(instance) })
}

/// Called when an instance is unloaded.
///
/// # Safety
///
/// For Triton alone to call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn TRITONBACKEND_ModelInstanceFinalize(
    instance: *mut ffi::Instance,
) -> *mut ffi::Error {
    // SAFETY: Triton is about to unload the instance, which executes nothing.
    done(|| unsafe { state::unload_instance(instance) })
}

/// What Triton is told of some work: null where all went well.
fn done(work: impl FnOnce() -> Result<(), Failure>) -> *mut ffi::Error {
    caught(work).map_or_else(|failure| new_error(&failure), |()| ptr::null_mut())
}

/// Called with each batch of requests.
///
/// They are the backend's as soon as this returns no error. It never returns one, so that they are
/// answered and released here whatever happens.
///
/// # Safety
///
/// For Triton alone to call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn TRITONBACKEND_ModelInstanceExecute(
    instance: *mut ffi::Instance,
    requests: *const *mut ffi::Request,
    count: u32,
) -> *mut ffi::Error {
    let work = AssertUnwindSafe(|| {
        // SAFETY: Triton has so many pointers there, all to requests that it gives away.
        let requests = unsafe { slice::from_raw_parts(requests, count as usize) };
        // SAFETY: as above; each pointer is there once.
        let owned =
            requests.iter().filter_map(|raw| NonNull::new(*raw)).map(|raw| unsafe { Request::own(raw) });
        // SAFETY: the instance is the one that Triton gave these requests to.
        unsafe { execute::execute(instance, owned.collect()) };
    });
    if catch_unwind(work).is_err() {
        log_error("a batch ended with a panic. This is a bug.");
    }
    ptr::null_mut()
}
