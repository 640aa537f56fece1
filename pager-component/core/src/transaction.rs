//! [`Transaction`]: alloc, free and stage, on pending [`Changes`]. Decides which
//! pages and ids an operation takes; all or nothing lives here. Writes nothing.
//!
//! Invariants: a page is taken only if it is free in the committed state and was
//! not taken before; a page that is freed stays taken until the commit, so that
//! nothing the durable state reaches is ever written; an id that is freed is not
//! given out again by the same transaction.

use alloc::vec::Vec;

use pagebox_store::PageStore;

use crate::bitmap::Overlay;
use crate::changes::{Change, Changes};
use crate::error::Error;
use crate::facts::Wish;
use crate::file::File;
use crate::ids::ProtectedId;

/// Pending changes to one committed state. Dropping it rolls back. `B` is the
/// store's private buffer.
#[derive(Debug)]
pub struct Transaction<B> {
    /// The version of the committed state that it began from.
    pub(crate) base: u64,
    changes: Changes<B>,
    /// The ids that it allocates.
    created: Overlay,
    /// No page below may be free.
    page_cursor: u64,
    /// No id below may be free.
    id_cursor: u64,
}

impl<B> Transaction<B> {
    pub(crate) fn new(base: u64) -> Self {
        Self {
            base,
            changes: Changes::default(),
            created: Overlay::default(),
            page_cursor: 0,
            id_cursor: 0,
        }
    }

    /// What it comes to.
    pub(crate) fn changes(&self) -> &Changes<B> {
        &self.changes
    }

    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Takes regular pages, the lowest free ones, all or none.
    pub(crate) fn alloc<S: PageStore<Buffer = B>>(
        &mut self,
        file: &mut File,
        store: &S,
        count: u32,
    ) -> Result<Vec<u64>, Error> {
        self.expect_room(file, u64::from(count), &[])?;
        let wanted = count as usize;
        let mut pages = Vec::with_capacity(wanted);
        let mut next = self.page_cursor;
        // A word of the bitmap at a time: many cost little more than one.
        while pages.len() < wanted {
            let first = file.find_free(store, next)?;
            let word = first / 64;
            let here = u64::MAX << (first % 64);
            let mut free = file.free_word(store, word)? & here & !self.changes.allocated.word(word);
            while free != 0 && pages.len() < wanted {
                pages.push(word * 64 + u64::from(free.trailing_zeros()));
                free &= free - 1;
            }
            next = (word + 1) * 64;
        }
        if let Some(last) = pages.last() {
            self.page_cursor = last + 1;
        }
        insert_all(&mut self.changes.allocated, &pages);
        Ok(pages)
    }

    /// Frees regular pages, all or none.
    pub(crate) fn free<S: PageStore<Buffer = B>>(
        &mut self,
        file: &mut File,
        store: &S,
        pages: &[u64],
    ) -> Result<(), Error> {
        let mut seen = Overlay::default();
        // The bits of the word at hand are put in together.
        let mut open = (0, 0);
        for &page in pages {
            self.expect_regular(file, store, page)?;
            let (word, bit) = (page / 64, 1 << (page % 64));
            if word != open.0 {
                seen.insert_word(open.0, open.1);
                open = (word, seen.word(word));
            }
            if open.1 & bit != 0 {
                return Err(Error::Duplicate { id: page });
            }
            open.1 |= bit;
        }
        seen.insert_word(open.0, open.1);
        for (word, bits) in seen.words() {
            let untaken = self.changes.allocated.remove_word(word, bits);
            if untaken != 0 {
                let lowest = word * 64 + u64::from(untaken.trailing_zeros());
                self.page_cursor = self.page_cursor.min(lowest);
            }
            self.changes.freed.insert_word(word, bits & !untaken);
        }
        Ok(())
    }

    fn expect_regular<S: PageStore>(
        &self,
        file: &mut File,
        store: &S,
        page: u64,
    ) -> Result<(), Error> {
        if self.changes.allocated.contains(page) {
            Ok(())
        } else if self.changes.freed.contains(page) {
            Err(Error::NotAllocated { page })
        } else {
            file.regular(store, page)
        }
    }

    /// Takes ids of protected pages, the lowest free ones, all or none.
    pub(crate) fn alloc_protected<S: PageStore<Buffer = B>>(
        &mut self,
        file: &mut File,
        store: &S,
        count: u32,
    ) -> Result<Vec<ProtectedId>, Error> {
        // A count that cannot be is not searched for.
        file.expect_room(&Wish {
            regular: self.changes.allocated.len(),
            protected: self.created.len().saturating_add(count.into()),
            id_end: 0,
        })?;
        let mut next = ProtectedId(self.id_cursor);
        let mut ids = Vec::new();
        while ids.len() < count as usize {
            let id = file.find_free_id(store, next)?;
            next = ProtectedId(id.0 + 1);
            if !self.changes.protected.contains_key(&id) {
                ids.push(id);
            }
        }
        self.create(file, &ids)?;
        self.id_cursor = next.0;
        Ok(ids)
    }

    /// Takes the ids that are named, all or none.
    pub(crate) fn claim_protected<S: PageStore<Buffer = B>>(
        &mut self,
        file: &mut File,
        store: &S,
        ids: &[ProtectedId],
    ) -> Result<(), Error> {
        let mut seen = Overlay::default();
        for &id in ids {
            let is_free = file.find_free_id(store, id)? == id;
            if !is_free || self.changes.protected.contains_key(&id) {
                return Err(Error::NotFree { id });
            }
            if !seen.insert(id.0) {
                return Err(Error::Duplicate { id: id.0 });
            }
        }
        self.create(file, ids)
    }

    /// Takes ids that are free.
    fn create(&mut self, file: &File, ids: &[ProtectedId]) -> Result<(), Error> {
        self.expect_room(file, 0, ids)?;
        for &id in ids {
            self.changes.protected.insert(id, Change::New(None));
            self.created.insert(id.0);
        }
        Ok(())
    }

    /// Frees protected pages, all or none.
    pub(crate) fn free_protected<S: PageStore<Buffer = B>>(
        &mut self,
        file: &mut File,
        store: &S,
        ids: &[ProtectedId],
    ) -> Result<(), Error> {
        let mut seen = Overlay::default();
        for &id in ids {
            self.expect_protected(file, store, id)?;
            if !seen.insert(id.0) {
                return Err(Error::Duplicate { id: id.0 });
            }
        }
        for &id in ids {
            if self.created.remove(id.0) {
                self.changes.protected.remove(&id);
                self.id_cursor = self.id_cursor.min(id.0);
            } else {
                self.changes.protected.insert(id, Change::Free);
            }
        }
        Ok(())
    }

    /// Checks that an id is of a protected page here and now.
    fn expect_protected<S: PageStore>(
        &self,
        file: &mut File,
        store: &S,
        id: ProtectedId,
    ) -> Result<(), Error> {
        match self.changes.protected.get(&id) {
            Some(Change::New(_) | Change::Write(_) | Change::Copy(_)) => Ok(()),
            Some(Change::Free) => Err(Error::NotProtected { id }),
            None => file.locate(store, id).map(drop),
        }
    }

    /// Gives protected pages their pending bytes, whatever was pending of them,
    /// all or none.
    pub(crate) fn write<S: PageStore<Buffer = B>>(
        &mut self,
        file: &mut File,
        store: &S,
        pages: Vec<(ProtectedId, B)>,
    ) -> Result<(), Error> {
        let mut seen = Overlay::default();
        for &(id, _) in &pages {
            self.expect_protected(file, store, id)?;
            if !seen.insert(id.0) {
                return Err(Error::Duplicate { id: id.0 });
            }
        }
        for (id, bytes) in pages {
            self.put_bytes(id, bytes);
        }
        Ok(())
    }

    /// Whether a protected page has pending bytes.
    pub(crate) fn has_bytes(&self, id: ProtectedId) -> Result<bool, Error> {
        match self.changes.protected.get(&id) {
            Some(Change::Free) => Err(Error::NotProtected { id }),
            Some(change) => Ok(change.bytes().is_some()),
            None => Ok(false),
        }
    }

    /// Whether it allocates this protected page: its first bytes are zeros.
    pub(crate) fn creates(&self, id: ProtectedId) -> bool {
        self.created.contains(id.0)
    }

    /// Gives a protected page pending bytes.
    pub(crate) fn put_bytes(&mut self, id: ProtectedId, bytes: B) {
        let change = if self.creates(id) {
            Change::New(Some(bytes))
        } else {
            Change::Write(bytes)
        };
        self.changes.protected.insert(id, change);
    }

    /// The pending bytes of a protected page, if it has any.
    pub(crate) fn bytes_mut(&mut self, id: ProtectedId) -> Option<&mut B> {
        match self.changes.protected.get_mut(&id)? {
            Change::New(bytes) => bytes.as_mut(),
            Change::Write(bytes) => Some(bytes),
            Change::Free | Change::Copy(_) => None,
        }
    }

    /// Checks that there is room for what was allocated so far, `regular` more
    /// pages, and these ids.
    fn expect_room(&self, file: &File, regular: u64, ids: &[ProtectedId]) -> Result<(), Error> {
        let highest = ids.iter().map(|id| id.0).max().max(self.created.max());
        file.expect_room(&Wish {
            regular: self.changes.allocated.len().saturating_add(regular),
            protected: self.created.len() + ids.len() as u64,
            id_end: highest.map_or(0, |id| id + 1),
        })
    }
}

/// Puts pages in, which are in ascending order.
fn insert_all(overlay: &mut Overlay, pages: &[u64]) {
    let mut pages = pages.iter().peekable();
    while let Some(&first) = pages.next() {
        let word = first / 64;
        let mut bits = 1 << (first % 64);
        while let Some(page) = pages.next_if(|&&page| page / 64 == word) {
            bits |= 1 << (page % 64);
        }
        overlay.insert_word(word, bits);
    }
}
