//! The inputs of the models, as their contracts on Triton define them.

use ndarray::{Array2, Array3};

/// Side of the segmenter's input and output, in pixels.
pub const SEGMENTER_SIDE: u32 = 1024;

/// One input of the inpainter.
#[derive(Clone, Debug)]
pub struct Tile {
    /// `[S, S, 3]`, RGB.
    pub image: Array3<u8>,
    /// `[S, S]`, 255 where the model is to fill, else 0.
    pub mask: Array2<u8>,
}
