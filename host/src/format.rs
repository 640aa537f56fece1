//! [`Format`]: how the bytes of a page file are laid out, by its number.

use std::fmt;
use std::str::FromStr;

/// An on-disk format. The list may grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// That of `mappedpages` 0.2: up to 127 MiB with pages of 4 KiB, two pages
    /// and two syncs for a protected one.
    Zero,
    /// The usual one: files of any size, one page for a protected one and one
    /// sync, or two where a commit allocates regular pages that the file had
    /// already.
    #[default]
    One,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 2] = [Self::Zero, Self::One];

    /// Its number.
    pub const fn number(self) -> u32 {
        match self {
            Self::Zero => 0,
            Self::One => 1,
        }
    }

    /// Whether the figures of a file name this format: `0.2` is format 0.
    pub(crate) fn is_named(self, name: &str) -> bool {
        let (number, _) = name.split_once('.').unwrap_or((name, ""));
        number == self.to_string()
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.number().fmt(f)
    }
}

/// There is no format of this name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there are the formats 0 and 1")]
pub struct UnknownFormat;

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(text: &str) -> Result<Self, UnknownFormat> {
        let named = Self::ALL.into_iter().find(|it| it.to_string() == text);
        named.ok_or(UnknownFormat)
    }
}
