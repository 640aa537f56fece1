//! Core's errors and values as those of the WIT.

use alloc::string::{String, ToString};

use pagebox_core::identity::IdentityFault;
use pagebox_core::{CommitInfo, Error, Extent, Location, ProtectedPage, Stats};
use pagebox_store::{StoreError, UnsupportedPageSize};

use crate::wit::exports::pagebox::pager::pager as wit;
use crate::wit::pagebox::pager::page_store;

impl From<Error> for wit::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Identity(fault @ IdentityFault::Version { .. }) => {
                Self::UnsupportedVersion(fault.to_string())
            }
            Error::Identity(fault) => Self::NotAPageFile(fault.to_string()),
            Error::PageSizeMismatch { file, store } => Self::PageSizeMismatch(wit::PageSizes {
                file: file.bytes_u32().into(),
                store: store.bytes_u32(),
            }),
            Error::Damaged { findings } => Self::Damaged(
                findings
                    .into_iter()
                    .next()
                    .map_or_else(String::new, |finding| finding.message),
            ),
            Error::Corrupt { page, detail } => Self::Corrupt(wit::Corruption { page, detail }),
            Error::ChecksumMismatch {
                id,
                page,
                expected,
                actual,
                unproven,
            } => Self::ChecksumMismatch(wit::Mismatch {
                id: id.0,
                page,
                expected,
                actual,
                unproven,
            }),
            Error::OutOfRange { page, .. } => Self::OutOfRange(page),
            Error::NotAllocated { page } => Self::NotAllocated(page),
            Error::NotRegular { page, kind } => Self::NotRegular(wit::PageOfKind {
                page,
                kind: kind.text().name.into(),
            }),
            Error::NotProtected { id } => Self::NotProtected(id.0),
            Error::Duplicate { id } => Self::Duplicate(id),
            Error::Full { limit } => Self::Full(limit),
            Error::DirectoryFull { limit } => Self::DirectoryFull(limit),
            Error::StaleTransaction => Self::StaleTransaction,
            Error::Poisoned => Self::Poisoned,
            Error::ReadOnly => Self::ReadOnly,
            Error::Busy => Self::Busy,
            Error::Changed => Self::Changed,
            Error::Store { operation, source } => Self::Store(wit::StoreFailure {
                operation: operation.to_string(),
                cause: source.into(),
            }),
            error => other(&error),
        }
    }
}

/// An error that has no case of its own.
fn other(error: &impl ToString) -> wit::Error {
    wit::Error::Other(Some(error.to_string()))
}

impl From<UnsupportedPageSize> for wit::Error {
    fn from(error: UnsupportedPageSize) -> Self {
        other(&error)
    }
}

impl From<StoreError> for page_store::StoreError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::OutOfBounds => Self::OutOfBounds,
            StoreError::InsufficientSpace => Self::InsufficientSpace,
            StoreError::ReadOnly => Self::ReadOnly,
            StoreError::Io(text) => Self::Io(text),
            StoreError::Other(text) => Self::Other(text),
            error => Self::Other(Some(error.to_string())),
        }
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

impl From<Stats> for wit::Stats {
    fn from(stats: Stats) -> Self {
        Self {
            page_size: stats.page_size.bytes_u32(),
            page_count: stats.page_count.unwrap_or(0),
            page_limit: stats.page_limit,
            free_pages: stats.free_pages.unwrap_or(0),
            regular_pages: stats.regular_pages.unwrap_or(0),
            protected_pages: stats.protected_pages.unwrap_or(0),
            protected_capacity: stats.protected_capacity.unwrap_or(0),
            protected_limit: stats.protected_limit,
            internal_pages: stats.internal_pages.unwrap_or(0),
            generation: stats.generation.unwrap_or(0),
        }
    }
}

impl From<Location> for wit::Location {
    fn from(location: Location) -> Self {
        Self {
            page: location.page,
            generation: location.generation,
            checksum: location.checksum,
        }
    }
}

impl From<ProtectedPage> for wit::ProtectedPage {
    fn from(page: ProtectedPage) -> Self {
        Self {
            id: page.id.0,
            active_page: page.location.page,
            shadow_page: page.next.unwrap_or(page.location.page),
            generation: page.location.generation,
            checksum: page.location.checksum,
        }
    }
}

impl From<CommitInfo> for wit::CommitInfo {
    fn from(info: CommitInfo) -> Self {
        Self {
            generation: info.generation,
            page_count: info.page_count,
        }
    }
}
