//! [`Transaction`]: pending changes, that become durable together or not at
//! all.

use std::collections::BTreeMap;

use wasmtime::component::{Resource, ResourceAny};

use crate::Error;
use crate::figures::CommitInfo;
use crate::handles::ViewHandle;
use crate::ids::{PageId, ProtectedId};
use crate::page_stores::Right;
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
/// let pages = tx.alloc_many(100)?;
/// tx.commit()?; // all of it, or none of it
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Transaction<'p> {
    pager: &'p mut Pager,
    /// The component's transaction, until it is committed or rolled back.
    handle: Option<ResourceAny>,
    /// The pages that are being written, by protected id.
    staged: BTreeMap<u64, Resource<ViewHandle>>,
    /// What it allocated: the pager's cache learns of it at commit.
    allocated: Vec<u64>,
    /// What the pager's cache must forget at commit.
    freed: Vec<u64>,
    changed: Vec<u64>,
    /// The protected ids that it must have room for.
    protected_end: u64,
    /// Operations so far that may have changed something.
    operations: u64,
}

impl Pager {
    /// A transaction on the committed state.
    ///
    /// # Errors
    /// [`Error::ReadOnly`], [`Error::Poisoned`].
    pub fn begin(&mut self) -> Result<Transaction<'_>, Error> {
        Transaction::begin(self)
    }
}

impl<'p> Transaction<'p> {
    fn begin(pager: &'p mut Pager) -> Result<Self, Error> {
        let handle = pager.ask("beginning a transaction", |exports, store, pager| {
            exports.pager().call_begin(store, pager)
        })?;
        Ok(Self {
            pager,
            handle: Some(handle),
            staged: BTreeMap::new(),
            allocated: Vec::new(),
            freed: Vec::new(),
            changed: Vec::new(),
            protected_end: 0,
            operations: 0,
        })
    }

    /// Calls an export with the component's transaction.
    fn call<R>(
        &mut self,
        operation: &'static str,
        f: impl FnOnce(wit::GuestTransaction<'_>, &mut wasmtime::Store<Data>, ResourceAny) -> Answer<R>,
    ) -> Result<R, Error> {
        let handle = self.handle.ok_or(Error::StaleTransaction)?;
        let result = self.pager.ask(operation, |exports, store, _| {
            f(exports.transaction(), store, handle)
        })?;
        self.operations += 1;
        Ok(result)
    }

    /// How many operations so far may have changed something.
    pub(crate) fn operations(&self) -> u64 {
        self.operations
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
        self.expect_ids(count, &ids)?;
        // Those past the store's end are there once this is committed.
        if ids.first() == Some(&0) {
            self.pager.expect_page(ALLOCATING, 0)?;
        }
        let cache = self.pager.cache();
        if let Some(id) = ids.iter().find(|id| cache.is_regular(**id)) {
            let cause = format!("it gave page {id} away, which is in use");
            return Err(self.pager.distrust(ALLOCATING, cause));
        }
        self.allocated.extend(&ids);
        Ok(ids.into_iter().map(PageId::new).collect())
    }

    /// That there are as many ids as were asked for, in ascending order.
    fn expect_ids(&self, count: u32, ids: &[u64]) -> Result<(), Error> {
        let cause = if ids.len() != count as usize {
            format!("it allocated {} pages instead of {count}", ids.len())
        } else if !ids.is_sorted_by(|one, next| one < next) {
            "it does not allocate in ascending order".into()
        } else {
            return Ok(());
        };
        Err(self.pager.distrust(ALLOCATING, cause))
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
        self.freed.extend(&freed);
        if !self.allocated.is_empty() {
            // What was allocated in here can be freed in here, and then be
            // allocated again.
            freed.sort_unstable();
            self.allocated.retain(|id| freed.binary_search(id).is_err());
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
        self.expect_ids(count, &ids)?;
        self.changed.extend(&ids);
        let end = ids.last().map_or(0, |id| id.saturating_add(1));
        self.protected_end = self.protected_end.max(end);
        Ok(ids.into_iter().map(ProtectedId::new).collect())
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
        self.changed.extend(&ids);
        for id in &ids {
            if let Some(view) = self.staged.remove(id) {
                self.pager.stores().let_go(&view);
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
        let id = id.get();
        self.stage(id, |exports, store, tx| exports.call_stage(store, tx, id))
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
        let not_whole = |page_size| Error::NotAWholePage {
            len: bytes.len(),
            page_size,
        };
        let page_size = self.pager.page_size().bytes();
        if bytes.len() != page_size {
            return Err(not_whole(page_size));
        }
        let id = id.get();
        let page = self.stage(id, |exports, store, tx| {
            exports.call_stage_blank(store, tx, id)
        })?;
        if page.len() != page_size {
            return Err(not_whole(page.len()));
        }
        page.copy_from_slice(bytes);
        Ok(())
    }

    /// The pending bytes of a protected page; where there are none, those that
    /// an export stages.
    fn stage(
        &mut self,
        id: u64,
        f: impl FnOnce(
            wit::GuestTransaction<'_>,
            &mut wasmtime::Store<Data>,
            ResourceAny,
        ) -> Answer<Resource<ViewHandle>>,
    ) -> Result<&mut [u8], Error> {
        self.pager.expect_own()?;
        if !self.staged.contains_key(&id) {
            let limit = self.pager.staged_max();
            let page_size = self.pager.page_size().bytes();
            if (self.staged.len() + 1).saturating_mul(page_size) > limit {
                return Err(Error::StagedLimit { limit });
            }
            let view = self.call(STAGING, f)?;
            if self.pager.stores().buffer_mut(&view).is_none() {
                let cause = "it handed out no private buffer";
                return Err(self.pager.distrust(STAGING, cause));
            }
            self.pager.stores().hold(&view);
            self.staged.insert(id, view);
            self.changed.push(id);
        }
        self.operations += 1;
        self.staged
            .get(&id)
            .and_then(|view| self.pager.stores().buffer_mut(view))
            .ok_or(Error::SandboxGone)
    }

    /// Makes the changes durable: all of them or, after a crash or an error,
    /// none. Two syncs, however many they are; no input or output at all if
    /// there are none.
    ///
    /// # Errors
    /// [`Error::Full`] and [`Error::Store`] with
    /// [`InsufficientSpace`](crate::StoreError::InsufficientSpace), after which
    /// the pager goes on; [`Error::Store`] and [`Error::Sandbox`], after which
    /// it has to be [reopened](Pager::reopen).
    pub fn commit(mut self) -> Result<CommitInfo, Error> {
        let Some(tx) = self.handle.take() else {
            return Err(Error::StaleTransaction);
        };
        self.allocated.sort_unstable();
        let mut pairs = self.allocated.windows(2);
        if let Some(&[page, _]) = pairs.find(|pair| pair[0] == pair[1]) {
            let cause = format!("it gave page {page} away twice");
            return Err(self.pager.distrust(ALLOCATING, cause));
        }
        let info = self
            .pager
            .lend(COMMITTING, Right::Write, |exports, store, _| {
                exports.call_commit(store, tx)
            })?;
        // First what is not so any more: whatever fails from here on, nothing
        // that was changed is shown as it was.
        let cache = self.pager.cache();
        cache.change_regular(&[], &self.freed);
        self.changed.iter().for_each(|id| cache.drop_protected(*id));
        let page_count = self.pager.geometry().page_count;
        let end = self
            .allocated
            .last()
            .map_or(0, |last| last.saturating_add(1));
        if info.page_count > page_count || end > info.page_count {
            let cause = format!(
                "it accounts for {} pages, gave away {end} of them, and its store has {page_count}",
                info.page_count
            );
            return Err(self.pager.distrust(COMMITTING, cause));
        }
        self.pager.grow_cache(info.page_count, self.protected_end);
        self.pager.cache().change_regular(&self.allocated, &[]);
        Ok(info.into())
    }

    /// Drops the changes.
    pub fn rollback(self) {}
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        if let Some(tx) = self.handle.take() {
            // A sandbox that fails here says so at the next call.
            let _ = self.pager.ask("rolling back", |_, store, _| {
                tx.resource_drop(store).map(Ok)
            });
        }
        for view in self.staged.values() {
            self.pager.stores().let_go(view);
        }
    }
}

const ALLOCATING: &str = "allocating pages";
const COMMITTING: &str = "committing";
const STAGING: &str = "staging a page";

fn first<I: Copy>(ids: &[I]) -> Result<I, Error> {
    ids.first()
        .copied()
        .ok_or_else(|| nonsense(ALLOCATING, "it allocated nothing"))
}
