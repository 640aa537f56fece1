//! What a host makes of committed states and snapshots: the same in each that has
//! them by methods of its own. The list is `states.txt`.

use std::fs::File;
use std::process::Command;

use crate::guide::built;
use crate::tools::{repository, succeeded};
use crate::views::{program, python};

const CASES: &str = include_str!("states.txt");

/// Gives a program the list, which prints what the outcomes are.
#[track_caller]
fn assert_outcomes(command: &mut Command) {
    let list = repository().join("host/tests/languages/states.txt");
    let found = succeeded(command.stdin(File::open(list).expect("it is there")));
    let cases: Vec<_> = CASES
        .lines()
        .filter(|line| !line.starts_with('#'))
        .collect();
    assert!(cases.len() > 60, "{} cases were found", cases.len());
    assert_eq!(found.lines().collect::<Vec<_>>(), cases);
}

#[test]
fn states_in_python_do_what_they_do_everywhere() {
    let Some(tools) = built() else { return };
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let mut python = python(tools);
    python.arg(program(tools, "python/states.py"));
    assert_outcomes(python.arg(folder.path()));
}

#[test]
fn states_in_node_do_what_they_do_everywhere() {
    let Some(tools) = built() else { return };
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let program = program(tools, "javascript/states-node.js");
    assert_outcomes(tools.command("node").arg(program).arg(folder.path()));
}

#[test]
fn states_in_the_browser_do_what_they_do_everywhere() {
    let Some(tools) = built() else { return };
    let program = program(tools, "javascript/views-browser.js");
    let mut node = tools.command("node");
    assert_outcomes(node.arg(program).args(["states", "1"]));
}
