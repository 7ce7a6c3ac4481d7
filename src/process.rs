//! This process beside others on its machine: its settings, its files and its memory.

use std::{
    env, fs, io,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
};

use rustix::process::{Resource, getegid, geteuid, getrlimit, setrlimit};

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

/// Why the file of a setting could not be read: the setting, the file, and where it may not be read, whose it is
/// and who this process is. In a container the two are easily not the same.
pub fn unreadable(setting: &str, path: &Path, error: &io::Error) -> String {
    let what = format!("{setting} {}: {error}", path.display());
    if error.kind() != io::ErrorKind::PermissionDenied {
        return what;
    }
    // The file itself, or the folder on the way to it that lets nobody else in.
    let Some((at, found)) = path.ancestors().find_map(|at| Some((at, fs::metadata(at).ok()?))) else {
        return what;
    };
    format!(
        "{what}; {} is of user {}, group {}, mode {:04o}, and this process is user {}, group {}",
        at.display(),
        found.uid(),
        found.gid(),
        found.permissions().mode() & 0o7777,
        geteuid().as_raw(),
        getegid().as_raw()
    )
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

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::*;

    #[test]
    fn a_file_that_may_not_be_read_is_named_with_its_owner_and_ours() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tls.key");
        fs::write(&file, "secret").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        let owner = fs::metadata(&file).unwrap();
        let said = unreadable("LACUNA_TLS_KEY", &file, &ErrorKind::PermissionDenied.into());
        for part in [
            format!("LACUNA_TLS_KEY {}: permission denied", file.display()),
            format!("is of user {}, group {}, mode 0600", owner.uid(), owner.gid()),
            format!("this process is user {}, group {}", geteuid().as_raw(), getegid().as_raw()),
        ] {
            assert!(said.contains(&part), "{part} in {said}");
        }
    }

    #[test]
    fn the_folder_that_lets_nobody_in_is_named_where_the_file_cannot_be_seen() {
        let folder = tempfile::tempdir().unwrap();
        let hidden = folder.path().join("none/tls.key");
        let said = unreadable("LACUNA_TLS_KEY", &hidden, &ErrorKind::PermissionDenied.into());
        assert!(said.contains(&format!("; {} is of user", folder.path().display())), "{said}");
    }

    #[test]
    fn a_file_that_is_not_there_has_no_owner() {
        let said = unreadable("LACUNA_TLS_CERT", Path::new("/nowhere"), &ErrorKind::NotFound.into());
        assert!(said.starts_with("LACUNA_TLS_CERT /nowhere: ") && !said.contains("user"), "{said}");
    }
}
