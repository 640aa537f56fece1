//! [`Witness`]: recovery beside a writer. What is read is one state, although
//! another process may commit meanwhile.
//!
//! 1. A commit writes nothing that the state before it reaches, page 0 apart,
//!    and page 0 is written when all else of the commit is durable.
//! 2. So all that was read is of one state if page 0 and the generation of the
//!    metadata that it names are afterwards what they were before: no commit
//!    ended in between, and one that is under way writes elsewhere. Page 0
//!    alone would not do: its tag wraps around, and the files of others have
//!    none.
//! 3. If they changed, all of it is read again.
//!
//! Damage that is found between two different readings of page 0 is no damage.

use alloc::vec::Vec;

use pagebox_store::{PageStore, StoreError};

use crate::error::{Error, Operation};
use crate::format0::metadata;
use crate::format0::superblock;
use crate::ids::Side;
use crate::read::read_page;

/// The bytes that decide which state counts, as they were at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Witness {
    /// None: the file has no whole page.
    page0: Option<Vec<u8>>,
    /// Of the metadata that page 0 names, up to its bitmap.
    metadata: Option<[u8; metadata::offset::BITMAP]>,
}

impl Witness {
    /// Reads the bytes that decide.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn read<S: PageStore>(store: &S) -> Result<Self, Error> {
        let page0 = read_page(store, 0)?;
        let side = page0.as_ref().map_or(Side::A, |page0| named_side(page0));
        let page = metadata::page_of(side);
        let mut bytes = [0; metadata::offset::BITMAP];
        let metadata = match store.read(page, 0, &mut bytes) {
            Ok(()) => Some(bytes),
            Err(StoreError::OutOfBounds) => None,
            Err(source) => return Err(Error::store(Operation::Read { page })(source)),
        };
        Ok(Self { page0, metadata })
    }

    /// Whether the file begins so.
    pub(crate) fn page0_begins_with(&self, magic: &[u8]) -> bool {
        let page0 = self.page0.as_ref();
        page0.is_some_and(|page0| page0.starts_with(magic))
    }
}

/// The side that page 0 names, whatever else is wrong with it; A where it names
/// none.
fn named_side(page0: &[u8]) -> Side {
    let byte = page0.get(superblock::offset::SIDE).copied();
    byte.and_then(Side::from_byte).unwrap_or(Side::A)
}
