//! [`Limits`]: what one instance of the component may use.

use std::time::Duration;

/// What one instance of the component may use.
///
/// ```
/// # fn main() -> Result<(), pagebox::Error> {
/// let mut limits = pagebox::Limits::default();
/// limits.memory = 16 << 20; // bytes
/// limits.time = std::time::Duration::from_secs(1);
/// let engine = pagebox::Engine::with_limits(limits)?;
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of memory, of all its parts together. 256 MiB unless changed.
    pub memory: usize,
    /// Bytes of protected pages that a transaction may have staged, in memory
    /// of this process: [`StagedLimit`](crate::Error::StagedLimit) for one
    /// more. No limit unless changed, since they are what the caller asked for:
    /// a transaction can write every protected page that a file has. The
    /// component itself may hold as much besides, but not more than 1 GiB.
    pub staged: usize,
    /// Bytes that a store may grow to. No limit unless changed: then the medium
    /// has one.
    pub store: u64,
    /// Time that one call may compute, store calls not counted. 10 seconds
    /// unless changed; not zero. It is measured in eighths, and by no finer
    /// clock than one of a millisecond: less than 8 milliseconds are as many.
    pub time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory: 256 << 20,
            staged: usize::MAX,
            store: u64::MAX,
            time: Duration::from_secs(10),
        }
    }
}
