//! [`FileStore`]: a locked file that is read and written by position only.

use std::path::Path;

use pagebox_store::{
    Algorithm, Change, Checksum, Geometry, PageBuffer, PageSize, PageStore, StoreError,
};

use super::Store;
use super::file::PageFile;
use super::viewer::FileViewer;
use crate::Error;
use crate::os::Locked;

/// A file, locked exclusively, that is read and written by position: the same
/// promises as [`MmapStore`](crate::MmapStore)'s, without a map.
///
/// Choose it where a map can end the process with a bus error: on a file system
/// that may run out of space when it *over*writes (btrfs, ZFS, bcachefs, a thin
/// volume, a volume with snapshots), on a network, on a medium that may be
/// pulled out, or where others shorten files that are in use. There it answers
/// with an error. Choose it also where the address space is too small for the
/// file.
///
/// The price is a copy: pages cannot be lent as slices
/// ([`Error::NotLendable`]), so [`read`](crate::Pager::read) and
/// [`write`](crate::Pager::write) them.
///
/// ```
/// use pagebox::{Access, Algorithm, Checksum, Engine, FileStore, PageSize};
/// # fn main() -> Result<(), pagebox::Error> {
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("data.pages");
/// let engine = Engine::new()?;
/// drop(engine.create(&path, PageSize::KIB_4)?);
/// let store = FileStore::open(&path, PageSize::KIB_4)?;
/// let mut pager = engine.open_store(store, Access::Write)?;
/// let id = pager.alloc()?;
/// pager.write(id, 100, b"hello")?;
/// pager.sync()?;
/// let mut bytes = [0; 5];
/// pager.read(id, 100, &mut bytes)?;
/// assert_eq!(&bytes, b"hello");
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct FileStore(PageFile);

impl FileStore {
    /// Opens and locks an existing file. Its bytes may be anything.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::NotAFile`], [`Error::Locked`],
    /// [`Error::Io`].
    pub fn open(path: impl AsRef<Path>, page_size: PageSize) -> Result<Self, Error> {
        let path = path.as_ref();
        PageFile::new(Locked::open(path, true)?, page_size)
            .map(Self)
            .map_err(|source| Error::io("open", path, source))
    }
}

impl PageStore for FileStore {
    type Buffer = PageBuffer;

    fn geometry(&self) -> Geometry {
        self.0.geometry()
    }

    fn read(&self, page: u64, offset: u32, bytes: &mut [u8]) -> Result<(), StoreError> {
        self.0.expect_own()?;
        self.0.read(page, offset, bytes)
    }

    fn checksum(&self, page: u64, algorithm: Algorithm) -> Result<Checksum, StoreError> {
        Ok(self.stage(Some(page))?.checksum(algorithm))
    }

    fn stage(&self, source: Option<u64>) -> Result<PageBuffer, StoreError> {
        self.0.expect_own()?;
        let mut buffer = PageBuffer::zeroed(self.geometry().page_size);
        if let Some(page) = source {
            self.0.read(page, 0, &mut buffer)?;
        }
        Ok(buffer)
    }

    fn write(&mut self, changes: &[Change<'_, PageBuffer>]) -> Result<(), StoreError> {
        self.0.write(changes, || Ok(()))
    }

    fn grow(&mut self, page_count: u64) -> Result<Geometry, StoreError> {
        self.0.expect_own()?;
        if page_count > self.geometry().page_count {
            self.0.extend(page_count, |_, _| Ok(()))?;
        }
        Ok(self.geometry())
    }

    fn truncate(&mut self, page_count: u64) -> Result<Geometry, StoreError> {
        self.0.expect_own()?;
        if page_count < self.geometry().page_count {
            self.0.shorten(page_count)?;
        }
        Ok(self.geometry())
    }
}

impl Store for FileStore {
    fn viewer(&self) -> Option<Box<dyn Store>> {
        let viewer = FileViewer::positioned(self.0.locked(), self.geometry());
        Some(Box::new(viewer))
    }

    fn viewers(&self) -> usize {
        self.0.viewers()
    }

    fn page_mut(&mut self, _: u64) -> Result<Option<&mut [u8]>, StoreError> {
        self.0.expect_own().map(|()| None)
    }
}
