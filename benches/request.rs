//! How long one request takes, and where: a 12-megapixel JPEG with a box of 300 x 300, to PNG, through
//! the real gateway on loopback and the real Triton that `make bench` starts.
//!
//! Prints the median of each stage and its share. "Model excluded" is what the client sees less the
//! stage `inpaint`, which is the time spent waiting for Triton.

use std::time::{Duration, Instant};

use clap::Parser;
use fast_image_resize::{
    Resizer,
    images::{TypedImage, TypedImageRef},
    pixels::U8x3,
};
use image::{DynamicImage, RgbImage};
use lacuna::{app::App, config::Config, picture};
use reqwest::multipart::{Form, Part};

const REQUESTS: usize = 15;
const STAGES: [&str; 5] = ["decode", "mask", "inpaint", "composite", "encode"];

#[tokio::main]
async fn main() {
    let triton = std::env::var("LACUNA_TEST_TRITON").expect("run `make bench`, which starts a Triton");
    let config = Config::parse_from([
        "lacuna",
        "--listen=127.0.0.1:0",
        "--admin-listen=127.0.0.1:0",
        "--tokens=bench:bench",
        "--rate-per-minute=100000",
        "--rate-burst=1000",
        &format!("--triton={triton}"),
    ]);
    let app = App::build(config).await.expect("the gateway starts");
    let url = format!("http://{}/inpaint", app.address().expect("an address"));
    tokio::spawn(app.run_until(std::future::pending()));

    let photo = photo(4000, 3000);
    println!(
        "photo: 4000 x 3000 JPEG, {:.1} MB; box 300 x 300, dilation 8, to png",
        photo.len() as f64 / 1e6
    );
    let client = reqwest::Client::new();
    let mut runs = Vec::new();
    for run in 0..REQUESTS + 2 {
        let measured = request(&client, &url, &photo).await;
        // The first two fill caches and connections.
        if run >= 2 {
            runs.push(measured);
        }
    }
    report(&runs);
}

/// What one request took: seen by the client, and each stage as the server tells.
struct Run {
    seen: f64,
    latency: f64,
    stages: [f64; STAGES.len()],
}

async fn request(client: &reqwest::Client, url: &str, photo: &[u8]) -> Run {
    let fields = [("x", "1700"), ("y", "1300"), ("w", "300"), ("h", "300")];
    let form = Form::new().part("file", Part::bytes(photo.to_vec()).file_name("photo.jpg"));
    let form = fields.into_iter().fold(form, |form, (name, value)| form.text(name, value));
    let started = Instant::now();
    let response = client.post(url).bearer_auth("bench").multipart(form).send().await.expect("an answer");
    assert_eq!(response.status(), 200);
    let headers = response.headers().clone();
    response.bytes().await.expect("a whole answer");
    let seen = milliseconds(started.elapsed());
    let header = |name: &str| headers[name].to_str().expect("text").to_owned();
    let timing = header("server-timing");
    let stages = STAGES.map(|stage| {
        let part = timing.split(", ").find_map(|part| part.strip_prefix(&format!("{stage};dur=")));
        part.map_or(0.0, |part| part.parse().expect("a number"))
    });
    Run { seen, latency: header("x-knockout-latency").parse().expect("a number"), stages }
}

fn report(runs: &[Run]) {
    let median = |of: &dyn Fn(&Run) -> f64| {
        let mut values: Vec<f64> = runs.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let inpaint = STAGES.iter().position(|stage| *stage == "inpaint").expect("a stage");
    let whole = median(&|run| run.seen);
    let own = median(&|run| run.seen - run.stages[inpaint]);
    println!("p50 of {} requests", runs.len());
    println!("  model included  {whole:8.1} ms");
    println!("  model excluded  {own:8.1} ms");
    println!(
        "  x-knockout-latency differs from what the client sees by {:.1} ms",
        median(&|run| run.seen - run.latency)
    );
    for (i, stage) in STAGES.iter().enumerate() {
        let time = median(&|run| run.stages[i]);
        let of_own = if i == inpaint {
            String::new()
        } else {
            format!(", {:4.1} % of what is not the model", time / own * 100.0)
        };
        println!("  {stage:<10} {time:8.1} ms  {:5.1} % of all{of_own}", time / whole * 100.0);
    }
    let rest = median(&|run| run.seen - run.stages.iter().sum::<f64>());
    println!(
        "  {:<10} {rest:8.1} ms  {:5.1} % of all (reading the form, sending the answer)",
        "transfer",
        rest / whole * 100.0
    );
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// A JPEG of a photo's kind of any size: `tests/photos/coffee.jpg` enlarged, with the grain that
/// enlarging takes away.
fn photo(width: u32, height: u32) -> Vec<u8> {
    let file = std::fs::read("tests/photos/coffee.jpg").expect("the photo of the tests");
    let small = picture::jpeg::decode(&file).expect("a JPEG").image.to_rgb8();
    let source =
        TypedImageRef::<U8x3>::from_buffer(small.width(), small.height(), &small).expect("a whole picture");
    let mut samples = vec![0; width as usize * height as usize * 3];
    let mut large = TypedImage::<U8x3>::from_buffer(width, height, &mut samples).expect("a whole picture");
    Resizer::new().resize_typed(&source, &mut large, None).expect("a whole picture");
    let mut seed = 1u32;
    for sample in &mut samples {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        *sample = sample.saturating_add((seed >> 29) as u8);
    }
    let image = RgbImage::from_raw(width, height, samples).expect("a whole picture");
    picture::jpeg::encode(&DynamicImage::ImageRgb8(image), None).expect("it can be encoded")
}
