//! The header segments of baseline files with one scan.

use std::sync::Arc;

use super::huffman::{Ac, Code, Dc};

const START_OF_FRAME: u8 = 0xc0;
const HUFFMAN_TABLES: u8 = 0xc4;
const START_OF_IMAGE: u8 = 0xd8;
const START_OF_SCAN: u8 = 0xda;
const QUANTISATION_TABLES: u8 = 0xdb;
const RESTART_INTERVAL: u8 = 0xdd;
const COMMENT: u8 = 0xfe;

/// What is needed to read the entropy-coded data. Only what nearly all cameras and programs write is accepted;
/// all else is left to libjpeg.
#[derive(Debug)]
pub(super) struct Head {
    /// Pixels across and down.
    pub size: (u32, u32),
    /// The sampling factors of each component, horizontal and vertical.
    pub factors: Vec<(u32, u32)>,
    /// The blocks of an MCU, in the order of the data.
    pub blocks: Vec<Block>,
    /// The restart interval in MCUs, if there are restart markers.
    pub interval: Option<usize>,
    /// The offset of the entropy-coded data.
    pub data: usize,
}

/// A block of an MCU.
#[derive(Clone, Debug)]
pub(super) struct Block {
    pub component: usize,
    /// Its place among the component's blocks in the MCU.
    pub column: u32,
    pub row: u32,
    pub dc: Arc<Dc>,
    pub ac: Arc<Ac>,
}

/// A component of the frame.
struct Component {
    id: u8,
    factors: (u32, u32),
    quantisation: u8,
}

struct Frame {
    size: (u32, u32),
    components: Vec<Component>,
}

/// The tables defined so far, by destination (T.81, B.2.4).
#[derive(Default)]
struct Tables {
    dc: [Option<Code>; 4],
    ac: [Option<Code>; 4],
    /// Whether the table is there and has no zero, by which the encoder would divide.
    quantisation: [bool; 4],
}

impl Head {
    /// Width and height of an MCU in pixels.
    pub fn mcu(&self) -> (u32, u32) {
        // In accepted files, the first component has the largest factors.
        (8 * self.factors[0].0, 8 * self.factors[0].1)
    }

    /// Reads the segments up to the first scan; `None` for files that are not accepted.
    pub fn of(file: &[u8]) -> Option<Self> {
        let mut rest = file.strip_prefix(&[0xff, START_OF_IMAGE])?;
        let mut tables = Tables::default();
        let (mut frame, mut interval) = (None, None);
        loop {
            let (&[0xff, marker, high, low], _) = rest.split_first_chunk::<4>()? else { return None };
            let length = usize::from(u16::from_be_bytes([high, low]));
            let segment = rest.get(4..2 + length)?;
            rest = &rest[2 + length..];
            match marker {
                QUANTISATION_TABLES => tables.quantisation(segment)?,
                HUFFMAN_TABLES => tables.huffman(segment)?,
                START_OF_FRAME if frame.is_none() => frame = Some(Frame::of(segment)?),
                RESTART_INTERVAL => interval = Some(u16::from_be_bytes(segment.try_into().ok()?)),
                START_OF_SCAN => {
                    let frame = frame?;
                    return Some(Self {
                        size: frame.size,
                        factors: frame.components.iter().map(|component| component.factors).collect(),
                        blocks: tables.blocks(&frame.components, segment)?,
                        interval: interval.map(usize::from).filter(|&interval| interval > 0),
                        data: file.len() - rest.len(),
                    });
                }
                0xe0..=0xef | COMMENT => {}
                _ => return None,
            }
        }
    }
}

impl Frame {
    fn of(segment: &[u8]) -> Option<Self> {
        let (&[8, y0, y1, x0, x1, count], components) = segment.split_first_chunk()? else { return None };
        let size = (u16::from_be_bytes([x0, x1]).into(), u16::from_be_bytes([y0, y1]).into());
        if size.0 == 0 || size.1 == 0 || components.len() != 3 * usize::from(count) {
            return None;
        }
        let components: Vec<_> = components
            .as_chunks::<3>()
            .0
            .iter()
            .map(|&[id, factors, quantisation]| {
                let factors = (u32::from(factors >> 4), u32::from(factors & 15));
                Component { id, factors, quantisation }
            })
            .collect();
        let factors: Vec<_> = components.iter().map(|component| component.factors).collect();
        match factors[..] {
            [(1, 1)] | [(1 | 2, 1 | 2), (1, 1), (1, 1)] => Some(Self { size, components }),
            _ => None,
        }
    }
}

impl Tables {
    fn quantisation(&mut self, mut segment: &[u8]) -> Option<()> {
        while let Some((&number, rest)) = segment.split_first() {
            let (values, rest) = rest.split_first_chunk::<64>()?;
            *self.quantisation.get_mut(usize::from(number))? = !values.contains(&0);
            segment = rest;
        }
        Some(())
    }

    fn huffman(&mut self, mut segment: &[u8]) -> Option<()> {
        while let Some((&kind, rest)) = segment.split_first() {
            let (counts, rest) = rest.split_first_chunk()?;
            let length = counts.iter().map(|&count| usize::from(count)).sum();
            let (symbols, rest) = rest.split_at_checked(length)?;
            let code = Code::new(counts, symbols)?;
            let number = usize::from(kind & 15);
            match kind >> 4 {
                0 => *self.dc.get_mut(number)? = Some(code),
                1 => *self.ac.get_mut(number)? = Some(code),
                _ => return None,
            }
            segment = rest;
        }
        Some(())
    }

    /// The blocks of an MCU, from the header of a scan, which must contain all components.
    fn blocks(&self, components: &[Component], segment: &[u8]) -> Option<Vec<Block>> {
        let (&count, segment) = segment.split_first()?;
        let (chosen, &[0, 63, 0]) = segment.split_last_chunk()? else { return None };
        if usize::from(count) != components.len() || chosen.len() != 2 * components.len() {
            return None;
        }
        // Lookup tables are large and files may define any number of codes: only those in use are built, and once.
        let (mut dcs, mut acs) = (vec![], vec![]);
        let mut blocks = Vec::new();
        for (index, (component, &[id, tables])) in
            components.iter().zip(chosen.as_chunks::<2>().0).enumerate()
        {
            if id != component.id || !*self.quantisation.get(usize::from(component.quantisation))? {
                return None;
            }
            let dc = once(&mut dcs, tables >> 4, |number| Dc::new(self.dc.get(number)?.clone()?))?;
            let ac = once(&mut acs, tables & 15, |number| Some(Ac::new(self.ac.get(number)?.clone()?)))?;
            let (wide, high) = component.factors;
            for (row, column) in (0..high).flat_map(|row| (0..wide).map(move |column| (row, column))) {
                blocks.push(Block {
                    component: index,
                    column,
                    row,
                    dc: Arc::clone(&dc),
                    ac: Arc::clone(&ac),
                });
            }
        }
        Some(blocks)
    }
}

/// The result of `make` for a number, which is kept in `made`.
fn once<T>(
    made: &mut Vec<(u8, Arc<T>)>,
    number: u8,
    make: impl FnOnce(usize) -> Option<T>,
) -> Option<Arc<T>> {
    if let Some((_, made)) = made.iter().find(|(other, _)| *other == number) {
        return Some(Arc::clone(made));
    }
    let new = Arc::new(make(usize::from(number))?);
    made.push((number, Arc::clone(&new)));
    Some(new)
}
