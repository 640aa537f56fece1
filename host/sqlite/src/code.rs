//! What SQLite is told of an error.

use std::ffi::c_int;

use pagebox::{Error, StoreError};
use rusqlite::ffi;

/// The code by which SQLite knows an error.
pub(crate) fn of(error: &Error) -> c_int {
    match error {
        Error::NotAPageFile(_) | Error::UnsupportedVersion(_) => ffi::SQLITE_NOTADB,
        Error::NotAFile { .. }
        | Error::NotFound { .. }
        | Error::NoSnapshot(_)
        | Error::Exists { .. } => ffi::SQLITE_CANTOPEN,
        Error::ChecksumMismatch { .. } => ffi::SQLITE_IOERR_DATA,
        Error::Damaged(_) | Error::Corrupt { .. } | Error::NotProtected(_) => ffi::SQLITE_CORRUPT,
        Error::Full(_)
        | Error::DirectoryFull(_)
        | Error::StagedLimit { .. }
        | Error::Store {
            cause: StoreError::InsufficientSpace,
            ..
        } => ffi::SQLITE_FULL,
        // A reader that is at work stands in the way of opening the file again.
        Error::Locked { .. } | Error::Busy | Error::ViewsOpen => ffi::SQLITE_BUSY,
        // Somebody else is overwriting what this connection has been reading.
        Error::Changed => ffi::SQLITE_BUSY_SNAPSHOT,
        Error::ReadOnly => ffi::SQLITE_READONLY,
        _ => ffi::SQLITE_IOERR,
    }
}

/// Whether only opening the file again can help.
pub(crate) fn asks_to_reopen(error: &Error) -> bool {
    let has_space = !matches!(
        error,
        Error::Store {
            cause: StoreError::InsufficientSpace,
            ..
        }
    );
    error.is_system() && has_space
}

/// Whether a pager answers nothing before it is opened again.
pub(crate) fn is_down(error: &Error) -> bool {
    matches!(
        error,
        Error::Poisoned | Error::Sandbox { .. } | Error::SandboxGone
    )
}
