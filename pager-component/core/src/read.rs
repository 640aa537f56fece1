//! Reading whole pages of a store, whatever is in them.

use alloc::vec;
use alloc::vec::Vec;

use pagebox_store::{Algorithm, Checksum, PageStore, StoreError};

use crate::error::{Error, Operation};

/// A whole page; none past the end of the store.
pub(crate) fn read_page<S: PageStore>(store: &S, page: u64) -> Result<Option<Vec<u8>>, Error> {
    let geometry = store.geometry();
    if page >= geometry.page_count {
        return Ok(None);
    }
    let mut bytes = vec![0; geometry.page_size.bytes()];
    match store.read(page, 0, &mut bytes) {
        Ok(()) => Ok(Some(bytes)),
        // The medium was cut off since.
        Err(StoreError::OutOfBounds) => Ok(None),
        Err(source) => Err(Error::store(Operation::Read { page })(source)),
    }
}

/// The checksum of a whole page.
pub(crate) fn page_checksum<S: PageStore>(
    store: &S,
    page: u64,
    algorithm: Algorithm,
) -> Result<Checksum, Error> {
    store
        .checksum(page, algorithm)
        .map_err(Error::store(Operation::Read { page }))
}
