//! Stores: those that come with the crate, and those of others.

use std::any::Any;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use pagebox::{
    Access, Algorithm, Change, Checksum, Engine, Error, FileStore, Geometry, IoError, Limits,
    MemoryStore, MmapStore, PageBuffer, PageSize, PageStore, ReadOnlyStore, Store, StoreError,
};
use pagebox_tests::rng::Rng;

use crate::{engine, folder};

#[test]
fn store_is_had_back_as_it_was() {
    let mut pager = engine()
        .create_store(MemoryStore::new(PageSize::KIB_1), 50)
        .unwrap();
    let id = pager.alloc().unwrap();
    pager.page_mut(id).unwrap().fill(3);
    let store: Box<dyn Any> = pager.close();
    let store = store.downcast::<MemoryStore>().unwrap();
    assert_eq!(store.geometry().page_count, 50);
    assert_eq!(store.page(id.get()).unwrap()[9], 3);
    let pager = engine().open_store(*store, Access::Read).unwrap();
    assert_eq!(pager.page(id).unwrap()[9], 3);
    let error = engine().create_store(MemoryStore::from_bytes(PageSize::KIB_1, vec![0; 2048]), 0);
    assert!(matches!(error, Err(Error::Other(_))));
}

/// A store of somebody else's: it lends no pages, and fails when told to.
#[derive(Debug)]
struct Foreign {
    inner: MemoryStore,
    writes_left: Arc<AtomicI64>,
    page_limit: u64,
    delay: Duration,
}

impl Foreign {
    fn new() -> (Self, Arc<AtomicI64>) {
        let writes_left = Arc::new(i64::MAX.into());
        let inner = MemoryStore::new(PageSize::KIB_1);
        (
            Self {
                inner,
                writes_left: Arc::clone(&writes_left),
                page_limit: 64,
                delay: Duration::ZERO,
            },
            writes_left,
        )
    }
}

impl PageStore for Foreign {
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
        if self.writes_left.fetch_sub(1, Ordering::Relaxed) <= 0 {
            return Err(StoreError::Io(IoError {
                code: Some(5),
                text: Some("the cable is out".into()),
            }));
        }
        std::thread::sleep(self.delay);
        self.inner.write(changes)
    }

    fn grow(&mut self, page_count: u64) -> Result<Geometry, StoreError> {
        if page_count > self.page_limit {
            return Err(StoreError::InsufficientSpace);
        }
        self.inner.grow(page_count)
    }
}

impl Store for Foreign {}

#[test]
fn store_that_lends_no_pages_is_copied_from_and_to() {
    let mut pager = engine().create_store(Foreign::new().0, 0).unwrap();
    let id = pager.alloc().unwrap();
    pager.write(id, 1000, b"tail").unwrap();
    let mut bytes = [1; 24];
    pager.read(id, 1000, &mut bytes).unwrap();
    assert_eq!(&bytes[..5], b"tail\0");
    assert!(matches!(pager.page_mut(id), Err(Error::NotLendable)));
    let protected = pager.alloc_protected().unwrap();
    let mut tx = pager.begin().unwrap();
    tx.write(protected).unwrap()[1023] = 5;
    tx.commit().unwrap();
    pager.read_protected(protected, 1000, &mut bytes).unwrap();
    assert_eq!(bytes[23], 5);
    assert!(matches!(
        pager.write(id, 1024, b"x"),
        Err(Error::PastPageEnd { .. })
    ));
    pager.write(id, 1024, b"").unwrap();
    assert!(matches!(
        pager.write(id, usize::MAX, b"x"),
        Err(Error::PastPageEnd { .. })
    ));
}

#[test]
fn growth_without_space_leaves_the_pager_ready() {
    let mut pager = engine().create_store(Foreign::new().0, 0).unwrap();
    let mut tx = pager.begin().unwrap();
    tx.alloc_many(100).unwrap();
    let error = tx.commit().unwrap_err();
    assert!(
        matches!(
            error,
            Error::Store {
                cause: StoreError::InsufficientSpace,
                ..
            }
        ),
        "{error}"
    );
    assert!(error.is_system());
    pager.alloc_many(20).unwrap();
}

#[test]
fn failed_write_poisons_until_reopened() {
    let (store, writes_left) = Foreign::new();
    let mut pager = engine().create_store(store, 0).unwrap();
    let id = pager.alloc().unwrap();
    let mut byte = [0];
    pager.read(id, 0, &mut byte).unwrap();
    writes_left.store(0, Ordering::Relaxed);
    let error = pager.alloc().unwrap_err();
    assert!(
        matches!(
            &error,
            Error::Store {
                cause: StoreError::Io(IoError { code: Some(5), .. }),
                ..
            }
        ),
        "{error}"
    );
    assert!(error.to_string().contains("the cable is out"), "{error}");
    assert!(matches!(pager.begin(), Err(Error::Poisoned)));
    assert!(matches!(pager.read(id, 0, &mut byte), Err(Error::Poisoned)));
    // Still out: what the pager was is what it stays.
    assert!(pager.reopen().is_err());
    assert!(matches!(pager.begin(), Err(Error::Poisoned)));
    writes_left.store(i64::MAX, Ordering::Relaxed);
    pager.reopen().unwrap();
    pager.read(id, 0, &mut byte).unwrap();
    pager.alloc().unwrap();
}

/// A sync of much data to a slow disk takes longer than the sandbox may: that
/// time is not the sandbox's.
#[test]
fn slow_store_does_not_use_up_the_sandbox_s_time() {
    let mut limits = Limits::default();
    limits.time = Duration::from_secs(1);
    let engine = Engine::with_limits(limits).unwrap();
    let (mut store, _) = Foreign::new();
    store.delay = Duration::from_millis(1500);
    let mut pager = engine.create_store(store, 0).unwrap();
    pager.alloc().unwrap();
}

#[test]
fn stores_can_be_used_without_a_pager() {
    let (_folder, path) = folder();
    fs::write(&path, vec![1; 2500]).unwrap();
    let mut store = MmapStore::open(&path, PageSize::KIB_1).unwrap();
    assert_eq!(store.geometry().tail, 452);
    assert_eq!(store.page(2), None);
    let mut byte = [0];
    assert_eq!(store.read(0, 1024, &mut byte), Err(StoreError::OutOfBounds));
    store.grow(4).unwrap();
    // The tail became part of a page, and that reads as zeros.
    assert!(store.page(2).unwrap().iter().all(|byte| *byte == 0));
    assert_eq!(store.page(1).unwrap()[0], 1);
    assert_eq!(
        store.grow(1).unwrap().page_count,
        4,
        "a store is never shortened"
    );
    let mut buffer = store.stage(Some(0)).unwrap();
    buffer[0] = 7;
    store.page_mut(3).unwrap().unwrap()[5] = 6;
    let sealed = vec![2; 1020];
    let changes = [
        Change::Staged {
            page: 1,
            buffer: &buffer,
        },
        Change::Sealed {
            page: 2,
            bytes: &sealed,
            start: 1020,
        },
        Change::Zero { first: 0, count: 1 },
        Change::Sync,
    ];
    store.write(&changes).unwrap();
    let outside = [
        Change::Zero { first: 3, count: 1 },
        Change::Zero { first: 4, count: 1 },
        Change::Sync,
    ];
    assert_eq!(store.write(&outside), Err(StoreError::OutOfBounds));
    drop(store);
    let store = ReadOnlyStore::open(&path, PageSize::KIB_1).unwrap();
    let bytes = fs::read(&path).unwrap();
    assert_eq!(
        (bytes[1024], bytes[1025], bytes[3072 + 5], bytes[0]),
        (7, 1, 6, 0)
    );
    assert_eq!(
        bytes[2048..2048 + 1024],
        [vec![2; 1020], vec![0; 4]].concat()
    );
    assert_eq!(
        store.checksum(1, Algorithm::Crc32).unwrap(),
        buffer.checksum(Algorithm::Crc32)
    );
}

/// Replaces bytes of a page, as a pager does.
fn put(store: &mut dyn Store, page: u64, at: usize, byte: u8) {
    if let Some(bytes) = store.page_mut(page).unwrap() {
        bytes[at] = byte;
        return;
    }
    let mut buffer = store.stage(Some(page)).unwrap();
    buffer[at] = byte;
    let staged = [Change::Staged {
        page,
        buffer: &buffer,
    }];
    store.write(&staged).unwrap();
}

/// The store in memory is the naive twin of one on a file: opened on the same
/// bytes, it shows the same after every step, and so does the file at the end.
fn equals_its_twin_in_memory<S: Store>(open: impl Fn(&std::path::Path) -> S) {
    for seed in 0..20 {
        let (_folder, path) = folder();
        let mut rng = Rng::new(seed);
        let old = vec![0xC3; 5000];
        fs::write(&path, &old).unwrap();
        let mut store = open(&path);
        let mut twin = MemoryStore::from_bytes(PageSize::KIB_1, old);
        for step in 0..200_u8 {
            let pages = twin.geometry().page_count;
            let page = rng.below(pages);
            match rng.below(9) {
                0 if pages < 200 => {
                    let to = pages + rng.below(30);
                    assert_eq!(store.grow(to), twin.grow(to));
                }
                1 => store.write(&[Change::Sync]).unwrap(),
                2 | 3 => {
                    let at = usize::try_from(rng.below(1024)).unwrap();
                    put(&mut store, page, at, step);
                    put(&mut twin, page, at, step);
                }
                4 | 5 => {
                    let count = rng.below(pages - page + 1);
                    let reset = [Change::Zero { first: page, count }];
                    store.write(&reset).unwrap();
                    twin.write(&reset).unwrap();
                }
                6 => {
                    let mut buffer = store.stage(Some(page)).unwrap();
                    assert_eq!(buffer, twin.stage(Some(page)).unwrap());
                    buffer[9] = step;
                    let page = rng.below(pages);
                    let staged = [Change::Staged {
                        page,
                        buffer: &buffer,
                    }];
                    store.write(&staged).unwrap();
                    twin.write(&staged).unwrap();
                }
                7 => {
                    let bytes = vec![step; 1020];
                    let changes = [
                        Change::Zero {
                            first: rng.below(pages),
                            count: 1,
                        },
                        Change::Sealed {
                            page,
                            bytes: &bytes,
                            start: 20,
                        },
                    ];
                    store.write(&changes).unwrap();
                    twin.write(&changes).unwrap();
                }
                _ => {}
            }
            let page = rng.below(twin.geometry().page_count);
            let expected = twin.page(page).unwrap();
            let context = format!("seed {seed}, step {step}, page {page}");
            assert!(
                store.page(page).is_none_or(|shown| shown == expected),
                "{context}"
            );
            let mut bytes = vec![0; 1024];
            store.read(page, 0, &mut bytes).unwrap();
            assert!(bytes == expected, "{context}");
            for algorithm in [Algorithm::Crc32, Algorithm::Xxh3] {
                assert_eq!(
                    store.checksum(page, algorithm),
                    twin.checksum(page, algorithm)
                );
            }
            assert_eq!(store.geometry(), twin.geometry());
            // What others see is what this one does.
            assert!(fs::read(&path).unwrap() == twin.bytes(), "{context}");
        }
        drop(store);
        assert!(fs::read(&path).unwrap() == twin.bytes(), "seed {seed}");
    }
}

#[test]
fn mapped_store_equals_its_twin_in_memory() {
    equals_its_twin_in_memory(|path| MmapStore::open(path, PageSize::KIB_1).unwrap());
}

#[test]
fn file_store_equals_its_twin_in_memory() {
    equals_its_twin_in_memory(|path| FileStore::open(path, PageSize::KIB_1).unwrap());
}

/// Of a file that is mostly holes, as a copy without its zeros is.
#[test]
fn mapped_store_of_holes_equals_its_twin_in_memory() {
    for seed in 0..20 {
        let (_folder, path) = folder();
        let mut rng = Rng::new(seed);
        let mut twin = MemoryStore::from_bytes(PageSize::KIB_16, vec![0; 64 << 14]);
        let file = fs::File::create_new(&path).unwrap();
        file.set_len(64 << 14).unwrap();
        drop(file);
        {
            // Parts of pages, since a page is four blocks.
            use std::io::{Seek, SeekFrom, Write};
            let mut file = fs::File::options().write(true).open(&path).unwrap();
            for _ in 0..20 {
                let at = rng.below(64 << 14);
                file.seek(SeekFrom::Start(at)).unwrap();
                file.write_all(&[5]).unwrap();
                twin.bytes_mut()[usize::try_from(at).unwrap()] = 5;
            }
            file.sync_all().unwrap();
        }
        let mut store = MmapStore::open(&path, PageSize::KIB_16).unwrap();
        for step in 1..100_u8 {
            let page = rng.below(64);
            match rng.below(4) {
                0 => {
                    put(&mut store, page, 77, step);
                    put(&mut twin, page, 77, step);
                }
                1 => {
                    let count = rng.below(64 - page).min(5) + 1;
                    let reset = [Change::Zero { first: page, count }];
                    store.write(&reset).unwrap();
                    twin.write(&reset).unwrap();
                }
                2 => {
                    let buffer = store.stage(Some(rng.below(64))).unwrap();
                    let staged = [
                        Change::Staged {
                            page,
                            buffer: &buffer,
                        },
                        Change::Sync,
                    ];
                    store.write(&staged).unwrap();
                    twin.write(&staged).unwrap();
                }
                _ => {}
            }
            for page in 0..64 {
                assert!(
                    Store::page(&store, page).unwrap() == twin.page(page).unwrap(),
                    "seed {seed}, step {step}, page {page}"
                );
            }
        }
        drop(store);
        assert!(fs::read(&path).unwrap() == twin.bytes(), "seed {seed}");
    }
}

#[test]
fn file_store_keeps_all_promises_but_slices() {
    let (_folder, path) = folder();
    drop(engine().create(&path, PageSize::KIB_4).unwrap());
    let store = FileStore::open(&path, PageSize::KIB_4).unwrap();
    assert!(matches!(engine().open(&path), Err(Error::Locked { .. })));
    let mut pager = engine().open_store(store, Access::Write).unwrap();
    let pages = pager.alloc_many(50).unwrap();
    assert!(matches!(pager.page(pages[0]), Err(Error::NotLendable)));
    assert!(matches!(pager.page_mut(pages[0]), Err(Error::NotLendable)));
    for page in &pages {
        pager.write(*page, 4000, b"regular").unwrap();
    }
    let mut tx = pager.begin().unwrap();
    let id = tx.alloc_protected().unwrap();
    tx.write(id).unwrap()[..9].copy_from_slice(b"protected");
    tx.commit().unwrap();
    pager.sync().unwrap();
    pager.free(pages[1]).unwrap();
    assert_eq!(pager.alloc().unwrap(), pages[1]);
    drop(pager);

    let pager = engine().open(&path).unwrap();
    assert_eq!(&pager.page(pages[0]).unwrap()[4000..4007], b"regular");
    assert!(pager.page(pages[1]).unwrap().iter().all(|byte| *byte == 0));
    assert_eq!(&pager.protected_page(id).unwrap()[..9], b"protected");
    assert!(matches!(
        FileStore::open(&path, PageSize::KIB_4),
        Err(Error::Locked { .. })
    ));
    drop(pager);
    // A file that others shorten is an error and no more.
    let store = FileStore::open(&path, PageSize::KIB_4).unwrap();
    fs::File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(4096)
        .unwrap();
    assert!(matches!(
        store.read(pages[0].get(), 0, &mut [0]),
        Err(StoreError::Io(_))
    ));
    assert_eq!(store.page(0), None);
}
