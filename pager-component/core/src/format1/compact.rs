//! Compaction: protected pages, nodes of MAP and the table of snapshots go to free
//! places below a *cut*, some at a time, each time in a commit that folds; then the
//! tail, which is free, is given back.
//!
//! 1. The *survey* decides on the cut: no page that stays where it is lies behind it,
//!    and all others find room before it. What stays is a regular page, whose number
//!    is its id; and what is as old as the newest snapshot, which is that one's.
//! 2. Steps walk MAP in the order of ids. A page behind the cut is copied, and the
//!    nodes above it are written anew; so is a node behind the cut. The file never
//!    grows for that. What is above something young is young, so no node of a snapshot
//!    is written twice.
//! 3. The end is one call: a fold, so that the next commit allocates nothing; a look
//!    for what is used behind the cut all the same; a commit with the smaller page
//!    count and without what SPACE says of the tail; its record in both slots, synced;
//!    and only then is the tail cut off.
//!
//! Other commits may come between the steps: the end looks again.

use alloc::vec::Vec;

use pagebox_store::StoreError;

use super::compaction::Compaction;
use super::deltas::Deltas;
use super::differ::{Differences, Sides};
use super::entry::{Entry, Tree};
use super::error::{Error, Operation, checksum};
use super::file::{File, Phase};
use super::leaf::{self, Kind};
use super::medium::Medium;
use super::plan::{Moves, Plan, TableChange, Terms, height_byte};
use super::record::Record;
use super::rewrite::cut;
use super::tree::Seek;
use crate::bitmap::Overlay;
use crate::changes::{Change, Changes, Copied};
use crate::codec::wide;
use crate::facts::{Compacted, Durability, Obstacle};
use crate::ids::ProtectedId;

/// The most bytes of pages that one step moves, unless one page has more.
const BYTES_MAX: usize = 64 << 20;

/// How often it begins anew where something was committed meanwhile.
const ROUNDS_MAX: u32 = 4;

/// The most nodes of the lowest level of MAP that one step looks at.
const NODES_MAX: usize = 1 << 12;

/// What a step moves.
#[derive(Debug, Default)]
struct Found {
    /// In the order of their ids.
    moves: Vec<Move>,
    /// Nodes of the lowest level that were looked at.
    seen: u64,
    /// The id to go on with; none: all were looked at.
    next: Option<u64>,
}

/// What moves, and the id at which it was come by.
#[derive(Clone, Copy, Debug)]
struct Move {
    id: u64,
    what: What,
}

#[derive(Clone, Copy, Debug)]
enum What {
    /// The bytes of the id, which this entry names.
    Bytes(Entry),
    /// A node of MAP on the way to it: its level, and its index.
    Node(u32, u64),
}

impl File {
    /// One step of making the file as short as `target` pages, or as can be: moves
    /// `limit` pages at most, and 64 MiB, or ends it. Call it again until it says that
    /// it is done. All that was deferred is durable afterwards.
    ///
    /// # Errors
    /// [`Error::ChecksumMismatch`] for a page that cannot be moved, with nothing
    /// changed; as [`File::commit`].
    pub fn compact<S: Medium>(
        &mut self,
        store: &mut S,
        target: u64,
        limit: usize,
    ) -> Result<Compacted, Error> {
        self.expect_sound()?;
        self.settle(store)?;
        self.flush(store)?;
        self.release();
        self.read_snapshots(store)?;
        let going_on = self.compaction.take().filter(|it| it.target == target);
        let mut compaction = match going_on {
            Some(compaction) => compaction,
            None => self.survey(store, target)?,
        };
        if compaction.cut >= self.record.page_count {
            self.pins.forget_dropped();
            if self.pins.oldest().is_none() {
                self.cut_off(store)?;
            }
            return Ok(self.compacted(0, compaction, true));
        }
        let most = BYTES_MAX / self.layout.shape().page_size.bytes();
        let found = self.find_moves(store, &compaction, limit.min(most).max(1))?;
        compaction.seen += found.seen;
        if compaction.seen > self.record.used + wide(self.record.deltas.ids.len()) {
            let fault = "MAP has more nodes than there are used pages";
            return Err(Error::Corrupt { page: 0, fault });
        }
        let moved = match self.move_most(store, &found, compaction.cut) {
            Ok((moved, next)) => {
                compaction.next = next.unwrap_or(u64::MAX);
                moved
            }
            Err(Error::Full { .. }) => {
                compaction.obstacle = Some(self.who_has_the_room());
                return self.finish(store, compaction);
            }
            Err(error) => return Err(error),
        };
        compaction.moved += moved;
        compaction.left = compaction.left.saturating_sub(moved);
        if compaction.next < u64::MAX {
            return Ok(self.compacted(moved, compaction, false));
        }
        if compaction.moved > 0 {
            // What came meanwhile.
            (compaction.next, compaction.moved, compaction.seen) = (0, 0, 0);
            return Ok(self.compacted(moved, compaction, false));
        }
        self.finish(store, compaction)
    }

    fn compacted(&mut self, moved: u64, compaction: Compaction, is_done: bool) -> Compacted {
        let compacted = Compacted {
            moved,
            left: if is_done { 0 } else { compaction.left },
            page_count: self.record.page_count,
            is_done,
            obstacle: compaction.obstacle.clone(),
        };
        self.compaction = (!is_done).then_some(compaction);
        compacted
    }

    /// Views keep pages that they read; else it is what the file has.
    fn who_has_the_room(&self) -> Obstacle {
        match self.pins.oldest() {
            Some(generation) if self.limbo_len() > 0 => Obstacle::View { generation },
            _ => Obstacle::Contents,
        }
    }

    /// Decides how short the file can become.
    fn survey<S: Medium>(&mut self, store: &mut S, target: u64) -> Result<Compaction, Error> {
        // From here on it is the trees that name what is moved.
        self.fold(store)?;
        let wanted = self.layout.round_up(target.min(self.record.page_count));
        // So that something can be freed afterwards, and dropped, without growth;
        // and room for what a step writes.
        let reserve = 2 * (u64::from(self.record.map_height) + 1) + self.snapshots.pages_len();
        let shortest = self.fitting(self.record.used + reserve, wanted);
        let shortest = shortest.unwrap_or(self.record.page_count);
        let mut compaction = Compaction {
            target,
            cut: shortest,
            next: 0,
            moved: 0,
            left: 0,
            obstacle: (shortest.min(self.record.page_count) > wanted).then_some(Obstacle::Contents),
            seen: 0,
            rounds: 0,
        };
        if shortest >= self.record.page_count {
            return Ok(compaction);
        }
        let newest = self.newest_snapshot(store)?;
        let movable = self.movable(store, newest, shortest)?;
        let stays = |page: u64, kind: Kind| match kind {
            Kind::Regular => true,
            Kind::Protected | Kind::Node => {
                movable.as_ref().is_some_and(|pages| !pages.contains(page))
            }
            _ => false,
        };
        let mut last = None;
        self.visit_used(store, shortest, &mut |page, kind| {
            if stays(page, kind) {
                last = Some((page, kind));
            }
        })?;
        if let Some((page, kind)) = last {
            compaction.cut = self.layout.round_up(page + 1);
            compaction.obstacle = Some(self.what_stays(store, page, kind));
        }
        let mut left = 0;
        self.visit_used(store, compaction.cut, &mut |_, _| left += 1)?;
        compaction.left = left;
        Ok(compaction)
    }

    fn what_stays<S: Medium>(&mut self, store: &S, page: u64, kind: Kind) -> Obstacle {
        match kind {
            Kind::Regular => Obstacle::Regular { page },
            _ => Obstacle::Snapshot {
                page,
                name: self.naming_snapshot(store, page).map(|(name, _)| name),
            },
        }
    }

    /// Why a page stays where it is; none: it does not, but was written there while
    /// others were moved.
    fn why_there<S: Medium>(
        &mut self,
        store: &S,
        page: u64,
        kind: Kind,
    ) -> Result<Option<Obstacle>, Error> {
        let newest = self.newest_snapshot(store)?;
        let is_movable = match kind {
            Kind::Regular => false,
            Kind::Protected | Kind::Node => {
                let movable = self.movable(store, newest, page)?;
                movable.is_none_or(|pages| pages.contains(page))
            }
            _ => true,
        };
        Ok((!is_movable).then(|| self.what_stays(store, page, kind)))
    }

    /// Calls `f` with the used pages from `from` on, ascending.
    fn visit_used<S: Medium>(
        &mut self,
        store: &S,
        from: u64,
        f: &mut dyn FnMut(u64, Kind),
    ) -> Result<(), Error> {
        let space = self.record.space_tree();
        let (mut reader, pages) = self.paged(store)?;
        let layout = reader.layout;
        let mut group = layout.group_of(from);
        while let Some(of) = pages.next_group(&mut reader, &space, group)? {
            let start = layout.group_start(of);
            if start >= reader.page_count {
                break;
            }
            if let Some(leaf) = pages.leaf(&mut reader, &space, of)? {
                let first = from.saturating_sub(start);
                for (place, kind) in leaf::used_from(&leaf, layout.shape(), first) {
                    f(start + place, kind);
                }
            }
            group = of + 1;
        }
        Ok(())
    }

    /// Pages from `from` on that the tree of MAP names and that are younger than the
    /// newest snapshot; none: there is no snapshot, and all that it names are. What is
    /// not younger has nothing younger below it.
    fn movable<S: Medium>(
        &mut self,
        store: &S,
        newest: u64,
        from: u64,
    ) -> Result<Option<Overlay>, Error> {
        if newest == 0 {
            return Ok(None);
        }
        let map = self.record.map_tree();
        let nothing = Tree { root: None, ..map };
        let mut reader = self.reader(store);
        let mut pages = Overlay::default();
        let mut walk = Differences::of(&mut reader, &map, &nothing, Sides::First)?;
        while let Some(pair) = walk.next() {
            let Some(entry) = pair.first.filter(|entry| entry.birth > newest) else {
                continue;
            };
            if entry.number >= from {
                pages.insert(entry.number);
            }
            walk.below(&mut reader, &pair)?;
        }
        Ok(Some(pages))
    }

    /// What of MAP lies behind the cut, from the next id on.
    fn find_moves<S: Medium>(
        &mut self,
        store: &S,
        compaction: &Compaction,
        limit: usize,
    ) -> Result<Found, Error> {
        let newest = self.newest_snapshot(store)?;
        let map = self.record.map_tree();
        let mut reader = self.reader(store);
        let shape = reader.layout.shape();
        let is_behind = |entry: &Entry| entry.number >= compaction.cut && entry.birth > newest;
        let mut found = Found::default();
        // Each of the upper ones is on the way to many.
        let mut nodes = Overlay::default();
        let mut next = compaction.next;
        for _ in 0..NODES_MAX {
            let in_tree = reader.seek(&map, next, Seek::Present)?;
            let mut changed = reader.deltas.ids.range(next..);
            let changed = changed
                .find(|(_, entry)| entry.is_some())
                .map(|(&id, _)| id);
            let Some(id) = in_tree.into_iter().chain(changed).min() else {
                return Ok(found);
            };
            let index = shape.index_of(1, id);
            found.seen += 1;
            for level in 1..=map.height {
                let of = shape.index_of(level, id);
                let node = reader.entry(&map, level, of)?;
                if let Some(node) = node.filter(is_behind)
                    && nodes.insert(node.number)
                {
                    let what = What::Node(level, of);
                    found.moves.push(Move { id, what });
                }
            }
            let stored = reader.stored_below(&map, index)?;
            for (id, entry) in stored.into_iter().filter(|&(id, _)| id >= next) {
                if is_behind(&entry) {
                    let what = What::Bytes(entry);
                    found.moves.push(Move { id, what });
                    if found.moves.len() >= limit {
                        found.next = Some(id + 1);
                        return Ok(found);
                    }
                }
            }
            next = shape.first_key(1, index + 1);
            if found.moves.len() >= limit {
                break;
            }
        }
        found.next = Some(next);
        Ok(found)
    }

    /// Moves what was found, or the first of it where there is no room for all: how
    /// many pages, and the id to go on with; none: all were looked at.
    fn move_most<S: Medium>(
        &mut self,
        store: &mut S,
        found: &Found,
        cut: u64,
    ) -> Result<(u64, Option<u64>), Error> {
        let mut moves = found.moves.as_slice();
        let mut next = found.next;
        loop {
            match self.commit_moves(store, moves, cut) {
                Err(Error::Full { .. }) if moves.len() > 1 => {
                    let (first, rest) = moves.split_at(moves.len() / 2);
                    next = rest.first().map(|it| it.id);
                    moves = first;
                }
                done => return done.map(|()| (wide(moves.len()), next)),
            }
        }
    }

    /// A durable commit that changes nothing but where things are. [`Error::Full`],
    /// with nothing changed, where there is no room below the cut.
    fn commit_moves<S: Medium>(
        &mut self,
        store: &mut S,
        moves: &[Move],
        cut: u64,
    ) -> Result<(), Error> {
        let mut changes = Changes::<S::Buffer>::default();
        let mut touched = Vec::new();
        for &Move { id, what } in moves {
            match what {
                What::Node(level, index) => touched.push((level, index)),
                What::Bytes(entry) => {
                    let copied = Copied {
                        from: Some(entry.number),
                        checksum: checksum(entry.checksum),
                        is_new: false,
                    };
                    let id = ProtectedId(id);
                    changes.protected.insert(id, Change::Copy(copied));
                }
            }
        }
        let shape = self.layout.shape();
        let table = self.snapshots.below(shape, cut).map(TableChange::Move);
        if moves.is_empty() && table.is_none() && self.record.deltas.is_empty() {
            return Ok(());
        }
        let terms = Terms {
            need: self.need_of(&changes, Durability::Durable, true),
            page_count: self.record.page_count,
            durability: Durability::Durable,
            kept: &Overlay::default(),
            table: table.as_ref(),
            moves: Some(&Moves { cut, touched }),
        };
        let plan = self.plan(store, &changes, &terms)?;
        self.write(store, &changes, plan, false)
    }

    /// Gives the tail back, as far as it is free.
    fn finish<S: Medium>(
        &mut self,
        store: &mut S,
        compaction: Compaction,
    ) -> Result<Compacted, Error> {
        let mut compaction = compaction;
        match self.commit_moves(store, &[], compaction.cut) {
            Err(Error::Full { .. }) => compaction.obstacle = Some(self.who_has_the_room()),
            done => done?,
        }
        self.pins.forget_dropped();
        if let Some(generation) = self.pins.oldest() {
            compaction.obstacle = Some(Obstacle::View { generation });
            return Ok(self.compacted(0, compaction, true));
        }
        self.release();
        let mut last = None;
        self.visit_used(store, compaction.cut, &mut |page, kind| {
            last = Some((page, kind));
        })?;
        if let Some((page, kind)) = last {
            compaction.cut = self.layout.round_up(page + 1);
            compaction.obstacle = match self.why_there(store, page, kind)? {
                Some(obstacle) => Some(obstacle),
                None if compaction.obstacle == Some(Obstacle::Contents) => compaction.obstacle,
                None if compaction.rounds < ROUNDS_MAX => {
                    let target = compaction.target;
                    let rounds = compaction.rounds + 1;
                    let anew = self.survey(store, target)?;
                    return Ok(self.compacted(0, Compaction { rounds, ..anew }, false));
                }
                None => Some(Obstacle::Contents),
            };
        }
        if compaction.cut < self.record.page_count && self.record.deltas.is_empty() {
            self.commit_cut(store, compaction.cut)?;
        }
        self.cut_off(store)?;
        Ok(self.compacted(0, compaction, true))
    }

    /// Commits a page count behind which nothing is used, after a fold.
    fn commit_cut<S: Medium>(&mut self, store: &mut S, page_count: u64) -> Result<(), Error> {
        let generation = self.highest.checked_add(1);
        let generation = generation.ok_or(Error::GenerationsExhausted)?;
        let space = self.record.space_tree();
        let groups = self.layout.groups(page_count);
        let folded = cut(&mut self.reader(store), &space, groups, generation)?;
        let record = Record {
            generation,
            base: generation,
            proven: self.durable,
            page_count,
            space: folded.tree.root,
            space_height: height_byte(folded.tree.height),
            ..self.record.without_deltas()
        };
        let map_height = record.map_height.into();
        let plan = Plan {
            record,
            deltas: Deltas::default(),
            contents: Vec::new(),
            copies: Vec::new(),
            nodes: folded.nodes,
            tables: Vec::new(),
            snapshots: None,
            pages: None,
            freed: Vec::new(),
            freed_regular: Vec::new(),
            map_height,
            next_fit: 0,
        };
        self.write(store, &Changes::default(), plan, false)?;
        self.expect_sound()
    }

    /// Gives back what lies behind the page count, where there is something: of a cut
    /// that was cut short, too.
    fn cut_off<S: Medium>(&mut self, store: &mut S) -> Result<(), Error> {
        let page_count = self.record.page_count;
        if store.geometry().page_count <= page_count {
            return Ok(());
        }
        // Until both slots say so, the other one may hold a record that needs it.
        let done = store.sync();
        self.or_poison(Operation::Settle, done)?;
        let operation = Operation::Truncate { page_count };
        store.truncate(page_count).map(drop).map_err(|source| {
            let is_as_it_was = matches!(
                source,
                StoreError::ReadOnly | StoreError::Fenced | StoreError::Other(_)
            );
            if !is_as_it_was {
                self.phase = Phase::Poisoned;
            }
            Error::Store { operation, source }
        })
    }
}
