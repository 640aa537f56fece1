//! The bytes of the format in words for people: header, root records, nodes and
//! leaves, and who names a page.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::deltas::{self, Deltas};
use super::entry::{self, Entry, in_node};
use super::file::File;
use super::header::{HEADER_LEN, Header};
use super::leaf::{self, in_words};
use super::look::Location;
use super::medium::Medium;
use super::reasons::first_page;
use super::record;
use super::shape::{DELTAS, ENTRY_LEN};
use super::slots;
use super::tree::{Seek, Tree, Which};
use crate::codec::{self, narrow, part, u8_at, u32_at, u64_at, u128_at, wide};
use crate::ids::{ProtectedId, Side};
use crate::kinds::PageKind;
use crate::read::read_page;
use crate::structure::{self, Field, Reference, Structure};

/// The most entries of a node, or runs of a leaf, that are listed.
const LISTED: usize = 256;

/// The most nodes that are read to find out who names a page.
const NODES_SEARCHED: usize = 1 << 13;

/// Where the root record has the entries of the two trees, in its payload and in
/// its first sector.
const MAP_ROOT: usize = 160;
const SPACE_ROOT: usize = 192;

/// Who names a page: the place of the entry in its tree, and where it stands.
#[derive(Clone, Copy, Debug)]
struct Named {
    which: Which,
    level: u32,
    index: u64,
    entry: Entry,
    /// The node that holds the entry; none: the root record does.
    node: Option<u64>,
    offset: usize,
}

impl File {
    /// Header and root slots, the nodes that the root names, and `limit` nodes
    /// of MAP of the lowest level from the `start`-th on.
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
        while listed < limit && map.height > 1 {
            let mut reader = self.reader(store);
            let mut faults = Vec::new();
            let seek = Seek::Present;
            let Some(present) = reader.seek_past(&map, id, seek, &mut faults) else {
                break;
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

    fn page_of(&self, tree: &Tree, level: u32, index: u64, entry: &Entry) -> u64 {
        super::tree::page_of(&self.layout, tree.which, level, index, entry)
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
                return alloc::vec![self.root(store, side, page, bytes)];
            }
        }
        match self.page_kind(store, page) {
            PageKind::MAP_NODE => {
                let named = self.who_names(store, page);
                alloc::vec![self.map_node(page, bytes, named.as_ref())]
            }
            PageKind::SPACE => self.space_home(store, page, bytes).into_iter().collect(),
            _ => Vec::new(),
        }
    }

    fn root<S: Medium>(&self, store: &S, side: Side, page: u64, bytes: &[u8]) -> Structure {
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
            Field::new("snapshots", 224, ENTRY_LEN, entry_text(bytes, 224))
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
            valid: named.map(|named| crate::checksum::xxh3(bytes) == named.entry.checksum),
            fields,
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
                .map(|entry| crate::checksum::xxh3(bytes) == entry.checksum),
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

    /// The protected page that a page belongs to.
    pub(crate) fn owner<S: Medium>(&mut self, store: &S, page: u64) -> Option<ProtectedId> {
        if self.page_kind(store, page) != PageKind::PROTECTED_ACTIVE {
            return None;
        }
        let named = self.who_names(store, page)?;
        (named.level == 0).then_some(ProtectedId(named.index))
    }

    /// Who names a page.
    pub(crate) fn references<S: Medium>(&mut self, store: &S, page: u64) -> Vec<Reference> {
        let named = match self.page_kind(store, page) {
            PageKind::SPACE => self.who_names_home(store, page),
            PageKind::MAP_NODE | PageKind::PROTECTED_ACTIVE => self.who_names(store, page),
            _ => None,
        };
        let Some(named) = named else {
            return Vec::new();
        };
        let shape = self.layout.shape();
        let root = first_page(shape, self.side);
        let what = match (named.which, named.level) {
            (Which::Map, 0) if named.node.is_none() => {
                format!("a delta names it as protected page {}", named.index)
            }
            (Which::Map, 0) => format!("MAP names it as protected page {}", named.index),
            (Which::Map, level) => {
                format!("MAP names it as its node {} of level {level}", named.index)
            }
            (Which::Space, level) => {
                format!(
                    "SPACE names it as its node {} of level {level}",
                    named.index
                )
            }
        };
        // A record can be longer than a page.
        let page_len = shape.page_size.bytes();
        alloc::vec![Reference {
            page: named.node.unwrap_or(root + wide(named.offset / page_len)),
            offset: codec::offset(named.offset % page_len),
            text: what,
        }]
    }

    /// The entry of SPACE that names a home: of the side that counts.
    fn who_names_home<S: Medium>(&mut self, store: &S, page: u64) -> Option<Named> {
        let (level, index, side) = self.layout.node_at(page)?;
        let space = self.record.space_tree();
        let entry = self.reader(store).entry(&space, level, index).ok()??;
        if entry.side != side {
            return None;
        }
        let shape = self.layout.shape();
        let above = shape.index_of(1, index);
        let node = if level == space.height {
            None
        } else {
            let named = self.reader(store).entry(&space, level + 1, above).ok()??;
            Some(self.page_of(&space, level + 1, above, &named))
        };
        Some(Named {
            which: Which::Space,
            level,
            index,
            entry,
            node,
            offset: match node {
                Some(_) => shape.place_of(index) * ENTRY_LEN,
                None => SPACE_ROOT,
            },
        })
    }

    /// The entry of MAP that names a page; none where that is not found among
    /// as many nodes as are searched.
    fn who_names<S: Medium>(&mut self, store: &S, page: u64) -> Option<Named> {
        let map = self.record.map_tree();
        let changed = (0..).zip(&self.record.deltas.ids);
        for (place, (&id, entry)) in changed {
            if let Some(entry) = entry.filter(|entry| entry.number == page && page != 0) {
                return Some(Named {
                    which: Which::Map,
                    level: 0,
                    index: id,
                    entry,
                    node: None,
                    offset: record::position(DELTAS + place * deltas::ID_LEN + 8),
                });
            }
        }
        let root = map.root?;
        let named = Named {
            which: Which::Map,
            level: map.height,
            index: 0,
            entry: root,
            node: None,
            offset: MAP_ROOT,
        };
        // A node has no page of a protected one below itself that is sought.
        let lowest = match self.page_kind(store, page) {
            PageKind::MAP_NODE => 1,
            _ => 0,
        };
        let mut open = alloc::vec![named];
        let mut searched = 0;
        while let Some(named) = open.pop() {
            if named.entry.number == page && page != 0 {
                return Some(named);
            }
            if named.level <= lowest {
                continue;
            }
            searched += 1;
            if searched > NODES_SEARCHED {
                return None;
            }
            open.extend(self.below(store, &named));
        }
        None
    }

    /// The entries of a node of MAP that still count, the last one first.
    fn below<S: Medium>(&mut self, store: &S, named: &Named) -> Vec<Named> {
        let shape = self.layout.shape();
        let node = self
            .reader(store)
            .node(Which::Map, named.level, named.index, &named.entry);
        let Ok(node) = node else {
            return Vec::new();
        };
        let changed = &self.record.deltas.ids;
        (0..shape.fan())
            .rev()
            .filter_map(|place| {
                let index = (named.index << shape.fan_log2) + wide(place);
                if named.level == 1 && changed.contains_key(&index) {
                    return None;
                }
                Some(Named {
                    which: Which::Map,
                    level: named.level - 1,
                    index,
                    entry: in_node(&node, place)?,
                    node: Some(named.entry.number),
                    offset: place * ENTRY_LEN,
                })
            })
            .collect()
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
        while found.len() < limit {
            let mut faults = Vec::new();
            let present = reader.seek_past(&map, from, Seek::Present, &mut faults);
            let changed = reader.deltas.next_stored(from);
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

fn header(bytes: &[u8]) -> Structure {
    let header = Header::decode(part(bytes, 0, HEADER_LEN));
    let fields = alloc::vec![
        Field::new("magic", 0, 4, structure::ascii(part(bytes, 0, 4)))
            .meaning("marks a page file")
            .problem(header.as_ref().err().map(ToString::to_string)),
        Field::new(
            "version",
            4,
            2,
            format!("{}.{}", u8_at(bytes, 4), u8_at(bytes, 5)),
        ),
        Field::new("page size", 8, 4, format!("2^{} bytes", u32_at(bytes, 8))),
        Field::new("uuid", 16, 16, hex(part(bytes, 16, 16)))
            .meaning("drawn when the file was made"),
        homes(bytes, 32),
        Field::new(
            "checksum",
            496,
            16,
            format!("{:#034x}", u128_at(bytes, 496))
        )
        .meaning("XXH3-128 of what comes before"),
    ];
    Structure {
        name: "header",
        title: "Header".to_string(),
        page: 0,
        counts: true,
        valid: Some(header.is_ok()),
        fields,
    }
}

fn homes(bytes: &[u8], at: usize) -> Field {
    let homes = [0, 1, 2, 3].map(|number| u64_at(bytes, at + 8 * number));
    Field::new("homes", at, 32, format!("{homes:?}"))
        .meaning("the first page of the homes of SPACE of the groups 0 to 3")
}

/// The pages of a leaf, in runs of one kind.
fn leaf_fields(bytes: &[u8], shape: super::Shape, first: u64, page_count: u64) -> Vec<Field> {
    let mut fields = Vec::new();
    let mut place = 0;
    let mut left = 0;
    let kind = |place| {
        let nibble = leaf::nibble(bytes, place);
        match leaf::Kind::from_nibble(nibble) {
            _ if first + place >= page_count => Ok("past the page count"),
            Some(kind) => Ok(in_words(shape, first + place, kind).text().name),
            None => Err(nibble),
        }
    };
    while place < shape.group_len() {
        let here = kind(place);
        let mut end = place + 1;
        while end < shape.group_len() && kind(end) == here {
            end += 1;
        }
        if fields.len() < LISTED {
            let value = match here {
                Ok(name) => name.to_string(),
                Err(nibble) => format!("kind {nibble}, which is not known"),
            };
            let name = format!("pages {} to {}", first + place, first + end - 1);
            let (from, to) = (narrow(place / 2), narrow(end.div_ceil(2)));
            fields.push(Field::new(name, from, to - from, value));
        } else {
            left += 1;
        }
        place = end;
    }
    push_left(&mut fields, left, "runs");
    fields
}

/// The deltas of a record, those that begin in its first page.
fn delta_fields(deltas: &Deltas, page_len: usize) -> Vec<Field> {
    let mut fields = Vec::new();
    let mut at = DELTAS;
    let mut push = |len: usize, name: String, text: String, page: Option<u64>| {
        let (from, to) = (record::position(at), record::position(at + len));
        at += len;
        if to <= page_len && fields.len() < LISTED {
            let field = Field::new(name, from, to - from, text);
            fields.push(match page {
                Some(page) => field.refers_to(page),
                None => field,
            });
        }
    };
    for (id, entry) in &deltas.ids {
        let text = entry.map_or_else(|| "freed".into(), |entry| text_of(&entry));
        let page = entry.map(|entry| entry.number).filter(|&page| page != 0);
        push(deltas::ID_LEN, format!("id {id}"), text, page);
    }
    for (page, is_regular) in &deltas.regular {
        let text = if *is_regular { "regular" } else { "freed" };
        push(
            deltas::PAGE_LEN,
            format!("page {page}"),
            text.into(),
            Some(*page),
        );
    }
    fields
}

fn push_left(fields: &mut Vec<Field>, left: usize, of: &str) {
    if left > 0 {
        fields.push(Field::new("more", 0, 0, format!("{left} more {of}")));
    }
}

fn entry_text(bytes: &[u8], at: usize) -> String {
    match entry::decode(bytes, at) {
        Ok(None) => "absent".into(),
        Ok(Some(entry)) => text_of(&entry),
        Err(_) => hex(part(bytes, at, ENTRY_LEN)),
    }
}

fn text_of(entry: &Entry) -> String {
    format!(
        "{}{}, birth {}, checksum {:#034x}",
        entry.number,
        if entry.full { ", full" } else { "" },
        entry.birth,
        entry.checksum
    )
}

fn hex(bytes: &[u8]) -> String {
    use core::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // A string takes all that is written to it.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
