//! The guide, `host/examples/README.md`: all of its commands, as they are.

use std::fmt::Write;
use std::fs;
use std::sync::LazyLock;

use crate::tools::{Tools, repository, succeeded, tools};

/// What the commands printed, a line each. They build the programs and the
/// hosts that the other tests use.
static FOLLOWED: LazyLock<Option<String>> = LazyLock::new(|| tools().map(follow));

/// The tools, with everything built.
pub(crate) fn built() -> Option<&'static Tools> {
    FOLLOWED.as_ref().and_then(|_| tools())
}

fn follow(tools: &Tools) -> String {
    let guide = fs::read_to_string(repository().join("host/examples/README.md"))
        .expect("the guide can be read");
    for entry in fs::read_dir(tools.examples()).expect("the copy can be read") {
        let path = entry.expect("the copy can be read").path();
        if path.extension() == Some("pages".as_ref()) {
            fs::remove_file(path).expect("files of the last time can be removed");
        }
    }
    // The package is not installed: it is found where it is.
    let mut script =
        String::from("set -eu\npython() { PYTHONPATH=../python command python \"$@\"; }\n");
    for block in guide.split("```sh\n").skip(1) {
        let (commands, _) = block.split_once("```").expect("a block ends");
        // What the commands build is not the point of the output.
        for command in commands.lines() {
            let quiet = !command.starts_with("pagebox run") && !command.contains("/demo.");
            let to = if quiet { " >&2" } else { "" };
            let redirected = if command.contains(" > ") { "" } else { to };
            writeln!(script, "{command}{redirected}").expect("strings grow");
        }
    }
    succeeded(tools.command("bash").arg("-c").arg(script))
}

/// What an example in Rust prints, which the guide names. They are built with what
/// these tests are.
fn example(name: &str) -> Option<String> {
    let mut cargo = tools()?.command(env!("CARGO"));
    cargo.args(["run", "--quiet", "--package", "pagebox"]);
    let mut features = vec!["run"];
    features.extend(cfg!(feature = "async").then_some("async"));
    features.extend(cfg!(feature = "yielding").then_some("yielding"));
    cargo.args(["--features", &features.join(","), "--example", name]);
    Some(succeeded(cargo.current_dir(repository())))
}

/// The way into an engine of one's own.
#[test]
fn example_of_an_engine_of_ones_own_reads_what_it_wrote() {
    let Some(printed) = example("own_engine") else {
        return;
    };
    assert!(printed.contains("protected page 0: \"hello\""), "{printed}");
}

#[cfg(feature = "yielding")]
#[test]
fn example_of_an_engine_that_yields_does_two_things_at_once() {
    let Some(printed) = example("yielding_engine") else {
        return;
    };
    let commits: Vec<_> = printed
        .lines()
        .filter_map(|line| line.strip_suffix(" is durable"))
        .collect();
    let in_turn = ["a: commit 2", "b: commit 2", "a: commit 3", "b: commit 3"];
    assert_eq!(commits[..4], in_turn, "{printed}");
    assert_eq!(commits.len(), 6, "{printed}");
}

#[test]
fn the_guide_followed_to_the_letter_works() {
    let Some(printed) = FOLLOWED.as_ref() else {
        return;
    };
    let expected = "\
from Rust
again
from C
from Python
from JavaScript
hello from Python
PagerError: there is no page 1000000
hello from Node
PagerError: there is no page 1000000
hello from Python
PagerError: there is no page 1000000
hello from Node
PagerError: there is no page 1000000
from JavaScript
";
    assert_eq!(*printed, expected);
}
