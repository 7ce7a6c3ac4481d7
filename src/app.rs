//! The whole service: built from its settings, run until it is told to end.

use std::{
    fs,
    future::Future,
    net::SocketAddr,
    os::unix::fs::MetadataExt,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use metrics_exporter_prometheus::PrometheusHandle;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::watch,
    time::{Instant, sleep},
};

use crate::{
    config::{Config, Fail},
    gate::{Budget, Gate, Limits},
    http::{self, Listener, Origins, Pages, Service, Stop, Tls, Tokens},
    inpaint::Workshop,
    process, telemetry,
    triton::{self, Models, Pool},
};

/// How often files that may change are looked at.
const LOOK: Duration = Duration::from_secs(2);

/// How often the metrics are summed up and unused memory is given back.
const UPKEEP: Duration = Duration::from_secs(5);

/// Bytes that all uploads may take at once.
const UPLOADS: u32 = 512 << 20;

/// Bytes that all answers may take until their callers have taken them.
const ANSWERS: u32 = 512 << 20;

/// The service, with its addresses taken.
pub struct App {
    api: TcpListener,
    admin: TcpListener,
    service: Arc<Service>,
    tls: Option<Arc<Tls>>,
    /// Files that are read again when they change.
    files: Vec<PathBuf>,
    metrics: PrometheusHandle,
    /// How long what is under way may take to end once the service is told to.
    drain: Duration,
    /// How long a connection is kept between two requests.
    idle: Duration,
}

impl App {
    /// Takes the addresses and begins to look for Triton.
    ///
    /// # Errors
    /// A message that names the setting concerned.
    pub async fn build(config: Config) -> Result<Self, String> {
        let config = config.check()?;
        let bind = async |address: SocketAddr, name: &str| {
            TcpListener::bind(address).await.map_err(|error| format!("{name} {address}: {error}"))
        };
        let api = bind(config.listen, "LACUNA_LISTEN").await?;
        let admin = bind(config.admin_listen, "LACUNA_ADMIN_LISTEN").await?;
        let tokens = Tokens::load(&config)?;
        let limits = http::Limits::new(config.rate_redis.as_deref(), config.rate_redis_fail == Fail::Closed)?;
        let gate = Gate::new(Limits {
            workers: config.max_concurrent.into(),
            queue: config.max_queue.into(),
            decoded: u64::from(config.max_decoded_mb.get()) << 20,
        });
        let (certificate, key) = (config.tls_cert.as_ref(), config.tls_key.as_ref());
        let files = [config.tokens_file.as_ref(), certificate, key].into_iter().flatten().cloned().collect();
        let tls = certificate.zip(key).map(|(certificate, key)| Tls::load(certificate.clone(), key.clone()));
        let names = vec![config.inpaint_model.clone(), config.segment_model.clone()];
        let own = config.triton_cert.as_deref().zip(config.triton_key.as_deref());
        let to_triton = triton::Tls::load(config.triton_ca.as_deref(), own)?;
        let picture_limits = config.picture_limits();
        let pool = Pool::new(config.triton, to_triton, names);
        let models = Models::new(pool, &config.inpaint_model, &config.segment_model);
        let service = Service {
            tokens,
            limits,
            pages: Pages::new(&picture_limits),
            uploads: Budget::new(UPLOADS),
            answers: Budget::new(ANSWERS),
            workshop: Workshop { limits: picture_limits, gate, models },
            origins: Origins::new(config.cors_origins),
            timeout: config.request_timeout,
            draining: AtomicBool::new(false),
        };
        let tls = tls.transpose()?.map(Arc::new);
        let idle = config.idle_timeout;
        let drain = config.drain_timeout.unwrap_or(config.request_timeout);
        Ok(Self {
            api,
            admin,
            service: Arc::new(service),
            tls,
            files,
            metrics: telemetry::metrics()?,
            drain,
            idle,
        })
    }

    /// The address of the API.
    ///
    /// # Errors
    /// Where the system does not tell it.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.api.local_addr()
    }

    /// The address of the metrics.
    ///
    /// # Errors
    /// Where the system does not tell it.
    pub fn admin_address(&self) -> std::io::Result<SocketAddr> {
        self.admin.local_addr()
    }

    /// Serves until `stop` ends, then drains: not ready any more, no new connections, and what is
    /// under way is finished unless it takes too long.
    pub async fn run_until(self, stop: impl Future<Output = ()>) {
        let (ending, ends) = watch::channel(Stop::No);
        let follow = tokio::spawn(follow(self.files, Arc::clone(&self.service), self.tls.clone()));
        let upkeep = tokio::spawn(upkeep(self.metrics.clone(), Arc::clone(&self.service)));
        let api = Listener { socket: self.api, tls: self.tls, idle: self.idle, name: "api" };
        let admin = Listener { socket: self.admin, tls: None, idle: self.idle, name: "admin" };
        let api = http::serve_api(api, Arc::clone(&self.service), ends.clone());
        let admin = http::serve_admin(admin, Arc::clone(&self.service), self.metrics, ends);
        let (service, drain) = (self.service, self.drain);
        let end = async move {
            stop.await;
            service.draining.store(true, Ordering::Relaxed);
            ending.send_replace(Stop::By(Instant::now() + drain));
            // Once it is so: who reads the log may count on it.
            tracing::info!("draining");
        };
        tokio::join!(api, admin, end);
        follow.abort();
        upkeep.abort();
        tracing::info!("ended");
    }
}

/// Sums the histograms up: until then every sample of them is kept, also where nobody asks for metrics.
/// Where nothing is at work, gives back the memory of what was.
async fn upkeep(metrics: PrometheusHandle, service: Arc<Service>) {
    loop {
        sleep(UPKEEP).await;
        metrics.run_upkeep();
        if service.workshop.gate.load().working == 0 {
            process::return_freed_memory();
        }
    }
}

/// Reads the tokens and certificates again when one of their files is another than before, and on
/// SIGHUP. What cannot be read leaves all as it was.
async fn follow(files: Vec<PathBuf>, service: Arc<Service>, tls: Option<Arc<Tls>>) {
    // Followed through links: the secrets of Kubernetes are changed by turning one.
    let look = || -> Vec<_> {
        let stamp = |metadata: fs::Metadata| (metadata.ino(), metadata.len(), metadata.modified().ok());
        files.iter().map(|file| fs::metadata(file).map(stamp).ok()).collect()
    };
    let mut hangup = signal(SignalKind::hangup()).ok();
    let mut seen = look();
    loop {
        let asked = tokio::select! {
            () = sleep(LOOK) => false,
            Some(()) = async { hangup.as_mut()?.recv().await } => true,
        };
        let now = look();
        if !asked && now == seen {
            continue;
        }
        seen = now;
        match service.tokens.reload() {
            Ok(callers) => tracing::info!(callers, "tokens read again"),
            Err(error) => {
                metrics::counter!("lacuna_tokens_reload_failures_total").increment(1);
                tracing::error!(error, "the tokens stay as they were");
            }
        }
        if let Some(Err(error)) = tls.as_ref().map(|tls| tls.reload()) {
            tracing::error!(error, "the certificate stays as it was");
        }
    }
}
