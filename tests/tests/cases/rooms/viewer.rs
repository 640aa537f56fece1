//! How the viewer's rooms lie: what a look says below what screens show of it,
//! screens beside each other, and nothing in a circle.

use std::{
    fs,
    path::{Path, PathBuf},
};

use pagebox_tests::modules::{Imports, circles, imports};

fn viewer() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../viewer")
}

fn library() -> Imports {
    imports(&viewer().join("src"), "lib.rs")
}

fn program() -> Imports {
    imports(&viewer().join("src/bin/pagebox-viewer"), "main.rs")
}

#[test]
fn modules_use_each_other_in_no_circle() {
    for (mut graph, known) in [
        (
            library(),
            &[
                ("pages::map", "legend"),
                ("pages::diff", "compare"),
                ("openapi", "pages"),
                ("openapi", "respond"),
            ][..],
        ),
        (program(), &[("browser", "places"), ("folder", "say")]),
    ] {
        // Else nothing was read.
        for (module, other) in known {
            assert!(graph[*module].contains(*other), "{module}: {graph:#?}");
        }
        // The root uses all others; what they need is not in it.
        graph.remove("");
        for (module, others) in &graph {
            assert!(!others.contains(""), "{module} uses the root");
        }
        let left = circles(graph);
        assert!(left.is_empty(), "in circles: {left:#?}");
    }
}

#[test]
fn screen_uses_no_other_screen() {
    let is_screen = |module: &str| module == "pages" || module.starts_with("pages::");
    for (module, others) in library() {
        let screens: Vec<_> = others.iter().filter(|other| is_screen(other)).collect();
        // What lists them all stands above them.
        let above = ["", "openapi"].contains(&&*module);
        assert!(above || screens.is_empty(), "{module} uses {screens:?}");
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
