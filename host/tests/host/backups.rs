//! Backups: whole, of what changed, from snapshots, and what is refused.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use pagebox::{Backup, Error, Format, NewFile, PageId, PageSize, Pager, ProtectedId, SharedPager};

use crate::{engine, folder};

/// A file with pages of both kinds.
fn create(path: &Path) -> (Pager, Vec<PageId>, Vec<ProtectedId>) {
    let mut pager = engine().create(path, PageSize::KIB_4).unwrap();
    let mut tx = pager.begin().unwrap();
    let regular = tx.alloc_many(30).unwrap();
    let ids = tx.alloc_protected_many(300).unwrap();
    tx.commit().unwrap();
    fill(&mut pager, &ids[..200], 1);
    for &page in &regular[..20] {
        pager.page_mut(page).unwrap().fill(1);
    }
    pager.sync().unwrap();
    (pager, regular, ids)
}

fn fill(pager: &mut Pager, ids: &[ProtectedId], byte: u8) {
    let mut tx = pager.begin().unwrap();
    for &id in ids {
        tx.write(id).unwrap().fill(byte);
    }
    tx.commit().unwrap();
}

/// That a copy is sound and holds what a pager does.
#[track_caller]
fn holds(copy: &Path, pager: &Pager) {
    let engine = engine();
    let found = pagebox::report::Check::of_file(&engine, copy, |_, _| {}).unwrap();
    assert_eq!(found.findings, []);
    let copied = engine.open_read_only(copy).unwrap();
    let ids = |pager: &Pager| -> Vec<_> {
        let pages = pager.protected_pages();
        pages
            .map(|page| {
                let page = page.unwrap();
                (page.id, page.checksum)
            })
            .collect()
    };
    assert_eq!(ids(&copied), ids(pager));
    let regular = |pager: &Pager| -> Vec<_> {
        let pages = pager.regular_pages();
        pages
            .map(|page| {
                let (page, mut bytes) = (page.unwrap(), vec![0; 4096]);
                pager.read(page, 0, &mut bytes).unwrap();
                (page, bytes)
            })
            .collect()
    };
    assert_eq!(regular(&copied), regular(pager));
}

fn back_up(pager: &mut Pager, copy: &Path) -> Backup {
    let backup = pager.backup(copy, |_, _| {}).unwrap();
    holds(copy, pager);
    backup
}

#[test]
fn first_backup_is_whole_and_the_next_ones_bring_what_changed() {
    let (folder, path) = folder();
    let copy = folder.path().join("copy.pages");
    let (mut pager, regular, ids) = create(&path);
    let first = back_up(&mut pager, &copy);
    assert!(first.is_new);
    assert_eq!((first.pages, first.written_pages), (330, 330));
    let again = back_up(&mut pager, &copy);
    assert_eq!((again.is_new, again.written_pages), (false, 0));

    fill(&mut pager, &ids[5..9], 2);
    pager.page_mut(regular[3]).unwrap()[7] = 9;
    let mut tx = pager.begin().unwrap();
    for &id in &ids[20..23] {
        tx.free_protected(id).unwrap();
    }
    let new = tx.alloc_protected_many(5).unwrap();
    tx.commit().unwrap();
    fill(&mut pager, &new[3..], 3);
    let next = back_up(&mut pager, &copy);
    assert!(!next.is_new);
    // Four that were there, two new ones that are no zeros, and a regular one.
    assert_eq!((next.written_pages, next.freed_pages), (4 + 2 + 1, 3));
    let marks = engine().open_read_only(&copy).unwrap().snapshots().unwrap();
    assert_eq!(marks.len(), 1);
    let name = format!("backup of generation {}", next.generation);
    assert_eq!(marks[0].name, name);
}

#[test]
fn copy_with_other_regular_pages_is_made_anew() {
    let (folder, path) = folder();
    let copy = folder.path().join("copy.pages");
    let (mut pager, regular, ids) = create(&path);
    back_up(&mut pager, &copy);
    // What reads the old one goes on to.
    let reader = engine().open_read_only(&copy).unwrap();
    pager.alloc_many(3).unwrap();
    pager.free(regular[0]).unwrap();
    fill(&mut pager, &ids, 4);
    assert!(back_up(&mut pager, &copy).is_new);
    let mut bytes = [0; 4096];
    reader.read_protected(ids[0], 0, &mut bytes).unwrap();
    assert_eq!(bytes, [1; 4096]);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
}

#[test]
fn file_in_use_is_backed_up_from_a_snapshot() {
    let (folder, path) = folder();
    let copy = folder.path().join("copy.pages");
    let (mut pager, _, ids) = create(&path);
    let engine = engine();
    let refused = engine.backup(&path, None, &copy, |_, _| {});
    assert!(matches!(refused, Err(Error::Locked { path: of }) if of == path));
    assert!(!copy.exists());
    pager.create_snapshot("now").unwrap();
    fill(&mut pager, &ids, 7);
    let backup = engine.backup(&path, Some("now"), &copy, |_, _| {}).unwrap();
    assert!(backup.is_new);
    assert_eq!(
        engine
            .compare_backup(&path, Some("now"), &copy, |_, _| {})
            .unwrap(),
        0
    );
    let copied = engine.open_read_only(&copy).unwrap();
    let mut bytes = [0; 4096];
    copied.read_protected(ids[0], 0, &mut bytes).unwrap();
    assert_eq!(bytes, [1; 4096]);
    drop(pager);
    assert_eq!(
        engine
            .compare_backup(&path, None, &copy, |_, _| {})
            .unwrap(),
        300
    );
    let backup = engine.backup(&path, None, &copy, |_, _| {}).unwrap();
    assert_eq!((backup.is_new, backup.written_pages), (false, 300));
    assert_eq!(
        engine
            .compare_backup(&path, None, &copy, |_, _| {})
            .unwrap(),
        0
    );
}

/// Whoever backs up a file that is written to without a pause gets, each time, one
/// state that was acknowledged.
#[test]
fn backups_under_load_are_states_that_were_acknowledged() {
    let (folder, path) = folder();
    let copy = folder.path().join("copy.pages");
    let (mut pager, _, ids) = create(&path);
    fill(&mut pager, &ids, 0);
    let pager = SharedPager::new(pager);
    let acknowledged = AtomicU64::new(0);
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut count = 0;
            while !is_done.load(Ordering::SeqCst) {
                count += 1;
                pager.with(|pager| {
                    let mut tx = pager.begin().unwrap();
                    for &id in &ids[..40] {
                        tx.write(id).unwrap()[..8].copy_from_slice(&u64::to_le_bytes(count));
                    }
                    tx.commit().unwrap();
                });
                acknowledged.store(count, Ordering::SeqCst);
            }
        });
        let mut last = 0;
        for number in 0..12 {
            let name = number.to_string();
            let before = acknowledged.load(Ordering::SeqCst);
            pager.with(|pager| pager.create_snapshot(&name)).unwrap();
            let after = acknowledged.load(Ordering::SeqCst) + 1;
            let backup = engine().backup(&path, Some(&name), &copy, |_, _| {});
            assert_eq!(backup.unwrap().is_new, number == 0);
            let differing = engine().compare_backup(&path, Some(&name), &copy, |_, _| {});
            assert_eq!(differing.unwrap(), 0);
            pager.with(|pager| pager.delete_snapshot(&name)).unwrap();
            let copied = engine().open_read_only(&copy).unwrap();
            let counts = ids[..40].iter().map(|&id| {
                let mut bytes = [0; 8];
                copied.read_protected(id, 0, &mut bytes).unwrap();
                u64::from_le_bytes(bytes)
            });
            let counts: std::collections::BTreeSet<u64> = counts.collect();
            let &count = counts.first().unwrap();
            assert_eq!(counts.len(), 1, "a mixture: {counts:?}");
            assert!((before..=after).contains(&count) && count >= last);
            last = count;
        }
        assert!(last > 0);
        is_done.store(true, Ordering::SeqCst);
    });
}

#[test]
fn what_is_no_backup_of_this_file_or_is_ahead_of_it_stays_as_it_is() {
    let (folder, path) = folder();
    let (mut pager, _, ids) = create(&path);
    let other = folder.path().join("other.pages");
    drop(engine().create(&other, PageSize::KIB_4).unwrap());
    let text = folder.path().join("text");
    fs::write(&text, "no page file").unwrap();
    let old = folder.path().join("old.pages");
    let new = NewFile {
        format: Format::Zero,
        page_count: 0,
    };
    drop(engine().create_with(&old, PageSize::KIB_4, new).unwrap());
    for (path, is_expected) in [
        (
            &other,
            (|error| matches!(error, Error::NotACopy { .. })) as fn(&Error) -> bool,
        ),
        (&text, |error| matches!(error, Error::NotAPageFile(_))),
        (&old, |error| matches!(error, Error::NotACopy { .. })),
    ] {
        let before = fs::read(path).unwrap();
        let error = pager.backup(path, |_, _| {}).unwrap_err();
        assert!(is_expected(&error), "{error}");
        assert!(fs::read(path).unwrap() == before);
    }
    // A state of before, brought back by other means.
    let before = fs::read(&path).unwrap();
    fill(&mut pager, &ids, 2);
    let copy = folder.path().join("copy.pages");
    back_up(&mut pager, &copy);
    drop(pager);
    fs::write(&path, before).unwrap();
    let copied = fs::read(&copy).unwrap();
    let error = engine().backup(&path, None, &copy, |_, _| {}).unwrap_err();
    assert!(matches!(error, Error::CopyIsAhead { .. }), "{error}");
    assert!(fs::read(&copy).unwrap() == copied);
    let zero = engine().backup(&old, None, folder.path().join("x"), |_, _| {});
    let error = zero.unwrap_err().to_string();
    assert!(error.contains("format 0 have no backups"), "{error}");
    assert!(!folder.path().join("x").exists());
}

#[test]
fn rot_is_no_part_of_a_backup() {
    let (folder, path) = folder();
    let copy = folder.path().join("copy.pages");
    let (mut pager, _, ids) = create(&path);
    back_up(&mut pager, &copy);
    fill(&mut pager, &ids[..3], 6);
    let page = pager
        .protected_pages()
        .next()
        .unwrap()
        .unwrap()
        .page
        .unwrap();
    drop(pager);
    let mut bytes = fs::read(&path).unwrap();
    bytes[usize::try_from(page).unwrap() * 4096] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let before = fs::read(&copy).unwrap();
    let error = engine().backup(&path, None, &copy, |_, _| {}).unwrap_err();
    assert!(matches!(error, Error::ChecksumMismatch { .. }), "{error}");
    // It was opened, and nothing else.
    let found = engine().open_read_only(&copy).unwrap();
    let mut page = [0; 4096];
    found.read_protected(ids[0], 0, &mut page).unwrap();
    assert_eq!(page, [1; 4096]);
    drop(found);
    assert_eq!(fs::read(&copy).unwrap().len(), before.len());
    // Rot in the copy is found by comparing.
    let (folder, path) = crate::folder();
    let copy = folder.path().join("copy.pages");
    let (mut pager, ..) = create(&path);
    back_up(&mut pager, &copy);
    drop(pager);
    let copied = engine().open_read_only(&copy).unwrap();
    let page = copied
        .protected_pages()
        .next()
        .unwrap()
        .unwrap()
        .page
        .unwrap();
    let mut bytes = fs::read(&copy).unwrap();
    bytes[usize::try_from(page).unwrap() * 4096] ^= 1;
    fs::write(&copy, &bytes).unwrap();
    let error = engine()
        .compare_backup(&path, None, &copy, |_, _| {})
        .unwrap_err();
    assert!(matches!(error, Error::ChecksumMismatch { .. }), "{error}");
}
