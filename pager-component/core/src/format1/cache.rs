//! [`Cache`]: nodes and leaves that were read and checked. Bounded: what was
//! not asked for lately goes.
//!
//! Invariant: what it holds for an entry is what the entry describes, checked
//! for the place in the tree that it was read for.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;

use super::entry::{Entry, Tree};

/// Bytes that it holds at most, unless four pages are more.
const BYTES_MAX: usize = 8 << 20;

/// Where a node stands, by the page that holds it: a page that hostile entries
/// name twice is checked for each place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) page: u64,
    /// None: SPACE, whose homes have their places.
    pub(super) map_level: Option<u32>,
}

#[derive(Clone, Debug)]
struct Held {
    entry: Entry,
    bytes: Arc<[u8]>,
}

impl Held {
    /// Its bytes, if it is what an entry describes.
    fn described_by(&self, entry: &Entry) -> Option<Arc<[u8]>> {
        (self.entry == *entry).then(|| self.bytes.clone())
    }
}

/// Nodes and leaves that were checked.
#[derive(Clone, Debug, Default)]
pub(super) struct Cache {
    /// Asked for lately.
    young: BTreeMap<Place, Held>,
    /// Asked for before that.
    old: BTreeMap<Place, Held>,
    /// The last leaf that was asked for: who asks what a page is asks for its
    /// neighbours next. It counts for the tree that it was found in: the root
    /// has the checksum of all below.
    last_leaf: Option<LastLeaf>,
}

/// A leaf, and where it was found.
#[derive(Clone, Debug)]
pub(super) struct LastLeaf {
    space: Tree,
    group: u64,
    /// None: it is absent.
    pub(super) bytes: Option<Arc<[u8]>>,
}

impl Cache {
    /// The bytes that an entry describes.
    pub(super) fn get(&mut self, place: Place, entry: &Entry) -> Option<Arc<[u8]>> {
        if let Some(held) = self.young.get(&place) {
            return held.described_by(entry);
        }
        let held = self.old.remove(&place)?;
        let bytes = held.described_by(entry);
        self.keep(place, held);
        bytes
    }

    /// The leaf of a group that was asked for last; none: it was another one.
    pub(super) fn last_leaf(&self, space: &Tree, group: u64) -> Option<&LastLeaf> {
        let last = self.last_leaf.as_ref();
        last.filter(|last| last.group == group && last.space == *space)
    }

    /// Keeps the leaf of a group at hand; none: it is absent.
    pub(super) fn put_last_leaf(&mut self, space: &Tree, group: u64, bytes: Option<Arc<[u8]>>) {
        self.last_leaf = Some(LastLeaf {
            space: *space,
            group,
            bytes,
        });
    }

    /// Keeps what an entry describes.
    pub(super) fn put(&mut self, place: Place, entry: Entry, bytes: Arc<[u8]>) {
        self.old.remove(&place);
        self.keep(place, Held { entry, bytes });
    }

    /// Pages that it holds.
    pub(super) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }

    fn keep(&mut self, place: Place, held: Held) {
        let half_max = (BYTES_MAX / 2 / held.bytes.len().max(1)).max(2);
        if self.young.len() >= half_max {
            self.old = core::mem::take(&mut self.young);
        }
        self.young.insert(place, held);
    }
}
