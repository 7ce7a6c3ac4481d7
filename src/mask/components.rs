//! Connected components of a set.

use super::Mask;
use crate::geometry::Rect;

/// A connected component of a set, by 8-connectivity (edges and corners).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Component {
    /// Bounding box.
    pub bounds: Rect,
    /// Number of pixels.
    pub pixels: u64,
}

/// A run of set pixels in one row, and the component it was first assigned to.
struct Run {
    start: u32,
    end: u32,
    part: u32,
}

impl Mask {
    /// The connected components, ordered by their first pixel in row order.
    pub fn components(&self) -> Vec<Component> {
        let mut parts = Parts::default();
        self.label(&mut parts, |_, _| {});
        parts.collect()
    }

    /// Removes every connected component of fewer than `pixels` pixels.
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

    /// The connected component nearest to `(x, y)`, if any comes within `reach` in either direction.
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

    /// Assigns every run to a component and calls `each` with its row and the run.
    fn label(&self, parts: &mut Parts, mut each: impl FnMut(u32, &Run)) {
        let mut above: Vec<Run> = Vec::new();
        let mut here: Vec<Run> = Vec::new();
        for y in 0..self.height() {
            here.clear();
            let mut candidates = 0;
            self.runs(y, 0, self.width(), |start, end| {
                // Runs above that end before this one, corners included, touch none of the later runs either.
                while candidates < above.len() && above[candidates].end < start {
                    candidates += 1;
                }
                let run = Component {
                    bounds: Rect::from_edges(start, y, end, y + 1),
                    pixels: u64::from(end - start),
                };
                let mut touched = above[candidates..].iter().take_while(|run| run.start <= end);
                // Only runs that touch none above start a component: an image of noise has millions of runs.
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

/// A union-find forest of components.
#[derive(Default)]
struct Parts {
    parent: Vec<u32>,
    found: Vec<Component>,
}

impl Parts {
    /// Starts a component with one run.
    fn add(&mut self, run: Component) -> u32 {
        let part = self.found.len() as u32;
        self.parent.push(part);
        self.found.push(run);
        part
    }

    /// Adds a run to a component and returns its root.
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

    /// Merges two components and returns the root of both: the older one.
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
