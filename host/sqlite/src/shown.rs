//! [`Shown`]: what a connection reads, and goes on reading while another one writes.
//!
//! Connections that begin to read between two changes of the database read the same
//! state. While nobody writes they read the pages themselves. Who means to write makes
//! a view of the state first: from then on they read that, and no commit, however long
//! it waits for its sync, is in their way.

use std::sync::{Arc, OnceLock};

use pagebox::{ProtectedId, View};

use crate::failure::Result;
use crate::state;

/// How many transactions that write are prepared for readers after the last one was
/// seen. A view takes as long as a quick sync does: who has no readers is not to pay it.
const EXPECTED: u32 = 100;

/// A committed state, by the view of it; without one, whatever the pages hold: nobody
/// changes that while somebody reads it.
#[derive(Clone, Default)]
pub(crate) struct Shown(Arc<OnceLock<Still>>);

impl Shown {
    /// What is read in place of the pages.
    pub(crate) fn still(&self) -> Option<&Still> {
        self.0.get()
    }

    /// Gives it a view, if it has none.
    pub(crate) fn keep(&self, still: Still) {
        // The first one is of the same state.
        let _ = self.0.set(still);
    }

    /// Whether nobody else has it.
    pub(crate) fn is_unread(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }

    /// Whether that is the same state.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// A database that does not change: a view, and how many pages it has.
pub(crate) struct Still {
    view: View,
    length: u64,
}

impl Still {
    pub(crate) fn new(view: View) -> Result<Self> {
        let length = view.protected_count()?;
        Ok(Self { view, length })
    }

    /// Bytes in the file.
    pub(crate) fn size(&self) -> u64 {
        self.length * self.view.page_size().bytes() as u64
    }

    /// Lends bytes that are in one page, and there, and sound.
    pub(crate) fn lend(&self, offset: u64, len: usize) -> Option<&[u8]> {
        let page = self.view.page_size().bytes();
        let id = offset / page as u64;
        let within = usize::try_from(offset % page as u64).ok()?;
        let bytes = self.view.protected_page(ProtectedId::new(id)).ok()?;
        bytes.get(within..within + len)
    }

    /// Reads bytes of it.
    pub(crate) fn read(&self, offset: u64, bytes: &mut [u8]) -> Result<()> {
        let read =
            |id: ProtectedId, within, part: &mut [u8]| self.view.read_protected(id, within, part);
        state::read(self.view.page_size(), self.length, offset, bytes, read)
    }
}

/// Whether readers are to be expected.
#[derive(Default)]
pub(crate) struct Expected(u32);

impl Expected {
    /// Somebody has read, and nothing else.
    pub(crate) fn saw_reader(&mut self) {
        self.0 = EXPECTED;
    }

    /// Somebody means to write: whether it is to be prepared for readers.
    pub(crate) fn at_writer(&mut self) -> bool {
        let are_expected = self.0 > 0;
        self.0 = self.0.saturating_sub(1);
        are_expected
    }
}
