//! Addresses in the place of files.

use crate::run::run;
#[cfg(feature = "slatedb")]
use crate::run::{Folder, run_with, text};

/// Each command that takes a file; where one needs more it is told.
const COMMANDS: [&[&str]; 10] = [
    &["create"],
    &["info"],
    &["alloc"],
    &["free", "9"],
    &["read", "9"],
    &["write", "9"],
    &["list"],
    &["check"],
    &["map"],
    &["compact"],
];

fn with<'a>(command: &[&'a str], address: &'a str) -> Vec<&'a str> {
    let (name, rest) = command.split_first().expect("a command has a name");
    let mut args = vec![*name, address];
    args.extend(rest);
    args
}

#[cfg(not(feature = "slatedb"))]
#[test]
fn address_without_the_feature_is_one_sentence_about_it() {
    for command in COMMANDS {
        let said = run(with(command, "slatedb+s3://bucket/data")).failed(1);
        assert!(
            said.contains("built without stores on object storage"),
            "{said}"
        );
    }
}

#[cfg(feature = "slatedb")]
#[test]
fn address_with_a_key_is_refused_and_shown_nowhere() {
    for address in [
        "slatedb+s3://AKIA123:s3cr3t@bucket/data",
        "slatedb+s3://bucket/data?secret_access_key=s3cr3t&AKIA123",
    ] {
        for command in COMMANDS {
            let said = run(with(command, address)).failed(1);
            assert!(said.contains("from the environment"), "{said}");
            assert!(
                !said.contains("s3cr3t") && !said.contains("AKIA123"),
                "{said}"
            );
        }
    }
}

/// A typing error makes nothing, in commands that read and in those that write.
#[cfg(feature = "slatedb")]
#[test]
fn address_of_nothing_is_told_and_makes_nothing() {
    let folder = Folder::new();
    let address = format!("slatedb+file://{}", text(&folder.file("typo")));
    for command in COMMANDS.iter().filter(|command| command[0] != "create") {
        let said = run(with(command, &address)).failed(1);
        assert!(said.contains("there is no page store there"), "{said}");
        assert!(!folder.file("typo").exists(), "{command:?}");
    }
}

/// What is done to a store and to a file gives the same bytes, and a copy of either
/// is the other.
#[cfg(feature = "slatedb")]
#[test]
fn commands_do_to_a_store_what_they_do_to_a_file() {
    for format in ["0", "1"] {
        let folder = Folder::new();
        let store = format!("slatedb+file://{}", text(&folder.file("store")));
        let file = text(&folder.file("data.pages"));
        for place in [&store, &file] {
            run(["create", place, "--format", format]).done();
            run(["alloc", place, "--count", "3"]).done();
            assert_eq!(run(["alloc", place, "--protected"]).done().ids(), [0]);
            let id = run(["list", place, "--json"]).done().json()["regular"][0].to_string();
            run_with(["write", place, "0", "--protected"], b"hello").done();
            run_with(["write", place, &id], b"regular").done();
            run(["free", place, &id]).done();
            let read = run(["read", place, "0", "--protected", "--len", "5"]).done();
            assert_eq!(read.text(), "hello");
            run(["check", place]).done();
        }
        let listed = |place: &str| run(["list", place, "--json"]).done().json();
        assert_eq!(listed(&store)["regular"], listed(&file)["regular"]);
        let (out, back) = (
            text(&folder.file("out.pages")),
            text(&folder.file("back.pages")),
        );
        let other = format!("{store}-2");
        run(["copy", &store, &out]).done();
        run(["check", &out]).done();
        run(["copy", &out, &other]).done();
        run(["copy", &other, &back]).done();
        let bytes = std::fs::read(&out).unwrap();
        assert!(bytes == std::fs::read(&back).unwrap(), "format {format}");
        // Nothing that is there is replaced.
        for output in [&out, &other] {
            let said = run(["copy", &store, output]).failed(1);
            assert!(said.contains("exists already"), "{said}");
        }
        assert!(bytes == std::fs::read(&out).unwrap(), "format {format}");
    }
}

#[cfg(feature = "slatedb")]
#[test]
fn store_that_another_one_has_open_is_taken_over_on_request_only() {
    use pagebox::{Engine, Error, PageSize, ProtectedId};
    let folder = Folder::new();
    let store = format!("slatedb+file://{}", text(&folder.file("store")));
    let mut writer = Engine::new()
        .unwrap()
        .create(&store, PageSize::KIB_4)
        .unwrap();
    let id = writer.alloc_protected().unwrap();
    let said = run(["alloc", &store, "--wait", "0"]).failed(1);
    let own = format!(
        "in use: another writer has it open: process {}",
        std::process::id()
    );
    assert!(
        said.contains(own.trim_start_matches("in use: another writer has it open: ")),
        "{said}"
    );
    assert!(said.contains("--take-over"), "{said}");
    // Reading disturbs nobody.
    run(["check", &store]).done();
    let mut tx = writer.begin().unwrap();
    tx.write(id).unwrap()[0] = 1;
    tx.commit().unwrap();
    let taken = run(["alloc", &store, "--take-over"]);
    assert_eq!(taken.code, 0, "{}", taken.errors);
    assert!(
        taken.errors.contains("taken over from process"),
        "{}",
        taken.errors
    );
    let mut tx = writer.begin().unwrap();
    tx.write(id).unwrap()[0] = 2;
    let error = tx.commit().unwrap_err();
    assert!(error.is_caller_fault(), "{error}");
    assert!(
        error
            .to_string()
            .contains("another writer has taken the store over"),
        "{error}"
    );
    assert!(matches!(writer.reopen(), Err(Error::Store { .. })));
    let read = run(["read", &store, "0", "--protected", "--len", "1"]).done();
    assert_eq!(read.output, [1]);
    let engine = Engine::new().unwrap();
    let next = engine.open_url(&store).unwrap();
    assert_eq!(next.stats().unwrap().protected_pages, 1_u64);
    assert!(engine.open_url("data.pages").is_err());
    let mut byte = [0];
    next.read_protected(ProtectedId::new(0), 0, &mut byte)
        .unwrap();
    assert_eq!(byte, [1]);
}

#[cfg(feature = "slatedb")]
#[test]
fn commands_for_files_only_say_so() {
    let folder = Folder::new();
    let store = format!("slatedb+file://{}", text(&folder.file("store")));
    run(["create", &store]).done();
    let output = text(&folder.file("output.pages"));
    for args in [
        &["repair", &store, "--output", &output][..],
        &["upgrade", &store, "--output", &output],
        &["backup", &store, &output],
    ] {
        let said = run(args).failed(1);
        assert!(said.contains("works on files only"), "{said}");
    }
}
