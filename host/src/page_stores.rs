//! [`PageStores`]: the stores that guests were handed, and what they may do with
//! them.

mod held;
mod imports;
mod meter;
mod spare;
mod views;
mod write;

use std::sync::Arc;

use pagebox_store::StoreError;
use wasmtime::component::{HasSelf, Linker, Resource};
use wasmtime::{Result, ensure, format_err};

use self::meter::Meter;
use self::views::{Bytes, Views, ended, range};
use crate::Store;
use crate::clock::Clock;
use crate::handles::{StoreHandle, ViewHandle};
use crate::home::{Home, SharedStore};
use crate::slab::Slab;
use crate::store::write_at;
use crate::wit::pagebox::pager::page_store as wit;

pub(crate) use self::held::Held;
pub(crate) use self::spare::Spare;
pub(crate) use self::views::HANDLE_COST;

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
    stores: Slab<SharedStore>,
    views: Views,
    held: Held,
    meter: Meter,
    /// What a store failed with last: it knows more than a guest passes on.
    failure: Option<StoreError>,
}

/// What stands for the host's own store.
const OWN: u32 = u32::MAX;

/// The store that the host goes on to hold when a guest drops its handle, and
/// what the guest may do with it.
struct Own {
    store: Option<SharedStore>,
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
    store: SharedStore,
    views: Views,
    held: Held,
    /// When that was, by the clock.
    since: u64,
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
    pub(crate) fn new(budget: usize, len_max: u64, clock: Clock) -> Self {
        Self {
            own: Own {
                store: None,
                right: Right::Read,
                len_max,
            },
            stores: Slab::default(),
            views: Views::new(budget),
            held: Held::default(),
            meter: Meter::new(clock),
            failure: None,
        }
    }

    /// Adds a store. The handle is to be handed to a guest.
    ///
    /// # Errors
    /// If there are too many for 32 bits to tell apart.
    pub fn insert(&mut self, store: Box<dyn Store>) -> Result<Resource<StoreHandle>> {
        self.stores.insert(Arc::new(store)).map(Resource::new_own)
    }

    /// Takes a store out that a guest handed back.
    pub fn remove(&mut self, handle: &Resource<StoreHandle>) -> Option<Box<dyn Store>> {
        let store = self.stores.remove(handle.rep())?;
        // The number may come to stand for another store.
        self.views.end_store(handle.rep());
        Arc::into_inner(store)
    }

    /// Whether a guest, or the host, still has the store of this
    /// representation, which may stand for another one after it is gone.
    pub fn holds(&self, rep: u32) -> bool {
        self.stores.get(rep).is_some()
    }

    /// How many stores and views there are. After a guest is done that is what
    /// it forgot to drop.
    pub fn left_open(&self) -> (usize, usize) {
        (self.stores.len(), self.views.left_open())
    }

    /// A handle on the host's own store.
    pub(crate) fn own() -> Resource<StoreHandle> {
        Resource::new_own(OWN)
    }

    /// Exchanges the host's own store for what is at its home: puts it where
    /// the guest finds it, or gives it back.
    pub(crate) fn exchange(&mut self, home: &mut Home, right: Right) {
        home.exchange(&mut self.own.store);
        self.own.right = right;
    }

    /// What may be done with the host's own store.
    pub(crate) fn right(&self) -> Right {
        self.own.right
    }

    /// A call begins: what was counted before does not matter any more.
    pub(crate) fn begin_call(&mut self) {
        self.meter.begin_call();
        self.failure = None;
    }

    /// The ticks that passed in stores since this was last asked.
    pub(crate) fn take_ticks(&mut self) -> u64 {
        self.meter.take_ticks()
    }

    /// Whether a sync was done since this was last asked.
    pub(crate) fn take_synced(&mut self) -> bool {
        self.meter.take_synced()
    }

    /// The bytes of a private buffer.
    pub fn buffer_mut(&mut self, view: &Resource<ViewHandle>) -> Option<&mut [u8]> {
        match self.views.find_mut(view.rep())?.1 {
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
        let (store, view) = self.views.find(view.rep()).ok_or_else(ended)?;
        match view {
            Bytes::Page { page, .. } => {
                let page = *page;
                self.read_store(store, |store, _| store.read(page, offset, bytes))
                    .map_err(|_| ended())?
            }
            Bytes::Private(buffer) => {
                let range = range(buffer.len(), offset, bytes.len())?;
                bytes.copy_from_slice(&buffer[range]);
                Ok(())
            }
            Bytes::Shared(_) | Bytes::Ended => Err(ended()),
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
        let (store, view) = self.views.find_mut(view.rep()).ok_or_else(ended)?;
        match view {
            Bytes::Page {
                access: wit::ViewAccess::Read,
                ..
            } => Err(StoreError::ReadOnly),
            Bytes::Page { page, .. } => {
                let page = *page;
                self.change_store(store, |store, _| write_at(store, page, offset, bytes))
                    .map_err(|_| ended())?
            }
            Bytes::Private(buffer) => {
                let range = range(buffer.len(), offset, bytes.len())?;
                buffer[range].copy_from_slice(bytes);
                Ok(())
            }
            Bytes::Shared(_) | Bytes::Ended => Err(ended()),
        }
    }

    /// Drops a view that a guest handed out.
    pub fn drop_view(&mut self, view: &Resource<ViewHandle>) {
        self.views.drop_handle(view.rep());
    }

    /// Pages that the guest may write by their numbers, until they are taken
    /// back.
    pub(crate) fn hold_pages(&mut self, held: Held) {
        self.held = held;
    }

    pub(crate) fn take_held(&mut self) -> Held {
        std::mem::take(&mut self.held)
    }

    /// What a store failed with last in the call at hand.
    pub(crate) fn take_failure(&mut self) -> Option<StoreError> {
        self.failure.take()
    }

    /// Passes on to the guest what a store returned. What it failed with stays
    /// here: the host asks for it once the guest has told of it.
    fn noted<R>(
        &mut self,
        result: std::result::Result<R, StoreError>,
    ) -> std::result::Result<R, wit::StoreError> {
        result.map_err(|error| {
            self.failure = Some(error.clone());
            error.into()
        })
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
        self.meter.count_change()
    }

    /// Reads a store. What time it takes is not the guest's.
    fn read_store<R>(
        &mut self,
        handle: u32,
        f: impl FnOnce(&dyn Store, &mut Views) -> R,
    ) -> Result<R> {
        let before = self.meter.now();
        let store = match handle {
            OWN => self.own.store.as_ref(),
            handle => self.stores.get(handle),
        };
        let result = f(&***store.ok_or_else(gone)?, &mut self.views);
        self.meter.spend(before);
        Ok(result)
    }

    /// Changes a store that is not shared. What time it takes is not the
    /// guest's.
    fn change_store<R>(
        &mut self,
        handle: u32,
        f: impl FnOnce(&mut dyn Store, &mut Views) -> R,
    ) -> Result<R> {
        let before = self.meter.now();
        let store = match handle {
            OWN => self.own.store.as_mut(),
            handle => self.stores.get_mut(handle),
        };
        let store = Arc::get_mut(store.ok_or_else(gone)?).ok_or_else(shared)?;
        let result = f(&mut **store, &mut self.views);
        self.meter.spend(before);
        Ok(result)
    }

    /// Takes a store out for the time of a call, and all views with it.
    fn take(&mut self, handle: u32) -> Result<Taken> {
        let store = match handle {
            OWN => self.own.store.take(),
            handle => self.stores.take(handle),
        };
        Ok(Taken {
            handle,
            store: store.ok_or_else(gone)?,
            views: std::mem::take(&mut self.views),
            held: std::mem::take(&mut self.held),
            since: self.meter.now(),
        })
    }

    /// Puts back what was taken, which is dropped after. What time it took is
    /// not the guest's.
    fn put_back(&mut self, taken: &mut Taken) {
        self.meter.spend(taken.since);
        self.views = std::mem::take(&mut taken.views);
        self.held = std::mem::take(&mut taken.held);
        let store = Arc::clone(&taken.store);
        match taken.handle {
            OWN => self.own.store = Some(store),
            handle => self.stores.put(handle, store),
        }
    }
}

fn gone() -> wasmtime::Error {
    format_err!("the host has no such store or view any more")
}

/// No guest comes as far: [`PageStores::require`] says it first.
fn shared() -> wasmtime::Error {
    format_err!("it tried to change a store that others read")
}
