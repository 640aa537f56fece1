//! How the rooms of the host lie: nothing imports what imports it.

use std::path::Path;

use pagebox_tests::modules::{Imports, below, circles, imports};

/// The library, and the command line, which is a crate of its own.
fn host(root: &str) -> Imports {
    let host = Path::new(env!("CARGO_MANIFEST_DIR")).join("../host/src");
    imports(&host, root)
}

#[test]
fn modules_of_the_host_import_each_other_in_no_circle() {
    let graph = host("lib.rs");
    // Else nothing was read.
    assert!(graph["pager::pages"].contains("store"), "{graph:#?}");
    assert!(graph["copy"].contains("error"), "{graph:#?}");
    for parent in ["", "page_stores", "pager", "shared", "store"] {
        let left = circles(below(&graph, parent));
        assert!(left.is_empty(), "in circles in {parent:?}: {left:#?}");
    }
}

#[test]
fn modules_of_the_command_line_import_each_other_in_no_circle() {
    let graph = host("main.rs");
    assert!(graph["cli::check"].contains("cli::failure"), "{graph:#?}");
    for parent in ["cli", "cli::run"] {
        let left = circles(below(&graph, parent));
        assert!(left.is_empty(), "in circles in {parent:?}: {left:#?}");
    }
}

/// Sandboxes are made of the runtime; the front door is for callers.
#[test]
fn nothing_below_the_front_door_imports_it() {
    let graph = host("lib.rs");
    for module in ["pager", "inspect", "repair", "copy", "sandbox", "runtime"] {
        for (name, imports) in &graph {
            if name == module || name.starts_with(&format!("{module}::")) {
                assert!(!imports.contains("engine"), "{name} imports the engine");
            }
        }
    }
}
