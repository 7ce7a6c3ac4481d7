//! Where each pixel of the hole is copied from, and the search for it.

use rayon::prelude::*;

use crate::{level::Level, patch::Target, simd::Set};

/// Rows that are searched by one thread, from a copy of what the rows around them had. Fixed, so that the
/// field does not depend on the number of threads.
const BAND: usize = 16;

/// The way, in columns and rows, from a pixel to that it is copied from.
pub type Offset = [i16; 2];

/// What a copy is made lighter by in red, green and blue, in eighths of a level.
pub type Shade = [i8; 3];

/// Where each pixel of the hole is copied from.
#[derive(Clone, Debug)]
pub struct Field {
    pub offsets: Vec<Offset>,
    /// How unlike the patches are; [`NONE`] where a pixel has no source.
    pub costs: Vec<u32>,
    /// By how many levels of red, green and blue the copies are made lighter.
    pub shades: Vec<Shade>,
}

/// The cost of no source at all.
pub const NONE: u32 = u32::MAX;

/// How one pass searches.
#[derive(Clone, Copy, Debug)]
pub struct Pass {
    /// Makes passes differ in what they try at random.
    pub seed: u64,
    /// Whether rows and columns are walked backwards.
    pub backwards: bool,
    /// The largest distance, in pixels, at which sources are tried at random around the best one.
    pub radius: usize,
    /// By how much the distance shrinks from one to the next.
    pub narrowing: i32,
    /// What a source costs more that does not go on where that of a neighbour does, as a share of 256.
    pub incoherence: u32,
    /// The instructions to use.
    pub set: Set,
}

impl Field {
    /// No pixel has a source.
    pub fn new(level: &Level) -> Self {
        Self {
            offsets: vec![[0; 2]; level.hole.len()],
            costs: vec![NONE; level.hole.len()],
            shades: vec![[0; 3]; level.hole.len()],
        }
    }

    /// This field of the next smaller level at twice the size. Offsets that lead to no source are left out.
    pub fn doubled(&self, small: &Level, level: &Level) -> Self {
        let mut field = Self::new(level);
        let rows = field
            .offsets
            .par_chunks_exact_mut(level.width)
            .zip(field.costs.par_chunks_exact_mut(level.width));
        rows.zip(field.shades.par_chunks_exact_mut(level.width)).enumerate().for_each(
            |(y, ((offsets, costs), shades))| {
                for x in 0..level.width {
                    if !level.target[y * level.width + x] {
                        continue;
                    }
                    let from = y / 2 * small.width + x / 2;
                    let offset = self.offsets[from].map(|way| 2 * way);
                    if self.costs[from] != NONE && source(level, x, y, offset).is_some() {
                        offsets[x] = offset;
                        costs[x] = self.costs[from];
                        shades[x] = self.shades[from];
                    }
                }
            },
        );
        field
    }

    /// One pass of PatchMatch (Barnes et al. 2009): each pixel takes over what is better of its
    /// neighbours' sources and of some at random.
    pub fn search(&mut self, level: &Level, used: Option<&Used<'_>>, pass: Pass) {
        let before = Before { offsets: self.offsets.clone(), costs: self.costs.clone() };
        let width = level.width;
        let bands = self.offsets.par_chunks_mut(width * BAND).zip(self.costs.par_chunks_mut(width * BAND));
        let bands = bands.zip(self.shades.par_chunks_mut(width * BAND));
        bands.enumerate().for_each(|(band, ((offsets, costs), shades))| {
            let first = band * BAND;
            if level.target[first * width..][..offsets.len()].contains(&true) {
                let band = Band { level, used, before: &before, first, offsets, costs, shades };
                search_band(band, pass);
            }
        });
    }
}

/// The pixel to which an offset leads, where it is a source.
#[inline(always)]
pub fn source(level: &Level, x: usize, y: usize, [right, down]: Offset) -> Option<(usize, usize)> {
    let x = x.wrapping_add_signed(isize::from(right));
    let y = y.wrapping_add_signed(isize::from(down));
    if x < level.width && y < level.height && level.source[y * level.width + x] { Some((x, y)) } else { None }
}

/// How often the parts of the picture are copied.
#[derive(Debug)]
pub struct Used<'a> {
    cells: Vec<u32>,
    columns: usize,
    /// The cost of one copy more, for a whole cell copied once.
    price: u32,
    /// Of each pixel what it costs for being unlike all others.
    rare: &'a [u32],
}

/// Side of the squares in which copies are counted.
const CELL: usize = 4;

impl<'a> Used<'a> {
    /// Counts the copies of a field.
    pub fn of(field: &Field, level: &Level, price: u32, rare: &'a [u32]) -> Self {
        let columns = level.width.div_ceil(CELL);
        let mut cells = vec![0; columns * level.height.div_ceil(CELL)];
        for (place, (offset, &cost)) in field.offsets.iter().zip(&field.costs).enumerate() {
            if cost != NONE
                && let Some((x, y)) = source(level, place % level.width, place / level.width, *offset)
            {
                cells[y / CELL * columns + x / CELL] += 1;
            }
        }
        Self { cells, columns, price, rare }
    }

    #[inline(always)]
    fn cost(&self, width: usize, x: usize, y: usize) -> u32 {
        let copies = self.cells[y / CELL * self.columns + x / CELL];
        (self.price * copies.saturating_sub((CELL * CELL) as u32) / (CELL * CELL) as u32).min(4 * self.price)
            + self.rare[y * width + x]
    }
}

/// What the pass before found.
struct Before {
    offsets: Vec<Offset>,
    costs: Vec<u32>,
}

struct Band<'a> {
    level: &'a Level,
    used: Option<&'a Used<'a>>,
    before: &'a Before,
    first: usize,
    offsets: &'a mut [Offset],
    costs: &'a mut [u32],
    shades: &'a mut [Shade],
}

/// Compiles the search for each set of instructions; its integers are the same in all.
fn search_band(band: Band, pass: Pass) {
    match pass.set {
        #[cfg(target_arch = "x86_64")]
        Set::Avx512 => {
            #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx2,bmi2")]
            fn with(band: Band, pass: Pass) {
                walk(band, pass);
            }
            // SAFETY: the set is one that the processor has.
            unsafe { with(band, pass) }
        }
        #[cfg(target_arch = "x86_64")]
        Set::Avx2 => {
            #[target_feature(enable = "avx2,bmi2")]
            fn with(band: Band, pass: Pass) {
                walk(band, pass);
            }
            // SAFETY: the set is one that the processor has.
            unsafe { with(band, pass) }
        }
        Set::Portable => walk(band, pass),
    }
}

#[inline(always)]
fn walk(mut band: Band, pass: Pass) {
    let width = band.level.width;
    let rows = band.offsets.len() / width;
    for row in 0..rows {
        let row = if pass.backwards { rows - 1 - row } else { row };
        let mut random = fastrand::Rng::with_seed(pass.seed ^ (((band.first + row) as u64) << 32));
        for x in 0..width {
            let x = if pass.backwards { width - 1 - x } else { x };
            if band.level.target[(band.first + row) * width + x] {
                improve(&mut band, pass, x, row, &mut random);
            }
        }
    }
}

/// The field of a neighbour: of this pass in the same band, else of the pass before.
#[inline(always)]
fn neighbour(band: &Band, x: usize, row: usize, step: [isize; 2]) -> Option<Offset> {
    let width = band.level.width;
    let x = x.wrapping_add_signed(step[0]);
    let y = (band.first + row).wrapping_add_signed(step[1]);
    if x >= width || y >= band.level.height || !band.level.target[y * width + x] {
        return None;
    }
    let inside = y >= band.first && y < band.first + band.offsets.len() / width;
    let (offset, cost) = if inside {
        let place = (y - band.first) * width + x;
        (band.offsets[place], band.costs[place])
    } else {
        (band.before.offsets[y * width + x], band.before.costs[y * width + x])
    };
    if cost == NONE { None } else { Some(offset) }
}

#[inline(always)]
fn improve(band: &mut Band, pass: Pass, x: usize, row: usize, random: &mut fastrand::Rng) {
    let level = band.level;
    let (y, place) = (band.first + row, row * level.width + x);
    let target = Target::new(level, x, y);
    let way = if pass.backwards { 1 } else { -1 };
    let sides = [
        neighbour(band, x, row, [way, 0]),
        neighbour(band, x, row, [0, way]),
        neighbour(band, x, row, [-way, 0]),
        neighbour(band, x, row, [0, -way]),
    ];
    let mut search = Search {
        level,
        used: band.used,
        target: &target,
        x,
        y,
        sides,
        incoherence: pass.incoherence,
        best: [0; 2],
        cost: NONE,
    };
    let current = band.offsets[place];
    if band.costs[place] != NONE {
        search.offer(current);
    }
    for n in 0..sides.len() {
        if let Some(offset) = sides[n]
            && offset != current
            && !sides[..n].contains(&Some(offset))
        {
            search.offer(offset);
        }
    }
    let (centre, mut radius) = if search.cost == NONE {
        ([level.width as i32 / 2, level.height as i32 / 2], level.width.max(level.height) as i32)
    } else {
        ([x as i32 + i32::from(search.best[0]), y as i32 + i32::from(search.best[1])], pass.radius as i32)
    };
    while radius >= 1 {
        let (from_x, from_y) =
            (centre[0] + random.i32(-radius..=radius), centre[1] + random.i32(-radius..=radius));
        search.offer([(from_x - x as i32) as i16, (from_y - y as i32) as i16]);
        radius /= pass.narrowing;
    }
    let (best, cost) = (search.best, search.cost);
    band.offsets[place] = best;
    band.costs[place] = cost;
    if let Some((from_x, from_y)) = source(level, x, y, best) {
        band.shades[place] = target.shade(level, from_y * level.width + from_x);
    }
}

/// The search for one pixel.
struct Search<'a> {
    level: &'a Level,
    used: Option<&'a Used<'a>>,
    target: &'a Target,
    x: usize,
    y: usize,
    sides: [Option<Offset>; 4],
    incoherence: u32,
    best: Offset,
    cost: u32,
}

impl Search<'_> {
    /// Takes an offset that is better than the best so far. Not a closure, which would be compiled
    /// without the instructions of its caller.
    #[inline(always)]
    fn offer(&mut self, offset: Offset) {
        let Some((from_x, from_y)) = source(self.level, self.x, self.y, offset) else { return };
        let mut extra = match self.used {
            Some(used) => used.cost(self.level.width, from_x, from_y),
            None => 0,
        };
        if extra >= self.cost {
            return;
        }
        let distance = self.target.distance(self.level, from_x, from_y, self.cost - extra);
        if self.incoherence > 0 && !self.sides.contains(&Some(offset)) {
            extra += (distance >> 8) * self.incoherence + 4 * self.incoherence;
        }
        let cost = distance.saturating_add(extra);
        if cost < self.cost {
            self.cost = cost;
            self.best = offset;
        }
    }
}
