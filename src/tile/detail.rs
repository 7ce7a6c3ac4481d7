//! Restores detail in fills made at a smaller scale than the photo's.

use rayon::prelude::*;

use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, pixels::U8x3};
use ndarray::Axis;

use super::{HOLE, output, padding, part, resize};
use crate::{geometry::Rect, mask::Mask, picture::Picture, triton::Tile, window::Window};

/// The core of a scaled window, RGB in row order, from what the model was shown of `picture` and its output
/// `[S, S, 3]`. `picture` and `open` must be as they were at the call.
///
/// An enlarged fill is softer than its surroundings. So each of its pixels gets the detail (the photo minus
/// its own reduction to the model's scale) of the known place that looks most like it at that scale. Colours
/// and shapes remain the model's, whichever model it is.
pub fn enlarged(picture: &Picture, open: &Mask, shown: Tile, fill: &[u8], window: &Window) -> Vec<u8> {
    let (source, core, size) = (window.source, window.core, window.content());
    let start = padding(size, window.side);
    let hole = part(shown.mask.insert_axis(Axis(2)).view(), start, size);
    let mut small = part(shown.image.view(), start, size);
    let filled = part(output(fill, window), start, size);
    let pixels = small.as_chunks_mut::<3>().0.iter_mut().zip(filled.as_chunks::<3>().0);
    pixels.zip(&hole).filter(|(_, hole)| **hole == HOLE).for_each(|((pixel, filled), _)| *pixel = *filled);
    let origins = exemplar::origins(&exemplar::Picture {
        width: size.0 as usize,
        height: size.1 as usize,
        rgb: &small,
        hole: &hole,
        forbidden: &[],
    });
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::CatmullRom));
    let reduced = resize::<U8x3>(&small, size, (source.width, source.height), options);
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

/// The source pixel whose detail a pixel of the core takes.
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

#[cfg(test)]
mod tests {
    use std::{
        io::Cursor,
        time::{Duration, Instant},
    };

    use image::{ImageFormat, RgbImage};

    use super::*;
    use crate::{
        picture::{self, Limits},
        tile, window,
    };

    fn decoded(image: RgbImage) -> Picture {
        let mut file = Cursor::new(Vec::new());
        image.write_to(&mut file, ImageFormat::Png).unwrap();
        let header = picture::inspect(file.get_ref(), &Limits::DEFAULT).unwrap();
        picture::decode(file.get_ref(), &header, Instant::now() + Duration::from_mins(1)).unwrap()
    }

    /// Mean square of the horizontal differences.
    fn energy(rgb: &[u8], width: usize) -> f64 {
        let rows = rgb.chunks_exact(width * 3);
        let steps =
            rows.flat_map(|row| row.windows(4).map(|near| f64::from(near[0].abs_diff(near[3])).powi(2)));
        steps.sum::<f64>() / rgb.len() as f64
    }

    #[test]
    fn a_fill_at_a_smaller_scale_is_as_sharp_as_its_surroundings() {
        let (width, height) = (1800, 1500);
        let mut seed = 1u32;
        let grain = RgbImage::from_fn(width, height, |_, _| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            image::Rgb([100 + (seed >> 26) as u8; 3])
        });
        let picture = decoded(grain);
        let hole = Rect { x: 350, y: 250, width: 1100, height: 1000 };
        let open = Mask::from_rect(width, height, hole);
        let windows = window::plan(&open);
        assert!(windows.len() == 1 && windows[0].is_scaled(), "{windows:?}");
        let side = windows[0].side as usize;
        let plain = vec![131; side * side * 3];
        let core = windows[0].core;
        let shown = tile::cut(&picture, &open, &windows[0]);
        let fill = enlarged(&picture, &open, shown, &plain, &windows[0]);
        let (filled, around) = (
            energy(&fill, core.width as usize),
            energy(&picture.rgb8(Rect { x: 0, y: 0, width, height: 200 }), width as usize),
        );
        assert!(filled > 0.8 * around && filled < 1.2 * around, "{filled} in the hole, {around} around it");
        let mean = fill.iter().map(|&level| f64::from(level)).sum::<f64>() / fill.len() as f64;
        assert!((mean - 131.0).abs() < 2.0, "{mean}");
    }
}
