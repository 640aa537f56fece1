//! [`Queue`]: what is asked of a shared pager, and which thread serves it.
//!
//! One thread at a time has the *role*: it serves what waits.
//! 1. Who asks for something while nobody has the role takes it, and serves its
//!    own request at once: one that is alone waits for no other thread.
//! 2. Who asks for something while somebody has it waits in the queue.
//! 3. Who has the role serves some rounds, of all that came meanwhile, and then
//!    hands it on to a thread that waits: nobody works for others for ever. A
//!    thread that is to do something itself (a *turn*) gets the role when those
//!    before it are served.
//! 4. Tasks never get it. Where nobody but tasks waits, it is the committer's,
//!    a thread that is started for them.
//!
//! Something waits only while somebody has the role, so nothing waits for ever.

use std::cell::RefCell;
use std::collections::VecDeque;
#[cfg(any(test, feature = "async"))]
use std::sync::Condvar;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::shared::committer::{GROUP_MAX, serve};
use crate::shared::contain::contain;
use crate::shared::door::Door;
use crate::shared::request::Request;

/// Who has the role serves this many rounds before it hands it on. To hand it
/// on takes the time in which a thread wakes up; not to takes the time of
/// whoever serves.
pub(super) const ROUNDS_MAX: usize = 4;

/// More requests than this do not wait. Threads that block have one each; tasks
/// could make any number.
#[cfg(feature = "async")]
pub(super) const WAITING_MAX: usize = 1 << 16;

/// Requests, in the order in which they came.
pub(super) struct Queue {
    state: Mutex<State>,
    /// To the committer.
    #[cfg(any(test, feature = "async"))]
    called: Condvar,
    /// Tells queues apart.
    id: u64,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Request>,
    /// Somebody has the role, or was handed it.
    taken: bool,
    /// The committer was.
    #[cfg(any(test, feature = "async"))]
    called: bool,
    /// There is nobody left to ask for anything.
    #[cfg(any(test, feature = "async"))]
    closed: bool,
}

thread_local! {
    /// The queues that this thread serves.
    static SERVED: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
}

impl Default for Queue {
    fn default() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self {
            state: Mutex::default(),
            #[cfg(any(test, feature = "async"))]
            called: Condvar::new(),
            id: NEXT.fetch_add(1, Ordering::Relaxed),
        }
    }
}

impl Queue {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many requests wait.
    #[cfg(any(test, feature = "async"))]
    pub(super) fn len(&self) -> usize {
        self.state().waiting.len()
    }

    /// Whether somebody has the role.
    #[cfg(test)]
    pub(super) fn is_taken(&self) -> bool {
        self.state().taken
    }

    /// Whether this thread has the role: it would wait for itself.
    pub(super) fn is_served_here(&self) -> bool {
        SERVED
            .try_with(|served| served.borrow().contains(&self.id))
            .unwrap_or(false)
    }

    /// Takes the role, where nobody has it; else adds a request of a thread
    /// that goes on to wait.
    pub(super) fn take_or_add(
        &self,
        request: impl FnOnce() -> Option<Request>,
    ) -> Option<Role<'_>> {
        let mut state = self.state();
        if state.taken {
            state.waiting.extend(request());
            return None;
        }
        state.taken = true;
        drop(state);
        Some(self.role())
    }

    /// What a thread has that took the role, or was handed it.
    pub(super) fn role(&self) -> Role<'_> {
        let _ = SERVED.try_with(|served| served.borrow_mut().push(self.id));
        Role(self)
    }

    /// Adds a request that no thread waits for.
    #[cfg(any(test, feature = "async"))]
    pub(super) fn add(&self, request: Request) {
        let mut state = self.state();
        state.waiting.push_back(request);
        if !state.taken {
            state.taken = true;
            self.call(state);
        }
    }

    /// Hands the role to the committer, where only tasks wait.
    #[cfg(any(test, feature = "async"))]
    fn call(&self, mut state: MutexGuard<'_, State>) {
        state.called = true;
        drop(state);
        self.called.notify_one();
    }

    #[cfg(any(test, feature = "async"))]
    pub(super) fn close(&self) {
        self.state().closed = true;
        self.called.notify_one();
    }

    /// What the committer's thread does.
    #[cfg(any(test, feature = "async"))]
    pub(super) fn run(&self, door: &Door) {
        loop {
            let mut state = self.state();
            while !state.called {
                if state.closed {
                    return;
                }
                state = self
                    .called
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
            }
            state.called = false;
            drop(state);
            self.role().serve(door);
        }
    }

    /// A round of what waits; none: nothing does, or others have the role now.
    fn next(&self, may_go_on: bool) -> Option<Vec<Request>> {
        let mut state = self.state();
        let Some(first) = state.waiting.pop_front() else {
            state.taken = false;
            return None;
        };
        if let Request::Turn(turn) = first {
            drop(state);
            turn.fulfil(Ok(()));
            return None;
        }
        state.waiting.push_front(first);
        if !may_go_on {
            if !state.waiting.iter().any(Request::offer_role) {
                #[cfg(any(test, feature = "async"))]
                self.call(state);
            }
            return None;
        }
        let is_turn = |it: &Request| matches!(it, Request::Turn(_));
        let end = state.waiting.iter().position(is_turn);
        let end = end.unwrap_or(state.waiting.len()).min(GROUP_MAX);
        Some(state.waiting.drain(..end).collect())
    }
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queue").finish_non_exhaustive()
    }
}

/// The role: its thread serves the queue, and nobody else does.
pub(super) struct Role<'q>(&'q Queue);

impl Role<'_> {
    /// Serves a request of this thread's own, and then what came meanwhile.
    pub(super) fn serve_first(self, door: &Door, request: Request) {
        contain(|| serve(door, vec![request]));
        self.serve_after(door, 1);
    }

    /// Serves what waits.
    pub(super) fn serve(self, door: &Door) {
        self.serve_after(door, 0);
    }

    /// Serves what waits, after some rounds.
    pub(super) fn serve_after(self, door: &Door, rounds: usize) {
        // A child that was forked in a closure has no part in it.
        for round in rounds.. {
            if !door.is_own() {
                return;
            }
            let Some(requests) = self.0.next(round < ROUNDS_MAX) else {
                return;
            };
            // What is a caller's own is contained where it runs. Should
            // anything else panic, what is dropped here answers itself.
            contain(|| serve(door, requests));
        }
    }
}

impl Drop for Role<'_> {
    fn drop(&mut self) {
        let _ = SERVED.try_with(|served| {
            let mut served = served.borrow_mut();
            if let Some(index) = served.iter().position(|id| *id == self.0.id) {
                served.swap_remove(index);
            }
        });
    }
}
