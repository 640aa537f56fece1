//! Builds the component, compiles it ahead of time for the target, and leaves
//! them in `OUT_DIR`: `pager.wasm`, and `ample.cwasm` and `tight.cwasm`, which
//! differ in how much of the address space an instance takes.
//!
//! The component is the same whatever the outer build is: always its own
//! profile, never the outer flags and wrappers, and one target folder for all
//! outer profiles, so that it is built once.
//!
//! `PAGEBOX_COMPONENT=FILE` takes a component from a file instead.

use std::env;
use std::error::Error;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

#[path = "src/config.rs"]
mod config;

const PACKAGE: &str = "pagebox-component";
const ARTIFACT: &str = "pagebox_component.wasm";
const TARGET: &str = "wasm32-wasip2";
/// In the workspace's manifest.
const PROFILE: &str = "component";

/// What would change the component, or break its build: flags, wrappers, and
/// what the outer cargo says to its own children.
const SCRUBBED: &[&str] = &[
    "CARGO_INCREMENTAL",
    "CARGO_MAKEFLAGS",
    "CARGO_TARGET_DIR",
    "CLIPPY_ARGS",
    "MAKEFLAGS",
    "MFLAGS",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTC_WRAPPER",
];
const SCRUBBED_PREFIXES: &[&str] = &[
    "CARGO_BUILD_",
    "CARGO_CFG_",
    "CARGO_FEATURE_",
    "CARGO_PROFILE_",
    "CARGO_TARGET_WASM32_",
];

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
    let workspace = Path::new(&variable("CARGO_MANIFEST_DIR")?).join("..");
    println!("cargo::rerun-if-changed=src/config.rs");
    println!("cargo::rerun-if-env-changed=PAGEBOX_COMPONENT");

    let component = match env::var_os("PAGEBOX_COMPONENT") {
        Some(file) => PathBuf::from(file),
        None => build(&workspace, &out)?,
    };
    println!("cargo::rerun-if-changed={}", component.display());
    let wasm = fs::read(&component)
        .map_err(|error| format!("cannot read the component {}: {error}", component.display()))?;

    let target = variable("TARGET")?;
    let compile = |room| {
        let mut config = config::config(room);
        // For any processor of this kind, not only for the one at hand.
        config.target(&target.to_string_lossy())?;
        wasmtime::Engine::new(&config)?.precompile_component(&wasm)
    };
    let compiled = std::thread::scope(|scope| {
        let threads = [config::Room::Ample, config::Room::Tight]
            .map(|room| scope.spawn(move || compile(room)));
        threads.map(|thread| thread.join().expect("a compiler that ends"))
    });
    for (name, compiled) in ["ample.cwasm", "tight.cwasm"].into_iter().zip(compiled) {
        let compiled = compiled
            .map_err(|error| format!("cannot compile {}: {error:#}", component.display()))?;
        fs::write(out.join(name), compiled)?;
    }
    fs::write(out.join("pager.wasm"), wasm)?;
    Ok(())
}

/// Builds the component; where it is then.
fn build(workspace: &Path, out: &Path) -> Result<PathBuf, Box<dyn Error>> {
    for source in [
        "Cargo.lock",
        "Cargo.toml",
        "pager-component/Cargo.toml",
        "pager-component/core/Cargo.toml",
        "pager-component/core/src",
        "pager-component/src",
        "pager-component/store/Cargo.toml",
        "pager-component/store/src",
        "wit",
    ] {
        println!(
            "cargo::rerun-if-changed={}",
            workspace.join(source).display()
        );
    }
    let manifest = workspace.join("pager-component/Cargo.toml");
    if !manifest.exists() {
        return Err(format!(
            "the sources of the component are not at {}: set PAGEBOX_COMPONENT to a built one",
            workspace.join("pager-component").display()
        )
        .into());
    }
    require_target()?;

    let target_folder = target_folder(out);
    let output = scrubbed(&variable("CARGO")?)
        .arg("build")
        .args([
            "--package",
            PACKAGE,
            "--target",
            TARGET,
            "--profile",
            PROFILE,
            "--locked",
        ])
        .arg("--manifest-path")
        .arg(&manifest)
        .arg("--target-dir")
        .arg(&target_folder)
        .output()?;
    if !output.status.success() {
        eprintln!("{}", String::from_utf8_lossy(&output.stderr));
        return Err(format!("the component {PACKAGE} does not build: see above").into());
    }
    Ok(target_folder.join(TARGET).join(PROFILE).join(ARTIFACT))
}

/// A folder beside those of the outer profiles, in the outer target folder.
fn target_folder(out: &Path) -> PathBuf {
    let outer = out
        .ancestors()
        .find(|folder| folder.join("CACHEDIR.TAG").exists());
    outer.unwrap_or(out).join(PACKAGE)
}

/// Installs the standard library for the component's target where it is
/// missing, with rustup if that is here.
fn require_target() -> Result<(), Box<dyn Error>> {
    if is_installed()? {
        return Ok(());
    }
    let toolchain = env::var_os("RUSTUP_TOOLCHAIN");
    let mut rustup = scrubbed("rustup".as_ref());
    rustup.args(["target", "add", TARGET]);
    let mut by_hand = format!("rustup target add {TARGET}");
    if let Some(toolchain) = &toolchain {
        rustup.arg("--toolchain").arg(toolchain);
        by_hand = format!("{by_hand} --toolchain {}", toolchain.to_string_lossy());
    }
    let added = rustup.output().is_ok_and(|output| output.status.success());
    if added && is_installed()? {
        return Ok(());
    }
    Err(format!("the Rust target {TARGET} is not installed: run `{by_hand}`").into())
}

fn is_installed() -> Result<bool, Box<dyn Error>> {
    let output = scrubbed(&variable("RUSTC")?)
        .args(["--print", "target-libdir", "--target", TARGET])
        .output()?;
    let folder = String::from_utf8(output.stdout)?;
    Ok(output.status.success() && Path::new(folder.trim()).is_dir())
}

/// A command that does not know of the outer build.
fn scrubbed(program: &std::ffi::OsStr) -> Command {
    let mut command = Command::new(program);
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if SCRUBBED.contains(&&*text)
            || SCRUBBED_PREFIXES
                .iter()
                .any(|prefix| text.starts_with(prefix))
        {
            command.env_remove(&name);
        }
    }
    // None, and none from anybody's cargo settings either.
    command.env("CARGO_ENCODED_RUSTFLAGS", "");
    command
}

fn variable(name: &str) -> Result<OsString, String> {
    env::var_os(name).ok_or_else(|| format!("{name} is not set: this is run by cargo"))
}
