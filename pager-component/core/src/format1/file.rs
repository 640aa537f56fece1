//! [`File`]: an open file of format 1, and its verbs. Each is given the store;
//! nothing else is kept of it than the nodes in a bounded cache.
//!
//! Invariants: the record of generation `durable` is durable in the slot `side`;
//! nothing that it reaches is written; memory changes after the medium did.
//! `record` is that one, or what deferred commits made of it.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use pagebox_store::{Algorithm, Change, PageSize, PageStore};

use super::cache::Cache;
use super::compaction::Compaction;
use super::deltas::Deltas;
use super::error::{Damage, Error, Operation};
use super::header::{Header, Uuid};
use super::layout::Layout;
use super::medium::Medium;
use super::pages::Pages;
use super::pending::Pending;
use super::pins::Pins;
use super::record::Record;
use super::recover::{Decision, Verdict, recover};
use super::shape::Shape;
use super::slots;
use super::snapshots::Snapshots;
use super::tally::Tally;
use super::tree::Reader;
use super::unfolded::Unfolded;
use crate::bitmap::Overlay;
use crate::changes::Changes;
use crate::checksum::Xxh3;
use crate::codec::wide;
use crate::facts::{self, CommitInfo};
use crate::ids::Side;

/// What may be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// What recovery chose may not be durable.
    Unsettled,
    /// What is in memory is durable.
    Ready,
    /// A write or a sync failed: what is durable is not known.
    Poisoned,
}

/// What of its state can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// All of it.
    All,
    /// Its protected pages: nobody keeps its nodes of SPACE.
    Protected,
}

/// An open file of format 1.
#[derive(Clone, Debug)]
pub struct File {
    pub(super) layout: Layout,
    /// The committed state.
    pub(super) record: Record,
    /// The generation of the durable record.
    pub(super) durable: u64,
    /// The durable record as it is on the medium.
    pub(super) blocks: Vec<u8>,
    /// The slot that the durable record stands in.
    pub(super) side: Side,
    /// What was committed since.
    pub(super) pending: Pending,
    /// What views read.
    pub(super) pins: Pins,
    /// Its snapshots, as far as they were asked for.
    pub(super) snapshots: Snapshots,
    pub(super) scope: Scope,
    /// Whether reads show the record in both slots.
    pub(super) is_copied: bool,
    /// Whether something was written since the last sync.
    pub(super) is_dirty: bool,
    /// No stamp is above this.
    pub(super) highest: u64,
    pub(super) phase: Phase,
    pub(super) cache: Cache,
    /// What the deltas of the record make of the leaves; none: not yet asked
    /// for.
    pub(super) pages: Option<Pages>,
    /// What the deltas come to otherwise; none: not yet asked for.
    pub(super) unfolded: Option<Unfolded>,
    /// What settling writes again.
    pub(super) unproven: Vec<(u64, Xxh3)>,
    /// Where the next large transaction looks for pages first.
    pub(super) next_fit: u64,
    /// Regular pages, once they were counted.
    pub(super) regular: Option<u64>,
    /// Until then: the next group to count them in, and those counted. None: a
    /// leaf cannot be believed.
    pub(super) counted: Option<(u64, u64)>,
    /// What was found of SPACE and MAP by a check that goes on.
    pub(super) tally: Tally,
    /// A compaction that goes on.
    pub(super) compaction: Option<Compaction>,
    verdict: Verdict,
    header_is_rotten: bool,
    /// Why nothing may be built on it.
    damage: Option<Damage>,
}

/// The figures of the committed state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stats {
    /// Of the last commit.
    pub generation: u64,
    /// The generation that is durable.
    pub durable: u64,
    /// Pages that the file accounts for.
    pub page_count: u64,
    /// The most that it can.
    pub page_limit: u64,
    /// Pages that are the head's, or homes.
    pub reserved_pages: u64,
    /// Regular pages, pages of protected ones, and nodes of MAP.
    pub used_pages: u64,
    /// All others.
    pub free_pages: u64,
    /// Protected pages.
    pub protected: u64,
    /// The most that the format can name.
    pub protected_limit: u64,
    /// Pages of nodes and leaves in memory.
    pub cached_pages: usize,
}

impl File {
    /// Makes a new file of at least `page_count` pages in an empty store.
    ///
    /// # Errors
    /// [`Error::NotEmpty`], [`Error::Full`], [`Error::Store`].
    pub fn create<S: Medium>(store: &mut S, uuid: Uuid, page_count: u64) -> Result<Self, Error> {
        let layout = Layout::regular(Shape::of(store.geometry().page_size));
        Self::create_shaped(store, layout, uuid, page_count)
    }

    /// As [`File::create`], with another layout: for tests.
    ///
    /// # Errors
    /// As there.
    pub fn create_shaped<S: Medium>(
        store: &mut S,
        layout: Layout,
        uuid: Uuid,
        page_count: u64,
    ) -> Result<Self, Error> {
        Self::create_with(store, layout, uuid, page_count, &Overlay::default())
    }

    /// Makes a new file with these regular pages, which the homes leave alone.
    ///
    /// # Errors
    /// As [`File::create`].
    pub(super) fn create_with<S: Medium>(
        store: &mut S,
        layout: Layout,
        uuid: Uuid,
        page_count: u64,
        regular: &Overlay,
    ) -> Result<Self, Error> {
        let geometry = store.geometry();
        if geometry.page_count != 0 || geometry.tail != 0 {
            return Err(Error::NotEmpty {
                page_count: geometry.page_count,
            });
        }
        let limit = layout.shape().page_limit();
        if page_count > limit || layout.round_up(page_count) > limit {
            return Err(Error::Full { limit });
        }
        let page_count = layout.round_up(page_count);
        store
            .grow(page_count)
            .map_err(Error::store(Operation::Grow { page_count }))?;
        let header = Header {
            page_size: geometry.page_size,
            uuid,
            homes: layout.homes(),
        };
        let record = Record {
            header,
            generation: 1,
            base: 1,
            proven: 1,
            page_count,
            used: regular.len(),
            protected: 0,
            last_snapshot: 0,
            map_height: 1,
            space_height: 0,
            map: None,
            space: None,
            snapshots: None,
            deltas: Deltas::default(),
        };
        let mut file = Self {
            layout,
            highest: record.generation,
            durable: record.generation,
            record,
            blocks: Vec::new(),
            side: Side::A,
            pending: Pending::default(),
            pins: Pins::default(),
            snapshots: Snapshots::default(),
            scope: Scope::All,
            is_copied: true,
            is_dirty: false,
            phase: Phase::Ready,
            cache: Cache::default(),
            pages: None,
            unfolded: None,
            unproven: Vec::new(),
            next_fit: 0,
            regular: Some(regular.len()),
            counted: None,
            tally: Tally::default(),
            compaction: None,
            verdict: Verdict::Acknowledged,
            header_is_rotten: false,
            damage: None,
        };
        let nodes = file.mark(store, regular)?;
        file.blocks = file.record.encode();
        let shape = layout.shape();
        let mut pages = alloc::vec![(0, Cow::Owned(slots::whole(shape, &header.encode())))];
        for side in Side::BOTH {
            pages.extend(slots::pages(shape, side, &file.blocks));
        }
        let nodes = nodes.iter().map(|node| Change::Bytes {
            page: node.page,
            bytes: &node.bytes,
        });
        let changes: Vec<Change<'_, S::Buffer>> = nodes
            .chain(slots::changes(&pages))
            .chain([Change::Sync])
            .collect();
        store
            .write(&changes)
            .map_err(Error::store(Operation::WriteNew))?;
        Ok(file)
    }

    /// Opens a file: decides which root counts. Writes nothing.
    ///
    /// # Errors
    /// [`Error::Identity`], [`Error::PageSizeMismatch`], [`Error::Damaged`],
    /// [`Error::Store`].
    pub fn open<S: Medium>(store: &S) -> Result<Self, Error> {
        Self::open_as(store, None)
    }

    /// As [`File::open`], for a file of another shape: for tests.
    ///
    /// # Errors
    /// As there.
    pub fn open_shaped<S: Medium>(store: &S, shape: Shape) -> Result<Self, Error> {
        Self::open_as(store, Some(shape))
    }

    fn open_as<S: Medium>(store: &S, shape: Option<Shape>) -> Result<Self, Error> {
        let file = Self::of(recover(store, shape)?);
        file.expect_undamaged().map(|()| file)
    }

    /// What recovery found.
    pub(super) fn of(decision: Decision) -> Self {
        let snapshots = Snapshots::of(&decision.chosen.record);
        Self {
            layout: decision.layout,
            durable: decision.chosen.record.generation,
            record: decision.chosen.record,
            blocks: decision.chosen.blocks,
            side: decision.side,
            pending: Pending::default(),
            pins: Pins::default(),
            snapshots,
            scope: Scope::All,
            is_copied: decision.verdict == Verdict::Acknowledged,
            is_dirty: false,
            highest: decision.highest,
            phase: Phase::Unsettled,
            cache: decision.verified.cache,
            pages: None,
            unfolded: None,
            unproven: decision.verified.unproven,
            next_fit: 0,
            regular: None,
            counted: Some((0, 0)),
            tally: Tally::default(),
            compaction: None,
            verdict: decision.verdict,
            header_is_rotten: decision.header_is_rotten,
            damage: decision.damage,
        }
    }

    /// # Errors
    /// [`Error::Damaged`].
    pub(super) fn expect_undamaged(&self) -> Result<(), Error> {
        self.damage
            .map_or(Ok(()), |damage| Err(Error::Damaged(damage)))
    }

    /// Both slots hold a root of trees that were built anew.
    pub(super) fn rebuilt(&mut self) {
        self.phase = Phase::Ready;
        self.damage = None;
        self.is_copied = true;
        self.highest = self.record.generation;
        self.durable = self.record.generation;
        self.snapshots = Snapshots::of(&self.record);
        self.pages = None;
        self.unfolded = None;
        self.regular = None;
        self.counted = Some((0, 0));
    }

    /// What recovery decided when the file was opened.
    pub fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// Whether the header was found rotten when the file was opened.
    pub fn header_is_rotten(&self) -> bool {
        self.header_is_rotten
    }

    /// Closes the file. If there was a commit, a fold and a sync: then the next
    /// opening finds two equal roots, and no deltas.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn close<S: PageStore>(self, store: &mut S) -> Result<(), Error> {
        let mut file = self;
        file.flush(store)?;
        if file.phase == Phase::Ready && file.is_dirty {
            // One that wrote nothing leaves the deltas, which say the same.
            if let Err(error) = file.fold(store)
                && file.phase == Phase::Poisoned
            {
                return Err(error);
            }
            store.sync().map_err(Error::store(Operation::Sync))?;
        }
        Ok(())
    }

    /// The figures of the committed state.
    pub fn stats(&self) -> Stats {
        let page_count = self.record.page_count;
        let reserved_pages = self.layout.reserved(page_count);
        Stats {
            generation: self.record.generation,
            durable: self.durable,
            page_count,
            page_limit: self.layout.shape().page_limit(),
            reserved_pages,
            used_pages: self.record.used,
            free_pages: page_count.saturating_sub(reserved_pages.saturating_add(self.record.used)),
            protected: self.record.protected,
            protected_limit: self.layout.shape().id_limit(),
            cached_pages: self.cache.len(),
        }
    }

    /// What the last commit came to.
    pub(crate) fn committed(&self) -> CommitInfo {
        CommitInfo {
            generation: self.record.generation,
            durable: self.durable,
            page_count: self.record.page_count,
        }
    }

    /// Whether it is known what is durable after this error: a commit says so
    /// itself, a sync is done by others.
    pub(crate) fn leaves_ready(&self, error: &crate::error::Error) -> bool {
        let is_sync = matches!(
            error,
            crate::error::Error::Store {
                operation: crate::error::Operation::Sync,
                ..
            }
        );
        self.phase != Phase::Poisoned && !is_sync
    }

    /// The figures in the words of every format.
    pub(crate) fn figures<S: Medium>(&mut self, store: &S) -> facts::Stats {
        self.pins.forget_dropped();
        let stats = self.stats();
        let regular_pages = self.regular_pages(store);
        // Nodes for them, and what is kept so that a full file can be freed.
        let reserve = 2 * (u64::from(self.record.map_height) + 1);
        // What could not be read now is not reckoned with.
        let _ = self.know_tables(store);
        let tables = self.snapshots.pages_len();
        let kept = reserve + tables + self.need::<S::Buffer>(&Changes::default()).room;
        let fan = wide(self.layout.shape().fan());
        let held_pages = self.limbo_len();
        let knows_pages = self.scope == Scope::All;
        let free_pages = stats.free_pages.saturating_sub(held_pages);
        let room = free_pages.saturating_sub(kept);
        let room = room - room.div_ceil(fan + 1);
        facts::Stats {
            format: super::NAME,
            uuid: Some(self.record.header.uuid),
            capabilities: &["compaction", "deferred-commits", "snapshots", "views"],
            algorithm: Algorithm::Xxh3,
            page_size: self.layout.shape().page_size,
            page_count: Some(stats.page_count),
            page_limit: stats.page_limit,
            free_pages: knows_pages.then_some(free_pages),
            regular_pages,
            protected_pages: Some(stats.protected),
            protected_capacity: knows_pages.then(|| stats.protected.saturating_add(room)),
            protected_limit: stats.protected_limit,
            internal_pages: regular_pages.map(|regular| {
                stats
                    .page_count
                    .saturating_sub(free_pages.saturating_add(regular))
            }),
            generation: Some(stats.generation),
            held_pages,
            oldest_view: self.pins.oldest(),
        }
    }

    /// The figures of a file whose root records are lost.
    pub(crate) fn unknown_stats(page_size: PageSize) -> facts::Stats {
        let shape = Shape::of(page_size);
        facts::Stats {
            format: super::NAME,
            uuid: None,
            capabilities: &[],
            algorithm: Algorithm::Xxh3,
            page_size,
            page_count: None,
            page_limit: shape.page_limit(),
            free_pages: None,
            regular_pages: None,
            protected_pages: None,
            protected_capacity: None,
            protected_limit: shape.id_limit(),
            internal_pages: None,
            generation: None,
            held_pages: 0,
            oldest_view: None,
        }
    }

    pub(super) fn reader<'a, S>(&'a mut self, store: &'a S) -> Reader<'a, S> {
        Reader {
            store,
            layout: &self.layout,
            page_count: self.record.page_count,
            deltas: &self.record.deltas,
            cache: &mut self.cache,
        }
    }

    /// The trees, and what pages became since the last fold.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Store`].
    pub(super) fn paged<'a, S: Medium>(
        &'a mut self,
        store: &'a S,
    ) -> Result<(Reader<'a, S>, &'a Pages), Error> {
        let is_needed = self.pages.is_none() && !self.record.deltas.ids.is_empty();
        let newest_snapshot = if is_needed && self.scope == Scope::All {
            self.newest_snapshot(store)?
        } else {
            0
        };
        let mut reader = Reader {
            store,
            layout: &self.layout,
            page_count: self.record.page_count,
            deltas: &self.record.deltas,
            cache: &mut self.cache,
        };
        let pages = match &mut self.pages {
            Some(pages) => pages,
            none => none.insert(match self.scope {
                Scope::All => Pages::replay(&mut reader, &self.record, newest_snapshot)?,
                Scope::Protected => Pages::of_map(&mut reader, &self.record)?,
            }),
        };
        Ok((reader, pages))
    }

    /// What the deltas come to.
    pub(super) fn unfolded(&mut self) -> &mut Unfolded {
        let shape = self.layout.shape();
        let record = &self.record;
        self.unfolded.get_or_insert_with(|| {
            let map = record.map_tree();
            let height = shape.height_for(map.height, record.deltas.highest_stored());
            Unfolded::of(shape, &map, height, &record.deltas)
        })
    }

    /// Pages that the durable state or a view reads, and the committed one does
    /// not.
    pub(super) fn limbo_len(&self) -> u64 {
        self.pages.as_ref().map_or(0, Pages::limbo_len)
    }

    pub(super) fn expect_sound(&self) -> Result<(), Error> {
        if self.phase == Phase::Poisoned {
            Err(Error::Poisoned)
        } else {
            Ok(())
        }
    }
}
