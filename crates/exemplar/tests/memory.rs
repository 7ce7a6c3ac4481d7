//! Peak memory of a fill, measured by this program's allocator.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

static NOW: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

struct Counting;

// SAFETY: delegates to the system allocator, which upholds the contract; the rest only counts.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Relaxed) + layout.size();
        MOST.fetch_max(now, Relaxed);
        // SAFETY: the caller upholds the contract of `GlobalAlloc`, which is the same here.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller upholds the contract of `GlobalAlloc`, which is the same here.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn the_largest_window_takes_at_most_64_mib() {
    const SIDE: usize = 1024;
    let rgb: Vec<u8> = (0..SIDE * SIDE * 3).map(|byte| (byte * 31 % 251) as u8).collect();
    for margin in [12, 62, 212, 312] {
        let inside = margin..SIDE - margin;
        let hole: Vec<u8> = (0..SIDE * SIDE)
            .map(|place| u8::from(inside.contains(&(place % SIDE)) && inside.contains(&(place / SIDE))))
            .collect();
        let before = NOW.load(Relaxed);
        MOST.store(before, Relaxed);
        let picture = exemplar::Picture { width: SIDE, height: SIDE, rgb: &rgb, hole: &hole, forbidden: &[] };
        let fill = exemplar::fill(&picture);
        assert_eq!(fill.rgb.len(), rgb.len());
        let most = MOST.load(Relaxed) - before;
        println!("a hole of {} pixels a side: {} KiB", inside.len(), most / 1024);
        assert!(most <= 64 << 20, "{most} bytes for a margin of {margin}");
    }
}
