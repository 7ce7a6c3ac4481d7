//! The connected parts of a set.

use super::Mask;
use crate::geometry::Rect;

/// A connected part of a set (pixels that touch by an edge or a corner).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Component {
    /// The smallest rectangle that holds the part.
    pub bounds: Rect,
    /// How many pixels it has.
    pub pixels: u64,
}

/// A run of set pixels of one row, and the part it was first given to.
struct Run {
    start: u32,
    end: u32,
    part: u32,
}

impl Mask {
    /// The connected parts of the set, in the order of their first pixels, row by row.
    pub fn components(&self) -> Vec<Component> {
        let mut parts = Parts::default();
        self.label(&mut parts, |_, _| {});
        parts.collect()
    }

    /// Takes every connected part of fewer than `pixels` pixels out of the set.
    pub fn remove_small(&mut self, pixels: u64) {
        let mut parts = Parts::default();
        let mut runs = Vec::new();
        self.label(&mut parts, |y, run| runs.push((y, run.start, run.end, run.part)));
        for (y, start, end, part) in runs {
            let root = parts.root(part);
            if parts.found[root as usize].pixels < pixels {
                self.clear_rect(Rect::from_edges(start, y, end, y + 1));
            }
        }
    }

    /// The connected part whose pixels come nearest to `(x, y)`, where one comes within `reach` in either
    /// direction.
    pub fn part_near(&self, at: (u32, u32), reach: u32) -> Option<Self> {
        let (x, y) = self.nearest(at, reach)?;
        let mut parts = Parts::default();
        let (mut runs, mut chosen) = (Vec::new(), None);
        self.label(&mut parts, |row, run| {
            if row == y && (run.start..run.end).contains(&x) {
                chosen = Some(run.part);
            }
            runs.push((row, run.start, run.end, run.part));
        });
        let chosen = parts.root(chosen?);
        let mut part = Self::empty(self.width(), self.height());
        for (row, start, end, of) in runs {
            if parts.root(of) == chosen {
                super::set_span(part.row_mut(row), start, end);
            }
        }
        Some(part)
    }

    /// Gives every run of the set to a part, calling `each` with its row and the run.
    fn label(&self, parts: &mut Parts, mut each: impl FnMut(u32, &Run)) {
        let mut above: Vec<Run> = Vec::new();
        let mut here: Vec<Run> = Vec::new();
        for y in 0..self.height() {
            here.clear();
            let mut candidates = 0;
            self.runs(y, 0, self.width(), |start, end| {
                // Runs above that end left of this one by more than a corner touch nothing further on.
                while candidates < above.len() && above[candidates].end < start {
                    candidates += 1;
                }
                let run = Component {
                    bounds: Rect::from_edges(start, y, end, y + 1),
                    pixels: u64::from(end - start),
                };
                let mut touched = above[candidates..].iter().take_while(|run| run.start <= end);
                // Few runs begin a part: a picture of noise has millions of runs.
                let part = match touched.next() {
                    None => parts.add(run),
                    Some(first) => parts.extend(first.part, run),
                };
                let part = touched.fold(part, |part, run| parts.merge(part, run.part));
                here.push(Run { start, end, part });
            });
            for run in &here {
                each(y, run);
            }
            std::mem::swap(&mut above, &mut here);
        }
    }
}

/// A union-find forest of parts.
#[derive(Default)]
struct Parts {
    parent: Vec<u32>,
    found: Vec<Component>,
}

impl Parts {
    /// Makes a new part of one run.
    fn add(&mut self, run: Component) -> u32 {
        let part = self.found.len() as u32;
        self.parent.push(part);
        self.found.push(run);
        part
    }

    /// Adds a run to the part `part`.
    fn extend(&mut self, part: u32, run: Component) -> u32 {
        let root = self.root(part);
        let kept = &mut self.found[root as usize];
        kept.bounds = kept.bounds.union(&run.bounds);
        kept.pixels += run.pixels;
        root
    }

    fn root(&mut self, mut part: u32) -> u32 {
        while self.parent[part as usize] != part {
            let parent = self.parent[part as usize];
            self.parent[part as usize] = self.parent[parent as usize];
            part = parent;
        }
        part
    }

    /// Joins two parts and returns the one that stands for both: the older.
    fn merge(&mut self, a: u32, b: u32) -> u32 {
        let (a, b) = (self.root(a), self.root(b));
        if a == b {
            return a;
        }
        let (old, new) = (a.min(b), a.max(b));
        self.parent[new as usize] = old;
        self.extend(old, self.found[new as usize])
    }

    fn collect(self) -> Vec<Component> {
        self.found
            .iter()
            .zip(&self.parent)
            .enumerate()
            .filter(|(i, (_, parent))| **parent as usize == *i)
            .map(|(_, (found, _))| *found)
            .collect()
    }
}
