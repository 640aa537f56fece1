//! [`Transaction`]: pending changes as a value. Decides which pages and ids an
//! operation takes; does no I/O.
//!
//! Invariants: a page is taken only if it is free in the committed state and
//! was not taken before; a page that is freed stays taken until the commit, so
//! that nothing the durable state reaches is ever written; an id that is freed
//! is not given out again by the same transaction.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::bitmap::Overlay;
use crate::error::Error;
use crate::ids::ProtectedId;
use crate::kinds::PageKind;
use crate::state::State;

/// What happens to a protected page. `B` is the store's private buffer.
#[derive(Debug)]
pub(crate) enum SlotChange<B> {
    /// It is allocated, with these pages.
    New {
        /// A, which counts first, and B.
        pages: [u64; 2],
        /// Its first bytes; zeros where there are none.
        staged: Option<B>,
    },
    /// It is written.
    Write {
        /// Its next bytes.
        staged: B,
    },
    /// It is freed.
    Free,
}

/// Pending changes to one committed state. Dropping it rolls back.
#[derive(Debug)]
pub struct Transaction<B> {
    /// The version of the committed state that it began from.
    pub(crate) base: u64,
    /// Pages allocated, regular and internal.
    pub(crate) taken: Overlay,
    /// Those of them that belong to protected pages.
    pub(crate) backing: Overlay,
    /// Regular pages freed.
    pub(crate) freed: Overlay,
    /// Protected pages changed.
    pub(crate) slots: BTreeMap<ProtectedId, SlotChange<B>>,
    /// No page below may be free.
    page_cursor: u64,
    /// No id below may be free.
    id_cursor: u64,
}

impl<B> Transaction<B> {
    pub(crate) fn new(base: u64) -> Self {
        Self {
            base,
            taken: Overlay::default(),
            backing: Overlay::default(),
            freed: Overlay::default(),
            slots: BTreeMap::new(),
            page_cursor: 0,
            id_cursor: 0,
        }
    }

    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        self.taken.is_empty() && self.freed.is_empty() && self.slots.is_empty()
    }

    pub(crate) fn alloc(&mut self, state: &State, count: u32) -> Result<Vec<u64>, Error> {
        self.expect_room(state, u64::from(count), self.blocks_needed(state, 0)?)?;
        let mut pages = Vec::with_capacity(count as usize);
        while pages.len() < count as usize {
            self.take_of_word(state, count as usize, &mut pages)?;
        }
        Ok(pages)
    }

    /// Takes free pages, the lowest first, until there are `count` or a word of
    /// the bitmap is used up: many cost little more than one.
    fn take_of_word(
        &mut self,
        state: &State,
        count: usize,
        pages: &mut Vec<u64>,
    ) -> Result<(), Error> {
        let first = self.find_free(state)?;
        let word = first / 64;
        let mut bits = 1 << (first % 64);
        pages.push(first);
        let end = (word + 1) * 64;
        let used = state.allocation()?.used().word(word) | self.taken.word(word);
        for page in first + 1..end.min(state.limits().page_count) {
            if pages.len() == count {
                break;
            }
            let bit = 1 << (page % 64);
            if used & bit == 0 {
                bits |= bit;
                pages.push(page);
            }
            self.page_cursor = page + 1;
        }
        self.taken.insert_word(word, bits);
        Ok(())
    }

    pub(crate) fn free(&mut self, state: &State, pages: &[u64]) -> Result<(), Error> {
        let mut seen = Overlay::default();
        // The bits of the word at hand are put in together.
        let mut open = (0, 0);
        for &page in pages {
            self.expect_regular(state, page)?;
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
            let untaken = self.taken.remove_word(word, bits);
            if untaken != 0 {
                let lowest = word * 64 + u64::from(untaken.trailing_zeros());
                self.page_cursor = self.page_cursor.min(lowest);
            }
            self.freed.insert_word(word, bits & !untaken);
        }
        Ok(())
    }

    fn expect_regular(&self, state: &State, page: u64) -> Result<(), Error> {
        if self.backing.contains(page) {
            Err(Error::NotRegular {
                page,
                kind: PageKind::PROTECTED_ACTIVE,
            })
        } else if self.taken.contains(page) {
            Ok(())
        } else if self.freed.contains(page) {
            Err(Error::NotAllocated { page })
        } else {
            state.regular(page)
        }
    }

    pub(crate) fn alloc_protected(
        &mut self,
        state: &State,
        count: u32,
    ) -> Result<Vec<ProtectedId>, Error> {
        let ids = self.find_free_ids(state, count)?;
        let highest = ids.last().map_or(0, |id| id.0 + 1);
        self.expect_room(
            state,
            2 * u64::from(count),
            self.blocks_needed(state, highest)?,
        )?;
        for &id in &ids {
            let mut pages = [0; 2];
            for page in &mut pages {
                *page = self.find_free(state)?;
                self.taken.insert(*page);
                self.backing.insert(*page);
            }
            self.slots.insert(
                id,
                SlotChange::New {
                    pages,
                    staged: None,
                },
            );
        }
        self.id_cursor = highest.max(self.id_cursor);
        Ok(ids)
    }

    pub(crate) fn free_protected(
        &mut self,
        state: &State,
        ids: &[ProtectedId],
    ) -> Result<(), Error> {
        let mut seen = Overlay::default();
        for &id in ids {
            self.expect_protected(state, id)?;
            if !seen.insert(id.0) {
                return Err(Error::Duplicate { id: id.0 });
            }
        }
        for &id in ids {
            match self.slots.insert(id, SlotChange::Free) {
                Some(SlotChange::New { pages, .. }) => {
                    for page in pages {
                        self.taken.remove(page);
                        self.backing.remove(page);
                        self.page_cursor = self.page_cursor.min(page);
                    }
                    self.slots.remove(&id);
                    self.id_cursor = self.id_cursor.min(id.0);
                }
                Some(SlotChange::Write { .. } | SlotChange::Free) | None => {}
            }
        }
        Ok(())
    }

    /// Checks that an id is of a protected page here and now.
    pub(crate) fn expect_protected(&self, state: &State, id: ProtectedId) -> Result<(), Error> {
        match self.slots.get(&id) {
            Some(SlotChange::New { .. } | SlotChange::Write { .. }) => Ok(()),
            Some(SlotChange::Free) => Err(Error::NotProtected { id }),
            None => state.protected(id).map(drop),
        }
    }

    /// The lowest page that is free in the committed state and not taken.
    /// Call [`Transaction::expect_room`] first.
    fn find_free(&mut self, state: &State) -> Result<u64, Error> {
        let allocation = state.allocation()?;
        let limit = state.limits().page_count;
        loop {
            let page = allocation
                .find_free(self.page_cursor)
                .unwrap_or_else(|| self.page_cursor.max(allocation.page_count()));
            if page >= limit {
                return Err(Error::Full { limit });
            }
            self.page_cursor = page + 1;
            if !self.taken.contains(page) {
                return Ok(page);
            }
        }
    }

    /// The lowest ids that are free in the committed state and here.
    fn find_free_ids(&self, state: &State, count: u32) -> Result<Vec<ProtectedId>, Error> {
        let directory = state.directory()?;
        let limit = state.limits().protected();
        let mut next = self.id_cursor;
        let mut ids = Vec::new();
        while ids.len() < count as usize {
            let id = directory
                .in_use()
                .find_clear(next)
                .unwrap_or_else(|| next.max(directory.capacity()));
            if id >= limit {
                return Err(Error::DirectoryFull { limit });
            }
            next = id + 1;
            if !self.slots.contains_key(&ProtectedId(id)) {
                ids.push(ProtectedId(id));
            }
        }
        Ok(ids)
    }

    /// Directory blocks that the commit will add, if ids below `highest` are
    /// allocated too.
    pub(crate) fn blocks_needed(&self, state: &State, highest: u64) -> Result<u64, Error> {
        let pending = self
            .slots
            .iter()
            .rev()
            .find(|(_, change)| matches!(change, SlotChange::New { .. }))
            .map_or(0, |(id, _)| id.0 + 1);
        let directory = state.directory()?;
        let blocks = highest
            .max(pending)
            .div_ceil(state.limits().slots_per_block);
        Ok(blocks.saturating_sub(directory.blocks().len() as u64))
    }

    /// All or nothing: checks for `count` pages and those of added blocks.
    fn expect_room(&self, state: &State, count: u64, added_blocks: u64) -> Result<(), Error> {
        let limit = state.limits().page_count;
        let used = state.allocation()?.used().ones() + self.taken.len();
        if count.saturating_add(2 * added_blocks) > limit.saturating_sub(used) {
            return Err(Error::Full { limit });
        }
        Ok(())
    }
}
