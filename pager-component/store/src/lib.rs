//! What a pager asks of a medium: the [`PageStore`] trait, the words it uses,
//! and [`MemoryStore`], the simplest medium there is.
//!
//! A store promises that a write is durable once a later sync returns ok; that
//! between two syncs writes may persist in any order, in part (torn at
//! [`SECTOR`] bytes), or not at all; that bytes nobody wrote do not change; and
//! that after a failed sync nothing since the last good one is known.
//!
//! This crate knows nothing of what the pages mean.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod checksum;
pub mod crash;
mod memory;
mod page_size;
pub mod trace;

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec;
use core::fmt;

pub use checksum::{Algorithm, Checksum};
pub use memory::MemoryStore;
pub use page_size::{PageSize, UnsupportedPageSize};

/// The unit in bytes at which a write may be torn.
pub const SECTOR: usize = 512;

/// Bytes at the end of a [`Change::Sealed`] page that the store supplies.
pub const SEAL_LEN: usize = 4;

/// The shape of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Bytes in a page.
    pub page_size: PageSize,
    /// Whole pages in the store.
    pub page_count: u64,
    /// Bytes past the last whole page; less than a page.
    pub tail: u32,
}

impl Geometry {
    /// Bytes in the store.
    pub fn byte_count(&self) -> u64 {
        let page_size = u64::from(self.page_size.bytes_u32());
        let whole = self.page_count.saturating_mul(page_size);
        whole.saturating_add(self.tail.into())
    }
}

/// Why a store could not do what it was asked. Mirrors `store-error` of the WIT.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// A page at or past the page count, or bytes past the end of a page.
    #[error("out of bounds")]
    OutOfBounds,
    /// The medium has no room for the growth; nothing was changed.
    #[error("no space left for the file to grow")]
    InsufficientSpace,
    /// The store may not be changed.
    #[error("the store is read-only")]
    ReadOnly,
    /// Somebody else has taken the store over: nothing was changed, and nothing
    /// can be until it is opened anew.
    #[error("another writer has taken the store over")]
    Fenced,
    /// The medium failed.
    #[error("{0}")]
    Io(IoError),
    /// Anything else.
    #[error("{}", .0.as_deref().unwrap_or("unknown store error"))]
    Other(Option<String>),
}

impl StoreError {
    /// A failure of the medium in words.
    pub fn io(text: impl Into<String>) -> Self {
        Self::Io(IoError {
            code: None,
            text: Some(text.into()),
        })
    }
}

/// How a medium failed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IoError {
    /// The operating system's code, where it said one: `errno` on Unix.
    pub code: Option<i32>,
    /// For people.
    pub text: Option<String>,
}

impl fmt::Display for IoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text.as_deref().unwrap_or("input/output error"))
    }
}

/// One step of [`PageStore::write`]. `B` is the store's private buffer.
#[derive(Debug)]
pub enum Change<'a, B> {
    /// `bytes`, a page less [`SEAL_LEN`], then the little-endian CRC-32 of
    /// `bytes[start..]`.
    Sealed {
        /// The page to write.
        page: u64,
        /// All bytes of the page but the seal.
        bytes: &'a [u8],
        /// Where the checksummed part begins.
        start: u32,
    },
    /// The bytes of a buffer over a whole page.
    Staged {
        /// The page to write.
        page: u64,
        /// What to write.
        buffer: &'a B,
    },
    /// Bytes of a whole page.
    Bytes {
        /// The page to write.
        page: u64,
        /// What to write: exactly a page.
        bytes: &'a [u8],
    },
    /// Zeros over whole pages. The store may put them there in one step rather
    /// than page by page: whoever looks finds them, and they are as durable as
    /// anything that is written. Until then each sector of them may hold what it
    /// held, or zeros.
    Zero {
        /// The first page.
        first: u64,
        /// How many.
        count: u64,
    },
    /// Nothing that is written later is durable before all that was written so
    /// far, also where a sync fails after it. A file syncs for it; a medium that
    /// keeps order need do nothing.
    Order,
    /// All that was written so far is durable when the write returns.
    Sync,
}

impl<B> Change<'_, B> {
    /// The first page that the change touches, and how many it does.
    pub fn pages(&self) -> (u64, u64) {
        match *self {
            Self::Sealed { page, .. } | Self::Staged { page, .. } | Self::Bytes { page, .. } => {
                (page, 1)
            }
            Self::Zero { first, count } => (first, count),
            Self::Order | Self::Sync => (0, 0),
        }
    }
}

/// A medium of fixed-size pages.
pub trait PageStore {
    /// A private page-sized buffer that no page shows until it is written.
    type Buffer: Staged;

    /// The shape of the store now.
    fn geometry(&self) -> Geometry;

    /// Fills `bytes` from a page, starting `offset` bytes into it.
    ///
    /// # Errors
    /// [`StoreError::OutOfBounds`], [`StoreError::Io`].
    fn read(&self, page: u64, offset: u32, bytes: &mut [u8]) -> Result<(), StoreError>;

    /// The checksum of a whole page.
    ///
    /// # Errors
    /// [`StoreError::OutOfBounds`], [`StoreError::Io`].
    fn checksum(&self, page: u64, algorithm: Algorithm) -> Result<Checksum, StoreError>;

    /// A buffer that starts as a copy of page `source`, or as zeros.
    ///
    /// # Errors
    /// [`StoreError::OutOfBounds`], [`StoreError::Io`].
    fn stage(&self, source: Option<u64>) -> Result<Self::Buffer, StoreError>;

    /// Makes the changes in order. Together they touch at most as many pages as
    /// the store has.
    ///
    /// # Errors
    /// [`StoreError::OutOfBounds`], [`StoreError::ReadOnly`] and
    /// [`StoreError::Fenced`], with nothing changed; [`StoreError::Io`], after
    /// which what is on the medium is not known.
    fn write(&mut self, changes: &[Change<'_, Self::Buffer>]) -> Result<(), StoreError>;

    /// Makes the store at least `page_count` pages long, with the space
    /// reserved and durable. The new pages read as zeros. Never shortens.
    ///
    /// # Errors
    /// [`StoreError::InsufficientSpace`], [`StoreError::ReadOnly`] and
    /// [`StoreError::Fenced`], with nothing changed; [`StoreError::Io`].
    fn grow(&mut self, page_count: u64) -> Result<Geometry, StoreError>;

    /// Makes the store at most `page_count` pages long; what lay behind is gone.
    /// Durable after a later sync. Never lengthens.
    ///
    /// # Errors
    /// [`StoreError::ReadOnly`] and [`StoreError::Fenced`], with nothing
    /// changed; [`StoreError::Io`]; [`StoreError::Other`] where a store cannot.
    fn truncate(&mut self, page_count: u64) -> Result<Geometry, StoreError> {
        if page_count >= self.geometry().page_count {
            return Ok(self.geometry());
        }
        Err(StoreError::Other(Some(String::from(
            "this store cannot be made shorter",
        ))))
    }

    /// Makes all that was written durable.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    fn sync(&mut self) -> Result<(), StoreError> {
        self.write(&[Change::Sync])
    }
}

/// A private buffer, wherever its bytes are.
pub trait Staged {
    /// The checksum of the whole buffer.
    ///
    /// # Errors
    /// [`StoreError::Io`], where the buffer is not in this process.
    fn staged_checksum(&self, algorithm: Algorithm) -> Result<Checksum, StoreError>;
}

/// The private buffer of every store whose bytes are in this process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageBuffer(Box<[u8]>);

impl PageBuffer {
    /// A page of zeros.
    pub fn zeroed(page_size: PageSize) -> Self {
        Self(vec![0; page_size.bytes()].into_boxed_slice())
    }

    /// The checksum of its bytes.
    pub fn checksum(&self, algorithm: Algorithm) -> Checksum {
        Checksum::of(algorithm, &self.0)
    }
}

impl Staged for PageBuffer {
    fn staged_checksum(&self, algorithm: Algorithm) -> Result<Checksum, StoreError> {
        Ok(self.checksum(algorithm))
    }
}

impl From<&[u8]> for PageBuffer {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }
}

impl core::ops::Deref for PageBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl core::ops::DerefMut for PageBuffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

/// The byte position of `offset..offset + len` within a page of `geometry`.
///
/// Every store checks its arguments with this one function.
///
/// # Errors
/// [`StoreError::OutOfBounds`] where the page is not in the store, or the bytes
/// are not in the page.
pub fn bounds(geometry: Geometry, page: u64, offset: u32, len: usize) -> Result<u64, StoreError> {
    let page_size = geometry.page_size.bytes() as u64;
    let end = u64::from(offset) + len as u64;
    if page >= geometry.page_count || end > page_size {
        return Err(StoreError::OutOfBounds);
    }
    // A store as long as its page count says has this many bytes.
    Ok(page * page_size + u64::from(offset))
}

/// Checks that every change fits the store, before any is made, and that all of
/// them together touch no more pages than it has: so a write ends in a time
/// that the store's length bounds.
///
/// # Errors
/// [`StoreError::OutOfBounds`] for the first that does not.
pub fn check_changes<B>(geometry: Geometry, changes: &[Change<'_, B>]) -> Result<(), StoreError> {
    let mut left = geometry.page_count;
    for change in changes {
        let (first, count) = change.pages();
        left = left.checked_sub(count).ok_or(StoreError::OutOfBounds)?;
        if first
            .checked_add(count)
            .is_none_or(|end| end > geometry.page_count)
        {
            return Err(StoreError::OutOfBounds);
        }
        let page_size = geometry.page_size.bytes();
        let fits = match *change {
            Change::Sealed { bytes, start, .. } => {
                bytes.len() + SEAL_LEN == page_size && start as usize <= bytes.len()
            }
            Change::Bytes { bytes, .. } => bytes.len() == page_size,
            _ => true,
        };
        if !fits {
            return Err(StoreError::OutOfBounds);
        }
    }
    Ok(())
}

/// The seal of a [`Change::Sealed`]: the CRC-32 of `bytes[start..]`.
///
/// Empty where `start` is past the end: [`check_changes`] refuses that before.
pub fn seal(bytes: &[u8], start: u32) -> [u8; SEAL_LEN] {
    crc32fast::hash(bytes.get(start as usize..).unwrap_or_default()).to_le_bytes()
}
