//! Programs that do what they should not: the host stays, and so do the files.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use pagebox::trace::Trace;
use tempfile::TempDir;

use crate::tools::{FORMATS, Tools, copy_folder, ran, repository, succeeded, told, tools};

static PROGRAM: LazyLock<Option<PathBuf>> = LazyLock::new(|| tools().map(build));

fn build(tools: &Tools) -> PathBuf {
    let folder = tools.examples().join("../tests/languages/misbehaving");
    copy_folder(
        &repository().join("host/tests/languages/misbehaving"),
        &folder,
    );
    copy_folder(&repository().join("wit"), &folder.join("wit"));
    let mut cargo = tools.command("cargo");
    cargo.args(["build", "--release", "--target", "wasm32-wasip2"]);
    succeeded(cargo.current_dir(&folder));
    folder.join("target/wasm32-wasip2/release/misbehaving.wasm")
}

/// A page file, and a program that is run on it.
pub(crate) struct Case {
    tools: &'static Tools,
    program: &'static Path,
    _folder: TempDir,
    file: PathBuf,
}

impl Case {
    fn new() -> Option<Self> {
        Self::of_format(FORMATS[1])
    }

    pub(crate) fn of_format(format: &str) -> Option<Self> {
        let (tools, program) = (tools()?, PROGRAM.as_ref()?);
        let folder = tempfile::tempdir().expect("there is room for a folder");
        let file = folder.path().join("data.pages");
        let mut create = tools.command("pagebox");
        succeeded(create.args(["create", "--format", format]).arg(&file));
        Some(Self {
            tools,
            program,
            _folder: folder,
            file,
        })
    }

    pub(crate) fn command(&self, grant: &str) -> Command {
        let mut command = self.tools.command("pagebox");
        let named = format!("data={}", self.file.display());
        command.arg("run").arg(self.program).args([grant, &named]);
        command
    }

    fn run(&self, what: &str) -> Output {
        ran(self.command("--store").args(["--", what]))
    }

    fn bytes(&self) -> Vec<u8> {
        fs::read(&self.file).expect("the file is there")
    }
}

#[track_caller]
fn assert_failed(output: &Output, code: i32, expected: &str) {
    assert_eq!(output.status.code(), Some(code), "{}", told(output));
    assert!(told(output).contains(expected), "{}", told(output));
    assert_eq!(
        told(output).lines().count(),
        2,
        "one line: {}",
        told(output)
    );
}

#[test]
fn a_trap_in_a_transaction_leaves_the_file_as_before() {
    let Some(case) = Case::new() else { return };
    let before = case.bytes();
    let output = case.run("trap-in-transaction");
    assert_failed(&output, 4, "the sandbox failed while running");
    assert_eq!(case.bytes(), before);
}

#[test]
fn a_trap_after_a_commit_leaves_what_was_committed() {
    let Some(case) = Case::new() else { return };
    assert_failed(&case.run("trap-after-commit"), 4, "unreachable");
    let mut read = case.tools.command("pagebox");
    read.args(["read", "--protected", "--len", "9"])
        .arg(&case.file)
        .arg("0");
    assert_eq!(succeeded(&mut read), "committed");
}

/// That the program ends with this exit code and these words, and that a trace of
/// all that it wrote is there.
#[track_caller]
fn assert_recorded(what: &str, options: &[&str], code: i32, expected: &str) {
    let Some(case) = Case::new() else { return };
    let before = case.bytes();
    let trace = case.file.with_extension("trace");
    let record = format!("data={}", trace.display());
    let mut command = case.command("--store");
    command.args(["--record", &record]).args(options);
    let mut child = command
        .args(["--", what])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    // Open until it ended: nothing is ever there to be read.
    let input = child.stdin.take();
    let output = child.wait_with_output().expect("it ends");
    drop(input);
    assert_eq!(output.status.code(), Some(code), "{}", told(&output));
    assert!(told(&output).contains(expected), "{}", told(&output));
    let lines = 1 + usize::from(code != 0);
    assert_eq!(told(&output).lines().count(), lines, "{}", told(&output));
    let trace = Trace::decode(&fs::read(trace).expect("it is there")).expect("it is a trace");
    assert!(trace.base().concat() == before, "{what}");
    let left = trace.disk_at(trace.steps().len(), None);
    assert!(left.pages().concat() == case.bytes(), "{what}");
    assert!(case.bytes() != before, "{what}");
}

#[test]
fn a_program_that_crashes_is_recorded_to_its_last_write() {
    assert_recorded("trap-after-commit", &[], 4, "unreachable");
    assert_recorded("exit-after-commit", &[], 1, "exit code");
}

#[test]
fn a_program_out_of_time_is_recorded_to_its_last_write() {
    let expected = "it took longer than 0.5 s";
    for what in ["spin-after-commit", "wait-after-commit"] {
        assert_recorded(what, &["--timeout", "0.5"], 4, expected);
    }
}

#[test]
fn a_store_that_is_taken_twice_is_recorded_from_first_to_last() {
    assert_recorded("commit-twice", &[], 0, "");
}

#[test]
fn a_program_out_of_time_is_ended() {
    let Some(case) = Case::new() else { return };
    let start = Instant::now();
    let output = ran(case
        .command("--store")
        .args(["--timeout", "0.5", "--", "spin"]));
    assert_failed(&output, 4, "it took longer than 0.5 s");
    assert!(start.elapsed() < Duration::from_mins(1));
}

#[test]
fn a_program_out_of_memory_is_ended() {
    let Some(case) = Case::new() else { return };
    let output = ran(case
        .command("--store")
        .args(["--max-memory", "32MiB", "--", "hog"]));
    assert_failed(&output, 4, "it needs more than 32");
}

#[test]
fn handles_that_are_left_open_are_reported() {
    let Some(case) = Case::new() else { return };
    let output = case.run("leak");
    assert!(output.status.success(), "{}", told(&output));
    assert!(
        told(&output).contains("it left 1 store and 1 page view open"),
        "{}",
        told(&output)
    );
}

#[test]
fn a_store_is_taken_by_one_at_a_time() {
    let Some(case) = Case::new() else { return };
    assert_failed(
        &case.run("take-twice"),
        1,
        "the store \"data\" is taken already",
    );
    let output = case.run("take-again");
    assert_eq!(told(&output), "exit status: 0\ndata\n");
}

/// It was said to be in use by another process.
#[test]
fn a_file_that_is_granted_twice_is_named_with_its_first_name() {
    let Some(case) = Case::new() else { return };
    let again = format!("again={}", case.file.display());
    let mut command = case.command("--store");
    let output = ran(command.args(["--store", &again, "--", "take-again"]));
    assert_failed(&output, 1, "granted to write as \"data\" and as \"again\"");
    // To read it, no lock is needed.
    let mut command = case.command("--store");
    let output = ran(command.args(["--read-only-store", &again, "--", "take-again"]));
    assert_eq!(told(&output), "exit status: 0\ndata,again\n");
}

#[test]
fn a_read_only_store_cannot_be_changed() {
    let Some(case) = Case::new() else { return };
    let before = case.bytes();
    let run = |what| ran(case.command("--read-only-store").args(["--", what]));
    assert_failed(
        &run("write-read-only"),
        1,
        "the file was opened to read only",
    );
    let output = run("open-read-only-to-write");
    assert_ne!(output.status.code(), Some(0), "{}", told(&output));
    // The program is told that a store is read-only, but not which one.
    let expected = "\"data\" was granted to read only";
    assert!(told(&output).contains(expected), "{}", told(&output));
    assert_eq!(case.bytes(), before);
}

/// It said `in use by another process`, which was this one.
#[test]
fn a_file_granted_to_write_twice_is_refused_by_both_names() {
    let Some(case) = Case::new() else { return };
    let link = case.file.with_file_name("link.pages");
    fs::hard_link(&case.file, &link).expect("the folder can be written");
    for other in [&case.file, &link] {
        let named = format!("source={}", other.display());
        let output = ran(case.command("--store").args(["--store", &named]));
        assert_failed(&output, 1, "granted to write as \"data\" and as \"source\"");
    }
}

#[test]
fn a_program_reaches_nothing_that_it_was_not_granted() {
    let Some(case) = Case::new() else { return };
    let output = case.run("look-around");
    let nothing = "exit status: 0\nfolders false\nvariables 0\nnetwork false\nlistening false\n";
    assert_eq!(told(&output), nothing);
}

#[test]
fn an_exit_code_is_passed_on() {
    let Some(case) = Case::new() else { return };
    assert!(case.run("exit").status.success());
    // Preview 2 knows success and failure only.
    assert_eq!(case.run("exit-with-code").status.code(), Some(1));
}

#[test]
fn a_file_that_is_no_page_file_is_refused_before_anything_runs() {
    let Some(case) = Case::new() else { return };
    fs::write(&case.file, "no page file").expect("it can be written");
    assert_failed(&case.run("spin"), 3, "not a page file");
    fs::remove_file(&case.file).expect("it can be removed");
    assert_failed(&case.run("spin"), 1, "no such file");
}

#[test]
fn something_that_is_no_program_is_refused() {
    let Some(case) = Case::new() else { return };
    let run = |program: &Path| ran(case.tools.command("pagebox").arg("run").arg(program));
    assert_failed(&run(&case.file), 1, "it is no WebAssembly component");
    assert_failed(&run(Path::new("nowhere.wasm")), 1, "no such file");
}
