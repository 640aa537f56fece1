//! [`Verified`]: protected pages whose bytes agreed with their checksum.

use pagebox_store::PageStore;

use crate::bitmap::Overlay;
use crate::error::Error;
use crate::facts::Location;
use crate::ids::ProtectedId;
use crate::read::page_checksum;

/// Words of the set, each of up to 64 pages: when there are more, all are
/// verified again when they are next asked for.
const WORDS: usize = 1 << 16;

/// Protected pages of one state whose bytes agreed with their checksum.
#[derive(Debug, Default)]
pub(crate) struct Verified(Overlay);

impl Verified {
    /// That the bytes at this place are the ones that were committed: looked at
    /// the first time only.
    ///
    /// # Errors
    /// [`Error::ChecksumMismatch`], [`Error::Store`].
    pub(crate) fn expect<S: PageStore>(
        &mut self,
        store: &S,
        id: ProtectedId,
        location: Location,
    ) -> Result<(), Error> {
        if self.0.contains(id.0) {
            return Ok(());
        }
        let expected = location.checksum;
        if let Some(page) = location.page {
            let actual = page_checksum(store, page, expected.algorithm)?;
            if actual != expected {
                return Err(Error::ChecksumMismatch {
                    id,
                    page,
                    expected,
                    actual,
                    unproven: location.is_unproven(),
                });
            }
        }
        // In the worst order one word is kept for each.
        if self.0.word_count() >= WORDS {
            self.0 = Overlay::default();
        }
        self.0.insert(id.0);
        Ok(())
    }

    /// Other bytes were committed.
    pub(crate) fn forget(&mut self, id: ProtectedId) {
        self.0.remove(id.0);
    }
}
