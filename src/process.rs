//! This process beside others on its machine: its settings, its files and its memory.

use std::env;

use rustix::process::{Resource, getrlimit, setrlimit};

/// Removes settings without a value from the environment: `NAME=` in a file of variables, or what a Compose
/// file passes on, is meant as none.
///
/// # Safety
/// No other thread may run yet.
pub unsafe fn unset_empty_settings() {
    for (name, _) in env::vars_os().filter(|(_, value)| value.is_empty()) {
        if name.to_str().is_some_and(|name| name.starts_with("LACUNA_") || name.starts_with("OTEL_")) {
            // SAFETY: the caller's promise.
            unsafe { env::remove_var(name) };
        }
    }
}

/// Allows this process as many open files as the system lets it: a connection is one.
pub fn raise_file_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Where it cannot be raised, the connections that there is room for are served.
    let _ = setrlimit(Resource::Nofile, limit);
}

/// Has the C library keep freed memory for the next photo, in one place for all threads, instead of giving
/// every large block back: a fifth of the processor time of a photo of one megapixel went into getting
/// cleared pages from the system again. What is kept is at most what the gate once let in, and is given
/// back by [`return_freed_memory`] where nothing is at work.
pub fn keep_freed_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: these set parameters of the allocator and take any value.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
        libc::mallopt(libc::M_TRIM_THRESHOLD, libc::c_int::MAX);
        // No mapping for a block of its own: those of large photos would be given back one by one.
        libc::mallopt(libc::M_MMAP_MAX, 0);
    }
}

/// Gives freed memory back to the system. Other threads wait for memory meanwhile: a tenth of a second for
/// a gigabyte, and nothing where there is nothing to give.
pub fn return_freed_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: touches nothing that is in use.
    unsafe {
        libc::malloc_trim(0);
    }
}
