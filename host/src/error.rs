//! [`Error`]: everything that can go wrong, sorted into three classes.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use pagebox_store::{Checksum, IoError};

use crate::StoreError;
use crate::format::Format;
use crate::ids::{PageId, ProtectedId};
use crate::wit::exports::pagebox::pager::pager as wit;

/// Why something was not done. Unless said otherwise nothing changed.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The bytes are not those of a page file; the text says what was found.
    #[error("{0}")]
    NotAPageFile(String),
    /// The path names something that cannot be a page file.
    #[error("{} is not a page file: it is {kind}", path.display())]
    NotAFile {
        /// What was to be opened.
        path: PathBuf,
        /// What it is: `a folder`.
        kind: &'static str,
    },
    /// A page file of a version that the pager does not know.
    #[error("{0}")]
    UnsupportedVersion(String),
    /// The file's page size is not the store's.
    #[error("the file has pages of {file} bytes, its store pages of {store}")]
    PageSizeMismatch {
        /// What the file says, in bytes.
        file: u64,
        /// What the store has, in bytes.
        store: u32,
    },
    /// The file is damaged: what its bytes prove can be read, but nothing can
    /// be changed before it is [repaired](crate::Engine::repair).
    #[error("the file is damaged: {0}")]
    Damaged(String),
    /// A structure cannot be believed.
    #[error("page {page} is corrupt: {detail}")]
    Corrupt {
        /// The page that holds it.
        page: u64,
        /// Which structure, and why.
        detail: String,
    },
    /// The bytes of a protected page are not the ones that were committed.
    #[error(
        "protected page {id} (physical page {page}) has checksum {actual}, \
         {expected} was committed{}",
        if *.unproven { ": its first bytes were never made durable" } else { "" }
    )]
    ChecksumMismatch {
        /// The protected page.
        id: ProtectedId,
        /// The physical page that was read.
        page: u64,
        /// The checksum that was committed.
        expected: Checksum,
        /// The checksum of the bytes.
        actual: Checksum,
        /// It was never written since another program allocated it: the bytes
        /// are unproven rather than rotten.
        unproven: bool,
    },
    /// The number is at or past the page count.
    #[error("there is no page {0}")]
    OutOfRange(PageId),
    /// The page is free.
    #[error("page {0} is not allocated")]
    NotAllocated(PageId),
    /// The page is the pager's own, or belongs to a protected page.
    #[error("page {page} is not a regular page: it is {kind}")]
    NotRegular {
        /// The page.
        page: PageId,
        /// What it is.
        kind: String,
    },
    /// There is no protected page of this id.
    #[error("there is no protected page {0}")]
    NotProtected(ProtectedId),
    /// The id was to be given to a new protected page, and has one.
    #[error("protected page {0} is allocated already")]
    NotFree(ProtectedId),
    /// An id was given twice, in a list of ids of either kind.
    #[error("page {0} is named twice")]
    Duplicate(u64),
    /// The format can name no more pages than this, and all are taken.
    #[error("the file is full: its format ends at {0} pages")]
    Full(u64),
    /// The directory can name no more protected pages than this.
    #[error("the directory is full: its format ends at {0} protected pages")]
    DirectoryFull(u64),
    /// Bytes past the end of a page were asked for.
    #[error("{len} bytes from offset {offset} do not fit a page of {page_size} bytes")]
    PastPageEnd {
        /// The first byte.
        offset: usize,
        /// How many.
        len: usize,
        /// Bytes in a page.
        page_size: usize,
    },
    /// A page was to be replaced by more or fewer bytes than it has.
    #[error("a page has {page_size} bytes: {len} cannot replace it")]
    NotAWholePage {
        /// How many were given.
        len: usize,
        /// Bytes in a page.
        page_size: usize,
    },
    /// A transaction may have no more pages staged. It goes on as it was, with
    /// those that it has.
    #[error("a transaction may stage {limit} bytes of protected pages, and has staged all of them")]
    StagedLimit {
        /// [`Limits::staged`](crate::Limits::staged), in bytes.
        limit: usize,
    },
    /// The store cannot lend its pages as slices, since it leaves
    /// [`Store::page`](crate::Store::page) out: copy them with
    /// [`read`](crate::Pager::read), [`read_protected`](crate::Pager::read_protected)
    /// and [`write`](crate::Pager::write).
    #[error("this store cannot lend its pages as slices: copy them with read and write")]
    NotLendable,
    /// There is no snapshot of this name.
    #[error("there is no snapshot {0:?}")]
    NoSnapshot(String),
    /// There is a snapshot of this name already.
    #[error("there is a snapshot {0:?} already")]
    IsSnapshot(String),
    /// No snapshot can have this name.
    #[error("{0}")]
    SnapshotName(String),
    /// Another transaction was committed since this one began.
    #[error("another transaction was committed since this one began")]
    StaleTransaction,
    /// A write or a sync failed before: what is on the medium is not known.
    #[error("a write or a sync failed before: reopen the file to see what is durable")]
    Poisoned,
    /// It was opened to read.
    #[error("the file was opened to read only")]
    ReadOnly,
    /// Somebody else has the file open to write.
    #[error("{} is in use by another process", path.display())]
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// Somebody else has a store on object storage open to write, or did not close it.
    #[error("{} is in use: {by}", path.display())]
    Held {
        /// The store's address.
        path: PathBuf,
        /// Who, and since when.
        by: String,
    },
    /// A file was to be brought up to date as a backup of another one, and is none.
    #[error("{} is no backup of this file", path.display())]
    NotACopy {
        /// What was to be brought up to date.
        path: PathBuf,
    },
    /// A backup holds a later state than the one that it was to be brought up to.
    #[error(
        "{} holds generation {generation} of this file, which is at {source_generation} now",
        path.display()
    )]
    CopyIsAhead {
        /// The backup.
        path: PathBuf,
        /// What it holds.
        generation: u64,
        /// What was to be backed up.
        source_generation: u64,
    },
    /// Views of the file are still read: whoever opens it anew would not keep
    /// what they read. Drop them first.
    #[error("views of the file are still open: drop them before it is opened again")]
    ViewsOpen,
    /// Somebody else changed the file each time that it was read.
    #[error("busy: the file changed each time that it was read")]
    Busy,
    /// The file was opened to read, and somebody else has committed since: the
    /// state that is shown is being overwritten.
    /// [`Pager::reopen`](crate::Pager::reopen) shows what the file holds now.
    #[error("the file was changed since it was opened: open it again to read what it holds now")]
    Changed,
    /// The process was forked from the one that opened the file, which alone
    /// may use what it opened.
    #[error(
        "the file was opened by another process: this one was forked from it, and has to open \
         the file itself"
    )]
    Forked,
    /// There is something of that name already.
    #[error("{} exists already", path.display())]
    Exists {
        /// What was to be made.
        path: PathBuf,
    },
    /// There is no such file.
    #[error("{} does not exist", path.display())]
    NotFound {
        /// What was to be opened, or made in a folder that is not there.
        path: PathBuf,
    },
    /// The store failed. If it was a write, the pager is poisoned.
    #[error("{operation}: {cause}")]
    Store {
        /// What the pager was doing: `reading page 7`.
        operation: String,
        /// What the store said.
        #[source]
        cause: StoreError,
    },
    /// The operating system failed.
    #[error("cannot {operation} {}: {source}", path.display())]
    Io {
        /// What was to be done: `open`.
        operation: &'static str,
        /// To what.
        path: PathBuf,
        /// Why not. All who waited for the same thing get the same error.
        source: Arc<io::Error>,
    },
    /// The sandbox failed: it ran out of its limits, crashed, or answered with
    /// what cannot be. The file is as of the last commit;
    /// [`Pager::reopen`](crate::Pager::reopen) starts a new sandbox.
    #[error("the sandbox failed while {operation}: {cause}")]
    Sandbox {
        /// What it was doing: `committing`.
        operation: &'static str,
        /// What happened.
        cause: String,
    },
    /// The sandbox failed before and was not restarted.
    #[error("the sandbox failed before: reopen the file")]
    SandboxGone,
    /// The bytes are not those of a page decoder, or it does not start; the text
    /// says why.
    #[error("it cannot be used as a page decoder: {0}")]
    NotADecoder(String),
    /// A page decoder failed at a page: it ran out of its limits, crashed, or
    /// answered with what cannot be. The file has no part in that.
    #[error(
        "the decoder {decoder:?} failed at {}: {cause}",
        page.map_or_else(|| "a page of zeros".to_owned(), |page| format!("page {page}"))
    )]
    Decoder {
        /// What it calls itself.
        decoder: String,
        /// The page that it was asked about; none of a protected page that has
        /// none.
        page: Option<u64>,
        /// What happened.
        cause: String,
    },
    /// What was asked of a [`SharedPager`](crate::SharedPager) could never be
    /// done: the thread that asks would wait for itself. The text says what it
    /// has to let go first.
    #[error("the request would wait for itself: {0}")]
    WaitsForItself(&'static str),
    /// As many requests as this wait for a [`SharedPager`](crate::SharedPager)
    /// already.
    #[error("{0} requests wait already: let some of them be done first")]
    TooManyRequests(usize),
    /// A file was to become one of this format, and is one.
    #[error("the file is of format {0} already")]
    SameFormat(Format),
    /// A file cannot become one of this format: a page cannot keep its number.
    /// It is the first such page.
    #[error(
        "{} {page} cannot keep its number in format {format}: {reason}",
        if *.is_protected { "protected page" } else { "page" }
    )]
    NoPlace {
        /// The page, or the protected page.
        page: u64,
        /// Which of the two.
        is_protected: bool,
        /// The format that was asked for.
        format: Format,
        /// What is in its way there.
        reason: String,
    },
    /// Anything that has no case of its own.
    #[error("{0}")]
    Other(String),
}

/// What kind of answer an [`Error`] calls for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorClass {
    /// The request cannot be done; another one can. Exit code 1.
    Caller,
    /// The file is corrupt or no page file. Exit code 3.
    Corrupt,
    /// The system failed: input/output, space, the sandbox. Exit code 4.
    System,
}

impl Error {
    /// The class of the error, for exit codes and the like.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::NotAPageFile(_)
            | Self::NotAFile { .. }
            | Self::UnsupportedVersion(_)
            | Self::Damaged(_)
            | Self::Corrupt { .. }
            | Self::ChecksumMismatch { .. } => ErrorClass::Corrupt,
            // Who was fenced has to ask the one who did.
            Self::Store {
                cause: StoreError::Fenced,
                ..
            } => ErrorClass::Caller,
            Self::Store { .. }
            | Self::Io { .. }
            | Self::Sandbox { .. }
            | Self::SandboxGone
            | Self::Decoder { .. }
            | Self::Poisoned => ErrorClass::System,
            _ => ErrorClass::Caller,
        }
    }

    /// Whether the file is corrupt or no page file.
    pub fn is_corrupt(&self) -> bool {
        self.class() == ErrorClass::Corrupt
    }

    /// Whether another request would have been done.
    pub fn is_caller_fault(&self) -> bool {
        self.class() == ErrorClass::Caller
    }

    /// Whether the system failed.
    pub fn is_system(&self) -> bool {
        self.class() == ErrorClass::System
    }

    /// What `operation` on `path` came to.
    pub(crate) fn io(operation: &'static str, path: &std::path::Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::NotFound => Self::NotFound { path },
            io::ErrorKind::AlreadyExists => Self::Exists { path },
            _ => Self::Io {
                operation,
                path,
                source: source.into(),
            },
        }
    }
}

/// A text of the sandbox for people: a line, and no more of it than they will
/// read.
pub(crate) fn clipped(mut text: String) -> String {
    const MOST: usize = 1000;
    if text.len() > MOST {
        text.truncate(text.floor_char_boundary(MOST));
        text.push_str("...");
    }
    // Some of them would move a terminal's cursor.
    if text.contains(char::is_control) {
        text = text.replace(char::is_control, " ");
    }
    text
}

impl Error {
    /// Whether only the pager that returned an error has all its words.
    pub(crate) fn is_worded_by_pager(error: &wit::Error) -> bool {
        !matches!(
            error,
            wit::Error::PageSizeMismatch(_)
                | wit::Error::ChecksumMismatch(_)
                | wit::Error::OutOfRange(_)
                | wit::Error::NotAllocated(_)
                | wit::Error::NotProtected(_)
                | wit::Error::NotFree(_)
                | wit::Error::Duplicate(_)
                | wit::Error::Full(_)
                | wit::Error::DirectoryFull(_)
                | wit::Error::NoSnapshot
                | wit::Error::IsSnapshot
                | wit::Error::StaleTransaction
                | wit::Error::Poisoned
                | wit::Error::ReadOnly
                | wit::Error::Busy
                | wit::Error::Changed
        )
    }

    /// What a pager returned, with its words where it has them, and what a store
    /// failed with meanwhile.
    pub(crate) fn told(error: wit::Error, words: String, failure: Option<StoreError>) -> Self {
        let words = clipped(words);
        let after = |prefix: &str| words.strip_prefix(prefix).unwrap_or(&words).to_owned();
        match error {
            wit::Error::NotAPageFile => Self::NotAPageFile(words),
            wit::Error::UnsupportedVersion => Self::UnsupportedVersion(words),
            wit::Error::PageSizeMismatch(sizes) => Self::PageSizeMismatch {
                file: sizes.file,
                store: sizes.store,
            },
            wit::Error::Damaged => Self::Damaged(after("the file is damaged: ")),
            wit::Error::Corrupt(page) => Self::Corrupt {
                page,
                detail: after(&format!("page {page} is corrupt: ")),
            },
            wit::Error::ChecksumMismatch(mismatch) => Self::ChecksumMismatch {
                id: ProtectedId::new(mismatch.id),
                page: mismatch.page,
                expected: mismatch.expected.into(),
                actual: mismatch.actual.into(),
                unproven: mismatch.unproven,
            },
            wit::Error::OutOfRange(page) => Self::OutOfRange(PageId::new(page)),
            wit::Error::NotAllocated(page) => Self::NotAllocated(PageId::new(page)),
            wit::Error::NotRegular(wit::PageOfKind { page, .. }) => Self::NotRegular {
                page: PageId::new(page),
                kind: after(&format!("page {page} is not a regular page: it is ")),
            },
            wit::Error::NotProtected(id) => Self::NotProtected(ProtectedId::new(id)),
            wit::Error::NotFree(id) => Self::NotFree(ProtectedId::new(id)),
            wit::Error::Duplicate(id) => Self::Duplicate(id),
            wit::Error::Full(limit) => Self::Full(limit),
            wit::Error::DirectoryFull(limit) => Self::DirectoryFull(limit),
            wit::Error::NoSnapshot => Self::NoSnapshot(String::new()),
            wit::Error::IsSnapshot => Self::IsSnapshot(String::new()),
            wit::Error::SnapshotName => Self::SnapshotName(words),
            wit::Error::StaleTransaction => Self::StaleTransaction,
            wit::Error::Poisoned => Self::Poisoned,
            wit::Error::ReadOnly => Self::ReadOnly,
            wit::Error::Busy => Self::Busy,
            wit::Error::Changed => Self::Changed,
            wit::Error::Store(wit::StoreFailure { cause, .. }) => Self::Store {
                operation: match words.split_once(": ") {
                    Some((operation, _)) => operation.to_owned(),
                    None => words,
                },
                cause: of_cause(cause, failure),
            },
            wit::Error::GenerationsExhausted
            | wit::Error::NotEmpty(_)
            | wit::Error::NotSupported
            | wit::Error::Closed
            | wit::Error::Other => Self::Other(words),
        }
    }
}

/// What a store failed with: as the store said it, where it is what the pager
/// passes on.
fn of_cause(cause: wit::Cause, failure: Option<StoreError>) -> StoreError {
    match (cause, failure) {
        (wit::Cause::OutOfBounds, _) => StoreError::OutOfBounds,
        (wit::Cause::InsufficientSpace, _) => StoreError::InsufficientSpace,
        (wit::Cause::ReadOnly, _) => StoreError::ReadOnly,
        (wit::Cause::Fenced, _) => StoreError::Fenced,
        (wit::Cause::Io, Some(failure @ StoreError::Io(_)))
        | (wit::Cause::Other, Some(failure @ StoreError::Other(_))) => failure,
        (wit::Cause::Io, _) => StoreError::Io(IoError::default()),
        (wit::Cause::Other, _) => StoreError::Other(None),
    }
}
