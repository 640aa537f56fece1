//! [`Tally`]: what a check has counted so far.

use alloc::collections::BTreeSet;

use crate::bitmap::Overlay;

/// What was found so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    /// The part that comes next; none: the comparison is off.
    pub(super) next: Option<u64>,
    /// Pages that MAP named.
    pub(super) named: Overlay,
    /// Pages of protected ones and nodes of MAP, by MAP.
    pub(super) data: u64,
    pub(super) nodes: u64,
    pub(super) ids: u64,
    /// The same, by SPACE.
    pub(super) space_data: u64,
    pub(super) space_nodes: u64,
    /// Nodes above the lowest level that were counted.
    pub(super) above: BTreeSet<(u32, u64)>,
    /// Pages that could not be believed, each told once.
    pub(super) bad: BTreeSet<u64>,
}
