//! Operations of a [`Pager`] that are a transaction each: one call of the
//! component.

use std::collections::BTreeSet;

use crate::effects::{ALLOCATING, Effects};
use crate::page_stores::Right;
use crate::{Error, PageId, Pager, ProtectedId};

const FREEING: &str = "freeing pages";

impl Pager {
    /// Allocates a regular page, durably. It reads as zeros.
    ///
    /// # Errors
    /// [`Error::Full`], [`Error::ReadOnly`], [`Error::Poisoned`],
    /// [`Error::Store`].
    pub fn alloc(&mut self) -> Result<PageId, Error> {
        let allocated = self.lend(ALLOCATING, Right::Write, |exports, store, pager| {
            exports.pager().call_alloc(store, pager)
        })?;
        let id = allocated.id;
        Effects::expect_regular(self, 1, &[id])?;
        let effects = Effects {
            allocated: vec![id],
            ..Effects::default()
        };
        effects.apply(self, allocated.info)?;
        Ok(PageId::new(id))
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
        let info = self.lend(FREEING, Right::Write, |exports, store, pager| {
            exports.pager().call_free(store, pager, id.get())
        })?;
        let effects = Effects {
            freed: vec![id.get()],
            ..Effects::default()
        };
        effects.apply(self, info)?;
        Ok(())
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
        let allocated = self.lend(ALLOCATING, Right::Write, |exports, store, pager| {
            exports.pager().call_alloc_protected(store, pager)
        })?;
        let id = allocated.id;
        Effects::expect_protected(self, 1, &[id], &BTreeSet::new())?;
        let effects = Effects {
            moved: vec![id],
            protected_end: id.saturating_add(1),
            ..Effects::default()
        };
        effects.apply(self, allocated.info)?;
        Ok(ProtectedId::new(id))
    }

    /// Frees a protected page, durably.
    ///
    /// # Errors
    /// [`Error::NotProtected`], [`Error::ReadOnly`], [`Error::Poisoned`],
    /// [`Error::Store`].
    pub fn free_protected(&mut self, id: ProtectedId) -> Result<(), Error> {
        let info = self.lend(FREEING, Right::Write, |exports, store, pager| {
            exports.pager().call_free_protected(store, pager, id.get())
        })?;
        let effects = Effects {
            moved: vec![id.get()],
            ..Effects::default()
        };
        effects.apply(self, info)?;
        Ok(())
    }
}
