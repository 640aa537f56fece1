//! Settling: a writer's first step. What recovery chose becomes durable, in both
//! slots, before anything is built on it.
//!
//! What a process finds may be shown by the page cache alone: a process was
//! killed before its sync, or its sync failed and the system gave the writes
//! up, so that no later sync writes them. So what recovery had to verify, and
//! the record itself, are written again as they were read. Where they are on
//! the medium already, that changes nothing.

use alloc::vec::Vec;

use pagebox_store::{Change, StoreError};

use super::error::{Error, Operation};
use super::file::{File, Phase};
use super::medium::Medium;
use super::slots;
use crate::checksum::xxh3;
use crate::ids::Side;

/// Pages that are written again in one call.
const BATCH: usize = 64;

impl File {
    /// Makes what recovery chose durable, in both slots. Once, before anything
    /// is written, and before a regular page is written in place; a commit does
    /// it where it was not done.
    ///
    /// Two syncs, or one if both slots are equal. The first covers what a
    /// process that was killed wrote, and the file's length. The second comes
    /// before a page is reused, since until then the other slot may hold a
    /// record that reaches it.
    ///
    /// # Errors
    /// [`Error::Poisoned`]; [`Error::Store`] and [`Error::Corrupt`], for a page
    /// that was sound when the file was opened; both poison.
    pub fn settle<S: Medium>(&mut self, store: &mut S) -> Result<(), Error> {
        self.expect_sound()?;
        self.expect_undamaged()?;
        if self.phase == Phase::Ready {
            return Ok(());
        }
        self.write_unproven(store)?;
        let done = self.write_record(store, self.side, true);
        self.or_poison(Operation::Settle, done)?;
        if !self.is_copied {
            let done = self.write_record(store, self.side.other(), true);
            self.or_poison(Operation::Settle, done)?;
            self.is_copied = true;
        }
        self.phase = Phase::Ready;
        Ok(())
    }

    fn write_unproven<S: Medium>(&mut self, store: &mut S) -> Result<(), Error> {
        let unproven = core::mem::take(&mut self.unproven);
        for pages in unproven.chunks(BATCH) {
            let mut images = Vec::with_capacity(pages.len());
            for &(page, expected) in pages {
                let mut image = alloc::vec![0; store.geometry().page_size.bytes()];
                let read = store.read(page, 0, &mut image);
                self.or_poison(Operation::Settle, read)?;
                if xxh3(&image) != expected {
                    self.phase = Phase::Poisoned;
                    let fault = "it was sound when the file was opened";
                    return Err(Error::Corrupt { page, fault });
                }
                images.push((page, image));
            }
            let changes: Vec<Change<'_, S::Buffer>> = slots::changes(&images).collect();
            let done = store.write(&changes);
            self.or_poison(Operation::Settle, done)?;
        }
        Ok(())
    }

    /// Writes the record that counts into a slot, and syncs it or not.
    pub(super) fn write_record<S: Medium>(
        &self,
        store: &mut S,
        side: Side,
        is_synced: bool,
    ) -> Result<(), StoreError> {
        let pages = slots::pages(self.layout.shape(), side, &self.blocks);
        let sync = is_synced.then_some(Change::Sync);
        let changes: Vec<Change<'_, S::Buffer>> = slots::changes(&pages).chain(sync).collect();
        store.write(&changes)
    }

    /// Passes on what a write or a sync returned. A failure poisons.
    pub(super) fn or_poison(
        &mut self,
        operation: Operation,
        done: Result<(), StoreError>,
    ) -> Result<(), Error> {
        done.map_err(|source| self.poison(operation, source))
    }

    fn poison(&mut self, operation: Operation, source: StoreError) -> Error {
        self.phase = Phase::Poisoned;
        Error::Store { operation, source }
    }
}
