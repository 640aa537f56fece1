//! What can be looked at, and what a look can tell: the contract between the
//! screens and whatever shows them bytes.

use crate::inspect::{
    Entry, FindingsPart, FreeSpace, PageInfo, PageKind, Structure, Summary, Tile,
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
