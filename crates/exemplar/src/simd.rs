//! Which instructions the inner loops are compiled for.

/// A set of instructions. What is found is the same with each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Set {
    /// 512-bit registers with operations on bytes.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// 256-bit registers.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// What every processor of the kind has.
    Portable,
}

impl Set {
    /// The sets that this processor has, the widest first.
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

/// Defines a function that runs another, which must be `inline(always)`, compiled for the instructions of a
/// set. A closure would do without a macro, but is compiled without the instructions of what calls it.
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
                    // SAFETY: the set is one that the processor has.
                    unsafe { with($($input),+) }
                }
                #[cfg(target_arch = "x86_64")]
                crate::simd::Set::Avx2 => {
                    #[target_feature(enable = "avx2,bmi2")]
                    fn with($($input: $kind),+) $(-> $output)? {
                        $work($($input),+)
                    }
                    // SAFETY: the set is one that the processor has.
                    unsafe { with($($input),+) }
                }
                crate::simd::Set::Portable => $work($($input),+),
            }
        }
    };
}
pub(crate) use for_each_set;
