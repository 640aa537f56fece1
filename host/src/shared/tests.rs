//! What waits together is committed together, and each request fails alone.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use pagebox_store::{
    Algorithm, Change, Checksum, Geometry, MemoryStore, PageBuffer, PageSize, PageStore, StoreError,
};

use crate::owner::Owner;
use crate::shared::Handle;
use crate::shared::contain::message;
use crate::shared::promise::Promise;
use crate::shared::queue::ROUNDS_MAX;
use crate::shared::request::{Exclusive, InTransaction};
use crate::{
    Engine, Error, Format, NewFile, PageId, Pager, ProtectedId, SharedPager, Store, Transaction,
};

/// A store in memory whose syncs are counted, and fail on demand, as growth does.
struct Counted {
    inner: MemoryStore,
    syncs: Arc<AtomicU64>,
    fails: Arc<AtomicBool>,
    refuses_growth: Arc<AtomicBool>,
}

impl PageStore for Counted {
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
        for change in changes {
            if !matches!(change, Change::Order | Change::Sync) {
                continue;
            }
            self.syncs.fetch_add(1, Ordering::Relaxed);
            if self.fails.load(Ordering::Relaxed) {
                return Err(StoreError::io("the disk is on fire"));
            }
        }
        self.inner.write(changes)
    }

    fn grow(&mut self, page_count: u64) -> Result<Geometry, StoreError> {
        if self.refuses_growth.load(Ordering::Relaxed) {
            return Err(StoreError::ReadOnly);
        }
        self.inner.grow(page_count)
    }
}

impl Store for Counted {
    fn page(&self, page: u64) -> Option<&[u8]> {
        self.inner.page(page).ok()
    }
}

/// A shared pager and what is known of its store.
struct Shared {
    pager: SharedPager,
    syncs: Arc<AtomicU64>,
    fails: Arc<AtomicBool>,
    refuses_growth: Arc<AtomicBool>,
}

fn shared(page_size: PageSize) -> Shared {
    shared_of(Format::default(), page_size)
}

fn shared_of(format: Format, page_size: PageSize) -> Shared {
    let store = Counted {
        inner: MemoryStore::new(page_size),
        syncs: Arc::default(),
        fails: Arc::default(),
        refuses_growth: Arc::default(),
    };
    let (syncs, fails) = (store.syncs.clone(), store.fails.clone());
    let refuses_growth = store.refuses_growth.clone();
    let engine = Engine::new().expect("an engine");
    let new = NewFile {
        format,
        ..NewFile::default()
    };
    let pager = engine.create_store(store, new).expect("a new file");
    let pager = SharedPager::new(pager);
    // For what is submitted without waiting for it.
    pager.0.start_committer().expect("a thread");
    Shared {
        pager,
        syncs,
        fails,
        refuses_growth,
    }
}

impl Shared {
    fn take_syncs(&self) -> u64 {
        self.syncs.swap(0, Ordering::Relaxed)
    }

    /// Lets requests pile up, and then has them served.
    fn together<R>(&self, submit: impl FnOnce(&SharedPager) -> R) -> R {
        let (go, wait) = mpsc::channel();
        let (started, is_started) = mpsc::channel();
        let busy = self.pager.submit_exclusive(move |_| {
            started.send(()).expect("somebody listens");
            wait.recv()
        });
        is_started.recv().expect("it starts");
        let submitted = submit(&self.pager);
        self.take_syncs();
        go.send(()).expect("the committer is waiting");
        busy.wait_only().expect("it was told to go on");
        submitted
    }
}

/// The first page that is allocated in a new file with pages of 4 KiB.
const FIRST: u64 = 15;

/// A page past the end of every file here.
const NOWHERE: PageId = PageId::new(9999);

/// The number of a new page.
fn alloc(tx: &mut Transaction<'_>) -> Result<u64, Error> {
    tx.alloc().map(PageId::get)
}

#[test]
fn requests_that_wait_together_take_one_sync() {
    let shared = shared(PageSize::KIB_4);
    let promises: Vec<_> = shared.together(|pager| {
        let submit = |n: u8| {
            pager.submit_transaction(move |tx| {
                let id = tx.alloc_protected()?;
                tx.write(id)?.fill(n);
                Ok(id)
            })
        };
        (1..=64).map(submit).collect()
    });
    let ids: Vec<ProtectedId> = promises
        .into_iter()
        .map(|promise| promise.wait_only().expect("a page"))
        .collect();
    assert_eq!(shared.take_syncs(), 1);
    assert_eq!(ids, (0..64).map(ProtectedId::new).collect::<Vec<_>>());
    let pager = shared.pager.read();
    for (id, n) in ids.into_iter().zip(1..) {
        let page = pager.protected_page(id).expect("the page");
        assert_eq!(page, [n; 4096], "protected page {id}");
    }
}

#[test]
fn one_request_takes_one_sync_and_an_idle_pager_none() {
    let shared = shared(PageSize::KIB_4);
    assert_eq!(shared.take_syncs(), 1, "creation");
    let protected = |tx: &mut Transaction<'_>| tx.alloc_protected();
    shared.pager.transact(protected).expect("a page");
    assert_eq!(shared.take_syncs(), 1);
    shared.pager.transact(alloc).expect("a page");
    assert_eq!(shared.take_syncs(), 2, "zeros first");
    shared.pager.transact(|_| Ok(())).expect("nothing");
    shared.pager.with(|pager| pager.stats()).expect("figures");
    assert_eq!(shared.take_syncs(), 0);
}

#[test]
fn bad_request_fails_alone_and_leaves_no_trace() {
    let shared = shared(PageSize::KIB_4);
    let (good, bad, other) = shared.together(|pager| {
        (
            pager.submit_transaction(alloc),
            pager.submit_transaction(|tx| {
                tx.alloc_many(10)?;
                tx.free(NOWHERE)
            }),
            pager.submit_transaction(alloc),
        )
    });
    assert_eq!(good.wait_only().expect("a page"), FIRST);
    assert!(matches!(bad.wait_only(), Err(Error::OutOfRange(NOWHERE))));
    assert_eq!(other.wait_only().expect("a page"), FIRST + 1);
    assert_eq!(shared.take_syncs(), 2, "the others were one commit");
    let stats = shared.pager.read().stats().expect("figures");
    assert_eq!(stats.regular_pages, 2);
}

#[test]
fn request_that_fails_for_lack_of_what_others_took_is_tried_again() {
    // The format whose limit can be reached.
    let shared = shared_of(Format::Zero, PageSize::KIB_1);
    let limit = shared.pager.read().stats().expect("figures").page_limit;
    let count = u32::try_from(limit - 3).expect("it is a small file");
    let fill = move |tx: &mut Transaction<'_>| tx.alloc_many(count);
    shared.pager.transact(fill).expect("all pages");
    // A page that a transaction frees is nobody's before it is durable.
    let (free, taken) = shared.together(|pager| {
        let free = pager.submit_transaction(|tx| tx.free(PageId::new(100)));
        (free, pager.submit_transaction(alloc))
    });
    free.wait_only().expect("it was in use");
    assert_eq!(taken.wait_only().expect("it is free now"), 100);
    let full = shared.pager.transact(alloc);
    assert!(matches!(full, Err(Error::Full(_))), "{full:?}");
}

#[test]
fn panic_belongs_to_its_caller() {
    let shared = shared(PageSize::KIB_4);
    let (bad, good): (Promise<Result<(), Error>>, _) = shared.together(|pager| {
        let bad = pager.submit_transaction(|tx| {
            tx.alloc()?;
            panic!("a bug of the caller's")
        });
        (bad, pager.submit_transaction(alloc))
    });
    assert_eq!(good.wait_only().expect("a page"), FIRST);
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| bad.wait_only()));
    assert!(panic.is_err());
    assert_eq!(shared.pager.transact(alloc).expect("a page"), FIRST + 1);
}

#[test]
fn failed_sync_fails_the_whole_group_until_reopened() {
    let shared = shared(PageSize::KIB_4);
    shared.fails.store(true, Ordering::Relaxed);
    let promises: Vec<_> =
        shared.together(|pager| (0..3).map(|_| pager.submit_transaction(alloc)).collect());
    for promise in promises {
        let result = promise.wait_only();
        assert!(matches!(result, Err(Error::Store { .. })), "{result:?}");
    }
    shared.fails.store(false, Ordering::Relaxed);
    let result = shared.pager.transact(alloc);
    assert!(matches!(result, Err(Error::Poisoned)), "{result:?}");
    let reopened = shared.pager.with(Pager::reopen);
    reopened.expect("the store is well again");
    assert_eq!(shared.pager.transact(alloc).expect("a page"), FIRST);
}

/// Those before it are committed by then, and those behind it can be.
#[test]
fn request_that_a_store_refuses_to_grow_for_fails_alone() {
    let shared = shared(PageSize::KIB_4);
    shared
        .pager
        .transact(|tx| tx.alloc_many(10))
        .expect("pages, and room for some more");
    shared.refuses_growth.store(true, Ordering::Relaxed);
    let (before, refused, behind) = shared.together(|pager| {
        (
            pager.submit_transaction(alloc),
            pager.submit_transaction(|tx| tx.alloc_many(10_000)),
            pager.submit_transaction(alloc),
        )
    });
    let refused = refused.wait_only();
    assert!(matches!(refused, Err(Error::Store { .. })), "{refused:?}");
    assert_eq!(before.wait_only().expect("a page"), FIRST + 10);
    assert_eq!(behind.wait_only().expect("a page"), FIRST + 11);
    let stats = shared.pager.read().stats().expect("figures");
    assert_eq!(stats.regular_pages, 12);
}

#[test]
fn dropping_the_last_handle_serves_what_waits() {
    let Shared { pager, syncs, .. } = shared(PageSize::KIB_4);
    let promise = pager.submit_transaction(alloc);
    drop(pager);
    // The committer is gone, and so it has been served.
    assert_eq!(syncs.load(Ordering::Relaxed), 3);
    assert_eq!(promise.wait_only().expect("a page"), FIRST);
}

#[test]
fn last_handle_may_be_dropped_by_a_request() {
    let Shared { pager, .. } = shared(PageSize::KIB_4);
    let handle = pager.clone();
    let (go, wait) = mpsc::channel();
    let done = pager.submit_exclusive(move |_| {
        wait.recv().expect("the other handle is dropped");
        drop(handle);
    });
    drop(pager);
    go.send(()).expect("the request waits");
    done.wait_only();
}

#[test]
fn reader_sees_whole_groups_only() {
    let shared = shared(PageSize::KIB_4);
    let ids = shared.pager.transact(|tx| tx.alloc_protected_many(2));
    let ids = ids.expect("two pages");
    thread::scope(|scope| {
        let (pager, ids) = (&shared.pager, &ids);
        scope.spawn(move || {
            for n in 1..=100 {
                let ids = ids.clone();
                let written = pager.transact(move |tx| {
                    ids.iter().try_for_each(|id| {
                        tx.write(*id)?.fill(n);
                        Ok(())
                    })
                });
                written.expect("both pages");
            }
        });
        for _ in 0..2 {
            scope.spawn(move || {
                let mut last = 0;
                while last < 100 {
                    let pager = pager.read();
                    let [a, b] = [ids[0], ids[1]].map(|id| pager.protected_page(id));
                    let (a, b) = (a.expect("a page"), b.expect("a page"));
                    assert_eq!(a, b, "written together");
                    assert!(a[0] >= last, "never back in time");
                    last = a[0];
                }
            });
        }
    });
}

#[cfg(feature = "async")]
mod tasks {
    use std::pin::pin;
    use std::task::{Context, Poll, Wake, Waker};
    use std::thread::Thread;

    use super::*;
    use crate::shared::queue::WAITING_MAX;

    /// The smallest executor: it sleeps until it is woken.
    fn block_on<F: Future>(future: F) -> F::Output {
        struct Unpark(Thread);
        impl Wake for Unpark {
            fn wake(self: Arc<Self>) {
                self.0.unpark();
            }
        }
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        let mut context = Context::from_waker(&waker);
        let mut future = pin!(future);
        loop {
            if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
                return output;
            }
            thread::park();
        }
    }

    #[test]
    fn futures_that_wait_together_are_committed_together() {
        let shared = shared(PageSize::KIB_4);
        let futures: Vec<_> =
            shared.together(|pager| (0..64).map(|_| pager.transact_async(alloc)).collect());
        for (future, page) in futures.into_iter().zip(FIRST..) {
            assert_eq!(block_on(future).expect("a page"), page);
        }
        assert_eq!(shared.take_syncs(), 2);
    }

    #[test]
    fn polling_does_not_block_while_the_committer_is_busy() {
        let shared = shared(PageSize::KIB_4);
        let (go, wait) = mpsc::channel();
        let busy = shared.pager.with_async(move |_| wait.recv());
        let mut future = pin!(shared.pager.transact_async(alloc));
        let mut context = Context::from_waker(Waker::noop());
        assert!(future.as_mut().poll(&mut context).is_pending());
        go.send(()).expect("the committer is waiting");
        block_on(busy).expect("it was told to go on");
        assert_eq!(block_on(future).expect("a page"), FIRST);
    }

    #[test]
    fn task_whose_waker_panics_harms_nobody() {
        struct Panics;
        impl Wake for Panics {
            fn wake(self: Arc<Self>) {
                panic!("a bug of the executor's");
            }
        }
        in_time(|| {
            let shared = shared(PageSize::KIB_4);
            let mut future = pin!(shared.together(|pager| pager.transact_async(alloc)));
            let (go, wait) = mpsc::channel();
            let busy = shared.pager.submit_exclusive(move |_| wait.recv());
            let waker = Waker::from(Arc::new(Panics));
            let mut next = pin!(shared.pager.transact_async(alloc));
            let mut context = Context::from_waker(&waker);
            assert!(next.as_mut().poll(&mut context).is_pending());
            go.send(()).expect("it waits");
            busy.wait_only().expect("it was told to go on");
            assert_eq!(block_on(future.as_mut()).expect("a page"), FIRST);
            assert_eq!(shared.pager.transact(alloc).expect("a page"), FIRST + 2);
            let done = next.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            let is_second = |page| page == FIRST + 1;
            assert!(
                matches!(done, Poll::Ready(Ok(page)) if is_second(page)),
                "{done:?}"
            );
        });
    }

    /// The executor would wait for the closure, and the closure for it.
    #[test]
    fn future_that_a_request_makes_says_that_it_would_wait_for_itself() {
        in_time(|| {
            let shared = shared(PageSize::KIB_4);
            let pager = shared.pager.clone();
            let done = shared.pager.transact(move |tx| {
                waits_for_itself(block_on(pager.transact_async(alloc)));
                let future = pager.with_async(|_| ());
                assert!(panic_of(|| block_on(future)).contains("would wait for itself"));
                tx.alloc()
            });
            assert_eq!(done.expect("a page"), PageId::new(FIRST));
        });
    }

    /// A thread that reads may ask for something, as long as it does not wait.
    #[test]
    fn future_that_a_reader_makes_is_ready_after_the_reader_left() {
        in_time(|| {
            let shared = shared(PageSize::KIB_4);
            let reading = shared.pager.read();
            let mut future = pin!(shared.pager.transact_async(alloc));
            let mut context = Context::from_waker(Waker::noop());
            assert!(future.as_mut().poll(&mut context).is_pending());
            drop(reading);
            assert_eq!(block_on(future).expect("a page"), FIRST);
        });
    }

    #[test]
    fn requests_beyond_the_limit_are_refused() {
        in_time(|| {
            let shared = shared(PageSize::KIB_4);
            let last = shared.together(|pager| {
                for _ in 0..WAITING_MAX {
                    drop(pager.with_async(|_| ()));
                }
                pager.transact_async(alloc)
            });
            let error = block_on(last).expect_err("too many wait");
            assert!(matches!(error, Error::TooManyRequests(65_536)), "{error}");
            assert_eq!(shared.pager.transact(alloc).expect("a page"), FIRST);
        });
    }

    #[test]
    fn dropped_future_does_not_take_its_request_back() {
        let shared = shared(PageSize::KIB_4);
        drop(shared.pager.transact_async(alloc));
        let pages = block_on(shared.pager.with_async(|pager| pager.stats()));
        assert_eq!(pages.expect("figures").regular_pages, 1);
    }
}

/// Far more than anything here takes, far less than for ever.
const HANG: Duration = Duration::from_mins(1);

/// What `f` comes to, on a thread that is given up where it hangs.
#[track_caller]
fn in_time<R: Send + 'static>(f: impl FnOnce() -> R + Send + 'static) -> R {
    let (sender, receiver) = mpsc::channel();
    let thread = thread::spawn(move || sender.send(f()));
    match receiver.recv_timeout(HANG) {
        Ok(result) => result,
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("it hangs"),
        Err(mpsc::RecvTimeoutError::Disconnected) => {
            std::panic::resume_unwind(thread.join().expect_err("it sent nothing"))
        }
    }
}

/// What a panic that `f` ends in says.
fn panic_of<R>(f: impl FnOnce() -> R) -> String {
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(f)).err();
    message(&*panic.expect("it panics")).to_owned()
}

fn waits_for_itself<R: std::fmt::Debug>(result: Result<R, Error>) {
    let error = result.expect_err("it would wait for ever");
    assert!(matches!(error, Error::WaitsForItself(_)), "{error:?}");
    assert!(error.is_caller_fault(), "{error}");
    assert!(
        error.to_string().contains("would wait for itself"),
        "{error}"
    );
}

/// Panics when it is dropped.
#[derive(Debug)]
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("a destructor of the caller's");
    }
}

/// The committer died of the destructor, and whoever asked for something
/// afterwards waited for ever.
#[test]
fn captured_value_whose_destructor_panics_harms_nobody() {
    in_time(|| {
        let shared = shared(PageSize::KIB_4);
        let (bad, good) = shared.together(|pager| {
            let bomb = Bomb;
            let bad = pager.submit_transaction(move |tx| {
                let _captured = &bomb;
                tx.alloc()
            });
            (bad, pager.submit_transaction(alloc))
        });
        // It is durable, and that is what is told of it.
        assert_eq!(bad.wait_only().expect("a page"), PageId::new(FIRST));
        assert_eq!(good.wait_only().expect("a page"), FIRST + 1);
        let bomb = Bomb;
        let text = panic_of(|| {
            shared.pager.with(move |_| {
                let _captured = &bomb;
            });
        });
        assert_eq!(text, "a destructor of the caller's");
        assert_eq!(shared.pager.transact(alloc).expect("a page"), FIRST + 2);
    });
}

/// Results of requests that are tried again, or that nobody waits for any more,
/// are dropped by the committer.
#[test]
fn results_whose_destructors_panic_harm_nobody() {
    in_time(|| {
        let shared = shared(PageSize::KIB_4);
        let (again, bad, lost) = shared.together(|pager| {
            let again = pager.submit_transaction(|tx| tx.alloc().map(|id| (id, Bomb)));
            let bad = pager.submit_transaction(|tx| {
                tx.alloc()?;
                tx.free(NOWHERE)
            });
            let lost = pager.submit_transaction(|tx| tx.alloc().map(|_| Bomb));
            drop(pager.submit_exclusive(|_| Bomb));
            (again, bad, lost)
        });
        let (id, bomb) = again.wait_only().expect("a page");
        std::mem::forget(bomb);
        assert_eq!(id, PageId::new(FIRST));
        assert!(matches!(bad.wait_only(), Err(Error::OutOfRange(NOWHERE))));
        std::mem::forget(lost.wait_only());
        assert_eq!(shared.pager.transact(alloc).expect("a page"), FIRST + 2);
    });
}

#[test]
fn panic_whose_payload_panics_when_dropped_harms_nobody() {
    in_time(|| {
        let shared = shared(PageSize::KIB_4);
        shared.together(|pager| {
            for _ in 0..2 {
                drop(
                    pager.submit_transaction(|_| -> Result<(), Error> {
                        std::panic::panic_any(Bomb)
                    }),
                );
            }
        });
        assert_eq!(shared.pager.transact(alloc).expect("a page"), FIRST);
    });
}

#[test]
fn request_that_is_dropped_answers() {
    in_time(|| {
        let (request, promise) = InTransaction::<u64, _>::new(alloc, false);
        drop(request);
        let error = promise.wait_only().expect_err("nobody did it");
        assert!(error.is_system(), "{error}");
        let (request, promise) = Exclusive::<(), _>::new(|_: &mut Pager| ());
        drop(request);
        assert!(panic_of(|| promise.wait_only()).contains("not known"));
    });
}

#[test]
fn what_a_reader_asks_for_would_wait_for_itself() {
    in_time(|| {
        let shared = shared(PageSize::KIB_4);
        let pager = &shared.pager;
        let (one, two) = (pager.read(), pager.read());
        waits_for_itself(pager.transact(alloc));
        drop(one);
        waits_for_itself(pager.try_with(|_| ()));
        assert!(panic_of(|| pager.with(|_| ())).contains("would wait for itself"));
        drop(two);
        assert_eq!(pager.transact(alloc).expect("a page"), FIRST);
        // Other pagers have nothing to do with it.
        let other = super::tests::shared(PageSize::KIB_1);
        let _reading = other.pager.read();
        assert_eq!(pager.transact(alloc).expect("a page"), FIRST + 1);
    });
}

#[test]
fn what_a_request_asks_for_would_wait_for_itself() {
    in_time(|| {
        let shared = shared(PageSize::KIB_4);
        let pager = shared.pager.clone();
        let done = shared.pager.transact(move |tx| {
            waits_for_itself(pager.transact(alloc));
            waits_for_itself(pager.try_with(|_| ()));
            assert!(panic_of(|| pager.with(|_| ())).contains("would wait for itself"));
            assert!(panic_of(|| pager.read()).contains("would wait for itself"));
            assert!(pager.try_read().is_none());
            tx.alloc()
        });
        assert_eq!(done.expect("a page"), PageId::new(FIRST));
        let pager = shared.pager.clone();
        shared.pager.with(move |_| {
            waits_for_itself(pager.transact(alloc));
            waits_for_itself(pager.try_with(|_| ()));
            assert!(panic_of(|| pager.read()).contains("would wait for itself"));
        });
        assert_eq!(shared.pager.transact(alloc).expect("a page"), FIRST + 1);
    });
}

/// The lock prefers writers: a reader that came in again behind one waited for
/// it, and it for the reader.
#[test]
fn reader_comes_in_again_while_the_committer_waits() {
    in_time(|| {
        let shared = shared(PageSize::KIB_4);
        let pager = &shared.pager;
        let one = pager.read();
        let promise = pager.submit_transaction(alloc);
        while !pager.0.door.is_closed() {
            thread::yield_now();
        }
        let two = pager.read();
        assert!(pager.try_read().is_some());
        // Somebody else waits for the commit.
        thread::scope(|scope| {
            let other = scope.spawn(|| pager.try_read().is_none());
            assert!(other.join().expect("an answer"));
        });
        assert_eq!(two.stats().expect("figures").regular_pages, 0);
        drop(one);
        assert_eq!(two.stats().expect("figures").regular_pages, 0);
        drop(two);
        assert_eq!(promise.wait_only().expect("a page"), FIRST);
    });
}

/// What waited for the committer was done in one go, and readers saw nothing
/// until it was over: several commits.
#[test]
fn reader_waits_for_one_commit_at_most() {
    in_time(|| {
        for behind in 0..3 {
            let shared = shared(PageSize::KIB_4);
            let alone = |pager: &SharedPager| drop(pager.submit_exclusive(Pager::alloc));
            // Some commits wait behind the one that is on its way.
            let (go, wait) = mpsc::channel::<()>();
            let (started, is_started) = mpsc::channel();
            let busy = shared.pager.submit_exclusive(move |pager| {
                started.send(()).expect("somebody listens");
                wait.recv().expect("it is told to go on");
                pager.alloc()
            });
            is_started.recv().expect("it starts");
            (0..behind).for_each(|_| alone(&shared.pager));
            shared.take_syncs();
            let seen = thread::scope(|scope| {
                let reader = scope.spawn(|| {
                    let reading = shared.pager.read();
                    let seen = reading.stats().expect("figures").regular_pages;
                    (seen, shared.syncs.load(Ordering::Relaxed))
                });
                while shared.pager.0.door.waiting() == 0 {
                    thread::yield_now();
                }
                // Others come later than the reader.
                (0..3).for_each(|_| alone(&shared.pager));
                drop(shared.pager.submit_transaction(alloc));
                go.send(()).expect("it waits");
                reader.join().expect("it reads")
            });
            assert_eq!(seen, (1, 2), "with {behind} behind");
            busy.wait_only().expect("a page");
            let pages = shared.pager.with(|pager| pager.stats());
            assert_eq!(pages.expect("figures").regular_pages, behind + 5);
        }
    });
}

/// Each request that failed after it had changed something had all others
/// start over: with a thousand in a group, a million calls of their closures.
#[test]
fn many_failures_cost_no_more_than_some_runs_each() {
    in_time(|| {
        const COUNT: u64 = 200;
        let shared = shared(PageSize::KIB_4);
        let runs = Arc::new(AtomicU64::new(0));
        let promises: Vec<_> = shared.together(|pager| {
            let submit = |n| {
                let runs = runs.clone();
                pager.submit_transaction(move |tx| {
                    runs.fetch_add(1, Ordering::Relaxed);
                    let id = tx.alloc()?;
                    if n % 2 == 1 {
                        tx.free(NOWHERE)?;
                    }
                    Ok(id)
                })
            };
            (0..COUNT).map(submit).collect()
        });
        let results: Vec<_> = promises.into_iter().map(Promise::wait_only).collect();
        let ids: Vec<u64> = results.iter().flatten().map(|id| id.get()).collect();
        assert_eq!(ids, (FIRST..FIRST + COUNT / 2).collect::<Vec<_>>());
        let mut failed = results.iter().filter_map(|it| it.as_ref().err());
        assert!(failed.all(|it| matches!(it, Error::OutOfRange(NOWHERE))));
        let runs = runs.load(Ordering::Relaxed);
        assert!(runs <= 7 * COUNT, "{runs} runs");
        // They are still committed together.
        let syncs = shared.take_syncs();
        assert!(syncs <= COUNT / 2, "{syncs} syncs");
    });
}

/// A child of a fork has the pager's memory and none of its threads.
#[test]
fn forked_process_is_told_and_not_kept_waiting() {
    in_time(|| {
        let shared = shared(PageSize::KIB_4);
        let parent = &shared.pager.0;
        let child = crate::shared::SharedPager(Arc::new(Handle {
            door: parent.door.clone(),
            queue: parent.queue.clone(),
            committer: Mutex::new(Some(thread::spawn(|| ()))),
            owner: Owner::other(),
        }));
        assert!(matches!(child.transact(alloc), Err(Error::Forked)));
        assert!(matches!(child.try_with(|_| ()), Err(Error::Forked)));
        assert!(panic_of(|| child.with(|_| ())).contains("forked"));
        // The committer was at work when the process was forked.
        let (go, wait) = mpsc::channel();
        let (started, is_started) = mpsc::channel();
        let busy = shared.pager.submit_exclusive(move |_| {
            started.send(()).expect("somebody listens");
            wait.recv()
        });
        is_started.recv().expect("it starts");
        assert!(child.try_read().is_none());
        assert!(panic_of(|| child.read()).contains("forked"));
        #[cfg(feature = "async")]
        {
            use std::task::{Context, Poll, Waker};
            let mut future = std::pin::pin!(child.transact_async(alloc));
            let mut context = Context::from_waker(Waker::noop());
            let Poll::Ready(result) = future.as_mut().poll(&mut context) else {
                panic!("it would never be ready")
            };
            assert!(matches!(result, Err(Error::Forked)));
        }
        drop(child);
        go.send(()).expect("it waits");
        busy.wait_only().expect("it was told to go on");
        // Dropping the child's handle closed nothing.
        assert_eq!(shared.pager.transact(alloc).expect("a page"), FIRST);
    });
}

/// How many calls somebody waits for, other than those of tasks.
fn wait_for_company(pager: &SharedPager, count: usize) {
    while pager.0.queue.len() < count {
        thread::yield_now();
    }
}

/// It was handed to another thread and back: two wake-ups, that took several
/// times as long as the commit.
#[test]
fn lone_caller_commits_on_its_own_thread() {
    in_time(|| {
        let engine = Engine::new().expect("an engine");
        let store = MemoryStore::new(PageSize::KIB_4);
        let pager = engine.create_store(store, 0).expect("a new file");
        let pager = SharedPager::new(pager);
        let here = thread::current().id();
        for _ in 0..3 {
            let there = pager.transact(|tx| tx.alloc().map(|_| thread::current().id()));
            assert_eq!(there.expect("a page"), here);
            assert_eq!(pager.with(|_| thread::current().id()), here);
        }
        let committer = pager.0.committer.lock().expect("nobody panicked");
        assert!(committer.is_none(), "a thread was started");
    });
}

/// Everybody gets what is its own, in fewer commits than there are requests.
#[test]
fn many_threads_get_their_own_results() {
    const THREADS: u64 = 16;
    const TIMES: u64 = 50;
    fn fails(number: u64) -> bool {
        number.is_multiple_of(7)
    }
    let run = |format: Format| {
        let shared = shared_of(format, PageSize::KIB_4);
        let ids = shared.pager.transact(|tx| tx.alloc_protected_many(16));
        let all: Vec<_> = (0..THREADS).map(ProtectedId::new).collect();
        assert_eq!(ids.expect("pages"), all);
        shared.take_syncs();
        let before = shared.pager.read().stats().expect("figures").generation;
        thread::scope(|scope| {
            for id in 0..THREADS {
                let pager = &shared.pager;
                scope.spawn(move || {
                    let page = ProtectedId::new(id);
                    for time in 0..TIMES {
                        let mine = (time << 8) | id;
                        let write = move |tx: &mut Transaction<'_>| {
                            tx.write(page)?[..8].copy_from_slice(&mine.to_le_bytes());
                            if fails(mine) {
                                return Err(Error::Other(mine.to_string()));
                            }
                            Ok(mine)
                        };
                        match pager.transact(write) {
                            Ok(result) => assert!(result == mine && !fails(mine)),
                            Err(Error::Other(text)) => assert_eq!(text, mine.to_string()),
                            Err(error) => panic!("{error}"),
                        }
                        if time % 16 == 0 {
                            pager.with(|pager| pager.protected_page(page).map(drop).expect("it"));
                        }
                    }
                });
            }
        });
        let stats = shared.pager.read().stats().expect("figures");
        let commits = stats.generation - before;
        let failures = (0..THREADS * TIMES)
            .filter(|n| fails(((n / THREADS) << 8) | (n % THREADS)))
            .count() as u64;
        let requests = THREADS * TIMES - failures;
        let syncs = shared.take_syncs();
        match format {
            // A group is a commit.
            Format::Zero => assert!(commits <= requests && syncs == 2 * commits),
            // Each request is one, and a group has a sync.
            _ => assert!(commits == requests && syncs <= commits),
        }
        assert!(!shared.pager.0.queue.is_taken(), "somebody has the role");
    };
    in_time(move || Format::ALL.into_iter().for_each(run));
}

/// Each request comes while the one before it is served: who began would serve
/// all of them.
#[test]
fn role_is_handed_on_after_some_rounds() {
    in_time(|| {
        let shared = shared(PageSize::KIB_4);
        let ran = Mutex::new(Vec::new());
        let ran = Arc::new(ran);
        let (next, nexts): (Vec<_>, Vec<_>) = (0..=2 * ROUNDS_MAX).map(|_| mpsc::channel()).unzip();
        thread::scope(|scope| {
            let mut threads = Vec::new();
            for (n, start) in nexts.into_iter().enumerate() {
                let (pager, ran) = (shared.pager.clone(), ran.clone());
                let next = next.get(n + 1).cloned();
                threads.push(scope.spawn(move || {
                    start.recv().expect("it is started");
                    let handle = pager.clone();
                    let done = pager.transact(move |tx| {
                        let mut ran = ran.lock().unwrap_or_else(PoisonError::into_inner);
                        ran.push(thread::current().id());
                        if let Some(next) = &next {
                            next.send(()).expect("it waits");
                            wait_for_company(&handle, 1);
                        }
                        tx.alloc()
                    });
                    assert_eq!(done.expect("a page"), PageId::new(FIRST + n as u64));
                    thread::current().id()
                }));
            }
            next[0].send(()).expect("it waits");
            let ids: Vec<_> = threads
                .into_iter()
                .map(|thread| thread.join().expect("it ends well"))
                .collect();
            let ran = ran.lock().unwrap_or_else(PoisonError::into_inner);
            let (first, then) = ran.split_at(ROUNDS_MAX);
            assert!(first.iter().all(|id| *id == ids[0]), "{ran:?}");
            // It serves its own first, and as many rounds as the first one.
            let (second, last) = then.split_at(ROUNDS_MAX);
            assert!(second.iter().all(|id| *id == ids[ROUNDS_MAX]), "{ran:?}");
            assert_eq!(last, [ids[2 * ROUNDS_MAX]]);
        });
    });
}

/// Who waits to do something itself gets its turn in between, in order.
#[test]
fn turn_comes_after_what_was_asked_for_before_and_before_the_rest() {
    in_time(|| {
        let shared = shared(PageSize::KIB_4);
        let (pager, order) = (&shared.pager, &Mutex::new(Vec::new()));
        let note = |what: &'static str| {
            let mut order = order.lock().unwrap_or_else(PoisonError::into_inner);
            order.push((what, thread::current().id()));
        };
        thread::scope(|scope| {
            let (go, wait) = mpsc::channel();
            let (started, is_started) = mpsc::channel();
            scope.spawn(move || {
                pager.with(|_| {
                    started.send(()).expect("somebody listens");
                    wait.recv().expect("it is told to go on");
                });
            });
            is_started.recv().expect("it starts");
            let one = pager.submit_transaction(alloc);
            let turn = scope.spawn(move || {
                pager.with(|pager| {
                    note("turn");
                    let pages = pager.stats().expect("figures").regular_pages;
                    (pages, thread::current().id())
                })
            });
            wait_for_company(pager, 2);
            let two = pager.submit_transaction(alloc);
            go.send(()).expect("it waits");
            let (pages, id) = turn.join().expect("it ends well");
            assert_eq!(pages, 1, "what came before, and nothing else");
            assert_eq!(
                *order.lock().expect("nobody panicked"),
                [("turn", id)],
                "on the thread that asked"
            );
            assert_eq!(one.wait_only().expect("a page"), FIRST);
            assert_eq!(two.wait_only().expect("a page"), FIRST + 1);
        });
    });
}

/// A panic of a turn is its caller's, and what waited behind it is served.
#[test]
fn panic_of_a_turn_hands_the_role_on() {
    in_time(|| {
        let shared = shared(PageSize::KIB_4);
        let pager = &shared.pager;
        let mut behind = None;
        let text = panic_of(|| {
            pager.with(|_| -> () {
                behind = Some(pager.submit_transaction(alloc));
                panic!("a bug of the caller's")
            });
        });
        assert_eq!(text, "a bug of the caller's");
        assert_eq!(behind.expect("it ran").wait_only().expect("a page"), FIRST);
        assert!(!pager.0.queue.is_taken());
    });
}
