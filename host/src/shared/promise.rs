//! [`Promise`]: a value that another thread will supply, to be waited for by a
//! thread or by a task. One that nobody can supply any more is an error, so
//! nobody waits for ever.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
#[cfg(feature = "async")]
use std::task::Waker;
use std::thread::Result;

#[cfg(feature = "async")]
use crate::owner::Owner;
use crate::shared::contain::contain;
use crate::{Error, StoreError};

/// How an error is told to who waits for a `T`: as a value or as a panic.
pub(super) type Tell<T> = fn(Error) -> Result<T>;

/// The end that waits.
#[derive(Debug)]
pub(super) struct Promise<T>(Arc<Cell<T>>);

/// The end that supplies the value, or the panic that there is instead.
/// Dropped without, it supplies an error.
#[derive(Debug)]
pub(super) struct Fulfil<T>(Arc<Cell<T>>);

#[derive(Debug)]
struct Cell<T> {
    state: Mutex<State<T>>,
    ready: Condvar,
    tell: Tell<T>,
    #[cfg(feature = "async")]
    owner: Owner,
}

#[derive(Debug)]
struct State<T> {
    value: Option<Result<T>>,
    /// There was a value, which may have been taken.
    answered: bool,
    /// What else a thread that waits is woken for.
    role: Role,
    #[cfg(feature = "async")]
    waker: Option<Waker>,
}

/// The role of who serves requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// No thread waits that could take it.
    Refused,
    Taken,
    /// It is for the thread that waits.
    Offered,
}

impl<T> Cell<T> {
    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) fn promise<T>(tell: Tell<T>) -> (Fulfil<T>, Promise<T>) {
    let cell = Arc::new(Cell {
        state: Mutex::new(State {
            value: None,
            answered: false,
            role: Role::Refused,
            #[cfg(feature = "async")]
            waker: None,
        }),
        ready: Condvar::new(),
        tell,
        #[cfg(feature = "async")]
        owner: Owner::here(),
    });
    (Fulfil(cell.clone()), Promise(cell))
}

impl<T> Fulfil<T> {
    pub(super) fn fulfil(self, value: Result<T>) {
        self.supply(value);
    }

    /// Wakes the thread that waits, to serve; whether there is one.
    pub(super) fn offer_role(&self) -> bool {
        let mut state = self.0.state();
        if state.role == Role::Refused {
            return false;
        }
        state.role = Role::Offered;
        drop(state);
        self.0.ready.notify_one();
        true
    }

    /// Supplies an error.
    #[cfg(feature = "async")]
    pub(super) fn refuse(self, error: Error) {
        self.supply((self.0.tell)(error));
    }

    fn supply(&self, value: Result<T>) {
        let mut state = self.0.state();
        state.answered = true;
        state.value = Some(value);
        #[cfg(feature = "async")]
        let waker = state.waker.take();
        drop(state);
        self.0.ready.notify_one();
        // What it wakes may panic, and this may be unwinding already.
        #[cfg(feature = "async")]
        contain(|| waker.map_or((), Waker::wake));
    }
}

impl<T> Drop for Fulfil<T> {
    fn drop(&mut self) {
        if !self.0.state().answered {
            contain(|| self.supply((self.0.tell)(abandoned())));
        }
    }
}

/// The error where a request was dropped.
fn abandoned() -> Error {
    Error::Store {
        operation: "committing".into(),
        cause: StoreError::Other(Some(
            "a panic ended it, so what came of it is not known".into(),
        )),
    }
}

/// Goes on with a panic where it belongs.
fn value<T>(value: Result<T>) -> T {
    value.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

impl<T> Promise<T> {
    /// Blocks the thread until the value is there.
    #[cfg(test)]
    pub(super) fn wait_only(self) -> T {
        self.wait(|| ())
    }

    /// Notes that a thread is going to wait, which can be woken to serve.
    pub(super) fn take_roles(&self) {
        self.0.state().role = Role::Taken;
    }

    /// Blocks the thread until the value is there. Meanwhile it serves where it
    /// is asked to.
    pub(super) fn wait(self, serve: impl FnMut()) -> T {
        value(self.wait_answer(serve))
    }

    /// The same, with the panic that there may be instead.
    pub(super) fn wait_answer(self, mut serve: impl FnMut()) -> Result<T> {
        let mut state = self.0.state();
        loop {
            if let Some(found) = state.value.take() {
                return found;
            }
            if state.role == Role::Offered {
                state.role = Role::Taken;
                drop(state);
                serve();
                state = self.0.state();
                continue;
            }
            state = self
                .0
                .ready
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// The result of a request to a [`SharedPager`](crate::SharedPager), once it is
/// there. Works with any executor.
///
/// # Panics
/// When polled, if the request panicked, or if it was ready before.
#[cfg(feature = "async")]
#[derive(Debug)]
#[must_use = "the request is made, but its result is not known"]
pub struct Pending<T>(Promise<T>);

#[cfg(feature = "async")]
impl<T> Pending<T> {
    pub(super) fn new(promise: Promise<T>) -> Self {
        Self(promise)
    }
}

#[cfg(feature = "async")]
impl<T> Future for Pending<T> {
    type Output = T;

    fn poll(
        self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<T> {
        use std::task::Poll;
        let cell = &self.0.0;
        if !cell.owner.is_here() {
            // Nobody is here to supply it, and the state may be locked for ever.
            return Poll::Ready(value((cell.tell)(Error::Forked)));
        }
        let waker = context.waker().clone();
        let mut state = cell.state();
        if let Some(found) = state.value.take() {
            drop(state);
            return Poll::Ready(value(found));
        }
        assert!(!state.answered, "the request was ready before");
        let before = state.waker.replace(waker);
        drop(state);
        // It is the executor's: what dropping it does is not done under a lock.
        drop(before);
        Poll::Pending
    }
}
