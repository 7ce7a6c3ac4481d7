//! How often a caller may call.

use std::{
    num::NonZeroU32,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use governor::{
    RateLimiter,
    clock::{Clock, DefaultClock},
    middleware::StateInformationMiddleware,
    state::{InMemoryState, NotKeyed},
};

use super::{auth::Caller, error::ApiError, shared::Shared};

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

/// Where requests are counted: in this gateway, or in counts that several share.
#[derive(Debug)]
pub struct Limits {
    shared: Option<Shared>,
    /// Whether nobody is let in while the shared counts cannot be had. Otherwise this gateway counts.
    closed: bool,
    /// Whether they could not be had the last time: told once, not with every request.
    missing: AtomicBool,
}

impl Limits {
    /// Counts shared at the Redis or Valkey of this URL, if there is one.
    ///
    /// # Errors
    /// A message where the URL cannot be one.
    pub fn new(shared: Option<&str>, closed: bool) -> Result<Self, String> {
        let shared = shared.map(Shared::new).transpose()?;
        Ok(Self { shared, closed, missing: AtomicBool::new(false) })
    }

    /// Counts one request: what is left then, or how long to wait where the quota is used up.
    ///
    /// # Errors
    /// [`ApiError::Overloaded`] where the shared counts cannot be had and must be.
    pub(super) async fn check(&self, caller: &Caller) -> Result<Result<Allowed, Duration>, ApiError> {
        let Some(shared) = &self.shared else { return Ok(caller.limiter.check()) };
        let counted = shared.check(&caller.name, caller.limiter.quota()).await;
        let was_missing = self.missing.swap(counted.is_err(), Ordering::Relaxed);
        match counted {
            Ok(counted) => {
                if was_missing {
                    tracing::info!("the shared quotas can be had again");
                }
                Ok(counted)
            }
            Err(error) => {
                metrics::counter!("lacuna_shared_limit_errors_total").increment(1);
                if !was_missing {
                    tracing::warn!(%error, closed = self.closed, "quotas");
                }
                if self.closed { Err(ApiError::Overloaded) } else { Ok(caller.limiter.check()) }
            }
        }
    }
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
