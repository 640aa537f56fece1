//! [`Pager`]: an open page file.
//!
//! The pager owns the store. For a call that changes something the store is
//! lent to the sandbox and taken back after; a call that only asks where a page
//! is finds no store there, so it needs no more than `&self`.
//!
//! What the sandbox says is not believed but checked, as far as that takes no
//! knowledge of the format:
//! - It changes the store in `create`, `commit` and, to write, `open` only, and
//!   syncs it besides in `sync`: whatever else it does, the file is as of the
//!   last commit.
//! - A page that it names as a caller's is in the store, is not page 0, and
//!   is nobody else's as far as is known here.
//! - Its figures agree with the store and with each other, its lists are in
//!   order and no longer than asked for.
//!
//! An answer that cannot be is the end of that sandbox, as a trap is. What it
//! writes in a commit is up to it: a hostile one can ruin the file that it was
//! handed, and nothing else.

use std::sync::{Mutex, PoisonError};

use pagebox_store::{Geometry, PageSize, StoreError};
use wasmtime::component::{Resource, ResourceAny};

use crate::cache::Cache;
use crate::engine::Engine;
use crate::figures::Stats;
use crate::iter::{ProtectedPages, RegularPages};
use crate::owner::Owner;
use crate::page_stores::{PageStores, Right, StoreHandle};
use crate::sandbox::{Data, Sandbox, nonsense};
use crate::store::write_at;
use crate::transaction::Transaction;
use crate::wit::PagerComponent;
use crate::wit::exports::pagebox::pager::pager as wit;
use crate::{Error, Store};

/// What a pager may do with its store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Only look. Works on damaged files as far as their bytes prove
    /// themselves.
    Read,
    /// Change it too. Refused on a damaged file.
    Write,
}

/// An open page file.
///
/// It is read through `&self`, by any number of threads at once, and changed
/// through `&mut self`. References to pages end before a change:
///
/// ```no_run
/// # fn f(pager: &mut pagebox::Pager) -> Result<(), pagebox::Error> {
/// let bytes = pager.protected_page(0)?;
/// println!("{}", bytes[0]);
/// pager.begin()?.commit()?; // may move what `bytes` refers to
/// # Ok(()) }
/// ```
/// ```compile_fail,E0502
/// # fn f(pager: &mut pagebox::Pager) -> Result<(), pagebox::Error> {
/// let bytes = pager.protected_page(0)?;
/// pager.begin()?.commit()?;
/// println!("{}", bytes[0]); // so this does not compile
/// # Ok(()) }
/// ```
///
/// Regular pages are changed in place, and durable after [`sync`](Self::sync).
/// Protected pages are changed by a [`Transaction`], all or nothing.
///
/// It belongs to the process that opened it: in a child that was forked since,
/// all that it is asked is answered by [`Error::Forked`], and dropping it
/// writes and unlocks nothing. [`MmapStore`](crate::MmapStore) says more. (A
/// store in memory is copied by the fork: pages of it that were found before
/// may still be looked at.)
pub struct Pager {
    store: Box<dyn Store>,
    cache: Cache,
    sandbox: Mutex<Sandbox<PagerComponent>>,
    /// The component's pager.
    handle: ResourceAny,
    engine: Engine,
    access: Access,
    owner: Owner,
}

/// The exports that a pager is driven by.
type Exports = wit::Guest;

impl Pager {
    /// Makes a page file in an empty store.
    pub(crate) fn create(
        engine: &Engine,
        sandbox: Sandbox<PagerComponent>,
        mut store: Box<dyn Store>,
        page_count: u64,
    ) -> Result<Self, Error> {
        let started = start(
            sandbox,
            &mut store,
            ("creating the file", Right::Write),
            |exports, store, handle| exports.call_create(store, handle, page_count),
        )?;
        Self::new(engine, started, store, Access::Write)
    }

    /// Opens the page file in a store.
    pub(crate) fn open(
        engine: &Engine,
        sandbox: Sandbox<PagerComponent>,
        mut store: Box<dyn Store>,
        access: Access,
    ) -> Result<Self, Error> {
        let opened = open(sandbox, &mut store, access)?;
        Self::new(engine, opened, store, access)
    }

    fn new(
        engine: &Engine,
        (sandbox, handle): (Sandbox<PagerComponent>, ResourceAny),
        store: Box<dyn Store>,
        access: Access,
    ) -> Result<Self, Error> {
        let mut pager = Self {
            store,
            cache: Cache::default(),
            sandbox: Mutex::new(sandbox),
            handle,
            engine: engine.clone(),
            access,
            owner: Owner::here(),
        };
        pager.make_room()?;
        Ok(pager)
    }

    /// Makes room in the cache for what the file holds.
    fn make_room(&mut self) -> Result<(), Error> {
        let stats = self.stats()?;
        let protected = stats.protected_capacity.max(stats.protected_pages);
        self.resize_cache(stats.page_count, protected);
        Ok(())
    }

    /// Makes room in the cache. What the sandbox says is bounded by what the
    /// store holds.
    fn resize_cache(&mut self, regular: u64, protected: u64) {
        let bound = self.store.geometry().page_count;
        self.cache.resize(regular.min(bound), protected.min(bound));
    }

    /// The shape of its store.
    pub(crate) fn geometry(&self) -> Geometry {
        self.store.geometry()
    }

    /// Makes room in the cache for what a commit added.
    pub(crate) fn grow_cache(&mut self, regular: u64, protected: u64) {
        let protected = protected.max(self.cache.protected_end());
        self.resize_cache(regular, protected);
    }

    pub(crate) fn cache(&mut self) -> &mut Cache {
        &mut self.cache
    }

    /// That this is the process that opened it. A child that was forked would
    /// wait for threads that it does not have, and change what is not its own.
    #[inline]
    pub(crate) fn expect_own(&self) -> Result<(), Error> {
        if self.owner.is_here() {
            Ok(())
        } else {
            Err(Error::Forked)
        }
    }

    /// Asks the sandbox something that takes no store.
    pub(crate) fn ask<R>(
        &self,
        operation: &'static str,
        f: impl FnOnce(&Exports, &mut wasmtime::Store<Data>, ResourceAny) -> Answer<R>,
    ) -> Result<R, Error> {
        self.expect_own()?;
        let mut sandbox = self.sandbox.lock().unwrap_or_else(PoisonError::into_inner);
        let result = sandbox
            .call(operation, |world, store| {
                f(world.pagebox_pager_pager(), store, self.handle)
            })
            .and_then(|result| result.map_err(Error::from));
        self.forget_after(&result);
        result
    }

    /// Lets the sandbox do something with the store.
    pub(crate) fn lend<R>(
        &mut self,
        operation: &'static str,
        right: Right,
        f: impl FnOnce(&Exports, &mut wasmtime::Store<Data>, ResourceAny) -> Answer<R>,
    ) -> Result<R, Error> {
        self.expect_own()?;
        let sandbox = self
            .sandbox
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        // A panic that comes out of the store leaves nothing here that could
        // not be so any more.
        let doubt = Doubt(&self.cache);
        let result = sandbox
            .call_with(&mut self.store, right, operation, |world, store| {
                f(world.pagebox_pager_pager(), store, self.handle)
            })
            .and_then(|result| result.map_err(Error::from));
        std::mem::forget(doubt);
        self.forget_after(&result);
        result
    }

    /// Poisoned, or gone: whoever reads is to be told.
    fn forget_after<R>(&self, result: &Result<R, Error>) {
        if result.as_ref().is_err_and(Error::is_system) {
            self.cache.clear();
        }
    }

    /// The error for an answer that cannot be: the end of the sandbox that gave
    /// it.
    pub(crate) fn distrust(&self, operation: &'static str, cause: impl Into<String>) -> Error {
        let mut sandbox = self.sandbox.lock().unwrap_or_else(PoisonError::into_inner);
        sandbox.distrust();
        self.cache.clear();
        nonsense(operation, cause)
    }

    /// That a page which the sandbox names can be a caller's.
    pub(crate) fn expect_page(&self, operation: &'static str, page: u64) -> Result<(), Error> {
        let page_count = self.store.geometry().page_count;
        if page == 0 {
            Err(self.distrust(operation, "it gave page 0 away, which is the pager's own"))
        } else if self.access == Access::Write && page >= page_count {
            // A damaged file, which can be read only, may name such pages: to
            // read them is an error of the store.
            let cause = format!("it named page {page} of a store of {page_count} pages");
            Err(self.distrust(operation, cause))
        } else {
            Ok(())
        }
    }

    /// Bytes that a transaction may have staged.
    pub(crate) fn staged_max(&self) -> usize {
        self.engine.limits().staged
    }

    /// The stores of the sandbox, for the views that it hands out.
    pub(crate) fn stores(&mut self) -> &mut PageStores {
        let sandbox = self
            .sandbox
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        sandbox.stores()
    }

    /// Figures of the committed state.
    ///
    /// # Errors
    /// [`Error::Sandbox`].
    pub fn stats(&self) -> Result<Stats, Error> {
        const OPERATION: &str = "reading figures";
        let stats = self.ask(OPERATION, |exports, store, pager| {
            exports.pager().call_stats(store, pager).map(Ok)
        })?;
        if self.are_possible(&stats) {
            Ok(stats.into())
        } else {
            Err(self.distrust(OPERATION, format!("its figures cannot be: {stats:?}")))
        }
    }

    /// Whether figures agree with the store and with each other.
    fn are_possible(&self, stats: &wit::Stats) -> bool {
        let geometry = self.store.geometry();
        let pages = [stats.free_pages, stats.regular_pages, stats.internal_pages];
        let sum = pages.into_iter().try_fold(0, u64::checked_add);
        stats.page_size == geometry.page_size.bytes_u32()
            // A damaged file, which can be read only, does not say all.
            && (self.access == Access::Read
                || stats.page_count <= geometry.page_count && sum == Some(stats.page_count))
    }

    /// Whether it shows the state of the file as it is now. False once somebody
    /// else has committed to a file that was opened to read;
    /// [`reopen`](Self::reopen) then shows what the file holds. A pager that
    /// may write keeps others out, and is always current.
    ///
    /// # Errors
    /// [`Error::Store`], [`Error::Sandbox`].
    pub fn is_current(&self) -> Result<bool, Error> {
        self.expect_own()?;
        let Some(mut reader) = self.reader() else {
            return Ok(true);
        };
        let mut sandbox = self.sandbox.lock().unwrap_or_else(PoisonError::into_inner);
        sandbox
            .call_with(
                &mut reader,
                Right::Read,
                "looking for changes",
                |world, store| {
                    let exports = world.pagebox_pager_pager().pager();
                    exports.call_is_current(store, self.handle)
                },
            )
            .and_then(|result| result.map_err(Error::from))
    }

    /// A handle on the medium, where others may write to it.
    fn reader(&self) -> Option<Box<dyn Store>> {
        match self.access {
            Access::Read => self.store.reader(),
            Access::Write => None,
        }
    }

    /// The size of its pages.
    pub fn page_size(&self) -> PageSize {
        self.store.geometry().page_size
    }

    /// What it may do with its store.
    pub fn access(&self) -> Access {
        self.access
    }

    /// The bytes of a regular page.
    ///
    /// # Errors
    /// [`Error::OutOfRange`], [`Error::NotAllocated`], [`Error::NotRegular`];
    /// [`Error::NotLendable`] where the store can only be copied from;
    /// [`Error::Store`].
    #[inline]
    pub fn page(&self, id: u64) -> Result<&[u8], Error> {
        // All that a read of a page that was found before takes. A store that
        // a fork does not copy lends nothing to the child.
        if self.cache.is_regular(id)
            && let Some(bytes) = self.store.page(id)
        {
            return Ok(bytes);
        }
        self.expect_own()?;
        let page = self.locate(id)?;
        self.lendable(page)
    }

    /// The bytes of a physical page.
    fn lendable(&self, page: u64) -> Result<&[u8], Error> {
        self.store.page(page).ok_or_else(|| {
            if page < self.store.geometry().page_count {
                Error::NotLendable
            } else {
                reading(page, StoreError::OutOfBounds)
            }
        })
    }

    /// The bytes of a regular page, to be changed in place. They are durable
    /// after [`sync`](Self::sync).
    ///
    /// # Errors
    /// As [`page`](Self::page), and [`Error::ReadOnly`].
    pub fn page_mut(&mut self, id: u64) -> Result<&mut [u8], Error> {
        self.expect_own()?;
        let page = self.locate_to_write(id)?;
        self.store
            .page_mut(page)
            .map_err(|cause| writing(page, cause))?
            .ok_or(Error::NotLendable)
    }

    /// Copies bytes of a regular page, from `offset` on.
    ///
    /// # Errors
    /// [`Error::OutOfRange`], [`Error::NotAllocated`], [`Error::NotRegular`],
    /// [`Error::PastPageEnd`], [`Error::Store`].
    pub fn read(&self, id: u64, offset: usize, bytes: &mut [u8]) -> Result<(), Error> {
        self.expect_own()?;
        let offset = self.offset(offset, bytes.len())?;
        let page = self.locate(id)?;
        self.store
            .read(page, offset, bytes)
            .map_err(|cause| reading(page, cause))
    }

    /// Replaces bytes of a regular page, from `offset` on. They are durable
    /// after [`sync`](Self::sync).
    ///
    /// # Errors
    /// As [`read`](Self::read), and [`Error::ReadOnly`].
    pub fn write(&mut self, id: u64, offset: usize, bytes: &[u8]) -> Result<(), Error> {
        self.expect_own()?;
        let offset = self.offset(offset, bytes.len())?;
        let page = self.locate_to_write(id)?;
        write_at(&mut *self.store, page, offset, bytes).map_err(|cause| writing(page, cause))
    }

    /// The committed bytes of a protected page, verified against their
    /// checksum when first asked for.
    ///
    /// # Errors
    /// [`Error::NotProtected`], [`Error::ChecksumMismatch`],
    /// [`Error::Corrupt`]; [`Error::NotLendable`] where the store can only be
    /// copied from; [`Error::Store`].
    #[inline]
    pub fn protected_page(&self, id: u64) -> Result<&[u8], Error> {
        if let Some(page) = self.cache.protected(id)
            && let Some(bytes) = self.store.page(page)
        {
            return Ok(bytes);
        }
        self.verified_page(id)
    }

    /// The bytes of a protected page that is not in the cache.
    fn verified_page(&self, id: u64) -> Result<&[u8], Error> {
        let location = self.locate_protected(id)?;
        let bytes = self.lendable(location.page)?;
        self.verify(id, &location, bytes)?;
        self.cache.add_protected(id, location.page);
        Ok(bytes)
    }

    /// Copies committed bytes of a protected page, from `offset` on.
    ///
    /// Two reads that both succeed are of the same state, also of a file that
    /// was opened to read and that others write to.
    ///
    /// # Errors
    /// [`Error::NotProtected`], [`Error::ChecksumMismatch`],
    /// [`Error::Changed`], [`Error::Corrupt`], [`Error::PastPageEnd`],
    /// [`Error::Store`].
    pub fn read_protected(&self, id: u64, offset: usize, bytes: &mut [u8]) -> Result<(), Error> {
        self.offset(offset, bytes.len())?;
        match self.protected_page(id) {
            Ok(page) => bytes.copy_from_slice(&page[offset..offset + bytes.len()]),
            // Somebody else may be writing to such a store: each copy is
            // verified.
            Err(Error::NotLendable) => {
                let location = self.locate_protected(id)?;
                let page = self
                    .store
                    .stage(Some(location.page))
                    .map_err(|cause| reading(location.page, cause))?;
                self.verify(id, &location, &page)?;
                bytes.copy_from_slice(&page[offset..offset + bytes.len()]);
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// A transaction on the committed state.
    ///
    /// # Errors
    /// [`Error::ReadOnly`], [`Error::Poisoned`].
    pub fn begin(&mut self) -> Result<Transaction<'_>, Error> {
        Transaction::begin(self)
    }

    /// The regular pages, in ascending order; of a file that is too short,
    /// those that are there.
    pub fn regular_pages(&self) -> RegularPages<'_> {
        RegularPages::new(self)
    }

    /// The protected pages, in ascending order of their ids.
    pub fn protected_pages(&self) -> ProtectedPages<'_> {
        ProtectedPages::new(self)
    }

    /// Makes all that was written to regular pages durable.
    ///
    /// # Errors
    /// [`Error::ReadOnly`], [`Error::Poisoned`], [`Error::Store`].
    pub fn sync(&mut self) -> Result<(), Error> {
        self.lend("syncing", Right::Sync, |exports, store, pager| {
            exports.pager().call_sync(store, pager)
        })
    }

    /// Closes the file and hands its store back. Nothing is synced:
    /// see [`sync`](Self::sync).
    ///
    /// Dropping a pager closes it too.
    pub fn close(self) -> Box<dyn Store> {
        self.store
    }

    /// Starts over with a new sandbox, on the same store and under the same
    /// lock: the way on after [`Error::Sandbox`] and [`Error::Poisoned`].
    ///
    /// # Errors
    /// As [`Engine::open_store`]; the pager stays as unusable as it was.
    pub fn reopen(&mut self) -> Result<(), Error> {
        self.expect_own()?;
        let sandbox = self.engine.sandbox()?;
        let (sandbox, handle) = open(sandbox, &mut self.store, self.access)?;
        let before = (
            std::mem::replace(&mut self.sandbox, Mutex::new(sandbox)),
            std::mem::replace(&mut self.handle, handle),
            std::mem::take(&mut self.cache),
        );
        let reopened = self.make_room();
        if reopened.is_err() {
            (self.sandbox, self.handle, self.cache) = before;
        }
        reopened
    }

    /// The physical page of a regular page.
    fn locate(&self, id: u64) -> Result<u64, Error> {
        const OPERATION: &str = "locating a page";
        if self.cache.is_regular(id) {
            return Ok(id);
        }
        let page = self.ask(OPERATION, |exports, store, pager| {
            exports.pager().call_locate(store, pager, id)
        })?;
        self.expect_page(OPERATION, page)?;
        if page != id {
            let cause = format!("it found regular page {id} in page {page}");
            return Err(self.distrust(OPERATION, cause));
        }
        self.cache.add_regular(id);
        Ok(page)
    }

    fn locate_to_write(&self, id: u64) -> Result<u64, Error> {
        match self.access {
            Access::Read => Err(Error::ReadOnly),
            Access::Write => self.locate(id),
        }
    }

    fn locate_protected(&self, id: u64) -> Result<wit::Location, Error> {
        const OPERATION: &str = "locating a protected page";
        let location = self.ask(OPERATION, |exports, store, pager| {
            exports.pager().call_locate_protected(store, pager, id)
        })?;
        let page = location.page;
        self.expect_page(OPERATION, page)?;
        if self.cache.is_regular(page) {
            let cause = format!("it found protected page {id} in page {page}, a regular page");
            return Err(self.distrust(OPERATION, cause));
        }
        Ok(location)
    }

    /// That these bytes are the ones that were committed. Those that are not
    /// may be of a later state.
    fn verify(&self, id: u64, location: &wit::Location, bytes: &[u8]) -> Result<(), Error> {
        let actual = crc32fast::hash(bytes);
        if actual == location.checksum {
            return Ok(());
        }
        if !self.is_current()? {
            return Err(Error::Changed);
        }
        Err(Error::ChecksumMismatch {
            id,
            page: location.page,
            expected: location.checksum,
            actual,
            unproven: location.generation == 0,
        })
    }

    /// An offset that leaves room for `len` bytes in a page.
    fn offset(&self, offset: usize, len: usize) -> Result<u32, Error> {
        let page_size = self.page_size().bytes();
        let fits = offset.checked_add(len).is_some_and(|end| end <= page_size);
        match u32::try_from(offset) {
            Ok(offset) if fits => Ok(offset),
            _ => Err(Error::PastPageEnd {
                offset,
                len,
                page_size,
            }),
        }
    }
}

/// Hands a store to a sandbox that is to open it.
fn open(
    sandbox: Sandbox<PagerComponent>,
    store: &mut Box<dyn Store>,
    access: Access,
) -> Result<(Sandbox<PagerComponent>, ResourceAny), Error> {
    let (wish, right) = match access {
        Access::Read => (wit::Access::Read, Right::Read),
        Access::Write => (wit::Access::Write, Right::Write),
    };
    start(
        sandbox,
        store,
        ("opening the file", right),
        |exports, store, handle| exports.call_open(store, handle, wish),
    )
}

/// Hands a store to a sandbox, and takes it back whatever comes of it.
fn start(
    mut sandbox: Sandbox<PagerComponent>,
    store: &mut Box<dyn Store>,
    (operation, right): (&'static str, Right),
    f: impl FnOnce(
        &Exports,
        &mut wasmtime::Store<Data>,
        Resource<StoreHandle>,
    ) -> wasmtime::Result<Result<ResourceAny, wit::Error>>,
) -> Result<(Sandbox<PagerComponent>, ResourceAny), Error> {
    let handle = sandbox.call_with(store, right, operation, |world, store| {
        f(world.pagebox_pager_pager(), store, PageStores::own())
    })??;
    Ok((sandbox, handle))
}

/// Clears a cache when it is dropped, as it is when a panic passes by.
struct Doubt<'c>(&'c Cache);

impl Drop for Doubt<'_> {
    fn drop(&mut self) {
        self.0.clear();
    }
}

/// What an export of the component answers.
pub(crate) type Answer<R> = wasmtime::Result<Result<R, wit::Error>>;

fn reading(page: u64, cause: StoreError) -> Error {
    Error::Store {
        operation: format!("reading page {page}"),
        cause,
    }
}

fn writing(page: u64, cause: StoreError) -> Error {
    match cause {
        StoreError::ReadOnly => Error::ReadOnly,
        cause => Error::Store {
            operation: format!("writing page {page}"),
            cause,
        },
    }
}

impl std::fmt::Debug for Pager {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pager")
            .field("geometry", &self.store.geometry())
            .field("access", &self.access)
            .finish_non_exhaustive()
    }
}
