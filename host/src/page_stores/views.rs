//! [`Views`]: the views that guests hold handles of, what bytes they have, and
//! how much memory they may take.

use std::ops::Range;

use pagebox_store::{PageBuffer, StoreError};
use wasmtime::Result;
use wasmtime::component::Resource;

use super::gone;
use super::spare::Spare;
use crate::Store;
use crate::handles::ViewHandle;
use crate::slab::Slab;
use crate::wit::pagebox::pager::page_store as wit;

/// What a handle of a view costs, so that their number has a limit.
pub(crate) const HANDLE_COST: usize = 64;

/// All views, of all stores.
#[derive(Debug, Default)]
pub(super) struct Views {
    slab: Slab<View>,
    spare: Spare,
    /// Bytes that views may take in all, and may still take. Less than none
    /// where a guest keeps what the host has let go of.
    budget_max: usize,
    budget: i64,
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
pub(super) enum Bytes {
    /// A page of the store.
    Page { page: u64, access: wit::ViewAccess },
    /// A private buffer.
    Private(PageBuffer),
    /// The private buffer of another view.
    Shared(u32),
    /// None any more.
    Ended,
}

/// A number of bytes of a budget.
fn amount(len: usize) -> i64 {
    i64::try_from(len).unwrap_or(i64::MAX)
}

/// What bytes cost besides their handle.
fn cost(bytes: &Bytes) -> i64 {
    match bytes {
        Bytes::Private(buffer) => amount(buffer.len()),
        Bytes::Page { .. } | Bytes::Shared(_) | Bytes::Ended => 0,
    }
}

impl Views {
    /// No views, which may take `budget` bytes.
    pub(super) fn new(budget: usize) -> Self {
        Self {
            slab: Slab::default(),
            spare: Spare::default(),
            budget_max: budget,
            budget: amount(budget),
        }
    }

    /// The view that has the bytes of this one.
    fn origin(&self, rep: u32) -> Option<u32> {
        match self.slab.get(rep)?.bytes {
            Bytes::Shared(origin) => Some(origin),
            Bytes::Page { .. } | Bytes::Private(_) | Bytes::Ended => Some(rep),
        }
    }

    /// The store that a view ends with, and its bytes, wherever they are.
    pub(super) fn find(&self, rep: u32) -> Option<(u32, &Bytes)> {
        let view = self.slab.get(self.origin(rep)?)?;
        Some((view.store, &view.bytes))
    }

    pub(super) fn find_mut(&mut self, rep: u32) -> Option<(u32, &mut Bytes)> {
        let origin = self.origin(rep)?;
        let view = self.slab.get_mut(origin)?;
        Some((view.store, &mut view.bytes))
    }

    /// How many handles there are.
    pub(super) fn left_open(&self) -> usize {
        self.slab.values().filter(|view| !view.dropped).count()
    }

    /// Adds a view, if there is room for it.
    pub(super) fn push(
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
        let rep = self.slab.insert(view)?;
        self.budget -= cost;
        Ok(Ok(Resource::new_own(rep)))
    }

    /// A private buffer that starts as a copy of a page, or as zeros.
    pub(super) fn stage(
        &mut self,
        store: &dyn Store,
        source: Option<u64>,
    ) -> Result<PageBuffer, StoreError> {
        self.spare.stage(store, source)
    }

    /// Another handle of a view; none: there are too many.
    pub(super) fn share(&mut self, rep: u32) -> Result<Option<Resource<ViewHandle>>> {
        let origin = self.origin(rep).ok_or_else(gone)?;
        let view = self.slab.get_mut(origin).ok_or_else(gone)?;
        let store = view.store;
        let bytes = match view.bytes {
            Bytes::Page { page, access } => Bytes::Page { page, access },
            Bytes::Private(_) => Bytes::Shared(origin),
            Bytes::Shared(_) | Bytes::Ended => Bytes::Ended,
        };
        let is_shared = matches!(bytes, Bytes::Shared(_));
        let Ok(shared) = self.push(store, bytes)? else {
            return Ok(None);
        };
        if let Some(view) = self.slab.get_mut(origin).filter(|_| is_shared) {
            // As many as there are numbers of views, at most.
            view.sharers += 1;
        }
        Ok(Some(shared))
    }

    /// Drops a handle.
    pub(super) fn drop_handle(&mut self, rep: u32) {
        let Some(entry) = self.slab.get_mut(rep).filter(|entry| !entry.dropped) else {
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
            self.slab.remove(rep);
        }
        match bytes {
            Bytes::Private(buffer) => self.spare.keep(buffer),
            Bytes::Shared(origin) => {
                if let Some(entry) = self.slab.get_mut(origin) {
                    entry.sharers -= 1;
                    if entry.sharers == 0 && entry.dropped {
                        self.slab.remove(origin);
                    }
                }
            }
            Bytes::Page { .. } | Bytes::Ended => {}
        }
    }

    /// Ends the views of a store's pages from `first` on, since they changed or
    /// are gone.
    pub(super) fn end_pages(&mut self, store: u32, first: u64) {
        for view in self.slab.values_mut() {
            let is_of = matches!(view.bytes, Bytes::Page { page, .. } if page >= first);
            if view.store == store && is_of {
                view.bytes = Bytes::Ended;
            }
        }
    }

    /// Ends all views of a store, since it is gone.
    pub(super) fn end_store(&mut self, store: u32) {
        for view in self.slab.values_mut() {
            if view.store == store && !matches!(view.bytes, Bytes::Shared(_)) {
                let bytes = std::mem::replace(&mut view.bytes, Bytes::Ended);
                self.budget += cost(&bytes);
            }
        }
    }
}

pub(super) fn ended() -> StoreError {
    let text = "this view has ended: its file was changed or closed, \
                or its transaction is over";
    StoreError::Other(Some(text.into()))
}

/// `len` bytes from `offset`, where a page has them.
pub(super) fn range(page_size: usize, offset: u32, len: usize) -> Result<Range<usize>, StoreError> {
    let start = offset as usize;
    match start.checked_add(len) {
        Some(end) if end <= page_size => Ok(start..end),
        _ => Err(StoreError::OutOfBounds),
    }
}
