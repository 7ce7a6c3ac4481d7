//! `lacuna erase`: folders of photos through the real gateway.

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::{
    helpers::{TOKEN, file},
    program::{Gateway, PROGRAM},
    samples::{decoded, disc, png, textured},
    stand_in::{FILL, StandIn, fill},
};

/// Quotas that are out of the way.
const FREE: [(&str, &str); 2] = [("LACUNA_RATE_PER_MINUTE", "600000"), ("LACUNA_RATE_BURST", "10000")];

fn gateway(triton: &StandIn, more: &[(&str, &str)]) -> Gateway {
    let url = triton.url();
    let variables: Vec<_> =
        FREE.iter().chain(more).copied().chain([("LACUNA_TRITON", url.as_str())]).collect();
    Gateway::start(&variables)
}

fn command(gateway: &Gateway, arguments: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.arg("erase").args(arguments).env_clear().env("LACUNA_TOKEN", TOKEN);
    command.env("LACUNA_SERVER", format!("http://{}", gateway.address));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn erase(gateway: &Gateway, arguments: &[&str]) -> Output {
    command(gateway, arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A folder for photos and one for results.
fn folders() -> (TempDir, PathBuf, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let (photos, out) = (folder.path().join("photos"), folder.path().join("out"));
    fs::create_dir(&photos).unwrap();
    (folder, photos, out)
}

/// The files below a folder, but for the ledger, with their content.
fn below(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).into_iter().flatten().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        if entry.path().is_dir() {
            found.extend(
                below(&entry.path()).into_iter().map(|(path, bytes)| (format!("{name}/{path}"), bytes)),
            );
        } else if name != ".lacuna-done.jsonl" {
            // One that is just being made has gone by now.
            found.extend(fs::read(entry.path()).ok().map(|bytes| (name, bytes)));
        }
    }
    found
}

/// The lines of JSON, by the photo's file name; the summary under its own name.
fn lines(output: &Output) -> BTreeMap<String, Value> {
    let name = |line: &Value| match line["photo"].as_str() {
        Some(photo) => Path::new(photo).file_name().unwrap().to_str().unwrap().to_owned(),
        None => "summary".to_owned(),
    };
    let lines = text(&output.stdout);
    let lines = lines.lines().map(|line| serde_json::from_str::<Value>(line).expect("every line is JSON"));
    lines.map(|line| (name(&line), line)).collect()
}

/// Whether a pixel of a result is the stand-in's fill; grey photos take its luma.
fn is_fill(result: &[u8], x: u32, y: u32) -> bool {
    let pixel = decoded(result).to_rgb8().get_pixel(x, y).0;
    pixel == FILL || pixel == [lacuna::picture::luma(&FILL); 3]
}

fn of(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_photos_survive_a_gateway_that_is_killed_and_started_again() {
    let triton = StandIn::answering(Duration::from_millis(40), fill).await;
    let mut running = gateway(&triton, &[]);
    let address = running.address.to_string();
    let (_folder, photos, out) = folders();
    for i in 0..200 {
        fs::write(photos.join(format!("{i:03}.png")), png(textured(i, false, 64, 48))).unwrap();
    }
    let arguments = [of(&photos), "--out", of(&out), "--bbox", "8,8,16,16", "--jobs", "4"];
    let mut erasing = command(&running, &arguments).spawn().unwrap();
    for done in [30, 90, 150] {
        let end = Instant::now() + Duration::from_mins(1);
        while below(&out).len() < done {
            assert!(Instant::now() < end && erasing.try_wait().unwrap().is_none(), "{done} are done");
            thread::sleep(Duration::from_millis(5));
        }
        drop(running);
        thread::sleep(Duration::from_millis(300));
        running = gateway(&triton, &[("LACUNA_LISTEN", &address)]);
    }
    let ended = erasing.wait_with_output().unwrap();
    assert!(ended.status.success(), "{}", text(&ended.stderr));
    assert!(text(&ended.stderr).starts_with("200 done, 0 done before, 0 failed"), "{}", text(&ended.stderr));
    let results = below(&out);
    assert_eq!(results.len(), 200, "none is lost, and nothing unfinished is left");
    for (name, result) in &results {
        assert!(is_fill(result, 16, 16), "{name}");
    }

    let times = || -> Vec<_> {
        let time = |name: &String| fs::metadata(out.join(name)).unwrap().modified().unwrap();
        results.keys().map(time).collect()
    };
    let before = times();
    let again = erase(&running, &arguments);
    assert!(text(&again.stderr).starts_with("0 done, 200 done before, 0 failed"), "{}", text(&again.stderr));
    assert_eq!((times(), below(&out)), (before, results));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_of_all_kinds_keeps_its_tree_and_a_broken_file_does_not_stop_the_rest() {
    let triton = StandIn::start().await;
    let gateway = gateway(&triton, &[]);
    let (_folder, photos, out) = folders();
    fs::create_dir_all(photos.join("deep/er")).unwrap();
    let put = |name: &str, bytes: &[u8]| fs::write(photos.join(name), bytes).unwrap();
    put("a.JPG", &file("photos/coffee.jpg"));
    put("b.png", &png(textured(1, false, 64, 48)));
    put("deep/c.webp", &file("samples/lossy.webp"));
    put("deep/er/d.heic", &file("samples/plain.heic"));
    put("broken.jpg", b"\xff\xd8\xff\xe0 and no more");
    put("large.png", &vec![0; (10 << 20) + 1]);
    put("notes.txt", b"no photo");
    put(".hidden.png", b"no photo");
    let arguments = [of(&photos), "-o", of(&out), "--bbox", "2,2,6,6", "--recursive", "--json"];
    let ended = erase(&gateway, &arguments);
    assert_eq!(ended.status.code(), Some(1), "{}", text(&ended.stderr));
    let names: Vec<_> = below(&out).into_keys().collect();
    assert_eq!(names, ["a.JPG", "b.png", "deep/c.webp", "deep/er/d.png"]);
    let told = lines(&ended);
    assert_eq!(told["a.JPG"]["status"], "done");
    assert_eq!(told["a.JPG"]["model"], "stand-in-patchmatch");
    assert_eq!(
        (told["broken.jpg"]["status"].as_str(), told["broken.jpg"]["error"].as_str()),
        (Some("failed"), Some("invalid_image"))
    );
    assert!(told["broken.jpg"]["message"].as_str().unwrap().contains("(request "));
    assert_eq!(told["large.png"]["error"], "payload_too_large");
    let summary = &told["summary"];
    assert_eq!((&summary["done"], &summary["failed"]), (&4.into(), &2.into()));
    assert_eq!(told.len(), 7);

    let flat = erase(&gateway, &[of(&photos), "-o", of(&out), "--bbox", "2,2,6,6", "--json"]);
    assert_eq!(lines(&flat)["summary"]["skipped"], 2, "without --recursive, what lies deeper is left alone");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_done_is_known_by_content_and_settings_and_foreign_files_are_safe() {
    let triton = StandIn::start().await;
    let gateway = gateway(&triton, &[]);
    let (_folder, photos, out) = folders();
    let photo = photos.join("a.png");
    fs::write(&photo, png(textured(1, false, 64, 48))).unwrap();
    let run = |more: &[&str]| {
        let arguments = [&[of(&photos), "-o", of(&out), "--json"], more].concat();
        let ended = erase(&gateway, &arguments);
        lines(&ended)["a.png"]["status"].as_str().unwrap().to_owned()
    };
    let first = ["--bbox", "8,8,16,16"];
    assert_eq!(run(&[&first[..], &["--dry-run"]].concat()), "planned");
    assert!(!out.exists(), "a dry run makes nothing");
    assert_eq!(run(&first), "done");
    assert_eq!(run(&first), "skipped");
    assert_eq!(run(&[&first[..], &["--overwrite"]].concat()), "done");
    assert_eq!(run(&["--bbox", "8,8,16,17"]), "done", "another box");
    assert_eq!(run(&["--bbox", "8,8,16,17", "--dilation", "3"]), "done", "another dilation");
    fs::write(&photo, png(textured(2, false, 64, 48))).unwrap();
    assert_eq!(run(&["--bbox", "8,8,16,17", "--dilation", "3"]), "done", "another photo of that name");
    let mask = photos.join("../mask.png");
    fs::write(&mask, png(disc(64, 48, (30, 20), 5))).unwrap();
    assert_eq!(run(&["--mask", of(&mask)]), "done");
    assert_eq!(run(&["--mask", of(&mask)]), "skipped");
    fs::write(&mask, png(disc(64, 48, (30, 20), 6))).unwrap();
    assert_eq!(run(&["--mask", of(&mask)]), "done", "another mask of that name");

    fs::write(out.join("a.png"), b"mine").unwrap();
    assert_eq!(run(&["--mask", of(&mask)]), "failed");
    assert_eq!(fs::read(out.join("a.png")).unwrap(), b"mine");
    assert_eq!(run(&["--mask", of(&mask), "--overwrite"]), "done");
}

#[tokio::test(flavor = "multi_thread")]
async fn originals_are_never_written_over() {
    let triton = StandIn::start().await;
    let gateway = gateway(&triton, &[]);
    let (folder, photos, out) = folders();
    fs::write(photos.join("a.png"), png(textured(1, false, 64, 48))).unwrap();
    fs::write(photos.join("b.png"), png(textured(2, false, 64, 48))).unwrap();
    let before = below(&photos);
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(&photos, &link).unwrap();
    for place in [&photos, &link] {
        let ended = erase(&gateway, &[of(&photos), "-o", of(place), "--subject", "--overwrite"]);
        assert_eq!(ended.status.code(), Some(1));
        assert!(text(&ended.stderr).contains("take the place of an original"), "{}", text(&ended.stderr));
        assert_eq!(below(&photos), before);
    }
    // Two photos of one name, and a photo of one name with a result of another format.
    fs::create_dir(photos.join("more")).unwrap();
    fs::write(photos.join("more/a.png"), png(textured(3, false, 64, 48))).unwrap();
    let (one, other) = (photos.join("a.png"), photos.join("more/a.png"));
    let ended = erase(&gateway, &[of(&one), of(&other), "-o", of(&out), "--subject"]);
    assert!(text(&ended.stderr).contains("take the place of that of"), "{}", text(&ended.stderr));
    assert_eq!(below(&out).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_photo_has_its_mask_by_name() {
    let triton = StandIn::start().await;
    let gateway = gateway(&triton, &[]);
    let (folder, photos, out) = folders();
    let masks = folder.path().join("masks");
    fs::create_dir_all(masks.join("deep")).unwrap();
    fs::create_dir(photos.join("deep")).unwrap();
    for (name, at) in [("a", (16, 16)), ("deep/b", (40, 30))] {
        fs::write(photos.join(format!("{name}.png")), png(textured(1, false, 64, 48))).unwrap();
        fs::write(masks.join(format!("{name}.png")), png(disc(64, 48, at, 4))).unwrap();
    }
    fs::write(photos.join("c.png"), png(textured(1, false, 64, 48))).unwrap();
    let arguments = [of(&photos), "-r", "-o", of(&out), "--masks", of(&masks), "--dilation", "0"];
    let ended = erase(&gateway, &arguments);
    assert_eq!(ended.status.code(), Some(1));
    assert!(text(&ended.stderr).contains("c.png: no mask for it in"), "{}", text(&ended.stderr));
    let results = below(&out);
    assert_eq!(results.len(), 2);
    let filled = |name: &str, x, y| is_fill(&results[name], x, y);
    assert!(filled("a.png", 16, 16) && filled("deep/b.png", 40, 30));
    assert!(!filled("a.png", 40, 30) && !filled("deep/b.png", 16, 16));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_cannot_be_written_and_a_service_that_is_not_there_are_said_plainly() {
    let triton = StandIn::start().await;
    let running = gateway(&triton, &[]);
    let (folder, photos, out) = folders();
    fs::write(photos.join("a.png"), png(textured(1, false, 64, 48))).unwrap();
    // Not by its permissions: root may write everywhere.
    fs::write(&out, b"a file where the folder should be").unwrap();
    let ended = erase(&running, &[of(&photos), "-o", of(&out), "--subject"]);
    assert_eq!(ended.status.code(), Some(1));
    assert!(text(&ended.stderr).contains(of(&out)), "{}", text(&ended.stderr));
    if !rustix::process::geteuid().is_root() {
        let closed = folder.path().join("closed");
        fs::create_dir(&closed).unwrap();
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o555)).unwrap();
        let ended = erase(&running, &[of(&photos), "-o", of(&closed), "--subject"]);
        assert!(text(&ended.stderr).contains("Permission denied"), "{}", text(&ended.stderr));
    }
    let there = folder.path().join("there");
    let wrong = command(&running, &[of(&photos), "-o", of(&there), "--subject"])
        .env("LACUNA_TOKEN", "wrong")
        .output()
        .unwrap();
    assert_eq!(wrong.status.code(), Some(1));
    assert!(text(&wrong.stderr).contains("Missing or invalid token."), "{}", text(&wrong.stderr));
    let gone = command(&running, &[of(&photos), "-o", of(&there), "--subject", "--patience", "1"])
        .env("LACUNA_SERVER", "http://127.0.0.1:1")
        .output()
        .unwrap();
    assert_eq!(gone.status.code(), Some(1));
    assert!(
        text(&gone.stderr).contains("the service cannot be reached: Connection refused"),
        "{}",
        text(&gone.stderr)
    );
    assert!(below(&there).is_empty());
    let none = command(&running, &[of(&photos), "-o", of(&there), "--subject"])
        .env_remove("LACUNA_TOKEN")
        .output()
        .unwrap();
    assert!(text(&none.stderr).contains("set LACUNA_TOKEN"), "{}", text(&none.stderr));
    let nothing = erase(&running, &["/nowhere", "-o", of(&there), "--subject"]);
    assert!(text(&nothing.stderr).contains("/nowhere: No such file"), "{}", text(&nothing.stderr));
    let two = erase(&running, &[of(&photos), "-o", of(&there), "--subject", "--bbox", "1,2,3,4"]);
    assert!(text(&two.stderr).contains("cannot be used with"), "{}", text(&two.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_time_that_a_quota_names_is_waited_for() {
    let triton = StandIn::start().await;
    let gateway = gateway(&triton, &[("LACUNA_RATE_PER_MINUTE", "60"), ("LACUNA_RATE_BURST", "2")]);
    let (_folder, photos, out) = folders();
    for i in 0..5 {
        fs::write(photos.join(format!("{i}.png")), png(textured(i, false, 64, 48))).unwrap();
    }
    let begun = Instant::now();
    let ended = erase(&gateway, &[of(&photos), "-o", of(&out), "--bbox", "8,8,9,9", "--jobs", "3"]);
    assert!(ended.status.success(), "{}", text(&ended.stderr));
    assert_eq!(below(&out).len(), 5);
    assert!(begun.elapsed() > Duration::from_secs(2), "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_photo_goes_through_standard_input_and_output() {
    let triton = StandIn::start().await;
    let gateway = gateway(&triton, &[]);
    let mut erasing = command(&gateway, &["-", "--bbox", "8,8,16,16"]).stdin(Stdio::piped()).spawn().unwrap();
    erasing.stdin.take().unwrap().write_all(&png(textured(1, false, 64, 48))).unwrap();
    let ended = erasing.wait_with_output().unwrap();
    assert!(ended.status.success() && ended.stderr.is_empty(), "{}", text(&ended.stderr));
    assert!(is_fill(&ended.stdout, 16, 16));
    let with_out = erase(&gateway, &["-", "--bbox", "8,8,16,16", "--out", "/tmp"]);
    assert!(text(&with_out.stderr).contains("- stands alone"), "{}", text(&with_out.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_leaves_nothing_half_written_and_the_rest_is_done_later() {
    let triton = StandIn::answering(Duration::from_millis(150), fill).await;
    let gateway = gateway(&triton, &[]);
    let (_folder, photos, out) = folders();
    for i in 0..30 {
        fs::write(photos.join(format!("{i:02}.png")), png(textured(i, false, 64, 48))).unwrap();
    }
    let arguments = [of(&photos), "-o", of(&out), "--bbox", "8,8,16,16"];
    let mut erasing = command(&gateway, &arguments).spawn().unwrap();
    while below(&out).len() < 3 {
        assert!(erasing.try_wait().unwrap().is_none());
        thread::sleep(Duration::from_millis(5));
    }
    assert!(Command::new("kill").args(["-INT", &erasing.id().to_string()]).status().unwrap().success());
    let ended = erasing.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(130), "{}", text(&ended.stderr));
    let results = below(&out);
    assert!(results.len() >= 3 && results.len() < 30, "{}", results.len());
    for (name, result) in &results {
        assert!(!name.starts_with('.'), "{name}");
        assert_eq!(decoded(result).width(), 64, "{name}");
    }
    let rest = erase(&gateway, &arguments);
    let done = format!("{} done, {} done before, 0 failed", 30 - results.len(), results.len());
    assert!(text(&rest.stderr).starts_with(&done), "{}", text(&rest.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watched_folder_is_followed_until_ctrl_c() {
    let triton = StandIn::start().await;
    let gateway = gateway(&triton, &[]);
    let (_folder, photos, out) = folders();
    fs::write(photos.join("a.png"), png(textured(1, false, 64, 48))).unwrap();
    let mut erasing =
        command(&gateway, &[of(&photos), "-o", of(&out), "--bbox", "8,8,16,16", "--watch"]).spawn().unwrap();
    let until = |names: &[&str]| {
        let end = Instant::now() + Duration::from_secs(30);
        while below(&out).keys().collect::<Vec<_>>() != names {
            assert!(Instant::now() < end, "{names:?} are there");
            thread::sleep(Duration::from_millis(50));
        }
    };
    until(&["a.png"]);
    fs::write(photos.join("b.png"), png(textured(2, false, 64, 48))).unwrap();
    until(&["a.png", "b.png"]);
    assert!(erasing.try_wait().unwrap().is_none());
    Command::new("kill").args(["-INT", &erasing.id().to_string()]).status().unwrap();
    assert_eq!(erasing.wait().unwrap().code(), Some(130));
}

#[test]
fn shells_get_completions_and_people_a_manual() {
    for (arguments, words) in [
        (&["completions", "bash"][..], "--masks"),
        (&["completions", "zsh"], "--masks"),
        (&["man"], ".TH"),
        (&["man"], "Pixels by which to grow the region"),
    ] {
        let made = Command::new(PROGRAM).args(arguments).env_clear().output().unwrap();
        assert!(made.status.success() && text(&made.stdout).contains(words), "{arguments:?}");
    }
}
