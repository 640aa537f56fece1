//! `pagebox run --record`: the traces of what programs write.

use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use pagebox::trace::Trace;
use pagebox_tests::guests;

use crate::run::{Answer, Folder, run, text};

/// The program of the guide.
fn queue_program() -> &'static str {
    static BUILT: OnceLock<String> = OnceLock::new();
    BUILT.get_or_init(|| {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/rust");
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("queue");
        text(&guests::build(&manifest, &target, "queue"))
    })
}

/// What the program does with this file, recorded there.
fn recorded(file: &str, trace: &Path, args: &[&str]) -> Answer {
    let (store, record) = (
        format!("queue={file}"),
        format!("queue={}", trace.display()),
    );
    let grants = ["run", queue_program(), "--store", &store];
    run([&grants[..], &["--record", &record, "--"], args].concat())
}

/// That a trace begins with a file as it was `before`, and ends with what it is;
/// and how many syncs are in it.
#[track_caller]
fn assert_whole(trace: &Path, before: &[u8], file: &str) -> usize {
    let trace = Trace::decode(&fs::read(trace).unwrap()).unwrap();
    assert!(trace.base().concat() == before, "its base is another one");
    let left = trace.disk_at(trace.steps().len(), None);
    assert!(left.pages().concat() == fs::read(file).unwrap());
    let barriers = trace.steps().iter().filter(|step| step.is_barrier());
    barriers.count()
}

#[test]
fn what_a_program_writes_is_recorded() {
    let folder = Folder::new();
    let file = folder.pages("messages.pages");
    let mut before = fs::read(&file).unwrap();
    for (name, args, printed) in [
        ("push.trace", &["push", "hello", "world"][..], ""),
        ("pop.trace", &["pop"], "hello\n"),
    ] {
        let trace = folder.file(name);
        assert_eq!(recorded(&file, &trace, args).done().text(), printed);
        assert!(assert_whole(&trace, &before, &file) > 0, "{name}");
        before = fs::read(&file).unwrap();
    }
    // A reader writes nothing, but makes sure that what it reads stays.
    let trace = folder.file("list.trace");
    recorded(&file, &trace, &["list"]).done();
    assert_eq!(assert_whole(&trace, &before, &file), 1);
    assert!(fs::read(&file).unwrap() == before);
    run(["check", &file]).done();
}

/// It has the last step before its end like any other.
#[test]
fn program_that_fails_is_recorded() {
    let folder = Folder::new();
    let file = folder.pages("messages.pages");
    let before = fs::read(&file).unwrap();
    let trace = folder.file("push.trace");
    let too_long = "x".repeat(5000);
    let error = recorded(&file, &trace, &["push", "short", &too_long]).failed(1);
    assert!(error.contains("a message of 5000 bytes"), "{error}");
    assert_whole(&trace, &before, &file);
}

#[test]
fn record_that_cannot_be_made_leaves_all_as_it_was() {
    let folder = Folder::new();
    let file = folder.pages("messages.pages");
    let other = folder.pages("other.pages");
    let before = fs::read(&file).unwrap();
    let push = |options: &[&str]| {
        let store = format!("queue={file}");
        let start = ["run", queue_program(), "--store", &store];
        run([&start[..], options, &["--", "push", "hello"]].concat())
    };
    let named = |name: &str, trace: &str| format!("{name}={}", folder.path().join(trace).display());
    let (first, second) = (named("queue", "a.trace"), named("queue", "b.trace"));
    let nowhere = named("queue", "nowhere/a.trace");
    let unknown = named("other", "b.trace");
    let granted = format!("other={other}");
    let itself = format!("queue={file}");
    let there = folder.with("there.trace", b"somebody's");
    let taken = format!("other={there}");
    for (options, told) in [
        (&["--record", &itself][..], "messages.pages: cannot make it"),
        (
            &["--record", &nowhere],
            "nowhere/a.trace: cannot make it: No such file",
        ),
        (
            &["--record", &unknown],
            "b.trace: no store \"other\" is granted: --store other=FILE grants one",
        ),
        (
            &["--read-only-store", &granted, "--record", &unknown],
            "b.trace: the store \"other\" is granted to read only: there is nothing to record",
        ),
        (
            &["--record", &first, "--record", &second],
            "a.trace already: once is enough",
        ),
        // The first is made by then.
        (
            &["--store", &granted, "--record", &first, "--record", &taken],
            "there.trace: cannot make it: File exists",
        ),
        (
            &["--record", &first, "--store", "other=nowhere.pages"],
            "nowhere.pages: no such file",
        ),
    ] {
        let error = push(options).failed(1);
        assert!(error.contains(told), "{error}");
        assert_eq!(
            folder.names(),
            ["messages.pages", "other.pages", "there.trace"],
            "{error}"
        );
    }
    assert_eq!(fs::read(&there).unwrap(), b"somebody's");
    assert!(fs::read(&file).unwrap() == before);
    // A program that does not come to run neither.
    let app = folder.with("app.wasm", b"no program");
    run(["run", &app, "--store", &itself, "--record", &first]).failed(1);
    assert!(!folder.file("a.trace").exists());
}

/// Of a program that ends well, too.
#[cfg(unix)]
#[test]
fn trace_that_is_not_whole_is_told_of() {
    let folder = Folder::new();
    let file = text(&folder.file("messages.pages"));
    run(["create", &file, "--pages", "1000"]).done();
    let mut before = fs::read(&file).unwrap();
    // Free pages, which a trace has to begin with all the same.
    before[16 << 12..].fill(7);
    fs::write(&file, &before).unwrap();
    let trace = folder.file("push.trace");
    let (store, record) = (
        format!("queue={file}"),
        format!("queue={}", trace.display()),
    );
    let texts = vec!["hello"; 150];
    // Room for the file, but not for so many messages after it.
    let grants = ["run", queue_program(), "--store", &store];
    let args = [&grants[..], &["--record", &record, "--", "push"], &texts].concat();
    let answer = crate::limits::run_limited("8400", &args);
    assert_eq!(answer.code, 0, "{}", answer.errors);
    let told = "push.trace: the trace is not whole: ";
    assert!(answer.errors.contains(told), "{}", answer.errors);
    assert_eq!(answer.errors.lines().count(), 1, "{}", answer.errors);
    // It did all that it was asked for.
    let list = run(["run", queue_program(), "--store", &store, "--", "list"]);
    assert_eq!(list.done().text().lines().count(), texts.len());
    let trace = Trace::decode(&fs::read(trace).unwrap()).unwrap();
    assert!(trace.base().concat() == before);
}
