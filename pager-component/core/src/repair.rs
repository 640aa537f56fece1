//! Mending a damaged file in place, on request: hand in a copy.
//!
//! What can be proven good is kept, nothing is invented, and what is lost is
//! said. How, is the format's affair.

use alloc::vec::Vec;

use pagebox_store::PageStore;

pub use crate::action::Action;
use crate::error::Error;
use crate::format0;
use crate::format1;
use crate::recovery::one_of;

/// Mends the file in a store. A sound file stays as it is. Durable when it
/// returns.
///
/// # Errors
/// [`Error::Identity`], [`Error::PageSizeMismatch`]: nothing to mend.
/// [`Error::Damaged`]: no root to go by.
/// [`Error::Corrupt`]: nothing can be proven. [`Error::Full`]: no room for a
/// replacement. [`Error::GenerationsExhausted`]. [`Error::Store`].
pub fn mend<S: PageStore>(store: &mut S) -> Result<Vec<Action>, Error> {
    match format0::mend(store) {
        Err(Error::Identity(fault)) => format1::mend(store).map_err(|error| one_of(fault, error)),
        done => done,
    }
}
