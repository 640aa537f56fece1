//! [`Plan`]: everything that a commit writes, decided before it writes.

use alloc::vec::Vec;

use pagebox_store::{Algorithm, Staged};

use super::entry::Entry;
use super::error::{Error, Operation};
use super::file::File;
use super::leaf::Kind;
use super::medium::Medium;
use super::pages::Pages;
use super::places::Places;
use super::record::Record;
use super::rewrite::{Folded, Node, fold};
use super::room::Need;
use super::tree::{Reader, Tree};
use crate::bitmap::Overlay;
use crate::changes::{Change, Changes};
use crate::ids::{ProtectedId, Side};

/// From so many pages on they are looked for behind the last ones, so that they
/// lie in runs.
const NEXT_FIT: u64 = 8;

/// Everything that a commit writes.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) record: Record,
    /// New contents of protected pages, and where they go.
    pub(super) contents: Vec<(ProtectedId, u64)>,
    /// Of a fold: nodes of MAP, leaves and nodes of SPACE.
    pub(super) nodes: Vec<Node>,
    /// What pages are then.
    pub(super) pages: Pages,
    /// Where the next large transaction looks first.
    pub(super) next_fit: u64,
}

impl File {
    /// Decides what a commit writes, to pages that are free and not `kept`. Each
    /// change is checked against the committed state.
    pub(super) fn plan<S: Medium>(
        &mut self,
        store: &S,
        changes: &Changes<S::Buffer>,
        need: &Need,
        page_count: u64,
        kept: &Overlay,
    ) -> Result<Plan, Error> {
        let mut record = self.record.clone();
        let generation = self
            .highest
            .checked_add(1)
            .ok_or(Error::GenerationsExhausted)?;
        let next_fit = self.next_fit;
        let (map, space) = (record.map_tree(), record.space_tree());
        let durable = record.generation;
        let (mut reader, committed) = self.paged(store)?;
        reader.page_count = page_count;
        let mut places = if need.written < NEXT_FIT {
            Places::ascending(space, committed, kept, 0, page_count)
        } else {
            Places::round(space, committed, kept, next_fit, page_count)
        };
        let mut take = |reader: &mut Reader<'_, S>| {
            places.take(reader)?.ok_or(Error::Corrupt {
                page: 0,
                fault: "the file has fewer free pages than it counts",
            })
        };

        // Nothing is freed before everything has its place.
        let mut pages = committed.clone();
        let mut contents = Vec::new();
        let mut replaced = Vec::new();
        for (&id, change) in &changes.protected {
            let old = reader.stored(&map, id.0)?;
            record.protected = count(record.protected, id, change, old.is_some())?;
            replaced.extend(old.map(|old| old.number).filter(|&page| page != 0));
            let entry = match change {
                Change::Free => None,
                Change::New(None) => Some(Entry::zeros(generation)),
                Change::New(Some(bytes)) | Change::Write(bytes) => {
                    let page = take(&mut reader)?;
                    pages.take(&mut reader, &space, page, Kind::Protected)?;
                    contents.push((id, page));
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
            record.deltas.ids.insert(id.0, entry);
        }
        for page in changes.allocated.iter() {
            pages.take(&mut reader, &space, page, Kind::Regular)?;
        }
        let regular = &mut record.deltas.regular;
        regular.extend(changes.allocated.iter().map(|page| (page, true)));
        regular.extend(changes.freed.iter().map(|page| (page, false)));
        let mut nodes = Vec::new();
        let mut replaced_nodes = Vec::new();
        if need.folds {
            let ids = core::mem::take(&mut record.deltas).ids;
            let height = need.map_height;
            let map = fold(&mut reader, &map, height, ids, generation, &mut take)?;
            for node in &map.nodes {
                pages.take(&mut reader, &space, node.page, Kind::Node)?;
            }
            (nodes, replaced_nodes) = (map.nodes, map.replaced);
            record.map = map.tree.root;
            record.map_height = height_byte(map.tree.height);
        }
        for page in replaced {
            pages.free(&mut reader, &space, page, Kind::Protected)?;
        }
        for page in replaced_nodes {
            pages.free(&mut reader, &space, page, Kind::Node)?;
        }
        for page in changes.freed.iter() {
            pages.free(&mut reader, &space, page, Kind::Regular)?;
        }
        if need.folds {
            let space = fold_space(&mut reader, &space, &pages, generation)?;
            nodes.extend(space.nodes);
            pages = Pages::folded(&space.tree);
            record.space = space.tree.root;
            record.space_height = height_byte(space.tree.height);
            record.base = generation;
        }

        record.generation = generation;
        record.proven = durable;
        record.page_count = page_count;
        record.used = pages.used();
        Ok(Plan {
            record,
            contents,
            nodes,
            pages,
            next_fit: if need.written < NEXT_FIT {
                next_fit
            } else {
                places.position()
            },
        })
    }
}

/// The leaves that changed and the nodes above them.
pub(super) fn fold_space<S: Medium>(
    reader: &mut Reader<'_, S>,
    space: &Tree,
    pages: &Pages,
    birth: u64,
) -> Result<Folded, Error> {
    let (leaves, entries) = pages.leaves(reader, space, birth)?;
    let last = entries.last_key_value().map_or(0, |(&group, _)| group);
    let height = reader.layout.shape().height_for(space.height, last);
    // Homes are fixed: writing SPACE takes no pages.
    let mut folded = fold(reader, space, height, entries, birth, |_| Ok(0))?;
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
        Change::New(_) if is_there => Err(Error::IsProtected { id }),
        Change::Write(_) | Change::Free if !is_there => Err(Error::NotProtected { id }),
        Change::New(_) => Ok(protected + 1),
        Change::Free => Ok(protected.saturating_sub(1)),
        Change::Write(_) => Ok(protected),
    }
}

/// No tree is higher than a page number has bits.
pub(super) fn height_byte(height: u32) -> u8 {
    u8::try_from(height).unwrap_or(u8::MAX)
}
