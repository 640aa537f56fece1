//! Core's errors and values as those of the WIT.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use pagebox_core::identity::IdentityFault;
use pagebox_core::{
    ChangedPage, CommitInfo, Compacted, Durability, Error, Extent, Location, Obstacle, Operation,
    ProtectedPage, SnapshotInfo, Stats,
};
use pagebox_store::{StoreError, UnsupportedPageSize};

use crate::wit::exports::pagebox::pager::pager as wit;
use crate::wit::pagebox::pager::page_store;
use crate::words;

impl From<Error> for wit::Error {
    /// What `describe` says of it from now on is what the error knows.
    fn from(error: Error) -> Self {
        let numbers = numbers(&error);
        words::remember(numbers, error.to_string());
        numbers
    }
}

/// What the WIT carries of an error.
fn numbers(error: &Error) -> wit::Error {
    match *error {
        Error::Identity(IdentityFault::Version { .. }) => wit::Error::UnsupportedVersion,
        Error::Identity(_) => wit::Error::NotAPageFile,
        Error::PageSizeMismatch { file, store } => wit::Error::PageSizeMismatch(wit::PageSizes {
            file: file.bytes_u32().into(),
            store: store.bytes_u32(),
        }),
        Error::Damaged { .. } => wit::Error::Damaged,
        Error::Corrupt { page, .. } => wit::Error::Corrupt(page),
        Error::ChecksumMismatch {
            id,
            page,
            expected,
            actual,
            unproven,
        } => wit::Error::ChecksumMismatch(wit::Mismatch {
            id: id.0,
            page,
            expected: expected.into(),
            actual: actual.into(),
            unproven,
        }),
        Error::OutOfRange { page, .. } => wit::Error::OutOfRange(page),
        Error::NotAllocated { page } => wit::Error::NotAllocated(page),
        Error::NotRegular { page, kind } => {
            wit::Error::NotRegular(wit::PageOfKind { page, kind: kind.0 })
        }
        Error::NotProtected { id } => wit::Error::NotProtected(id.0),
        Error::NotFree { id } => wit::Error::NotFree(id.0),
        Error::Duplicate { id } => wit::Error::Duplicate(id),
        Error::Full { limit } => wit::Error::Full(limit),
        Error::DirectoryFull { limit } => wit::Error::DirectoryFull(limit),
        Error::GenerationsExhausted => wit::Error::GenerationsExhausted,
        Error::StaleTransaction => wit::Error::StaleTransaction,
        Error::Poisoned => wit::Error::Poisoned,
        Error::ReadOnly => wit::Error::ReadOnly,
        Error::Busy => wit::Error::Busy,
        Error::Changed => wit::Error::Changed,
        Error::NotSupported => wit::Error::NotSupported,
        Error::NotEmpty { page_count } => wit::Error::NotEmpty(page_count),
        Error::NoSnapshot => wit::Error::NoSnapshot,
        Error::IsSnapshot => wit::Error::IsSnapshot,
        Error::SnapshotName(_) => wit::Error::SnapshotName,
        Error::Store {
            operation,
            ref source,
        } => wit::Error::Store(wit::StoreFailure {
            operation: of(operation),
            cause: cause(source),
        }),
        _ => wit::Error::Other,
    }
}

fn of(operation: Operation) -> wit::Operation {
    match operation {
        Operation::Read { page } => wit::Operation::Reading(page),
        Operation::Stage { id } => wit::Operation::Staging(id.0),
        Operation::Grow { page_count } => wit::Operation::Growing(page_count),
        Operation::Truncate { page_count } => wit::Operation::Cutting(page_count),
        Operation::Settle => wit::Operation::Settling,
        Operation::WriteNew => wit::Operation::Creating,
        Operation::WriteRepaired => wit::Operation::Repairing,
        Operation::Sync => wit::Operation::Syncing,
        _ => wit::Operation::Committing,
    }
}

fn cause(error: &StoreError) -> wit::Cause {
    match error {
        StoreError::OutOfBounds => wit::Cause::OutOfBounds,
        StoreError::InsufficientSpace => wit::Cause::InsufficientSpace,
        StoreError::ReadOnly => wit::Cause::ReadOnly,
        StoreError::Fenced => wit::Cause::Fenced,
        StoreError::Io(_) => wit::Cause::Io,
        _ => wit::Cause::Other,
    }
}

impl From<UnsupportedPageSize> for wit::Error {
    fn from(error: UnsupportedPageSize) -> Self {
        words::remember(Self::Other, error.to_string());
        Self::Other
    }
}

impl From<Extent> for page_store::Extent {
    fn from(extent: Extent) -> Self {
        Self {
            first: extent.first,
            count: extent.count,
        }
    }
}

impl From<page_store::Extent> for Extent {
    fn from(extent: page_store::Extent) -> Self {
        Self {
            first: extent.first,
            count: extent.count,
        }
    }
}

impl From<Stats> for wit::Stats {
    fn from(stats: Stats) -> Self {
        Self {
            format: stats.format.into(),
            capabilities: words_of(stats.capabilities),
            uuid: stats.uuid.map(halves),
            algorithm: stats.algorithm.into(),
            page_size: stats.page_size.bytes_u32(),
            page_count: stats.page_count,
            page_limit: stats.page_limit,
            free_pages: stats.free_pages,
            regular_pages: stats.regular_pages,
            protected_pages: stats.protected_pages,
            protected_capacity: stats.protected_capacity,
            protected_limit: stats.protected_limit,
            internal_pages: stats.internal_pages,
            generation: stats.generation,
            held_pages: stats.held_pages,
            oldest_view: stats.oldest_view,
        }
    }
}

/// Its low half, and its high half, as `new-file` has them.
fn halves(uuid: [u8; 16]) -> (u64, u64) {
    let number = u128::from_le_bytes(uuid);
    #[expect(clippy::cast_possible_truncation, reason = "a half each")]
    let halves = (number as u64, (number >> 64) as u64);
    halves
}

pub(crate) fn words_of(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.into()).collect()
}

impl From<Location> for wit::Location {
    fn from(location: Location) -> Self {
        Self {
            page: location.page,
            generation: location.generation,
            checksum: location.checksum.into(),
        }
    }
}

impl From<ProtectedPage> for wit::ProtectedPage {
    fn from(page: ProtectedPage) -> Self {
        Self {
            id: page.id.0,
            location: page.location.into(),
        }
    }
}

impl From<SnapshotInfo> for wit::Snapshot {
    fn from(snapshot: SnapshotInfo) -> Self {
        Self {
            name: snapshot.name,
            generation: snapshot.generation,
            time: snapshot.time,
        }
    }
}

impl From<ChangedPage> for wit::ChangedPage {
    fn from(page: ChangedPage) -> Self {
        Self {
            id: page.id.0,
            before: page.before.map(Into::into),
            after: page.after.map(Into::into),
        }
    }
}

impl From<Obstacle> for wit::Obstacle {
    fn from(obstacle: Obstacle) -> Self {
        match obstacle {
            Obstacle::Contents => Self::Contents,
            Obstacle::Regular { page } => Self::Regular(page),
            Obstacle::Snapshot { page, name } => Self::Snapshot(wit::SnapshotPage { page, name }),
            Obstacle::View { generation } => Self::View(generation),
        }
    }
}

/// What a step of a compaction came to, and what is committed then.
pub(crate) fn compacted(step: Compacted, info: CommitInfo) -> wit::Compacted {
    wit::Compacted {
        moved: step.moved,
        left: step.left,
        done: step.is_done,
        obstacle: step.obstacle.map(Into::into),
        info: info.into(),
    }
}

impl From<CommitInfo> for wit::CommitInfo {
    fn from(info: CommitInfo) -> Self {
        Self {
            generation: info.generation,
            durable: info.durable,
            page_count: info.page_count,
        }
    }
}

impl From<wit::Durability> for Durability {
    fn from(durability: wit::Durability) -> Self {
        match durability {
            wit::Durability::Durable => Self::Durable,
            wit::Durability::Deferred => Self::Deferred,
        }
    }
}
