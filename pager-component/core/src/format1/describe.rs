//! What lies in a page, for people: header, root records, nodes and leaves; and
//! the protected pages.

use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;

use super::entry;
use super::fields::{
    LISTED, delta_fields, entry_text, header, hex, homes, leaf_fields, push_left, snapshot_fields,
    table_field,
};
use super::file::File;
use super::look::Location;
use super::medium::Medium;
use super::naming::{MAP_ROOT, Named, SNAPSHOTS_ROOT, SPACE_ROOT};
use super::reasons::first_page;
use super::record;
use super::shape::ENTRY_LEN;
use super::slots;
use super::tree::{Seek, Sought, Tree, Which};
use crate::checksum::xxh3;
use crate::codec::{part, u8_at, u32_at, u64_at, u128_at, wide};
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
            return alloc::vec![header(bytes)];
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

    fn root_record<S: Medium>(&self, store: &S, side: Side, page: u64, bytes: &[u8]) -> Structure {
        // It may be longer than its first page.
        let slot = slots::read(store, self.layout.shape().unit(), side);
        let (record, fault) = match slot.map(|slot| slot.found) {
            Ok(Ok(found)) => (Some(found.record), None),
            Ok(Err(fault)) => (None, Some(fault.to_string())),
            Err(error) => (None, Some(error.to_string())),
        };
        let number = |name: &str, at: usize, meaning: &str| {
            Field::new(name, at, 8, u64_at(bytes, at).to_string()).meaning(meaning)
        };
        let count = |name: &str, at: usize, meaning: &str| {
            Field::new(name, at, 4, u32_at(bytes, at).to_string()).meaning(meaning)
        };
        let entry_field = |name: &str, at: usize, tree: Which| {
            let field = Field::new(name, at, ENTRY_LEN, entry_text(bytes, at));
            match entry::decode(bytes, at) {
                Ok(Some(entry)) => {
                    let height = match tree {
                        Which::Map => u8_at(bytes, 89),
                        Which::Space => u8_at(bytes, 90),
                    };
                    let tree = Tree {
                        which: tree,
                        height: height.into(),
                        root: None,
                    };
                    // A height that no tree has names no page.
                    let levels = match tree.which {
                        Which::Map => self.layout.shape().map_levels(),
                        Which::Space => self.layout.shape().space_levels(),
                    };
                    if tree.height <= levels {
                        field.refers_to(self.page_of(&tree, tree.height, 0, &entry))
                    } else {
                        field
                    }
                }
                Ok(None) => field,
                Err(_) => field.problem(Some("these are bytes that no entry has".into())),
            }
        };
        let mut fields = alloc::vec![
            Field::new("magic", 0, 8, structure::ascii(part(bytes, 0, 8)))
                .meaning("marks a root record")
                .problem(fault),
            number("length", 8, "bytes of the record without its stamps"),
            Field::new("checksum", 16, 16, format!("{:#034x}", u128_at(bytes, 16)))
                .meaning("XXH3-128 of what follows"),
            number("generation", 32, "the commit that wrote this"),
            number("base", 40, "the commit that wrote the trees"),
            number(
                "proven",
                48,
                "all that was born up to here was durable before"
            ),
            number("page count", 56, "pages that the file accounts for"),
            number(
                "used pages",
                64,
                "pages that are neither free nor the file's own"
            ),
            number("protected pages", 72, "ids that MAP names"),
            number("last snapshot", 80, "the last id that a snapshot was given"),
            count("deltas", 96, "ids that changed since the last fold"),
            count(
                "regular deltas",
                100,
                "regular pages that changed since the last fold"
            ),
            Field::new("page size", 88, 1, format!("2^{} bytes", u8_at(bytes, 88)),),
            Field::new("height of MAP", 89, 1, u8_at(bytes, 89).to_string()),
            Field::new("height of SPACE", 90, 1, u8_at(bytes, 90).to_string()),
            Field::new("uuid", 112, 16, hex(part(bytes, 112, 16))).meaning("as in the header"),
            homes(bytes, 128),
            entry_field("MAP", MAP_ROOT, Which::Map)
                .meaning("the tree from protected ids to pages"),
            entry_field("SPACE", SPACE_ROOT, Which::Space)
                .meaning("the tree that says what each page is"),
            table_field("snapshots", bytes, SNAPSHOTS_ROOT)
                .meaning("the newest page of their table"),
            Field::new(
                "stamp",
                record::PIECE,
                8,
                u64_at(bytes, record::PIECE).to_string()
            )
            .meaning("the generation again, at the end of every sector"),
        ];
        if let Some(record) = &record {
            fields.extend(delta_fields(&record.deltas, bytes.len()));
        }
        let shows = record.as_ref() == Some(&self.record);
        Structure {
            name: "root",
            title: format!("Root {side}"),
            page,
            counts: shows && (side == self.side || self.is_copied),
            valid: Some(record.is_some()),
            fields,
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
            fields.push(match entry {
                Ok(Some(entry)) if entry.number != 0 => field.refers_to(entry.number),
                Ok(_) => field.meaning("a page of zeros that was never written"),
                Err(_) => field.problem(Some("these are bytes that no entry has".into())),
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
        Structure {
            name: "snapshot-table",
            title: "Table of snapshots".into(),
            page,
            counts,
            valid: (counts || is_read).then_some(counts),
            fields: snapshot_fields(bytes, self.layout.shape()),
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
            self.space_fields(level, index, bytes)
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

    fn space_fields(&self, level: u32, index: u64, bytes: &[u8]) -> Vec<Field> {
        let shape = self.layout.shape();
        let space = self.record.space_tree();
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
            let field = Field::new(format!("pages from {first}"), at, ENTRY_LEN, text);
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
