//! Executes batches; each request is answered independently of the others.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use rustix::time::{ClockId, clock_gettime};

use crate::ffi;
use crate::request::{Request, check, log_error};
use crate::state::{self, Instance};
use crate::tensor::{Failure, Output};

/// Timestamps of an execution, in nanoseconds of the clock that Triton uses.
#[derive(Clone, Copy, Debug)]
struct Times {
    started: u64,
    compute_started: u64,
    compute_ended: u64,
    ended: u64,
}

/// Answers and releases all requests.
///
/// # Safety
///
/// `instance` is the instance that Triton passed the requests to.
pub unsafe fn execute(instance: *mut ffi::Instance, requests: Vec<Request>) {
    // SAFETY: guaranteed by the caller; Triton does not unload an instance while it executes.
    let loaded = unsafe { state::instance(instance) };
    let mut all: Option<(u64, Times)> = None;
    for request in requests {
        let (windows, times, success) = answer(&loaded, &request);
        // SAFETY: `instance` is valid by the caller's guarantee; the request has not been released.
        let reported = check(unsafe {
            ffi::report_statistics(
                instance,
                request.as_ptr(),
                success,
                times.started,
                times.compute_started,
                times.compute_ended,
                times.ended,
            )
        });
        log_failed("statistics", reported);
        let earlier = all.unwrap_or((0, times));
        let whole = Times { compute_ended: times.compute_ended, ended: times.ended, ..earlier.1 };
        all = Some((earlier.0 + windows, whole));
    }
    if let Some((windows, times)) = all.filter(|(windows, _)| *windows > 0) {
        // SAFETY: `instance` is valid by the caller's guarantee.
        let reported = check(unsafe {
            ffi::report_batch_statistics(
                instance,
                windows,
                times.started,
                times.compute_started,
                times.compute_ended,
                times.ended,
            )
        });
        log_failed("statistics of a batch", reported);
    }
    // Only after all responses are sent, so that nobody waits for it.
    if let Ok(instance) = loaded {
        instance.work().rest();
    }
}

/// Answers one request. Returns the number of its pictures, the times, and whether it succeeded.
fn answer(loaded: &Result<&Instance, Failure>, request: &Request) -> (u64, Times, bool) {
    let started = now();
    let mut compute_started = started;
    let mut pictures = 0;
    let outcome = loaded.clone().and_then(|instance| {
        caught(|| output(instance, request, &mut compute_started, &mut pictures))
            .map_err(|failure| named(&instance.model.name, failure))
    });
    let compute_ended = now();
    let name = loaded.as_ref().map_or(c"", |instance| &instance.model.contract.output.name);
    let sent = request.respond(name, outcome);
    if let Err(Failure::Internal(message)) = &sent {
        log_error(message);
    }
    let times = Times { started, compute_started, compute_ended, ended: now() };
    (pictures, times, sent.is_ok())
}

fn output(
    instance: &Instance,
    request: &Request,
    compute_started: &mut u64,
    pictures: &mut u64,
) -> Result<Output, Failure> {
    let contract = &instance.model.contract;
    let read = contract.inputs.iter().map(|port| request.tensor(&port.name)).collect::<Result<Vec<_>, _>>();
    *compute_started = now();
    instance.work().answer(contract, &read?, |count| *pictures = count as u64)
}

/// Turns a panic into an internal failure, since unwinding must not reach C code.
pub fn caught<T>(work: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    // Any state that a panic leaves inconsistent belongs to this request alone.
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|panic| Err(Failure::Internal(panic_message(&*panic))))
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref().copied()).unwrap_or("a panic without a message").to_owned()
}

/// Prefixes a failure with the model's name, as callers use several.
fn named(model: &str, failure: Failure) -> Failure {
    match failure {
        Failure::BadInput(why) => Failure::BadInput(format!("{model}: {why}")),
        Failure::Unsupported(why) => Failure::Unsupported(format!("{model}: {why}")),
        Failure::Internal(why) => Failure::Internal(format!("{model} failed: {why}")),
    }
}

fn log_failed(what: &str, result: Result<(), String>) {
    if let Err(message) = result {
        log_error(&format!("{what}: {message}"));
    }
}

/// `CLOCK_MONOTONIC` in nanoseconds, which is C++'s steady clock.
fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::TRITONBACKEND_ModelInstanceExecute;
    use crate::double::{FakeInput, FakeModel, FakeRequest, Sent};
    use crate::samples::{config, noise};

    /// A request with windows of 256 pixels a side without holes, which come back unchanged.
    fn request(windows: i64) -> FakeRequest {
        let pixels = windows as usize * 256 * 256;
        let image = FakeInput::new("image", &[windows, 256, 256, 3], noise(pixels * 3, 1));
        let mask = FakeInput::new("mask", &[windows, 256, 256, 1], vec![0; pixels]);
        FakeRequest { inputs: vec![image, mask], ..FakeRequest::default() }
    }

    /// Executes the requests as one batch of the model without a graph. Returns the reported batch sizes.
    fn executed(requests: &[&FakeRequest]) -> Vec<u64> {
        let (image, mask, output) = (("image", [-1, -1, 3]), ("mask", [-1, -1, 1]), ("output", [-1, -1, 3]));
        let config = config(None, &[image, mask], &[output]);
        executed_by(&FakeModel::load(config, Path::new("/nowhere")).unwrap(), requests)
    }

    fn executed_by(model: &FakeModel, requests: &[&FakeRequest]) -> Vec<u64> {
        let pointers: Vec<_> = requests.iter().map(|request| request.as_ptr()).collect();
        // SAFETY: the fake requests and instance are alive.
        let error = unsafe {
            TRITONBACKEND_ModelInstanceExecute(model.as_ptr(), pointers.as_ptr(), pointers.len() as u32)
        };
        assert!(error.is_null());
        for request in requests {
            assert_eq!(request.released.get(), 1, "each is released once");
            assert_eq!(request.statistics.borrow().len(), 1, "each is counted once");
        }
        model.batches.take()
    }

    fn answered(request: &FakeRequest) -> bool {
        let sent = request.sent.borrow();
        let [Sent::Output { name, shape, bytes }] = &sent[..] else { return false };
        assert_eq!((&name[..], shape), ("output", &request.inputs[0].shape));
        assert_eq!(bytes, &request.inputs[0].parts.concat());
        let (success, times) = request.statistics.borrow()[0];
        success && times[0] > 0 && times.is_sorted()
    }

    fn refused(request: &FakeRequest) -> (u32, String) {
        let sent = request.sent.borrow();
        let [Sent::Error { code, message }] = &sent[..] else { panic!("{sent:?}") };
        assert!(!request.statistics.borrow()[0].0, "it is no success");
        (*code, message.clone())
    }

    #[test]
    fn requests_of_any_size_are_answered_together() {
        let (one, three) = (request(1), request(3));
        assert_eq!(executed(&[&one, &three]), [4]);
        assert!(answered(&one) && answered(&three));
    }

    #[test]
    fn an_input_in_several_buffers_is_joined() {
        let mut request = request(1);
        let bytes = request.inputs[0].parts[0].clone();
        request.inputs[0].parts = vec![bytes[..1000].to_vec(), vec![], bytes[1000..].to_vec()];
        executed(&[&request]);
        assert!(answered(&request));
    }

    #[test]
    fn memory_of_the_host_is_used_and_that_of_a_gpu_refused() {
        let (mut pinned, mut image, mut output) = (request(1), request(1), request(1));
        (pinned.inputs[0].memory, pinned.output_memory) = (1, 1);
        image.inputs[0].memory = 2;
        output.output_memory = 2;
        executed(&[&pinned, &image, &output]);
        assert!(answered(&pinned));
        assert_eq!(
            refused(&image),
            (5, "double: image is in the memory of a GPU, only the host's is read".into())
        );
        assert_eq!(refused(&output).0, 5);
    }

    #[test]
    fn what_is_wrong_with_a_request_touches_no_other() {
        let (good, mut missing, mut kind, mut shape, mut short, mut empty) =
            (request(1), request(1), request(1), request(1), request(1), request(1));
        missing.inputs.pop();
        kind.inputs[0].kind = 11;
        shape.inputs[1].shape[2] = 257;
        short.inputs[0].parts[0].pop();
        empty.inputs[1].parts.clear();
        executed(&[&missing, &kind, &shape, &short, &empty, &good]);
        for (request, why) in [
            (missing, "double: input mask is missing: no such input"),
            (kind, "double: image must be UINT8"),
            (shape, "double: mask is 256x257, image 256x256"),
            (short, "double: image has 196607 bytes, not those of its shape"),
            (empty, "double: mask has 0 bytes, not those of its shape"),
        ] {
            assert_eq!(refused(&request), (3, why.to_owned()));
        }
        assert!(answered(&good));
    }

    #[test]
    fn a_request_that_no_response_can_be_made_for_is_released() {
        let (mut broken, good) = (request(1), request(1));
        broken.broken = true;
        executed(&[&broken, &good]);
        assert!(broken.sent.borrow().is_empty() && !broken.statistics.borrow()[0].0);
        assert!(answered(&good));
    }

    #[test]
    fn a_panic_is_an_internal_failure_with_its_message() {
        let number = 7;
        let outcomes: [(Result<(), _>, _); 3] = [
            (caught(|| panic!("plain")), "plain"),
            (caught(|| panic!("number {number}")), "number 7"),
            (caught(|| std::panic::panic_any(7)), "a panic without a message"),
        ];
        for (outcome, message) in outcomes {
            assert_eq!(outcome, Err(Failure::Internal(message.to_owned())));
        }
    }
}
