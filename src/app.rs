//! The whole service: built from its settings, run, and drained at shutdown.

use std::{
    fs,
    future::Future,
    net::SocketAddr,
    num::NonZeroUsize,
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
    task::spawn_blocking,
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

/// How often to poll files that may change.
const LOOK: Duration = Duration::from_secs(2);

/// How often to aggregate metrics and return unused memory.
const UPKEEP: Duration = Duration::from_secs(5);

/// Memory budget of all uploads, in bytes.
const UPLOADS: u32 = 512 << 20;

/// Memory budget of all responses until they have been sent, in bytes.
const ANSWERS: u32 = 512 << 20;

/// The service, with its sockets bound.
pub struct App {
    api: TcpListener,
    admin: TcpListener,
    service: Arc<Service>,
    tls: Option<Arc<Tls>>,
    /// Files to reload when they change.
    files: Vec<PathBuf>,
    metrics: PrometheusHandle,
    /// How long requests in flight may take to finish at shutdown.
    drain: Duration,
    /// Keep-alive timeout.
    idle: Duration,
}

impl App {
    /// Binds the sockets and starts connecting to Triton.
    ///
    /// # Errors
    /// A message naming the offending setting.
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
            cores: std::thread::available_parallelism().map_or(1, NonZeroUsize::get),
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

    /// The bound address of the API, useful when asked for port 0.
    ///
    /// # Errors
    /// If the system call fails.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.api.local_addr()
    }

    /// The bound address of the metrics.
    ///
    /// # Errors
    /// If the system call fails.
    pub fn admin_address(&self) -> std::io::Result<SocketAddr> {
        self.admin.local_addr()
    }

    /// Serves until `stop` completes, then drains: turns unready, stops accepting connections, and finishes
    /// requests in flight unless they take too long.
    pub async fn run_until(self, stop: impl Future<Output = ()>) {
        let (ending, ends) = watch::channel(Stop::No);
        let follow = tokio::spawn(follow(self.files, Arc::clone(&self.service), self.tls.clone()));
        let upkeep = tokio::spawn(upkeep(self.metrics.clone(), Arc::clone(&self.service)));
        let [name, admin_name] = http::LISTENERS;
        let api = Listener { socket: self.api, tls: self.tls, idle: self.idle, name };
        let admin = Listener { socket: self.admin, tls: None, idle: self.idle, name: admin_name };
        let api = http::serve_api(api, Arc::clone(&self.service), ends.clone());
        let admin = http::serve_admin(admin, Arc::clone(&self.service), self.metrics, ends);
        let (service, drain) = (self.service, self.drain);
        let end = async move {
            stop.await;
            service.draining.store(true, Ordering::Relaxed);
            ending.send_replace(Stop::By(Instant::now() + drain));
            // Logged only once draining is in effect, so that readers of the log can rely on it.
            tracing::info!("draining");
        };
        tokio::join!(api, admin, end);
        follow.abort();
        upkeep.abort();
        tracing::info!("ended");
    }
}

/// Aggregates the histograms, which otherwise keep every sample until the next scrape, if there is one.
/// Returns freed memory to the system while nothing is in flight.
async fn upkeep(metrics: PrometheusHandle, service: Arc<Service>) {
    loop {
        sleep(UPKEEP).await;
        metrics.run_upkeep();
        if service.workshop.gate.load().working == 0 {
            // Not on an async thread: it takes a tenth of a second for a gigabyte. Its failure changes nothing.
            let _ = spawn_blocking(process::return_freed_memory).await;
        }
    }
}

/// Reloads tokens and certificates when one of their files changes, and on SIGHUP. If that fails, the old
/// ones stay.
async fn follow(files: Vec<PathBuf>, service: Arc<Service>, tls: Option<Arc<Tls>>) {
    // Follows symlinks: Kubernetes updates secrets by switching one.
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
