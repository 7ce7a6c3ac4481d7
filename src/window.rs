//! Chooses the squares of the photo that the model sees, and their order.
//!
//! The model takes squares of a few sizes. A hole is shown at the photo's own resolution, with context, in
//! the smallest square that holds both; several holes that fit one square share it. A hole too large for the
//! largest square is followed piece by piece if it is thin (a power line), and scaled down otherwise. The
//! plan depends on the mask alone.

use crate::{
    geometry::Rect,
    mask::{Mask, Sparse},
};

/// Allowed window sides, in pixels of the model's input. Few, so that Triton can batch across requests.
pub const SIDES: [u32; 4] = [256, 512, 768, 1024];

/// The largest of [`SIDES`].
pub const MAX_SIDE: u32 = SIDES[SIDES.len() - 1];

/// Most windows per photo.
pub const MAX_WINDOWS: usize = 16;

/// Holes less than twice this apart, in pixels, are grouped from the start.
const GROUPING: u32 = 16;

/// Most groups that are compared pairwise.
const MAX_GROUPS: usize = 256;

/// A square to fill in one call of the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// The part of the photo shown. Not square where the photo is too small.
    pub source: Rect,
    /// Side of the model's input, in pixels: one of [`SIDES`]. A `source` whose longer side exceeds it is
    /// scaled down, a smaller one never up; the rest of the input is padding.
    pub side: u32,
    /// The part of `source` whose hole is filled from the model's output.
    pub core: Rect,
    /// Windows of one wave can be filled concurrently; each wave sees the fills of those before.
    pub wave: usize,
}

impl Window {
    /// Size of the photo's content in the model's input, in pixels, without padding.
    pub fn content(&self) -> (u32, u32) {
        let longest = self.source.longest();
        if longest <= self.side {
            return (self.source.width, self.source.height);
        }
        let scaled = |length: u32| {
            let exact = u64::from(length) * u64::from(self.side);
            ((exact + u64::from(longest) / 2) / u64::from(longest)).max(1) as u32
        };
        (scaled(self.source.width), scaled(self.source.height))
    }

    /// The window in the coordinates of `part`, a part of the photo that contains it.
    pub fn within(self, part: Rect) -> Self {
        Self { source: self.source.within(part), core: self.core.within(part), ..self }
    }

    /// Whether the photo is scaled down for the model.
    pub fn is_scaled(&self) -> bool {
        self.source.longest() > self.side
    }
}

/// Plans the windows that fill `mask`, which has the photo's size, in the order of their waves. Every pixel
/// of the mask is in the core of at least one. Empty for an empty mask.
pub fn plan(mask: &Mask) -> Vec<Window> {
    let photo = Rect::of_size(mask.width(), mask.height());
    let open = Sparse::from(mask);
    let mut groups = groups(mask, &open);
    join_where_cheaper(&mut groups, photo);
    let mut cover = Cover { mask: open.clone(), photo, open, windows: Vec::new(), ends: Vec::new() };
    while !cover.reaches(&groups) {
        let joined = join_nearest(&mut groups);
        cover.reopen(joined);
    }
    let mut windows = cover.windows;
    order(&mut windows);
    windows
}

/// Bounding boxes of the mask's connected components, with near ones grouped.
fn groups(mask: &Mask, sparse: &Sparse) -> Vec<Rect> {
    let mut grown = mask.dilate(GROUPING);
    loop {
        let parts = grown.components();
        if parts.len() <= MAX_GROUPS {
            return parts.iter().filter_map(|part| sparse.bounds_within(part.bounds)).collect();
        }
        grown = grown.dilate(2 * GROUPING);
    }
}

/// Merges groups as long as one window for both costs the model no more than one for each.
fn join_where_cheaper(groups: &mut Vec<Rect>, photo: Rect) {
    let cost = |hole: &Rect| fitting_side(*hole, photo).map(|side| u64::from(side).pow(2));
    let mut costs: Vec<_> = groups.iter().map(cost).collect();
    let cheaper = |groups: &[Rect], costs: &[Option<u64>], i: usize, j: usize| {
        let each = costs[i].zip(costs[j]).map(|(a, b)| a + b);
        each.is_some_and(|each| cost(&groups[i].union(&groups[j])).is_some_and(|both| both <= each))
    };
    let mut i = 0;
    while i < groups.len() {
        let Some(j) = (i + 1..groups.len()).find(|&j| cheaper(groups, &costs, i, j)) else {
            i += 1;
            continue;
        };
        // The merged group may now match one that was passed over. Those before it match none of the others,
        // so comparing them with it is enough.
        let mut pair = Some((i, j));
        while let Some((first, second)) = pair {
            let joined = groups.remove(second);
            costs.remove(second);
            groups[first] = groups[first].union(&joined);
            costs[first] = cost(&groups[first]);
            i = first;
            pair = (0..i).find(|&before| cheaper(groups, &costs, before, i)).map(|before| (before, i));
        }
    }
}

/// Merges the two groups with the smallest common box. Returns the index of the result; groups before it are
/// unchanged.
fn join_nearest(groups: &mut Vec<Rect>) -> usize {
    let pairs = (0..groups.len()).flat_map(|i| (i + 1..groups.len()).map(move |j| (i, j)));
    let nearest = pairs.min_by_key(|&(i, j)| (groups[i].union(&groups[j]).area(), i, j));
    let Some((i, j)) = nearest else { return 0 };
    let joined = groups.remove(j);
    groups[i] = groups[i].union(&joined);
    i
}

/// The windows of the groups so far. Groups are merged one by one until their windows are few enough: those
/// before the merged group keep theirs, those after are undone pixel by pixel. Copying the set for each try
/// would dominate the cost, and callers control the number of tries.
struct Cover {
    mask: Sparse,
    photo: Rect,
    /// Pixels that no window fills yet.
    open: Sparse,
    windows: Vec<Window>,
    /// Number of windows after each group.
    ends: Vec<usize>,
}

impl Cover {
    /// Adds windows for the groups without any and returns whether they fit in [`MAX_WINDOWS`]. Stops at the
    /// first window too many, as further groups only add more. A pixel that an earlier window fills stays
    /// with it.
    fn reaches(&mut self, groups: &[Rect]) -> bool {
        for group in &groups[self.ends.len().min(groups.len())..] {
            if self.windows.len() > MAX_WINDOWS {
                break;
            }
            if let Some(hole) = self.open.bounds_within(*group) {
                match fitting_side(hole, self.photo) {
                    Some(side) => self.fill(around(hole, side, side, self.photo)),
                    None if self.follow(hole) => {}
                    None => self.fill(shrunken(hole, self.photo)),
                }
            }
            self.ends.push(self.windows.len());
        }
        self.windows.len() <= MAX_WINDOWS
    }

    /// Undoes the windows of group `from` and all later groups.
    fn reopen(&mut self, from: usize) {
        self.ends.truncate(from);
        self.keep(self.ends.last().copied().unwrap_or(0));
    }

    fn fill(&mut self, window: Window) {
        self.open.clear_rect(window.core);
        self.windows.push(window);
    }

    /// Undoes all windows but the first `count`.
    fn keep(&mut self, count: usize) {
        let undone: Vec<Rect> = self.windows.split_off(count).iter().map(|window| window.core).collect();
        let Some(all) = undone.iter().copied().reduce(|a, b| a.union(&b)) else { return };
        // Overlapping windows are undone together.
        if undone.iter().map(Rect::area).sum::<u64>() < all.area() {
            undone.into_iter().for_each(|core| self.refill(core));
        } else {
            self.refill(all);
        }
    }

    /// Recomputes which pixels inside `rect` are open.
    fn refill(&mut self, rect: Rect) {
        self.open.copy_rect(&self.mask, rect);
        for window in &self.windows {
            if let Some(filled) = window.core.intersection(&rect) {
                self.open.clear_rect(filled);
            }
        }
    }

    /// Follows a long, thin hole with windows at the photo's own resolution. Picks the smallest side for
    /// which at most a third of each square is hole; returns whether one fits in [`MAX_WINDOWS`]. Each window
    /// sees the fill of the one before.
    fn follow(&mut self, hole: Rect) -> bool {
        let earlier = self.windows.len();
        SIDES[1..].iter().any(|&side| {
            let length = side - side / 3;
            // Skip sides that need too many windows wherever they lie: callers control the number of tries.
            let least = self.open.blocks_within(hole).div_ceil(Sparse::blocks_of_square(length));
            if least > (MAX_WINDOWS - earlier) as u64 {
                return false;
            }
            let mut open = Some(hole);
            while let Some(rest) = open {
                let window = around(next_piece(&self.open, rest, length), side, side, self.photo);
                let thin = self.open.count_within(window.source) * 3 <= window.source.area();
                if self.windows.len() >= MAX_WINDOWS || !thin {
                    self.keep(earlier);
                    return false;
                }
                self.fill(window);
                open = self.open.bounds_within(rest);
            }
            true
        })
    }
}

/// Context that the model should see on each side of a hole, in pixels: the hole's length divided by `part`.
/// A third where the window is scaled to hold the hole; a quarter where its size is one of a few, which
/// mostly show more anyway. Where a quarter allowed a smaller size, fills were as good in half the time.
fn context(hole: Rect, part: u32) -> u32 {
    (hole.longest() / part).max(32)
}

/// The smallest side that holds the hole and its context at the photo's own resolution. If none does, the
/// largest side still serves holes that leave it a little context: a sharp fill from less context looks
/// better than a soft one from more.
fn fitting_side(hole: Rect, photo: Rect) -> Option<u32> {
    let needed = hole.grown(context(hole, 4), photo).longest();
    SIDES
        .into_iter()
        .find(|&side| needed <= side)
        .or_else(|| (hole.grown(hole.longest() / 8, photo).longest() <= MAX_SIDE).then_some(MAX_SIDE))
}

/// A window of `side` showing the square of `length` pixels around `core`, shifted to stay inside the photo.
fn around(core: Rect, length: u32, side: u32, photo: Rect) -> Window {
    let place = |start: u32, extent: u32, limit: u32| {
        let length = length.min(limit);
        let start = i64::from(start) - (i64::from(length) - i64::from(extent)) / 2;
        (start.clamp(0, i64::from(limit - length)) as u32, length)
    };
    let (x, width) = place(core.x, core.width, photo.width);
    let (y, height) = place(core.y, core.height, photo.height);
    Window { source: Rect { x, y, width, height }, side, core, wave: 0 }
}

/// A single scaled window, for a hole of any size.
fn shrunken(hole: Rect, photo: Rect) -> Window {
    let length = hole.longest() + 2 * context(hole, 3);
    around(hole, length.max(MAX_SIDE), MAX_SIDE, photo)
}

/// The box of the next piece of `open` inside `rest`, at most `length` on each side: the start of `rest`
/// along its longer side, and the first part of what lies there along the other.
fn next_piece(open: &Sparse, rest: Rect, length: u32) -> Rect {
    let end = |rect: Rect, along_x: bool| match along_x {
        true => Rect { width: rect.width.min(length), ..rect },
        false => Rect { height: rect.height.min(length), ..rect },
    };
    let along_x = rest.width >= rest.height;
    let tighten = |rect: Rect| open.bounds_within(rect).unwrap_or(rect);
    let strip = tighten(end(rest, along_x));
    tighten(end(strip, !along_x))
}

/// Puts each window in the wave after the last one that fills something it shows.
fn order(windows: &mut [Window]) {
    for i in 0..windows.len() {
        let shown = windows[i].source;
        windows[i].wave = windows[..i]
            .iter()
            .filter(|earlier| earlier.core.intersects(&shown))
            .map(|earlier| earlier.wave + 1)
            .max()
            .unwrap_or(0);
    }
    windows.sort_by_key(|window| window.wave);
}

#[cfg(test)]
mod tests;
