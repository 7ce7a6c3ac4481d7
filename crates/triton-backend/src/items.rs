//! Validates a request's pictures and splits them before a graph sees them.

use crate::contract::Port;
use crate::tensor::{Failure, Tensor};

/// Longest side of windows and of segmenter inputs.
const LONGEST_SIDE: usize = 1024;

/// The pictures of one request: squares of the same side.
#[derive(Debug)]
pub struct Items<'a> {
    count: usize,
    side: usize,
    /// For each input, its bytes and the number of bytes per picture.
    inputs: Vec<(&'a [u8], usize)>,
}

impl<'a> Items<'a> {
    /// Validates the inputs together; `tensors` are in the order of `ports`.
    pub fn parse(ports: &[Port], tensors: &'a [Tensor<'_>]) -> Result<Self, Failure> {
        let named = || ports.iter().zip(tensors);
        let shapes = named().map(|(port, tensor)| shape(port, tensor)).collect::<Result<Vec<_>, _>>()?;
        let listed = |part: fn(&[usize; 3]) -> String| {
            let each =
                named().zip(&shapes).map(|((port, _), shape)| format!("{} {}", port.text(), part(shape)));
            each.collect::<Vec<_>>().join(", ")
        };
        let refuse = |why: String| Err(Failure::BadInput(why));
        let Some(&[count, side, _]) = shapes.first() else {
            return refuse("there is no input".to_owned());
        };
        if shapes.iter().any(|shape| shape[0] != count) {
            let sizes = listed(|shape| shape[0].to_string());
            return refuse(format!("inputs disagree on the batch size: {sizes}"));
        }
        if shapes.iter().any(|shape| shape[1] != side || shape[2] != side) {
            let sizes = listed(|shape| format!("{}x{}", shape[1], shape[2]));
            return refuse(format!("inputs must be squares of one side, got {sizes}"));
        }
        let mut inputs = Vec::with_capacity(shapes.len());
        for (port, tensor) in named() {
            if let Some(only) = port.side.filter(|only| *only != side) {
                return refuse(format!("{} must have side {only}, got {side}", port.text()));
            }
            if !(1..=LONGEST_SIDE).contains(&side) {
                return refuse(format!(
                    "{} must have a side of 1 to {LONGEST_SIDE}, got {side}",
                    port.text()
                ));
            }
            let one = side * side * port.channels;
            if count.checked_mul(one) != Some(tensor.bytes.len()) {
                let (name, bytes) = (port.text(), tensor.bytes.len());
                return refuse(format!("{name} has {bytes} bytes, not those of its shape"));
            }
            inputs.push((&*tensor.bytes, one));
        }
        Ok(Self { count, side, inputs })
    }

    /// Number of pictures.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Their side in pixels.
    pub fn side(&self) -> usize {
        self.side
    }

    /// The bytes of the inputs of each picture.
    pub fn each(&self) -> impl Iterator<Item = Vec<&'a [u8]>> {
        (0..self.count).map(|number| {
            let one = |(bytes, size): &(&'a [u8], usize)| &bytes[number * size..(number + 1) * size];
            self.inputs.iter().map(one).collect()
        })
    }
}

/// Batch, height and width of a tensor, which must have the channels of `port`.
fn shape(port: &Port, tensor: &Tensor<'_>) -> Result<[usize; 3], Failure> {
    if let [batch, height, width, channels] = tensor.shape[..]
        && usize::try_from(channels) == Ok(port.channels)
        && let (Ok(batch), Ok(height), Ok(width)) = (batch.try_into(), height.try_into(), width.try_into())
    {
        return Ok([batch, height, width]);
    }
    let (name, channels, shape) = (port.text(), port.channels, &tensor.shape);
    Err(Failure::BadInput(format!(
        "{name} must have the shape [batch, side, side, {channels}], got {shape:?}"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ports(side: Option<usize>) -> [Port; 2] {
        [("image", 3), ("mask", 1)].map(|(name, channels)| Port {
            name: std::ffi::CString::new(name).unwrap(),
            side,
            channels,
        })
    }

    fn zeros(shapes: [&[i64]; 2]) -> [Tensor<'static>; 2] {
        shapes.map(|shape| Tensor {
            shape: shape.to_vec(),
            bytes: vec![0; shape.iter().product::<i64>().max(0) as usize].into(),
        })
    }

    fn refusal(side: Option<usize>, tensors: &[Tensor<'_>]) -> String {
        match Items::parse(&ports(side), tensors) {
            Err(Failure::BadInput(why)) => why,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn pictures_are_told_apart() {
        let mut tensors = zeros([&[3, 4, 4, 3], &[3, 4, 4, 1]]);
        for (number, tensor) in tensors.iter_mut().enumerate() {
            let size = tensor.bytes.len() / 3;
            tensor.bytes = (0..3).flat_map(|item| vec![(10 * number + item) as u8; size]).collect();
        }
        let items = Items::parse(&ports(None), &tensors).unwrap();
        assert_eq!((items.count(), items.side()), (3, 4));
        let each: Vec<_> = items.each().collect();
        assert_eq!(each.len(), 3);
        for (number, item) in each.iter().enumerate() {
            assert_eq!(item, &[&[number as u8; 48][..], &[10 + number as u8; 16][..]]);
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_with_the_reason() {
        let table: [([&[i64]; 2], &str); 9] = [
            (
                [&[1, 16, 24, 3], &[1, 16, 24, 1]],
                "inputs must be squares of one side, got image 16x24, mask 16x24",
            ),
            (
                [&[1, 16, 16, 3], &[1, 24, 24, 1]],
                "inputs must be squares of one side, got image 16x16, mask 24x24",
            ),
            ([&[2, 16, 16, 3], &[3, 16, 16, 1]], "inputs disagree on the batch size: image 2, mask 3"),
            ([&[1, 1025, 1025, 3], &[1, 1025, 1025, 1]], "image must have a side of 1 to 1024, got 1025"),
            ([&[1, 0, 0, 3], &[1, 0, 0, 1]], "image must have a side of 1 to 1024, got 0"),
            (
                [&[1, 16, 16, 1], &[1, 16, 16, 1]],
                "image must have the shape [batch, side, side, 3], got [1, 16, 16, 1]",
            ),
            (
                [&[16, 16, 3], &[16, 16, 1]],
                "image must have the shape [batch, side, side, 3], got [16, 16, 3]",
            ),
            ([&[1, 16, 16, 3], &[]], "mask must have the shape [batch, side, side, 1], got []"),
            ([&[-1, 16, 16, 3], &[-1, 16, 16, 1]], "image must have the shape"),
        ];
        for (shapes, reason) in table {
            let why = refusal(None, &zeros(shapes));
            assert!(why.contains(reason), "{why}");
        }
        assert_eq!(
            refusal(Some(32), &zeros([&[1, 16, 16, 3], &[1, 16, 16, 1]])),
            "image must have side 32, got 16"
        );
        let huge = [&[i64::MAX, 16, 16, 3], &[i64::MAX, 16, 16, 1]]
            .map(|shape| Tensor { shape: shape.to_vec(), bytes: vec![].into() });
        assert_eq!(refusal(None, &huge), "image has 0 bytes, not those of its shape");
    }

    #[test]
    fn inputs_with_too_few_or_too_many_bytes_are_refused() {
        for (number, name) in ["image", "mask"].into_iter().enumerate() {
            for length in [0, 255, 257, 767, 769] {
                let mut tensors = zeros([&[1, 16, 16, 3], &[1, 16, 16, 1]]);
                tensors[number].bytes = vec![0; length].into();
                let expected = format!("{name} has {length} bytes, not those of its shape");
                assert_eq!(refusal(None, &tensors), expected);
            }
        }
    }
}
