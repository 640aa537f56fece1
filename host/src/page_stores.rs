//! The `page-store` import: what a guest may do with the stores it was handed.

mod spare;
mod write;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use pagebox_store::{PageBuffer, StoreError};
use wasmtime::component::{HasSelf, Linker, Resource};
use wasmtime::{Result, ensure, format_err};

use self::spare::Spare;
use crate::Store;
use crate::engine::TICKS;
use crate::slab::Slab;
use crate::store::{Absent, write_at};
use crate::wit::pagebox::pager::page_store as wit;

/// What a `store` of the WIT stands for in a [`Resource`].
#[derive(Debug)]
pub enum StoreHandle {}

/// What a `page-view` of the WIT stands for in a [`Resource`].
#[derive(Debug)]
pub enum ViewHandle {}

/// Data of a [`wasmtime::Store`] that has page stores to offer.
pub trait PageStoreView: 'static {
    /// The page stores.
    fn page_stores(&mut self) -> &mut PageStores;
}

/// Adds the import `page-store` to a linker: for programs that run wasmtime
/// already, of the major version that this crate uses. `host/examples/own_engine.rs`
/// goes on from here. With another wasmtime, [`COMPONENT`](crate::COMPONENT) and
/// the WIT in `wit/` are all that is needed: generate bindings, and provide a
/// `page-store` of your own.
///
/// ```
/// use pagebox::{PageStoreView, PageStores};
///
/// struct Data {
///     stores: PageStores,
/// }
///
/// impl PageStoreView for Data {
///     fn page_stores(&mut self) -> &mut PageStores {
///         &mut self.stores
///     }
/// }
///
/// # fn main() -> wasmtime::Result<()> {
/// let engine = wasmtime::Engine::default();
/// let mut linker = wasmtime::component::Linker::<Data>::new(&engine);
/// pagebox::add_to_linker(&mut linker)?;
/// # Ok(()) }
/// ```
///
/// # Errors
/// If the linker has it already.
pub fn add_to_linker<T: PageStoreView>(linker: &mut Linker<T>) -> Result<()> {
    wit::add_to_linker::<T, HasSelf<PageStores>>(linker, T::page_stores)?;
    write::add_to_linker(linker)
}

/// The stores that the guests of one [`wasmtime::Store`] were handed, and the
/// views that they made of them.
pub struct PageStores {
    own: Own,
    stores: Slab<Box<dyn Store>>,
    views: Slab<View>,
    spare: Spare,
    /// Bytes that views may take in all, and may still take. Less than none
    /// where a guest keeps what the host has let go of.
    budget_max: usize,
    budget: i64,
    /// Ticks of a clock, and how many of them passed in stores since this was
    /// last asked.
    clock: Arc<AtomicU64>,
    ticks: u64,
    /// Whether a sync was done since this was last asked.
    synced: bool,
    /// How often the call at hand changed or synced stores, and how many ticks
    /// it spent in them.
    changes: u32,
    spent: u64,
}

/// A call that goes on to change and sync stores comes to an end: after so many
/// times, and a time in them that is as many times its own as this. One that
/// waits for a slow medium is not to be blamed, so its time alone does not end
/// it; and it ends before it does something, never after.
const CHANGES_MAX: u32 = 1000;
const SPENT_MAX: u64 = 60 * TICKS;

/// What stands for the host's own store.
const OWN: u32 = u32::MAX;

/// The store that the host goes on to hold when a guest drops its handle, and
/// what the guest may do with it.
struct Own {
    store: Box<dyn Store>,
    right: Right,
    /// Bytes that it may grow to.
    len_max: u64,
}

/// What a guest may do with the host's own store during a call. A guest that
/// does more has failed: what it may not change, it has not changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Right {
    /// Look at it.
    Read,
    /// Make durable what was written before, too.
    Sync,
    /// Change it, too.
    Write,
}

/// A store and all views, out of [`PageStores`] for the time of a call. Whoever
/// takes them puts them back, whatever comes of the call.
struct Taken {
    handle: u32,
    store: Box<dyn Store>,
    views: Slab<View>,
    /// When that was, in ticks.
    since: u64,
}

/// One handle of a view.
#[derive(Debug)]
struct View {
    /// The store that it ends with.
    store: u32,
    bytes: Bytes,
    /// Whether its bytes are of the budget: not while the host holds them.
    counts: bool,
    /// How many other views share its private buffer. It stays for them, so
    /// that its number comes to stand for nothing else.
    sharers: u32,
    /// The handle was dropped.
    dropped: bool,
}

#[derive(Debug)]
enum Bytes {
    /// A page of the store.
    Page { page: u64, access: wit::ViewAccess },
    /// A private buffer.
    Private(PageBuffer),
    /// The private buffer of another view.
    Shared(u32),
    /// None any more.
    Ended,
}

/// What a handle of a view costs, so that their number has a limit.
pub(crate) const HANDLE_COST: usize = 64;

/// A number of bytes of a budget.
fn amount(len: usize) -> i64 {
    i64::try_from(len).unwrap_or(i64::MAX)
}

impl Slab<View> {
    /// The view that has the bytes of this one.
    fn origin(&self, rep: u32) -> Option<u32> {
        match self.get(rep)?.bytes {
            Bytes::Shared(origin) => Some(origin),
            Bytes::Page { .. } | Bytes::Private(_) | Bytes::Ended => Some(rep),
        }
    }

    /// The bytes of a view, wherever they are.
    fn bytes(&self, rep: u32) -> Option<&Bytes> {
        Some(&self.get(self.origin(rep)?)?.bytes)
    }

    fn bytes_mut(&mut self, rep: u32) -> Option<&mut Bytes> {
        let origin = self.origin(rep)?;
        Some(&mut self.get_mut(origin)?.bytes)
    }

    /// Ends the views of a store's pages, since the store changed.
    fn end_pages(&mut self, store: u32) {
        for view in self.values_mut() {
            if view.store == store && matches!(view.bytes, Bytes::Page { .. }) {
                view.bytes = Bytes::Ended;
            }
        }
    }
}

impl std::fmt::Debug for PageStores {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PageStores")
            .field("views", &self.views)
            .finish_non_exhaustive()
    }
}

impl Default for PageStores {
    /// No stores, and room for views of a gigabyte.
    fn default() -> Self {
        Self::new(1 << 30, u64::MAX, Arc::default())
    }
}

impl PageStores {
    /// No stores. Views may take `budget` bytes, the host's own store may grow
    /// to `len_max`; `clock` tells how long calls of stores take.
    pub(crate) fn new(budget: usize, len_max: u64, clock: Arc<AtomicU64>) -> Self {
        Self {
            own: Own {
                store: Box::new(Absent),
                right: Right::Read,
                len_max,
            },
            stores: Slab::default(),
            views: Slab::default(),
            spare: Spare::default(),
            budget_max: budget,
            budget: amount(budget),
            clock,
            ticks: 0,
            synced: false,
            changes: 0,
            spent: 0,
        }
    }

    /// Adds a store. The handle is to be handed to a guest.
    ///
    /// # Errors
    /// If there are too many for 32 bits to tell apart.
    pub fn insert(&mut self, store: Box<dyn Store>) -> Result<Resource<StoreHandle>> {
        self.stores.insert(store).map(Resource::new_own)
    }

    /// Takes a store out that a guest handed back.
    pub fn remove(&mut self, handle: &Resource<StoreHandle>) -> Option<Box<dyn Store>> {
        let store = self.stores.remove(handle.rep())?;
        // The number may come to stand for another store.
        for view in self.views.values_mut() {
            if view.store == handle.rep() && !matches!(view.bytes, Bytes::Shared(_)) {
                let bytes = std::mem::replace(&mut view.bytes, Bytes::Ended);
                self.budget += cost(&bytes);
            }
        }
        Some(store)
    }

    /// Whether a guest, or the host, still has the store of this
    /// representation, which may stand for another one after it is gone.
    pub fn holds(&self, rep: u32) -> bool {
        self.stores.get(rep).is_some()
    }

    /// How many stores and views there are. After a guest is done that is what
    /// it forgot to drop.
    pub fn left_open(&self) -> (usize, usize) {
        let views = self.views.values().filter(|view| !view.dropped);
        (self.stores.len(), views.count())
    }

    /// A handle on the host's own store.
    pub(crate) fn own() -> Resource<StoreHandle> {
        Resource::new_own(OWN)
    }

    /// Puts the host's own store where the guest finds it.
    pub(crate) fn lend(&mut self, store: Box<dyn Store>, right: Right) {
        self.own.store = store;
        self.own.right = right;
    }

    /// Exchanges the host's own store for what is at its home: lends it, or
    /// gives it back.
    pub(crate) fn exchange(&mut self, home: &mut Box<dyn Store>, right: Right) {
        std::mem::swap(&mut self.own.store, home);
        self.own.right = right;
    }

    /// What may be done with the host's own store.
    pub(crate) fn right(&self) -> Right {
        self.own.right
    }

    /// The host's own store.
    pub(crate) fn lent(&self) -> &dyn Store {
        &*self.own.store
    }

    /// That a guest may do this with a store.
    fn require(&mut self, handle: u32, right: Right) -> Result<()> {
        let what = if right == Right::Sync {
            "sync"
        } else {
            "change"
        };
        ensure!(
            handle != OWN || right <= self.own.right,
            "it tried to {what} its store in a call that must not"
        );
        self.changes = self.changes.saturating_add(1);
        ensure!(
            self.changes <= CHANGES_MAX || self.spent <= SPENT_MAX,
            "it took too long, with {CHANGES_MAX} changes of its store in one call"
        );
        Ok(())
    }

    /// The bytes of a private buffer.
    pub fn buffer_mut(&mut self, view: &Resource<ViewHandle>) -> Option<&mut [u8]> {
        match self.views.bytes_mut(view.rep())? {
            Bytes::Private(buffer) => Some(buffer),
            Bytes::Page { .. } | Bytes::Shared(_) | Bytes::Ended => None,
        }
    }

    /// Reads bytes of any view that a guest handed out, from `offset` in its
    /// page.
    ///
    /// # Errors
    /// [`StoreError::OutOfBounds`] past the end of the page;
    /// [`StoreError::Other`] where the view has ended: its store is gone or was
    /// changed since; whatever the store fails with.
    pub fn read_view(
        &mut self,
        view: &Resource<ViewHandle>,
        offset: u32,
        bytes: &mut [u8],
    ) -> Result<(), StoreError> {
        let origin = self.views.origin(view.rep()).ok_or_else(ended)?;
        match self.views.get(origin).ok_or_else(ended)? {
            View {
                bytes: Bytes::Page { page, .. },
                store,
                ..
            } => {
                let (page, store) = (*page, *store);
                self.with_store(store, |store, _| store.read(page, offset, bytes))
                    .map_err(|_| ended())?
            }
            View {
                bytes: Bytes::Private(buffer),
                ..
            } => {
                let range = range(buffer.len(), offset, bytes.len())?;
                bytes.copy_from_slice(&buffer[range]);
                Ok(())
            }
            _ => Err(ended()),
        }
    }

    /// Writes bytes through a view that a guest handed out, from `offset` in
    /// its page: into a private buffer, or in place into a regular page.
    ///
    /// # Errors
    /// [`StoreError::ReadOnly`], as of a protected page, which changes by a
    /// commit alone; else as [`read_view`](Self::read_view).
    pub fn write_view(
        &mut self,
        view: &Resource<ViewHandle>,
        offset: u32,
        bytes: &[u8],
    ) -> Result<(), StoreError> {
        let origin = self.views.origin(view.rep()).ok_or_else(ended)?;
        match self.views.get_mut(origin).ok_or_else(ended)? {
            View {
                bytes: Bytes::Page { page, access },
                store,
                ..
            } => {
                if *access == wit::ViewAccess::Read {
                    return Err(StoreError::ReadOnly);
                }
                let (page, store) = (*page, *store);
                self.with_store(store, |store, _| write_at(store, page, offset, bytes))
                    .map_err(|_| ended())?
            }
            View {
                bytes: Bytes::Private(buffer),
                ..
            } => {
                let range = range(buffer.len(), offset, bytes.len())?;
                buffer[range].copy_from_slice(bytes);
                Ok(())
            }
            _ => Err(ended()),
        }
    }

    /// Drops a view that a guest handed out.
    pub fn drop_view(&mut self, view: &Resource<ViewHandle>) {
        let rep = view.rep();
        let Some(entry) = self.views.get_mut(rep).filter(|entry| !entry.dropped) else {
            return;
        };
        entry.dropped = true;
        let is_shared = entry.sharers > 0;
        let counts = entry.counts;
        let bytes = std::mem::replace(&mut entry.bytes, Bytes::Ended);
        self.budget += amount(HANDLE_COST);
        if counts {
            self.budget += cost(&bytes);
        }
        if !is_shared {
            self.views.remove(rep);
        }
        match bytes {
            Bytes::Private(buffer) => self.spare.keep(buffer),
            Bytes::Shared(origin) => {
                if let Some(entry) = self.views.get_mut(origin) {
                    entry.sharers -= 1;
                    if entry.sharers == 0 && entry.dropped {
                        self.views.remove(origin);
                    }
                }
            }
            Bytes::Page { .. } | Bytes::Ended => {}
        }
    }

    /// The host holds a private buffer that it asked for: the guest has not to
    /// answer for its bytes any more.
    pub(crate) fn hold(&mut self, view: &Resource<ViewHandle>) {
        self.count(view, false);
    }

    /// The host lets go of what it held. Where the guest keeps it, that is the
    /// guest's.
    pub(crate) fn let_go(&mut self, view: &Resource<ViewHandle>) {
        self.count(view, true);
        self.drop_view(view);
    }

    /// Whether the bytes of a view are of the budget.
    fn count(&mut self, view: &Resource<ViewHandle>, counts: bool) {
        let origin = self.views.origin(view.rep());
        let Some(entry) = origin.and_then(|origin| self.views.get_mut(origin)) else {
            return;
        };
        if entry.counts == counts {
            return;
        }
        entry.counts = counts;
        let cost = cost(&entry.bytes);
        self.budget += if counts { -cost } else { cost };
    }

    /// A call begins: what was counted before does not matter any more.
    pub(crate) fn begin_call(&mut self) {
        (self.ticks, self.synced) = (0, false);
        (self.changes, self.spent) = (0, 0);
    }

    /// Whether a sync was done since this was last asked.
    pub(crate) fn take_synced(&mut self) -> bool {
        std::mem::take(&mut self.synced)
    }

    /// That time passed in a store, since a reading of the clock.
    fn spend(&mut self, since: u64) {
        let ticks = self.clock.load(Ordering::Relaxed) - since;
        self.ticks += ticks;
        self.spent += ticks;
    }

    /// The ticks that passed in stores since this was last asked.
    pub(crate) fn take_ticks(&mut self) -> u64 {
        std::mem::take(&mut self.ticks)
    }

    /// Does something with a store. What time it takes is not the guest's.
    fn with_store<R>(
        &mut self,
        handle: u32,
        f: impl FnOnce(&mut dyn Store, &mut Slab<View>) -> R,
    ) -> Result<R> {
        let before = self.clock.load(Ordering::Relaxed);
        let store = match handle {
            OWN => &mut self.own.store,
            handle => self.stores.get_mut(handle).ok_or_else(gone)?,
        };
        let result = f(&mut **store, &mut self.views);
        self.spend(before);
        Ok(result)
    }

    /// Takes a store out for the time of a call, and all views with it.
    fn take(&mut self, handle: u32) -> Result<Taken> {
        let store = match handle {
            OWN => &mut self.own.store,
            handle => self.stores.get_mut(handle).ok_or_else(gone)?,
        };
        Ok(Taken {
            handle,
            store: std::mem::replace(store, Box::new(Absent)),
            views: std::mem::take(&mut self.views),
            since: self.clock.load(Ordering::Relaxed),
        })
    }

    /// Puts back what was taken. What time it took is not the guest's.
    fn put_back(&mut self, taken: &mut Taken) {
        self.spend(taken.since);
        std::mem::swap(&mut self.views, &mut taken.views);
        let place = match taken.handle {
            OWN => Some(&mut self.own.store),
            handle => self.stores.get_mut(handle),
        };
        if let Some(place) = place {
            std::mem::swap(place, &mut taken.store);
        }
    }

    /// The view that has the bytes of a view that a guest has.
    fn origin(&self, view: &Resource<ViewHandle>) -> Result<&View> {
        let origin = self.views.origin(view.rep()).ok_or_else(gone)?;
        self.views.get(origin).ok_or_else(gone)
    }

    fn push_view(
        &mut self,
        store: u32,
        bytes: Bytes,
    ) -> Result<Result<Resource<ViewHandle>, wit::StoreError>> {
        let cost = amount(HANDLE_COST) + cost(&bytes);
        // Of a private buffer with room for one more handle, to share it with
        // the host.
        let spare = match bytes {
            Bytes::Private(_) => amount(HANDLE_COST),
            _ => 0,
        };
        if self.budget < cost + spare {
            let text = format!(
                "too many pages are staged at once: they may take {} bytes",
                self.budget_max
            );
            return Ok(Err(wit::StoreError::Other(Some(text))));
        }
        let view = View {
            store,
            bytes,
            counts: true,
            sharers: 0,
            dropped: false,
        };
        let rep = self.views.insert(view)?;
        self.budget -= cost;
        Ok(Ok(Resource::new_own(rep)))
    }
}

/// What bytes cost besides their handle.
fn cost(bytes: &Bytes) -> i64 {
    match bytes {
        Bytes::Private(buffer) => amount(buffer.len()),
        Bytes::Page { .. } | Bytes::Shared(_) | Bytes::Ended => 0,
    }
}

fn gone() -> wasmtime::Error {
    format_err!("the host has no such store or view any more")
}

fn ended() -> StoreError {
    let text = "this view has ended: its file was changed or closed, \
                or its transaction is over";
    StoreError::Other(Some(text.into()))
}

impl wit::Host for PageStores {}

impl wit::HostPageView for PageStores {
    fn read(
        &mut self,
        this: Resource<ViewHandle>,
        offset: u32,
        len: u32,
    ) -> Result<Result<Vec<u8>, wit::StoreError>> {
        let view = self.origin(&this)?;
        // Before the memory is asked for.
        let page_size = match &view.bytes {
            Bytes::Page { .. } => {
                let store = view.store;
                self.with_store(store, |store, _| store.geometry().page_size.bytes())?
            }
            Bytes::Private(buffer) => buffer.len(),
            Bytes::Shared(_) | Bytes::Ended => return Ok(Err(ended().into())),
        };
        if range(page_size, offset, len as usize).is_err() {
            return Ok(Err(wit::StoreError::OutOfBounds));
        }
        let mut bytes = vec![0; len as usize];
        let read = self.read_view(&this, offset, &mut bytes);
        Ok(read.map(|()| bytes).map_err(Into::into))
    }

    fn write(
        &mut self,
        this: Resource<ViewHandle>,
        offset: u32,
        bytes: Vec<u8>,
    ) -> Result<Result<(), wit::StoreError>> {
        let view = self.origin(&this)?;
        if let Bytes::Page {
            access: wit::ViewAccess::ReadWrite,
            ..
        } = view.bytes
        {
            self.require(view.store, Right::Write)?;
        }
        Ok(self.write_view(&this, offset, &bytes).map_err(Into::into))
    }

    fn crc32(&mut self, this: Resource<ViewHandle>) -> Result<Result<u32, wit::StoreError>> {
        let view = self.origin(&this)?;
        let store = view.store;
        match view.bytes {
            Bytes::Page { page, .. } => self.with_store(store, |store, _| {
                let len = store.geometry().page_size.bytes_u32();
                store.crc32(page, 0, len).map_err(Into::into)
            }),
            Bytes::Private(ref buffer) => Ok(Ok(buffer.crc32())),
            Bytes::Shared(_) | Bytes::Ended => Ok(Err(ended().into())),
        }
    }

    fn share(&mut self, this: Resource<ViewHandle>) -> Result<Resource<ViewHandle>> {
        let origin = self.views.origin(this.rep()).ok_or_else(gone)?;
        let view = self.views.get_mut(origin).ok_or_else(gone)?;
        let store = view.store;
        let bytes = match view.bytes {
            Bytes::Page { page, access } => Bytes::Page { page, access },
            Bytes::Private(_) => Bytes::Shared(origin),
            Bytes::Shared(_) | Bytes::Ended => Bytes::Ended,
        };
        let is_shared = matches!(bytes, Bytes::Shared(_));
        let Ok(shared) = self.push_view(store, bytes)? else {
            return Err(format_err!("it holds too many handles of views"));
        };
        if let Some(view) = self.views.get_mut(origin).filter(|_| is_shared) {
            // As many as there are numbers of views, at most.
            view.sharers += 1;
        }
        Ok(shared)
    }

    fn drop(&mut self, this: Resource<ViewHandle>) -> Result<()> {
        self.drop_view(&this);
        Ok(())
    }
}

impl wit::HostStore for PageStores {
    fn geometry(&mut self, this: Resource<StoreHandle>) -> Result<wit::Geometry> {
        self.with_store(this.rep(), |store, _| store.geometry().into())
    }

    fn read(
        &mut self,
        this: Resource<StoreHandle>,
        page: u64,
        offset: u32,
        len: u32,
    ) -> Result<Result<Vec<u8>, wit::StoreError>> {
        self.with_store(this.rep(), |store, _| read(store, page, offset, len))
    }

    fn crc32(
        &mut self,
        this: Resource<StoreHandle>,
        page: u64,
        offset: u32,
        len: u32,
    ) -> Result<Result<u32, wit::StoreError>> {
        self.with_store(this.rep(), |store, _| {
            store.crc32(page, offset, len).map_err(Into::into)
        })
    }

    fn view(
        &mut self,
        this: Resource<StoreHandle>,
        page: u64,
        access: wit::ViewAccess,
    ) -> Result<Result<Resource<ViewHandle>, wit::StoreError>> {
        if page >= self.with_store(this.rep(), |store, _| store.geometry().page_count)? {
            return Ok(Err(wit::StoreError::OutOfBounds));
        }
        self.push_view(this.rep(), Bytes::Page { page, access })
    }

    fn stage(
        &mut self,
        this: Resource<StoreHandle>,
        source: Option<u64>,
    ) -> Result<Result<Resource<ViewHandle>, wit::StoreError>> {
        let mut spare = std::mem::take(&mut self.spare);
        let staged = self.with_store(this.rep(), |store, _| spare.stage(store, source));
        self.spare = spare;
        match staged? {
            Ok(buffer) => self.push_view(this.rep(), Bytes::Private(buffer)),
            Err(error) => Ok(Err(error.into())),
        }
    }

    fn write(
        &mut self,
        _: Resource<StoreHandle>,
        _: Vec<wit::Change>,
        _: bool,
    ) -> Result<Result<(), wit::StoreError>> {
        // See `write`, which takes the place of this one in every linker.
        Err(format_err!("add the import with pagebox::add_to_linker"))
    }

    fn grow(
        &mut self,
        this: Resource<StoreHandle>,
        page_count: u64,
    ) -> Result<Result<wit::Geometry, wit::StoreError>> {
        self.require(this.rep(), Right::Write)?;
        let len_max = match this.rep() {
            OWN => self.own.len_max,
            _ => u64::MAX,
        };
        self.with_store(this.rep(), |store, _| {
            let page_size = u64::from(store.geometry().page_size.bytes_u32());
            if page_count
                .checked_mul(page_size)
                .is_none_or(|len| len > len_max)
            {
                return Err(wit::StoreError::InsufficientSpace);
            }
            store.grow(page_count).map(Into::into).map_err(Into::into)
        })
    }

    fn drop(&mut self, this: Resource<StoreHandle>) -> Result<()> {
        self.remove(&this);
        Ok(())
    }
}

fn read(store: &dyn Store, page: u64, offset: u32, len: u32) -> Result<Vec<u8>, wit::StoreError> {
    // Before the memory is asked for.
    range(store.geometry().page_size.bytes(), offset, len as usize)?;
    let mut bytes = vec![0; len as usize];
    store.read(page, offset, &mut bytes)?;
    Ok(bytes)
}

/// `len` bytes from `offset`, where a page has them.
fn range(page_size: usize, offset: u32, len: usize) -> Result<std::ops::Range<usize>, StoreError> {
    let start = offset as usize;
    match start.checked_add(len) {
        Some(end) if end <= page_size => Ok(start..end),
        _ => Err(StoreError::OutOfBounds),
    }
}
