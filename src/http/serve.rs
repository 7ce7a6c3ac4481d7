//! Connections: accepted, bounded in number and in what they may keep waiting, and drained at the end.

use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};

use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::graceful::{GracefulShutdown, Watcher},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::{Instant, sleep, timeout, timeout_at},
};
use tokio_io_timeout::TimeoutStream;
use tower::Service;
use warp::{http, reply::Response};

use super::tls::{HTTP2, Tls};

/// Connections at once.
const MAX_CONNECTIONS: usize = 4096;
/// How long a connection may take to send a request's header, or be idle between requests.
const HEADER: Duration = Duration::from_secs(15);
/// How long a client may take nothing of a reply that waits for it.
const WRITE: Duration = Duration::from_secs(30);
/// How long to wait after the machine refused a connection (no file descriptors, say).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// What every HTTP/2 connection begins with (RFC 9113, section 3.4).
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Whether to serve on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Serve.
    No,
    /// Take no new connections, and end those there are at the given time.
    By(Instant),
}

/// Where connections come from.
pub struct Listener {
    /// The socket.
    pub socket: TcpListener,
    /// TLS, if connections are to use it.
    pub tls: Option<Arc<Tls>>,
    /// Its name in the metrics.
    pub name: &'static str,
}

/// Serves `service` on `listener` until `stop` says otherwise, and then finishes what is under way.
pub async fn serve<S>(listener: Listener, service: S, mut stop: watch::Receiver<Stop>)
where
    S: Service<http::Request<Incoming>, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let graceful = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            _ = stop.wait_for(|stop| *stop != Stop::No) => break,
            accepted = accept(&listener.socket, &places) => accepted,
        };
        let Ok((stream, peer, place)) = accepted else {
            sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let (service, watcher) = (service.clone(), graceful.watcher());
        let (tls, counted) = (listener.tls.clone(), Connected::new(listener.name));
        tokio::spawn(async move {
            let (_place, _counted) = (place, counted);
            if let Err(error) = connection(stream, tls, service, watcher).await {
                tracing::debug!(%peer, %error, "connection ended");
            }
        });
    }
    drop(listener);
    let Stop::By(deadline) = *stop.borrow() else { return };
    if timeout_at(deadline, graceful.shutdown()).await.is_err() {
        tracing::warn!("connections were cut off at the end of the drain");
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

/// One connection in the metrics, for as long as it lives.
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

/// Finds out what the client speaks, and speaks it.
async fn connection<S>(
    stream: TcpStream,
    tls: Option<Arc<Tls>>,
    service: S,
    watcher: Watcher,
) -> Result<(), Error>
where
    S: Service<http::Request<Incoming>, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    stream.set_nodelay(true)?;
    let writes_in_time = |stream| {
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(WRITE));
        Box::pin(stream)
    };
    match tls {
        None => {
            let Ok(http2) = timeout(HEADER, speaks_http2(&stream)).await else { return Ok(()) };
            requests(writes_in_time(stream), http2?, service, watcher).await
        }
        Some(tls) => {
            let handshake = tls.acceptor().accept(writes_in_time(stream));
            let stream = timeout(HEADER, handshake).await??;
            let http2 = stream.get_ref().1.alpn_protocol() == Some(HTTP2);
            requests(stream, http2, service, watcher).await
        }
    }
}

async fn requests<S>(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    http2: bool,
    service: S,
    watcher: Watcher,
) -> Result<(), Error>
where
    S: Service<http::Request<Incoming>, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    let io = TokioIo::new(stream);
    let service = TowerToHyperService::new(service);
    if http2 {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .keep_alive_interval(HEADER)
            .keep_alive_timeout(HEADER)
            .max_concurrent_streams(32)
            .max_header_list_size(16 * 1024);
        watcher.watch(builder.serve_connection(io, service)).await?;
    } else {
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(HEADER);
        watcher.watch(builder.serve_connection(io, service)).await?;
    }
    Ok(())
}

/// Whether the client begins as HTTP/2 does. Looks at the first bytes without taking them: the ready
/// made detection waits for them without a limit.
async fn speaks_http2(stream: &TcpStream) -> io::Result<bool> {
    let mut first = [0; HTTP2_PREFACE.len()];
    loop {
        let seen = stream.peek(&mut first).await?;
        if seen == 0 || !HTTP2_PREFACE.starts_with(&first[..seen]) {
            return Ok(false);
        }
        if seen == first.len() {
            return Ok(true);
        }
        // Bytes that were seen once are seen at once again.
        sleep(Duration::from_millis(2)).await;
    }
}
