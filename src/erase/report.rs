//! Progress output: a bar on a terminal, JSON lines for programs, and a summary.

use std::{io::IsTerminal, process::ExitCode, time::Instant};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use super::{plan::Job, service::Failure};

/// What happened to a photo.
pub enum Outcome {
    /// The result was written.
    Done {
        /// Label of the model that filled it.
        model: String,
        /// The service's warning, if any.
        warning: Option<String>,
    },
    /// The result was up to date.
    Skipped,
    /// Dry run: it would be processed.
    Planned,
    /// It has no result, for this reason.
    Failed(Failure),
}

/// Reports each photo and keeps the totals.
pub struct Report {
    json: bool,
    bar: Option<ProgressBar>,
    begun: Instant,
    done: usize,
    skipped: usize,
    planned: usize,
    failed: usize,
}

impl Report {
    /// Starts the clock; `json` selects JSON lines.
    pub fn new(json: bool) -> Self {
        Self { json, bar: None, begun: Instant::now(), done: 0, skipped: 0, planned: 0, failed: 0 }
    }

    /// Starts a batch of photos with a fresh progress bar.
    pub fn begin(&mut self, photos: usize) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        if self.json || !std::io::stderr().is_terminal() || photos == 0 {
            return;
        }
        let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {eta} {wide_msg}");
        let bar = ProgressBar::new(photos as u64);
        self.bar = Some(bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar())));
    }

    /// Shows which photo was started last.
    pub fn at(&self, job: &Job) {
        if let Some(bar) = &self.bar {
            bar.set_message(job.name.clone());
        }
    }

    /// Reports the outcome of one photo.
    pub fn tell(&mut self, job: &Job, outcome: &Outcome) {
        let (count, word) = match outcome {
            Outcome::Done { .. } => (&mut self.done, "done"),
            Outcome::Skipped => (&mut self.skipped, "skipped"),
            Outcome::Planned => (&mut self.planned, "planned"),
            Outcome::Failed(_) => (&mut self.failed, "failed"),
        };
        *count += 1;
        if let Some(bar) = &self.bar {
            bar.inc(1);
        }
        if self.json {
            println!("{}", line(job, outcome, word));
            return;
        }
        let photo = job.photo.display();
        let say = |text: String| match &self.bar {
            Some(bar) => bar.println(text),
            None => eprintln!("{text}"),
        };
        match outcome {
            Outcome::Failed(failure) => say(format!("{photo}: {}", failure.message)),
            Outcome::Done { warning: Some(warning), .. } => say(format!("{photo}: done, but {warning}")),
            Outcome::Planned => say(format!("{photo} -> {}", job.out.display())),
            Outcome::Done { .. } | Outcome::Skipped => {}
        }
    }

    /// Prints the summary and returns the exit status.
    pub fn finish(self) -> ExitCode {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        let Self { json, done, skipped, planned, failed, .. } = self;
        let seconds = (self.begun.elapsed().as_secs_f64() * 10.0).round() / 10.0;
        if json {
            let all = json!({"status": "summary", "done": done, "skipped": skipped, "planned": planned, "failed": failed, "seconds": seconds});
            println!("{all}");
        } else if planned > 0 {
            eprintln!("{planned} to do, {skipped} done before, {failed} that cannot be done");
        } else {
            eprintln!("{done} done, {skipped} done before, {failed} failed, in {seconds} s");
        }
        if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

fn line(job: &Job, outcome: &Outcome, word: &str) -> Value {
    let mut line = json!({"status": word, "photo": job.photo, "out": job.out});
    match outcome {
        Outcome::Done { model, warning } => {
            line["model"] = model.clone().into();
            line["warning"] = warning.clone().into();
        }
        Outcome::Failed(failure) => {
            line["error"] = failure.code.clone().into();
            line["message"] = failure.message.clone().into();
        }
        Outcome::Skipped | Outcome::Planned => {}
    }
    line
}
