//! A bit reader for entropy-coded data without byte stuffing, most significant bit first.

/// The number of zero bytes that must follow the data, since the reader looks ahead.
pub(super) const AHEAD: usize = 16;

/// A reader and its position.
#[derive(Clone, Debug)]
pub(super) struct Bits<'a> {
    data: &'a [u8],
    /// The next bits, from the most significant on; at least `left` are valid.
    window: u64,
    left: u32,
    /// The first byte that `left` does not count.
    byte: usize,
}

impl<'a> Bits<'a> {
    /// Starts at a bit of the data.
    pub fn at(data: &'a [u8], bit: usize) -> Option<Self> {
        let mut bits = Self { data, window: 0, left: 0, byte: bit / 8 };
        bits.refill(8)?;
        bits.skip(bit as u32 % 8);
        Some(bits)
    }

    /// The position of the next bit.
    pub fn position(&self) -> usize {
        self.byte * 8 - self.left as usize
    }

    /// Fills the window to at least `needed` bits, at most 56. `None` at the end of the data.
    #[inline]
    pub fn refill(&mut self, needed: u32) -> Option<()> {
        if self.left < needed {
            let next = u64::from_be_bytes(*self.data.get(self.byte..)?.first_chunk()?);
            self.window |= next >> self.left;
            self.byte += (63 - self.left) as usize / 8;
            // Whole bytes were added, so that 56 to 63 bits are valid: the lowest three bits of the count stay.
            self.left |= 0x38;
        }
        Some(())
    }

    /// The window. Only as many bits as [`Self::refill`] was asked for are valid.
    pub fn window(&self) -> u64 {
        self.window
    }

    /// The next `count` bits as a number; fewer than 64.
    #[inline]
    pub fn next(&self, count: u32) -> u64 {
        self.window >> 1 >> (63 - count)
    }

    /// Advances by `count` bits, which must be in the window.
    #[inline]
    pub fn skip(&mut self, count: u32) {
        self.window <<= count;
        self.left -= count;
    }
}
