//! One Triton: its connection, the models it serves, and its recent failures.

use std::{
    collections::{BTreeMap, HashMap},
    error::Error as _,
    net::SocketAddr,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::join_all;
use hyper_util::client::legacy::connect::HttpConnector;
use schemars::JsonSchema;
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
    address::Address,
    call::Call,
    outlier::{Outlier, State},
    protocol::{
        ModelConfigRequest, ModelReadyRequest, ServerReadyRequest,
        grpc_inference_service_client::GrpcInferenceServiceClient,
    },
};
use crate::telemetry;

/// The connect timeout.
const CONNECT: Duration = Duration::from_secs(1);
/// The timeout of a probe, and after how many timeouts in a row a connected Triton counts as hanging: a
/// single one may be due to load on our own machine.
const PROBE: Duration = Duration::from_secs(1);
const LATE_PROBES: u32 = 3;
/// The time between probes.
const PROBE_INTERVAL: Duration = Duration::from_millis(500);
/// The largest gRPC message, in bytes. A window of 1024 x 1024 takes 3 MiB.
const MAX_ANSWER: usize = 16 << 20;
/// HTTP/2 flow-control windows, in bytes: a response arrives without waiting for a window update.
const STREAM_WINDOW: u32 = 4 << 20;
const CONNECTION_WINDOW: u32 = 64 << 20;
/// The largest HTTP/2 frame accepted, in bytes. At the default of 16 KiB, an answer takes two hundred frames with
/// a read each.
const FRAME: u32 = 1 << 20;
/// The TCP user timeout, so that a silent partition costs seconds, and the HTTP/2 keep-alive. By default,
/// Triton closes connections with more frequent pings as abusive; the probes are traffic enough otherwise.
const UNRECEIVED: Duration = Duration::from_secs(5);
const KEEP_ALIVE: Duration = Duration::from_mins(5);
const KEEP_ALIVE_ANSWER: Duration = Duration::from_secs(10);
/// After how many failed probes in a row a server or model counts as not ready.
const FAILED_PROBES: u32 = 2;
/// A timeout of a call that began with less time than this is not counted as the replica's failure.
const FAIR: Duration = Duration::from_millis(500);

/// The last known state of a replica.
#[derive(Clone, Debug, Default, JsonSchema, PartialEq, Serialize)]
#[schemars(rename = "Replica")]
pub struct ReplicaStatus {
    /// Its address.
    pub address: String,
    /// Whether it answers and reports that it is ready.
    pub ready: bool,
    /// The label of each of our models that it serves, by the model's name.
    pub models: BTreeMap<String, String>,
    /// Requests in flight.
    pub in_flight: usize,
    /// Whether it is ejected after repeated failures.
    pub ejected: bool,
}

/// The result of the probes.
#[derive(Clone, Debug, Default, PartialEq)]
struct Found {
    /// `None` until the first probe has ended.
    ready: Option<bool>,
    /// It is connected but does not answer: requests in flight there will not end.
    hangs: bool,
    models: BTreeMap<String, String>,
}

/// Why an attempt failed.
#[derive(Debug)]
pub enum Attempt {
    /// The replica cannot be reached or has shut down.
    Gone(String),
    /// Its queue is full.
    Full(String),
    /// The deadline passed.
    Late(String),
    /// It answered with an error or with a wrong output.
    Bad(String),
}

/// One Triton at one address.
#[derive(Debug)]
pub struct Replica {
    address: SocketAddr,
    client: GrpcInferenceServiceClient<Channel>,
    found: watch::Sender<Found>,
    outliers: Mutex<HashMap<String, Outlier>>,
    in_flight: AtomicUsize,
}

impl Replica {
    /// A replica at `address`, with the scheme and host name of `name`. Connects on first use.
    ///
    /// # Errors
    /// A message if the TLS roots or certificates cannot be used.
    pub fn new(name: &Address, address: SocketAddr, tls: &Tls) -> Result<Self, String> {
        let scheme = if name.tls { "https" } else { "http" };
        let endpoint = |uri: String| Endpoint::from_shared(uri).map_err(|error| error.to_string());
        let mut endpoint = endpoint(format!("{scheme}://{address}"))?
            .connect_timeout(CONNECT)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE_ANSWER)
            .keep_alive_while_idle(true)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_frame_size(FRAME);
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
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(Duration::from_secs(30)));
        tcp.set_connect_timeout(Some(CONNECT));
        tcp.set_tcp_user_timeout(Some(UNRECEIVED));
        let client = GrpcInferenceServiceClient::new(endpoint.connect_with_connector_lazy(tcp))
            .max_decoding_message_size(MAX_ANSWER)
            .max_encoding_message_size(MAX_ANSWER);
        // Exported from the start: `rate()` misses the first increment of a series that begins with it.
        metrics::counter!("lacuna_replica_ejections_total", "replica" => address.to_string()).absolute(0);
        Ok(Self {
            address,
            client,
            found: watch::Sender::default(),
            outliers: Mutex::default(),
            in_flight: AtomicUsize::new(0),
        })
    }

    /// Its address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The label of `model`, if the replica serves it.
    pub fn label(&self, model: &str) -> Option<String> {
        let found = self.found.borrow();
        (found.ready == Some(true)).then(|| found.models.get(model).cloned()).flatten()
    }

    /// Whether the first probe has not ended yet.
    pub fn is_new(&self) -> bool {
        self.found.borrow().ready.is_none()
    }

    /// The circuit's state for `model` on this replica.
    pub fn state(&self, model: &str) -> State {
        self.outliers().get(model).map_or(State::Closed, |outlier| outlier.state(Instant::now()))
    }

    /// Requests in flight, plus the load that recent failures of `model` add.
    pub fn load(&self, model: &str) -> f64 {
        let failures = self.outliers().get(model).map_or(0.0, |outlier| outlier.load(Instant::now()));
        // Rounded, so that the remainder of old failures decides nothing.
        self.in_flight.load(Ordering::Relaxed) as f64 + failures.round()
    }

    /// Its last known state.
    pub fn status(&self) -> ReplicaStatus {
        let found = self.found.borrow();
        ReplicaStatus {
            address: self.address.to_string(),
            ready: found.ready == Some(true),
            models: found.models.clone(),
            in_flight: self.in_flight.load(Ordering::Relaxed),
            ejected: self.outliers().values().any(|outlier| outlier.state(Instant::now()) != State::Closed),
        }
    }

    /// Probes the replica for `models`, without end. A single failed probe changes nothing: load on our own
    /// machine or the network may be the cause.
    pub async fn watch(&self, models: &[String]) {
        let (mut late, mut failed) = (0, 0);
        let mut missed: HashMap<&str, u32> = HashMap::new();
        loop {
            let ready = timeout(PROBE, self.client.clone().server_ready(ServerReadyRequest {})).await;
            late = if ready.is_err() { late + 1 } else { 0 };
            failed = if matches!(ready, Ok(Err(_))) { failed + 1 } else { 0 };
            let known = !self.is_new();
            let found = match ready {
                Ok(Ok(answer)) => Found {
                    ready: Some(answer.into_inner().ready),
                    models: self.probe_models(models, &mut missed).await,
                    hangs: false,
                },
                Err(_) if late < LATE_PROBES && known => continue,
                Err(_) => Found { ready: Some(false), hangs: true, models: BTreeMap::new() },
                Ok(Err(_)) if failed < FAILED_PROBES && known => self.found.borrow().clone(),
                // Requests in flight may still succeed: a Triton that shuts down finishes them first.
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

    /// The labels of the models that are ready. Each is probed on its own, so that one that does not answer
    /// hides no other. `missed` counts the consecutive failed probes of each model.
    async fn probe_models<'a>(
        &self,
        models: &'a [String],
        missed: &mut HashMap<&'a str, u32>,
    ) -> BTreeMap<String, String> {
        let asked = models.iter().map(|model| timeout(PROBE, self.probe_model(model)));
        let mut found = BTreeMap::new();
        for (model, label) in models.iter().zip(join_all(asked).await) {
            let missed = missed.entry(model).or_default();
            let label = match label {
                Ok(Ok(label)) => {
                    *missed = 0;
                    label
                }
                Ok(Err(_)) | Err(_) => {
                    *missed += 1;
                    let before = self.found.borrow().models.get(model).cloned();
                    before.filter(|_| *missed < FAILED_PROBES)
                }
            };
            found.extend(label.map(|label| (model.clone(), label)));
        }
        found
    }

    /// Waits until the first probe has ended.
    pub async fn known(&self) {
        let mut found = self.found.subscribe();
        // The sender lives as long as the replica.
        let _ = found.wait_for(|found| found.ready.is_some()).await;
    }

    /// The label of `model`, if it is ready.
    async fn probe_model(&self, model: &str) -> Result<Option<String>, Status> {
        let request = ModelReadyRequest { name: model.to_owned() };
        let ready = match self.client.clone().model_ready(request).await {
            Ok(answer) => answer.into_inner().ready,
            Err(status) if status.code() == Code::NotFound => false,
            Err(status) => return Err(status),
        };
        if !ready {
            return Ok(None);
        }
        let known = self.found.borrow().models.get(model).cloned();
        match known {
            Some(label) => Ok(Some(label)),
            None => self.ask_label(model).await.map(Some),
        }
    }

    async fn ask_label(&self, model: &str) -> Result<String, Status> {
        let request = ModelConfigRequest { name: model.to_owned() };
        let config = self.client.clone().model_config(request).await?.into_inner().config.unwrap_or_default();
        let label = config.parameters.get("label").map(|parameter| parameter.string_value.clone());
        Ok(label.filter(|label| !label.is_empty()).unwrap_or_else(|| model.to_owned()))
    }

    /// One attempt at `call`. Gives up when the replica no longer answers probes, so that the call can be
    /// retried elsewhere.
    pub async fn attempt(&self, call: &Call<'_>, deadline: Instant) -> Result<Bytes, Attempt> {
        let _counted = Counted::new(&self.in_flight);
        let mut trial = Trial::begin(self, call.model);
        let fair = deadline.saturating_duration_since(Instant::now()) >= FAIR;
        let mut request = tonic::Request::new(call.request(deadline));
        telemetry::propagate_trace(request.metadata_mut());
        request.set_timeout(deadline.saturating_duration_since(Instant::now()));
        let mut client = self.client.clone();
        let mut found = self.found.subscribe();
        let outcome = tokio::select! {
            answer = timeout_at(deadline, client.model_infer(request)) => match answer {
                Ok(Ok(answer)) => call.output(answer.into_inner()).map_err(Attempt::Bad),
                // tonic's own timeout may fire first, and reports a cancellation.
                Ok(Err(status)) if Instant::now() >= deadline => Err(Attempt::Late(status.to_string())),
                Ok(Err(status)) => Err(classify(&status)),
                Err(_) => Err(Attempt::Late("the deadline passed".to_owned())),
            },
            _ = found.wait_for(|found| found.hangs) => {
                Err(Attempt::Gone("it no longer answers probes".to_owned()))
            }
        };
        trial.due = false;
        self.note(call.model, &outcome, fair);
        outcome
    }

    /// Counts the failures that are the replica's own. A timeout is if the call began with a `fair` time.
    fn note(&self, model: &str, outcome: &Result<Bytes, Attempt>, fair: bool) {
        let now = Instant::now();
        let mut outliers = self.outliers();
        let outlier = outliers.entry(model.to_owned()).or_insert_with(|| Outlier::new(now));
        let ejected = match outcome {
            Ok(_) => {
                outlier.succeeded();
                None
            }
            Err(Attempt::Late(_)) if !fair => {
                outlier.abandon();
                None
            }
            // Overload is not a failure.
            Err(Attempt::Full(_)) => {
                outlier.abandon();
                None
            }
            Err(Attempt::Gone(_) | Attempt::Bad(_) | Attempt::Late(_)) => outlier.failed(now),
        };
        if let Some(time) = ejected {
            metrics::counter!("lacuna_replica_ejections_total", "replica" => self.address.to_string())
                .increment(1);
            tracing::warn!(triton = %self.address, model, ?time, "ejected after repeated failures");
        }
    }

    fn outliers(&self) -> std::sync::MutexGuard<'_, HashMap<String, Outlier>> {
        // Nothing panics while the lock is held, and the counts would still be usable if it did.
        self.outliers.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// The trial of a half-open circuit. Dropped before its outcome is known, it lets another begin.
struct Trial<'a> {
    replica: &'a Replica,
    model: &'a str,
    due: bool,
}

impl<'a> Trial<'a> {
    fn begin(replica: &'a Replica, model: &'a str) -> Self {
        let now = Instant::now();
        let due = replica.outliers().get_mut(model).is_some_and(|outlier| outlier.begin(now));
        Self { replica, model, due }
    }
}

impl Drop for Trial<'_> {
    fn drop(&mut self) {
        if self.due
            && let Some(outlier) = self.replica.outliers().get_mut(self.model)
        {
            outlier.abandon();
        }
    }
}

/// Counts a request in flight until it is dropped, also when its caller hangs up.
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

/// Classifies a failed call. Triton answers UNAVAILABLE for a full queue, a timeout in the queue and its own
/// shutdown, so the message decides. A status that did not come from the server has a source.
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
        // A Python model whose process was killed, on a Triton that still reports it ready. Ours need no
        // Python; operators may serve their own.
        Code::Internal if message.contains("Stub process") => Attempt::Gone(message),
        Code::DeadlineExceeded => Attempt::Late(message),
        _ => Attempt::Bad(message),
    }
}

impl Attempt {
    /// The request's error if there is no further attempt, with the replica's address for the log.
    pub fn at(self, replica: SocketAddr) -> Error {
        let (kind, cause): (fn(String) -> Error, _) = match self {
            Self::Gone(cause) => (Error::Unavailable, cause),
            Self::Full(cause) => (Error::Overloaded, cause),
            Self::Late(cause) => (Error::Timeout, cause),
            Self::Bad(cause) => (Error::Failed, cause),
        };
        kind(format!("{replica}: {cause}"))
    }
}
