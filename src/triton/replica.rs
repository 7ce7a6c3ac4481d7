//! One Triton: its connection, what it serves, and how it has fared.

use std::{
    collections::BTreeMap,
    error::Error as _,
    net::SocketAddr,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use serde::Serialize;
use tokio::{
    sync::watch,
    time::{Instant, timeout, timeout_at},
};
use tonic::{
    Code, Status,
    transport::{Channel, ClientTlsConfig, Endpoint},
};

use super::{
    Error, Tls,
    call::Call,
    pool::Address,
    protocol::{
        ModelConfigRequest, ModelReadyRequest, ServerReadyRequest,
        grpc_inference_service_client::GrpcInferenceServiceClient,
    },
};
use crate::telemetry;

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(1);
/// How long a probe may take, and how many in a row may be late before a Triton that is connected
/// counts as hanging: one late answer can be our own lack of time.
const PROBE: Duration = Duration::from_secs(1);
const LATE_PROBES: u32 = 3;
/// How often a replica is probed.
const PROBE_INTERVAL: Duration = Duration::from_millis(500);
/// The largest answer we take, in bytes: a window of 1024 is 3 MiB.
const MAX_ANSWER: usize = 16 << 20;
/// Flow-control windows, in bytes, large enough for an answer without a round trip.
const STREAM_WINDOW: u32 = 4 << 20;
const CONNECTION_WINDOW: u32 = 64 << 20;
/// Failures in a row that put a replica out, and for how long the first and at most.
const FAILURES: u32 = 5;
const EJECTION: Duration = Duration::from_secs(1);
const MAX_EJECTION: Duration = Duration::from_secs(30);

/// What a replica last said of itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ReplicaStatus {
    /// Its address.
    pub address: String,
    /// Whether it answers and says that it is ready.
    pub ready: bool,
    /// The label of each of our models that it serves, by the model's name.
    pub models: BTreeMap<String, String>,
    /// Requests under way.
    pub in_flight: usize,
    /// Whether it is left out for a while after repeated failures.
    pub ejected: bool,
}

/// What the probes found.
#[derive(Clone, Debug, Default, PartialEq)]
struct Found {
    /// `None` before the first probe has ended.
    ready: Option<bool>,
    /// It is connected and does not answer. What is under way there will not end.
    hangs: bool,
    models: BTreeMap<String, String>,
}

/// How the calls fared.
#[derive(Debug, Default)]
struct Record {
    failures: u32,
    ejections: u32,
    out_until: Option<Instant>,
}

/// The outcome of one attempt that gave no answer.
#[derive(Debug)]
pub enum Attempt {
    /// The replica cannot be reached or went away: another may do it.
    Gone(String),
    /// Its queue is full.
    Full(String),
    /// The deadline passed.
    Late(String),
    /// It answered, and badly: another would too.
    Bad(String),
}

/// One Triton at one address.
#[derive(Debug)]
pub struct Replica {
    address: SocketAddr,
    client: GrpcInferenceServiceClient<Channel>,
    found: watch::Sender<Found>,
    record: Mutex<Record>,
    in_flight: AtomicUsize,
}

impl Replica {
    /// A replica at `address`, reached as `name` says. Connects when first used.
    ///
    /// # Errors
    /// A message where the TLS roots or certificates cannot be used.
    pub fn new(name: &Address, address: SocketAddr, tls: &Tls) -> Result<Self, String> {
        let scheme = if name.tls { "https" } else { "http" };
        let endpoint = |uri: String| Endpoint::from_shared(uri).map_err(|error| error.to_string());
        let mut endpoint = endpoint(format!("{scheme}://{address}"))?
            .connect_timeout(CONNECT)
            .tcp_nodelay(true)
            .tcp_keepalive(Some(Duration::from_secs(30)))
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW);
        if name.tls {
            let mut config = ClientTlsConfig::new().domain_name(name.host.clone());
            config = match &tls.ca {
                Some(ca) => config.ca_certificate(ca.clone()),
                None => config.with_native_roots(),
            };
            if let Some(identity) = &tls.identity {
                config = config.identity(identity.clone());
            }
            endpoint = endpoint.tls_config(config).map_err(|error| error.to_string())?;
        }
        let client = GrpcInferenceServiceClient::new(endpoint.connect_lazy())
            .max_decoding_message_size(MAX_ANSWER)
            .max_encoding_message_size(MAX_ANSWER);
        // Shown from the start: a rate cannot see the first of what is new.
        metrics::counter!("lacuna_replica_ejections_total", "replica" => address.to_string()).absolute(0);
        Ok(Self {
            address,
            client,
            found: watch::Sender::default(),
            record: Mutex::default(),
            in_flight: AtomicUsize::new(0),
        })
    }

    /// Its address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Requests under way.
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// The label of `model`, if the replica serves it.
    pub fn label(&self, model: &str) -> Option<String> {
        let found = self.found.borrow();
        (found.ready == Some(true)).then(|| found.models.get(model).cloned()).flatten()
    }

    /// Whether nothing is known of the replica yet.
    pub fn is_new(&self) -> bool {
        self.found.borrow().ready.is_none()
    }

    /// Whether it is left out for a while.
    pub fn is_ejected(&self) -> bool {
        self.record().out_until.is_some_and(|until| Instant::now() < until)
    }

    /// All that is known of it.
    pub fn status(&self) -> ReplicaStatus {
        let found = self.found.borrow();
        ReplicaStatus {
            address: self.address.to_string(),
            ready: found.ready == Some(true),
            models: found.models.clone(),
            in_flight: self.in_flight(),
            ejected: self.is_ejected(),
        }
    }

    /// Asks the replica again and again what it serves of `models`.
    pub async fn watch(&self, models: &[String]) {
        let mut late = 0;
        loop {
            let probe = timeout(PROBE, self.probe(models)).await;
            late = if probe.is_err() { late + 1 } else { 0 };
            let found = match probe {
                Ok(Ok(found)) => found,
                Err(_) if late < LATE_PROBES && !self.is_new() => continue,
                Err(_) => Found { ready: Some(false), hangs: true, models: BTreeMap::new() },
                // What is under way may still end well: a Triton that is to end finishes its work.
                Ok(Err(_)) => Found { ready: Some(false), ..Found::default() },
            };
            self.found.send_if_modified(|before| {
                let changed = *before != found;
                if changed {
                    tracing::info!(triton = %self.address, ready = ?found.ready, models = ?found.models, "replica changed");
                    *before = found;
                }
                changed
            });
            tokio::time::sleep(PROBE_INTERVAL).await;
        }
    }

    /// Waits until the first probe has ended.
    pub async fn known(&self) {
        let mut found = self.found.subscribe();
        // The sender lives as long as the replica.
        let _ = found.wait_for(|found| found.ready.is_some()).await;
    }

    async fn probe(&self, models: &[String]) -> Result<Found, Status> {
        let mut client = self.client.clone();
        let ready = client.server_ready(ServerReadyRequest {}).await?.into_inner().ready;
        let mut found = Found { ready: Some(ready), ..Found::default() };
        for model in models {
            let request = ModelReadyRequest { name: model.clone() };
            if !client.model_ready(request).await.is_ok_and(|answer| answer.into_inner().ready) {
                continue;
            }
            let known = self.found.borrow().models.get(model).cloned();
            let label = match known {
                Some(label) => label,
                None => self.ask_label(model).await?,
            };
            found.models.insert(model.clone(), label);
        }
        Ok(found)
    }

    async fn ask_label(&self, model: &str) -> Result<String, Status> {
        let request = ModelConfigRequest { name: model.to_owned() };
        let config = self.client.clone().model_config(request).await?.into_inner().config.unwrap_or_default();
        let label = config.parameters.get("label").map(|parameter| parameter.string_value.clone());
        Ok(label.filter(|label| !label.is_empty()).unwrap_or_else(|| model.to_owned()))
    }

    /// One attempt at `call`. Gives up when the probes are not answered any more, so that a Triton that
    /// hangs does not keep what another could do.
    pub async fn attempt(&self, call: &Call<'_>, deadline: Instant) -> Result<Vec<u8>, Attempt> {
        let _counted = Counted::new(&self.in_flight);
        let mut request = tonic::Request::new(call.request(deadline));
        telemetry::propagate_trace(request.metadata_mut());
        request.set_timeout(deadline.saturating_duration_since(Instant::now()));
        let mut client = self.client.clone();
        let mut found = self.found.subscribe();
        let outcome = tokio::select! {
            answer = timeout_at(deadline, client.model_infer(request)) => match answer {
                Ok(Ok(answer)) => call.output(answer.into_inner()).map_err(Attempt::Bad),
                // The client's own timer may be the first to ring, and calls it a cancellation.
                Ok(Err(status)) if Instant::now() >= deadline => Err(Attempt::Late(status.to_string())),
                Ok(Err(status)) => Err(classify(&status)),
                Err(_) => Err(Attempt::Late("the deadline passed".to_owned())),
            },
            _ = found.wait_for(|found| found.hangs) => {
                Err(Attempt::Gone("it no longer answers probes".to_owned()))
            }
        };
        self.note(&outcome);
        outcome
    }

    /// Keeps count of failures in a row that are the replica's own.
    fn note(&self, outcome: &Result<Vec<u8>, Attempt>) {
        let mut record = self.record();
        match outcome {
            Ok(_) => *record = Record::default(),
            Err(Attempt::Full(_) | Attempt::Late(_)) => {}
            Err(Attempt::Gone(_) | Attempt::Bad(_)) => {
                record.failures += 1;
                if record.failures >= FAILURES {
                    let time = (EJECTION * 2u32.saturating_pow(record.ejections)).min(MAX_EJECTION);
                    record.out_until = Some(Instant::now() + time);
                    record.ejections = (record.ejections + 1).min(16);
                    record.failures = 0;
                    metrics::counter!("lacuna_replica_ejections_total", "replica" => self.address.to_string()).increment(1);
                    tracing::warn!(triton = %self.address, ?time, "replica left out after repeated failures");
                }
            }
        }
    }

    fn record(&self) -> std::sync::MutexGuard<'_, Record> {
        // Nothing panics while the lock is held; were it so, the counts would still be usable.
        self.record.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// One request under way, for as long as it lives; also when its caller hangs up.
struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What a failed call means. Triton answers a full queue, a time-out in the queue and its own end all
/// with UNAVAILABLE, so its words decide; a status that never came over the wire has a source.
fn classify(status: &Status) -> Attempt {
    let message = format!("{:?}: {}", status.code(), status.message());
    if let Some(source) = status.source() {
        return Attempt::Gone(format!("{message}: {source}"));
    }
    match status.code() {
        Code::Unavailable if message.contains("maximum queue size") => Attempt::Full(message),
        Code::Unavailable if message.contains("timeout expired") => Attempt::Full(message),
        Code::ResourceExhausted => Attempt::Full(message),
        Code::Unavailable | Code::NotFound | Code::Cancelled => Attempt::Gone(message),
        // A Python model whose process was killed, in a Triton that still says it is ready.
        Code::Internal if message.contains("Stub process") => Attempt::Gone(message),
        Code::DeadlineExceeded => Attempt::Late(message),
        _ => Attempt::Bad(message),
    }
}

impl From<Attempt> for Error {
    fn from(attempt: Attempt) -> Self {
        match attempt {
            Attempt::Gone(cause) => Self::Unavailable(cause),
            Attempt::Full(cause) => Self::Overloaded(cause),
            Attempt::Late(cause) => Self::Timeout(cause),
            Attempt::Bad(cause) => Self::Failed(cause),
        }
    }
}
