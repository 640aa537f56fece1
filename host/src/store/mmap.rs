//! [`MmapStore`]: a locked file whose pages are slices of a map.
//!
//! Regular pages are changed in the map. All else goes by positioned writes
//! from private buffers ([`PageFile`]): dirtying one page through the map of a
//! file that the kernel caches in large folios makes it write 2 MiB.

use std::io;
use std::path::Path;

use pagebox_store::{
    Algorithm, Change, Checksum, Geometry, PageBuffer, PageSize, PageStore, StoreError, bounds,
};

use super::Store;
use super::file::{PageFile, io_error};
use super::holes::Holes;
use super::map::Map;
use super::viewer::FileViewer;
use crate::Error;
use crate::os::{self, Locked};

/// A file, locked exclusively, whose pages are slices of a memory map.
///
/// The lock keeps out every other process that uses this crate to write, and
/// is gone when the store is dropped, or its process dies.
///
/// # Forks
///
/// A store, its pager and its lock are the process's that opened them. In a
/// child that was forked since, every call is an error
/// ([`Error::Forked`] of a pager), and what is dropped is only closed: nothing
/// is written, and the lock stays with the parent for as long as it has the
/// file open. The child opens files itself, with an [`Engine`](crate::Engine)
/// of its own. So a program that goes to the background opens its files when it
/// is there. Slices of pages that were lent before the fork still show, and
/// change, the parent's live bytes: let none of them live across a fork.
///
/// # Full disks
///
/// The space of pages is reserved when the file grows, and that of holes, in a
/// file that was copied without its zeros, before they are written to: a full
/// disk is an error. It can still be a *bus error*, which ends the process, on
/// file systems that need new space when bytes are overwritten: btrfs, ZFS,
/// bcachefs, and any on a thin volume or one with snapshots. A program that
/// ignores the lock and shortens the file has the same effect, and so has a
/// medium that fails under the map. A [`FileStore`](crate::FileStore) answers
/// with an error to all of that.
///
/// # Limits
///
/// The whole file is in the address space (for a moment of growth twice, but
/// on Linux): a file that finds no place there is not opened, or does not grow, with an error and
/// at the length that it had. Past a limit on the size of files
/// (`RLIMIT_FSIZE`) the system sends the signal `SIGXFSZ`, which ends a program
/// that does not ignore it; one that does gets
/// [`StoreError::InsufficientSpace`].
///
/// ```
/// use pagebox::{Access, Algorithm, Checksum, Engine, MmapStore, PageSize};
/// # fn main() -> Result<(), pagebox::Error> {
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("data.pages");
/// let engine = Engine::new()?;
/// drop(engine.create(&path, PageSize::KIB_4)?);
/// // What `engine.open(&path)` does, where the page size is known.
/// let store = MmapStore::open(&path, PageSize::KIB_4)?;
/// let pager = engine.open_store(store, Access::Write)?;
/// assert_eq!(pager.stats()?.page_count, 16);
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct MmapStore {
    // Before the file: the lock outlives the map.
    /// Exactly the whole pages of the file.
    map: Map,
    file: PageFile,
    /// None in most files.
    holes: Option<Box<Holes>>,
    /// Holes were not looked for yet. To find them takes as many calls as the
    /// file has parts, and only who changes a page through the map, or reads a
    /// file in memory, has to know.
    unsought: bool,
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
        let mut file = PageFile::new(file, page_size)?;
        let whole = file.geometry().page_count * page_size.bytes() as u64;
        let bare = file.locked().file();
        let unsought = !(os::is_sparse(&bare.metadata()?) && os::holes_need_room(bare)?);
        let holes = if unsought {
            None
        } else {
            Holes::find(&mut file)?.map(Box::new)
        };
        Ok(Self {
            map: Map::new(file.locked(), mappable(whole)?)?,
            holes,
            unsought,
            file,
        })
    }

    /// Looks for holes, before the first page is changed through the map.
    #[cold]
    fn seek_holes(&mut self) -> Result<(), StoreError> {
        let found = Holes::find(&mut self.file).map_err(io_error)?;
        self.holes = found.map(Box::new);
        self.unsought = false;
        Ok(())
    }

    /// The holes, if this page is one.
    #[inline]
    fn holes_at(&self, page: u64) -> Option<&Holes> {
        self.holes.as_deref().filter(|holes| holes.contains(page))
    }

    /// Bytes of a page.
    fn slice(&self, page: u64, offset: u32, len: usize) -> Result<&[u8], StoreError> {
        self.file.expect_own()?;
        let start = bounds(self.geometry(), page, offset, len)?;
        if let Some(holes) = self.holes_at(page) {
            let bytes = holes.bytes(&self.file, page)?;
            return Ok(&bytes[offset as usize..][..len]);
        }
        // The map has this many bytes, so they can be counted.
        let start = usize::try_from(start).map_err(|_| StoreError::OutOfBounds)?;
        let bytes = self.map.bytes().get(start..start + len);
        bytes.ok_or(StoreError::OutOfBounds)
    }

    /// Notes what changes did to holes, and if they `failed`, that it is not
    /// known what.
    fn settle_holes(&mut self, changes: &[Change<'_, PageBuffer>], failed: bool) {
        let Some(holes) = &mut self.holes else {
            return;
        };
        for change in changes {
            let (first, count) = change.pages();
            for page in first..first + count {
                match change {
                    _ if !holes.contains(page) => {}
                    _ if failed => holes.doubt(page),
                    Change::Zero { .. } => holes.zeroed(page),
                    _ => holes.fill(page),
                }
            }
        }
    }
}

/// As many bytes of a file as a slice can have.
fn mappable(len: u64) -> io::Result<usize> {
    usize::try_from(len)
        .ok()
        .filter(|len| isize::try_from(*len).is_ok())
        .ok_or_else(|| io::ErrorKind::FileTooLarge.into())
}

impl PageStore for MmapStore {
    type Buffer = PageBuffer;

    fn geometry(&self) -> Geometry {
        self.file.geometry()
    }

    fn read(&self, page: u64, offset: u32, bytes: &mut [u8]) -> Result<(), StoreError> {
        bytes.copy_from_slice(self.slice(page, offset, bytes.len())?);
        Ok(())
    }

    fn checksum(&self, page: u64, algorithm: Algorithm) -> Result<Checksum, StoreError> {
        let len = self.geometry().page_size.bytes();
        Ok(Checksum::of(algorithm, self.slice(page, 0, len)?))
    }

    fn stage(&self, source: Option<u64>) -> Result<PageBuffer, StoreError> {
        let page_size = self.geometry().page_size;
        match source {
            Some(page) => self.slice(page, 0, page_size.bytes()).map(PageBuffer::from),
            None => Ok(PageBuffer::zeroed(page_size)),
        }
    }

    fn write(&mut self, changes: &[Change<'_, PageBuffer>]) -> Result<(), StoreError> {
        let map = &self.map;
        let done = self.file.write(changes, || map.flush());
        let changed = !matches!(done, Err(StoreError::OutOfBounds | StoreError::Other(_)));
        if changed {
            self.settle_holes(changes, done.is_err());
        }
        done
    }

    fn grow(&mut self, page_count: u64) -> Result<Geometry, StoreError> {
        self.file.expect_own()?;
        if page_count > self.geometry().page_count {
            let map = &mut self.map;
            self.file
                .extend(page_count, |file, len| map.resize(file, mappable(len)?))?;
        }
        Ok(self.geometry())
    }

    fn truncate(&mut self, page_count: u64) -> Result<Geometry, StoreError> {
        self.file.expect_own()?;
        if page_count < self.geometry().page_count {
            if self.file.viewers() > 0 {
                let text = "views have the end of the file mapped";
                return Err(StoreError::Other(Some(text.into())));
            }
            let page_size = self.geometry().page_size.bytes();
            let old_len = self.map.bytes().len();
            // It is less than what is mapped.
            let len = usize::try_from(page_count).map_or(old_len, |count| count * page_size);
            let file = self.file.locked().clone();
            self.map.resize(&file, len).map_err(io_error)?;
            if let Err(error) = self.file.shorten(page_count) {
                self.map.resize(&file, old_len).map_err(io_error)?;
                return Err(error);
            }
            if let Some(holes) = &mut self.holes {
                holes.truncate(page_count);
            }
        }
        Ok(self.geometry())
    }
}

impl Store for MmapStore {
    fn viewer(&self) -> Option<Box<dyn Store>> {
        let (file, len) = (self.file.locked(), self.map.bytes().len());
        let mapped = FileViewer::mapped(file, self.geometry(), len);
        // Where there is no place for a second map there is another way.
        let positioned = |_| FileViewer::positioned(file, self.geometry());
        Some(Box::new(mapped.unwrap_or_else(positioned)))
    }

    fn viewers(&self) -> usize {
        self.file.viewers()
    }

    #[inline]
    fn page(&self, page: u64) -> Option<&[u8]> {
        if !self.file.is_own() {
            return None;
        }
        if let Some(holes) = self.holes_at(page) {
            return holes.bytes(&self.file, page).ok();
        }
        // The map has exactly the store's pages.
        let len = self.file.zeros().len();
        let start = usize::try_from(page).ok()?.checked_mul(len)?;
        self.map.bytes().get(start..start.checked_add(len)?)
    }

    fn page_mut(&mut self, page: u64) -> Result<Option<&mut [u8]>, StoreError> {
        self.file.expect_own()?;
        if self.unsought {
            self.seek_holes()?;
        }
        let len = self.file.zeros().len();
        let start = bounds(self.geometry(), page, 0, len)?;
        if let Some(holes) = self.holes.as_deref_mut().filter(|it| it.contains(page)) {
            holes.reserve(&self.file, page)?;
        }
        self.file.written(page);
        let start = usize::try_from(start).map_err(|_| StoreError::OutOfBounds)?;
        let bytes = self.map.bytes_mut().get_mut(start..start + len);
        bytes.map(Some).ok_or(StoreError::OutOfBounds)
    }
}

#[cfg(all(test, target_os = "linux"))]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    /// What is kept of a file of 2^28 pages, which is all holes, took a bit a
    /// page, several times: 32 MiB each.
    #[test]
    fn sparse_file_of_a_tebibyte_is_opened_in_little_memory() {
        const PAGES: u64 = 1 << 28;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let file = std::fs::File::create_new(&path).unwrap();
        if file.set_len(PAGES * 4096).is_err() {
            return; // a file system without files of that length
        }
        let resident = || {
            let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
            let pages = pages.split(' ').nth(1).unwrap().parse::<u64>().unwrap();
            pages * 4096
        };
        let before = resident();
        let mut store = MmapStore::open(&path, PageSize::KIB_4).unwrap();
        assert_eq!(store.geometry().page_count, PAGES);
        // It looks for holes now.
        store.page_mut(PAGES / 2).unwrap().unwrap().fill(7);
        let zero = Change::Zero {
            first: 12,
            count: 1,
        };
        store.write(&[zero, Change::Sync]).unwrap();
        assert_eq!(store.page(PAGES / 2).unwrap(), [7; 4096]);
        assert_eq!(store.page(PAGES - 1).unwrap(), [0; 4096]);
        let kept = store.file.memory() + store.holes.as_ref().unwrap().memory();
        assert!(kept < 1 << 20, "{kept} bytes");
        // Other tests run at the same time.
        let grown = resident().saturating_sub(before);
        assert!(grown < 24 << 20, "{grown} bytes");
    }
}
