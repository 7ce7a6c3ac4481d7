//! What a caller may send, and what is left of it.

use std::{num::NonZeroU32, time::Duration};

/// What a caller may send: `burst` requests at once after a pause, `per_minute` in the long run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Requests a minute.
    pub per_minute: NonZeroU32,
    /// Requests at once.
    pub burst: NonZeroU32,
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
        Duration::from_mins(1) * self.burst.get() / self.per_minute.get()
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
        let back = Duration::from_mins(1) * spent / quota.per_minute.get();
        format!("\"default\";r={left};t={}", whole_seconds(back))
    }
}

fn whole_seconds(time: Duration) -> u64 {
    time.as_secs_f64().ceil() as u64
}
