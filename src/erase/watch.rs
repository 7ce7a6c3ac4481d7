//! Watching folders by looking at them: that works on every file system, also over a network.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

/// How often is looked.
pub const LOOK: Duration = Duration::from_secs(2);

type Stamp = (u64, Option<SystemTime>);

/// What was seen of each file when it was looked at last, and whether it was taken then.
#[derive(Default)]
pub struct Watch {
    seen: HashMap<PathBuf, (Stamp, bool)>,
}

impl Watch {
    /// Whether a file is to be taken: it is as it was when it was looked at before, so that nobody writes it any more,
    /// and was not taken as it is.
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
