//! Logs, metrics and traces.

use std::{sync::OnceLock, time::Duration};

use hyper::{HeaderMap, header::HeaderName};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use metrics_util::MetricKindMask;
use opentelemetry::{
    global,
    propagation::{Extractor, Injector},
    trace::TracerProvider,
};
use opentelemetry_otlp::WithExportConfig;
use opentelemetry_sdk::{Resource, propagation::TraceContextPropagator, trace::SdkTracerProvider};
use tonic::metadata::{MetadataKey, MetadataMap};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::{EnvFilter, Layer, layer::SubscriberExt, util::SubscriberInitExt};

/// Histogram buckets, in seconds.
const SECONDS: [f64; 14] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0];

/// How long to keep exporting a gauge that is no longer set: those of a removed replica must go, or it would count as
/// ready for as long. Every gauge is set at each scrape.
const STALE: Duration = Duration::from_secs(1);

/// Format of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For humans.
    Text,
    /// For programs: one JSON object per line.
    Json,
}

/// Active logging and tracing; dropping it flushes pending traces.
#[derive(Debug)]
pub struct Telemetry {
    traces: Option<SdkTracerProvider>,
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        if let Some(Err(error)) = self.traces.as_ref().map(SdkTracerProvider::shutdown) {
            eprintln!("lacuna: traces were lost: {error}");
        }
    }
}

/// Starts logging to standard error, filtered by `RUST_LOG` (default `info`), and exporting traces to the
/// OTLP endpoint (gRPC), if given. Must be called inside a tokio runtime.
///
/// # Errors
/// A message if the endpoint is invalid.
pub fn start(format: LogFormat, otlp: Option<&str>) -> Result<Telemetry, String> {
    let filter = EnvFilter::builder().with_default_directive(tracing::Level::INFO.into()).from_env_lossy();
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = match format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    let traces = otlp.map(tracer).transpose()?;
    let spans =
        traces.as_ref().map(|traces| tracing_opentelemetry::layer().with_tracer(traces.tracer("lacuna")));
    tracing_subscriber::registry().with(filter).with(lines).with(spans).init();
    Ok(Telemetry { traces })
}

fn tracer(endpoint: &str) -> Result<SdkTracerProvider, String> {
    let exporter = opentelemetry_otlp::SpanExporter::builder().with_tonic().with_endpoint(endpoint).build();
    let exporter = exporter.map_err(|error| format!("OTEL_EXPORTER_OTLP_ENDPOINT: {error}"))?;
    global::set_text_map_propagator(TraceContextPropagator::new());
    let resource = Resource::builder().with_service_name("lacuna").build();
    Ok(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build())
}

/// A span for a request, as part of the trace named by the caller's `traceparent` (W3C Trace Context).
pub fn request_span(headers: &HeaderMap, route: &str, request_id: &str) -> Span {
    let name = format!("POST {route}");
    let span = tracing::info_span!("request", otel.name = name, otel.kind = "server", request_id);
    let parent = global::get_text_map_propagator(|propagator| propagator.extract(&Carrier(headers)));
    // Fails harmlessly if traces are not exported.
    let _ = span.set_parent(parent);
    span
}

/// Injects the current span as the parent into a gRPC call's metadata.
pub fn propagate_trace(metadata: &mut MetadataMap) {
    let context = Span::current().context();
    global::get_text_map_propagator(|propagator| {
        propagator.inject_context(&context, &mut Outgoing(metadata));
    });
}

struct Carrier<'a>(&'a HeaderMap);

impl Extractor for Carrier<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}

struct Outgoing<'a>(&'a mut MetadataMap);

impl Injector for Outgoing<'_> {
    fn set(&mut self, key: &str, value: String) {
        if let (Ok(key), Ok(value)) = (MetadataKey::from_bytes(key.as_bytes()), value.parse()) {
            self.0.insert(key, value);
        }
    }
}

/// Installs the metrics recorder, once per process; later calls return the same handle.
///
/// # Errors
/// A message if another recorder is installed already.
pub fn metrics() -> Result<PrometheusHandle, String> {
    static HANDLE: OnceLock<Result<PrometheusHandle, String>> = OnceLock::new();
    HANDLE
        .get_or_init(|| {
            PrometheusBuilder::new()
                .idle_timeout(MetricKindMask::GAUGE, Some(STALE))
                .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)
                .and_then(PrometheusBuilder::install_recorder)
                .inspect(|_| begin_at_zero())
                .map_err(|error| error.to_string())
        })
        .clone()
}

/// Exports counters of rare events as zero from the start: `rate()` misses the first increment of a new one.
fn begin_at_zero() {
    metrics::counter!("lacuna_shared_limit_errors_total").absolute(0);
    metrics::counter!("lacuna_tokens_reload_failures_total").absolute(0);
    for allowed in ["true", "false"] {
        metrics::counter!("lacuna_replica_retries_total", "allowed" => allowed).absolute(0);
    }
}

/// Updates this process's metrics: memory, file descriptors, CPU time.
pub fn measure_process() {
    metrics_process::Collector::default().collect();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gauge_that_is_no_longer_set_goes_and_one_that_is_stays() {
        let handle = metrics().unwrap();
        let scraped = || {
            metrics::gauge!("test_kept").increment(0);
            handle.render()
        };
        metrics::gauge!("test_kept").set(3.0);
        metrics::gauge!("test_gone").set(1.0);
        assert!(scraped().contains("test_gone 1"));
        std::thread::sleep(STALE + Duration::from_millis(200));
        let later = scraped();
        assert!(later.contains("test_kept 3") && !later.contains("test_gone"), "{later}");
    }
}
