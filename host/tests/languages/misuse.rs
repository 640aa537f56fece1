//! Programs that use the hosts wrongly: nothing is lost, and they are told what
//! is wrong.

use std::fs;
use std::path::Path;

use crate::guide::built;
use crate::tools::{FORMATS, repository, succeeded};
use crate::views::{program, python};

#[test]
fn misuse_of_the_python_host_is_an_error_that_names_it() {
    let Some(tools) = built() else { return };
    let program = program(tools, "python/misuse.py");
    for format in FORMATS {
        succeeded(python(tools).env("FORMAT", format).arg(&program));
    }
}

#[test]
fn misuse_of_the_node_host_is_an_error_that_names_it() {
    let Some(tools) = built() else { return };
    for format in FORMATS {
        let mut npm = tools.command("npm");
        npm.env("PAGEBOX", env!("CARGO_BIN_EXE_pagebox"))
            .env("FORMAT", format);
        npm.current_dir(tools.examples().join("../javascript"));
        let told = succeeded(npm.args(["test", "--", "--test-reporter=tap"]));
        let passed = told
            .lines()
            .find_map(|line| line.strip_prefix("# pass "))
            .and_then(|passed| passed.parse::<u32>().ok());
        assert!(passed.is_some_and(|passed| passed > 30), "{told}");
    }
}

#[test]
fn misuse_of_the_browser_host_is_an_error_and_the_next_file_is_shown() {
    let Some(tools) = built() else { return };
    let program = program(tools, "javascript/misuse-browser.test.js");
    let mut node = tools.command("node");
    node.env("PAGEBOX", env!("CARGO_BIN_EXE_pagebox"));
    succeeded(node.args(["--test", "--test-timeout=120000"]).arg(program));
}

#[test]
fn a_program_in_strict_python_finds_the_types_that_are_so() {
    let Some(tools) = built() else { return };
    let source = program(tools, "python/typed.py");
    let host = tools.examples().join("../python");
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let mut mypy = tools.command("mypy");
    mypy.env("MYPYPATH", &host)
        .args(["--strict", "--cache-dir"]);
    mypy.arg(folder.path()).arg(&source);
    let parts = ["pagebox", "backend.py"].map(|name| host.join(name));
    succeeded(mypy.args(parts).arg("hosts/python/demo.py"));
    let mut python = python(tools);
    succeeded(python.arg(source).arg(folder.path()));
}

/// What is said of misuse names the tests that show it.
#[test]
fn misuse_that_was_found_has_the_tests_that_are_named() {
    let folder = repository().join("host/tests/languages");
    let page = fs::read_to_string(folder.join("MISUSE.md")).expect("the page can be read");
    let rows = page
        .lines()
        .filter(|line| line.starts_with('|') && !line.starts_with("|-"))
        .filter(|line| !line.contains("| Test |"));
    let mut count = 0;
    for row in rows {
        assert!(row.contains("::"), "no test: {row}");
        count += 1;
    }
    assert!(count >= 40, "{count} rows were found");
    let named = page.split('`').filter_map(|word| word.split_once("::"));
    for (file, name) in named.filter(|(file, _)| Path::new(file).extension().is_some()) {
        let source = fs::read_to_string(folder.join(file));
        let source = source.unwrap_or_else(|error| panic!("{file}: {error}"));
        let begins = match file.rsplit_once('.') {
            Some((_, "rs")) => format!("#[test]\nfn {name}()"),
            Some((_, "py")) => format!("    def {name}(self)"),
            Some((_, "js")) => format!("\ntest('{name}', "),
            _ => format!("\n{name}\n"),
        };
        assert!(source.contains(&begins), "{file}::{name}");
    }
}
