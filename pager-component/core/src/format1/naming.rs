//! Who names a page: looked for from the roots down, since no page says it.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::deltas;
use super::entry::{Entry, in_node};
use super::file::File;
use super::medium::Medium;
use super::reasons::first_page;
use super::record::{self, Record};
use super::shape::{DELTAS, ENTRY_LEN};
use super::slots;
use super::tree::{Tree, Which, page_of};
use crate::codec::{self, wide};
use crate::ids::ProtectedId;
use crate::kinds::PageKind;
use crate::structure::Reference;

/// The most entries of nodes that are looked at to find out who names a page.
const ENTRIES_SEARCHED: usize = 1 << 20;

/// Where the root record has the entries of the two trees, in its payload and in
/// its first sector.
pub(super) const MAP_ROOT: usize = 160;
pub(super) const SPACE_ROOT: usize = 192;

/// The same of the table of snapshots.
pub(super) const SNAPSHOTS_ROOT: usize = 224;

/// Who names a page: the place of the entry in its tree, and where it stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Named {
    pub(super) which: Which,
    pub(super) level: u32,
    pub(super) index: u64,
    pub(super) entry: Entry,
    /// The node that holds the entry; none: the root record does.
    pub(super) node: Option<u64>,
    pub(super) offset: usize,
}

/// The delta of a record that names a page: its id, its entry, and where in the
/// slot that stands.
fn delta_naming(record: &Record, page: u64) -> Option<(u64, Entry, usize)> {
    let mut changed = (0..).zip(&record.deltas.ids);
    changed.find_map(|(place, (&id, entry))| {
        let entry = entry.filter(|entry| entry.number == page && page != 0)?;
        let offset = record::position(DELTAS + place * deltas::ID_LEN + 8);
        Some((id, entry, offset))
    })
}

impl File {
    /// The page of the node that an entry names.
    pub(super) fn page_of(&self, tree: &Tree, level: u32, index: u64, entry: &Entry) -> u64 {
        page_of(&self.layout, tree.which, level, index, entry)
    }

    /// The protected page that a page belongs to.
    pub(crate) fn owner<S: Medium>(&mut self, store: &S, page: u64) -> Option<ProtectedId> {
        if self.page_kind(store, page) != PageKind::PROTECTED_ACTIVE {
            return None;
        }
        let named = self.who_names(store, page)?;
        (named.level == 0).then_some(ProtectedId(named.index))
    }

    /// Who names a page: the committed state, or else a snapshot; and a commit that
    /// was not finished.
    pub(crate) fn references<S: Medium>(&mut self, store: &S, page: u64) -> Vec<Reference> {
        let mut found = self.counted_references(store, page);
        found.extend(self.unfinished_reference(store, page));
        found
    }

    /// The root of a commit that was not finished, where it names a page by itself.
    #[cold]
    #[inline(never)]
    fn unfinished_reference<S: Medium>(&self, store: &S, page: u64) -> Option<Reference> {
        let shape = self.layout.shape();
        let side = self.side.other();
        if self.is_copied || page == 0 {
            return None;
        }
        let record = slots::read(store, shape.unit(), side)
            .ok()?
            .found
            .ok()?
            .record;
        if record.generation <= self.record.generation || record.header != self.record.header {
            return None;
        }
        let (offset, what) = match delta_naming(&record, page) {
            Some((id, _, offset)) => (offset, format!("protected page {id}")),
            None if record.map.is_some_and(|root| root.number == page) => {
                (MAP_ROOT, String::from("the root of MAP"))
            }
            None => return None,
        };
        let page_len = shape.page_size.bytes();
        Some(Reference {
            page: first_page(shape, side) + wide(offset / page_len),
            offset: codec::offset(offset % page_len),
            text: format!("root {side}, whose commit was not finished, names it as {what}"),
        })
    }

    fn counted_references<S: Medium>(&mut self, store: &S, page: u64) -> Vec<Reference> {
        let named = match self.page_kind(store, page) {
            PageKind::SPACE => self.who_names_home(store, page),
            PageKind::MAP_NODE | PageKind::PROTECTED_ACTIVE => self.who_names(store, page),
            PageKind::SNAPSHOTS => return self.table_reference(page).into_iter().collect(),
            _ => None,
        };
        let Some(named) = named else {
            return self.snapshot_reference(store, page).into_iter().collect();
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

    /// What names a page of the table of snapshots: the root record, or a newer
    /// page.
    fn table_reference(&self, page: u64) -> Option<Reference> {
        let pages = self.snapshots.table_pages();
        let place = pages.iter().position(|&of| of == page)?;
        let root = first_page(self.layout.shape(), self.side);
        let newer = place.checked_sub(1).and_then(|newer| pages.get(newer));
        Some(Reference {
            page: newer.copied().unwrap_or(root),
            offset: if newer.is_some() {
                0
            } else {
                codec::offset(SNAPSHOTS_ROOT)
            },
            text: "the table of snapshots begins or goes on there".into(),
        })
    }

    /// Where the newest snapshot names a page which the committed state does not.
    fn snapshot_reference<S: Medium>(&mut self, store: &S, page: u64) -> Option<Reference> {
        let (name, named) = self.naming_snapshot(store, page)?;
        let what = match named.level {
            0 => format!("protected page {}", named.index),
            level => format!("node {} of level {level} of MAP", named.index),
        };
        let tables = self.snapshots.table_pages();
        Some(Reference {
            page: named.node.or(tables.first().copied())?,
            offset: codec::offset(named.offset),
            text: format!("snapshot {name} names it as {what}"),
        })
    }

    /// The newest snapshot that names a page, and where; none where that is not
    /// found among as many entries as are searched.
    pub(super) fn naming_snapshot<S: Medium>(
        &mut self,
        store: &S,
        page: u64,
    ) -> Option<(String, Named)> {
        let snapshots = self.snapshots(store).ok()?;
        let lowest = self.lowest_naming(store, page);
        let mut budget = ENTRIES_SEARCHED;
        for snapshot in snapshots.into_iter().rev() {
            let Some(root) = snapshot.map else { continue };
            let root = Named {
                which: Which::Map,
                level: snapshot.map_height.into(),
                index: 0,
                entry: root,
                node: None,
                offset: 0,
            };
            if let Some(named) = self.search(store, root, page, lowest, false, &mut budget) {
                return Some((snapshot.name, named));
            }
        }
        None
    }

    /// A node has no page of a protected one below itself that is sought.
    fn lowest_naming<S: Medium>(&mut self, store: &S, page: u64) -> u32 {
        match self.page_kind(store, page) {
            PageKind::MAP_NODE => 1,
            _ => 0,
        }
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
    /// as many entries as are searched.
    pub(super) fn who_names<S: Medium>(&mut self, store: &S, page: u64) -> Option<Named> {
        let map = self.record.map_tree();
        if let Some((id, entry, offset)) = delta_naming(&self.record, page) {
            return Some(Named {
                which: Which::Map,
                level: 0,
                index: id,
                entry,
                node: None,
                offset,
            });
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
        let lowest = self.lowest_naming(store, page);
        let mut budget = ENTRIES_SEARCHED;
        self.search(store, named, page, lowest, true, &mut budget)
    }

    /// The entry that names a page, from a root on, in nodes down to level
    /// `lowest`; what the deltas replaced does not count where they `are_later`.
    fn search<S: Medium>(
        &mut self,
        store: &S,
        root: Named,
        page: u64,
        lowest: u32,
        are_later: bool,
        budget: &mut usize,
    ) -> Option<Named> {
        let mut open = alloc::vec![root];
        while let Some(named) = open.pop() {
            if named.entry.number == page && page != 0 {
                return Some(named);
            }
            if named.level <= lowest {
                continue;
            }
            *budget = budget.checked_sub(self.layout.shape().fan())?;
            open.extend(self.below(store, &named, are_later));
        }
        None
    }

    /// The entries of a node of MAP that still count, the last one first.
    fn below<S: Medium>(&mut self, store: &S, named: &Named, are_later: bool) -> Vec<Named> {
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
                if are_later && named.level == 1 && changed.contains_key(&index) {
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
}
