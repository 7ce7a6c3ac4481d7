//! Finds the photos and their masks, and decides where results go.

use std::{
    collections::{HashMap, HashSet},
    fs,
    io::Read,
    path::{Path, PathBuf},
};

use walkdir::WalkDir;

use super::{Erase, Format};

/// Name prefix of temporary files. Its dot hides them from the search for photos.
pub const UNFINISHED: &str = ".lacuna-";

/// Extensions that mark a photo when searching a folder.
const PHOTOS: [&str; 6] = ["jpg", "jpeg", "png", "webp", "heic", "heif"];
/// Extensions tried for a mask, in this order.
const MASKS: [&str; 6] = ["png", "jpg", "jpeg", "webp", "heic", "heif"];

/// A photo to process.
#[derive(Clone, Debug)]
pub struct Job {
    /// Path of the photo.
    pub photo: PathBuf,
    /// Path of its mask, whether its own or shared.
    pub mask: Option<PathBuf>,
    /// Path of the result.
    pub out: PathBuf,
    /// Path of the result relative to the folder of results.
    pub name: String,
    /// Format of the result.
    pub format: Written,
    /// Why it cannot be processed, if so.
    pub problem: Option<String>,
}

/// The format of a result once [`Format::Own`] is resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// PNG.
    Png,
    /// WebP.
    WebP,
    /// JPEG.
    Jpeg,
}

impl Written {
    /// Resolves the requested format for a photo that starts with these bytes (12 suffice).
    pub fn of(asked: Format, begins: &[u8]) -> Self {
        match asked {
            Format::Webp => Self::WebP,
            Format::Jpg => Self::Jpeg,
            Format::Own if begins.starts_with(&[0xff, 0xd8, 0xff]) => Self::Jpeg,
            Format::Own if begins.starts_with(b"RIFF") && begins.get(8..12) == Some(b"WEBP") => Self::WebP,
            Format::Png | Format::Own => Self::Png,
        }
    }

    /// Value of the API's `format` field.
    pub fn field(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::WebP => "webp",
            Self::Jpeg => "jpg",
        }
    }

    /// A photo's name with this format's extension; kept if it already fits, as in `a.JPEG`.
    fn name(self, photo: &Path) -> PathBuf {
        let ending = photo.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        let own = match self {
            Self::Jpeg => ["jpg", "jpeg"].iter().any(|one| ending.eq_ignore_ascii_case(one)),
            other => ending.eq_ignore_ascii_case(other.field()),
        };
        if own { photo.to_owned() } else { photo.with_extension(self.field()) }
    }
}

/// Lists all photos in the order of the paths, including those that cannot be processed.
///
/// # Errors
/// A message if a path is missing or unreadable.
pub fn jobs(asked: &Erase, out: &Path) -> Result<Vec<Job>, String> {
    let place = out.canonicalize().ok();
    let mut found = Vec::new();
    for path in &asked.paths {
        let kind = fs::metadata(path).map_err(|error| format!("{}: {error}", path.display()))?;
        if kind.is_dir() {
            below(path, asked.recursive, place.as_deref(), &mut found)?;
        } else {
            let name = path.file_name().ok_or_else(|| format!("{}: no file", path.display()))?;
            found.push((path.clone(), PathBuf::from(name)));
        }
    }
    let mut jobs: Vec<_> = found.into_iter().map(|(photo, name)| job(asked, out, photo, &name)).collect();
    refuse_clashes(&mut jobs);
    Ok(jobs)
}

/// Finds the photos in a folder, with their paths relative to it. Skips the folder of results.
fn below(
    folder: &Path,
    recursive: bool,
    out: Option<&Path>,
    found: &mut Vec<(PathBuf, PathBuf)>,
) -> Result<(), String> {
    let depth = if recursive { usize::MAX } else { 1 };
    let is_out = |path: &Path| out.is_some() && path.canonicalize().ok().as_deref() == out;
    let entries = WalkDir::new(folder)
        .max_depth(depth)
        .sort_by_file_name()
        .into_iter()
        .filter_entry(|entry| entry.depth() == 0 || !is_out(entry.path()));
    for entry in entries {
        let entry = entry.map_err(|error| error.to_string())?;
        let path = entry.path();
        let photo = path
            .extension()
            .and_then(|ending| ending.to_str())
            .is_some_and(|ending| PHOTOS.iter().any(|known| ending.eq_ignore_ascii_case(known)));
        let hidden = entry.file_name().to_str().is_some_and(|name| name.starts_with('.'));
        if path.is_file() && photo && !hidden {
            let name = path.strip_prefix(folder).map_err(|error| error.to_string())?;
            found.push((path.to_owned(), name.to_owned()));
        }
    }
    Ok(())
}

fn job(asked: &Erase, out: &Path, photo: PathBuf, name: &Path) -> Job {
    let mut problem = None;
    let mut begins = Vec::new();
    let opened = fs::File::open(&photo).and_then(|file| file.take(16).read_to_end(&mut begins));
    if let Err(error) = opened {
        problem = Some(format!("{}: {error}", photo.display()));
    }
    let format = Written::of(asked.format, &begins);
    let mask = match &asked.masks {
        None => asked.mask.clone(),
        Some(masks) => {
            let own = MASKS.iter().map(|ending| masks.join(name).with_extension(ending));
            let own = own.into_iter().find(|mask| mask.is_file());
            if own.is_none() {
                problem = Some(format!("no mask for it in {}", masks.display()));
            }
            own
        }
    };
    let name = format.name(name);
    Job { photo, mask, out: out.join(&name), name: name.to_string_lossy().into_owned(), format, problem }
}

/// Refuses photos whose result would overwrite an original or another photo's result.
fn refuse_clashes(jobs: &mut [Job]) {
    let originals: Vec<_> =
        jobs.iter().flat_map(|job| [Some(&job.photo), job.mask.as_ref()]).flatten().collect();
    let originals: HashSet<PathBuf> = originals.iter().filter_map(|path| path.canonicalize().ok()).collect();
    let mut taken: HashMap<PathBuf, PathBuf> = HashMap::new();
    for job in jobs {
        let place = job.out.canonicalize().unwrap_or_else(|_| job.out.clone());
        if originals.contains(&place) {
            job.problem =
                Some("its result would take the place of an original; choose another --out".to_owned());
        } else if let Some(other) = taken.insert(job.out.clone(), job.photo.clone()) {
            job.problem = Some(format!("its result would take the place of that of {}", other.display()));
            taken.insert(job.out.clone(), other);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_keeps_its_photos_name_as_far_as_its_format_allows() {
        let cases = [
            (Written::Jpeg, "a/b.JPEG", "a/b.JPEG"),
            (Written::Jpeg, "b.png", "b.jpg"),
            (Written::Png, "b.heic", "b.png"),
            (Written::Png, "b.PNG", "b.PNG"),
            (Written::WebP, "b.tar.webp", "b.tar.webp"),
        ];
        for (format, photo, name) in cases {
            assert_eq!(format.name(Path::new(photo)), Path::new(name));
        }
    }
}
