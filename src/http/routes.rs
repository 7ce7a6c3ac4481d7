//! Routing, and what happens to each request before and after the pipeline.

use std::{
    convert::Infallible,
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Buf;
use futures_util::{FutureExt, Stream};
use metrics_exporter_prometheus::PrometheusHandle;
use tracing::Instrument;
use warp::{
    Filter, Rejection,
    http::{HeaderMap, HeaderValue, Method, StatusCode, header::CONTENT_TYPE},
    path::FullPath,
    reply::Response,
};

use super::{
    api::Endpoint,
    auth::Tokens,
    cors::Origins,
    error::ApiError,
    form::{self, Body},
    limit::Limits,
    pages::{self, Pages},
    reply::{self, Answer, Context, Liveness, Readiness},
    serve::measure_connections,
};
use crate::{
    gate::{Budget, Reservation},
    inpaint::{self, Mode, Region, Workshop},
    picture::OutputFormat,
    telemetry,
};

/// Everything the routes share.
#[derive(Debug)]
pub struct Service {
    /// Known callers.
    pub tokens: Tokens,
    /// Rate limits.
    pub limits: Limits,
    /// HTML pages.
    pub pages: Pages,
    /// Memory for uploads.
    pub uploads: Budget,
    /// Memory for responses being sent.
    pub answers: Budget,
    /// What the pipeline needs.
    pub workshop: Workshop,
    /// CORS policy.
    pub origins: Origins,
    /// Deadline of a request once its upload is complete.
    pub timeout: Duration,
    /// Set when shutdown begins; `/readyz` fails from then on.
    pub draining: AtomicBool,
}

/// The public API.
pub fn routes(
    service: Arc<Service>,
) -> impl Filter<Extract = (Response,), Error = Infallible> + Clone + Send + Sync + 'static {
    warp::path::full()
        .and(request())
        .then(move |path: FullPath, method, headers, body| {
            let service = Arc::clone(&service);
            async move {
                let mut response = route(&service, path.as_str(), &method, &headers, body).await;
                service.origins.mark(&headers, &mut response);
                response
            }
        })
        .recover(|rejection: Rejection| async move { Ok::<_, Infallible>(unroutable(&rejection)) })
        .unify()
}

/// Dispatches by endpoint, after CORS preflight and the method check.
async fn route(service: &Service, path: &str, method: &Method, headers: &HeaderMap, body: Body) -> Response {
    let Some(endpoint) = Endpoint::of(path) else {
        return file(path, method, headers, body);
    };
    if let Some(allowed) = service.origins.preflight(endpoint, method, headers) {
        return finish(&Context::new(headers), "preflight", Ok(allowed), headers, body);
    }
    if !endpoint.methods().split(", ").any(|allowed| allowed == method.as_str()) {
        let refused = Err(ApiError::MethodNotAllowed(endpoint.methods()));
        return finish(&Context::new(headers), endpoint.path(), refused, headers, body);
    }
    let answer = match endpoint {
        Endpoint::Inpaint | Endpoint::Mask => return work_route(service, endpoint, headers, body).await,
        Endpoint::Home => service.pages.home(headers),
        Endpoint::Docs => service.pages.docs(headers),
        Endpoint::OpenApi => pages::openapi(),
        Endpoint::Live => alive(),
        Endpoint::Ready => readiness(service),
    };
    finish(&Context::new(headers), endpoint.path(), Ok(answer), headers, body)
}

/// A static file, or 404.
fn file(path: &str, method: &Method, headers: &HeaderMap, body: Body) -> Response {
    let (route, answer) = match pages::file(path.trim_start_matches('/'), headers) {
        None => ("other", Err(ApiError::NotFound)),
        Some(_) if !matches!(*method, Method::GET | Method::HEAD) => {
            ("/web", Err(ApiError::MethodNotAllowed(Endpoint::Home.methods())))
        }
        Some(file) => ("/web", Ok(file)),
    };
    finish(&Context::new(headers), route, answer, headers, body)
}

/// The operator's routes: metrics and liveness.
pub fn admin(
    service: Arc<Service>,
    metrics: PrometheusHandle,
) -> impl Filter<Extract = (Response,), Error = Rejection> + Clone + Send + Sync + 'static {
    let metrics = warp::path!("metrics").and(warp::get()).map(move || {
        measure(&service);
        let mut response = Response::new(metrics.render().into());
        let media_type = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
        response.headers_mut().insert(CONTENT_TYPE, media_type);
        response
    });
    metrics.or(warp::path!("livez").and(warp::get()).map(alive)).unify()
}

fn alive() -> Response {
    reply::json(&Liveness { status: Liveness::OK }, StatusCode::OK)
}

/// Updates the gauges that are only read on a scrape.
fn measure(service: &Service) {
    let load = service.workshop.gate.load();
    metrics::gauge!("lacuna_queue_waiting").set(load.waiting as f64);
    metrics::gauge!("lacuna_at_work").set(load.working as f64);
    metrics::gauge!("lacuna_work_bytes").set(load.decoded as f64);
    for replica in service.workshop.models.status().replicas {
        let number = |yes: bool| if yes { 1.0 } else { 0.0 };
        let set = |name: &'static str, value: f64| {
            metrics::gauge!(name, "replica" => replica.address.clone()).set(value);
        };
        set("lacuna_replica_up", number(replica.ready));
        set("lacuna_replica_ejected", number(replica.ejected));
        set("lacuna_replica_in_flight", replica.in_flight as f64);
    }
    measure_connections();
    telemetry::measure_process();
}

/// Extracts method, headers and body.
fn request() -> impl Filter<Extract = (Method, HeaderMap, Body), Error = Rejection> + Copy {
    warp::method().and(warp::header::headers_cloned()).and(warp::body::stream().map(body))
}

fn body<B: Buf>(chunks: impl Stream<Item = Result<B, warp::Error>> + Send + 'static) -> Body {
    Body::new(chunks)
}

/// Serves the endpoints that take a token and a form.
async fn work_route(service: &Service, endpoint: Endpoint, headers: &HeaderMap, mut body: Body) -> Response {
    let mut underway = Underway { context: Context::new(headers), endpoint, ended: false };
    let span = telemetry::request_span(headers, endpoint.path(), &underway.context.id);
    async move {
        let context = &mut underway.context;
        // A panic fails this request and no other.
        let answer = AssertUnwindSafe(answer(service, endpoint, headers, &mut body, context));
        let answer = answer.catch_unwind().await;
        let answer = answer.unwrap_or_else(|panic| Err(ApiError::Internal(panic_text(&*panic))));
        context.queue = service.workshop.gate.wait();
        underway.ended = true;
        finish(&underway.context, endpoint.path(), answer, headers, body)
    }
    .instrument(span)
    .await
}

/// A request in flight. If dropped before it has a response, its caller hung up; that is counted and logged
/// as 499.
struct Underway {
    context: Context,
    endpoint: Endpoint,
    ended: bool,
}

impl Drop for Underway {
    fn drop(&mut self) {
        if !self.ended {
            tell(&self.context, self.endpoint.path(), 499, Some("hung_up"));
        }
    }
}

/// Checks in this order: token, rate limit, requests in flight, size and form. Then runs the pipeline.
async fn answer(
    service: &Service,
    endpoint: Endpoint,
    headers: &HeaderMap,
    body: &mut Body,
    context: &mut Context,
) -> Result<Response, ApiError> {
    let caller = service.tokens.caller(headers).ok_or(ApiError::Unauthorized)?;
    context.caller = Some(caller.name.clone());
    let counted = service.limits.check(&caller.name, &caller.limiter).await?;
    context.rate = Some((caller.limiter.quota(), counted.as_ref().map_or(0, |allowed| allowed.left)));
    counted.map_err(ApiError::RateLimited)?;

    // Held until the response has been sent: uploads, the queue and responses are shared by all callers.
    let place = Arc::clone(&caller.places).try_acquire_owned().map_err(|_| ApiError::TooManyAtOnce)?;

    context.upload_begins();
    let form = form::read(endpoint, headers, body, &service.uploads, service.workshop.limits).await;
    context.upload_ends();
    metrics::histogram!("lacuna_upload_seconds").record(context.upload().as_secs_f64());
    let form = form?;
    let deadline = Instant::now() + service.timeout;
    let (mut response, room) = match endpoint {
        Endpoint::Mask => {
            let request = form.into_find_request()?;
            let (mode, format) = (request.target.mode(), OutputFormat::Png);
            (context.mode, context.format) = (Some(mode), Some(format.name()));
            context.bytes_in = request.photo.len();
            let found = inpaint::find(request, &service.workshop, deadline, &mut context.facts).await;
            let found = found.map_err(ApiError::Inpaint)?;
            let (model, timings, media_type) = (&*found.model, &found.timings, format.media_type());
            let answer = Answer { bytes: found.png, media_type, model, mode, warnings: &[], timings };
            deliver(service, answer, context)?
        }
        _ => {
            let request = form.into_request()?;
            let (mode, format) = (request.region.mode(), request.format);
            (context.mode, context.format) = (Some(mode), Some(format.name()));
            let mask = if let Region::Mask(file) = &request.region { file.len() } else { 0 };
            context.bytes_in = request.photo.len() + mask;
            let done = inpaint::run(request, &service.workshop, deadline, &mut context.facts).await;
            let done = done.map_err(ApiError::Inpaint)?;
            let (model, warnings, timings) = (&*done.model, &*done.warnings, &done.timings);
            let media_type = format.media_type();
            let answer = Answer { bytes: done.bytes, media_type, model, mode, warnings, timings };
            deliver(service, answer, context)?
        }
    };
    // Released once the response has been sent.
    response.extensions_mut().insert(Arc::new((room, place)));
    Ok(response)
}

/// The response with a result, and the memory reserved for it until it has been sent.
fn deliver(
    service: &Service,
    answer: Answer,
    context: &mut Context,
) -> Result<(Response, Option<Reservation>), ApiError> {
    for (step, time) in answer.timings.steps() {
        metrics::histogram!("lacuna_step_seconds", "step" => *step).record(time.as_secs_f64());
    }
    context.bytes_out = answer.bytes.len();
    let mut room = None;
    service.answers.take(answer.bytes.len(), &mut room).map_err(|_| ApiError::AnswersHeld)?;
    Ok((reply::answered(answer, context), room))
}

fn readiness(service: &Service) -> Response {
    let draining = service.draining.load(Ordering::Relaxed);
    let (status, code) = match !draining && service.workshop.models.ready() {
        true => (Readiness::READY, StatusCode::OK),
        false => (Readiness::NOT_READY, StatusCode::SERVICE_UNAVAILABLE),
    };
    let replicas = service.workshop.models.status().replicas;
    reply::json(&Readiness { status, draining, replicas }, code)
}

/// Turns an outcome into a response, and counts and logs it. The only place that does.
fn finish(
    context: &Context,
    route: &'static str,
    answer: Result<Response, ApiError>,
    headers: &HeaderMap,
    body: Body,
) -> Response {
    let error = answer.as_ref().err().map(|error| error.problem().told().code);
    let response = answer.unwrap_or_else(|error| {
        if let Some(cause) = error.cause() {
            tracing::error!(cause, "request failed");
        }
        reply::failed(&error, context)
    });
    if error.is_some() {
        body.linger(headers);
    }
    tell(context, route, response.status().as_u16(), error);
    context.finish(response)
}

fn tell(context: &Context, route: &'static str, status: u16, error: Option<&'static str>) {
    let (mode, seconds) = (context.mode.map_or("none", Mode::name), context.latency().as_secs_f64());
    metrics::counter!("lacuna_requests_total", "route" => route, "status" => status.to_string(), "mode" => mode).increment(1);
    metrics::histogram!("lacuna_request_seconds", "route" => route, "mode" => mode).record(seconds);
    if Endpoint::of(route).is_some_and(|endpoint| !endpoint.fields().is_empty()) {
        let Context { format, bytes_in, bytes_out, facts, .. } = context;
        let photo = facts.photo;
        let replicas: Vec<_> = facts.replicas.iter().map(ToString::to_string).collect();
        tracing::info!(
            caller = context.caller.as_deref().unwrap_or("-"),
            route,
            status,
            error,
            mode,
            photo = photo.map(|photo| photo.format.media_type()),
            width = photo.map(|photo| photo.width),
            height = photo.map(|photo| photo.height),
            format,
            bytes_in,
            bytes_out,
            replica = (!replicas.is_empty()).then(|| replicas.join(",")),
            ms = (seconds * 1000.0).round(),
            upload_ms = (context.upload().as_secs_f64() * 1000.0).round(),
            "request"
        );
    }
}

/// The response to requests that warp itself rejects, such as a path that is not UTF-8.
fn unroutable(rejection: &Rejection) -> Response {
    tracing::debug!(?rejection, "rejected");
    let context = Context::new(&HeaderMap::new());
    context.finish(reply::failed(&ApiError::NotFound, &context))
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().map(str::to_owned);
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    format!("panic: {}", text.unwrap_or_else(|| "without a message".to_owned()))
}
