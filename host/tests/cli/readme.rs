//! That the README says what the program does.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::run::run;

const README: &str = include_str!("../../../README.md");

/// The commands, with what the program says that they do.
fn commands() -> Vec<(String, String)> {
    let help = run(["--help"]).done().text();
    let commands = help
        .split_once("Commands:\n")
        .unwrap()
        .1
        .split_once("\n\n")
        .unwrap()
        .0;
    let commands = commands
        .lines()
        .map(|line| line.trim().split_once("  ").unwrap());
    commands
        .map(|(name, about)| (name.to_owned(), about.trim().to_owned()))
        .filter(|(name, _)| name != "help")
        .collect()
}

/// The options in a text: all its words that start with two dashes.
fn options(text: &str) -> BTreeSet<&str> {
    let words = text.split(|char: char| char.is_whitespace() || "[]`,.=".contains(char));
    words
        .filter(|word| word.starts_with("--") && word.len() > 2)
        .collect()
}

#[test]
fn readme_table_is_what_help_says() {
    let rows: Vec<_> = README
        .lines()
        .filter(|line| line.starts_with("| `pagebox "))
        .collect();
    let commands = commands();
    assert_eq!(rows.len(), commands.len());
    for (row, (name, about)) in rows.into_iter().zip(commands) {
        let (usage, does) = row.trim_matches(['|', ' ']).split_once(" | ").unwrap();
        assert!(
            usage.starts_with(&format!("`pagebox {name} ")),
            "{name}: {usage}"
        );
        assert_eq!(does, about, "{name}");
        let help = run([&name, "-h"]).done().text();
        let (help, _) = help.split_once("\nExamples:").expect("help has examples");
        let mut expected = options(help);
        // Those of all commands are said once.
        for global in ["--help", "--take-over", "--wait"] {
            assert!(expected.remove(global), "{name}: {global}");
            assert!(global == "--help" || README.contains(global), "{global}");
        }
        assert_eq!(options(usage), expected, "{name}");
        let arguments = |text: &str| -> Vec<String> {
            let words = text.split(|char: char| !char.is_ascii_uppercase());
            words
                .filter(|word| word.len() > 1)
                .map(str::to_owned)
                .collect()
        };
        let synopsis = help
            .lines()
            .find(|line| line.starts_with("Usage:"))
            .unwrap();
        for argument in arguments(synopsis).iter().filter(|word| *word != "OPTIONS") {
            assert!(
                arguments(usage).contains(argument),
                "{name}: {argument} in {usage}"
            );
        }
    }
}

#[test]
fn readme_exit_codes_are_what_help_says() {
    let help = run(["--help"]).done().text();
    let codes = help.split_once("Exit codes:\n").unwrap().1;
    for line in codes.lines() {
        let (code, means) = line.trim().split_once("  ").unwrap();
        assert!(README.contains(&format!("| {code} | {means} |")), "{line}");
    }
}

#[test]
fn readme_shows_the_demos_map() {
    let demo = run(["demo"]).done().text();
    let block = README.split_once("<!-- demo -->\n```text\n").unwrap().1;
    let block = block.split_once("```\n<!-- /demo -->").unwrap().0;
    assert!(
        demo.contains(block) && !block.is_empty(),
        "the demo says:\n{demo}"
    );
}

/// What is said of features names the tests that show them.
#[test]
fn features_have_the_tests_that_are_named() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let page = fs::read_to_string(root.join("tests/FEATURES.md")).unwrap();
    let named = page.split('`').filter(|word| word.contains(".rs"));
    let mut count = 0;
    for test in named {
        let (file, name) = test.split_once("::").unwrap_or((test, ""));
        let source = fs::read_to_string(root.join(file));
        let source = source.unwrap_or_else(|error| panic!("{file}: {error}"));
        assert!(source.contains(&format!("fn {name}")), "{test}");
        count += 1;
    }
    let claims = page.matches("yes (").count();
    assert!(count > claims, "{count} tests for {claims} claims");
    for number in 1..=claims {
        assert!(page.contains(&format!("\n| {number} | `")), "({number})");
    }
}
