//! First bytes of protected pages that a transaction is to write.

use pagebox_store::PageBuffer;

use super::Pager;
use super::pages::reading;
use crate::Error;
use crate::ids::ProtectedId;
use crate::page_stores::Spare;

impl Pager {
    /// Buffers that were used before.
    pub(crate) fn spare(&mut self) -> &mut Spare {
        &mut self.spare
    }

    /// A page of zeros.
    pub(crate) fn stage_zeros(&mut self) -> Result<PageBuffer, Error> {
        self.copy_of(None)
    }

    /// A page of zeros for a protected page that there is.
    pub(crate) fn stage_blank(&mut self, id: ProtectedId) -> Result<PageBuffer, Error> {
        if self.cache.protected(id.get()).is_none() {
            self.locate_protected(id)?;
        }
        self.stage_zeros()
    }

    /// The committed bytes of a protected page. Those that another program
    /// allocated, and never made durable, are zeros.
    pub(crate) fn stage_committed(&mut self, id: ProtectedId) -> Result<PageBuffer, Error> {
        if let Some(page) = self.cache.protected(id.get()) {
            return self.copy_of(Some(page));
        }
        let location = self.locate_protected(id)?;
        let buffer = self.copy_of(location.page)?;
        let Some(page) = location.page else {
            self.expect_zeros(id, &location)?;
            return Ok(buffer);
        };
        match self.verify(id, page, &location, &buffer) {
            Ok(()) => {
                self.cache.add_protected(id.get(), page);
                Ok(buffer)
            }
            Err(Error::ChecksumMismatch { unproven: true, .. }) => self.stage_zeros(),
            Err(error) => Err(error),
        }
    }

    fn copy_of(&mut self, page: Option<u64>) -> Result<PageBuffer, Error> {
        let copied = self.spare.stage(self.store.get(), page);
        copied.map_err(|cause| reading(page.unwrap_or(0), cause))
    }
}
