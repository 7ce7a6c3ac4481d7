//! Link options of the backend.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // Threads of rayon's pool live as long as the process: the code they run must not be unloaded
    // with the last model.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
    // Triton's functions are in the program that loads the backend.
    println!("cargo:rustc-cdylib-link-arg=-Wl,--unresolved-symbols=ignore-all");
}
