//! The codecs as a command, for the comparisons with other programs in this folder:
//!
//! - `codec header FILE`: width, height and components;
//! - `codec decode FILE OUT`: a text line `width height channels bits`, then the samples (16-bit ones
//!   in the machine's order); beside it `OUT.icc` and `OUT.exif` where the file has them;
//! - `codec encode-jpeg FILE OUT` and `codec encode-png FILE OUT`: a file as `decode` writes it, encoded;
//! - `codec patch FILE EDITED OUT X,Y,W,H...`: the JPEG file with the pixels of the areas from
//!   EDITED, a file as `decode` writes it.
//!
//! A refused file ends it with code 2 and the reason.

use std::error::Error;
use std::{env, fs, process::ExitCode};

use image::{DynamicImage, ImageBuffer};
use jpeg_patch::{Area, Part};
use png_strips::Colour;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: &[&str]) -> Result<(), Box<dyn Error>> {
    match arguments {
        ["header", file] => {
            let header = jpeg_patch::header(&fs::read(file)?)?;
            println!("{} {} {}", header.width, header.height, header.components);
        }
        ["decode", file, out] => {
            let decoded = jpeg_patch::decode(&fs::read(file)?)?;
            write_samples(&decoded.image, out)?;
            if let Some(icc) = decoded.icc {
                fs::write(format!("{out}.icc"), icc)?;
            }
            if let Some(exif) = decoded.exif {
                fs::write(format!("{out}.exif"), exif)?;
            }
        }
        ["encode-jpeg", samples, out] => {
            fs::write(out, jpeg_patch::encode(&read_samples(samples)?, None)?)?;
        }
        ["encode-png", samples, out] => {
            fs::write(out, png_strips::encode(&read_samples(samples)?, &Colour::default()))?;
        }
        ["patch", file, edited, out, areas @ ..] => {
            let areas = areas.iter().map(|text| area(text)).collect::<Result<Vec<_>, _>>()?;
            let changed = |at: Area| areas.iter().any(|area| area.intersects(&at));
            let edited = read_samples(edited)?;
            fs::write(out, jpeg_patch::patch(&fs::read(file)?, &Part::whole(&edited), &changed)?)?;
        }
        _ => return Err("see the top of tests/reference/codec.rs for the commands".into()),
    }
    Ok(())
}

fn area(text: &str) -> Result<Area, Box<dyn Error>> {
    let numbers = text.split(',').map(str::parse).collect::<Result<Vec<u32>, _>>()?;
    let [x, y, width, height] = numbers[..] else { return Err("an area is X,Y,W,H".into()) };
    Ok(Area { x, y, width, height })
}

fn write_samples(image: &DynamicImage, out: &str) -> Result<(), Box<dyn Error>> {
    let colour = image.color();
    let channels = u16::from(colour.channel_count());
    let bits = colour.bits_per_pixel() / channels;
    let mut file = format!("{} {} {channels} {bits}\n", image.width(), image.height()).into_bytes();
    file.extend_from_slice(image.as_bytes());
    Ok(fs::write(out, file)?)
}

fn read_samples(path: &str) -> Result<DynamicImage, Box<dyn Error>> {
    let file = fs::read(path)?;
    let line = file.iter().position(|&byte| byte == b'\n').ok_or("no first line")?;
    let numbers =
        str::from_utf8(&file[..line])?.split(' ').map(str::parse).collect::<Result<Vec<u32>, _>>()?;
    let samples = file[line + 1..].to_vec();
    let wide = || samples.as_chunks().0.iter().map(|&bytes| u16::from_ne_bytes(bytes)).collect::<Vec<_>>();
    let [width, height, channels, bits] = numbers[..] else { return Err("no size".into()) };
    match (channels, bits) {
        (1, 8) => ImageBuffer::from_raw(width, height, samples).map(DynamicImage::ImageLuma8),
        (2, 8) => ImageBuffer::from_raw(width, height, samples).map(DynamicImage::ImageLumaA8),
        (3, 8) => ImageBuffer::from_raw(width, height, samples).map(DynamicImage::ImageRgb8),
        (4, 8) => ImageBuffer::from_raw(width, height, samples).map(DynamicImage::ImageRgba8),
        (1, 16) => ImageBuffer::from_raw(width, height, wide()).map(DynamicImage::ImageLuma16),
        (2, 16) => ImageBuffer::from_raw(width, height, wide()).map(DynamicImage::ImageLumaA16),
        (3, 16) => ImageBuffer::from_raw(width, height, wide()).map(DynamicImage::ImageRgb16),
        (4, 16) => ImageBuffer::from_raw(width, height, wide()).map(DynamicImage::ImageRgba16),
        _ => None,
    }
    .ok_or_else(|| "not samples that can be read".into())
}
