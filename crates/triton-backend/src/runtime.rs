//! onnxruntime: a library that is loaded once, with one pool of threads for all graphs.

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::thread;

use ort::environment::{Environment, GlobalThreadPoolOptions};

use crate::tensor::Failure;

/// The library's file, beside the backend's own.
pub const LIBRARY: &str = "libonnxruntime.so";

/// There can be only one in a process, and none after it.
static ENVIRONMENT: Mutex<Option<Environment>> = Mutex::new(None);

/// The environment of all graphs; loads the library where none has been loaded.
pub fn environment(library: &Path) -> Result<Environment, Failure> {
    if !library.is_file() {
        return Err(Failure::Internal(format!("{} is missing, which runs graphs", library.display())));
    }
    // Whatever panicked, there is an environment or there is none.
    let mut made = ENVIRONMENT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(environment) = &*made {
        return Ok(environment.clone());
    }
    let builder = ort::init_from(library).map_err(|error| Failure::Internal(error.to_string()))?;
    let environment = threads()
        .and_then(|pool| {
            builder.with_name("lacuna").with_telemetry(false).with_global_thread_pool(pool).build()
        })
        .map_err(|error| Failure::Internal(format!("onnxruntime cannot be started: {error}")))?;
    Ok(made.insert(environment).clone())
}

/// Gives memory that is free back to the system.
///
/// A run takes hundreds of megabytes on several threads, and glibc keeps what each of them freed.
pub fn give_memory_back() {
    // SAFETY: it may be called at any time, on any thread.
    unsafe { libc::malloc_trim(0) };
}

/// As many threads as there are cores, however many graphs and instances use them.
fn threads() -> ort::Result<GlobalThreadPoolOptions> {
    // As `exemplar` counts them: those of the container, where it has a share.
    let cores = thread::available_parallelism().map_or(1, usize::from);
    GlobalThreadPoolOptions::default()
        .with_intra_threads(cores)?
        // Operators of one graph follow each other.
        .with_inter_threads(1)?
        // Threads that spin while they wait would take the cores from fills.
        .with_spin_control(false)
}
