//! Pages of a pager, read and changed: lent as slices, or copied.

use pagebox_store::StoreError;

use super::{Access, Pager};
use crate::Error;
use crate::ids::{PageId, ProtectedId};
use crate::store::write_at;

impl Pager {
    /// The bytes of a regular page.
    ///
    /// # Errors
    /// [`Error::OutOfRange`], [`Error::NotAllocated`], [`Error::NotRegular`];
    /// [`Error::NotLendable`] where the store can only be copied from;
    /// [`Error::Store`].
    #[inline]
    pub fn page(&self, id: PageId) -> Result<&[u8], Error> {
        // All that a read of a page that was found before takes. A store that
        // a fork does not copy lends nothing to the child.
        if self.cache.is_regular(id.get())
            && let Some(bytes) = self.store.get().page(id.get())
        {
            return Ok(bytes);
        }
        self.expect_own()?;
        let page = self.locate(id)?;
        self.lendable(page)
    }

    /// The bytes of a physical page.
    fn lendable(&self, page: u64) -> Result<&[u8], Error> {
        let store = self.store.get();
        match store.page(page) {
            Some(bytes) => Ok(bytes),
            None if page < store.geometry().page_count => Err(Error::NotLendable),
            None => self.unread(page, StoreError::OutOfBounds),
        }
    }

    /// The bytes of a regular page, to be changed in place. They are durable
    /// after [`sync`](Self::sync).
    ///
    /// # Errors
    /// As [`page`](Self::page), and [`Error::ReadOnly`].
    pub fn page_mut(&mut self, id: PageId) -> Result<&mut [u8], Error> {
        self.expect_own()?;
        let page = self.locate_to_write(id)?;
        self.store
            .get_mut()
            .page_mut(page)
            .map_err(|cause| writing(page, cause))?
            .ok_or(Error::NotLendable)
    }

    /// Copies bytes of a regular page, from `offset` on.
    ///
    /// # Errors
    /// [`Error::OutOfRange`], [`Error::NotAllocated`], [`Error::NotRegular`],
    /// [`Error::PastPageEnd`], [`Error::Store`].
    pub fn read(&self, id: PageId, offset: usize, bytes: &mut [u8]) -> Result<(), Error> {
        self.expect_own()?;
        let offset = self.offset(offset, bytes.len())?;
        let page = self.locate(id)?;
        let read = self.store.get().read(page, offset, bytes);
        read.or_else(|cause| self.unread(page, cause))
    }

    /// Why a page could not be read: of a file that others write to, it may be shorter
    /// now.
    fn unread<T>(&self, page: u64, cause: StoreError) -> Result<T, Error> {
        if self.access() == Access::Read && !self.is_current()? {
            return Err(Error::Changed);
        }
        Err(reading(page, cause))
    }

    /// Replaces bytes of a regular page, from `offset` on. They are durable
    /// after [`sync`](Self::sync).
    ///
    /// # Errors
    /// As [`read`](Self::read), and [`Error::ReadOnly`].
    pub fn write(&mut self, id: PageId, offset: usize, bytes: &[u8]) -> Result<(), Error> {
        self.expect_own()?;
        let offset = self.offset(offset, bytes.len())?;
        let page = self.locate_to_write(id)?;
        write_at(self.store.get_mut(), page, offset, bytes).map_err(|cause| writing(page, cause))
    }

    /// The committed bytes of a protected page, verified against their
    /// checksum when first asked for.
    ///
    /// # Errors
    /// [`Error::NotProtected`], [`Error::ChecksumMismatch`],
    /// [`Error::Corrupt`]; [`Error::NotLendable`] where the store can only be
    /// copied from; [`Error::Store`].
    #[inline]
    pub fn protected_page(&self, id: ProtectedId) -> Result<&[u8], Error> {
        if let Some(page) = self.cache.protected(id.get())
            && let Some(bytes) = self.store.get().page(page)
        {
            return Ok(bytes);
        }
        self.verified_page(id)
    }

    /// The bytes of a protected page that is not known to be in a page.
    fn verified_page(&self, id: ProtectedId) -> Result<&[u8], Error> {
        if self.cache.is_zeros(id.get()) {
            self.expect_own()?;
            return Ok(self.zeros());
        }
        let location = self.locate_protected(id)?;
        let Some(page) = location.page else {
            self.expect_zeros(id, &location)?;
            self.cache.add_zeros(id.get());
            return Ok(self.zeros());
        };
        let bytes = self.lendable(page)?;
        self.verify(id, page, &location, bytes)?;
        self.cache.add_protected(id.get(), page);
        Ok(bytes)
    }

    /// A page of zeros.
    pub(crate) fn zeros(&self) -> &[u8] {
        static ZEROS: [u8; 1 << 20] = [0; 1 << 20];
        &ZEROS[..self.page_size().bytes()]
    }

    /// Copies committed bytes of a protected page, from `offset` on.
    ///
    /// Two reads that both succeed are of the same state, also of a file that
    /// was opened to read and that others write to.
    ///
    /// # Errors
    /// [`Error::NotProtected`], [`Error::ChecksumMismatch`],
    /// [`Error::Changed`], [`Error::Corrupt`], [`Error::PastPageEnd`],
    /// [`Error::Store`].
    pub fn read_protected(
        &self,
        id: ProtectedId,
        offset: usize,
        bytes: &mut [u8],
    ) -> Result<(), Error> {
        self.offset(offset, bytes.len())?;
        match self.protected_page(id) {
            Ok(page) => bytes.copy_from_slice(&page[offset..offset + bytes.len()]),
            // Somebody else may be writing to such a store: each copy is
            // verified.
            Err(Error::NotLendable) => {
                let location = self.locate_protected(id)?;
                let Some(page) = location.page else {
                    self.expect_zeros(id, &location)?;
                    bytes.fill(0);
                    return Ok(());
                };
                let found = self.store.get().stage(Some(page));
                let found = found.or_else(|cause| self.unread(page, cause))?;
                self.verify(id, page, &location, &found)?;
                bytes.copy_from_slice(&found[offset..offset + bytes.len()]);
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// An offset that leaves room for `len` bytes in a page.
    pub(crate) fn offset(&self, offset: usize, len: usize) -> Result<u32, Error> {
        let page_size = self.page_size().bytes();
        let fits = offset.checked_add(len).is_some_and(|end| end <= page_size);
        match u32::try_from(offset) {
            Ok(offset) if fits => Ok(offset),
            _ => Err(Error::PastPageEnd {
                offset,
                len,
                page_size,
            }),
        }
    }
}

pub(super) fn reading(page: u64, cause: StoreError) -> Error {
    Error::Store {
        operation: format!("reading page {page}"),
        cause,
    }
}

fn writing(page: u64, cause: StoreError) -> Error {
    match cause {
        StoreError::ReadOnly => Error::ReadOnly,
        cause => Error::Store {
            operation: format!("writing page {page}"),
            cause,
        },
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use crate::{Engine, Error, MemoryStore, PageSize};

    /// What was never written is known after the first look, and no more once a
    /// commit changes it.
    #[test]
    fn page_that_nobody_wrote_is_known_to_be_zeros() {
        let store = MemoryStore::new(PageSize::KIB_4);
        let mut pager = Engine::new().unwrap().create_store(store, 0).unwrap();
        let mut tx = pager.begin().unwrap();
        let ids = tx.alloc_protected_many(2000).unwrap();
        tx.commit().unwrap();
        // They take no pages, so there are more of them than pages.
        assert!(pager.stats().unwrap().page_count < 200);
        let (first, last) = (ids[0], ids[1999]);
        for id in [first, last] {
            assert!(!pager.cache().is_zeros(id.get()));
            assert_eq!(pager.protected_page(id).unwrap(), [0; 4096]);
            assert!(pager.cache().is_zeros(id.get()));
            assert_eq!(pager.protected_page(id).unwrap(), [0; 4096]);
        }
        let mut tx = pager.begin().unwrap();
        tx.write(first).unwrap()[0] = 1;
        tx.free_protected(last).unwrap();
        tx.commit().unwrap();
        assert_eq!(pager.protected_page(first).unwrap()[0], 1);
        let gone = pager.protected_page(last);
        assert!(matches!(gone, Err(Error::NotProtected(_))), "{gone:?}");
    }
}
