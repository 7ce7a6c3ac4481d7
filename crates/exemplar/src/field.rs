//! Where each pixel of the hole is copied from, and the search for it.

use rayon::prelude::*;

use crate::{
    level::{Level, Region},
    patch::{Difference, Shade, Target},
    simd::{Set, for_each_set},
};

/// Rows that are searched by one thread, from a copy of what the rows around them had. Fixed, so that the
/// field does not depend on the number of threads.
const BAND: usize = 16;

/// The way, in columns and rows, from a pixel to that it is copied from.
pub type Offset = [i16; 2];

/// Leads out of every picture.
pub const NOWHERE: Offset = [i16::MIN; 2];

/// The cost of no source at all.
pub const NONE: u32 = u32::MAX;

/// Where each pixel of a level's region is copied from.
#[derive(Clone, Debug)]
pub struct Field {
    region: Region,
    /// [`NOWHERE`] where a pixel has no source.
    pub offsets: Vec<Offset>,
    /// How unlike the patches are; [`NONE`] where a pixel has no source.
    pub costs: Vec<u32>,
    /// What the copies are made lighter by.
    pub shades: Vec<Shade>,
}

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
    /// Where it is not 0, pixels whose neighbours all go on are left alone.
    pub incoherence: u32,
    /// The instructions to use.
    pub set: Set,
}

impl Field {
    /// No pixel has a source.
    pub fn new(level: &Level) -> Self {
        let pixels = level.target.len();
        Self {
            region: level.region,
            offsets: vec![NOWHERE; pixels],
            costs: vec![NONE; pixels],
            shades: vec![Shade::default(); pixels],
        }
    }

    /// This field of the next smaller level at twice the size. Offsets that lead to no source are left out.
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

    /// What the sources cost on average.
    pub fn mean_cost(&self) -> u32 {
        let known = self.costs.iter().filter(|&&cost| cost != NONE);
        let (sum, count) = known.fold((0u64, 0u64), |(sum, count), &cost| (sum + u64::from(cost), count + 1));
        (sum / count.max(1)) as u32
    }

    /// One pass of PatchMatch (Barnes et al. 2009): each pixel takes over what is better of its
    /// neighbours' sources and of some at random.
    pub fn search(&mut self, level: &Level, used: Option<&Used<'_>>, pass: Pass) {
        let rows = self.region.height;
        // What a band sees of those beside it.
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
    rare: &'a Rare,
    /// The cost of a source as remote as can be.
    remote: f32,
    /// How many times the level is twice as large as that of which the rarity is known.
    doublings: usize,
}

/// What sources cost for their rarity.
#[derive(Debug)]
pub struct Rare {
    /// Of each pixel of a level.
    pub costs: Vec<u32>,
    /// Columns of that level.
    pub width: usize,
}

/// Side of the squares in which copies are counted.
const CELL: usize = 4;

/// What a source costs for being copied once more than others is the mean cost of sources over this.
const REPETITION: u32 = 4;

/// What the most remote sources cost more, as a share of what sources cost on average.
const REMOTE: f32 = 0.5;

/// How much a column counts as remote, if a row counts 1: at the same height photos are more alike.
const ACROSS: f32 = 0.7;

/// How far an offset leads, 1 where half the picture's longer side or more. What is near is more likely to
/// go on in the hole than what looks alike far away (Kawai et al. 2009, "Image Inpainting Considering
/// Brightness Change and Spatial Locality of Textures").
#[inline(always)]
pub fn remoteness(level: &Level, [right, down]: Offset) -> f32 {
    let way = f32::from(right.unsigned_abs()) * ACROSS + f32::from(down.unsigned_abs());
    (way * 2.0 / level.width.max(level.height) as f32).min(1.0)
}

impl<'a> Used<'a> {
    /// Counts the copies of a field. What they cost on average is the measure of prices.
    pub fn of(field: &Field, level: &Level, rare: &'a Rare, doublings: usize) -> Self {
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
        Self { cells, columns, price: mean / REPETITION, rare, remote: mean as f32 * REMOTE, doublings }
    }

    #[inline(always)]
    fn cost(&self, level: &Level, offset: Offset, x: usize, y: usize) -> u32 {
        let copies = self.cells[y / CELL * self.columns + x / CELL];
        let repeated = self.price * copies.saturating_sub((CELL * CELL) as u32) / (CELL * CELL) as u32;
        let rare = self.rare.costs[(y >> self.doublings) * self.rare.width + (x >> self.doublings)];
        let remote = (self.remote * remoteness(level, offset)) as u32;
        repeated.min(4 * self.price) + rare + remote
    }
}

struct Band<'a> {
    level: &'a Level,
    used: Option<&'a Used<'a>>,
    /// The first and the last row of each band, as the pass before left them.
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

/// The offset of the pixel `right` and `down` of one of the band's.
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
    // Of the two edges of each band, the last of the band above and the first of that below.
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
    /// Takes an offset that is better than the best so far. Not a closure, which would be compiled
    /// without the instructions of its caller.
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
