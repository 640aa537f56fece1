//! [`Door`]: the way to a shared pager, for any number of readers at once or
//! for the committer alone: the thread that has the role ([`Queue`]).
//!
//! [`Queue`]: crate::shared::queue::Queue
//!
//! Nobody waits for more than one turn of the committer: it closes the door,
//! waits for those inside to leave, commits, and lets in who has come
//! meanwhile before it closes the door again. Who is inside can come in again:
//! it would have nobody to wait for but itself.
//!
//! The committer never waits in the lock itself, which therefore has room for a
//! reader whenever the door is open, or was when one of its holders came in.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
use std::sync::{
    Condvar, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
    TryLockError,
};

use crate::Pager;
use crate::owner::Owner;

#[derive(Debug)]
pub(super) struct Door {
    pager: RwLock<Pager>,
    /// The committer is inside, or waits for readers to leave. Changed only by
    /// who has the line.
    closed: AtomicBool,
    line: Mutex<Line>,
    /// To those who wait to come in.
    opened: Condvar,
    /// To the committer.
    moved: Condvar,
    /// Tells doors apart.
    id: u64,
    owner: Owner,
    /// Whether the pager's file has deferred commits.
    defers: bool,
}

/// Those who came to a closed door.
#[derive(Debug, Default)]
struct Line {
    /// Counts how often it was opened.
    turn: u64,
    waiting: usize,
    /// They waited, and the door was opened for them.
    entering: usize,
}

thread_local! {
    /// The doors that this thread came in by, and how often it is inside.
    static INSIDE: RefCell<Vec<(u64, usize)>> = const { RefCell::new(Vec::new()) };
}

impl Door {
    pub(super) fn new(pager: Pager, owner: Owner) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self {
            defers: pager.can_defer(),
            pager: RwLock::new(pager),
            closed: AtomicBool::new(false),
            line: Mutex::default(),
            opened: Condvar::new(),
            moved: Condvar::new(),
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            owner,
        }
    }

    /// How many wait to read.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.line().waiting
    }

    #[cfg(test)]
    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Whether the pager's file has deferred commits.
    pub(super) fn can_defer(&self) -> bool {
        self.defers
    }

    /// Whether this is the process that made it.
    pub(super) fn is_own(&self) -> bool {
        self.owner.is_here()
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this thread is inside to read.
    pub(super) fn is_inside(&self) -> bool {
        let is_here =
            |inside: &RefCell<Vec<(u64, usize)>>| inside.borrow().iter().any(|it| it.0 == self.id);
        INSIDE.try_with(is_here).unwrap_or(false)
    }

    /// Comes in to read, if that takes no waiting.
    pub(super) fn try_read(&self) -> Option<Reading<'_>> {
        if self.closed.load(Ordering::Acquire) && !self.is_inside() {
            return None;
        }
        match self.pager.try_read() {
            Ok(pager) => Some(self.reading(pager)),
            Err(TryLockError::Poisoned(poisoned)) => Some(self.reading(poisoned.into_inner())),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// Comes in to read.
    pub(super) fn read(&self) -> Reading<'_> {
        let mut line = self.line();
        let is_waiting = self.closed.load(Ordering::Acquire);
        if is_waiting {
            let turn = line.turn;
            line.waiting += 1;
            while line.turn == turn {
                line = self
                    .opened
                    .wait(line)
                    .unwrap_or_else(PoisonError::into_inner);
            }
        }
        // Open, and not to be closed while the line is held.
        let pager = self.pager.read().unwrap_or_else(PoisonError::into_inner);
        if is_waiting {
            line.entering -= 1;
            self.moved.notify_one();
        }
        drop(line);
        self.reading(pager)
    }

    fn reading<'d>(&'d self, pager: RwLockReadGuard<'d, Pager>) -> Reading<'d> {
        let _ = INSIDE.try_with(|inside| {
            let mut inside = inside.borrow_mut();
            match inside.iter_mut().find(|it| it.0 == self.id) {
                Some((_, times)) => *times += 1,
                None => inside.push((self.id, 1)),
            }
        });
        Reading {
            pager,
            _leaving: Leaving(self),
        }
    }

    /// Comes in to change the pager. Only the committer does.
    pub(super) fn write(&self) -> Writing<'_> {
        let mut line = self.line();
        while line.entering > 0 {
            line = self
                .moved
                .wait(line)
                .unwrap_or_else(PoisonError::into_inner);
        }
        self.closed.store(true, Ordering::Relaxed);
        // A reader that leaves looks at `closed` afterwards: either it is seen
        // to have left, or it sees that somebody waits for it.
        fence(Ordering::SeqCst);
        loop {
            let pager = match self.pager.try_write() {
                Ok(pager) => pager,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => {
                    line = self
                        .moved
                        .wait(line)
                        .unwrap_or_else(PoisonError::into_inner);
                    continue;
                }
            };
            return Writing {
                pager,
                _opening: Opening(self),
            };
        }
    }
}

/// A reader inside. It stays on its thread, as the lock's own guard does.
#[derive(Debug)]
pub(super) struct Reading<'d> {
    // In this order they are dropped.
    pager: RwLockReadGuard<'d, Pager>,
    _leaving: Leaving<'d>,
}

impl Deref for Reading<'_> {
    type Target = Pager;

    fn deref(&self) -> &Pager {
        &self.pager
    }
}

#[derive(Debug)]
struct Leaving<'d>(&'d Door);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        let Self(door) = self;
        let _ = INSIDE.try_with(|inside| {
            let mut inside = inside.borrow_mut();
            if let Some(index) = inside.iter().position(|it| it.0 == door.id) {
                inside[index].1 -= 1;
                if inside[index].1 == 0 {
                    inside.swap_remove(index);
                }
            }
        });
        fence(Ordering::SeqCst);
        // In a forked process nobody waits, and the line may be held for ever.
        if door.closed.load(Ordering::Relaxed) && door.owner.is_here() {
            // It waits, or does not have the line yet.
            drop(door.line());
            door.moved.notify_one();
        }
    }
}

/// The committer inside.
pub(super) struct Writing<'d> {
    // In this order they are dropped.
    pager: RwLockWriteGuard<'d, Pager>,
    _opening: Opening<'d>,
}

impl Deref for Writing<'_> {
    type Target = Pager;

    fn deref(&self) -> &Pager {
        &self.pager
    }
}

impl DerefMut for Writing<'_> {
    fn deref_mut(&mut self) -> &mut Pager {
        &mut self.pager
    }
}

struct Opening<'d>(&'d Door);

impl Drop for Opening<'_> {
    fn drop(&mut self) {
        let Self(door) = self;
        let mut line = door.line();
        door.closed.store(false, Ordering::Release);
        line.turn += 1;
        line.entering += std::mem::take(&mut line.waiting);
        drop(line);
        door.opened.notify_all();
    }
}
