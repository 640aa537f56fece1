//! The sandbox: what the component imports, its limits, and hosts of its own.

use std::any::Any;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use pagebox::{
    Access, Algorithm, Change, Checksum, Engine, Error, Geometry, Limits, MemoryStore, PageBuffer,
    PageSize, PageStore, PageStoreView, PageStores, ProtectedId, Store, StoreError,
};

use crate::{engine, folder};

#[test]
fn component_imports_the_store_and_nothing_else() {
    let engine = engine();
    let component = engine.component().component_type();
    let imports: Vec<_> = component
        .imports(engine.wasmtime())
        .map(|(name, _)| name)
        .collect();
    assert_eq!(imports, ["pagebox:pager/page-store@0.2.0"]);
    println!("the component has {} bytes", pagebox::COMPONENT.len());
    assert!(pagebox::COMPONENT.len() < 1 << 20);
}

/// The sandbox asks for more memory than it is given: that is its end, not
/// ours, and the file is as it was.
#[test]
fn sandbox_over_its_limits_is_replaced_by_another() {
    let mut limits = Limits::default();
    limits.memory = 4 << 20;
    let engine = Engine::with_limits(limits).unwrap();
    let (_folder, path) = folder();
    let mut pager = engine.create(&path, PageSize::KIB_64).unwrap();
    let id = pager.alloc().unwrap();
    let before = fs::read(&path).unwrap();
    let mut tx = pager.begin().unwrap();
    let error = tx.alloc_many(500_000).unwrap_err();
    assert!(
        matches!(
            error,
            Error::Sandbox {
                operation: "allocating pages",
                ..
            }
        ),
        "{error}"
    );
    assert!(!error.to_string().contains('\n'), "{error}");
    assert!(matches!(tx.commit(), Err(Error::SandboxGone)));
    assert!(matches!(pager.page(id), Err(Error::SandboxGone)));
    assert!(matches!(pager.stats(), Err(Error::SandboxGone)));
    // The lock was never let go.
    assert!(matches!(engine.open(&path), Err(Error::Locked { .. })));
    pager.reopen().unwrap();
    assert!(pager.page(id).unwrap().iter().all(|byte| *byte == 0));
    drop(pager);
    assert!(fs::read(&path).unwrap() == before);
}

/// The limit was told as a failure of the store, whose advice is to open the
/// file again: and all that was known of its pages was forgotten, and what was
/// left of the transaction thrown away by who followed the advice.
#[test]
fn pages_staged_beyond_the_limit_are_refused_and_the_transaction_goes_on() {
    let mut limits = Limits::default();
    limits.staged = 8 << 10;
    let engine = Engine::with_limits(limits).unwrap();
    let mut pager = engine
        .create_store(MemoryStore::new(PageSize::KIB_1), 0)
        .unwrap();
    let mut tx = pager.begin().unwrap();
    let ids = tx.alloc_protected_many(20).unwrap();
    tx.commit().unwrap();
    for _ in 0..3 {
        let mut tx = pager.begin().unwrap();
        // What was staged is given back at the end of the transaction.
        for id in &ids[..8] {
            tx.write(*id).unwrap().fill(7);
        }
        for _ in 0..2 {
            let error = tx.write(ids[8]).map(drop).unwrap_err();
            assert!(
                matches!(error, Error::StagedLimit { limit: 0x2000 }) && error.is_caller_fault(),
                "{error:?}"
            );
            assert!(error.to_string().contains("8192 bytes"), "{error}");
            let error = tx.replace(ids[8], &[7; 1024]).unwrap_err();
            assert!(matches!(error, Error::StagedLimit { .. }), "{error:?}");
        }
        // One that is staged already, and one instead of another.
        tx.write(ids[7]).unwrap().fill(8);
        tx.free_protected(ids[0]).unwrap();
        tx.write(ids[8]).unwrap().fill(9);
        assert_eq!(tx.alloc_protected().unwrap(), ProtectedId::new(20));
        tx.commit().unwrap();
        assert_eq!(pager.protected_page(ids[7]).unwrap()[0], 8);
        assert_eq!(pager.protected_page(ids[8]).unwrap()[0], 9);
        let mut tx = pager.begin().unwrap();
        tx.free_protected(ProtectedId::new(20)).unwrap();
        assert_eq!(tx.alloc_protected().unwrap(), ids[0]);
        tx.commit().unwrap();
    }
}

/// The default was less than the protected pages of a full file of large pages:
/// to put all of them back, in one transaction, could not succeed.
#[test]
fn pages_staged_up_to_the_limit_are_all_written() {
    assert_eq!(Limits::default().staged, usize::MAX);
    let mut limits = Limits::default();
    // As much as the component may hold itself: the pages are not its own.
    limits.staged = 16 << 20;
    let engine = Engine::with_limits(limits).unwrap();
    let mut pager = engine
        .create_store(MemoryStore::new(PageSize::MIB_1), 0)
        .unwrap();
    let mut tx = pager.begin().unwrap();
    let ids = tx.alloc_protected_many(17).unwrap();
    tx.commit().unwrap();
    for round in 1..3 {
        let mut tx = pager.begin().unwrap();
        for id in &ids[..16] {
            tx.replace(*id, &vec![round; 1 << 20]).unwrap();
        }
        assert!(matches!(
            tx.replace(ids[16], &vec![round; 1 << 20]),
            Err(Error::StagedLimit { .. })
        ));
        tx.commit().unwrap();
        assert_eq!(pager.protected_page(ids[15]).unwrap()[5], round);
    }
}

/// A limit of zero was taken, and the thread of the clock took a processor.
#[test]
fn time_limit_of_zero_is_refused_and_others_behave() {
    let within = |time| {
        let mut limits = Limits::default();
        limits.time = time;
        Engine::with_limits(limits)
    };
    let error = within(Duration::ZERO).unwrap_err();
    assert!(error.is_caller_fault(), "{error}");
    assert!(error.to_string().contains("Limits::time"), "{error}");
    for time in [Duration::from_nanos(1), Duration::MAX] {
        let store = MemoryStore::new(PageSize::KIB_1);
        match within(time).unwrap().create_store(store, 0) {
            Ok(mut pager) => drop(pager.alloc()),
            // The machine may be busy for some milliseconds.
            Err(error) => assert!(time < Duration::MAX, "{error}"),
        }
    }
}

/// A store whose syncs take their time.
struct Slow {
    inner: MemoryStore,
    /// Milliseconds.
    sync: Arc<AtomicU64>,
}

impl PageStore for Slow {
    type Buffer = PageBuffer;

    fn geometry(&self) -> Geometry {
        self.inner.geometry()
    }

    fn read(&self, page: u64, offset: u32, bytes: &mut [u8]) -> Result<(), StoreError> {
        self.inner.read(page, offset, bytes)
    }

    fn checksum(&self, page: u64, algorithm: Algorithm) -> Result<Checksum, StoreError> {
        self.inner.checksum(page, algorithm)
    }

    fn stage(&self, source: Option<u64>) -> Result<PageBuffer, StoreError> {
        self.inner.stage(source)
    }

    fn write(&mut self, changes: &[Change<'_, PageBuffer>]) -> Result<(), StoreError> {
        for _ in changes
            .iter()
            .filter(|it| matches!(it, Change::Order | Change::Sync))
        {
            std::thread::sleep(Duration::from_millis(self.sync.load(Ordering::Relaxed)));
        }
        self.inner.write(changes)
    }

    fn grow(&mut self, page_count: u64) -> Result<Geometry, StoreError> {
        self.inner.grow(page_count)
    }
}

impl Store for Slow {}

/// A medium that took long for a sync, as one on a network may take minutes,
/// was the sandbox's fault: a commit failed whose bytes were all durable.
#[test]
fn commit_that_became_durable_is_told_as_such_however_long_it_took() {
    let mut limits = Limits::default();
    limits.time = Duration::from_millis(20);
    let engine = Engine::with_limits(limits).unwrap();
    let sync = Arc::new(AtomicU64::new(0));
    let patient = crate::engine();
    let store = Slow {
        inner: MemoryStore::new(PageSize::KIB_1),
        sync: sync.clone(),
    };
    let store: Box<dyn Any> = patient.create_store(store, 0).unwrap().close();
    let mut bytes = store.downcast::<Slow>().unwrap().inner.bytes().to_vec();
    // On a busy machine the guest may well have to wait for its 20 milliseconds:
    // then it failed, and nothing is durable.
    for _ in 0..10 {
        sync.store(0, Ordering::Relaxed);
        let store = Slow {
            inner: MemoryStore::from_bytes(PageSize::KIB_1, bytes.clone()),
            sync: sync.clone(),
        };
        let Ok(mut pager) = engine.open_store(store, Access::Write) else {
            continue;
        };
        // 125 times what the guest may take itself.
        sync.store(2500, Ordering::Relaxed);
        let done = pager.alloc();
        let store: Box<dyn Any> = pager.close();
        bytes = store.downcast::<Slow>().unwrap().inner.bytes().to_vec();
        let left = MemoryStore::from_bytes(PageSize::KIB_1, bytes.clone());
        let pages = patient.open_store(left, Access::Read).unwrap();
        let pages = pages.stats().unwrap().regular_pages;
        match done {
            Ok(_) => {
                assert_eq!(pages, 1);
                return;
            }
            Err(error) => assert_eq!(pages, 0, "it is durable, and: {error}"),
        }
    }
    panic!("no commit ever succeeds");
}

/// A program with its own linker and store data, several stores and several
/// pagers in one instance.
#[test]
fn embedder_hands_its_own_stores_to_the_component() {
    use pagebox::wit::PagerComponent;
    use pagebox::wit::exports::pagebox::pager::pager as wit;

    #[derive(Default)]
    struct Host {
        stores: PageStores,
        greetings: u32,
    }
    impl PageStoreView for Host {
        fn page_stores(&mut self) -> &mut PageStores {
            self.greetings += 1;
            &mut self.stores
        }
    }

    let engine = engine();
    let mut linker = wasmtime::component::Linker::new(engine.wasmtime());
    pagebox::add_to_linker::<Host>(&mut linker).unwrap();
    let mut store = wasmtime::Store::new(engine.wasmtime(), Host::default());
    store.set_epoch_deadline(u64::MAX / 2);
    let component = PagerComponent::instantiate(&mut store, engine.component(), &linker).unwrap();
    let pagers = component.pagebox_pager_pager();
    let mut open = Vec::new();
    let new_file = wit::NewFile {
        format: 1,
        page_count: 0,
        uuid: (1, 2),
    };
    for page_size in [PageSize::KIB_1, PageSize::KIB_16] {
        let medium = Box::new(MemoryStore::new(page_size));
        let handle = store.data_mut().stores.insert(medium).unwrap();
        let pager = pagers
            .call_create(&mut store, handle, new_file)
            .unwrap()
            .unwrap();
        open.push((page_size, pager));
    }
    for (page_size, pager) in open {
        let tx = pagers
            .pager()
            .call_begin(&mut store, pager)
            .unwrap()
            .unwrap();
        let ids = pagers
            .transaction()
            .call_alloc_protected(&mut store, tx, 1)
            .unwrap()
            .unwrap();
        let view = pagers
            .transaction()
            .call_stage(&mut store, tx, ids[0])
            .unwrap()
            .unwrap();
        let again = pagers
            .transaction()
            .call_stage(&mut store, tx, ids[0])
            .unwrap()
            .unwrap();
        store.data_mut().stores.buffer_mut(&view).unwrap().fill(8);
        store.data_mut().stores.drop_view(&view);
        // Another handle on the same bytes, that outlives the commit: they do
        // not.
        assert_eq!(store.data_mut().stores.buffer_mut(&again).unwrap()[3], 8);
        pagers
            .call_commit(&mut store, tx, wit::Durability::Durable)
            .unwrap()
            .unwrap();
        assert!(store.data_mut().stores.buffer_mut(&again).is_none());
        store.data_mut().stores.drop_view(&again);
        assert!(store.data_mut().stores.buffer_mut(&again).is_none());

        let at: wit::Location = pagers
            .pager()
            .call_locate_protected(&mut store, pager, ids[0])
            .unwrap()
            .unwrap();
        let handle = pagers.call_close(&mut store, pager).unwrap();
        let medium: Box<dyn Any> = store.data_mut().stores.remove(&handle).unwrap();
        let medium = medium.downcast::<MemoryStore>().unwrap();
        assert_eq!(medium.geometry().page_size, page_size);
        assert!(
            medium
                .page(at.page.unwrap())
                .unwrap()
                .iter()
                .all(|byte| *byte == 8)
        );
    }
    assert!(store.data().greetings > 0);
}
