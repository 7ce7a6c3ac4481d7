//! Connections: accepted, limited in number and backlog, and drained at shutdown.

use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    pin::pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::future::BoxFuture;
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::{GracefulShutdown, Watcher},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::{Instant, sleep, timeout, timeout_at},
};
use tower::Service;
use warp::{http, reply::Response};

use super::{
    pace::{self, HEADER, Pace, Stream, Streams},
    tls::{HTTP2, Tls},
};

/// Connections open at once, per listener.
const MAX_CONNECTIONS: usize = 4096;
/// HTTP/2 streams per connection; also bounds the responses that one client can leave unread.
const STREAMS: u32 = 16;
/// How long a draining service still accepts connections: until load balancers have noticed that it is not
/// ready.
const ACCEPT_WHILE_DRAINING: Duration = Duration::from_secs(3);
/// Backoff after a failed accept (out of file descriptors, say).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// The HTTP/2 connection preface (RFC 9113, section 3.4).
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Whether to shut down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Keep serving.
    No,
    /// Drain: ask clients to disconnect, stop accepting shortly after, and cut off what is left at the given
    /// time.
    By(Instant),
}

/// A listening socket and how to serve its connections.
pub struct Listener {
    /// The bound socket.
    pub socket: TcpListener,
    /// Certificate and key, if it serves TLS.
    pub tls: Option<Arc<Tls>>,
    /// Keep-alive timeout of HTTP/1.1.
    pub idle: Duration,
    /// Label in the metrics.
    pub name: &'static str,
}

/// Serves `service` on `listener` until `stop`. Then requests in flight are finished, and every response
/// closes its connection so that no client sends another request to a gateway that is about to exit.
pub async fn serve<S>(listener: Listener, service: S, mut stop: watch::Receiver<Stop>)
where
    S: Service<http::Request<Incoming>, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let graceful = GracefulShutdown::new();
    let service = Draining { service, stop: stop.clone(), pace: Arc::default() };
    {
        let closed = async {
            let _ = stop.wait_for(|stop| *stop != Stop::No).await;
            // Even if no client is connected: load balancers probe only now and then.
            sleep(ACCEPT_WHILE_DRAINING).await;
        };
        let mut closed = pin!(closed);
        loop {
            let accepted = tokio::select! {
                () = &mut closed => break,
                accepted = accept(&listener.socket, &places) => accepted,
            };
            let Ok((stream, peer, place)) = accepted else {
                sleep(ACCEPT_PAUSE).await;
                continue;
            };
            let (service, watcher) = (service.clone(), graceful.watcher());
            let (tls, counted, idle) = (listener.tls.clone(), Connected::new(listener.name), listener.idle);
            tokio::spawn(async move {
                let (_place, _counted) = (place, counted);
                if let Err(error) = connection(stream, tls, service, watcher, idle).await {
                    tracing::debug!(%peer, %error, "connection ended");
                }
            });
        }
    }
    drop(listener);
    let Stop::By(deadline) = *service.stop.borrow() else { return };
    if timeout_at(deadline, graceful.shutdown()).await.is_err() {
        tracing::warn!("connections were cut off at the end of the drain");
    }
}

/// A service whose responses close their connections while draining.
#[derive(Clone)]
struct Draining<S> {
    service: S,
    stop: watch::Receiver<Stop>,
    pace: Arc<Pace>,
}

impl<S> Service<http::Request<Incoming>> for Draining<S>
where
    S: Service<http::Request<Incoming>, Response = Response, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = http::Response<pace::Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<Incoming>) -> Self::Future {
        // HTTP/2 has no `connection` header; it sends GOAWAY instead.
        let has_field = request.version() < http::Version::HTTP_2;
        self.pace.begins();
        let (answer, stop) = (self.service.call(request), self.stop.clone());
        let pace = Arc::clone(&self.pace);
        Box::pin(async move {
            let mut response = answer.await?;
            if has_field && *stop.borrow() != Stop::No {
                response
                    .headers_mut()
                    .insert(http::header::CONNECTION, http::HeaderValue::from_static("close"));
            }
            Ok(pace::paced(response, pace))
        })
    }
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, peer) = listener.accept().await.inspect_err(|error| {
        tracing::warn!(%error, "cannot accept a connection");
    })?;
    Ok((stream, peer, place))
}

/// The names of the listeners in the metrics: of the API and of the admin address.
pub const LISTENERS: [&str; 2] = ["api", "admin"];

/// Sets the gauges of open connections, for a scrape.
pub fn measure_connections() {
    for listener in LISTENERS {
        metrics::gauge!("lacuna_connections", "listener" => listener).increment(0);
    }
}

/// Counts an open connection in the metrics until dropped.
struct Connected(metrics::Gauge);

impl Connected {
    fn new(listener: &'static str) -> Self {
        let gauge = metrics::gauge!("lacuna_connections", "listener" => listener);
        gauge.increment(1);
        Self(gauge)
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.decrement(1);
    }
}

type Error = Box<dyn std::error::Error + Send + Sync>;

/// Detects HTTP/2 (by ALPN or preface) or HTTP/1.1 and serves it.
async fn connection<S>(
    stream: TcpStream,
    tls: Option<Arc<Tls>>,
    mut service: Draining<S>,
    watcher: Watcher,
    idle: Duration,
) -> Result<(), Error>
where
    S: Service<http::Request<Incoming>, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    stream.set_nodelay(true)?;
    let mut stream = Stream::new(stream);
    let pace = stream.pace();
    service.pace = Arc::clone(&pace);
    let served = async {
        match tls {
            None => {
                let Ok(http2) = timeout(HEADER, stream.begins_with(HTTP2_PREFACE)).await else {
                    return Ok(());
                };
                requests(stream, http2?, service, watcher, idle).await
            }
            Some(tls) => {
                let stream = timeout(HEADER, tls.acceptor().accept(stream)).await??;
                let http2 = stream.get_ref().1.alpn_protocol() == Some(HTTP2);
                requests(stream, http2, service, watcher, idle).await
            }
        }
    };
    tokio::select! {
        served = served => served,
        () = pace.too_slow() => {
            pace::gave_up("a connection");
            Ok(())
        }
    }
}

async fn requests<S>(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    http2: bool,
    service: Draining<S>,
    watcher: Watcher,
    idle: Duration,
) -> Result<(), Error>
where
    S: Service<http::Request<Incoming>, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    let io = TokioIo::new(stream);
    if !http2 {
        service.pace.speaks_http1();
    }
    let service = TowerToHyperService::new(service);
    if http2 {
        let mut builder = http2::Builder::new(Streams);
        builder
            .timer(TokioTimer::new())
            .keep_alive_interval(HEADER)
            .keep_alive_timeout(HEADER)
            .max_concurrent_streams(STREAMS)
            .max_header_list_size(16 * 1024);
        watcher.watch(builder.serve_connection(io, service)).await?;
    } else {
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(idle);
        watcher.watch(builder.serve_connection(io, service)).await?;
    }
    Ok(())
}
