//! `lacuna erase`: sends a folder of photos through the API, as any other client would.

mod ledger;
mod plan;
mod report;
mod service;
mod watch;

use std::{
    fs,
    io::{Read, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use clap::{Args, ValueEnum};
use sha2::{Digest, Sha256};
use tokio::{sync::Semaphore, task::JoinSet};

use ledger::Ledger;
use plan::Job;
use report::{Outcome, Report};
use service::{Failure, Region, Server};

/// Largest photo that any gateway can be configured to accept, in bytes; each enforces its own limit.
const MAX_BYTES: u64 = 100 << 20;

/// Exit status after Ctrl-C, by shell convention (128 + SIGINT).
const INTERRUPTED: u8 = 130;

/// The arguments of `lacuna erase`. The comments of its fields are the help text.
#[derive(Args, Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
#[command(group = clap::ArgGroup::new("what").required(true))]
pub struct Erase {
    /// Photos and folders of photos; - reads standard input and writes the result to standard output
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,

    /// Folder for the results; must not be that of the originals
    #[arg(short, long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// One mask for all photos; white is erased
    #[arg(long, value_name = "FILE", group = "what")]
    mask: Option<PathBuf>,

    /// A folder of masks named after their photos (any extension)
    #[arg(long, value_name = "DIR", group = "what")]
    masks: Option<PathBuf>,

    /// One box for all photos, in pixels from the top left corner
    #[arg(long, value_name = "X,Y,W,H", group = "what", allow_hyphen_values = true, value_parser = service::parse_box)]
    bbox: Option<[i64; 4]>,

    /// Erase the subject of each photo
    #[arg(long, group = "what")]
    subject: bool,

    /// Pixels by which to grow the region on all sides
    #[arg(long, value_name = "0..32", default_value_t = 8, value_parser = clap::value_parser!(u32).range(0..=32))]
    dilation: u32,

    /// Format of the results
    #[arg(long, value_enum, default_value_t = Format::Own)]
    format: Format,

    /// URL of the service
    #[arg(long, value_name = "URL", env = "LACUNA_SERVER", default_value = "http://127.0.0.1:8080")]
    server: String,

    /// The token; prefer the variable, since other users of the machine can see arguments
    #[arg(long, env = "LACUNA_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    token: Option<String>,

    /// Photos to send at once
    #[arg(short, long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=64))]
    jobs: u16,

    /// Search folders recursively and keep their structure
    #[arg(short, long)]
    recursive: bool,

    /// Keep running and process new or changed photos until Ctrl-C
    #[arg(long)]
    watch: bool,

    /// Show what would be done without doing it
    #[arg(short = 'n', long)]
    dry_run: bool,

    /// Redo finished photos, and replace files that lacuna did not write
    #[arg(long)]
    overwrite: bool,

    /// Seconds to keep retrying a photo while the service is unreachable or busy
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    patience: u64,

    /// Print a line of JSON for each photo to standard output, and a summary at the end
    #[arg(long)]
    json: bool,
}

/// Output formats, with the help text of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// The photo's own; PNG for HEIC
    Own,
    /// Lossless, keeps the photo's bit depth
    Png,
    /// Lossless, 8 bits per sample
    Webp,
    /// Lossy; in a JPEG photo, whatever the region does not touch is kept exactly
    Jpg,
}

/// Runs the command. The exit status is 1 if any photo failed and 130 after Ctrl-C.
///
/// # Errors
/// A message if the run cannot start or must be aborted, for instance because the token is not accepted.
pub async fn run(asked: Erase) -> Result<ExitCode, String> {
    let token = asked.token.clone().ok_or("no token: set LACUNA_TOKEN")?;
    let server = Server::new(&asked.server, &token, Duration::from_secs(asked.patience))?;
    if asked.paths.iter().any(|path| path == Path::new("-")) {
        return through_pipe(&asked, &server).await;
    }
    let out = asked.out.clone().ok_or("--out DIR is needed: where the results go")?;
    let interrupted = tokio::signal::ctrl_c();
    let server = Arc::new(server);
    tokio::select! {
        // Polled first, so that nothing new is started after Ctrl-C.
        biased;
        _ = interrupted => {
            eprintln!("lacuna: interrupted; what is done is done, and the rest is as it was");
            Ok(ExitCode::from(INTERRUPTED))
        }
        done = all(&asked, &out, &server) => done,
    }
}

/// Processes all photos, and with `--watch` those that appear later.
async fn all(asked: &Erase, out: &Path, server: &Arc<Server>) -> Result<ExitCode, String> {
    let mut report = Report::new(asked.json);
    let mut watch = asked.watch.then(watch::Watch::default);
    loop {
        let mut jobs = plan::jobs(asked, out)?;
        if let Some(watch) = &mut watch {
            // A photo whose mask is missing waits for it.
            jobs.retain(|job| job.problem.is_none() && watch.settled(&job.photo));
        }
        if asked.dry_run {
            // A dry run must not even create the folder.
            let ledger = Ledger::read(out);
            jobs.into_iter().for_each(|job| report.tell(&job, &preview(asked, &job, &ledger)));
            return Ok(report.finish());
        }
        let ledger = Arc::new(Ledger::open(out)?);
        report.begin(jobs.len());
        erase_all(asked, jobs, server, &ledger, &mut report).await?;
        if watch.is_none() {
            return Ok(report.finish());
        }
        tokio::time::sleep(watch::LOOK).await;
    }
}

async fn erase_all(
    asked: &Erase,
    jobs: Vec<Job>,
    server: &Arc<Server>,
    ledger: &Arc<Ledger>,
    report: &mut Report,
) -> Result<(), String> {
    let places = Arc::new(Semaphore::new(asked.jobs.into()));
    // Dropping it on Ctrl-C aborts the requests in flight.
    let mut under_way = JoinSet::new();
    for job in jobs {
        let place = Arc::clone(&places).acquire_owned().await.map_err(|error| error.to_string())?;
        while let Some(done) = under_way.try_join_next() {
            take(done, report)?;
        }
        report.at(&job);
        let (asked, server, ledger) = (asked.clone(), Arc::clone(server), Arc::clone(ledger));
        under_way.spawn(async move {
            let _place = place;
            let outcome = erase(&asked, &job, &server, &ledger).await;
            (job, outcome)
        });
    }
    while let Some(done) = under_way.join_next().await {
        take(done, report)?;
    }
    Ok(())
}

fn take(done: Result<(Job, Outcome), tokio::task::JoinError>, report: &mut Report) -> Result<(), String> {
    let (job, outcome) = done.map_err(|error| error.to_string())?;
    report.tell(&job, &outcome);
    match outcome {
        Outcome::Failed(Failure { fatal: true, message, .. }) => Err(message),
        _ => Ok(()),
    }
}

/// What to send for a photo, and the key of its result.
struct Work {
    photo: Vec<u8>,
    region: Region,
    /// SHA-256 of everything the result depends on: settings, mask and photo.
    key: String,
}

/// Reads a file of at most [`MAX_BYTES`].
fn file(path: &Path) -> Result<Vec<u8>, Failure> {
    let of = |error: std::io::Error| Failure::of(format!("{}: {error}", path.display()));
    if fs::metadata(path).map_err(of)?.len() > MAX_BYTES {
        return Err(Failure::of(format!(
            "{}: larger than the 100 MiB that a service can take",
            path.display()
        )));
    }
    fs::read(path).map_err(of)
}

/// The region to erase; a mask takes precedence over a box.
fn region(asked: &Erase, mask: Option<&Path>) -> Result<Region, Failure> {
    match (mask, asked.bbox) {
        (Some(mask), _) => file(mask).map(Region::Mask),
        (None, Some(sides)) => Ok(Region::Box(sides)),
        (None, None) => Ok(Region::Subject),
    }
}

fn read(asked: &Erase, job: &Job) -> Result<Work, Failure> {
    if let Some(problem) = &job.problem {
        return Err(Failure::of(problem.clone()));
    }
    let photo = file(&job.photo)?;
    let region = region(asked, job.mask.as_deref())?;
    let mut hash = Sha256::new();
    let settings = format!("1 {} {} {:?}\n", region.name(), asked.dilation, job.format);
    hash.update(settings);
    hash.update(Sha256::digest(region.bytes()));
    hash.update(&photo);
    Ok(Work { photo, region, key: ledger::hex(&hash.finalize()) })
}

/// Whether a photo still needs its result. An error if that would overwrite a foreign file.
fn needed(asked: &Erase, job: &Job, work: &Work, ledger: &Ledger) -> Result<bool, Failure> {
    if asked.overwrite {
        return Ok(true);
    }
    match ledger.state(&job.name, &job.out, &work.key) {
        ledger::State::Same => Ok(false),
        ledger::State::Missing | ledger::State::Ours => Ok(true),
        ledger::State::Foreign => Err(Failure::of(format!(
            "{} is there and did not come from here, or was changed since; --overwrite replaces it",
            job.out.display()
        ))),
    }
}

fn preview(asked: &Erase, job: &Job, ledger: &Ledger) -> Outcome {
    let needed = read(asked, job).and_then(|work| needed(asked, job, &work, ledger));
    match needed {
        Ok(true) => Outcome::Planned,
        Ok(false) => Outcome::Skipped,
        Err(failure) => Outcome::Failed(failure),
    }
}

/// Processes one photo from file to file.
async fn erase(asked: &Erase, job: &Job, server: &Server, ledger: &Ledger) -> Outcome {
    let work = match read(asked, job).and_then(|work| Ok((needed(asked, job, &work, ledger)?, work))) {
        Ok((false, _)) => return Outcome::Skipped,
        Ok((true, work)) => work,
        Err(failure) => return Outcome::Failed(failure),
    };
    let answer = match server.inpaint(work.photo, &work.region, asked.dilation, job.format.field()).await {
        Ok(answer) => answer,
        Err(failure) => return Outcome::Failed(failure),
    };
    match write(&job.out, &answer.picture).and_then(|()| ledger.add(&job.name, &work.key, &answer.picture)) {
        Ok(()) => Outcome::Done { model: answer.model, warning: answer.warning },
        Err(error) => Outcome::Failed(Failure::of(format!("{}: {error}", job.out.display()))),
    }
}

/// Writes a file atomically: synced under a temporary name, then renamed.
fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let unfinished = Unfinished(folder.join(format!("{}{}.part", plan::UNFINISHED, uuid::Uuid::new_v4())));
    let mut file = fs::File::create_new(&unfinished.0)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&unfinished.0, path)
}

/// A temporary file, deleted on drop unless renamed.
struct Unfinished(PathBuf);

impl Drop for Unfinished {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Erases from the photo on standard input and writes the result to standard output.
async fn through_pipe(asked: &Erase, server: &Server) -> Result<ExitCode, String> {
    if asked.paths.len() > 1 || asked.out.is_some() || asked.masks.is_some() || asked.watch {
        return Err("- stands alone: without other photos, --out, --masks and --watch".to_owned());
    }
    let mut photo = Vec::new();
    let input = std::io::stdin().lock().take(MAX_BYTES + 1).read_to_end(&mut photo);
    input.map_err(|error| format!("standard input: {error}"))?;
    if photo.len() as u64 > MAX_BYTES {
        return Err("standard input: larger than the 100 MiB that a service can take".to_owned());
    }
    let region = region(asked, asked.mask.as_deref()).map_err(|failure| failure.message)?;
    let format = plan::Written::of(asked.format, &photo);
    let answer = server.inpaint(photo, &region, asked.dilation, format.field()).await;
    let answer = answer.map_err(|failure| failure.message)?;
    let mut output = std::io::stdout().lock();
    output.write_all(&answer.picture).and_then(|()| output.flush()).map_err(|error| error.to_string())?;
    Ok(ExitCode::SUCCESS)
}
