//! The check of both trees, a bounded part at a time: SPACE, its leaves in order;
//! then MAP, a node of the lowest level at a time with the pages that it names;
//! then the snapshots, of each what the one after it has not.
//!
//! A node of MAP is looked into once: what a second entry names is told of, and
//! not followed, or a few nodes that share their children would take for ever.
//!
//! What is counted on the way is compared at the end. So the comparison is left
//! out where the parts were not asked for in order, or something was not
//! readable.

use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::entry::Entry;
use super::file::{File, Scope};
use super::findings;
use super::leaf::{self, Kind};
use super::medium::Medium;
use super::pages::Pages;
use super::rotten::Place;
use super::shape::Shape;
use super::tally::Tally;
use super::tree::{Fault, Seek, Sought, Tree, Which, in_node};
use crate::codec::wide;
use crate::facts::{CheckPart, ProtectedPage};
use crate::finding::Finding;
use crate::ids::ProtectedId;
use crate::verify::protected_page;

/// Leaves of SPACE that one part looks at.
const LEAVES_A_PART: usize = 64;

/// Nodes of MAP that one part passes over.
pub(super) const PASSED_A_PART: usize = 64;

/// Bytes of protected pages that one part looks at, unless one page has more.
pub(super) const BYTES_A_PART: usize = 16 << 20;

/// A part of the check: which groups, or which ids, come next.
pub(super) enum Part {
    Space {
        group: u64,
    },
    Map {
        id: u64,
    },
    /// A snapshot, in their order, and a part of it.
    Snapshot {
        place: u64,
        part: u64,
    },
}

/// Above every group: cursors go up, and MAP comes after SPACE.
const MAP: u64 = 1 << 62;
const SNAPSHOTS: u64 = 1 << 63;

/// Parts that a snapshot is checked in, at most.
const PARTS_LOG2: u32 = 47;

impl Part {
    fn of(cursor: u64) -> Self {
        if let Some(part) = cursor.checked_sub(SNAPSHOTS) {
            return Self::Snapshot {
                place: part >> PARTS_LOG2,
                part: part & ((1 << PARTS_LOG2) - 1),
            };
        }
        match cursor.checked_sub(MAP) {
            None => Self::Space { group: cursor },
            Some(id) => Self::Map { id },
        }
    }

    fn cursor(&self) -> u64 {
        match self {
            Self::Space { group } => *group,
            Self::Map { id } => MAP + id,
            Self::Snapshot { place, part } => SNAPSHOTS + (place << PARTS_LOG2) + part,
        }
    }
}

/// The first leaf from a group on.
enum LeafPast {
    /// Of this group; none: it cannot be believed.
    At(u64, Option<Arc<[u8]>>),
    /// There is none.
    Nowhere,
    /// Of none below this group: it is time for another part.
    NotBelow(u64),
}

/// What MAP has from an id on.
enum Below {
    /// This node of the lowest level.
    Node(u64),
    /// Nothing to look into below this id.
    Past(u64),
    /// Nothing.
    Nothing,
}

/// The first entry of a node for ids from `id` on, and its place; it is of
/// `level`, in the node `index` above.
fn first_child(
    shape: Shape,
    node: &[u8],
    level: u32,
    index: u64,
    id: u64,
) -> Option<(usize, Entry)> {
    let start = shape.first_key(level + 1, index);
    let first = shape.place_of(shape.index_of(level, id.max(start)));
    (first..shape.fan()).find_map(|place| Some((place, in_node(node, place)?)))
}

impl File {
    /// How many steps the check has: one for each group of pages and each
    /// protected page, since both come to reading a page, and each snapshot.
    pub(crate) fn check_total<S: Medium>(&mut self, store: &S) -> u64 {
        // What is wrong with them is told in its turn.
        let _ = self.read_snapshots(store);
        let groups = self.layout.groups(self.record.page_count);
        groups
            .saturating_add(self.record.protected)
            .saturating_add(wide(self.snapshots.count()))
            .saturating_add(1)
    }

    /// A part of the check of the file. The first is 0.
    pub fn check_part<S: Medium>(&mut self, store: &S, cursor: u64) -> CheckPart {
        if cursor == 0 {
            self.tally = Tally {
                next: Some(0),
                ..Tally::default()
            };
        }
        if self.tally.next != Some(cursor) {
            self.tally.next = None;
        }
        let mut found = Vec::new();
        let next = match Part::of(cursor) {
            Part::Space { group } => Some(self.check_space(store, group, &mut found)),
            Part::Map { id } => self.check_map(store, id, &mut found),
            Part::Snapshot { place, part } => self.check_snapshot(store, (place, part), &mut found),
        };
        let groups = self.layout.groups(self.record.page_count);
        let done = match next {
            Some(Part::Space { group }) => group.min(groups),
            Some(Part::Snapshot { place, .. }) => groups
                .saturating_add(self.record.protected)
                .saturating_add(place),
            _ => groups.saturating_add(self.tally.ids),
        };
        let next = next.map(|part| part.cursor());
        if self.tally.next.is_some() {
            self.tally.next = next;
            if next.is_none() && self.tally.bad.is_empty() {
                found.extend(self.compare());
            }
        }
        let total = self.check_total(store);
        let done = match next {
            Some(_) => done.min(total - 1),
            None => total,
        };
        CheckPart {
            findings: found,
            next,
            done,
            total,
        }
    }

    fn check_space<S: Medium>(&mut self, store: &S, group: u64, found: &mut Vec<Finding>) -> Part {
        if self.scope == Scope::Protected {
            return Part::Map { id: 0 };
        }
        let space = self.record.space_tree();
        if let Some(finding) = self.deltas_finding(store) {
            self.tally.bad.extend(finding.page);
            found.push(finding);
        }
        let mut group = group;
        for _ in 0..LEAVES_A_PART {
            let mut faults = Vec::new();
            let present = self.leaf_past(store, &space, group, &mut faults);
            for fault in faults {
                self.note_home(store, &space, fault, found);
            }
            let (present, leaf) = match present {
                LeafPast::At(present, leaf) => (present, leaf),
                LeafPast::Nowhere => return Part::Map { id: 0 },
                LeafPast::NotBelow(group) => return Part::Space { group },
            };
            if let Some(leaf) = leaf {
                let shape = self.layout.shape();
                self.tally.space_data += leaf::count_of(&leaf, shape, Kind::Protected);
                self.tally.space_nodes += leaf::count_of(&leaf, shape, Kind::Node);
                self.tally.tables += leaf::count_of(&leaf, shape, Kind::Snapshots);
            }
            group = present + 1;
        }
        Part::Space { group }
    }

    /// The first group from `group` on of which not all is free, and its leaf if
    /// it can be believed. Where the deltas do not fit, leaves are as of the
    /// last fold.
    fn leaf_past<S: Medium>(
        &mut self,
        store: &S,
        space: &Tree,
        group: u64,
        faults: &mut Vec<Fault>,
    ) -> LeafPast {
        let none = Pages::default();
        let (mut reader, pages) = if self.paged(store).is_ok() {
            match self.paged(store) {
                Ok(paged) => paged,
                Err(_) => return LeafPast::Nowhere,
            }
        } else {
            (self.reader(store), &none)
        };
        let layout = reader.layout;
        let present = reader.seek_past(space, group, Seek::Present, faults);
        let changed = pages.next_changed(layout.group_start(group));
        let changed = changed.map(|page| layout.group_of(page));
        let present = match present {
            Sought::At(present) => Some(present),
            Sought::NotBelow(next) if changed.is_none_or(|changed| changed >= next) => {
                return LeafPast::NotBelow(next);
            }
            Sought::Nowhere | Sought::NotBelow(_) => None,
        };
        let Some(group) = present.into_iter().chain(changed).min() else {
            return LeafPast::Nowhere;
        };
        let leaf = pages.leaf(&mut reader, space, group);
        let leaf = leaf.map_err(|error| faults.push(Fault::of(&error)));
        LeafPast::At(group, leaf.ok().flatten())
    }

    fn check_map<S: Medium>(
        &mut self,
        store: &S,
        id: u64,
        found: &mut Vec<Finding>,
    ) -> Option<Part> {
        let map = self.record.map_tree();
        let shape = self.layout.shape();
        let mut id = id;
        for _ in 0..PASSED_A_PART {
            let below = self.lowest_from(store, &map, id, found);
            let changed = self.record.deltas.next_stored(id);
            let changed = changed.map(|id| shape.index_of(1, id));
            let index = match (below, changed) {
                (Below::Node(index), Some(changed)) => index.min(changed),
                (Below::Node(index), None) | (Below::Nothing, Some(index)) => index,
                (Below::Past(next), Some(changed)) if shape.first_key(1, changed) < next => changed,
                (Below::Past(next), _) => {
                    id = next;
                    continue;
                }
                (Below::Nothing, None) => {
                    let first = Part::Snapshot { place: 0, part: 0 };
                    let is_all = self.scope == Scope::All && self.record.snapshots.is_some();
                    return is_all.then_some(first);
                }
            };
            return Some(self.check_lowest(store, &map, index, id, found));
        }
        Some(Part::Map { id })
    }

    /// The ids from `id` on that are stored below a node of the lowest level; as
    /// many as one part looks at.
    fn check_lowest<S: Medium>(
        &mut self,
        store: &S,
        map: &Tree,
        index: u64,
        id: u64,
        found: &mut Vec<Finding>,
    ) -> Part {
        let shape = self.layout.shape();
        let mut stored = Vec::new();
        match self.reader(store).stored_below(map, index) {
            Ok(below) => stored = below,
            Err(error) => {
                let fault = Fault::of(&error);
                let named = self.reader(store).entry(map, 1, index).ok().flatten();
                self.note(store, Place::of_map(1, index), named.as_ref(), fault, found);
            }
        }
        stored.retain(|&(stored, _)| stored >= id);
        let most = (BYTES_A_PART / shape.page_size.bytes()).max(1);
        for &(id, entry) in stored.iter().take(most) {
            self.check_id(store, ProtectedId(id), entry, found);
        }
        Part::Map {
            id: match stored.get(most) {
                Some(&(next, _)) => next,
                None => shape.first_key(1, index + 1),
            },
        }
    }

    /// The first node of the lowest level for ids from `id` on, one step further
    /// than where something is in the way. Each node above it is counted once.
    fn lowest_from<S: Medium>(
        &mut self,
        store: &S,
        map: &Tree,
        id: u64,
        found: &mut Vec<Finding>,
    ) -> Below {
        let shape = self.layout.shape();
        let (mut level, mut index) = (map.height, 0);
        let Some(mut entry) = map.root.filter(|_| shape.index_of(level, id) == 0) else {
            return Below::Nothing;
        };
        loop {
            let past = Below::Past(shape.first_key(level, index + 1));
            if !self.is_first_to_name(store, level, index, entry.number, found) {
                return past;
            }
            let node = match self.reader(store).node(Which::Map, level, index, &entry) {
                Ok(node) => node,
                Err(error) => {
                    let place = Place::of_map(level, index);
                    self.note(store, place, Some(&entry), Fault::of(&error), found);
                    return past;
                }
            };
            if level == 1 {
                return Below::Node(index);
            }
            level -= 1;
            let Some((place, child)) = first_child(shape, &node, level, index, id) else {
                return past;
            };
            index = (index << shape.fan_log2) + wide(place);
            entry = child;
        }
    }

    /// Whether no other entry was come by that names the page of this node.
    fn is_first_to_name<S: Medium>(
        &mut self,
        store: &S,
        level: u32,
        index: u64,
        page: u64,
        found: &mut Vec<Finding>,
    ) -> bool {
        let seen = if level == 1 {
            self.tally
                .lowest
                .filter(|&(of, _)| of == index)
                .map(|(_, is_first)| is_first)
        } else {
            self.tally.above.get(&(level, index)).copied()
        };
        if let Some(is_first) = seen {
            return is_first;
        }
        self.tally.nodes += 1;
        let is_first = self.check_use(store, page, Kind::Node, found);
        if !is_first {
            // What is below is not counted.
            self.tally.bad.insert(page);
        }
        if level == 1 {
            self.tally.lowest = Some((index, is_first));
        } else {
            self.tally.above.insert((level, index), is_first);
        }
        is_first
    }

    fn check_id<S: Medium>(
        &mut self,
        store: &S,
        id: ProtectedId,
        entry: Entry,
        found: &mut Vec<Finding>,
    ) {
        self.tally.ids += 1;
        if entry.number == 0 {
            return;
        }
        self.tally.data += 1;
        self.check_use(store, entry.number, Kind::Protected, found);
        let location = self.in_words(entry.into());
        let page = ProtectedPage {
            id,
            location,
            next: None,
        };
        found.extend(protected_page(store, &page, &mut self.tally.looks));
    }

    /// That SPACE says the same of a page that MAP names, and that nothing else
    /// names it: whether that is so.
    pub(super) fn check_use<S: Medium>(
        &mut self,
        store: &S,
        page: u64,
        kind: Kind,
        found: &mut Vec<Finding>,
    ) -> bool {
        let mut tell = |message| {
            found.push(Finding::new(findings::PAGE_USE, Some(page), message));
        };
        let is_first = self.tally.named.insert(page);
        if !is_first {
            tell(format!("two entries name page {page}"));
        }
        if self.scope == Scope::Protected {
            return is_first;
        }
        let by = match kind {
            Kind::Snapshots => "the table of snapshots",
            _ => "MAP",
        };
        match self.kind(store, page) {
            Ok(actual) if actual != kind => tell(format!(
                "{by} names page {page} as {}, SPACE says that it is {}",
                words(kind),
                words(actual)
            )),
            // What cannot be read was told of when SPACE was looked at.
            _ => {}
        }
        is_first
    }

    /// Tells of a home that cannot be believed, once.
    fn note_home<S: Medium>(
        &mut self,
        store: &S,
        space: &Tree,
        fault: Fault,
        found: &mut Vec<Finding>,
    ) {
        let at = self.layout.node_at(fault.page);
        let (level, index) = at.map_or((0, 0), |(level, index, _)| (level, index));
        let named = self.reader(store).entry(space, level, index).ok().flatten();
        let place = Place {
            which: Which::Space,
            level,
            index,
        };
        self.note(store, place, named.as_ref(), fault, found);
    }

    /// Tells of a node that cannot be believed, once.
    pub(super) fn note<S: Medium>(
        &mut self,
        store: &S,
        place: Place,
        named: Option<&Entry>,
        fault: Fault,
        found: &mut Vec<Finding>,
    ) {
        if self.tally.bad.insert(fault.page) {
            let (layout, page_count) = (&self.layout, self.record.page_count);
            let looks = &mut self.tally.looks;
            found.push(place.finding(store, layout, page_count, named, fault, looks));
        }
    }

    fn compare(&self) -> Vec<Finding> {
        let tally = &self.tally;
        let mut found = Vec::new();
        if tally.ids != self.record.protected {
            let message = format!(
                "the root record counts {} protected pages, MAP names {}",
                self.record.protected, tally.ids
            );
            found.push(Finding::new(findings::COUNTS, None, message));
        }
        let unnamed = |marked: u64, named: u64, of: &str| {
            (marked > named).then(|| {
                let message = format!(
                    "{} pages are marked as {of}, and nothing names them",
                    marked - named
                );
                Finding::new(findings::UNNAMED_PAGES, None, message)
            })
        };
        found.extend(unnamed(
            tally.space_data,
            tally.data,
            words(Kind::Protected),
        ));
        found.extend(unnamed(tally.space_nodes, tally.nodes, words(Kind::Node)));
        let tables = words(Kind::Snapshots);
        found.extend(unnamed(tally.tables, tally.tables_named, tables));
        found
    }
}

fn words(kind: Kind) -> &'static str {
    match kind {
        Kind::Free | Kind::Limbo => "free",
        Kind::Regular => "a regular page",
        Kind::Protected => "a page of a protected one",
        Kind::Node => "a node of MAP",
        Kind::Reserved => "the file's own",
        Kind::Snapshots => "a page of the table of snapshots",
    }
}
