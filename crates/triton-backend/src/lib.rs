//! A Triton backend that fills holes of pictures with [`exemplar`].
//!
//! - `padding`: the content of a window, without the mirrored padding around it
//! - `model`: what a window is answered with, and which are refused
//! - `ffi`: what is used of Triton's C interface
//! - `request`: requests, read and answered through it
//! - `execute`: batches of requests
//!
//! Below are the functions that Triton calls.

mod execute;
mod ffi;
mod model;
mod padding;
mod request;

#[cfg(test)]
mod double;
#[cfg(test)]
mod samples;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::{self, NonNull};
use std::slice;

use model::Failure;
use request::{Request, check, log_error, new_error};

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
