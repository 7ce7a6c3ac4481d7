//! Which squares of the photo the model sees, and in which order.
//!
//! The model takes squares of a few sizes. A hole is shown to it at the photo's own resolution with
//! what surrounds it, in the smallest square that holds both; several holes that fit one square share
//! it. A hole too large for the largest square is followed piece by piece when it is thin (a power
//! line), and otherwise shown scaled down. Everything here is a function of the mask alone.

use crate::{geometry::Rect, mask::Mask};

/// The sides a window may have, in pixels of the model's input. Few, so that requests share batches.
pub const SIDES: [u32; 4] = [256, 512, 768, 1024];

/// The largest of [`SIDES`].
pub const MAX_SIDE: u32 = SIDES[SIDES.len() - 1];

/// The most windows one photo is given.
pub const MAX_WINDOWS: usize = 16;

/// Holes closer than twice this, in pixels, are one group from the start.
const GROUPING: u32 = 16;

/// The most groups that are compared pair by pair.
const MAX_GROUPS: usize = 256;

/// A square that the model fills in one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// The part of the photo that is shown. Not a square where the photo is smaller than one.
    pub source: Rect,
    /// Side of the model's input, in pixels: one of [`SIDES`]. `source` is scaled down to fit where
    /// its longest side is greater, never up; what it leaves free is padded.
    pub side: u32,
    /// The part of `source` whose hole is taken from the model's answer.
    pub core: Rect,
    /// Windows of one wave may be filled at the same time; each wave sees what those before filled.
    pub wave: usize,
}

impl Window {
    /// Width and height of the photo's content in the model's input, in pixels.
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

    /// Whether the model sees less than the photo's own resolution.
    pub fn is_scaled(&self) -> bool {
        self.source.longest() > self.side
    }
}

/// The windows that fill `mask`, which has the size of the photo, in the order of their waves. Every
/// pixel of the mask lies in the core of one of them at least. Empty for an empty mask.
pub fn plan(mask: &Mask) -> Vec<Window> {
    let photo = Rect::of_size(mask.width(), mask.height());
    let mut groups = groups(mask);
    join_where_cheaper(&mut groups, photo);
    let mut cover = Cover { mask, photo, open: mask.clone(), windows: Vec::new(), ends: Vec::new() };
    while !cover.reaches(&groups) {
        let joined = join_nearest(&mut groups);
        cover.reopen(joined);
    }
    let mut windows = cover.windows;
    order(&mut windows);
    windows
}

/// The boxes of the mask's connected parts, near ones together.
fn groups(mask: &Mask) -> Vec<Rect> {
    let mut grown = mask.dilate(GROUPING);
    loop {
        let parts = grown.components();
        if parts.len() <= MAX_GROUPS {
            return parts.iter().filter_map(|part| mask.bounds_within(part.bounds)).collect();
        }
        grown = grown.dilate(2 * GROUPING);
    }
}

/// Joins two groups wherever one window for both costs the model no more than one for each.
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
        // The joined group may now suit one that was passed over: those before it, which suit none of
        // the others, are compared with it alone.
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

/// Joins the two groups whose common box is the smallest, and tells which group that now is: those before
/// it are as they were.
fn join_nearest(groups: &mut Vec<Rect>) -> usize {
    let pairs = (0..groups.len()).flat_map(|i| (i + 1..groups.len()).map(move |j| (i, j)));
    let nearest = pairs.min_by_key(|&(i, j)| (groups[i].union(&groups[j]).area(), i, j));
    let Some((i, j)) = nearest else { return 0 };
    let joined = groups.remove(j);
    groups[i] = groups[i].union(&joined);
    i
}

/// The windows of the groups so far. Groups are joined one by one until their windows are few enough; what
/// is before a joined group stays, and what is behind it is given back pixel by pixel. A copy of the set for
/// each try would cost more than all the rest, and a caller chooses how many tries there are.
struct Cover<'a> {
    mask: &'a Mask,
    photo: Rect,
    /// What no window fills yet.
    open: Mask,
    windows: Vec<Window>,
    /// How many windows there were after each group.
    ends: Vec<usize>,
}

impl Cover<'_> {
    /// Adds the windows of the groups that have none yet, and says whether they stay within
    /// [`MAX_WINDOWS`]. Ends with the first window too many: the rest would not make them fewer. A pixel
    /// that an earlier window fills is left to it.
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

    /// Takes back the windows of the group `from` and of those behind it.
    fn reopen(&mut self, from: usize) {
        self.ends.truncate(from);
        self.keep(self.ends.last().copied().unwrap_or(0));
    }

    fn fill(&mut self, window: Window) {
        self.open.clear_rect(window.core);
        self.windows.push(window);
    }

    /// Takes back all windows but the first `count`.
    fn keep(&mut self, count: usize) {
        for undone in self.windows.split_off(count) {
            self.open.copy_rect(self.mask, undone.core);
            for kept in &self.windows {
                if let Some(filled) = kept.core.intersection(&undone.core) {
                    self.open.clear_rect(filled);
                }
            }
        }
    }

    /// Adds windows at the photo's own resolution along a hole that is long and thin, of the smallest side
    /// for which each sees at most a third of its square as hole, and says whether there is such a side
    /// within [`MAX_WINDOWS`] windows. Each sees what the one before it filled.
    fn follow(&mut self, hole: Rect) -> bool {
        let earlier = self.windows.len();
        SIDES[1..].iter().any(|&side| {
            let mut open = Some(hole);
            while let Some(rest) = open {
                let window = around(next_piece(&self.open, rest, side - side / 3), side, side, self.photo);
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

/// How much of the photo the model should see around a hole, in pixels on each side: a third of the hole's
/// length where the window is scaled to hold it, and a quarter at least where the window has one of a few
/// sizes, which mostly show more. Holes for which a quarter was enough for a smaller size were filled as
/// well with it, in half the time.
fn context(hole: Rect, part: u32) -> u32 {
    (hole.longest() / part).max(32)
}

/// The smallest side that holds the hole and its context at the photo's own resolution. Where none
/// does, the largest side serves holes that leave it a little context still: a sharp fill from less
/// context looks better than a soft one from more.
fn fitting_side(hole: Rect, photo: Rect) -> Option<u32> {
    let needed = hole.grown(context(hole, 4), photo).longest();
    SIDES
        .into_iter()
        .find(|&side| needed <= side)
        .or_else(|| (hole.grown(hole.longest() / 8, photo).longest() <= MAX_SIDE).then_some(MAX_SIDE))
}

/// A window of `side` that shows the square of `length` pixels around `core`, moved inside the photo.
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

/// One window for a hole of any size, scaled down.
fn shrunken(hole: Rect, photo: Rect) -> Window {
    let length = hole.longest() + 2 * context(hole, 3);
    around(hole, length.max(MAX_SIDE), MAX_SIDE, photo)
}

/// The box of the first part of `open` inside `rest`, no longer than `length` either way: the end of
/// `rest` along its longer side, and the first of what lies there across it.
fn next_piece(open: &Mask, rest: Rect, length: u32) -> Rect {
    let end = |rect: Rect, along_x: bool| match along_x {
        true => Rect { width: rect.width.min(length), ..rect },
        false => Rect { height: rect.height.min(length), ..rect },
    };
    let along_x = rest.width >= rest.height;
    let tighten = |rect: Rect| open.bounds_within(rect).unwrap_or(rect);
    let strip = tighten(end(rest, along_x));
    tighten(end(strip, !along_x))
}

/// Gives each window the wave after the last one that fills something it shows.
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
