//! The imported store as a [`PageStore`]. The bytes of a private buffer never come
//! here: the host holds them.

use alloc::vec::Vec;

use pagebox_store::{
    Algorithm, Change, Checksum, Geometry, IoError, PageSize, PageStore, Staged, StoreError,
    UnsupportedPageSize,
};

use crate::wit::pagebox::pager::page_store::{self as wit, PageView, Store, ViewAccess};

/// A store that the host handed in.
pub(crate) struct HostStore {
    store: Store,
    page_size: PageSize,
}

/// A private buffer, held by the host.
pub(crate) enum Buffer {
    /// One that the store made when it was asked for it.
    View(PageView),
    /// One that the host gave a number, and its checksum.
    Held(u64, Checksum),
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
    pub(crate) fn view(&self, page: u64, access: ViewAccess) -> Result<PageView, StoreError> {
        Ok(self.store.view(page, access)?)
    }

    fn geometry_of(&self, geometry: wit::Geometry) -> Geometry {
        Geometry {
            page_size: self.page_size,
            page_count: geometry.page_count,
            tail: geometry.tail,
        }
    }
}

impl Staged for Buffer {
    fn staged_checksum(&self, algorithm: Algorithm) -> Result<Checksum, StoreError> {
        match self {
            Self::View(view) => of_algorithm(view.checksum(algorithm.into())?.into(), algorithm),
            Self::Held(_, checksum) => of_algorithm(*checksum, algorithm),
        }
    }
}

impl PageStore for HostStore {
    type Buffer = Buffer;

    fn geometry(&self) -> Geometry {
        self.geometry_of(self.store.geometry())
    }

    fn read(&self, page: u64, offset: u32, bytes: &mut [u8]) -> Result<(), StoreError> {
        let len = u32::try_from(bytes.len()).map_err(|_| StoreError::OutOfBounds)?;
        let found = self.store.read(page, offset, len)?;
        if found.len() != bytes.len() {
            return Err(another_number());
        }
        bytes.copy_from_slice(&found);
        Ok(())
    }

    fn checksum(&self, page: u64, algorithm: Algorithm) -> Result<Checksum, StoreError> {
        match self.store.checksums(&[page], algorithm.into())?[..] {
            [checksum] => of_algorithm(checksum.into(), algorithm),
            _ => Err(another_number()),
        }
    }

    fn stage(&self, source: Option<u64>) -> Result<Buffer, StoreError> {
        Ok(Buffer::View(self.store.stage(source)?))
    }

    fn write(&mut self, changes: &[Change<'_, Buffer>]) -> Result<(), StoreError> {
        let changes: Vec<_> = changes.iter().map(change).collect();
        Ok(self.store.write(&changes)?)
    }

    fn grow(&mut self, page_count: u64) -> Result<Geometry, StoreError> {
        let geometry = self.store.grow(page_count)?;
        Ok(self.geometry_of(geometry))
    }

    fn truncate(&mut self, page_count: u64) -> Result<Geometry, StoreError> {
        let geometry = self.store.truncate(page_count)?;
        Ok(self.geometry_of(geometry))
    }
}

fn another_number() -> StoreError {
    StoreError::Other(Some("the store gave another number of things".into()))
}

/// The checksum, if it is of the algorithm that was asked for.
fn of_algorithm(checksum: Checksum, algorithm: Algorithm) -> Result<Checksum, StoreError> {
    if checksum.algorithm == algorithm {
        Ok(checksum)
    } else {
        let text = "the store gave a checksum of another algorithm";
        Err(StoreError::Other(Some(text.into())))
    }
}

fn change<'a>(change: &Change<'a, Buffer>) -> wit::Change<'a> {
    match *change {
        Change::Sealed { page, bytes, start } => {
            wit::Change::Sealed(wit::SealedPage { page, bytes, start })
        }
        Change::Staged { page, buffer } => match buffer {
            Buffer::View(view) => wit::Change::Staged(wit::StagedPage { page, view }),
            &Buffer::Held(buffer, _) => wit::Change::Held(wit::HeldPage { page, buffer }),
        },
        Change::Bytes { page, bytes } => wit::Change::Bytes(wit::PageBytes { page, bytes }),
        Change::Zero { first, count } => wit::Change::Zero(wit::Extent { first, count }),
        Change::Order => wit::Change::Order,
        Change::Sync => wit::Change::Sync,
    }
}

impl From<wit::StoreError> for StoreError {
    fn from(error: wit::StoreError) -> Self {
        match error {
            wit::StoreError::OutOfBounds => Self::OutOfBounds,
            wit::StoreError::InsufficientSpace => Self::InsufficientSpace,
            wit::StoreError::ReadOnly => Self::ReadOnly,
            wit::StoreError::Fenced => Self::Fenced,
            wit::StoreError::Io(text) => Self::Io(IoError { code: None, text }),
            wit::StoreError::Other(text) => Self::Other(text),
        }
    }
}

impl From<Algorithm> for wit::Algorithm {
    fn from(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Crc32 => Self::Crc32,
            Algorithm::Xxh3 => Self::Xxh3,
        }
    }
}

impl From<wit::Checksum> for Checksum {
    fn from(checksum: wit::Checksum) -> Self {
        let wit::Checksum {
            algorithm,
            low,
            high,
        } = checksum;
        Self {
            algorithm: match algorithm {
                wit::Algorithm::Crc32 => Algorithm::Crc32,
                wit::Algorithm::Xxh3 => Algorithm::Xxh3,
            },
            value: u128::from(high) << 64 | u128::from(low),
        }
    }
}

impl From<Checksum> for wit::Checksum {
    #[expect(clippy::cast_possible_truncation, reason = "the halves of a sum")]
    fn from(checksum: Checksum) -> Self {
        Self {
            algorithm: checksum.algorithm.into(),
            low: checksum.value as u64,
            high: (checksum.value >> 64) as u64,
        }
    }
}
