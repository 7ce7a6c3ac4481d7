//! Detail for what a model filled at a smaller scale than the photo's.

use rayon::prelude::*;

use super::{HOLE, hole_of, resize, shrink_hole, shrink_known};
use crate::{geometry::Rect, mask::Mask, picture::Picture, window::Window};

use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, pixels::U8x3};

/// The colours of a scaled window's core, RGB in row order, from `content`, what the model made of what it
/// was shown.
///
/// Enlarged, a fill is softer than what surrounds it. So each of its pixels takes over what the photo has
/// beyond its own reduction to the model's scale at the known place that looks most like it there. Colours
/// and shapes stay the model's, whichever it is.
pub fn enlarged(picture: &Picture, open: &Mask, content: &[u8], window: &Window) -> Vec<u8> {
    let (source, core, size) = (window.source, window.core, window.content());
    let small = Small::new(picture, open, content, source, size);
    let origins = exemplar::origins(&exemplar::Picture {
        width: size.0 as usize,
        height: size.1 as usize,
        rgb: &small.rgb,
        hole: &small.hole,
        forbidden: &[],
    });
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::CatmullRom));
    let reduced = resize::<U8x3>(&small.rgb, size, (source.width, source.height), options);
    let at = |x: u32, y: u32| {
        let place = ((y - source.y) as usize * source.width as usize + (x - source.x) as usize) * 3;
        [reduced[place], reduced[place + 1], reduced[place + 2]]
    };
    let mut colours = vec![0; core.area() as usize * 3];
    let rows = colours.par_chunks_exact_mut(core.width as usize * 3).zip(core.y..core.bottom());
    rows.for_each(|(row, y)| {
        for (pixel, x) in row.as_chunks_mut::<3>().0.iter_mut().zip(core.x..core.right()) {
            *pixel = at(x, y);
            if let Some((x, y)) =
                origin(&origins, (x, y), source, size).filter(|&(x, y)| !open.contains(x, y))
            {
                let (known, soft) = (picture.rgb8_at(x, y), at(x, y));
                for i in 0..3 {
                    let level = i16::from(pixel[i]) + i16::from(known[i]) - i16::from(soft[i]);
                    pixel[i] = level.clamp(0, 255) as u8;
                }
            }
        }
    });
    colours
}

/// What the model was shown, with what it filled.
struct Small {
    rgb: Vec<u8>,
    hole: Vec<u8>,
}

impl Small {
    fn new(picture: &Picture, open: &Mask, content: &[u8], source: Rect, size: (u32, u32)) -> Self {
        let hole_at_full = hole_of(picture, open, source);
        let mut rgb = shrink_known(&picture.rgb8(source), &hole_at_full, source, size);
        let hole = shrink_hole(&hole_at_full, source, size);
        let filled = content.as_chunks::<3>().0.iter().zip(&hole);
        for (pixel, (filled, _)) in
            rgb.as_chunks_mut::<3>().0.iter_mut().zip(filled).filter(|(_, (_, hole))| **hole == HOLE)
        {
            *pixel = *filled;
        }
        Self { rgb, hole }
    }
}

/// The pixel of the photo whose detail one of the core takes.
fn origin(
    origins: &[[i16; 2]],
    (x, y): (u32, u32),
    source: Rect,
    (width, height): (u32, u32),
) -> Option<(u32, u32)> {
    let (across, down) = (x - source.x, y - source.y);
    let column = u64::from(across) * u64::from(width) / u64::from(source.width);
    let row = u64::from(down) * u64::from(height) / u64::from(source.height);
    let [right, below] = origins[row as usize * width as usize + column as usize].map(i64::from);
    if [right, below] == [0, 0] {
        return None;
    }
    let moved = |at: u32, by: i64, large: u32, small: u32| {
        let way = (by * i64::from(large)) as f64 / f64::from(small);
        u32::try_from(i64::from(at) + way.round() as i64).ok().filter(|&at| at < large)
    };
    let x = source.x + moved(across, right, source.width, width)?;
    let y = source.y + moved(down, below, source.height, height)?;
    Some((x, y))
}
