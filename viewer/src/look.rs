//! What can be looked at, and what a look can tell: the contract between the
//! screens and whatever shows them bytes.

use std::time::Instant;

use crate::{
    inspect::{Entry, FindingsPart, FreeSpace, PageInfo, PageKind, Structure, Summary, Tile},
    past::{Change, Located, Snapshot},
};

/// Why a file did not answer.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LookError {
    /// The sandbox trapped, ran out of memory or out of time.
    #[error("the sandbox stopped: {0}")]
    Sandbox(String),
    /// The system did not give the bytes.
    #[error("{message}")]
    File {
        /// What kind of failure, for the way onward.
        kind: std::io::ErrorKind,
        /// What failed, with the file's name.
        message: String,
    },
    /// The file changed during every attempt.
    #[error("the file changed while it was read, again and again")]
    Changing,
    /// Too many questions wait already.
    #[error("too many requests wait for this file")]
    Busy,
    /// The file has no snapshot of this name.
    #[error("there is no snapshot {0}")]
    NoSnapshot(String),
    /// A trace has no such image: a step, a sector or a length that it lacks.
    #[error("{0}")]
    NoImage(String),
    /// The thread is gone.
    #[error("the reading thread stopped")]
    Gone,
}

/// What one look at a file can tell. The sandbox's `inspector` is one.
///
/// Every method may fail as [`LookError::Sandbox`] or [`LookError::File`].
#[expect(missing_docs, reason = "the contract of each is in `inspect.wit`")]
pub trait Look {
    fn summary(&mut self) -> Result<Summary, LookError>;
    fn page_kinds(&mut self) -> Result<Vec<PageKind>, LookError>;
    fn kinds(&mut self, first: u64, count: u32) -> Result<Vec<u8>, LookError>;
    fn tiles(
        &mut self,
        first: u64,
        pages_per_tile: u64,
        count: u32,
    ) -> Result<Vec<Tile>, LookError>;
    fn free_space(&mut self) -> Result<FreeSpace, LookError>;
    fn structures(&mut self, start: u32, limit: u32) -> Result<Vec<Structure>, LookError>;
    fn directory(&mut self, start: u64, limit: u32, verify: bool) -> Result<Vec<Entry>, LookError>;
    fn page(&mut self, page: u64) -> Result<Option<PageInfo>, LookError>;
    fn findings(&mut self, cursor: u64) -> Result<FindingsPart, LookError>;

    /// Up to `len` bytes of a page as they are in the file *now*; fewer where
    /// the file ends.
    fn bytes(&mut self, page: u64, offset: u32, len: u32) -> Result<Vec<u8>, LookError>;

    /// The snapshots, oldest first; none of what has no past.
    fn snapshots(&mut self) -> Result<Vec<Snapshot>, LookError> {
        Ok(Vec::new())
    }

    /// Shows a snapshot from now on, in place of the committed state. It may
    /// fail as [`LookError::NoSnapshot`], as all that follows may.
    fn show_snapshot(&mut self, name: &str) -> Result<(), LookError> {
        Err(LookError::NoSnapshot(name.to_owned()))
    }

    /// Whether the file is still in the state that is shown; of a snapshot, whether
    /// there still is one.
    fn is_current(&mut self) -> Result<bool, LookError> {
        Ok(true)
    }

    /// How many pages each of these snapshots has alone, of those that `until`
    /// let be counted.
    fn snapshot_pages(&mut self, names: &[String], until: Instant) -> Result<Vec<u64>, LookError> {
        let _ = until;
        match names.first() {
            None => Ok(Vec::new()),
            Some(name) => Err(LookError::NoSnapshot(name.clone())),
        }
    }

    /// The protected pages that are not the same in two states, at most `limit`, by
    /// their ids. In place of a name that is not given: the committed state.
    fn changes(
        &mut self,
        states: [Option<&str>; 2],
        limit: usize,
    ) -> Result<Vec<Change>, LookError> {
        let _ = limit;
        match states.into_iter().flatten().next() {
            None => Ok(Vec::new()),
            Some(name) => Err(LookError::NoSnapshot(name.to_owned())),
        }
    }

    /// Where a protected page is in each of these snapshots.
    fn located(&mut self, id: u64, names: &[String]) -> Result<Vec<Option<Located>>, LookError> {
        let _ = id;
        match names.first() {
            None => Ok(Vec::new()),
            Some(name) => Err(LookError::NoSnapshot(name.clone())),
        }
    }

    /// The protected page of a snapshot whose bytes a page holds, and where they
    /// are, if it is among the first `limit`; and how many were looked at.
    fn owner_in(&mut self, name: &str, page: u64, limit: usize) -> Result<Owner, LookError> {
        let _ = (page, limit);
        Err(LookError::NoSnapshot(name.to_owned()))
    }
}

/// What a search for the owner of a page came to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Owner {
    /// The protected page, and where its bytes are.
    pub found: Option<(u64, Located)>,
    /// How many protected pages were looked at.
    pub looked_at: usize,
}

/// Something that can be looked at again and again.
pub trait Target: Send + 'static {
    /// A new look, as things are now.
    ///
    /// # Errors
    /// [`LookError::File`] where the bytes cannot be had at all. Bytes that
    /// are no page file are no error.
    fn open(&self) -> Result<Box<dyn Look>, LookError>;

    /// Something that changes when the bytes are another file's, or more or
    /// fewer: cheap, asked before and after every question.
    ///
    /// # Errors
    /// As [`Target::open`].
    fn identity(&self) -> Result<u64, LookError>;
}
