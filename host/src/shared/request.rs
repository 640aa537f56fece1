//! What is asked of the committer. A request keeps what it came to until it is
//! known whether that is durable.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use crate::shared::promise::{Fulfil, Promise, promise};
use crate::{Error, Pager, Transaction};

pub(super) enum Request {
    Transaction(Box<dyn InTransactionRequest>),
    Exclusive(Box<dyn ExclusiveRequest>),
}

/// A part of a transaction.
pub(super) trait InTransactionRequest: Send {
    /// Does its part, perhaps again; whether it could.
    fn run(&mut self, tx: &mut Transaction<'_>) -> bool;

    /// Hands out what the last run came to: it is durable, if it was to be.
    fn finish(self: Box<Self>);

    /// Hands out an error instead.
    fn fail(self: Box<Self>, error: Error);
}

/// Something to be done with the whole pager.
pub(super) trait ExclusiveRequest: Send {
    /// Does it and hands out the result.
    fn run(self: Box<Self>, pager: &mut Pager);
}

pub(super) struct InTransaction<R, F> {
    f: F,
    /// What the last run came to.
    result: Option<thread::Result<Result<R, Error>>>,
    fulfil: Fulfil<Result<R, Error>>,
}

impl<R, F> InTransaction<R, F> {
    pub(super) fn new(f: F) -> (Self, Promise<Result<R, Error>>) {
        let (fulfil, promise) = promise();
        let request = Self {
            f,
            result: None,
            fulfil,
        };
        (request, promise)
    }
}

impl<R, F> InTransactionRequest for InTransaction<R, F>
where
    R: Send,
    F: FnMut(&mut Transaction<'_>) -> Result<R, Error> + Send,
{
    fn run(&mut self, tx: &mut Transaction<'_>) -> bool {
        // After a panic nobody sees the transaction any more, nor the closure.
        let result = catch_unwind(AssertUnwindSafe(|| (self.f)(tx)));
        matches!(self.result.insert(result), Ok(Ok(_)))
    }

    fn finish(self: Box<Self>) {
        if let Some(result) = self.result {
            self.fulfil.fulfil(result);
        }
    }

    fn fail(self: Box<Self>, error: Error) {
        self.fulfil.fulfil(Ok(Err(error)));
    }
}

pub(super) struct Exclusive<R, F> {
    f: F,
    fulfil: Fulfil<R>,
}

impl<R, F> Exclusive<R, F> {
    pub(super) fn new(f: F) -> (Self, Promise<R>) {
        let (fulfil, promise) = promise();
        (Self { f, fulfil }, promise)
    }
}

impl<R, F> ExclusiveRequest for Exclusive<R, F>
where
    R: Send,
    F: FnOnce(&mut Pager) -> R + Send,
{
    fn run(self: Box<Self>, pager: &mut Pager) {
        // The pager's own calls leave it in order; what the closure had of its
        // own is gone with it.
        let Self { f, fulfil } = *self;
        fulfil.fulfil(catch_unwind(AssertUnwindSafe(|| f(pager))));
    }
}
