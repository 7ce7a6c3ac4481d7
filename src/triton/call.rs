//! One call of a model: its request, and the checks of its response.

use std::time::Duration;

use bytes::Bytes;
use ndarray::ArrayD;
use tokio::time::Instant;

use super::protocol::{
    InferParameter, ModelInferRequest, ModelInferResponse,
    infer_parameter::Choice,
    model_infer_request::{InputTensor, RequestedOutput},
};

/// The only element type of our models, by its name in the protocol.
const UINT8: &str = "UINT8";

/// A named input.
#[derive(Clone, Debug)]
pub struct Tensor {
    name: &'static str,
    shape: Vec<i64>,
    data: Bytes,
}

impl Tensor {
    /// The input `name` with the elements of `array` in row-major order.
    pub fn of(name: &'static str, array: ArrayD<u8>) -> Self {
        let shape = array.shape().iter().map(|&length| length as i64).collect();
        assert!(array.is_standard_layout(), "tensors are built in row-major order. This is a bug.");
        Self { name, shape, data: array.into_raw_vec_and_offset().0.into() }
    }
}

/// A call of `model` that asks for one output of a known shape.
#[derive(Clone, Debug)]
pub struct Call<'a> {
    pub model: &'a str,
    pub inputs: Vec<Tensor>,
    pub output: &'static str,
    pub shape: [usize; 4],
}

impl Call<'_> {
    /// The request message, with the time that it may wait in the model's queue. The elements are shared,
    /// not copied, so that a retry costs nothing.
    pub fn request(&self, deadline: Instant) -> ModelInferRequest {
        let queue = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        let microseconds = i64::try_from(queue.as_micros()).unwrap_or(i64::MAX);
        let timeout = InferParameter { choice: Some(Choice::Int64Param(microseconds)) };
        ModelInferRequest {
            model_name: self.model.to_owned(),
            id: String::new(),
            parameters: [("timeout".to_owned(), timeout)].into(),
            inputs: self
                .inputs
                .iter()
                .map(|tensor| InputTensor {
                    name: tensor.name.to_owned(),
                    datatype: UINT8.to_owned(),
                    shape: tensor.shape.clone(),
                })
                .collect(),
            outputs: vec![RequestedOutput { name: self.output.to_owned() }],
            raw_input_contents: self.inputs.iter().map(|tensor| tensor.data.clone()).collect(),
        }
    }

    /// The elements of the output, which is found by its name, or what is wrong with the response.
    pub fn output(&self, answer: ModelInferResponse) -> Result<Bytes, String> {
        let wanted = self.output;
        let at = answer.outputs.iter().position(|output| output.name == wanted).ok_or_else(|| {
            let names: Vec<_> = answer.outputs.iter().map(|output| output.name.as_str()).collect();
            format!("no output '{wanted}' among {names:?}")
        })?;
        let output = &answer.outputs[at];
        if output.datatype != UINT8 {
            return Err(format!("output '{wanted}' is {}, not {UINT8}", output.datatype));
        }
        if !output.shape.iter().copied().eq(self.shape.iter().map(|&length| length as i64)) {
            return Err(format!("output '{wanted}' has the shape {:?}, not {:?}", output.shape, self.shape));
        }
        let length: usize = self.shape.iter().product();
        match answer.raw_output_contents.into_iter().nth(at) {
            Some(data) if data.len() == length => Ok(data),
            Some(data) => Err(format!("output '{wanted}' has {} bytes, not {length}", data.len())),
            None => Err(format!("output '{wanted}' has no bytes")),
        }
    }
}
