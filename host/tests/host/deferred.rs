//! Commits without a sync, through the sandbox.

use std::path::Path;

use pagebox::{Error, Format, NewFile, PageSize, Pager, ProtectedId, SharedPager, Transaction};

use crate::{engine, folder};

const ID: ProtectedId = ProtectedId::new(0);

/// A file of a format with one protected page that begins with 1.
fn create(path: &Path, format: Format) -> Pager {
    let new = NewFile {
        format,
        page_count: 0,
    };
    let mut pager = engine().create_with(path, PageSize::KIB_4, new).unwrap();
    let mut tx = pager.begin().unwrap();
    let id = tx.alloc_protected().unwrap();
    assert_eq!(id, ID);
    tx.write(id).unwrap()[0] = 1;
    tx.commit().unwrap();
    pager
}

fn defer(pager: &mut Pager, byte: u8) -> Result<(), Error> {
    let before = pager.stats()?.generation;
    let mut tx = pager.begin()?;
    tx.write(ID)?[0] = byte;
    let info = tx.commit_deferred()?;
    assert_eq!(info.generation, before + 1);
    assert!(info.durable <= before);
    assert_eq!(pager.protected_page(ID)?[0], byte);
    Ok(())
}

/// What somebody else finds in the file.
fn found(path: &Path) -> u8 {
    let pager = engine().open_read_only(path).unwrap();
    let mut first = [0];
    pager.read_protected(ID, 0, &mut first).unwrap();
    first[0]
}

#[test]
fn deferred_commits_are_seen_at_once_and_found_by_others_after_a_sync() {
    let (_folder, path) = folder();
    let mut pager = create(&path, Format::One);
    defer(&mut pager, 2).unwrap();
    defer(&mut pager, 3).unwrap();
    assert_eq!(found(&path), 1);
    pager.sync().unwrap();
    assert_eq!(found(&path), 3);
    defer(&mut pager, 4).unwrap();
    // A durable commit of nothing is one.
    let info = pager.begin().unwrap().commit().unwrap();
    assert_eq!(info.durable, info.generation);
    assert_eq!(found(&path), 4);
}

#[test]
fn pager_that_ends_in_peace_makes_what_was_deferred_durable() {
    let (_folder, path) = folder();
    let mut pager = create(&path, Format::One);
    defer(&mut pager, 2).unwrap();
    drop(pager);
    assert_eq!(found(&path), 2);
    let mut pager = engine().open(&path).unwrap();
    defer(&mut pager, 3).unwrap();
    drop(pager.close());
    assert_eq!(found(&path), 3);
    let mut pager = engine().open(&path).unwrap();
    defer(&mut pager, 4).unwrap();
    pager.reopen().unwrap();
    assert_eq!(pager.protected_page(ID).unwrap()[0], 4);
    assert_eq!(found(&path), 4);
}

#[test]
fn copy_of_a_file_has_what_is_durable_and_nothing_that_was_deferred() {
    let (folder, path) = folder();
    let mut pager = create(&path, Format::One);
    for byte in 2..100 {
        defer(&mut pager, byte).unwrap();
    }
    // What a crash leaves at most.
    let copy = folder.path().join("copy");
    std::fs::copy(&path, &copy).unwrap();
    let mut opened = engine().open(&copy).unwrap();
    assert_eq!(opened.protected_page(ID).unwrap()[0], 1);
    defer(&mut opened, 7).unwrap();
    opened.sync().unwrap();
    assert_eq!(found(&copy), 7);
}

#[test]
fn format_0_refuses_to_defer_and_goes_on() {
    let (_folder, path) = folder();
    let mut pager = create(&path, Format::Zero);
    assert!(matches!(defer(&mut pager, 2), Err(Error::Other(_))));
    assert_eq!(pager.protected_page(ID).unwrap()[0], 1);
    let shared = SharedPager::new(pager);
    let refused = shared.transact_deferred(|tx| tx.alloc_many(1));
    assert!(matches!(refused, Err(Error::Other(_))));
    shared.transact(|tx| tx.alloc_many(1)).unwrap();
}

#[test]
fn shared_pager_defers_and_makes_durable() {
    let (_folder, path) = folder();
    let shared = SharedPager::new(create(&path, Format::One));
    let write = |byte| {
        move |tx: &mut Transaction<'_>| {
            tx.write(ID)?[0] = byte;
            Ok(())
        }
    };
    shared.transact_deferred(write(2)).unwrap();
    assert_eq!(shared.read().protected_page(ID).unwrap()[0], 2);
    assert_eq!(found(&path), 1);
    shared.transact(write(3)).unwrap();
    assert_eq!(found(&path), 3);
    shared.transact_deferred(write(4)).unwrap();
    shared.with(Pager::sync).unwrap();
    assert_eq!(found(&path), 4);
    shared.transact_deferred(write(5)).unwrap();
    drop(shared);
    assert_eq!(found(&path), 5);
}

/// Writers and those that fail, at the same time: each gets its own result, and
/// those that fail leave nothing.
#[test]
fn many_threads_get_their_own_results_on_format_1() {
    let (_folder, path) = folder();
    let shared = SharedPager::new(create(&path, Format::One));
    std::thread::scope(|scope| {
        for thread in 0..16_u64 {
            let shared = &shared;
            scope.spawn(move || {
                for round in 0..20_u64 {
                    let fails = (thread + round) % 5 == 0;
                    let done = shared.transact(move |tx| {
                        let id = tx.alloc_protected()?;
                        tx.write(id)?[..8].copy_from_slice(&thread.to_le_bytes());
                        if fails {
                            return Err(Error::Other("on purpose".into()));
                        }
                        Ok(id)
                    });
                    assert_eq!(done.is_err(), fails, "{done:?}");
                    let Ok(id) = done else { continue };
                    let pager = shared.read();
                    let page = pager.protected_page(id).unwrap();
                    assert_eq!(page[..8], thread.to_le_bytes());
                }
            });
        }
    });
    let stats = shared.read().stats().unwrap();
    assert_eq!(stats.protected_pages, 1 + 16 * 16);
    drop(shared);
    let pager = engine().open_read_only(&path).unwrap();
    assert_eq!(pager.stats().unwrap(), stats);
}

/// What is kept of deferred commits is bounded, and so is the memory of the
/// sandbox.
#[test]
fn too_many_changes_are_durable_by_themselves() {
    let store = pagebox::MemoryStore::new(PageSize::KIB_1);
    let new = NewFile {
        format: Format::One,
        page_count: 0,
    };
    let mut pager = engine().create_store(store, new).unwrap();
    let mut changed = 0;
    for _ in 0..14 {
        let mut tx = pager.begin().unwrap();
        tx.alloc_protected_many(5000).unwrap();
        changed += 5000;
        let info = tx.commit_deferred().unwrap();
        assert_eq!(info.durable == info.generation, changed > 1 << 16);
    }
    let stats = pager.stats().unwrap();
    assert_eq!(stats.protected_pages, changed);
}
