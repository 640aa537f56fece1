//! The mutants of `tests/mutants`: each still breaks what it says. That tests
//! fail for them is for `tests/mutants/run` to show, which takes long.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("mutants")
}

/// The patches, by the names of their mutants.
fn patches() -> BTreeMap<String, PathBuf> {
    let files = fs::read_dir(folder()).unwrap();
    files
        .map(|file| file.unwrap().path())
        .filter(|path| path.extension().is_some_and(|it| it == "patch"))
        .map(|path| (path.file_stem().unwrap().to_str().unwrap().into(), path))
        .collect()
}

#[test]
fn every_patch_applies_to_the_sources() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    if Command::new("git").arg("--version").output().is_err() {
        eprintln!("skipped: there is no git");
        return;
    }
    for (name, patch) in patches() {
        let checked = Command::new("git")
            .args(["apply", "--check"])
            .arg(&patch)
            .current_dir(&root)
            // Where the sources are no checkout, they may lie within another.
            .env(
                "GIT_CEILING_DIRECTORIES",
                root.canonicalize().unwrap().parent().unwrap(),
            )
            .output()
            .unwrap();
        assert!(
            checked.status.success(),
            "{name} is out of date: {}",
            String::from_utf8_lossy(&checked.stderr)
        );
    }
}

#[test]
fn every_patch_has_its_row_in_the_table() {
    let table = fs::read_to_string(folder().join("README.md")).unwrap();
    let mut rows: Vec<&str> = table
        .lines()
        .filter(|line| line.starts_with("| `"))
        .collect();
    for (name, patch) in patches() {
        let patch = fs::read_to_string(patch).unwrap();
        let field = |name: &str| {
            let line = patch.lines().find_map(|line| line.strip_prefix(name));
            line.unwrap_or_else(|| panic!("there is no line {name}"))
        };
        let start = format!(
            "| `{name}` | {} | {} | `",
            field("Rule: "),
            field("Breaks: ")
        );
        let row = rows.iter().position(|row| row.starts_with(&start));
        rows.remove(row.unwrap_or_else(|| panic!("no row begins with {start}")));
    }
    assert!(rows.is_empty(), "rows without a patch: {rows:#?}");
}
