//! Recovery: deciding at open which state counts. A function of the bytes alone;
//! writes nothing. Identifies the format, and leaves the rest to it.
//!
//! *A crash is mended silently, damage never.* What a crash can leave is
//! understood and decided; what none can leave is damage: it is reported with
//! its evidence, what the bytes still prove can be read, and nothing may be
//! written.

use alloc::vec::Vec;

use pagebox_store::{PageSize, PageStore};

use crate::error::Error;
use crate::file::File;
use crate::finding::Finding;
use crate::format0;
pub use crate::reasoning::{Explain, Step, Verdict};

/// What recovery decided, and why.
#[derive(Clone, Debug)]
pub struct Recovery {
    /// The decision.
    pub verdict: Verdict,
    /// What counts; of a damaged file what is left of it.
    pub file: File,
    /// What was found, the damage first.
    pub findings: Vec<Finding>,
    /// The reasoning, where it was asked for.
    pub steps: Vec<Step>,
}

/// The page size that the first bytes of a page file announce: at least 20, or
/// all that there are.
///
/// # Errors
/// [`Error::Identity`].
pub fn page_size(head: &[u8]) -> Result<PageSize, Error> {
    format0::identify(head).map_err(Error::Identity)
}

/// Decides which state of a store counts.
///
/// # Errors
/// [`Error::Identity`] and [`Error::PageSizeMismatch`]: not a page file that
/// we can read. [`Error::Corrupt`]: a root of which nothing follows.
/// [`Error::Store`]: it could not be read.
pub fn recover<S: PageStore>(store: &S, explain: Explain) -> Result<Recovery, Error> {
    let format0::Decision {
        verdict,
        state,
        findings,
        steps,
    } = format0::recover(store, explain)?;
    Ok(Recovery {
        verdict,
        file: File::Zero(format0::File::of(state)),
        findings,
        steps,
    })
}

/// The bytes that decide which state counts, as they were at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Witness(format0::Witness);

impl Witness {
    /// Reads the bytes that decide.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn read<S: PageStore>(store: &S) -> Result<Self, Error> {
        format0::Witness::read(store).map(Self)
    }

    /// Whether they are still what they were.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn still_holds<S: PageStore>(&self, store: &S) -> Result<bool, Error> {
        Ok(Self::read(store)? == *self)
    }
}

/// How often a file is read that changes each time: here nobody can wait.
/// Whoever has a clock waits a little and tries anew.
pub const TRIES: u32 = 8;

/// As [`recover`], of a store that somebody else may be writing to.
///
/// # Errors
/// As [`recover`]; [`Error::Busy`], where it changed each time.
pub fn recover_steadily<S: PageStore>(
    store: &S,
    explain: Explain,
) -> Result<(Result<Recovery, Error>, Witness), Error> {
    let mut before = Witness::read(store)?;
    for _ in 0..TRIES {
        let outcome = recover(store, explain);
        let after = Witness::read(store)?;
        if after == before {
            return Ok((outcome, after));
        }
        before = after;
    }
    Err(Error::Busy)
}
