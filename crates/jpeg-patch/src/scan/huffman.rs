//! Huffman codes: skipped by lookup tables, and written.

use super::bits::Bits;

/// Length of the longest code, in bits.
const LONGEST: u32 = 16;

/// The largest categories of DC differences and AC coefficients of 8-bit samples (T.81, F.1.2).
const DC_SIZE: u8 = 11;
const AC_SIZE: u8 = 10;

/// Index bits of the lookup tables. Two tables of [`Ac`] fit the first-level cache, and an entry covers two or three
/// codes with their values.
const DC_INDEX: u32 = 9;
const AC_INDEX: u32 = 12;

/// Symbols with special meanings (T.81, F.1.2.2.1).
pub(super) const END_OF_BLOCK: u8 = 0x00;
pub(super) const SIXTEEN_ZEROES: u8 = 0xf0;

/// The most bits that one call of [`Dc::difference`] or one step of [`Ac::skip`] reads.
const STEP: u32 = LONGEST + DC_SIZE as u32;

/// A Huffman code, as defined by a DHT segment.
#[derive(Clone, Debug)]
pub(super) struct Code {
    symbols: Vec<u8>,
    /// By length: the end of the codes, and the difference from a code to its index in `symbols`.
    ends: [u32; LONGEST as usize + 1],
    places: [i32; LONGEST as usize + 1],
    /// By symbol: its code and the code's length, 0 if it has none.
    codes: [(u16, u8); 256],
}

impl Code {
    /// From the number of codes of each length, and the symbols. `None` if libjpeg would not read or not write with
    /// it.
    pub fn new(counts: &[u8; LONGEST as usize], symbols: &[u8]) -> Option<Self> {
        let (mut code, mut place) = (0_u32, 0_usize);
        let (mut ends, mut places) = ([0; LONGEST as usize + 1], [0; LONGEST as usize + 1]);
        let mut codes = [(0, 0); 256];
        for (length, &count) in (1..).zip(counts) {
            places[length] = place as i32 - code as i32;
            for &symbol in symbols.get(place..place + usize::from(count))? {
                let entry = &mut codes[usize::from(symbol)];
                if entry.1 != 0 {
                    return None;
                }
                *entry = (code as u16, length as u8);
                code += 1;
            }
            place += usize::from(count);
            ends[length] = code;
            // No code consists of ones only (T.81, C.2).
            if count > 0 && code >= 1 << length {
                return None;
            }
            code <<= 1;
        }
        (place == symbols.len()).then(|| Self { symbols: symbols.to_vec(), ends, places, codes })
    }

    /// The symbol whose code is in the most significant bits of `window`, and the code's length.
    fn first(&self, window: u64) -> Option<(u8, u32)> {
        // Codes are ordered: the first length at which the bits are below the end is the code's.
        let code = |length: u32| (window >> (64 - length)) as u32;
        let length = (1..=LONGEST).find(|&length| code(length) < self.ends[length as usize])?;
        let place = code(length) as i32 + self.places[length as usize];
        Some((*self.symbols.get(usize::try_from(place).ok()?)?, length))
    }

    /// The code of a symbol, if it has one, and its length in bits.
    pub fn of(&self, symbol: u8) -> Option<(u32, u32)> {
        let (code, length) = self.codes[usize::from(symbol)];
        (length > 0).then_some((u32::from(code), u32::from(length)))
    }
}

/// An entry of a lookup table.
#[derive(Clone, Copy, Debug, Default)]
struct Quick {
    /// Bits to skip; 0 if the code does not fit the index.
    bits: u8,
    /// DC: bits of the difference, which follow. AC: coefficients to skip, see [`ENDS`].
    step: u8,
}

/// Flag in the step of an AC entry: the block ends there. The end of block counts as one coefficient, so that it is
/// accepted only before the last one.
const ENDS: u8 = 0x80;
/// The step of an entry whose code does not fit the index: beyond any block.
const UNKNOWN: u8 = 0x7f;

/// The code of DC differences.
#[derive(Debug)]
pub(super) struct Dc {
    pub code: Code,
    quick: Box<[Quick; 1 << DC_INDEX]>,
}

impl Dc {
    pub fn new(code: Code) -> Option<Self> {
        let mut quick = Box::new([Quick::default(); 1 << DC_INDEX]);
        for (entry, index) in quick.iter_mut().zip(0_u64..) {
            if let Some((size, length)) = code.first(index << (64 - DC_INDEX))
                && length <= DC_INDEX
                && size <= DC_SIZE
            {
                *entry = Quick { bits: length as u8, step: size };
            }
        }
        // libjpeg checks all symbols of a DC table before it uses it.
        code.symbols.iter().all(|&size| size <= 15).then_some(Self { code, quick })
    }

    /// Reads a difference. `None` if libjpeg would not read or not write it.
    #[inline]
    pub fn difference(&self, bits: &mut Bits) -> Option<i32> {
        bits.refill(STEP)?;
        let quick = self.quick[bits.next(DC_INDEX) as usize];
        let (size, length) = match quick.bits {
            0 => self.code.first(bits.window()).filter(|&(size, _)| size <= DC_SIZE)?,
            length => (quick.step, u32::from(length)),
        };
        bits.skip(length);
        let size = u32::from(size);
        let value = bits.next(size) as i32;
        bits.skip(size);
        // The lower half of the values are negative (T.81, F.2.2.1).
        let negative = value < (1 << size) >> 1;
        Some(if negative { value + 1 - (1 << size) } else { value })
    }
}

/// The code of AC coefficients.
#[derive(Debug)]
pub(super) struct Ac {
    pub code: Code,
    quick: Box<[Quick; 1 << AC_INDEX]>,
}

impl Ac {
    pub fn new(code: Code) -> Self {
        let mut quick = Box::new([Quick { bits: 0, step: UNKNOWN }; 1 << AC_INDEX]);
        for (entry, index) in quick.iter_mut().zip(0_u64..) {
            *entry = quick_ac(&code, index << (64 - AC_INDEX)).unwrap_or(*entry);
        }
        Self { code, quick }
    }

    /// Skips the AC coefficients of a block. `None` if libjpeg would not read or not write them.
    #[inline]
    pub fn skip(&self, bits: &mut Bits) -> Option<()> {
        let mut at = 1;
        while at < 64 {
            bits.refill(STEP)?;
            let quick = self.quick[bits.next(AC_INDEX) as usize];
            let to = at + u32::from(quick.step & !ENDS);
            if to <= 64 {
                bits.skip(quick.bits.into());
                at = to | u32::from(quick.step & ENDS);
            } else {
                at = self.skip_one(bits, at)?;
            }
        }
        Some(())
    }

    #[cold]
    fn skip_one(&self, bits: &mut Bits, at: u32) -> Option<u32> {
        let (symbol, length) = self.code.first(bits.window())?;
        let (to, size) = after(symbol, at)?;
        bits.skip(length + size);
        Some(to)
    }
}

/// The index of the coefficient after a symbol at index `at`, 64 at the end of the block, and the number of
/// additional bits.
fn after(symbol: u8, at: u32) -> Option<(u32, u32)> {
    let (run, size) = (u32::from(symbol >> 4), symbol & 15);
    match symbol {
        END_OF_BLOCK => Some((64, 0)),
        SIXTEEN_ZEROES => (at + 16 < 64).then_some((at + 16, 0)),
        _ => (size > 0 && size <= AC_SIZE && at + run < 64).then_some((at + run + 1, size.into())),
    }
}

/// The entry for an index, in the most significant bits of `window`: as many codes with their values as fit.
fn quick_ac(code: &Code, window: u64) -> Option<Quick> {
    let (mut bits, mut step) = (0, 0);
    let mut found = None;
    while bits < AC_INDEX {
        let Some((symbol, length)) = code.first(window << bits) else { break };
        if bits + length > AC_INDEX {
            break;
        }
        if symbol == END_OF_BLOCK {
            bits += length;
            found = Some(Quick { bits: bits as u8, step: (step + 1) as u8 | ENDS });
            break;
        }
        // At least one coefficient precedes: beyond the end of any block.
        let Some((to, size)) = after(symbol, step + 1) else { break };
        step = to - 1;
        bits += length + size;
        // A run of zeroes must not end a block, and the entry does not know where that is.
        if symbol != SIXTEEN_ZEROES {
            found = Some(Quick { bits: bits as u8, step: step as u8 });
        }
    }
    found
}
