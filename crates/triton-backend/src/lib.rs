//! A Triton backend that fills holes with [`exemplar`] and runs ONNX graphs.
//!
//! - `tensor`: inputs, outputs and failures
//! - `contract`: what a model's configuration says it takes and returns
//! - `padding`: finds a window's content within its mirrored padding
//! - `fill`: validates and fills windows
//! - `items`: validates the pictures of a request to a graph
//! - `isnet`: pre- and post-processing for IS-Net's graph
//! - `graphs`: loads, checks and runs a folder's ONNX graphs
//! - `runtime`: onnxruntime, loaded once, with one thread pool for all graphs
//! - `work`: what one instance of a model runs
//! - `ffi`: the parts of Triton's C interface that we use
//! - `request`: reads and answers requests through it
//! - `state`: loads and unloads models and instances through it
//! - `execute`: batches of requests
//!
//! The functions below are the entry points that Triton calls.

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

/// Called once when the backend is loaded. Refuses a Triton with another major interface version.
///
/// # Safety
///
/// Only Triton may call this, as its backend interface specifies.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn TRITONBACKEND_Initialize(_backend: *mut ffi::Backend) -> *mut ffi::Error {
    let (mut major, mut minor) = (0, 0);
    // SAFETY: both pointers are to local variables.
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

/// Called when a model is loaded, before its instances. Refuses one that we cannot serve.
///
/// # Safety
///
/// Only Triton may call this, as its backend interface specifies.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn TRITONBACKEND_ModelInitialize(model: *mut ffi::Model) -> *mut ffi::Error {
    // SAFETY: Triton is loading this model.
    done(|| unsafe { state::load_model(model) })
}

/// Called when a model is unloaded, after its instances.
///
/// # Safety
///
/// Only Triton may call this, as its backend interface specifies.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn TRITONBACKEND_ModelFinalize(model: *mut ffi::Model) -> *mut ffi::Error {
    // SAFETY: Triton is unloading this model and has finalized its instances.
    done(|| unsafe { state::unload_model(model) })
}

/// Called when an instance is loaded. Loads its graphs.
///
/// # Safety
///
/// Only Triton may call this, as its backend interface specifies.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn TRITONBACKEND_ModelInstanceInitialize(
    instance: *mut ffi::Instance,
) -> *mut ffi::Error {
    // SAFETY: Triton is loading this instance and has initialized its model.
    done(|| unsafe { state::load_instance(instance) })
}

/// Called when an instance is unloaded.
///
/// # Safety
///
/// Only Triton may call this, as its backend interface specifies.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn TRITONBACKEND_ModelInstanceFinalize(
    instance: *mut ffi::Instance,
) -> *mut ffi::Error {
    // SAFETY: Triton is unloading this instance, which executes nothing any more.
    done(|| unsafe { state::unload_instance(instance) })
}

/// Converts an outcome for Triton: null means success.
fn done(work: impl FnOnce() -> Result<(), Failure>) -> *mut ffi::Error {
    caught(work).map_or_else(|failure| new_error(&failure), |()| ptr::null_mut())
}

/// Called with each batch of requests.
///
/// Returning an error would leave the requests to Triton. This never does, so they are always answered and
/// released here, whatever happens.
///
/// # Safety
///
/// Only Triton may call this, as its backend interface specifies.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn TRITONBACKEND_ModelInstanceExecute(
    instance: *mut ffi::Instance,
    requests: *const *mut ffi::Request,
    count: u32,
) -> *mut ffi::Error {
    let work = AssertUnwindSafe(|| {
        // SAFETY: Triton passes `count` pointers, all to requests whose ownership it transfers.
        let requests = unsafe { slice::from_raw_parts(requests, count as usize) };
        // SAFETY: as above; no pointer occurs twice.
        let owned =
            requests.iter().filter_map(|raw| NonNull::new(*raw)).map(|raw| unsafe { Request::own(raw) });
        // SAFETY: Triton passed these requests to this instance.
        unsafe { execute::execute(instance, owned.collect()) };
    });
    if catch_unwind(work).is_err() {
        log_error("a batch ended with a panic. This is a bug.");
    }
    ptr::null_mut()
}
