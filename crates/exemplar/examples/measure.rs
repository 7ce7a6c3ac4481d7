//! Times a fill: `measure FILE WIDTH HEIGHT TIMES` prints milliseconds, one line per run.
//!
//! The file holds the picture, three bytes per pixel, followed by its hole, one byte per pixel. Set
//! `RAYON_NUM_THREADS` to choose the number of threads.

use std::{env, error::Error, fs, time::Instant};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [file, width, height, times] = arguments.as_slice() else {
        return Err("measure FILE WIDTH HEIGHT TIMES".into());
    };
    let (width, height, times): (usize, usize, usize) = (width.parse()?, height.parse()?, times.parse()?);
    let bytes = fs::read(file)?;
    let (rgb, hole) = bytes.split_at_checked(width * height * 3).ok_or("the file is too short")?;
    let hole = hole.get(..width * height).ok_or("the file is too short")?;
    for _ in 0..times {
        let started = Instant::now();
        let fill = exemplar::fill(&exemplar::Picture { width, height, rgb, hole, forbidden: &[] });
        let milliseconds = started.elapsed().as_secs_f64() * 1e3;
        assert_eq!(fill.rgb.len(), rgb.len());
        println!("{milliseconds:.2}");
    }
    Ok(())
}
