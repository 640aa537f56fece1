//! What things cost: syncs exactly, reads and memory within bounds; and what
//! happens where there is no room.

use pagebox_core::ProtectedId;
use pagebox_core::changes::{Change, Changes};
use pagebox_core::format1::record::Record;
use pagebox_core::format1::{Error, File, Layout, Operation, Shape, Verdict};
use pagebox_store::{Change as Written, MemoryStore, PageBuffer, PageSize, PageStore, StoreError};
use pagebox_tests::counting::CountingStore;
use pagebox_tests::crash::{CrashStore, Record as Note};
use pagebox_tests::sparse::SparseStore;

use super::scene::{DELTAS, Model, SMALL, Scene, TINY, UUID, layout, reach, with_deltas};

fn page(size: PageSize, byte: u8) -> PageBuffer {
    PageBuffer::from(&vec![byte; size.bytes()][..])
}

fn new<B>(ids: impl IntoIterator<Item = (u64, Option<B>)>) -> Changes<B> {
    let mut changes = Changes::default();
    for (id, bytes) in ids {
        changes
            .protected
            .insert(ProtectedId(id), Change::New(bytes));
    }
    changes
}

#[test]
fn commit_costs_one_sync_and_the_first_after_opening_two_or_three() {
    for seed in 0..8 {
        let layout = layout(seed);
        let (store, counter) = CountingStore::new(MemoryStore::new(layout.shape().page_size));
        let mut scene = Scene::new(store, layout, seed);
        for step in 0..20 {
            let (changes, after) = scene.changes();
            let grows = scene.file.stats().page_count;
            let stored = scene.store.geometry().page_count;
            // The zeros of what may hold old bytes come first.
            let recycles = changes
                .allocated
                .iter()
                .next()
                .is_some_and(|it| it < stored);
            counter.take();
            scene.commit(&changes, after).unwrap();
            let counts = counter.take();
            let is_done = scene.log.last().is_none_or(|it| it != "full");
            let syncs = u64::from(is_done) + u64::from(is_done && recycles);
            assert_eq!(counts.syncs, syncs, "{counts:?} in step {step}");
            assert!(counts.writes <= 2 && (counts.writes == 2 || grows > 0));
        }
        // Acknowledged: the slots are equal.
        scene.file = File::open_shaped(&scene.store, layout.shape()).unwrap();
        let id = scene
            .file
            .find_free_id(&scene.store, ProtectedId(0))
            .unwrap();
        counter.take();
        scene
            .commit(&new([(id.0, None)]), Model::default())
            .unwrap();
        assert_eq!(counter.take().syncs, 2);
    }
    // The copy did not arrive.
    let mut scene = Scene::on_crash_store(layout(0), 1);
    scene.step().unwrap();
    scene.store.record(Note::Syncs);
    scene.step().unwrap();
    let killed = scene.store.take_moments().pop().unwrap().killed();
    killed.guard(&reach(SMALL));
    let (mut store, counter) = CountingStore::new(killed);
    let mut file = File::open_shaped(&store, SMALL).unwrap();
    assert_eq!(file.verdict(), Verdict::Complete);
    let id = file.find_free_id(&store, ProtectedId(0)).unwrap();
    counter.take();
    file.commit(&mut store, &new([(id.0, None)])).unwrap();
    assert_eq!(counter.take().syncs, 3);
}

/// Pages past the page count may hold what a commit wrote that was rolled back.
#[test]
fn zeros_of_a_page_past_the_page_count_come_before_its_commit() {
    let mut store = MemoryStore::new(SMALL.page_size);
    let layout = Layout::regular(SMALL);
    let page_count = File::create_shaped(&mut store, layout, UUID, 0)
        .unwrap()
        .stats()
        .page_count;
    store.grow(page_count + 20).unwrap();
    let (mut store, counter) = CountingStore::new(store);
    let mut file = File::open_shaped(&store, SMALL).unwrap();
    file.settle(&mut store).unwrap();
    for (page, syncs) in [(page_count + 1, 2), (page_count + 400, 1)] {
        let page = file.find_free(&store, page).unwrap();
        let mut changes = Changes::default();
        changes.allocated.insert(page);
        counter.take();
        file.commit(&mut store, &changes).unwrap();
        assert_eq!(counter.take().syncs, syncs, "page {page}");
    }
}

#[test]
fn changes_of_nothing_and_reads_write_nothing() {
    let (store, counter) = CountingStore::new(MemoryStore::new(SMALL.page_size));
    let mut scene = Scene::new(store, Layout::regular(SMALL), 2);
    scene.step().unwrap();
    scene.file = File::open_shaped(&scene.store, SMALL).unwrap();
    counter.take();
    scene
        .file
        .commit(&mut scene.store, &Changes::default())
        .unwrap();
    let _ = scene.file.find_free(&scene.store, 0).unwrap();
    let file = File::open_shaped(&scene.store, SMALL).unwrap();
    file.close(&mut scene.store).unwrap();
    let counts = counter.take();
    assert_eq!((counts.writes, counts.syncs), (0, 0));
}

/// So that the next opening finds two equal roots, and rot is never taken for an
/// unfinished commit.
#[test]
fn close_makes_the_last_commit_acknowledged_for_good() {
    let mut scene = Scene::on_crash_store(layout(0), 1);
    scene.step().unwrap();
    assert!(scene.store.now().image_count() > 1);
    let mut store = scene.store.clone();
    scene.file.close(&mut store).unwrap();
    assert_eq!(store.now().image_count(), 1);
    let file = File::open_shaped(&store.now().durable(), SMALL).unwrap();
    assert_eq!(file.verdict(), Verdict::Acknowledged);
}

/// More than 64 MiB: two syncs, and nothing to verify after a crash.
#[test]
fn large_commit_syncs_its_pages_before_its_root() {
    let size = PageSize::MIB_1;
    let (mut store, counter) = CountingStore::new(MemoryStore::new(size));
    let mut file = File::create(&mut store, UUID, 100).unwrap();
    counter.take();
    for (count, syncs) in [(61, 1), (65, 2)] {
        let mut changes = new((0..count).map(|id| (id, Some(page(size, id as u8)))));
        if syncs == 2 {
            changes = Changes::default();
            let ids = (0..61).map(|id| (ProtectedId(id), Change::Write(page(size, 1))));
            changes.protected = ids
                .chain((61..65).map(|id| (ProtectedId(id), Change::New(Some(page(size, 2))))))
                .collect();
        }
        file.commit(&mut store, &changes).unwrap();
        assert_eq!(counter.take().syncs, syncs);
    }
    let store = store.into_inner();
    let record = Record::decode(&store.bytes()[size.bytes()..size.bytes() + 4096]).unwrap();
    assert_eq!(record.proven, record.generation);
}

#[test]
fn opening_a_finished_file_reads_its_head_alone() {
    for seed in 0..8 {
        let layout = layout(seed);
        let mut scene = Scene::new(MemoryStore::new(layout.shape().page_size), layout, seed);
        for _ in 0..10 {
            scene.step().unwrap();
        }
        let (store, counter) = CountingStore::new(scene.store);
        File::open_shaped(&store, layout.shape()).unwrap();
        assert!(counter.take().reads <= 1 + layout.shape().head());
    }
}

/// 300,000 ids of 1 KiB nodes: 10,000 nodes, of which memory holds a part.
#[test]
fn memory_stays_bounded_however_many_pages_are_read() {
    let shape = Shape::of(PageSize::KIB_1);
    let mut store = MemoryStore::new(shape.page_size);
    let mut file = File::create(&mut store, UUID, 0).unwrap();
    for batch in 0..20 {
        let ids = (0..15_000).map(|id| (batch * 15_000 + id, None));
        file.commit(&mut store, &new(ids)).unwrap();
        assert!(file.stats().cached_pages <= 8192);
    }
    assert_eq!(file.stats().protected, 300_000);
    let mut file = File::open(&store).unwrap();
    for id in (0..300_000).step_by(31) {
        file.locate(&store, ProtectedId(id)).unwrap();
    }
    let cached = file.stats().cached_pages;
    assert!((4096..=8192).contains(&cached), "{cached}");
}

#[test]
fn full_file_refuses_before_it_changes_anything_and_can_be_emptied() {
    for len in DELTAS {
        fill_and_empty(with_deltas(Layout::regular(TINY), len));
    }
}

fn fill_and_empty(layout: Layout) {
    let mut store = MemoryStore::new(TINY.page_size);
    let mut file = File::create_shaped(&mut store, layout, UUID, 0).unwrap();
    let mut count = 0;
    let full = loop {
        let before = store.bytes().to_vec();
        match file.commit(&mut store, &new([(count, Some(page(TINY.page_size, 1)))])) {
            Ok(_) => count += 1,
            Err(error) => {
                assert!(store.bytes() == before);
                break error;
            }
        }
    };
    assert_eq!(full, Error::Full { limit: 128 });
    assert!(count > 50, "{count}");
    // What is there can be written and freed, one by one: without deltas at
    // first, so that they must find room for the nodes of their fold.
    file.close(&mut store).unwrap();
    let mut file = File::open_shaped(&store, layout.shape()).unwrap();
    for id in 0..count {
        let mut changes = Changes::default();
        let bytes = page(TINY.page_size, 2);
        changes
            .protected
            .insert(ProtectedId(id), Change::Write(bytes));
        file.commit(&mut store, &changes).unwrap();
    }
    for id in 0..count {
        let mut changes = Changes::default();
        changes.protected.insert(ProtectedId(id), Change::Free);
        file.commit(&mut store, &changes).unwrap();
    }
    file.close(&mut store).unwrap();
    let mut file = File::open_shaped(&store, layout.shape()).unwrap();
    let stats = file.stats();
    assert_eq!((stats.protected, stats.used_pages), (0, 0));
    // And all ids: they take no pages but nodes.
    let ids = (0..TINY.id_limit()).map(|id| (id, None));
    file.commit(&mut store, &new(ids)).unwrap();
    let none = file.find_free_id(&store, ProtectedId(0));
    assert_eq!(none, Err(Error::NoFreeId { limit: 128 }));
    let beyond = file.commit(&mut store, &new([(128, None)]));
    assert_eq!(beyond.err(), Some(Error::NoFreeId { limit: 128 }));
}

/// A disk that is full: what is there goes on.
#[test]
fn store_that_cannot_grow_is_full_and_not_poisoned() {
    let mut store = SparseStore::new(PageSize::KIB_4);
    store.limit = 40;
    let mut file = File::create(&mut store, UUID, 0).unwrap();
    let mut id = 0;
    let error = loop {
        let done = file.commit(&mut store, &new([(id, Some(page(PageSize::KIB_4, 1)))]));
        match done {
            Ok(_) => id += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(
        error,
        Error::Store {
            operation: Operation::Grow { .. },
            source: StoreError::InsufficientSpace
        }
    ));
    // The last growth asked for less than twice as much.
    assert_eq!(file.stats().page_count, 40);
    let mut changes = Changes::default();
    changes.protected.insert(ProtectedId(0), Change::Free);
    file.commit(&mut store, &changes).unwrap();
    file.commit(&mut store, &new([(0, Some(page(PageSize::KIB_4, 1)))]))
        .unwrap();
}

/// 2^35 pages of 4 KiB, 128 TiB: nothing is read but paths of the trees.
#[test]
fn file_of_any_size_is_worked_on_by_a_few_pages() {
    let size = PageSize::KIB_4;
    let (mut store, counter) = CountingStore::new(SparseStore::new(size));
    let mut file = File::create(&mut store, UUID, 1 << 35).unwrap();
    let far = (1 << 47) + 5;
    let mut changes = new([0, far].map(|id| (id, Some(page(size, 3)))));
    let high = file.find_free(&store, (1 << 35) - 1).unwrap();
    changes.allocated.insert(high);
    file.commit(&mut store, &changes).unwrap();
    file.close(&mut store).unwrap();
    counter.take();
    let mut file = File::open(&store).unwrap();
    file.regular(&store, high).unwrap();
    let mut bytes = vec![0; size.bytes()];
    file.read(&store, ProtectedId(far), &mut bytes).unwrap();
    assert_eq!(bytes[7], 3);
    let listed = file.protected(&store, ProtectedId(1), 9).unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(file.runs(&store, 0).unwrap().runs.len(), 1);
    assert_eq!(file.find_free_id(&store, ProtectedId(0)).unwrap().0, 1);
    changes = Changes::default();
    changes.protected.insert(ProtectedId(far), Change::Free);
    changes.freed.insert(high);
    file.commit(&mut store, &changes).unwrap();
    let counts = counter.take();
    assert!(counts.reads < 60, "{counts:?}");
    assert_eq!(file.stats().page_count, 1 << 35);
}

/// Kept here so that the guard of the medium is known to watch.
#[test]
#[should_panic(expected = "is written while the durable state reaches it")]
fn guard_of_the_medium_sees_a_page_that_is_written_in_place() {
    let mut scene = Scene::on_crash_store(layout(0), 1);
    let ids = new([(0, Some(page(SMALL.page_size, 1)))]);
    scene.file.commit(&mut scene.store, &ids).unwrap();
    let reached = scene
        .file
        .locate(&scene.store, ProtectedId(0))
        .unwrap()
        .page
        .unwrap();
    let buffer = page(SMALL.page_size, 9);
    let mut store: CrashStore = scene.store.clone();
    let change = Written::Staged {
        page: reached,
        buffer: &buffer,
    };
    let _ = store.write(&[change]);
}

/// A protected page takes one page, and its share of the nodes above it.
#[test]
fn ten_thousand_protected_pages_take_little_more_than_themselves() {
    const COUNT: u64 = 10_000;
    let mut store = MemoryStore::new(PageSize::KIB_4);
    let mut file = File::create(&mut store, UUID, 0).unwrap();
    for first in (0..COUNT).step_by(500) {
        let ids = first..first + 500;
        let pages = ids.map(|id| (id, Some(page(PageSize::KIB_4, id as u8 | 1))));
        file.commit(&mut store, &new(pages)).unwrap();
    }
    let stats = file.stats();
    assert_eq!(stats.protected, COUNT);
    let taken = stats.used_pages + stats.reserved_pages;
    assert!(taken * 100 <= COUNT * 103, "{taken} pages");
    // Of the file itself, a sixteenth at most is there for what comes.
    let long = store.geometry().page_count;
    assert!(
        long * 16 <= taken * 17 + 16,
        "{long} pages long for {taken}"
    );
}
