//! [`Owner`]: whose something is, where processes fork.
//!
//! A fork copies all memory, and with it every pager, store and lock: the copy
//! in the child must not be used, since what it stands for is the parent's. So
//! each remembers the process that made it.
//!
//! To ask the system for this process's number takes longer than to read a
//! page. Instead there is a number in memory that a fork wipes: it differs from
//! what was noted if the process does. Numbers are never given twice to a
//! process and those that it was forked from.

use std::process;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::wiped::wiped_by_fork;

/// The process that something belongs to.
#[derive(Clone, Debug)]
pub(crate) struct Owner {
    /// What a fork wipes.
    number: &'static AtomicU64,
    /// What was there, or `NOT_WIPED`.
    noted: u64,
    process: u32,
}

/// Noted where the system wipes nothing: it has to be asked each time.
const NOT_WIPED: u64 = u64::MAX;

impl Owner {
    /// This process.
    pub(crate) fn here() -> Self {
        // A child goes on from its parent's.
        static NEXT: AtomicU64 = AtomicU64::new(1);
        static NONE: AtomicU64 = AtomicU64::new(0);
        let process = process::id();
        let Some(number) = wiped_by_fork() else {
            return Self {
                number: &NONE,
                noted: NOT_WIPED,
                process,
            };
        };
        let noted = match number.load(Ordering::Relaxed) {
            0 => {
                let next = NEXT.fetch_add(1, Ordering::Relaxed);
                let set = number.compare_exchange(0, next, Ordering::Relaxed, Ordering::Relaxed);
                set.map_or_else(|first| first, |_| next)
            }
            noted => noted,
        };
        Self {
            number,
            noted,
            process,
        }
    }

    /// Some other process.
    #[cfg(test)]
    pub(crate) fn other() -> Self {
        Self {
            noted: NOT_WIPED,
            process: 0,
            ..Self::here()
        }
    }

    /// Whether that is this process. Costs next to nothing.
    #[inline]
    pub(crate) fn is_here(&self) -> bool {
        self.number.load(Ordering::Relaxed) == self.noted || self.is_here_as_the_system_says()
    }

    #[cold]
    fn is_here_as_the_system_says(&self) -> bool {
        self.noted == NOT_WIPED && process::id() == self.process
    }

    /// The same, asked of the system as well: before something is done that
    /// cannot be undone.
    pub(crate) fn is_surely_here(&self) -> bool {
        self.is_here() && process::id() == self.process
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn process_is_known_where_a_fork_wipes_nothing() {
        static NONE: AtomicU64 = AtomicU64::new(0);
        let owner = |process| Owner {
            number: &NONE,
            noted: NOT_WIPED,
            process,
        };
        assert!(owner(process::id()).is_here() && owner(process::id()).is_surely_here());
        assert!(!owner(process::id() + 1).is_here());
        assert!(Owner::here().is_surely_here());
    }

    /// That forks wipe it is for the tests of real processes.
    #[test]
    fn number_that_was_wiped_is_another_process_s() {
        static WIPED: AtomicU64 = AtomicU64::new(0);
        let owner = Owner {
            number: &WIPED,
            noted: 7,
            process: process::id(),
        };
        assert!(!owner.is_here() && !owner.is_surely_here());
        WIPED.store(7, Ordering::Relaxed);
        assert!(owner.is_here());
    }
}
