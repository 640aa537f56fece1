//! What mending tells: what it did, and why something is lost.

use alloc::string::{String, ToString};

use super::error::Error;
use crate::action::Action;
use crate::ids::ProtectedId;

/// Why something is lost.
///
/// # Errors
/// [`Error::Store`]: the medium does not give it now, and may another time.
pub(super) fn loss(error: Error) -> Result<String, Error> {
    if error.is_of_medium() {
        Err(error)
    } else {
        Ok(error.to_string())
    }
}

pub(super) fn action(lost: bool, page: Option<u64>, id: Option<u64>, text: String) -> Action {
    Action {
        lost,
        page,
        protected: id.map(ProtectedId),
        text,
    }
}
