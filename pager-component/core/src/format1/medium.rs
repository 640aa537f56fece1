//! [`Medium`]: reading a store at any position, and the checksum of this format.

use pagebox_store::{Algorithm, PageStore, StoreError};

use crate::checksum::Xxh3;
use crate::codec::{narrow, put, wide};

/// Every store.
pub trait Medium: PageStore {
    /// The checksum of a page.
    ///
    /// # Errors
    /// Of [`PageStore::checksum`].
    fn page_checksum(&self, page: u64) -> Result<Xxh3, StoreError> {
        Ok(self.checksum(page, Algorithm::Xxh3)?.value)
    }

    /// Fills `bytes` from the position `at`, whatever page that is of.
    ///
    /// # Errors
    /// Of [`PageStore::read`].
    fn read_at(&self, at: u64, bytes: &mut [u8]) -> Result<(), StoreError> {
        let log2 = self.geometry().page_size.log2();
        let mut done = 0;
        while done < bytes.len() {
            let from = at.saturating_add(wide(done));
            let offset = from & ((1 << log2) - 1);
            let room = narrow((1 << log2) - offset).min(bytes.len() - done);
            let mut chunk = alloc::vec![0; room];
            let offset = u32::try_from(offset).map_err(|_| StoreError::OutOfBounds)?;
            self.read(from >> log2, offset, &mut chunk)?;
            put(bytes, done, &chunk);
            done += room;
        }
        Ok(())
    }
}

impl<S: PageStore> Medium for S {}
