//! Snapshots through the library, in one process and several.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use pagebox::{Access, Error, Format, MemoryStore, NewFile, PageSize, Pager, ProtectedId, View};

use crate::{engine, folder};

fn fill(pager: &mut Pager, ids: &[ProtectedId], byte: u8) {
    let mut tx = pager.begin().unwrap();
    for &id in ids {
        tx.write(id).unwrap().fill(byte);
    }
    tx.commit().unwrap();
}

/// A file with some protected pages.
fn pager(path: &Path) -> (Pager, Vec<ProtectedId>) {
    let mut pager = engine().create(path, PageSize::KIB_4).unwrap();
    let mut tx = pager.begin().unwrap();
    let ids = tx.alloc_protected_many(20).unwrap();
    tx.commit().unwrap();
    fill(&mut pager, &ids, 1);
    (pager, ids)
}

/// That a state shows one byte in all pages.
#[track_caller]
fn shows(view: &View, ids: &[ProtectedId], byte: u8) {
    for &id in ids {
        let mut bytes = [0; 4096];
        view.read_protected(id, 0, &mut bytes).unwrap();
        assert_eq!(bytes, [byte; 4096]);
    }
}

#[test]
fn snapshot_is_read_beside_commits_and_gone_back_to() {
    let (_folder, path) = folder();
    let (mut pager, ids) = pager(&path);
    let before = SystemTime::now();
    let one = pager.create_snapshot("one").unwrap();
    assert!(before <= one.made() && one.made() <= SystemTime::now());
    fill(&mut pager, &ids[..10], 2);
    let view = pager.snapshot("one").unwrap();
    assert_eq!(view.generation(), one.generation);
    let reader = std::thread::scope(|scope| {
        let reader = scope.spawn(|| shows(&view, &ids, 1));
        fill(&mut pager, &ids, 3);
        reader.join()
    });
    reader.unwrap();
    assert_eq!(pager.snapshots().unwrap(), [one]);
    assert_eq!(pager.protected_page(ids[0]).unwrap()[0], 3);
    assert_eq!(pager.restore_snapshot("one").unwrap(), 20);
    // Also what was lent before.
    for &id in &ids {
        assert_eq!(pager.protected_page(id).unwrap()[0], 1);
    }
    assert!(pager.delete_snapshot("one").unwrap() >= 20);
    fill(&mut pager, &ids, 4);
    fill(&mut pager, &ids, 5);
    shows(&view, &ids, 1);
    drop(view);
    assert!(pager.snapshots().unwrap().is_empty());
}

#[test]
fn errors_name_the_snapshot() {
    let (_folder, path) = folder();
    let (mut pager, _) = pager(&path);
    pager.create_snapshot("one").unwrap();
    let texts = [
        pager.create_snapshot("one").map(drop),
        pager.create_snapshot(&"n".repeat(65)).map(drop),
        pager.delete_snapshot("two").map(drop),
        pager.restore_snapshot("two").map(drop),
        pager.snapshot("two").map(drop),
        pager.snapshot_pages("two").map(drop),
        pager
            .changes(Some("two"), None)
            .try_for_each(|page| page.map(drop)),
    ]
    .map(|result| {
        let error = result.unwrap_err();
        assert!(error.is_caller_fault());
        error.to_string()
    });
    let missing = r#"there is no snapshot "two""#;
    assert_eq!(
        texts,
        [
            r#"there is a snapshot "one" already"#,
            "no snapshot can have this name: it is longer than 64 bytes",
            missing,
            missing,
            missing,
            missing,
            missing,
        ]
    );
    // The pager goes on.
    pager.create_snapshot("two").unwrap();
}

#[test]
fn transactions_that_are_open_end_with_a_restore() {
    let (_folder, path) = folder();
    let (mut pager, ids) = pager(&path);
    pager.create_snapshot("one").unwrap();
    fill(&mut pager, &ids, 2);
    let suspended = {
        let mut tx = pager.begin().unwrap();
        tx.write(ids[0]).unwrap()[0] = 9;
        tx.suspend()
    };
    pager.restore_snapshot("one").unwrap();
    let resumed = pager
        .resume(suspended)
        .and_then(pagebox::Transaction::commit);
    assert!(matches!(resumed, Err(Error::StaleTransaction)));
    assert_eq!(pager.protected_page(ids[0]).unwrap()[0], 1);
}

/// A reader needs no lock: what it opened stays readable while another pager
/// commits, and when the snapshot is deleted it is told so, never of rot.
#[test]
fn readers_of_a_snapshot_take_no_lock_and_see_no_mixture() {
    let (_folder, path) = folder();
    let (mut writer, ids) = pager(&path);
    writer.create_snapshot("one").unwrap();
    let reader = engine().open_read_only(&path).unwrap();
    let view = reader.snapshot("one").unwrap();
    let is_deleted = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reading = scope.spawn(|| {
            let mut reads = 0;
            loop {
                let was_there = !is_deleted.load(Ordering::SeqCst);
                for &id in &ids {
                    let mut bytes = [0; 4096];
                    match view.read_protected(id, 0, &mut bytes) {
                        Ok(()) => assert_eq!(bytes, [1; 4096]),
                        Err(Error::Changed) => {
                            assert!(is_deleted.load(Ordering::SeqCst));
                            return reads;
                        }
                        Err(Error::Busy) => {}
                        Err(error) => panic!("{error}"),
                    }
                    reads += usize::from(was_there);
                }
            }
        });
        for byte in 2..20 {
            fill(&mut writer, &ids, byte);
        }
        is_deleted.store(true, Ordering::SeqCst);
        writer.delete_snapshot("one").unwrap();
        for byte in 20..60 {
            fill(&mut writer, &ids, byte);
        }
        assert!(reading.join().unwrap() > 0);
    });
    // A name of another state is another snapshot.
    writer.create_snapshot("one").unwrap();
    let mut bytes = [0; 4096];
    let gone = view.read_protected(ids[0], 0, &mut bytes);
    assert!(matches!(gone, Err(Error::Changed)), "{gone:?}");
}

/// Each opening finds its own way to the snapshot, among roots that change.
#[test]
fn snapshot_is_opened_beside_a_writer_without_a_pause() {
    let (_folder, path) = folder();
    let (mut writer, ids) = pager(&path);
    writer.create_snapshot("one").unwrap();
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for byte in (2..200).cycle() {
                fill(&mut writer, &ids[..3], byte);
                if is_done.load(Ordering::SeqCst) {
                    return;
                }
            }
        });
        for _ in 0..20 {
            let view = engine().open_snapshot(&path, "one").unwrap();
            shows(&view, &ids, 1);
            let missing = engine().open_snapshot(&path, "two");
            assert!(matches!(missing, Err(Error::NoSnapshot(_))), "{missing:?}");
        }
        is_done.store(true, Ordering::SeqCst);
    });
}

#[test]
fn readers_list_snapshots_and_make_none() {
    let (_folder, path) = folder();
    let (mut writer, ids) = pager(&path);
    writer.create_snapshot("one").unwrap();
    fill(&mut writer, &ids[..3], 2);
    drop(writer);
    let mut reader = engine().open_read_only(&path).unwrap();
    assert_eq!(reader.snapshots().unwrap().len(), 1);
    assert!(reader.snapshot_pages("one").unwrap() >= 3);
    let changed: Vec<_> = reader
        .changes(Some("one"), None)
        .map(|page| page.unwrap().id)
        .collect();
    assert_eq!(changed, ids[..3]);
    for result in [
        reader.create_snapshot("two").map(drop),
        reader.delete_snapshot("one").map(drop),
        reader.restore_snapshot("one").map(drop),
    ] {
        assert!(matches!(result, Err(Error::ReadOnly)));
    }
}

#[test]
fn inspector_shows_a_snapshot() {
    let (_folder, path) = folder();
    let (mut pager, ids) = pager(&path);
    pager.create_snapshot("one").unwrap();
    let mut tx = pager.begin().unwrap();
    for &id in &ids[10..] {
        tx.free_protected(id).unwrap();
    }
    tx.commit().unwrap();
    let mut inspector = engine().inspect(&path).unwrap();
    let summary = inspector.summary().unwrap();
    assert_eq!(
        (summary.snapshots, summary.protected_pages),
        (Some(1), Some(10))
    );
    let missing = inspector.show_snapshot("two");
    assert!(matches!(missing, Err(Error::NoSnapshot(name)) if name == "two"));
    inspector.show_snapshot("one").unwrap();
    let summary = inspector.summary().unwrap();
    assert_eq!(summary.protected_pages, Some(20));
    assert_eq!((summary.free_pages, summary.regular_pages), (None, None));
    assert_eq!(inspector.directory(0, 99, true).unwrap().len(), 20);
    let kinds = inspector.page_kinds().unwrap();
    let count = |name| kinds.iter().find(|kind| kind.name == name).unwrap().count;
    assert_eq!((count("protected-active"), count("free")), (20, 0));
    assert!(count("other") > 0);
    // Whoever looks at a snapshot is not disturbed by commits.
    fill(&mut pager, &ids[..10], 7);
    assert!(inspector.is_current().unwrap());
    pager.delete_snapshot("one").unwrap();
    assert!(!inspector.is_current().unwrap());
}

#[test]
fn stores_in_memory_have_them_too_and_format_0_has_none() {
    let store = MemoryStore::new(PageSize::KIB_4);
    let mut pager = engine().create_store(store, 0).unwrap();
    let id = pager.alloc_protected().unwrap();
    pager.create_snapshot("one").unwrap();
    fill(&mut pager, &[id], 5);
    let view = pager.snapshot("one").unwrap();
    assert_eq!(view.protected_page(id).unwrap()[0], 0);
    drop(view);
    let reader = engine().open_store(MemoryStore::new(PageSize::KIB_4), Access::Read);
    assert!(reader.is_err());
    let new = NewFile {
        format: Format::Zero,
        page_count: 0,
    };
    let mut pager = engine()
        .create_store(MemoryStore::new(PageSize::KIB_4), new)
        .unwrap();
    assert!(pager.snapshots().unwrap().is_empty());
    let error = pager.create_snapshot("one").unwrap_err();
    assert_eq!(
        error.to_string(),
        "the format has no snapshots: upgrade the file to format 1"
    );
}
