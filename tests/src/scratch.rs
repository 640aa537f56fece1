//! Folders for the files of tests.

use std::path::Path;

use tempfile::TempDir;

/// A new folder, gone when the value is dropped; in memory where the system has
/// files in memory, for tests that are about bytes and not about disks.
pub fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() {
        tempfile::tempdir_in(memory)
    } else {
        tempfile::tempdir()
    };
    folder.expect("the system has a place for temporary files")
}
