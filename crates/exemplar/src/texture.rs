//! A measure of texture around each pixel.

use crate::level::{BYTES, Level};

/// Radius of the square over which texture is averaged, in pixels of the halved level.
const RADIUS: usize = 2;

/// Mean luma difference between adjacent known pixels around each pixel of the halved level, times 8 and at
/// most 255, after Newson et al. (2014), "Video Inpainting of Complex Scenes". Measured at full size and then
/// halved with the colours, it tells grass from plain green where both look alike.
pub fn texture(level: &Level) -> Vec<u8> {
    let (width, height) = (level.width.div_ceil(2), level.height.div_ceil(2));
    // A sliding window of rows, with sum and number of differences in each block of two by two.
    let mut window: Vec<Vec<[u16; 2]>> = vec![vec![[0; 2]; width]; 2 * RADIUS + 1];
    let mut sums = vec![[0u32; 2]; width];
    let mut texture = Vec::with_capacity(width * height);
    let mut steps = Steps::new(level);
    for y in 0..height + RADIUS {
        let row = &mut window[y % (2 * RADIUS + 1)];
        sums.iter_mut().zip(row.iter()).for_each(|(sum, row)| {
            sum[0] -= u32::from(row[0]);
            sum[1] -= u32::from(row[1]);
        });
        row.fill([0; 2]);
        if y < height {
            steps.of_blocks(level, y, row);
        }
        sums.iter_mut().zip(row.iter()).for_each(|(sum, row)| {
            sum[0] += u32::from(row[0]);
            sum[1] += u32::from(row[1]);
        });
        if y >= RADIUS {
            let mut around = [0u32; 2];
            for x in 0..width + RADIUS {
                if let Some(sum) = sums.get(x) {
                    around = [around[0] + sum[0], around[1] + sum[1]];
                }
                if let Some(last) = x.checked_sub(2 * RADIUS + 1) {
                    around = [around[0] - sums[last][0], around[1] - sums[last][1]];
                }
                if x >= RADIUS {
                    texture.push((2 * around[0] / around[1].max(1)).min(255) as u8);
                }
            }
        }
    }
    texture
}

/// Differences between the pixels of a row and their neighbours.
struct Steps {
    /// Four times the luma of this row and the next, each with a mask: all ones for known pixels.
    rows: [(Vec<u16>, Vec<u16>); 2],
    sums: Vec<u16>,
    counts: Vec<u16>,
}

impl Steps {
    fn new(level: &Level) -> Self {
        let row = || (vec![0; level.width + 1], vec![0; level.width + 1]);
        Self { rows: [row(), row()], sums: vec![0; level.width + 1], counts: vec![0; level.width + 1] }
    }

    /// Sums and counts for the blocks of two by two in rows `2 * y` and `2 * y + 1`.
    fn of_blocks(&mut self, level: &Level, y: usize, blocks: &mut [[u16; 2]]) {
        if y == 0 {
            self.read(level, 0);
        }
        self.sums.fill(0);
        self.counts.fill(0);
        for y in 2 * y..(2 * y + 2).min(level.height) {
            self.read(level, y + 1);
            let [(luma, known), (below, known_below)] = &self.rows;
            for x in 0..level.width {
                let across = known[x] & known[x + 1];
                let down = known[x] & known_below[x];
                self.sums[x] +=
                    (luma[x].abs_diff(luma[x + 1]) & across) + (luma[x].abs_diff(below[x]) & down);
                self.counts[x] += (across & 1) + (down & 1);
            }
        }
        for (x, block) in blocks.iter_mut().enumerate() {
            *block = [self.sums[2 * x] + self.sums[2 * x + 1], self.counts[2 * x] + self.counts[2 * x + 1]];
        }
    }

    /// Advances by one row: reads `y` as the next one.
    fn read(&mut self, level: &Level, y: usize) {
        self.rows.swap(0, 1);
        let (luma, known) = &mut self.rows[1];
        if y >= level.height {
            known.fill(0);
            return;
        }
        let luma = luma.iter_mut().zip(level.line(y));
        luma.for_each(|(luma, [red, green, blue, _]): (&mut u16, &[u8; BYTES])| {
            *luma = u16::from(*red) + 2 * u16::from(*green) + u16::from(*blue);
        });
        let hole = &level.hole[y * level.width..][..level.width];
        known.iter_mut().zip(hole).for_each(|(known, &hole)| *known = u16::from(hole).wrapping_sub(1));
    }
}
