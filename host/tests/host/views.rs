//! Views through the sandbox: what they show, what they keep, and that they wait
//! for nobody.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use pagebox::{
    Access, Algorithm, Change, Checksum, Error, FileStore, Format, Geometry, MemoryStore,
    MmapStore, NewFile, PageBuffer, PageSize, PageStore, Pager, ProtectedId, SharedPager, Store,
    StoreError, Transaction, View,
};

use crate::{P, engine, folder, sample};

/// A new file with so many protected pages, whose bytes are all 1.
fn create(path: &Path, count: u32) -> (Pager, Vec<ProtectedId>) {
    let mut pager = engine().create(path, PageSize::KIB_4).unwrap();
    let mut tx = pager.begin().unwrap();
    let ids = tx.alloc_protected_many(count).unwrap();
    for &id in &ids {
        tx.write(id).unwrap().fill(1);
    }
    tx.commit().unwrap();
    (pager, ids)
}

fn fill(pager: &mut Pager, ids: &[ProtectedId], byte: u8) {
    let mut tx = pager.begin().unwrap();
    for &id in ids {
        tx.write(id).unwrap().fill(byte);
    }
    tx.commit().unwrap();
}

#[track_caller]
fn shows(view: &View, ids: &[ProtectedId], byte: u8) {
    for &id in ids {
        assert_eq!(view.protected_page(id).unwrap(), [byte; P], "{id}");
    }
    let listed: Vec<_> = view
        .protected_pages()
        .map(|page| page.unwrap().id)
        .collect();
    assert_eq!(listed, ids);
}

#[test]
fn view_shows_its_state_while_commits_growth_and_frees_go_on() {
    let (_folder, path) = folder();
    let (mut pager, ids) = create(&path, 40);
    let mut views = vec![(1, pager.view().unwrap())];
    assert_eq!(views[0].1.generation(), pager.stats().unwrap().generation);
    for byte in 2..8 {
        fill(&mut pager, &ids, byte);
        // It grows, and what was freed is wanted.
        let more = pager.alloc_many(2000).unwrap();
        pager.free_many(&more).unwrap();
        views.push((byte, pager.view().unwrap()));
    }
    let mut tx = pager.begin().unwrap();
    for &id in &ids {
        tx.free_protected(id).unwrap();
    }
    tx.commit().unwrap();
    for (byte, view) in &views {
        shows(view, &ids, *byte);
        let found = view.locate(ids[3]).unwrap();
        let bytes = Checksum::of(Algorithm::Xxh3, &[*byte; P]);
        assert_eq!((found.id, found.checksum), (ids[3], bytes));
        assert_eq!(view.page_size(), PageSize::KIB_4);
        let none = view.protected_page(ProtectedId::new(40));
        assert!(matches!(none, Err(Error::NotProtected(_))), "{none:?}");
    }
    assert_eq!(pager.protected_pages().count(), 0);
}

/// What was kept for views is used again: a file in which they come and go stays
/// as long as it was.
#[test]
fn pages_of_a_view_that_is_gone_are_used_again() {
    let (_folder, path) = folder();
    let (mut pager, ids) = create(&path, 40);
    let mut length = 0;
    for round in 0..20 {
        let view = pager.view().unwrap();
        let generation = view.generation();
        fill(&mut pager, &ids, round);
        let stats = pager.stats().unwrap();
        assert_eq!(stats.oldest_view, Some(generation));
        assert!(stats.held_pages >= 40, "{stats:?}");
        assert_eq!(
            stats.free_pages + stats.regular_pages + stats.internal_pages,
            stats.page_count
        );
        drop(view);
        assert_eq!(pager.stats().unwrap().oldest_view, None);
        // The next commit lets go what nobody reads.
        fill(&mut pager, &ids[..1], round);
        assert_eq!(pager.stats().unwrap().held_pages, 0);
        if round == 2 {
            length = pager.stats().unwrap().page_count;
        }
    }
    assert_eq!(pager.stats().unwrap().page_count, length);
}

#[test]
fn view_of_what_is_deferred_shows_it_and_what_is_durable_is_another_thing() {
    let (_folder, path) = folder();
    let (mut pager, ids) = create(&path, 3);
    let mut tx = pager.begin().unwrap();
    tx.write(ids[0]).unwrap().fill(2);
    tx.commit_deferred().unwrap();
    let view = pager.view().unwrap();
    fill(&mut pager, &ids, 3);
    assert_eq!(view.protected_page(ids[0]).unwrap()[0], 2);
    assert_eq!(view.protected_page(ids[1]).unwrap()[0], 1);
    pager.begin().unwrap().commit().unwrap();
    assert_eq!(view.protected_page(ids[0]).unwrap()[0], 2);
}

/// As long as a view is read nobody opens the file to write, who would not keep
/// what it reads.
#[test]
fn view_outlives_its_pager_and_keeps_the_lock() {
    let (_folder, path) = folder();
    let (mut pager, ids) = create(&path, 3);
    let view = pager.view().unwrap();
    fill(&mut pager, &ids, 2);
    assert!(matches!(pager.reopen(), Err(Error::ViewsOpen)));
    // That changed nothing.
    assert_eq!(pager.protected_page(ids[0]).unwrap()[0], 2);
    fill(&mut pager, &ids, 3);

    let store: Box<dyn std::any::Any> = pager.close();
    let store = store.downcast::<MmapStore>().unwrap();
    let refused = engine().open_store(*store, Access::Write);
    assert!(matches!(refused, Err(Error::ViewsOpen)), "{refused:?}");
    let refused = engine().open(&path);
    assert!(matches!(refused, Err(Error::Locked { .. })), "{refused:?}");
    shows(&view, &ids, 1);
    let reader = engine().open_read_only(&path).unwrap();
    assert!(matches!(reader.view(), Err(Error::ReadOnly)));
    drop(view);
    let mut pager = engine().open(&path).unwrap();
    let view = pager.view().unwrap();
    drop(view);
    pager.reopen().unwrap();
    let view = pager.view().unwrap();
    assert_eq!(view.protected_page(ids[2]).unwrap()[0], 3);
}

#[test]
fn format_0_has_no_views_and_says_so() {
    let (_folder, path) = folder();
    let new = NewFile {
        format: Format::Zero,
        page_count: 0,
    };
    let mut pager = engine().create_with(&path, PageSize::KIB_4, new).unwrap();
    let error = pager.view().unwrap_err();
    assert!(error.is_caller_fault() && error.to_string().contains("no views"));
    pager.alloc_protected().unwrap();
}

/// Every store has the view's bytes, lent or copied.
#[test]
fn views_read_from_every_store() {
    let (_folder, path) = folder();
    let (_, protected) = sample(&path);
    let file = FileStore::open(&path, PageSize::KIB_4).unwrap();
    let mut pager = engine().open_store(file, Access::Write).unwrap();
    let view = pager.view().unwrap();
    fill(&mut pager, &[protected], 9);
    let lent = view.protected_page(protected);
    assert!(matches!(lent, Err(Error::NotLendable)), "{lent:?}");
    let mut bytes = [0; 5];
    view.read_protected(protected, 0, &mut bytes).unwrap();
    assert_eq!(&bytes, b"hello");
    let past = view.read_protected(protected, P - 4, &mut bytes);
    assert!(matches!(past, Err(Error::PastPageEnd { .. })));
    assert!(matches!(pager.reopen(), Err(Error::ViewsOpen)));

    let memory = MemoryStore::new(PageSize::KIB_4);
    let mut pager = engine().create_store(memory, 0).unwrap();
    let id = pager.alloc_protected().unwrap();
    let view = pager.view().unwrap();
    fill(&mut pager, &[id], 9);
    assert_eq!(view.protected_page(id).unwrap(), [0; P]);
    // A copy reads nothing that anybody has to keep.
    pager.reopen().unwrap();
    assert_eq!(view.protected_page(id).unwrap(), [0; P]);
}

/// A store whose sync waits until it is told to go on, or fails.
#[derive(Clone)]
struct Slow(Arc<Gate>);

struct Gate {
    store: Mutex<MemoryStore>,
    /// Said when a sync begins; the sync then waits for an answer.
    syncing: Mutex<Option<(mpsc::Sender<()>, mpsc::Receiver<bool>)>>,
}

impl Slow {
    fn with<R>(&self, f: impl FnOnce(&mut MemoryStore) -> R) -> R {
        f(&mut self.0.store.lock().unwrap())
    }
}

impl PageStore for Slow {
    type Buffer = PageBuffer;

    fn geometry(&self) -> Geometry {
        self.with(|store| store.geometry())
    }

    fn read(&self, page: u64, offset: u32, bytes: &mut [u8]) -> Result<(), StoreError> {
        self.with(|store| store.read(page, offset, bytes))
    }

    fn checksum(&self, page: u64, algorithm: Algorithm) -> Result<Checksum, StoreError> {
        self.with(|store| store.checksum(page, algorithm))
    }

    fn stage(&self, source: Option<u64>) -> Result<PageBuffer, StoreError> {
        self.with(|store| store.stage(source))
    }

    fn write(&mut self, changes: &[Change<'_, PageBuffer>]) -> Result<(), StoreError> {
        self.with(|store| store.write(changes))?;
        if changes.iter().any(|change| matches!(change, Change::Sync))
            && let Some((begins, goes_on)) = self.0.syncing.lock().unwrap().take()
        {
            begins.send(()).unwrap();
            if !goes_on.recv().unwrap() {
                return Err(StoreError::io("the medium failed"));
            }
        }
        Ok(())
    }

    fn grow(&mut self, page_count: u64) -> Result<Geometry, StoreError> {
        self.with(|store| store.grow(page_count))
    }
}

impl Store for Slow {
    fn viewer(&self) -> Option<Box<dyn Store>> {
        Some(Box::new(self.clone()))
    }

    fn viewers(&self) -> usize {
        Arc::strong_count(&self.0) - 1
    }
}

/// A pager on such a store, with two protected pages; and the gate.
fn slow_pager() -> (Pager, [ProtectedId; 2], Slow) {
    let gate = Slow(Arc::new(Gate {
        store: Mutex::new(MemoryStore::new(PageSize::KIB_4)),
        syncing: Mutex::new(None),
    }));
    let mut pager = engine().create_store(gate.clone(), 0).unwrap();
    let ids = [0; 2].map(|_| pager.alloc_protected().unwrap());
    fill(&mut pager, &ids, 1);
    (pager, ids, gate)
}

/// A read that has to enter the sandbox is done while a sync is under way; and a
/// view goes on where the sync fails, and its pager does not.
#[test]
fn reading_a_view_waits_for_no_sync_and_outlives_its_failure() {
    for succeeds in [true, false] {
        let (pager, ids, gate) = slow_pager();
        let shared = SharedPager::new(pager);
        let view = shared.view().unwrap();
        let (begins, begun) = mpsc::channel();
        let (go_on, goes_on) = mpsc::channel();
        *gate.0.syncing.lock().unwrap() = Some((begins, goes_on));
        let writer = {
            let shared = shared.clone();
            std::thread::spawn(move || {
                shared.transact(move |tx: &mut Transaction<'_>| {
                    tx.write(ids[0])?.fill(2);
                    Ok(())
                })
            })
        };
        begun.recv_timeout(Duration::from_mins(1)).unwrap();
        let mut byte = [0];
        view.read_protected(ids[0], 7, &mut byte).unwrap();
        assert_eq!(byte, [1]);
        assert!(shared.try_read().is_none(), "it is still in its sync");
        go_on.send(succeeds).unwrap();
        assert_eq!(writer.join().unwrap().is_ok(), succeeds);
        view.read_protected(ids[1], 7, &mut byte).unwrap();
        assert_eq!(byte, [1]);
        let refused = shared.with(Pager::reopen);
        assert!(matches!(refused, Err(Error::ViewsOpen)), "{refused:?}");
        drop(view);
        drop(gate);
        shared.with(Pager::reopen).unwrap();
    }
}

/// Readers in threads, each with views of its own, beside a writer: what a view
/// shows is one state, however long it is kept.
#[test]
fn views_in_threads_show_one_state_each_beside_a_writer() {
    let (_folder, path) = folder();
    let (pager, ids) = create(&path, 30);
    let generation = pager.stats().unwrap().generation;
    let shared = SharedPager::new(pager);
    let is_over = AtomicBool::new(false);
    let states = Mutex::new(BTreeMap::from([(generation, 1)]));
    std::thread::scope(|scope| {
        for reader in 0..2 {
            let (shared, ids, is_over, states) = (&shared, &ids, &is_over, &states);
            scope.spawn(move || {
                let mut kept = Vec::new();
                let mut seen = 0;
                while !is_over.load(Ordering::Relaxed) || seen == 0 {
                    let view = shared.view().unwrap();
                    let byte = view.protected_page(ids[0]).unwrap()[0];
                    kept.push((byte, view));
                    if kept.len() > 3 + reader {
                        kept.remove(seen % 3);
                    }
                    seen += 1;
                    for (byte, view) in &kept {
                        shows(view, ids, *byte);
                        let states = states.lock().unwrap();
                        let committed = states.get(&view.generation());
                        assert!(committed.is_none_or(|known| known == byte));
                    }
                }
            });
        }
        for round in 0..60_u8 {
            let ids = ids.clone();
            let byte = round.wrapping_mul(7);
            shared
                .transact(move |tx| {
                    for &id in &ids {
                        tx.write(id)?.fill(byte);
                    }
                    Ok(())
                })
                .unwrap();
            let generation = shared.read().stats().unwrap().generation;
            states.lock().unwrap().insert(generation, byte);
        }
        is_over.store(true, Ordering::Relaxed);
    });
    let stats = shared.read().stats().unwrap();
    assert_eq!(stats.oldest_view, None);
}
