//! Parses a model's configuration into the contract it must satisfy.

use std::ffi::CString;

use serde_json::Value;

use crate::tensor::Failure;

/// The parameter that selects ONNX graphs.
const GRAPH: &str = "graph";

/// How a model produces its output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Fills holes with `exemplar`; needs no files.
    Fill,
    /// Runs graphs on bytes, channels last; inputs are passed through unchanged.
    Bytes,
    /// Runs IS-Net's published graph, whose tensors are floats.
    IsNet,
    /// Returns the same for every picture.
    #[cfg(feature = "proof")]
    Constant(crate::proof::Constant),
}

/// An input or output: squares of bytes, channels last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// The tensor's name.
    pub name: CString,
    /// The side of the squares, if fixed.
    pub side: Option<usize>,
    /// Bytes per pixel.
    pub channels: usize,
}

impl Port {
    /// The name as a string, for messages and graphs.
    pub fn text(&self) -> &str {
        self.name.to_str().unwrap_or_default()
    }
}

/// A model's inputs and output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contract {
    pub kind: Kind,
    pub inputs: Vec<Port>,
    pub output: Port,
}

impl Contract {
    /// Parses the configuration that Triton passes as JSON.
    pub fn parse(json: &[u8]) -> Result<Self, Failure> {
        let config: Value =
            serde_json::from_slice(json).map_err(|error| wrong(format!("the configuration: {error}")))?;
        let kind = kind(&config["parameters"])?;
        let inputs = ports(&config["input"], "input")?;
        let outputs = ports(&config["output"], "output")?;
        let [output] = <[Port; 1]>::try_from(outputs)
            .map_err(|outputs| wrong(format!("one output is served, not {}", outputs.len())))?;
        let contract = Self { kind, inputs, output };
        contract.check()?;
        Ok(contract)
    }

    /// Refuses names and shapes that do not fit the kind.
    fn check(&self) -> Result<(), Failure> {
        let ports: Vec<_> =
            self.inputs.iter().chain([&self.output]).map(|port| (port.text(), port.channels)).collect();
        let sides = self.inputs.iter().chain([&self.output]).map(|port| port.side);
        match self.kind {
            Kind::Fill if ports != [("image", 3), ("mask", 1), ("output", 3)] => Err(wrong(
                "a model without the parameter graph takes image [S, S, 3] and mask [S, S, 1] and gives \
                 output [S, S, 3]"
                    .to_owned(),
            )),
            Kind::IsNet
                if ports != [("image", 3), ("alpha", 1)]
                    || sides.into_iter().any(|side| side != Some(crate::isnet::SIDE)) =>
            {
                Err(wrong("isnet takes image [1024, 1024, 3] and gives alpha [1024, 1024, 1]".to_owned()))
            }
            Kind::Bytes if self.inputs.is_empty() => Err(wrong("there is no input".to_owned())),
            _ => Ok(()),
        }
    }
}

fn kind(parameters: &Value) -> Result<Kind, Failure> {
    #[cfg(feature = "proof")]
    if let Some(constant) = crate::proof::Constant::parse(parameters) {
        return Ok(Kind::Constant(constant));
    }
    match &parameters[GRAPH]["string_value"] {
        Value::Null => Ok(Kind::Fill),
        Value::String(graph) if graph == "bytes" => Ok(Kind::Bytes),
        Value::String(graph) if graph == "isnet" => Ok(Kind::IsNet),
        other => Err(wrong(format!("the parameter {GRAPH} is {other}, and may be \"bytes\" or \"isnet\""))),
    }
}

fn ports(listed: &Value, what: &str) -> Result<Vec<Port>, Failure> {
    listed.as_array().into_iter().flatten().map(|entry| port(entry, what)).collect()
}

fn port(entry: &Value, what: &str) -> Result<Port, Failure> {
    let name = entry["name"].as_str().and_then(|name| CString::new(name).ok());
    let name = name.ok_or_else(|| wrong(format!("an {what} has no name")))?;
    let shown = name.to_string_lossy().into_owned();
    if entry["data_type"] != "TYPE_UINT8" {
        return Err(wrong(format!("{what} {shown} must be TYPE_UINT8, and is {}", entry["data_type"])));
    }
    let sizes: Vec<_> = entry["dims"].as_array().into_iter().flatten().map(number).collect();
    match sizes[..] {
        [Some(height), Some(width), Some(channels @ 1..)]
            if height == width && (height == -1 || height > 0) =>
        {
            Ok(Port { name, side: usize::try_from(height).ok(), channels: channels as usize })
        }
        _ => Err(wrong(format!(
            "{what} {shown} must have the dims [side, side, channels], and has {}",
            entry["dims"]
        ))),
    }
}

/// An integer; protobuf's JSON encodes 64-bit ones as strings.
fn number(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

fn wrong(why: String) -> Failure {
    Failure::BadInput(why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::config;

    const IMAGE: (&str, [i64; 3]) = ("image", [-1, -1, 3]);
    const MASK: (&str, [i64; 3]) = ("mask", [-1, -1, 1]);
    const OUTPUT: (&str, [i64; 3]) = ("output", [-1, -1, 3]);

    fn parsed(
        graph: Option<&str>,
        inputs: &[(&str, [i64; 3])],
        outputs: &[(&str, [i64; 3])],
    ) -> Result<Contract, String> {
        Contract::parse(config(graph, inputs, outputs).as_bytes()).map_err(|failure| match failure {
            Failure::BadInput(why) => why,
            other => panic!("{other:?}"),
        })
    }

    #[test]
    fn a_model_is_of_the_kind_that_its_parameter_says() {
        let fill = parsed(None, &[IMAGE, MASK], &[OUTPUT]).unwrap();
        assert_eq!((fill.kind, fill.output.channels, fill.output.side), (Kind::Fill, 3, None));
        let lama = parsed(Some("bytes"), &[IMAGE, MASK], &[OUTPUT]).unwrap();
        assert_eq!((lama.kind, lama.inputs[1].text()), (Kind::Bytes, "mask"));
        let (image, alpha) = (("image", [1024, 1024, 3]), ("alpha", [1024, 1024, 1]));
        let isnet = parsed(Some("isnet"), &[image], &[alpha]).unwrap();
        assert_eq!((isnet.kind, isnet.inputs[0].side), (Kind::IsNet, Some(1024)));
    }

    #[test]
    fn a_configuration_that_cannot_be_served_is_refused_with_the_reason() {
        let alpha = ("alpha", [1024, 1024, 1]);
        let table = [
            (
                parsed(Some("onnx"), &[IMAGE], &[OUTPUT]),
                "graph is \"onnx\", and may be \"bytes\" or \"isnet\"",
            ),
            (parsed(None, &[IMAGE], &[OUTPUT]), "takes image [S, S, 3] and mask [S, S, 1]"),
            (parsed(None, &[IMAGE, MASK], &[alpha]), "gives output [S, S, 3]"),
            (parsed(Some("isnet"), &[IMAGE], &[alpha]), "isnet takes image [1024, 1024, 3]"),
            (parsed(Some("bytes"), &[], &[OUTPUT]), "there is no input"),
            (parsed(Some("bytes"), &[IMAGE], &[]), "one output is served, not 0"),
            (parsed(Some("bytes"), &[IMAGE], &[OUTPUT, alpha]), "one output is served, not 2"),
            (parsed(Some("bytes"), &[("image", [256, 512, 3])], &[OUTPUT]), "input image must have the dims"),
            (parsed(Some("bytes"), &[("image", [0, 0, 3])], &[OUTPUT]), "input image must have the dims"),
            (
                parsed(Some("bytes"), &[IMAGE], &[("output", [-1, -1, -1])]),
                "output output must have the dims",
            ),
        ];
        for (outcome, reason) in table {
            let why = outcome.expect_err(reason);
            assert!(why.contains(reason), "{why}");
        }
        let floats = config(Some("bytes"), &[IMAGE], &[OUTPUT]).replacen("TYPE_UINT8", "TYPE_FP32", 1);
        assert_eq!(
            Contract::parse(floats.as_bytes()),
            Err(Failure::BadInput("input image must be TYPE_UINT8, and is \"TYPE_FP32\"".to_owned()))
        );
        for broken in ["", "{", "[]", "null", "{\"input\": 7}", "{\"input\": [{}]}"] {
            assert!(Contract::parse(broken.as_bytes()).is_err(), "{broken}");
        }
    }

    #[test]
    fn sizes_may_be_texts() {
        let config = config(Some("bytes"), &[("image", [64, 64, 3])], &[OUTPUT]).replace("64", "\"64\"");
        assert_eq!(Contract::parse(config.as_bytes()).unwrap().inputs[0].side, Some(64));
    }
}
