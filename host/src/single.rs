//! Operations of a [`Pager`] that are a transaction each.

use crate::{Error, PageId, Pager, ProtectedId};

impl Pager {
    /// Allocates a regular page, durably. It reads as zeros.
    ///
    /// # Errors
    /// [`Error::Full`], [`Error::ReadOnly`], [`Error::Poisoned`],
    /// [`Error::Store`].
    pub fn alloc(&mut self) -> Result<PageId, Error> {
        let mut tx = self.begin()?;
        let id = tx.alloc()?;
        tx.commit()?;
        Ok(id)
    }

    /// Allocates regular pages, durably, all or none.
    ///
    /// # Errors
    /// As [`alloc`](Self::alloc).
    pub fn alloc_many(&mut self, count: u32) -> Result<Vec<PageId>, Error> {
        let mut tx = self.begin()?;
        let ids = tx.alloc_many(count)?;
        tx.commit()?;
        Ok(ids)
    }

    /// Frees a regular page, durably.
    ///
    /// # Errors
    /// [`Error::OutOfRange`], [`Error::NotAllocated`], [`Error::NotRegular`],
    /// [`Error::ReadOnly`], [`Error::Poisoned`], [`Error::Store`].
    pub fn free(&mut self, id: PageId) -> Result<(), Error> {
        self.free_many(&[id])
    }

    /// Frees regular pages, durably, all or none.
    ///
    /// # Errors
    /// As [`free`](Self::free), and [`Error::Duplicate`].
    pub fn free_many(&mut self, ids: &[PageId]) -> Result<(), Error> {
        let mut tx = self.begin()?;
        tx.free_many(ids)?;
        tx.commit()?;
        Ok(())
    }

    /// Allocates a protected page, durably. It reads as zeros.
    ///
    /// # Errors
    /// [`Error::Full`], [`Error::DirectoryFull`], [`Error::ReadOnly`],
    /// [`Error::Poisoned`], [`Error::Store`].
    pub fn alloc_protected(&mut self) -> Result<ProtectedId, Error> {
        let mut tx = self.begin()?;
        let id = tx.alloc_protected()?;
        tx.commit()?;
        Ok(id)
    }

    /// Frees a protected page, durably.
    ///
    /// # Errors
    /// [`Error::NotProtected`], [`Error::ReadOnly`], [`Error::Poisoned`],
    /// [`Error::Store`].
    pub fn free_protected(&mut self, id: ProtectedId) -> Result<(), Error> {
        let mut tx = self.begin()?;
        tx.free_protected(id)?;
        tx.commit()?;
        Ok(())
    }
}
