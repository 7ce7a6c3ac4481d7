//! Remembers what is done, in a file beside the results that records what each was made from.

use std::{
    collections::HashMap,
    fs::{self, File, OpenOptions},
    io::Write,
    path::Path,
    sync::Mutex,
};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The ledger's name in the folder of results.
const NAME: &str = ".lacuna-done.jsonl";

/// One line of the ledger.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Entry {
    /// The result's path, relative to the folder.
    name: String,
    /// SHA-256 of everything it was made from.
    key: String,
    /// SHA-256 of the result, to detect later changes to it.
    result: String,
}

/// The ledger of a folder. Append-only: if a crash cuts a line short, that photo is redone.
#[derive(Debug)]
pub struct Ledger {
    entries: Mutex<HashMap<String, Entry>>,
    file: Mutex<Option<File>>,
}

/// What is at the path of a result.
#[derive(Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing.
    Missing,
    /// The result, up to date.
    Same,
    /// Our result for another version of the photo or other settings.
    Ours,
    /// A file that we did not write, or that was changed since.
    Foreign,
}

impl Ledger {
    /// Loads the ledger without creating one; empty if there is none.
    pub fn read(out: &Path) -> Self {
        let text = fs::read_to_string(out.join(NAME)).unwrap_or_default();
        let entries = text.lines().filter_map(|line| serde_json::from_str::<Entry>(line).ok());
        let entries = entries.map(|entry| (entry.name.clone(), entry)).collect();
        Self { entries: Mutex::new(entries), file: Mutex::new(None) }
    }

    /// Loads the ledger for appending, creating it and the folder if needed.
    ///
    /// # Errors
    /// A message if the folder is not writable.
    pub fn open(out: &Path) -> Result<Self, String> {
        let open = || {
            fs::create_dir_all(out)?;
            let whole =
                fs::read(out.join(NAME)).map_or(true, |text| text.is_empty() || text.ends_with(b"\n"));
            let mut file = OpenOptions::new().create(true).append(true).open(out.join(NAME))?;
            if !whole {
                file.write_all(b"\n")?;
            }
            Ok(file)
        };
        let file = open().map_err(|error: std::io::Error| format!("{}: {error}", out.display()))?;
        Ok(Self { file: Mutex::new(Some(file)), ..Self::read(out) })
    }

    /// Compares the file at `path` with the entry for `name`; `key` identifies what it should be made from.
    pub fn state(&self, name: &str, path: &Path, key: &str) -> State {
        let Ok(present) = fs::read(path) else {
            return if path.exists() { State::Foreign } else { State::Missing };
        };
        let entries = self.entries.lock().expect("nobody panics with it. This is a bug.");
        match entries.get(name) {
            Some(entry) if entry.result == hex(&Sha256::digest(&present)) => match entry.key == key {
                true => State::Same,
                false => State::Ours,
            },
            _ => State::Foreign,
        }
    }

    /// Records a result that was written.
    ///
    /// # Errors
    /// If the line cannot be appended.
    pub fn add(&self, name: &str, key: &str, result: &[u8]) -> std::io::Result<()> {
        let result = hex(&Sha256::digest(result));
        let entry = Entry { name: name.to_owned(), key: key.to_owned(), result };
        let mut line = serde_json::to_vec(&entry)?;
        line.push(b'\n');
        if let Some(file) = self.file.lock().expect("nobody panics with it. This is a bug.").as_mut() {
            file.write_all(&line)?;
        }
        self.entries.lock().expect("nobody panics with it. This is a bug.").insert(entry.name.clone(), entry);
        Ok(())
    }
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_done_is_known_by_content_and_settings_and_survives_a_sudden_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        let ledger = Ledger::open(folder.path()).unwrap();
        assert_eq!(ledger.state("a.png", &path, "k"), State::Missing);
        fs::write(&path, b"result").unwrap();
        assert_eq!(ledger.state("a.png", &path, "k"), State::Foreign);
        ledger.add("a.png", "k", b"result").unwrap();
        let mut file = OpenOptions::new().append(true).open(folder.path().join(NAME)).unwrap();
        file.write_all(b"{\"name\":\"b.p").unwrap();

        let ledger = Ledger::open(folder.path()).unwrap();
        ledger.add("c.png", "k", b"other").unwrap();
        let ledger = Ledger::read(folder.path());
        assert_eq!(ledger.state("a.png", &path, "k"), State::Same);
        assert_eq!(ledger.state("a.png", &path, "other"), State::Ours);
        fs::write(folder.path().join("c.png"), b"other").unwrap();
        assert_eq!(ledger.state("c.png", &folder.path().join("c.png"), "k"), State::Same);
        fs::write(&path, b"edited").unwrap();
        assert_eq!(ledger.state("a.png", &path, "k"), State::Foreign);
    }
}
