//! `pagebox backup`.

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use crate::run::{Folder, program, run, run_with, text};

#[test]
fn backup_is_made_updated_and_compared() {
    let folder = Folder::new();
    let [file, copy] = ["data.pages", "copy.pages"].map(|name| text(&folder.file(name)));
    run(["create", &file]).done();
    run(["alloc", &file, "--count", "10", "--protected"]).done();
    run(["alloc", &file, "--count", "3"]).done();
    run_with(["write", &file, "0", "--protected"], b"one").done();
    let told = run(["backup", &file, &copy]).done().text();
    assert!(told.starts_with("made "), "{told}");
    assert!(told.contains("13 of 13 pages written"), "{told}");
    run(["backup", &file, &copy, "--check"]).done();
    run_with(["write", &file, "0", "--protected"], b"two").done();
    let error = run(["backup", &file, &copy, "--check"]).failed(1);
    assert!(error.contains("1 page differs in "), "{error}");
    run(["free", &file, "9", "--protected"]).done();
    let told = run(["backup", &file, &copy]).done().text();
    assert!(told.starts_with("updated "), "{told}");
    assert!(told.contains("1 of 12 pages written"), "{told}");
    assert!(told.contains(", 1 freed"), "{told}");
    run(["backup", &file, &copy, "--check"]).done();
    run(["check", &copy]).done();
    let read = run(["read", &copy, "0", "--protected", "--len", "3"]).done();
    assert_eq!(read.text(), "two");
    run(["snapshot", "create", &file, "now"]).done();
    run_with(["write", &file, "0", "--protected"], b"six").done();
    run(["backup", &file, &copy, "--snapshot", "now"]).done();
    let read = run(["read", &copy, "0", "--protected", "--len", "3"]).done();
    assert_eq!(read.text(), "two");
}

#[test]
fn backup_that_cannot_be_made_says_why() {
    let folder = Folder::new();
    let [file, other, copy] =
        ["data.pages", "other.pages", "copy.pages"].map(|name| text(&folder.file(name)));
    run(["create", &file]).done();
    run(["create", &other]).done();
    let before = fs::read(&other).unwrap();
    let error = run(["backup", &file, &other]).failed(1);
    assert!(
        error.contains("other.pages is no backup of this file"),
        "{error}"
    );
    assert!(fs::read(&other).unwrap() == before);
    let error = run(["backup", &file, &copy, "--snapshot", "none"]).failed(1);
    assert!(error.contains(r#"there is no snapshot "none""#), "{error}");
    let error = run(["backup", &file, &copy, "--check"]).failed(1);
    assert!(error.contains("no such file"), "{error}");
    let error = run(["backup", &copy, &other]).failed(1);
    assert!(error.contains("no such file"), "{error}");
    assert!(fs::metadata(&copy).is_err());
}

/// A backup that is killed at any moment leaves the copy of before, or the new one.
#[test]
fn killed_backup_leaves_the_last_one_or_this_one() {
    let folder = Folder::new();
    let [file, copy] = ["data.pages", "copy.pages"].map(|name| text(&folder.file(name)));
    let engine = pagebox::Engine::new().unwrap();
    let mut pager = engine.create(&file, pagebox::PageSize::KIB_4).unwrap();
    let mut tx = pager.begin().unwrap();
    let ids = tx.alloc_protected_many(800).unwrap();
    tx.commit().unwrap();
    pager.backup(&copy, |_, _| {}).unwrap();
    let mut seen = [0; 2];
    let mut backed_up = 0;
    for round in 1..=12_u8 {
        let mut tx = pager.begin().unwrap();
        for &id in &ids {
            tx.write(id).unwrap().fill(round);
        }
        tx.commit().unwrap();
        // Where there are other regular pages a new file takes the copy's name.
        if round % 4 == 0 {
            pager.alloc().unwrap();
        }
        drop(pager);
        let args = ["backup", &file, &copy].map(std::ffi::OsStr::new);
        let mut child = program(&args).stdout(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(u64::from(round) * 6 % 50));
        let _ = child.kill();
        child.wait().unwrap();
        run(["check", &copy]).done();
        let copied = engine.open(&copy).unwrap();
        let bytes = copied.protected_page(ids[0]).unwrap()[0];
        assert!(
            bytes == round || bytes == backed_up,
            "{bytes} in round {round}"
        );
        for &id in &ids {
            assert!(
                copied
                    .protected_page(id)
                    .unwrap()
                    .iter()
                    .all(|&byte| byte == bytes)
            );
        }
        seen[usize::from(bytes == round)] += 1;
        backed_up = bytes;
        drop(copied);
        pager = engine.open(&file).unwrap();
    }
    println!(
        "killed backups: {} came too early, {} too late",
        seen[0], seen[1]
    );
    drop(pager);
    run(["backup", &file, &copy]).done();
    run(["backup", &file, &copy, "--check"]).done();
}
