//! What the commands do when they cannot do what they are asked.

use std::ffi::OsStr;
use std::fs;
use std::io::Read;
use std::process::Stdio;

use crate::run::{FIRST, Folder, answer, program, run, run_with, text};

/// Commands that a file is given to, with what they need besides.
const COMMANDS: [&[&str]; 11] = [
    &["info"],
    &["alloc"],
    &["free", FIRST],
    &["read", FIRST],
    &["write", FIRST],
    &["list"],
    &["check"],
    &["map"],
    &["copy", "/nowhere/copy"],
    &["repair", "--output", "/nowhere/copy"],
    &["upgrade", "--output", "/nowhere/copy"],
];

/// A command about `file`.
fn about(command: &[&str], file: &str) -> Vec<String> {
    let mut args = vec![command[0], file];
    args.extend(&command[1..]);
    args.into_iter().map(str::to_owned).collect()
}

#[test]
fn what_is_no_page_file_is_named_and_left_alone() {
    let folder = Folder::new();
    // Of format 0: a header of format 1 with other bytes is a rotten one.
    let page_file = fs::read(folder.pages_of("0", "sound.pages")).unwrap();
    let mut newer = page_file.clone();
    newer[5] = 3;
    let mut foreign_size = page_file.clone();
    foreign_size[8] = 63;
    for (name, bytes) in [
        ("empty", &b""[..]),
        ("four", b"MPPG"),
        ("four of ours", b"PBOX"),
        (
            "foreign",
            b"SQLite format 3\0 and so on, for longer than a header is",
        ),
        ("zeros", &[0; 8192]),
        ("newer", &newer),
        ("size", &foreign_size),
    ] {
        let file = folder.with(name, bytes);
        for command in COMMANDS {
            let answer = run(about(command, &file));
            if command[0] == "check" {
                // Its findings say why.
                assert_eq!((answer.code, answer.errors.as_str()), (3, ""), "{name}");
                assert!(answer.text().contains("error"), "{}", answer.text());
            } else {
                let error = answer.failed(3);
                assert!(error.starts_with(&format!("pagebox: {file}: ")), "{error}");
            }
            assert!(
                fs::read(&file).unwrap() == bytes,
                "{command:?} changed {name}"
            );
        }
    }
}

#[test]
fn what_is_no_file_is_named() {
    let folder = Folder::new();
    let missing = text(&folder.file("missing"));
    let directory = text(folder.path());
    for command in COMMANDS {
        let error = run(about(command, &missing)).failed(1);
        assert!(error.contains("no such file"), "{error}");
        let error = run(about(command, &directory)).failed(3);
        assert!(error.contains("it is a folder"), "{error}");
        let error = run(about(command, "/dev/null")).failed(3);
        assert!(error.contains("it is a device"), "{error}");
    }
    run(["create", &directory]).failed(1);
}

#[cfg(unix)]
#[test]
fn a_pipe_in_the_place_of_a_file_is_not_waited_for() {
    let folder = Folder::new();
    let pipe = text(&folder.file("pipe"));
    let made = std::process::Command::new("mkfifo")
        .arg(&pipe)
        .status()
        .unwrap();
    assert!(made.success());
    for command in COMMANDS {
        let error = run(about(command, &pipe)).failed(3);
        assert!(error.contains("it is a pipe"), "{error}");
    }
}

#[test]
fn a_file_in_use_can_be_looked_at_but_not_changed() {
    let folder = Folder::new();
    let file = folder.pages("a.pages");
    run(["alloc", &file]).done();
    let held = fs::File::open(&file).unwrap();
    held.lock().unwrap();
    for command in [&["alloc"][..], &["free", FIRST], &["write", FIRST]] {
        let mut args = about(command, &file);
        args.extend(["--wait", "0"].map(str::to_owned));
        let error = run(args).failed(1);
        assert!(error.contains("in use by another process"), "{error}");
        assert!(error.contains("--wait SECONDS"), "{error}");
    }
    run(["read", &file, FIRST]).done();
    held.unlock().unwrap();
    run(["free", &file, FIRST]).done();
}

#[test]
fn pages_that_are_not_the_callers_are_refused_by_name() {
    let folder = Folder::new();
    let file = folder.pages("a.pages");
    run(["alloc", &file]).done();
    run(["alloc", &file, "--protected"]).done();
    run_with(["write", &file, "0", "--protected"], b"x").done();
    let list = run(["list", &file, "--json"]).done().json();
    let owned = list["protected"][0]["page"].to_string();
    let info = run(["info", &file, "--json"]).done().json();
    let free = (info["page_count"].as_u64().unwrap() - 1).to_string();
    let before = fs::read(&file).unwrap();
    let head = ["0", "1", "2", "3"];
    for id in head
        .into_iter()
        .chain([&*owned, &free, "100", "18446744073709551615"])
    {
        for command in [&["free", id][..], &["read", id], &["write", id]] {
            let error = run_with(about(command, &file), b"x").failed(1);
            assert!(
                error.contains(&format!("page {id} ")) || error.contains(&format!("page {id}:")),
                "{error}"
            );
        }
    }
    for command in [&["free", "1"][..], &["read", "1"], &["write", "1"]] {
        let mut args = about(command, &file);
        args.push("--protected".into());
        let error = run_with(args, b"x").failed(1);
        assert!(error.contains("protected page 1"), "{error}");
    }
    assert!(fs::read(&file).unwrap() == before, "the file changed");
}

#[test]
fn bytes_past_the_end_of_a_page_are_refused() {
    let folder = Folder::new();
    let file = folder.pages("a.pages");
    run(["alloc", &file]).done();
    let huge = usize::MAX.to_string();
    for args in [
        ["read", FIRST, "--offset", "4097"],
        ["read", FIRST, "--len", "4097"],
        ["read", FIRST, "--len", &huge],
        ["read", FIRST, "--offset", &huge],
        ["write", FIRST, "--offset", "4097"],
        ["write", FIRST, "--offset", &huge],
    ] {
        let error = run(about(&args, &file)).failed(1);
        assert!(error.contains("4096 bytes"), "{error}");
    }
}

#[test]
fn a_full_file_says_so_and_stays_as_it_is() {
    let folder = Folder::new();
    let file = text(&folder.file("small.pages"));
    let small = ["--format", "0", "--page-size", "1024"];
    run(["create", &file].iter().chain(&small)).done();
    let before = run(["info", &file, "--json"]).done().json();
    let error = run(["alloc", &file, "--count", "8000"]).failed(1);
    assert!(error.contains("full") && error.contains("7968"), "{error}");
    assert!(error.contains("make a file of format 1"), "{error}");
    assert_eq!(run(["info", &file, "--json"]).done().json(), before);
    let too_many = text(&folder.file("too-many.pages"));
    let args = ["create", &too_many, "--pages", "7969"];
    let error = run(args.iter().chain(&small)).failed(1);
    assert!(error.contains("full"), "{error}");
    assert_eq!(folder.names(), ["small.pages"]);
}

#[test]
fn usage_is_exit_code_2_and_help_is_none() {
    let folder = Folder::new();
    let file = folder.pages("a.pages");
    for args in [
        &["nonsense"][..],
        &["create"],
        &["create", "x.pages", "--page-size", "1000"],
        &["create", "x.pages", "--page-size", "512"],
        &["create", "x.pages", "--page-size", "4TiB"],
        &["create", "x.pages", "--page-size", "4294967296"],
        &["create", "x.pages", "--page-size", "4096MiB"],
        &["alloc", &file, "--count", "0"],
        &["alloc", &file, "--count", "-1"],
        &["free", &file],
        &["free", &file, "three"],
        &["read", &file],
        &["read", &file, "-1"],
        &["read", &file, "18446744073709551616"],
        &["map", &file, "--pool", "0"],
        &["repair", &file],
        &["upgrade", &file],
        &["completions", "tcsh"],
        &["man", "nonsense"],
    ] {
        let answer = run(args);
        assert_eq!(answer.code, 2, "{args:?}: {}", answer.errors);
        assert!(!answer.errors.is_empty());
    }
    for args in [
        &["--help"][..],
        &["--version"],
        &["help", "check"],
        &["check", "--help"],
    ] {
        run(args).done();
    }
}

#[test]
fn a_reader_who_goes_away_is_no_error() {
    let folder = Folder::new();
    let file = text(&folder.file("big.pages"));
    run(["create", &file, "--page-size", "1MiB"]).done();
    let ids = run(["alloc", &file, "--count", "200"]).done().ids();
    let [first, second] = [ids[0], ids[1]].map(|id| id.to_string());
    for args in [
        &["read", &file, &first][..],
        &["read", &file, &first, "--hex"],
        &["map", &file],
        &["list", &file],
        &["info", &file],
        &["info", &file, "--json"],
        &["free", &file, &second],
        &["--help"],
        &["completions", "bash"],
        &["man"],
    ] {
        let args: Vec<&OsStr> = args.iter().map(AsRef::as_ref).collect();
        let mut child = program(&args).spawn().unwrap();
        drop(child.stdout.take());
        answer(child).done();
    }
    // But of ids that nobody gets to know.
    let before = fs::read(&file).unwrap();
    let args = ["alloc", &file].map(AsRef::as_ref);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let child = program(&args).stdout(Stdio::from(writer)).spawn().unwrap();
    let error = answer(child).failed(4);
    assert!(error.contains("cannot write standard output"), "{error}");
    assert!(
        fs::read(&file).unwrap() == before,
        "something was allocated"
    );
    // And in the middle of it.
    let args = ["read", &file, &first].map(AsRef::as_ref);
    let mut child = program(&args).spawn().unwrap();
    let mut output = child.stdout.take().unwrap();
    output.read_exact(&mut [0; 10]).unwrap();
    drop(output);
    answer(child).done();
}

#[cfg(target_os = "linux")]
#[test]
fn output_that_cannot_be_written_is_the_systems_failure() {
    let folder = Folder::new();
    let file = folder.pages("a.pages");
    run(["alloc", &file]).done();
    for args in [
        &["read", &file, FIRST][..],
        &["info", &file],
        &["list", &file, "--json"],
        &["man"],
    ] {
        let args: Vec<&OsStr> = args.iter().map(AsRef::as_ref).collect();
        let full = fs::File::options().write(true).open("/dev/full").unwrap();
        let child = program(&args).stdout(Stdio::from(full)).spawn().unwrap();
        let error = answer(child).failed(4);
        assert!(error.contains("cannot write standard output"), "{error}");
    }
}

#[cfg(unix)]
#[test]
fn input_that_cannot_be_read_is_the_systems_failure_and_changes_nothing() {
    let folder = Folder::new();
    let file = folder.pages("a.pages");
    run(["alloc", &file]).done();
    let before = fs::read(&file).unwrap();
    // A folder can be opened, but not read.
    let input = fs::File::open(folder.path()).unwrap();
    let child = program(&["write", &file, FIRST].map(AsRef::as_ref));
    let child = { child }.stdin(Stdio::from(input)).spawn().unwrap();
    let error = answer(child).failed(4);
    assert!(error.contains("cannot read standard input"), "{error}");
    assert!(fs::read(&file).unwrap() == before, "the file changed");
}

#[cfg(unix)]
#[test]
fn an_error_is_one_line_whatever_the_file_is_called() {
    use std::os::unix::ffi::OsStrExt;
    let folder = Folder::new();
    for name in [
        &b"two\nlines\x1b[31m"[..],
        b"not \xff text",
        "left\u{202e}right".as_bytes(),
    ] {
        let path = folder.path().join(OsStr::from_bytes(name));
        for args in [
            [OsStr::new("info"), path.as_os_str()],
            [OsStr::new("alloc"), path.as_os_str()],
        ] {
            let error = run(args).failed(1);
            assert!(
                error.trim_end().chars().all(|char| !char.is_control()),
                "{error:?}"
            );
            assert!(!error.contains('\u{202e}'), "{error:?}");
        }
        // It works all the same.
        run([OsStr::new("create"), path.as_os_str()]).done();
        run([OsStr::new("map"), path.as_os_str()]).done();
    }
}
