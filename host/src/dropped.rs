//! [`Dropped`]: what a sandbox is to drop with its next call, since who has no use
//! for it any more cannot wait until it answers.

use std::sync::{Arc, Mutex, PoisonError};

use wasmtime::component::ResourceAny;

/// Things of a sandbox that nobody needs any more.
#[derive(Clone, Debug, Default)]
pub(crate) struct Dropped(Arc<Mutex<Vec<ResourceAny>>>);

impl Dropped {
    /// One more.
    pub(crate) fn add(&self, handle: ResourceAny) {
        let mut handles = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        handles.push(handle);
    }

    /// All of them.
    pub(crate) fn take(&self) -> Vec<ResourceAny> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
