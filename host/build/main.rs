//! Leaves the component in `OUT_DIR`, and what it is as machine code: `pager.wasm`,
//! and `ample.cwasm` and `tight.cwasm`, which differ in how much of the address
//! space an instance takes.
//!
//! The component is built where its sources are, and comes with the package
//! elsewhere; `PAGEBOX_COMPONENT=FILE` names another. The machine code is compiled
//! here, for the target, or taken from the folder that `PAGEBOX_PRECOMPILED` names.

mod code;
mod component;

use std::env;
use std::error::Error;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("cargo::error={error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let out = PathBuf::from(variable("OUT_DIR")?);
    let package = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
    let component = component::find(&package, &out)?;
    let wasm = read(&component)?;
    let target = variable("TARGET")?;
    code::make(&wasm, &target.to_string_lossy(), &package, &out)?;
    fs::write(out.join("pager.wasm"), wasm)?;
    Ok(())
}

/// Reads what the build depends on.
fn read(file: &Path) -> Result<Vec<u8>, String> {
    println!("cargo::rerun-if-changed={}", file.display());
    fs::read(file).map_err(|error| format!("cannot read {}: {error}", file.display()))
}

fn variable(name: &str) -> Result<OsString, String> {
    env::var_os(name).ok_or_else(|| format!("{name} is not set: this is run by cargo"))
}

/// A file or folder that the user may name; the build depends on what is said.
fn named(name: &str) -> Option<PathBuf> {
    println!("cargo::rerun-if-env-changed={name}");
    env::var_os(name).map(PathBuf::from)
}
