//! [`Error`]: why an operation was not done.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use pagebox_store::{Checksum, PageSize, StoreError};

use crate::finding::Finding;
use crate::identity::IdentityFault;
use crate::ids::ProtectedId;
use crate::kinds::PageKind;

/// What a store was asked for when it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Operation {
    /// Reading a page, or taking its checksum.
    Read {
        /// Which.
        page: u64,
    },
    /// Making a private copy of a page.
    Stage {
        /// Which protected page.
        id: ProtectedId,
    },
    /// Making the file longer.
    Grow {
        /// To how many pages.
        page_count: u64,
    },
    /// Making the file shorter.
    Truncate {
        /// To how many pages.
        page_count: u64,
    },
    /// Writing a commit.
    Commit,
    /// Making durable, at opening, what recovery chose.
    Settle,
    /// Writing the first pages of a new file.
    WriteNew,
    /// Writing what repair has mended.
    WriteRepaired,
    /// A sync alone.
    Sync,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { page } => write!(f, "reading page {page}"),
            Self::Stage { id } => write!(f, "staging protected page {id}"),
            Self::Grow { page_count } => write!(f, "growing the file to {page_count} pages"),
            Self::Truncate { page_count } => write!(f, "cutting the file to {page_count} pages"),
            Self::Commit => f.write_str("writing a commit"),
            Self::Settle => f.write_str("writing the root that counts"),
            Self::WriteNew => f.write_str("writing a new file"),
            Self::WriteRepaired => f.write_str("writing repaired pages"),
            Self::Sync => f.write_str("syncing"),
        }
    }
}

/// Why an operation was not done. Unless said otherwise, nothing changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The bytes are not those of a page file that we know.
    #[error("{what}: {0}", what = what_of(.0))]
    Identity(IdentityFault),
    /// The file's page size is not the store's.
    #[error("the file has pages of {file} bytes, its store pages of {store}")]
    PageSizeMismatch {
        /// The file's.
        file: PageSize,
        /// The store's.
        store: PageSize,
    },
    /// The file is damaged: it can be read in part, but not changed.
    #[error("the file is damaged: {}", .findings.first().map_or("", |first| first.message.as_str()))]
    Damaged {
        /// The evidence: at least one finding.
        findings: Vec<Finding>,
    },
    /// A structure cannot be believed.
    #[error("page {page} is corrupt: {detail}")]
    Corrupt {
        /// Where it lies.
        page: u64,
        /// Which, and why.
        detail: String,
    },
    /// The bytes of a protected page are not the ones that were committed.
    #[error(
        "protected page {id} (physical page {page}) has checksum {actual}, {expected} was committed{}",
        if *.unproven { ": its first bytes were never made durable" } else { "" }
    )]
    ChecksumMismatch {
        /// The protected page.
        id: ProtectedId,
        /// The physical page.
        page: u64,
        /// As committed.
        expected: Checksum,
        /// Of the bytes.
        actual: Checksum,
        /// Allocated by the peer and never written: unproven, not rotten.
        unproven: bool,
    },
    /// The number is at or past the page count.
    #[error("there is no page {page}")]
    OutOfRange {
        /// The number.
        page: u64,
        /// The page count.
        page_count: u64,
    },
    /// The page is free.
    #[error("page {page} is not allocated")]
    NotAllocated {
        /// Which.
        page: u64,
    },
    /// The page is the pager's own.
    #[error("page {page} is not a regular page: it is {}", .kind.text().name)]
    NotRegular {
        /// Which.
        page: u64,
        /// What it is.
        kind: PageKind,
    },
    /// There is no such protected page.
    #[error("there is no protected page {id}")]
    NotProtected {
        /// Which.
        id: ProtectedId,
    },
    /// A protected page was to be allocated under an id that is taken.
    #[error("protected page {id} is allocated already")]
    NotFree {
        /// Which.
        id: ProtectedId,
    },
    /// An id was given twice in one call.
    #[error("page {id} is named twice")]
    Duplicate {
        /// Which.
        id: u64,
    },
    /// The format can name no more pages.
    #[error("the file is full: its format ends at {limit} pages")]
    Full {
        /// The most pages that the format can name.
        limit: u64,
    },
    /// The format can name no more protected pages.
    #[error("the directory is full: its format ends at {limit} protected pages")]
    DirectoryFull {
        /// The most protected pages that the format can name.
        limit: u64,
    },
    /// A transaction allocates more than can be held in memory until its commit.
    #[error("a transaction can allocate at most {limit} of these pages")]
    TooMany {
        /// The most that it can.
        limit: u64,
    },
    /// There is no snapshot of this name.
    #[error("there is no snapshot of this name")]
    NoSnapshot,
    /// There is a snapshot of this name already.
    #[error("there is a snapshot of this name already")]
    IsSnapshot,
    /// No snapshot can be called so.
    #[error("no snapshot can have this name: {0}")]
    SnapshotName(&'static str),
    /// A file has at most so many snapshots.
    #[error("the file has {limit} snapshots, and can have no more")]
    TooManySnapshots {
        /// How many.
        limit: u64,
    },
    /// The commit counter is at its end.
    #[error("the generation counter is at its end: the file can be read, but not changed")]
    GenerationsExhausted,
    /// Another transaction was committed since this one began, or it is of
    /// another pager.
    #[error("another transaction was committed since this one began")]
    StaleTransaction,
    /// What is on the medium is not known since a write or a sync failed.
    #[error("a write or a sync failed before: reopen the file to see what is durable")]
    Poisoned,
    /// The pager was opened to read.
    #[error("the file was opened to read only")]
    ReadOnly,
    /// Somebody else changed the file each time that it was read.
    #[error("busy: the file changed each time that it was read")]
    Busy,
    /// The pager was opened to read, and somebody else has committed since:
    /// the state that it shows is being overwritten.
    #[error("the file was changed since it was opened: open it again to read what it holds now")]
    Changed,
    /// The format cannot do this, or there is no such format.
    #[error("not supported here: the figures of the file say what its format is capable of")]
    NotSupported,
    /// A new file needs an empty store.
    #[error("the store is not empty: it has {page_count} pages")]
    NotEmpty {
        /// What it has.
        page_count: u64,
    },
    /// The store failed.
    #[error("{operation}: {source}")]
    Store {
        /// What it was asked for.
        operation: Operation,
        /// What it said.
        source: StoreError,
    },
}

/// What a file is whose first bytes are not those that we know.
fn what_of(fault: &IdentityFault) -> &'static str {
    match fault {
        IdentityFault::Version { .. } => "unsupported version",
        _ => "not a page file",
    }
}

impl Error {
    /// Makes a store's error ours.
    pub fn store(operation: Operation) -> impl FnOnce(StoreError) -> Self {
        move |source| Self::Store { operation, source }
    }
}
