//! [`Plan`]: everything that a commit writes, decided before it writes.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use pagebox_store::{Algorithm, Staged};

use super::entry::Entry;
use super::error::{Error, Operation};
use super::file::File;
use super::kinds::in_words;
use super::layout::Layout;
use super::leaf::{self, Kind};
use super::medium::Medium;
use super::places::Places;
use super::record::Record;
use super::rewrite::{Level, Node, fold, next_side};
use super::room::Need;
use super::tree::{Reader, Tree, Which, page_of};
use crate::changes::{Change, Changes};
use crate::checksum::xxh3;
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
    /// Nodes of MAP, leaves and nodes of SPACE.
    pub(super) nodes: Vec<Node>,
    /// Where the next large transaction looks first.
    pub(super) next_fit: u64,
}

impl File {
    /// Decides what a commit writes. Each change is checked against the
    /// committed state.
    pub(super) fn plan<S: Medium>(
        &mut self,
        store: &S,
        changes: &Changes<S::Buffer>,
        need: &Need,
        page_count: u64,
    ) -> Result<Plan, Error> {
        let mut record = self.record.clone();
        let generation = self
            .highest
            .checked_add(1)
            .ok_or(Error::GenerationsExhausted)?;
        let (layout, next_fit) = (self.layout, self.next_fit);
        let (map, space) = (record.map_tree(), record.space_tree());
        let mut places = if need.written < NEXT_FIT {
            Places::ascending(space, &changes.allocated, 0, page_count)
        } else {
            Places::round(space, &changes.allocated, next_fit, page_count)
        };
        let mut reader = Reader {
            page_count,
            ..self.reader(store)
        };
        let mut take = |reader: &mut Reader<'_, S>| {
            places.take(reader)?.ok_or(Error::Corrupt {
                page: 0,
                fault: "the file has fewer free pages than it counts",
            })
        };

        // Nothing is freed before everything has its place.
        let mut pages = PageChanges::new(layout);
        let mut contents = Vec::new();
        let mut entries = Level::new();
        for (&id, change) in &changes.protected {
            let old = reader.entry(&map, 0, id.0)?;
            record.protected = count(record.protected, id, change, old.is_some())?;
            if let Some(old) = old.filter(|old| old.number != 0) {
                pages.free(old.number, Kind::Protected);
            }
            let entry = match change {
                Change::Free => None,
                Change::New(None) => Some(Entry::zeros(generation)),
                Change::New(Some(bytes)) | Change::Write(bytes) => {
                    let page = take(&mut reader)?;
                    pages.take(page, Kind::Protected);
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
            entries.insert(id.0, entry);
        }
        let map = fold(
            &mut reader,
            &map,
            need.map_height,
            entries,
            generation,
            &mut take,
        )?;
        for node in &map.nodes {
            pages.take(node.page, Kind::Node);
        }
        for page in changes.allocated.iter() {
            pages.take(page, Kind::Regular);
        }
        for &page in &map.replaced {
            pages.free(page, Kind::Node);
        }
        for page in changes.freed.iter() {
            pages.free(page, Kind::Regular);
        }

        let (leaves, entries) = pages.leaves(&mut reader, &space, generation)?;
        let last = entries.last_key_value().map_or(0, |(&group, _)| group);
        let height = layout.shape().height_for(space.height, last);
        // Homes are fixed: writing SPACE takes no pages.
        let space = fold(&mut reader, &space, height, entries, generation, |_| Ok(0))?;

        record.generation = generation;
        record.base = generation;
        record.proven = self.record.generation;
        record.page_count = page_count;
        record.used = space.tree.root.map_or(0, |root| root.number);
        (record.map, record.space) = (map.tree.root, space.tree.root);
        record.map_height = height_byte(map.tree.height);
        record.space_height = height_byte(space.tree.height);
        Ok(Plan {
            record,
            contents,
            nodes: [map.nodes, leaves, space.nodes]
                .into_iter()
                .flatten()
                .collect(),
            next_fit: if need.written < NEXT_FIT {
                next_fit
            } else {
                places.position()
            },
        })
    }
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
fn height_byte(height: u32) -> u8 {
    u8::try_from(height).unwrap_or(u8::MAX)
}

/// What becomes of pages, by group.
struct PageChanges {
    layout: Layout,
    groups: BTreeMap<u64, Group>,
}

/// Pages of a group, each with what it becomes or was.
#[derive(Default)]
struct Group {
    taken: Vec<(u64, Kind)>,
    freed: Vec<(u64, Kind)>,
}

impl PageChanges {
    fn new(layout: Layout) -> Self {
        Self {
            layout,
            groups: BTreeMap::new(),
        }
    }

    fn group(&mut self, page: u64) -> &mut Group {
        let group = self.layout.group_of(page);
        self.groups.entry(group).or_default()
    }

    fn take(&mut self, page: u64, kind: Kind) {
        self.group(page).taken.push((page, kind));
    }

    fn free(&mut self, page: u64, kind: Kind) {
        self.group(page).freed.push((page, kind));
    }

    /// The leaves of the changed groups, on the other sides of their homes, and
    /// the entries that name them.
    fn leaves<S: Medium>(
        &self,
        reader: &mut Reader<'_, S>,
        space: &Tree,
        birth: u64,
    ) -> Result<(Vec<Node>, Level), Error> {
        let mut leaves = Vec::new();
        let mut entries = Level::new();
        for (&group, pages) in &self.groups {
            let old = reader.entry(space, 0, group)?;
            let mut bytes = match &old {
                Some(old) => reader.node(Which::Space, 0, group, old)?.to_vec(),
                None => leaf::absent(&self.layout, group),
            };
            pages.mark(&mut bytes, &self.layout, group)?;
            let (number, full) = leaf::count(&bytes, self.layout.shape());
            let entry = Entry {
                number,
                full,
                side: next_side(Which::Space, old.as_ref()),
                birth,
                checksum: xxh3(&bytes),
            };
            leaves.push(Node {
                which: Which::Space,
                level: 0,
                page: page_of(&self.layout, Which::Space, 0, group, &entry),
                entry,
                bytes: bytes.into(),
            });
            entries.insert(group, Some(entry));
        }
        Ok((leaves, entries))
    }
}

impl Group {
    /// Marks the pages in their leaf: first what is taken, so that it is not
    /// what was just freed.
    fn mark(&self, leaf: &mut [u8], layout: &Layout, group: u64) -> Result<(), Error> {
        let start = layout.group_start(group);
        for &(page, kind) in &self.taken {
            if !leaf::kind(leaf, page - start).is_free() {
                return Err(Error::NotFree { page });
            }
            leaf::set(leaf, page - start, kind);
        }
        for &(page, kind) in &self.freed {
            match leaf::kind(leaf, page - start) {
                found if found == kind => leaf::set(leaf, page - start, Kind::Free),
                found if kind == Kind::Regular && found.is_free() => {
                    return Err(Error::NotAllocated { page });
                }
                found if kind == Kind::Regular => {
                    let kind = in_words(layout.shape(), page, found);
                    return Err(Error::NotRegular { page, kind });
                }
                _ => {
                    let fault = "MAP names it, and SPACE says that it is something else";
                    return Err(Error::Corrupt { page, fault });
                }
            }
        }
        Ok(())
    }
}
