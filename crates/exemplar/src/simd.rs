//! Which instructions the processor has.

use std::sync::OnceLock;

/// A set of instructions that the search is compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Set {
    /// 512-bit registers with operations on bytes.
    Avx512,
    /// 256-bit registers.
    Avx2,
    /// What every processor of the kind has.
    Portable,
}

/// The widest set of this processor; `EXEMPLAR_SIMD` (`avx2`, `portable`) narrows it, for comparisons.
#[cfg(target_arch = "x86_64")]
pub fn set() -> Set {
    static SET: OnceLock<Set> = OnceLock::new();
    *SET.get_or_init(|| {
        let narrowed = std::env::var("EXEMPLAR_SIMD").unwrap_or_default();
        let has = |wide: bool, narrower: &[&str]| wide && !narrower.contains(&narrowed.as_str());
        let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("bmi2");
        let avx512 = avx2
            && is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vl");
        if has(avx512, &["avx2", "portable"]) {
            Set::Avx512
        } else if has(avx2, &["portable"]) {
            Set::Avx2
        } else {
            Set::Portable
        }
    })
}
