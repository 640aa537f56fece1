//! What lies in a page, for people: nodes, leaves and all others; and the
//! protected pages.

use alloc::format;
use alloc::vec::Vec;

use super::entry;
use super::fields::{
    LISTED, entry_problem, entry_text, header, leaf_fields, push_left, snapshot_fields,
};
use super::file::{File, Scope};
use super::look::Location;
use super::medium::Medium;
use super::naming::Named;
use super::reasons::first_page;
use super::shape::ENTRY_LEN;
use super::tree::{Seek, Sought};
use crate::checksum::xxh3;
use crate::codec::wide;
use crate::ids::{ProtectedId, Side};
use crate::kinds::PageKind;
use crate::read::read_page;
use crate::structure::{self, Field, Structure};

/// The most nodes that are counted to find the one to begin with.
const NODES_COUNTED: usize = 1 << 16;

/// How often a look goes on after it has passed over much that cannot be
/// believed.
const LOOKS_MAX: usize = 16;

impl File {
    /// Header and root slots, the nodes that the root names, and `limit` nodes
    /// of MAP of the lowest level from the `start`-th on, as far as those before
    /// are not too many to be counted.
    pub(crate) fn structures<S: Medium>(
        &mut self,
        store: &S,
        start: usize,
        limit: usize,
    ) -> Vec<Structure> {
        let shape = self.layout.shape();
        let mut pages: Vec<u64> = alloc::vec![0];
        pages.extend(Side::BOTH.map(|side| first_page(shape, side)));
        for tree in [self.record.map_tree(), self.record.space_tree()] {
            if let Some(root) = tree.root {
                pages.push(self.page_of(&tree, tree.height, 0, &root));
            }
        }
        let map = self.record.map_tree();
        let mut id = 0;
        let mut skipped = 0;
        let mut listed = 0;
        // The only node is the root.
        while listed < limit && skipped < NODES_COUNTED && map.height > 1 {
            let mut reader = self.reader(store);
            let mut faults = Vec::new();
            let seek = Seek::Present;
            let present = match reader.seek_past(&map, id, seek, &mut faults) {
                Sought::At(present) => present,
                Sought::Nowhere => break,
                Sought::NotBelow(next) => {
                    skipped += faults.len();
                    id = next;
                    continue;
                }
            };
            let index = shape.index_of(1, present);
            if skipped == start {
                if let Ok(Some(entry)) = reader.entry(&map, 1, index) {
                    pages.push(entry.number);
                }
                listed += 1;
            } else {
                skipped += 1;
            }
            id = shape.first_key(1, index + 1);
        }
        pages
            .into_iter()
            .flat_map(|page| {
                let bytes = read_page(store, page).ok().flatten();
                bytes.map_or_else(Vec::new, |bytes| self.structures_in(store, page, &bytes))
            })
            .collect()
    }

    /// What lies in a page with these bytes.
    pub(crate) fn structures_in<S: Medium>(
        &mut self,
        store: &S,
        page: u64,
        bytes: &[u8],
    ) -> Vec<Structure> {
        let shape = self.layout.shape();
        if page == 0 {
            return alloc::vec![header(bytes, &self.record.header)];
        }
        for side in Side::BOTH {
            if page == first_page(shape, side) {
                return alloc::vec![self.root_record(store, side, page, bytes)];
            }
        }
        match self.page_kind(store, page) {
            PageKind::MAP_NODE => {
                let named = self.who_names(store, page);
                alloc::vec![self.map_node(page, bytes, named.as_ref())]
            }
            PageKind::SPACE => self.space_home(store, page, bytes).into_iter().collect(),
            PageKind::SNAPSHOTS => alloc::vec![self.table_page(store, page, bytes)],
            _ => Vec::new(),
        }
    }

    fn map_node(&self, page: u64, bytes: &[u8], named: Option<&Named>) -> Structure {
        let shape = self.layout.shape();
        let (level, index) = named.map_or((1, 0), |named| (named.level, named.index));
        let (first, end) = (
            shape.first_key(level, index),
            shape.first_key(level, index + 1),
        );
        let title = match named {
            Some(_) => format!("MAP, level {level}, ids {first} to {}", end - 1),
            None => "MAP, a node that the tree does not name".into(),
        };
        let mut fields = Vec::new();
        let mut left = 0;
        for place in 0..shape.fan() {
            let at = place * ENTRY_LEN;
            let entry = entry::decode(bytes, at);
            if entry == Ok(None) {
                continue;
            }
            if fields.len() == LISTED {
                left += 1;
                continue;
            }
            let child = shape.first_key(level - 1, (index << shape.fan_log2) + wide(place));
            let name = match named {
                Some(_) if level == 1 => format!("id {child}"),
                Some(_) => format!("ids from {child}"),
                None => format!("entry {place}"),
            };
            let field = Field::new(name, at, ENTRY_LEN, entry_text(bytes, at));
            let newest = named.map_or(u64::MAX, |_| self.record.generation);
            let field = field.problem(entry_problem(bytes, at, newest));
            fields.push(match entry {
                Ok(Some(entry)) if entry.number != 0 => field.refers_to(entry.number),
                Ok(_) => field.meaning("a page of zeros that was never written"),
                Err(_) => field,
            });
        }
        push_left(&mut fields, left, "entries");
        Structure {
            name: "map-node",
            title,
            page,
            counts: named.is_some(),
            valid: named.map(|named| xxh3(bytes) == named.entry.checksum),
            fields,
        }
    }

    /// What lies in a page of the table of snapshots.
    fn table_page<S: Medium>(&mut self, store: &S, page: u64, bytes: &[u8]) -> Structure {
        let is_read = self.read_snapshots(store).is_ok();
        let counts = self.snapshots.table_pages().contains(&page);
        let newest = if counts || is_read {
            self.record.generation
        } else {
            u64::MAX
        };
        Structure {
            name: "snapshot-table",
            title: "Table of snapshots".into(),
            page,
            counts,
            valid: (counts || is_read).then_some(counts),
            fields: snapshot_fields(bytes, self.layout.shape(), newest),
        }
    }

    /// What lies in a home of SPACE.
    fn space_home<S: Medium>(&mut self, store: &S, page: u64, bytes: &[u8]) -> Option<Structure> {
        let (level, index, side) = self.layout.node_at(page)?;
        let shape = self.layout.shape();
        let space = self.record.space_tree();
        let entry = self
            .reader(store)
            .entry(&space, level, index)
            .ok()
            .flatten();
        let counts = entry.is_some_and(|entry| entry.side == side);
        let first = self.layout.group_start(shape.first_key(level, index));
        let end = self.layout.group_start(shape.first_key(level, index + 1));
        let title = format!(
            "SPACE, level {level}, pages {first} to {}, side {side}",
            end - 1
        );
        let fields = if level == 0 {
            leaf_fields(bytes, shape, first, self.record.page_count)
        } else {
            self.space_fields(level, index, bytes, counts)
        };
        Some(Structure {
            name: if level == 0 {
                "space-leaf"
            } else {
                "space-node"
            },
            title,
            page,
            counts,
            valid: entry
                .filter(|_| counts)
                .map(|entry| xxh3(bytes) == entry.checksum),
            fields,
        })
    }

    fn space_fields(&self, level: u32, index: u64, bytes: &[u8], counts: bool) -> Vec<Field> {
        let shape = self.layout.shape();
        let space = self.record.space_tree();
        // The side that does not count may be of a commit that was not finished.
        let newest = if counts && self.scope == Scope::All {
            self.record.generation
        } else {
            u64::MAX
        };
        let mut fields = Vec::new();
        for place in 0..shape.fan() {
            let at = place * ENTRY_LEN;
            let Ok(Some(entry)) = entry::decode(bytes, at) else {
                continue;
            };
            if fields.len() == LISTED {
                break;
            }
            let child = (index << shape.fan_log2) + wide(place);
            let first = self.layout.group_start(shape.first_key(level - 1, child));
            let text = entry_text(bytes, at);
            let field = Field::new(format!("pages from {first}"), at, ENTRY_LEN, text)
                .problem(entry_problem(bytes, at, newest));
            fields.push(field.refers_to(self.page_of(&space, level - 1, child, &entry)));
        }
        fields
    }

    /// Protected pages from id `start` on, as far as their nodes can be read.
    fn protected_past<S: Medium>(
        &mut self,
        store: &S,
        start: ProtectedId,
        limit: usize,
    ) -> Vec<(ProtectedId, Location)> {
        let map = self.record.map_tree();
        let shape = self.layout.shape();
        let mut reader = self.reader(store);
        let mut found = Vec::new();
        let mut from = start.0;
        let mut looks = LOOKS_MAX;
        while found.len() < limit {
            let mut faults = Vec::new();
            let present = reader.seek_past(&map, from, Seek::Present, &mut faults);
            let changed = reader.deltas.next_stored(from);
            let present = match present {
                Sought::At(present) => Some(present),
                Sought::NotBelow(next) if changed.is_none_or(|changed| changed >= next) => {
                    looks -= 1;
                    if looks == 0 {
                        break;
                    }
                    from = next;
                    continue;
                }
                Sought::Nowhere | Sought::NotBelow(_) => None,
            };
            let Some(id) = present.into_iter().chain(changed).min() else {
                break;
            };
            let index = shape.index_of(1, id);
            let below = reader.stored_below(&map, index).unwrap_or_default();
            let below = below.into_iter().filter(|&(id, _)| id >= start.0);
            let listed = below.map(|(id, entry)| (ProtectedId(id), entry.into()));
            found.extend(listed.take(limit - found.len()));
            from = shape.first_key(1, index + 1);
        }
        found
    }

    /// Protected pages from id `start` on, and where MAP has them.
    pub(crate) fn entries<S: Medium>(
        &mut self,
        store: &S,
        start: ProtectedId,
        limit: usize,
    ) -> Vec<structure::Entry> {
        let found = self.protected_past(store, start, limit);
        let shape = self.layout.shape();
        found
            .into_iter()
            .map(|(id, location)| structure::Entry {
                id,
                location: self.in_words(location),
                pages: location
                    .page
                    .map(|page| (page, PageKind::PROTECTED_ACTIVE))
                    .into_iter()
                    .collect(),
                place: if self.record.deltas.ids.contains_key(&id.0) {
                    "a delta of the root record".into()
                } else {
                    format!(
                        "MAP, node {}, entry {}",
                        shape.index_of(1, id.0),
                        shape.place_of(id.0)
                    )
                },
            })
            .collect()
    }
}
