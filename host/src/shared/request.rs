//! What is asked of a shared pager. A request keeps what it came to until it is
//! known whether that is durable.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

#[cfg(any(test, feature = "async"))]
use crate::Pager;
use crate::shared::contain::{Theirs, contain};
use crate::shared::promise::{Fulfil, Promise, promise};
use crate::{Error, Transaction};

pub(super) enum Request {
    Transaction(Box<dyn InTransactionRequest>),
    #[cfg(any(test, feature = "async"))]
    Exclusive(Box<dyn ExclusiveRequest>),
    /// A thread waits to have the pager for itself: for the role.
    Turn(Fulfil<()>),
}

impl Request {
    /// Hands the role to the thread that waits for this; whether there is one.
    pub(super) fn offer_role(&self) -> bool {
        match self {
            Self::Transaction(request) => request.offer_role(),
            #[cfg(any(test, feature = "async"))]
            Self::Exclusive(_) => false,
            // Its turn has to come first.
            Self::Turn(_) => false,
        }
    }
}

/// A part of a transaction.
pub(super) trait InTransactionRequest: Send {
    /// Does its part, perhaps again; whether it could.
    fn run(&mut self, tx: &mut Transaction<'_>) -> bool;

    /// Whether it need not be durable when it is answered.
    fn is_deferred(&self) -> bool;

    /// Hands out what the last run came to: it is durable, if it was to be.
    fn finish(self: Box<Self>);

    /// Hands out an error instead, where the last run did not panic.
    fn fail(self: Box<Self>, error: Error);

    /// Hands the role to the thread that waits; whether there is one.
    fn offer_role(&self) -> bool;
}

/// Something to be done with the whole pager.
#[cfg(any(test, feature = "async"))]
pub(super) trait ExclusiveRequest: Send {
    /// Does it.
    fn run(&mut self, pager: &mut Pager);

    /// Hands out what it came to.
    fn finish(self: Box<Self>);
}

thread_local! {
    /// Whether this thread is in the closure of a request.
    static IN_CLOSURE: Cell<bool> = const { Cell::new(false) };
}

/// Whether this is called by the closure of a request.
#[cfg(feature = "async")]
pub(super) fn is_in_closure() -> bool {
    IN_CLOSURE.get()
}

/// Calls the closure of a request, which may panic.
pub(super) fn call<R>(f: impl FnOnce() -> R) -> thread::Result<R> {
    // After a panic nobody sees what it had of its own any more, and the
    // pager's own calls leave that in order.
    let before = IN_CLOSURE.replace(true);
    let result = catch_unwind(AssertUnwindSafe(f));
    IN_CLOSURE.set(before);
    result
}

pub(super) struct InTransaction<R, F> {
    f: Theirs<F>,
    /// What the last run came to.
    result: Theirs<thread::Result<Result<R, Error>>>,
    fulfil: Fulfil<Result<R, Error>>,
    is_deferred: bool,
}

impl<R, F> InTransaction<R, F> {
    pub(super) fn new(f: F, is_deferred: bool) -> (Self, Promise<Result<R, Error>>) {
        let (fulfil, promise) = promise(|error| Ok(Err(error)));
        let request = Self {
            f: Theirs::new(f),
            result: Theirs::none(),
            fulfil,
            is_deferred,
        };
        (request, promise)
    }

    /// An error instead of a request.
    #[cfg(feature = "async")]
    pub(super) fn refused(error: Error) -> Promise<Result<R, Error>> {
        let (fulfil, promise) = promise(|error| Ok(Err(error)));
        fulfil.refuse(error);
        promise
    }
}

impl<R, F> InTransactionRequest for InTransaction<R, F>
where
    R: Send,
    F: FnMut(&mut Transaction<'_>) -> Result<R, Error> + Send,
{
    fn run(&mut self, tx: &mut Transaction<'_>) -> bool {
        let Some(f) = self.f.get_mut() else {
            return false;
        };
        let result = call(|| f(tx));
        let is_done = matches!(result, Ok(Ok(_)));
        self.result.set(result);
        is_done
    }

    fn is_deferred(&self) -> bool {
        self.is_deferred
    }

    fn finish(self: Box<Self>) {
        let Self {
            mut f,
            mut result,
            fulfil,
            is_deferred: _,
        } = *self;
        // When the caller goes on, nothing of its closure is left. Should that
        // panic here, what became durable is not told as anything else.
        f.clear();
        if let Some(result) = result.take() {
            // The value is dropped here if nobody waits for it any more.
            contain(|| fulfil.fulfil(result));
        }
    }

    fn fail(mut self: Box<Self>, error: Error) {
        if !matches!(self.result.get_mut(), Some(Err(_))) {
            self.result.set(Ok(Err(error)));
        }
        self.finish();
    }

    fn offer_role(&self) -> bool {
        self.fulfil.offer_role()
    }
}

#[cfg(any(test, feature = "async"))]
pub(super) struct Exclusive<R, F> {
    f: Theirs<F>,
    result: Theirs<thread::Result<R>>,
    fulfil: Fulfil<R>,
}

#[cfg(any(test, feature = "async"))]
/// An error where only a panic can tell of it.
#[expect(clippy::needless_pass_by_value, reason = "as promises take it")]
fn panic<R>(error: Error) -> thread::Result<R> {
    Err(Box::new(error.to_string()))
}

#[cfg(any(test, feature = "async"))]
impl<R, F> Exclusive<R, F> {
    pub(super) fn new(f: F) -> (Self, Promise<R>) {
        let (fulfil, promise) = promise(panic);
        let request = Self {
            f: Theirs::new(f),
            result: Theirs::none(),
            fulfil,
        };
        (request, promise)
    }

    /// A panic instead of a request.
    #[cfg(feature = "async")]
    pub(super) fn refused(error: Error) -> Promise<R> {
        let (fulfil, promise) = promise(panic);
        fulfil.refuse(error);
        promise
    }
}

#[cfg(any(test, feature = "async"))]
impl<R, F> ExclusiveRequest for Exclusive<R, F>
where
    R: Send,
    F: FnOnce(&mut Pager) -> R + Send,
{
    fn run(&mut self, pager: &mut Pager) {
        if let Some(f) = self.f.take() {
            self.result.set(call(|| f(pager)));
        }
    }

    fn finish(self: Box<Self>) {
        let Self {
            mut result, fulfil, ..
        } = *self;
        if let Some(result) = result.take() {
            contain(|| fulfil.fulfil(result));
        }
    }
}
