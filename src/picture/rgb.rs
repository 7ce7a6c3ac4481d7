//! Conversion to 8-bit RGB, which is what the models take.

use super::{Picture, Samples};
use crate::geometry::Rect;

impl Picture {
    /// The pixels of `rect` as RGB in row order: grey is repeated, 16 bits are rounded to 8, and alpha is
    /// dropped.
    pub fn rgb8(&self, rect: Rect) -> Vec<u8> {
        let channels = self.channels();
        match self.samples() {
            Samples::Eight(samples) if channels == 3 => {
                rows(samples, self.width(), channels, rect).collect::<Vec<_>>().concat()
            }
            Samples::Eight(samples) => to_rgb(samples, self.width(), channels, rect, |level| level),
            Samples::Sixteen(samples) => to_rgb(samples, self.width(), channels, rect, eight),
        }
    }

    /// One pixel, converted as by [`Self::rgb8`].
    pub fn rgb8_at(&self, x: u32, y: u32) -> [u8; 3] {
        let at = (y as usize * self.width() as usize + x as usize) * self.channels();
        let places = if self.channels() < 3 { [at; 3] } else { [at, at + 1, at + 2] };
        match self.samples() {
            Samples::Eight(samples) => places.map(|at| samples[at]),
            Samples::Sixteen(samples) => places.map(|at| eight(samples[at])),
        }
    }

    /// For each pixel of `rect` in row order, 255 if it is fully transparent, else 0. `None` without alpha.
    pub fn transparent(&self, rect: Rect) -> Option<Vec<u8>> {
        let levels = |clear: bool| if clear { 255 } else { 0 };
        self.has_alpha().then(|| match self.samples() {
            Samples::Eight(samples) => alpha(samples, self, rect).map(|a| levels(a == 0)).collect(),
            Samples::Sixteen(samples) => alpha(samples, self, rect).map(|a| levels(a == 0)).collect(),
        })
    }

    /// The pixels of `rect` as RGB in row order, blended over mid-grey by their alpha.
    pub fn rgb8_over_grey(&self, rect: Rect) -> Vec<u8> {
        let mut rgb = self.rgb8(rect);
        let mut lay = |opacity: &mut dyn Iterator<Item = u8>| {
            for (pixel, opacity) in rgb.chunks_exact_mut(3).zip(opacity).filter(|(_, opacity)| *opacity < 255)
            {
                let opacity = u32::from(opacity);
                for level in pixel {
                    *level = ((u32::from(*level) * opacity + 128 * (255 - opacity) + 127) / 255) as u8;
                }
            }
        };
        if self.has_alpha() {
            match self.samples() {
                Samples::Eight(samples) => lay(&mut alpha(samples, self, rect)),
                Samples::Sixteen(samples) => lay(&mut alpha(samples, self, rect).map(eight)),
            }
        }
        rgb
    }

    /// The luma of every pixel in row order, blended over black by its alpha.
    pub fn luma8_over_black(&self) -> Vec<u8> {
        let rgb = self.rgb8(self.area());
        let mut levels: Vec<u8> = rgb.chunks_exact(3).map(luma).collect();
        let mut lay = |opacity: &mut dyn Iterator<Item = u8>| {
            for (level, opacity) in levels.iter_mut().zip(opacity) {
                *level = ((u32::from(*level) * u32::from(opacity) + 127) / 255) as u8;
            }
        };
        if self.has_alpha() {
            match self.samples() {
                Samples::Eight(samples) => lay(&mut alpha(samples, self, self.area())),
                Samples::Sixteen(samples) => lay(&mut alpha(samples, self, self.area()).map(eight)),
            }
        }
        levels
    }
}

/// The luma of an RGB pixel (ITU-R BT.601).
pub fn luma(rgb: &[u8]) -> u8 {
    let weighted = 19_595 * u32::from(rgb[0]) + 38_470 * u32::from(rgb[1]) + 7_471 * u32::from(rgb[2]);
    ((weighted + (1 << 15)) >> 16) as u8
}

/// A 16-bit level as 8 bits, rounded.
fn eight(level: u16) -> u8 {
    ((u32::from(level) + 128) / 257) as u8
}

fn rows<L>(samples: &[L], width: u32, channels: usize, rect: Rect) -> impl Iterator<Item = &[L]> {
    let row = width as usize * channels;
    let (from, to) = (rect.x as usize * channels, rect.right() as usize * channels);
    samples.chunks_exact(row).skip(rect.y as usize).take(rect.height as usize).map(move |row| &row[from..to])
}

fn to_rgb<L: Copy>(
    samples: &[L],
    width: u32,
    channels: usize,
    rect: Rect,
    eight: impl Fn(L) -> u8 + Copy,
) -> Vec<u8> {
    let mut rgb = Vec::with_capacity(rect.area() as usize * 3);
    for row in rows(samples, width, channels, rect) {
        match channels {
            1 | 2 => rgb.extend(row.chunks_exact(channels).flat_map(|p| [eight(p[0]); 3])),
            3 => rgb.extend(row.iter().map(|&level| eight(level))),
            _ => rgb.extend(row.chunks_exact(channels).flat_map(|p| [eight(p[0]), eight(p[1]), eight(p[2])])),
        }
    }
    rgb
}

fn alpha<'a, L: Copy + 'a>(samples: &'a [L], picture: &Picture, rect: Rect) -> impl Iterator<Item = L> + 'a {
    let channels = picture.channels();
    rows(samples, picture.width(), channels, rect)
        .flat_map(move |row| row.iter().skip(channels - 1).step_by(channels).copied())
}
