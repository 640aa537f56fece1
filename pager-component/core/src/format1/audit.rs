//! The check of both trees, a bounded part at a time: SPACE, its leaves in order;
//! then MAP, a node of the lowest level at a time with the pages that it names.
//!
//! What is counted on the way is compared at the end. So the comparison is left
//! out where the parts were not asked for in order, or something was not
//! readable.

use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::entry::Entry;
use super::file::File;
use super::findings;
use super::leaf::{self, Kind};
use super::medium::Medium;
use super::pages::Pages;
use super::tally::Tally;
use super::tree::{Fault, Seek, Tree, Which};
use crate::facts::{CheckPart, ProtectedPage};
use crate::finding::{self, Finding, FindingKind};
use crate::ids::ProtectedId;
use crate::verify::protected_page;

/// Leaves of SPACE that one part looks at.
const LEAVES_A_PART: usize = 64;

/// A part of the check: which groups, or which ids, come next.
enum Part {
    Space { group: u64 },
    Map { id: u64 },
}

impl Part {
    fn of(cursor: u64) -> Self {
        if cursor.is_multiple_of(2) {
            Self::Space { group: cursor / 2 }
        } else {
            Self::Map { id: cursor / 2 }
        }
    }

    fn cursor(&self) -> u64 {
        match self {
            Self::Space { group } => group * 2,
            Self::Map { id } => id * 2 + 1,
        }
    }
}

impl File {
    /// How many steps the check has: most of them are protected pages.
    pub(crate) fn check_total(&self) -> u64 {
        self.record.protected.saturating_add(1)
    }

    /// A part of the check. The first is 0.
    pub(crate) fn check_part<S: Medium>(&mut self, store: &S, cursor: u64) -> CheckPart {
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
        };
        let next = next.map(|part| part.cursor());
        if self.tally.next.is_some() {
            self.tally.next = next;
            if next.is_none() && self.tally.bad.is_empty() {
                found.extend(self.compare());
            }
        }
        let total = self.check_total();
        let done = match next {
            Some(_) => self.tally.ids.saturating_add(1).min(total - 1),
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
        let space = self.record.space_tree();
        if let Err(error) = self.paged(store) {
            let fault = Fault::of(&error);
            self.tally.bad.insert(fault.page);
            let wrong = format!("the deltas do not fit the trees: page {}", fault.page);
            found.push(fault.finding(findings::ROOTS, &wrong));
        }
        let mut group = group;
        for _ in 0..LEAVES_A_PART {
            let mut faults = Vec::new();
            let present = self.leaf_past(store, &space, group, &mut faults);
            self.note(Which::Space, faults, found);
            let Some((present, leaf)) = present else {
                return Part::Map { id: 0 };
            };
            if let Some(leaf) = leaf {
                let shape = self.layout.shape();
                self.tally.space_data += leaf::count_of(&leaf, shape, Kind::Protected);
                self.tally.space_nodes += leaf::count_of(&leaf, shape, Kind::Node);
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
    ) -> Option<(u64, Option<Arc<[u8]>>)> {
        let none = Pages::default();
        let (mut reader, pages) = if self.paged(store).is_ok() {
            self.paged(store).ok()?
        } else {
            (self.reader(store), &none)
        };
        let layout = reader.layout;
        let present = reader.seek_past(space, group, Seek::Present, faults);
        let changed = pages.next_changed(layout.group_start(group));
        let changed = changed.map(|page| layout.group_of(page));
        let group = present.into_iter().chain(changed).min()?;
        let leaf = pages.leaf(&mut reader, space, group);
        let leaf = leaf.map_err(|error| faults.push(Fault::of(&error)));
        Some((group, leaf.ok().flatten()))
    }

    fn check_map<S: Medium>(
        &mut self,
        store: &S,
        id: u64,
        found: &mut Vec<Finding>,
    ) -> Option<Part> {
        let map = self.record.map_tree();
        let shape = self.layout.shape();
        let mut faults = Vec::new();
        let mut reader = self.reader(store);
        let present = reader.seek_past(&map, id, Seek::Present, &mut faults);
        let changed = reader.deltas.next_stored(id);
        self.note(Which::Map, faults, found);
        let present = present.into_iter().chain(changed).min()?;
        let index = shape.index_of(1, present);
        self.check_path(store, &map, index, found);
        match self.reader(store).stored_below(&map, index) {
            Ok(stored) => {
                for (id, entry) in stored {
                    self.check_id(store, ProtectedId(id), entry, found);
                }
            }
            Err(error) => self.note(Which::Map, alloc::vec![Fault::of(&error)], found),
        }
        Some(Part::Map {
            id: shape.first_key(1, index + 1),
        })
    }

    /// The nodes from the root to a node of the lowest level: each once.
    fn check_path<S: Medium>(
        &mut self,
        store: &S,
        map: &Tree,
        index: u64,
        found: &mut Vec<Finding>,
    ) {
        let shape = self.layout.shape();
        for level in 1..=map.height {
            let index = shape.index_of(level - 1, index);
            if level > 1 && !self.tally.above.insert((level, index)) {
                continue;
            }
            if let Ok(Some(entry)) = self.reader(store).entry(map, level, index) {
                self.tally.nodes += 1;
                self.check_use(store, entry.number, Kind::Node, found);
            }
        }
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
        found.extend(protected_page(store, &page));
    }

    /// That SPACE says the same of a page that MAP names, and that nothing else
    /// names it.
    fn check_use<S: Medium>(&mut self, store: &S, page: u64, kind: Kind, found: &mut Vec<Finding>) {
        let mut tell = |message| {
            found.push(Finding::new(findings::PAGE_USE, Some(page), message));
        };
        if !self.tally.named.insert(page) {
            tell(format!("two entries of MAP name page {page}"));
        }
        match self.kind(store, page) {
            Ok(actual) if actual != kind => tell(format!(
                "MAP names page {page} as {}, SPACE says that it is {}",
                words(kind),
                words(actual)
            )),
            // What cannot be read was told of when SPACE was looked at.
            _ => {}
        }
    }

    fn note(&mut self, which: Which, faults: Vec<Fault>, found: &mut Vec<Finding>) {
        let tree = match which {
            Which::Map => "MAP",
            Which::Space => "SPACE",
        };
        for fault in faults {
            if self.tally.bad.insert(fault.page) {
                let wrong = format!(
                    "a node of {tree} in page {} is not as committed",
                    fault.page
                );
                found.push(fault.finding(findings::NODE, &wrong));
            }
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
        found
    }
}

impl Fault {
    /// It as a finding: that this is wrong, unless the medium is to blame.
    fn finding(self, kind: FindingKind, wrong: &str) -> Finding {
        let (kind, message) = if self.is_unread {
            (finding::UNREADABLE, self.text)
        } else {
            (kind, format!("{wrong}: {}", self.text))
        };
        Finding::new(kind, Some(self.page), message)
    }
}

fn words(kind: Kind) -> &'static str {
    match kind {
        Kind::Free | Kind::Limbo => "free",
        Kind::Regular => "a regular page",
        Kind::Protected => "a page of a protected one",
        Kind::Node => "a node of MAP",
        Kind::Reserved => "the file's own",
        Kind::Snapshots => "a table of snapshots",
    }
}
