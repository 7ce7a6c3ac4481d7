//! Process-wide matters: environment, file limits and permissions, and memory.

use std::{
    env, fs, io,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
};

use rustix::process::{Resource, getegid, geteuid, getrlimit, setrlimit};

/// Removes empty settings from the environment: `NAME=`, in an env file or passed on by Compose, means unset.
///
/// # Safety
/// No other thread may be running.
pub unsafe fn unset_empty_settings() {
    for (name, _) in env::vars_os().filter(|(_, value)| value.is_empty()) {
        if name.to_str().is_some_and(|name| name.starts_with("LACUNA_") || name.starts_with("OTEL_")) {
            // SAFETY: the caller guarantees that no other thread is running.
            unsafe { env::remove_var(name) };
        }
    }
}

/// Raises the soft limit on open files to the hard limit, since every connection takes one.
pub fn raise_file_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // If that fails, we serve as many connections as fit.
    let _ = setrlimit(Resource::Nofile, limit);
}

/// Explains why a setting's file is unreadable: names the setting and the file and, if permission is denied,
/// the file's owner and this process's user, which easily differ in a container.
pub fn unreadable(setting: &str, path: &Path, error: &io::Error) -> String {
    let what = format!("{setting} {}: {error}", path.display());
    if error.kind() != io::ErrorKind::PermissionDenied {
        return what;
    }
    // The file, or the closest parent directory that can be examined.
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

/// Makes the C library keep freed memory for the next photo, in one arena for all threads, instead of
/// returning each large block: obtaining zeroed pages again took a fifth of the CPU time of a 1-megapixel
/// photo. What is kept is bounded by what the gate has admitted at once, and [`return_freed_memory`] returns
/// it when idle.
pub fn keep_freed_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: mallopt only sets allocator parameters and accepts any value.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
        libc::mallopt(libc::M_TRIM_THRESHOLD, libc::c_int::MAX);
        // No dedicated mappings: large photos' blocks would be unmapped one by one on free.
        libc::mallopt(libc::M_MMAP_MAX, 0);
    }
}

/// Returns freed memory to the system. Blocks other threads' allocations meanwhile: a tenth of a second for a
/// gigabyte, no time if there is nothing to return.
pub fn return_freed_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim releases only free memory and may be called at any time.
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
