//! What is done already: a file beside the results that says what each was made of.

use std::{
    collections::HashMap,
    fs::{self, File, OpenOptions},
    io::Write,
    path::Path,
    sync::Mutex,
};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Its name, in the folder of results.
const NAME: &str = ".lacuna-done.jsonl";

/// What is known of a result.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Entry {
    /// The result's path below the folder.
    name: String,
    /// What it was made of, as one SHA-256.
    key: String,
    /// The SHA-256 of the result.
    result: String,
}

/// The results of a folder. Only ever added to, a line at a time: what a sudden end leaves half a line of is done again.
#[derive(Debug)]
pub struct Ledger {
    entries: Mutex<HashMap<String, Entry>>,
    file: Mutex<Option<File>>,
}

/// What stands where a result would go.
#[derive(Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing.
    Missing,
    /// The same result.
    Same,
    /// A result from here, of another photo or with other settings.
    Ours,
    /// A file that did not come from here, or was changed since.
    Foreign,
}

impl Ledger {
    /// What the folder's file says; nothing, where there is none.
    pub fn read(out: &Path) -> Self {
        let text = fs::read_to_string(out.join(NAME)).unwrap_or_default();
        let entries = text.lines().filter_map(|line| serde_json::from_str::<Entry>(line).ok());
        let entries = entries.map(|entry| (entry.name.clone(), entry)).collect();
        Self { entries: Mutex::new(entries), file: Mutex::new(None) }
    }

    /// The same, to be added to; makes the folder.
    ///
    /// # Errors
    /// A message where the folder cannot be written to.
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

    /// What stands in the place of the result `name`, which would be made of `key`.
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

    /// Notes that a result was written.
    ///
    /// # Errors
    /// Where the note cannot be written.
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

/// Bytes in hexadecimal.
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
