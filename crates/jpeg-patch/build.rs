//! Compiles the C shim between this crate and libjpeg-turbo, which turbojpeg-sys builds.

use std::{env, error::Error};

const SHIM: &str = "src/shim.c";
const TABLES: &str = "src/tables.h";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed={SHIM}");
    println!("cargo:rerun-if-changed={TABLES}");
    let include = env::var("DEP_TURBOJPEG_INCLUDE")?;
    cc::Build::new()
        .file(SHIM)
        .includes(include.split(','))
        .std("c11")
        .opt_level(2)
        .extra_warnings(true)
        .compile("jpeg_patch");
    Ok(())
}
