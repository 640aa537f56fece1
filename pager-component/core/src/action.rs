//! [`Action`]: one thing that repair did.

use alloc::string::String;

use crate::ids::ProtectedId;

/// Something that was done, or could not be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Action {
    /// Whether something was lost.
    pub lost: bool,
    /// The page that it is about.
    pub page: Option<u64>,
    /// The protected page that it is about.
    pub protected: Option<ProtectedId>,
    /// What and why, for people.
    pub text: String,
}
