//! The imported store as a [`PageStore`]. A private buffer is a view that the
//! host holds: its bytes never come here.

use alloc::format;
use alloc::vec::Vec;

use pagebox_store::{Change, Geometry, PageSize, PageStore, StoreError, Then, UnsupportedPageSize};

use crate::wit::exports::pagebox::pager::pager::{Error, StoreFailure};
use crate::wit::pagebox::pager::page_store::{self as wit, PageView, Store, ViewAccess};

/// A store that the host handed in.
pub(crate) struct HostStore {
    store: Store,
    page_size: PageSize,
}

impl HostStore {
    pub(crate) fn new(store: Store) -> Result<Self, UnsupportedPageSize> {
        let page_size = PageSize::from_bytes(store.geometry().page_size)?;
        Ok(Self { store, page_size })
    }

    /// A store to be looked at. Of an impossible page size, no page is there.
    pub(crate) fn to_inspect(store: Store) -> Self {
        let page_size = PageSize::from_bytes(store.geometry().page_size);
        Self {
            store,
            page_size: page_size.unwrap_or(PageSize::KIB_4),
        }
    }

    pub(crate) fn into_inner(self) -> Store {
        self.store
    }

    /// The page itself, as the host shows it.
    pub(crate) fn view(&self, page: u64, access: ViewAccess) -> Result<PageView, Error> {
        self.store.view(page, access).map_err(|cause| {
            Error::Store(StoreFailure {
                operation: format!("reading page {page}"),
                cause,
            })
        })
    }

    fn geometry_of(&self, geometry: wit::Geometry) -> Geometry {
        Geometry {
            page_size: self.page_size,
            page_count: geometry.page_count,
            tail: geometry.tail,
        }
    }
}

impl PageStore for HostStore {
    type Buffer = PageView;

    fn geometry(&self) -> Geometry {
        self.geometry_of(self.store.geometry())
    }

    fn read(&self, page: u64, offset: u32, bytes: &mut [u8]) -> Result<(), StoreError> {
        let len = u32::try_from(bytes.len()).map_err(|_| StoreError::OutOfBounds)?;
        let found = self.store.read(page, offset, len)?;
        if found.len() != bytes.len() {
            return Err(StoreError::Other(Some(
                "the store gave another number of bytes".into(),
            )));
        }
        bytes.copy_from_slice(&found);
        Ok(())
    }

    fn crc32(&self, page: u64, offset: u32, len: u32) -> Result<u32, StoreError> {
        Ok(self.store.crc32(page, offset, len)?)
    }

    fn stage(&self, source: Option<u64>) -> Result<PageView, StoreError> {
        Ok(self.store.stage(source)?)
    }

    fn staged_crc32(&self, buffer: &PageView) -> Result<u32, StoreError> {
        Ok(buffer.crc32()?)
    }

    fn write(&mut self, changes: &[Change<'_, PageView>], then: Then) -> Result<(), StoreError> {
        let changes: Vec<_> = changes.iter().map(change).collect();
        Ok(self.store.write(&changes, then == Then::Sync)?)
    }

    fn grow(&mut self, page_count: u64) -> Result<Geometry, StoreError> {
        let geometry = self.store.grow(page_count)?;
        Ok(self.geometry_of(geometry))
    }
}

fn change<'a>(change: &Change<'a, PageView>) -> wit::Change<'a> {
    match *change {
        Change::Sealed { page, bytes, start } => {
            wit::Change::Sealed(wit::SealedPage { page, bytes, start })
        }
        Change::Staged { page, buffer } => {
            wit::Change::Staged(wit::StagedPage { page, view: buffer })
        }
        Change::Zero { page } => wit::Change::Zero(page),
        Change::Reset { first, count } => wit::Change::Reset(wit::Extent { first, count }),
    }
}

impl From<wit::StoreError> for StoreError {
    fn from(error: wit::StoreError) -> Self {
        match error {
            wit::StoreError::OutOfBounds => Self::OutOfBounds,
            wit::StoreError::InsufficientSpace => Self::InsufficientSpace,
            wit::StoreError::ReadOnly => Self::ReadOnly,
            wit::StoreError::Io(text) => Self::Io(text),
            wit::StoreError::Other(text) => Self::Other(text),
        }
    }
}
