//! How the rooms of core lie: each format is complete in itself, and few know
//! that there are several.

use std::path::Path;

use pagebox_tests::modules::{Imports, below, circles, imports};

const FORMATS: [&str; 2] = ["format0", "format1"];

/// What chooses between the formats; the crate itself only lists them.
const CHOOSERS: [&str; 4] = ["", "file", "recovery", "repair"];

/// What stands above the formats.
const ABOVE: [&str; 7] = [
    "pager",
    "transaction",
    "check",
    "inspect",
    "file",
    "recovery",
    "repair",
];

fn core() -> Imports {
    let core = Path::new(env!("CARGO_MANIFEST_DIR")).join("../pager-component/core/src");
    let graph = imports(&core, "lib.rs");
    // Else nothing was read.
    assert!(
        names(&graph, "file", "format0") && names(&graph, "format0::commit", "changes"),
        "{graph:#?}"
    );
    graph
}

/// The format that a module is of.
fn format_of(module: &str) -> Option<&'static str> {
    let room = module.split("::").next();
    FORMATS.into_iter().find(|&format| Some(format) == room)
}

/// Whether a module imports a room, or something in it.
fn names(graph: &Imports, module: &str, room: &str) -> bool {
    let mut others = graph[module].iter();
    others.any(|other| other.split("::").next() == Some(room))
}

#[test]
fn only_what_chooses_a_format_names_one() {
    let graph = core();
    for module in graph.keys() {
        if format_of(module).is_some() || CHOOSERS.contains(&module.as_str()) {
            continue;
        }
        for format in FORMATS {
            assert!(!names(&graph, module, format), "{module} names {format}");
        }
    }
}

#[test]
fn a_format_names_nothing_above_it_and_no_other_format() {
    let graph = core();
    for module in graph.keys() {
        let Some(own) = format_of(module) else {
            continue;
        };
        let others = FORMATS.into_iter().filter(|&format| format != own);
        for room in ABOVE.into_iter().chain(others) {
            assert!(!names(&graph, module, room), "{module} names {room}");
        }
    }
}

#[test]
fn modules_of_core_import_each_other_in_no_circle() {
    let graph = core();
    for parent in ["", "format0", "format0::recovery", "format1"] {
        let left = circles(below(&graph, parent));
        assert!(left.is_empty(), "in circles in {parent:?}: {left:#?}");
    }
}
