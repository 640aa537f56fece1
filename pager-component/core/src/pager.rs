//! [`Pager`]: an open page file. The facade over state, transactions and
//! commit, and the keeper of its phases.
//!
//! | Phase | Reads | Writes |
//! |---|---|---|
//! | reading | yes | no, it was opened so |
//! | ready | yes | yes: what it reads is durable |
//! | poisoned | no | no: what is durable is not known until reopened |

use alloc::collections::btree_map::Entry;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};

use pagebox_store::{PageSize, PageStore};

use crate::allocation::{AllocationMap, Use};
use crate::bitmap::{Bitmap, Overlay};
use crate::commit::{self, Images};
use crate::directory::Directory;
use crate::error::{Error, Operation};
use crate::format::directory::Slot;
use crate::format::{Limits, MIN_PAGE_COUNT, RESERVED_PAGES, superblock};
use crate::ids::{Extent, ProtectedId, Side};
use crate::recovery::{Explain, Recovery, Verdict, Witness, recover, recover_steadily};
use crate::state::State;
use crate::transaction::{SlotChange, Transaction};

/// What a pager may do with its store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Only look: no write, no sync, and damaged files too.
    Read,
    /// Change it too.
    Write,
}

#[derive(Debug)]
enum Phase {
    Reading,
    /// With the pages that every commit writes, as they are now.
    Ready(Images),
    Poisoned,
}

impl Phase {
    /// Passes an outcome on; afterwards nothing is known after some errors.
    fn poison_after<T>(&mut self, done: Result<T, Error>) -> Result<T, Error> {
        if done
            .as_ref()
            .is_err_and(|error| !commit::leaves_ready(error))
        {
            *self = Self::Poisoned;
        }
        done
    }
}

/// Figures of a page file, in pages unless said otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stats {
    /// The size of a page.
    pub page_size: PageSize,
    /// Pages that the file accounts for.
    pub page_count: u64,
    /// The most pages that the format can account for.
    pub page_limit: u64,
    /// Pages that can be allocated without growth.
    pub free_pages: u64,
    /// Allocated regular pages.
    pub regular_pages: u64,
    /// Protected pages; each takes two physical ones.
    pub protected_pages: u64,
    /// Protected pages that the directory has room for.
    pub protected_capacity: u64,
    /// The most protected pages that the format can name.
    pub protected_limit: u64,
    /// Reserved pages, directory, and both copies of protected pages.
    pub internal_pages: u64,
    /// The commit counter.
    pub generation: u64,
}

impl Stats {
    /// The figures of a state; zeros for what is not known of it.
    pub fn of(state: &State) -> Self {
        let limits = state.limits();
        let count = |kind| {
            state
                .allocation
                .as_ref()
                .map_or(0, |allocation| allocation.count(kind))
        };
        Self {
            page_size: state.page_size,
            page_count: state.page_count(),
            page_limit: limits.page_count,
            free_pages: count(Use::FREE),
            regular_pages: count(Use::REGULAR),
            protected_pages: state.directory.as_ref().map_or(0, Directory::count),
            protected_capacity: state.directory.as_ref().map_or(0, Directory::capacity),
            protected_limit: limits.protected(),
            internal_pages: count(Use::INTERNAL),
            generation: state.generation,
        }
    }
}

/// Where a protected page is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Location {
    /// The physical page that holds the current bytes.
    pub page: u64,
    /// How often the page was written.
    pub generation: u64,
    /// The CRC-32 of the bytes, as committed.
    pub checksum: u32,
}

/// A protected page in a listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProtectedPage {
    /// Its id.
    pub id: ProtectedId,
    /// Its slot in the directory.
    pub slot: Slot,
}

/// What a commit did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommitInfo {
    /// The generation that is durable now.
    pub generation: u64,
    /// Pages that the file accounts for now.
    pub page_count: u64,
}

/// An open page file.
#[derive(Debug)]
pub struct Pager<S> {
    store: S,
    state: State,
    phase: Phase,
    verdict: Verdict,
    /// Differs for every committed state of every pager in the process.
    version: u64,
    /// Protected pages whose bytes agreed with their checksum.
    verified: Overlay,
    /// What the state rests on, where others may change it.
    witness: Option<Witness>,
}

fn next_version() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

impl<S: PageStore> Pager<S> {
    /// Makes a new page file of at least `page_count` pages in an empty store.
    ///
    /// # Errors
    /// [`Error::NotEmpty`], [`Error::Full`], [`Error::Store`].
    pub fn create(mut store: S, page_count: u64) -> Result<Self, Error> {
        let geometry = store.geometry();
        if geometry.page_count != 0 || geometry.tail != 0 {
            return Err(Error::NotEmpty {
                page_count: geometry.page_count,
            });
        }
        let page_size = geometry.page_size;
        let limits = Limits::of(page_size);
        let page_count = page_count.max(MIN_PAGE_COUNT);
        if page_count > limits.page_count {
            return Err(Error::Full {
                limit: limits.page_count,
            });
        }
        store
            .grow(page_count)
            .map_err(Error::store(Operation::Grow { page_count }))?;
        let mut allocation = AllocationMap::from_used(Bitmap::new(page_count));
        for page in 0..RESERVED_PAGES {
            allocation.set(page, Use::INTERNAL);
        }
        let state = State {
            page_size,
            identity: superblock::new_identity(page_size),
            side: Side::A,
            tagged: true,
            generation: 0,
            highest_generation: 0,
            allocation: Some(allocation),
            directory: Some(Directory::new(
                limits.slots_per_block,
                Vec::new(),
                [].into(),
            )),
        };
        let images = Images::of(&state)?;
        commit::write_new(&mut store, &images)?;
        Ok(Self::new(
            store,
            state,
            Phase::Ready(images),
            Verdict::Clean,
        ))
    }

    /// Opens a page file. To write, a sync comes first, and page 0 is written
    /// and synced when it is decided what counts: what is served is durable,
    /// whatever a crash or a failed sync left. To read, nothing is written, and
    /// others may write to the file meanwhile: what is found is one of its
    /// states.
    ///
    /// # Errors
    /// [`Error::Identity`], [`Error::PageSizeMismatch`], [`Error::Corrupt`],
    /// [`Error::Store`]; [`Error::Damaged`] only to write, [`Error::Busy`] only
    /// to read.
    pub fn open(store: S, access: Access) -> Result<Self, Error> {
        match access {
            Access::Read => Self::open_to_read(store),
            Access::Write => Self::open_to_write(store),
        }
    }

    fn open_to_read(store: S) -> Result<Self, Error> {
        let (outcome, witness) = recover_steadily(&store, Explain::No)?;
        let Recovery { state, verdict, .. } = outcome?;
        Ok(Self {
            witness: Some(witness),
            ..Self::new(store, state, Phase::Reading, verdict)
        })
    }

    fn open_to_write(mut store: S) -> Result<Self, Error> {
        store.sync().map_err(Error::store(Operation::Sync))?;
        let Recovery {
            state,
            verdict,
            findings,
            ..
        } = recover(&store, Explain::No)?;
        if verdict == Verdict::Damaged {
            return Err(Error::Damaged { findings });
        }
        let images = Images::of(&state)?;
        commit::settle(&mut store, &images)?;
        Ok(Self::new(store, state, Phase::Ready(images), verdict))
    }

    fn new(store: S, state: State, phase: Phase, verdict: Verdict) -> Self {
        Self {
            store,
            state,
            phase,
            verdict,
            version: next_version(),
            verified: Overlay::default(),
            witness: None,
        }
    }

    /// Closes the file and hands its store back. Syncs nothing.
    pub fn close(self) -> S {
        self.store
    }

    /// The store, to look at.
    pub fn store(&self) -> &S {
        &self.store
    }

    /// The store, to read and write the bytes of regular pages in place.
    pub fn store_mut(&mut self) -> &mut S {
        &mut self.store
    }

    /// Whether the state that was found at opening is still the one that
    /// counts. Without I/O where the pager may write: then nobody else does.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn is_current(&self) -> Result<bool, Error> {
        match &self.witness {
            Some(witness) => witness.still_holds(&self.store),
            None => Ok(true),
        }
    }

    /// What recovery decided when the file was opened.
    pub fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// The figures of the committed state.
    pub fn stats(&self) -> Stats {
        Stats::of(&self.state)
    }

    /// Checks that `page` is an allocated regular page. No I/O.
    ///
    /// # Errors
    /// [`Error::OutOfRange`], [`Error::NotAllocated`], [`Error::NotRegular`],
    /// [`Error::Corrupt`], [`Error::Poisoned`].
    pub fn locate(&self, page: u64) -> Result<u64, Error> {
        self.expect_sound()?;
        self.state.regular(page)?;
        Ok(page)
    }

    /// Where a protected page's committed bytes are, not verified. No I/O.
    ///
    /// # Errors
    /// [`Error::NotProtected`], [`Error::Corrupt`], [`Error::Poisoned`].
    pub fn locate_protected(&self, id: ProtectedId) -> Result<Location, Error> {
        self.expect_sound()?;
        let slot = self.state.protected(id)?;
        Ok(Location {
            page: slot.active_page(),
            generation: slot.generation,
            checksum: slot.checksum,
        })
    }

    /// As [`Pager::locate_protected`]; the bytes are checked against their
    /// checksum, the first time after opening or a write.
    ///
    /// # Errors
    /// As there; [`Error::ChecksumMismatch`]; [`Error::Changed`];
    /// [`Error::Store`].
    pub fn verify_protected(&mut self, id: ProtectedId) -> Result<Location, Error> {
        let location = self.locate_protected(id)?;
        if !self.verified.contains(id.0) {
            let actual = page_checksum(&self.store, self.state.page_size, location.page)?;
            if actual != location.checksum {
                // Its bytes belong to a later state, perhaps: then they are
                // not rotten.
                return Err(if self.is_current()? {
                    mismatch(id, location, actual)
                } else {
                    Error::Changed
                });
            }
            self.verified.insert(id.0);
        }
        Ok(location)
    }

    /// Allocated regular pages in ascending runs from page `start` on, at most
    /// `limit` runs.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Poisoned`].
    pub fn allocated(&self, start: u64, limit: usize) -> Result<Vec<Extent>, Error> {
        self.expect_sound()?;
        Ok(self.state.allocation()?.regular(start, limit))
    }

    /// Protected pages in ascending order from id `start` on. Slots that cannot
    /// be believed are left out.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Poisoned`].
    pub fn protected(
        &self,
        start: ProtectedId,
    ) -> Result<impl Iterator<Item = ProtectedPage> + '_, Error> {
        self.expect_sound()?;
        let slots = self.state.directory()?.slots(start);
        Ok(slots.map(|(id, slot)| ProtectedPage { id, slot }))
    }

    /// Makes the bytes of regular pages durable.
    ///
    /// # Errors
    /// [`Error::ReadOnly`], [`Error::Poisoned`], [`Error::Store`].
    pub fn sync(&mut self) -> Result<(), Error> {
        self.expect_writable()?;
        let done = self.store.sync().map_err(Error::store(Operation::Sync));
        self.phase.poison_after(done)
    }

    /// A transaction on the committed state as it is now.
    ///
    /// # Errors
    /// [`Error::ReadOnly`], [`Error::Poisoned`].
    pub fn begin(&self) -> Result<Transaction<S::Buffer>, Error> {
        self.expect_writable()?;
        Ok(Transaction::new(self.version))
    }

    /// Allocates regular pages, lowest first, all or none.
    ///
    /// # Errors
    /// [`Error::Full`], [`Error::StaleTransaction`], [`Error::Poisoned`].
    pub fn alloc(
        &self,
        transaction: &mut Transaction<S::Buffer>,
        count: u32,
    ) -> Result<Vec<u64>, Error> {
        self.expect_current(transaction)?;
        transaction.alloc(&self.state, count)
    }

    /// Frees regular pages, all or none.
    ///
    /// # Errors
    /// [`Error::OutOfRange`], [`Error::NotAllocated`], [`Error::NotRegular`],
    /// [`Error::Duplicate`], [`Error::StaleTransaction`], [`Error::Poisoned`].
    pub fn free(
        &self,
        transaction: &mut Transaction<S::Buffer>,
        pages: &[u64],
    ) -> Result<(), Error> {
        self.expect_current(transaction)?;
        transaction.free(&self.state, pages)
    }

    /// Allocates protected pages, lowest free ids first, all or none.
    ///
    /// # Errors
    /// [`Error::Full`], [`Error::DirectoryFull`], [`Error::StaleTransaction`],
    /// [`Error::Poisoned`].
    pub fn alloc_protected(
        &self,
        transaction: &mut Transaction<S::Buffer>,
        count: u32,
    ) -> Result<Vec<ProtectedId>, Error> {
        self.expect_current(transaction)?;
        transaction.alloc_protected(&self.state, count)
    }

    /// Frees protected pages, all or none.
    ///
    /// # Errors
    /// [`Error::NotProtected`], [`Error::Duplicate`],
    /// [`Error::StaleTransaction`], [`Error::Poisoned`].
    pub fn free_protected(
        &self,
        transaction: &mut Transaction<S::Buffer>,
        ids: &[ProtectedId],
    ) -> Result<(), Error> {
        self.expect_current(transaction)?;
        transaction.free_protected(&self.state, ids)
    }

    /// The pending bytes of a protected page: at first the committed ones.
    ///
    /// # Errors
    /// [`Error::NotProtected`], [`Error::ChecksumMismatch`],
    /// [`Error::StaleTransaction`], [`Error::Poisoned`], [`Error::Store`].
    pub fn stage<'t>(
        &mut self,
        transaction: &'t mut Transaction<S::Buffer>,
        id: ProtectedId,
    ) -> Result<&'t mut S::Buffer, Error> {
        self.stage_from(transaction, id, Self::committed_source)
    }

    /// The pending bytes of a protected page that is to be written whole: at
    /// first zeros. As [`Pager::stage`] where some are pending already. What is
    /// committed is neither read nor verified: it need not be good.
    ///
    /// # Errors
    /// [`Error::NotProtected`], [`Error::Corrupt`],
    /// [`Error::StaleTransaction`], [`Error::Poisoned`], [`Error::Store`].
    pub fn stage_blank<'t>(
        &mut self,
        transaction: &'t mut Transaction<S::Buffer>,
        id: ProtectedId,
    ) -> Result<&'t mut S::Buffer, Error> {
        self.stage_from(transaction, id, |pager, id| {
            pager.locate_protected(id).map(|_| None)
        })
    }

    /// The pending bytes of a protected page; where there are none, a copy of
    /// the page that `source` says, or zeros.
    fn stage_from<'t>(
        &mut self,
        transaction: &'t mut Transaction<S::Buffer>,
        id: ProtectedId,
        source: impl FnOnce(&mut Self, ProtectedId) -> Result<Option<u64>, Error>,
    ) -> Result<&'t mut S::Buffer, Error> {
        self.expect_current(transaction)?;
        let failed = Error::store(Operation::Stage { id });
        match transaction.slots.entry(id) {
            Entry::Vacant(entry) => {
                let source = source(self, id)?;
                let staged = self.store.stage(source).map_err(failed)?;
                match entry.insert(SlotChange::Write { staged }) {
                    SlotChange::Write { staged } => Ok(staged),
                    _ => unreachable!("it was put in as a write"),
                }
            }
            Entry::Occupied(entry) => match entry.into_mut() {
                SlotChange::Write { staged }
                | SlotChange::New {
                    staged: Some(staged),
                    ..
                } => Ok(staged),
                SlotChange::New { staged, .. } => {
                    let zeros = self.store.stage(None).map_err(failed)?;
                    Ok(staged.insert(zeros))
                }
                SlotChange::Free => Err(Error::NotProtected { id }),
            },
        }
    }

    /// The page that a write starts from; none: from zeros, since the page's
    /// first bytes were never committed.
    fn committed_source(&mut self, id: ProtectedId) -> Result<Option<u64>, Error> {
        match self.verify_protected(id) {
            Ok(location) => Ok(Some(location.page)),
            Err(Error::ChecksumMismatch { unproven: true, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Makes a transaction durable: all of it, or none.
    ///
    /// # Errors
    /// [`Error::StaleTransaction`], [`Error::Full`],
    /// [`Error::GenerationsExhausted`], and [`Error::Store`] with insufficient
    /// space leave the pager ready. Any other [`Error::Store`] poisons it.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a transaction is committed once"
    )]
    pub fn commit(&mut self, transaction: Transaction<S::Buffer>) -> Result<CommitInfo, Error> {
        self.expect_current(&transaction)?;
        if let Phase::Ready(images) = &mut self.phase
            && !transaction.is_empty()
        {
            let done = commit::commit(&mut self.store, &mut self.state, images, &transaction);
            self.phase.poison_after(done)?;
            self.version = next_version();
            for &id in transaction.slots.keys() {
                self.verified.remove(id.0);
            }
        }
        Ok(CommitInfo {
            generation: self.state.generation,
            page_count: self.state.page_count(),
        })
    }

    fn expect_sound(&self) -> Result<(), Error> {
        match self.phase {
            Phase::Poisoned => Err(Error::Poisoned),
            Phase::Reading | Phase::Ready(_) => Ok(()),
        }
    }

    fn expect_writable(&self) -> Result<(), Error> {
        match self.phase {
            Phase::Reading => Err(Error::ReadOnly),
            Phase::Poisoned => Err(Error::Poisoned),
            Phase::Ready(_) => Ok(()),
        }
    }

    fn expect_current(&self, transaction: &Transaction<S::Buffer>) -> Result<(), Error> {
        self.expect_writable()?;
        if transaction.base == self.version {
            Ok(())
        } else {
            Err(Error::StaleTransaction)
        }
    }
}

/// The CRC-32 of a whole page.
pub(crate) fn page_checksum<S: PageStore>(
    store: &S,
    page_size: PageSize,
    page: u64,
) -> Result<u32, Error> {
    store
        .crc32(page, 0, page_size.bytes_u32())
        .map_err(Error::store(Operation::Read { page }))
}

fn mismatch(id: ProtectedId, location: Location, actual: u32) -> Error {
    Error::ChecksumMismatch {
        id,
        page: location.page,
        expected: location.checksum,
        actual,
        unproven: is_unproven(location.generation),
    }
}

/// Whether bytes that fail their checksum were never committed: the peer
/// allocates a page with the checksum of bytes that it does not sync, at
/// generation 0. Ours begin at 1.
pub(crate) const fn is_unproven(generation: u64) -> bool {
    generation == 0
}
