//! Recovery: deciding at open which state counts. A function of the bytes alone;
//! writes nothing. Identifies the format, and leaves the rest to it.
//!
//! *A crash is mended silently, damage never.* What a crash can leave is
//! understood and decided; what none can leave is damage: it is reported with
//! its evidence, what the bytes still prove can be read, and nothing may be
//! written.

use alloc::vec::Vec;

use pagebox_store::{MemoryStore, PageSize, PageStore};

use crate::error::Error;
use crate::file::File;
use crate::finding::Finding;
use crate::format0;
use crate::format1;
use crate::identity::{Format, IdentityFault};
use crate::read::read_page;
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

/// The page size that the first bytes of a page file announce: at least 512, or
/// all that there are. Where the header has rotted, more of them help: up to
/// [`HEAD_MAX`].
///
/// # Errors
/// [`Error::Identity`].
pub fn page_size(head: &[u8]) -> Result<PageSize, Error> {
    match format0::identify(head) {
        Ok(page_size) => Ok(page_size),
        Err(fault) => {
            let page_size = PageSize::KIB_1;
            let mut bytes = head.to_vec();
            // Whole pages; no header and no record ends in zeros.
            bytes.resize(head.len().next_multiple_of(page_size.bytes()), 0);
            let store = MemoryStore::from_bytes(page_size, bytes);
            match format1::identify(&store) {
                Ok((header, _)) => Ok(header.page_size),
                Err(error) => Err(one_of(fault, error)),
            }
        }
    }
}

/// The format that a file names, whatever else of it is lost.
pub(crate) fn format_of<S: PageStore>(store: &S) -> Option<Format> {
    let page0 = read_page(store, 0).ok()??;
    if format0::identify(&page0).is_ok() {
        Some(Format::Zero)
    } else {
        format1::identify(store).ok().map(|_| Format::One)
    }
}

/// The bytes of a file that can say how large its pages are.
pub const HEAD_MAX: usize = 3 << 20;

/// Why bytes are a file of neither format: what format 1 says where they begin
/// as it does.
pub(crate) fn one_of(fault: IdentityFault, error: format1::Error) -> Error {
    match error {
        format1::Error::Identity(format1::header::HeaderFault::Magic(_)) => Error::Identity(fault),
        error => error.into(),
    }
}

/// Decides which state of a store counts.
///
/// # Errors
/// [`Error::Identity`] and [`Error::PageSizeMismatch`]: not a page file that
/// we can read. [`Error::Corrupt`], [`Error::Damaged`]: roots of which nothing
/// follows. [`Error::Store`]: it could not be read.
pub fn recover<S: PageStore>(store: &S, explain: Explain) -> Result<Recovery, Error> {
    match format0::recover(store, explain) {
        Ok(format0::Decision {
            verdict,
            state,
            findings,
            steps,
        }) => Ok(Recovery {
            verdict,
            file: File::Zero(format0::File::of(state)),
            findings,
            steps,
        }),
        Err(Error::Identity(fault)) => match format1::recover(store, explain) {
            Ok(format1::Reasons {
                verdict,
                file,
                findings,
                steps,
            }) => Ok(Recovery {
                verdict,
                file: File::One(file),
                findings,
                steps,
            }),
            Err(error) => Err(one_of(fault, error)),
        },
        Err(error) => Err(error),
    }
}

/// The bytes that decide which state counts, as they were at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Witness(Bytes);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Bytes {
    Zero(format0::Witness),
    One(format1::Witness),
}

impl Witness {
    /// Reads the bytes that decide.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn read<S: PageStore>(store: &S) -> Result<Self, Error> {
        let zero = format0::Witness::read(store)?;
        Ok(Self(if zero.page0_begins_with(&format1::header::MAGIC) {
            Bytes::One(format1::Witness::read(store)?)
        } else {
            Bytes::Zero(zero)
        }))
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

/// Whether a file that somebody else may be writing to has a snapshot of a
/// generation.
pub(crate) fn has_snapshot<S: PageStore>(store: &S, generation: u64) -> Result<bool, Error> {
    for _ in 0..TRIES {
        let (outcome, witness) = recover_steadily(store, Explain::No)?;
        let snapshots = outcome?.file.snapshots(store);
        if witness.still_holds(store)? {
            return Ok(snapshots?.iter().any(|it| it.generation == generation));
        }
    }
    Err(Error::Busy)
}
