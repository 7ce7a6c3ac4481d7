//! Outlier ejection and circuit breaking, for one model on one replica.
//!
//! Similar to Envoy's: consecutive failures eject. After the ejection time, which doubles with each ejection,
//! the circuit is half-open: one trial request is let through, and its outcome closes or opens it. Recent
//! failures also count as load, so that a replica that fails fast does not attract requests by its short
//! queue.

use std::time::Duration;

use tokio::time::Instant;

/// Consecutive failures that eject, and the first and the longest ejection time.
const FAILURES: u32 = 5;
const EJECTION: Duration = Duration::from_secs(1);
const MAX_EJECTION: Duration = Duration::from_secs(30);
/// What a failure adds to the load, in requests in flight, and the half-life of that.
const WEIGHT: f64 = 4.0;
const HALF_LIFE: Duration = Duration::from_secs(5);

/// The state of the circuit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Requests are sent.
    Closed,
    /// It is ejected: no requests are sent.
    Open,
    /// The ejection time is over, and one trial request may be sent.
    HalfOpen,
}

/// The recent failures of one model on one replica.
#[derive(Debug)]
pub struct Outlier {
    /// Consecutive failures.
    failures: u32,
    /// Number of ejections, less one for each success since.
    ejections: u32,
    out_until: Option<Instant>,
    /// A trial is in flight.
    trial: bool,
    /// Load added by recent failures, as of `noted`.
    weight: f64,
    noted: Instant,
}

impl Outlier {
    /// A closed circuit without failures.
    pub fn new(now: Instant) -> Self {
        Self { failures: 0, ejections: 0, out_until: None, trial: false, weight: 0.0, noted: now }
    }

    /// The state at `now`.
    pub fn state(&self, now: Instant) -> State {
        match self.out_until {
            None => State::Closed,
            Some(until) if now < until || self.trial => State::Open,
            Some(_) => State::HalfOpen,
        }
    }

    /// Begins an attempt, and returns whether it is the trial of a half-open circuit.
    pub fn begin(&mut self, now: Instant) -> bool {
        let trial = self.state(now) == State::HalfOpen;
        self.trial |= trial;
        trial
    }

    /// A trial ended without an outcome, for example because its caller hung up.
    pub fn abandon(&mut self) {
        self.trial = false;
    }

    /// The load added by recent failures, at `now`.
    pub fn load(&self, now: Instant) -> f64 {
        let halves = now.saturating_duration_since(self.noted).as_secs_f64() / HALF_LIFE.as_secs_f64();
        self.weight * 0.5_f64.powf(halves)
    }

    /// Notes a success, which closes the circuit. The ejection time shrinks again with each further one.
    pub fn succeeded(&mut self) {
        self.failures = 0;
        self.trial = false;
        if self.out_until.take().is_none() {
            self.ejections = self.ejections.saturating_sub(1);
        }
    }

    /// Notes a failure, and returns the ejection time if this one ejects.
    pub fn failed(&mut self, now: Instant) -> Option<Duration> {
        self.weight = self.load(now) + WEIGHT;
        self.noted = now;
        self.failures += 1;
        let was_trial = std::mem::take(&mut self.trial);
        // Requests that were in flight at the ejection say nothing new.
        let out = self.out_until.is_some_and(|until| now < until);
        if out || !(was_trial || self.failures >= FAILURES) {
            return None;
        }
        let time = (EJECTION * 2u32.saturating_pow(self.ejections)).min(MAX_EJECTION);
        self.out_until = Some(now + time);
        self.ejections = (self.ejections + 1).min(16);
        Some(time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_in_a_row_eject_for_a_growing_while_and_one_trial_ends_it() {
        let mut now = Instant::now();
        let mut outlier = Outlier::new(now);
        for _ in 0..FAILURES - 1 {
            assert_eq!(outlier.failed(now), None);
            assert_eq!(outlier.state(now), State::Closed);
        }
        let mut time = outlier.failed(now).unwrap();
        assert_eq!((time, outlier.state(now)), (EJECTION, State::Open));
        for _ in 0..8 {
            now += time;
            assert_eq!(outlier.state(now), State::HalfOpen);
            assert!(outlier.begin(now));
            assert_eq!(outlier.state(now), State::Open, "one trial at a time");
            assert!(!outlier.begin(now));
            let next = outlier.failed(now).expect("a failed trial ejects at once");
            assert_eq!(next, (2 * time).min(MAX_EJECTION));
            time = next;
        }
        now += time;
        assert!(outlier.begin(now));
        outlier.abandon();
        assert!(outlier.begin(now), "a trial without an outcome is tried again");
        outlier.succeeded();
        assert_eq!(outlier.state(now), State::Closed);
        assert_eq!(outlier.failed(now), None, "a success ends the row");
    }

    #[test]
    fn failures_of_late_are_load() {
        let now = Instant::now();
        let mut outlier = Outlier::new(now);
        outlier.failed(now);
        outlier.failed(now);
        assert_eq!(outlier.load(now), 2.0 * WEIGHT);
        assert_eq!(outlier.load(now + HALF_LIFE), WEIGHT);
        assert!(outlier.load(now + 20 * HALF_LIFE) < 0.01);
    }
}
