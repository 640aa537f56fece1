//! [`Home`]: where a pager keeps its store, and whence its sandbox gets it.
//!
//! A call that only reads shares the store: nothing can be changed through what
//! is shared. For a call that changes something the one reference that there is
//! moves into the sandbox, and back out when the call is over, whatever comes
//! of it.

use std::sync::Arc;

use crate::Store;

/// A store that a pager and its sandbox can read at once.
pub(crate) type SharedStore = Arc<Box<dyn Store>>;

/// The place of a store. It is there but for the time of a call that was handed
/// this place to change it.
pub(crate) struct Home(Option<SharedStore>);

impl Home {
    pub(crate) fn new(store: Box<dyn Store>) -> Self {
        Self(Some(Arc::new(store)))
    }

    /// Takes the store away for good.
    pub(crate) fn take(&mut self) -> Self {
        Self(self.0.take())
    }

    /// The same store once more, to be read.
    pub(crate) fn shared(&self) -> Self {
        Self(self.0.clone())
    }

    /// Exchanges what is in two places.
    pub(crate) fn exchange(&mut self, other: &mut Option<SharedStore>) {
        std::mem::swap(&mut self.0, other);
    }

    #[inline]
    pub(crate) fn get(&self) -> &dyn Store {
        match &self.0 {
            Some(store) => &***store,
            None => away(),
        }
    }

    /// The store, to be changed. Nobody reads it: who does has a reference to
    /// its owner, who has this one.
    #[inline]
    pub(crate) fn get_mut(&mut self) -> &mut dyn Store {
        match self.0.as_mut().and_then(Arc::get_mut) {
            Some(store) => &mut **store,
            None => away(),
        }
    }

    pub(crate) fn into_store(self) -> Box<dyn Store> {
        match self.0.and_then(Arc::into_inner) {
            Some(store) => store,
            None => away(),
        }
    }
}

#[cold]
fn away() -> ! {
    unreachable!("a store is at its home alone whenever no call is under way")
}
