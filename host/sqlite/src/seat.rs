//! [`Seat`]: what one connection has of its database; and [`Table`]: who is at work on it.
//! Neither knows what is in the pages, nor who may do what: that is
//! [`Database`](crate::database::Database)'s.

use crate::locks::{Id, Level, Locks, Readers};
use crate::shown::{Expected, Shown, Still};

/// Who does what.
#[derive(Default)]
pub(crate) struct Table {
    pub(crate) locks: Locks,
    /// What those read who begin to.
    pub(crate) shown: Shown,
    /// It is not to be read by those: the writer is changing it for good.
    pub(crate) is_over: bool,
    /// Connections that keep their locks between transactions: they would see what they
    /// began with for ever, so that what they read is not changed.
    keepers: usize,
    pub(crate) expected: Expected,
}

impl Table {
    pub(crate) fn readers(&self) -> Readers {
        if self.shown.still().is_some() && !self.is_over && self.keepers == 0 {
            Readers::OnViews
        } else {
            Readers::OnPages
        }
    }

    /// Counts a connection that keeps its locks as long as it has one.
    pub(crate) fn count_keeper(&mut self, seat: &mut Seat, has_lock: bool) {
        let is_keeper = has_lock && (seat.keeps || seat.is_keeper);
        self.keepers -= usize::from(seat.is_keeper);
        self.keepers += usize::from(is_keeper);
        seat.is_keeper = is_keeper;
    }
}

/// So many pages have to be asked for before a view is made to lend them of: it takes as
/// long as it takes to copy some hundreds.
pub(crate) const IN_VAIN: u32 = 64;

/// What a connection has of the database that it is at.
#[derive(Default)]
pub(crate) struct Seat {
    pub(crate) id: Id,
    pub(crate) level: Level,
    /// What it reads.
    pub(crate) shown: Shown,
    /// The generation at which it began to write, last, since it has a lock.
    pub(crate) began: Option<u64>,
    /// It keeps its locks (`pragma locking_mode = exclusive`), and is counted for that.
    pub(crate) keeps: bool,
    is_keeper: bool,
    /// Bytes of the file that may be lent, and how many pages are.
    pub(crate) lendable: u64,
    pub(crate) lent: usize,
    /// What was lent of is not what it reads by now.
    before: Vec<Shown>,
    /// How many pages it asked to be lent, in vain.
    pub(crate) in_vain: u32,
}

impl Seat {
    pub(crate) fn new(id: Id) -> Self {
        Self {
            id,
            ..Self::default()
        }
    }

    pub(crate) fn level(&self) -> Level {
        self.level
    }

    /// Hears what SQLite is told of its locks, and may let go with the next transaction.
    pub(crate) fn keep_locks(&mut self, keeps: bool) {
        self.keeps = keeps;
    }

    /// Makes so many bytes of the file lendable; how many were.
    pub(crate) fn set_lendable(&mut self, bytes: Option<u64>) -> u64 {
        let before = self.lendable;
        self.lendable = bytes.unwrap_or(before);
        before
    }

    /// A page is given back.
    pub(crate) fn give_back(&mut self) {
        self.lent = self.lent.saturating_sub(1);
        if self.lent == 0 {
            self.before.clear();
        }
    }

    /// From now on it reads that.
    pub(crate) fn turn_to(&mut self, shown: Shown) {
        let before = std::mem::replace(&mut self.shown, shown);
        if self.lent > 0 {
            self.before.push(before);
        }
        self.in_vain = 0;
    }

    /// What it reads in place of the pages.
    pub(crate) fn still(&self) -> Option<&Still> {
        self.shown.still().filter(|_| self.level <= Level::Shared)
    }
}
