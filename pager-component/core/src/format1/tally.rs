//! [`Tally`]: what a check has counted so far.

use alloc::collections::{BTreeMap, BTreeSet};

use super::differ::Differences;
use crate::bitmap::Overlay;
use crate::verify::Looks;

/// What was found so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    /// The part that comes next; none: the comparison is off.
    pub(super) next: Option<u64>,
    /// Pages that MAP, the snapshots and their table named.
    pub(super) named: Overlay,
    /// Pages of protected ones and nodes of MAP, by MAP.
    pub(super) data: u64,
    pub(super) nodes: u64,
    pub(super) ids: u64,
    /// The same, by SPACE.
    pub(super) space_data: u64,
    pub(super) space_nodes: u64,
    /// Pages of the table of snapshots, by SPACE.
    pub(super) tables: u64,
    /// The same, by the table itself.
    pub(super) tables_named: u64,
    /// The walk over a snapshot that goes on in its next part, and which that is.
    pub(super) walk: Option<((u64, u64), Differences)>,
    /// Nodes above the lowest level that were counted, and whether the entry that
    /// was come by is the first one to name it.
    pub(super) above: BTreeMap<(u32, u64), bool>,
    /// The same of the last one of the lowest level.
    pub(super) lowest: Option<(u64, bool)>,
    /// How many checksums are explained still.
    pub(super) looks: Looks,
    /// Pages that could not be believed, each told once.
    pub(super) bad: BTreeSet<u64>,
}
