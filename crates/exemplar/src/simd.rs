//! Which instructions the search is compiled for.

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
