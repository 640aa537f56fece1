//! Where pages are: what the sandbox says of it, and what is known already.

use pagebox_store::Checksum;

use super::{Access, Pager};
use crate::Error;
use crate::ids::{PageId, ProtectedId};
use crate::wit::exports::pagebox::pager::pager as wit;

impl Pager {
    /// The physical page of a regular page.
    pub(super) fn locate(&self, id: PageId) -> Result<u64, Error> {
        const OPERATION: &str = "locating a page";
        let number = id.get();
        if self.cache.is_regular(number) {
            return Ok(number);
        }
        self.ask(OPERATION, |exports, store, pager| {
            exports.pager().call_locate(store, pager, number)
        })?;
        self.expect_page(OPERATION, number)?;
        self.cache.add_regular(number);
        Ok(number)
    }

    pub(super) fn locate_to_write(&self, id: PageId) -> Result<u64, Error> {
        match self.access {
            Access::Read => Err(Error::ReadOnly),
            Access::Write => self.locate(id),
        }
    }

    /// Where a protected page is, and what is to be found there; no page: it is
    /// zeros.
    pub(crate) fn locate_protected(&self, id: ProtectedId) -> Result<wit::Location, Error> {
        const OPERATION: &str = "locating a protected page";
        let location = self.ask(OPERATION, |exports, store, pager| {
            exports
                .pager()
                .call_locate_protected(store, pager, id.get())
        })?;
        if let Some(page) = location.page {
            self.expect_page(OPERATION, page)?;
            if self.cache.is_regular(page) {
                let cause = format!("it found protected page {id} in page {page}, a regular page");
                return Err(self.distrust(OPERATION, cause));
            }
        }
        Ok(location)
    }

    /// That these bytes of a page are the ones that were committed. Those that
    /// are not may be of a later state.
    pub(crate) fn verify(
        &self,
        id: ProtectedId,
        page: u64,
        location: &wit::Location,
        bytes: &[u8],
    ) -> Result<(), Error> {
        let expected = Checksum::from(location.checksum);
        let actual = Checksum::of(expected.algorithm, bytes);
        if actual == expected {
            return Ok(());
        }
        if !self.is_current()? {
            return Err(Error::Changed);
        }
        Err(Error::ChecksumMismatch {
            id,
            page,
            expected,
            actual,
            unproven: location.generation == 0,
        })
    }
}
