//! [`Error`]: why an operation on a file of format 1 was not done.

use alloc::format;
use alloc::string::String;
use core::fmt;

use pagebox_store::{Algorithm, Checksum, PageSize, StoreError};

use super::header::HeaderFault;
use crate::checksum::Xxh3;
use crate::finding::cut_off;
use crate::identity::IdentityFault;
use crate::ids::ProtectedId;
use crate::kinds::PageKind;

/// What a store was asked for when it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Operation {
    /// Reading a page.
    Read {
        /// Which.
        page: u64,
    },
    /// Taking the checksum of a private buffer.
    Stage {
        /// Of this protected page.
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
    /// Writing a commit, and syncing it.
    WriteCommit,
    /// Making durable what recovery chose.
    Settle,
    /// Writing the first pages of a new file.
    WriteNew,
    /// Writing what was mended.
    WriteRepaired,
    /// A sync alone.
    Sync,
}

/// Why an operation was not done. Unless said otherwise, nothing changed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// Neither the header nor a root record is that of a file of format 1.
    Identity(HeaderFault),
    /// The file's page size is not the store's.
    PageSizeMismatch {
        /// The file's.
        file: PageSize,
        /// The store's.
        store: PageSize,
    },
    /// No root can be believed: no crash can have left this.
    Damaged(Damage),
    /// A node or leaf cannot be believed.
    Corrupt {
        /// Where it lies.
        page: u64,
        /// Why not.
        fault: &'static str,
    },
    /// The bytes of a protected page are not the ones that were committed.
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
    OutOfRange {
        /// The number.
        page: u64,
        /// The page count.
        page_count: u64,
    },
    /// The page is free.
    NotAllocated {
        /// Which.
        page: u64,
    },
    /// The page is not one that a caller writes in place.
    NotRegular {
        /// Which.
        page: u64,
        /// What it is.
        kind: PageKind,
    },
    /// The page is to be allocated, and is not free.
    NotFree {
        /// Which.
        page: u64,
    },
    /// There is no such protected page.
    NotProtected {
        /// Which.
        id: ProtectedId,
    },
    /// The protected page is to be allocated, and is there.
    IsProtected {
        /// Which.
        id: ProtectedId,
    },
    /// The format can name no more pages.
    Full {
        /// The most pages that the format can name.
        limit: u64,
    },
    /// The format can name no more protected pages.
    NoFreeId {
        /// How many it can name.
        limit: u64,
    },
    /// A transaction allocates more than can be held in memory until its commit.
    TooMany {
        /// The most that it can.
        limit: u64,
    },
    /// There is no snapshot of this name.
    NoSnapshot,
    /// There is a snapshot of this name.
    IsSnapshot,
    /// No snapshot can be called so.
    SnapshotName(&'static str),
    /// A file has at most so many snapshots.
    TooManySnapshots {
        /// How many.
        limit: u64,
    },
    /// The commit counter is at its end.
    GenerationsExhausted,
    /// What is on the medium is not known since a write or a sync failed.
    Poisoned,
    /// A new file needs an empty store.
    NotEmpty {
        /// What it has.
        page_count: u64,
    },
    /// The store failed.
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
    /// The file was cut off.
    #[error("{0}")]
    Short(Short),
    /// What the root that counts reaches is not as it was committed.
    #[error("what generation {generation} reaches is not as it was committed: {}{fault}", of_page(*.page))]
    Unsound {
        /// Of the root.
        generation: u64,
        /// Where; 0: in the root record, which says what can't be.
        page: u64,
        /// What is wrong there.
        fault: &'static str,
    },
}

/// A page that something is wrong with; page 0 is nobody's but the header's.
fn of_page(page: u64) -> String {
    if page == 0 {
        String::new()
    } else {
        format!("page {page}: ")
    }
}

/// How a file was cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Short {
    /// Where it ends, in bytes.
    pub bytes: u64,
    /// Whole pages that there are.
    pub pages: u64,
    /// Pages that the file accounts for.
    pub page_count: u64,
    /// How many of those that are missing are free, and how many are not, as far
    /// as that is known; none: nobody asked.
    pub kinds: Option<(u64, u64)>,
}

impl Short {
    /// Pages that are missing.
    pub fn missing(&self) -> u64 {
        self.page_count.saturating_sub(self.pages)
    }

    /// Whether all that is missing is known to be free.
    pub fn is_free(&self) -> bool {
        self.kinds == Some((self.missing(), 0))
    }
}

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds = self.kinds.unwrap_or_default();
        cut_off(self.bytes, self.pages, self.page_count, kinds).fmt(f)
    }
}

impl Error {
    /// The page that it is about.
    pub(super) fn page(&self) -> Option<u64> {
        match *self {
            Self::Corrupt { page, .. }
            | Self::Store {
                operation: Operation::Read { page },
                ..
            } => Some(page),
            _ => None,
        }
    }

    /// Whether the medium failed: another time it may not. A file that was cut
    /// off has no bytes to give.
    pub(super) fn is_of_medium(&self) -> bool {
        let Self::Store { source, .. } = self else {
            return false;
        };
        *source != StoreError::OutOfBounds
    }

    /// Makes a store's error ours.
    pub(super) fn store(operation: Operation) -> impl FnOnce(StoreError) -> Self {
        move |source| Self::Store { operation, source }
    }

    /// Makes a store's error of reading a page ours.
    pub(super) fn reading(page: u64) -> impl FnOnce(StoreError) -> Self {
        Self::store(Operation::Read { page })
    }
}

impl From<Operation> for crate::error::Operation {
    fn from(operation: Operation) -> Self {
        match operation {
            Operation::Read { page } => Self::Read { page },
            Operation::Stage { id } => Self::Stage { id },
            Operation::Grow { page_count } => Self::Grow { page_count },
            Operation::Truncate { page_count } => Self::Truncate { page_count },
            Operation::WriteCommit => Self::Commit,
            Operation::Settle => Self::Settle,
            Operation::WriteNew => Self::WriteNew,
            Operation::WriteRepaired => Self::WriteRepaired,
            Operation::Sync => Self::Sync,
        }
    }
}

impl From<HeaderFault> for IdentityFault {
    fn from(fault: HeaderFault) -> Self {
        match fault {
            HeaderFault::Magic(found) => Self::Magic(found),
            HeaderFault::Version { major, minor } => Self::Version { major, minor },
            HeaderFault::Checksum => Self::Header,
            HeaderFault::PageSize(log2) => Self::PageSize(log2),
        }
    }
}

/// An error in the words of every format.
impl From<Error> for crate::error::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Identity(fault) => Self::Identity(fault.into()),
            Error::PageSizeMismatch { file, store } => Self::PageSizeMismatch { file, store },
            Error::Damaged(damage) => Self::Damaged {
                findings: alloc::vec![damage.finding()],
            },
            Error::Corrupt { page, fault } => Self::Corrupt {
                page,
                detail: fault.into(),
            },
            Error::ChecksumMismatch {
                id,
                page,
                expected,
                actual,
            } => Self::ChecksumMismatch {
                id,
                page,
                expected: checksum(expected),
                actual: checksum(actual),
                unproven: false,
            },
            Error::OutOfRange { page, page_count } => Self::OutOfRange { page, page_count },
            Error::NotAllocated { page } => Self::NotAllocated { page },
            Error::NotRegular { page, kind } => Self::NotRegular { page, kind },
            // A transaction takes free pages only: SPACE contradicts itself.
            Error::NotFree { page } => Self::Corrupt {
                page,
                detail: "SPACE says that it is free, and that it is not".into(),
            },
            Error::NotProtected { id } => Self::NotProtected { id },
            Error::IsProtected { id } => Self::NotFree { id },
            Error::Full { limit } => Self::Full { limit },
            Error::NoFreeId { limit } => Self::DirectoryFull { limit },
            Error::TooMany { limit } => Self::TooMany { limit },
            Error::NoSnapshot => Self::NoSnapshot,
            Error::IsSnapshot => Self::IsSnapshot,
            Error::SnapshotName(fault) => Self::SnapshotName(fault),
            Error::TooManySnapshots { limit } => Self::TooManySnapshots { limit },
            Error::GenerationsExhausted => Self::GenerationsExhausted,
            Error::Poisoned => Self::Poisoned,
            Error::NotEmpty { page_count } => Self::NotEmpty { page_count },
            Error::Store { operation, source } => Self::Store {
                operation: operation.into(),
                source,
            },
        }
    }
}

/// The checksum of this format.
pub(super) const fn checksum(value: Xxh3) -> Checksum {
    Checksum {
        algorithm: Algorithm::Xxh3,
        value,
    }
}

/// The words are those of every format.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        crate::error::Error::from(self.clone()).fmt(f)
    }
}

impl core::error::Error for Error {}
