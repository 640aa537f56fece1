//! [`MmapStore`]: a locked file whose pages are slices of a map.
//!
//! Regular pages are changed in the map. All else goes by positioned writes
//! from private buffers: a private buffer cannot reach the medium half copied,
//! and dirtying one page through the map of a file that the kernel caches in
//! large folios makes it write 2 MiB.
//!
//! Each page is in at most one of these sets:
//! - `stale`: it reads as zeros, but the file holds old bytes still. They are
//!   overwritten when the page is changed, at a sync and when the store is
//!   dropped, so that allocating many pages costs nothing.
//! - `blank`: the file holds zeros, since growth put them there and nobody
//!   wrote since.
//!
//! and independently in `unreserved`: the file had holes when it was opened,
//! and this page may be one. Its block is reserved before the page is changed
//! through the map, so that a full disk is an error and not a bus error.

use std::io;
use std::path::Path;

use pagebox_store::{
    Change, Geometry, PageBuffer, PageSize, PageStore, StoreError, Then, bounds, check_changes,
    seal,
};

use super::Store;
use super::map::Map;
use super::page_set::PageSet;
use crate::Error;
use crate::os::{self, Locked};

/// A file, locked exclusively, whose pages are slices of a memory map.
///
/// The lock keeps out every other process that uses this crate to write, and
/// is gone when the store is dropped, or its process dies. A program that
/// ignores the lock and shortens the file ends this one with a bus error: look
/// at files that others may truncate with a
/// [`ReadOnlyStore`](crate::ReadOnlyStore).
///
/// ```
/// use pagebox::{Access, Engine, MmapStore, PageSize};
/// # fn main() -> Result<(), pagebox::Error> {
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("data.pages");
/// let engine = Engine::new()?;
/// drop(engine.create(&path, PageSize::KIB_4)?);
/// // What `engine.open(&path)` does, where the page size is known.
/// let store = MmapStore::open(&path, PageSize::KIB_4)?;
/// let pager = engine.open_store(store, Access::Write)?;
/// assert_eq!(pager.stats()?.page_count, 4);
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct MmapStore {
    // Before the file: the lock outlives the map.
    map: Map,
    file: Locked,
    page_size: PageSize,
    /// Whole pages; the map has exactly these.
    page_count: u64,
    /// Bytes past the last of them.
    tail: u32,
    stale: PageSet,
    blank: PageSet,
    unreserved: PageSet,
    zeros: Box<[u8]>,
    /// Where a sealed page is put together.
    scratch: Box<[u8]>,
}

impl MmapStore {
    /// Opens and locks an existing file. Its bytes may be anything.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::NotAFile`], [`Error::Locked`],
    /// [`Error::Io`].
    pub fn open(path: impl AsRef<Path>, page_size: PageSize) -> Result<Self, Error> {
        let path = path.as_ref();
        Self::new(Locked::open(path, true)?, path, page_size)
    }

    pub(crate) fn new(file: Locked, path: &Path, page_size: PageSize) -> Result<Self, Error> {
        Self::of(file, page_size).map_err(|source| Error::io("map", path, source))
    }

    fn of(file: Locked, page_size: PageSize) -> io::Result<Self> {
        let metadata = file.file().metadata()?;
        let bytes = page_size.bytes() as u64;
        let page_count = metadata.len() / bytes;
        let map = Map::new(&file, map_len(page_count, page_size)?)?;
        let mut unreserved = PageSet::default();
        if os::is_sparse(&metadata) {
            unreserved.insert_run(0, page_count);
        }
        #[expect(clippy::cast_possible_truncation, reason = "less than a page")]
        let tail = (metadata.len() % bytes) as u32;
        Ok(Self {
            map,
            file,
            page_size,
            page_count,
            tail,
            stale: PageSet::default(),
            blank: PageSet::default(),
            unreserved,
            zeros: vec![0; page_size.bytes()].into_boxed_slice(),
            scratch: vec![0; page_size.bytes()].into_boxed_slice(),
        })
    }

    /// The place in the map of bytes of a page.
    fn place(&self, page: u64, offset: u32, len: usize) -> Result<usize, StoreError> {
        let start = bounds(self.geometry(), page, offset, len)?;
        // The map has this many bytes, so they can be counted.
        usize::try_from(start).map_err(|_| StoreError::OutOfBounds)
    }

    /// Bytes of a page as they read.
    fn slice(&self, page: u64, offset: u32, len: usize) -> Result<&[u8], StoreError> {
        let start = self.place(page, offset, len)?;
        if self.stale.contains(page) {
            return Ok(&self.zeros[..len]);
        }
        Ok(&self.map.bytes()[start..start + len])
    }

    /// Writes a whole page by position.
    fn put(&mut self, page: u64, bytes: &[u8]) -> io::Result<()> {
        os::write_at(
            self.file.file(),
            bytes,
            page * self.page_size.bytes() as u64,
        )?;
        self.written(page);
        Ok(())
    }

    /// Notes that the file holds what was written to a page.
    fn written(&mut self, page: u64) {
        self.stale.remove(page);
        self.blank.remove(page);
        self.unreserved.remove(page);
    }

    fn make(&mut self, change: &Change<'_, PageBuffer>) -> io::Result<()> {
        match *change {
            Change::Sealed { page, bytes, start } => {
                let mut scratch = std::mem::take(&mut self.scratch);
                scratch[..bytes.len()].copy_from_slice(bytes);
                scratch[bytes.len()..].copy_from_slice(&seal(bytes, start));
                let done = self.put(page, &scratch);
                self.scratch = scratch;
                done
            }
            Change::Staged { page, buffer } => self.put(page, buffer),
            Change::Zero { page } => {
                let zeros = std::mem::take(&mut self.zeros);
                let done = self.put(page, &zeros);
                self.zeros = zeros;
                done
            }
            Change::Reset { first, count } => {
                for page in first..first + count {
                    if !self.blank.contains(page) {
                        self.stale.insert(page);
                    }
                }
                Ok(())
            }
        }
    }

    /// Writes the zeros that stale pages read as.
    fn clear_stale(&mut self) -> io::Result<()> {
        let page_size = self.page_size.bytes() as u64;
        for (first, count) in self.stale.runs() {
            os::write_zeros(self.file.file(), first * page_size, count * page_size)?;
        }
        self.stale.clear();
        Ok(())
    }

    fn extend(&mut self, page_count: u64) -> Result<(), StoreError> {
        let page_size = self.page_size.bytes() as u64;
        let len = page_count
            .checked_mul(page_size)
            .ok_or(StoreError::InsufficientSpace)?;
        let map_len =
            map_len(page_count, self.page_size).map_err(|_| StoreError::InsufficientSpace)?;
        let whole = self.page_count * page_size;
        let old_len = whole + u64::from(self.tail);
        let file = self.file.file();
        if let Err(error) = os::reserve(file, old_len, len - old_len) {
            // What was added so far is of no use to anybody.
            file.set_len(old_len).map_err(io_error)?;
            return Err(space_error(error));
        }
        // What lay past the last whole page becomes part of a new one.
        os::write_zeros(file, whole, u64::from(self.tail)).map_err(io_error)?;
        file.sync_all().map_err(io_error)?;
        self.map = Map::new(&self.file, map_len).map_err(io_error)?;
        self.blank
            .insert_run(self.page_count, page_count - self.page_count);
        self.page_count = page_count;
        self.tail = 0;
        Ok(())
    }
}

fn map_len(page_count: u64, page_size: PageSize) -> io::Result<usize> {
    usize::try_from(page_count)
        .ok()
        .and_then(|pages| pages.checked_mul(page_size.bytes()))
        .filter(|len| isize::try_from(*len).is_ok())
        .ok_or_else(|| io::ErrorKind::FileTooLarge.into())
}

#[expect(clippy::needless_pass_by_value, reason = "as `map_err` calls it")]
fn io_error(error: io::Error) -> StoreError {
    StoreError::Io(Some(error.to_string()))
}

/// What a failure to reserve space is.
fn space_error(error: io::Error) -> StoreError {
    if os::is_no_space(&error) {
        StoreError::InsufficientSpace
    } else {
        io_error(error)
    }
}

impl PageStore for MmapStore {
    type Buffer = PageBuffer;

    fn geometry(&self) -> Geometry {
        Geometry {
            page_size: self.page_size,
            page_count: self.page_count,
            tail: self.tail,
        }
    }

    fn read(&self, page: u64, offset: u32, bytes: &mut [u8]) -> Result<(), StoreError> {
        bytes.copy_from_slice(self.slice(page, offset, bytes.len())?);
        Ok(())
    }

    fn crc32(&self, page: u64, offset: u32, len: u32) -> Result<u32, StoreError> {
        Ok(crc32fast::hash(self.slice(page, offset, len as usize)?))
    }

    fn stage(&self, source: Option<u64>) -> Result<PageBuffer, StoreError> {
        match source {
            Some(page) => self
                .slice(page, 0, self.page_size.bytes())
                .map(PageBuffer::from),
            None => Ok(PageBuffer::zeroed(self.page_size)),
        }
    }

    fn staged_crc32(&self, buffer: &PageBuffer) -> Result<u32, StoreError> {
        Ok(buffer.crc32())
    }

    fn write(&mut self, changes: &[Change<'_, PageBuffer>], then: Then) -> Result<(), StoreError> {
        check_changes(self.geometry(), changes)?;
        let page_size = self.page_size.bytes();
        let fits = |change: &Change<'_, PageBuffer>| match change {
            Change::Staged { buffer, .. } => buffer.len() == page_size,
            _ => true,
        };
        if !changes.iter().all(fits) {
            return Err(StoreError::OutOfBounds);
        }
        for change in changes {
            self.make(change).map_err(io_error)?;
        }
        if then == Then::Sync {
            // A sync of its own is somebody's wish that all that can be read
            // be durable. The syncs of a commit leave stale pages alone: what
            // a crash leaves in them is not specified.
            if changes.is_empty() {
                self.clear_stale().map_err(io_error)?;
            }
            self.map.flush().map_err(io_error)?;
            os::sync(self.file.file()).map_err(io_error)?;
        }
        Ok(())
    }

    fn grow(&mut self, page_count: u64) -> Result<Geometry, StoreError> {
        if page_count > self.page_count {
            self.extend(page_count)?;
        }
        Ok(self.geometry())
    }
}

impl Store for MmapStore {
    fn page(&self, page: u64) -> Option<&[u8]> {
        if self.stale.contains(page) {
            return Some(&self.zeros);
        }
        // The map has exactly the store's pages.
        let len = self.page_size.bytes();
        let start = usize::try_from(page).ok()?.checked_mul(len)?;
        self.map.bytes().get(start..start.checked_add(len)?)
    }

    fn page_mut(&mut self, page: u64) -> Result<Option<&mut [u8]>, StoreError> {
        let len = self.page_size.bytes();
        let start = self.place(page, 0, len)?;
        if self.unreserved.remove(page)
            && let Err(error) = os::reserve(self.file.file(), start as u64, len as u64)
        {
            self.unreserved.insert(page);
            return Err(space_error(error));
        }
        self.blank.remove(page);
        let bytes = &mut self.map.bytes_mut()[start..start + len];
        if self.stale.remove(page) {
            bytes.fill(0);
        }
        Ok(Some(bytes))
    }
}

impl Drop for MmapStore {
    fn drop(&mut self) {
        // Nobody is left to be told of a failure: the old bytes then show, in
        // pages that nobody ever wrote to.
        let _ = self.clear_stale();
    }
}
