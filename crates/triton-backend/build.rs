//! Link options of the backend.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // The threads of rayon's pool outlive the last model, so the code they run must not be unloaded with it.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
    // Triton's functions are resolved by the program that loads the backend.
    println!("cargo:rustc-cdylib-link-arg=-Wl,--unresolved-symbols=ignore-all");
}
