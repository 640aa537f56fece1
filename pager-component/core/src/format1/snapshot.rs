//! Snapshots: committed states of the protected pages that have a name and stay.
//!
//! | Verb | What it does |
//! |---|---|
//! | take | folds, and puts the root of MAP in the table, in one commit |
//! | drop | takes it out, and frees what no other snapshot and no tree names, in one commit |
//! | read | a file that is only read, at that root; a pin keeps it in this process if it is dropped |
//! | restore | a commit that gives every protected page the bytes that it had then |
//!
//! What a snapshot has is named in the same place by it, perhaps by its
//! neighbours, and perhaps by the committed tree, without a gap in time. So what
//! it has alone is what is younger than the one before it and not in the same
//! place in the one after it. A restore copies, since an old page in the tree
//! would make such a gap.

use alloc::string::String;
use alloc::vec::Vec;

use super::deltas::Deltas;
use super::differ::{Differences, Sides};
use super::entry::{Entry, Tree};
use super::error::{Error, checksum};
use super::file::{File, Scope};
use super::leaf::Kind;
use super::medium::Medium;
use super::plan::TableChange;
use super::record::Record;
use super::room::PROTECTED_MAX;
use super::snapshots::{SNAPSHOTS_MAX, Snapshots};
use super::table::{Snapshot, fault_of_name};
use super::tree::Reader;
use crate::changes::{Change, Changes, Copied};
use crate::codec::wide;
use crate::facts::{ChangedPage, Durability, SnapshotInfo};
use crate::ids::ProtectedId;
use crate::pin::Pin;

/// A protected page that two states may have otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Changed {
    pub(super) id: ProtectedId,
    pub(super) before: Option<Entry>,
    pub(super) after: Option<Entry>,
}

impl Changed {
    /// Whether it is there in one state only, or with other bytes: a page that was
    /// written again may have the same.
    fn has_other_bytes(&self) -> bool {
        let checksum =
            |entry: Option<Entry>| entry.map(|entry| (entry.number == 0, entry.checksum));
        checksum(self.before) != checksum(self.after)
    }
}

/// A state of MAP: its tree, and what changed since that was written.
#[derive(Clone, Debug)]
pub(super) struct MapState {
    pub(super) tree: Tree,
    pub(super) deltas: Deltas,
}

impl MapState {
    fn of(snapshot: &Snapshot) -> Self {
        Self {
            tree: snapshot.map_tree(),
            deltas: Deltas::default(),
        }
    }

    /// What it has of an id.
    fn stored<S: Medium>(
        &self,
        reader: &mut Reader<'_, S>,
        id: u64,
    ) -> Result<Option<Entry>, Error> {
        match self.deltas.ids.get(&id) {
            Some(changed) => Ok(*changed),
            None => reader.entry(&self.tree, 0, id),
        }
    }
}

impl File {
    /// The snapshots, oldest first.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Poisoned`], [`Error::Store`].
    pub fn snapshots<S: Medium>(&mut self, store: &S) -> Result<Vec<Snapshot>, Error> {
        self.expect_sound()?;
        Ok(self.read_snapshots(store)?.iter().cloned().collect())
    }

    /// The snapshot of a name.
    ///
    /// # Errors
    /// As [`File::snapshots`]; [`Error::NoSnapshot`].
    pub fn snapshot<S: Medium>(&mut self, store: &S, name: &str) -> Result<Snapshot, Error> {
        self.expect_sound()?;
        let mut snapshots = self.read_snapshots(store)?.iter();
        let found = snapshots.find(|snapshot| snapshot.name == name);
        found.cloned().ok_or(Error::NoSnapshot)
    }

    /// Gives the committed state a name, in a commit that is durable, with all
    /// that was deferred. `time` is in nanoseconds since 1970.
    ///
    /// # Errors
    /// [`Error::SnapshotName`], [`Error::IsSnapshot`],
    /// [`Error::TooManySnapshots`]; as [`File::commit`].
    pub fn create_snapshot<S: Medium>(
        &mut self,
        store: &mut S,
        name: &str,
        time: u64,
    ) -> Result<Snapshot, Error> {
        self.expect_sound()?;
        if let Some(fault) = fault_of_name(name) {
            return Err(Error::SnapshotName(fault));
        }
        self.settle(store)?;
        let snapshots = self.read_snapshots(store)?;
        let tables = snapshots.pages_len() + 1;
        if snapshots.iter().any(|snapshot| snapshot.name == name) {
            return Err(Error::IsSnapshot);
        }
        if snapshots.count() >= SNAPSHOTS_MAX {
            let limit = wide(SNAPSHOTS_MAX);
            return Err(Error::TooManySnapshots { limit });
        }
        let id = self.record.last_snapshot.checked_add(1);
        let take = TableChange::Take {
            id: id.ok_or(Error::GenerationsExhausted)?,
            name: String::from(name),
            time,
        };
        // What lets something be freed when the store is full, and dropped.
        let reserve = 2 * (u64::from(self.record.map_height) + 2) + tables;
        self.commit_table(store, &take, 1, reserve)?;
        // It is there, whatever became of the second record.
        self.snapshots.last().cloned().ok_or(Error::NoSnapshot)
    }

    /// Drops a snapshot, in a commit that is durable, with all that was deferred:
    /// how many pages that frees.
    ///
    /// # Errors
    /// [`Error::NoSnapshot`]; as [`File::commit`].
    pub fn delete_snapshot<S: Medium>(&mut self, store: &mut S, name: &str) -> Result<u64, Error> {
        let id = self.snapshot(store, name)?.id;
        self.settle(store)?;
        // What the committed tree has is compared: it has to be written.
        self.fold(store)?;
        self.flush(store)?;
        let mut freed = Vec::new();
        self.visit_alone(store, id, &mut |entry, kind| freed.push((*entry, kind)))?;
        let pages = wide(freed.len());
        let rewritten = self.snapshots.without(self.layout.shape(), id).len();
        let drop = TableChange::Drop { id, freed };
        self.commit_table(store, &drop, rewritten, 0)?;
        Ok(pages)
    }

    /// How many pages a snapshot has that nothing else has: what dropping it
    /// frees, but for nodes that the next fold replaces.
    ///
    /// # Errors
    /// As [`File::snapshot`].
    pub fn held_alone<S: Medium>(&mut self, store: &S, name: &str) -> Result<u64, Error> {
        let id = self.snapshot(store, name)?.id;
        let mut pages = 0;
        self.visit_alone(store, id, &mut |_, _| pages += 1)?;
        Ok(pages)
    }

    /// A snapshot, to be read from as long as the pin lives, also when it is
    /// dropped here.
    ///
    /// # Errors
    /// As [`File::snapshot`].
    pub fn view_snapshot<S: Medium>(
        &mut self,
        store: &S,
        name: &str,
    ) -> Result<(Self, Pin), Error> {
        let record = self.record_of(store, name)?;
        let pin = self.pins.pin(record.generation);
        Ok((Self::reading(self.layout, record), pin))
    }

    /// What [`File::open_at`] needs to read a snapshot.
    ///
    /// # Errors
    /// As [`File::snapshot`].
    pub fn root_of<S: Medium>(&mut self, store: &S, name: &str) -> Result<Vec<u8>, Error> {
        Ok(self.record_of(store, name)?.encode())
    }

    /// The generation of the snapshot that this file reads, if it is one by its
    /// root alone: then nothing keeps it but its name.
    pub(crate) fn shown_snapshot(&self) -> Option<u64> {
        let is_one = self.scope == Scope::Protected && self.record.space.is_none();
        (is_one && self.record.map.is_some()).then_some(self.record.generation)
    }

    /// Gives every protected page the bytes that it had in a snapshot, and frees
    /// those that there were not, in a commit that is durable, with all that was
    /// deferred: how many protected pages change. Regular pages stay as they are.
    ///
    /// # Errors
    /// [`Error::NoSnapshot`]; [`Error::TooMany`] where more change than one commit
    /// can have; [`Error::ChecksumMismatch`], with nothing changed; as
    /// [`File::commit`].
    pub fn restore<S: Medium>(&mut self, store: &mut S, name: &str) -> Result<u64, Error> {
        let snapshot = self.snapshot(store, name)?;
        self.settle(store)?;
        let (then, now) = (MapState::of(&snapshot), self.map_state());
        let most = crate::codec::narrow(PROTECTED_MAX);
        let changed = self.changed(store, &then, &now, 0, most + 1)?;
        if changed.len() > most {
            return Err(Error::TooMany {
                limit: PROTECTED_MAX,
            });
        }
        let mut changes = Changes::<S::Buffer>::default();
        for Changed { id, before, after } in &changed {
            let change = match before {
                None => Change::Free,
                Some(entry) => Change::Copy(Copied {
                    from: (entry.number != 0).then_some(entry.number),
                    checksum: checksum(entry.checksum),
                    is_new: after.is_none(),
                }),
            };
            changes.protected.insert(*id, change);
        }
        self.commit_as(store, &changes, Durability::Durable)?;
        Ok(wide(changed.len()))
    }

    /// The protected pages from id `from` on that two snapshots have otherwise, in
    /// ascending order, at most `limit`. None: the committed state.
    ///
    /// # Errors
    /// As [`File::snapshot`].
    pub fn changes_between<S: Medium>(
        &mut self,
        store: &S,
        [before, after]: [Option<&str>; 2],
        from: ProtectedId,
        limit: usize,
    ) -> Result<Vec<ChangedPage>, Error> {
        let mut state = |name: Option<&str>| match name {
            Some(name) => Ok(MapState::of(&self.snapshot(store, name)?)),
            None => Ok(self.map_state()),
        };
        let (before, after) = (state(before)?, state(after)?);
        let changed = self.changed(store, &before, &after, from.0, limit)?;
        let words = |entry: Option<Entry>| entry.map(|entry| self.in_words(entry.into()));
        Ok(changed
            .into_iter()
            .map(|changed| ChangedPage {
                id: changed.id,
                before: words(changed.before),
                after: words(changed.after),
            })
            .collect())
    }

    /// The generation of the newest snapshot; 0: there is none.
    pub(super) fn newest_snapshot<S: Medium>(&mut self, store: &S) -> Result<u64, Error> {
        let (reader, snapshots, record) = self.table(store);
        let newest = snapshots.newest(&reader, record)?;
        Ok(newest.map_or(0, |newest| newest.generation))
    }

    fn table<'a, S>(&'a mut self, store: &'a S) -> (Reader<'a, S>, &'a mut Snapshots, &'a Record) {
        let reader = Reader {
            store,
            layout: &self.layout,
            page_count: self.record.page_count,
            deltas: &self.record.deltas,
            cache: &mut self.cache,
        };
        (reader, &mut self.snapshots, &self.record)
    }

    /// All snapshots.
    pub(super) fn read_snapshots<S: Medium>(&mut self, store: &S) -> Result<&Snapshots, Error> {
        let (reader, snapshots, record) = self.table(store);
        snapshots.read_all(&reader, record)?;
        Ok(&self.snapshots)
    }

    /// Reads the table, if it is one, since room is kept to write it anew.
    ///
    /// # Errors
    /// [`Error::Store`]. What is wrong with it is told to whoever needs it.
    pub(super) fn know_tables<S: Medium>(&mut self, store: &S) -> Result<(), Error> {
        match self.scope {
            Scope::All => match self.read_snapshots(store).map(drop) {
                Err(error) if error.is_of_medium() => Err(error),
                _ => Ok(()),
            },
            Scope::Protected => Ok(()),
        }
    }

    /// A commit that changes the table of snapshots, writes so many pages of it,
    /// and keeps some room besides. Where there is none, what the durable state
    /// alone reads is given back first.
    fn commit_table<S: Medium>(
        &mut self,
        store: &mut S,
        change: &TableChange,
        pages: u64,
        reserve: u64,
    ) -> Result<(), Error> {
        self.release();
        let none = Changes::<S::Buffer>::default();
        let need = |file: &mut Self| {
            let mut need = file.need_of(&none, Durability::Durable, true);
            need.written += pages;
            need.room += pages + reserve;
            need
        };
        let mut wanted = need(self);
        if !self.pending.is_empty()
            && self.smallest(&self.record, &wanted) != Some(self.record.page_count)
        {
            self.flush(store)?;
            wanted = need(self);
        }
        self.commit_nothing(store, wanted, &none.allocated, Some(change))
    }

    /// The committed state of MAP.
    pub(super) fn map_state(&self) -> MapState {
        MapState {
            tree: self.record.map_tree(),
            deltas: self.record.deltas.clone(),
        }
    }

    /// The root record that shows a snapshot.
    fn record_of<S: Medium>(&mut self, store: &S, name: &str) -> Result<Record, Error> {
        let snapshot = self.snapshot(store, name)?;
        let protected = self.ids_of(store, &snapshot)?;
        Ok(Record {
            header: self.record.header,
            generation: snapshot.generation,
            base: snapshot.generation,
            proven: snapshot.generation,
            page_count: self.record.page_count,
            used: 0,
            protected,
            last_snapshot: snapshot.id,
            map_height: snapshot.map_height,
            space_height: 0,
            map: snapshot.map,
            space: None,
            snapshots: None,
            deltas: Deltas::default(),
        })
    }

    /// How many protected pages a snapshot has: as many as there are now, but for
    /// what changed since; where that cannot be told, they are counted.
    fn ids_of<S: Medium>(&mut self, store: &S, snapshot: &Snapshot) -> Result<u64, Error> {
        let (then, now) = (MapState::of(snapshot), self.map_state());
        let (mut more, mut less) = (0, 0);
        let compared = self.visit_changed(store, &then, &now, 0, &mut |changed| {
            more += u64::from(changed.after.is_none());
            less += u64::from(changed.before.is_none());
            true
        });
        match compared {
            Ok(()) => Ok((self.record.protected + more).saturating_sub(less)),
            Err(Error::Corrupt { .. }) => {
                let nothing = MapState {
                    tree: Tree {
                        root: None,
                        ..then.tree
                    },
                    deltas: Deltas::default(),
                };
                let mut ids = 0;
                self.visit_changed(store, &then, &nothing, 0, &mut |_| {
                    ids += 1;
                    true
                })?;
                Ok(ids)
            }
            Err(error) => Err(error),
        }
    }

    /// The protected pages from id `from` on that two states have otherwise, in
    /// ascending order, at most `limit`.
    pub(super) fn changed<S: Medium>(
        &mut self,
        store: &S,
        before: &MapState,
        after: &MapState,
        from: u64,
        limit: usize,
    ) -> Result<Vec<Changed>, Error> {
        let mut found = Vec::new();
        if limit > 0 {
            self.visit_changed(store, before, after, from, &mut |changed| {
                found.push(changed);
                found.len() < limit
            })?;
        }
        Ok(found)
    }

    /// Calls `f` with each, until it says that this is enough.
    fn visit_changed<S: Medium>(
        &mut self,
        store: &S,
        before: &MapState,
        after: &MapState,
        from: u64,
        f: &mut dyn FnMut(Changed) -> bool,
    ) -> Result<(), Error> {
        let mut reader = self.reader(store);
        let shape = reader.layout.shape();
        let mut walk = Differences::of(&mut reader, &before.tree, &after.tree, Sides::Both)?;
        // Those of which a delta says what they are come between the others.
        let deltas = before.deltas.ids.range(from..);
        let deltas = deltas.chain(after.deltas.ids.range(from..));
        let ids: alloc::collections::BTreeSet<u64> = deltas.map(|(&id, _)| id).collect();
        let mut ids = ids.into_iter().peekable();
        loop {
            let next = walk.next();
            let start = next.map_or(u64::MAX, |pair| shape.first_key(pair.level, pair.index));
            let is_lowest = next.is_none_or(|pair| pair.level == 0);
            while let Some(id) = ids.next_if(|&id| id < start || is_lowest && id == start) {
                let (before, after) = (
                    before.stored(&mut reader, id)?,
                    after.stored(&mut reader, id)?,
                );
                let id = ProtectedId(id);
                let changed = Changed { id, before, after };
                if changed.has_other_bytes() && !f(changed) {
                    return Ok(());
                }
            }
            let Some(pair) = next else { return Ok(()) };
            if shape.first_key(pair.level, pair.index + 1) <= from {
                continue;
            }
            if pair.level > 0 {
                walk.below(&mut reader, &pair)?;
                continue;
            }
            let is_told = [before, after]
                .iter()
                .any(|state| state.deltas.ids.contains_key(&pair.index));
            let changed = Changed {
                id: ProtectedId(pair.index),
                before: pair.first,
                after: pair.second,
            };
            if !is_told && changed.has_other_bytes() && !f(changed) {
                return Ok(());
            }
        }
    }

    /// Calls `f` with what names each page that a snapshot has alone.
    fn visit_alone<S: Medium>(
        &mut self,
        store: &S,
        id: u64,
        f: &mut dyn FnMut(&Entry, Kind),
    ) -> Result<(), Error> {
        let mut snapshots = self.read_snapshots(store)?.iter();
        let place = snapshots.position(|snapshot| snapshot.id == id);
        drop(snapshots);
        let place = place.ok_or(Error::NoSnapshot)?;
        let older = self.snapshots.iter().take(place).last();
        let before = older.map_or(0, |older| older.generation);
        let mut walk = self.not_after(store, place)?;
        let mut reader = self.reader(store);
        while let Some(pair) = walk.next() {
            let Some(entry) = pair.first.filter(|entry| entry.birth > before) else {
                continue;
            };
            if pair.level > 0 {
                f(&entry, Kind::Node);
                walk.below(&mut reader, &pair)?;
            } else if entry.number != 0 {
                f(&entry, Kind::Protected);
            }
        }
        Ok(())
    }

    /// What the snapshot at a place in their order has, and what comes after it has
    /// not: the next snapshot, or the committed state, whose tree may name pages
    /// that the deltas replaced.
    pub(super) fn not_after<S: Medium>(
        &mut self,
        store: &S,
        place: usize,
    ) -> Result<Differences, Error> {
        let mut snapshots = self.read_snapshots(store)?.iter().skip(place);
        let snapshot = snapshots.next().ok_or(Error::NoSnapshot)?;
        let (tree, generation) = (snapshot.map_tree(), snapshot.generation);
        let next = snapshots.next().map(Snapshot::map_tree);
        drop(snapshots);
        let committed = self.record.map_tree();
        let mut reader = self.reader(store);
        let after = next.unwrap_or(committed);
        let mut walk = Differences::of(&mut reader, &tree, &after, Sides::First)?;
        if next.is_none() {
            let deltas = reader.deltas;
            let mut replaced = Vec::new();
            for &id in deltas.ids.keys() {
                let old = reader.entry(&committed, 0, id)?;
                // A younger one was never the snapshot's.
                let Some(old) = old.filter(|old| old.birth <= generation) else {
                    continue;
                };
                if reader.entry(&tree, 0, id)? == Some(old) {
                    replaced.push((id, old));
                }
            }
            walk.add_last(&replaced);
        }
        Ok(walk)
    }
}

impl From<Snapshot> for SnapshotInfo {
    fn from(snapshot: Snapshot) -> Self {
        Self {
            name: snapshot.name,
            generation: snapshot.generation,
            time: snapshot.time,
        }
    }
}
