//! The check of snapshots: what each has and the one after it has not. So every
//! page is counted once, with the last state that names it, and what states share
//! is not looked at again. The tree that comes after the newest one names what
//! deltas have replaced: that is looked at last.

use alloc::vec::Vec;

use super::audit::{BYTES_A_PART, PASSED_A_PART, Part};
use super::differ::{Differences, Pair};
use super::file::File;
use super::leaf::Kind;
use super::medium::Medium;
use super::rotten::{self, Place, in_snapshot};
use super::tree::Fault;
use crate::codec::narrow;
use crate::facts::ProtectedPage;
use crate::finding::Finding;
use crate::ids::ProtectedId;
use crate::verify::protected_page;

impl File {
    /// What a snapshot has and the one after it has not: so each page is counted
    /// once, with the last state that names it.
    pub(super) fn check_snapshot<S: Medium>(
        &mut self,
        store: &S,
        (place, part): (u64, u64),
        found: &mut Vec<Finding>,
    ) -> Option<Part> {
        if let Err(error) = self.read_snapshots(store) {
            let fault = Fault::of(&error);
            self.tally.bad.insert(fault.page);
            let named = self.snapshots.next_older();
            let looks = &mut self.tally.looks;
            found.push(rotten::table(store, named.as_ref(), fault, looks));
            return None;
        }
        if (place, part) == (0, 0) && self.record.snapshots.is_some() {
            for page in self.snapshots.table_pages() {
                self.tally.tables_named += 1;
                self.check_use(store, page, Kind::Snapshots, found);
            }
        }
        let mut snapshots = self.snapshots.iter().skip(narrow(place));
        let name = snapshots.next()?.name.clone();
        drop(snapshots);
        let begun = self
            .tally
            .walk
            .take()
            .filter(|(of, _)| *of == (place, part));
        let walk = match begun {
            Some((_, walk)) => Ok(walk),
            None => self.not_after(store, narrow(place)),
        };
        let mut walk = match walk {
            Ok(walk) => walk,
            Err(error) => {
                let nowhere = Place::of_map(0, 0);
                self.note(store, nowhere, None, Fault::of(&error), found);
                return Some(Part::Snapshot {
                    place: place + 1,
                    part: 0,
                });
            }
        };
        let mut nodes = PASSED_A_PART;
        let mut pages = (BYTES_A_PART / self.layout.shape().page_size.bytes()).max(1);
        while nodes > 0 && pages > 0 {
            let Some(pair) = walk.next() else {
                return Some(Part::Snapshot {
                    place: place + 1,
                    part: 0,
                });
            };
            if pair.level > 0 {
                nodes -= 1;
                self.check_snapshot_node(store, &mut walk, &pair, found);
            } else {
                pages -= 1;
                self.check_snapshot_page(store, &name, &pair, found);
            }
        }
        let next = (place, part + 1);
        self.tally.walk = Some((next, walk));
        Some(Part::Snapshot {
            place,
            part: part + 1,
        })
    }

    fn check_snapshot_node<S: Medium>(
        &mut self,
        store: &S,
        walk: &mut Differences,
        pair: &Pair,
        found: &mut Vec<Finding>,
    ) {
        let Some(entry) = pair.first else { return };
        self.tally.nodes += 1;
        if !self.check_use(store, entry.number, Kind::Node, found) {
            // What is below is not counted.
            self.tally.bad.insert(entry.number);
            return;
        }
        if let Err(error) = walk.below(&mut self.reader(store), pair) {
            let fault = Fault::of(&error);
            let place = Place::of_map(pair.level, pair.index);
            self.note(store, place, Some(&entry), fault, found);
        }
    }

    fn check_snapshot_page<S: Medium>(
        &mut self,
        store: &S,
        name: &str,
        pair: &Pair,
        found: &mut Vec<Finding>,
    ) {
        let Some(entry) = pair.first.filter(|entry| entry.number != 0) else {
            return;
        };
        self.tally.data += 1;
        self.check_use(store, entry.number, Kind::Protected, found);
        let page = ProtectedPage {
            id: ProtectedId(pair.index),
            location: self.in_words(entry.into()),
            next: None,
        };
        let looks = &mut self.tally.looks;
        found.extend(in_snapshot(name, protected_page(store, &page, looks)));
    }
}
