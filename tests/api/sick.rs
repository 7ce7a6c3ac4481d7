//! Tritons that are sick and not dead: their callers see none of it while another is well.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use reqwest::multipart::Form;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};
use tonic::Status;

use crate::{
    helpers::{TestApp, boxed, photo, spawn_app_before, spawn_app_with},
    samples::{png, textured},
    stand_in::{StandIn, fill},
};

fn form() -> Form {
    boxed(photo(png(textured(3, false, 40, 30))), [5, 5, 10, 10])
}

/// A way to a server that can be made silent: connections stay open and are taken, and nothing goes through.
struct Way {
    address: SocketAddr,
    silent: Arc<AtomicBool>,
}

impl Way {
    async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, silent) = (listener.local_addr().unwrap(), Arc::new(AtomicBool::new(false)));
        let through = Arc::clone(&silent);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(server).await else { continue };
                let (client, server) = (client.into_split(), server.into_split());
                tokio::spawn(carry(client.0, server.1, Arc::clone(&through)));
                tokio::spawn(carry(server.0, client.1, Arc::clone(&through)));
            }
        });
        Self { address, silent }
    }
}

async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, silent: Arc<AtomicBool>) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        // What comes is taken and lost.
        if !silent.load(Ordering::Relaxed) && to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}

/// How long the slowest of `count` requests took, one after the other; all must be answered well.
async fn slowest(app: &TestApp, count: usize, what: &str) -> Duration {
    let mut slowest = Duration::ZERO;
    for i in 0..count {
        let started = Instant::now();
        assert_eq!(app.inpaint(form()).await.status(), 200, "{what}, request {i}");
        slowest = slowest.max(started.elapsed());
    }
    slowest
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_partition_costs_seconds_and_no_answer() {
    let (well, cut_off) = (StandIn::start().await, StandIn::start().await);
    let way = Way::to(cut_off.address).await;
    // With its timeout of two minutes a request could wait for a minute before it is sent elsewhere.
    let app = spawn_app_with(&format!("http://{},{}", way.address, well.url()), &[]).await;
    app.replicas_ready(2).await;
    slowest(&app, 6, "before").await;
    way.silent.store(true, Ordering::Relaxed);
    let during = slowest(&app, 20, "during").await;
    println!("a silent partition: the slowest answer took {during:?}");
    assert!(during < Duration::from_secs(6), "{during:?}");
    app.replicas_ready(1).await;
    let after = slowest(&app, 20, "after").await;
    assert!(after < Duration::from_secs(1), "it is left out: {after:?}");
    way.silent.store(false, Ordering::Relaxed);
    app.replicas_ready(2).await;
}

/// For three seconds, which are six probes, the service says that it is ready and serves.
async fn stays_ready(app: &TestApp, what: &str) {
    let end = Instant::now() + Duration::from_secs(3);
    while Instant::now() < end {
        let ready = app.client.get(app.url("/readyz")).send().await.unwrap();
        assert_eq!(ready.status(), 200, "{what}: {}", ready.text().await.unwrap());
        assert_eq!(app.inpaint(form()).await.status(), 200, "{what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_failed_probe_hides_nothing() {
    // Of the server, then of the models.
    for server in [true, false] {
        let probes = AtomicUsize::new(0);
        let flaky = move |model: Option<&str>| {
            if model.is_none() != server {
                return Ok(true);
            }
            // Every other one, once it is known.
            let turn = if server { 2 } else { 4 };
            match probes.fetch_add(1, Ordering::Relaxed) % turn >= turn / 2 {
                true => Err(Status::unavailable("lost on the way")),
                false => Ok(true),
            }
        };
        let app = spawn_app_before(StandIn::probed(flaky, fill).await, &[]).await;
        app.replicas_ready(1).await;
        stays_ready(&app, if server { "the server's probe" } else { "a model's probe" }).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_segmenter_that_fails_does_not_hide_the_inpainter() {
    type Probe = fn() -> Result<bool, Status>;
    let ways: [(&str, Probe); 3] = [
        ("not ready", || Ok(false)),
        ("fails", || Err(Status::internal("out of memory"))),
        ("unknown", || Err(Status::not_found("unknown model"))),
    ];
    for (what, segmenter) in ways {
        let probe = move |model: Option<&str>| if model == Some("isnet") { segmenter() } else { Ok(true) };
        let app = spawn_app_before(StandIn::probed(probe, fill).await, &[]).await;
        app.replicas_ready(1).await;
        stays_ready(&app, what).await;
        let subject = photo(png(textured(3, false, 40, 30)));
        assert_eq!(app.inpaint(subject).await.status(), 503, "{what}: there is no segmenter");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_model_is_the_label_of_the_replica_that_answered() {
    let sick = StandIn::labelled("sick", |_| Err(Status::internal("out of memory"))).await;
    let well = StandIn::labelled("well", fill).await;
    let app = spawn_app_with(&format!("{},{}", sick.url(), well.url()), &[]).await;
    app.replicas_ready(2).await;
    for _ in 0..12 {
        let response = app.inpaint(form()).await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["x-knockout-model"], "well-patchmatch");
    }
}
