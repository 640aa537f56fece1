//! A store in memory that holds only pages that were written: files of any
//! size, at no cost but the pager's own. Nothing in it is durable.

use std::collections::HashMap;

use pagebox::{
    Algorithm, Change, Checksum, Geometry, PageBuffer, PageSize, PageStore, Store, StoreError,
};
use pagebox_store::{SEAL_LEN, bounds, check_changes, seal};

#[derive(Debug)]
pub(crate) struct SparseStore {
    geometry: Geometry,
    written: HashMap<u64, PageBuffer>,
}

impl SparseStore {
    pub(crate) fn new(page_size: PageSize) -> Self {
        Self {
            geometry: Geometry {
                page_size,
                page_count: 0,
                tail: 0,
            },
            written: HashMap::new(),
        }
    }

    fn page_to_write(&mut self, page: u64) -> &mut PageBuffer {
        let page_size = self.geometry.page_size;
        let zeroed = || PageBuffer::zeroed(page_size);
        self.written.entry(page).or_insert_with(zeroed)
    }
}

impl PageStore for SparseStore {
    type Buffer = PageBuffer;

    fn geometry(&self) -> Geometry {
        self.geometry
    }

    fn read(&self, page: u64, offset: u32, bytes: &mut [u8]) -> Result<(), StoreError> {
        bounds(self.geometry, page, offset, bytes.len())?;
        match self.written.get(&page) {
            Some(found) => bytes.copy_from_slice(&found[offset as usize..][..bytes.len()]),
            None => bytes.fill(0),
        }
        Ok(())
    }

    fn checksum(&self, page: u64, algorithm: Algorithm) -> Result<Checksum, StoreError> {
        Ok(self.stage(Some(page))?.checksum(algorithm))
    }

    fn stage(&self, source: Option<u64>) -> Result<PageBuffer, StoreError> {
        let mut buffer = PageBuffer::zeroed(self.geometry.page_size);
        if let Some(page) = source {
            self.read(page, 0, &mut buffer)?;
        }
        Ok(buffer)
    }

    fn write(&mut self, changes: &[Change<'_, PageBuffer>]) -> Result<(), StoreError> {
        check_changes(self.geometry, changes)?;
        for change in changes {
            match *change {
                Change::Sealed { page, bytes, start } => {
                    let target = self.page_to_write(page);
                    let (body, tail) = target.split_at_mut(bytes.len());
                    debug_assert_eq!(tail.len(), SEAL_LEN);
                    body.copy_from_slice(bytes);
                    tail.copy_from_slice(&seal(bytes, start));
                }
                Change::Staged { page, buffer } => {
                    self.page_to_write(page).copy_from_slice(buffer);
                }
                Change::Bytes { page, bytes } => {
                    self.page_to_write(page).copy_from_slice(bytes);
                }
                Change::Order | Change::Sync => {}
                Change::Zero { first, count } => {
                    for page in first..first + count {
                        self.written.remove(&page);
                    }
                }
            }
        }
        Ok(())
    }

    fn grow(&mut self, page_count: u64) -> Result<Geometry, StoreError> {
        self.geometry.page_count = self.geometry.page_count.max(page_count);
        Ok(self.geometry)
    }
}

impl Store for SparseStore {}
