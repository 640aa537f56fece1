//! The committer: the one thread that changes a shared pager.
//!
//! A group is committed like this:
//! 1. Every request does its part in one transaction. One that fails is set
//!    aside; if it had changed something by then, the others start over without
//!    it.
//! 2. The transaction is committed, and all in it get their results.
//! 3. Those set aside are tried again, each in a transaction of its own: in
//!    company they may have failed for lack of what the others took. What they
//!    come to now is theirs.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, RwLock};

use crate::shared::request::{InTransactionRequest, Request};
use crate::{Error, Pager, StoreError};

/// More than this many requests are not committed together: what they stage
/// takes memory.
const GROUP_MAX: usize = 1024;

/// Requests, in the order in which they came.
#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    arrived: Condvar,
}

#[derive(Default)]
struct State {
    waiting: Vec<Request>,
    /// There is nobody left to ask for anything.
    closed: bool,
}

type Group = Vec<Box<dyn InTransactionRequest>>;

impl Queue {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn push(&self, request: Request) {
        let mut state = self.state();
        state.waiting.push(request);
        // The committer sleeps only where nothing waits.
        if state.waiting.len() == 1 {
            drop(state);
            self.arrived.notify_one();
        }
    }

    pub(super) fn close(&self) {
        self.state().closed = true;
        self.arrived.notify_one();
    }

    /// All that waits; none: it is over.
    fn take(&self) -> Option<Vec<Request>> {
        let mut state = self.state();
        loop {
            if !state.waiting.is_empty() {
                return Some(std::mem::take(&mut state.waiting));
            }
            if state.closed {
                return None;
            }
            state = self
                .arrived
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queue").finish_non_exhaustive()
    }
}

/// What the committer's thread does.
pub(super) fn run(pager: &RwLock<Pager>, queue: &Queue) {
    while let Some(requests) = queue.take() {
        let mut pager = pager.write().unwrap_or_else(PoisonError::into_inner);
        let mut group = Group::new();
        for request in requests {
            match request {
                Request::Transaction(request) => {
                    group.push(request);
                    if group.len() == GROUP_MAX {
                        commit(&mut pager, std::mem::take(&mut group));
                    }
                }
                Request::Exclusive(request) => {
                    // In the order in which they came.
                    commit(&mut pager, std::mem::take(&mut group));
                    request.run(&mut pager);
                }
            }
        }
        commit(&mut pager, group);
    }
}

/// Commits a group.
fn commit(pager: &mut Pager, mut group: Group) {
    let mut alone = Group::new();
    if group.len() > 1 {
        match commit_together(pager, &mut group, &mut alone) {
            Ok(()) => group.drain(..).for_each(InTransactionRequest::finish),
            // Nothing was written: perhaps one of them asks for too much.
            Err(error) if leaves_ready(&error) => {}
            Err(error) => group
                .drain(..)
                .for_each(|request| request.fail(twin(&error))),
        }
    }
    for request in group.into_iter().chain(alone) {
        commit_alone(pager, request);
    }
}

/// Steps 1 and 2. `aside` gets those that failed; `group` keeps the others.
fn commit_together(pager: &mut Pager, group: &mut Group, aside: &mut Group) -> Result<(), Error> {
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
                aside.push(group.remove(index));
            }
        }
        if !tainted {
            return tx.commit().map(drop);
        }
    }
}

/// A request that is its own group.
fn commit_alone(pager: &mut Pager, mut request: Box<dyn InTransactionRequest>) {
    let committed = pager.begin().and_then(|mut tx| {
        if request.run(&mut tx) {
            tx.commit().map(drop)
        } else {
            Ok(())
        }
    });
    match committed {
        Ok(()) => request.finish(),
        Err(error) => request.fail(error),
    }
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

/// The same error for somebody else.
fn twin(error: &Error) -> Error {
    match error {
        Error::Poisoned => Error::Poisoned,
        Error::ReadOnly => Error::ReadOnly,
        Error::SandboxGone => Error::SandboxGone,
        Error::Store { operation, cause } => Error::Store {
            operation: operation.clone(),
            cause: cause.clone(),
        },
        Error::Sandbox { operation, cause } => Error::Sandbox {
            operation,
            cause: cause.clone(),
        },
        error => Error::Other(error.to_string()),
    }
}
