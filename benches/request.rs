//! What the gateway costs: processor time, time on the clock and memory of one request, beside the
//! barest decoding and encoding of the same bytes.
//!
//! The gateway is a process of its own. Where the model is excluded, a stand-in answers in Triton's
//! place; where it is included, the real Triton of `make bench` does. All figures that are compared are
//! of one run, since machines differ and are noisy.

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
const STEPS: [&str; 5] = ["decode", "mask", "inpaint", "composite", "encode"];

#[tokio::main]
async fn main() {
    // As the gateway does, so that the floor has as little to wait for.
    process::keep_freed_memory();
    let stand_in = StandIn::start().await;
    let gateway = Gateway::start(&stand_in.url()).await;
    costs(&gateway).await;
    memory(&stand_in.url()).await;
    many_at_once(&stand_in.url()).await;
    parts();
    wire(&stand_in.url());
    let triton = std::env::var("LACUNA_TEST_TRITON").expect("run `make bench`, which starts a Triton");
    steps(&Gateway::start(&triton).await).await;
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
    println!("16 at once, 8 at work | {:5.2} x", (peak - rest) / decoded);
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
            let before = cpu_at("/proc/thread-self");
            for _ in 0..REQUESTS {
                black_box(models.inpaint(tile(), deadline()).await.expect("a fill"));
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

/// Where the time of one request goes, with the real model.
async fn steps(gateway: &Gateway) {
    let (_, width, height) = SIZES[3];
    let photo = Photo::new(width, height);
    gateway.send(&photo.jpeg, "png").await;
    let runs = gateway.runs(&photo.jpeg, "png").await;
    let whole = median(runs.iter().map(|run| run.seen));
    let own = median(runs.iter().map(|run| run.seen - run.steps[2]));
    println!("\n12-MP JPEG, box 300 x 300, to png, with the real Triton: p50 of {REQUESTS} requests");
    println!("  model included  {whole:8.1} ms");
    println!("  model excluded  {own:8.1} ms");
    for (i, step) in STEPS.iter().enumerate() {
        let time = median(runs.iter().map(|run| run.steps[i]));
        println!("  {step:<14}  {time:8.1} ms  {:5.1} %", time / whole * 100.0);
    }
    let rest = median(runs.iter().map(|run| run.seen - run.steps.iter().sum::<f64>()));
    println!("  transfer        {rest:8.1} ms  {:5.1} %", rest / whole * 100.0);
}

/// The gateway as a process, ended when dropped.
struct Gateway {
    process: Child,
    address: SocketAddr,
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
    seen: f64,
    latency: f64,
    steps: [f64; STEPS.len()],
}

impl Gateway {
    async fn start(triton: &str) -> Self {
        let free =
            || TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port");
        let (address, admin) = (free(), free());
        let process = Command::new(env!("CARGO_BIN_EXE_lacuna"))
            .args(["--tokens=bench:bench", "--rate-per-minute=100000", "--rate-burst=1000"])
            .args([format!("--listen={address}"), format!("--admin-listen={admin}")])
            .arg(format!("--triton={triton}"))
            .stderr(Stdio::null())
            .spawn()
            .expect("the gateway starts");
        // The client is built without cryptography of its own.
        let _ = tokio_rustls::rustls::crypto::ring::default_provider().install_default();
        let gateway = Self { process, address, client: reqwest::Client::new() };
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
        Run { seen, latency: header("x-knockout-latency").parse().expect("a number"), steps }
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
