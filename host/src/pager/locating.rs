//! Where pages are: what the sandbox says of it, and what is known already.

use pagebox_store::Checksum;

use super::{Access, Pager};
use crate::Error;
use crate::ids::{PageId, ProtectedId};
use crate::wit::exports::pagebox::pager::pager as wit;

const LOCATING: &str = "locating a protected page";

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
        if let Some(holder) = self.holder(number) {
            let cause =
                format!("it found page {number} regular, which holds protected page {holder}");
            return Err(self.distrust(OPERATION, cause));
        }
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
        const OPERATION: &str = LOCATING;
        let location = self.ask(OPERATION, |exports, store, pager| {
            exports
                .pager()
                .call_locate_protected(store, pager, id.get())
        })?;
        if let Some(page) = location.page {
            self.expect_page(OPERATION, page)?;
            self.expect_nobody_else(OPERATION, "found", id, page)?;
        }
        Ok(location)
    }

    /// The protected page that is known to be in a page. Of a damaged file, which
    /// can be read only, several may be.
    fn holder(&self, page: u64) -> Option<u64> {
        match self.access {
            Access::Read => None,
            Access::Write => self.cache.holder(page),
        }
    }

    /// That a page which is to hold a protected page is nobody else's, as far as
    /// is known.
    fn expect_nobody_else(
        &self,
        operation: &'static str,
        did: &str,
        id: ProtectedId,
        page: u64,
    ) -> Result<(), Error> {
        let whose = match self.holder(page) {
            Some(holder) if holder != id.get() => format!("which holds protected page {holder}"),
            _ if self.cache.is_regular(page) => "a regular page".into(),
            _ => return Ok(()),
        };
        let cause = format!("it {did} protected page {id} in page {page}, {whose}");
        Err(self.distrust(operation, cause))
    }

    /// That a protected page which was committed was written, to a page that can
    /// be its own; gives that.
    pub(crate) fn expect_written(
        &self,
        operation: &'static str,
        id: ProtectedId,
        page: Option<u64>,
    ) -> Result<u64, Error> {
        let Some(page) = page else {
            let cause = format!("it did not write protected page {id}");
            return Err(self.distrust(operation, cause));
        };
        self.expect_page(operation, page)?;
        self.expect_nobody_else(operation, "wrote", id, page)?;
        Ok(page)
    }

    /// That a protected page which no page holds was committed as zeros.
    pub(super) fn expect_zeros(
        &self,
        id: ProtectedId,
        location: &wit::Location,
    ) -> Result<(), Error> {
        let committed = Checksum::from(location.checksum);
        if committed == Checksum::of(committed.algorithm, self.zeros()) {
            return Ok(());
        }
        let cause = format!("it found protected page {id} nowhere, whose bytes are not zeros");
        Err(self.distrust(LOCATING, cause))
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
