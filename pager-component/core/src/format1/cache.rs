//! [`Cache`]: nodes and leaves that were read and checked. Bounded: what was
//! not asked for lately goes.
//!
//! Invariant: what it holds for an entry is what the entry describes, checked
//! for the place in the tree that it was read for.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;

use super::entry::Entry;

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

/// Nodes and leaves that were checked.
#[derive(Clone, Debug, Default)]
pub(super) struct Cache {
    /// Asked for lately.
    young: BTreeMap<Place, Held>,
    /// Asked for before that.
    old: BTreeMap<Place, Held>,
}

impl Cache {
    /// The bytes that an entry describes.
    pub(super) fn get(&mut self, place: Place, entry: &Entry) -> Option<Arc<[u8]>> {
        if !self.young.contains_key(&place) {
            let held = self.old.remove(&place)?;
            self.keep(place, held);
        }
        let held = self.young.get(&place)?;
        (held.entry == *entry).then(|| held.bytes.clone())
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
