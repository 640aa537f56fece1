//! [`SparseStore`]: pages in memory, of which those that were never written take
//! none. So a file can be as long as its format allows.

use std::collections::BTreeMap;
use std::sync::Arc;

use pagebox_store::{
    Algorithm, Change, Checksum, Geometry, PageBuffer, PageSize, PageStore, StoreError, bounds,
    check_changes, seal,
};

use crate::decode::Pages;
use crate::model::RegularPages;

/// A store in memory. A clone is a copy of its own, and cheap.
#[derive(Clone, Debug)]
pub struct SparseStore {
    page_size: PageSize,
    page_count: u64,
    /// It refuses to grow past so many pages.
    pub limit: u64,
    written: BTreeMap<u64, Arc<[u8]>>,
    zeros: Arc<[u8]>,
}

impl SparseStore {
    /// An empty store.
    pub fn new(page_size: PageSize) -> Self {
        Self {
            page_size,
            page_count: 0,
            limit: u64::MAX,
            written: BTreeMap::new(),
            zeros: vec![0; page_size.bytes()].into(),
        }
    }

    /// Whole pages.
    pub fn from_bytes(page_size: PageSize, bytes: &[u8]) -> Self {
        let mut store = Self::new(page_size);
        store.set_len((bytes.len() / page_size.bytes()) as u64);
        for (page, bytes) in (0..).zip(bytes.chunks_exact(page_size.bytes())) {
            store.put_page(page, bytes);
        }
        store
    }

    /// How many pages take memory.
    pub fn written(&self) -> usize {
        self.written.len()
    }

    /// Cuts it off, or lengthens it with zeros.
    pub fn set_len(&mut self, page_count: u64) {
        self.page_count = page_count;
        self.written.split_off(&page_count);
    }

    /// The bytes of a page that is there, to be changed.
    pub fn page_mut(&mut self, page: u64) -> &mut [u8] {
        assert!(page < self.page_count, "there is no page {page}");
        let bytes = self.written.entry(page);
        Arc::make_mut(bytes.or_insert_with(|| self.zeros.clone()))
    }

    /// Replaces a page that is there.
    pub fn put_page(&mut self, page: u64, bytes: &[u8]) {
        assert!(page < self.page_count, "there is no page {page}");
        if *bytes == *self.zeros {
            self.written.remove(&page);
        } else {
            self.written.insert(page, bytes.into());
        }
    }
}

impl PartialEq for SparseStore {
    /// The same bytes.
    fn eq(&self, other: &Self) -> bool {
        let pages = self.written.keys().chain(other.written.keys());
        self.page_count == other.page_count
            && pages
                .into_iter()
                .all(|&page| self.page(page) == other.page(page))
    }
}

impl Pages for SparseStore {
    fn page_size(&self) -> usize {
        self.page_size.bytes()
    }

    fn page_count(&self) -> u64 {
        self.page_count
    }

    fn page(&self, number: u64) -> &[u8] {
        assert!(number < self.page_count, "there is no page {number}");
        self.written.get(&number).unwrap_or(&self.zeros)
    }
}

impl RegularPages for SparseStore {
    fn put(&mut self, page: u64, offset: usize, bytes: &[u8]) {
        self.page_mut(page)[offset..offset + bytes.len()].copy_from_slice(bytes);
    }
}

impl PageStore for SparseStore {
    type Buffer = PageBuffer;

    fn geometry(&self) -> Geometry {
        Geometry {
            page_size: self.page_size,
            page_count: self.page_count,
            tail: 0,
        }
    }

    fn read(&self, page: u64, offset: u32, bytes: &mut [u8]) -> Result<(), StoreError> {
        bounds(self.geometry(), page, offset, bytes.len())?;
        let start = offset as usize;
        bytes.copy_from_slice(&self.page(page)[start..start + bytes.len()]);
        Ok(())
    }

    fn checksum(&self, page: u64, algorithm: Algorithm) -> Result<Checksum, StoreError> {
        bounds(self.geometry(), page, 0, self.page_size.bytes())?;
        Ok(Checksum::of(algorithm, self.page(page)))
    }

    fn stage(&self, source: Option<u64>) -> Result<PageBuffer, StoreError> {
        let Some(page) = source else {
            return Ok(PageBuffer::zeroed(self.page_size));
        };
        bounds(self.geometry(), page, 0, self.page_size.bytes())?;
        Ok(PageBuffer::from(self.page(page)))
    }

    fn write(&mut self, changes: &[Change<'_, PageBuffer>]) -> Result<(), StoreError> {
        check_changes(self.geometry(), changes)?;
        for change in changes {
            match *change {
                Change::Sealed { page, bytes, start } => {
                    self.put_page(page, &[bytes, &seal(bytes, start)].concat());
                }
                Change::Staged { page, buffer } => self.put_page(page, buffer),
                Change::Bytes { page, bytes } => self.put_page(page, bytes),
                Change::Zero { first, count } => {
                    let mut after = self.written.split_off(&first);
                    self.written.append(&mut after.split_off(&(first + count)));
                }
                Change::Order | Change::Sync => {}
            }
        }
        Ok(())
    }

    fn grow(&mut self, page_count: u64) -> Result<Geometry, StoreError> {
        if page_count > self.limit {
            return Err(StoreError::InsufficientSpace);
        }
        self.page_count = self.page_count.max(page_count);
        Ok(self.geometry())
    }

    fn truncate(&mut self, page_count: u64) -> Result<Geometry, StoreError> {
        self.set_len(self.page_count.min(page_count));
        Ok(self.geometry())
    }
}
