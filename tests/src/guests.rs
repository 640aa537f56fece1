//! Building the guests of tests: components in Rust, each a workspace of its own.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Builds a guest, whatever the outer build is, and returns its component.
///
/// `manifest` is the folder of its `Cargo.toml`, `target` one for what the build
/// leaves, `name` what the component is called, without `.wasm`.
///
/// # Panics
/// Where it does not build.
pub fn build(manifest: &Path, target: &Path, name: &str) -> PathBuf {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut cargo = Command::new(cargo);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_") && text != "CARGO_HOME" || text.starts_with("RUSTC") {
            cargo.env_remove(&name);
        }
    }
    let output = cargo
        .args([
            "build",
            "--locked",
            "--release",
            "--target",
            "wasm32-wasip2",
        ])
        .arg("--manifest-path")
        .arg(manifest.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(target)
        .env("CARGO_ENCODED_RUSTFLAGS", "")
        .output()
        .expect("cargo starts");
    assert!(
        output.status.success(),
        "{name} does not build: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let made = target.join("wasm32-wasip2/release");
    made.join(name).with_extension("wasm")
}
