//! Rate limiting per caller.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use governor::{
    RateLimiter,
    clock::{Clock, DefaultClock},
    middleware::StateInformationMiddleware,
    state::{InMemoryState, NotKeyed},
};

use super::{
    error::ApiError,
    quota::{Allowed, Quota},
    shared::Shared,
};

/// Rate-limits one caller with governor's generic cell rate algorithm. Each known caller has its own, so
/// memory is bounded by the number of callers and not by what is sent.
#[derive(Debug)]
pub struct Limiter {
    quota: Quota,
    clock: DefaultClock,
    state: RateLimiter<NotKeyed, InMemoryState, DefaultClock, StateInformationMiddleware>,
}

/// Rate limits counted by this gateway alone or shared with others.
#[derive(Debug)]
pub struct Limits {
    shared: Option<Shared>,
    /// Refuse all requests while the shared store is unreachable, instead of counting locally.
    closed: bool,
    /// Whether the last lookup failed, so that only changes are logged and not every request.
    missing: AtomicBool,
}

impl Limits {
    /// Shares counts through the Redis or Valkey at this URL, if given.
    ///
    /// # Errors
    /// A message if the URL is malformed.
    pub fn new(shared: Option<&str>, closed: bool) -> Result<Self, String> {
        let shared = shared.map(Shared::new).transpose()?;
        Ok(Self { shared, closed, missing: AtomicBool::new(false) })
    }

    /// Counts one request of the caller `name`, locally in `limiter` if not in the shared store. Returns what
    /// is left, or how long to wait if the quota is exhausted.
    ///
    /// # Errors
    /// [`ApiError::Overloaded`] if the shared store is unreachable but required.
    pub(super) async fn check(
        &self,
        name: &str,
        limiter: &Limiter,
    ) -> Result<Result<Allowed, Duration>, ApiError> {
        let Some(shared) = &self.shared else { return Ok(limiter.check()) };
        let counted = shared.check(name, limiter.quota()).await;
        let was_missing = self.missing.swap(counted.is_err(), Ordering::Relaxed);
        match counted {
            Ok(counted) => {
                if was_missing {
                    tracing::info!("the shared quotas answer again");
                }
                Ok(counted)
            }
            Err(error) => {
                metrics::counter!("lacuna_shared_limit_errors_total").increment(1);
                if !was_missing {
                    tracing::warn!(%error, closed = self.closed, "the shared quotas cannot be had");
                }
                if self.closed { Err(ApiError::Overloaded) } else { Ok(limiter.check()) }
            }
        }
    }
}

impl Limiter {
    /// Starts with the whole burst available.
    pub fn new(quota: Quota) -> Self {
        let cells = governor::Quota::per_minute(quota.per_minute).allow_burst(quota.burst);
        let state = RateLimiter::direct(cells).with_middleware::<StateInformationMiddleware>();
        Self { quota, clock: DefaultClock::default(), state }
    }

    /// The quota it enforces.
    pub fn quota(&self) -> Quota {
        self.quota
    }

    /// Counts one request.
    ///
    /// # Errors
    /// How long to wait if the quota is exhausted. The request is not counted then.
    pub fn check(&self) -> Result<Allowed, Duration> {
        match self.state.check() {
            Ok(snapshot) => Ok(Allowed { quota: self.quota, left: snapshot.remaining_burst_capacity() }),
            Err(until) => Err(until.wait_time_from(self.clock.now())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

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
