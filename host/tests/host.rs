//! The host library through its public interface: the sandbox, the stores, the
//! lock, and what happens when any of them fails.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::any::Any;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use pagebox::inspect::Severity;
use pagebox::{
    Access, Change, Engine, Error, ErrorClass, Geometry, Limits, MemoryStore, MmapStore,
    PageBuffer, PageSize, PageStore, PageStoreView, PageStores, ReadOnlyStore, Store, StoreError,
    Then,
};
use pagebox_tests::rng::Rng;
use tempfile::TempDir;

const P: usize = 4096;

fn engine() -> Engine {
    static ENGINE: std::sync::OnceLock<Engine> = std::sync::OnceLock::new();
    ENGINE.get_or_init(|| Engine::new().unwrap()).clone()
}

fn folder() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data.pages");
    (folder, path)
}

/// A file with one regular page (`0xAB` in all its bytes) and one protected
/// page (`hello`), and their ids.
fn sample(path: &Path) -> (u64, u64) {
    let mut pager = engine().create(path, PageSize::KIB_4).unwrap();
    let mut tx = pager.begin().unwrap();
    let regular = tx.alloc().unwrap();
    let protected = tx.alloc_protected().unwrap();
    tx.write(protected).unwrap()[..5].copy_from_slice(b"hello");
    tx.commit().unwrap();
    pager.page_mut(regular).unwrap().fill(0xAB);
    pager.sync().unwrap();
    (regular, protected)
}

#[test]
fn component_imports_the_store_and_nothing_else() {
    let engine = engine();
    let component = engine.component().component_type();
    let imports: Vec<_> = component
        .imports(engine.wasmtime())
        .map(|(name, _)| name)
        .collect();
    assert_eq!(imports, ["pagebox:pager/page-store@0.1.0"]);
    println!("the component has {} bytes", pagebox::COMPONENT.len());
    assert!(pagebox::COMPONENT.len() < 512 << 10);
}

#[test]
fn file_reopened_holds_what_was_committed() {
    let (_folder, path) = folder();
    let (regular, protected) = sample(&path);
    let mut pager = engine().open(&path).unwrap();
    assert!(
        pager
            .page(regular)
            .unwrap()
            .iter()
            .all(|byte| *byte == 0xAB)
    );
    assert_eq!(&pager.protected_page(protected).unwrap()[..5], b"hello");

    let mut tx = pager.begin().unwrap();
    tx.write(protected).unwrap()[0] = b'j';
    let many = tx.alloc_many(3000).unwrap();
    let more = tx.alloc_protected_many(300).unwrap();
    tx.write(more[299]).unwrap().fill(7);
    let info = tx.commit().unwrap();
    assert!(info.page_count >= 3600);
    assert_eq!(pager.stats().unwrap().generation, info.generation);

    let mut pager = {
        drop(pager);
        engine().open(&path).unwrap()
    };
    assert_eq!(&pager.protected_page(protected).unwrap()[..5], b"jello");
    assert!(
        pager
            .protected_page(more[299])
            .unwrap()
            .iter()
            .all(|byte| *byte == 7)
    );
    let listed: Vec<_> = pager.regular_pages().map(Result::unwrap).collect();
    let mut expected = many;
    expected.push(regular);
    expected.sort_unstable();
    assert_eq!(listed, expected);
    let listed: Vec<_> = pager
        .protected_pages()
        .map(|page| page.unwrap().id)
        .collect();
    assert_eq!(listed, (0..301).collect::<Vec<_>>());

    pager.free_many(&expected).unwrap();
    pager.free_protected(protected).unwrap();
    assert!(matches!(pager.page(regular), Err(Error::NotAllocated(id)) if id == regular));
    assert!(matches!(
        pager.protected_page(protected),
        Err(Error::NotProtected(0))
    ));
    assert_eq!(pager.regular_pages().count(), 0);
}

/// What a transaction changes is dropped from the pager's cache, so that no
/// read answers with what was.
#[test]
fn reads_after_a_commit_see_what_it_changed() {
    let mut pager = engine()
        .create_store(MemoryStore::new(PageSize::KIB_1), 0)
        .unwrap();
    let id = pager.alloc_protected().unwrap();
    for round in 0..5_u8 {
        let mut tx = pager.begin().unwrap();
        tx.write(id).unwrap().fill(round);
        tx.commit().unwrap();
        assert!(
            pager
                .protected_page(id)
                .unwrap()
                .iter()
                .all(|byte| *byte == round)
        );
    }
    let regular = pager.alloc().unwrap();
    pager.page(regular).unwrap();
    pager.free(regular).unwrap();
    assert!(matches!(pager.page(regular), Err(Error::NotAllocated(_))));
    let mut tx = pager.begin().unwrap();
    let backing = tx.alloc_protected().unwrap();
    tx.commit().unwrap();
    // The page that was freed now belongs to a protected one.
    assert!(matches!(pager.page(regular), Err(Error::NotRegular { .. })));
    assert!(
        pager
            .protected_page(backing)
            .unwrap()
            .iter()
            .all(|byte| *byte == 0)
    );
}

#[test]
fn transaction_rolled_back_leaves_nothing() {
    let (_folder, path) = folder();
    let (_, protected) = sample(&path);
    let before = fs::read(&path).unwrap();
    let mut pager = engine().open(&path).unwrap();
    let mut tx = pager.begin().unwrap();
    tx.alloc_many(10).unwrap();
    tx.write(protected).unwrap().fill(1);
    // The same bytes again.
    assert_eq!(tx.write(protected).unwrap()[17], 1);
    tx.rollback();
    let mut tx = pager.begin().unwrap();
    tx.write(protected).unwrap().fill(2);
    drop(tx);
    let tx = pager.begin().unwrap();
    tx.commit().unwrap();
    assert_eq!(&pager.protected_page(protected).unwrap()[..5], b"hello");
    drop(pager);
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn page_freed_after_it_was_staged_is_gone() {
    let mut pager = engine()
        .create_store(MemoryStore::new(PageSize::KIB_1), 0)
        .unwrap();
    let id = pager.alloc_protected().unwrap();
    let mut tx = pager.begin().unwrap();
    tx.write(id).unwrap().fill(9);
    tx.free_protected(id).unwrap();
    assert!(matches!(tx.write(id), Err(Error::NotProtected(0))));
    tx.commit().unwrap();
    assert!(matches!(
        pager.protected_page(id),
        Err(Error::NotProtected(0))
    ));
    let id = pager.alloc_protected().unwrap();
    assert!(
        pager
            .protected_page(id)
            .unwrap()
            .iter()
            .all(|byte| *byte == 0)
    );
}

#[test]
fn recycled_page_reads_as_zeros() {
    let (_folder, path) = folder();
    let mut pager = engine().create(&path, PageSize::KIB_4).unwrap();
    let ids = pager.alloc_many(8).unwrap();
    for id in &ids {
        pager.page_mut(*id).unwrap().fill(0xEE);
    }
    pager.free_many(&ids).unwrap();
    let again = pager.alloc_many(8).unwrap();
    assert_eq!(again, ids);
    assert!(
        again
            .iter()
            .all(|id| pager.page(*id).unwrap().iter().all(|byte| *byte == 0))
    );
    // One changed in part, one by a copy, the others untouched.
    pager.page_mut(ids[0]).unwrap()[0] = 1;
    pager.write(ids[1], 4000, &[2]).unwrap();
    let mut byte = [9];
    pager.read(ids[2], 100, &mut byte).unwrap();
    assert_eq!(byte, [0]);
    drop(pager);
    let pager = engine().open(&path).unwrap();
    for id in ids {
        let sum: u32 = pager
            .page(id)
            .unwrap()
            .iter()
            .map(|byte| u32::from(*byte))
            .sum();
        assert!(sum <= 2, "page {id} shows bytes of its former owner");
    }
}

#[test]
fn sync_makes_the_zeros_of_recycled_pages_durable() {
    let (_folder, path) = folder();
    let mut pager = engine().create(&path, PageSize::KIB_1).unwrap();
    let id = pager.alloc().unwrap();
    pager.page_mut(id).unwrap().fill(0xEE);
    pager.free(id).unwrap();
    assert_eq!(pager.alloc().unwrap(), id);
    let at = usize::try_from(id).unwrap() * 1024;
    assert_eq!(
        fs::read(&path).unwrap()[at],
        0xEE,
        "nobody touched it: no write yet"
    );
    pager.sync().unwrap();
    // What another process would see if this one died now.
    assert_eq!(fs::read(&path).unwrap()[at], 0);
}

#[test]
fn readers_share_a_pager() {
    let (_folder, path) = folder();
    let (regular, protected) = sample(&path);
    let pager = engine().open(&path).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..200 {
                    assert_eq!(pager.page(regular).unwrap()[P - 1], 0xAB);
                    assert_eq!(&pager.protected_page(protected).unwrap()[..5], b"hello");
                    assert!(pager.page(protected).is_err());
                    assert_eq!(pager.protected_pages().count(), 1);
                }
            });
        }
    });
}

#[test]
fn second_writer_is_refused_until_the_first_is_gone() {
    let (_folder, path) = folder();
    sample(&path);
    let first = engine().open(&path).unwrap();
    let error = engine().open(&path).unwrap_err();
    assert!(matches!(&error, Error::Locked { path: named } if *named == path));
    assert!(
        error.to_string().ends_with("is in use by another process"),
        "{error}"
    );
    assert_eq!(error.class(), ErrorClass::Caller);
    // A reader needs no lock.
    engine().open_read_only(&path).unwrap();
    drop(first);
    engine().open(&path).unwrap();
}

#[test]
fn create_never_replaces_and_leaves_nothing_behind() {
    let (folder, path) = folder();
    fs::write(&path, b"precious").unwrap();
    let error = engine().create(&path, PageSize::KIB_4).unwrap_err();
    assert!(matches!(error, Error::Exists { .. }));
    assert_eq!(fs::read(&path).unwrap(), b"precious");
    let other = folder.path().join("other");
    let error = engine()
        .create_with_pages(&other, PageSize::KIB_4, 1 << 40)
        .unwrap_err();
    assert!(matches!(error, Error::Full(32_544)), "{error}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    let error = engine()
        .create(folder.path().join("no/such"), PageSize::KIB_4)
        .unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }), "{error}");

    let pager = engine()
        .create_with_pages(&other, PageSize::KIB_4, 100)
        .unwrap();
    assert_eq!(pager.stats().unwrap().page_count, 100);
    assert_eq!(fs::metadata(&other).unwrap().len(), 100 * P as u64);
    // The lock is held from the start, under the file's own name.
    assert!(matches!(engine().open(&other), Err(Error::Locked { .. })));
}

#[cfg(unix)]
#[test]
fn what_is_no_page_file_is_refused_without_waiting() {
    let (folder, _) = folder();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("empty"), b"").unwrap();
    fs::write(at("short"), b"MPPG").unwrap();
    fs::write(at("foreign"), vec![b'x'; 10_000]).unwrap();
    let pipe = std::process::Command::new("mkfifo")
        .arg(at("pipe"))
        .status()
        .unwrap();
    assert!(pipe.success());
    let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
    let device = PathBuf::from("/dev/zero");
    let folders = [folder.path().to_owned(), at("pipe"), at("socket"), device];
    let files = [at("empty"), at("short"), at("foreign")];
    for path in folders.iter().chain(&files) {
        for error in [
            engine().open(path).map(drop).unwrap_err(),
            engine().open_read_only(path).map(drop).unwrap_err(),
            engine().repair(path, at("output")).map(drop).unwrap_err(),
        ] {
            assert!(error.is_corrupt(), "{}: {error}", path.display());
            let expected = folders.contains(path);
            assert_eq!(matches!(error, Error::NotAFile { .. }), expected, "{error}");
        }
        // Foreign bytes can be looked at.
        assert_eq!(engine().inspect(path).is_ok(), files.contains(path));
    }
    assert_eq!(fs::read(at("foreign")).unwrap(), vec![b'x'; 10_000]);
    let error = engine().open(at("nothing")).unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }));
    assert!(!at("output").exists());
}

#[test]
fn reader_copies_and_changes_nothing() {
    let (_folder, path) = folder();
    let (regular, protected) = sample(&path);
    let before = (
        fs::read(&path).unwrap(),
        fs::metadata(&path).unwrap().modified().unwrap(),
    );
    let mut permissions = fs::metadata(&path).unwrap().permissions();
    permissions.set_readonly(true);
    fs::set_permissions(&path, permissions).unwrap();

    let mut pager = engine().open_read_only(&path).unwrap();
    let mut bytes = [0; 5];
    pager.read_protected(protected, 0, &mut bytes).unwrap();
    assert_eq!(&bytes, b"hello");
    pager.read(regular, P - 5, &mut bytes).unwrap();
    assert_eq!(bytes, [0xAB; 5]);
    let error = pager.read(regular, P - 4, &mut bytes).unwrap_err();
    assert!(matches!(
        error,
        Error::PastPageEnd {
            offset: 4092,
            len: 5,
            page_size: P
        }
    ));
    assert!(matches!(pager.page(regular), Err(Error::NotLendable)));
    assert!(matches!(
        pager.protected_page(protected),
        Err(Error::NotLendable)
    ));
    assert!(matches!(pager.page_mut(regular), Err(Error::ReadOnly)));
    assert!(matches!(
        pager.write(regular, 0, &[1]),
        Err(Error::ReadOnly)
    ));
    assert!(matches!(pager.begin(), Err(Error::ReadOnly)));
    assert!(matches!(pager.sync(), Err(Error::ReadOnly)));
    drop(pager);
    let after = (
        fs::read(&path).unwrap(),
        fs::metadata(&path).unwrap().modified().unwrap(),
    );
    assert_eq!(before, after);
}

#[test]
fn file_that_shrinks_under_a_reader_is_an_error() {
    let (_folder, path) = folder();
    let (regular, protected) = sample(&path);
    let pager = engine().open_read_only(&path).unwrap();
    fs::OpenOptions::new()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(3 * P as u64)
        .unwrap();
    let mut bytes = [0; 5];
    for error in [
        pager.read(regular, 0, &mut bytes).unwrap_err(),
        pager.read_protected(protected, 0, &mut bytes).unwrap_err(),
    ] {
        assert!(
            matches!(
                error,
                Error::Store {
                    cause: StoreError::Io(_),
                    ..
                }
            ),
            "{error}"
        );
    }
}

#[test]
fn rotten_protected_page_is_named() {
    let (_folder, path) = folder();
    let (_, protected) = sample(&path);
    let page = {
        let pager = engine().open(&path).unwrap();
        pager.protected_pages().next().unwrap().unwrap().active_page
    };
    let mut bytes = fs::read(&path).unwrap();
    bytes[usize::try_from(page).unwrap() * P + 77] ^= 0x10;
    fs::write(&path, bytes).unwrap();
    let mut copy = [0; 1];
    let mut pager = engine().open(&path).unwrap();
    for error in [
        pager.protected_page(protected).unwrap_err(),
        pager.read_protected(protected, 0, &mut copy).unwrap_err(),
        engine()
            .open_read_only(&path)
            .unwrap()
            .read_protected(protected, 0, &mut copy)
            .unwrap_err(),
        pager.begin().unwrap().write(protected).unwrap_err(),
    ] {
        assert!(
            matches!(error, Error::ChecksumMismatch { id: 0, page: at, unproven: false, .. } if at == page),
            "{error}"
        );
        assert!(error.is_corrupt());
    }
}

#[cfg(target_os = "linux")]
#[test]
fn page_of_a_sparse_file_has_its_block_reserved_before_it_is_changed() {
    use std::os::unix::fs::{FileExt, MetadataExt};
    let (_folder, path) = folder();
    let ids = {
        let mut pager = engine()
            .create_with_pages(&path, PageSize::KIB_4, 1000)
            .unwrap();
        assert!(fs::metadata(&path).unwrap().blocks() * 512 >= 1000 * P as u64);
        pager.alloc_many(900).unwrap()
    };
    // The same bytes with holes, as a copy may have them.
    let bytes = fs::read(&path).unwrap();
    let sparse = path.with_extension("sparse");
    let file = fs::File::create(&sparse).unwrap();
    file.set_len(bytes.len() as u64).unwrap();
    file.write_all_at(&bytes[..3 * P], 0).unwrap();
    drop(file);
    let blocks = || fs::metadata(&sparse).unwrap().blocks() * 512 / P as u64;
    assert!(blocks() < 10, "this file system keeps no holes");
    let mut pager = engine().open(&sparse).unwrap();
    let before = blocks();
    pager.page_mut(ids[500]).unwrap();
    assert_eq!(blocks(), before + 1);
    pager.page(ids[600]).unwrap();
    assert_eq!(blocks(), before + 1);
}

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
    assert_eq!(store.page(id).unwrap()[9], 3);
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

    fn crc32(&self, page: u64, offset: u32, len: u32) -> Result<u32, StoreError> {
        self.inner.crc32(page, offset, len)
    }

    fn stage(&self, source: Option<u64>) -> Result<PageBuffer, StoreError> {
        self.inner.stage(source)
    }

    fn staged_crc32(&self, buffer: &PageBuffer) -> Result<u32, StoreError> {
        self.inner.staged_crc32(buffer)
    }

    fn write(&mut self, changes: &[Change<'_, PageBuffer>], then: Then) -> Result<(), StoreError> {
        if self.writes_left.fetch_sub(1, Ordering::Relaxed) <= 0 {
            return Err(StoreError::Io(Some("the cable is out".into())));
        }
        std::thread::sleep(self.delay);
        self.inner.write(changes, then)
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
    writes_left.store(1, Ordering::Relaxed);
    let error = pager.alloc().unwrap_err();
    assert!(
        matches!(
            &error,
            Error::Store {
                cause: StoreError::Io(_),
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

#[test]
fn pages_staged_beyond_the_budget_are_refused() {
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
        let staged = ids.iter().take_while(|id| tx.write(**id).is_ok()).count();
        // A kibibyte each, and what a view costs. What was staged is given
        // back at the end of the transaction.
        assert_eq!(staged, 7);
        tx.commit().unwrap();
    }
}

#[test]
fn inspector_looks_at_anything_from_any_thread() {
    let (folder, path) = folder();
    let (regular, _) = sample(&path);
    let mut inspector = engine().inspect(&path).unwrap();
    let summary = std::thread::spawn(move || inspector.summary().unwrap())
        .join()
        .unwrap();
    assert_eq!(
        (summary.format.as_str(), summary.recovery.verdict.as_str()),
        ("0.2", "clean")
    );
    assert_eq!((summary.regular_pages, summary.protected_pages), (1, 1));
    let json = serde_json::to_value(&summary).unwrap();
    assert_eq!(json["page_size"], 4096);

    let mut inspector = engine().inspect(&path).unwrap();
    let kinds = inspector.page_kinds().unwrap();
    let total: u64 = kinds.iter().map(|kind| kind.count).sum();
    assert_eq!(total, summary.page_count);
    let codes = inspector.kinds(0, u32::MAX).unwrap();
    assert_eq!(codes.len() as u64, total);
    let info = inspector.page(regular).unwrap().unwrap();
    let named = |code| {
        kinds
            .iter()
            .find(|kind| kind.code == code)
            .unwrap()
            .name
            .clone()
    };
    assert_eq!(named(info.kind), "regular");
    assert!(inspector.page(total).unwrap().is_none());
    assert_eq!(inspector.directory(0, 10, true).unwrap().len(), 1);
    assert!(inspector.structures(0, 1).unwrap().len() >= 3);
    let mut cursor = Some(0);
    while let Some(at) = cursor {
        let part = inspector.findings(at).unwrap();
        assert!(
            part.findings
                .iter()
                .all(|finding| finding.severity == Severity::Info)
        );
        cursor = part.next;
    }
    let mut bytes = [0; 3];
    inspector.read(regular, 0, &mut bytes).unwrap();
    assert_eq!(bytes, [0xAB; 3]);

    let foreign = folder.path().join("foreign");
    fs::write(&foreign, vec![b'x'; 10_000]).unwrap();
    let mut inspector = engine().inspect(&foreign).unwrap();
    assert_eq!(inspector.geometry().tail, 10_000 % 4096);
    assert_eq!(
        inspector.summary().unwrap().recovery.verdict,
        "not-a-page-file"
    );
}

#[test]
fn repair_writes_a_copy_and_leaves_the_file_alone() {
    let (folder, path) = folder();
    let (regular, protected) = sample(&path);
    let output = folder.path().join("mended.pages");
    let page = engine()
        .open(&path)
        .unwrap()
        .protected_pages()
        .next()
        .unwrap()
        .unwrap()
        .active_page;
    let mut bytes = fs::read(&path).unwrap();
    bytes[usize::try_from(page).unwrap() * P] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let actions = engine().repair(&path, &output).unwrap();
    assert!(
        actions
            .iter()
            .any(|action| action.lost && action.protected == Some(protected))
    );
    assert!(fs::read(&path).unwrap() == bytes);
    let pager = engine().open(&output).unwrap();
    assert_eq!(pager.page(regular).unwrap()[0], 0xAB);
    assert_eq!(pager.protected_pages().count(), 0);
    assert!(matches!(
        engine().repair(&path, &output),
        Err(Error::Exists { .. })
    ));
    let held = engine().open(&path).unwrap();
    let other = folder.path().join("other");
    assert!(matches!(
        engine().repair(&path, &other),
        Err(Error::Locked { .. })
    ));
    drop(held);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
}

#[test]
fn stores_can_be_used_without_a_pager() {
    let (_folder, path) = folder();
    fs::write(&path, vec![1; 2500]).unwrap();
    let mut store = MmapStore::open(&path, PageSize::KIB_1).unwrap();
    assert_eq!(store.geometry().tail, 452);
    assert!(matches!(store.page(2), Err(StoreError::OutOfBounds)));
    let mut byte = [0];
    assert_eq!(store.read(0, 1024, &mut byte), Err(StoreError::OutOfBounds));
    store.grow(4).unwrap();
    // The tail became part of a page, and that reads as zeros.
    assert!(
        store
            .page(2)
            .unwrap()
            .unwrap()
            .iter()
            .all(|byte| *byte == 0)
    );
    assert_eq!(store.page(1).unwrap().unwrap()[0], 1);
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
        Change::Zero { page: 0 },
    ];
    store.write(&changes, Then::Sync).unwrap();
    let outside = [Change::Zero { page: 3 }, Change::Zero { page: 4 }];
    assert_eq!(
        store.write(&outside, Then::Sync),
        Err(StoreError::OutOfBounds)
    );
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
    assert_eq!(store.crc32(1, 0, 1024).unwrap(), buffer.crc32());
}

/// The store in memory is the naive twin: it does at once what the mapped one
/// puts off.
#[test]
fn mapped_store_equals_its_twin_in_memory() {
    for seed in 0..20 {
        let (_folder, path) = folder();
        let mut rng = Rng::new(seed);
        let old = vec![0xC3; 5000];
        fs::write(&path, &old).unwrap();
        let mut mapped = MmapStore::open(&path, PageSize::KIB_1).unwrap();
        let mut twin = MemoryStore::from_bytes(PageSize::KIB_1, old);
        for step in 0..200_u8 {
            let pages = twin.geometry().page_count;
            let page = rng.below(pages);
            match rng.below(9) {
                0 if pages < 60 => {
                    let to = pages + rng.below(8);
                    assert_eq!(mapped.grow(to), twin.grow(to));
                }
                1 => mapped.write(&[], Then::Sync).unwrap(),
                2 | 3 => {
                    let at = usize::try_from(rng.below(1024)).unwrap();
                    for store in [&mut mapped as &mut dyn Store, &mut twin] {
                        store.page_mut(page).unwrap().unwrap()[at] = step;
                    }
                }
                4 | 5 => {
                    let count = rng.below(pages - page + 1);
                    let reset = [Change::Reset { first: page, count }];
                    mapped.write(&reset, Then::Continue).unwrap();
                    twin.write(&reset, Then::Continue).unwrap();
                }
                6 => {
                    let mut buffer = mapped.stage(Some(page)).unwrap();
                    assert_eq!(buffer, twin.stage(Some(page)).unwrap());
                    buffer[9] = step;
                    let page = rng.below(pages);
                    let staged = [Change::Staged {
                        page,
                        buffer: &buffer,
                    }];
                    mapped.write(&staged, Then::Continue).unwrap();
                    twin.write(&staged, Then::Continue).unwrap();
                }
                7 => {
                    let bytes = vec![step; 1020];
                    let changes = [
                        Change::Zero {
                            page: rng.below(pages),
                        },
                        Change::Sealed {
                            page,
                            bytes: &bytes,
                            start: 20,
                        },
                    ];
                    mapped.write(&changes, Then::Sync).unwrap();
                    twin.write(&changes, Then::Sync).unwrap();
                }
                _ => {}
            }
            let page = rng.below(twin.geometry().page_count);
            let shown = Store::page(&mapped, page).unwrap().unwrap();
            assert!(
                shown == twin.page(page).unwrap(),
                "seed {seed}, step {step}, page {page}"
            );
            assert_eq!(mapped.crc32(page, 3, 1000), twin.crc32(page, 3, 1000));
            assert_eq!(mapped.geometry(), twin.geometry());
        }
        drop(mapped);
        assert!(fs::read(&path).unwrap() == twin.bytes(), "seed {seed}");
    }
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
    for page_size in [PageSize::KIB_1, PageSize::KIB_16] {
        let medium = Box::new(MemoryStore::new(page_size));
        let handle = store.data_mut().stores.insert(medium).unwrap();
        let pager = pagers.call_create(&mut store, handle, 0).unwrap().unwrap();
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
        // Another handle on the same bytes, that outlives the commit.
        assert_eq!(store.data_mut().stores.buffer_mut(&again).unwrap()[3], 8);
        pagers.call_commit(&mut store, tx).unwrap().unwrap();
        store.data_mut().stores.buffer_mut(&again).unwrap().fill(9);
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
        assert!(medium.page(at.page).unwrap().iter().all(|byte| *byte == 8));
    }
    assert!(store.data().greetings > 0);
}
