//! A small picture with any hole: it is filled, from where it may be copied, and what is known stays.
#![no_main]

use exemplar::{Fill, Picture, fill};
use libfuzzer_sys::fuzz_target;

const SIDE: usize = 56;

fuzz_target!(|input: (u8, Vec<u8>)| {
    let (width, bytes) = input;
    let width = 1 + usize::from(width) % SIDE;
    // For each pixel its colour, and whether it is hole, forbidden or neither.
    let pixels = bytes.as_chunks::<4>().0;
    let height = (pixels.len() / width).min(SIDE);
    let pixels = &pixels[..width * height];
    let rgb: Vec<u8> = pixels.iter().flat_map(|pixel| &pixel[..3]).copied().collect();
    let hole: Vec<u8> = pixels.iter().map(|pixel| pixel[3] & 1).collect();
    let forbidden: Vec<u8> = pixels.iter().map(|pixel| pixel[3] & 2).collect();
    let Fill { rgb: filled, offsets } =
        fill(&Picture { width, height, rgb: &rgb, hole: &hole, forbidden: &forbidden });
    assert_eq!((filled.len(), offsets.len()), (rgb.len(), hole.len()));
    for (place, &[right, down]) in offsets.iter().enumerate() {
        let pixel = |place: usize| 3 * place..3 * place + 3;
        if hole[place] == 0 {
            assert_eq!(filled[pixel(place)], rgb[pixel(place)]);
            assert_eq!([right, down], [0, 0]);
        } else if [right, down] != [0, 0] {
            let x = (place % width).checked_add_signed(isize::from(right)).expect("not left of the picture");
            let y = (place / width).checked_add_signed(isize::from(down)).expect("not above the picture");
            assert!(x < width && y < height);
            assert!(hole[y * width + x] == 0 && forbidden[y * width + x] == 0, "copied from {x}, {y}");
        }
    }
});
