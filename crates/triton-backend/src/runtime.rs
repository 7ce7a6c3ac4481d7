//! onnxruntime: loaded once, with one thread pool for all graphs.

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::thread;

use ort::environment::{Environment, GlobalThreadPoolOptions};

use crate::tensor::Failure;

/// File name of the library, which lies beside the backend.
pub const LIBRARY: &str = "libonnxruntime.so";

/// A process can create only one environment, ever.
static ENVIRONMENT: Mutex<Option<Environment>> = Mutex::new(None);

/// The shared environment of all graphs; loads the library on first use.
pub fn environment(library: &Path) -> Result<Environment, Failure> {
    if !library.is_file() {
        return Err(Failure::Internal(format!("{} is missing, which runs graphs", library.display())));
    }
    // A panic cannot leave it half-initialized.
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

/// Returns free memory to the system.
///
/// A run uses hundreds of megabytes on several threads, and glibc keeps what each of them freed.
pub fn give_memory_back() {
    // SAFETY: malloc_trim may be called at any time on any thread.
    unsafe { libc::malloc_trim(0) };
}

/// One thread per core, shared by all graphs and instances.
fn threads() -> ort::Result<GlobalThreadPoolOptions> {
    // Counted as for `exemplar`: respects the container's CPU limit.
    let cores = thread::available_parallelism().map_or(1, usize::from);
    GlobalThreadPoolOptions::default()
        .with_intra_threads(cores)?
        // Operators of one graph run one after the other.
        .with_inter_threads(1)?
        // Spinning threads would take cores from fills.
        .with_spin_control(false)
}
