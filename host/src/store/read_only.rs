//! [`ReadOnlyStore`]: a file that is only looked at.

use std::fs::{File, Metadata};
use std::path::Path;
use std::sync::Arc;

use pagebox_store::{
    Algorithm, Change, Checksum, Geometry, PageBuffer, PageSize, PageStore, StoreError, bounds,
};

use super::Store;
use super::file::io_error;
use crate::{Error, os};

/// A file opened to read, by positioned reads: no lock, no map, no write.
///
/// A writer may be at work on the file at the same time: its length is asked for
/// anew each time. A read past the end of a file that became shorter is an
/// error. A child that was forked may go on to use it: it shares nothing that a
/// read changes.
///
/// ```
/// use pagebox::{Access, Algorithm, Checksum, Engine, PageSize, ReadOnlyStore};
/// # fn main() -> Result<(), pagebox::Error> {
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("data.pages");
/// let engine = Engine::new()?;
/// let _writer = engine.create(&path, PageSize::KIB_4)?;
/// let store = ReadOnlyStore::open(&path, PageSize::KIB_4)?;
/// let reader = engine.open_store(store, Access::Read)?;
/// assert_eq!(reader.stats()?.regular_pages, 0);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct ReadOnlyStore {
    file: Arc<File>,
    page_size: PageSize,
}

impl ReadOnlyStore {
    /// Opens an existing file. Its bytes may be anything.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::NotAFile`], [`Error::Io`].
    pub fn open(path: impl AsRef<Path>, page_size: PageSize) -> Result<Self, Error> {
        let path = path.as_ref();
        Self::new(os::open(path, false)?, path, page_size)
    }

    pub(crate) fn new(file: File, path: &Path, page_size: PageSize) -> Result<Self, Error> {
        // What cannot be asked now could not be asked later.
        file.metadata()
            .map_err(|source| Error::io("open", path, source))?;
        Ok(Self {
            file: Arc::new(file),
            page_size,
        })
    }
}

impl PageStore for ReadOnlyStore {
    type Buffer = PageBuffer;

    fn geometry(&self) -> Geometry {
        let len = self.file.metadata().as_ref().map_or(0, Metadata::len);
        let page_size = u64::from(self.page_size.bytes_u32());
        #[expect(clippy::cast_possible_truncation, reason = "less than a page")]
        let tail = (len % page_size) as u32;
        Geometry {
            page_size: self.page_size,
            page_count: len / page_size,
            tail,
        }
    }

    fn read(&self, page: u64, offset: u32, bytes: &mut [u8]) -> Result<(), StoreError> {
        let position = bounds(self.geometry(), page, offset, bytes.len())?;
        os::read_at(&self.file, bytes, position).map_err(io_error)
    }

    fn checksum(&self, page: u64, algorithm: Algorithm) -> Result<Checksum, StoreError> {
        Ok(self.stage(Some(page))?.checksum(algorithm))
    }

    fn stage(&self, source: Option<u64>) -> Result<PageBuffer, StoreError> {
        let mut buffer = PageBuffer::zeroed(self.page_size);
        if let Some(page) = source {
            self.read(page, 0, &mut buffer)?;
        }
        Ok(buffer)
    }

    fn write(&mut self, _: &[Change<'_, PageBuffer>]) -> Result<(), StoreError> {
        Err(StoreError::ReadOnly)
    }

    fn grow(&mut self, _: u64) -> Result<Geometry, StoreError> {
        Err(StoreError::ReadOnly)
    }
}

impl Store for ReadOnlyStore {
    fn reader(&self) -> Option<Box<dyn Store>> {
        Some(Box::new(self.clone()))
    }
}
