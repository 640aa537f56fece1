//! [`Pending`]: what deferred commits did since the durable record.

use crate::bitmap::Overlay;
use crate::changes::Changes;
use crate::codec::wide;

/// After so many deferred commits the next one is durable.
const COMMITS_MAX: u32 = 1 << 16;

/// So many ids and regular pages that changed since the last fold are kept at
/// most, about a hundred bytes each: a deferred commit that makes more of them
/// is durable.
const CHANGED_MAX: usize = 1 << 16;

/// What deferred commits did since the durable record.
#[derive(Clone, Debug, Default)]
pub(super) struct Pending {
    /// How many there were.
    commits: u32,
    /// Pages of contents that they wrote.
    written: u64,
    /// Regular pages that they allocated.
    allocated: Overlay,
    /// Whether one of those may hold old bytes on the medium.
    recycles: bool,
}

impl Pending {
    /// Whether there was none.
    pub(super) fn is_empty(&self) -> bool {
        self.commits == 0
    }

    /// Pages of contents that they wrote.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// Whether a regular page that they allocated may hold old bytes.
    pub(super) fn recycles(&self) -> bool {
        self.recycles
    }

    /// Whether the durable state may have a regular page otherwise: it was
    /// allocated then, or is free.
    pub(super) fn has_allocated(&self, page: u64) -> bool {
        self.allocated.contains(page)
    }

    /// Whether changes are too many to be deferred, after `changed` since the
    /// last fold.
    pub(super) fn is_spent<B>(&self, changed: usize, changes: &Changes<B>) -> bool {
        let regular = changes.allocated.len() + changes.freed.len();
        let all = wide(changed + changes.protected.len()).saturating_add(regular);
        self.commits >= COMMITS_MAX || all > wide(CHANGED_MAX)
    }

    /// Takes in a deferred commit.
    pub(super) fn add<B>(&mut self, changes: &Changes<B>, written: usize, recycles: bool) {
        self.commits += 1;
        self.written += wide(written);
        self.recycles |= recycles;
        for page in changes.allocated.iter() {
            self.allocated.insert(page);
        }
    }
}
