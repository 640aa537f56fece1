//! [`File`]: an open page file of one of the formats. Its verbs are the list of
//! what a format owes; each is one `match`.
//!
//! A verb that looks something up is given the store: a format need not have in
//! memory what it is asked for.

use alloc::vec::Vec;

use pagebox_store::{Algorithm, PageSize, PageStore};

use crate::changes::Changes;
use crate::error::Error;
use crate::facts::{CommitInfo, Location, ProtectedPage, Stats, Wish};
use crate::finding::Finding;
use crate::format0;
use crate::identity::Format;
use crate::ids::{Extent, ProtectedId};
use crate::page_map::PageMap;
use crate::structure::{Entry, LastCommit, Reference, Structure};

/// An open page file.
#[derive(Clone, Debug)]
pub enum File {
    /// Of format 0.
    Zero(format0::File),
}

impl File {
    /// Makes a new file of at least `page_count` pages in an empty store.
    ///
    /// # Errors
    /// [`Error::NotEmpty`], [`Error::Full`], [`Error::Store`].
    pub fn create<S: PageStore>(
        store: &mut S,
        format: Format,
        page_count: u64,
    ) -> Result<Self, Error> {
        let geometry = store.geometry();
        if geometry.page_count != 0 || geometry.tail != 0 {
            return Err(Error::NotEmpty {
                page_count: geometry.page_count,
            });
        }
        match format {
            Format::Zero => format0::File::create(store, page_count).map(Self::Zero),
        }
    }

    /// Makes what recovery chose durable, so that it can be served and built on.
    ///
    /// # Errors
    /// [`Error::Store`].
    ///
    /// # Panics
    /// For a damaged file.
    pub fn settle<S: PageStore>(&mut self, store: &mut S) -> Result<(), Error> {
        match self {
            Self::Zero(file) => file.settle(store),
        }
    }

    /// Makes changes durable: all of them, or none.
    ///
    /// # Errors
    /// [`Error::Full`], [`Error::GenerationsExhausted`], [`Error::Store`].
    ///
    /// # Panics
    /// For a file that is not settled, and for changes that do not fit it.
    pub fn commit<S: PageStore>(
        &mut self,
        store: &mut S,
        changes: &Changes<S::Buffer>,
    ) -> Result<(), Error> {
        match self {
            Self::Zero(file) => file.commit(store, changes),
        }
    }

    /// What the checksums of its protected pages are.
    pub fn algorithm(&self) -> Algorithm {
        match self {
            Self::Zero(_) => Algorithm::Crc32,
        }
    }

    /// What the last commit came to.
    pub fn committed(&self) -> CommitInfo {
        match self {
            Self::Zero(file) => file.committed(),
        }
    }

    /// Whether it is known what is durable after this error of a verb that
    /// writes, or of a sync: nothing was written yet.
    pub fn leaves_ready(&self, error: &Error) -> bool {
        match self {
            Self::Zero(_) => format0::File::leaves_ready(error),
        }
    }

    /// Its figures.
    pub fn stats(&self) -> Stats {
        match self {
            Self::Zero(file) => file.stats(),
        }
    }

    /// The figures of a file of which nothing is known but its page size.
    pub fn unknown_stats(page_size: PageSize) -> Stats {
        format0::File::unknown_stats(page_size)
    }

    /// Checks that `page` is an allocated regular page.
    ///
    /// # Errors
    /// [`Error::OutOfRange`], [`Error::NotAllocated`], [`Error::NotRegular`],
    /// [`Error::Corrupt`].
    pub fn regular<S: PageStore>(&mut self, _store: &S, page: u64) -> Result<(), Error> {
        match self {
            Self::Zero(file) => file.regular(page),
        }
    }

    /// Regular pages in ascending runs from page `start` on, at most `limit`
    /// runs.
    ///
    /// # Errors
    /// [`Error::Corrupt`].
    pub fn runs<S: PageStore>(
        &mut self,
        _store: &S,
        start: u64,
        limit: usize,
    ) -> Result<Vec<Extent>, Error> {
        match self {
            Self::Zero(file) => file.runs(start, limit),
        }
    }

    /// Where a protected page's committed bytes are, not verified.
    ///
    /// # Errors
    /// [`Error::NotProtected`], [`Error::Corrupt`].
    pub fn locate<S: PageStore>(&mut self, _store: &S, id: ProtectedId) -> Result<Location, Error> {
        match self {
            Self::Zero(file) => file.locate(id),
        }
    }

    /// Protected pages in ascending order from id `start` on, at most `limit`.
    /// Those that cannot be believed are left out.
    ///
    /// # Errors
    /// [`Error::Corrupt`].
    pub fn protected<S: PageStore>(
        &mut self,
        _store: &S,
        start: ProtectedId,
        limit: usize,
    ) -> Result<Vec<ProtectedPage>, Error> {
        match self {
            Self::Zero(file) => file.protected(start, limit),
        }
    }

    /// The lowest free page from `start` on; past the end all are free.
    ///
    /// # Errors
    /// [`Error::Corrupt`].
    pub fn find_free<S: PageStore>(&mut self, _store: &S, start: u64) -> Result<u64, Error> {
        match self {
            Self::Zero(file) => file.find_free(start),
        }
    }

    /// Which of the 64 pages from `64 * word` on are free, as bits. Pages past
    /// the end are, as far as the format can have them.
    ///
    /// # Errors
    /// [`Error::Corrupt`].
    pub fn free_word<S: PageStore>(&mut self, _store: &S, word: u64) -> Result<u64, Error> {
        match self {
            Self::Zero(file) => file.free_word(word),
        }
    }

    /// The lowest free protected id from `start` on.
    ///
    /// # Errors
    /// [`Error::DirectoryFull`], [`Error::Corrupt`].
    pub fn find_free_id<S: PageStore>(
        &mut self,
        _store: &S,
        start: ProtectedId,
    ) -> Result<ProtectedId, Error> {
        match self {
            Self::Zero(file) => file.find_free_id(start),
        }
    }

    /// Checks that there is room for all that a transaction allocates.
    ///
    /// # Errors
    /// [`Error::Full`].
    pub fn expect_room(&self, wish: &Wish) -> Result<(), Error> {
        match self {
            Self::Zero(file) => file.expect_room(wish),
        }
    }

    /// The ids of its protected pages are below this.
    pub fn id_end(&self) -> u64 {
        match self {
            Self::Zero(file) => file.id_end(),
        }
    }

    /// How many steps a check of its own structures has.
    pub fn check_steps(&self) -> u64 {
        match self {
            Self::Zero(file) => file.check_steps(),
        }
    }

    /// The findings of one of them.
    pub fn check_step<S: PageStore>(&self, store: &S, step: u64) -> Vec<Finding> {
        match self {
            Self::Zero(file) => file.check_step(store, step),
        }
    }

    /// What each of its pages is, in a store of `file_pages` pages.
    pub fn page_map(&self, file_pages: u64) -> PageMap {
        match self {
            Self::Zero(file) => file.page_map(file_pages),
        }
    }

    /// What the last commit changed, as far as the file tells.
    pub fn last_commit<S: PageStore>(&self, store: &S) -> Option<LastCommit> {
        match self {
            Self::Zero(file) => file.last_commit(store),
        }
    }

    /// The structures that describe the file: roots first, then all copies
    /// of the parts of the directory from the `start`-th part on, of at most
    /// `limit` parts.
    pub fn structures<S: PageStore>(
        &self,
        store: &S,
        start: usize,
        limit: usize,
    ) -> Vec<Structure> {
        match self {
            Self::Zero(file) => file.structures(store, start, limit),
        }
    }

    /// What lies in a page with these bytes, if anything that the pager made.
    pub fn structures_in(&self, page: u64, bytes: &[u8]) -> Vec<Structure> {
        match self {
            Self::Zero(file) => file.structures_in(page, bytes),
        }
    }

    /// The protected page that a page belongs to.
    pub fn owner(&self, page: u64) -> Option<ProtectedId> {
        match self {
            Self::Zero(file) => file.owner(page),
        }
    }

    /// Who names a page.
    pub fn references(&self, page: u64) -> Vec<Reference> {
        match self {
            Self::Zero(file) => file.references(page),
        }
    }

    /// Protected pages from id `start` on, and where the directory has them.
    pub fn entries(&self, start: ProtectedId, limit: usize) -> Vec<Entry> {
        match self {
            Self::Zero(file) => file.entries(start, limit),
        }
    }
}
