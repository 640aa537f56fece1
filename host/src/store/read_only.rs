//! [`ReadOnlyStore`]: a file that is only looked at.

use std::fs::File;
use std::path::Path;

use pagebox_store::{Change, Geometry, PageBuffer, PageSize, PageStore, StoreError, Then, bounds};

use super::Store;
use crate::{Error, os};

/// A file opened to read, by positioned reads: no lock, no map, no write.
///
/// A writer may be at work on the file at the same time. Its length is as it
/// was at opening; a read past the end of a file that became shorter since is
/// an error. A child that was forked may go on to use it: it shares nothing
/// that a read changes.
///
/// ```
/// use pagebox::{Access, Engine, PageSize, ReadOnlyStore};
/// # fn main() -> Result<(), pagebox::Error> {
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("data.pages");
/// let engine = Engine::new()?;
/// let _writer = engine.create(&path, PageSize::KIB_4)?;
/// let store = ReadOnlyStore::open(&path, PageSize::KIB_4)?;
/// let reader = engine.open_store(store, Access::Read)?;
/// assert_eq!(reader.stats()?.generation, 0);
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct ReadOnlyStore {
    file: File,
    geometry: Geometry,
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
        let metadata = file
            .metadata()
            .map_err(|source| Error::io("open", path, source))?;
        let bytes = page_size.bytes() as u64;
        #[expect(clippy::cast_possible_truncation, reason = "less than a page")]
        let tail = (metadata.len() % bytes) as u32;
        let geometry = Geometry {
            page_size,
            page_count: metadata.len() / bytes,
            tail,
        };
        Ok(Self { file, geometry })
    }
}

impl PageStore for ReadOnlyStore {
    type Buffer = PageBuffer;

    fn geometry(&self) -> Geometry {
        self.geometry
    }

    fn read(&self, page: u64, offset: u32, bytes: &mut [u8]) -> Result<(), StoreError> {
        let position = bounds(self.geometry, page, offset, bytes.len())?;
        os::read_at(&self.file, bytes, position)
            .map_err(|error| StoreError::Io(Some(error.to_string())))
    }

    fn crc32(&self, page: u64, offset: u32, len: u32) -> Result<u32, StoreError> {
        bounds(self.geometry, page, offset, len as usize)?;
        let mut bytes = vec![0; len as usize];
        self.read(page, offset, &mut bytes)?;
        Ok(crc32fast::hash(&bytes))
    }

    fn stage(&self, source: Option<u64>) -> Result<PageBuffer, StoreError> {
        let mut buffer = PageBuffer::zeroed(self.geometry.page_size);
        if let Some(page) = source {
            self.read(page, 0, &mut buffer)?;
        }
        Ok(buffer)
    }

    fn staged_crc32(&self, buffer: &PageBuffer) -> Result<u32, StoreError> {
        Ok(buffer.crc32())
    }

    fn write(&mut self, _: &[Change<'_, PageBuffer>], _: Then) -> Result<(), StoreError> {
        Err(StoreError::ReadOnly)
    }

    fn grow(&mut self, _: u64) -> Result<Geometry, StoreError> {
        Err(StoreError::ReadOnly)
    }
}

impl Store for ReadOnlyStore {}
