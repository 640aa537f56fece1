//! [`Spare`]: private buffers that nobody uses any more, kept for the next pages
//! that are staged. Given back to the system at the end of each transaction,
//! their memory would be mapped and cleared anew by the next.

use pagebox_store::{PageBuffer, StoreError};

use crate::Store;

/// The most bytes that are kept.
const KEPT_MAX: usize = 1 << 20;

/// Buffers of one size. What is in them does not matter.
#[derive(Debug, Default)]
pub(crate) struct Spare(Vec<PageBuffer>);

impl Spare {
    /// Keeps a buffer, if it is like the others and there is room for it.
    pub(crate) fn keep(&mut self, buffer: PageBuffer) {
        let is_like_them = self.0.last().is_none_or(|kept| kept.len() == buffer.len());
        if is_like_them && (self.0.len() + 1) * buffer.len() <= KEPT_MAX {
            self.0.push(buffer);
        }
    }

    /// As [`PageStore::stage`](pagebox_store::PageStore::stage), in a kept
    /// buffer if there is one.
    pub(crate) fn stage(
        &mut self,
        store: &dyn Store,
        source: Option<u64>,
    ) -> Result<PageBuffer, StoreError> {
        let len = store.geometry().page_size.bytes();
        let Some(mut buffer) = self.0.pop().filter(|kept| kept.len() == len) else {
            return store.stage(source);
        };
        match source {
            Some(page) => store.read(page, 0, &mut buffer)?,
            None => buffer.fill(0),
        }
        Ok(buffer)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use pagebox_store::{MemoryStore, PageSize};

    use super::*;

    fn used(size: PageSize) -> PageBuffer {
        let mut buffer = PageBuffer::zeroed(size);
        buffer.fill(9);
        buffer
    }

    #[test]
    fn buffer_that_was_used_shows_nothing_of_that() {
        let store = MemoryStore::from_bytes(PageSize::KIB_1, vec![3; 1024]);
        let mut spare = Spare::default();
        for (source, byte) in [(None, 0), (Some(0), 3)] {
            spare.keep(used(PageSize::KIB_1));
            let staged = spare.stage(&store, source).unwrap();
            assert!(staged.len() == 1024 && staged.iter().all(|found| *found == byte));
        }
        spare.keep(used(PageSize::KIB_1));
        assert_eq!(
            spare.stage(&store, Some(1)).unwrap_err(),
            StoreError::OutOfBounds
        );
    }

    #[test]
    fn buffer_of_another_size_is_not_used() {
        let store = MemoryStore::from_bytes(PageSize::KIB_1, vec![3; 1024]);
        let mut spare = Spare::default();
        spare.keep(used(PageSize::KIB_4));
        spare.keep(used(PageSize::KIB_1));
        assert_eq!(spare.0.len(), 1);
        assert_eq!(spare.stage(&store, None).unwrap().len(), 1024);
    }

    #[test]
    fn no_more_is_kept_than_a_mebibyte() {
        let mut spare = Spare::default();
        (0..300).for_each(|_| spare.keep(used(PageSize::KIB_4)));
        assert_eq!(spare.0.len(), 256);
    }
}
