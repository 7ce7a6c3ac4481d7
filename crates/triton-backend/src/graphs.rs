//! The ONNX graphs of one model folder: checked when loaded, run on the CPU.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::fs;
use std::path::{Path, PathBuf};

use ort::environment::Environment;
use ort::ep;
use ort::session::{OutputSelector, RunOptions, Session, SessionInputValue};
use ort::value::{Outlet, PrimitiveTensorElementType, TensorElementType, TensorRef, ValueType};

use crate::tensor::Failure;

/// The graph for all sides without one of their own.
const ANY_SIDE: &str = "model.onnx";
/// Metadata key of that graph which lists the sides it serves, comma-separated; without it, all.
const SIDES: &str = "sides";

/// A tensor that a graph must have: its name and sizes, with [`Size::Side`] for the picture's side.
#[derive(Clone, Debug)]
pub struct Slot {
    pub name: String,
    pub sizes: [Size; 4],
}

/// One size of a tensor.
#[derive(Clone, Copy, Debug)]
pub enum Size {
    Is(usize),
    Side,
}

impl Slot {
    /// The shape for a picture of this side.
    fn shape(&self, side: usize) -> [i64; 4] {
        self.sizes.map(|size| match size {
            Size::Is(size) => size as i64,
            Size::Side => side as i64,
        })
    }
}

/// The graphs of a folder.
///
/// A folder holds `model.onnx`, which serves all sides without a graph of their own, or one graph per side
/// (`model_256.onnx` to `model_1024.onnx`), or both. If `model.onnx` lists sides in its metadata, it serves
/// no others: LaMa's contains matrices for those sides only.
#[derive(Debug)]
pub struct Graphs {
    inputs: Vec<Slot>,
    output: Slot,
    any_side: Option<Session>,
    named_sides: BTreeSet<usize>,
    by_side: BTreeMap<usize, Session>,
}

impl Graphs {
    /// Loads the graphs of `folder`. All must take `inputs` and return `output`, with elements of type `T`.
    pub fn load<T: PrimitiveTensorElementType>(
        folder: &Path,
        environment: &Environment,
        inputs: Vec<Slot>,
        output: Slot,
    ) -> Result<Self, Failure> {
        let mut graphs =
            Self { inputs, output, any_side: None, named_sides: BTreeSet::new(), by_side: BTreeMap::new() };
        for (file, side) in files(folder)? {
            let session = session(&file, environment)
                .map_err(|error| Failure::BadInput(format!("{}: {error}", file.display())))?;
            graphs
                .check(&session, T::into_tensor_element_type(), side)
                .map_err(|why| Failure::BadInput(format!("{}: {why}", file.display())))?;
            if let Some(side) = side {
                graphs.by_side.insert(side, session);
            } else {
                graphs.named_sides = named_sides(&session)
                    .map_err(|why| Failure::BadInput(format!("{}: {why}", file.display())))?;
                graphs.any_side = Some(session);
            }
        }
        if graphs.any_side.is_none() && graphs.by_side.is_empty() {
            let folder = folder.display();
            return Err(Failure::BadInput(format!(
                "{folder} holds neither {ANY_SIDE} nor model_<side>.onnx"
            )));
        }
        Ok(graphs)
    }

    /// Runs one picture. `inputs` are in the order of the slots, with the layout of their sizes.
    pub fn run<T>(&mut self, side: usize, inputs: &[&[T]]) -> Result<Vec<T>, Failure>
    where
        T: PrimitiveTensorElementType + Clone + Debug + 'static,
    {
        // An unsupported side is the caller's mistake.
        if !self.serves(side) {
            let known: BTreeSet<_> = self.named_sides.iter().chain(self.by_side.keys()).collect();
            let sides = known.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            return Err(Failure::BadInput(format!(
                "the image has side {side}, but the model serves only {sides}"
            )));
        }
        let Self { inputs: slots, output, any_side, by_side, .. } = self;
        let session = by_side.get_mut(&side).or(any_side.as_mut());
        let session = session.expect("what is served has a graph. This is a bug.");
        answer(session, slots, output, side, inputs)
    }

    fn serves(&self, side: usize) -> bool {
        let unnamed = self.any_side.is_some() && self.named_sides.is_empty();
        unnamed || self.named_sides.contains(&side) || self.by_side.contains_key(&side)
    }

    /// Explains why a graph does not fit pictures of `side`, or of every side if `None`.
    fn check(&self, session: &Session, kind: TensorElementType, side: Option<usize>) -> Result<(), String> {
        let taken: BTreeSet<_> = session.inputs().iter().map(Outlet::name).collect();
        let wanted: BTreeSet<_> = self.inputs.iter().map(|slot| slot.name.as_str()).collect();
        if taken != wanted {
            return Err(format!("the graph takes {taken:?}, not {wanted:?}"));
        }
        for slot in &self.inputs {
            fits(session.inputs(), slot, kind, side)?;
        }
        fits(session.outputs(), &self.output, kind, side)
    }
}

/// The graph files of a folder, with the side in their name, if any.
fn files(folder: &Path) -> Result<Vec<(PathBuf, Option<usize>)>, Failure> {
    let unreadable = |error| Failure::BadInput(format!("{}: {error}", folder.display()));
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name == ANY_SIDE {
            found.push((path.clone(), None));
        } else if let Some(digits) = name.strip_prefix("model_").and_then(|name| name.strip_suffix(".onnx"))
            && let Ok(side) = digits.parse()
        {
            found.push((path.clone(), Some(side)));
        }
    }
    found.sort();
    Ok(found)
}

fn session(file: &Path, environment: &Environment) -> ort::Result<Session> {
    // Without an arena, memory is released after each run; with one, IS-Net keeps 2.2 GB forever.
    let processor = ep::CPU::default().with_arena_allocator(false).build();
    let session = Session::builder(environment)?
        .with_execution_providers([processor])?
        .with_memory_pattern(false)?
        .commit_from_file(file)?;
    Ok(session)
}

fn named_sides(session: &Session) -> Result<BTreeSet<usize>, String> {
    let metadata = session.metadata().map_err(|error| error.to_string())?;
    let named = metadata.custom(SIDES).unwrap_or_default();
    let sides = named.split(',').map(str::trim).filter(|side| !side.is_empty());
    sides.map(|side| side.parse().map_err(|_| format!("its metadata names the sides {named:?}"))).collect()
}

/// Checks that a graph has the tensor `slot`.
fn fits(tensors: &[Outlet], slot: &Slot, kind: TensorElementType, side: Option<usize>) -> Result<(), String> {
    let name = &slot.name;
    let Some(tensor) = tensors.iter().find(|tensor| tensor.name() == name) else {
        let found: Vec<_> = tensors.iter().map(Outlet::name).collect();
        return Err(format!("the graph has no {name:?}, but {found:?}"));
    };
    let ValueType::Tensor { ty, shape, .. } = tensor.dtype() else {
        return Err(format!("{name} is no tensor"));
    };
    if *ty != kind {
        return Err(format!("{name} is {ty}, not {kind}"));
    }
    // Dynamic sizes are -1; if the rank is dynamic, there are no sizes at all.
    let fits = |(found, size): (&i64, &Size)| match (size, side) {
        _ if *found < 0 => true,
        (Size::Is(size), _) => usize::try_from(*found) == Ok(*size),
        (Size::Side, Some(side)) => usize::try_from(*found) == Ok(side),
        (Size::Side, None) => true,
    };
    let as_many = shape.is_empty() || shape.len() == slot.sizes.len();
    if !as_many || !shape.iter().zip(&slot.sizes).all(fits) {
        let wanted = slot.sizes.map(|size| match size {
            Size::Is(size) => size.to_string(),
            Size::Side => side.map_or_else(|| "side".to_owned(), |side| side.to_string()),
        });
        return Err(format!("{name} has the shape {:?}, not [{}]", &shape[..], wanted.join(", ")));
    }
    Ok(())
}

fn answer<T>(
    session: &mut Session,
    slots: &[Slot],
    output: &Slot,
    side: usize,
    inputs: &[&[T]],
) -> Result<Vec<T>, Failure>
where
    T: PrimitiveTensorElementType + Clone + Debug + 'static,
{
    let failed = |error: ort::Error| Failure::Internal(error.to_string());
    let mut named = Vec::with_capacity(inputs.len());
    for (slot, input) in slots.iter().zip(inputs) {
        let tensor = TensorRef::from_array_view((slot.shape(side), *input)).map_err(failed)?;
        named.push((slot.name.as_str(), SessionInputValue::from(tensor)));
    }
    let wanted = OutputSelector::no_default().with(&output.name);
    let options = RunOptions::new().map_err(failed)?.with_outputs(wanted);
    let answers = session.run_with_options(named, &options).map_err(failed)?;
    let answer = answers.get(&output.name).ok_or_else(|| Failure::Internal("no output".to_owned()))?;
    let (shape, values) = answer.try_extract_tensor::<T>().map_err(failed)?;
    if shape[..] != output.shape(side) {
        return Err(Failure::Internal(format!("the graph gave the shape {:?}", &shape[..])));
    }
    Ok(values.to_vec())
}
