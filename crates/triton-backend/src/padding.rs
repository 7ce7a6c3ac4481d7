//! Detects mirrored padding around a window's content.
//!
//! The gateway sends squares. If a photo is smaller than the square, the content is centred and mirrored at
//! its edges, edge pixels not repeated, as often as needed. Networks need that, but a method that copies
//! pixels would copy the mirrored ones too, in kaleidoscopic patterns.

use std::ops::Range;

/// Along one axis: the extent of a window and of the content centred in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    side: usize,
    length: usize,
}

impl Span {
    /// Finds the rows and columns of a window that are content.
    ///
    /// `rgb` has three bytes per pixel; `hole` has one, non-zero for pixels to fill, whose colours are
    /// ignored.
    pub fn of_rows_and_columns(side: usize, rgb: &[u8], hole: &[u8]) -> (Self, Self) {
        let (rows, columns) = fingerprints(side, rgb, hole);
        (Self::of_lines(&rows), Self::of_lines(&columns))
    }

    /// Finds the shortest span that explains lines with these fingerprints.
    ///
    /// Content that happens to be symmetrical is taken for padding too. That loses nothing, since the
    /// remaining lines hold the same pixels.
    fn of_lines(lines: &[u64]) -> Self {
        let side = lines.len();
        (1..side)
            .map(|length| Self { side, length })
            .find(|span| span.explains(lines))
            .unwrap_or(Self { side, length: side })
    }

    /// Whether all lines outside the content mirror it.
    fn explains(self, lines: &[u64]) -> bool {
        // The first line alone rules out most lengths.
        let content = self.content();
        (0..content.start)
            .chain(content.end..self.side)
            .all(|line| lines[line] == lines[content.start + self.shown(line)])
    }

    /// The lines of the window that are content.
    pub fn content(self) -> Range<usize> {
        let start = (self.side - self.length) / 2;
        start..start + self.length
    }

    /// Maps a line of the window to the line of the content that it shows.
    pub fn shown(self, line: usize) -> usize {
        let last = self.length - 1;
        if last == 0 {
            return 0;
        }
        let period = 2 * last;
        // Adding a multiple of the period avoids negative numbers.
        let start = self.content().start;
        let position = (line + start.div_ceil(period) * period - start) % period;
        last - position.abs_diff(last)
    }

    /// Whether there is no padding.
    pub fn is_whole(self) -> bool {
        self.length == self.side
    }
}

/// Fingerprints of rows and columns; equal lines have equal ones.
///
/// Each is the sum of its pixels times a 64-bit odd constant per place. Lines that differ in one pixel never
/// collide, others practically never.
fn fingerprints(side: usize, rgb: &[u8], hole: &[u8]) -> (Vec<u64>, Vec<u64>) {
    let places: Vec<u64> = (0..side as u64).map(place).collect();
    let mut columns = vec![0_u64; side];
    let rows = rgb.chunks_exact(3 * side).zip(hole.chunks_exact(side)).zip(&places).map(
        |((rgb, hole), row_place)| {
            let mut row = 0_u64;
            for (((pixel, hole), column_place), column) in
                rgb.chunks_exact(3).zip(hole).zip(&places).zip(&mut columns)
            {
                let value = if *hole != 0 {
                    1 << 24
                } else {
                    u64::from(pixel[0]) << 16 | u64::from(pixel[1]) << 8 | u64::from(pixel[2])
                };
                row = row.wrapping_add(value.wrapping_mul(*column_place));
                *column = column.wrapping_add(value.wrapping_mul(*row_place));
            }
            row
        },
    );
    let rows = rows.collect();
    (rows, columns)
}

/// A pseudo-random odd constant for each place (SplitMix64).
fn place(number: u64) -> u64 {
    let mut mixed = (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    (mixed ^ mixed >> 31) | 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{mirrored_window, noise};

    fn found(side: usize, rgb: &[u8]) -> (Span, Span) {
        Span::of_rows_and_columns(side, rgb, &vec![0; side * side])
    }

    #[test]
    fn the_line_that_is_shown_is_that_of_a_mirrored_sequence() {
        // side, length, line of the content shown by each line
        let table: [(usize, usize, &[usize]); 6] = [
            (5, 5, &[0, 1, 2, 3, 4]),
            (5, 1, &[0, 0, 0, 0, 0]),
            (6, 2, &[0, 1, 0, 1, 0, 1]),
            (7, 2, &[0, 1, 0, 1, 0, 1, 0]),
            (8, 3, &[2, 1, 0, 1, 2, 1, 0, 1]),
            (9, 4, &[2, 1, 0, 1, 2, 3, 2, 1, 0]),
        ];
        for (side, length, shown) in table {
            let span = Span { side, length };
            let lines: Vec<usize> = (0..side).map(|line| span.shown(line)).collect();
            assert_eq!(lines, shown, "{side} {length}");
        }
    }

    #[test]
    fn the_content_is_found_however_often_it_is_mirrored() {
        for side in [64, 65] {
            for length in [1, 2, 3, 10, 11, 31, 59, 60, 63] {
                for other in [64, 37] {
                    let window = mirrored_window(side, length, other, &noise(length * other * 3, 1));
                    let (rows, columns) = found(side, &window);
                    assert_eq!((rows.length, columns.length), (length, other), "{side}");
                }
            }
        }
    }

    #[test]
    fn a_window_without_padding_is_content() {
        let (rows, columns) = found(64, &noise(64 * 64 * 3, 2));
        assert!(rows.is_whole() && columns.is_whole());
    }

    #[test]
    fn one_changed_pixel_in_the_padding_makes_it_content() {
        let mut window = mirrored_window(64, 30, 64, &noise(30 * 64 * 3, 3));
        window[(2 * 64 + 5) * 3 + 1] ^= 1;
        assert!(found(64, &window).0.is_whole());
    }

    #[test]
    fn a_hole_that_is_not_mirrored_makes_the_padding_content() {
        let window = mirrored_window(64, 30, 64, &noise(30 * 64 * 3, 4));
        let mut hole = vec![0; 64 * 64];
        hole[2 * 64 + 5] = 1;
        assert!(Span::of_rows_and_columns(64, &window, &hole).0.is_whole());
    }

    #[test]
    fn colours_inside_the_hole_do_not_count() {
        let mut window = mirrored_window(64, 30, 64, &noise(30 * 64 * 3, 5));
        let mut hole = vec![0; 64 * 64];
        let span = Span { side: 64, length: 30 };
        for line in (0..64).filter(|line| span.shown(*line) == 7) {
            hole[line * 64 + 9] = 255;
            window[(line * 64 + 9) * 3] = line as u8;
        }
        assert_eq!(Span::of_rows_and_columns(64, &window, &hole).0, span);
    }

    #[test]
    fn a_window_of_one_colour_loses_nothing() {
        let (rows, columns) = found(64, &[9; 64 * 64 * 3]);
        assert_eq!((rows.length, columns.length), (1, 1));
    }
}
