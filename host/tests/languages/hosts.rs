//! Hosts in other languages: the files that they make go round.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::Path;

use pagebox_tests::peer::{How, in_process};

use crate::guide::built;
use crate::tools::{Tools, ran, succeeded, told};

/// A file is sound, and the peer sees in it what our own host does.
fn assert_goes_round(tools: &Tools, file: &Path, expected: &[u8]) {
    succeeded(tools.command("pagebox").arg("check").arg(file));
    let bytes = ran(tools
        .command("pagebox")
        .args(["read", "--protected"])
        .arg(file)
        .arg("0"))
    .stdout;
    assert_eq!(&bytes[..expected.len()], expected);

    let copy = file.with_extension("peer");
    fs::copy(file, &copy).expect("there is room for a copy");
    let seen = in_process(How::Open, &copy, 4096)
        .and_then(|mut peer| peer.see())
        .expect("the peer opens it");
    assert_eq!(
        seen.protected,
        BTreeMap::from([(0, crc32fast::hash(&bytes))])
    );
}

#[test]
fn a_file_made_in_python_opens_everywhere() {
    let Some(tools) = built() else { return };
    assert_goes_round(
        tools,
        &tools.examples().join("python.pages"),
        b"hello from Python",
    );
}

#[test]
fn a_file_made_in_node_opens_everywhere() {
    let Some(tools) = built() else { return };
    assert_goes_round(
        tools,
        &tools.examples().join("node.pages"),
        b"hello from Node",
    );
}

#[test]
fn the_browser_shows_a_file_and_makes_one_that_opens_everywhere() {
    let Some(tools) = built() else { return };
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let (ours, made) = (
        folder.path().join("ours.pages"),
        folder.path().join("made.pages"),
    );
    succeeded(tools.command("pagebox").arg("create").arg(&ours));
    succeeded(
        tools
            .command("pagebox")
            .args(["alloc", "--count", "3"])
            .arg(&ours),
    );
    succeeded(
        tools
            .command("pagebox")
            .args(["alloc", "--protected"])
            .arg(&ours),
    );
    let before = fs::read(&ours).expect("the file is there");

    let test: &OsStr = "hosts/browser/test.js".as_ref();
    let shown = succeeded(
        tools
            .command("node")
            .args([test, ours.as_ref(), made.as_ref()]),
    );
    for line in [
        "ours.pages",
        "regular\t3",
        "protected\t1",
        "R regular\t3",
        "S superblock\t1",
    ] {
        assert!(
            shown.lines().any(|shown| shown.trim_end() == line),
            "{line:?} in\n{shown}"
        );
    }
    assert!(shown.contains("not a page file"), "{shown}");
    assert_eq!(fs::read(&ours).expect("the file is there"), before);
    assert_goes_round(tools, &made, b"hello from the browser");
}

#[test]
fn a_python_host_and_ours_do_not_write_at_once() {
    let Some(tools) = built() else { return };
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let file = folder.path().join("locked.pages");
    succeeded(tools.command("pagebox").arg("create").arg(&file));
    let held = File::open(&file).expect("the file is there");
    held.lock().expect("nobody else has it");
    let mut python = tools.command("python");
    let output = ran(python
        .args(["hosts/python/demo.py", "hosts/pager.wasm"])
        .arg(&file));
    assert!(!output.status.success());
    let told = told(&output);
    let expected = format!("PagerError: {} is in use", file.display());
    assert!(told.contains(&expected), "{told}");
    drop(held);
}
