//! The whole service: built from its settings, run until it is told to end.

use std::{
    future::Future,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use metrics_exporter_prometheus::PrometheusHandle;
use tokio::{net::TcpListener, sync::watch, time::Instant};

use crate::{
    config::Config,
    gate::Gate,
    http::{self, Service, Stop, Tokens},
    telemetry,
    triton::{Models, Pool},
};

/// How long what is under way may take to end once the service is told to. Longer than a request may
/// take is never needed.
const DRAIN: Duration = Duration::from_secs(30);

/// The service, with its addresses taken.
pub struct App {
    api: TcpListener,
    admin: TcpListener,
    service: Arc<Service>,
    metrics: PrometheusHandle,
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
        let names = vec![config.inpaint_model.clone(), config.segment_model.clone()];
        let pool = Pool::new(config.triton, names);
        let service = Service {
            tokens,
            gate: Gate::new(config.max_concurrent.into(), config.max_queue.into()),
            models: Models::new(pool, &config.inpaint_model, &config.segment_model),
            timeout: config.request_timeout,
            draining: AtomicBool::new(false),
        };
        Ok(Self { api, admin, service: Arc::new(service), metrics: telemetry::metrics()? })
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
        let api = http::serve(self.api, warp::service(http::routes(Arc::clone(&self.service))), ends.clone());
        let admin = http::serve(self.admin, warp::service(http::admin(self.metrics)), ends);
        let service = self.service;
        let end = async move {
            stop.await;
            tracing::info!("draining");
            service.draining.store(true, Ordering::Relaxed);
            ending.send_replace(Stop::By(Instant::now() + DRAIN));
        };
        tokio::join!(api, admin, end);
        tracing::info!("ended");
    }
}
