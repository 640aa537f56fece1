//! The component: named by the user, built from its sources, or as it came with the
//! package.
//!
//! What is built is the same whatever the outer build is: always its own profile,
//! never the outer flags and wrappers, and one target folder for all outer profiles,
//! so that it is built once.

use std::env;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{named, variable};

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

/// Where the component is.
pub(crate) fn find(package: &Path, out: &Path) -> Result<PathBuf, Box<dyn Error>> {
    if let Some(file) = named("PAGEBOX_COMPONENT") {
        return Ok(file);
    }
    let workspace = package.join("..");
    let manifest = workspace.join("pager-component/Cargo.toml");
    let packaged = package.join("pager.wasm");
    if manifest.exists() {
        build(&workspace, &manifest, out)
    } else if packaged.exists() {
        Ok(packaged)
    } else {
        Err(format!(
            "there is no component at {}, and its sources are not at {}: set \
             PAGEBOX_COMPONENT to a built one",
            packaged.display(),
            workspace.join("pager-component").display()
        )
        .into())
    }
}

/// Builds the component; where it is then.
fn build(workspace: &Path, manifest: &Path, out: &Path) -> Result<PathBuf, Box<dyn Error>> {
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
        .arg(manifest)
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
