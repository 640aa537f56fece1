//! [`PageId`] and [`ProtectedId`]: the two kinds of page that a caller has.
//!
//! Both are numbers, and both count from 0 up, so that nothing but their types
//! keeps one from being taken for the other.

use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

macro_rules! id {
    ($(#[$docs:meta])* $name:ident) => {
        $(#[$docs])*
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(u64);

        impl $name {
            /// The id of this number.
            pub const fn new(number: u64) -> Self {
                Self(number)
            }

            /// Its number.
            pub const fn get(self) -> u64 {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = ParseIntError;

            fn from_str(text: &str) -> Result<Self, ParseIntError> {
                text.parse().map(Self)
            }
        }
    };
}

id! {
    /// The id of a regular page. A program may keep it as a number, and in its
    /// own pages: it stays the same until the page is freed.
    ///
    /// It is not taken for that of a protected page:
    ///
    /// ```compile_fail,E0308
    /// # fn f(pager: &mut pagebox::Pager) -> Result<(), pagebox::Error> {
    /// let id = pager.alloc()?;
    /// pager.protected_page(id)?;
    /// # Ok(()) }
    /// ```
    PageId
}

id! {
    /// The id of a protected page. A program may keep it as a number, and in its
    /// own pages: it stays the same until the page is freed, wherever the page
    /// lies.
    ///
    /// It is not taken for that of a regular page:
    ///
    /// ```compile_fail,E0308
    /// # fn f(pager: &mut pagebox::Pager) -> Result<(), pagebox::Error> {
    /// let id = pager.alloc_protected()?;
    /// pager.page(id)?;
    /// # Ok(()) }
    /// ```
    ProtectedId
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn id_is_written_and_read_as_its_number() {
        let id = PageId::new(u64::MAX);
        assert_eq!(id.to_string(), u64::MAX.to_string());
        assert_eq!(id.to_string().parse::<PageId>().unwrap(), id);
        "-1".parse::<PageId>().unwrap_err();
        assert_eq!(format!("{:>4}", ProtectedId::new(7)), "   7");
        let json = serde_json::to_string(&[ProtectedId::new(7)]).unwrap();
        assert_eq!(json, "[7]");
        let ids: Vec<ProtectedId> = serde_json::from_str(&json).unwrap();
        assert_eq!(ids[0].get(), 7);
    }
}
