//! [`Pager`]: an open page file. The facade over state, transactions and
//! commit, and the keeper of its phases.
//!
//! | Phase | Reads | Writes |
//! |---|---|---|
//! | reading | yes | no, it was opened so |
//! | viewing | protected pages | no, it shows the state of a [`View`] |
//! | ready | yes | yes: what it reads is durable, but for what was deferred |
//! | poisoned | no | no: what is durable is not known until reopened |

use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};

use pagebox_store::{Algorithm, PageStore};

use crate::error::{Error, Operation};
use crate::facts::{
    ChangedPage, CommitInfo, Compacted, Durability, Location, NewFile, ProtectedPage, SnapshotInfo,
    Stats,
};
use crate::file::File;
use crate::identity::Format;
use crate::ids::{Extent, ProtectedId};
use crate::recovery::{
    Explain, Recovery, Verdict, Witness, has_snapshot, recover, recover_steadily,
};
use crate::transaction::Transaction;
use crate::verified::Verified;
use crate::view::View;

/// What a pager may do with its store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Only look: no write, no sync, and damaged files too.
    Read,
    /// Change it too.
    Write,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Reading,
    Viewing,
    Ready,
    Poisoned,
}

/// An open page file.
#[derive(Debug)]
pub struct Pager<S> {
    store: S,
    file: File,
    phase: Phase,
    verdict: Verdict,
    /// Differs for every committed state of every pager in the process.
    version: u64,
    verified: Verified,
    /// What the state rests on, where others may change it.
    witness: Option<Witness>,
}

fn next_version() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

impl<S: PageStore> Pager<S> {
    /// Makes a new page file of format 0, of at least `page_count` pages, in an
    /// empty store: the one format that needs no random number.
    ///
    /// # Errors
    /// [`Error::NotEmpty`], [`Error::Full`], [`Error::Store`].
    pub fn create(store: S, page_count: u64) -> Result<Self, Error> {
        let new = NewFile {
            format: Format::Zero,
            page_count,
            uuid: [0; 16],
        };
        Self::create_as(store, &new)
    }

    /// Makes a new page file in an empty store.
    ///
    /// # Errors
    /// [`Error::NotEmpty`], [`Error::Full`], [`Error::Store`].
    pub fn create_as(mut store: S, new: &NewFile) -> Result<Self, Error> {
        let file = File::create(&mut store, new)?;
        Ok(Self::new(store, file, Phase::Ready, Verdict::Clean))
    }

    /// Makes a new page file in an empty store around regular pages, which read
    /// as zeros: the numbers of those that a file of another format has. It has
    /// about as many pages as that one, as far as its format can.
    ///
    /// # Errors
    /// As [`Pager::create_as`]; [`Error::NotRegular`] for the first page that
    /// the format needs for itself, [`Error::OutOfRange`] for the first that it
    /// cannot have.
    pub fn create_around(mut store: S, new: &NewFile, regular: &[Extent]) -> Result<Self, Error> {
        let file = File::create_around(&mut store, new, regular)?;
        Ok(Self::new(store, file, Phase::Ready, Verdict::Clean))
    }

    /// Opens a page file. To write, what was decided to count is made durable
    /// first, with its root: what is served is durable, whatever a crash or a
    /// failed sync left. To read, nothing is written, and
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
        let Recovery { file, verdict, .. } = outcome?;
        Ok(Self {
            witness: Some(witness),
            ..Self::new(store, file, Phase::Reading, verdict)
        })
    }

    fn open_to_write(mut store: S) -> Result<Self, Error> {
        let Recovery {
            mut file,
            verdict,
            findings,
            ..
        } = recover(&store, Explain::No)?;
        if verdict == Verdict::Damaged {
            return Err(Error::Damaged { findings });
        }
        file.settle(&mut store)?;
        Ok(Self::new(store, file, Phase::Ready, verdict))
    }

    /// Opens a page file to read the state of a [`View`], whose root this is:
    /// the same, in another pager than the one that it is of, which has to keep
    /// the view as long as this one is read. It has no regular pages.
    ///
    /// # Errors
    /// [`Error::Identity`], [`Error::PageSizeMismatch`], [`Error::Damaged`],
    /// [`Error::Store`].
    pub fn open_at(store: S, root: &[u8]) -> Result<Self, Error> {
        let file = File::open_at(&store, root)?;
        Ok(Self::new(store, file, Phase::Viewing, Verdict::Clean))
    }

    fn new(store: S, file: File, phase: Phase, verdict: Verdict) -> Self {
        Self {
            store,
            file,
            phase,
            verdict,
            version: next_version(),
            verified: Verified::default(),
            witness: None,
        }
    }

    /// Closes the file and hands its store back. Syncs nothing: what was
    /// deferred since the last durable commit is undone.
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
    /// counts; of a snapshot, whether there still is one. Without I/O where the
    /// pager may write: then nobody else does.
    ///
    /// # Errors
    /// [`Error::Busy`], [`Error::Store`].
    pub fn is_current(&self) -> Result<bool, Error> {
        match (&self.witness, self.file.shown_snapshot()) {
            (Some(witness), _) => witness.still_holds(&self.store),
            (None, Some(generation)) => has_snapshot(&self.store, generation),
            (None, None) => Ok(true),
        }
    }

    /// What the checksums of its protected pages are.
    pub fn algorithm(&self) -> Algorithm {
        self.file.algorithm()
    }

    /// The generation of the committed state, and its pages.
    pub fn committed(&self) -> CommitInfo {
        self.file.committed()
    }

    /// What recovery decided when the file was opened.
    pub fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// The figures of the committed state.
    pub fn stats(&mut self) -> Stats {
        self.file.stats(&self.store)
    }

    /// Checks that `page` is an allocated regular page.
    ///
    /// # Errors
    /// [`Error::OutOfRange`], [`Error::NotAllocated`], [`Error::NotRegular`],
    /// [`Error::Corrupt`], [`Error::Poisoned`]; [`Error::NotSupported`] in the
    /// state of a view.
    pub fn locate(&mut self, page: u64) -> Result<(), Error> {
        self.expect_regular_pages()?;
        let found = self.file.regular(&self.store, page);
        self.unless_changed(found)
    }

    /// Where a protected page's committed bytes are, not verified.
    ///
    /// # Errors
    /// [`Error::NotProtected`], [`Error::Corrupt`], [`Error::Poisoned`].
    pub fn locate_protected(&mut self, id: ProtectedId) -> Result<Location, Error> {
        self.expect_sound()?;
        let found = self.file.locate(&self.store, id);
        self.unless_changed(found)
    }

    /// As [`Pager::locate_protected`]; the bytes are checked against their
    /// checksum, the first time after opening or a write.
    ///
    /// # Errors
    /// As there; [`Error::ChecksumMismatch`]; [`Error::Changed`];
    /// [`Error::Store`].
    pub fn verify_protected(&mut self, id: ProtectedId) -> Result<Location, Error> {
        let location = self.locate_protected(id)?;
        match self.verified.expect(&self.store, id, location) {
            Ok(()) => Ok(location),
            // Its bytes belong to a later state, perhaps, or the file is shorter now:
            // then they are not rotten.
            Err(Error::ChecksumMismatch { .. } | Error::Store { .. }) if !self.is_current()? => {
                Err(Error::Changed)
            }
            Err(error) => Err(error),
        }
    }

    /// Allocated regular pages in ascending runs from page `start` on, at most
    /// `limit` runs.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Poisoned`]; [`Error::NotSupported`] in the
    /// state of a view.
    pub fn allocated(&mut self, start: u64, limit: usize) -> Result<Vec<Extent>, Error> {
        self.expect_regular_pages()?;
        let found = self.file.runs(&self.store, start, limit);
        self.unless_changed(found)
    }

    /// Protected pages in ascending order from id `start` on, at most `limit`.
    /// Those that cannot be believed are left out.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Poisoned`].
    pub fn protected(
        &mut self,
        start: ProtectedId,
        limit: usize,
    ) -> Result<Vec<ProtectedPage>, Error> {
        self.expect_sound()?;
        let found = self.file.protected(&self.store, start, limit);
        self.unless_changed(found)
    }

    /// Makes the bytes of regular pages durable, and all that was deferred.
    ///
    /// # Errors
    /// [`Error::ReadOnly`], [`Error::Poisoned`], [`Error::Store`].
    pub fn sync(&mut self) -> Result<(), Error> {
        self.expect_writable()?;
        let done = match self.file.flush(&mut self.store) {
            // Its one sync was after all that was written.
            Ok(true) => Ok(()),
            Ok(false) => self.store.sync().map_err(Error::store(Operation::Sync)),
            Err(error) => Err(error),
        };
        self.poison_after(done)
    }

    /// The committed state as it is now, to be read while commits go on.
    ///
    /// # Errors
    /// [`Error::ReadOnly`]: nobody keeps what another process writes to;
    /// [`Error::NotSupported`] where the format has no views;
    /// [`Error::Poisoned`].
    pub fn view(&mut self) -> Result<View, Error> {
        self.expect_writable()?;
        let (file, pin) = self.file.view()?;
        Ok(View::new(file, pin))
    }

    /// The snapshots, oldest first.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Changed`], [`Error::Poisoned`],
    /// [`Error::Store`].
    pub fn snapshots(&mut self) -> Result<Vec<SnapshotInfo>, Error> {
        self.expect_sound()?;
        let found = self.file.snapshots(&self.store);
        self.unless_changed(found)
    }

    /// Gives the committed state of the protected pages a name under which it stays,
    /// whatever is committed later. It is durable when this returns, with all
    /// that was deferred. Nothing is copied. `time` is in nanoseconds since 1970.
    ///
    /// # Errors
    /// [`Error::NotSupported`] where the format has no snapshots;
    /// [`Error::SnapshotName`], [`Error::IsSnapshot`],
    /// [`Error::TooManySnapshots`]; as [`Pager::commit`].
    pub fn create_snapshot(&mut self, name: &str, time: u64) -> Result<SnapshotInfo, Error> {
        self.expect_writable()?;
        let done = self.file.create_snapshot(&mut self.store, name, time);
        self.after_commit(done)
    }

    /// Drops a snapshot, durably: how many pages that frees. What a [`View`] of it
    /// reads stays until that is gone.
    ///
    /// # Errors
    /// [`Error::NoSnapshot`]; as [`Pager::commit`].
    pub fn delete_snapshot(&mut self, name: &str) -> Result<u64, Error> {
        self.expect_writable()?;
        let done = self.file.delete_snapshot(&mut self.store, name);
        self.after_commit(done)
    }

    /// Gives every protected page the bytes that it had in a snapshot, and frees
    /// those that there were not: how many change. One commit, durable when this
    /// returns; it copies what changes, and snapshots stay as they are. Regular
    /// pages are changed in place: no snapshot has them.
    ///
    /// # Errors
    /// [`Error::NoSnapshot`]; [`Error::TooMany`] where more change than one
    /// commit can; [`Error::ChecksumMismatch`], with nothing changed; as
    /// [`Pager::commit`].
    pub fn restore(&mut self, name: &str) -> Result<u64, Error> {
        self.expect_writable()?;
        let done = self.file.restore(&mut self.store, name);
        let done = self.after_commit(done);
        self.verified = Verified::default();
        done
    }

    /// One step of making the file as short as `target` pages, or as short as can be:
    /// 0 for that. It moves `limit` pages at most, and 64 MiB, to free places further
    /// down, durably, and changes nothing else; the last step gives the end of the
    /// file back. Call it until [`Compacted::is_done`]; other calls may come between.
    /// Transactions that are open are stale after each.
    ///
    /// Regular pages stay where they are, since their numbers are their ids, and so
    /// do pages of snapshots; a view keeps the whole end:
    /// [`Compacted::obstacle`] says what stands in the way.
    ///
    /// # Errors
    /// [`Error::NotSupported`] where the format cannot; [`Error::ChecksumMismatch`]
    /// for a page that cannot be moved, with nothing changed; as [`Pager::commit`].
    pub fn compact(&mut self, target: u64, limit: usize) -> Result<Compacted, Error> {
        self.expect_writable()?;
        let done = self.file.compact(&mut self.store, target, limit);
        let done = self.after_commit(done);
        self.verified = Verified::default();
        done
    }

    /// How many pages a snapshot has that nothing else has: what dropping it gives
    /// back.
    ///
    /// # Errors
    /// [`Error::NoSnapshot`]; as [`Pager::snapshots`].
    pub fn held_alone(&mut self, name: &str) -> Result<u64, Error> {
        self.expect_sound()?;
        let found = self.file.held_alone(&self.store, name);
        self.unless_changed(found)
    }

    /// A snapshot, to be read while commits go on, and also when it is dropped
    /// here.
    ///
    /// # Errors
    /// [`Error::ReadOnly`]: nobody keeps what another process drops;
    /// [`Error::NoSnapshot`]; as [`Pager::snapshots`].
    pub fn view_snapshot(&mut self, name: &str) -> Result<View, Error> {
        self.expect_writable()?;
        let (file, pin) = self.file.view_snapshot(&self.store, name)?;
        Ok(View::new(file, pin))
    }

    /// The root of a snapshot, with which [`Pager::open_at`] reads it as long as
    /// nobody drops it.
    ///
    /// # Errors
    /// [`Error::NoSnapshot`]; as [`Pager::snapshots`].
    pub fn root_of(&mut self, name: &str) -> Result<Vec<u8>, Error> {
        self.expect_sound()?;
        let found = self.file.root_of(&self.store, name);
        self.unless_changed(found)
    }

    /// The protected pages from id `start` on that two snapshots have otherwise, in
    /// ascending order, at most `limit`. None: the committed state. What both
    /// have in common is not read.
    ///
    /// # Errors
    /// [`Error::NoSnapshot`]; [`Error::NotSupported`] where the format has no
    /// snapshots; as [`Pager::snapshots`].
    pub fn changes_between(
        &mut self,
        states: [Option<&str>; 2],
        start: ProtectedId,
        limit: usize,
    ) -> Result<Vec<ChangedPage>, Error> {
        self.expect_sound()?;
        let found = self.file.changes_between(&self.store, states, start, limit);
        self.unless_changed(found)
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
        &mut self,
        transaction: &mut Transaction<S::Buffer>,
        count: u32,
    ) -> Result<Vec<u64>, Error> {
        self.expect_current(transaction)?;
        transaction.alloc(&mut self.file, &self.store, count)
    }

    /// Frees regular pages, all or none.
    ///
    /// # Errors
    /// [`Error::OutOfRange`], [`Error::NotAllocated`], [`Error::NotRegular`],
    /// [`Error::Duplicate`], [`Error::StaleTransaction`], [`Error::Poisoned`].
    pub fn free(
        &mut self,
        transaction: &mut Transaction<S::Buffer>,
        pages: &[u64],
    ) -> Result<(), Error> {
        self.expect_current(transaction)?;
        transaction.free(&mut self.file, &self.store, pages)
    }

    /// Allocates protected pages, lowest free ids first, all or none.
    ///
    /// # Errors
    /// [`Error::Full`], [`Error::DirectoryFull`], [`Error::StaleTransaction`],
    /// [`Error::Poisoned`].
    pub fn alloc_protected(
        &mut self,
        transaction: &mut Transaction<S::Buffer>,
        count: u32,
    ) -> Result<Vec<ProtectedId>, Error> {
        self.expect_current(transaction)?;
        transaction.alloc_protected(&mut self.file, &self.store, count)
    }

    /// Allocates the protected pages that are named, all or none: a caller's own
    /// numbers can be the ids.
    ///
    /// # Errors
    /// [`Error::NotFree`], [`Error::Duplicate`], [`Error::Full`],
    /// [`Error::DirectoryFull`], [`Error::StaleTransaction`],
    /// [`Error::Poisoned`].
    pub fn claim_protected(
        &mut self,
        transaction: &mut Transaction<S::Buffer>,
        ids: &[ProtectedId],
    ) -> Result<(), Error> {
        self.expect_current(transaction)?;
        transaction.claim_protected(&mut self.file, &self.store, ids)
    }

    /// Frees protected pages, all or none.
    ///
    /// # Errors
    /// [`Error::NotProtected`], [`Error::Duplicate`],
    /// [`Error::StaleTransaction`], [`Error::Poisoned`].
    pub fn free_protected(
        &mut self,
        transaction: &mut Transaction<S::Buffer>,
        ids: &[ProtectedId],
    ) -> Result<(), Error> {
        self.expect_current(transaction)?;
        transaction.free_protected(&mut self.file, &self.store, ids)
    }

    /// Gives protected pages the bytes that they are to have, whole, all or none.
    /// What is committed is neither read nor verified.
    ///
    /// # Errors
    /// [`Error::NotProtected`], [`Error::Corrupt`], [`Error::Duplicate`],
    /// [`Error::StaleTransaction`], [`Error::Poisoned`].
    pub fn write(
        &mut self,
        transaction: &mut Transaction<S::Buffer>,
        pages: Vec<(ProtectedId, S::Buffer)>,
    ) -> Result<(), Error> {
        self.expect_current(transaction)?;
        transaction.write(&mut self.file, &self.store, pages)
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
        if !transaction.has_bytes(id)? {
            let source = if transaction.creates(id) {
                None
            } else {
                source(self, id)?
            };
            let bytes = self.store.stage(source);
            transaction.put_bytes(id, bytes.map_err(Error::store(Operation::Stage { id }))?);
        }
        match transaction.bytes_mut(id) {
            Some(bytes) => Ok(bytes),
            None => unreachable!("they were put there"),
        }
    }

    /// The page that a write starts from; none: from zeros, since the page's
    /// first bytes were never committed.
    fn committed_source(&mut self, id: ProtectedId) -> Result<Option<u64>, Error> {
        match self.verify_protected(id) {
            Ok(location) => Ok(location.page),
            Err(Error::ChecksumMismatch { unproven: true, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Makes a transaction durable: all of it, or none; and with it all that was
    /// deferred before.
    ///
    /// # Errors
    /// [`Error::StaleTransaction`], [`Error::Full`],
    /// [`Error::GenerationsExhausted`] leave the pager ready, and so does
    /// [`Error::Store`] where it was reading or staging, or where a growth found
    /// no space or a store that is read-only. Any other [`Error::Store`] poisons
    /// it.
    pub fn commit(&mut self, transaction: Transaction<S::Buffer>) -> Result<CommitInfo, Error> {
        self.commit_as(transaction, Durability::Durable)
    }

    /// Commits a transaction that is durable with the next durable one, or the
    /// next [`Pager::sync`]: it is visible at once, and a crash before that
    /// undoes it, and those after it, and nothing else. It syncs nothing.
    /// The caller may get durability earlier than that, never later:
    /// [`CommitInfo::durable`] says.
    ///
    /// # Errors
    /// As [`Pager::commit`]; [`Error::NotSupported`] where the format has no
    /// deferred commits.
    pub fn commit_deferred(
        &mut self,
        transaction: Transaction<S::Buffer>,
    ) -> Result<CommitInfo, Error> {
        self.commit_as(transaction, Durability::Deferred)
    }

    /// As [`Pager::commit`] or [`Pager::commit_deferred`].
    ///
    /// # Errors
    /// As there.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a transaction is committed once"
    )]
    pub fn commit_as(
        &mut self,
        transaction: Transaction<S::Buffer>,
        durability: Durability,
    ) -> Result<CommitInfo, Error> {
        self.expect_current(&transaction)?;
        let changes = transaction.changes();
        let done = self.file.commit(&mut self.store, changes, durability);
        self.poison_after(done)?;
        if !transaction.is_empty() {
            self.version = next_version();
            for &id in changes.protected.keys() {
                self.verified.forget(id);
            }
        }
        Ok(self.file.committed())
    }

    /// Passes on what was looked up. What cannot be believed may be of a later
    /// state, where others may write.
    fn unless_changed<T>(&self, found: Result<T, Error>) -> Result<T, Error> {
        match &found {
            Err(Error::Corrupt { .. } | Error::Store { .. }) if !self.is_current()? => {
                Err(Error::Changed)
            }
            _ => found,
        }
    }

    /// Passes on the outcome of a commit that no transaction knows of: those that
    /// began before it are stale.
    fn after_commit<T>(&mut self, done: Result<T, Error>) -> Result<T, Error> {
        let done = self.poison_after(done);
        // It may have committed something before it failed.
        self.version = next_version();
        done
    }

    /// Passes an outcome on; afterwards nothing is known after some errors.
    fn poison_after<T>(&mut self, done: Result<T, Error>) -> Result<T, Error> {
        if done
            .as_ref()
            .is_err_and(|error| !self.file.leaves_ready(error))
        {
            self.phase = Phase::Poisoned;
        }
        done
    }

    fn expect_sound(&self) -> Result<(), Error> {
        match self.phase {
            Phase::Poisoned => Err(Error::Poisoned),
            Phase::Reading | Phase::Viewing | Phase::Ready => Ok(()),
        }
    }

    /// No view keeps regular pages, which are changed in place.
    fn expect_regular_pages(&self) -> Result<(), Error> {
        match self.phase {
            Phase::Viewing => Err(Error::NotSupported),
            _ => self.expect_sound(),
        }
    }

    fn expect_writable(&self) -> Result<(), Error> {
        match self.phase {
            Phase::Reading | Phase::Viewing => Err(Error::ReadOnly),
            Phase::Poisoned => Err(Error::Poisoned),
            Phase::Ready => Ok(()),
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
