//! Compiles `proto/inference.proto` with protox, so that no `protoc` is needed on the machine, and the
//! C shim between the gateway and libjpeg-turbo.

use std::{env, error::Error, fs, path::Path};

const PROTO: &str = "proto/inference.proto";
const SHIM: &str = "src/picture/jpeg/shim.c";
const TABLES: &str = "src/picture/jpeg/tables.h";

fn main() -> Result<(), Box<dyn Error>> {
    protocol()?;
    jpeg()
}

fn jpeg() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed={SHIM}");
    println!("cargo:rerun-if-changed={TABLES}");
    let include = env::var("DEP_TURBOJPEG_INCLUDE")?;
    cc::Build::new()
        .file(SHIM)
        .includes(include.split(','))
        .std("c11")
        .opt_level(2)
        .extra_warnings(true)
        .compile("lacuna_jpeg");
    Ok(())
}

fn protocol() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed={PROTO}");
    let descriptors = protox::compile([PROTO], ["proto"])?;
    let out = env::var("OUT_DIR")?;

    tonic_prost_build::configure().build_server(false).bytes(".").compile_fds(descriptors.clone())?;

    // The tests answer as Triton does from a server of their own; the gateway has no use for it.
    let stand_in = Path::new(&out).join("stand_in");
    fs::create_dir_all(&stand_in)?;
    tonic_prost_build::configure()
        .build_client(false)
        .bytes(".")
        .out_dir(stand_in)
        .compile_fds(descriptors)?;
    Ok(())
}
