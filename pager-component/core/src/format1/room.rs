//! Room: how many pages a commit takes, and how far the file grows for them.

use pagebox_store::{PageStore, StoreError};

use super::deltas::{self, Deltas};
use super::error::{Error, Operation};
use super::file::{File, Phase};
use super::record::Record;
use super::unfolded::Unfolded;
use crate::changes::{Change, Changes};
use crate::codec::wide;
use crate::facts::{Durability, Wish};
use crate::ids::ProtectedId;

/// What a growth adds, in bytes, unless more is needed at once: as much as there is
/// up to the first, then a part of that, up to the last. So little of a file is
/// free because it grew, and the syncs of growths are few beside those of commits.
const STEP: u64 = 1 << 20;
const STEP_PART: u64 = 16;
const STEP_MAX: u64 = 256 << 20;

/// Regular pages that a transaction allocates at most: what is held of them until
/// the commit fits the memory that a sandbox is given.
const REGULAR_MAX: u64 = 1 << 22;

/// The same of protected pages, and of those that one commit gives other bytes.
pub(super) const PROTECTED_MAX: u64 = 1 << 19;

/// What a commit takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Need {
    /// Pages of new contents and of nodes of MAP.
    pub(super) written: u64,
    /// Free pages that there must be.
    pub(super) room: u64,
    /// Whether the changed nodes of both trees are written.
    pub(super) folds: bool,
    /// The height that MAP gets.
    pub(super) map_height: u32,
    /// The page count must reach this.
    pub(super) end: u64,
}

impl File {
    /// What changes take, in a commit that is durable.
    pub(super) fn need<B>(&mut self, changes: &Changes<B>) -> Need {
        self.need_of(changes, Durability::Durable, false)
    }

    /// What changes take, in a commit that folds where it must, or in any case.
    pub(super) fn need_of<B>(
        &mut self,
        changes: &Changes<B>,
        durability: Durability,
        folds: bool,
    ) -> Need {
        self.unfolded();
        let none = Unfolded::default();
        let unfolded = self.unfolded.as_ref().unwrap_or(&none);
        self.need_after(&self.record, unfolded, changes, durability, folds)
    }

    /// What changes to a state take.
    pub(super) fn need_after<B>(
        &self,
        record: &Record,
        unfolded: &Unfolded,
        changes: &Changes<B>,
        durability: Durability,
        folds: bool,
    ) -> Need {
        let shape = self.layout.shape();
        // Homes are written in durable commits only.
        let folds = folds
            || durability == Durability::Durable
                && len_with(&record.deltas, changes) > shape.deltas_len;
        let map = record.map_tree();
        let highest_new = changes
            .protected
            .iter()
            .rev()
            .find(|(_, change)| change.is_new())
            .map(|(id, _)| id.0);
        let is_freed = |id| matches!(changes.protected.get(&ProtectedId(id)), Some(Change::Free));
        let highest_delta = record
            .deltas
            .ids
            .iter()
            .rev()
            .find(|&(&id, entry)| entry.is_some() && !is_freed(id))
            .map(|(&id, _)| id);
        let highest = highest_new.max(highest_delta).unwrap_or(0);
        let map_height = shape.height_for(map.height, highest);
        let contents = changes
            .protected
            .values()
            .filter(|change| change.takes_page())
            .count();
        // A commit that does not fold leaves room for the next one to do it.
        let ids = changes.protected.keys().map(|id| id.0);
        let nodes = unfolded.nodes_with(shape, &map, map_height, ids);
        let regular = changes.allocated.len();
        // So that something can be freed when the store is full.
        let reserve = if highest_new.is_some() || regular > 0 {
            2 * (u64::from(map_height) + 1)
        } else {
            0
        };
        // Nor does it take what dropping any snapshot writes, or where snapshots
        // filled the store nothing would give it back.
        let tables = if changes.is_empty() {
            0
        } else {
            self.snapshots.pages_len()
        };
        Need {
            written: wide(contents) + if folds { nodes } else { 0 },
            room: wide(contents) + nodes + regular + reserve + tables,
            folds,
            map_height,
            end: changes.allocated.max().map_or(0, |page| page + 1),
        }
    }

    /// Checks that the format has room for all that a transaction allocates.
    ///
    /// # Errors
    /// [`Error::Full`], [`Error::NoFreeId`], [`Error::TooMany`].
    pub(crate) fn expect_room(&self, wish: &Wish) -> Result<(), Error> {
        let shape = self.layout.shape();
        let ids = self.record.protected.saturating_add(wish.protected);
        if ids.max(wish.id_end) > shape.id_limit() {
            return Err(Error::NoFreeId {
                limit: shape.id_limit(),
            });
        }
        let limit = shape.page_limit();
        let new = wish.regular.saturating_add(wish.protected);
        let taken = self.layout.reserved(limit) + self.record.used;
        if taken.saturating_add(new) > limit {
            return Err(Error::Full { limit });
        }
        for (wished, limit) in [wish.regular, wish.protected]
            .into_iter()
            .zip([REGULAR_MAX, PROTECTED_MAX])
        {
            if wished > limit {
                return Err(Error::TooMany { limit });
            }
        }
        Ok(())
    }

    /// The page count that has this room; grows the file where it is shorter.
    ///
    /// # Errors
    /// [`Error::Full`], with nothing changed; [`Error::Store`], which poisons
    /// unless there is no space or the store is read-only.
    pub(super) fn make_room<S: PageStore>(
        &mut self,
        store: &mut S,
        need: &Need,
    ) -> Result<u64, Error> {
        let limit = self.layout.shape().page_limit();
        let needed = self
            .smallest(&self.record, need)
            .ok_or(Error::Full { limit })?;
        let page_count = self.record.page_count;
        if needed == page_count {
            return Ok(needed);
        }
        let pages = |bytes: u64| bytes >> self.layout.shape().page_size.log2();
        let step = page_count.min(pages(STEP)).max(page_count / STEP_PART);
        let step = step.min(pages(STEP_MAX));
        let wish = self.layout.round(limit.min(page_count + step)).max(needed);
        // What is there already, past the page count, is taken first.
        let stored = store.geometry().page_count;
        if needed <= stored {
            return Ok(self.layout.round(wish.min(stored)).max(needed));
        }
        match self.grow(store, wish) {
            Err(Error::Store {
                source: StoreError::InsufficientSpace,
                ..
            }) if needed < wish => self.grow(store, needed),
            done => done,
        }
    }

    fn grow<S: PageStore>(&mut self, store: &mut S, page_count: u64) -> Result<u64, Error> {
        match store.grow(page_count) {
            Ok(_) => Ok(page_count),
            Err(source) => {
                if !matches!(source, StoreError::InsufficientSpace | StoreError::ReadOnly) {
                    self.phase = Phase::Poisoned;
                }
                let operation = Operation::Grow { page_count };
                Err(Error::Store { operation, source })
            }
        }
    }

    /// The smallest page count from the present one on that has the room.
    pub(super) fn smallest(&self, record: &Record, need: &Need) -> Option<u64> {
        let taken = record.used + self.limbo_len() + need.room;
        self.fitting(taken, need.end.max(record.page_count))
    }

    /// The smallest page count from `from` on with so many pages besides those that
    /// are reserved.
    pub(super) fn fitting(&self, taken: u64, from: u64) -> Option<u64> {
        let limit = self.layout.shape().page_limit();
        let mut page_count = self.layout.round_up(from.min(limit));
        if from > limit {
            return None;
        }
        loop {
            if page_count > limit {
                return None;
            }
            match (self.layout.reserved(page_count) + taken).checked_sub(page_count) {
                None | Some(0) => return Some(page_count),
                Some(missing) => {
                    page_count = self
                        .layout
                        .round_up(page_count.saturating_add(missing).min(limit + 1));
                }
            }
        }
    }
}

/// Bytes that the deltas take in a record after these changes.
fn len_with<B>(deltas: &Deltas, changes: &Changes<B>) -> usize {
    let ids = changes.protected.keys();
    let new_ids = ids.filter(|id| !deltas.ids.contains_key(&id.0)).count();
    let pages = changes.allocated.iter().chain(changes.freed.iter());
    let new_pages = pages
        .filter(|page| !deltas.regular.contains_key(page))
        .count();
    deltas.encoded_len() + deltas::encoded_len([new_ids, new_pages])
}
