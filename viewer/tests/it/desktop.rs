//! `--install-desktop`: what is written, what a desktop makes of it, and that
//! it goes again.
#![cfg(all(unix, not(target_os = "macos")))]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::program::program;

const WRITTEN: [&str; 3] = [
    "applications/pagebox-viewer.desktop",
    "icons/hicolor/scalable/apps/pagebox-viewer.svg",
    "mime/packages/pagebox-viewer.xml",
];

/// What the program says, where the user's files are in `data` and programs are
/// found in `path`.
fn say(option: &str, data: &Path, path: &str) -> String {
    let mut command = program();
    command.arg(option).env("XDG_DATA_HOME", data);
    let output = command.env("PATH", path).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn usual_path() -> String {
    std::env::var("PATH").unwrap()
}

/// Every file below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}

/// Whether a program is there; says so where it is not.
fn has(program: &str) -> bool {
    let found = Command::new(program).arg("--help").output().is_ok();
    if !found {
        eprintln!("skipped: there is no {program}");
    }
    found
}

#[test]
fn entry_icon_and_type_are_written_once_and_removed() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("share");
    let first = say("--install-desktop", &data, "/nowhere");
    for name in WRITTEN {
        let path = data.join(name);
        assert!(path.is_file(), "{name}");
        assert!(
            first.contains(&format!("Wrote {}", path.display())),
            "{first}"
        );
    }
    for tool in ["update-mime-database", "update-desktop-database"] {
        assert!(first.contains(&format!("There is no {tool}")), "{first}");
    }
    let content = || WRITTEN.map(|name| fs::read(data.join(name)).unwrap());
    let before = content();
    let again = say("--install-desktop", &data, "/nowhere");
    assert!(!again.contains("Wrote"), "{again}");
    assert_eq!(again.matches("As it should be").count(), 3, "{again}");
    assert!(content() == before);

    // What is another's stays.
    fs::write(data.join("applications/other.desktop"), "").unwrap();
    let removed = say("--remove-desktop", &data, "/nowhere");
    assert_eq!(removed.matches("Removed").count(), 3, "{removed}");
    assert_eq!(files(&data), [data.join("applications/other.desktop")]);
    let again = say("--remove-desktop", &data, "/nowhere");
    assert_eq!(again.matches("Not there").count(), 3, "{again}");
}

/// A program that is started without a terminal and without a window of its own
/// could not be ended.
#[test]
fn entry_has_a_window_or_a_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let entry = || fs::read_to_string(folder.path().join(WRITTEN[0])).unwrap();
    say("--install-desktop", folder.path(), "/nowhere");
    assert!(entry().contains("\" %F\n") && entry().contains("Terminal=true"));
    let browsers = folder.path().join("browsers");
    fs::create_dir(&browsers).unwrap();
    fs::write(browsers.join("chromium"), "").unwrap();
    let said = say(
        "--install-desktop",
        folder.path(),
        browsers.to_str().unwrap(),
    );
    assert!(said.contains("Wrote"), "the entry is another now: {said}");
    assert!(entry().contains("\" --app %F\n") && entry().contains("Terminal=false"));
}

/// Where a program is installed is not ours to choose.
#[test]
fn entry_names_a_program_whatever_its_path() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("it's 100% \"$a\" \\b`");
    fs::copy(env!("CARGO_BIN_EXE_pagebox-viewer"), &program).unwrap();
    let output = Command::new(&program)
        .arg("--install-desktop")
        .env("XDG_DATA_HOME", folder.path())
        .env("PATH", "/nowhere")
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let entry = fs::read_to_string(folder.path().join(WRITTEN[0])).unwrap();
    let value = |key: &str| {
        let line = entry.lines().find_map(|line| line.strip_prefix(key));
        line.unwrap().replace(r"\\", r"\")
    };
    assert_eq!(value("TryExec="), program.to_str().unwrap());
    let start = folder.path().to_str().unwrap();
    let expected = format!("\"{start}/it's 100%% \\\"\\$a\\\" \\\\b\\`\" %F");
    assert_eq!(value("Exec="), expected);
}

/// The desktop's own programs read what was written.
#[test]
fn page_files_are_known_by_their_first_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("share");
    let said = say("--install-desktop", &data, &usual_path());
    if has("desktop-file-validate") {
        let output = Command::new("desktop-file-validate")
            .arg(data.join(WRITTEN[0]))
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        assert!(output.stdout.is_empty(), "{output:?}");
    }
    if !has("update-mime-database") {
        return;
    }
    assert!(said.contains("Ran update-mime-database"), "{said}");
    let globs = fs::read_to_string(data.join("mime/globs2")).unwrap();
    assert!(
        globs.contains("50:application/x-pagebox:*.pages"),
        "{globs}"
    );
    // A section of the list: its type, then lines of an offset, the length as
    // two bytes, and the bytes.
    let magic = fs::read(data.join("mime/magic")).unwrap();
    for bytes in [
        &b"[60:application/x-pagebox]\n"[..],
        b">0=\x00\x04MPPG\n",
        b">0=\x00\x04PBOX\n",
    ] {
        let found = magic.windows(bytes.len()).any(|window| window == bytes);
        assert!(found, "{} in {magic:?}", bytes.escape_ascii());
    }
    say("--remove-desktop", &data, &usual_path());
    let globs = fs::read_to_string(data.join("mime/globs2")).unwrap_or_default();
    assert!(!globs.contains("pagebox"), "{globs}");
}

/// The bytes decide, whatever a file is called.
#[test]
fn desktop_tells_page_files_from_others() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("share");
    say("--install-desktop", &data, &usual_path());
    if !has("gio") || !has("update-mime-database") {
        return;
    }
    for (name, bytes, expected) in [
        ("data", &b"MPPG\0\x02\0\0\x0c\0\0\0"[..], true),
        ("data.bin", b"PBOX\0\0\0\0\x0c\0\0\0", true),
        ("data.pages", b"MPPG\0\x02\0\0\x0c\0\0\0", true),
        ("letter.pages", b"PK\x03\x04\x14\0\0\0\0\0", false),
        ("note.txt", b"some words, MPPG among them", false),
    ] {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        let output = Command::new("gio")
            .args(["info", "-a", "standard::content-type"])
            .arg(&path)
            .env("XDG_DATA_HOME", &data)
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(
            told.contains("application/x-pagebox"),
            expected,
            "{name}: {told}"
        );
    }
}
