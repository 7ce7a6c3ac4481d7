//! Converts between photo and model: a window as the model's input, and the model's output at the photo's
//! resolution.

mod detail;

pub use detail::enlarged;

use fast_image_resize::{
    FilterType, PixelTrait, ResizeAlg, ResizeOptions, Resizer,
    images::{TypedImage, TypedImageRef},
    pixels::{U8, U8x3, U8x4},
};
use ndarray::{Array2, Array3, ArrayView3, Axis};

use crate::{
    geometry::Rect,
    mask::Mask,
    picture::Picture,
    triton::{SEGMENTER_SIDE, Tile},
    window::Window,
};

/// Mask levels in the inpainter's contract.
const HOLE: u8 = 255;
const KNOWN: u8 = 0;

/// The model's input for `window` while the pixels of `open` are still to be filled. Fully transparent pixels
/// count as hole, since their colour is meaningless.
pub fn cut(picture: &Picture, open: &Mask, window: &Window) -> Tile {
    let source = window.source;
    let image = picture.rgb8(source);
    let mut hole = picture.transparent(source).unwrap_or_else(|| vec![KNOWN; source.area() as usize]);
    for (row, y) in hole.chunks_exact_mut(source.width as usize).zip(source.y..) {
        open.runs(y, source.x, source.right(), |from, to| {
            row[(from - source.x) as usize..(to - source.x) as usize].fill(HOLE);
        });
    }
    let (width, height) = window.content();
    let (image, hole) = match window.is_scaled() {
        false => (image, hole),
        true => (
            shrink_known(&image, &hole, source, (width, height)),
            shrink_hole(&hole, source, (width, height)),
        ),
    };
    Tile {
        image: padded(image, (width, height), window.side),
        mask: padded(hole, (width, height), window.side).remove_axis(Axis(2)),
    }
}

/// The core of an unscaled window, RGB in row order, from the model's output `[S, S, 3]`. For scaled windows
/// see [`enlarged`].
pub fn uncut(fill: &[u8], window: &Window) -> Vec<u8> {
    let (left, top) = padding(window.content(), window.side);
    let (source, core) = (window.source, window.core);
    let start = (left + core.x - source.x, top + core.y - source.y);
    part(output(fill, window), start, (core.width, core.height))
}

/// The model's output for `window`, `[S, S, 3]`.
fn output<'a>(fill: &'a [u8], window: &Window) -> ArrayView3<'a, u8> {
    let side = window.side as usize;
    ArrayView3::from_shape((side, side, 3), fill).expect("its length was checked. This is a bug.")
}

/// Crops a square `[S, S, channels]`; the result is in row order.
fn part(square: ArrayView3<'_, u8>, (x, y): (u32, u32), (width, height): (u32, u32)) -> Vec<u8> {
    let channels = square.len_of(Axis(2));
    let mut part = Vec::with_capacity(width as usize * height as usize * channels);
    for row in square.outer_iter().skip(y as usize).take(height as usize) {
        let row = row.to_slice().expect("squares are in row order. This is a bug.");
        part.extend_from_slice(&row[x as usize * channels..][..width as usize * channels]);
    }
    part
}

/// The segmenter's input `[1024, 1024, 3]`, RGB: the pixels of `rect`, stretched to fit. Transparency is
/// shown over mid-grey.
pub fn for_segmenter(picture: &Picture, rect: Rect) -> Array3<u8> {
    let size = (rect.width, rect.height);
    let options =
        ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear)).use_alpha(false);
    let side = SEGMENTER_SIDE as usize;
    let rgb = picture.rgb8_over_grey(rect);
    let small = resize::<U8x3>(&rgb, size, (SEGMENTER_SIDE, SEGMENTER_SIDE), options);
    Array3::from_shape_vec((side, side, 3), small).expect("the size asked for. This is a bug.")
}

/// The subject in a photo of `width` by `height` pixels, from the segmenter's alpha `[1024, 1024]`: pixels
/// whose scaled alpha is at least one half. Drops specks smaller than a thousandth of the total. Empty if
/// nothing was found.
pub fn subject(alpha: &Array2<u8>, width: u32, height: u32) -> Mask {
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::CatmullRom));
    let side = (SEGMENTER_SIDE, SEGMENTER_SIDE);
    let alpha: Vec<u8> = alpha.iter().copied().collect();
    let alpha = resize::<U8>(&alpha, side, (width, height), options);
    let mut subject = Mask::from_levels(width, height, &alpha, 128);
    subject.remove_small(subject.count().div_ceil(1000));
    subject
}

/// Scales the known part down. Hole pixels have no weight, so no edge of what is erased bleeds in.
fn shrink_known(image: &[u8], hole: &[u8], source: Rect, to: (u32, u32)) -> Vec<u8> {
    let weighted: Vec<u8> = image
        .chunks_exact(3)
        .zip(hole)
        .flat_map(|(rgb, hole)| [rgb[0], rgb[1], rgb[2], HOLE - hole])
        .collect();
    // Hamming is nearly as sharp as bicubic and, without negative lobes, safe next to zero weights.
    let options =
        ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Hamming)).use_alpha(true);
    let small = resize::<U8x4>(&weighted, (source.width, source.height), to, options);
    small.chunks_exact(4).flat_map(|rgba| [rgba[0], rgba[1], rgba[2]]).collect()
}

/// Scales the hole down: a pixel is hole if any pixel under it is.
fn shrink_hole(hole: &[u8], source: Rect, (width, height): (u32, u32)) -> Vec<u8> {
    let mut small = vec![KNOWN; width as usize * height as usize];
    // The pixels of the result that overlap source pixel `i`.
    let over = |i: u32, from: u32, to: u32| {
        let first = u64::from(i) * u64::from(to) / u64::from(from);
        let last = (u64::from(i + 1) * u64::from(to)).div_ceil(u64::from(from));
        first as usize..last as usize
    };
    for (y, row) in hole.chunks_exact(source.width as usize).enumerate() {
        let rows = over(y as u32, source.height, height);
        for (x, _) in row.iter().enumerate().filter(|(_, level)| **level == HOLE) {
            let columns = over(x as u32, source.width, width);
            for y in rows.clone() {
                small[y * width as usize..][columns.clone()].fill(HOLE);
            }
        }
    }
    small
}

/// Columns and rows of padding before the content.
fn padding((width, height): (u32, u32), side: u32) -> (u32, u32) {
    ((side - width) / 2, (side - height) / 2)
}

/// Centres `content` (interleaved) in a square and mirrors it at its edges as often as needed to fill the
/// square. The edge pixel itself is not repeated.
fn padded(content: Vec<u8>, (width, height): (u32, u32), side: u32) -> Array3<u8> {
    let channels = content.len() / (width as usize * height as usize);
    let shape = (side as usize, side as usize, channels);
    if (width, height) == (side, side) {
        return Array3::from_shape_vec(shape, content).expect("a square. This is a bug.");
    }
    let (left, top) = padding((width, height), side);
    let columns: Vec<usize> = (0..side).map(|x| mirrored(i64::from(x) - i64::from(left), width)).collect();
    let mut square = Vec::with_capacity(side as usize * side as usize * channels);
    for y in 0..side {
        let row = mirrored(i64::from(y) - i64::from(top), height) * width as usize * channels;
        let row = &content[row..][..width as usize * channels];
        let from = left as usize;
        for &x in &columns[..from] {
            square.extend_from_slice(&row[x * channels..][..channels]);
        }
        square.extend_from_slice(row);
        for &x in &columns[from + width as usize..] {
            square.extend_from_slice(&row[x * channels..][..channels]);
        }
    }
    Array3::from_shape_vec(shape, square).expect("whole rows. This is a bug.")
}

/// Maps `i` into `0..length` by mirroring at both ends.
fn mirrored(i: i64, length: u32) -> usize {
    let period = (2 * i64::from(length) - 2).max(1);
    let i = i.rem_euclid(period);
    i.min(period - i).min(i64::from(length) - 1) as usize
}

/// Resizes samples of pixel type `P`. Generic, because the untyped call compiles the resizer for every pixel
/// type.
fn resize<P: PixelTrait>(
    from: &[u8],
    (width, height): (u32, u32),
    to: (u32, u32),
    options: ResizeOptions,
) -> Vec<u8> {
    let source =
        TypedImageRef::<P>::from_buffer(width, height, from).expect("a whole picture. This is a bug.");
    let mut samples = vec![0; to.0 as usize * to.1 as usize * P::size()];
    let mut target =
        TypedImage::<P>::from_buffer(to.0, to.1, &mut samples).expect("a whole picture. This is a bug.");
    Resizer::new()
        .resize_typed(&source, &mut target, &options)
        .expect("a crop inside the picture. This is a bug.");
    samples
}
