//! Processes that fork: what the parent opened stays the parent's, whatever the
//! child does with its copies.
//!
//! The harness has threads, which a child would lack. So each test starts this
//! binary again, and it is that process that forks, with nobody else at work.

use std::fs;
use std::io::{PipeReader, PipeWriter, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use pagebox::{
    Algorithm, Change, Engine, Error, FileStore, MemoryStore, MmapStore, PageId, PageSize,
    PageStore, Pager, ProtectedId, ReadOnlyStore, Store,
};

use super::{child, path, succeed};
use crate::{P, engine, folder, sample};

/// A child of this process.
pub(super) struct Child(libc::pid_t);

impl Child {
    /// Waits for its end, which has to be a good one.
    #[track_caller]
    pub(super) fn succeed(self) {
        let mut status = 0;
        // SAFETY: the number is that of our own child, the pointer that of a
        // variable of ours.
        let waited = unsafe { libc::waitpid(self.0, &raw mut status, 0) };
        assert_eq!(waited, self.0);
        assert_eq!(status, 0, "the child failed: see above");
    }
}

/// Forks: none in the child, which has to [`end`].
pub(super) fn fork() -> Option<Child> {
    // SAFETY: the thread of the harness waits for this one, and that of the
    // engine for time to pass: neither holds what the child may need.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "no process can be made");
    (pid > 0).then_some(Child(pid))
}

/// What a child does, and its end: it must not return into the harness.
pub(super) fn end(f: impl FnOnce()) -> ! {
    // SAFETY: ends this process, should it wait for ever.
    unsafe { libc::alarm(60) };
    let done = catch_unwind(AssertUnwindSafe(f));
    // SAFETY: ends this process, the child, at once.
    unsafe { libc::_exit(i32::from(done.is_err())) }
}

/// Lets the other process go on.
fn tell(mut pipe: &PipeWriter) {
    pipe.write_all(b"!").unwrap();
}

/// Waits for the other process.
fn hear(mut pipe: &PipeReader) {
    pipe.read_exact(&mut [0]).unwrap();
}

#[track_caller]
fn is_forked<R>(result: Result<R, Error>) {
    match result {
        Err(error @ Error::Forked) => {
            assert!(error.is_caller_fault());
            assert!(error.to_string().contains("forked"), "{error}");
        }
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("it went on"),
    }
}

#[track_caller]
fn is_locked(path: &Path) {
    let error = Engine::new().unwrap().open(path).unwrap_err();
    assert!(matches!(error, Error::Locked { .. }), "{error}");
}

/// A pager with a regular page that was somebody else's before, and a protected
/// one: `hello`.
fn with_recycled_page(path: &Path) -> (Pager, PageId, ProtectedId) {
    let (regular, protected) = sample(path);
    let mut pager = engine().open(path).unwrap();
    pager.free(regular).unwrap();
    assert_eq!(pager.alloc().unwrap(), regular);
    (pager, regular, protected)
}

/// Not a test: forks while a recycled page has not been touched.
#[test]
#[ignore = "started by a test, in a process of its own"]
fn parent_of_one_that_drops() {
    let path = path();
    let (mut pager, id, protected) = with_recycled_page(&path);
    let (heard, told) = std::io::pipe().unwrap();
    let Some(child) = fork() else {
        end(|| {
            hear(&heard);
            drop(pager);
            is_locked(&path);
        })
    };
    pager.page_mut(id).unwrap().fill(0xAB);
    pager.sync().unwrap();
    tell(&told);
    child.succeed();
    is_locked(&path);
    assert_eq!(pager.page(id).unwrap(), [0xAB; P]);
    let page = &fs::read(&path).unwrap()[usize::try_from(id.get()).unwrap() * P..][..P];
    assert_eq!(page, [0xAB; P], "the child wrote to it");
    // All goes on as if there had been no child.
    let other = pager.alloc().unwrap();
    assert_ne!(other, id);
    let mut tx = pager.begin().unwrap();
    tx.write(protected).unwrap()[..5].copy_from_slice(b"still");
    tx.commit().unwrap();
    drop(pager);
    let pager = engine().open(&path).unwrap();
    assert_eq!(pager.page(id).unwrap(), [0xAB; P]);
    assert_eq!(&pager.protected_page(protected).unwrap()[..5], b"still");
}

/// A child's copy of the store knew a page as one to be zeroed: it zeroed the
/// page when it was dropped, over what the parent had made durable, and
/// released the lock for both.
#[test]
fn child_that_drops_its_copy_of_a_pager_writes_and_unlocks_nothing() {
    let (_folder, path) = folder();
    let role = "real_files::forked::parent_of_one_that_drops";
    succeed(&mut child(&[], role, &path));
}

/// Not a test: its child tries everything.
#[test]
#[ignore = "started by a test, in a process of its own"]
fn parent_of_one_that_writes() {
    let path = path();
    let (mut pager, id, protected) = with_recycled_page(&path);
    // What was asked for before needs no sandbox any more.
    assert_eq!(pager.page(id).unwrap(), [0; P]);
    pager.protected_page(protected).unwrap();
    pager.page_mut(id).unwrap().fill(1);
    let mut tx = pager.begin().unwrap();
    tx.write(protected).unwrap().fill(9);
    let Some(child) = fork() else {
        end(|| {
            is_forked(tx.write(protected));
            is_forked(tx.alloc());
            is_forked(tx.free(id));
            is_forked(tx.alloc_protected());
            is_forked(tx.free_protected(protected));
            is_forked(tx.commit());
        })
    };
    child.succeed();
    tx.commit().unwrap();
    let before = fs::read(&path).unwrap();
    let Some(child) = fork() else {
        end(|| {
            is_forked(pager.begin());
            let mut bytes = [0; 8];
            is_forked(pager.page(id));
            is_forked(pager.page_mut(id));
            is_forked(pager.read(id, 0, &mut bytes));
            is_forked(pager.write(id, 0, &bytes));
            is_forked(pager.protected_page(protected));
            is_forked(pager.read_protected(protected, 0, &mut bytes));
            is_forked(pager.alloc());
            is_forked(pager.free(id));
            is_forked(pager.stats());
            is_forked(pager.sync());
            is_forked(pager.reopen());
            is_forked(pager.page(id));
            is_forked(pager.regular_pages().next().unwrap());
            is_forked(pager.protected_pages().next().unwrap());
            let mut store = pager.close();
            assert_eq!(store.page(id.get()), None);
            assert!(store.page_mut(id.get()).is_err());
            assert!(store.sync().is_err());
            drop(store);
            assert_eq!(fs::read(&path).unwrap(), before);
            is_locked(&path);
        })
    };
    child.succeed();
    assert_eq!(fs::read(&path).unwrap(), before);
    pager.alloc().unwrap();
    assert_eq!(pager.protected_page(protected).unwrap(), [9; P]);
    assert_eq!(pager.page(id).unwrap(), [1; P]);
}

#[test]
fn child_that_uses_its_copy_of_a_pager_is_refused() {
    let (_folder, path) = folder();
    let role = "real_files::forked::parent_of_one_that_writes";
    succeed(&mut child(&[], role, &path));
}

/// Not a test: its child goes on with iterators.
#[test]
#[ignore = "started by a test, in a process of its own"]
fn parent_of_one_that_iterates() {
    let mut pager = engine().create(path(), PageSize::KIB_4).unwrap();
    let pages = pager.alloc_many(20).unwrap();
    let holes: Vec<PageId> = pages.iter().copied().step_by(2).collect();
    pager.free_many(&holes).unwrap();
    for _ in 0..3 {
        pager.alloc_protected().unwrap();
    }
    let (mut regular, mut protected) = (pager.regular_pages(), pager.protected_pages());
    regular.next().unwrap().unwrap();
    protected.next().unwrap().unwrap();
    let Some(child) = fork() else {
        end(|| {
            is_forked(regular.next().unwrap());
            assert!(regular.next().is_none());
            is_forked(protected.next().unwrap());
            assert!(protected.next().is_none());
        })
    };
    child.succeed();
    assert_eq!(regular.count(), 9);
    assert_eq!(protected.count(), 2);
}

#[test]
fn child_that_goes_on_with_an_iterator_is_told() {
    let (_folder, path) = folder();
    let role = "real_files::forked::parent_of_one_that_iterates";
    succeed(&mut child(&[], role, &path));
}

/// Not a test: its child has pagers and inspectors that cannot write.
#[test]
#[ignore = "started by a test, in a process of its own"]
fn parent_of_one_that_reads() {
    let path = path();
    let (regular, protected) = sample(&path);
    let pager = engine().open_read_only(&path).unwrap();
    let in_memory = engine()
        .create_store(MemoryStore::new(PageSize::KIB_4), 0)
        .unwrap();
    let mut inspector = engine().inspect(&path).unwrap();
    let store = ReadOnlyStore::open(&path, PageSize::KIB_4).unwrap();
    let mut bytes = [0; 5];
    let Some(child) = fork() else {
        end(|| {
            is_forked(pager.read(regular, 0, &mut bytes));
            is_forked(pager.read_protected(protected, 0, &mut bytes));
            is_forked(pager.stats());
            is_forked(in_memory.stats());
            is_forked(inspector.summary());
            is_forked(inspector.read(0, 0, &mut bytes));
            // A store that only reads by position shares nothing.
            store.read(regular.get(), 0, &mut bytes).unwrap();
            assert_eq!(bytes, [0xAB; 5]);
            drop((pager, in_memory, inspector, store));
        })
    };
    child.succeed();
    pager.read(regular, 0, &mut bytes).unwrap();
    assert_eq!(bytes, [0xAB; 5]);
    inspector.summary().unwrap();
}

#[test]
fn child_of_a_reader_is_refused_but_by_the_bare_store() {
    let (_folder, path) = folder();
    let role = "real_files::forked::parent_of_one_that_reads";
    succeed(&mut child(&[], role, &path));
}

/// Not a test: its child has a view, and drops it.
#[test]
#[ignore = "started by a test, in a process of its own"]
fn parent_of_one_that_views() {
    let path = path();
    let (_, protected) = sample(&path);
    let mut pager = engine().open(&path).unwrap();
    let view = pager.view().unwrap();
    assert_eq!(&view.protected_page(protected).unwrap()[..5], b"hello");
    let Some(child) = fork() else {
        end(|| {
            is_forked(view.protected_page(protected));
            is_forked(view.read_protected(protected, 0, &mut [0; 5]));
            is_forked(pager.view());
            drop((view, pager));
        })
    };
    child.succeed();
    is_locked(&path);
    let mut tx = pager.begin().unwrap();
    tx.write(protected).unwrap().fill(1);
    tx.commit().unwrap();
    drop(pager);
    is_locked(&path);
    assert_eq!(&view.protected_page(protected).unwrap()[..5], b"hello");
    drop(view);
    engine().open(&path).unwrap();
}

#[test]
fn child_that_uses_its_copy_of_a_view_is_refused() {
    let (_folder, path) = folder();
    let role = "real_files::forked::parent_of_one_that_views";
    succeed(&mut child(&[], role, &path));
}

/// Not a test: its child has a store and no pager.
#[test]
#[ignore = "started by a test, in a process of its own"]
fn parent_of_one_with_a_store() {
    let path = path();
    fs::write(&path, vec![7; 4 * P]).unwrap();
    forks_with(MmapStore::open(&path, PageSize::KIB_4).unwrap(), &path);
    fs::write(&path, vec![7; 4 * P]).unwrap();
    forks_with(FileStore::open(&path, PageSize::KIB_4).unwrap(), &path);
}

fn forks_with(mut store: impl Store, path: &Path) {
    let buffer = store.stage(Some(1)).unwrap();
    let reset = [Change::Zero { first: 2, count: 1 }];
    store.write(&reset).unwrap();
    let before = fs::read(path).unwrap();
    let Some(child) = fork() else {
        end(|| {
            let told = |result: Result<(), pagebox::StoreError>| {
                let error = result.unwrap_err().to_string();
                assert!(error.contains("forked"), "{error}");
            };
            told(store.read(1, 0, &mut [0]));
            told(store.checksum(1, Algorithm::Crc32).map(drop));
            told(store.stage(Some(1)).map(drop));
            told(store.page_mut(1).map(drop));
            told(store.grow(9).map(drop));
            assert_eq!(store.page(1), None);
            let changes = [
                Change::Zero { first: 0, count: 1 },
                Change::Zero { first: 1, count: 1 },
                Change::Staged {
                    page: 3,
                    buffer: &buffer,
                },
                Change::Sync,
            ];
            told(store.write(&changes));
            told(store.sync());
            drop(store);
            assert_eq!(fs::read(path).unwrap(), before);
            let locked = MmapStore::open(path, PageSize::KIB_4);
            assert!(matches!(locked, Err(Error::Locked { .. })));
        })
    };
    child.succeed();
    assert_eq!(fs::read(path).unwrap(), before);
    assert_eq!(store.stage(Some(2)).unwrap()[..], [0; P]);
    let zero = [Change::Zero { first: 1, count: 1 }, Change::Sync];
    store.write(&zero).unwrap();
    assert!(MmapStore::open(path, PageSize::KIB_4).is_err());
}

#[test]
fn child_that_uses_its_copy_of_a_store_is_refused() {
    let (_folder, path) = folder();
    let role = "real_files::forked::parent_of_one_with_a_store";
    succeed(&mut child(&[], role, &path));
}

/// Not a test: its child opens files of its own, and so does the child's.
#[test]
#[ignore = "started by a test, in a process of its own"]
fn parent_of_one_that_opens() {
    let path = path();
    let (mut pager, id, _) = with_recycled_page(&path);
    let engine = engine();
    let beside = |name: &str| path.with_file_name(name);
    let (heard, told) = std::io::pipe().unwrap();
    let Some(child) = fork() else {
        end(|| {
            // Its clock runs in the parent only: nothing would end a sandbox
            // that does not end by itself.
            let refused = [
                engine.create(beside("not made"), PageSize::KIB_4).map(drop),
                engine.inspect(&path).map(drop),
                engine.open_read_only(&path).map(drop),
            ];
            for error in refused.into_iter().map(Result::unwrap_err) {
                assert!(error.to_string().contains("make its own"), "{error}");
                assert!(error.is_caller_fault());
            }
            let engine = Engine::new().unwrap();
            let mut own = engine.create(beside("own"), PageSize::KIB_4).unwrap();
            let page = own.alloc().unwrap();
            own.page_mut(page).unwrap().fill(5);
            let Some(grandchild) = fork() else {
                end(|| {
                    is_forked(own.page(page));
                    is_forked(pager.page(id));
                    let mut own = Engine::new()
                        .unwrap()
                        .create(beside("third"), PageSize::KIB_4)
                        .unwrap();
                    own.alloc().unwrap();
                })
            };
            grandchild.succeed();
            own.sync().unwrap();
            assert_eq!(own.page(page).unwrap(), [5; P]);
            hear(&heard);
            let pager = engine.open(&path).unwrap();
            assert_eq!(pager.page(id).unwrap(), [6; P]);
        })
    };
    pager.page_mut(id).unwrap().fill(6);
    drop(pager);
    tell(&told);
    child.succeed();
    let names: Vec<_> = fs::read_dir(path.parent().unwrap())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(names.len(), 3, "{names:?}");
    engine.open(beside("own")).unwrap();
    engine.open(beside("third")).unwrap();
}

#[test]
fn child_opens_files_of_its_own_and_the_parent_s_when_that_is_closed() {
    let (_folder, path) = folder();
    let role = "real_files::forked::parent_of_one_that_opens";
    succeed(&mut child(&[], role, &path));
}

/// Not a test: the page that it lent before it forked is its own still.
#[test]
#[ignore = "started by a test, in a process of its own"]
fn parent_of_one_with_a_slice() {
    let (mut pager, id, _) = with_recycled_page(&path());
    let (heard, told) = std::io::pipe().unwrap();
    let (heard_back, told_back) = std::io::pipe().unwrap();
    let bytes = pager.page_mut(id).unwrap();
    bytes[0] = 1;
    let Some(child) = fork() else {
        end(|| {
            hear(&heard);
            assert_eq!(bytes[0], 2, "the parent's bytes, as they are now");
            bytes[1] = 3;
            tell(&told_back);
        })
    };
    bytes[0] = 2;
    tell(&told);
    hear(&heard_back);
    child.succeed();
    assert_eq!(bytes[..2], [2, 3]);
}

/// What the documentation of `MmapStore` says, so that it stays true.
#[test]
fn slice_that_a_child_has_since_before_is_of_the_parent_s_live_bytes() {
    let (_folder, path) = folder();
    let role = "real_files::forked::parent_of_one_with_a_slice";
    succeed(&mut child(&[], role, &path));
}

/// Not a test: opens files to write and leaves them to its child, as a program
/// does that goes to the background too late.
#[test]
#[ignore = "started by a test, in a process of its own"]
fn parent_that_ends_first() {
    let path = path();
    let (pager, id, _) = with_recycled_page(&path);
    let (heard, told) = std::io::pipe().unwrap();
    if fork().is_some() {
        // The harness writes no more after this.
        println!("1 passed");
        // SAFETY: ends this process at once, with nothing closed or dropped.
        unsafe { libc::_exit(0) }
    }
    drop(told);
    end(|| {
        // That there is nobody left to hear from is the parent's end.
        assert_eq!((&heard).read(&mut [0]).unwrap(), 0);
        is_forked(pager.page(id));
        is_locked(&path);
        drop(pager);
        let pager = Engine::new().unwrap().open(&path).unwrap();
        assert_eq!(pager.page(id).unwrap(), [0; P]);
        drop(pager);
        fs::write(path.with_file_name("done"), b"").unwrap();
    })
}

#[test]
fn child_that_outlives_its_parent_opens_the_file_anew() {
    let (folder, path) = folder();
    let role = "real_files::forked::parent_that_ends_first";
    succeed(&mut child(&[], role, &path));
    let done = folder.path().join("done");
    for _ in 0..6000 {
        if done.exists() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("the child did not come to its end");
}
