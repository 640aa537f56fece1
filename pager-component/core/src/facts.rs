//! What a file answers: [`Stats`], [`CommitInfo`], [`Location`],
//! [`ProtectedPage`], [`CheckPart`]; and what is asked of it, [`Wish`],
//! [`Durability`] and [`NewFile`].

use alloc::string::String;
use alloc::vec::Vec;

use pagebox_store::{Algorithm, Checksum, PageSize};

use crate::finding::Finding;
use crate::identity::Format;
use crate::ids::ProtectedId;

/// Figures of a page file, in pages unless said otherwise. None: the file is
/// damaged, and its bytes do not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stats {
    /// What its format is called; empty where that is not known.
    pub format: &'static str,
    /// The number that no other file has, where the format has one.
    pub uuid: Option<[u8; 16]>,
    /// What can be done with it besides: an open list of words.
    pub capabilities: &'static [&'static str],
    /// What the checksums of its protected pages are.
    pub algorithm: Algorithm,
    /// The size of a page.
    pub page_size: PageSize,
    /// Pages that the file accounts for.
    pub page_count: Option<u64>,
    /// The most pages that the format can account for.
    pub page_limit: u64,
    /// Pages that can be allocated without growth.
    pub free_pages: Option<u64>,
    /// Allocated regular pages.
    pub regular_pages: Option<u64>,
    /// Protected pages.
    pub protected_pages: Option<u64>,
    /// Protected pages that there is room for without growth.
    pub protected_capacity: Option<u64>,
    /// The most protected pages that the format can name.
    pub protected_limit: u64,
    /// Pages that are neither free nor regular.
    pub internal_pages: Option<u64>,
    /// The commit counter.
    pub generation: Option<u64>,
    /// Those of the internal pages that were freed and are still read, by views
    /// or by the state that is durable: they can be allocated when that is over.
    pub held_pages: u64,
    /// The oldest generation that a view reads.
    pub oldest_view: Option<u64>,
}

/// When a commit is durable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// When it returns.
    #[default]
    Durable,
    /// With the next durable one, or the next sync; until then a crash undoes it,
    /// and those after it.
    Deferred,
}

/// What a commit did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommitInfo {
    /// The generation that is committed now.
    pub generation: u64,
    /// The generation that is durable now: that one, or an earlier one if
    /// commits since were deferred.
    pub durable: u64,
    /// Pages that the file accounts for now.
    pub page_count: u64,
}

/// Where a protected page is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Location {
    /// The physical page that holds the current bytes; none: they are zeros, and
    /// no page has them.
    pub page: Option<u64>,
    /// How often the page was written, or when: it changes with every write.
    pub generation: u64,
    /// Of the bytes, as committed.
    pub checksum: Checksum,
}

impl Location {
    /// Whether bytes that fail their checksum were never committed: the peer
    /// allocates a page with the checksum of bytes that it does not sync, at
    /// generation 0. Ours begin at 1.
    pub const fn is_unproven(&self) -> bool {
        self.generation == 0
    }
}

/// A protected page in a listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProtectedPage {
    /// Its id.
    pub id: ProtectedId,
    /// Where its bytes are.
    pub location: Location,
    /// The page that the next write goes to, where that is decided already.
    pub next: Option<u64>,
}

/// A part of a check.
#[derive(Clone, Debug)]
pub struct CheckPart {
    /// What was found.
    pub findings: Vec<Finding>,
    /// Where the next part begins; none: this was the last.
    pub next: Option<u64>,
    /// Steps done, of all.
    pub done: u64,
    /// Steps in all.
    pub total: u64,
}

/// What a new file is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewFile {
    /// Its format.
    pub format: Format,
    /// Pages that there must be at least.
    pub page_count: u64,
    /// A number that no other file has, drawn at random by the caller. Format 0
    /// has no place for it.
    pub uuid: [u8; 16],
}

/// A committed state of the protected pages that has a name, and stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotInfo {
    /// What it is called.
    pub name: String,
    /// The generation that was committed when it was taken.
    pub generation: u64,
    /// When that was, in nanoseconds since 1970, as its maker said.
    pub time: u64,
}

/// A protected page that two states have otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChangedPage {
    /// Its id.
    pub id: ProtectedId,
    /// Where the first one has its bytes; none: it has no such page.
    pub before: Option<Location>,
    /// Where the second one does.
    pub after: Option<Location>,
}

/// What a step of a compaction came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compacted {
    /// Pages that the step moved.
    pub moved: u64,
    /// Used pages that are still to be moved, as far as is known.
    pub left: u64,
    /// Pages that the file accounts for now.
    pub page_count: u64,
    /// Whether this was the last step.
    pub is_done: bool,
    /// Why the file gets no shorter than it does; none: it gets as short as it was
    /// asked to be.
    pub obstacle: Option<Obstacle>,
}

/// What stands in the way of a shorter file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// The pages that it has take that much.
    Contents,
    /// A regular page: those are not moved.
    Regular {
        /// Which.
        page: u64,
    },
    /// A page of a snapshot: those are not moved.
    Snapshot {
        /// Which page.
        page: u64,
        /// The newest snapshot that has it; none: that was not found out.
        name: Option<String>,
    },
    /// A view: what it reads stays, until it is gone.
    View {
        /// The oldest generation that a view reads.
        generation: u64,
    },
}

/// All that a transaction allocates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// Regular pages.
    pub regular: u64,
    /// Protected pages.
    pub protected: u64,
    /// Their ids are below this.
    pub id_end: u64,
}
