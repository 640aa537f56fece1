//! Standard streams that are closed, full, or not ready.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

use crate::run::{Answer, FIRST, Folder, SECOND, answer, program, run, run_with, text};

/// Runs it from a shell that closes some of its streams: `>&-`.
fn run_closed(closed: &str, args: &[&str]) -> Answer {
    let child = Command::new("sh")
        .args(["-c", &format!(r#"exec "$0" "$@" {closed}"#)])
        .arg(env!("CARGO_BIN_EXE_pagebox"))
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    answer(child)
}

/// What is always full; none where there is no such thing.
fn full() -> Option<fs::File> {
    let full = fs::File::options().write(true).open("/dev/full").ok();
    if full.is_none() {
        eprintln!("skipped: there is no /dev/full");
    }
    full
}

/// Standard output was closed: `alloc` allocated, and its ids went nowhere,
/// with exit code 0. All commands took it for one that goes nowhere.
#[test]
fn closed_output_is_an_error_before_anything_changes() {
    let folder = Folder::new();
    let file = folder.pages("a.pages");
    run(["alloc", &file]).done();
    let before = fs::read(&file).unwrap();
    let new = text(&folder.file("new.pages"));
    for args in [
        &["alloc", &file][..],
        &["free", &file, FIRST],
        &["write", &file, FIRST],
        &["create", &new],
        &["copy", &file, &new],
        &["repair", &file, "--output", &new],
        &["demo", &new],
        &["demo"],
        &["info", &file],
        &["info", &file, "--json"],
        &["list", &file],
        &["read", &file, FIRST],
        &["map", &file],
        &["check", &file, "--json"],
        &["component"],
        &["completions", "bash"],
        &["man"],
        &["--help"],
        &["help", "alloc"],
        &["--version"],
    ] {
        let error = run_closed(">&-", args).failed(4);
        assert!(
            error.contains("cannot write standard output: it is closed"),
            "{args:?}: {error}"
        );
        // One that can only be read.
        let error = run_closed("1</dev/null", args).failed(4);
        assert!(
            error.contains("cannot write standard output"),
            "{args:?}: {error}"
        );
    }
    assert!(fs::read(&file).unwrap() == before, "the file changed");
    assert_eq!(folder.names(), ["a.pages"]);
}

/// The ids of pages that are allocated were lost when they could not be
/// printed.
#[test]
fn alloc_that_cannot_print_its_ids_names_them_in_the_error() {
    let folder = Folder::new();
    let file = folder.pages("a.pages");
    let Some(full) = full() else { return };
    let args = ["alloc", &file, "--count", "5"].map(AsRef::as_ref);
    let child = program(&args).stdout(Stdio::from(full)).spawn().unwrap();
    let error = answer(child).failed(4);
    let list = run(["list", &file, "--json"]).done().json();
    assert_eq!(list["regular"], serde_json::json!([15, 16, 17, 18, 19]));
    assert!(error.contains("allocated all the same: 15-19"), "{error}");
}

/// What is done was reported as failed, without a word that it is done.
#[test]
fn full_output_is_an_error_that_says_what_is_done_all_the_same() {
    let folder = Folder::new();
    let file = folder.pages("a.pages");
    run(["alloc", &file, "--count", "2"]).done();
    let [new, copy, mended] = ["new", "copy", "mended"].map(|name| text(&folder.file(name)));
    for (args, done) in [
        (&["create", &new][..], "the file was made"),
        (&["copy", &file, &copy], "the copy was made"),
        (&["repair", &file, "-o", &mended], "the copy was made"),
        (&["write", &file, FIRST], "it is written"),
        (&["free", &file, FIRST, SECOND], "they are free"),
        (&["--help"], ""),
        (&["--version"], ""),
        (&["component"], ""),
        (&["completions", "zsh"], ""),
        (&["man", "alloc"], ""),
        (&["check", &file], ""),
    ] {
        let Some(full) = full() else { return };
        let args: Vec<_> = args.iter().map(AsRef::as_ref).collect();
        let child = program(&args).stdout(Stdio::from(full)).spawn().unwrap();
        let error = answer(child).failed(4);
        assert!(error.contains("cannot write standard output"), "{error}");
        assert!(error.contains(done), "{error}");
    }
    assert_eq!(folder.names(), ["a.pages", "copy", "mended", "new"]);
}

/// An error that could not be told was a panic, with exit code 101.
#[test]
fn errors_that_cannot_be_written_leave_the_exit_code() {
    let folder = Folder::new();
    let file = folder.pages("a.pages");
    let missing = text(&folder.file("missing"));
    let foreign = folder.with("foreign", b"something else");
    for (args, code) in [
        (&["info", &missing][..], 1),
        (&["alloc", &foreign], 3),
        (&["free", &file, "0"], 1),
        (&["nonsense"], 2),
        (&[], 2),
        (&["man", "nonsense"], 2),
    ] {
        assert_eq!(run_closed("2>&-", args).code, code, "{args:?}");
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        for errors in full().map(Stdio::from).into_iter().chain([writer.into()]) {
            let args: Vec<_> = args.iter().map(AsRef::as_ref).collect();
            let child = program(&args).stderr(errors).spawn().unwrap();
            assert_eq!(answer(child).code, code, "{args:?}");
        }
    }
    // Both of them.
    assert_eq!(run_closed(">&- 2>&-", &["info", &file]).code, 4);
    assert_eq!(run_closed("<&- >&- 2>&-", &["info", &missing]).code, 1);
}

/// A reader who is slow, with a stream that says so instead of waiting: most of
/// the output was lost.
#[test]
fn output_that_is_not_ready_is_waited_for() {
    let folder = Folder::new();
    let file = text(&folder.file("big.pages"));
    run(["create", &file, "--page-size", "1MiB"]).done();
    let id = run(["alloc", &file]).done().ids()[0].to_string();
    let page: Vec<u8> = (0..1_u32 << 20).map(|at| (at * 7 % 251) as u8).collect();
    run_with(["write", &file, &id], &page).done();

    let (mut ours, theirs) = UnixStream::pair().unwrap();
    theirs.set_nonblocking(true).unwrap();
    let theirs = std::os::fd::OwnedFd::from(theirs);
    let args = ["read", &file, &id].map(AsRef::as_ref);
    let mut command = program(&args);
    let child = command.stdout(Stdio::from(theirs)).spawn().unwrap();
    drop(command);
    // It is at work, and has filled what there is between the two.
    ours.read_exact(&mut [0; 1]).unwrap();
    let mut read = Vec::new();
    ours.read_to_end(&mut read).unwrap();
    answer(child).done();
    assert!(read == page[1..]);
}

#[test]
fn errors_that_are_not_ready_are_waited_for() {
    let folder = Folder::new();
    let missing = text(&folder.file("missing"));
    let (mut ours, mut theirs) = UnixStream::pair().unwrap();
    theirs.set_nonblocking(true).unwrap();
    let mut filled = 0;
    while let Ok(count) = theirs.write(&[b'x'; 4096]) {
        filled += count;
    }
    let theirs = std::os::fd::OwnedFd::from(theirs);
    let args = ["info", &missing].map(AsRef::as_ref);
    let mut command = program(&args);
    let child = command.stderr(Stdio::from(theirs)).spawn().unwrap();
    drop(command);
    // By now it waits, since there is no room for what it has to say.
    std::thread::sleep(std::time::Duration::from_millis(300));
    let mut told = String::new();
    ours.read_to_string(&mut told).unwrap();
    assert_eq!(answer(child).code, 1);
    assert!(
        told[filled..].contains("no such file"),
        "{}",
        &told[filled..]
    );
}

/// Input that comes later, on a stream that says so, was an error; and a closed
/// one an empty one.
#[test]
fn input_is_waited_for_and_a_closed_one_is_an_error() {
    let folder = Folder::new();
    let file = folder.pages("a.pages");
    run(["alloc", &file]).done();
    let error = run_closed("<&-", &["write", &file, FIRST]).failed(4);
    assert!(error.contains("cannot read standard input"), "{error}");

    let (mut ours, theirs) = UnixStream::pair().unwrap();
    theirs.set_nonblocking(true).unwrap();
    let theirs = std::os::fd::OwnedFd::from(theirs);
    let args = ["write", &file, FIRST].map(AsRef::as_ref);
    let mut command = program(&args);
    let child = command.stdin(Stdio::from(theirs)).spawn().unwrap();
    drop(command);
    std::thread::sleep(std::time::Duration::from_millis(100));
    ours.write_all(b"hello").unwrap();
    drop(ours);
    answer(child).done();
    let read = run(["read", &file, FIRST, "--len", "5"]).done().output;
    assert_eq!(read, b"hello");
}
