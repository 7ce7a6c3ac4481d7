//! The program as an operator starts it: its commands, its signals, its log.

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, Command, Output, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
    trace_service_server::{TraceService, TraceServiceServer},
};
use reqwest::multipart::Form;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, transport::Server};

use crate::{
    helpers::{TOKEN, boxed, have_tls, photo},
    samples::{png, textured},
    stand_in::{StandIn, fill},
};

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_lacuna");

/// The gateway as a process, which is killed when dropped.
pub struct Gateway {
    pub address: SocketAddr,
    pub admin: SocketAddr,
    pub process: Child,
    log: Arc<Mutex<Vec<String>>>,
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Gateway {
    /// Starts it with these variables on free ports, and waits until it listens.
    pub fn start(variables: &[(&str, &str)]) -> Self {
        have_tls();
        let admin = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut process = Command::new(PROGRAM)
            .env_clear()
            .env("LACUNA_LISTEN", "127.0.0.1:0")
            .env("LACUNA_ADMIN_LISTEN", admin.to_string())
            .env("LACUNA_TOKENS", format!("tests:{TOKEN}"))
            .env("NO_COLOR", "1")
            .envs(variables.iter().copied())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let mut address = None;
        while address.is_none() {
            let line = lines.next().expect("the gateway listens").unwrap();
            let place = line.contains("listening").then(|| line.find("127.0.0.1:")).flatten();
            address = place.and_then(|at| {
                let end = line[at..].find(|c: char| c != '.' && c != ':' && !c.is_ascii_digit());
                line[at..at + end.unwrap_or(line.len() - at)].parse().ok()
            });
            log.lock().unwrap().push(line);
        }
        let kept = Arc::clone(&log);
        thread::spawn(move || lines.map_while(Result::ok).for_each(|line| kept.lock().unwrap().push(line)));
        Self { address: address.unwrap(), admin, process, log }
    }

    pub fn url(&self) -> String {
        format!("http://{}/inpaint", self.address)
    }

    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    pub fn signal(&self, name: &str) {
        let done = Command::new("kill").args([name, &self.process.id().to_string()]).status().unwrap();
        assert!(done.success());
    }

    pub fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }
}

pub fn form() -> Form {
    boxed(photo(png(textured(3, false, 40, 30))), [5, 5, 10, 10])
}

/// Waits until `done`, for five seconds at most.
pub async fn eventually<F: Future<Output = bool>>(what: &str, done: impl Fn() -> F) {
    let end = Instant::now() + Duration::from_secs(5);
    while !done().await {
        assert!(Instant::now() < end, "{what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn output(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    Command::new(PROGRAM).args(arguments).env_clear().envs(variables.iter().copied()).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_token_is_shown_once_and_its_line_lets_it_in() {
    let made = output(&["token", "new", "alice"], &[]);
    let (line, shown) = (text(&made.stdout), text(&made.stderr));
    assert!(made.status.success());
    let token = shown.trim().rsplit(' ').next().unwrap();
    assert!(token.starts_with("lacuna_") && !line.contains(token), "{shown}");
    assert_ne!(text(&output(&["token", "new", "alice"], &[]).stdout), line);
    assert!(!output(&["token", "new", "two words"], &[]).status.success());

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokens");
    std::fs::write(&path, &line).unwrap();
    let triton = StandIn::start().await;
    let gateway =
        Gateway::start(&[("LACUNA_TOKENS_FILE", path.to_str().unwrap()), ("LACUNA_TRITON", &triton.url())]);
    let send = async |token: &str| {
        let request = reqwest::Client::new().post(gateway.url()).bearer_auth(token).multipart(form());
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(send(token).await, 200);

    // Another line, and the word to read it at once.
    let other = output(&["token", "new", "bob"], &[]);
    let other_token = text(&other.stderr).trim().rsplit(' ').next().unwrap().to_owned();
    assert_eq!(send(&other_token).await, 401);
    std::fs::write(&path, &other.stdout).unwrap();
    gateway.signal("-HUP");
    eventually("SIGHUP reads the file", async || send(&other_token).await == 200).await;
    assert_eq!(send(token).await, 401);

    // A broken file, seen without a word, keeps what there was.
    std::fs::write(&path, "bob not-a-digest\n").unwrap();
    eventually("the log says so", async || {
        gateway.log().iter().any(|line| line.contains("stay as they were") && line.contains("line 1"))
    })
    .await;
    assert_eq!(send(&other_token).await, 200);
    let metrics = format!("http://{}/metrics", gateway.admin);
    let metrics = reqwest::get(metrics).await.unwrap().text().await.unwrap();
    assert!(metrics.contains("lacuna_tokens_reload_failures_total 1"), "{metrics}");
    assert!(metrics.contains("process_resident_memory_bytes"), "{metrics}");
    assert!(metrics.contains("lacuna_replica_up{"), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn health_tells_whether_the_gateway_lives() {
    let gateway = Gateway::start(&[]);
    let admin = gateway.admin.to_string();
    assert!(output(&["health"], &[("LACUNA_ADMIN_LISTEN", &admin)]).status.success());
    let everywhere = format!("0.0.0.0:{}", gateway.admin.port());
    assert!(output(&["health"], &[("LACUNA_ADMIN_LISTEN", &everywhere)]).status.success());
    drop(gateway);
    let dead = output(&["health"], &[("LACUNA_ADMIN_LISTEN", &admin)]);
    assert!(!dead.status.success() && text(&dead.stderr).contains(&admin));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_setting_ends_the_start_with_its_name() {
    for (name, value) in [
        ("LACUNA_LISTEN", "nowhere"),
        ("LACUNA_TOKENS_FILE", "/nowhere"),
        ("LACUNA_RATE_REDIS", "s3cret@"),
        ("LACUNA_RATE_REDIS_FAIL", "maybe"),
        ("LACUNA_TLS_CERT", "/nowhere"),
        ("LACUNA_TRITON_CA", "/nowhere"),
        ("LACUNA_MAX_DECODED_MB", "0"),
        ("LACUNA_LOG_FORMAT", "xml"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "not a url"),
    ] {
        let key = if name == "LACUNA_TLS_CERT" { "LACUNA_TLS_KEY" } else { name };
        let variables = [("LACUNA_TOKENS", "a:b"), ("LACUNA_ADMIN_LISTEN", "127.0.0.1:0")];
        let mut variables = variables.to_vec();
        variables.extend([("LACUNA_LISTEN", "127.0.0.1:0"), (key, value), (name, value)]);
        let ended = output(&[], &variables);
        let said = text(&ended.stderr);
        assert!(!ended.status.success(), "{name}");
        assert!(said.contains(name) && !said.contains("s3cret"), "{name}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_setting_without_a_value_is_not_set() {
    let gateway = Gateway::start(&[
        ("LACUNA_TOKENS_FILE", ""),
        ("LACUNA_TLS_CERT", ""),
        ("LACUNA_RATE_REDIS", ""),
        ("LACUNA_MAX_QUEUE", ""),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", ""),
    ]);
    let lives = reqwest::get(format!("http://{}/livez", gateway.address)).await.unwrap();
    assert_eq!(lives.status(), 200);

    let none = output(&[], &[("LACUNA_TOKENS", "")]);
    assert!(text(&none.stderr).contains("no caller could get in"), "{}", text(&none.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_json_with_the_request_id_and_without_any_token() {
    let triton = StandIn::start().await;
    let gateway = Gateway::start(&[
        ("LACUNA_LOG_FORMAT", "json"),
        ("RUST_LOG", "trace"),
        ("LACUNA_TRITON", &triton.url()),
    ]);
    let client = reqwest::Client::new();
    for token in [TOKEN, "a-wr0ng-token"] {
        let request = client.post(gateway.url()).bearer_auth(token).header("x-request-id", "known-id");
        request.multipart(form()).send().await.unwrap();
    }
    eventually("both requests are logged", async || {
        gateway.log().iter().filter(|line| line.contains("\"message\":\"request\"")).count() == 2
    })
    .await;
    for line in gateway.log() {
        let entry: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        for secret in [TOKEN, "a-wr0ng-token"] {
            assert!(!line.contains(secret), "{line}");
        }
        if entry["message"] == "request" {
            assert_eq!(entry["span"]["request_id"], "known-id", "{line}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_tells_what_a_request_was_and_who_answered_it() {
    let triton = StandIn::start().await;
    let url = triton.url();
    let gateway = Gateway::start(&[("LACUNA_LOG_FORMAT", "json"), ("LACUNA_TRITON", &url)]);
    let picture = png(textured(3, false, 40, 30));
    let sent = picture.len();
    let client = reqwest::Client::new();
    let send = async |form: Form| {
        let request = client.post(gateway.url()).bearer_auth(TOKEN).multipart(form);
        request.send().await.unwrap().bytes().await.unwrap().len()
    };
    let back = send(boxed(photo(picture.clone()), [5, 5, 10, 10]).text("format", "webp")).await;
    send(boxed(photo(picture), [500, 5, 10, 10])).await;
    let logged = || {
        let log = gateway.log();
        let entries = log.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        entries.filter(|entry| entry["message"] == "request").collect::<Vec<_>>()
    };
    eventually("both requests are logged", async || logged().len() == 2).await;
    let [good, refused] = &logged()[..] else { panic!("two requests") };
    for (field, value) in [
        ("status", 200.into()),
        ("mode", "bbox".into()),
        ("photo", "image/png".into()),
        ("width", 40.into()),
        ("height", 30.into()),
        ("format", "webp".into()),
        ("bytes_in", sent.into()),
        ("bytes_out", back.into()),
        ("replica", triton.address.to_string().into()),
        ("error", Value::Null),
    ] {
        assert_eq!(good[field], value, "{field} in {good}");
    }
    assert_eq!(refused["error"], "invalid_bbox");
    assert_eq!((&refused["photo"], &refused["replica"]), (&"image/png".into(), &Value::Null));
}

/// Sends a form whose second half comes after a pause.
async fn slowly(address: SocketAddr, picture: &[u8], pause: Duration) -> String {
    let part = |name: &str, value: &[u8]| {
        let head = format!("--b\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n");
        [head.as_bytes(), value, b"\r\n"].concat()
    };
    let boxes = [("x", b"5"), ("y", b"5"), ("w", b"9"), ("h", b"9")];
    let mut body = part("file", picture);
    body.extend(boxes.iter().flat_map(|(name, value)| part(name, *value)));
    body.extend(b"--b--\r\n");
    let head = format!(
        "POST /inpaint HTTP/1.1\r\nhost: lacuna\r\nauthorization: Bearer {TOKEN}\r\nconnection: close\r\n\
         content-type: multipart/form-data; boundary=b\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let (first, second) = body.split_at(body.len() / 2);
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.write_all(&[head.as_bytes(), first].concat()).await.unwrap();
    tokio::time::sleep(pause).await;
    stream.write_all(second).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    String::from_utf8_lossy(&answer[..end]).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_upload_is_not_a_slow_service() {
    let triton = StandIn::start().await;
    let url = triton.url();
    let gateway = Gateway::start(&[("LACUNA_TRITON", &url)]);
    let pause = Duration::from_millis(2500);
    let head = slowly(gateway.address, &png(textured(3, false, 40, 30)), pause).await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let latency = head.lines().find_map(|line| line.strip_prefix("x-knockout-latency: ")).unwrap();
    assert!(latency.parse::<u64>().unwrap() < 2000, "{latency} ms");
    let metrics =
        reqwest::get(format!("http://{}/metrics", gateway.admin)).await.unwrap().text().await.unwrap();
    let sum = |name: &str| -> f64 {
        let line = metrics.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{name}"));
        line.rsplit(' ').next().unwrap().parse().unwrap()
    };
    assert!(sum("lacuna_upload_seconds_sum") >= 2.4);
    assert!(sum("lacuna_request_seconds_sum") < 2.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_callers_trace_goes_on_to_the_collector_and_into_triton() {
    let spans = Arc::<Mutex<Vec<(String, String)>>>::default();
    let collector = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", collector.local_addr().unwrap());
    let service = TraceServiceServer::new(Collector(Arc::clone(&spans)));
    tokio::spawn(
        Server::builder().add_service(service).serve_with_incoming(TcpListenerStream::new(collector)),
    );
    let triton = StandIn::start().await;
    let mut gateway =
        Gateway::start(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint), ("LACUNA_TRITON", &triton.url())]);

    let trace = "0af7651916cd43dd8448eb211c80319c";
    let request = reqwest::Client::new().post(gateway.url()).bearer_auth(TOKEN).multipart(form());
    let request = request.header("traceparent", format!("00-{trace}-b7ad6b7169203331-01"));
    assert_eq!(request.send().await.unwrap().status(), 200);
    let handed_on = triton.traces.lock().unwrap().clone();
    assert!(handed_on.iter().any(|parent| parent.starts_with(&format!("00-{trace}-"))), "{handed_on:?}");

    // What has not been sent is sent at the end.
    gateway.signal("-TERM");
    assert!(gateway.process.wait().unwrap().success());
    let spans = spans.lock().unwrap().clone();
    for name in ["POST /inpaint", "decode", "mask", "composite", "encode"] {
        assert!(spans.contains(&(trace.to_owned(), name.to_owned())), "{name} in {spans:?}");
    }
}

/// Keeps trace and name of every span.
struct Collector(Arc<Mutex<Vec<(String, String)>>>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let scopes = request.into_inner().resource_spans.into_iter().flat_map(|of| of.scope_spans);
        for span in scopes.flat_map(|scope| scope.spans) {
            let trace = span.trace_id.iter().map(|byte| format!("{byte:02x}")).collect();
            self.0.lock().unwrap().push((trace, span.name));
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_who_hangs_up_is_logged_and_counted() {
    let slow = StandIn::answering(Duration::from_secs(20), fill).await;
    let url = slow.url();
    let gateway = Gateway::start(&[("LACUNA_TRITON", url.as_str())]);
    let request = reqwest::Client::new().post(gateway.url()).bearer_auth(TOKEN).multipart(form());
    let hung_up = tokio::time::timeout(Duration::from_millis(700), request.send()).await;
    assert!(hung_up.is_err());
    eventually("it is logged", async || {
        gateway.log().iter().any(|line| line.contains("status=499") && line.contains("hung_up"))
    })
    .await;
    let metrics =
        reqwest::get(format!("http://{}/metrics", gateway.admin)).await.unwrap().text().await.unwrap();
    assert!(metrics.contains("status=\"499\""), "{metrics}");
}
