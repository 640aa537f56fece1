//! [`FileViewer`]: what views read of a file that goes on to be changed.

use std::io;
use std::sync::Arc;

use pagebox_store::{
    Algorithm, Change, Checksum, Geometry, PageBuffer, PageStore, StoreError, bounds,
};

use super::Store;
use super::file::io_error;
use super::map::ViewMap;
use crate::Error;
use crate::os::{self, Locked};

/// A locked file, of the length that it had, with a map of its own or by
/// position. It keeps the lock: the file stays its store's.
#[derive(Debug)]
pub(super) struct FileViewer {
    // Before the file: the lock outlives the map.
    map: Option<ViewMap>,
    file: Arc<Locked>,
    geometry: Geometry,
}

impl FileViewer {
    /// Reads by position.
    pub(super) fn positioned(file: &Arc<Locked>, geometry: Geometry) -> Self {
        Self {
            map: None,
            file: file.clone(),
            geometry,
        }
    }

    /// Reads through a map of so many bytes.
    pub(super) fn mapped(file: &Arc<Locked>, geometry: Geometry, len: usize) -> io::Result<Self> {
        Ok(Self {
            map: Some(ViewMap::new(file, len)?),
            ..Self::positioned(file, geometry)
        })
    }

    fn expect_own(&self) -> Result<(), StoreError> {
        if self.file.owner().is_here() {
            Ok(())
        } else {
            Err(StoreError::Other(Some(Error::Forked.to_string())))
        }
    }
}

impl PageStore for FileViewer {
    type Buffer = PageBuffer;

    fn geometry(&self) -> Geometry {
        self.geometry
    }

    fn read(&self, page: u64, offset: u32, bytes: &mut [u8]) -> Result<(), StoreError> {
        self.expect_own()?;
        let position = bounds(self.geometry, page, offset, bytes.len())?;
        match self.page(page) {
            Some(whole) => {
                let start = offset as usize;
                bytes.copy_from_slice(&whole[start..start + bytes.len()]);
                Ok(())
            }
            None => os::read_at(self.file.file(), bytes, position).map_err(io_error),
        }
    }

    fn checksum(&self, page: u64, algorithm: Algorithm) -> Result<Checksum, StoreError> {
        match self.page(page) {
            Some(whole) => Ok(Checksum::of(algorithm, whole)),
            None => Ok(self.stage(Some(page))?.checksum(algorithm)),
        }
    }

    fn stage(&self, source: Option<u64>) -> Result<PageBuffer, StoreError> {
        let mut buffer = PageBuffer::zeroed(self.geometry.page_size);
        if let Some(page) = source {
            self.read(page, 0, &mut buffer)?;
        }
        Ok(buffer)
    }

    fn write(&mut self, _: &[Change<'_, PageBuffer>]) -> Result<(), StoreError> {
        Err(StoreError::ReadOnly)
    }

    fn grow(&mut self, _: u64) -> Result<Geometry, StoreError> {
        Err(StoreError::ReadOnly)
    }
}

impl Store for FileViewer {
    #[inline]
    fn page(&self, page: u64) -> Option<&[u8]> {
        let bytes = self.map.as_ref()?.bytes();
        if !self.file.owner().is_here() {
            return None;
        }
        let len = self.geometry.page_size.bytes();
        let start = usize::try_from(page).ok()?.checked_mul(len)?;
        bytes.get(start..start.checked_add(len)?)
    }
}
