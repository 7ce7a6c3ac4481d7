//! Disconnects clients that read too slowly.
//!
//! This takes two watchdogs. A connection with pending writes must get rid of some bytes; that catches slow
//! HTTP/1.1 clients, with or without TLS. An HTTP/2 client can keep its connection busy, answer pings, and
//! still leave the flow-control window of one stream closed. So each HTTP/2 response is handed out in small
//! parts, and its pace is judged by how many of them are polled for.

use std::{
    future::Future,
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use hyper::{
    body::{Frame, SizeHint},
    rt::Executor,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf},
    net::TcpStream,
    task::futures::TaskLocalFuture,
    time::{Instant, MissedTickBehavior, interval},
};
use warp::{http::Extensions, reply::Response};

/// How often the pace is sampled, and over how many samples a client is judged: one that stops reading is
/// disconnected after 20 to 25 seconds.
const LOOK: Duration = Duration::from_secs(5);
const LOOKS: usize = 4;
/// Bytes a client must take over that time: half of what the slowest mobile networks carry.
const LEAST: u64 = 80 * 1024;
/// Bytes of a response handed to HTTP/2 at a time. What is handed over but not yet sent counts against no
/// budget, so this is small.
const PART: usize = 32 * 1024;

/// Deadline for a request's header, from its first byte.
pub const HEADER: Duration = Duration::from_secs(15);

/// Tracks how much a client has taken of a connection or response.
#[derive(Debug, Default)]
pub struct Pace {
    taken: AtomicU64,
    waiting: AtomicBool,
    /// HTTP/1.1 only: whether that is what it speaks, whether a request is in flight, and since when the next
    /// header has been arriving. hyper's own header timeout also covers idle keep-alive, so it is longer.
    http1: AtomicBool,
    busy: AtomicBool,
    header: Mutex<Option<Instant>>,
}

impl Pace {
    fn took(&self, bytes: usize) {
        self.taken.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    fn wait(&self, waiting: bool) {
        self.waiting.store(waiting, Ordering::Relaxed);
    }

    /// Notes that the connection is HTTP/1.1 and its first request header is due.
    pub fn speaks_http1(&self) {
        self.http1.store(true, Ordering::Relaxed);
        self.heard();
    }

    /// Notes that a request's header is complete.
    pub fn begins(&self) {
        self.busy.store(true, Ordering::Relaxed);
        *self.header() = None;
    }

    fn ends(&self) {
        self.busy.store(false, Ordering::Relaxed);
    }

    fn heard(&self) {
        if self.http1.load(Ordering::Relaxed) && !self.busy.load(Ordering::Relaxed) {
            self.header().get_or_insert_with(Instant::now);
        }
    }

    fn header(&self) -> MutexGuard<'_, Option<Instant>> {
        self.header.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Completes once the client has read too slowly for too long or is late with a header.
    pub async fn too_slow(&self) {
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut seen = [0; LOOKS];
        let mut looks = 0;
        loop {
            look.tick().await;
            if self.header().is_some_and(|since| since.elapsed() >= HEADER) {
                return;
            }
            if !self.waiting.load(Ordering::Relaxed) {
                looks = 0;
                continue;
            }
            let taken = self.taken.load(Ordering::Relaxed);
            if looks >= LOOKS && taken - seen[looks % LOOKS] < LEAST {
                return;
            }
            seen[looks % LOOKS] = taken;
            looks += 1;
        }
    }
}

tokio::task_local! {
    /// The pace of the HTTP/2 response that the current task sends.
    static ANSWER: Arc<Pace>;
}

/// Spawns each HTTP/2 stream as its own task, which is dropped, resetting the stream, if the client reads too
/// slowly. The connection and its other streams continue.
#[derive(Clone, Copy, Debug)]
pub struct Streams;

impl<F> Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        let pace = Arc::new(Pace::default());
        let stream: TaskLocalFuture<_, F> = ANSWER.scope(Arc::clone(&pace), stream);
        tokio::spawn(async move {
            tokio::select! {
                () = stream => {}
                () = pace.too_slow() => gave_up("an answer"),
            }
        });
    }
}

/// Counts and logs a disconnected client.
pub fn gave_up(what: &'static str) {
    metrics::counter!("lacuna_slow_clients_total").increment(1);
    tracing::info!(what, "given up: its client is too slow");
}

/// A response body handed out at the client's pace.
pub struct Body {
    /// Holds the body, whose type cannot be named.
    inner: Response,
    rest: Bytes,
    pace: Option<Arc<Pace>>,
    /// The connection's pace; `pace` is the HTTP/2 stream's.
    line: Arc<Pace>,
    /// Permits and reservations to hold until the response has been sent.
    _held: Extensions,
}

/// Paces a response on its way out. Its extensions are held until the last byte has been taken or the client
/// is gone. Must be called on the task that sends the response.
pub fn paced(response: Response, line: Arc<Pace>) -> hyper::Response<Body> {
    let (mut parts, body) = response.into_parts();
    let pace = ANSWER.try_with(Arc::clone).ok();
    let held = std::mem::take(&mut parts.extensions);
    let inner = Response::new(body);
    hyper::Response::from_parts(parts, Body { inner, rest: Bytes::new(), pace, line, _held: held })
}

impl Drop for Body {
    fn drop(&mut self) {
        self.line.ends();
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = warp::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, warp::Error>>> {
        if self.rest.is_empty() {
            match ready!(Pin::new(self.inner.body_mut()).poll_frame(context)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.rest = data,
                    Err(other) => return Poll::Ready(Some(Ok(other))),
                },
                end => return Poll::Ready(end),
            }
        }
        let part = match &self.pace {
            Some(_) => PART.min(self.rest.len()),
            None => self.rest.len(),
        };
        let part = self.rest.split_to(part);
        if let Some(pace) = &self.pace {
            pace.took(part.len());
            pace.wait(true);
        }
        Poll::Ready(Some(Ok(Frame::data(part))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.inner.body().is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (inner, rest) = (self.inner.body().size_hint(), self.rest.len() as u64);
        let mut hint = SizeHint::new();
        hint.set_lower(inner.lower() + rest);
        if let Some(upper) = inner.upper() {
            hint.set_upper(upper + rest);
        }
        hint
    }
}

/// A TCP stream that replays bytes read while sniffing the protocol and counts what is written.
#[derive(Debug)]
pub struct Stream {
    tcp: TcpStream,
    /// What was sniffed, and how much of it has been replayed.
    first: Vec<u8>,
    again: usize,
    pace: Arc<Pace>,
}

impl Stream {
    /// Wraps a connection before anything is read from it.
    pub fn new(tcp: TcpStream) -> Self {
        Self { tcp, first: Vec::new(), again: 0, pace: Arc::default() }
    }

    /// The pace at which its client reads.
    pub fn pace(&self) -> Arc<Pace> {
        Arc::clone(&self.pace)
    }

    /// Whether the client's first bytes are `bytes`; waits until that is certain. Consumes what it reads
    /// rather than peeking: with half a preface there, a peek would return at once, again and again.
    pub async fn begins_with(&mut self, bytes: &[u8]) -> io::Result<bool> {
        while self.first.len() < bytes.len() {
            let missing = (bytes.len() - self.first.len()) as u64;
            let read = (&mut self.tcp).take(missing).read_buf(&mut self.first).await?;
            if read == 0 || !bytes.starts_with(&self.first) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn wrote(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        self.pace.wait(written.is_pending());
        if let Poll::Ready(Ok(bytes)) = &written {
            self.pace.took(*bytes);
        }
        written
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let left = &self.first[self.again..];
        if left.is_empty() {
            let before = into.filled().len();
            let read = Pin::new(&mut self.tcp).poll_read(context, into);
            if into.filled().len() > before {
                self.pace.heard();
            }
            return read;
        }
        let count = left.len().min(into.remaining());
        into.put_slice(&left[..count]);
        self.again += count;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.tcp).poll_write(context, bytes);
        self.wrote(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.tcp).poll_write_vectored(context, bytes);
        self.wrote(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(context)
    }
}
