//! Systems that give a program less than it is used to: few addresses, no
//! memory that was written to and is executed.

use std::ffi::OsStr;
use std::process::{Command, Stdio};

use pagebox_tests::figures;

use crate::run::{Answer, FIRST, Folder, answer, run, text};

/// Runs the program by a command that starts commands.
fn run_by(wrapper: &[&str], args: &[&str]) -> Answer {
    let child = Command::new(wrapper[0])
        .args(&wrapper[1..])
        .arg(env!("CARGO_BIN_EXE_pagebox"))
        .args(args.iter().map(OsStr::new))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    answer(child)
}

/// The same with so many KiB of addresses.
fn within(limit: u32, args: &[&str]) -> Answer {
    let script = format!("ulimit -v {limit} && exec \"$0\" \"$@\"");
    run_by(&["sh", "-c", &script], args)
}

/// Each sandbox reserves 4 GiB of addresses, and so nothing ran at all.
#[test]
fn commands_run_where_addresses_are_limited() {
    if !run_by(&["sh", "-c", "ulimit -v 4000000"], &[])
        .errors
        .is_empty()
    {
        figures::print("skipped: addresses cannot be limited here");
        return;
    }
    let folder = Folder::new();
    let made = text(&folder.file("made"));
    let copy = text(&folder.file("copy"));
    for args in [
        &["create", &made][..],
        &["alloc", &made],
        &["alloc", &made, "--protected"],
        &["write", &made, FIRST],
        &["read", &made, FIRST],
        &["info", &made],
        &["list", &made],
        &["map", &made],
        &["check", &made],
        &["repair", &made, "--output", &copy],
        &["free", &made, FIRST],
    ] {
        let answer = within(4_000_000, args);
        assert_eq!((answer.code, &*answer.errors), (0, ""), "{args:?}");
    }
    // What is written within the limit is what is written without. In format 1
    // two new files differ, by what was drawn for them.
    let (wide, tight) = (text(&folder.file("wide")), text(&folder.file("tight")));
    for args in [
        &["create", "--format", "0"][..],
        &["alloc", "--count", "1000"],
    ] {
        let about = |file| [&args[..1], &[file], &args[1..]].concat();
        run(about(&*wide)).done();
        within(4_000_000, &about(&tight)).done();
    }
    assert!(std::fs::read(wide).unwrap() == std::fs::read(tight).unwrap());
}

/// The message was the system's, and named neither the limit nor a way out.
#[test]
fn limit_on_addresses_that_leaves_no_room_is_named() {
    let folder = Folder::new();
    let file = folder.pages("sound.pages");
    let mut named = 0;
    for limit in (10_000..200_000).step_by(1_000) {
        let answer = run_by(
            &[
                "sh",
                "-c",
                // Where there is not even room for a program to start, that is
                // not ours to say.
                &format!("ulimit -v {limit} && \"$0\" \"$@\" 2>&1 || true"),
            ],
            &["info", &file],
        );
        let told = answer.text();
        if told.contains("ulimit -v") {
            assert!(told.starts_with("pagebox: "), "{told}");
            named += 1;
        } else if !told.contains("pagebox: ") && told.contains("pages") {
            // There is room from here on.
            break;
        }
    }
    assert!(named > 0, "no limit is named");
}

/// A bare "permission denied" of nobody knew what.
#[test]
fn ban_on_executing_what_was_written_is_named() {
    // PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN: what systemd's
    // MemoryDenyWriteExecute sets.
    const SCRIPT: &str = "import ctypes, os, sys\n\
        if ctypes.CDLL(None).prctl(65, 1, 0, 0, 0): sys.exit(77)\n\
        os.execv(sys.argv[1], sys.argv[1:])";
    let python = ["python3", "-c", SCRIPT];
    let is_there = Command::new("python3")
        .args(["-c", "import ctypes"])
        .output()
        .is_ok_and(|it| it.status.success());
    let folder = Folder::new();
    let file = folder.pages("sound.pages");
    let answer = is_there.then(|| run_by(&python, &["info", &file]));
    let Some(answer) = answer.filter(|it| it.code != 77) else {
        figures::print("skipped: a ban on executing what was written needs Python and Linux 6.3");
        return;
    };
    let told = answer.failed(4);
    assert!(told.contains("forbids to execute memory"), "{told}");
    assert!(told.contains("MemoryDenyWriteExecute"), "{told}");
}
