//! [`Failure`]: why SQLite is not given what it asks for.

use pagebox::Error;
use rusqlite::ffi::SQLITE_IOERR;

use crate::code;
use crate::locks::Busy;

/// Why SQLite is not given what it asks for.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Somebody else's lock is in the way.
    Busy,
    /// It means to write to a state that another connection has changed since.
    Overtaken,
    /// The file ends there; what is missing reads as zeros.
    Short,
    /// The transaction cannot be done and is gone, though what failed might be
    /// tried again.
    Aborted(Error),
    /// Commits that were not durable yet were lost, and connections may have
    /// seen them.
    Lost,
    /// The pager's error.
    Pager(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Pager(error)
    }
}

impl From<Busy> for Failure {
    fn from(_: Busy) -> Self {
        Self::Busy
    }
}

pub(crate) type Result<T, E = Failure> = std::result::Result<T, E>;

/// In a batch SQLite tries again what failed by an error of the system, but not
/// what it had written before that: then there is no other try.
pub(crate) fn retryable<R>(batch: Option<bool>, result: Result<R>) -> Result<R> {
    match result {
        Err(Failure::Pager(error))
            if batch == Some(true) && code::of(&error) & 0xFF == SQLITE_IOERR =>
        {
            Err(Failure::Aborted(error))
        }
        result => result,
    }
}
