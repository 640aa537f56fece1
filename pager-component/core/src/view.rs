//! [`View`]: a committed state that stays readable while commits go on.

use alloc::vec::Vec;

use pagebox_store::PageStore;

use crate::error::Error;
use crate::facts::{Location, ProtectedPage};
use crate::file::File;
use crate::ids::ProtectedId;
use crate::pin::Pin;
use crate::verified::Verified;

/// The protected pages of one committed state. As long as it lives, no commit
/// of the pager that it is of writes to what it reads.
///
/// It reads from the pager's store, which each call is given. Regular pages are
/// changed in place: no view has them.
#[derive(Debug)]
pub struct View {
    file: File,
    pin: Pin,
    verified: Verified,
}

impl View {
    pub(crate) fn new(file: File, pin: Pin) -> Self {
        Self {
            file,
            pin,
            verified: Verified::default(),
        }
    }

    /// The generation that it reads.
    pub fn generation(&self) -> u64 {
        self.pin.generation()
    }

    /// The root record of its state, with which
    /// [`Pager::open_at`](crate::Pager::open_at) reads the same.
    pub fn root(&self) -> Vec<u8> {
        self.file.root()
    }

    /// Where a protected page's bytes are, not verified.
    ///
    /// # Errors
    /// [`Error::NotProtected`], [`Error::Corrupt`], [`Error::Store`].
    pub fn locate<S: PageStore>(&mut self, store: &S, id: ProtectedId) -> Result<Location, Error> {
        self.file.locate(store, id)
    }

    /// The same; the bytes are checked against their checksum, the first time.
    ///
    /// # Errors
    /// As there; [`Error::ChecksumMismatch`].
    pub fn verify<S: PageStore>(&mut self, store: &S, id: ProtectedId) -> Result<Location, Error> {
        let location = self.locate(store, id)?;
        self.verified.expect(store, id, location)?;
        Ok(location)
    }

    /// Protected pages in ascending order from id `start` on, at most `limit`.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Store`].
    pub fn protected<S: PageStore>(
        &mut self,
        store: &S,
        start: ProtectedId,
        limit: usize,
    ) -> Result<Vec<ProtectedPage>, Error> {
        self.file.protected(store, start, limit)
    }
}
