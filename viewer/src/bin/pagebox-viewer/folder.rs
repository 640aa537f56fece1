//! The page files of a folder.

use std::path::{Path, PathBuf};

use pagebox::Engine;

/// The most files of a folder that are looked at.
const FILES_MAX: usize = 200;

/// The page files in a folder, and traces of what was written to one, by name; none
/// of those below it. Whether a file is one the sandbox says, whatever its name is.
pub(crate) fn page_files(engine: &Engine, folder: &Path) -> Result<Vec<PathBuf>, String> {
    let failed = |error| format!("cannot read the folder {}: {error}", folder.display());
    let mut paths = Vec::new();
    for entry in folder.read_dir().map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.is_file() {
            paths.push(path);
        }
    }
    paths.sort();
    let mut found: Vec<PathBuf> = paths
        .into_iter()
        .filter(|path| pagebox_viewer::is_trace(path) || is_page_file(engine, path))
        .take(FILES_MAX + 1)
        .collect();
    if found.is_empty() {
        return Err(format!(
            "there is no page file in the folder {}",
            folder.display()
        ));
    }
    if found.len() > FILES_MAX {
        crate::say::line(format_args!(
            "Of {} the first {FILES_MAX} page files are shown: name the others.",
            folder.display()
        ));
        found.truncate(FILES_MAX);
    }
    Ok(found)
}

fn is_page_file(engine: &Engine, path: &Path) -> bool {
    let summary = engine.inspect(path).and_then(|mut look| look.summary());
    summary.is_ok_and(|summary| summary.recovery.verdict != "not-a-page-file")
}
