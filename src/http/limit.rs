//! How often a caller may call.

use std::{num::NonZeroU32, time::Duration};

use governor::{
    RateLimiter,
    clock::{Clock, DefaultClock},
    middleware::StateInformationMiddleware,
    state::{InMemoryState, NotKeyed},
};

/// What a caller may send: `burst` requests at once after a pause, `per_minute` in the long run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Requests a minute.
    pub per_minute: NonZeroU32,
    /// Requests at once.
    pub burst: NonZeroU32,
}

/// One caller's requests, counted by the generic cell rate algorithm (as governor has it). Every
/// known caller has its own, so that memory is bounded by the callers there are and not by what is
/// sent.
#[derive(Debug)]
pub struct Limiter {
    quota: Quota,
    clock: DefaultClock,
    state: RateLimiter<NotKeyed, InMemoryState, DefaultClock, StateInformationMiddleware>,
}

/// What is left of a quota after a request was let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowed {
    /// The caller's quota.
    pub quota: Quota,
    /// Requests that it could send at once now.
    pub left: u32,
}

impl Quota {
    /// The time that the whole burst takes to come back.
    fn window(self) -> Duration {
        Duration::from_secs(60) * self.burst.get() / self.per_minute.get()
    }
}

impl Limiter {
    /// A limiter with the whole burst to spend.
    pub fn new(quota: Quota) -> Self {
        let cells = governor::Quota::per_minute(quota.per_minute).allow_burst(quota.burst);
        let state = RateLimiter::direct(cells).with_middleware::<StateInformationMiddleware>();
        Self { quota, clock: DefaultClock::default(), state }
    }

    /// The quota it keeps.
    pub fn quota(&self) -> Quota {
        self.quota
    }

    /// Counts one request.
    ///
    /// # Errors
    /// How long to wait, where the quota is used up; the request is then not counted.
    pub fn check(&self) -> Result<Allowed, Duration> {
        match self.state.check() {
            Ok(snapshot) => Ok(Allowed { quota: self.quota, left: snapshot.remaining_burst_capacity() }),
            Err(until) => Err(until.wait_time_from(self.clock.now())),
        }
    }
}

impl Allowed {
    /// The quota, for the `ratelimit-policy` field (IETF draft "RateLimit header fields for HTTP").
    pub fn policy(quota: Quota) -> String {
        format!("\"default\";q={};w={}", quota.burst, whole_seconds(quota.window()))
    }

    /// What is left, for the `ratelimit` field: requests, and seconds until all of the quota is back.
    pub fn remaining(quota: Quota, left: u32) -> String {
        let spent = quota.burst.get().saturating_sub(left);
        let back = Duration::from_secs(60) * spent / quota.per_minute.get();
        format!("\"default\";r={left};t={}", whole_seconds(back))
    }
}

fn whole_seconds(time: Duration) -> u64 {
    time.as_secs_f64().ceil() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_let_through_and_then_refused_with_the_time_to_wait() {
        let number = |n| NonZeroU32::new(n).unwrap();
        let quota = Quota { per_minute: number(60), burst: number(3) };
        let limiter = Limiter::new(quota);
        assert_eq!([0; 3].map(|_| limiter.check().unwrap().left), [2, 1, 0]);
        let wait = limiter.check().unwrap_err();
        assert!(wait > Duration::from_millis(900) && wait <= Duration::from_secs(1), "{wait:?}");
        assert_eq!(Allowed::policy(quota), "\"default\";q=3;w=3");
        assert_eq!(Allowed::remaining(quota, 1), "\"default\";r=1;t=2");
    }
}
