//! Commits that may be deferred: what they cost, when they become durable all
//! the same, and that the durable state is a reader of its own. Crashes between
//! them are in `crash` and `kill`.

use pagebox_core::bitmap::Overlay;
use pagebox_core::changes::{Change, Changes};
use pagebox_core::format1::record::Record;
use pagebox_core::format1::{self, File, Layout, Shape, Verdict};
use pagebox_core::{Error, Pager, ProtectedId};
use pagebox_store::{MemoryStore, PageBuffer, PageStore};
use pagebox_tests::counting::{CountingStore, Counts};
use pagebox_tests::crash::{CrashStore, Record as Note};

use super::scene::{SMALL, Scene, TINY, UUID, file_of, page, reach, shows, state_of, with_deltas};

fn one(id: u64, change: Change<PageBuffer>) -> Changes<PageBuffer> {
    let mut changes = Changes::default();
    changes.protected.insert(ProtectedId(id), change);
    changes
}

#[test]
fn deferred_commits_sync_nothing_and_one_sync_makes_all_durable() {
    let (store, mut file) = file_of(SMALL, 40);
    let (mut store, counter) = CountingStore::new(store);
    let start = file.stats().generation;
    for id in 0..30 {
        counter.take();
        let change = one(id, Change::Write(page(SMALL, 2)));
        let info = file.commit_deferred(&mut store, &change).unwrap();
        assert_eq!((info.generation, info.durable), (start + 1 + id, start));
        let Counts {
            writes,
            pages,
            syncs,
            ..
        } = counter.take();
        assert_eq!((writes, pages, syncs), (1, 1, 0), "id {id}");
    }
    // Nothing to be written is nothing to be done.
    file.commit_deferred(&mut store, &Changes::default())
        .unwrap();
    assert_eq!(counter.take(), Counts::default());
    // A durable commit of nothing makes the last of them durable, as it is.
    let info = file.commit(&mut store, &Changes::default()).unwrap();
    assert_eq!((info.generation, info.durable), (start + 30, start + 30));
    assert_eq!(counter.take().syncs, 1);
    file.commit(&mut store, &Changes::default()).unwrap();
    assert_eq!(counter.take(), Counts::default());

    let mut file = File::open_shaped(&store, SMALL).unwrap();
    assert_eq!(file.verdict(), Verdict::Acknowledged);
    let mut bytes = vec![0; SMALL.page_size.bytes()];
    for id in 0..40 {
        file.read(&store, ProtectedId(id), &mut bytes).unwrap();
        assert_eq!(bytes[0], if id < 30 { 2 } else { 1 }, "id {id}");
    }
}

#[test]
fn what_was_deferred_is_gone_after_a_crash_and_its_generations_come_again() {
    let (mut store, mut file) = file_of(SMALL, 3);
    let durable = file.stats().generation;
    for byte in 2..9 {
        let changes = one(1, Change::Write(page(SMALL, byte)));
        file.commit_deferred(&mut store, &changes).unwrap();
    }
    let mut file = File::open_shaped(&store, SMALL).unwrap();
    assert_eq!(file.stats().generation, durable);
    let mut bytes = vec![0; SMALL.page_size.bytes()];
    file.read(&store, ProtectedId(1), &mut bytes).unwrap();
    assert_eq!(bytes[0], 1);
    let changes = one(1, Change::Write(page(SMALL, 9)));
    let info = file.commit(&mut store, &changes).unwrap();
    assert_eq!(info.generation, durable + 1);
}

/// What a process left that was killed is durable before a deferred commit takes
/// the pages that it freed.
#[test]
fn first_deferred_commit_after_a_kill_settles() {
    let mut store = CrashStore::new(SMALL.page_size);
    let mut file = File::create_shaped(&mut store, Layout::regular(SMALL), UUID, 0).unwrap();
    let changes = one(0, Change::New(Some(page(SMALL, 1))));
    file.commit(&mut store, &changes).unwrap();
    store.record(Note::Syncs);
    let changes = one(0, Change::Write(page(SMALL, 2)));
    file.commit(&mut store, &changes).unwrap();

    let killed = store.take_moments().pop().unwrap().killed();
    killed.guard(&reach(SMALL));
    let (mut store, counter) = CountingStore::new(killed.clone());
    let mut file = File::open_shaped(&store, SMALL).unwrap();
    assert_eq!(file.verdict(), Verdict::Complete);
    for (byte, syncs) in [(3, 2), (4, 0), (5, 0)] {
        counter.take();
        let changes = one(0, Change::Write(page(SMALL, byte)));
        file.commit_deferred(&mut store, &changes).unwrap();
        assert_eq!(counter.take().syncs, syncs, "byte {byte}");
    }
    let left = killed.now().durable();
    let mut file = File::open_shaped(&left, SMALL).unwrap();
    let mut bytes = vec![0; SMALL.page_size.bytes()];
    file.read(&left, ProtectedId(0), &mut bytes).unwrap();
    assert_eq!(bytes[0], 2);
}

/// A page that was born since the durable state is nobody's when it is freed.
#[test]
fn what_the_durable_state_does_not_read_is_free_at_once() {
    let (mut store, mut file) = file_of(SMALL, 20);
    let mut regular = Changes::default();
    let mut pages = 0;
    for byte in 0..200 {
        let changes = one(7, Change::Write(page(SMALL, byte)));
        file.commit_deferred(&mut store, &changes).unwrap();
        // Regular pages have no birth.
        let page = file.find_free(&store, 0).unwrap();
        regular.allocated = Overlay::default();
        regular.freed = Overlay::default();
        regular.allocated.insert(page);
        file.commit_deferred(&mut store, &regular).unwrap();
        core::mem::swap(&mut regular.allocated, &mut regular.freed);
        file.commit_deferred(&mut store, &regular).unwrap();
        assert_eq!(file.find_free(&store, 0).unwrap(), page);
        if byte == 0 {
            pages = file.stats().page_count;
        }
    }
    assert_eq!(file.stats().page_count, pages);
    let info = file.commit(&mut store, &Changes::default()).unwrap();
    assert_eq!(info.durable, info.generation);
    assert_eq!(state_of(&store, SMALL).unwrap().protected.len(), 20);
}

/// The durable state keeps what a deferred commit frees; where no room is left
/// it is given back, with a durable commit.
#[test]
fn full_store_makes_room_of_what_only_the_durable_state_reads() {
    for deltas in [0, 48, 400, usize::MAX] {
        let shape = with_deltas(Layout::regular(TINY), deltas).shape();
        let (mut store, mut file) = file_of(shape, 48);
        let mut durable = file.stats().durable;
        let mut flushed = 0;
        for round in 0..200_u64 {
            let id = round * 7 % 48;
            let changes = one(id, Change::Write(page(shape, round as u8)));
            let info = file.commit_deferred(&mut store, &changes).unwrap();
            flushed += u32::from(info.durable > durable);
            durable = info.durable;
        }
        assert!(flushed > 1 && flushed < 100, "{flushed}");
        let limit = shape.page_limit();
        assert!(file.stats().page_count <= limit);
        file.commit(&mut store, &Changes::default()).unwrap();
        let state = state_of(&store, shape).unwrap();
        assert!(state.is_acknowledged && state.protected.len() == 48);
    }
}

/// That takes no page that the changes name, or refuses them.
#[test]
fn full_store_makes_room_beside_the_pages_that_changes_name() {
    let mut seen = [0; 3];
    for deltas in [0, 48, 400] {
        let shape = with_deltas(Layout::regular(TINY), deltas).shape();
        let (mut store, mut file) = file_of(shape, 48);
        for round in 0..40 {
            let changes = one(round * 7 % 48, Change::Write(page(shape, round as u8)));
            file.commit_deferred(&mut store, &changes).unwrap();
            // The first free page; the first two; and so on.
            let mut changes = Changes::default();
            while let Ok(page) = file.find_free(&store, changes.allocated.max().unwrap_or(0) + 1) {
                changes.allocated.insert(page);
                let (mut store, mut file) = (store.clone(), file.clone());
                let before = file.stats();
                let done = file.commit_deferred(&mut store, &changes);
                let is_flushed = file.stats().durable > before.durable;
                match &done {
                    Ok(_) => seen[usize::from(is_flushed)] += 1,
                    Err(format1::Error::Full { .. }) => seen[2] += u32::from(is_flushed),
                    Err(error) => panic!("{error}, after {round} of {deltas} bytes"),
                }
                let regular = done.map_or(0, |_| changes.allocated.len());
                file.commit(&mut store, &Changes::default()).unwrap();
                let state = state_of(&store, shape).unwrap();
                assert_eq!(state.regular.len() as u64, regular);
            }
        }
    }
    assert!(seen.iter().all(|&count| count > 20), "{seen:?}");
}

/// The old root of MAP moves below a node that no id asks for.
#[test]
fn full_store_has_room_for_a_higher_map() {
    // As many as the ids from 16 on take.
    let shape = with_deltas(Layout::regular(TINY), 16 * 40).shape();
    let (mut store, mut file) = file_of(shape, 4);
    let mut pages = Vec::new();
    while let Ok(page) = file.find_free(&store, 0) {
        let mut regular = Changes::default();
        regular.allocated.insert(page);
        if file.commit(&mut store, &regular).is_err() {
            break;
        }
        pages.push(page);
    }
    let mut seen = 0;
    for free in 20..60 {
        let mut store = store.clone();
        let mut file = file.clone();
        let free_some = |pages: &[u64]| Changes {
            freed: pages.iter().copied().collect(),
            ..Changes::default()
        };
        file.commit(&mut store, &free_some(&pages[..free])).unwrap();
        file.close(&mut store).unwrap();
        let mut file = File::open_shaped(&store, shape).unwrap();
        let mut changes = Changes::default();
        for id in 16..32 {
            let bytes = Some(page(shape, 1));
            changes
                .protected
                .insert(ProtectedId(id), Change::New(bytes));
        }
        if file.commit(&mut store, &changes).is_err() {
            continue;
        }
        let durable = file.stats().durable;
        // Now a durable commit folds.
        file.commit_deferred(&mut store, &free_some(&pages[free..=free]))
            .unwrap();
        for id in 16..32 {
            let changes = one(id, Change::Write(page(shape, 2)));
            file.commit_deferred(&mut store, &changes).unwrap();
        }
        seen += u32::from(file.stats().durable > durable);
        file.commit(&mut store, &Changes::default()).unwrap();
        let state = state_of(&store, shape).unwrap();
        assert_eq!(state.protected.len(), 20);
    }
    assert!(seen > 0);
}

/// Memory is bounded: a commit after too many is durable.
#[test]
fn deferred_commits_are_durable_after_too_many_of_them() {
    const MAX: u64 = 1 << 16;
    let (mut store, mut file) = file_of(SMALL, 3);
    let start = file.stats().generation;
    for count in 1..=MAX + 1 {
        let changes = one(1, Change::Write(page(SMALL, count as u8)));
        let info = file.commit_deferred(&mut store, &changes).unwrap();
        let durable = if count <= MAX { start } else { start + count };
        assert_eq!(info.durable, durable, "commit {count}");
    }

    // Or of too much that they change.
    let shape = Shape::of(pagebox_store::PageSize::KIB_1);
    let mut store = MemoryStore::new(shape.page_size);
    let mut file = File::create(&mut store, UUID, 0).unwrap();
    let (mut changed, mut id) = (0, 0);
    loop {
        let mut changes = Changes::default();
        for _ in 0..5000 {
            changes.protected.insert(ProtectedId(id), Change::New(None));
            id += 1;
        }
        changed += 5000;
        let info = file.commit_deferred(&mut store, &changes).unwrap();
        assert_eq!(info.durable == info.generation, changed > MAX, "{changed}");
        if changed > MAX {
            break;
        }
    }
}

/// Zeros are not verified: they come before the record, however many commits
/// before it they were put there.
#[test]
fn zeros_of_deferred_regular_pages_come_before_the_record() {
    for reused in [true, false] {
        let (mut store, mut file) = file_of(SMALL, 3);
        let stored = store.geometry().page_count;
        let page = file.find_free(&store, if reused { 0 } else { stored });
        let mut changes = Changes::default();
        changes.allocated.insert(page.unwrap());
        if !reused {
            // A growth gives zeros itself.
            store.grow(stored).unwrap();
        }
        let (mut store, counter) = CountingStore::new(store);
        file.commit_deferred(&mut store, &changes).unwrap();
        let changes = one(1, Change::Write(self::page(SMALL, 3)));
        file.commit_deferred(&mut store, &changes).unwrap();
        assert_eq!(counter.take().syncs, 0);
        file.commit(&mut store, &Changes::default()).unwrap();
        assert_eq!(counter.take().syncs, 1 + u64::from(reused));
        // That was told once.
        file.commit_deferred(&mut store, &changes).unwrap();
        file.commit(&mut store, &Changes::default()).unwrap();
        assert_eq!(counter.take().syncs, 1);
    }
}

/// More than 64 MiB since the durable state: two syncs, and nothing to verify
/// after a crash.
#[test]
fn large_deferred_commits_are_synced_before_the_record() {
    let shape = Shape::of(pagebox_store::PageSize::MIB_1);
    for (commits, syncs) in [(4, 1), (5, 2)] {
        let mut store = MemoryStore::new(shape.page_size);
        let mut file = File::create(&mut store, UUID, 100).unwrap();
        let (mut store, counter) = CountingStore::new(store);
        for commit in 0..commits {
            let mut changes = Changes::default();
            for id in commit * 13..(commit + 1) * 13 {
                let change = Change::New(Some(page(shape, 1)));
                changes.protected.insert(ProtectedId(id), change);
            }
            file.commit_deferred(&mut store, &changes).unwrap();
        }
        assert_eq!(counter.take().syncs, 0);
        let info = file.commit(&mut store, &Changes::default()).unwrap();
        assert_eq!(counter.take().syncs, syncs, "{commits} commits");
        let store = store.into_inner();
        let slot = shape.page_size.bytes();
        let record = Record::decode(&store.bytes()[slot..slot + 4096]).unwrap();
        let is_proven = record.proven == info.generation;
        assert_eq!(is_proven, syncs == 2, "{commits} commits");
    }
}

/// What was deferred makes the record too long: the durable commit folds, and
/// none before it does.
#[test]
fn deferred_commits_do_not_fold() {
    let shape = with_deltas(Layout::regular(SMALL), 128).shape();
    let (store, mut file) = file_of(shape, 60);
    let mut scene = Scene::new(MemoryStore::new(shape.page_size), Layout::regular(shape), 3);
    let (mut store, counter) = CountingStore::new(store);
    file.commit(&mut store, &one(0, Change::Free)).unwrap();
    counter.take();
    for id in 1..50 {
        file.commit_deferred(&mut store, &one(id, Change::Write(page(shape, 5))))
            .unwrap();
        assert_eq!(counter.take().pages, 1, "id {id}");
    }
    file.commit(&mut store, &Changes::default()).unwrap();
    let counts = counter.take();
    assert!(counts.pages > 20 && counts.syncs == 1, "{counts:?}");
    // And a long random run shows what was committed, folded or not.
    scene.defers = 4;
    for _ in 0..60 {
        scene.step().unwrap();
        shows(&mut scene.file, &scene.store, &scene.model).unwrap();
    }
}

#[test]
fn format_0_has_none_and_goes_on() {
    let mut pager = Pager::create(MemoryStore::new(SMALL.page_size), 0).unwrap();
    let mut transaction = pager.begin().unwrap();
    pager.alloc_protected(&mut transaction, 1).unwrap();
    let refused = pager.commit_deferred(transaction);
    assert_eq!(refused, Err(Error::NotSupported));
    let mut transaction = pager.begin().unwrap();
    pager.alloc_protected(&mut transaction, 1).unwrap();
    let info = pager.commit(transaction).unwrap();
    assert_eq!(info.generation, info.durable);
}
