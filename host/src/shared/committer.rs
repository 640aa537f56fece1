//! How the thread that has the role serves requests.
//!
//! Where the file has deferred commits, each request of a group is one, in the
//! order in which they came, and one sync makes all of them durable: one that
//! fails is undone by itself.
//!
//! Where it has none (format 0), a group is committed like this:
//! 1. Every request does its part in one transaction. One that fails is set
//!    aside; if it had changed something by then, the others start over without
//!    it. After some of that those before it are the group, and those behind it
//!    the next one: what many failures cost grows with the number of requests,
//!    not with its square.
//! 2. The transaction is committed, and all in it get their results.
//! 3. Those set aside are tried again, each in a transaction of its own: in
//!    company they may have failed for lack of what the others took. What they
//!    come to now is theirs.
//!
//! Readers are let in between any two commits. Whatever panics, a caller's
//! closure, its values or the store, it goes on: the pager has its
//! store back, is poisoned where it has to be, and everybody gets an answer.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::shared::contain::message;
use crate::shared::door::Door;
#[cfg(any(test, feature = "async"))]
use crate::shared::request::ExclusiveRequest;
use crate::shared::request::{InTransactionRequest, Request};
use crate::{Error, Pager, StoreError};

/// More than this many requests are not committed together: what they stage
/// takes memory.
pub(super) const GROUP_MAX: usize = 1024;

/// How often a group starts over without the request that failed.
const RESTARTS_MAX: usize = 4;

type Group = Vec<Box<dyn InTransactionRequest>>;

/// Serves requests, in the order in which they came.
pub(super) fn serve(door: &Door, requests: Vec<Request>) {
    let mut group = Group::new();
    for request in requests {
        match request {
            Request::Transaction(request) => group.push(request),
            #[cfg(any(test, feature = "async"))]
            Request::Exclusive(request) => {
                commit(door, std::mem::take(&mut group));
                run_exclusive(door, request);
            }
            // The queue hands it out in another way.
            Request::Turn(_) => {}
        }
    }
    commit(door, group);
}

#[cfg(any(test, feature = "async"))]
fn run_exclusive(door: &Door, mut request: Box<dyn ExclusiveRequest>) {
    request.run(&mut door.write());
    request.finish();
}

/// Commits a group.
fn commit(door: &Door, group: Group) {
    if group.len() > 1 && door.can_defer() {
        commit_in_turn(door, group);
    } else {
        commit_at_once(door, group);
    }
}

/// Commits each request of a group by itself, and makes all of them durable.
fn commit_in_turn(door: &Door, mut group: Group) {
    let mut failed = Vec::new();
    let done = told(|| {
        let mut pager = door.write();
        let mut index = 0;
        let mut is_sync_asked_for = false;
        while let Some(request) = group.get_mut(index) {
            let error = match commit_deferred(&mut pager, request) {
                Ok(true) => {
                    is_sync_asked_for |= !request.is_deferred();
                    index += 1;
                    continue;
                }
                Ok(false) => None,
                // Where the pager goes on, it is this one's alone: those before
                // it are committed.
                Err(error) if pager.begin().is_ok() => Some(error),
                Err(error) => return Err(error),
            };
            failed.push((group.remove(index), error));
        }
        if is_sync_asked_for && pager.has_deferred() {
            pager.sync()?;
        }
        Ok(())
    });
    for request in group {
        match &done {
            Ok(()) => request.finish(),
            Err(error) => request.fail(error.clone()),
        }
    }
    for (request, error) in failed {
        match error {
            Some(error) => request.fail(error),
            None => request.finish(),
        }
    }
}

/// Commits a request by itself; false: it failed, and did nothing.
fn commit_deferred(
    pager: &mut Pager,
    request: &mut Box<dyn InTransactionRequest>,
) -> Result<bool, Error> {
    let mut tx = pager.begin()?;
    if !request.run(&mut tx) {
        return Ok(false);
    }
    tx.commit_deferred().map(|_| true)
}

/// Commits a group in one transaction.
fn commit_at_once(door: &Door, mut group: Group) {
    while group.len() > 1 {
        let mut parts = Parts::default();
        let done = told(|| commit_together(&mut door.write(), &mut group, &mut parts));
        let mut alone = parts.aside;
        match done {
            Ok(()) => group.drain(..).for_each(InTransactionRequest::finish),
            // Nothing was written: perhaps one of them asks for too much.
            Err(error) if leaves_ready(&error) => {
                alone = group.drain(..).chain(alone).collect();
            }
            Err(error) => group
                .drain(..)
                .for_each(|request| request.fail(error.clone())),
        }
        for request in alone {
            commit_alone(door, request);
        }
        group = parts.rest;
    }
    for request in group {
        commit_alone(door, request);
    }
}

/// What is not committed with a group.
#[derive(Default)]
struct Parts {
    /// Those that failed.
    aside: Group,
    /// Those behind them, for the next group.
    rest: Group,
}

/// Steps 1 and 2. `group` keeps those that are committed.
fn commit_together(pager: &mut Pager, group: &mut Group, parts: &mut Parts) -> Result<(), Error> {
    let mut restarts = 0;
    loop {
        let mut tx = pager.begin()?;
        let mut index = 0;
        let mut tainted = false;
        while index < group.len() && !tainted {
            let before = tx.operations();
            if group[index].run(&mut tx) {
                index += 1;
            } else {
                tainted = tx.operations() != before;
                parts.aside.push(group.remove(index));
            }
        }
        if !tainted {
            return tx.commit().map(drop);
        }
        restarts += 1;
        if restarts == RESTARTS_MAX {
            parts.rest = group.split_off(index);
        } else if restarts > RESTARTS_MAX {
            // They did well before, in the same company: they are not to be
            // relied upon.
            parts.aside.append(group);
        }
    }
}

/// A request that is its own group.
fn commit_alone(door: &Door, mut request: Box<dyn InTransactionRequest>) {
    let committed = told(|| {
        let mut pager = door.write();
        let mut tx = pager.begin()?;
        if !request.run(&mut tx) {
            Ok(())
        } else if request.is_deferred() {
            tx.commit_deferred().map(drop)
        } else {
            tx.commit().map(drop)
        }
    });
    match committed {
        Ok(()) => request.finish(),
        Err(error) => request.fail(error),
    }
}

/// Does something with the pager. A panic, which comes out of its store, is an
/// error for those who asked for it: there may be many, and there is one panic.
fn told(f: impl FnOnce() -> Result<(), Error>) -> Result<(), Error> {
    catch_unwind(AssertUnwindSafe(f)).unwrap_or_else(|panic| {
        let text = format!("the store panicked: {}", message(&*panic));
        std::mem::forget(panic);
        Err(Error::Store {
            operation: "committing".into(),
            cause: StoreError::Other(Some(text)),
        })
    })
}

/// Whether nothing was written when a commit failed so.
fn leaves_ready(error: &Error) -> bool {
    matches!(
        error,
        Error::Full(_)
            | Error::DirectoryFull(_)
            | Error::Store {
                cause: StoreError::InsufficientSpace,
                ..
            }
    )
}
