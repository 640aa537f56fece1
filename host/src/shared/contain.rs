//! Panics of what is a caller's own: they do not reach the committer, nor the
//! other callers.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Does something of a caller's that nobody waits for. If it panics, the
/// panic's message has been told by its hook, and that is all.
pub(super) fn contain(f: impl FnOnce()) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(f)) {
        // Dropping it may panic too.
        std::mem::forget(panic);
    }
}

/// A value of a caller's, whose destructor may panic.
pub(super) struct Theirs<T>(Option<T>);

impl<T> Theirs<T> {
    pub(super) fn new(value: T) -> Self {
        Self(Some(value))
    }

    pub(super) fn none() -> Self {
        Self(None)
    }

    pub(super) fn get_mut(&mut self) -> Option<&mut T> {
        self.0.as_mut()
    }

    pub(super) fn take(&mut self) -> Option<T> {
        self.0.take()
    }

    /// Drops what there is, and keeps this instead.
    pub(super) fn set(&mut self, value: T) {
        self.clear();
        self.0 = Some(value);
    }

    pub(super) fn clear(&mut self) {
        let value = self.0.take();
        contain(|| drop(value));
    }
}

impl<T> Drop for Theirs<T> {
    fn drop(&mut self) {
        self.clear();
    }
}

/// What a panic says.
pub(super) fn message(panic: &(dyn std::any::Any + Send)) -> &str {
    match panic.downcast_ref::<&str>() {
        Some(text) => text,
        None => panic
            .downcast_ref::<String>()
            .map_or("it does not say why", String::as_str),
    }
}
