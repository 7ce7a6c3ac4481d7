//! A bit writer for entropy-coded data, with byte stuffing.

use super::bits::Bits;

/// Bits that [`Writer::copy`] moves at a time.
const AT_ONCE: u32 = 56;

/// A file that is being written.
pub(super) struct Writer {
    file: Vec<u8>,
    /// The bits after the last whole byte, in the least significant positions; fewer than 8.
    open: u64,
    count: u32,
}

impl Writer {
    /// Continues after `head`.
    pub fn behind(head: Vec<u8>) -> Self {
        Self { file: head, open: 0, count: 0 }
    }

    /// Reserves capacity for `bytes` more.
    pub fn reserve(&mut self, bytes: usize) {
        self.file.reserve(bytes);
    }

    /// Writes the least significant `count` bits of `bits`, at most 32.
    pub fn put(&mut self, bits: u32, count: u32) {
        self.open = self.open << count | u64::from(bits) & ((1 << count) - 1);
        self.count += count;
        while self.count >= 8 {
            self.count -= 8;
            self.byte((self.open >> self.count) as u8);
        }
    }

    /// Copies the bits `from..to` of data that [`Bits`] can read.
    pub fn copy(&mut self, data: &[u8], from: usize, to: usize) -> Option<()> {
        let mut bits = Bits::at(data, from)?;
        let mut left = to.checked_sub(from)?;
        while left >= AT_ONCE as usize {
            bits.refill(AT_ONCE)?;
            self.open = self.open << AT_ONCE | bits.next(AT_ONCE);
            bits.skip(AT_ONCE);
            left -= AT_ONCE as usize;
            let whole = (self.open << (64 - AT_ONCE - self.count)).to_be_bytes();
            let whole = whole.first_chunk::<{ AT_ONCE as usize / 8 }>()?;
            if whole.contains(&0xff) {
                whole.iter().for_each(|&byte| self.byte(byte));
            } else {
                self.file.extend_from_slice(whole);
            }
        }
        while left > 0 {
            let count = left.min(32) as u32;
            bits.refill(count)?;
            self.put(bits.next(count) as u32, count);
            bits.skip(count);
            left -= count as usize;
        }
        Some(())
    }

    /// Pads the data with ones to a whole byte and writes a marker.
    pub fn marker(&mut self, marker: u8) {
        self.put(0x7f, (8 - self.count) % 8);
        self.file.extend([0xff, marker]);
    }

    /// The file.
    pub fn into_file(self) -> Vec<u8> {
        self.file
    }

    fn byte(&mut self, byte: u8) {
        self.file.push(byte);
        if byte == 0xff {
            self.file.push(0);
        }
    }
}
