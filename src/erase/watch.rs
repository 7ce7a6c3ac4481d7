//! Watches folders by polling, which works on every file system, including network shares.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

/// Polling interval.
pub const LOOK: Duration = Duration::from_secs(2);

type Stamp = (u64, Option<SystemTime>);

/// The last stamp (size and modification time) of each file, and whether the file was processed with it.
#[derive(Default)]
pub struct Watch {
    seen: HashMap<PathBuf, (Stamp, bool)>,
}

impl Watch {
    /// Whether to process a file: its stamp has not changed since the last poll, so it is no longer being
    /// written, and it has not been processed with that stamp.
    pub fn settled(&mut self, path: &Path) -> bool {
        let Ok(metadata) = fs::metadata(path) else { return false };
        let stamp = (metadata.len(), metadata.modified().ok());
        let (before, taken) = self.seen.get(path).copied().unwrap_or(((0, None), false));
        let same = before == stamp;
        self.seen.insert(path.to_owned(), (stamp, same));
        same && !taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_taken_once_it_has_settled_and_again_when_it_has_changed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jpg");
        let mut watch = Watch::default();
        assert!(!watch.settled(&path));
        fs::write(&path, b"half").unwrap();
        assert!(!watch.settled(&path));
        fs::write(&path, b"half and the rest").unwrap();
        assert!(!watch.settled(&path));
        assert!(watch.settled(&path));
        assert!(!watch.settled(&path));
        fs::write(&path, b"another").unwrap();
        assert!(!watch.settled(&path));
        assert!(watch.settled(&path));
    }
}
