//! The component as machine code: compiled here, or elsewhere and known by its sum.

use std::error::Error;
use std::fs;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::{named, read};

/// The settings that the library runs with.
#[cfg(feature = "precompile")]
#[path = "../src/config.rs"]
mod config;

const NAMES: [&str; 2] = ["ample.cwasm", "tight.cwasm"];

/// Leaves machine code of the component for a target in a folder.
pub(crate) fn make(
    wasm: &[u8],
    target: &str,
    package: &Path,
    out: &Path,
) -> Result<(), Box<dyn Error>> {
    let codes = match named("PAGEBOX_PRECOMPILED") {
        Some(folder) => known(wasm, target, package, &folder).map_err(|error| {
            format!(
                "PAGEBOX_PRECOMPILED: {error}; without that variable the feature `precompile` \
                 compiles the component here"
            )
        })?,
        None => compile(wasm, target)?,
    };
    for (name, code) in NAMES.iter().zip(codes) {
        fs::write(out.join(name), code)?;
    }
    Ok(())
}

#[cfg(feature = "precompile")]
fn compile(wasm: &[u8], target: &str) -> Result<[Vec<u8>; 2], Box<dyn Error>> {
    let compile = |room| {
        let mut config = config::config(room);
        // For any processor of this kind, not only for the one at hand.
        config.target(target)?;
        wasmtime::Engine::new(&config)?.precompile_component(wasm)
    };
    let [ample, tight] = std::thread::scope(|scope| {
        let threads = [config::Room::Ample, config::Room::Tight]
            .map(|room| scope.spawn(move || compile(room)));
        threads.map(|thread| thread.join().expect("a compiler that ends"))
    });
    let named = |error| format!("cannot compile the component: {error:#}");
    Ok([ample.map_err(named)?, tight.map_err(named)?])
}

#[cfg(not(feature = "precompile"))]
fn compile(_: &[u8], _: &str) -> Result<[Vec<u8>; 2], Box<dyn Error>> {
    Err(
        "the component has to become machine code: enable the feature `precompile`, or set \
         PAGEBOX_PRECOMPILED to the folder `precompiled` of this version's release"
            .into(),
    )
}

/// What was compiled when this package was made. It runs unchecked by any sandbox, so
/// each file has to have the sum that stands in the package.
fn known(
    wasm: &[u8],
    target: &str,
    package: &Path,
    folder: &Path,
) -> Result<[Vec<u8>; 2], Box<dyn Error>> {
    let sums = String::from_utf8(read(&package.join("precompiled.sha256"))?)?;
    let check = |name: &str, bytes: &[u8]| {
        let sum = format!("{:x}", Sha256::digest(bytes));
        match sums
            .lines()
            .filter_map(|line| line.split_once("  "))
            .find(|line| line.1 == name)
        {
            Some((known, _)) if known == sum => Ok(()),
            Some((known, _)) => Err(format!("{name} has the sum {sum}, and not {known}")),
            None => Err(format!("nothing was compiled as {name} for this version")),
        }
    };
    check("pager.wasm", wasm)?;
    let mut codes = [Vec::new(), Vec::new()];
    for (code, name) in codes.iter_mut().zip(NAMES) {
        *code = read(&folder.join(target).join(name))?;
        check(&format!("{target}/{name}"), code)?;
    }
    Ok(codes)
}
