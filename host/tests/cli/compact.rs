//! `pagebox compact`.

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use pagebox::{Engine, PageSize, ProtectedId};

use crate::run::{Folder, program, run, text};

/// A file of which most pages were freed again, and what its pages are full of.
fn holey(folder: &Folder, count: u32) -> (String, Vec<ProtectedId>) {
    let file = text(&folder.file("data.pages"));
    let engine = Engine::new().unwrap();
    let mut pager = engine.create(&file, PageSize::KIB_4).unwrap();
    let mut tx = pager.begin().unwrap();
    let ids = tx.alloc_protected_many(count).unwrap();
    for &id in &ids {
        tx.write(id).unwrap().fill(byte(id));
    }
    tx.commit().unwrap();
    let (freed, kept) = ids.split_at(ids.len() * 3 / 4);
    let mut tx = pager.begin().unwrap();
    tx.free_protected_many(freed).unwrap();
    tx.commit().unwrap();
    (file, kept.to_vec())
}

fn byte(id: ProtectedId) -> u8 {
    id.get().to_le_bytes()[0]
}

fn shows(file: &str, ids: &[ProtectedId]) {
    let pager = Engine::new().unwrap().open(file).unwrap();
    for &id in ids {
        let bytes = pager.protected_page(id).unwrap();
        assert!(bytes.iter().all(|&byte| byte == self::byte(id)), "{id}");
    }
}

#[test]
fn file_becomes_short_and_is_told_of() {
    let folder = Folder::new();
    let (file, ids) = holey(&folder, 1000);
    let long = fs::metadata(&file).unwrap().len();
    let told = run(["compact", &file]).done().text();
    let short = fs::metadata(&file).unwrap().len();
    assert!(short < long / 3);
    let pages = short / 4096;
    assert!(
        told.ends_with(&format!("it has {pages} pages (1 MiB) now\n")),
        "{told}"
    );
    shows(&file, &ids);
    run(["check", &file]).done();
    let again = run(["compact", &file]).done().text();
    assert!(
        again.contains(": 0 bytes given back, 0 pages moved;"),
        "{again}"
    );
}

#[test]
fn length_that_was_asked_for_is_met_or_said_not_to_be() {
    let folder = Folder::new();
    let (file, ids) = holey(&folder, 1000);
    run(["compact", &file, "--to", "3MiB"]).done();
    assert_eq!(fs::metadata(&file).unwrap().len(), 3 << 20);
    let error = run(["compact", &file, "--to", "10"]).failed(1);
    let len = fs::metadata(&file).unwrap().len();
    assert!(len < 2 << 20, "{len}");
    assert!(
        error.ends_with(
            " now, not 10: what it holds takes that much: free pages, or delete snapshots\n"
        ),
        "{error}"
    );
    shows(&file, &ids);
    let empty = text(&folder.file("empty.pages"));
    run(["create", &empty]).done();
    let error = run(["compact", &empty, "--to", "10"]).failed(1);
    assert!(
        error.contains("no file with pages of this size is shorter"),
        "{error}"
    );
    run(["compact", &empty]).done();
}

#[test]
fn what_stands_in_the_way_is_named() {
    let folder = Folder::new();
    let file = text(&folder.file("data.pages"));
    run(["create", &file]).done();
    let ids = run(["alloc", &file, "--count", "500"]).done().ids();
    let (page, freed) = ids.split_last().unwrap();
    let freed: Vec<String> = freed.iter().map(u64::to_string).collect();
    run(["free", &file]
        .into_iter()
        .chain(freed.iter().map(String::as_str)))
    .done();
    let told = run(["compact", &file]).done().text();
    let note = format!("\nnote: regular page {page} is not moved");
    assert!(told.contains(&note), "{told}");
    let error = run(["compact", &file, "--to", "1MiB"]).failed(1);
    assert!(error.contains(&format!("regular page {page} ")), "{error}");
    let old = text(&folder.file("old.pages"));
    run(["create", &old, "--format", "0"]).done();
    let error = run(["compact", &old]).failed(1);
    assert!(error.contains("upgrade the file to format 1"), "{error}");
    run(["check", &file]).done();
}

/// One that is killed at any moment leaves all that was there, and the next one ends
/// what it began.
#[test]
fn killed_compaction_loses_nothing() {
    let mut seen = [0; 3];
    for round in 0..14_u64 {
        let folder = Folder::new();
        let (file, ids) = holey(&folder, 4000);
        let long = fs::metadata(&file).unwrap().len();
        let args = ["compact", &file].map(std::ffi::OsStr::new);
        let mut child = program(&args).stdout(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(8 + round * 5));
        let _ = child.kill();
        let was_killed = !child.wait().unwrap().success();
        let is_short = fs::metadata(&file).unwrap().len() < long;
        seen[usize::from(!was_killed) + usize::from(is_short)] += 1;
        run(["check", &file]).done();
        shows(&file, &ids);
        run(["compact", &file]).done();
        assert!(fs::metadata(&file).unwrap().len() < long / 2);
        shows(&file, &ids);
        run(["check", &file]).done();
    }
    println!(
        "killed compactions: {} before the cut, {} after it; {} had ended",
        seen[0], seen[1], seen[2]
    );
}
