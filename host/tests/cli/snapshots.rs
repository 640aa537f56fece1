//! `pagebox snapshot`, `pagebox diff`, and what shows a snapshot.

use std::fs;

use crate::run::{Folder, run, run_with, text};

/// A file with ten protected pages, of which the first says `old`, and a snapshot
/// `one`; now it says `new`, the second is free, and there are two more.
fn sample(folder: &Folder) -> String {
    let file = text(&folder.file("data.pages"));
    run(["create", &file]).done();
    run(["alloc", &file, "--count", "10", "--protected"]).done();
    run_with(["write", &file, "0", "--protected"], b"old").done();
    run(["snapshot", "create", &file, "one"]).done();
    run_with(["write", &file, "0", "--protected"], b"new").done();
    run(["free", &file, "1", "--protected"]).done();
    run(["alloc", &file, "--count", "2", "--protected"]).done();
    file
}

#[test]
fn snapshot_is_made_listed_read_restored_and_deleted() {
    let folder = Folder::new();
    let file = sample(&folder);
    let read = |more: &[&str]| {
        let args = ["read", &file, "0", "--protected", "--len", "3"];
        run(args.iter().chain(more)).done().text()
    };
    assert_eq!(read(&[]), "new");
    assert_eq!(read(&["--snapshot", "one"]), "old");
    let listed = run(["snapshot", "list", &file]).done().text();
    assert!(listed.starts_with("1 snapshot\nmade "), "{listed}");
    assert!(listed.ends_with("  one\n"), "{listed}");
    let json = run(["snapshot", "list", &file, "--json"]).done().json();
    assert_eq!(json[0]["name"], "one");
    assert!(json[0]["pages"].as_u64() > Some(0));
    assert!(json[0]["time"].as_u64() > Some(1 << 60));
    let told = run(["snapshot", "restore", &file, "one"]).done().text();
    assert!(told.ends_with(": 2 protected pages changed\n"), "{told}");
    assert_eq!(read(&[]), "old");
    let told = run(["snapshot", "delete", &file, "one"]).done().text();
    assert!(told.starts_with("deleted snapshot one: "), "{told}");
    let listed = run(["snapshot", "list", &file]).done().text();
    assert_eq!(listed, "0 snapshots\n");
    run(["check", &file]).done();
}

#[test]
fn differences_are_told_by_id_and_by_bytes() {
    let folder = Folder::new();
    let file = sample(&folder);
    let told = run(["diff", &file, "one"]).done().text();
    assert_eq!(
        told,
        "~        0  3 bytes from 0 to 2\n+       10\n\
         2 differences: 1 added, 0 removed, 1 changed\n"
    );
    run(["snapshot", "create", &file, "two"]).done();
    run(["free", &file, "10", "--protected"]).done();
    let json = run(["diff", &file, "two", "one", "--json"]).done().json();
    let changes: Vec<_> = json
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (it["id"].as_u64().unwrap(), it["change"].as_str().unwrap()))
        .collect();
    assert_eq!(changes, [(0, "changed"), (10, "removed")]);
    let none = run(["diff", &file, "two", "two"]).done().text();
    assert_eq!(none, "0 differences: 0 added, 0 removed, 0 changed\n");
}

#[test]
fn every_command_that_looks_shows_a_snapshot() {
    let folder = Folder::new();
    let file = sample(&folder);
    run(["free", &file, "9", "--protected"]).done();
    let of = |command: &str, more: &[&str]| {
        let args = [command, &file, "--snapshot", "one"];
        run(args.iter().chain(more)).done()
    };
    let info = of("info", &["--json"]).json();
    assert_eq!(info["protected_pages"], 10);
    assert!(info["free_pages"].is_null());
    assert!(info["snapshots"].is_null(), "it does not say");
    let text = of("info", &[]).text();
    assert!(text.contains("snapshot      one\n"), "{text}");
    assert!(!text.contains("not known"), "{text}");
    let list = of("list", &["--json"]).json();
    assert_eq!(list["protected"].as_array().unwrap().len(), 10);
    assert!(list["regular"].as_array().unwrap().is_empty());
    let map = of("map", &[]).text();
    assert!(map.contains(" other "), "{map}");
    let check = of("check", &[]).text();
    assert!(check.starts_with("OK: "), "{check}");
    let info = run(["info", &file]).done().text();
    assert!(info.contains("snapshots     1\n"), "{info}");
}

#[test]
fn what_cannot_be_done_names_the_snapshot_and_changes_nothing() {
    let folder = Folder::new();
    let file = sample(&folder);
    let before = fs::read(&file).unwrap();
    for args in [
        &["snapshot", "delete", &file, "one", "two"][..],
        &["snapshot", "restore", &file, "two"],
        &["diff", &file, "two"],
        &["diff", &file, "one", "two"],
        &["info", &file, "--snapshot", "two"],
        &["check", &file, "--snapshot", "two"],
        &["read", &file, "0", "--protected", "--snapshot", "two"],
    ] {
        let error = run(args).failed(1);
        assert!(
            error.contains(r#"there is no snapshot "two""#),
            "{args:?}: {error}"
        );
        assert!(
            error.contains("`pagebox snapshot list` shows them"),
            "{error}"
        );
    }
    let error = run(["snapshot", "create", &file, "one"]).failed(1);
    assert!(
        error.contains(r#"there is a snapshot "one" already"#),
        "{error}"
    );
    let error = run(["snapshot", "create", &file, ""]).failed(1);
    assert!(error.contains("no snapshot can have this name"), "{error}");
    // A regular page is in no snapshot.
    let answer = run(["read", &file, "16", "--snapshot", "one"]);
    assert_eq!(answer.code, 2, "{}", answer.errors);
    assert!(fs::read(&file).unwrap() == before);
}

#[test]
fn format_0_has_none_and_says_the_way_there() {
    let folder = Folder::new();
    let file = text(&folder.file("old.pages"));
    run(["create", &file, "--format", "0"]).done();
    assert_eq!(
        run(["snapshot", "list", &file]).done().text(),
        "0 snapshots\n"
    );
    let error = run(["snapshot", "create", &file, "one"]).failed(1);
    assert!(error.contains("the format has no snapshots"), "{error}");
}

#[test]
fn snapshots_that_a_copy_cannot_have_are_told() {
    let folder = Folder::new();
    let file = sample(&folder);
    let copy = text(&folder.file("old.pages"));
    let told = run(["upgrade", &file, "--to", "0", "--output", &copy]).done();
    assert!(
        told.text().contains("note: 1 snapshot of "),
        "{}",
        told.text()
    );
    // A plain copy has them.
    let copy = text(&folder.file("copy.pages"));
    run(["copy", &file, &copy]).done();
    let listed = run(["snapshot", "list", &copy]).done().text();
    assert!(listed.starts_with("1 snapshot\n"), "{listed}");
}

/// A rotten page that only a snapshot has is found by a check, and by nobody who
/// reads the committed state.
#[test]
fn rot_in_a_snapshot_is_found() {
    let folder = Folder::new();
    let file = sample(&folder);
    let list = run(["list", &file, "--snapshot", "one", "--json"])
        .done()
        .json();
    let page = list["protected"][0]["page"].as_u64().unwrap();
    let mut bytes = fs::read(&file).unwrap();
    bytes[usize::try_from(page).unwrap() * 4096 + 100] ^= 1;
    fs::write(&file, &bytes).unwrap();
    run(["read", &file, "0", "--protected"]).done();
    for more in [&[][..], &["--snapshot", "one"]] {
        let args = ["check", &*file];
        let answer = run(args.iter().chain(more));
        let found = answer.text();
        assert_eq!((answer.code, answer.errors.as_str()), (3, ""));
        assert!(found.contains("protected page 0"), "{found}");
    }
    run(["read", &file, "0", "--protected", "--snapshot", "one"]).failed(3);
}
