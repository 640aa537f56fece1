//! [`Pin`]: a generation that somebody reads.

use alloc::sync::{Arc, Weak};

/// Keeps what a generation reads from being written, until it and its clones
/// are dropped, wherever that is.
#[derive(Clone, Debug)]
pub struct Pin(Arc<u64>);

impl Pin {
    /// The first one of a generation.
    pub(crate) fn new(generation: u64) -> Self {
        Self(Arc::new(generation))
    }

    /// Another one.
    pub(crate) fn again(living: Arc<u64>) -> Self {
        Self(living)
    }

    /// What tells whether one lives.
    pub(crate) fn downgrade(&self) -> Weak<u64> {
        Arc::downgrade(&self.0)
    }

    /// The generation.
    pub fn generation(&self) -> u64 {
        *self.0
    }
}
