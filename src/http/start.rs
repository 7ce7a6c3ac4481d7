//! Starts the listeners without exposing warp to the rest of the gateway.

use std::sync::Arc;

use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::watch;

use super::{
    routes::{self, Service},
    serve::{Listener, Stop, serve},
};

/// Serves the public API until `stop`.
pub async fn serve_api(listener: Listener, service: Arc<Service>, stop: watch::Receiver<Stop>) {
    serve(listener, warp::service(routes::routes(service)), stop).await;
}

/// Serves the operator's routes until `stop`.
pub async fn serve_admin(
    listener: Listener,
    service: Arc<Service>,
    metrics: PrometheusHandle,
    stop: watch::Receiver<Stop>,
) {
    serve(listener, warp::service(routes::admin(service, metrics)), stop).await;
}
