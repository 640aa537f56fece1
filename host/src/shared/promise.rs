//! [`Promise`]: a value that another thread will supply, to be waited for by a
//! thread or by a task.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
#[cfg(feature = "async")]
use std::task::Waker;
use std::thread::Result;

/// The end that waits.
#[derive(Debug)]
pub(super) struct Promise<T>(Arc<Cell<T>>);

/// The end that supplies the value, or the panic that there is instead.
#[derive(Debug)]
pub(super) struct Fulfil<T>(Arc<Cell<T>>);

#[derive(Debug)]
struct Cell<T> {
    state: Mutex<State<T>>,
    ready: Condvar,
}

#[derive(Debug)]
struct State<T> {
    value: Option<Result<T>>,
    #[cfg(feature = "async")]
    waker: Option<Waker>,
}

impl<T> Cell<T> {
    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) fn promise<T>() -> (Fulfil<T>, Promise<T>) {
    let cell = Arc::new(Cell {
        state: Mutex::new(State {
            value: None,
            #[cfg(feature = "async")]
            waker: None,
        }),
        ready: Condvar::new(),
    });
    (Fulfil(cell.clone()), Promise(cell))
}

impl<T> Fulfil<T> {
    pub(super) fn fulfil(self, value: Result<T>) {
        let mut state = self.0.state();
        state.value = Some(value);
        #[cfg(feature = "async")]
        if let Some(waker) = state.waker.take() {
            drop(state);
            waker.wake();
            return;
        }
        drop(state);
        self.0.ready.notify_one();
    }
}

/// Goes on with a panic where it belongs.
fn value<T>(value: Result<T>) -> T {
    value.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

impl<T> Promise<T> {
    /// Blocks the thread until the value is there.
    pub(super) fn wait(self) -> T {
        let mut state = self.0.state();
        loop {
            if let Some(found) = state.value.take() {
                drop(state);
                return value(found);
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
        let mut state = self.0.0.state();
        if let Some(found) = state.value.take() {
            drop(state);
            return std::task::Poll::Ready(value(found));
        }
        state.waker = Some(context.waker().clone());
        std::task::Poll::Pending
    }
}
