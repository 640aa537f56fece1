//! The errors of the WIT in words, as core words its own.

use alloc::format;
use alloc::string::String;

use crate::wit::exports::pagebox::pager::pager as wit;
use crate::wit::pagebox::pager::page_store::StoreError;

impl wit::Error {
    /// A sentence for people. It says less than core's own where the WIT
    /// carries less.
    pub(crate) fn in_words(self) -> String {
        match self {
            Self::NotAPageFile(found) => format!("not a page file: {found}"),
            Self::UnsupportedVersion(found) => format!("page file {found}"),
            Self::PageSizeMismatch(wit::PageSizes { file, store }) => {
                format!("the file's page size is {file}, the store's is {store}")
            }
            Self::Damaged(finding) => format!("the file is damaged: {finding}"),
            Self::Corrupt(wit::Corruption { page, detail }) => {
                format!("page {page} is corrupt: {detail}")
            }
            Self::ChecksumMismatch(wit::Mismatch {
                id,
                page,
                expected,
                actual,
                ..
            }) => format!(
                "protected page {id} fails its checksum in page {page}: \
                 expected {expected:#010x}, found {actual:#010x}"
            ),
            Self::OutOfRange(page) => format!("page {page} does not exist"),
            Self::NotAllocated(page) => format!("page {page} is not allocated"),
            Self::NotRegular(wit::PageOfKind { page, kind }) => {
                format!("page {page} is not a regular page: it is {kind}")
            }
            Self::NotProtected(id) => format!("protected page {id} is not allocated"),
            Self::Duplicate(id) => format!("{id} is given twice"),
            Self::Full(limit) => {
                format!("the file is full: the format allows {limit} pages of this size")
            }
            Self::DirectoryFull(limit) => format!(
                "the directory is full: the format allows {limit} protected pages of this size"
            ),
            Self::StaleTransaction => {
                "another transaction was committed since this one began".into()
            }
            Self::Poisoned => "a write or a sync failed before: open the file again".into(),
            Self::ReadOnly => "the pager was opened to read only".into(),
            Self::Busy => "busy: the file changed each time that it was read".into(),
            Self::Changed => {
                "the file was changed since it was opened: open it again to read what it holds now"
                    .into()
            }
            Self::Store(wit::StoreFailure { operation, cause }) => {
                format!("{operation} failed: {}", cause.in_words())
            }
            Self::Other(text) => text.unwrap_or_else(|| "unknown error".into()),
        }
    }
}

impl StoreError {
    fn in_words(self) -> String {
        match self {
            Self::OutOfBounds => "out of bounds".into(),
            Self::InsufficientSpace => "no space left for the file to grow".into(),
            Self::ReadOnly => "the store is read-only".into(),
            Self::Io(text) => text.unwrap_or_else(|| "input/output error".into()),
            Self::Other(text) => text.unwrap_or_else(|| "unknown store error".into()),
        }
    }
}
