//! Programs in four languages on one file, one after the other.

use std::path::{Path, PathBuf};
use std::process::Output;

use tempfile::TempDir;

use crate::guide::built;
use crate::tools::{FORMATS, Tools, ran, succeeded, told};

pub(crate) const LANGUAGES: [(&str, &str); 4] = [
    ("Rust", "rust/target/wasm32-wasip2/release/queue.wasm"),
    ("C", "c/queue.wasm"),
    ("Python", "python/queue.wasm"),
    ("JavaScript", "javascript/queue.wasm"),
];

/// A page file of its own for each test.
struct Queue<'a> {
    tools: &'a Tools,
    _folder: TempDir,
    file: PathBuf,
}

impl<'a> Queue<'a> {
    fn new(tools: &'a Tools) -> Self {
        Self::of_format(tools, FORMATS[1])
    }

    fn of_format(tools: &'a Tools, format: &str) -> Self {
        let folder = tempfile::tempdir().expect("there is room for a folder");
        let file = folder.path().join("queue.pages");
        let mut create = tools.command("pagebox");
        succeeded(create.args(["create", "--format", format]).arg(&file));
        Self {
            tools,
            _folder: folder,
            file,
        }
    }

    fn run(&self, program: &str, args: &[&str]) -> Output {
        run(self.tools, program, Some(&self.file), args)
    }

    /// What a run that has to succeed printed.
    fn printed(&self, program: &str, args: &[&str]) -> String {
        let output = self.run(program, args);
        assert!(
            output.status.success(),
            "{program} {args:?}: {}",
            told(&output)
        );
        // Nothing is left open either.
        assert_eq!(output.stderr, b"", "{program} {args:?}: {}", told(&output));
        String::from_utf8(output.stdout).expect("programs print UTF-8")
    }

    fn check(&self) {
        succeeded(self.tools.command("pagebox").arg("check").arg(&self.file));
    }
}

fn run(tools: &Tools, program: &str, file: Option<&Path>, args: &[&str]) -> Output {
    let mut command = tools.command("pagebox");
    command.arg("run").arg(program);
    if let Some(file) = file {
        command
            .arg("--store")
            .arg(format!("queue={}", file.display()));
    }
    ran(command.arg("--").args(args))
}

#[test]
fn what_one_language_pushed_every_other_pops() {
    let Some(tools) = built() else { return };
    let queue = Queue::new(tools);
    for (writer, pushes) in LANGUAGES {
        for (reader, pops) in LANGUAGES {
            let first = format!("{writer} to {reader}, größer");
            queue.printed(pushes, &["push", &first, "", "third"]);
            assert_eq!(
                queue.printed(pops, &["list"]),
                format!("{first}\n\nthird\n")
            );
            assert_eq!(queue.printed(pops, &["pop"]), format!("{first}\n"));
            assert_eq!(queue.printed(pops, &["pop"]), "\n");
            assert_eq!(queue.printed(pops, &["pop"]), "third\n");
            let empty = queue.run(pops, &["pop"]);
            assert_eq!(empty.status.code(), Some(1), "{}", told(&empty));
            assert!(
                told(&empty).contains("the queue is empty"),
                "{}",
                told(&empty)
            );
        }
        queue.check();
    }
    // All but the root page was freed again.
    let list = succeeded(
        tools
            .command("pagebox")
            .arg("list")
            .arg("--json")
            .arg(&queue.file),
    );
    let list: serde_json::Value = serde_json::from_str(&list).expect("it prints JSON");
    assert_eq!(
        list["protected"].as_array().map(Vec::len),
        Some(1),
        "{list}"
    );
}

#[test]
fn a_store_that_was_not_granted_is_a_clear_error() {
    let Some(tools) = built() else { return };
    for (language, program) in LANGUAGES {
        let output = run(tools, program, None, &["list"]);
        assert_eq!(
            output.status.code(),
            Some(1),
            "{language}: {}",
            told(&output)
        );
        assert!(
            told(&output).contains("no store was granted: \"queue\" is missing"),
            "{language}: {}",
            told(&output)
        );
    }
}

#[test]
fn an_error_of_the_pager_is_a_sentence() {
    let Some(tools) = built() else { return };
    for (language, program) in LANGUAGES {
        let queue = Queue::new(tools);
        // Protected page 0 is somebody else's; the root says that message 9 is first.
        let root = [
            &b"PBXQUEUE"[..],
            &[9, 0, 0, 0, 0, 0, 0, 0],
            &[9, 0, 0, 0, 0, 0, 0, 0],
            &[1],
        ]
        .concat();
        pages(&queue, &root);
        let output = queue.run(program, &["pop"]);
        assert_eq!(
            output.status.code(),
            Some(1),
            "{language}: {}",
            told(&output)
        );
        assert!(
            told(&output).contains("there is no protected page 9"),
            "{language}: {}",
            told(&output)
        );
        queue.check();
    }
}

#[test]
fn a_page_file_of_something_else_is_left_alone() {
    let Some(tools) = built() else { return };
    for (language, program) in LANGUAGES {
        let queue = Queue::new(tools);
        pages(&queue, b"somebody else's");
        let before = std::fs::read(&queue.file).expect("the file is there");
        let output = queue.run(program, &["push", "text"]);
        assert_eq!(
            output.status.code(),
            Some(1),
            "{language}: {}",
            told(&output)
        );
        assert!(
            told(&output).contains("something else than a queue"),
            "{language}: {}",
            told(&output)
        );
        assert_eq!(
            std::fs::read(&queue.file).expect("the file is there"),
            before,
            "{language}"
        );
    }
}

#[test]
fn a_message_that_does_not_fit_changes_nothing() {
    let Some(tools) = built() else { return };
    for (language, program) in LANGUAGES {
        let queue = Queue::new(tools);
        let fits = "x".repeat(4096 - 12);
        queue.printed(program, &["push", &fits]);
        let output = queue.run(program, &["push", "short", &format!("{fits}x")]);
        assert_eq!(
            output.status.code(),
            Some(1),
            "{language}: {}",
            told(&output)
        );
        let expected = "a message of 4085 bytes: there is room for 4084";
        assert!(
            told(&output).contains(expected),
            "{language}: {}",
            told(&output)
        );
        assert_eq!(
            queue.printed(program, &["list"]),
            format!("{fits}\n"),
            "{language}"
        );
    }
}

/// Makes protected page 0, with these bytes.
fn pages(queue: &Queue<'_>, bytes: &[u8]) {
    let command = || queue.tools.command("pagebox");
    succeeded(command().args(["alloc", "--protected"]).arg(&queue.file));
    let input = queue.file.with_extension("bytes");
    std::fs::write(&input, bytes).expect("there is room");
    let input = std::fs::File::open(input).expect("it was written");
    let mut write = command();
    succeeded(
        write
            .args(["write", "--protected"])
            .arg(&queue.file)
            .arg("0")
            .stdin(input),
    );
}
