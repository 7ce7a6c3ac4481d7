//! Pictures for the tests.

/// Bytes that look random and are the same for the same seed.
pub fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 24) as u8
    };
    (0..length).map(|_| next()).collect()
}

/// A window of `side` that shows a content of `rows` and `columns` in its middle and mirrored around
/// it; as many bytes a pixel as the content has.
pub fn mirrored_window(side: usize, rows: usize, columns: usize, content: &[u8]) -> Vec<u8> {
    let bytes = content.len() / (rows * columns);
    let mut window = Vec::new();
    for row in 0..side {
        for column in 0..side {
            let at = mirrored(side, rows, row) * columns + mirrored(side, columns, column);
            window.extend_from_slice(&content[at * bytes..(at + 1) * bytes]);
        }
    }
    window
}

/// The line of the content that a line of the window shows: a walk from the content's first line that
/// turns back at its ends.
fn mirrored(side: usize, length: usize, line: usize) -> usize {
    let (mut at, mut onwards) = (0, true);
    for _ in 0..line.abs_diff((side - length) / 2) {
        if length == 1 {
            break;
        }
        onwards = if onwards { at + 1 < length } else { at == 0 };
        at = if onwards { at + 1 } else { at - 1 };
    }
    at
}
