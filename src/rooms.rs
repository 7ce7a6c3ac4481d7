//! Tests that read the sources and enforce what each top-level module (a room) may name.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The Rust files below a folder, with their text up to the unit tests and without comment lines.
fn sources(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
            let code = code.lines().filter(|line| !line.trim_start().starts_with("//"));
            found.push((path, code.collect::<Vec<_>>().join("\n")));
        }
    }
    found
}

/// The gateway's files: top-level module, path and text.
fn rooms() -> Vec<(String, PathBuf, String)> {
    let src = root().join("src");
    let files = sources(&src).into_iter().filter(|(path, _)| !path.ends_with("rooms.rs"));
    files
        .map(|(path, text)| {
            let first = path.strip_prefix(&src).unwrap().components().next().unwrap();
            let room = Path::new(first.as_os_str()).file_stem().unwrap().to_str().unwrap().to_owned();
            (room, path, text)
        })
        .collect()
}

fn names(text: &str, word: &str) -> bool {
    let apart = |character: char| !character.is_alphanumeric() && character != '_';
    text.split(apart).any(|found| found == word)
}

/// The modules below `place` that a text names: for `crate::`, both `crate::name` and
/// `use crate::{name, name::…}`.
fn imports(text: &str, place: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (at, _) in text.match_indices(place) {
        let rest = &text[at + place.len()..];
        if at > 0 && text[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_') {
            continue;
        }
        let Some(group) = rest.strip_prefix('{') else {
            let end = rest.find(|character: char| !character.is_alphanumeric() && character != '_');
            found.insert(rest[..end.unwrap_or(rest.len())].to_owned());
            continue;
        };
        let (mut depth, mut name) = (0, String::new());
        for character in group.chars() {
            match character {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => drop(found.insert(std::mem::take(&mut name))),
                _ if depth == 0 => name.push(character),
                _ => {}
            }
        }
        found.insert(name);
    }
    let first = |name: &String| name.split("::").next().unwrap_or_default().trim().to_owned();
    found.iter().map(first).filter(|name| !name.is_empty()).collect()
}

#[test]
fn only_http_names_warp() {
    for (room, path, text) in rooms() {
        assert!(room == "http" || !names(&text, "warp"), "{}", path.display());
    }
}

#[test]
fn only_triton_and_the_traces_name_the_protocol() {
    for (room, path, text) in rooms() {
        assert!(matches!(&*room, "triton" | "telemetry") || !names(&text, "tonic"), "{}", path.display());
    }
}

#[test]
fn the_folder_command_knows_no_other_room() {
    let files: Vec<_> = rooms().into_iter().filter(|(room, ..)| room == "erase").collect();
    assert!(files.len() > 3);
    for (_, path, text) in files {
        let others: Vec<_> = imports(&text, "crate::").into_iter().filter(|other| other != "erase").collect();
        assert!(others.is_empty(), "{others:?} in {}", path.display());
    }
}

#[test]
fn crates_know_pixels_alone() {
    for (path, text) in sources(&root().join("crates")) {
        for word in ["warp", "hyper", "tonic", "lacuna"] {
            // The Triton backend is named after the project.
            let own = word == "lacuna" && path.components().any(|part| part.as_os_str() == "triton-backend");
            assert!(own || !names(&text, word), "{word} in {}", path.display());
        }
    }
}

/// Removes modules that import nothing left over, until none remain; panics if a cycle stops that.
fn assert_no_circle(mut below: BTreeMap<String, BTreeSet<String>>) {
    while !below.is_empty() {
        let free = |name: &&String| below[*name].iter().all(|other| !below.contains_key(other));
        let Some(lowest) = below.keys().find(free).cloned() else {
            panic!("a circle among {below:#?}");
        };
        below.remove(&lowest);
    }
}

#[test]
fn no_rooms_import_each_other_in_a_circle() {
    let mut below: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (room, _, text) in rooms() {
        let others = imports(&text, "crate::").into_iter().filter(|other| *other != room);
        below.entry(room.clone()).or_default().extend(others);
    }
    assert!(below["inpaint"].contains("picture"), "imports are read: {below:?}");
    assert_no_circle(below);
}

#[test]
fn no_modules_of_a_room_import_each_other_in_a_circle() {
    let mut folders: BTreeMap<PathBuf, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
    for (_, path, text) in rooms() {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        folders.entry(path.with_file_name("")).or_default().insert(name, imports(&text, "super::"));
    }
    folders.remove(&root().join("src/"));
    let http = &folders[&root().join("src/http/")];
    assert!(http["auth"].contains("limit"), "imports are read: {http:?}");
    folders.into_values().for_each(assert_no_circle);
}
