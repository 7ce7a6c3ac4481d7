//! Pictures, configurations and graphs for tests.

/// Pseudo-random bytes, reproducible by seed.
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

/// A window of `side` with centred content of `rows` by `columns` and mirrored padding; it has as many bytes
/// per pixel as the content.
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

/// The line of the content that a line of the window shows, found by walking back and forth from the first.
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

/// A configuration in Triton's JSON, with byte tensors of these dims.
pub fn config(graph: Option<&str>, inputs: &[(&str, [i64; 3])], outputs: &[(&str, [i64; 3])]) -> String {
    let listed = |ports: &[(&str, [i64; 3])]| {
        let each = ports.iter().map(|(name, dims)| {
            format!(r#"{{"name": "{name}", "data_type": "TYPE_UINT8", "dims": {dims:?}}}"#)
        });
        each.collect::<Vec<_>>().join(", ")
    };
    let graph = graph.map(|graph| format!(r#", "graph": {{"string_value": "{graph}"}}"#)).unwrap_or_default();
    format!(
        r#"{{"input": [{}], "output": [{}], "parameters": {{"label": {{"string_value": "double"}}{graph}}}}}"#,
        listed(inputs),
        listed(outputs)
    )
}

/// Hand-written ONNX files (protocol buffers).
pub mod onnx {
    /// Element types.
    pub const FLOAT: u64 = 1;
    pub const UINT8: u64 = 2;
    pub const INT32: u64 = 6;

    /// A dynamic size.
    pub const OPEN: u64 = 0;

    fn varint(mut value: u64, out: &mut Vec<u8>) {
        while value >= 0x80 {
            out.push(value as u8 | 0x80);
            value >>= 7;
        }
        out.push(value as u8);
    }

    fn number(field: u64, value: u64) -> Vec<u8> {
        let mut out = Vec::new();
        varint(field << 3, &mut out);
        varint(value, &mut out);
        out
    }

    fn bytes(field: u64, value: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        varint(field << 3 | 2, &mut out);
        varint(value.len() as u64, &mut out);
        out.extend_from_slice(value);
        out
    }

    fn tensor(name: &str, kind: u64, sizes: &[u64]) -> Vec<u8> {
        let dims = sizes.iter().flat_map(|size| match *size {
            OPEN => bytes(1, &bytes(2, b"open")),
            size => bytes(1, &number(1, size)),
        });
        let shape = bytes(2, &dims.collect::<Vec<u8>>());
        let kind = bytes(2, &bytes(1, &[number(1, kind), shape].concat()));
        [bytes(1, name.as_bytes()), kind].concat()
    }

    fn node(operator: &str, inputs: &[&str], output: &str, attribute: &[u8]) -> Vec<u8> {
        let inputs: Vec<u8> = inputs.iter().flat_map(|input| bytes(1, input.as_bytes())).collect();
        let attribute = if attribute.is_empty() { vec![] } else { bytes(5, attribute) };
        bytes(1, &[inputs, bytes(2, output.as_bytes()), bytes(4, operator.as_bytes()), attribute].concat())
    }

    fn cast(input: &str, output: &str, kind: u64) -> Vec<u8> {
        let attribute = [bytes(1, b"to"), number(3, kind), number(20, 2)].concat();
        node("Cast", &[input], output, &attribute)
    }

    fn model(parts: &[Vec<u8>], metadata: &[(&str, &str)]) -> Vec<u8> {
        let graph = [parts.concat(), bytes(2, b"graph")].concat();
        let entry = |(key, value): &(&str, &str)| {
            bytes(14, &[bytes(1, key.as_bytes()), bytes(2, value.as_bytes())].concat())
        };
        let metadata: Vec<u8> = metadata.iter().flat_map(entry).collect();
        [number(1, 8), bytes(8, &number(2, 17)), bytes(7, &graph), metadata].concat()
    }

    /// A byte graph that adds `marker` to `image`; lists `sides` in its metadata unless empty.
    pub fn raise(sizes: [u64; 4], marker: u64, sides: &str) -> Vec<u8> {
        let marker = [number(2, INT32), bytes(5, &[marker as u8]), bytes(8, b"marker")].concat();
        let parts = [
            cast("image", "wide", INT32),
            node("Add", &["wide", "marker"], "sum", &[]),
            cast("sum", "output", UINT8),
            bytes(5, &marker),
            bytes(11, &tensor("image", UINT8, &sizes)),
            bytes(12, &tensor("output", UINT8, &sizes)),
        ];
        let metadata: &[_] = if sides.is_empty() { &[] } else { &[("sides", sides)] };
        model(&parts, metadata)
    }

    /// A graph with IS-Net's contract that returns the mean of the colours.
    pub fn mean(planes: u64) -> Vec<u8> {
        let axes = [bytes(1, b"axes"), number(8, 1), number(20, 7)].concat();
        let parts = [
            node("ReduceMean", &["input"], "output", &axes),
            bytes(11, &tensor("input", FLOAT, &[1, planes, 1024, 1024])),
            bytes(12, &tensor("output", FLOAT, &[1, 1, 1024, 1024])),
        ];
        model(&parts, &[])
    }

    /// A graph that fails when run: it reshapes `image` to an impossible shape.
    pub fn failing() -> Vec<u8> {
        let shape = [number(1, 1), number(2, 7), bytes(7, &[7]), bytes(8, b"shape")].concat();
        let parts = [
            node("Reshape", &["image", "shape"], "output", &[]),
            bytes(5, &shape),
            bytes(11, &tensor("image", UINT8, &[1, OPEN, OPEN, 3])),
            bytes(12, &tensor("output", UINT8, &[1, OPEN, OPEN, 3])),
        ];
        model(&parts, &[])
    }
}
