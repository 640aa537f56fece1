//! Starting the program, and what it answers.

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// Longer than any of its commands takes.
const TIMEOUT: Duration = Duration::from_mins(1);

/// What the program answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: i32,
    pub(crate) output: Vec<u8>,
    pub(crate) errors: String,
}

impl Answer {
    /// Standard output, as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.output.clone()).expect("the output is text")
    }

    /// Standard output, as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.output).expect("the output is JSON")
    }

    /// Standard output, as a number a line.
    pub(crate) fn ids(&self) -> Vec<u64> {
        self.text()
            .lines()
            .map(|line| line.parse().expect("a line is a number"))
            .collect()
    }

    /// That it did what it was asked and had nothing to complain about.
    #[track_caller]
    pub(crate) fn done(self) -> Self {
        assert_eq!(
            (self.code, self.errors.as_str()),
            (0, ""),
            "{}",
            self.output.escape_ascii()
        );
        self
    }

    /// That it ended with this exit code, a line that says why, and no output.
    #[track_caller]
    pub(crate) fn failed(self, code: i32) -> String {
        assert_eq!(self.code, code, "{}", self.errors);
        assert_eq!(self.output.escape_ascii().to_string(), "");
        assert_eq!(self.errors.lines().count(), 1, "{}", self.errors);
        assert!(self.errors.starts_with("pagebox: "), "{}", self.errors);
        self.errors
    }
}

/// The program, with colours off as in a pipe whatever the environment says.
pub(crate) fn program(args: &[&OsStr]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pagebox"));
    command.args(args);
    for name in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "CI"] {
        command.env_remove(name);
    }
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Runs it with no input.
pub(crate) fn run<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Answer {
    run_with(args, b"")
}

/// Runs it with this standard input.
pub(crate) fn run_with<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>, input: &[u8]) -> Answer {
    let args: Vec<S> = args.into_iter().collect();
    let args: Vec<&OsStr> = args.iter().map(AsRef::as_ref).collect();
    let mut child = program(&args)
        .spawn()
        .expect("the program was built with this test");
    let mut stdin = child.stdin.take().expect("its input is a pipe");
    let input = input.to_owned();
    // It may stop reading at any time.
    let writer = thread::spawn(move || drop(stdin.write_all(&input)));
    let answer = answer(child);
    writer.join().expect("the writer does not panic");
    answer
}

/// What a started program answers; it must end by itself, and in time.
pub(crate) fn answer(child: Child) -> Answer {
    let id = child.id();
    let (done, ended) = std::sync::mpsc::channel::<()>();
    let watchdog = thread::spawn(move || {
        let start = Instant::now();
        if ended.recv_timeout(TIMEOUT).is_err() && start.elapsed() >= TIMEOUT {
            eprintln!("process {id} hangs");
            std::process::abort();
        }
    });
    let output = child.wait_with_output().expect("it can be waited for");
    drop(done);
    watchdog.join().expect("the watchdog does not panic");
    Answer {
        code: output
            .status
            .code()
            .unwrap_or_else(|| panic!("it died: {}", output.status)),
        output: output.stdout,
        errors: String::from_utf8(output.stderr).expect("errors are text"),
    }
}

/// The first page that is allocated in a file of [`Folder::pages`], and the next.
pub(crate) const FIRST: &str = "15";
pub(crate) const SECOND: &str = "16";

/// A folder for page files, gone when the test ends.
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(pagebox_tests::scratch::folder())
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// A file with these bytes.
    pub(crate) fn with(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.file(name);
        std::fs::write(&path, bytes).expect("the folder is there");
        text(&path)
    }

    /// A new page file of 4 KiB pages, as it is made unless told otherwise.
    pub(crate) fn pages(&self, name: &str) -> String {
        let path = text(&self.file(name));
        run(["create", &path]).done();
        path
    }

    /// The same of a format.
    pub(crate) fn pages_of(&self, format: &str, name: &str) -> String {
        let path = text(&self.file(name));
        run(["create", &path, "--format", format]).done();
        path
    }

    /// The names of what is in it.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.path()).expect("the folder is there");
        let mut names: Vec<String> = entries
            .map(|entry| entry.expect("it can be listed").file_name())
            .map(|name| name.to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }
}

pub(crate) fn text(path: &Path) -> String {
    path.to_str()
        .expect("tests choose paths that are text")
        .to_owned()
}
