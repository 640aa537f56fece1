//! Limits on files, and signals.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::run::{Answer, Folder, answer, program, run, text};

/// Runs it where files may have so many units of 512 or 1024 bytes.
pub(crate) fn run_limited(units: &str, args: &[&str]) -> Answer {
    let child = Command::new("sh")
        .args(["-c", &format!(r#"ulimit -f {units}; exec "$0" "$@""#)])
        .arg(env!("CARGO_BIN_EXE_pagebox"))
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    answer(child)
}

/// A signal killed the process, without a word.
#[test]
fn file_at_the_limit_of_file_sizes_is_an_error_that_names_the_limit() {
    let folder = Folder::new();
    let file = text(&folder.file("a.pages"));
    run(["create", &file, "--pages", "1000"]).done();
    let new = text(&folder.file("new.pages"));
    for args in [
        &["create", &new, "--pages", "2000"][..],
        &["alloc", &file, "--count", "3000"],
        &["copy", &file, &new],
        &["repair", &file, "--output", &new],
    ] {
        let error = run_limited("2000", args).failed(4);
        assert!(error.contains("ulimit -f"), "{args:?}: {error}");
        assert_eq!(folder.names(), ["a.pages"]);
        run(["check", &file]).done();
    }
}

/// Fills a page file with what takes a while to copy.
fn large(folder: &Folder) -> String {
    let file = text(&folder.file("large.pages"));
    run(["create", &file, "--page-size", "64KiB", "--pages", "2000"]).done();
    let mut bytes = fs::read(&file).unwrap();
    // Pages that are free.
    bytes[16 << 16..].fill(7);
    fs::write(&file, bytes).unwrap();
    file
}

/// Starts it, interrupts it when it is at work on the large file, and returns
/// the signal that ended it; none where it was done before. `wrapper` is a
/// command that becomes the one that it is given.
fn interrupted(wrapper: &[&str], args: &[&str], signal: &str) -> Option<i32> {
    let all = [wrapper, &[env!("CARGO_BIN_EXE_pagebox")], args].concat();
    let mut child = Command::new(all[0])
        .args(&all[1..])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let id = child.id();
    let at_work = || {
        let open = fs::read_dir(format!("/proc/{id}/fd")).into_iter().flatten();
        open.flatten()
            .filter_map(|entry| fs::metadata(entry.path()).ok())
            .any(|it| it.is_file() && std::os::unix::fs::MetadataExt::blocks(&it) > 100)
    };
    let start = Instant::now();
    while !at_work() && child.try_wait().unwrap().is_none() {
        assert!(start.elapsed() < Duration::from_mins(1), "it hangs");
        std::thread::yield_now();
    }
    let sent = Command::new("kill")
        .args([&format!("-{signal}"), &id.to_string()])
        .stderr(Stdio::null())
        .status()
        .unwrap();
    let ended = child.wait().unwrap();
    assert!(sent.success() || ended.success());
    ended.signal()
}

/// Interrupted, it left its temporary files.
#[test]
fn interrupted_copies_leave_nothing_behind() {
    if !std::path::Path::new("/proc/self/fd").exists() {
        eprintln!("skipped: there is no /proc");
        return;
    }
    let folder = Folder::new();
    let file = large(&folder);
    let copy = text(&folder.file("copy.pages"));
    // Files without names are named by way of /proc: where that is hidden they
    // have temporary names.
    let hidden = ["sh", "-c", r#"mount -t tmpfs none /proc && exec "$0" "$@""#];
    let hidden = [&["unshare", "--mount"][..], &hidden].concat();
    let works = Command::new(hidden[0])
        .args(&hidden[1..])
        .args([env!("CARGO_BIN_EXE_pagebox"), "--version"])
        .output()
        .is_ok_and(|output| output.status.success());
    if !works {
        eprintln!("skipped: temporary names: nothing can be mounted here");
    }
    let wrappers = [Some(vec![]), works.then_some(hidden)];
    for wrapper in wrappers.into_iter().flatten() {
        for (signal, number) in [("HUP", 1), ("INT", 2), ("TERM", 15)] {
            for args in [
                &["repair", &file, "--output", &copy][..],
                &["copy", &file, &copy],
            ] {
                let mut seen = None;
                for _ in 0..50 {
                    seen = interrupted(&wrapper, args, signal);
                    if seen.is_some() {
                        break;
                    }
                    fs::remove_file(&copy).unwrap();
                }
                assert_eq!(seen, Some(number), "{args:?}");
                assert_eq!(folder.names(), ["large.pages"], "{args:?} {signal}");
            }
        }
    }
}

/// Interrupted, it left the folder of its temporary file.
#[test]
fn interrupted_demo_leaves_nothing_behind() {
    let folder = Folder::new();
    let mut seen = None;
    for _ in 0..50 {
        let mut command = program(&["demo".as_ref()]);
        let mut child = command.env("TMPDIR", folder.path()).spawn().unwrap();
        let start = Instant::now();
        while folder.names().is_empty() && child.try_wait().unwrap().is_none() {
            assert!(start.elapsed() < Duration::from_mins(1), "it hangs");
        }
        let _ = Command::new("kill")
            .args(["-TERM", &child.id().to_string()])
            .stderr(Stdio::null())
            .status();
        seen = child.wait().unwrap().signal();
        if seen.is_some() {
            break;
        }
    }
    assert_eq!(seen, Some(15));
    assert_eq!(folder.names(), [""; 0]);
}

/// `nohup` asks for a program that goes on.
#[test]
fn ignored_signal_does_not_interrupt() {
    let folder = Folder::new();
    let file = large(&folder);
    let copy = text(&folder.file("copy.pages"));
    let script = r#"trap "" HUP; "$0" "$@" & kill -HUP $!; wait $!"#;
    let status = Command::new("sh")
        .args(["-c", script, env!("CARGO_BIN_EXE_pagebox")])
        .args(["copy", &file, &copy])
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(0));
    run(["info", &copy]).done();
}
