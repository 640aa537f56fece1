//! Compaction through the library: files get shorter on the disk, beside commits,
//! views and other processes that read.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use pagebox::{
    Access, Error, FileStore, Format, MemoryStore, NewFile, Obstacle, PageSize, PageStore, Pager,
    ProtectedId, SharedPager,
};

use crate::{engine, folder};

fn len(path: &Path) -> u64 {
    fs::metadata(path).unwrap().len()
}

/// A file with many pages, of which most were freed again; each of those that are left
/// is full of the low byte of its id.
fn holey(path: &Path) -> (Pager, Vec<ProtectedId>) {
    let mut pager = engine().create(path, PageSize::KIB_4).unwrap();
    let mut tx = pager.begin().unwrap();
    let ids = tx.alloc_protected_many(3000).unwrap();
    for &id in &ids {
        tx.write(id).unwrap().fill(byte(id));
    }
    tx.commit().unwrap();
    let mut tx = pager.begin().unwrap();
    tx.free_protected_many(&ids[..2900]).unwrap();
    tx.commit().unwrap();
    (pager, ids[2900..].to_vec())
}

fn byte(id: ProtectedId) -> u8 {
    id.get().to_le_bytes()[0]
}

#[track_caller]
fn shows(pager: &Pager, ids: &[ProtectedId]) {
    shown(pager, ids).unwrap();
}

/// The same of a file that others write to, where it may be too late.
#[track_caller]
fn shown(pager: &Pager, ids: &[ProtectedId]) -> Result<(), Error> {
    for &id in ids {
        let mut bytes = [0; 4096];
        pager.read_protected(id, 0, &mut bytes)?;
        assert!(bytes == [byte(id); 4096], "{id}");
    }
    Ok(())
}

#[test]
fn file_gets_shorter_on_the_disk_and_goes_on() {
    let (_folder, path) = folder();
    let (mut pager, ids) = holey(&path);
    let long = len(&path);
    shows(&pager, &ids);
    let mut calls = 0;
    let done = pager
        .compact_with_progress(0, |done, total| {
            assert!(done <= total);
            calls += 1;
        })
        .unwrap();
    assert!(calls > 1 && done.is_done && done.moved >= 100, "{done:?}");
    assert_eq!(done.obstacle, Some(Obstacle::Contents));
    assert_eq!(len(&path), done.page_count * 4096);
    assert!(len(&path) < long / 20);
    shows(&pager, &ids);
    // It grows again, with zeros in what it got.
    let mut tx = pager.begin().unwrap();
    let new = tx.alloc_many(2000).unwrap();
    tx.commit().unwrap();
    for &id in &new {
        assert!(pager.page(id).unwrap().iter().all(|&byte| byte == 0));
    }
    pager.page_mut(new[1999]).unwrap().fill(7);
    pager.sync().unwrap();
    shows(&pager, &ids);
    drop(pager);
    let pager = engine().open(&path).unwrap();
    shows(&pager, &ids);
    assert!(pager.page(new[1999]).unwrap().iter().all(|&byte| byte == 7));
    drop(pager);
}

/// By position as through a map, and in memory.
#[test]
fn every_store_gets_shorter() {
    let (_folder, path) = folder();
    let (pager, ids) = holey(&path);
    drop(pager);
    let bytes = fs::read(&path).unwrap();
    let store = FileStore::open(&path, PageSize::KIB_4).unwrap();
    let mut pager = engine().open_store(store, Access::Write).unwrap();
    let count = pager.compact(0).unwrap().page_count;
    shows(&pager, &ids);
    drop(pager);
    assert_eq!(len(&path), count * 4096);
    let store = MemoryStore::from_bytes(PageSize::KIB_4, bytes);
    let mut pager = engine().open_store(store, Access::Write).unwrap();
    assert_eq!(pager.compact(0).unwrap().page_count, count);
    let store: Box<dyn std::any::Any> = pager.close();
    let store = store.downcast::<MemoryStore>().unwrap();
    assert_eq!(store.geometry().page_count, count);
    assert!(*store.bytes() == *fs::read(&path).unwrap());
}

/// What stands in the way is named, in words with the way out.
#[test]
fn obstacles_are_named() {
    let (_folder, path) = folder();
    let (mut pager, ids) = holey(&path);
    pager.compact(0).unwrap();
    let mut tx = pager.begin().unwrap();
    let filler = tx.alloc_protected_many(500).unwrap();
    for &id in &filler {
        tx.write(id).unwrap().fill(1);
    }
    tx.commit().unwrap();
    let mut tx = pager.begin().unwrap();
    let mut pages = tx.alloc_many(60).unwrap();
    tx.commit().unwrap();
    let page = pages.pop().unwrap();
    let rewrite = |pager: &mut Pager| {
        let mut tx = pager.begin().unwrap();
        tx.write(ids[0]).unwrap().fill(byte(ids[0]));
        tx.commit().unwrap();
    };
    // Behind all that.
    rewrite(&mut pager);
    pager.create_snapshot("one").unwrap();
    let mut tx = pager.begin().unwrap();
    tx.free_protected_many(&filler).unwrap();
    tx.free_many(&pages).unwrap();
    tx.commit().unwrap();
    rewrite(&mut pager);
    let done = pager.compact(0).unwrap();
    let words = done.obstacle.unwrap().to_string();
    assert!(words.contains("snapshot one: delete"), "{words}");
    pager.delete_snapshot("one").unwrap();
    let done = pager.compact(0).unwrap();
    assert_eq!(done.obstacle, Some(Obstacle::Regular { page }));
    let words = done.obstacle.unwrap().to_string();
    assert!(
        words.starts_with(&format!("regular page {page} ")),
        "{words}"
    );
    pager.free(page).unwrap();
    let view = pager.view().unwrap();
    let generation = view.generation();
    let done = pager.compact(0).unwrap();
    assert_eq!(done.obstacle, Some(Obstacle::View { generation }));
    drop(view);
    let shortest = pager.compact(0).unwrap();
    assert_eq!(shortest.obstacle, Some(Obstacle::Contents));
}

#[test]
fn format_0_and_readers_are_refused() {
    let (_folder, path) = folder();
    let new = NewFile {
        format: Format::Zero,
        ..NewFile::default()
    };
    let mut pager = engine()
        .create_store(MemoryStore::new(PageSize::KIB_4), new)
        .unwrap();
    let error = pager.compact(0).unwrap_err();
    assert!(error.to_string().contains("upgrade the file"), "{error}");
    assert!(error.is_caller_fault());
    drop(engine().create(&path, PageSize::KIB_4).unwrap());
    let mut pager = engine().open_read_only(&path).unwrap();
    assert!(matches!(pager.compact(0), Err(Error::ReadOnly)));
}

/// After a step others take the places that pages had, which the host remembered.
#[test]
fn pages_that_moved_are_read_where_they_are() {
    let (_folder, path) = folder();
    let (mut pager, ids) = holey(&path);
    shows(&pager, &ids);
    let step = pager.compact_step(0).unwrap();
    assert!(!step.is_done && step.moved >= 100, "{step:?}");
    // All the free ones, but for what a commit needs besides.
    let free = pager.stats().unwrap().free_pages;
    let mut tx = pager.begin().unwrap();
    let count = u32::try_from(free - free / 100 - 40).unwrap();
    for id in tx.alloc_protected_many(count).unwrap() {
        tx.write(id).unwrap().fill(9);
    }
    tx.commit().unwrap();
    shows(&pager, &ids);
}

/// A transaction that was open before a step is stale, and nothing of it is there.
#[test]
fn transactions_that_are_open_end_with_a_step() {
    let (_folder, path) = folder();
    let (mut pager, ids) = holey(&path);
    let suspended = {
        let mut tx = pager.begin().unwrap();
        tx.write(ids[0]).unwrap()[0] = !byte(ids[0]);
        tx.suspend()
    };
    pager.compact_step(0).unwrap();
    let resumed = pager
        .resume(suspended)
        .and_then(pagebox::Transaction::commit);
    assert!(matches!(resumed, Err(Error::StaleTransaction)));
    shows(&pager, &ids);
}

/// One thread compacts in its idle time, others write and read; a process without a
/// lock looks on, and sees committed states only.
#[test]
fn steps_go_on_beside_commits_views_and_other_readers() {
    let (_folder, path) = folder();
    let (pager, ids) = holey(&path);
    let long = len(&path);
    let pager = SharedPager::new(pager);
    let write = |round| {
        let pair = [ids[0], ids[1]];
        let write = pager.transact(move |tx| {
            pair.iter().try_for_each(|id| {
                tx.write(*id)?.fill(round);
                Ok(())
            })
        });
        write.unwrap();
    };
    // Of this pair both are written, or none.
    write(0);
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for round in 1..60 {
                write(round);
                let view = pager.view().unwrap();
                let mut bytes = [[0; 4096]; 2];
                for (id, bytes) in ids.iter().zip(&mut bytes) {
                    view.read_protected(*id, 0, bytes).unwrap();
                }
                assert!(bytes[0] == bytes[1]);
            }
            is_done.store(true, Ordering::SeqCst);
        });
        scope.spawn(|| {
            let mut looks = 0;
            while !is_done.load(Ordering::SeqCst) || looks == 0 {
                let looked = engine().read_with(&path, |pager| {
                    let mut bytes = [[0; 4096]; 2];
                    for (id, bytes) in ids.iter().zip(&mut bytes) {
                        pager.read_protected(*id, 0, bytes)?;
                    }
                    shown(pager, &ids[2..])?;
                    Ok(bytes)
                });
                match looked {
                    Ok(bytes) => assert!(bytes[0] == bytes[1]),
                    Err(Error::Busy | Error::Changed) => {}
                    Err(error) => panic!("{error}"),
                }
                looks += 1;
            }
        });
        while !is_done.load(Ordering::SeqCst) {
            pager.with(|pager| pager.compact_step(0)).unwrap();
        }
    });
    let done = pager.with(|pager| pager.compact(0)).unwrap();
    assert!(len(&path) < long / 10, "{done:?}");
    let pager = pager.read();
    shows(&pager, &ids[2..]);
}

/// A file that grows and gets shorter again and again, beside readers without a lock:
/// each of them finds a committed state, and none takes the length of one for that of
/// another.
#[test]
fn readers_find_a_whole_file_while_it_grows_and_shrinks() {
    let (_folder, path) = folder();
    let (mut pager, ids) = holey(&path);
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut looks = 0;
            while !is_done.load(Ordering::SeqCst) {
                match engine().read_with(&path, |pager| {
                    shown(pager, &ids[..5])?;
                    Ok(pager.stats()?.page_count)
                }) {
                    Ok(_) => looks += 1,
                    Err(Error::Busy | Error::Changed) => {}
                    Err(error) => panic!("{error}"),
                }
            }
            looks
        });
        let lengths: std::collections::BTreeSet<u64> = (0..25)
            .map(|_| {
                pager.compact(0).unwrap();
                let mut tx = pager.begin().unwrap();
                let filler = tx.alloc_protected_many(800).unwrap();
                for &id in &filler {
                    tx.write(id).unwrap().fill(9);
                }
                tx.commit().unwrap();
                let mut tx = pager.begin().unwrap();
                tx.free_protected_many(&filler).unwrap();
                tx.commit().unwrap();
                len(&path)
            })
            .collect();
        is_done.store(true, Ordering::SeqCst);
        assert!(reader.join().unwrap() > 0);
        assert!(lengths.len() < 25, "it grows no further than it did before");
    });
}

/// A reader whose pages were moved and cut off is told that the file changed, and not
/// that it failed.
#[test]
fn reader_of_what_was_cut_off_is_told_that_the_file_changed() {
    let (_folder, path) = folder();
    let (mut pager, ids) = holey(&path);
    let regular = pager.alloc().unwrap();
    let reader = engine().open_read_only(&path).unwrap();
    // It knows where they are.
    shown(&reader, &ids[..1]).unwrap();
    pager.compact(0).unwrap();
    let mut bytes = [0; 16];
    for &id in &ids {
        let read = reader.read_protected(id, 0, &mut bytes);
        assert!(matches!(read, Err(Error::Changed)), "{id}: {read:?}");
    }
    let listed: Result<Vec<_>, _> = reader.protected_pages().collect();
    assert!(matches!(listed, Ok(_) | Err(Error::Changed)), "{listed:?}");
    let read = reader.read(regular, 0, &mut bytes);
    assert!(matches!(read, Ok(()) | Err(Error::Changed)), "{read:?}");
}
