//! How often a caller may call.

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

/// One caller's requests, counted by the generic cell rate algorithm (as governor has it). Every
/// known caller has its own, so that memory is bounded by the callers there are and not by what is
/// sent.
#[derive(Debug)]
pub struct Limiter {
    quota: Quota,
    clock: DefaultClock,
    state: RateLimiter<NotKeyed, InMemoryState, DefaultClock, StateInformationMiddleware>,
}

/// Where requests are counted: in this gateway, or in counts that several share.
#[derive(Debug)]
pub struct Limits {
    shared: Option<Shared>,
    /// Whether all are refused while the shared counts cannot be had. Otherwise this gateway counts alone.
    closed: bool,
    /// Whether they could not be had the last time, so that the log has the change and not every request.
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

    /// Counts one request of the caller `name`, whose own count is `limiter`: what is left then, or how long to
    /// wait where the quota is used up.
    ///
    /// # Errors
    /// [`ApiError::Overloaded`] where the shared counts cannot be had and must be.
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
