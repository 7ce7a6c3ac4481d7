//! A mask of any pixels, scaled to a photo and dilated: it grows by a disc, and its windows cover it.
#![no_main]

use lacuna::{
    composite::Feather,
    geometry::Rect,
    inpaint::MAX_DILATION,
    mask::Mask,
    window::{self, MAX_WINDOWS},
};
use libfuzzer_sys::fuzz_target;

/// Sides of the masks and of the photos.
const MASK_SIDE: u32 = 48;
const PHOTO_SIDE: u32 = 1200;
/// Photos of fewer pixels are compared pixel by pixel with a dilation by hand.
const SMALL: u64 = 40 * 40;

fuzz_target!(|input: (u8, u16, u16, u8, Vec<u8>)| {
    let (width, photo_width, photo_height, dilation, levels) = input;
    let width = 1 + u32::from(width) % MASK_SIDE;
    let height = (levels.len() as u32 / width).min(MASK_SIDE);
    if height == 0 {
        return;
    }
    let mask = Mask::from_levels(width, height, &levels[..(width * height) as usize], 128);
    assert_eq!(mask.count(), levels[..(width * height) as usize].iter().filter(|l| **l >= 128).count() as u64);

    let photo = Rect::of_size(
        1 + u32::from(photo_width) % PHOTO_SIDE,
        1 + u32::from(photo_height) % PHOTO_SIDE,
    );
    let mask = mask.resized(photo.width, photo.height);
    let dilation = u32::from(dilation) % (MAX_DILATION + 1);
    let feather = Feather::new(&mask, dilation);
    let hole = feather.hole();
    assert_eq!((hole.width(), hole.height()), (photo.width, photo.height));
    if photo.area() <= SMALL {
        dilated_by_hand(&mask, hole, dilation);
    }

    let windows = window::plan(hole);
    assert_eq!(windows.is_empty(), hole.is_empty());
    assert!(windows.len() <= MAX_WINDOWS, "{} windows", windows.len());
    assert!(windows.is_sorted_by_key(|window| window.wave));
    let mut open = hole.clone();
    for window in &windows {
        assert!(window.source.right() <= photo.width && window.source.bottom() <= photo.height);
        let content = window.content();
        assert!((1..=window.side).contains(&content.0) && (1..=window.side).contains(&content.1));
        open.clear_rect(window.core);
    }
    assert!(open.is_empty(), "{open:?} is in no window");
});

fn dilated_by_hand(mask: &Mask, hole: &Mask, radius: u32) {
    let photo = Rect::of_size(mask.width(), mask.height());
    let pixels = || (0..photo.height).flat_map(|y| (0..photo.width).map(move |x| (x, y)));
    let set: Vec<_> = pixels().filter(|&(x, y)| mask.contains(x, y)).collect();
    for (x, y) in pixels() {
        let near = set.iter().any(|&(a, b)| a.abs_diff(x).pow(2) + b.abs_diff(y).pow(2) <= radius.pow(2));
        assert_eq!(hole.contains(x, y), near, "{x}, {y}");
    }
}
