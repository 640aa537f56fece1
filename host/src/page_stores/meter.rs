//! [`Meter`]: how much time a guest's call spends in stores, and how often it
//! changes them.

use std::sync::atomic::Ordering;

use wasmtime::{Result, ensure};

use crate::clock::{Clock, TICKS};

/// A call that goes on to change and sync stores comes to an end: after so many
/// times, and a time in them that is as many times its own as this. One that
/// waits for a slow medium is not to be blamed, so its time alone does not end
/// it; and it ends before it does something, never after.
const CHANGES_MAX: u32 = 1000;
const SPENT_MAX: u64 = 60 * TICKS;

/// What stores did in the call at hand.
pub(super) struct Meter {
    clock: Clock,
    /// Ticks that passed in stores since this was last asked.
    ticks: u64,
    /// Whether a sync was done since this was last asked.
    synced: bool,
    /// How often the call changed or synced stores, and how many ticks it spent
    /// in them.
    changes: u32,
    spent: u64,
}

impl Meter {
    pub(super) fn new(clock: Clock) -> Self {
        Self {
            clock,
            ticks: 0,
            synced: false,
            changes: 0,
            spent: 0,
        }
    }

    /// A call begins.
    pub(super) fn begin_call(&mut self) {
        (self.ticks, self.synced) = (0, false);
        (self.changes, self.spent) = (0, 0);
    }

    pub(super) fn now(&self) -> u64 {
        self.clock.load(Ordering::Relaxed)
    }

    /// That time passed in a store, since a reading of the clock.
    pub(super) fn spend(&mut self, since: u64) {
        let ticks = self.now() - since;
        self.ticks += ticks;
        self.spent += ticks;
    }

    pub(super) fn take_ticks(&mut self) -> u64 {
        std::mem::take(&mut self.ticks)
    }

    pub(super) fn sync_is_done(&mut self) {
        self.synced = true;
    }

    pub(super) fn take_synced(&mut self) -> bool {
        std::mem::take(&mut self.synced)
    }

    /// Counts a change or a sync that is about to be made.
    ///
    /// # Errors
    /// If the call has had enough of them.
    pub(super) fn count_change(&mut self) -> Result<()> {
        self.changes = self.changes.saturating_add(1);
        ensure!(
            self.changes <= CHANGES_MAX || self.spent <= SPENT_MAX,
            "it took too long, with {CHANGES_MAX} changes of its store in one call"
        );
        Ok(())
    }
}
