//! Pre- and post-processing for IS-Net: bytes to floats and back.

/// The only side the graph accepts.
pub const SIDE: usize = 1024;
/// Names of the graph's input and output.
pub const INPUT: &str = "input";
pub const OUTPUT: &str = "output";

/// Converts a picture to planar floats, (v - 128) / 256 each.
pub fn planes(rgb: &[u8]) -> Vec<f32> {
    let plane = |channel| rgb[channel..].iter().step_by(3);
    (0..3).flat_map(plane).map(|value| (f32::from(*value) - 128.0) / 256.0).collect()
}

/// Quantizes the graph's output, 0 to 1, to bytes.
pub fn alpha(values: &[f32]) -> Vec<u8> {
    // The cast turns NaN into 0.
    values.iter().map(|value| (value.clamp(0.0, 1.0) * 255.0).round_ties_even() as u8).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_becomes_three_planes_around_zero() {
        let rgb = [0, 128, 255, 64, 129, 1];
        let expected = [-0.5, -0.25, 0.0, 1.0 / 256.0, 127.0 / 256.0, -127.0 / 256.0];
        assert_eq!(planes(&rgb), expected);
    }

    #[test]
    fn values_are_clipped_and_rounded_to_the_even_byte() {
        let values = [-3.0, 0.0, 0.5 / 255.0, 1.5 / 255.0, 0.5, 0.999, 1.0, 7.0, f32::NAN, f32::INFINITY];
        assert_eq!(alpha(&values), [0, 0, 0, 2, 128, 255, 255, 255, 0, 255]);
    }
}
