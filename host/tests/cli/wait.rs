//! Files that are in use for a while.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use crate::run::{FIRST, Folder, SECOND, answer, program, run};

/// Short commands that were started together: all but one of them failed.
#[test]
fn short_commands_started_together_wait_for_each_other() {
    let folder = Folder::new();
    let file = folder.pages("a.pages");
    let args = ["alloc", &file, "--count", "3", "--wait", "50"].map(AsRef::as_ref);
    let children: Vec<_> = (0..8).map(|_| program(&args).spawn().unwrap()).collect();
    let mut all = BTreeSet::new();
    for child in children {
        all.extend(answer(child).done().ids());
    }
    assert_eq!(all.len(), 24, "no page went to two of them");
    let list = run(["list", &file, "--json"]).done().json();
    assert_eq!(list["regular"], serde_json::json!(all));
}

/// Each command that locks waits, and not for longer than it is told.
#[test]
fn file_in_use_is_waited_for_as_long_as_asked() {
    let folder = Folder::new();
    let file = folder.pages("a.pages");
    run(["alloc", &file, "--count", "2"]).done();
    let copy = crate::run::text(&folder.file("copy.pages"));
    for args in [
        &["alloc", &file][..],
        &["free", &file, FIRST],
        &["write", &file, SECOND],
        &["repair", &file, "--output", &copy],
    ] {
        let held = fs::File::open(&file).unwrap();
        held.lock().unwrap();
        for time in ["0", "0.05"] {
            let error = run(args.iter().chain(&["--wait", time])).failed(1);
            assert!(error.contains("in use by another process"), "{error}");
        }
        let args: Vec<_> = args.iter().chain(&["--wait", "50"]).collect();
        let args: Vec<_> = args.into_iter().map(AsRef::as_ref).collect();
        let mut command = program(&args);
        let child = command.stdin(std::process::Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(100));
        drop(held);
        answer(child).done();
    }
    let held = fs::File::open(&file).unwrap();
    held.lock().unwrap();
    // Before the command, too; and what locks nothing does not wait.
    run(["--wait", "0", "alloc", &file]).failed(1);
    run(["--wait", "50", "info", &file]).done();
    for bad in ["-1", "x", "nan", "inf", ""] {
        assert_eq!(run(["alloc", &file, "--wait", bad]).code, 2, "{bad}");
    }
}
