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
/// already. `host/examples/own_engine.rs` goes on from here.
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
    /// Bytes that views may still take.
    budget: usize,
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

#[derive(Debug)]
struct View {
    handles: u32,
    bytes: Bytes,
}

#[derive(Debug)]
enum Bytes {
    /// A page of a store.
    Page { store: u32, page: u64 },
    /// A private buffer.
    Private(PageBuffer),
    /// A page of a store that is gone.
    Gone,
}

/// What a handle of a view costs, so that their number has a limit.
pub(crate) const HANDLE_COST: usize = 64;

impl Bytes {
    /// What they cost.
    fn cost(&self) -> usize {
        match self {
            Self::Page { .. } | Self::Gone => 0,
            Self::Private(buffer) => buffer.len(),
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
            budget,
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
            if matches!(view.bytes, Bytes::Page { store, .. } if store == handle.rep()) {
                view.bytes = Bytes::Gone;
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
        (self.stores.len(), self.views.len())
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
        match &mut self.views.get_mut(view.rep())?.bytes {
            Bytes::Private(buffer) => Some(buffer),
            Bytes::Page { .. } | Bytes::Gone => None,
        }
    }

    /// Drops a view that a guest handed out.
    pub fn drop_view(&mut self, view: &Resource<ViewHandle>) {
        let Some(entry) = self.views.get_mut(view.rep()) else {
            return;
        };
        entry.handles -= 1;
        self.budget += HANDLE_COST;
        if entry.handles == 0 {
            self.budget += entry.bytes.cost();
            if let Some(View {
                bytes: Bytes::Private(buffer),
                ..
            }) = self.views.remove(view.rep())
            {
                self.spare.keep(buffer);
            }
        }
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

    fn view(&self, view: &Resource<ViewHandle>) -> Result<&View> {
        self.views.get(view.rep()).ok_or_else(gone)
    }

    fn push_view(&mut self, bytes: Bytes) -> Result<Result<Resource<ViewHandle>, wit::StoreError>> {
        let view = View { handles: 1, bytes };
        let cost = HANDLE_COST + view.bytes.cost();
        let Some(budget) = self.budget.checked_sub(cost) else {
            let text = "too many pages are staged at once".to_owned();
            return Ok(Err(wit::StoreError::Other(Some(text))));
        };
        self.budget = budget;
        self.views
            .insert(view)
            .map(|rep| Ok(Resource::new_own(rep)))
    }
}

fn gone() -> wasmtime::Error {
    format_err!("the host has no such store or view any more")
}

fn store_gone() -> wit::StoreError {
    wit::StoreError::Other(Some("the store of this view is gone".into()))
}

impl wit::Host for PageStores {}

impl wit::HostPageView for PageStores {
    fn read(
        &mut self,
        this: Resource<ViewHandle>,
        offset: u32,
        len: u32,
    ) -> Result<Result<Vec<u8>, wit::StoreError>> {
        match self.view(&this)?.bytes {
            Bytes::Page { store, page } => {
                self.with_store(store, |store, _| read(store, page, offset, len))
            }
            Bytes::Private(ref buffer) => Ok(range(buffer.len(), offset, len as usize)
                .map(|range| buffer[range].to_vec())
                .map_err(Into::into)),
            Bytes::Gone => Ok(Err(store_gone())),
        }
    }

    fn write(
        &mut self,
        this: Resource<ViewHandle>,
        offset: u32,
        bytes: Vec<u8>,
    ) -> Result<Result<(), wit::StoreError>> {
        match &mut self.views.get_mut(this.rep()).ok_or_else(gone)?.bytes {
            Bytes::Page { store, page } => {
                let (store, page) = (*store, *page);
                self.require(store, Right::Write)?;
                self.with_store(store, |store, _| {
                    write_at(store, page, offset, &bytes).map_err(Into::into)
                })
            }
            Bytes::Private(buffer) => Ok(range(buffer.len(), offset, bytes.len())
                .map(|range| buffer[range].copy_from_slice(&bytes))
                .map_err(Into::into)),
            Bytes::Gone => Ok(Err(store_gone())),
        }
    }

    fn crc32(&mut self, this: Resource<ViewHandle>) -> Result<Result<u32, wit::StoreError>> {
        match self.view(&this)?.bytes {
            Bytes::Page { store, page } => self.with_store(store, |store, _| {
                let len = store.geometry().page_size.bytes_u32();
                store.crc32(page, 0, len).map_err(Into::into)
            }),
            Bytes::Private(ref buffer) => Ok(Ok(buffer.crc32())),
            Bytes::Gone => Ok(Err(store_gone())),
        }
    }

    fn share(&mut self, this: Resource<ViewHandle>) -> Result<Resource<ViewHandle>> {
        let view = self.views.get_mut(this.rep()).ok_or_else(gone)?;
        let handles = view.handles.checked_add(1);
        let budget = self.budget.checked_sub(HANDLE_COST);
        let (Some(handles), Some(budget)) = (handles, budget) else {
            return Err(format_err!("it holds too many handles of views"));
        };
        view.handles = handles;
        self.budget = budget;
        Ok(Resource::new_own(this.rep()))
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
    ) -> Result<Result<Resource<ViewHandle>, wit::StoreError>> {
        if page >= self.with_store(this.rep(), |store, _| store.geometry().page_count)? {
            return Ok(Err(wit::StoreError::OutOfBounds));
        }
        self.push_view(Bytes::Page {
            store: this.rep(),
            page,
        })
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
            Ok(buffer) => self.push_view(Bytes::Private(buffer)),
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
