//! How the viewer's rooms lie: what a look says below what screens show of it,
//! screens beside each other, and nothing in a circle.

use std::{
    fs,
    path::{Path, PathBuf},
};

use pagebox_tests::modules::{Imports, circles, imports};

fn viewer() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Which module imports which.
fn modules() -> Imports {
    let mut graph = imports(&viewer().join("src"), "lib.rs");
    // The library itself is what mounts them.
    graph.remove("");
    for imports in graph.values_mut() {
        imports.remove("");
    }
    graph
}

#[test]
fn modules_import_each_other_in_no_circle() {
    let graph = modules();
    assert!(graph["pages::map"].contains("legend"), "{graph:?}");
    let left = circles(graph);
    assert!(left.is_empty(), "in circles: {left:#?}");
}

#[test]
fn screen_imports_no_other_screen() {
    for (module, imports) in modules() {
        let screens: Vec<_> = imports
            .iter()
            .filter(|other| other.starts_with("pages::"))
            .collect();
        if module.starts_with("pages::") {
            assert!(screens.is_empty(), "{module} imports {screens:?}");
        }
    }
}

/// Lines that no difference of two versions can be read in.
#[test]
fn templates_and_scripts_have_lines_that_can_be_read() {
    for folder in ["templates", "assets"] {
        for path in files(&viewer().join(folder)) {
            // One line a rule, as style sheets are written.
            if path
                .extension()
                .is_some_and(|extension| extension == "css" || extension == "svg")
            {
                continue;
            }
            for (line, text) in (1..).zip(fs::read_to_string(&path).unwrap().lines()) {
                let len = text.chars().count();
                assert!(len <= 160, "{}:{line} has {len} characters", path.display());
            }
        }
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}
