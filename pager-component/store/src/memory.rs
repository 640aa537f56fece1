//! [`MemoryStore`]: pages in a vector. Durable as long as the process lives.

use alloc::vec::Vec;

use crate::{
    Algorithm, Change, Checksum, Geometry, PageBuffer, PageSize, PageStore, SEAL_LEN, StoreError,
    bounds, check_changes, seal,
};

/// A store in memory. A clone is a copy of its own.
///
/// ```
/// use pagebox_store::{MemoryStore, PageSize, PageStore};
///
/// let mut store = MemoryStore::new(PageSize::KIB_1);
/// store.grow(2)?;
/// store.page_mut(1)?[0] = 7;
/// assert_eq!(store.bytes().len(), 2048);
/// assert_eq!(store.bytes()[1024], 7);
/// # Ok::<(), pagebox_store::StoreError>(())
/// ```
#[derive(Clone, Debug)]
pub struct MemoryStore {
    page_size: PageSize,
    bytes: Vec<u8>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new(page_size: PageSize) -> Self {
        Self::from_bytes(page_size, Vec::new())
    }

    /// A store of these bytes; what is past the last whole page is its tail.
    pub fn from_bytes(page_size: PageSize, bytes: Vec<u8>) -> Self {
        Self { page_size, bytes }
    }

    /// All its bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// All its bytes, to be changed behind a pager's back.
    pub fn bytes_mut(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// The bytes of one page.
    ///
    /// # Errors
    /// [`StoreError::OutOfBounds`].
    pub fn page(&self, page: u64) -> Result<&[u8], StoreError> {
        self.slice(page, 0, self.page_size.bytes())
    }

    /// The bytes of one page.
    ///
    /// # Errors
    /// [`StoreError::OutOfBounds`].
    pub fn page_mut(&mut self, page: u64) -> Result<&mut [u8], StoreError> {
        let start = usize::try_from(bounds(self.geometry(), page, 0, self.page_size.bytes())?)
            .map_err(|_| StoreError::OutOfBounds)?;
        let len = self.page_size.bytes();
        self.bytes
            .get_mut(start..start + len)
            .ok_or(StoreError::OutOfBounds)
    }

    fn slice(&self, page: u64, offset: u32, len: usize) -> Result<&[u8], StoreError> {
        let start = usize::try_from(bounds(self.geometry(), page, offset, len)?)
            .map_err(|_| StoreError::OutOfBounds)?;
        self.bytes
            .get(start..start + len)
            .ok_or(StoreError::OutOfBounds)
    }
}

impl PageStore for MemoryStore {
    type Buffer = PageBuffer;

    fn geometry(&self) -> Geometry {
        let page_size = self.page_size.bytes();
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a remainder is less than a page"
        )]
        let tail = (self.bytes.len() % page_size) as u32;
        Geometry {
            page_size: self.page_size,
            page_count: (self.bytes.len() / page_size) as u64,
            tail,
        }
    }

    fn read(&self, page: u64, offset: u32, bytes: &mut [u8]) -> Result<(), StoreError> {
        bytes.copy_from_slice(self.slice(page, offset, bytes.len())?);
        Ok(())
    }

    fn checksum(&self, page: u64, algorithm: Algorithm) -> Result<Checksum, StoreError> {
        Ok(Checksum::of(algorithm, self.page(page)?))
    }

    fn stage(&self, source: Option<u64>) -> Result<PageBuffer, StoreError> {
        match source {
            Some(page) => self.page(page).map(PageBuffer::from),
            None => Ok(PageBuffer::zeroed(self.page_size)),
        }
    }

    fn write(&mut self, changes: &[Change<'_, PageBuffer>]) -> Result<(), StoreError> {
        check_changes(self.geometry(), changes)?;
        for change in changes {
            match *change {
                Change::Sealed { page, bytes, start } => {
                    let (body, tail) = self
                        .page_mut(page)?
                        .split_last_chunk_mut::<SEAL_LEN>()
                        .ok_or(StoreError::OutOfBounds)?;
                    body.copy_from_slice(bytes);
                    *tail = seal(bytes, start);
                }
                Change::Staged { page, buffer } => self.page_mut(page)?.copy_from_slice(buffer),
                Change::Bytes { page, bytes } => self.page_mut(page)?.copy_from_slice(bytes),
                Change::Zero { first, count } => {
                    for page in first..first + count {
                        self.page_mut(page)?.fill(0);
                    }
                }
                Change::Order | Change::Sync => {}
            }
        }
        Ok(())
    }

    fn grow(&mut self, page_count: u64) -> Result<Geometry, StoreError> {
        let geometry = self.geometry();
        if page_count <= geometry.page_count {
            return Ok(geometry);
        }
        let len = usize::try_from(page_count)
            .ok()
            .and_then(|pages| pages.checked_mul(self.page_size.bytes()))
            .ok_or(StoreError::InsufficientSpace)?;
        self.bytes
            .try_reserve_exact(len - self.bytes.len())
            .map_err(|_| StoreError::InsufficientSpace)?;
        // What lay past the last whole page becomes part of a new one.
        let whole = self.bytes.len() - self.bytes.len() % self.page_size.bytes();
        self.bytes.truncate(whole);
        self.bytes.resize(len, 0);
        Ok(self.geometry())
    }

    fn truncate(&mut self, page_count: u64) -> Result<Geometry, StoreError> {
        let pages = usize::try_from(page_count).unwrap_or(usize::MAX);
        let len = pages.saturating_mul(self.page_size.bytes());
        self.bytes.truncate(len);
        Ok(self.geometry())
    }
}
