//! Names and folders of every kind.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::{Command, Stdio};

use crate::run::{FIRST, Folder, answer, run, run_with, text};

/// A missing folder was told as a missing file, with the advice to run the
/// command that had just failed.
#[test]
fn missing_folder_is_named_and_no_command_that_failed_is_advised() {
    let folder = Folder::new();
    let sound = folder.pages("sound.pages");
    let outer = text(&folder.file("outer"));
    let below = text(&folder.file("outer/inner/new.pages"));
    for args in [
        &["create", &below][..],
        &["info", &below],
        &["alloc", &below],
        &["check", &below],
        &["demo", &below],
        &["copy", &sound, &below],
        &["copy", &below, &sound],
        &["repair", &sound, "--output", &below],
    ] {
        let answer = run(args);
        assert_eq!(answer.code, 1, "{answer:?}");
        let error = answer.errors;
        assert!(error.contains(&format!("{below}: ")), "{error}");
        assert!(
            error.contains(&format!("there is no folder {outer}: make it first")),
            "{error}"
        );
        assert!(!error.contains("pagebox create"), "{error}");
    }
    // A link that leads nowhere is no file, and no name for a new one.
    let link = text(&folder.file("link"));
    symlink("nowhere", &link).unwrap();
    let error = run(["info", &link]).failed(1);
    assert!(
        error.contains("a link to a file that is not there"),
        "{error}"
    );
    run(["create", &link]).failed(1);
    let error = run(["info", &text(&folder.file("missing"))]).failed(1);
    assert!(error.contains("`pagebox create` makes one"), "{error}");
    // A folder that takes no files is not a file that is missing.
    if cfg!(target_os = "linux") {
        let answer = run(["create", "/proc/new.pages"]);
        assert_eq!(answer.code, 4, "{answer:?}");
        assert!(answer.errors.contains("cannot create it"), "{answer:?}");
    }
    let error = run(["create", &format!("{link}-folder/")]).failed(3);
    assert!(error.contains("it is a folder"), "{error}");
    assert_eq!(folder.names(), ["link", "sound.pages"]);
}

/// Whoever all commands take a name from take it whatever it looks like.
#[test]
fn names_of_every_kind_are_taken_by_every_command() {
    let folder = Folder::new();
    for name in [
        &b"-x.pages"[..],
        b"--json",
        b"a=b.pages",
        b"two\nlines",
        b"not \xff text",
        b" ",
        &[b'n'; 250],
    ] {
        let name = OsStr::from_bytes(name);
        let in_folder = |args: &[&OsStr]| {
            let child = Command::new(env!("CARGO_BIN_EXE_pagebox"))
                .args(args)
                .current_dir(folder.path())
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            answer(child)
        };
        let after = |command: &str, rest: &[&str]| {
            let mut args: Vec<&OsStr> = vec![command.as_ref(), "--".as_ref(), name];
            args.extend(rest.iter().map(OsStr::new));
            in_folder(&args).done()
        };
        after("create", &[]);
        after("alloc", &[]);
        after("write", &[FIRST]);
        for command in ["info", "list", "map", "check"] {
            after(command, &[]);
        }
        after("read", &[FIRST]);
        after("free", &[FIRST]);
        after("copy", &["copy"]);
        let copy: &OsStr = "copy".as_ref();
        fs::remove_file(folder.file("copy")).unwrap();
        let args: [&OsStr; 5] = ["repair".as_ref(), "-o".as_ref(), copy, "--".as_ref(), name];
        in_folder(&args).done();
        // And as the value of an option.
        fs::remove_file(folder.path().join(name)).unwrap();
        let args: [&OsStr; 4] = ["repair".as_ref(), copy, "--output".as_ref(), name];
        let told = in_folder(&args).done().text();
        assert_eq!(told.lines().count(), 1, "{told:?}");
        fs::remove_file(folder.file("copy")).unwrap();
        fs::remove_file(folder.path().join(name)).unwrap();
    }
}

/// It refused names of files that all other commands take. This program may be
/// one without `run`: how it takes its arguments can be seen all the same.
#[test]
fn run_takes_granted_files_of_any_name() {
    let folder = Folder::new();
    let app = folder.with("app.wasm", b"no program");
    for name in [&b"a=b.pages"[..], b"-x.pages", b"not \xff text.pages"] {
        for option in ["--store", "--read-only-store", "--record"] {
            let mut grant = OsString::from("name=");
            grant.push(folder.path().join(OsStr::from_bytes(name)));
            let args: [&OsStr; 4] = ["run".as_ref(), app.as_ref(), option.as_ref(), &grant];
            assert_eq!(run(args).code, 1, "{name:?}");
            let mut bare = OsString::from("name=");
            bare.push(OsStr::from_bytes(name));
            let args: [&OsStr; 4] = ["run".as_ref(), app.as_ref(), option.as_ref(), &bare];
            assert_eq!(run(args).code, 1, "{name:?}");
        }
    }
    for bad in [&b"name"[..], b"=x.pages", b"name=", b"\xff=x.pages"] {
        for (option, example) in [
            ("--store", "queue=messages.pages"),
            ("--record", "queue=pop.trace"),
        ] {
            let args: [&OsStr; 4] = [
                "run".as_ref(),
                app.as_ref(),
                option.as_ref(),
                OsStr::from_bytes(bad),
            ];
            let answer = run(args);
            assert_eq!(answer.code, 2, "{bad:?}");
            assert!(answer.errors.contains(example), "{answer:?}");
        }
    }
}

/// Sizes were read by two parsers, which took different units.
#[test]
fn sizes_are_written_alike_everywhere() {
    let folder = Folder::new();
    let app = folder.with("app.wasm", b"no program");
    for (index, size) in ["65536", "64k", "64KiB", "64 kib", "64K"]
        .iter()
        .enumerate()
    {
        let file = text(&folder.file(&format!("{index}.pages")));
        run(["create", &file, "--page-size", size]).done();
        let info = run(["info", &file, "--json"]).done().json();
        assert_eq!(info["page_size"], 65536);
        assert_eq!(run(["run", &app, "--max-memory", size]).code, 1, "{size}");
    }
    for bad in [
        "",
        "KiB",
        "1TB",
        "1.5KiB",
        "-1",
        "99999999999999999999",
        "16EiB",
    ] {
        let file = text(&folder.file("bad.pages"));
        let size = format!("--page-size={bad}");
        assert_eq!(run(["create", &file, &size]).code, 2, "{bad}");
        let size = format!("--max-memory={bad}");
        assert_eq!(run(["run", &app, &size]).code, 2, "{bad}");
    }
}

/// In a folder that can be written but not read the file was made, and exit
/// code 4 said that it was not.
#[test]
fn folder_that_cannot_be_read_can_be_written() {
    let folder = Folder::new();
    let sound = folder.pages("sound.pages");
    let blind = folder.file("blind");
    fs::create_dir(&blind).unwrap();
    for path in [&blind, &folder.path().to_owned()] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
    }
    fs::set_permissions(&sound, fs::Permissions::from_mode(0o666)).unwrap();
    fs::set_permissions(&blind, fs::Permissions::from_mode(0o333)).unwrap();
    let path = |name: &str| text(&blind.join(name));
    // Permissions do not bind the superuser, but one who is so only by name.
    let binds = fs::read_dir(&blind).is_err();
    let wrapper: &[&str] = if binds { &[] } else { &["unshare", "--user"] };
    let run_bound = |args: &[&str]| {
        let all = [wrapper, &[env!("CARGO_BIN_EXE_pagebox")], args].concat();
        let child = Command::new(all[0])
            .args(&all[1..])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        child.map(answer)
    };
    match run_bound(&["--version"]) {
        Ok(answer) if answer.code == 0 => {
            run_bound(&["create", &path("new.pages")]).unwrap().done();
            run_bound(&["copy", &sound, &path("copy.pages")])
                .unwrap()
                .done();
            let args = ["repair", &sound, "--output", &path("mended.pages")];
            run_bound(&args).unwrap().done();
            let args = ["create", &path("new.pages")];
            run_bound(&args).unwrap().failed(1);
        }
        _ => eprintln!("skipped: a folder that cannot be read: permissions do not bind here"),
    }
    fs::set_permissions(&blind, fs::Permissions::from_mode(0o777)).unwrap();
    for name in ["new.pages", "copy.pages", "mended.pages"] {
        if blind.join(name).exists() {
            run_with(["check", &path(name)], b"").done();
        }
    }
}
