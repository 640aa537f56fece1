//! [`Medium`]: what format 1 asks of a store besides its trait: that a private
//! buffer's bytes are at hand. The one place that would change for a store
//! whose buffers are elsewhere.

use core::ops::DerefMut;

use pagebox_store::{PageStore, StoreError};

use crate::checksum::{Xxh3, xxh3};
use crate::codec::{narrow, part, put};

/// A store whose buffers are in this process.
pub trait Medium: PageStore<Buffer: DerefMut<Target = [u8]>> {
    /// A buffer with these bytes, a page at most; zeros behind them.
    ///
    /// # Errors
    /// Of [`PageStore::stage`].
    fn image(&self, bytes: &[u8]) -> Result<Self::Buffer, StoreError> {
        let mut buffer = self.stage(None)?;
        put(&mut buffer, 0, bytes);
        Ok(buffer)
    }

    /// The checksum of a page.
    ///
    /// # Errors
    /// Of [`PageStore::read`].
    fn page_checksum(&self, page: u64) -> Result<Xxh3, StoreError> {
        let mut bytes = alloc::vec![0; self.geometry().page_size.bytes()];
        self.read(page, 0, &mut bytes)?;
        Ok(xxh3(&bytes))
    }

    /// Fills `bytes` from the position `at`, whatever page that is of.
    ///
    /// # Errors
    /// Of [`PageStore::read`].
    fn read_at(&self, at: u64, bytes: &mut [u8]) -> Result<(), StoreError> {
        let log2 = self.geometry().page_size.log2();
        let mut done = 0;
        while done < bytes.len() {
            let from = at.saturating_add(crate::codec::wide(done));
            let offset = from & ((1 << log2) - 1);
            let room = narrow((1 << log2) - offset).min(bytes.len() - done);
            let mut chunk = alloc::vec![0; room];
            let offset = u32::try_from(offset).map_err(|_| StoreError::OutOfBounds)?;
            self.read(from >> log2, offset, &mut chunk)?;
            put(bytes, done, part(&chunk, 0, room));
            done += room;
        }
        Ok(())
    }
}

impl<S: PageStore<Buffer: DerefMut<Target = [u8]>>> Medium for S {}
