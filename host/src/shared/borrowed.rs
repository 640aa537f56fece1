//! [`lend`]: a request that borrows, in a queue that other threads serve.

use std::thread;

use crate::shared::request::InTransactionRequest;

/// Lets `wait` hand out a request that borrows, to threads that know nothing of for how
/// long. It must not return before the request is answered; a panic of it ends the
/// process, since nobody could say whether one of them has it still.
///
/// Nothing of a request is left when its answer is there: its closure and what it came
/// to are dropped, or moved into the answer, before the answer is given, also where it
/// is dropped unserved ([`InTransaction`]).
///
/// [`InTransaction`]: crate::shared::request::InTransaction
pub(super) fn lend<'r, T>(
    request: Box<dyn InTransactionRequest + 'r>,
    wait: impl FnOnce(Box<dyn InTransactionRequest>) -> thread::Result<T>,
) -> thread::Result<T> {
    let ending = Ending;
    #[expect(unsafe_code, reason = "the compiler does not see that this waits")]
    // SAFETY: only the lifetime changes. `wait` returns when the request is answered,
    // and then nothing that borrows is left of it. It does not unwind past `ending`.
    let request = unsafe {
        std::mem::transmute::<
            Box<dyn InTransactionRequest + 'r>,
            Box<dyn InTransactionRequest + 'static>,
        >(request)
    };
    let result = wait(request);
    std::mem::forget(ending);
    result
}

/// Dropped while a panic unwinds, it ends the process.
struct Ending;

impl Drop for Ending {
    fn drop(&mut self) {
        std::process::abort();
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::thread;

    use crate::{Engine, Error, Format, MemoryStore, NewFile, PageSize, SharedPager};

    /// Is counted in a place that is its caller's: after the caller went on there is no
    /// such place.
    struct Counted<'c>(&'c AtomicU64);

    impl<'c> Counted<'c> {
        fn new(count: &'c AtomicU64) -> Self {
            count.fetch_add(1, Ordering::Relaxed);
            Self(count)
        }
    }

    impl Drop for Counted<'_> {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::Relaxed);
        }
    }

    fn shared(format: Format) -> SharedPager {
        let engine = Engine::new().expect("an engine");
        let new = NewFile {
            format,
            ..NewFile::default()
        };
        let store = MemoryStore::new(PageSize::KIB_1);
        SharedPager::new(engine.create_store(store, new).expect("a new file"))
    }

    /// What a thread asks for in its turn: it is done, refused, or panics.
    fn ask(pager: &SharedPager, turn: u64) {
        let count = AtomicU64::new(0);
        let asked = catch_unwind(AssertUnwindSafe(|| {
            let (count, captured) = (&count, Counted::new(&count));
            pager.transact(move |tx| {
                let _ = &captured;
                tx.alloc_protected()?;
                assert_ne!(turn % 3, 2, "as it is to be");
                match turn % 3 {
                    0 => Ok(Counted::new(count)),
                    _ => Err(Error::Other("as it is to be".into())),
                }
            })
        }));
        // Nothing of the closure is left anywhere; its result is here.
        let is_done = matches!(asked, Ok(Ok(_)));
        assert_eq!(count.load(Ordering::Relaxed), u64::from(is_done));
        match (turn % 3, &asked) {
            (0, Ok(Ok(_))) | (1, Ok(Err(Error::Other(_)))) | (2, Err(_)) => {}
            _ => panic!("turn {turn} came to something else"),
        }
        drop(asked);
        assert_eq!(count.into_inner(), 0);
    }

    #[test]
    fn closures_and_results_borrow_from_threads_that_wait() {
        for format in [Format::Zero, Format::One] {
            let pager = shared(format);
            let (threads, turns) = (8, 60);
            thread::scope(|scope| {
                for thread in 0..threads {
                    let pager = &pager;
                    scope.spawn(move || (0..turns).for_each(|turn| ask(pager, thread + turn)));
                }
            });
            let protected = pager.read().stats().expect("figures").protected_pages;
            assert_eq!(protected, threads * turns / 3);
        }
    }
}
