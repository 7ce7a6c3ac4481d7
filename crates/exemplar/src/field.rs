//! The nearest-neighbour field: where each pixel is copied from, and the PatchMatch search for it.

use rayon::prelude::*;

use crate::{
    level::{Level, Region},
    patch::{Difference, Shade, Target},
    simd::{Set, for_each_set},
};

/// Rows per unit of parallel work, which sees the rows around it as the last pass left them. Fixed, so that
/// the field does not depend on the number of threads.
const BAND: usize = 16;

/// Columns and rows from a pixel to its source.
pub type Offset = [i16; 2];

/// No source: leads out of every picture.
pub const NOWHERE: Offset = [i16::MIN; 2];

/// The cost of having no source.
pub const NONE: u32 = u32::MAX;

/// The offset field of a level's region.
#[derive(Clone, Debug)]
pub struct Field {
    region: Region,
    /// [`NOWHERE`] for pixels without a source.
    pub offsets: Vec<Offset>,
    /// Patch difference plus penalties; [`NONE`] for pixels without a source.
    pub costs: Vec<u32>,
    /// Brightness correction of each copy.
    pub shades: Vec<Shade>,
}

/// Parameters of one search pass.
#[derive(Clone, Copy, Debug)]
pub struct Pass {
    /// Seed of the random candidates; differs between passes.
    pub seed: u64,
    /// Scan order: right to left and bottom to top, if set.
    pub backwards: bool,
    /// Initial radius of the random search around the best source, in pixels.
    pub radius: usize,
    /// Factor by which the radius shrinks at each step.
    pub narrowing: i32,
    /// Penalty for an offset that none of the four neighbours has: this share of 256 of the difference, plus
    /// four times this. If non-zero, pixels of the hole that agree with all neighbours are skipped.
    pub incoherence: u32,
    /// Instruction set to use.
    pub set: Set,
}

impl Field {
    /// A field without any sources.
    pub fn new(level: &Level) -> Self {
        let pixels = level.target.len();
        Self {
            region: level.region,
            offsets: vec![NOWHERE; pixels],
            costs: vec![NONE; pixels],
            shades: vec![Shade::default(); pixels],
        }
    }

    /// Upsamples the field to `level`, twice the size. Drops offsets that do not lead to a source there.
    pub fn doubled(&self, level: &Level) -> Self {
        let mut field = Self::new(level);
        let region = level.region;
        for place in (0..level.target.len()).filter(|&place| level.target[place]) {
            let (x, y) = region.pixel(place);
            let Some(from) = self.region.place(x / 2, y / 2) else { continue };
            let offset = self.offsets[from].map(|way| way.saturating_mul(2));
            if source(level, x, y, offset).is_some() {
                field.offsets[place] = offset;
                field.costs[place] = self.costs[from];
                field.shades[place] = self.shades[from];
            }
        }
        field
    }

    /// Sets the offsets of some pixels, which then count for more than the others in the next vote.
    pub fn seed(&mut self, seeds: &[(usize, Offset)]) {
        let cost = self.mean_cost() / 8;
        for &(place, offset) in seeds {
            (self.offsets[place], self.costs[place], self.shades[place]) = (offset, cost, Shade::default());
        }
    }

    /// Mean cost of the pixels that have a source.
    pub fn mean_cost(&self) -> u32 {
        let known = self.costs.iter().filter(|&&cost| cost != NONE);
        let (sum, count) = known.fold((0u64, 0u64), |(sum, count), &cost| (sum + u64::from(cost), count + 1));
        (sum / count.max(1)) as u32
    }

    /// One pass of PatchMatch (Barnes et al. 2009): propagation from the neighbours, then random search.
    pub fn search(&mut self, level: &Level, used: Option<&Used<'_>>, pass: Pass) {
        let rows = self.region.height;
        // What each band sees of its neighbours.
        let edges: Vec<Offset> = (0..rows)
            .filter(|row| row % BAND == 0 || row % BAND == BAND - 1)
            .flat_map(|row| &self.offsets[row * self.region.width..][..self.region.width])
            .copied()
            .collect();
        let size = self.region.width * BAND;
        let bands = self.offsets.par_chunks_mut(size).zip(self.costs.par_chunks_mut(size));
        let bands = bands.zip(self.shades.par_chunks_mut(size));
        bands.enumerate().for_each(|(band, ((offsets, costs), shades))| {
            let band = Band { level, used, edges: &edges, first: band * BAND, offsets, costs, shades };
            search_band(pass.set, band, pass);
        });
    }
}

/// The pixel an offset leads to, if that is a source.
#[inline(always)]
pub fn source(level: &Level, x: usize, y: usize, [right, down]: Offset) -> Option<(usize, usize)> {
    let x = x.wrapping_add_signed(isize::from(right));
    let y = y.wrapping_add_signed(isize::from(down));
    if x < level.width && y < level.height && level.source[y * level.width + x] { Some((x, y)) } else { None }
}

/// Penalties for sources that are used often, rare or remote.
#[derive(Debug)]
pub struct Used<'a> {
    cells: Vec<u32>,
    columns: usize,
    /// Penalty per full use of a cell beyond the first; four of them at most.
    price: u32,
    rare: &'a Rare,
    /// Penalty for the most remote sources.
    remote: f32,
    /// The number of this level.
    number: usize,
}

/// Rarity penalties.
#[derive(Debug)]
pub struct Rare {
    /// One per pixel of the level in which they are known.
    pub costs: Vec<u32>,
    /// Width of that level.
    pub width: usize,
    /// Its number; full size is 0.
    pub number: usize,
}

impl Rare {
    /// The penalty of a pixel of the level `number`, which is no coarser.
    #[inline(always)]
    pub fn cost(&self, number: usize, x: usize, y: usize) -> u32 {
        let doublings = self.number - number;
        self.costs[(y >> doublings) * self.width + (x >> doublings)]
    }
}

/// Side of the cells in which copies are counted, in pixels.
const CELL: usize = 4;
/// Copies that use each pixel of a cell once.
const FULL: u32 = (CELL * CELL) as u32;

/// The penalty for one full extra use of a cell is the mean cost divided by this.
const REPETITION: u32 = 4;

/// Penalty for the most remote sources, as a share of the mean cost.
const REMOTE: f32 = 0.5;

/// Weight of horizontal distance, vertical being 1: photos are more alike at the same height.
const ACROSS: f32 = 0.7;

/// Length of an offset, from 0 to 1 (half the picture's longer side or more). Nearby texture is more likely
/// to continue into the hole than something similar far away (Kawai et al. 2009, "Image Inpainting
/// Considering Brightness Change and Spatial Locality of Textures").
#[inline(always)]
pub fn remoteness(level: &Level, [right, down]: Offset) -> f32 {
    let way = f32::from(right.unsigned_abs()) * ACROSS + f32::from(down.unsigned_abs());
    (way * 2.0 / level.width.max(level.height) as f32).min(1.0)
}

impl<'a> Used<'a> {
    /// Counts how often `field` uses each cell. Penalties scale with its mean cost.
    pub fn of(field: &Field, level: &Level, rare: &'a Rare, number: usize) -> Self {
        let mean = field.mean_cost();
        let columns = level.width.div_ceil(CELL);
        let mut cells = vec![0; columns * level.height.div_ceil(CELL)];
        let region = level.region;
        for (place, &offset) in field.offsets.iter().enumerate() {
            let (x, y) = region.pixel(place);
            if let Some((x, y)) = source(level, x, y, offset) {
                cells[y / CELL * columns + x / CELL] += 1;
            }
        }
        Self { cells, columns, price: mean / REPETITION, rare, remote: mean as f32 * REMOTE, number }
    }

    #[inline(always)]
    fn cost(&self, level: &Level, offset: Offset, x: usize, y: usize) -> u32 {
        let copies = self.cells[y / CELL * self.columns + x / CELL];
        // Four full uses beyond the first at most; more would not fit the number.
        let extra = copies.saturating_sub(FULL).min(4 * FULL);
        let repeated = self.price * extra / FULL;
        let rare = self.rare.cost(self.number, x, y);
        let remote = (self.remote * remoteness(level, offset)) as u32;
        repeated + rare + remote
    }
}

struct Band<'a> {
    level: &'a Level,
    used: Option<&'a Used<'a>>,
    /// First and last row of every band, as the last pass left them.
    edges: &'a [Offset],
    first: usize,
    offsets: &'a mut [Offset],
    costs: &'a mut [u32],
    shades: &'a mut [Shade],
}

for_each_set!(fn search_band = walk(band: Band, pass: Pass));

#[inline(always)]
fn walk(mut band: Band, pass: Pass) {
    let width = band.level.region.width;
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

/// The offset of a neighbour, `right` and `down` of a pixel of the band.
#[inline(always)]
fn neighbour(band: &Band, x: usize, row: usize, [right, down]: [isize; 2]) -> Offset {
    let (width, rows) = (band.level.region.width, band.offsets.len() / band.level.region.width);
    let (x, row) = (x.wrapping_add_signed(right), row.wrapping_add_signed(down));
    if x >= width {
        return NOWHERE;
    }
    if row < rows {
        return band.offsets[row * width + x];
    }
    // `edges` has two rows per band: take the last of the band above or the first of the one below.
    let edge = (band.first / BAND * 2).wrapping_add_signed(if down < 0 { -1 } else { 2 });
    band.edges.get(edge.wrapping_mul(width).wrapping_add(x)).copied().unwrap_or(NOWHERE)
}

#[inline(always)]
fn improve(band: &mut Band, pass: Pass, x: usize, row: usize, random: &mut fastrand::Rng) {
    let (level, region) = (band.level, band.level.region);
    let place = row * region.width + x;
    let way = if pass.backwards { 1 } else { -1 };
    let sides = [[way, 0], [0, way], [-way, 0], [0, -way]].map(|way| neighbour(band, x, row, way));
    let current = band.offsets[place];
    if pass.incoherence > 0
        && band.level.depth[band.first * region.width + place] > 0
        && sides.iter().all(|&side| side == current)
    {
        return;
    }
    let (x, y) = (region.left + x, region.top + band.first + row);
    let mut search = Search {
        level,
        used: band.used,
        target: Target::new(level, x, y),
        x,
        y,
        sides,
        incoherence: pass.incoherence,
        set: pass.set,
        offset: NOWHERE,
        cost: NONE,
        shade: Shade::default(),
    };
    search.offer(current);
    for n in 0..sides.len() {
        if sides[n] != current && !sides[..n].contains(&sides[n]) {
            search.offer(sides[n]);
        }
    }
    let (centre, mut radius) = if search.cost == NONE {
        ([level.width as i32 / 2, level.height as i32 / 2], level.width.max(level.height) as i32)
    } else {
        ([x as i32 + i32::from(search.offset[0]), y as i32 + i32::from(search.offset[1])], pass.radius as i32)
    };
    while radius >= 1 {
        let (from_x, from_y) =
            (centre[0] + random.i32(-radius..=radius), centre[1] + random.i32(-radius..=radius));
        search.offer([(from_x - x as i32) as i16, (from_y - y as i32) as i16]);
        radius /= pass.narrowing;
    }
    band.offsets[place] = search.offset;
    band.costs[place] = search.cost;
    band.shades[place] = search.shade;
}

/// The search for one pixel.
struct Search<'a> {
    level: &'a Level,
    used: Option<&'a Used<'a>>,
    target: Target,
    x: usize,
    y: usize,
    sides: [Offset; 4],
    incoherence: u32,
    set: Set,
    offset: Offset,
    cost: u32,
    shade: Shade,
}

impl Search<'_> {
    /// Keeps an offset if it beats the best so far. Not a closure: closures are not compiled for the caller's
    /// instruction set.
    #[inline(always)]
    fn offer(&mut self, offset: Offset) {
        let Some((from_x, from_y)) = source(self.level, self.x, self.y, offset) else { return };
        let mut extra = match self.used {
            Some(used) => used.cost(self.level, offset, from_x, from_y),
            None => 0,
        };
        if extra >= self.cost {
            return;
        }
        let difference: Difference = self.target.difference(self.level, from_x, from_y, self.set);
        if self.incoherence > 0 && !self.sides.contains(&offset) {
            extra += (difference.cost >> 8) * self.incoherence + 4 * self.incoherence;
        }
        let cost = difference.cost.saturating_add(extra);
        if cost < self.cost {
            (self.offset, self.cost, self.shade) = (offset, cost, difference.shade());
        }
    }
}
