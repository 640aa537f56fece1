//! [`Unfolded`]: what the deltas come to, kept beside them, so that a commit
//! after many that did not fold takes no longer than the first.

use alloc::collections::BTreeSet;

use super::deltas::Deltas;
use super::entry::Tree;
use super::shape::Shape;
use crate::codec::wide;

/// A node of MAP: its level, and its index there.
type Node = (u32, u64);

/// What the deltas come to.
#[derive(Clone, Debug, Default)]
pub(super) struct Unfolded {
    /// The height of the tree that a fold makes.
    height: u32,
    /// Nodes of MAP that it writes, each with all above it.
    nodes: BTreeSet<Node>,
    /// Ids that were freed.
    freed: BTreeSet<u64>,
    /// No id below is free.
    lowest: u64,
}

impl Unfolded {
    /// Of these deltas of a tree that becomes `height` high.
    pub(super) fn of(shape: Shape, map: &Tree, height: u32, deltas: &Deltas) -> Self {
        let mut unfolded = Self {
            height: map.height,
            ..Self::default()
        };
        unfolded.add(shape, map, height, deltas);
        unfolded
    }

    /// How many nodes of MAP a fold writes at most where these ids change, too,
    /// in a tree that becomes `height` high.
    pub(super) fn nodes_with(
        &self,
        shape: Shape,
        map: &Tree,
        height: u32,
        ids: impl Iterator<Item = u64>,
    ) -> u64 {
        let mut new = BTreeSet::new();
        self.visit_new(shape, map, height, ids, |node| new.insert(node));
        wide(self.nodes.len() + new.len())
    }

    /// Takes in what changed after those deltas.
    pub(super) fn add(&mut self, shape: Shape, map: &Tree, height: u32, later: &Deltas) {
        let height = height.max(self.height);
        let mut new = BTreeSet::new();
        let ids = later.ids.keys().copied();
        self.visit_new(shape, map, height, ids, |node| new.insert(node));
        self.nodes.append(&mut new);
        self.height = height;
        for (&id, entry) in &later.ids {
            if entry.is_some() {
                self.freed.remove(&id);
            } else {
                self.freed.insert(id);
                self.lowest = self.lowest.min(id);
            }
        }
    }

    /// Calls `insert` with the nodes that are not there yet; it says whether it
    /// has not met them before.
    fn visit_new(
        &self,
        shape: Shape,
        map: &Tree,
        height: u32,
        ids: impl Iterator<Item = u64>,
        mut insert: impl FnMut(Node) -> bool,
    ) {
        let mut ids = ids.peekable();
        let is_changed = !self.nodes.is_empty() || ids.peek().is_some();
        // A new root has the old one below it.
        if is_changed && (map.root.is_some() || !self.nodes.is_empty()) {
            for level in self.height + 1..=height {
                insert((level, 0));
            }
        }
        for id in ids {
            for level in 1..=height {
                let node = (level, shape.index_of(level, id));
                // All above it are there, too.
                if self.nodes.contains(&node) || !insert(node) {
                    break;
                }
            }
        }
    }

    /// The first id from `id` on that was freed.
    pub(super) fn next_freed(&self, id: u64) -> Option<u64> {
        self.freed.range(id..).next().copied()
    }

    /// No id below is free, as far as is known.
    pub(super) fn lowest(&self) -> u64 {
        self.lowest
    }

    /// No id below this was found to be free.
    pub(super) fn raise_lowest(&mut self, id: u64) {
        self.lowest = self.lowest.max(id);
    }
}
