//! [`Plan`]: everything that a commit writes, decided before it writes.

use alloc::string::String;
use alloc::vec::Vec;

use pagebox_store::{Algorithm, Staged};

use super::deltas::Deltas;
use super::entry::Entry;
use super::error::{Error, Operation};
use super::file::File;
use super::leaf::Kind;
use super::limbo::Freed;
use super::medium::Medium;
use super::pages::{Changing, PageChanges};
use super::places::Places;
use super::record::Record;
use super::rewrite::{Folded, Level, Node, fold};
use super::room::Need;
use super::snapshots::{NewTable, Rewritten, Snapshots};
use super::table::Snapshot;
use super::tree::{Reader, Tree};
use crate::bitmap::Overlay;
use crate::changes::{Change, Changes, Copied};
use crate::checksum::Xxh3;
use crate::facts::Durability;
use crate::ids::{ProtectedId, Side};

/// From so many pages on they are looked for behind the last ones, so that they
/// lie in runs.
const NEXT_FIT: u64 = 8;

/// Everything that a commit writes.
#[derive(Debug)]
pub(super) struct Plan {
    /// The state after it, without deltas.
    pub(super) record: Record,
    /// What it adds to the deltas; nothing where it folds.
    pub(super) deltas: Deltas,
    /// New contents of protected pages, and where they go.
    pub(super) contents: Vec<(ProtectedId, u64)>,
    /// Contents that are in the file already, and where they go.
    pub(super) copies: Vec<Copy>,
    /// Of a fold: nodes of MAP, leaves and nodes of SPACE.
    pub(super) nodes: Vec<Node>,
    /// Pages of the table of snapshots.
    pub(super) tables: Vec<NewTable>,
    /// What that table is then; none: as before.
    pub(super) snapshots: Option<Snapshots>,
    /// What it does to pages; none: it folds, and the leaves say so.
    pub(super) pages: Option<PageChanges>,
    /// What it frees that has a birth: a view may read it, or the durable state.
    pub(super) freed: Vec<Freed>,
    /// Regular pages that it frees and that the durable state has.
    pub(super) freed_regular: Vec<u64>,
    /// The height that MAP has after the next fold.
    pub(super) map_height: u32,
    /// Where the next large transaction looks first.
    pub(super) next_fit: u64,
}

impl Plan {
    /// Whether it writes the changed nodes of both trees.
    pub(super) fn folds(&self) -> bool {
        self.pages.is_none()
    }
}

/// Bytes of a page that go to another one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Copy {
    /// Of this protected page.
    pub(super) id: ProtectedId,
    pub(super) from: u64,
    pub(super) to: u64,
    pub(super) checksum: Xxh3,
}

/// What a commit does to the table of snapshots. It folds.
#[derive(Debug)]
pub(super) enum TableChange {
    /// What it commits gets a name, from the caller with the time.
    Take {
        /// Of the snapshot.
        id: u64,
        name: String,
        time: u64,
    },
    /// A snapshot is dropped, and with it what only it has: the pages that these
    /// entries name. Nothing may have changed since the last fold.
    Drop { id: u64, freed: Vec<(Entry, Kind)> },
    /// Some of its pages go elsewhere.
    Move(Rewritten),
}

/// How a commit is to be done.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms<'a> {
    pub(super) need: Need,
    pub(super) page_count: u64,
    pub(super) durability: Durability,
    /// Pages that it must not take.
    pub(super) kept: &'a Overlay,
    pub(super) table: Option<&'a TableChange>,
    /// What it moves besides, in a commit that makes the file shorter later.
    pub(super) moves: Option<&'a Moves>,
}

impl Terms<'_> {
    /// Whether it takes pages that lie in a run, rather than the lowest.
    fn takes_run(&self) -> bool {
        let is_large = self.need.written >= NEXT_FIT;
        self.moves.is_none() && (is_large || self.durability == Durability::Deferred)
    }
}

/// What goes below a page that the file is to end before. It folds.
#[derive(Debug)]
pub(super) struct Moves {
    /// Only pages below are taken.
    pub(super) cut: u64,
    /// Nodes of MAP that are written anew, though nothing changes in them: each its
    /// level and its index.
    pub(super) touched: Vec<(u32, u64)>,
}

impl File {
    /// The generation of a commit. What makes deferred commits durable, and
    /// changes nothing, is the last of them.
    fn next_generation<B>(
        &self,
        changes: &Changes<B>,
        table: Option<&TableChange>,
    ) -> Result<u64, Error> {
        if changes.is_empty() && table.is_none() && !self.pending.is_empty() {
            return Ok(self.record.generation);
        }
        let next = self.highest.checked_add(1);
        next.ok_or(Error::GenerationsExhausted)
    }

    /// Of the regular pages that changes free, those that the durable state has
    /// after them, too: they have no birth.
    fn durable_of<B>(&self, changes: &Changes<B>, durability: Durability) -> Vec<u64> {
        let is_durable = |page: &u64| !self.pending.has_allocated(*page);
        match durability {
            Durability::Durable => Vec::new(),
            Durability::Deferred => changes.freed.iter().filter(is_durable).collect(),
        }
    }

    /// Decides what a commit writes, to pages that are free. Each change is
    /// checked against the committed state.
    pub(super) fn plan<S: Medium>(
        &mut self,
        store: &S,
        changes: &Changes<S::Buffer>,
        terms: &Terms<'_>,
    ) -> Result<Plan, Error> {
        let Terms {
            need,
            page_count,
            durability,
            kept,
            table,
            moves,
        } = *terms;
        let generation = self.next_generation(changes, table)?;
        let newest_snapshot = self.newest_snapshot(store)?;
        let old_table = table.map(|_| self.snapshots.clone()).unwrap_or_default();
        let (durable, next_fit) = (self.durable, self.next_fit);
        let mut record = self.record.without_deltas();
        let freed_regular = self.durable_of(changes, durability);
        // A view of the generation that a fold gets may be older than the fold.
        let at = generation.max(self.record.generation.saturating_add(1));
        let is_run = terms.takes_run();
        let end = moves.map_or(page_count, |moves| moves.cut.min(page_count));
        let (map, space) = (record.map_tree(), record.space_tree());
        let (mut reader, committed) = self.paged(store)?;
        reader.page_count = page_count;
        let mut taking = Taking {
            places: if is_run {
                Places::round(space, committed, kept, next_fit, page_count)
            } else {
                Places::ascending(space, committed, kept, committed.lowest(), end)
            },
            pages: Changing::of(committed),
            space,
            // What it keeps it takes as well, or it folds, and then the next
            // one looks from the start.
            leaves_none_below: !is_run,
            end,
        };

        // Nothing is freed before everything has its place.
        let Placed {
            protected,
            mut deltas,
            contents,
            copies,
            replaced,
        } = taking.place(&mut reader, &map, changes, record.protected, generation)?;
        record.protected = protected;
        for page in changes.allocated.iter() {
            taking
                .pages
                .take(&mut reader, &space, page, Kind::Regular)?;
        }
        let mut nodes = Vec::new();
        let mut nodes_replaced = Vec::new();
        if need.folds {
            let changed = core::mem::take(&mut deltas.ids);
            let touched = moves.map_or(&[][..], |moves| &moves.touched);
            let map = taking.fold_map(&mut reader, &map, &need, generation, changed, touched)?;
            (nodes, nodes_replaced) = (map.nodes, map.replaced);
            record.map = map.tree.root;
            record.map_height = height_byte(map.tree.height);
        } else {
            let regular = &mut deltas.regular;
            regular.extend(changes.allocated.iter().map(|page| (page, true)));
            regular.extend(changes.freed.iter().map(|page| (page, false)));
        }

        let mut written = WrittenTable::default();
        if let Some(change) = table {
            written =
                taking.change_table(&mut reader, &old_table, change, &mut record, generation)?;
        }

        let Taking { places, pages, .. } = &mut taking;
        let of_kind = |kind| move |old: Entry| (old, kind);
        let replaced = replaced.into_iter().map(of_kind(Kind::Protected));
        let nodes_replaced = nodes_replaced.into_iter().map(of_kind(Kind::Node));
        // What is as old as a snapshot is that one's.
        let freed = replaced
            .chain(nodes_replaced)
            .filter(|(old, _)| old.birth > newest_snapshot)
            .chain(written.freed);
        let freed = free_all(pages, &mut reader, &space, freed, at)?;
        for page in changes.freed.iter() {
            pages.free(&mut reader, &space, page, Kind::Regular)?;
        }
        record.generation = generation;
        record.proven = durable;
        record.page_count = page_count;
        record.used = pages.used();
        if need.folds {
            let space = fold_space(&mut reader, &space, pages, generation)?;
            nodes.extend(space.nodes);
            record.space = space.tree.root;
            record.space_height = height_byte(space.tree.height);
            record.base = generation;
        }
        Ok(Plan {
            record,
            deltas,
            contents,
            copies,
            nodes,
            tables: written.tables,
            snapshots: table.map(|_| written.snapshots),
            next_fit: if is_run { places.position() } else { next_fit },
            pages: (!need.folds).then(|| taking.pages.into_changes()),
            freed,
            freed_regular,
            map_height: need.map_height,
        })
    }
}

/// Takes free pages.
struct Taking<'a> {
    places: Places<'a>,
    pages: Changing<'a>,
    space: Tree,
    /// Whether no page below the last one that it took is free.
    leaves_none_below: bool,
    /// It takes pages below this one.
    end: u64,
}

/// What becomes of the table of snapshots.
#[derive(Default)]
struct WrittenTable {
    snapshots: Snapshots,
    tables: Vec<NewTable>,
    /// What is not needed any more.
    freed: Vec<(Entry, Kind)>,
}

/// What becomes of protected pages.
struct Placed {
    /// How many there are then.
    protected: u64,
    deltas: Deltas,
    contents: Vec<(ProtectedId, u64)>,
    copies: Vec<Copy>,
    /// What the changed ids named before.
    replaced: Vec<Entry>,
}

impl Taking<'_> {
    /// Takes the next free page.
    fn take<S: Medium>(&mut self, reader: &mut Reader<'_, S>, kind: Kind) -> Result<u64, Error> {
        let Some(page) = self.places.take(reader)? else {
            return Err(if self.end < reader.page_count {
                Error::Full { limit: self.end }
            } else {
                let fault = "the file has fewer free pages than it counts";
                Error::Corrupt { page: 0, fault }
            });
        };
        self.pages.take(reader, &self.space, page, kind)?;
        if self.leaves_none_below {
            self.pages.raise_lowest(page + 1);
        }
        Ok(page)
    }

    /// Finds places for the nodes of MAP above what changed since the last fold and
    /// now, and for those that are `touched`.
    fn fold_map<S: Medium>(
        &mut self,
        reader: &mut Reader<'_, S>,
        map: &Tree,
        need: &Need,
        generation: u64,
        changed: Level,
        touched: &[(u32, u64)],
    ) -> Result<Folded, Error> {
        let mut ids = reader.deltas.ids.clone();
        ids.extend(changed);
        let height = need.map_height;
        fold(reader, map, height, ids, touched, generation, |reader| {
            self.take(reader, Kind::Node)
        })
    }

    /// Finds places for the changed pages of the table of snapshots, in a commit
    /// that made this record so far, which then names them.
    fn change_table<S: Medium>(
        &mut self,
        reader: &mut Reader<'_, S>,
        table: &Snapshots,
        change: &TableChange,
        record: &mut Record,
        generation: u64,
    ) -> Result<WrittenTable, Error> {
        let shape = reader.layout.shape();
        let rewritten = match change {
            TableChange::Take { id, name, time } => table.with(
                shape,
                Snapshot {
                    id: *id,
                    generation,
                    time: *time,
                    map_height: record.map_height,
                    map: record.map,
                    name: name.clone(),
                },
            ),
            TableChange::Drop { id, .. } => table.without(shape, *id),
            TableChange::Move(rewritten) => rewritten.clone(),
        };
        let of_table = |entry: &Entry| (*entry, Kind::Snapshots);
        let mut freed: Vec<_> = rewritten.replaced.iter().map(of_table).collect();
        match change {
            TableChange::Take { id, .. } => record.last_snapshot = *id,
            TableChange::Drop { freed: alone, .. } => freed.extend(alone),
            TableChange::Move(_) => {}
        }
        let place = || self.take(reader, Kind::Snapshots);
        let (snapshots, tables) = rewritten.lay_out(shape, generation, place)?;
        record.snapshots = snapshots.root();
        Ok(WrittenTable {
            snapshots,
            tables,
            freed,
        })
    }

    /// Finds places for new contents.
    fn place<S: Medium>(
        &mut self,
        reader: &mut Reader<'_, S>,
        map: &Tree,
        changes: &Changes<S::Buffer>,
        protected: u64,
        generation: u64,
    ) -> Result<Placed, Error> {
        let mut placed = Placed {
            protected,
            deltas: Deltas::default(),
            contents: Vec::new(),
            copies: Vec::new(),
            replaced: Vec::new(),
        };
        for (&id, change) in &changes.protected {
            let old = reader.stored(map, id.0)?;
            placed.protected = count(placed.protected, id, change, old.is_some())?;
            placed.replaced.extend(old.filter(|old| old.number != 0));
            let entry = match change {
                Change::Free => None,
                Change::New(None) | Change::Copy(Copied { from: None, .. }) => {
                    Some(Entry::zeros(generation))
                }
                Change::Copy(Copied {
                    from: Some(from),
                    checksum,
                    ..
                }) => {
                    let to = self.take(reader, Kind::Protected)?;
                    placed.copies.push(Copy {
                        id,
                        from: *from,
                        to,
                        checksum: checksum.value,
                    });
                    Some(Entry {
                        number: to,
                        checksum: checksum.value,
                        ..Entry::zeros(generation)
                    })
                }
                Change::New(Some(bytes)) | Change::Write(bytes) => {
                    let page = self.take(reader, Kind::Protected)?;
                    placed.contents.push((id, page));
                    Some(Entry {
                        number: page,
                        full: true,
                        side: Side::A,
                        birth: generation,
                        checksum: bytes
                            .staged_checksum(Algorithm::Xxh3)
                            .map_err(Error::store(Operation::Stage { id }))?
                            .value,
                    })
                }
            };
            placed.deltas.ids.insert(id.0, entry);
        }
        let limit = reader.layout.shape().id_limit();
        if placed.protected > limit {
            return Err(Error::NoFreeId { limit });
        }
        Ok(placed)
    }
}

/// Frees what these entries name, which nobody reads any more in generation `at`.
fn free_all<S: Medium>(
    pages: &mut Changing<'_>,
    reader: &mut Reader<'_, S>,
    space: &Tree,
    entries: impl Iterator<Item = (Entry, Kind)>,
    at: u64,
) -> Result<Vec<Freed>, Error> {
    entries
        .map(|(old, kind)| {
            pages.free(reader, space, old.number, kind)?;
            Ok(Freed {
                page: old.number,
                birth: old.birth,
                at,
            })
        })
        .collect()
}

/// The leaves that changed and the nodes above them.
pub(super) fn fold_space<S: Medium>(
    reader: &mut Reader<'_, S>,
    space: &Tree,
    pages: &Changing<'_>,
    birth: u64,
) -> Result<Folded, Error> {
    let (leaves, entries) = pages.leaves(reader, space, birth)?;
    let last = entries.last_key_value().map_or(0, |(&group, _)| group);
    let height = reader.layout.shape().height_for(space.height, last);
    // Homes are fixed: writing SPACE takes no pages.
    let mut folded = fold(reader, space, height, entries, &[], birth, |_| Ok(0))?;
    folded.nodes.extend(leaves);
    Ok(folded)
}

/// Protected pages after a change, if it fits what is there.
fn count<B>(
    protected: u64,
    id: ProtectedId,
    change: &Change<B>,
    is_there: bool,
) -> Result<u64, Error> {
    match change {
        change if change.is_new() && is_there => Err(Error::IsProtected { id }),
        change if !change.is_new() && !is_there => Err(Error::NotProtected { id }),
        Change::Free => Ok(protected.saturating_sub(1)),
        change => Ok(protected + u64::from(change.is_new())),
    }
}

/// No tree is higher than a page number has bits.
pub(super) fn height_byte(height: u32) -> u8 {
    u8::try_from(height).unwrap_or(u8::MAX)
}
