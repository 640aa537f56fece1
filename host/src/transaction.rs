//! [`Transaction`]: pending changes, that become durable together or not at
//! all.
//!
//! The bytes of protected pages are staged here, where the committed ones are:
//! the component learns of them at commit, by their number and checksum, and
//! never sees them. It is asked before only for what it alone can say, which
//! pages and ids an allocation takes; so a transaction that does nothing but
//! write is one call of it.

use std::collections::{BTreeMap, BTreeSet};

use pagebox_store::PageBuffer;
use wasmtime::component::ResourceAny;

use crate::Error;
use crate::effects::{ALLOCATING, COMMITTING, Effects};
use crate::figures::CommitInfo;
use crate::ids::{PageId, ProtectedId};
use crate::page_stores::{Held, Right};
use crate::pager::{Answer, Pager};
use crate::sandbox::{Data, nonsense};
use crate::wit::exports::pagebox::pager::pager as wit;

/// Pending changes of a [`Pager`]. Nobody sees them and nothing is written
/// before [`commit`](Self::commit); dropped, they are gone at no cost.
///
/// ```no_run
/// # fn main() -> Result<(), pagebox::Error> {
/// let engine = pagebox::Engine::new()?;
/// let mut pager = engine.open("data.pages")?;
/// let mut tx = pager.begin()?;
/// let id = tx.alloc_protected()?;
/// tx.write(id)?[..5].copy_from_slice(b"hello");
/// assert_eq!(tx.read(id)?[..5], *b"hello");
/// let pages = tx.alloc_many(100)?;
/// tx.commit()?; // all of it, or none of it
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Transaction<'p> {
    pager: &'p mut Pager,
    pending: Pending,
}

/// A transaction apart from its pager, which goes on by [`Pager::resume`]: for
/// engines that keep a transaction in an object of their own, and read between
/// its changes. Dropped, its changes are gone.
///
/// ```no_run
/// # fn f(pager: &mut pagebox::Pager, id: pagebox::ProtectedId) -> Result<(), pagebox::Error> {
/// let mut tx = pager.begin()?;
/// tx.write(id)?[0] = 1;
/// let kept = tx.suspend();
/// println!("{}", pager.protected_page(id)?[0]); // as committed
/// pager.resume(kept)?.commit()?;
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Suspended(Pending);

/// What a transaction has gathered.
#[derive(Debug)]
struct Pending {
    /// The opening of the pager that it is of, and the generation that it
    /// changes.
    opening: u64,
    base: u64,
    /// The component's transaction, once it was needed.
    handle: Option<ResourceAny>,
    /// The pages that are being written, by protected id.
    staged: BTreeMap<u64, PageBuffer>,
    /// Protected pages that it allocated, and that it freed.
    created: BTreeSet<u64>,
    dropped: BTreeSet<u64>,
    effects: Effects,
    /// Operations so far that may have changed something.
    operations: u64,
}

impl Pager {
    /// A transaction on the committed state.
    ///
    /// # Errors
    /// [`Error::ReadOnly`], [`Error::Poisoned`].
    pub fn begin(&mut self) -> Result<Transaction<'_>, Error> {
        self.expect_writable()?;
        let pending = Pending {
            opening: self.opening(),
            base: self.committed().generation,
            handle: None,
            staged: BTreeMap::new(),
            created: BTreeSet::new(),
            dropped: BTreeSet::new(),
            effects: Effects::default(),
            operations: 0,
        };
        let mut transaction = Transaction {
            pager: self,
            pending,
        };
        // Only the component knows whether it goes on after a failure.
        if transaction.pager.is_unsure() {
            transaction.handle()?;
        }
        Ok(transaction)
    }

    /// A transaction that was suspended, to go on.
    ///
    /// # Errors
    /// [`Error::StaleTransaction`] where another one was committed since it
    /// began, or the pager was reopened, or is another one; its changes are gone
    /// then.
    pub fn resume(&mut self, suspended: Suspended) -> Result<Transaction<'_>, Error> {
        self.expect_own()?;
        let pending = suspended.0;
        if pending.opening != self.opening() {
            return Err(Error::StaleTransaction);
        }
        let is_stale = pending.base != self.committed().generation;
        let transaction = Transaction {
            pager: self,
            pending,
        };
        if is_stale {
            return Err(Error::StaleTransaction);
        }
        Ok(transaction)
    }
}

impl Transaction<'_> {
    /// The component's transaction.
    fn handle(&mut self) -> Result<ResourceAny, Error> {
        if let Some(handle) = self.pending.handle {
            return Ok(handle);
        }
        let handle = self
            .pager
            .ask("beginning a transaction", |exports, store, pager| {
                exports.pager().call_begin(store, pager)
            })?;
        self.pending.handle = Some(handle);
        Ok(handle)
    }

    /// Calls an export with the component's transaction.
    fn call<R>(
        &mut self,
        operation: &'static str,
        f: impl FnOnce(wit::GuestTransaction<'_>, &mut wasmtime::Store<Data>, ResourceAny) -> Answer<R>,
    ) -> Result<R, Error> {
        let handle = self.handle()?;
        let result = self.pager.ask(operation, |exports, store, _| {
            f(exports.transaction(), store, handle)
        })?;
        self.pending.operations += 1;
        Ok(result)
    }

    /// How many operations so far may have changed something.
    pub(crate) fn operations(&self) -> u64 {
        self.pending.operations
    }

    /// Sets the transaction apart from its pager.
    #[must_use]
    pub fn suspend(mut self) -> Suspended {
        let nothing = Pending {
            opening: self.pending.opening,
            base: self.pending.base,
            handle: None,
            staged: BTreeMap::new(),
            created: BTreeSet::new(),
            dropped: BTreeSet::new(),
            effects: Effects::default(),
            operations: 0,
        };
        Suspended(std::mem::replace(&mut self.pending, nothing))
    }

    /// Allocates a regular page. It reads as zeros once this is committed.
    ///
    /// # Errors
    /// [`Error::Full`].
    pub fn alloc(&mut self) -> Result<PageId, Error> {
        first(&self.alloc_many(1)?)
    }

    /// Allocates regular pages, the lowest free ones, all or none.
    ///
    /// # Errors
    /// [`Error::Full`].
    pub fn alloc_many(&mut self, count: u32) -> Result<Vec<PageId>, Error> {
        let ids = self.call(ALLOCATING, |exports, store, tx| {
            exports.call_alloc(store, tx, count)
        })?;
        Effects::expect_regular(self.pager, count, &ids)?;
        self.pending.effects.allocated.extend(&ids);
        Ok(ids.into_iter().map(PageId::new).collect())
    }

    /// Frees a regular page. It can be allocated again once this is committed.
    ///
    /// # Errors
    /// [`Error::OutOfRange`], [`Error::NotAllocated`], [`Error::NotRegular`].
    pub fn free(&mut self, id: PageId) -> Result<(), Error> {
        self.free_many(&[id])
    }

    /// Frees regular pages, all or none.
    ///
    /// # Errors
    /// As [`free`](Self::free), and [`Error::Duplicate`].
    pub fn free_many(&mut self, ids: &[PageId]) -> Result<(), Error> {
        let mut freed: Vec<u64> = ids.iter().map(|id| id.get()).collect();
        self.call("freeing pages", |exports, store, tx| {
            exports.call_free(store, tx, &freed)
        })?;
        let effects = &mut self.pending.effects;
        effects.freed.extend(&freed);
        if !effects.allocated.is_empty() {
            // What was allocated in here can be freed in here, and then be
            // allocated again.
            freed.sort_unstable();
            effects
                .allocated
                .retain(|id| freed.binary_search(id).is_err());
        }
        Ok(())
    }

    /// Allocates a protected page. It reads as zeros once this is committed.
    ///
    /// # Errors
    /// [`Error::Full`], [`Error::DirectoryFull`].
    pub fn alloc_protected(&mut self) -> Result<ProtectedId, Error> {
        first(&self.alloc_protected_many(1)?)
    }

    /// Allocates protected pages, the lowest free ids, all or none.
    ///
    /// # Errors
    /// As [`alloc_protected`](Self::alloc_protected).
    pub fn alloc_protected_many(&mut self, count: u32) -> Result<Vec<ProtectedId>, Error> {
        let ids = self.call(ALLOCATING, |exports, store, tx| {
            exports.call_alloc_protected(store, tx, count)
        })?;
        Effects::expect_protected(self.pager, count, &ids, &self.pending.dropped)?;
        if let Some(id) = ids.iter().find(|id| self.pending.created.contains(id)) {
            let cause = format!("it gave protected page {id} away twice");
            return Err(self.pager.distrust(ALLOCATING, cause));
        }
        self.create(&ids);
        Ok(ids.into_iter().map(ProtectedId::new).collect())
    }

    /// Allocates protected pages under ids of the caller's choice, all or none:
    /// an engine's own page numbers can be the ids. They read as zeros once this
    /// is committed. A format may keep something for every id below the highest,
    /// as format 0 does: numbers without large gaps take less.
    ///
    /// # Errors
    /// [`Error::NotFree`], [`Error::Duplicate`], [`Error::Full`],
    /// [`Error::DirectoryFull`].
    pub fn claim_protected(&mut self, ids: &[ProtectedId]) -> Result<(), Error> {
        let ids: Vec<u64> = ids.iter().map(|id| id.get()).collect();
        self.call(ALLOCATING, |exports, store, tx| {
            exports.call_claim_protected(store, tx, &ids)
        })?;
        self.create(&ids);
        Ok(())
    }

    fn create(&mut self, ids: &[u64]) {
        let Pending {
            created,
            dropped,
            effects,
            ..
        } = &mut self.pending;
        for id in ids {
            created.insert(*id);
            dropped.remove(id);
            effects.protected_end = effects.protected_end.max(id.saturating_add(1));
        }
        effects.moved.extend(ids);
    }

    /// Frees a protected page.
    ///
    /// # Errors
    /// [`Error::NotProtected`].
    pub fn free_protected(&mut self, id: ProtectedId) -> Result<(), Error> {
        self.free_protected_many(&[id])
    }

    /// Frees protected pages, all or none.
    ///
    /// # Errors
    /// As [`free_protected`](Self::free_protected), and [`Error::Duplicate`].
    pub fn free_protected_many(&mut self, ids: &[ProtectedId]) -> Result<(), Error> {
        let ids: Vec<u64> = ids.iter().map(|id| id.get()).collect();
        self.call("freeing protected pages", |exports, store, tx| {
            exports.call_free_protected(store, tx, &ids)
        })?;
        self.pending.effects.moved.extend(&ids);
        for id in &ids {
            self.pending.created.remove(id);
            self.pending.dropped.insert(*id);
            if let Some(buffer) = self.pending.staged.remove(id) {
                self.pager.spare().keep(buffer);
            }
        }
        Ok(())
    }

    /// The pending bytes of a protected page, to be written. They start as the
    /// committed bytes, and are the same ones when asked for again. They take
    /// memory until the transaction ends, which
    /// [`Limits::staged`](crate::Limits::staged) bounds.
    ///
    /// # Errors
    /// [`Error::NotProtected`], [`Error::Corrupt`],
    /// [`Error::ChecksumMismatch`]; [`Error::StagedLimit`], after which the
    /// transaction goes on; [`Error::Store`].
    pub fn write(&mut self, id: ProtectedId) -> Result<&mut [u8], Error> {
        self.stage(id, Pager::stage_committed)
    }

    /// Writes a protected page whole. What is committed is not read and not
    /// verified: that is quicker than [`write`](Self::write), and mends a page
    /// whose bytes went bad.
    ///
    /// ```no_run
    /// # fn f(pager: &mut pagebox::Pager, backup: &[u8]) -> Result<(), pagebox::Error> {
    /// let mut tx = pager.begin()?;
    /// tx.replace(pagebox::ProtectedId::new(0), backup)?; // as many bytes as a page has
    /// tx.commit()?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Error::NotAWholePage`]; as [`write`](Self::write), but for
    /// [`Error::ChecksumMismatch`].
    pub fn replace(&mut self, id: ProtectedId, bytes: &[u8]) -> Result<(), Error> {
        let page_size = self.pager.page_size().bytes();
        if bytes.len() != page_size {
            return Err(Error::NotAWholePage {
                len: bytes.len(),
                page_size,
            });
        }
        self.stage(id, Pager::stage_blank)?.copy_from_slice(bytes);
        Ok(())
    }

    /// Writes protected pages whole, all or none: as
    /// [`replace`](Self::replace) for each.
    ///
    /// # Errors
    /// As there; nothing is pending then that was not before.
    pub fn replace_many<'b>(
        &mut self,
        pages: impl IntoIterator<Item = (ProtectedId, &'b [u8])>,
    ) -> Result<(), Error> {
        let mut before = Vec::new();
        for (id, bytes) in pages {
            let old = self.pending.staged.get(&id.get()).cloned();
            if let Err(error) = self.replace(id, bytes) {
                for (id, old) in before.into_iter().rev() {
                    match old {
                        Some(old) => drop(self.pending.staged.insert(id, old)),
                        None => drop(self.pending.staged.remove(&id)),
                    }
                }
                return Err(error);
            }
            before.push((id.get(), old));
        }
        Ok(())
    }

    /// The bytes of a protected page as this transaction would leave them.
    ///
    /// # Errors
    /// As [`Pager::protected_page`], for a page of which nothing is pending.
    pub fn read(&self, id: ProtectedId) -> Result<&[u8], Error> {
        match self.pending.bytes(id)? {
            Some(Bytes::Staged(buffer)) => Ok(buffer),
            Some(Bytes::Zeros) => Ok(self.pager.zeros()),
            None => self.pager.protected_page(id),
        }
    }

    /// Copies bytes of a protected page as this transaction would leave them,
    /// from `offset` on.
    ///
    /// # Errors
    /// As [`Pager::read_protected`].
    pub fn read_at(&self, id: ProtectedId, offset: usize, bytes: &mut [u8]) -> Result<(), Error> {
        match self.pending.bytes(id)? {
            None => self.pager.read_protected(id, offset, bytes),
            Some(pending) => {
                self.pager.offset(offset, bytes.len())?;
                match pending {
                    Bytes::Staged(buffer) => {
                        bytes.copy_from_slice(&buffer[offset..offset + bytes.len()]);
                    }
                    Bytes::Zeros => bytes.fill(0),
                }
                Ok(())
            }
        }
    }

    /// The pending bytes of a protected page; where there are none, those that
    /// `first` makes of the committed page.
    fn stage(
        &mut self,
        id: ProtectedId,
        first: impl FnOnce(&mut Pager, ProtectedId) -> Result<PageBuffer, Error>,
    ) -> Result<&mut [u8], Error> {
        self.pager.expect_own()?;
        let bytes = self.pending.bytes(id)?;
        if !matches!(bytes, Some(Bytes::Staged(_))) {
            let is_new = bytes.is_some();
            let limit = self.pager.staged_max();
            let page_size = self.pager.page_size().bytes();
            if (self.pending.staged.len() + 1).saturating_mul(page_size) > limit {
                return Err(Error::StagedLimit { limit });
            }
            let buffer = if is_new {
                self.pager.stage_zeros()?
            } else {
                first(self.pager, id)?
            };
            self.pending.staged.insert(id.get(), buffer);
        }
        self.pending.operations += 1;
        match self.pending.staged.get_mut(&id.get()) {
            Some(buffer) => Ok(buffer),
            None => unreachable!("it was put there"),
        }
    }

    /// Makes the changes durable: all of them or, after a crash or an error,
    /// none; and with them all that was [deferred](Self::commit_deferred) before.
    /// One sync, however many they are, and one more where regular pages are
    /// allocated that the file had already; two in format 0. No input or output
    /// at all if there are none.
    ///
    /// # Errors
    /// [`Error::Full`] and [`Error::Store`] with
    /// [`InsufficientSpace`](crate::StoreError::InsufficientSpace), after which
    /// the pager goes on; [`Error::Store`] and [`Error::Sandbox`], after which
    /// it has to be [reopened](Pager::reopen).
    pub fn commit(self) -> Result<CommitInfo, Error> {
        self.commit_as(wit::Durability::Durable)
    }

    /// Commits the changes without a sync: everybody sees them at once, and they
    /// are durable with the next [`commit`](Self::commit) or
    /// [`Pager::sync`], or earlier: [`CommitInfo::durable`] says. A crash before
    /// that undoes them, and those after them, and nothing else: what is found
    /// then is a state that was committed. A pager that is closed or dropped
    /// makes them durable, if it can.
    ///
    /// ```no_run
    /// # fn f(pager: &mut pagebox::Pager, ids: &[pagebox::ProtectedId]) -> Result<(), pagebox::Error> {
    /// for &id in ids {
    ///     let mut tx = pager.begin()?;
    ///     tx.write(id)?[0] += 1;
    ///     tx.commit_deferred()?; // each by itself, all or nothing
    /// }
    /// pager.sync()?; // and all of them durable, with one sync
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`commit`](Self::commit); [`Error::Other`] for a file of format 0,
    /// which has no such commits.
    pub fn commit_deferred(self) -> Result<CommitInfo, Error> {
        self.commit_as(wit::Durability::Deferred)
    }

    fn commit_as(mut self, durability: wit::Durability) -> Result<CommitInfo, Error> {
        let Self { pager, pending } = &mut self;
        pager.expect_own()?;
        pending.effects.expect_once(pager)?;
        if pending.handle.is_none() && pending.staged.is_empty() {
            if durability == wit::Durability::Durable && pager.has_deferred() {
                pager.sync()?;
            }
            return Ok(pager.committed());
        }
        let (ids, buffers): (Vec<_>, Vec<_>) =
            std::mem::take(&mut pending.staged).into_iter().unzip();
        let algorithm = pager.algorithm();
        let pages = ids.iter().zip(&buffers).zip(0..);
        let pages: Vec<_> = pages
            .map(|((&id, bytes), buffer)| wit::HeldPage {
                id,
                buffer,
                checksum: bytes.checksum(algorithm).into(),
            })
            .collect();
        pager.stores().hold_pages(Held::new(buffers));
        let done = pending.hand_over(pager, &pages, durability);
        let written: Vec<_> = pager.stores().take_held().into_written().collect();
        let mut effects = std::mem::take(&mut pending.effects);
        effects.moved.extend(&ids);
        let info = done.and_then(|info| effects.apply(pager, info));
        for (id, (buffer, page)) in ids.into_iter().zip(written) {
            if info.is_ok() {
                let page = pager.expect_written(COMMITTING, ProtectedId::new(id), page)?;
                // It was this process that wrote it, so it need not be verified.
                pager.cache().add_protected(id, page);
            }
            pager.spare().keep(buffer);
        }
        info
    }

    /// Drops the changes.
    pub fn rollback(self) {}
}

/// The pending bytes of a protected page.
enum Bytes<'t> {
    Staged(&'t PageBuffer),
    /// It is new, and nothing was written to it.
    Zeros,
}

impl Pending {
    /// The pending bytes of a protected page; none: it is as committed.
    fn bytes(&self, id: ProtectedId) -> Result<Option<Bytes<'_>>, Error> {
        let number = id.get();
        if let Some(buffer) = self.staged.get(&number) {
            return Ok(Some(Bytes::Staged(buffer)));
        }
        if self.dropped.contains(&number) {
            return Err(Error::NotProtected(id));
        }
        Ok(self.created.contains(&number).then_some(Bytes::Zeros))
    }

    /// Lets the component commit, with these pages of the host's.
    fn hand_over(
        &mut self,
        pager: &mut Pager,
        pages: &[wit::HeldPage],
        durability: wit::Durability,
    ) -> Result<wit::CommitInfo, Error> {
        let Some(tx) = self.handle else {
            let base = self.base;
            return pager.lend(COMMITTING, Right::Write, |exports, store, pager| {
                exports
                    .pager()
                    .call_write(store, pager, base, pages, durability)
            });
        };
        if !pages.is_empty() {
            pager.ask(COMMITTING, |exports, store, _| {
                exports.transaction().call_write(store, tx, pages)
            })?;
        }
        self.handle = None;
        pager.lend(COMMITTING, Right::Write, |exports, store, _| {
            exports.call_commit(store, tx, durability)
        })
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        if let Some(tx) = self.pending.handle.take() {
            // A sandbox that fails here says so at the next call.
            let _ = self.pager.ask("rolling back", |_, store, _| {
                tx.resource_drop(store).map(Ok)
            });
        }
        for buffer in std::mem::take(&mut self.pending.staged).into_values() {
            self.pager.spare().keep(buffer);
        }
    }
}

fn first<I: Copy>(ids: &[I]) -> Result<I, Error> {
    ids.first()
        .copied()
        .ok_or_else(|| nonsense(ALLOCATING, "it allocated nothing"))
}
