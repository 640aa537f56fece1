//! [`Compaction`]: how far a compaction has come.

use crate::facts::Obstacle;

/// A compaction that goes on.
#[derive(Clone, Debug)]
pub(super) struct Compaction {
    /// What was asked for, in pages.
    pub(super) target: u64,
    /// No page at or above this is to be used.
    pub(super) cut: u64,
    /// The id to go on with.
    pub(super) next: u64,
    /// Pages that were moved since MAP was last looked at from its start.
    pub(super) moved: u64,
    /// Pages that are still to be moved.
    pub(super) left: u64,
    /// What made the cut no lower.
    pub(super) obstacle: Option<Obstacle>,
    /// Nodes of the lowest level that were looked at since then: nodes that share
    /// their children would make this endless.
    pub(super) seen: u64,
    /// How often it began anew, since something was committed meanwhile.
    pub(super) rounds: u32,
}
