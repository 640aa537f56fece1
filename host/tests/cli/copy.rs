//! Copies: of one state, with the rights and the holes of the file.

use std::fs;
use std::path::Path;

use pagebox::{Engine, Error, PageSize, Pager, ProtectedId};

use crate::run::{Folder, run, text};

/// A file of more than one piece that a copy is made of, whose first and last
/// protected pages say how often both of them were written.
fn counting(path: &Path) -> (Engine, Pager) {
    let engine = Engine::new().unwrap();
    let mut pager = engine.create_with(path, PageSize::KIB_4, 5000).unwrap();
    let regular = pager.alloc_many(3000).unwrap();
    for id in &regular {
        pager.page_mut(*id).unwrap().fill(0xEE);
    }
    pager.sync().unwrap();
    let mut tx = pager.begin().unwrap();
    tx.alloc_protected_many(300).unwrap();
    tx.commit().unwrap();
    // The next ones lie where a copy comes to late.
    pager.free_many(&regular[..200]).unwrap();
    (engine, pager)
}

/// Two of the protected pages, far from each other.
const PAIR: [ProtectedId; 2] = [ProtectedId::new(0), ProtectedId::new(299)];

/// Writes both of the pages.
fn count(pager: &mut Pager, number: u64) {
    let mut tx = pager.begin().unwrap();
    for id in PAIR {
        tx.write(id).unwrap()[..8].copy_from_slice(&number.to_le_bytes());
    }
    tx.commit().unwrap();
}

/// What the two pages say.
fn counted(engine: &Engine, path: &Path) -> [u64; 2] {
    let pager = engine.open(path).unwrap();
    PAIR.map(|id| {
        let page = pager.protected_page(id).unwrap();
        u64::from_le_bytes(page[..8].try_into().unwrap())
    })
}

/// A copy of a file that a writer was at work on held half a transaction, and
/// opened as if nothing were wrong.
#[test]
fn copy_of_a_file_that_is_changed_meanwhile_is_of_one_state() {
    let folder = Folder::new();
    let path = folder.file("data.pages");
    let (engine, mut pager) = counting(&path);
    for changes in 0..6 {
        let copy = folder.file(&format!("{changes}.pages"));
        let first = 100 * changes;
        count(&mut pager, first);
        let mut left = changes;
        // Several commits while one copy is made, and then none.
        let copied = engine
            .copy_with_progress(&path, &copy, |done, total| {
                if done < total && left > 0 {
                    left -= 1;
                    count(&mut pager, first + changes - left);
                }
            })
            .unwrap();
        assert_eq!(copied.damage, None);
        assert_eq!(copied.bytes, fs::metadata(&path).unwrap().len());
        assert_eq!(left, 0, "a copy is made in more than one piece");
        assert_eq!(counted(&engine, &copy), [first + changes; 2]);
        run(["check", &text(&copy)]).done();
    }
}

#[test]
fn copy_that_commits_leave_no_time_for_is_busy_and_leaves_nothing() {
    let folder = Folder::new();
    let path = folder.file("data.pages");
    let (engine, mut pager) = counting(&path);
    let mut number = 0;
    let error = engine
        .copy_with_progress(&path, folder.file("copy.pages"), |_, _| {
            number += 1;
            count(&mut pager, number);
        })
        .unwrap_err();
    assert!(matches!(error, Error::Busy), "{error}");
    assert!(error.is_caller_fault());
    assert!(number > 3, "it tries more than once");
    assert_eq!(folder.names(), ["data.pages"]);
}

/// A file that is not in use is locked while it is copied, and free again then.
#[test]
fn copy_keeps_writers_out_of_a_file_that_nobody_has_open() {
    let folder = Folder::new();
    let path = folder.file("data.pages");
    let (engine, pager) = counting(&path);
    drop(pager);
    let mut tried = 0;
    engine
        .copy_with_progress(&path, folder.file("copy.pages"), |_, _| {
            tried += 1;
            let error = engine.open(&path).unwrap_err();
            assert!(matches!(error, Error::Locked { .. }), "{error}");
        })
        .unwrap();
    assert!(tried > 1);
    engine.open(&path).unwrap();
    assert!(fs::read(&path).unwrap() == fs::read(folder.file("copy.pages")).unwrap());
}

#[test]
fn copy_of_a_file_in_use_by_another_process_is_made_from_the_command_line() {
    let folder = Folder::new();
    let path = folder.file("data.pages");
    let (engine, mut pager) = counting(&path);
    count(&mut pager, 7);
    let copy = folder.file("copy.pages");
    let told = run(["copy", &text(&path), &text(&copy)]).done().text();
    assert!(told.contains("copy.pages: a copy of "), "{told}");
    assert_eq!(counted(&engine, &copy), [7, 7]);
    let error = run(["copy", &text(&path), &text(&copy)]).failed(1);
    assert!(error.contains("copy.pages: exists already"), "{error}");
}

/// Damage is copied too, for those who want to look at it, and told.
#[test]
fn copy_of_a_damaged_file_has_its_bytes_and_exit_code_3() {
    let folder = Folder::new();
    let file = folder.pages("data.pages");
    run(["alloc", &file, "--count", "5"]).done();
    let mut bytes = fs::read(&file).unwrap();
    bytes.truncate(bytes.len() - 4096);
    fs::write(&file, &bytes).unwrap();
    let copy = text(&folder.file("copy.pages"));
    let answer = run(["copy", &file, &copy]);
    assert_eq!((answer.code, answer.errors.as_str()), (3, ""));
    let told = answer.text();
    assert!(
        told.contains("damaged") && told.contains("pagebox repair"),
        "{told}"
    );
    assert!(fs::read(&copy).unwrap() == bytes);
    // What is no page file is not copied.
    let foreign = folder.with("foreign", &[7; 8192]);
    let other = text(&folder.file("other.pages"));
    run(["copy", &foreign, &other]).failed(3);
    assert_eq!(folder.names(), ["copy.pages", "data.pages", "foreign"]);
}

/// `repair` made a file of 32 KiB and 64 MiB of holes one of 64 MiB, readable
/// by everybody although the file was its owner's alone.
#[cfg(unix)]
#[test]
fn copies_keep_holes_mode_and_owner() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let folder = Folder::new();
    let file = folder.pages("data.pages");
    run(["alloc", &file, "--count", "20"]).done();
    let pages = fs::File::options().write(true).open(&file).unwrap();
    pages.set_len(64 << 20).unwrap();
    drop(pages);
    // Another owner, where this process may give files away.
    let _ = std::os::unix::fs::chown(&file, Some(12345), Some(12345));
    for (index, mode) in [0o600, 0o640, 0o604, 0o664, 0o400].into_iter().enumerate() {
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        let before = fs::metadata(&file).unwrap();
        for command in [&["copy"][..], &["repair", "--output"]] {
            let copy = text(&folder.file(&format!("{index}-{}", command[0])));
            let mut args = vec![command[0], &file];
            args.extend(&command[1..]);
            args.push(&copy);
            run(args).done();
            let after = fs::metadata(&copy).unwrap();
            assert_eq!(after.mode(), before.mode(), "{command:?}");
            assert_eq!((after.uid(), after.gid()), (before.uid(), before.gid()));
            assert_eq!(after.len(), 64 << 20);
            assert!(
                after.blocks() <= before.blocks() + 64,
                "{command:?}: {} blocks of {}",
                after.blocks(),
                before.blocks()
            );
            assert!(fs::read(&copy).unwrap() == fs::read(&file).unwrap());
        }
    }
}
