//! [`Error`]: why an operation on a file of format 1 was not done.

use core::fmt;

use pagebox_store::{PageSize, StoreError};

use super::header::HeaderFault;
use super::leaf::Kind;
use crate::checksum::Xxh3;
use crate::ids::ProtectedId;

/// What a store was asked for when it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Operation {
    /// Reading a page.
    Read {
        /// Which.
        page: u64,
    },
    /// Making a private buffer.
    Stage,
    /// Making the file longer.
    Grow {
        /// To how many pages.
        page_count: u64,
    },
    /// Writing a commit, and syncing it.
    WriteCommit,
    /// Making durable what recovery chose.
    Settle,
    /// Writing the first pages of a new file.
    WriteNew,
    /// A sync alone.
    Sync,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { page } => write!(f, "reading page {page}"),
            Self::Stage => f.write_str("taking the checksum of a buffer"),
            Self::Grow { page_count } => write!(f, "growing the file to {page_count} pages"),
            Self::WriteCommit => f.write_str("writing a commit"),
            Self::Settle => f.write_str("settling what recovery chose"),
            Self::WriteNew => f.write_str("writing a new file"),
            Self::Sync => f.write_str("syncing"),
        }
    }
}

/// Why an operation was not done. Unless said otherwise, nothing changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Neither the header nor a root record is that of a file of format 1.
    #[error("not a page file of format 1: {0}")]
    Identity(HeaderFault),
    /// The file's page size is not the store's.
    #[error("the file's page size is {file}, the store's is {store}")]
    PageSizeMismatch {
        /// The file's.
        file: PageSize,
        /// The store's.
        store: PageSize,
    },
    /// A root record has what this version of the program does not read.
    #[error("the file has {0}, which this program does not read yet")]
    Unread(&'static str),
    /// No root can be believed: no crash can have left this.
    #[error("the file is damaged: {0}")]
    Damaged(Damage),
    /// A node or leaf cannot be believed.
    #[error("page {page} is corrupt: {fault}")]
    Corrupt {
        /// Where it lies.
        page: u64,
        /// Why not.
        fault: &'static str,
    },
    /// The bytes of a protected page are not the ones that were committed.
    #[error(
        "protected page {id} fails its checksum in page {page}: expected {expected:#034x}, found {actual:#034x}"
    )]
    ChecksumMismatch {
        /// The protected page.
        id: ProtectedId,
        /// The physical page.
        page: u64,
        /// As committed.
        expected: Xxh3,
        /// Of the bytes.
        actual: Xxh3,
    },
    /// The number is at or past the page count.
    #[error("page {page} does not exist: the file has {page_count} pages")]
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
    /// The page is not one that a caller writes in place.
    #[error("page {page} is not a regular page")]
    NotRegular {
        /// Which.
        page: u64,
        /// What it is.
        kind: Kind,
    },
    /// The page is to be allocated, and is not free.
    #[error("page {page} is not free")]
    NotFree {
        /// Which.
        page: u64,
    },
    /// There is no such protected page.
    #[error("protected page {id} is not allocated")]
    NotProtected {
        /// Which.
        id: ProtectedId,
    },
    /// The protected page is to be allocated, and is there.
    #[error("protected page {id} is allocated already")]
    IsProtected {
        /// Which.
        id: ProtectedId,
    },
    /// The format can name no more pages.
    #[error("the file is full: the format allows {limit} pages of this size")]
    Full {
        /// The most pages that the format can name.
        limit: u64,
    },
    /// The format can name no more protected pages.
    #[error("no protected id is free: the format allows {limit}")]
    NoFreeId {
        /// How many it can name.
        limit: u64,
    },
    /// The commit counter is at its end.
    #[error("the generation counter is at its end: the file can be read, but not changed")]
    GenerationsExhausted,
    /// What is on the medium is not known since a write or a sync failed.
    #[error("a write or a sync failed before: open the file again")]
    Poisoned,
    /// A new file needs an empty store.
    #[error("the store is not empty: it has {page_count} pages")]
    NotEmpty {
        /// What it has.
        page_count: u64,
    },
    /// The store failed.
    #[error("{operation} failed: {source}")]
    Store {
        /// What it was asked for.
        operation: Operation,
        /// What it said.
        source: StoreError,
    },
}

/// Why no root counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Damage {
    /// Neither slot holds a valid record.
    #[error("neither root slot holds a valid record")]
    NoRoot,
    /// Both slots hold a valid record, and of different files.
    #[error("the two root records are of different files")]
    TwoFiles,
    /// Both slots hold a record of one generation, and they differ.
    #[error("the two root records are of one generation and differ")]
    TwoRecords,
    /// The homes that the header names can't be there.
    #[error("the homes that the header names can't be there")]
    Homes,
    /// What the root that counts reaches is not as it was committed.
    #[error(
        "what generation {generation} reaches is not as it was committed: page {page}: {fault}"
    )]
    Unsound {
        /// Of the root.
        generation: u64,
        /// Where.
        page: u64,
        /// What is wrong there.
        fault: &'static str,
    },
}

impl Error {
    /// Makes a store's error ours.
    pub(super) fn store(operation: Operation) -> impl FnOnce(StoreError) -> Self {
        move |source| Self::Store { operation, source }
    }

    /// Makes a store's error of reading a page ours.
    pub(super) fn reading(page: u64) -> impl FnOnce(StoreError) -> Self {
        Self::store(Operation::Read { page })
    }
}
