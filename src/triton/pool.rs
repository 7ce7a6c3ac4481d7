//! The replicas of Triton, and the choice among them for each call.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwap;
use bytes::Bytes;
use serde::Serialize;
use tokio::{
    net::lookup_host,
    task::AbortHandle,
    time::{Instant, timeout_at},
};

use super::{
    Error, Origin, Tls,
    address::Address,
    call::Call,
    outlier::State,
    replica::{Attempt, Replica, ReplicaStatus},
};
use crate::gate::Slots;

/// How often DNS names are resolved again.
const LOOKUP_INTERVAL: Duration = Duration::from_secs(2);
/// How long a request waits for the first probe of a new replica.
const FIRST_PROBE: Duration = Duration::from_millis(800);
/// Calls of a model in flight per replica: two batches of our models, so that the next is there when one ends.
/// Further calls wait in the pool, from where they can still go to any replica.
const CALLS: usize = 8;
/// The retry budget: how many retries it holds when full, and how many requests earn one more. Replicas
/// that fail get at most a tenth of extra requests.
const RETRY_RESERVE: u32 = 100;
const REQUESTS_A_RETRY: u32 = 10;

/// The state of a pool's replicas.
#[derive(Clone, Debug, Serialize)]
pub struct PoolStatus {
    /// All known replicas.
    pub replicas: Vec<ReplicaStatus>,
}

/// The replicas of Triton. Cheap to clone; the replicas are watched until the last clone is dropped.
#[derive(Clone, Debug)]
pub struct Pool(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    replicas: Arc<ArcSwap<Vec<Watched>>>,
    /// Limits the calls in flight, for each model: a slow one does not hold up the others.
    calls: Arc<HashMap<String, Slots>>,
    /// The retry budget: retries left, times [`REQUESTS_A_RETRY`].
    retries: Mutex<u32>,
    lookup: AbortHandle,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.lookup.abort();
    }
}

/// A replica and the task that probes it. Requests in flight on a replica that leaves the pool go on, since
/// they hold it.
#[derive(Clone, Debug)]
struct Watched {
    name: Address,
    replica: Arc<Replica>,
    _watch: Arc<AbortOnDrop>,
}

#[derive(Debug)]
struct AbortOnDrop(AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Pool {
    /// The replicas at `addresses`, which are probed for `models`. Must be called inside a tokio runtime.
    pub fn new(addresses: Vec<Address>, tls: Tls, models: Vec<String>) -> Self {
        let replicas: Arc<ArcSwap<Vec<Watched>>> = Arc::default();
        let slots = |model: &String| (model.clone(), Slots::new("triton", CALLS));
        let calls: Arc<HashMap<_, _>> = Arc::new(models.iter().map(slots).collect());
        let (followed, limited) = (Arc::clone(&replicas), Arc::clone(&calls));
        let lookup = tokio::spawn(async move {
            loop {
                follow(&followed, &addresses, &tls, &models).await;
                // Without a replica, a call should fail and not wait.
                let count = CALLS * followed.load().len().max(1);
                limited.values().for_each(|slots| slots.resize(count));
                tokio::time::sleep(LOOKUP_INTERVAL).await;
            }
        });
        let retries = Mutex::new(RETRY_RESERVE * REQUESTS_A_RETRY);
        Self(Arc::new(Inner { replicas, calls, retries, lookup: lookup.abort_handle() }))
    }

    /// The state of each replica.
    pub fn status(&self) -> PoolStatus {
        PoolStatus {
            replicas: self.0.replicas.load().iter().map(|watched| watched.replica.status()).collect(),
        }
    }

    /// Whether at least one replica serves `model`.
    pub fn serves(&self, model: &str) -> bool {
        self.0.replicas.load().iter().any(|watched| watched.replica.label(model).is_some())
    }

    /// The output of `call`, and where it ran.
    ///
    /// Calls have no side effects, so they are retried on another replica, within the retry budget: whenever
    /// one cannot be reached, once after one was full or failed, and once after one has taken half of the
    /// time that was left.
    pub(super) async fn infer(&self, call: Call<'_>, deadline: Instant) -> Result<(Bytes, Origin), Error> {
        let _slot = match self.0.calls.get(call.model) {
            Some(slots) => Some(
                timeout_at(deadline, slots.take())
                    .await
                    .map_err(|_| Error::Timeout("all replicas were busy until the deadline".to_owned()))?,
            ),
            None => None,
        };
        self.earn_retry();
        let mut tried: Vec<SocketAddr> = Vec::new();
        let mut last = Error::Unavailable(format!("no replica serves '{}'", call.model));
        let (mut after_late, mut after_bad) = (true, true);
        while let Some(replica) = self.choose(call.model, &tried, deadline).await {
            if !tried.is_empty() && !self.take_retry() {
                break;
            }
            tried.push(replica.address());
            // A model may hang, so time is left for another replica, if there is one.
            let spare = after_late && self.least_loaded(call.model, &tried).is_some();
            let now = Instant::now();
            let until = if spare { now + deadline.saturating_duration_since(now) / 2 } else { deadline };
            let label = replica.label(call.model).unwrap_or_else(|| call.model.to_owned());
            let failed = match replica.attempt(&call, until).await {
                Ok(output) => return Ok((output, Origin { label, replica: replica.address() })),
                Err(failed) => failed,
            };
            let again = match failed {
                Attempt::Gone(_) => true,
                Attempt::Late(_) => std::mem::take(&mut after_late) && Instant::now() < deadline,
                Attempt::Full(_) | Attempt::Bad(_) => std::mem::take(&mut after_bad),
            };
            tracing::debug!(triton = %replica.address(), ?failed, "an attempt failed");
            last = failed.at(replica.address());
            if !again {
                break;
            }
        }
        Err(last)
    }

    /// A replica for a call of `model` that is not among `tried`.
    async fn choose(&self, model: &str, tried: &[SocketAddr], deadline: Instant) -> Option<Arc<Replica>> {
        let known = self.least_loaded(model, tried);
        if known.is_some() {
            return known;
        }
        // A replica that was not probed yet may serve it.
        self.first_probes(deadline).await;
        self.least_loaded(model, tried)
    }

    /// The least loaded of the replicas that serve `model` and are not among `tried`; of several, a random
    /// one. Replicas are few and their loads are known here, so that the power of two choices would gain
    /// nothing and leave some idle.
    fn least_loaded(&self, model: &str, tried: &[SocketAddr]) -> Option<Arc<Replica>> {
        let replicas = self.0.replicas.load();
        let serving: Vec<_> =
            replicas.iter().filter(|watched| watched.replica.label(model).is_some()).collect();
        let state = |watched: &Watched| watched.replica.state(model);
        let untried = |watched: &&&Watched| !tried.contains(&watched.replica.address());
        // A failed trial costs its caller no more than a retry, and only a trial brings a replica back.
        let trial = serving.iter().filter(untried).find(|watched| state(watched) == State::HalfOpen);
        if let (Some(watched), true) = (trial, tried.is_empty()) {
            return Some(Arc::clone(&watched.replica));
        }
        let mut fit: Vec<_> = serving.iter().filter(|watched| state(watched) == State::Closed).collect();
        fit.retain(|watched| untried(watched));
        // When all are ejected, the cause is probably the requests or the network: ejection is ignored.
        if fit.is_empty() {
            fit = serving.iter().filter(untried).collect();
        }
        // Each load is read once, since it changes meanwhile.
        let loads: Vec<_> = fit.iter().map(|watched| (watched.replica.load(model), *watched)).collect();
        let least = loads.iter().map(|(load, _)| *load).min_by(f64::total_cmp)?;
        let least: Vec<_> = loads.into_iter().filter(|(load, _)| *load <= least).collect();
        least.get(fastrand::usize(..least.len())).map(|(_, watched)| Arc::clone(&watched.replica))
    }

    /// Waits for the first probes of new replicas.
    async fn first_probes(&self, deadline: Instant) {
        let new: Vec<_> = self.0.replicas.load().iter().map(|watched| Arc::clone(&watched.replica)).collect();
        let deadline = deadline.min(Instant::now() + FIRST_PROBE);
        for replica in new.iter().filter(|replica| replica.is_new()) {
            // A replica that is not known in time is not used.
            let _ = timeout_at(deadline, replica.known()).await;
        }
    }

    fn earn_retry(&self) {
        let mut retries = self.0.retries.lock().unwrap_or_else(PoisonError::into_inner);
        *retries = (*retries + 1).min(RETRY_RESERVE * REQUESTS_A_RETRY);
    }

    fn take_retry(&self) -> bool {
        let mut retries = self.0.retries.lock().unwrap_or_else(PoisonError::into_inner);
        let left = retries.checked_sub(REQUESTS_A_RETRY);
        *retries = left.unwrap_or(*retries);
        metrics::counter!("lacuna_replica_retries_total", "allowed" => left.is_some().to_string())
            .increment(1);
        left.is_some()
    }
}

/// Resolves the names and updates `replicas`. A name that cannot be resolved keeps its replicas.
async fn follow(replicas: &ArcSwap<Vec<Watched>>, names: &[Address], tls: &Tls, models: &[String]) {
    let before = replicas.load_full();
    let mut known: HashMap<(Address, SocketAddr), Watched> = before
        .iter()
        .map(|watched| ((watched.name.clone(), watched.replica.address()), watched.clone()))
        .collect();
    let mut now: Vec<Watched> = Vec::new();
    for name in names {
        let mut addresses: Vec<SocketAddr> = match lookup_host((name.host.as_str(), name.port)).await {
            Ok(addresses) => addresses.collect(),
            Err(error) => {
                tracing::warn!(host = name.host, %error, "Triton's name cannot be looked up");
                before.iter().filter(|old| old.name == *name).map(|old| old.replica.address()).collect()
            }
        };
        addresses.sort_unstable();
        addresses.dedup();
        for address in addresses {
            if now.iter().any(|watched| watched.replica.address() == address) {
                continue;
            }
            match known.remove(&(name.clone(), address)).map_or_else(|| watch(name, address, tls, models), Ok)
            {
                Ok(watched) => now.push(watched),
                Err(error) => tracing::error!(triton = %address, error, "replica cannot be used"),
            }
        }
    }
    let gone = known.len();
    if now.len() != before.len() || gone > 0 {
        tracing::info!(replicas = now.len(), gone, "replicas of Triton");
        replicas.store(Arc::new(now));
    }
}

fn watch(name: &Address, address: SocketAddr, tls: &Tls, models: &[String]) -> Result<Watched, String> {
    let replica = Arc::new(Replica::new(name, address, tls)?);
    let watched = Arc::clone(&replica);
    let models = models.to_vec();
    let task = tokio::spawn(async move { watched.watch(&models).await });
    Ok(Watched { name: name.clone(), replica, _watch: Arc::new(AbortOnDrop(task.abort_handle())) })
}
