//! Looking into a file: its protected pages, its regular pages, what is free.
//! Each reads the nodes that it needs and that are not in memory.

use alloc::vec::Vec;

use super::entry::Entry;
use super::error::{Error, checksum};
use super::file::File;
use super::leaf::{self, Kind, in_words};
use super::medium::Medium;
use super::places::Places;
use super::tree::Seek;
use crate::bitmap::Overlay;
use crate::checksum::{Xxh3, xxh3, xxh3_of_zeros};
use crate::codec::narrow;
use crate::facts;
use crate::ids::{Extent, ProtectedId};

/// Where a protected page's committed bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Location {
    /// The physical page; none: it reads as zeros.
    pub page: Option<u64>,
    /// The generation that wrote it.
    pub birth: u64,
    /// Of its bytes, if it has a physical page.
    pub checksum: Xxh3,
}

impl File {
    /// A location in the words of every format.
    pub(crate) fn in_words(&self, location: Location) -> facts::Location {
        let value = match location.page {
            Some(_) => location.checksum,
            None => xxh3_of_zeros(self.layout.shape().page_size),
        };
        facts::Location {
            page: location.page,
            generation: location.birth,
            checksum: checksum(value),
        }
    }
}

impl From<Entry> for Location {
    fn from(entry: Entry) -> Self {
        Self {
            page: (entry.number != 0).then_some(entry.number),
            birth: entry.birth,
            checksum: entry.checksum,
        }
    }
}

/// Runs of regular pages, and where to go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Runs {
    /// Ascending.
    pub runs: Vec<Extent>,
    /// The page to go on from; none: these were the last.
    pub next: Option<u64>,
}

/// Leaves of SPACE that [`File::runs`] reads at most in one call.
const LEAVES_A_CALL: usize = 64;

impl File {
    /// Where a protected page is, not verified. Reads the nodes above it that
    /// are not in memory.
    ///
    /// # Errors
    /// [`Error::NotProtected`], [`Error::Corrupt`], [`Error::Poisoned`],
    /// [`Error::Store`].
    pub fn locate<S: Medium>(&mut self, store: &S, id: ProtectedId) -> Result<Location, Error> {
        self.expect_sound()?;
        let map = self.record.map_tree();
        let entry = self.reader(store).stored(&map, id.0)?;
        entry.map(Into::into).ok_or(Error::NotProtected { id })
    }

    /// Fills `bytes`, a page, with the committed bytes of a protected page.
    ///
    /// # Errors
    /// As [`File::locate`]; [`Error::ChecksumMismatch`].
    pub fn read<S: Medium>(
        &mut self,
        store: &S,
        id: ProtectedId,
        bytes: &mut [u8],
    ) -> Result<Location, Error> {
        let location = self.locate(store, id)?;
        let Some(page) = location.page else {
            bytes.fill(0);
            return Ok(location);
        };
        store.read(page, 0, bytes).map_err(Error::reading(page))?;
        let actual = xxh3(bytes);
        if actual != location.checksum {
            return Err(Error::ChecksumMismatch {
                id,
                page,
                expected: location.checksum,
                actual,
            });
        }
        Ok(location)
    }

    /// What a page is.
    ///
    /// # Errors
    /// [`Error::OutOfRange`], [`Error::Corrupt`], [`Error::Poisoned`],
    /// [`Error::Store`].
    pub fn kind<S: Medium>(&mut self, store: &S, page: u64) -> Result<Kind, Error> {
        self.expect_sound()?;
        let page_count = self.record.page_count;
        if page >= page_count {
            return Err(Error::OutOfRange { page, page_count });
        }
        let space = self.record.space_tree();
        let (mut reader, pages) = self.paged(store)?;
        pages.kind(&mut reader, &space, page)
    }

    /// Checks that `page` is an allocated regular page.
    ///
    /// # Errors
    /// As [`File::kind`]; [`Error::NotAllocated`], [`Error::NotRegular`].
    pub fn regular<S: Medium>(&mut self, store: &S, page: u64) -> Result<(), Error> {
        match self.kind(store, page)? {
            Kind::Regular => Ok(()),
            kind if kind.is_free() => Err(Error::NotAllocated { page }),
            kind => Err(Error::NotRegular {
                page,
                kind: in_words(self.layout.shape(), page, kind),
            }),
        }
    }

    /// Runs of regular pages from page `from` on, of a bounded part of the
    /// file.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Poisoned`], [`Error::Store`].
    pub fn runs<S: Medium>(&mut self, store: &S, from: u64) -> Result<Runs, Error> {
        self.expect_sound()?;
        let space = self.record.space_tree();
        let layout = self.layout;
        let (mut reader, pages) = self.paged(store)?;
        let mut runs: Vec<Extent> = Vec::new();
        let mut from = from;
        for _ in 0..LEAVES_A_CALL {
            let group = pages.next_group(&mut reader, &space, layout.group_of(from))?;
            let Some(group) = group else {
                return Ok(Runs { runs, next: None });
            };
            let Some(node) = pages.leaf(&mut reader, &space, group)? else {
                return Ok(Runs { runs, next: None });
            };
            let start = layout.group_start(group);
            let places = leaf::places_of(&node, layout.shape(), Kind::Regular);
            for page in places.map(|place| start + place).filter(|&it| it >= from) {
                match runs.last_mut() {
                    Some(run) if run.first + run.count == page => run.count += 1,
                    _ => runs.push(Extent {
                        first: page,
                        count: 1,
                    }),
                }
            }
            from = layout.group_start(group + 1);
        }
        Ok(Runs {
            runs,
            next: Some(from),
        })
    }

    /// Regular pages in ascending runs from page `from` on, at most `limit`
    /// runs.
    ///
    /// # Errors
    /// As [`File::runs`].
    pub(crate) fn runs_from<S: Medium>(
        &mut self,
        store: &S,
        from: u64,
        limit: usize,
    ) -> Result<Vec<Extent>, Error> {
        let mut runs = Vec::new();
        let mut next = Some(from);
        while let Some(from) = next.filter(|_| runs.len() < limit) {
            let found = self.runs(store, from)?;
            runs.extend(found.runs);
            next = found.next;
        }
        runs.truncate(limit);
        Ok(runs)
    }

    /// Which of the 64 pages from `64 * word` on are free, as bits; pages past
    /// the page count are, as far as the format can have them.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Poisoned`], [`Error::Store`].
    pub(crate) fn free_word<S: Medium>(&mut self, store: &S, word: u64) -> Result<u64, Error> {
        self.expect_sound()?;
        let limit = self.layout.shape().page_limit();
        let first = word.saturating_mul(64);
        if first >= limit {
            return Ok(0);
        }
        let space = self.record.space_tree();
        let (mut reader, pages) = self.paged(store)?;
        let mut free = 0;
        for place in (0..64).step_by(narrow(leaf::WORD)) {
            free |= pages.free_word(&mut reader, &space, first + place)? << place;
        }
        let past = (first + 64).saturating_sub(limit);
        Ok(free & u64::MAX >> past)
    }

    /// Protected pages in ascending order from id `from` on, at most `limit`.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Poisoned`], [`Error::Store`].
    pub fn protected<S: Medium>(
        &mut self,
        store: &S,
        from: ProtectedId,
        limit: usize,
    ) -> Result<Vec<(ProtectedId, Location)>, Error> {
        self.expect_sound()?;
        let map = self.record.map_tree();
        let shape = self.layout.shape();
        let mut reader = self.reader(store);
        let mut found = Vec::new();
        let mut from = from.0;
        while found.len() < limit {
            let old = reader.seek(&map, from, Seek::Present)?;
            let new = reader.deltas.next_stored(from);
            let Some(id) = old.into_iter().chain(new).min() else {
                break;
            };
            let index = shape.index_of(1, id);
            let here = reader.stored_below(&map, index)?;
            let here = here.into_iter().filter(|&(id, _)| id >= from);
            let left = limit - found.len();
            found.extend(
                here.map(|(id, entry)| (ProtectedId(id), entry.into()))
                    .take(left),
            );
            from = shape.first_key(1, index + 1);
        }
        Ok(found)
    }

    /// The lowest free page from page `from` on: one past the page count if
    /// the file would have to grow.
    ///
    /// # Errors
    /// [`Error::Full`], [`Error::Corrupt`], [`Error::Poisoned`],
    /// [`Error::Store`].
    pub fn find_free<S: Medium>(&mut self, store: &S, from: u64) -> Result<u64, Error> {
        self.expect_sound()?;
        let limit = self.layout.shape().page_limit();
        let taken = Overlay::default();
        let space = self.record.space_tree();
        let (mut reader, pages) = self.paged(store)?;
        let start = from.max(pages.lowest());
        let found = Places::ascending(space, pages, &taken, start, limit)
            .take(&mut reader)?
            .ok_or(Error::Full { limit })?;
        if let Some(pages) = self.pages.as_mut().filter(|pages| from <= pages.lowest()) {
            pages.raise_lowest(found);
        }
        Ok(found)
    }

    /// The lowest free protected id from `from` on.
    ///
    /// # Errors
    /// [`Error::NoFreeId`], [`Error::Corrupt`], [`Error::Poisoned`],
    /// [`Error::Store`].
    pub fn find_free_id<S: Medium>(
        &mut self,
        store: &S,
        from: ProtectedId,
    ) -> Result<ProtectedId, Error> {
        self.expect_sound()?;
        let map = self.record.map_tree();
        let shape = self.layout.shape();
        let reached = shape.first_key(map.height, 1);
        let lowest = self.unfolded().lowest();
        let is_lowest = from.0 <= lowest;
        let mut from = from.0.max(lowest);
        let freed = self.unfolded().next_freed(from);
        let mut reader = self.reader(store);
        let id = loop {
            let found = reader.seek(&map, from, Seek::Room)?;
            let id = found.unwrap_or(from.max(reached));
            from = reader.deltas.next_unstored(id);
            if from == id {
                break freed.map_or(id, |freed| freed.min(id));
            }
        };
        if is_lowest {
            self.unfolded().raise_lowest(id);
        }
        if id < shape.id_limit() {
            Ok(ProtectedId(id))
        } else {
            Err(Error::NoFreeId {
                limit: shape.id_limit(),
            })
        }
    }
}
