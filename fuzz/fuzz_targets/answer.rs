//! A message that claims to be Triton's answer: taken only with the name, type, shape and length agreed.
#![no_main]

use lacuna::triton::check_answer;
use libfuzzer_sys::fuzz_target;

const SHAPE: [usize; 4] = [1, 4, 4, 3];

fuzz_target!(|message: &[u8]| {
    if let Ok(output) = check_answer(message, "output", SHAPE) {
        assert_eq!(output.len(), SHAPE.iter().product::<usize>());
    }
});
