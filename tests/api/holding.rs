//! Callers who hold on: connections that say little, and answers that nobody reads.

use std::{
    net::SocketAddr,
    sync::{Arc, atomic::AtomicBool},
    time::{Duration, Instant},
};

use clap::Parser;
use lacuna::{
    config::Config,
    gate::{Budget, Gate},
    http::{Limits, Listener, Origins, Pages, Service, Stop, Tokens, serve_api},
    inpaint::Workshop,
    triton::{Models, Pool, Tls},
};
use reqwest::{Client, Response, multipart::Form};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::watch,
    time::{sleep, timeout},
};

use crate::{
    helpers::{TOKEN, TestApp, boxed, error_of, photo, spawn_app},
    program::{Gateway, eventually},
    samples::{png, textured},
    stand_in::StandIn,
};

/// A photo whose answer is larger than what the system keeps for a reader: about 9 MB.
fn large() -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(7);
    let noise = image::RgbImage::from_fn(1750, 1750, |_, _| {
        image::Rgb([random.u8(..), random.u8(..), random.u8(..)])
    });
    png(noise)
}

/// Processor time of a process so far.
fn processor(pid: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let ticks: u64 = stat
        .rsplit_once(')')
        .unwrap()
        .1
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(|n| n.parse::<u64>().unwrap())
        .sum();
    Duration::from_millis(ticks * 10)
}

#[tokio::test(flavor = "multi_thread")]
async fn half_prefaces_cost_next_to_nothing_and_are_closed() {
    let gateway = Gateway::start(&[]);
    let mut held = Vec::new();
    for _ in 0..2000 {
        let mut stream = TcpStream::connect(gateway.address).await.unwrap();
        stream.write_all(b"P").await.unwrap();
        held.push(stream);
    }
    let before = processor(gateway.pid());
    sleep(Duration::from_secs(8)).await;
    let spent = processor(gateway.pid()).saturating_sub(before);
    println!("2000 half prefaces: {spent:?} of processor in 8 s");
    assert!(spent < Duration::from_millis(400), "{spent:?} in 8 s");

    let mut first = held.swap_remove(0);
    let end = timeout(Duration::from_secs(12), first.read(&mut [0; 64])).await;
    assert!(matches!(end, Ok(Ok(0) | Err(_))), "a connection that says no more is closed: {end:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preface_or_request_in_pieces_is_understood() {
    let app = spawn_app().await;
    for pieces in
        [["G", "ET /livez HTTP/1.1\r\nhost: a\r\n\r\n"], ["P", "UT /livez HTTP/1.1\r\nhost: a\r\n\r\n"]]
    {
        let mut stream = TcpStream::connect(app.address).await.unwrap();
        for piece in pieces {
            stream.write_all(piece.as_bytes()).await.unwrap();
            sleep(Duration::from_millis(50)).await;
        }
        let mut start = [0; 9];
        stream.read_exact(&mut start).await.unwrap();
        assert_eq!(&start, b"HTTP/1.1 ");
    }
    let mut stream = TcpStream::connect(app.address).await.unwrap();
    for piece in [b"PRI * HTTP".as_slice(), b"/2.0\r\n\r\nSM\r\n\r\n", &[0, 0, 0, 4, 0, 0, 0, 0, 0]] {
        stream.write_all(piece).await.unwrap();
        sleep(Duration::from_millis(50)).await;
    }
    let mut frame = [0; 9];
    stream.read_exact(&mut frame).await.unwrap();
    assert_eq!(frame[3], 4, "the server's settings");
}

/// Asks for a large answer over HTTP/1.1, takes `bytes` of it every five seconds, and says whether it was
/// given up within `limit`.
async fn http1_is_given_up(app: &TestApp, bytes: usize, limit: Duration) -> bool {
    let part = |name: &str, value: &[u8]| {
        let head = format!("--b\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n");
        [head.as_bytes(), value, b"\r\n"].concat()
    };
    let mut body = part("file", &large());
    for (name, value) in [("x", b"5"), ("y", b"5"), ("w", b"9"), ("h", b"9")] {
        body.extend(part(name, value));
    }
    body.extend(b"--b--\r\n");
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(16 * 1024).unwrap();
    let mut stream = socket.connect(app.address).await.unwrap();
    let head = format!(
        "POST /inpaint HTTP/1.1\r\nhost: lacuna\r\nauthorization: Bearer {TOKEN}\r\n\
         content-type: multipart/form-data; boundary=b\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&body).await.unwrap();
    let mut buffer = vec![0; bytes];
    stream.read_exact(&mut buffer[..12]).await.unwrap();
    assert_eq!(&buffer[..12], b"HTTP/1.1 200");
    let started = Instant::now();
    while started.elapsed() < limit {
        sleep(Duration::from_secs(5)).await;
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return true,
            Ok(_) => {}
        }
    }
    // What was sent before the end can still be read; all of it would be the whole answer.
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.is_err() || rest.len() < 8 << 20
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_dribbles_over_http1_is_given_up() {
    let app = spawn_app().await;
    assert!(http1_is_given_up(&app, 12 * 1024, Duration::from_secs(29)).await);
    eventually_free(&app).await;
}

/// The answer's room is given back.
async fn eventually_free(app: &TestApp) {
    let gauge = async || {
        let text = app.client.get(format!("http://{}/metrics", app.admin)).send().await.unwrap();
        text.text().await.unwrap().contains("lacuna_slow_clients_total")
    };
    eventually("it is counted", gauge).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_nobody_reads_over_http2_is_given_up_and_the_connection_is_not() {
    let app = spawn_app().await;
    let client = Client::builder()
        .http2_prior_knowledge()
        .http2_initial_stream_window_size(64 * 1024)
        .build()
        .unwrap();
    let form = boxed(photo(large()), [5, 5, 10, 10]);
    let send = client.post(app.url("/inpaint")).bearer_auth(TOKEN).multipart(form).send();
    let answer = send.await.unwrap();
    assert_eq!(answer.status(), 200);
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(28) {
        sleep(Duration::from_secs(2)).await;
        let live = client.get(app.url("/livez")).send().await.unwrap();
        assert_eq!(live.status(), 200, "the connection serves other requests");
    }
    assert!(answer.bytes().await.is_err(), "the answer was given up");
    assert_eq!(client.get(app.url("/livez")).send().await.unwrap().status(), 200);
    eventually_free(&app).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parts_header_that_does_not_end_is_refused_early() {
    let app = spawn_app().await;
    for (piece, pieces) in [(1, 3000), (1000, 120)] {
        let mut stream = TcpStream::connect(app.address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let head = format!(
            "POST /inpaint HTTP/1.1\r\nhost: lacuna\r\nauthorization: Bearer {TOKEN}\r\n\
             content-type: multipart/form-data; boundary=b\r\ncontent-length: 9000000\r\n\r\n--b\r\nx-long: "
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let (mut reading, mut writing) = stream.into_split();
        let sending = tokio::spawn(async move {
            for _ in 0..pieces {
                if writing.write_all(&vec![b'a'; piece]).await.is_err() {
                    return;
                }
                sleep(Duration::from_millis(2)).await;
            }
            // The answer comes while the rest is still owed.
            sleep(Duration::from_secs(10)).await;
        });
        let mut answer = vec![0; 1024];
        let read = timeout(Duration::from_secs(12), reading.read(&mut answer)).await;
        let read = read.expect("the answer does not wait for the end").unwrap();
        let answer = String::from_utf8_lossy(&answer[..read]).into_owned();
        assert!(answer.starts_with("HTTP/1.1 413") && answer.contains("header"), "{piece}: {answer}");
        sending.abort();
    }
}

/// Sends `form` over `client` and holds the head of the answer, with its body unread.
async fn unread(client: &Client, url: String, form: Form) -> Response {
    client.post(url).bearer_auth(TOKEN).multipart(form).send().await.unwrap()
}

/// Resident memory of a process, in MiB.
fn memory(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

#[tokio::test(flavor = "multi_thread")]
async fn the_memory_of_unread_answers_comes_back() {
    let triton = StandIn::start().await;
    let url = triton.url();
    let gateway = Gateway::start(&[("LACUNA_TRITON", &url), ("LACUNA_RATE_BURST", "100")]);
    let client = Client::builder().http2_prior_knowledge().http2_initial_stream_window_size(64 * 1024);
    let client = client.build().unwrap();
    let large = large();
    let form = || boxed(photo(large.clone()), [5, 5, 10, 10]);
    // What the first photo leaves behind is no answer's.
    drop(unread(&client, gateway.url(), form()).await.bytes().await.unwrap());
    sleep(Duration::from_secs(7)).await;
    let before = memory(gateway.pid());
    let mut held = Vec::new();
    for _ in 0..8 {
        held.push(unread(&client, gateway.url(), form()).await);
    }
    let during = memory(gateway.pid());
    // Given up after 25 seconds at most, and given back where nothing is at work, every five.
    sleep(Duration::from_secs(32)).await;
    let after = memory(gateway.pid());
    println!("8 answers of 9 MB unread: {before} MiB before, {during} during, {after} after");
    assert!(during >= before + 50, "they were held: {before} {during}");
    assert!(after <= before + 20, "{before} {during} {after}");
    drop(held);
}

/// The routes with room for so many bytes of answers, served on a port of its own.
async fn with_room_for(answers: u32, triton: &StandIn) -> SocketAddr {
    let arguments = ["lacuna", "--token-concurrency=100", "--rate-burst=100"].map(str::to_owned);
    let config = Config::parse_from(arguments.into_iter().chain([format!("--tokens=tests:{TOKEN}")]));
    let names = vec!["patchmatch".to_owned(), "isnet".to_owned()];
    let pool = Pool::new(vec![triton.url().parse().unwrap()], Tls::default(), names);
    let service = Service {
        tokens: Tokens::load(&config).unwrap(),
        limits: Limits::new(None, false).unwrap(),
        pages: Pages::new(&config.picture_limits()),
        uploads: Budget::new(256 << 20),
        answers: Budget::new(answers),
        workshop: Workshop {
            limits: config.picture_limits(),
            gate: Gate::new(lacuna::gate::Limits { workers: 4, cores: 4, queue: 4, decoded: 256 << 20 }),
            models: Models::new(pool, "patchmatch", "isnet"),
        },
        origins: Origins::new(vec![]),
        timeout: Duration::from_mins(1),
        draining: AtomicBool::new(false),
    };
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let listener = Listener { socket, tls: None, idle: Duration::from_secs(75), name: "api" };
    let (stop, stops) = watch::channel(Stop::No);
    tokio::spawn(async move {
        serve_api(listener, Arc::new(service), stops).await;
        drop(stop);
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_find_no_room_are_refused_until_others_are_taken() {
    let triton = StandIn::start().await;
    let url = format!("http://{}/inpaint", with_room_for(12 << 20, &triton).await);
    // Each on a connection of its own, whose window is far smaller than the answer.
    let client = || {
        let client = Client::builder().http2_prior_knowledge();
        client.http2_initial_stream_window_size(64 * 1024).build().unwrap()
    };
    let large = large();
    let form = || boxed(photo(large.clone()), [5, 5, 10, 10]);
    let (first, second) = (client(), client());
    let held = unread(&first, url.clone(), form()).await;
    assert_eq!(held.status(), 200);
    let refused = unread(&second, url.clone(), form()).await;
    assert!(refused.headers()["retry-after"].to_str().unwrap().parse::<u64>().unwrap() >= 1);
    let (status, code, _) = error_of(refused).await;
    assert_eq!((status, code.as_str()), (503, "overloaded"));
    let small = boxed(photo(png(textured(3, false, 40, 30))), [5, 5, 10, 10]);
    assert_eq!(unread(&second, url.clone(), small).await.status(), 200, "what fits is answered");
    assert!(held.bytes().await.unwrap().len() > 8 << 20);
    eventually("the room is there again", async || {
        unread(&second, url.clone(), form()).await.status() == 200
    })
    .await;
}
