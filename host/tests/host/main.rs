//! The host library through its public interface: the sandbox, the stores, the
//! lock, and what happens when any of them fails.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod backups;
mod compacting;
mod deferred;
mod failing;
mod files;
// They are compiled when the tests run.
#[cfg(feature = "compile")]
mod hostile_decoders;
mod hostile_files;
// As decoders.
#[cfg(feature = "compile")]
mod hostile_guests;
mod inspecting;
mod mirror;
mod native;
mod own_linker;
mod panicking;
mod reading;
#[cfg(unix)]
mod real_files;
mod recording;
mod sandbox;
mod snapshots;
mod stores;
mod transactions;
mod views;
#[cfg(feature = "yielding")]
mod yielding;

use std::path::{Path, PathBuf};

use pagebox::{Engine, PageId, PageSize, ProtectedId};
use tempfile::TempDir;

const P: usize = 4096;

/// Stands for a module that is not there, so that this is not overlooked.
#[cfg(not(feature = "compile"))]
#[test]
#[ignore = "needs a compiler: `cargo test --features pagebox/compile --test host`"]
fn hostile_guests() {}

/// As above.
#[cfg(not(feature = "yielding"))]
#[test]
#[ignore = "needs stacks to yield on: `cargo test --features pagebox/yielding --test host`"]
fn yielding() {}

fn engine() -> Engine {
    static ENGINE: std::sync::OnceLock<Engine> = std::sync::OnceLock::new();
    ENGINE.get_or_init(|| Engine::new().unwrap()).clone()
}

fn folder() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data.pages");
    (folder, path)
}

/// A file with one regular page (`0xAB` in all its bytes) and one protected
/// page (`hello`), and their ids.
fn sample(path: &Path) -> (PageId, ProtectedId) {
    let mut pager = engine().create(path, PageSize::KIB_4).unwrap();
    let mut tx = pager.begin().unwrap();
    let regular = tx.alloc().unwrap();
    let protected = tx.alloc_protected().unwrap();
    tx.write(protected).unwrap()[..5].copy_from_slice(b"hello");
    tx.commit().unwrap();
    pager.page_mut(regular).unwrap().fill(0xAB);
    pager.sync().unwrap();
    (regular, protected)
}
