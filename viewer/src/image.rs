//! [`Image`]: what a power loss left, as a store that is only read.

use std::sync::Arc;

use pagebox::{
    Algorithm, Change, Checksum, Geometry, PageBuffer, PageSize, PageStore, Store, StoreError,
    bounds, crash::Page,
};

/// Pages in memory. Clones are handles of the same ones.
#[derive(Clone, Debug)]
pub(crate) struct Image {
    page_size: PageSize,
    pages: Arc<[Page]>,
}

impl Image {
    /// Pages of one size.
    pub(crate) fn new(page_size: PageSize, pages: Vec<Page>) -> Self {
        Self {
            page_size,
            pages: pages.into(),
        }
    }
}

impl PageStore for Image {
    type Buffer = PageBuffer;

    fn geometry(&self) -> Geometry {
        Geometry {
            page_size: self.page_size,
            page_count: self.pages.len() as u64,
            tail: 0,
        }
    }

    fn read(&self, page: u64, offset: u32, bytes: &mut [u8]) -> Result<(), StoreError> {
        bounds(self.geometry(), page, offset, bytes.len())?;
        let start = usize::try_from(offset).map_err(|_| StoreError::OutOfBounds)?;
        let held = self.page(page).ok_or(StoreError::OutOfBounds)?;
        let held = held.get(start..start + bytes.len());
        bytes.copy_from_slice(held.ok_or(StoreError::OutOfBounds)?);
        Ok(())
    }

    fn checksum(&self, page: u64, algorithm: Algorithm) -> Result<Checksum, StoreError> {
        let held = self.page(page).ok_or(StoreError::OutOfBounds)?;
        Ok(Checksum::of(algorithm, held))
    }

    fn stage(&self, source: Option<u64>) -> Result<PageBuffer, StoreError> {
        match source {
            Some(page) => {
                let held = self.page(page).ok_or(StoreError::OutOfBounds)?;
                Ok(PageBuffer::from(held))
            }
            None => Ok(PageBuffer::zeroed(self.page_size)),
        }
    }

    fn write(&mut self, _: &[Change<'_, PageBuffer>]) -> Result<(), StoreError> {
        Err(StoreError::ReadOnly)
    }

    fn grow(&mut self, _: u64) -> Result<Geometry, StoreError> {
        Err(StoreError::ReadOnly)
    }
}

impl Store for Image {
    fn page(&self, page: u64) -> Option<&[u8]> {
        let page = usize::try_from(page).ok()?;
        self.pages.get(page).map(|held| &**held)
    }

    fn reader(&self) -> Option<Box<dyn Store>> {
        Some(Box::new(self.clone()))
    }
}
