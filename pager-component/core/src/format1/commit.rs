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
//! 5. A *deferred* commit does not write a record and does not sync, and writes no
//!    homes: it does not fold. The durable state is one more reader: what it
//!    reads and the deferred commit frees is in limbo until a durable commit has
//!    placed all that it stores. That one makes all before it durable, with its
//!    one sync.
//! 6. So is each view: what its generation reads and a commit frees is in limbo
//!    until it is gone.
//! 7. What is as old as the newest snapshot is that one's: it is not freed.
//! 8. Any failure poisons, but of reading, and of a growth that changed nothing.
//!
//! So power lost at any time leaves the state before or the state after.

use alloc::vec::Vec;

use pagebox_store::{Change, StoreError};

use super::cache::Place;
use super::deltas::Deltas;
use super::error::{Error, Operation};
use super::file::{File, Phase};
use super::medium::Medium;
use super::pending::Pending;
use super::pins::Readers;
use super::plan::{Copy, Plan, TableChange, Terms};
use super::room::Need;
use super::slots;
use super::tree::Which;
use super::unfolded::Unfolded;
use crate::bitmap::Overlay;
use crate::changes::{self, Changes};
use crate::checksum::xxh3;
use crate::codec::wide;
use crate::facts::{CommitInfo, Durability};

/// A commit that writes more bytes has them ordered before its record, so that
/// there is nothing to verify, and opening after a crash stays short.
const UNPROVEN_MAX: u64 = 64 << 20;

/// Bytes that are held in memory while pages are copied.
const COPIED_AT_ONCE: usize = 1 << 20;

impl File {
    /// Makes changes durable: all of them, or none; and what deferred commits
    /// did before. Changes of nothing after no deferred commit do no input and
    /// output.
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
        self.commit_as(store, changes, Durability::Durable)
    }

    /// Commits changes that are durable with the next durable commit: until then
    /// a crash undoes them. They are at once where they are too many to wait.
    ///
    /// # Errors
    /// As [`File::commit`].
    pub fn commit_deferred<S: Medium>(
        &mut self,
        store: &mut S,
        changes: &Changes<S::Buffer>,
    ) -> Result<CommitInfo, Error> {
        self.commit_as(store, changes, Durability::Deferred)
    }

    pub(crate) fn commit_as<S: Medium>(
        &mut self,
        store: &mut S,
        changes: &Changes<S::Buffer>,
        durability: Durability,
    ) -> Result<CommitInfo, Error> {
        self.expect_sound()?;
        if changes.is_empty() {
            if durability == Durability::Durable {
                self.flush(store)?;
            }
            return Ok(self.committed());
        }
        self.expect_numbers(changes)?;
        self.settle(store)?;
        self.release();
        self.know_tables(store)?;
        let changed = self.record.deltas.ids.len() + self.record.deltas.regular.len();
        let durability = if self.pending.is_spent(changed, changes) {
            Durability::Durable
        } else {
            durability
        };
        let first_regular = changes.allocated.iter().next();
        // Pages that the file gets for them hold nothing yet.
        let recycles = first_regular.is_some_and(|page| page < store.geometry().page_count);
        let (need, page_count) = self.find_room(store, changes, durability)?;
        let terms = Terms {
            need,
            page_count,
            durability,
            kept: &changes.allocated,
            table: None,
            moves: None,
        };
        let plan = self.plan(store, changes, &terms)?;
        match durability {
            Durability::Durable => self.write(store, changes, plan, recycles)?,
            Durability::Deferred => self.write_deferred(store, changes, plan, recycles)?,
        }
        Ok(self.committed())
    }

    /// Makes deferred commits durable; whether there were any.
    ///
    /// # Errors
    /// As [`File::commit`].
    pub(crate) fn flush<S: Medium>(&mut self, store: &mut S) -> Result<bool, Error> {
        self.expect_sound()?;
        if self.pending.is_empty() {
            return Ok(false);
        }
        self.release();
        let none = Changes::<S::Buffer>::default();
        let need = self.need(&none);
        self.commit_nothing(store, need, &none.allocated, None)?;
        Ok(true)
    }

    /// Writes the trees as the deltas have them: a commit that changes nothing.
    pub(super) fn fold<S: Medium>(&mut self, store: &mut S) -> Result<(), Error> {
        if self.record.deltas.is_empty() {
            return Ok(());
        }
        let none = Changes::<S::Buffer>::default();
        let need = self.need_of(&none, Durability::Durable, true);
        self.commit_nothing(store, need, &none.allocated, None)
    }

    /// A durable commit that changes nothing but the table of snapshots, and takes
    /// no page that is `kept`.
    pub(super) fn commit_nothing<S: Medium>(
        &mut self,
        store: &mut S,
        need: Need,
        kept: &Overlay,
        table: Option<&TableChange>,
    ) -> Result<(), Error> {
        let none = Changes::default();
        let terms = Terms {
            need,
            page_count: self.make_room(store, &need)?,
            durability: Durability::Durable,
            kept,
            table,
            moves: None,
        };
        let plan = self.plan(store, &none, &terms)?;
        self.write(store, &none, plan, false)
    }

    /// Lets be taken what was kept for views that are gone.
    pub(super) fn release(&mut self) {
        self.pins.forget_dropped();
        let readers = Readers {
            pins: &self.pins,
            durable: Some(self.durable),
        };
        if let Some(pages) = &mut self.pages {
            pages.release(&readers);
        }
    }

    /// What changes take, and the page count that has the room. Where there is
    /// none, what the durable state alone reads is given back, and then what a
    /// fold does.
    fn find_room<S: Medium>(
        &mut self,
        store: &mut S,
        changes: &Changes<S::Buffer>,
        durability: Durability,
    ) -> Result<(Need, u64), Error> {
        let need = self.need_of(changes, durability, false);
        let error = match self.make_room(store, &need) {
            Ok(page_count) => return Ok((need, page_count)),
            Err(error) => error,
        };
        if self.phase == Phase::Poisoned {
            return Err(error);
        }
        if !self.pending.is_empty() {
            let none = Changes::<S::Buffer>::default();
            let flush = self.need(&none);
            // Where it takes pages that the changes name, they are refused: the
            // next ones find more room.
            let page_count = self.record.page_count;
            let keeping = Need {
                room: flush.room + changes.allocated.len(),
                ..flush
            };
            let is_room = self.smallest(&self.record, &keeping) == Some(page_count);
            let kept = if is_room { changes } else { &none };
            self.commit_nothing(store, flush, &kept.allocated, None)?;
            if !is_room {
                return Err(error);
            }
            let need = self.need_of(changes, durability, false);
            if let Ok(page_count) = self.make_room(store, &need) {
                return Ok((need, page_count));
            }
        }
        self.fold_for_room(store, changes, error)?;
        let need = self.need_of(changes, durability, false);
        let page_count = self.make_room(store, &need)?;
        Ok((need, page_count))
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
        let mut need = self.need_of(&none, Durability::Durable, true);
        // Pages that the changes name are not for nodes.
        need.room += changes.allocated.len();
        let page_count = self.record.page_count;
        let is_room = self.smallest(&self.record, &need) == Some(page_count);
        if self.record.deltas.is_empty() || !is_room {
            return Err(error);
        }
        let terms = Terms {
            need,
            page_count,
            durability: Durability::Durable,
            kept: &changes.allocated,
            table: None,
            moves: None,
        };
        let plan = self.plan(store, &none, &terms)?;
        let folded = Unfolded::of(
            self.layout.shape(),
            &plan.record.map_tree(),
            plan.map_height,
            &plan.record.deltas,
        );
        let durable = Durability::Durable;
        let mut need = self.need_after(&plan.record, &folded, changes, durable, false);
        // What it replaces may be read by views still.
        let readers = Readers {
            pins: &self.pins,
            durable: None,
        };
        let held = plan
            .freed
            .iter()
            .filter(|it| readers.newest(it.birth, it.at).is_some());
        need.room += wide(held.count());
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
            Some((&id, change)) if id.0 >= limit && change.is_new() => {
                Err(Error::NoFreeId { limit })
            }
            Some((&id, _)) if id.0 >= limit => Err(Error::NotProtected { id }),
            _ => Ok(()),
        }
    }

    /// Writes what was planned, and makes it durable. `recycles`: a page that
    /// becomes a regular one may hold old bytes.
    pub(super) fn write<S: Medium>(
        &mut self,
        store: &mut S,
        changes: &Changes<S::Buffer>,
        plan: Plan,
        recycles: bool,
    ) -> Result<(), Error> {
        let mut plan = plan;
        let page_size = self.layout.shape().page_size;
        let written = plan.contents.len() + plan.copies.len() + plan.nodes.len();
        let written = wide(written) + self.pending.written();
        let is_first_ordered =
            recycles || self.pending.recycles() || written > UNPROVEN_MAX >> page_size.log2();
        if is_first_ordered {
            plan.record.proven = plan.record.generation;
        }
        let none = Deltas::default();
        let before = if plan.folds() {
            &none
        } else {
            &self.record.deltas
        };
        let blocks = plan.record.encode_with(before, &plan.deltas);
        let side = self.side.other();

        // Only free pages get bytes, so a failure changes nothing.
        self.copy(store, &plan.copies)?;
        // Until here nothing else was written.
        let root = slots::pages(self.layout.shape(), side, &blocks);
        let mut batch = contents(changes, &plan);
        if is_first_ordered {
            batch.push(Change::Order);
        }
        batch.extend(slots::changes(&root));
        batch.push(Change::Sync);
        let done = store.write(&batch);
        self.or_poison(Operation::WriteCommit, done)?;

        self.blocks = blocks;
        self.side = side;
        self.durable = plan.record.generation;
        self.pending = Pending::default();
        self.apply(changes, plan);
        // Acknowledged, whatever becomes of the copy.
        if self.write_record(store, self.side.other(), false).is_err() {
            self.phase = Phase::Poisoned;
        }
        Ok(())
    }

    /// Copies pages to free ones, some at a time.
    fn copy<S: Medium>(&mut self, store: &mut S, copies: &[Copy]) -> Result<(), Error> {
        let page_size = self.layout.shape().page_size;
        let at_once = (COPIED_AT_ONCE / page_size.bytes()).max(1);
        for copies in copies.chunks(at_once) {
            let mut pages = Vec::with_capacity(copies.len());
            for copy in copies {
                let mut bytes = alloc::vec![0; page_size.bytes()];
                let done = store.read(copy.from, 0, &mut bytes);
                done.map_err(Error::reading(copy.from))?;
                let actual = xxh3(&bytes);
                if actual != copy.checksum {
                    return Err(Error::ChecksumMismatch {
                        id: copy.id,
                        page: copy.from,
                        expected: copy.checksum,
                        actual,
                    });
                }
                pages.push((copy.to, bytes));
            }
            let batch: Vec<Change<'_, S::Buffer>> = slots::changes(&pages).collect();
            let done = store.write(&batch);
            self.or_poison(Operation::WriteCommit, done)?;
        }
        Ok(())
    }

    /// Writes what was planned to free pages, and no record: the durable state
    /// stays what it is.
    fn write_deferred<S: Medium>(
        &mut self,
        store: &mut S,
        changes: &Changes<S::Buffer>,
        plan: Plan,
        recycles: bool,
    ) -> Result<(), Error> {
        let batch = contents(changes, &plan);
        if !batch.is_empty() {
            let done = store.write(&batch);
            self.or_poison(Operation::WriteCommit, done)?;
        }
        self.pending.add(changes, plan.contents.len(), recycles);
        self.apply(changes, plan);
        Ok(())
    }

    /// What was committed becomes what memory says.
    fn apply<B>(&mut self, changes: &Changes<B>, plan: Plan) {
        let (shape, map) = (self.layout.shape(), self.record.map_tree());
        let mut deltas = core::mem::take(&mut self.record.deltas);
        for node in plan.nodes {
            let place = Place {
                page: node.page,
                map_level: (node.which == Which::Map).then_some(node.level),
            };
            self.cache.put(place, node.entry, node.bytes);
        }
        self.highest = plan.record.generation;
        self.record = plan.record;
        self.next_fit = plan.next_fit;
        if let Some(snapshots) = plan.snapshots {
            self.snapshots = snapshots;
        }
        self.regular = self
            .regular
            .map(|before| before + changes.allocated.len() - changes.freed.len());
        // Those that were counted so far may be others now.
        self.counted = Some((0, 0));
        if let Some(pages) = plan.pages {
            let before = self.pages.as_mut().zip(self.unfolded.as_mut());
            if let Some((before, unfolded)) = before {
                before.apply(&pages);
                unfolded.add(shape, &map, plan.map_height, &plan.deltas);
            }
            deltas.extend(plan.deltas);
            self.record.deltas = deltas;
        } else {
            let space = self.record.space_tree();
            self.pages.get_or_insert_default().fold(&space);
            self.unfolded = None;
        }
        let is_durable = self.record.generation == self.durable;
        let readers = Readers {
            pins: &self.pins,
            durable: (!is_durable).then_some(self.durable),
        };
        if let Some(pages) = &mut self.pages {
            pages.hold(&readers, &plan.freed);
            for page in plan.freed_regular {
                pages.hold_regular(page);
            }
            if is_durable {
                pages.release_regular();
                pages.release(&readers);
            }
        }
        self.is_dirty = true;
    }
}

/// Zeros of new regular pages, contents, and nodes.
fn contents<'a, B>(changes: &'a Changes<B>, plan: &'a Plan) -> Vec<Change<'a, B>> {
    let resets = changes.allocated_runs();
    let mut batch: Vec<Change<'_, B>> = resets
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
    batch.extend(plan.tables.iter().map(|table| Change::Bytes {
        page: table.page,
        bytes: &table.bytes,
    }));
    batch
}
