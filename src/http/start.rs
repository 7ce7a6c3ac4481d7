//! The routes, served: what the rest of the gateway starts without knowing what they are made with.

use std::sync::Arc;

use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::watch;

use super::{
    routes::{self, Service},
    serve::{Listener, Stop, serve},
};

/// Serves the API until it is told to stop.
pub async fn serve_api(listener: Listener, service: Arc<Service>, stop: watch::Receiver<Stop>) {
    serve(listener, warp::service(routes::routes(service)), stop).await;
}

/// Serves what is for operators until it is told to stop.
pub async fn serve_admin(
    listener: Listener,
    service: Arc<Service>,
    metrics: PrometheusHandle,
    stop: watch::Receiver<Stop>,
) {
    serve(listener, warp::service(routes::admin(service, metrics)), stop).await;
}
