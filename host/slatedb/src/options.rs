//! [`Options`]: how a store is opened.

use std::time::Duration;

/// How a store is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// How long an operation may take, opening and closing included: 30 s unless
    /// changed. After that it fails, and whether it was done is not known.
    pub timeout: Duration,
    /// Bytes of memory for what was read: 128 MiB unless changed.
    pub cache_bytes: u64,
    /// Whether to end another writer that has the store open, or that did not close
    /// it. Its next commit is fenced.
    pub take_over: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(30),
            cache_bytes: 128 << 20,
            take_over: false,
        }
    }
}

impl Options {
    /// The same with another [`timeout`](Self::timeout).
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// The same with another [`cache_bytes`](Self::cache_bytes).
    #[must_use]
    pub fn cache_bytes(self, cache_bytes: u64) -> Self {
        Self {
            cache_bytes,
            ..self
        }
    }

    /// The same, taking the store over from whoever has it open.
    #[must_use]
    pub fn take_over(self) -> Self {
        Self {
            take_over: true,
            ..self
        }
    }
}
