//! Quotas and the `ratelimit` headers that report them.

use std::{num::NonZeroU32, time::Duration};

/// A caller's quota: up to `burst` requests at once after a pause, `per_minute` sustained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Sustained requests per minute.
    pub per_minute: NonZeroU32,
    /// Requests at once after a pause.
    pub burst: NonZeroU32,
}

/// What is left of a quota after admitting a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowed {
    /// The caller's quota.
    pub quota: Quota,
    /// Requests the caller could still send right now.
    pub left: u32,
}

impl Quota {
    /// How long an exhausted burst takes to refill.
    fn window(self) -> Duration {
        Duration::from_mins(1) * self.burst.get() / self.per_minute.get()
    }
}

impl Allowed {
    /// Value of the `ratelimit-policy` header (IETF draft "RateLimit header fields for HTTP").
    pub fn policy(quota: Quota) -> String {
        format!("\"default\";q={};w={}", quota.burst, whole_seconds(quota.window()))
    }

    /// Value of the `ratelimit` header: requests left, and seconds until the quota is full again.
    pub fn remaining(quota: Quota, left: u32) -> String {
        let spent = quota.burst.get().saturating_sub(left);
        let back = Duration::from_mins(1) * spent / quota.per_minute.get();
        format!("\"default\";r={left};t={}", whole_seconds(back))
    }
}

fn whole_seconds(time: Duration) -> u64 {
    time.as_secs_f64().ceil() as u64
}
