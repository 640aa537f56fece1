//! What waits together is committed together, and each request fails alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;

use pagebox_store::{
    Change, Geometry, MemoryStore, PageBuffer, PageSize, PageStore, StoreError, Then,
};

use crate::shared::promise::Promise;
use crate::{Engine, Error, Pager, SharedPager, Store, Transaction};

/// A store in memory whose syncs are counted, and fail on demand.
struct Counted {
    inner: MemoryStore,
    syncs: Arc<AtomicU64>,
    fails: Arc<AtomicBool>,
}

impl PageStore for Counted {
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
        if then == Then::Sync {
            self.syncs.fetch_add(1, Ordering::Relaxed);
            if self.fails.load(Ordering::Relaxed) {
                return Err(StoreError::Io(Some("the disk is on fire".into())));
            }
        }
        self.inner.write(changes, then)
    }

    fn grow(&mut self, page_count: u64) -> Result<Geometry, StoreError> {
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
}

fn shared(page_size: PageSize) -> Shared {
    let store = Counted {
        inner: MemoryStore::new(page_size),
        syncs: Arc::default(),
        fails: Arc::default(),
    };
    let (syncs, fails) = (store.syncs.clone(), store.fails.clone());
    let engine = Engine::new().expect("an engine");
    let pager = engine.create_store(store, 0).expect("a new file");
    Shared {
        pager: SharedPager::new(pager).expect("a thread"),
        syncs,
        fails,
    }
}

impl Shared {
    fn take_syncs(&self) -> u64 {
        self.syncs.swap(0, Ordering::Relaxed)
    }

    /// Lets requests pile up, and then has them served.
    fn together<R>(&self, submit: impl FnOnce(&SharedPager) -> R) -> R {
        let (go, wait) = mpsc::channel();
        let busy = self.pager.submit_exclusive(move |_| wait.recv());
        let submitted = submit(&self.pager);
        self.take_syncs();
        go.send(()).expect("the committer is waiting");
        busy.wait().expect("it was told to go on");
        submitted
    }
}

fn alloc(tx: &mut Transaction<'_>) -> Result<u64, Error> {
    tx.alloc()
}

#[test]
fn requests_that_wait_together_take_two_syncs() {
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
    let ids: Vec<u64> = promises
        .into_iter()
        .map(|promise| promise.wait().expect("a page"))
        .collect();
    assert_eq!(shared.take_syncs(), 2);
    assert_eq!(ids, (0..64).collect::<Vec<_>>());
    let pager = shared.pager.read();
    for (id, n) in ids.into_iter().zip(1..) {
        let page = pager.protected_page(id).expect("the page");
        assert_eq!(page, [n; 4096], "protected page {id}");
    }
}

#[test]
fn one_request_takes_two_syncs_and_an_idle_pager_none() {
    let shared = shared(PageSize::KIB_4);
    assert_eq!(shared.take_syncs(), 1, "creation");
    shared.pager.transact(alloc).expect("a page");
    assert_eq!(shared.take_syncs(), 2);
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
                tx.free(9999)
            }),
            pager.submit_transaction(alloc),
        )
    });
    assert_eq!(good.wait().expect("a page"), 3);
    assert!(matches!(bad.wait(), Err(Error::OutOfRange(9999))));
    assert_eq!(other.wait().expect("a page"), 4);
    assert_eq!(shared.take_syncs(), 2, "the others were one commit");
    let stats = shared.pager.read().stats().expect("figures");
    assert_eq!(stats.regular_pages, 2);
}

#[test]
fn request_that_fails_for_lack_of_what_others_took_is_tried_again() {
    let shared = shared(PageSize::KIB_1);
    let limit = shared.pager.read().stats().expect("figures").page_limit;
    let count = u32::try_from(limit - 3).expect("it is a small file");
    let fill = move |tx: &mut Transaction<'_>| tx.alloc_many(count);
    shared.pager.transact(fill).expect("all pages");
    // A page that a transaction frees is nobody's before it is durable.
    let (free, taken) = shared.together(|pager| {
        let free = pager.submit_transaction(|tx| tx.free(100));
        (free, pager.submit_transaction(alloc))
    });
    free.wait().expect("it was in use");
    assert_eq!(taken.wait().expect("it is free now"), 100);
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
    assert_eq!(good.wait().expect("a page"), 3);
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| bad.wait()));
    assert!(panic.is_err());
    assert_eq!(shared.pager.transact(alloc).expect("a page"), 4);
}

#[test]
fn failed_sync_fails_the_whole_group_until_reopened() {
    let shared = shared(PageSize::KIB_4);
    shared.fails.store(true, Ordering::Relaxed);
    let promises: Vec<_> =
        shared.together(|pager| (0..3).map(|_| pager.submit_transaction(alloc)).collect());
    for promise in promises {
        let result = promise.wait();
        assert!(matches!(result, Err(Error::Store { .. })), "{result:?}");
    }
    shared.fails.store(false, Ordering::Relaxed);
    let result = shared.pager.transact(alloc);
    assert!(matches!(result, Err(Error::Poisoned)), "{result:?}");
    let reopened = shared.pager.with(Pager::reopen);
    reopened.expect("the store is well again");
    assert_eq!(shared.pager.transact(alloc).expect("a page"), 3);
}

#[test]
fn dropping_the_last_handle_serves_what_waits() {
    let Shared { pager, syncs, .. } = shared(PageSize::KIB_4);
    let promise = pager.submit_transaction(alloc);
    drop(pager);
    // The committer is gone, and so it has been served.
    assert_eq!(syncs.load(Ordering::Relaxed), 3);
    assert_eq!(promise.wait().expect("a page"), 3);
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
    done.wait();
}

#[test]
fn reader_sees_whole_groups_only() {
    let shared = shared(PageSize::KIB_4);
    let ids = shared.pager.transact(|tx| tx.alloc_protected_many(2));
    let ids = ids.expect("two pages");
    std::thread::scope(|scope| {
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

    /// The smallest executor: it sleeps until it is woken.
    fn block_on<F: Future>(future: F) -> F::Output {
        struct Unpark(Thread);
        impl Wake for Unpark {
            fn wake(self: Arc<Self>) {
                self.0.unpark();
            }
        }
        let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
        let mut context = Context::from_waker(&waker);
        let mut future = pin!(future);
        loop {
            if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
                return output;
            }
            std::thread::park();
        }
    }

    #[test]
    fn futures_that_wait_together_take_two_syncs() {
        let shared = shared(PageSize::KIB_4);
        let futures: Vec<_> =
            shared.together(|pager| (0..64).map(|_| pager.transact_async(alloc)).collect());
        for (future, page) in futures.into_iter().zip(3..) {
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
        assert_eq!(block_on(future).expect("a page"), 3);
    }

    #[test]
    fn dropped_future_does_not_take_its_request_back() {
        let shared = shared(PageSize::KIB_4);
        drop(shared.pager.transact_async(alloc));
        let pages = block_on(shared.pager.with_async(|pager| pager.stats()));
        assert_eq!(pages.expect("figures").regular_pages, 1);
    }
}
