//! [`NewFile`]: what a new page file is to be.

use crate::Error;
use crate::format::Format;
use crate::wit::exports::pagebox::pager::pager as wit;

/// What a new page file is to be. A number is that of its pages, in
/// [format 1](Format::One).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NewFile {
    /// Its format.
    pub format: Format,
    /// Pages that there must be at least, the pager's own ones included.
    pub page_count: u64,
}

impl From<u64> for NewFile {
    fn from(page_count: u64) -> Self {
        Self {
            page_count,
            ..Self::default()
        }
    }
}

impl NewFile {
    /// With a number that no other file has.
    pub(crate) fn drawn(self) -> Result<wit::NewFile, Error> {
        let draw =
            || getrandom::u64().map_err(|error| Error::Other(format!("no random number: {error}")));
        Ok(self.numbered((draw()?, draw()?)))
    }

    /// With the number of a file that it is a copy of.
    pub(crate) fn numbered(self, uuid: (u64, u64)) -> wit::NewFile {
        wit::NewFile {
            format: self.format.number(),
            page_count: self.page_count,
            uuid,
        }
    }
}
