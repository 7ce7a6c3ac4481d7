//! Blends a fill into the photo: under the mask only, feathered at its edge.

use rayon::prelude::*;

use crate::{
    geometry::Rect,
    mask::Mask,
    picture::{Picture, SamplesMut, luma},
};

/// Widest feather, in pixels.
const MAX_FADE: u32 = 8;

/// Blend weights of the fill in each pixel of a hole.
///
/// The caller's mask and the inner part of the ring added by dilation are replaced completely. In the outer
/// half of the ring, but in no more than `MAX_FADE` pixels, the fill fades into the photo.
#[derive(Clone, Debug)]
pub struct Feather {
    /// Nested sets, the last of which is the whole hole. A pixel's weight is the number of sets it is in.
    steps: Vec<Mask>,
}

impl Feather {
    /// For a mask and the radius in pixels to dilate it by.
    pub fn new(mask: &Mask, dilation: u32) -> Self {
        let fade = (dilation / 2).min(MAX_FADE);
        // In parallel, since dilation is most of a mask's cost.
        Self {
            steps: (dilation - fade..=dilation).into_par_iter().map(|radius| mask.dilate(radius)).collect(),
        }
    }

    /// The hole: the dilated mask.
    pub fn hole(&self) -> &Mask {
        self.steps.last().expect("never built empty. This is a bug.")
    }

    /// The feather within a part of the photo, in that part's coordinates.
    pub fn crop(&self, part: Rect) -> Self {
        Self { steps: self.steps.iter().map(|step| step.crop(part)).collect() }
    }

    /// The weights of the fill, out of [`Feather::whole`], in row `y` from column `left` on; zero outside the
    /// hole.
    fn shares(&self, y: u32, left: u32, shares: &mut [u8]) {
        shares.fill(0);
        for step in &self.steps {
            step.runs(y, left, left + shares.len() as u32, |from, to| {
                shares[(from - left) as usize..(to - left) as usize].iter_mut().for_each(|share| *share += 1);
            });
        }
    }

    fn whole(&self) -> u32 {
        self.steps.len() as u32
    }
}

/// Blends `fill` into the pixels of `open`.
///
/// `fill` holds the colours of `core`, RGB in row order. Alpha is left alone, and so is the colour of fully
/// transparent pixels; a grey picture takes the fill's luma.
pub fn paste(picture: &mut Picture, fill: &[u8], core: Rect, open: &Mask, feather: &Feather) {
    let (channels, alpha, width) = (picture.channels(), picture.has_alpha(), picture.width());
    let paste = Paste { fill, core, open, feather, channels, alpha, width };
    match picture.samples_mut() {
        SamplesMut::Eight(samples) => paste.write(samples),
        SamplesMut::Sixteen(samples) => paste.write(samples),
    }
}

struct Paste<'a> {
    fill: &'a [u8],
    core: Rect,
    open: &'a Mask,
    feather: &'a Feather,
    channels: usize,
    alpha: bool,
    width: u32,
}

impl Paste<'_> {
    fn write<L: Level>(&self, samples: &mut [L]) {
        let core = self.core;
        let colours = self.channels - usize::from(self.alpha);
        let row_length = self.width as usize * self.channels;
        let whole = self.feather.whole();
        let mut shares = vec![0; core.width as usize];
        for y in core.y..core.bottom() {
            let row = &mut samples[y as usize * row_length..][..row_length];
            let fill =
                &self.fill[(y - core.y) as usize * core.width as usize * 3..][..core.width as usize * 3];
            self.feather.shares(y, core.x, &mut shares);
            self.open.runs(y, core.x, core.right(), |from, to| {
                for x in from..to {
                    let pixel = &mut row[x as usize * self.channels..][..self.channels];
                    if self.alpha && pixel[colours] == L::ZERO {
                        continue;
                    }
                    let rgb = &fill[(x - core.x) as usize * 3..][..3];
                    let share = u32::from(shares[(x - core.x) as usize]);
                    let mut mix = |i: usize, level: u8| {
                        let level = L::from_eight(level);
                        pixel[i] = if share == whole { level } else { pixel[i].mixed(level, share, whole) };
                    };
                    match colours {
                        1 => mix(0, luma(rgb)),
                        _ => rgb.iter().enumerate().for_each(|(i, &level)| mix(i, level)),
                    }
                }
            });
        }
    }
}

/// A sample of a pixel, of either bit depth.
trait Level: Copy + PartialEq {
    const ZERO: Self;
    fn from_eight(level: u8) -> Self;
    /// Weighted mean: `share` parts of `fill` and `whole - share` of `self`.
    fn mixed(self, fill: Self, share: u32, whole: u32) -> Self;
}

impl Level for u8 {
    const ZERO: Self = 0;
    fn from_eight(level: u8) -> Self {
        level
    }
    fn mixed(self, fill: Self, share: u32, whole: u32) -> Self {
        ((u32::from(fill) * share + u32::from(self) * (whole - share) + whole / 2) / whole) as u8
    }
}

impl Level for u16 {
    const ZERO: Self = 0;
    fn from_eight(level: u8) -> Self {
        u16::from(level) * 257
    }
    fn mixed(self, fill: Self, share: u32, whole: u32) -> Self {
        ((u32::from(fill) * share + u32::from(self) * (whole - share) + whole / 2) / whole) as u16
    }
}
