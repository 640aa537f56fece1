//! What a view can do, and when it ends: the same in every host. The list is
//! `views.txt`; an embedder's own linker runs it too (`host/own_linker.rs`).

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Command;

use crate::guide::built;
use crate::misbehaving::Case;
use crate::tools::{FORMATS, Tools, copy_folder, repository, succeeded};

const CASES: &str = include_str!("views.txt");

fn cases() -> Vec<&'static str> {
    let cases: Vec<_> = CASES
        .lines()
        .filter(|line| !line.starts_with('#'))
        .collect();
    assert!(cases.len() > 20, "{} cases were found", cases.len());
    cases
}

/// A program of these tests, beside the copy of the hosts that it uses.
pub(crate) fn program(tools: &Tools, name: &str) -> PathBuf {
    let folder = tools.examples().join("../tests/languages");
    for language in ["c", "javascript", "python"] {
        let from = repository().join("host/tests/languages").join(language);
        copy_folder(&from, &folder.join(language));
    }
    folder.join(name)
}

/// Python with the package in its path, and what the tests of it need.
pub(crate) fn python(tools: &Tools) -> Command {
    let mut python = tools.command("python");
    python
        .env("PYTHONPATH", tools.examples().join("../python"))
        .env("PAGEBOX", env!("CARGO_BIN_EXE_pagebox"));
    python
}

/// Gives a program the list, which prints what the outcomes are.
#[track_caller]
fn assert_outcomes(command: &mut Command) {
    let list = repository().join("host/tests/languages/views.txt");
    let found = succeeded(command.stdin(File::open(list).expect("it is there")));
    assert_eq!(found.lines().collect::<Vec<_>>(), cases());
}

#[test]
fn views_in_python_do_what_they_do_everywhere() {
    let Some(tools) = built() else { return };
    let program = program(tools, "python/views.py");
    for format in FORMATS {
        let folder = tempfile::tempdir().expect("there is room for a folder");
        let mut python = python(tools);
        python.arg(&program).arg(folder.path()).arg(format);
        assert_outcomes(&mut python);
    }
}

#[test]
fn views_in_node_do_what_they_do_everywhere() {
    let Some(tools) = built() else { return };
    let program = program(tools, "javascript/views-node.js");
    for format in FORMATS {
        let folder = tempfile::tempdir().expect("there is room for a folder");
        let mut node = tools.command("node");
        assert_outcomes(node.arg(&program).arg(folder.path()).arg(format));
    }
}

#[test]
fn views_in_the_browser_do_what_they_do_everywhere() {
    let Some(tools) = built() else { return };
    let program = program(tools, "javascript/views-browser.js");
    for format in FORMATS {
        assert_outcomes(tools.command("node").arg(&program).args(["views", format]));
    }
}

#[test]
fn views_in_a_program_do_what_they_do_everywhere() {
    for format in FORMATS {
        for line in cases() {
            let Some(case) = Case::of_format(format) else {
                return;
            };
            let (name, expected) = line.rsplit_once(": ").expect("a case has an outcome");
            let mut run = case.command("--store");
            let printed = succeeded(run.args(["--", "view", name]));
            assert_eq!(printed.trim_end(), expected, "{name}, format {format}");
        }
    }
}

#[test]
fn a_c_program_cannot_write_through_a_view_of_a_protected_page() {
    let Some(tools) = built() else { return };
    // Beside the copy of the example, whose Makefile builds it.
    let scribble = program(tools, "c/scribble.wasm");
    let mut make = tools.command("make");
    make.args(["-C", "c"]);
    succeeded(make.arg("../../tests/languages/c/scribble.wasm"));
    let folder = tempfile::tempdir().expect("there is room for a folder");
    for format in FORMATS {
        let file = folder.path().join(format);
        let pagebox = |args: &[&str]| {
            let mut pagebox = tools.command("pagebox");
            pagebox.args(args).arg(&file);
            pagebox
        };
        succeeded(&mut pagebox(&["create", "--format", format]));
        succeeded(&mut pagebox(&["alloc", "--protected"]));
        let text = folder.path().join("text");
        fs::write(&text, "hello").expect("there is room for a text");
        let mut write = pagebox(&["write", "--protected"]);
        write.stdin(File::open(&text).expect("it was made"));
        succeeded(write.arg("0"));
        let before = fs::read(&file).expect("it was made");
        let mut run = tools.command("pagebox");
        run.arg("run").arg(&scribble);
        run.arg("--store").arg(format!("queue={}", file.display()));
        assert_eq!(succeeded(&mut run), "read-only\n", "format {format}");
        assert_eq!(fs::read(&file).expect("it is there"), before);
    }
}
