//! [`File`]: an open file of format 0, and its verbs.

use alloc::vec::Vec;

use pagebox_store::{Algorithm, PageSize, PageStore, StoreError};

use super::commit::{self, Images};
use super::plan::blocks_needed;
use super::slots::Directory;
use super::state::{Root, Sound, State};
use super::{Limits, MIN_PAGE_COUNT, NAME, RESERVED_PAGES, reserve, superblock};
use crate::allocation::AllocationMap;
use crate::bitmap::{Bitmap, Overlay};
use crate::changes::Changes;
use crate::error::{Error, Operation};
use crate::facts::{CommitInfo, Location, ProtectedPage, Stats, Wish};
use crate::ids::{Extent, ProtectedId, Side};
use crate::kinds::PageKind;

/// An open file of format 0.
#[derive(Clone, Debug)]
pub struct File {
    pub(super) state: State,
    /// The pages that every commit writes, as they are now; there once what
    /// recovery chose is settled, and the file can be changed.
    images: Option<Images>,
    /// What each page is, once somebody asked.
    kinds: Option<AllocationMap>,
}

impl File {
    /// Makes a new file of at least `page_count` pages in an empty store.
    pub(crate) fn create<S: PageStore>(store: &mut S, page_count: u64) -> Result<Self, Error> {
        Self::create_with(store, page_count, &Overlay::default())
    }

    /// The same with these regular pages, and of fewer pages where there cannot
    /// be so many.
    pub(crate) fn create_around<S: PageStore>(
        store: &mut S,
        page_count: u64,
        regular: &[Extent],
    ) -> Result<Self, Error> {
        let limit = Limits::of(store.geometry().page_size).page_count;
        let regular = Overlay::of_runs(regular, limit).map_err(|page| Error::OutOfRange {
            page,
            page_count: limit,
        })?;
        let end = regular.max().map_or(0, |page| page + 1);
        Self::create_with(store, page_count.min(limit).max(end), &regular)
    }

    fn create_with<S: PageStore>(
        store: &mut S,
        page_count: u64,
        regular: &Overlay,
    ) -> Result<Self, Error> {
        let page_size = store.geometry().page_size;
        let limits = Limits::of(page_size);
        let page_count = page_count.max(MIN_PAGE_COUNT);
        if page_count > limits.page_count {
            return Err(Error::Full {
                limit: limits.page_count,
            });
        }
        let mut allocation = AllocationMap::from_used(Bitmap::new(page_count));
        reserve(&mut allocation);
        let lowest = regular.iter().next();
        if let Some(page) = lowest.filter(|&page| page < RESERVED_PAGES) {
            let kind = allocation.get(page);
            return Err(Error::NotRegular { page, kind });
        }
        allocation.set_all(regular, PageKind::REGULAR);
        store
            .grow(page_count)
            .map_err(Error::store(Operation::Grow { page_count }))?;
        let sound = Sound {
            root: Root {
                page_size,
                identity: superblock::new_identity(page_size),
                side: Side::A,
                tagged: true,
                generation: 0,
                highest_generation: 0,
            },
            allocation,
            directory: Directory::new(limits, Vec::new(), [].into()),
        };
        let images = Images::of(&sound);
        commit::write_new(store, &images)?;
        Ok(Self {
            state: State::Sound(sound),
            images: Some(images),
            kinds: None,
        })
    }

    /// The file that recovery found.
    pub(crate) fn of(state: State) -> Self {
        Self {
            state,
            images: None,
            kinds: None,
        }
    }

    /// What is known of it.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// What each page is.
    pub(crate) fn kinds(&mut self) -> &mut AllocationMap {
        self.kinds.get_or_insert_with(|| self.state.kinds())
    }

    /// C0. Makes what recovery chose durable, so that it can be built on. The
    /// sync covers what a process wrote that was killed, and the file's length.
    ///
    /// # Panics
    /// For a damaged file.
    pub(crate) fn settle<S: PageStore>(&mut self, store: &mut S) -> Result<(), Error> {
        let State::Sound(sound) = &self.state else {
            panic!("a damaged file is settled");
        };
        store.sync().map_err(Error::store(Operation::Sync))?;
        let images = Images::of(sound);
        commit::settle(store, &images)?;
        self.images = Some(images);
        Ok(())
    }

    /// Makes changes durable: all of them, or none.
    ///
    /// # Panics
    /// For a file that is not settled.
    pub(crate) fn commit<S: PageStore>(
        &mut self,
        store: &mut S,
        changes: &Changes<S::Buffer>,
    ) -> Result<(), Error> {
        let (State::Sound(sound), Some(images)) = (&mut self.state, &mut self.images) else {
            panic!("a file is changed that is not settled");
        };
        self.kinds = None;
        commit::commit(store, sound, images, changes)
    }

    /// Pages that the file accounts for; none: it is not known.
    pub(crate) fn page_count(&self) -> Option<u64> {
        self.state.page_count()
    }

    pub(crate) fn committed(&self) -> CommitInfo {
        CommitInfo {
            generation: self.state.root().generation,
            durable: self.state.root().generation,
            page_count: self.state.page_count().unwrap_or(0),
        }
    }

    pub(crate) fn stats(&self) -> Stats {
        let root = self.state.root();
        let limits = root.limits();
        let allocation = self.state.allocation();
        let directory = self.state.directory().filter(|found| found.is_whole());
        let owned = allocation.filter(|_| self.state.tells_owners());
        Stats {
            format: NAME,
            uuid: None,
            capabilities: &[],
            algorithm: Algorithm::Crc32,
            page_size: root.page_size,
            page_count: self.state.page_count(),
            page_limit: limits.page_count,
            free_pages: allocation.map(|pages| pages.count(PageKind::FREE)),
            regular_pages: owned.map(|pages| pages.count(PageKind::REGULAR)),
            protected_pages: directory.map(Directory::count),
            protected_capacity: directory.map(Directory::capacity),
            protected_limit: limits.protected(),
            internal_pages: owned.map(AllocationMap::internal),
            generation: self.state.generation(),
            held_pages: 0,
            oldest_view: None,
        }
    }

    /// The figures of a file of which nothing is known but its page size.
    pub(crate) fn unknown_stats(page_size: PageSize) -> Stats {
        let limits = Limits::of(page_size);
        Stats {
            format: NAME,
            uuid: None,
            capabilities: &[],
            algorithm: Algorithm::Crc32,
            page_size,
            page_count: None,
            page_limit: limits.page_count,
            free_pages: None,
            regular_pages: None,
            protected_pages: None,
            protected_capacity: None,
            protected_limit: limits.protected(),
            internal_pages: None,
            generation: None,
            held_pages: 0,
            oldest_view: None,
        }
    }

    pub(crate) fn regular(&self, page: u64) -> Result<(), Error> {
        self.state.regular(page)
    }

    pub(crate) fn runs(&self, start: u64, limit: usize) -> Result<Vec<Extent>, Error> {
        Ok(self.state.expect_allocation()?.regular(start, limit))
    }

    pub(crate) fn locate(&self, id: ProtectedId) -> Result<Location, Error> {
        self.state.protected(id).map(|slot| slot.location())
    }

    pub(crate) fn protected(
        &self,
        start: ProtectedId,
        limit: usize,
    ) -> Result<Vec<ProtectedPage>, Error> {
        let slots = self.state.expect_directory()?.slots(start);
        let pages = slots.map(|(id, slot)| slot.listed(id));
        Ok(pages.take(limit).collect())
    }

    /// The lowest free page from `start` on, which may be past the end.
    pub(crate) fn find_free(&self, start: u64) -> Result<u64, Error> {
        let allocation = self.state.expect_allocation()?;
        let found = allocation.find_free(start);
        Ok(found.unwrap_or_else(|| start.max(allocation.page_count())))
    }

    /// Which of the pages from `64 * word` on are free; pages past the end are,
    /// as far as the format can have them.
    pub(crate) fn free_word(&self, word: u64) -> Result<u64, Error> {
        let used = self.state.expect_allocation()?.used().word(word);
        let limit = self.state.root().limits().page_count;
        let possible = match limit.saturating_sub(word * 64) {
            bits @ 0..64 => (1 << bits) - 1,
            _ => u64::MAX,
        };
        Ok(!used & possible)
    }

    /// The lowest free id from `start` on.
    pub(crate) fn find_free_id(&self, start: ProtectedId) -> Result<ProtectedId, Error> {
        let directory = self.state.expect_directory()?;
        let limit = self.state.root().limits().protected();
        let found = directory.in_use().find_clear(start.0);
        let id = found.unwrap_or_else(|| start.0.max(directory.capacity()));
        if id < limit {
            Ok(ProtectedId(id))
        } else {
            Err(Error::DirectoryFull { limit })
        }
    }

    /// Checks that there is room for all that a transaction allocates.
    pub(crate) fn expect_room(&self, wish: &Wish) -> Result<(), Error> {
        let State::Sound(sound) = &self.state else {
            panic!("a damaged file is changed");
        };
        let limit = sound.root.limits().page_count;
        let pages = wish
            .protected
            .saturating_add(blocks_needed(sound, wish.id_end))
            .saturating_mul(2)
            .saturating_add(wish.regular);
        if pages > limit.saturating_sub(sound.allocation.used().ones()) {
            return Err(Error::Full { limit });
        }
        Ok(())
    }

    /// Whether it is known what is durable after this error: nothing was written
    /// yet.
    pub(crate) fn leaves_ready(error: &Error) -> bool {
        let Error::Store { operation, source } = error else {
            return true;
        };
        match operation {
            Operation::Grow { .. } => {
                matches!(source, StoreError::InsufficientSpace | StoreError::ReadOnly)
            }
            Operation::Commit | Operation::Settle | Operation::WriteNew | Operation::Sync => false,
            _ => true,
        }
    }
}
