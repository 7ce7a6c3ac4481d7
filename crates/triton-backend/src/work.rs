//! What one instance of a model runs.

use std::path::Path;

use crate::contract::{Contract, Kind, Port};
use crate::fill::Batch;
use crate::graphs::{Graphs, Size, Slot};
use crate::items::Items;
use crate::tensor::{Failure, Output, Tensor};
use crate::{isnet, runtime};

/// What is loaded for one instance.
#[derive(Debug)]
pub enum Work {
    Fill,
    Bytes(Graphs),
    IsNet(Graphs),
    #[cfg(feature = "proof")]
    Constant(crate::proof::Constant),
}

impl Work {
    /// Loads what the contract needs: graphs from `folder`, run by `library`.
    pub fn load(contract: &Contract, folder: &Path, library: &Path) -> Result<Self, Failure> {
        match &contract.kind {
            Kind::Fill => Ok(Self::Fill),
            Kind::Bytes => {
                let inputs = contract.inputs.iter().map(bytes_slot).collect();
                let environment = runtime::environment(library)?;
                Graphs::load::<u8>(folder, &environment, inputs, bytes_slot(&contract.output))
                    .map(Self::Bytes)
            }
            Kind::IsNet => {
                let [input, output] = [(isnet::INPUT, 3), (isnet::OUTPUT, 1)].map(|(name, planes)| Slot {
                    name: name.to_owned(),
                    sizes: [1, planes, isnet::SIDE, isnet::SIDE].map(Size::Is),
                });
                let environment = runtime::environment(library)?;
                Graphs::load::<f32>(folder, &environment, vec![input], output).map(Self::IsNet)
            }
            #[cfg(feature = "proof")]
            Kind::Constant(constant) => Ok(Self::Constant(constant.clone())),
        }
    }

    /// Called when idle; returns memory that graphs used.
    pub fn rest(&self) {
        if matches!(self, Self::Bytes(_) | Self::IsNet(_)) {
            runtime::give_memory_back();
        }
    }

    /// Answers one request. Calls `started` with the number of its pictures before working on them.
    pub fn answer(
        &mut self,
        contract: &Contract,
        tensors: &[Tensor<'_>],
        started: impl FnOnce(usize),
    ) -> Result<Output, Failure> {
        let graphs = match self {
            Self::Fill => {
                let [image, mask] = tensors else {
                    return Err(Failure::Internal("a fill takes two inputs. This is a bug.".to_owned()));
                };
                let batch = Batch::parse(image, mask)?;
                started(batch.count());
                return Ok(Output { shape: batch.shape(), bytes: batch.fill() });
            }
            #[cfg(feature = "proof")]
            Self::Constant(constant) => {
                let items = Items::parse(&contract.inputs, tensors)?;
                started(items.count());
                return each(contract, &items, |item| constant.answer(&contract.output, items.side(), item));
            }
            Self::Bytes(graphs) | Self::IsNet(graphs) => graphs,
        };
        let items = Items::parse(&contract.inputs, tensors)?;
        started(items.count());
        let side = items.side();
        // One by one, so that the result for one does not depend on the rest of the batch.
        if contract.kind == Kind::IsNet {
            each(contract, &items, |item| {
                graphs.run::<f32>(side, &[&isnet::planes(item[0])]).map(|values| isnet::alpha(&values))
            })
        } else {
            each(contract, &items, |item| graphs.run::<u8>(side, item))
        }
    }
}

/// Runs `answer` on each picture and concatenates the results.
fn each(
    contract: &Contract,
    items: &Items<'_>,
    mut answer: impl FnMut(&[&[u8]]) -> Result<Vec<u8>, Failure>,
) -> Result<Output, Failure> {
    let (side, channels) = (items.side(), contract.output.channels);
    let mut bytes = Vec::with_capacity(items.count() * side * side * channels);
    for item in items.each() {
        bytes.extend_from_slice(&answer(&item)?);
    }
    Ok(Output { shape: [items.count(), side, side, channels].map(|size| size as i64), bytes })
}

/// The tensor of a byte graph that corresponds to a port.
fn bytes_slot(port: &Port) -> Slot {
    let side = port.side.map_or(Size::Side, Size::Is);
    Slot { name: port.text().to_owned(), sizes: [Size::Is(1), side, side, Size::Is(port.channels)] }
}
