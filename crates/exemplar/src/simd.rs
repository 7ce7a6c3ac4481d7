//! Instruction sets for which the inner loops are compiled.

/// An instruction set. Results are the same with each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Set {
    /// AVX-512 with byte operations.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// AVX2, 256-bit registers.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// The baseline of the target architecture.
    Portable,
}

impl Set {
    /// The sets that this CPU supports, widest first.
    pub fn here() -> Vec<Self> {
        let mut sets = vec![Self::Portable];
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("bmi2") {
            sets.insert(0, Self::Avx2);
            let wide = is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512vl");
            if wide {
                sets.insert(0, Self::Avx512);
            }
        }
        sets
    }
}

/// Defines a function that calls `inline(always)` code compiled for the instructions of a set. A macro,
/// because a closure would not be compiled for its caller's instructions.
macro_rules! for_each_set {
    (fn $name:ident = $work:ident($($input:ident: $kind:ty),+) $(-> $output:ty)?) => {
        fn $name(set: crate::simd::Set, $($input: $kind),+) $(-> $output)? {
            match set {
                #[cfg(target_arch = "x86_64")]
                crate::simd::Set::Avx512 => {
                    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx2,bmi2")]
                    fn with($($input: $kind),+) $(-> $output)? {
                        $work($($input),+)
                    }
                    // SAFETY: sets come from `Set::here`, which offers only what the CPU supports.
                    unsafe { with($($input),+) }
                }
                #[cfg(target_arch = "x86_64")]
                crate::simd::Set::Avx2 => {
                    #[target_feature(enable = "avx2,bmi2")]
                    fn with($($input: $kind),+) $(-> $output)? {
                        $work($($input),+)
                    }
                    // SAFETY: sets come from `Set::here`, which offers only what the CPU supports.
                    unsafe { with($($input),+) }
                }
                crate::simd::Set::Portable => $work($($input),+),
            }
        }
    };
}
pub(crate) use for_each_set;
