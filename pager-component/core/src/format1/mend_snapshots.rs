//! Mending: which snapshots prove themselves. Each is kept whole, or given up.
//!
//! The newest comes first, compared with what is kept of the committed state, then
//! each with the next newer one that is kept. What it has in common with that one
//! is proven; all else has to be, and be nobody else's.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::differ::{Differences, Sides};
use super::entry::{Entry, Tree};
use super::error::Error;
use super::file::File;
use super::loss::{action, loss};
use super::medium::Medium;
use super::table::Snapshot;
use super::tree::Which;
use crate::action::Action;
use crate::bitmap::Overlay;

/// The snapshots that are kept.
#[derive(Debug, Default)]
pub(super) struct Held {
    /// Oldest first.
    pub(super) snapshots: Vec<Snapshot>,
    /// Pages that the committed state does not have: of protected pages, and nodes.
    pub(super) data: Overlay,
    pub(super) nodes: Overlay,
}

impl Held {
    /// Whether a page is a snapshot's.
    pub(super) fn contains(&self, page: u64) -> bool {
        self.data.contains(page) || self.nodes.contains(page)
    }
}

impl File {
    /// The snapshots that prove themselves, beside these protected pages.
    pub(super) fn salvage_snapshots<S: Medium>(
        &mut self,
        store: &S,
        page_count: u64,
        stored: &BTreeMap<u64, Entry>,
        named: &Overlay,
        actions: &mut Vec<Action>,
    ) -> Result<Held, Error> {
        if let Err(error) = self.read_snapshots(store) {
            let page = error.page();
            let text = format!(
                "a page of the table of snapshots is lost, and with it the snapshots in it and those that are older: {}",
                loss(error)?
            );
            actions.push(action(true, page, None, text));
        }
        let snapshots: Vec<Snapshot> = self.snapshots.iter().cloned().collect();
        let mut held = Held::default();
        let mut newer = None;
        for snapshot in snapshots.into_iter().rev() {
            let tree = snapshot.map_tree();
            let mut trial = Trial {
                page_count,
                stored,
                named,
                held: &held,
                data: Overlay::default(),
                nodes: Overlay::default(),
            };
            match self.try_snapshot(store, &tree, newer.as_ref(), &mut trial)? {
                None => {
                    let Trial { data, nodes, .. } = trial;
                    held.data.extend(&data);
                    held.nodes.extend(&nodes);
                    held.snapshots.insert(0, snapshot);
                    newer = Some(tree);
                }
                Some((page, fault)) => {
                    let text = format!(
                        "snapshot {} was given up: page {page}: {fault}",
                        snapshot.name
                    );
                    actions.push(action(true, Some(page), None, text));
                }
            }
        }
        Ok(held)
    }

    /// Why a snapshot does not prove itself: a page, and what is wrong with it.
    fn try_snapshot<S: Medium>(
        &mut self,
        store: &S,
        tree: &Tree,
        newer: Option<&Tree>,
        trial: &mut Trial<'_>,
    ) -> Result<Option<(u64, String)>, Error> {
        let nothing = Tree {
            which: Which::Map,
            height: tree.height,
            root: None,
        };
        let mut reader = self.reader(store);
        let walk = Differences::of(&mut reader, tree, newer.unwrap_or(&nothing), Sides::First);
        let mut walk = match walk {
            Ok(walk) => walk,
            Err(error) => return Ok(Some((error.page().unwrap_or(0), loss(error)?))),
        };
        while let Some(pair) = walk.next() {
            let Some(entry) = pair.first else { continue };
            let page = entry.number;
            if pair.level == 0 {
                if newer.is_none() && trial.stored.get(&pair.index) == Some(&entry) || page == 0 {
                    continue;
                }
                if !trial.is_nobodys(page) || !trial.data.insert(page) {
                    return Ok(Some((page, "something else has it, too".into())));
                }
                let found = store.page_checksum(page).map_err(Error::reading(page))?;
                if found != entry.checksum {
                    let fault = "its bytes are not the ones that were committed";
                    return Ok(Some((page, fault.into())));
                }
                continue;
            }
            if !trial.is_nobodys(page) || !trial.nodes.insert(page) {
                return Ok(Some((page, "something else has it, too".into())));
            }
            if let Err(error) = walk.below(&mut reader, &pair) {
                return Ok(Some((error.page().unwrap_or(page), loss(error)?)));
            }
        }
        Ok(None)
    }
}

/// A snapshot that is tried.
struct Trial<'a> {
    page_count: u64,
    /// Protected pages that are kept, and their pages.
    stored: &'a BTreeMap<u64, Entry>,
    named: &'a Overlay,
    /// Of newer snapshots.
    held: &'a Held,
    /// Its own pages so far.
    data: Overlay,
    nodes: Overlay,
}

impl Trial<'_> {
    fn is_nobodys(&self, page: u64) -> bool {
        page < self.page_count
            && !self.named.contains(page)
            && !self.held.contains(page)
            && !self.data.contains(page)
            && !self.nodes.contains(page)
    }
}
