//! The errors of the WIT in words: core's own, which are worded once.

use alloc::string::{String, ToString};

use pagebox_core::{Error, Operation, ProtectedId};
use pagebox_store::{IoError, StoreError};

use crate::runtime::Local;
use crate::wit::exports::pagebox::pager::pager as wit;

/// The error that was returned last, and its words: they say more than its
/// numbers.
static LAST: Local<Option<(wit::Error, String)>> = Local::new(None);

/// Keeps the words of an error that is about to be returned.
pub(crate) fn remember(error: wit::Error, words: String) {
    LAST.with(|last| *last = Some((error, words)));
}

/// An error in a sentence.
pub(crate) fn describe(error: &wit::Error) -> String {
    let of_last = LAST.with(|last| {
        let (last, words) = last.as_ref()?;
        (last == error).then(|| words.clone())
    });
    of_last.unwrap_or_else(|| sentence(error))
}

/// What the numbers alone say.
fn sentence(error: &wit::Error) -> String {
    let error = match *error {
        wit::Error::NotAPageFile => return "not a page file".into(),
        wit::Error::UnsupportedVersion => return "a page file of another version".into(),
        wit::Error::PageSizeMismatch(wit::PageSizes { file, store }) => {
            return alloc::format!("the file has pages of {file} bytes, its store of {store}");
        }
        wit::Error::Damaged => return "the file is damaged".into(),
        wit::Error::Corrupt(page) => return alloc::format!("page {page} is corrupt"),
        wit::Error::ChecksumMismatch(ref of) => Error::ChecksumMismatch {
            id: ProtectedId(of.id),
            page: of.page,
            expected: of.expected.into(),
            actual: of.actual.into(),
            unproven: of.unproven,
        },
        wit::Error::OutOfRange(page) => return alloc::format!("there is no page {page}"),
        wit::Error::NotAllocated(page) => Error::NotAllocated { page },
        wit::Error::NotRegular(wit::PageOfKind { page, kind }) => Error::NotRegular {
            page,
            kind: pagebox_core::kinds::PageKind(kind),
        },
        wit::Error::NotProtected(id) => Error::NotProtected {
            id: ProtectedId(id),
        },
        wit::Error::NotFree(id) => Error::NotFree {
            id: ProtectedId(id),
        },
        wit::Error::Duplicate(id) => Error::Duplicate { id },
        wit::Error::Full(limit) => Error::Full { limit },
        wit::Error::DirectoryFull(limit) => Error::DirectoryFull { limit },
        wit::Error::GenerationsExhausted => Error::GenerationsExhausted,
        wit::Error::StaleTransaction => Error::StaleTransaction,
        wit::Error::Poisoned => Error::Poisoned,
        wit::Error::ReadOnly => Error::ReadOnly,
        wit::Error::Store(wit::StoreFailure { operation, cause }) => Error::Store {
            operation: of_operation(operation),
            source: of_cause(cause),
        },
        wit::Error::Busy => Error::Busy,
        wit::Error::Changed => Error::Changed,
        wit::Error::NotEmpty(page_count) => Error::NotEmpty { page_count },
        wit::Error::NotSupported => Error::NotSupported,
        wit::Error::NoSnapshot => Error::NoSnapshot,
        wit::Error::IsSnapshot => Error::IsSnapshot,
        wit::Error::SnapshotName => return "no snapshot can have this name".into(),
        wit::Error::Closed => return "the pager is closed".into(),
        wit::Error::Other => return "unknown error".into(),
    };
    error.to_string()
}

fn of_operation(operation: wit::Operation) -> Operation {
    match operation {
        wit::Operation::Reading(page) => Operation::Read { page },
        wit::Operation::Staging(id) => Operation::Stage {
            id: ProtectedId(id),
        },
        wit::Operation::Growing(page_count) => Operation::Grow { page_count },
        wit::Operation::Cutting(page_count) => Operation::Truncate { page_count },
        wit::Operation::Committing => Operation::Commit,
        wit::Operation::Settling => Operation::Settle,
        wit::Operation::Creating => Operation::WriteNew,
        wit::Operation::Repairing => Operation::WriteRepaired,
        wit::Operation::Syncing => Operation::Sync,
    }
}

fn of_cause(cause: wit::Cause) -> StoreError {
    match cause {
        wit::Cause::OutOfBounds => StoreError::OutOfBounds,
        wit::Cause::InsufficientSpace => StoreError::InsufficientSpace,
        wit::Cause::ReadOnly => StoreError::ReadOnly,
        wit::Cause::Fenced => StoreError::Fenced,
        wit::Cause::Io => StoreError::Io(IoError::default()),
        wit::Cause::Other => StoreError::Other(None),
    }
}
