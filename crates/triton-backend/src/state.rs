//! Models and instances, from loading to unloading.

use std::ffi::c_void;
use std::path::{Path, PathBuf};
use std::ptr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::contract::Contract;
use crate::ffi;
use crate::request::{check, text};
use crate::runtime::LIBRARY;
use crate::tensor::Failure;
use crate::work::Work;

/// State shared by all instances of a model.
#[derive(Debug)]
pub struct Model {
    pub name: String,
    pub contract: Contract,
    /// The folder with its files.
    folder: PathBuf,
    library: PathBuf,
}

/// State of an instance. Triton passes it one batch at a time.
#[derive(Debug)]
pub struct Instance {
    pub model: Arc<Model>,
    work: Mutex<Work>,
}

impl Instance {
    /// Locks its work. Ignores poisoning, as a panic leaves it usable for the next request.
    pub fn work(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Parses a model's configuration and stores the result as the model's state.
///
/// # Safety
///
/// `raw` is a model that Triton is loading.
pub unsafe fn load_model(raw: *mut ffi::Model) -> Result<(), Failure> {
    // SAFETY: guaranteed by the caller, for both calls.
    let (name, contract) = unsafe { (name(raw)?, Contract::parse(&config(raw)?)?) };
    // SAFETY: as above.
    let (folder, library) = unsafe { (folder(raw)?, library(raw)?) };
    let model = Arc::new(Model { name, contract, folder, library });
    let state = Box::into_raw(Box::new(model));
    // SAFETY: `raw` is valid by the caller's guarantee; the state has the type that `unload_model` and
    // `load_instance` expect.
    check(unsafe { ffi::model_set_state(raw, state.cast::<c_void>()) }).map_err(|message| {
        // SAFETY: it was boxed above, and Triton did not take it.
        drop(unsafe { Box::from_raw(state) });
        Failure::Internal(message)
    })
}

/// Drops a model's state.
///
/// # Safety
///
/// `raw` is a model that Triton is unloading and whose instances are gone.
pub unsafe fn unload_model(raw: *mut ffi::Model) -> Result<(), Failure> {
    let mut state = ptr::null_mut();
    // SAFETY: `raw` is valid by the caller's guarantee; `state` is a local variable.
    check(unsafe { ffi::model_state(raw, &mut state) }).map_err(Failure::Internal)?;
    if !state.is_null() {
        // SAFETY: `load_model` boxed it, and a model is unloaded only once.
        drop(unsafe { Box::from_raw(state.cast::<Arc<Model>>()) });
    }
    Ok(())
}

/// Loads what an instance needs and stores it as the instance's state.
///
/// # Safety
///
/// `raw` is an instance that Triton is loading, of a model that [`load_model`] was called with.
pub unsafe fn load_instance(raw: *mut ffi::Instance) -> Result<(), Failure> {
    let (mut model, mut state) = (ptr::null_mut(), ptr::null_mut());
    // SAFETY: `raw` is valid by the caller's guarantee; `model` is only used once set; both are local
    // variables.
    check(unsafe { ffi::instance_model(raw, &mut model) })
        .and_then(|()| check(unsafe { ffi::model_state(model, &mut state) }))
        .map_err(Failure::Internal)?;
    // SAFETY: null, or boxed by `load_model` and alive until the model is unloaded.
    let model = unsafe { state.cast::<Arc<Model>>().as_ref() };
    let model = model.ok_or_else(|| Failure::Internal("the model has no state".to_owned()))?;
    let work = Work::load(&model.contract, &model.folder, &model.library)?;
    // Loading takes more than twice the size of the graph.
    work.rest();
    let state = Box::into_raw(Box::new(Instance { model: Arc::clone(model), work: Mutex::new(work) }));
    // SAFETY: `raw` is valid by the caller's guarantee; the state has the type that `unload_instance` and
    // `instance` expect.
    check(unsafe { ffi::instance_set_state(raw, state.cast::<c_void>()) }).map_err(|message| {
        // SAFETY: it was boxed above, and Triton did not take it.
        drop(unsafe { Box::from_raw(state) });
        Failure::Internal(message)
    })
}

/// Drops an instance's state.
///
/// # Safety
///
/// `raw` is an instance that Triton is unloading and that executes nothing any more.
pub unsafe fn unload_instance(raw: *mut ffi::Instance) -> Result<(), Failure> {
    let mut state = ptr::null_mut();
    // SAFETY: `raw` is valid by the caller's guarantee; `state` is a local variable.
    check(unsafe { ffi::instance_state(raw, &mut state) }).map_err(Failure::Internal)?;
    if !state.is_null() {
        // SAFETY: `load_instance` boxed it, and an instance is unloaded only once.
        drop(unsafe { Box::from_raw(state.cast::<Instance>()) });
    }
    Ok(())
}

/// The state of an instance.
///
/// # Safety
///
/// `raw` is an instance that [`load_instance`] was called with and that is not unloaded during `'a`.
pub unsafe fn instance<'a>(raw: *mut ffi::Instance) -> Result<&'a Instance, Failure> {
    let mut state = ptr::null_mut();
    // SAFETY: `raw` is valid by the caller's guarantee; `state` is a local variable.
    check(unsafe { ffi::instance_state(raw, &mut state) }).map_err(Failure::Internal)?;
    // SAFETY: null, or boxed by `load_instance` and alive until the instance is unloaded.
    let instance = unsafe { state.cast::<Instance>().as_ref() };
    instance.ok_or_else(|| Failure::Internal("the instance has no state".to_owned()))
}

/// # Safety
///
/// `raw` is a valid model.
unsafe fn name(raw: *mut ffi::Model) -> Result<String, Failure> {
    let mut name = ptr::null();
    // SAFETY: `raw` is valid by the caller's guarantee; `name` is a local variable.
    check(unsafe { ffi::model_name(raw, &mut name) }).map_err(Failure::Internal)?;
    // SAFETY: null, or a NUL-terminated string that lives as long as the model.
    Ok(unsafe { text(name) })
}

/// A model's configuration as JSON.
///
/// # Safety
///
/// `raw` is a valid model.
unsafe fn config(raw: *mut ffi::Model) -> Result<Vec<u8>, Failure> {
    let mut message = ptr::null_mut();
    // SAFETY: `raw` is valid by the caller's guarantee; `message` is a local variable.
    check(unsafe { ffi::model_config(raw, ffi::CONFIG_VERSION, &mut message) }).map_err(Failure::Internal)?;
    let (mut start, mut bytes) = (ptr::null(), 0);
    // SAFETY: this function owns the message, which is alive; both pointers are to local variables.
    let written = check(unsafe { ffi::message_to_json(message, &mut start, &mut bytes) });
    let json = match &written {
        // SAFETY: the message holds `bytes` bytes at `start` for as long as it lives.
        Ok(()) if !start.is_null() => {
            unsafe { std::slice::from_raw_parts(start.cast::<u8>(), bytes) }.to_vec()
        }
        _ => Vec::new(),
    };
    // SAFETY: this function owns the message, and its text has been copied.
    let deleted = check(unsafe { ffi::message_delete(message) });
    written.and(deleted).map_err(Failure::Internal)?;
    Ok(json)
}

/// The folder of the model's version.
///
/// # Safety
///
/// `raw` is a valid model.
unsafe fn folder(raw: *mut ffi::Model) -> Result<PathBuf, Failure> {
    let (mut kind, mut location, mut version) = (0, ptr::null(), 0);
    // SAFETY: `raw` is valid by the caller's guarantee; the pointers are to local variables.
    check(unsafe { ffi::model_repository(raw, &mut kind, &mut location) })
        .and_then(|()| check(unsafe { ffi::model_version(raw, &mut version) }))
        .map_err(Failure::Internal)?;
    // SAFETY: null, or a NUL-terminated string that lives as long as the model.
    Ok(unsafe { path(kind, location) }?.join(version.to_string()))
}

/// Path of onnxruntime's library, beside this backend.
///
/// # Safety
///
/// `raw` is a valid model.
unsafe fn library(raw: *mut ffi::Model) -> Result<PathBuf, Failure> {
    let (mut backend, mut kind, mut location) = (ptr::null_mut(), 0, ptr::null());
    // SAFETY: `raw` is valid by the caller's guarantee; `backend` is only used once set; the pointers are to
    // local variables.
    check(unsafe { ffi::model_backend(raw, &mut backend) })
        .and_then(|()| check(unsafe { ffi::backend_artifacts(backend, &mut kind, &mut location) }))
        .map_err(Failure::Internal)?;
    // SAFETY: null, or a NUL-terminated string that lives as long as the backend.
    Ok(unsafe { path(kind, location) }?.join(LIBRARY))
}

/// # Safety
///
/// `location` is null or a NUL-terminated string.
unsafe fn path(kind: std::ffi::c_uint, location: *const std::ffi::c_char) -> Result<PathBuf, Failure> {
    if kind != ffi::ARTIFACT_FILESYSTEM {
        return Err(Failure::Unsupported("files are read from a file system only".to_owned()));
    }
    // SAFETY: guaranteed by the caller.
    Ok(Path::new(&unsafe { text(location) }).to_owned())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::TRITONBACKEND_ModelInstanceExecute;
    use crate::double::{FakeInput, FakeModel, FakeRequest, Sent};
    use crate::samples::{config, noise, onnx};

    const OUTPUT: (&str, [i64; 3]) = ("output", [-1, -1, 3]);

    /// A model folder whose version 1 has these files.
    fn folder(files: &[(&str, Vec<u8>)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("1")).unwrap();
        for (name, bytes) in files {
            fs::write(folder.path().join("1").join(name), bytes).unwrap();
        }
        folder
    }

    /// A model that takes `image` and has these byte graphs.
    fn load(files: &[(&str, Vec<u8>)]) -> Result<Box<FakeModel>, (u32, String)> {
        FakeModel::load(config(Some("bytes"), &[("image", [-1, -1, 3])], &[OUTPUT]), folder(files).path())
    }

    fn load_isnet(file: Vec<u8>) -> Result<Box<FakeModel>, (u32, String)> {
        let (image, alpha) = (("image", [1024, 1024, 3]), ("alpha", [1024, 1024, 1]));
        FakeModel::load(config(Some("isnet"), &[image], &[alpha]), folder(&[("model.onnx", file)]).path())
    }

    fn refused(outcome: Result<Box<FakeModel>, (u32, String)>) -> (u32, String) {
        outcome.err().expect("it was loaded")
    }

    fn ask(model: &FakeModel, shape: [i64; 4], bytes: Vec<u8>) -> Sent {
        let request =
            FakeRequest { inputs: vec![FakeInput::new("image", &shape, bytes)], ..FakeRequest::default() };
        // SAFETY: the fake request and instance are alive.
        let error = unsafe { TRITONBACKEND_ModelInstanceExecute(model.as_ptr(), &request.as_ptr(), 1) };
        assert!(error.is_null());
        assert_eq!(request.released.get(), 1);
        request.sent.take().pop().unwrap()
    }

    /// The value of the answer to a picture of constant value, checked to be constant too.
    fn value(model: &FakeModel, side: i64) -> Result<u8, String> {
        match ask(model, [1, side, side, 3], vec![50; (side * side * 3) as usize]) {
            Sent::Output { name, shape, bytes } => {
                assert_eq!((&name[..], &shape[..]), ("output", &[1, side, side, 3][..]));
                assert!(
                    bytes.iter().all(|byte| *byte == bytes[0]) && bytes.len() == (side * side * 3) as usize
                );
                Ok(bytes[0])
            }
            Sent::Error { code, message } => Err(format!("{code} {message}")),
        }
    }

    fn any_side(marker: u64, sides: &str) -> Vec<u8> {
        onnx::raise([1, onnx::OPEN, onnx::OPEN, 3], marker, sides)
    }

    #[test]
    fn the_graph_of_the_side_answers_and_another_where_there_is_none() {
        let model = load(&[
            ("model.onnx", any_side(9, "")),
            ("model_16.onnx", onnx::raise([1, 16, 16, 3], 1, "")),
            ("model_32.onnx", onnx::raise([onnx::OPEN, 32, 32, 3], 2, "")),
            ("model_x.onnx", b"not read".to_vec()),
        ])
        .unwrap();
        assert_eq!([16, 32, 24].map(|side| value(&model, side)), [Ok(51), Ok(52), Ok(59)]);
    }

    #[test]
    fn a_side_without_a_graph_is_refused_with_the_sides_there_are() {
        let each = load(&[
            ("model_16.onnx", onnx::raise([1, 16, 16, 3], 1, "")),
            ("model_32.onnx", onnx::raise([1, 32, 32, 3], 1, "")),
        ]);
        let named = load(&[("model.onnx", any_side(1, "16,32"))]);
        for model in [each.unwrap(), named.unwrap()] {
            assert_eq!(value(&model, 32), Ok(51));
            let why = "3 double: the image has side 24, but the model serves only 16, 32";
            assert_eq!(value(&model, 24), Err(why.to_owned()));
        }
    }

    #[test]
    fn pictures_of_a_batch_are_answered_as_alone() {
        let model = load(&[("model.onnx", any_side(7, ""))]).unwrap();
        let bytes = noise(3 * 8 * 8 * 3, 1);
        let Sent::Output { shape, bytes: answer, .. } = ask(&model, [3, 8, 8, 3], bytes.clone()) else {
            panic!()
        };
        assert_eq!(
            (shape, answer),
            (vec![3, 8, 8, 3], bytes.iter().map(|byte| byte.wrapping_add(7)).collect())
        );
    }

    #[test]
    fn a_graph_that_fails_answers_so_and_the_next_request_is_answered() {
        let model =
            load(&[("model.onnx", onnx::failing()), ("model_8.onnx", onnx::raise([1, 8, 8, 3], 1, ""))])
                .unwrap();
        let why = value(&model, 16).unwrap_err();
        assert!(why.starts_with("1 double failed: ") && why.contains("Reshape"), "{why}");
        assert_eq!(value(&model, 8), Ok(51));
    }

    #[test]
    fn isnet_is_given_numbers_and_gives_bytes() {
        let model = load_isnet(onnx::mean(3)).unwrap();
        let pixel = [255_u8, 255, 129];
        let Sent::Output { name, shape, bytes } = ask(&model, [1, 1024, 1024, 3], pixel.repeat(1 << 20))
        else {
            panic!()
        };
        assert_eq!((&name[..], shape), ("alpha", vec![1, 1024, 1024, 1]));
        // The mean of 127, 127 and 1, in 256ths.
        assert!(bytes.iter().all(|byte| *byte == 85) && bytes.len() == 1 << 20);
        let Sent::Error { code, message } = ask(&model, [1, 512, 512, 3], vec![0; 512 * 512 * 3]) else {
            panic!()
        };
        assert_eq!((code, &message[..]), (3, "double: image must have side 1024, got 512"));
    }

    #[test]
    fn a_model_that_cannot_be_served_is_not_loaded_and_says_why() {
        let table = [
            (load(&[]), "1 holds neither model.onnx nor model_<side>.onnx"),
            (load(&[("other.onnx", any_side(1, ""))]), "holds neither"),
            (load(&[("model.onnx", b"not a graph".to_vec())]), "model.onnx: "),
            (
                load(&[("model.onnx", onnx::mean(3))]),
                "model.onnx: the graph takes {\"input\"}, not {\"image\"}",
            ),
            (
                load(&[("model.onnx", onnx::raise([1, onnx::OPEN, onnx::OPEN, 1], 1, ""))]),
                "image has the shape [1, -1, -1, 1]",
            ),
            (
                load(&[("model.onnx", onnx::raise([2, onnx::OPEN, onnx::OPEN, 3], 1, ""))]),
                "image has the shape [2, -1, -1, 3], not [1, side, side, 3]",
            ),
            (
                load(&[("model_16.onnx", onnx::raise([1, 24, 24, 3], 1, ""))]),
                "image has the shape [1, 24, 24, 3], not [1, 16, 16, 3]",
            ),
            (load(&[("model.onnx", any_side(1, "16,many"))]), "its metadata names the sides \"16,many\""),
            (load_isnet(onnx::mean(4)), "input has the shape [1, 4, 1024, 1024]"),
            (load_isnet(any_side(1, "")), "the graph takes {\"image\"}, not {\"input\"}"),
        ];
        for (outcome, reason) in table {
            let (code, why) = refused(outcome);
            assert!(code == 3 && why.contains(reason), "{code} {why}, not {reason}");
        }
        let bytes = config(Some("bytes"), &[("image", [-1, -1, 3])], &[("alpha", [-1, -1, 1])]);
        let files = folder(&[("model.onnx", any_side(1, ""))]);
        let (code, why) = refused(FakeModel::load(bytes.clone(), files.path()));
        assert!(code == 3 && why.contains("the graph has no \"alpha\", but [\"output\"]"), "{code} {why}");
        let (code, why) = refused(FakeModel::load(bytes, Path::new("/nowhere")));
        assert!(code == 3 && why.contains("/nowhere/1: No such file"), "{code} {why}");
        let (code, why) = refused(FakeModel::load("{}".to_owned(), files.path()));
        assert!(code == 3 && why.contains("one output is served, not 0"), "{code} {why}");
    }

    #[test]
    fn without_its_library_no_graph_is_loaded_and_a_model_without_graphs_is() {
        let files = folder(&[("model.onnx", any_side(1, ""))]);
        let bytes = config(Some("bytes"), &[("image", [-1, -1, 3])], &[OUTPUT]);
        let nowhere = Path::new("/nowhere");
        let (code, why) = refused(FakeModel::load_from(bytes, files.path(), nowhere, true));
        assert_eq!((code, &why[..]), (1, "/nowhere/libonnxruntime.so is missing, which runs graphs"));
        let fill = config(None, &[("image", [-1, -1, 3]), ("mask", [-1, -1, 1])], &[OUTPUT]);
        assert!(FakeModel::load_from(fill, nowhere, nowhere, true).is_ok());
    }

    #[test]
    fn a_state_that_triton_does_not_keep_is_let_go_and_said() {
        let config = config(None, &[("image", [-1, -1, 3]), ("mask", [-1, -1, 1])], &[OUTPUT]);
        let nowhere = Path::new("/nowhere");
        let (code, why) = refused(FakeModel::load_from(config, nowhere, nowhere, false));
        assert_eq!((code, &why[..]), (1, "no state is kept"));
    }
}
