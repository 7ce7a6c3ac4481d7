//! Encodes binary PPM files (`convert photo.jpg photo.ppm`) on one core and prints each PNG file's size and
//! the speed in megabytes of samples per second.
//!
//! `cargo run --release -p png-strips --example measure -- photo.ppm...`

use std::{env, error::Error, fs, time::Instant};

use image::{DynamicImage, RgbImage};
use png_strips::Colour;

fn main() -> Result<(), Box<dyn Error>> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build()?;
    for path in env::args().skip(1) {
        let image = DynamicImage::from(read(&path).ok_or_else(|| format!("{path}: not a PPM of 8 bits"))?);
        let time = || {
            let start = Instant::now();
            let length = pool.install(|| png_strips::encode(&image, &Colour::default()).len());
            (start.elapsed(), length)
        };
        let (took, length) = (0..5).map(|_| time()).min().ok_or("no round")?;
        println!("{path} {length} {:.0}", image.as_bytes().len() as f64 / 1e6 / took.as_secs_f64());
    }
    Ok(())
}

fn read(path: &str) -> Option<RgbImage> {
    let file = fs::read(path).ok()?;
    let mut fields = file.splitn(5, u8::is_ascii_whitespace);
    let mut number = || str::from_utf8(fields.next()?).ok()?.parse().ok();
    let magic: Option<u32> = number();
    let (width, height): (u32, u32) = (number()?, number()?);
    let most: u32 = number()?;
    let samples = fields.next()?.to_vec();
    (magic.is_none() && most == 255).then(|| RgbImage::from_raw(width, height, samples))?
}
