//! Length-limited Huffman codes.

/// Longest code for literals and lengths: four fit in a word along with the bits still pending.
pub(super) const MAX_BITS: usize = 14;

/// A bit string; the lowest bit is sent first. May be empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Code {
    /// The bits; those above `length` are zero.
    pub bits: u16,
    /// Number of bits.
    pub length: u8,
}

/// The code length of each symbol; 0 if it does not occur, and at most `limit`, which must leave room for all
/// symbols.
///
/// Builds a Huffman code, then shortens what exceeds the limit as in ITU-T T.81, figure K.3: by splitting a
/// leaf farther up into two.
pub(super) fn lengths<const N: usize>(counts: &[u32; N], limit: usize) -> [u8; N] {
    let mut lengths = [0; N];
    let mut symbols: Vec<usize> = (0..N).filter(|&symbol| counts[symbol] > 0).collect();
    symbols.sort_by_key(|&symbol| counts[symbol]);
    if let [only] = symbols[..] {
        lengths[only] = 1;
        return lengths;
    }

    let mut of_length = [0_usize; 64];
    for depth in depths(&symbols.iter().map(|&symbol| counts[symbol]).collect::<Vec<_>>()) {
        of_length[depth] += 1;
    }
    for length in (limit + 1..of_length.len()).rev() {
        while of_length[length] > 0 {
            let shorter = (1..length - 1).rev().find(|&l| of_length[l] > 0);
            let shorter = shorter.expect("the limit leaves room for all symbols. This is a bug.");
            of_length[length] -= 2;
            of_length[length - 1] += 1;
            of_length[shorter + 1] += 2;
            of_length[shorter] -= 1;
        }
    }
    // The rarest symbols get the longest codes.
    let longest_first = (1..=limit).rev().flat_map(|length| std::iter::repeat_n(length, of_length[length]));
    for (symbol, length) in symbols.into_iter().zip(longest_first) {
        lengths[symbol] = length as u8;
    }
    lengths
}

/// Depths of a Huffman tree's leaves, given weights in ascending order. Inner nodes are created in ascending
/// order too, so the two lightest nodes are always at the heads of the two queues.
fn depths(weights: &[u32]) -> Vec<usize> {
    let leaves = weights.len();
    if leaves == 0 {
        return vec![];
    }
    let nodes = 2 * leaves - 1;
    let mut weights = weights.to_vec();
    let mut parents = vec![0; nodes];
    let (mut leaf, mut inner) = (0, leaves);
    for node in leaves..nodes {
        let mut weight = 0;
        for _ in 0..2 {
            let lightest = if inner == node || (leaf < leaves && weights[leaf] <= weights[inner]) {
                &mut leaf
            } else {
                &mut inner
            };
            weight += weights[*lightest];
            parents[*lightest] = node;
            *lightest += 1;
        }
        weights.push(weight);
    }
    let mut depths = vec![0; nodes];
    for node in (0..nodes - 1).rev() {
        depths[node] = depths[parents[node]] + 1;
    }
    depths.truncate(leaves);
    depths
}

/// The canonical codes for these lengths (RFC 1951, 3.2.2), bit-reversed so that the first bit is lowest.
pub(super) fn codes<const N: usize>(lengths: &[u8; N]) -> [Code; N] {
    let mut next = 0_u16;
    let mut codes = [Code::default(); N];
    for length in 1..=15 {
        next <<= 1;
        for symbol in (0..N).filter(|&symbol| lengths[symbol] == length) {
            codes[symbol] = Code { bits: next.reverse_bits() >> (16 - length), length };
            next += 1;
        }
    }
    codes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The Kraft sum: 1 if a code uses all bit patterns.
    fn share_of_patterns(lengths: &[u8]) -> f64 {
        lengths.iter().filter(|&&length| length > 0).map(|&length| 0.5_f64.powi(length.into())).sum()
    }

    #[test]
    fn frequent_symbols_get_short_codes() {
        let lengths = lengths(&[1, 0, 2, 4, 8], MAX_BITS);
        assert_eq!(lengths, [3, 0, 3, 2, 1]);
    }

    #[test]
    fn lengths_are_those_of_the_standard_s_example() {
        // RFC 1951, 3.2.2.
        let codes = codes(&[3, 3, 3, 3, 3, 2, 4, 4]);
        let read = codes.map(|code| code.bits.reverse_bits() >> (16 - code.length));
        assert_eq!(read, [0b010, 0b011, 0b100, 0b101, 0b110, 0b00, 0b1110, 0b1111]);
    }

    #[test]
    fn one_symbol_takes_one_bit_and_none_takes_nothing() {
        assert_eq!(lengths(&[0, 7, 0], MAX_BITS), [0, 1, 0]);
        assert_eq!(lengths(&[0, 0, 0], MAX_BITS), [0, 0, 0]);
    }

    #[test]
    fn lengths_keep_to_the_limit_and_leave_no_pattern_unused() {
        // Fibonacci weights make the deepest possible tree.
        let mut fibonacci = [1_u32; 40];
        for i in 2..40 {
            fibonacci[i] = fibonacci[i - 1] + fibonacci[i - 2];
        }
        for limit in [6, 7, 14, 15] {
            let lengths = lengths(&fibonacci, limit);
            assert!(lengths.iter().all(|&length| usize::from(length) <= limit), "{limit}");
            assert_eq!(share_of_patterns(&lengths), 1.0, "{limit}");
            assert!(lengths.is_sorted_by(|a, b| a >= b), "{limit}: the frequent are shorter");
        }
    }

    #[test]
    fn no_code_begins_with_another() {
        let counts: [u32; 286] = std::array::from_fn(|i| (i * i % 97) as u32);
        let lengths = lengths(&counts, MAX_BITS);
        assert_eq!(share_of_patterns(&lengths), 1.0);
        let codes = codes(&lengths);
        for (i, a) in codes.iter().enumerate().filter(|(_, code)| code.length > 0) {
            for (j, b) in codes.iter().enumerate().filter(|(_, code)| code.length > 0) {
                let mask = (1_u16 << a.length.min(b.length)) - 1;
                assert!(i == j || a.bits & mask != b.bits & mask, "{i} and {j}");
            }
        }
    }
}
