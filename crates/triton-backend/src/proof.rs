//! Models with known answers and delays, for `tests/proof`.

use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::contract::Port;
use crate::tensor::Failure;

const GREY: u8 = 128;

/// A model that ignores its input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Constant {
    wait: Duration,
    fails: bool,
}

impl Constant {
    /// Parses the parameters of a model, if they include `wait_ms`.
    pub fn parse(parameters: &Value) -> Option<Self> {
        let wait = parameters["wait_ms"]["string_value"].as_str()?.parse().ok()?;
        Some(Self { wait: Duration::from_millis(wait), fails: !parameters["fails"].is_null() })
    }

    /// Fills the mask with grey; without a mask, marks the middle of the picture.
    pub fn answer(&self, output: &Port, side: usize, inputs: &[&[u8]]) -> Result<Vec<u8>, Failure> {
        thread::sleep(self.wait);
        if self.fails {
            return Err(Failure::Internal("out of memory".to_owned()));
        }
        let mut answer = vec![0; side * side * output.channels];
        let [image, mask] = inputs else {
            let middle = side * 3 / 8..side * 5 / 8;
            for row in middle.clone() {
                answer[row * side..][middle.clone()].fill(255);
            }
            return Ok(answer);
        };
        for (pixel, value) in answer.iter_mut().enumerate() {
            *value = if mask[pixel / output.channels] >= 128 { GREY } else { image[pixel] };
        }
        Ok(answer)
    }
}
