//! The commit: how changes become durable, with one sync.
//!
//! 1. A page that the durable state reaches is never written: contents and
//!    nodes of MAP go to free pages, nodes of SPACE to the other sides of their
//!    homes, the record to the slot that does not hold the durable one.
//! 2. One sync makes all of it durable at once. Whether it arrived is told by
//!    checksums: recovery verifies what was born after *proven*.
//!    The zeros of a regular page have no checksum: where it may hold old bytes,
//!    they are ordered before the record, which on a file is one more sync.
//! 3. The commit is acknowledged, and memory changes, after that sync. Then the
//!    record is copied into the other slot, unsynced: two equal records say
//!    that the commit was acknowledged.
//! 4. A commit writes its contents and a record with what changed since the last
//!    fold. Where the record would be too long it *folds*: it writes the changed
//!    nodes of both trees. A page that a changed id had is free once that is
//!    durable, though the trees still name it: who reads them looks into the
//!    deltas first.
//! 5. Any failure poisons, but of reading, and of a growth that changed nothing.
//!
//! So power lost at any time leaves the state before or the state after.

use alloc::vec::Vec;

use pagebox_store::{Change, StoreError};

use super::cache::Place;
use super::error::{Error, Operation};
use super::file::{File, Phase};
use super::medium::Medium;
use super::plan::Plan;
use super::slots;
use super::tree::Which;
use crate::changes::{self, Changes};
use crate::codec::wide;
use crate::facts::CommitInfo;

/// A commit that writes more bytes has them ordered before its record, so that
/// there is nothing to verify, and opening after a crash stays short.
const UNPROVEN_MAX: u64 = 64 << 20;

impl File {
    /// Makes changes durable: all of them, or none. Changes of nothing do no
    /// input and output.
    ///
    /// # Errors
    /// [`Error::Full`], [`Error::NoFreeId`], [`Error::GenerationsExhausted`];
    /// for a change that does not fit the committed state [`Error::NotFree`],
    /// [`Error::NotAllocated`], [`Error::NotRegular`], [`Error::OutOfRange`],
    /// [`Error::IsProtected`], [`Error::NotProtected`];
    /// [`Error::Corrupt`]. All of them change nothing that is committed.
    ///
    /// [`Error::Store`] poisons, unless it is of reading, or of a growth that
    /// found no space or a store that is read-only.
    pub fn commit<S: Medium>(
        &mut self,
        store: &mut S,
        changes: &Changes<S::Buffer>,
    ) -> Result<CommitInfo, Error> {
        self.expect_sound()?;
        if !changes.is_empty() {
            self.expect_numbers(changes)?;
            self.settle(store)?;
            let need = self.need(changes);
            let stored = store.geometry().page_count;
            let (need, page_count) = match self.make_room(store, &need) {
                Err(error) => {
                    self.fold_for_room(store, changes, error)?;
                    let need = self.need(changes);
                    (need, self.make_room(store, &need)?)
                }
                Ok(page_count) => (need, page_count),
            };
            let plan = self.plan(store, changes, &need, page_count, &changes.allocated)?;
            let first_regular = changes.allocated.iter().next();
            let recycles = first_regular.is_some_and(|page| page < stored);
            self.write(store, changes, plan, recycles)?;
        }
        Ok(self.committed())
    }

    /// Writes the trees as the deltas have them: a commit that changes nothing.
    pub(super) fn fold<S: Medium>(&mut self, store: &mut S) -> Result<(), Error> {
        if self.record.deltas.is_empty() {
            return Ok(());
        }
        let none = Changes::default();
        let need = self.need_of(&self.record, &none, true);
        let page_count = self.make_room(store, &need)?;
        let plan = self.plan(store, &none, &need, page_count, &none.allocated)?;
        self.write(store, &none, plan, false)
    }

    /// Folds where there is no room for changes, and will be after a fold: it
    /// frees the nodes that it replaces, and need not be kept room for.
    ///
    /// # Errors
    /// The one that told of it, with nothing changed, where a fold is of no use.
    fn fold_for_room<S: Medium>(
        &mut self,
        store: &mut S,
        changes: &Changes<S::Buffer>,
        error: Error,
    ) -> Result<(), Error> {
        let end = match error {
            Error::Full { limit } => limit,
            Error::Store {
                source: StoreError::InsufficientSpace,
                ..
            } => store.geometry().page_count,
            error => return Err(error),
        };
        let none = Changes::default();
        let mut need = self.need_of(&self.record, &none, true);
        // Pages that the changes name are not for nodes.
        need.room += changes.allocated.len();
        let page_count = self.record.page_count;
        let is_room = self.smallest(&self.record, &need) == Some(page_count);
        if self.record.deltas.is_empty() || !is_room {
            return Err(error);
        }
        let plan = self.plan(store, &none, &need, page_count, &changes.allocated)?;
        let need = self.need_of(&plan.record, changes, false);
        match self.smallest(&plan.record, &need) {
            Some(needed) if needed <= end => self.write(store, &none, plan, false),
            _ => Err(error),
        }
    }

    /// Numbers that the file can't have, before any arithmetic with them.
    fn expect_numbers<B>(&self, changes: &Changes<B>) -> Result<(), Error> {
        let page_count = self.record.page_count;
        if let Some(page) = changes.freed.max().filter(|&page| page >= page_count) {
            return Err(Error::OutOfRange { page, page_count });
        }
        let limit = self.layout.shape().id_limit();
        match changes.protected.last_key_value() {
            Some((&id, changes::Change::New(_))) if id.0 >= limit => Err(Error::NoFreeId { limit }),
            Some((&id, _)) if id.0 >= limit => Err(Error::NotProtected { id }),
            _ => Ok(()),
        }
    }

    /// Writes what was planned. `recycles`: a page that becomes a regular one may
    /// hold old bytes.
    fn write<S: Medium>(
        &mut self,
        store: &mut S,
        changes: &Changes<S::Buffer>,
        plan: Plan,
        recycles: bool,
    ) -> Result<(), Error> {
        let mut plan = plan;
        let page_size = self.layout.shape().page_size;
        let written = wide(plan.contents.len() + plan.nodes.len());
        let is_first_ordered = recycles || written > UNPROVEN_MAX >> page_size.log2();
        if is_first_ordered {
            plan.record.proven = plan.record.generation;
        }
        let blocks = plan.record.encode();
        let side = self.side.other();

        // Until here nothing was written, so a failure changes nothing.
        let root = slots::pages(self.layout.shape(), side, &blocks);
        let resets = changes.allocated_runs();
        let mut batch: Vec<Change<'_, S::Buffer>> = resets
            .map(|(first, count)| Change::Zero { first, count })
            .collect();
        for &(id, page) in &plan.contents {
            if let Some(buffer) = changes.protected.get(&id).and_then(changes::Change::bytes) {
                batch.push(Change::Staged { page, buffer });
            }
        }
        batch.extend(plan.nodes.iter().map(|node| Change::Bytes {
            page: node.page,
            bytes: &node.bytes,
        }));
        if is_first_ordered {
            batch.push(Change::Order);
        }
        batch.extend(slots::changes(&root));
        batch.push(Change::Sync);
        let done = store.write(&batch);
        self.or_poison(Operation::WriteCommit, done)?;

        self.apply(plan, blocks);
        self.regular = self
            .regular
            .map(|before| before + changes.allocated.len() - changes.freed.len());
        // Acknowledged, whatever becomes of the copy.
        self.is_dirty = true;
        if self.write_record(store, self.side.other(), false).is_err() {
            self.phase = Phase::Poisoned;
        }
        Ok(())
    }

    /// What is durable now becomes what memory says.
    fn apply(&mut self, plan: Plan, blocks: Vec<u8>) {
        for node in plan.nodes {
            let place = Place {
                page: node.page,
                map_level: (node.which == Which::Map).then_some(node.level),
            };
            self.cache.put(place, node.entry, node.bytes);
        }
        self.highest = plan.record.generation;
        self.record = plan.record;
        self.blocks = blocks;
        self.side = self.side.other();
        self.next_fit = plan.next_fit;
        self.set_pages(plan.pages);
    }
}
