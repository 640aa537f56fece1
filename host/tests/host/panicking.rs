//! Stores that panic: in each of their methods, at the first call, the second
//! and so on, in each phase of a pager's life. The panic is the caller's; the
//! pager has its store and its lock back, says where it is not known what is
//! durable, and goes on once it is opened again. Of a shared one nobody waits
//! for ever.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use pagebox::{
    Access, Algorithm, Change, Checksum, Error, Geometry, MmapStore, PageBuffer, PageId, PageSize,
    PageStore, Pager, ProtectedId, SharedPager, Store, StoreError, Transaction,
};

use crate::{engine, folder, sample};

/// Far more than anything here takes, far less than for ever.
const HANG: Duration = Duration::from_mins(1);

/// Runs something on a thread that is given up where it hangs.
#[track_caller]
fn in_time(f: impl FnOnce() + Send + 'static) {
    let (sender, receiver) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        f();
        sender.send(())
    });
    match receiver.recv_timeout(HANG) {
        Ok(()) => {}
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("it hangs"),
        Err(mpsc::RecvTimeoutError::Disconnected) => {
            std::panic::resume_unwind(thread.join().unwrap_err())
        }
    }
}

/// The methods of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    Geometry,
    Page,
    PageMut,
    Read,
    Checksum,
    Stage,
    Write,
    Sync,
    Grow,
}

const METHODS: [Method; 9] = [
    Method::Geometry,
    Method::Page,
    Method::PageMut,
    Method::Read,
    Method::Checksum,
    Method::Stage,
    Method::Write,
    Method::Sync,
    Method::Grow,
];

/// Which call panics, once.
#[derive(Clone, Debug, Default)]
struct Switch {
    /// A method, and how many calls of it pass before.
    fault: Arc<Mutex<Option<(Method, u64)>>>,
    panics: Arc<AtomicU64>,
}

impl Switch {
    fn set(&self, method: Method, after: u64) {
        *self.fault.lock().unwrap() = Some((method, after));
    }

    /// Lets no call panic any more; whether one did.
    fn clear(&self) -> bool {
        *self.fault.lock().unwrap() = None;
        self.panics.swap(0, Ordering::Relaxed) > 0
    }

    fn ask(&self, method: Method) {
        let mut fault = self.fault.lock().unwrap();
        let is_now = match &mut *fault {
            Some((named, after)) if *named == method => {
                let is_now = *after == 0;
                *after = after.saturating_sub(1);
                is_now
            }
            _ => false,
        };
        if is_now {
            *fault = None;
            drop(fault);
            self.panics.fetch_add(1, Ordering::Relaxed);
            panic!("{method:?} was told to panic");
        }
    }
}

/// A file, locked, that panics as its switch says.
struct Panicking {
    inner: MmapStore,
    switch: Switch,
}

impl Panicking {
    fn open(path: &Path) -> (Self, Switch) {
        let inner = MmapStore::open(path, PageSize::KIB_4).unwrap();
        let switch = Switch::default();
        let store = Self {
            inner,
            switch: switch.clone(),
        };
        (store, switch)
    }
}

impl PageStore for Panicking {
    type Buffer = PageBuffer;

    fn geometry(&self) -> Geometry {
        self.switch.ask(Method::Geometry);
        self.inner.geometry()
    }

    fn read(&self, page: u64, offset: u32, bytes: &mut [u8]) -> Result<(), StoreError> {
        self.switch.ask(Method::Read);
        self.inner.read(page, offset, bytes)
    }

    fn checksum(&self, page: u64, algorithm: Algorithm) -> Result<Checksum, StoreError> {
        self.switch.ask(Method::Checksum);
        self.inner.checksum(page, algorithm)
    }

    fn stage(&self, source: Option<u64>) -> Result<PageBuffer, StoreError> {
        self.switch.ask(Method::Stage);
        self.inner.stage(source)
    }

    fn write(&mut self, changes: &[Change<'_, PageBuffer>]) -> Result<(), StoreError> {
        let is_barrier = |change: &Change<'_, _>| matches!(change, Change::Order | Change::Sync);
        for part in changes.split_inclusive(is_barrier) {
            let (pages, barrier) = match part.split_last() {
                Some((last, pages)) if is_barrier(last) => (pages, &part[pages.len()..]),
                _ => (part, &[][..]),
            };
            if !pages.is_empty() {
                self.switch.ask(Method::Write);
            }
            self.inner.write(pages)?;
            if !barrier.is_empty() {
                self.switch.ask(Method::Sync);
                self.inner.write(barrier)?;
            }
        }
        Ok(())
    }

    fn grow(&mut self, page_count: u64) -> Result<Geometry, StoreError> {
        self.switch.ask(Method::Grow);
        self.inner.grow(page_count)
    }
}

impl Store for Panicking {
    fn page(&self, page: u64) -> Option<&[u8]> {
        self.switch.ask(Method::Page);
        self.inner.page(page)
    }

    fn page_mut(&mut self, page: u64) -> Result<Option<&mut [u8]>, StoreError> {
        self.switch.ask(Method::PageMut);
        self.inner.page_mut(page)
    }
}

/// The sample's pages.
const REGULAR: PageId = PageId::new(15);
const PROTECTED: ProtectedId = ProtectedId::new(0);

/// What a phase is called, and what happens in it.
type Phase = (&'static str, fn(&mut Pager) -> Result<(), Error>);

const COMMITTING: [Phase; 3] = [
    ("alloc", |pager| pager.alloc().map(drop)),
    ("protected write", |pager| {
        let mut tx = pager.begin()?;
        write_protected(&mut tx)?;
        tx.commit().map(drop)
    }),
    ("growth", |pager| pager.alloc_many(2000).map(drop)),
];

const OTHERS: [Phase; 5] = [
    ("sync", Pager::sync),
    ("read", |pager| pager.read(REGULAR, 0, &mut [0; 8])),
    ("protected read", |pager| {
        pager.read_protected(PROTECTED, 0, &mut [0; 8])
    }),
    ("write in place", |pager| pager.write(REGULAR, 0, b"there")),
    ("reopening", Pager::reopen),
];

fn alloc(tx: &mut Transaction<'_>) -> Result<PageId, Error> {
    tx.alloc()
}

fn write_protected(tx: &mut Transaction<'_>) -> Result<(), Error> {
    tx.write(PROTECTED)?[..5].copy_from_slice(b"howdy");
    Ok(())
}

/// That a pager shows the sample's pages, as they were or as a phase makes them.
#[track_caller]
fn shows_the_sample(pager: &Pager, context: &str) {
    let [mut regular, mut protected] = [[0; 5]; 2];
    pager.read(REGULAR, 0, &mut regular).expect(context);
    pager
        .read_protected(PROTECTED, 0, &mut protected)
        .expect(context);
    assert!(regular == [0xAB; 5] || &regular == b"there", "{context}");
    assert!(
        &protected == b"hello" || &protected == b"howdy",
        "{context}"
    );
}

#[track_caller]
fn is_locked(path: &Path, context: &str) {
    let opened = engine().open(path);
    assert!(matches!(opened, Err(Error::Locked { .. })), "{context}");
}

/// A store that panicked was lost, and its lock with it, while the pager lived;
/// what was opened again was no page file.
#[test]
fn pager_whose_store_panics_keeps_it_and_its_lock() {
    in_time(|| {
        let (_folder, path) = folder();
        sample(&path);
        let bytes = std::fs::read(&path).unwrap();
        let mut panics = 0;
        for (phase, run) in COMMITTING.into_iter().chain(OTHERS) {
            for method in METHODS {
                for after in 0.. {
                    let context = &format!("{method:?} after {after} calls, {phase}");
                    std::fs::write(&path, &bytes).unwrap();
                    let (store, switch) = Panicking::open(&path);
                    let mut pager = engine().open_store(store, Access::Write).unwrap();
                    switch.set(method, after);
                    let done = catch_unwind(AssertUnwindSafe(|| run(&mut pager)));
                    let panicked = switch.clear();
                    assert_eq!(done.is_err(), panicked, "{context}");
                    is_locked(&path, context);
                    if !panicked {
                        done.unwrap().expect(context);
                        break;
                    }
                    panics += 1;
                    goes_on(&mut pager, method, context);
                    drop(pager);
                    shows_the_sample(&engine().open(&path).expect(context), context);
                }
            }
        }
        // Else nothing was tried.
        assert!(panics > 40, "{panics} panics");
    });
}

/// That a pager whose store panicked is in order, at the latest when it is
/// opened again.
#[track_caller]
fn goes_on(pager: &mut Pager, method: Method, context: &str) {
    let in_doubt = match pager.alloc() {
        Ok(_) => false,
        Err(Error::Poisoned) => true,
        Err(Error::SandboxGone) => {
            // What it was doing changed nothing.
            assert!(!matches!(method, Method::Write | Method::Grow), "{context}");
            true
        }
        Err(error) => panic!("{error}; {context}"),
    };
    if in_doubt {
        // No page is shown as it was.
        assert!(pager.page(REGULAR).is_err(), "{context}");
        assert!(pager.protected_page(PROTECTED).is_err(), "{context}");
        pager.reopen().expect(context);
    }
    shows_the_sample(pager, context);
    pager.alloc().expect(context);
    pager.sync().expect(context);
}

/// Nobody holds a store of which the opening panicked.
#[test]
fn opening_a_store_that_panics_lets_the_lock_go() {
    in_time(|| {
        let (_folder, path) = folder();
        sample(&path);
        let mut panics = 0;
        for method in METHODS {
            for after in 0.. {
                let (store, switch) = Panicking::open(&path);
                switch.set(method, after);
                let open = AssertUnwindSafe(|| engine().open_store(store, Access::Write));
                let opened = catch_unwind(open);
                let panicked = switch.clear();
                assert_eq!(opened.is_err(), panicked);
                drop(opened);
                shows_the_sample(&engine().open(&path).unwrap(), "opened");
                if !panicked {
                    break;
                }
                panics += 1;
            }
        }
        assert!(panics > 5, "{panics} panics");
    });
}

/// The committer died of a store that panicked, and whoever asked for anything
/// afterwards waited for ever.
#[test]
fn shared_pager_whose_store_panics_answers_everybody() {
    in_time(|| {
        let (_folder, path) = folder();
        sample(&path);
        let bytes = std::fs::read(&path).unwrap();
        let mut panics = 0;
        for (phase, run) in COMMITTING.into_iter().chain(OTHERS) {
            for method in METHODS {
                // Not each of them: their number is that of the pager alone.
                for after in 0..4 {
                    let context = &format!("{method:?} after {after} calls, {phase}");
                    std::fs::write(&path, &bytes).unwrap();
                    let (store, switch) = Panicking::open(&path);
                    let pager = engine().open_store(store, Access::Write).unwrap();
                    let pager = SharedPager::new(pager);
                    switch.set(method, after);
                    // Each of them comes to something, whoever meets the panic.
                    std::thread::scope(|scope| {
                        for n in 0..3 {
                            let pager = &pager;
                            scope.spawn(move || {
                                let ask = AssertUnwindSafe(|| match n {
                                    0 => pager.with(run),
                                    1 => pager.transact(write_protected),
                                    _ => pager.read().read(REGULAR, 0, &mut [0; 8]),
                                });
                                let _ = catch_unwind(ask);
                            });
                        }
                    });
                    let panicked = switch.clear();
                    is_locked(&path, context);
                    pager.with(Pager::reopen).expect(context);
                    pager.transact(write_protected).expect(context);
                    pager.transact(alloc).expect(context);
                    shows_the_sample(&pager.read(), context);
                    drop(pager);
                    shows_the_sample(&engine().open(&path).expect(context), context);
                    if !panicked {
                        break;
                    }
                    panics += 1;
                }
            }
        }
        assert!(panics > 40, "{panics} panics");
    });
}

/// A panic while a group is committed belongs to nobody: all get an error.
#[test]
fn group_whose_commit_panics_gets_an_error() {
    in_time(|| {
        let (_folder, path) = folder();
        sample(&path);
        let (store, switch) = Panicking::open(&path);
        let pager = engine().open_store(store, Access::Write).unwrap();
        let pager = SharedPager::new(pager);
        switch.set(Method::Sync, 0);
        let error = pager.transact(write_protected).unwrap_err();
        assert!(switch.clear());
        assert!(matches!(error, Error::Store { .. }), "{error:?}");
        let text = error.to_string();
        assert!(text.contains("Sync was told to panic"), "{text}");
        let error = pager.transact(write_protected).unwrap_err();
        assert!(matches!(error, Error::Poisoned), "{error:?}");
        assert!(pager.read().page(REGULAR).is_err());
        pager.with(Pager::reopen).unwrap();
        pager.transact(write_protected).unwrap();
    });
}

/// Dropping a pager makes durable what was deferred; a store that panics then is
/// no panic of whoever drops it, perhaps while another panic unwinds.
#[test]
fn store_that_panics_while_deferred_commits_are_made_durable_ends_nobody() {
    for (is_unwinding, method) in [false, true]
        .into_iter()
        .flat_map(|unwinds| [Method::Write, Method::Sync].map(|method| (unwinds, method)))
    {
        let (_folder, path) = folder();
        sample(&path);
        let (store, switch) = Panicking::open(&path);
        let mut pager = engine().open_store(store, Access::Write).unwrap();
        let mut tx = pager.begin().unwrap();
        write_protected(&mut tx).unwrap();
        tx.commit_deferred().unwrap();
        switch.set(method, 0);
        let dropped = catch_unwind(AssertUnwindSafe(move || {
            let pager = pager;
            assert!(!is_unwinding, "a bug of the caller's");
            drop(pager);
        }));
        assert_eq!(dropped.is_err(), is_unwinding, "{method:?}");
        assert!(switch.clear(), "{method:?} was not called");
        // Its lock is gone, and the file is as of before or after.
        engine().open(&path).unwrap();
    }
}
