//! Compiles `proto/inference.proto` with protox, so that no `protoc` is needed on the machine.

use std::{env, error::Error, fs, path::Path};

const PROTO: &str = "proto/inference.proto";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed={PROTO}");
    let descriptors = protox::compile([PROTO], ["proto"])?;
    let out = env::var("OUT_DIR")?;

    tonic_prost_build::configure()
        .build_server(false)
        .bytes(".")
        .codec_path("crate::triton::codec::Codec")
        .compile_fds(descriptors.clone())?;

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
