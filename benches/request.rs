//! What the gateway costs: processor time, time on the clock and memory of one request, beside the
//! barest decoding and encoding of the same bytes.
//!
//! The gateway is a process of its own. Where the model is excluded, a stand-in answers in Triton's
//! place; where it is included, the real Triton of `make bench` does. All figures that are compared are
//! of one run, since machines differ and are noisy.
//!
//! `make bench ONLY="wire sizing"` runs only these parts. Without it, `costs`, `memory`, `parts`, `wire`, `overlap` and
//! `steps` run, and not `sizing`, the table of docs/operations.md, and `throughput`, a gateway on one core in front of
//! many Tritons.

#[path = "../tests/api/stand_in.rs"]
mod stand_in;

use std::{
    fs,
    hint::black_box,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use fast_image_resize::{
    Resizer,
    images::{TypedImage, TypedImageRef},
    pixels::U8x3,
};
use image::{DynamicImage, RgbImage};
use lacuna::{
    geometry::Rect,
    mask::Mask,
    picture::{self, Colour, Limits},
    process,
    triton::{Models, Pool, Tile, Tls},
};
use ndarray::{Array2, Array3};
use reqwest::multipart::{Form, Part};
use stand_in::StandIn;

const REQUESTS: usize = 9;
const SIZES: [(&str, u32, u32); 5] = [
    ("1 MP", 1184, 888),
    ("3 MP", 2048, 1536),
    ("8 MP", 3264, 2448),
    ("12 MP", 4000, 3000),
    ("16 MP", 4096, 4096),
];
/// Side of the window that the model is shown of a hole of 300 pixels and its dilation.
const SIDE: usize = 512;
const STEPS: [&str; 5] = ["decode", "mask", "inpaint", "composite", "encode"];

#[tokio::main]
async fn main() {
    // As the gateway does, so that the floor has as little to wait for.
    process::keep_freed_memory();
    let only: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let chosen = |part: &str| {
        only.is_empty() && !["sizing", "throughput"].contains(&part) || only.iter().any(|name| name == part)
    };
    let stand_in = StandIn::start().await;
    if chosen("costs") {
        costs(&Gateway::start(&stand_in.url()).await).await;
    }
    if chosen("memory") {
        memory(&stand_in.url()).await;
        many_at_once(&stand_in.url()).await;
    }
    if chosen("parts") {
        parts();
    }
    if chosen("wire") {
        wire(&stand_in.url());
    }
    if chosen("overlap") {
        overlap(&stand_in.url()).await;
    }
    if chosen("sizing") {
        sizing(&Gateway::start(&stand_in.url()).await).await;
    }
    if chosen("throughput") {
        throughput().await;
    }
    if chosen("steps") {
        let triton = std::env::var("LACUNA_TEST_TRITON").expect("run `make bench`, which starts a Triton");
        steps(&Gateway::start(&triton).await).await;
    }
}

/// The gateway's processor time for one request, the model excluded, and that of a bare loop with the
/// fastest decoder and encoder at hand.
async fn costs(gateway: &Gateway) {
    println!("Processor time of one request, model excluded: box 300 x 300, p50 on the clock beside it");
    println!(
        "{:>6} {:>11} | {:>9} {:>9} {:>6} | {:>9} {:>11}",
        "", "", "gateway", "floor", "ratio", "clock", "seen-header"
    );
    for (name, width, height) in SIZES {
        let photo = Photo::new(width, height);
        for (kind, file, format) in [
            ("jpg -> png", &photo.jpeg, "png"),
            ("png -> png", &photo.png, "png"),
            ("jpg -> webp", &photo.jpeg, "webp"),
            ("jpg -> jpg", &photo.jpeg, "jpg"),
        ] {
            gateway.send(file, format).await;
            let cpu = gateway.cpu();
            let runs = gateway.runs(file, format).await;
            let cost = (gateway.cpu() - cpu) / REQUESTS as f64;
            let floor = floor(file, format);
            println!(
                "{name:>6} {kind:>11} | {cost:6.1} ms {floor:6.1} ms {:6.2} | {:6.1} ms {:8.1} ms",
                cost / floor,
                median(runs.iter().map(|run| run.seen)),
                median(runs.iter().map(|run| run.seen - run.latency)),
            );
        }
    }
}

/// A gateway on the first core before sixteen Tritons that take 30 ms each, all others and 32 callers being on the
/// other cores: it works until its processor is full, no caller waits much longer than another, and its metrics
/// say what it lacks.
async fn throughput() {
    const TRITONS: usize = 16;
    const CALLERS: usize = 32;
    const ANSWER: Duration = Duration::from_millis(30);
    const WARM: Duration = Duration::from_secs(3);
    const MEASURED: Duration = Duration::from_secs(20);
    let me = std::process::id().to_string();
    let moved =
        Command::new("taskset").args(["-a", "-c", "-p", "1-1023", &me]).stdout(Stdio::null()).status();
    assert!(moved.is_ok_and(|status| status.success()), "needs taskset and two cores");
    let mut tritons = Vec::new();
    for _ in 0..TRITONS {
        tritons.push(StandIn::answering(ANSWER, stand_in::fill).await);
    }
    let addresses: Vec<_> = tritons.iter().map(StandIn::url).collect();
    let gateway = Gateway::start_by(&["taskset", "-c", "0"], &addresses.join(",")).await;
    let (_, width, height) = SIZES[0];
    let photo = Photo::new(width, height);
    let begin = Instant::now() + WARM;
    let end = begin + MEASURED;
    let caller = async || {
        let mut seen = Vec::new();
        while Instant::now() < end {
            let sent = Instant::now();
            let run = gateway.send(&photo.jpeg, "jpg").await;
            if sent >= begin {
                seen.push(run.seen);
            }
        }
        seen
    };
    let watch = async {
        tokio::time::sleep(WARM).await;
        let (cpu, waits) = (gateway.cpu(), gateway.waits().await);
        tokio::time::sleep(MEASURED).await;
        let after = gateway.waits().await;
        let waiting = [0, 1].map(|i| (after[i] - waits[i]) / MEASURED.as_secs_f64());
        ((gateway.cpu() - cpu) / milliseconds(MEASURED), waiting, gateway.memory().1)
    };
    let callers = futures_util::future::join_all((0..CALLERS).map(|_| caller()));
    let (seen, (busy, waiting, peak)) = futures_util::future::join(callers, watch).await;
    let mut seen: Vec<f64> = seen.into_iter().flatten().collect();
    seen.sort_by(f64::total_cmp);
    let (p50, p99) = (seen[seen.len() / 2], seen[seen.len() * 99 / 100]);
    println!("\nOne core, {TRITONS} Tritons of 30 ms, {CALLERS} callers, 1 MP jpg -> jpg");
    println!("  answers                   {:8.1} a second", seen.len() as f64 / MEASURED.as_secs_f64());
    println!("  share of the processor    {busy:8.2}, at least 0.9");
    println!("  p50, p99                  {p50:8.1} ms {p99:8.1} ms, {:.2} times, at most 3", p99 / p50);
    println!(
        "  photos that wait on average for the processor {:.1}, for Triton {:.1}",
        waiting[0], waiting[1]
    );
    println!("  memory at its peak        {:8.1} MiB", peak / 1_048_576.0);
    assert!(busy >= 0.9 && p99 <= 3.0 * p50, "a goal is missed");
}

/// What gateways and GPUs a load takes, from what one request costs here.
async fn sizing(gateway: &Gateway) {
    const A_DAY: f64 = 1e8;
    /// Seconds of a day, if its busiest hour has twice the mean.
    const BUSY: f64 = 86_400.0 / 2.0;
    /// Windows a second of one GPU: 30 and 10 ms each.
    const WINDOWS: [f64; 2] = [33.0, 100.0];
    println!(
        "\nSizing: box 300 x 300, one window a photo; {A_DAY:.0e} photos a day, twice the mean when busiest"
    );
    println!(
        "{:>6} {:>11} | {:>8} {:>12} | {:>13} {:>13} | {:>15} {:>11} {:>12}",
        "", "", "a core", "callers", "cores a GPU", "cores a GPU", "cores", "callers", "Tritons"
    );
    println!(
        "{:>6} {:>11} | {:>8} {:>12} | {:>13} {:>13} | {:>15} {:>11} {:>12}",
        "", "", "photos/s", "MB/photo", "of 33/s", "of 100/s", "for all", "Gbit/s", "Gbit/s"
    );
    for (name, width, height) in SIZES {
        let photo = Photo::new(width, height);
        for (kind, file, format) in [
            ("jpg -> jpg", &photo.jpeg, "jpg"),
            ("jpg -> png", &photo.jpeg, "png"),
            ("jpg -> webp", &photo.jpeg, "webp"),
        ] {
            gateway.send(file, format).await;
            let cpu = gateway.cpu();
            let runs = gateway.runs(file, format).await;
            let seconds = (gateway.cpu() - cpu) / REQUESTS as f64 / 1e3;
            let busiest = A_DAY / BUSY;
            let moved = (file.len() + runs[0].bytes) as f64;
            let windows = WINDOWS.map(|rate| rate * seconds);
            // An image and a mask there, an image back.
            let tiles = (SIDE * SIDE * 7) as f64;
            let gigabits = |bytes: f64| bytes * 8.0 * busiest / 1e9;
            println!(
                "{name:>6} {kind:>11} | {:8.0} {:12.1} | {:13.1} {:13.1} | {:15.0} {:11.1} {:12.1}",
                1.0 / seconds,
                moved / 1e6,
                windows[0],
                windows[1],
                busiest * seconds,
                gigabits(moved),
                gigabits(tiles),
            );
        }
    }
    println!(
        "GPUs for all: {:.0} of 33 windows a second, {:.0} of 100",
        A_DAY / BUSY / WINDOWS[0],
        A_DAY / BUSY / WINDOWS[1]
    );
}

/// The least processor time, in milliseconds, that decoding and encoding these bytes takes. An encoder
/// whose PNG is too large, by the limit that ours keeps, does not count.
fn floor(file: &[u8], format: &str) -> f64 {
    let header = picture::inspect(file, &Limits::DEFAULT).expect("a photo");
    let is_jpeg = header.format == picture::Format::Jpeg;
    let zune = || {
        if is_jpeg {
            let mut decoder = zune_jpeg::JpegDecoder::new(std::io::Cursor::new(file));
            black_box(decoder.decode().expect("a JPEG"));
        } else {
            let mut decoder = zune_png::PngDecoder::new(std::io::Cursor::new(file));
            black_box(decoder.decode_raw().expect("a PNG"));
        }
    };
    let later = Instant::now() + Duration::from_mins(10);
    let ours = || drop(black_box(picture::decode(file, &header, later).expect("a photo")));
    let decode = of_processor(zune).min(of_processor(ours));

    let image = decoded(file);
    let own_png = || drop(black_box(png_strips::encode(&image, &Colour::default())));
    let fdeflate = || drop(black_box(quick_png(&image)));
    let webp = || {
        let mut out = Vec::new();
        let encoder = image::codecs::webp::WebPEncoder::new_lossless(&mut out);
        image.write_with_encoder(encoder).expect("a WebP");
        black_box(out);
    };
    let jpg = || drop(black_box(jpeg_patch::encode(&image, None).expect("a JPEG")));
    let encode = match format {
        "png" if fits(quick_png(&image).len(), &image) => of_processor(own_png).min(of_processor(fdeflate)),
        "png" => of_processor(own_png),
        "webp" => of_processor(webp),
        _ => of_processor(jpg),
    };
    decode + encode
}

/// Whether a PNG of so many bytes is at most 1.2 times as large as libpng makes it by default.
fn fits(length: usize, image: &DynamicImage) -> bool {
    length as f64 <= 1.2 * default_png(image).len() as f64
}

/// A PNG by the fastest settings of the crate png: fdeflate, and one filter for all rows.
fn quick_png(image: &DynamicImage) -> Vec<u8> {
    png_by(image, |encoder| {
        encoder.set_compression(png::Compression::Fast);
        encoder.set_filter(png::Filter::Up);
    })
}

/// A PNG as libpng makes it by default: level 6, filters chosen by the sum of differences.
fn default_png(image: &DynamicImage) -> Vec<u8> {
    png_by(image, |encoder| {
        encoder.set_deflate_compression(png::DeflateCompression::Level(6));
        encoder.set_filter(png::Filter::Adaptive);
    })
}

fn png_by(image: &DynamicImage, set: impl Fn(&mut png::Encoder<&mut Vec<u8>>)) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoder = png::Encoder::new(&mut out, image.width(), image.height());
    encoder.set_color(png::ColorType::Rgb);
    set(&mut encoder);
    encoder.write_header().and_then(|mut png| png.write_image_data(image.as_bytes())).expect("a PNG");
    out
}

fn decoded(file: &[u8]) -> DynamicImage {
    match jpeg_patch::decode(file) {
        Ok(decoded) => decoded.image,
        Err(_) => image::load_from_memory(file).expect("a PNG"),
    }
}

/// Processor time of one call, in milliseconds, on whichever threads.
fn of_processor(call: impl Fn()) -> f64 {
    call();
    let before = cpu_of("self");
    (0..REQUESTS).for_each(|_| call());
    (cpu_of("self") - before) / REQUESTS as f64
}

/// The most memory that one request of 16 megapixels takes, beside its decoded bytes.
async fn memory(triton: &str) {
    let (_, width, height) = SIZES[4];
    let photo = Photo::new(width, height);
    let decoded = f64::from(width * height * 3);
    println!("\nPeak memory of one 16-MP request beyond the gateway at rest, in decoded bytes (48 MiB)");
    for (kind, file, format) in [
        ("jpg -> png", &photo.jpeg, "png"),
        ("png -> png", &photo.png, "png"),
        ("jpg -> webp", &photo.jpeg, "webp"),
        ("jpg -> jpg", &photo.jpeg, "jpg"),
    ] {
        let gateway = Gateway::start(triton).await;
        let (rest, _) = gateway.memory();
        gateway.send(file, format).await;
        let (_, peak) = gateway.memory();
        println!("{kind:>11} | {:5.2} x", (peak - rest) / decoded);
    }
}

/// Sixteen requests of 16 megapixels at once, of which the gate lets in what fits.
async fn many_at_once(triton: &str) {
    let (_, width, height) = SIZES[4];
    let photo = Photo::new(width, height);
    let gateway = Gateway::start(triton).await;
    let (rest, _) = gateway.memory();
    let all = (0..16).map(|_| gateway.send(&photo.jpeg, "png"));
    futures_util::future::join_all(all).await;
    let (_, peak) = gateway.memory();
    let decoded = f64::from(width * height * 3);
    println!("         16 at once | {:5.2} x", (peak - rest) / decoded);
}

/// Single parts with goals of their own.
fn parts() {
    println!("\nParts");
    let disc = Mask::from_rect(4096, 4096, Rect { x: 1000, y: 1200, width: 1800, height: 1500 });
    let dilation = of_processor(|| drop(black_box(disc.dilate(32))));
    println!("dilation by 32 of 4096 x 4096 | {dilation:6.1} ms");
    let image = DynamicImage::ImageRgb8(enlarged(4000, 3000, true));
    let bytes = image.as_bytes().len() as f64;
    let own = of_processor(|| drop(black_box(png_strips::encode(&image, &Colour::default()))));
    let size = png_strips::encode(&image, &Colour::default()).len() as f64;
    let by_default = default_png(&image).len() as f64;
    let quick = of_processor(|| drop(black_box(quick_png(&image))));
    for (name, time, size) in [("ours", own, size), ("fdeflate", quick, quick_png(&image).len() as f64)] {
        println!(
            "PNG of 12 MP, {name} | {:6.0} MB/s a core, {:.3} of the size at level 6",
            bytes / time / 1e3,
            size / by_default
        );
    }
}

/// What no codec has a part in, and a floor without a network leaves out: one call of the model, and
/// sending as many bytes as a large answer has.
fn wire(triton: &str) {
    let address = triton.parse().expect("an address");
    let call = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let models = vec!["patchmatch".to_owned(), "isnet".to_owned()];
            let models = Models::new(Pool::new(vec![address], Tls::default(), models), "patchmatch", "isnet");
            let deadline = || tokio::time::Instant::now() + Duration::from_secs(30);
            let tile = || Tile { image: Array3::zeros((1024, 1024, 3)), mask: Array2::ones((1024, 1024)) };
            while models.inpaint(tile(), deadline()).await.is_err() {
                tokio::time::sleep(Duration::from_millis(25)).await;
            }
            let tiles: Vec<_> = (0..REQUESTS).map(|_| tile()).collect();
            let before = cpu_at("/proc/thread-self");
            for tile in tiles {
                black_box(models.inpaint(tile, deadline()).await.expect("a fill"));
            }
            (cpu_at("/proc/thread-self") - before) / REQUESTS as f64
        })
    });
    let call = call.join().expect("a call");
    println!("a call of the model, a window of 1024 x 1024 | {call:6.1} ms of the gateway's processor time");

    const ANSWER: usize = 13 << 20;
    let socket = TcpListener::bind("127.0.0.1:0").expect("a port");
    let to = socket.local_addr().expect("its address");
    thread::spawn(move || {
        let bytes = vec![1; ANSWER];
        while let Ok((mut stream, _)) = socket.accept() {
            let _ = stream.read(&mut [0]).and_then(|_| stream.write_all(&bytes));
        }
    });
    let sent = (0..REQUESTS).map(|_| {
        let mut stream = TcpStream::connect(to).expect("a connection");
        let mut answer = Vec::new();
        let started = Instant::now();
        stream.write_all(&[0]).and_then(|()| stream.read_to_end(&mut answer)).expect("all bytes");
        assert_eq!(answer.len(), ANSWER);
        milliseconds(started.elapsed())
    });
    println!("13 MiB over a bare connection on loopback | {:6.1} ms on the clock", median(sent));
}

/// How much of the time that a model takes is used for other work. The model answers after a fixed time without
/// using the processor.
async fn overlap(instant: &str) {
    const MODEL: Duration = Duration::from_millis(100);
    let slow = StandIn::answering(MODEL, stand_in::fill).await;
    let (_, width, height) = SIZES[3];
    let photo = Photo::new(width, height);
    let model = milliseconds(MODEL);
    println!("\nClock of a 12-MP JPEG, box 300 x 300: without a model, beside one that takes {model} ms");
    for format in ["png", "webp", "jpg"] {
        let mut clocks = [0.0; 2];
        for (clock, triton) in clocks.iter_mut().zip([instant, &slow.url()]) {
            let gateway = Gateway::start(triton).await;
            gateway.send(&photo.jpeg, format).await;
            *clock = median(gateway.runs(&photo.jpeg, format).await.iter().map(|run| run.seen));
        }
        let [without, with] = clocks;
        let longer = with / without.max(model);
        println!(
            "jpg -> {format:<4} | {without:6.1} ms | {with:6.1} ms, {longer:.2} times the longer of both"
        );
    }
}

/// Where the time of one request goes, with the real model.
async fn steps(gateway: &Gateway) {
    let (_, width, height) = SIZES[3];
    let photo = Photo::new(width, height);
    gateway.send(&photo.jpeg, "png").await;
    let runs = gateway.runs(&photo.jpeg, "png").await;
    let whole = median(runs.iter().map(|run| run.seen));
    let own = median(runs.iter().map(|run| run.seen - run.steps[2]));
    println!("\n12-MP JPEG, box 300 x 300, to png, with the real Triton: p50 of {REQUESTS} requests");
    println!("  in all          {whole:8.1} ms");
    println!("  beside inpaint  {own:8.1} ms, during which the PNG is encoded in part");
    for (i, step) in STEPS.iter().enumerate() {
        let time = median(runs.iter().map(|run| run.steps[i]));
        println!("  {step:<14}  {time:8.1} ms  {:5.1} %", time / whole * 100.0);
    }
    let rest = median(runs.iter().map(|run| run.seen - run.latency));
    println!("  transfer        {rest:8.1} ms  {:5.1} %", rest / whole * 100.0);
}

/// The gateway as a process, ended when dropped.
struct Gateway {
    process: Child,
    address: SocketAddr,
    admin: SocketAddr,
    client: reqwest::Client,
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What one request took, in milliseconds: seen by the client, and as the server tells.
struct Run {
    /// Of the answer.
    bytes: usize,
    seen: f64,
    latency: f64,
    steps: [f64; STEPS.len()],
}

impl Gateway {
    async fn start(triton: &str) -> Self {
        Self::start_by(&[], triton).await
    }

    /// Started by another program, where one is given.
    async fn start_by(program: &[&str], triton: &str) -> Self {
        let free =
            || TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port");
        let (address, admin) = (free(), free());
        let command: Vec<_> = program.iter().chain(&[env!("CARGO_BIN_EXE_lacuna")]).collect();
        let process = Command::new(command[0])
            .args(&command[1..])
            .args([
                "--tokens=bench:bench",
                "--rate-per-minute=100000",
                "--rate-burst=1000",
                "--token-concurrency=100",
            ])
            .args([format!("--listen={address}"), format!("--admin-listen={admin}")])
            .arg(format!("--triton={triton}"))
            .stderr(Stdio::null())
            .spawn()
            .expect("the gateway starts");
        // The client is built without cryptography of its own.
        let _ = tokio_rustls::rustls::crypto::ring::default_provider().install_default();
        let gateway = Self { process, address, admin, client: reqwest::Client::new() };
        let ready = format!("http://{address}/readyz");
        for _ in 0..400 {
            if gateway.client.get(&ready).send().await.is_ok_and(|answer| answer.status() == 200) {
                return gateway;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("the gateway is not ready");
    }

    async fn send(&self, photo: &[u8], format: &str) -> Run {
        let fields = [("x", "500"), ("y", "400"), ("w", "300"), ("h", "300")];
        let form = Form::new().part("file", Part::bytes(photo.to_vec()).file_name("photo"));
        let form = fields.into_iter().fold(form, |form, (name, value)| form.text(name, value));
        let form = form.text("format", format.to_owned());
        let url = format!("http://{}/inpaint", self.address);
        let started = Instant::now();
        let response =
            self.client.post(url).bearer_auth("bench").multipart(form).send().await.expect("an answer");
        let (status, headers) = (response.status(), response.headers().clone());
        let body = response.bytes().await.expect("a whole answer");
        let seen = milliseconds(started.elapsed());
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
        let header = |name: &str| headers[name].to_str().expect("text").to_owned();
        let timing = header("server-timing");
        let steps = STEPS.map(|step| {
            let part = timing.split(", ").find_map(|part| part.strip_prefix(&format!("{step};dur=")));
            part.map_or(0.0, |part| part.parse().expect("a number"))
        });
        Run {
            bytes: body.len(),
            seen,
            latency: header("x-knockout-latency").parse().expect("a number"),
            steps,
        }
    }

    async fn runs(&self, photo: &[u8], format: &str) -> Vec<Run> {
        let mut runs = Vec::new();
        for _ in 0..REQUESTS {
            runs.push(self.send(photo, format).await);
        }
        runs
    }

    /// Processor time so far, in milliseconds.
    fn cpu(&self) -> f64 {
        cpu_of(&self.process.id().to_string())
    }

    /// How long photos have waited so far, in seconds: for the processor, and for Triton.
    async fn waits(&self) -> [f64; 2] {
        let url = format!("http://{}/metrics", self.admin);
        let text = self.client.get(url).send().await.expect("an answer").text().await.expect("metrics");
        ["cpu", "triton"].map(|at| {
            let line = format!("lacuna_wait_seconds_sum{{for=\"{at}\"}} ");
            let value = text.lines().find_map(|found| found.strip_prefix(&line)).expect("a sum");
            value.parse().expect("a number")
        })
    }

    /// Resident memory now and at its peak, in bytes.
    fn memory(&self) -> (f64, f64) {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).expect("a process");
        let bytes = |key: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(key)).expect("a line");
            line.trim().trim_end_matches(" kB").parse::<f64>().expect("a number") * 1024.0
        };
        (bytes("VmRSS:"), bytes("VmHWM:"))
    }
}

/// Processor time of a process, of all its threads, in milliseconds (the first field of `schedstat`,
/// in nanoseconds). Threads that have ended are not counted; those of the gateway and of the codecs stay.
fn cpu_of(process: &str) -> f64 {
    let threads = fs::read_dir(format!("/proc/{process}/task")).expect("a process");
    threads.filter_map(|thread| Some(cpu_at(thread.ok()?.path().to_str()?))).sum()
}

/// Processor time so far of the thread at this path, in milliseconds; none where it has ended.
fn cpu_at(thread: &str) -> f64 {
    let text = fs::read_to_string(format!("{thread}/schedstat")).unwrap_or_default();
    text.split_whitespace().next().map_or(0.0, |time| time.parse::<f64>().expect("a number") / 1e6)
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// A photo of any size as files that callers may send.
struct Photo {
    /// 4:2:0, with the grain of a camera.
    jpeg: Vec<u8>,
    /// Without grain and with fewer shades, so that 16 megapixels are less than 10 MiB.
    png: Vec<u8>,
}

impl Photo {
    fn new(width: u32, height: u32) -> Self {
        let grainy = enlarged(width, height, true);
        let mut jpeg = Vec::new();
        let mut encoder = jpeg_encoder::Encoder::new(&mut jpeg, 88);
        encoder.set_sampling_factor(jpeg_encoder::SamplingFactor::F_2_2);
        let (w, h) = (width as u16, height as u16);
        encoder.encode(&grainy, w, h, jpeg_encoder::ColorType::Rgb).expect("a JPEG");
        let mut smooth = enlarged(width, height, false);
        smooth.iter_mut().for_each(|sample| *sample &= 0xf8);
        let mut png = Vec::new();
        let mut encoder = png::Encoder::new(&mut png, width, height);
        encoder.set_color(png::ColorType::Rgb);
        encoder.write_header().and_then(|mut png| png.write_image_data(&smooth)).expect("a PNG");
        assert!(jpeg.len().max(png.len()) <= Limits::DEFAULT.bytes, "{} {}", jpeg.len(), png.len());
        Self { jpeg, png }
    }
}

/// `tests/photos/coffee.jpg` at another size, with the grain that enlarging takes away or without.
fn enlarged(width: u32, height: u32, grain: bool) -> RgbImage {
    let file = fs::read("tests/photos/coffee.jpg").expect("the photo of the tests");
    let small = jpeg_patch::decode(&file).expect("a JPEG").image.to_rgb8();
    let source =
        TypedImageRef::<U8x3>::from_buffer(small.width(), small.height(), &small).expect("a whole picture");
    let mut samples = vec![0; width as usize * height as usize * 3];
    let mut large = TypedImage::<U8x3>::from_buffer(width, height, &mut samples).expect("a whole picture");
    Resizer::new().resize_typed(&source, &mut large, None).expect("a whole picture");
    let mut seed = 1u32;
    if grain {
        for sample in &mut samples {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *sample = sample.saturating_add((seed >> 30) as u8);
        }
    }
    RgbImage::from_raw(width, height, samples).expect("a whole picture")
}
