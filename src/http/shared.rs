//! Rate-limit counts shared by several gateways, kept in Redis or Valkey.

use std::time::Duration;

use redis::{
    Client, Script,
    aio::{ConnectionManager, ConnectionManagerConfig},
};
use tokio::time::timeout;

use super::quota::{Allowed, Quota};

/// Deadline of a lookup, which every request waits for.
const ANSWER: Duration = Duration::from_millis(250);

/// The generic cell rate algorithm with one number per caller: when the quota will be full again, in
/// microseconds of the server's clock. Returns what is left of the burst and 0, or -1 and the microseconds to
/// wait.
const GCRA: &str = r"
local interval, tolerance = tonumber(ARGV[1]), tonumber(ARGV[1]) * tonumber(ARGV[2])
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local whole = math.max(tonumber(redis.call('GET', KEYS[1]) or now), now) + interval
if whole - tolerance > now then
    return {-1, math.ceil(whole - tolerance - now)}
end
redis.call('SET', KEYS[1], string.format('%.0f', whole), 'PX', math.ceil((whole - now) / 1000))
return {math.floor((tolerance - (whole - now)) / interval), 0}
";

/// The counts of all callers, on one server.
#[derive(Clone)]
pub struct Shared {
    connection: ConnectionManager,
    script: Script,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Shared")
    }
}

/// The server is unreachable or failed.
#[derive(Debug, thiserror::Error)]
#[error("the shared quotas cannot be had: {0}")]
pub struct Missing(String);

impl Shared {
    /// Uses the server at `url` (`redis://[user:password@]host:port[/database]`). Connects lazily, and
    /// reconnects as needed.
    ///
    /// # Errors
    /// A message if the URL is malformed.
    pub fn new(url: &str) -> Result<Self, String> {
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(ANSWER))
            .set_response_timeout(Some(ANSWER))
            .set_number_of_retries(1)
            .set_max_delay(ANSWER);
        // The client's own message quotes the URL, which may hold a password.
        let connection = Client::open(url)
            .and_then(|client| client.get_connection_manager_lazy(config))
            .map_err(|_| "LACUNA_RATE_REDIS is not of the form redis://host:port".to_owned())?;
        Ok(Self { connection, script: Script::new(GCRA) })
    }

    /// Counts one request of the caller `name`. If its quota is exhausted, returns how long to wait and does
    /// not count the request.
    ///
    /// # Errors
    /// [`Missing`] if the server fails or does not answer in time.
    pub async fn check(&self, name: &str, quota: Quota) -> Result<Result<Allowed, Duration>, Missing> {
        let mut connection = self.connection.clone();
        let interval = 60_000_000.0 / f64::from(quota.per_minute.get());
        let mut call = self.script.key(format!("lacuna:rate:{name}"));
        let call = call.arg(interval).arg(quota.burst.get());
        let answer = timeout(ANSWER, call.invoke_async(&mut connection)).await;
        let (left, wait): (i64, u64) = answer
            .map_err(|_| Missing("no answer in time".to_owned()))?
            .map_err(|error| Missing(error.to_string()))?;
        Ok(match u32::try_from(left) {
            Ok(left) => Ok(Allowed { quota, left }),
            Err(_) => Err(Duration::from_micros(wait)),
        })
    }
}
