//! Reading pages and structures of a store, whatever is in them.

use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

use pagebox_store::{PageSize, PageStore, StoreError};

use crate::error::{Error, Operation};
use crate::finding::{Finding, FindingKind};
use crate::format::directory::{self, DirectoryCopy};
use crate::format::metadata::{self, Metadata};
use crate::ids::Side;

/// One of the two metadata pages as it was read.
pub(super) struct MetadataRead {
    pub(super) side: Side,
    pub(super) bytes: Vec<u8>,
    pub(super) parsed: Result<Metadata, Finding>,
}

/// Copies of directory blocks in a store.
pub(super) struct Copies<'a, S> {
    pub(super) store: &'a S,
    pub(super) page_size: PageSize,
}

impl<S: PageStore> Copies<'_, S> {
    /// A page as a copy; none where it is not one.
    pub(super) fn read(&self, page: u64) -> Result<Option<DirectoryCopy>, Error> {
        let found = read_page(self.store, page)?;
        Ok(found.and_then(|page| DirectoryCopy::parse(page, self.page_size).ok()))
    }
}

/// A page's tag, taken as a copy of a directory block, whatever the page is;
/// none past the end.
pub(super) fn raw_tag<S: PageStore>(store: &S, page: u64) -> Result<Option<u32>, Error> {
    let mut tag = [0; 4];
    #[expect(clippy::cast_possible_truncation, reason = "a constant of 4")]
    let offset = directory::offset::TAG as u32;
    match store.read(page, offset, &mut tag) {
        Ok(()) => Ok(Some(u32::from_le_bytes(tag))),
        Err(StoreError::OutOfBounds) => Ok(None),
        Err(source) => Err(Error::store(Operation::Read { page })(source)),
    }
}

pub(super) fn read_metadata<S: PageStore>(
    store: &S,
    page_size: PageSize,
    side: Side,
) -> Result<MetadataRead, Error> {
    let page = metadata::page_of(side);
    let Some(bytes) = read_page(store, page)? else {
        let message = format!("the file ends before metadata {side}, in page {page}");
        let finding = Finding::new(FindingKind::FileTooShort, Some(page), message);
        return Ok(MetadataRead {
            side,
            bytes: Vec::new(),
            parsed: Err(finding),
        });
    };
    let parsed = Metadata::parse(&bytes, page_size).map_err(|fault| {
        let message = format!("metadata {side} cannot be believed: {fault}");
        Finding::new(FindingKind::MetadataNamed, Some(page), message).with_evidence(
            &bytes,
            fault.offset(page_size),
            8,
        )
    });
    Ok(MetadataRead {
        side,
        bytes,
        parsed,
    })
}

/// A whole page; none past the end of the store.
pub(crate) fn read_page<S: PageStore>(store: &S, page: u64) -> Result<Option<Vec<u8>>, Error> {
    let geometry = store.geometry();
    if page >= geometry.page_count {
        return Ok(None);
    }
    let mut bytes = vec![0; geometry.page_size.bytes()];
    match store.read(page, 0, &mut bytes) {
        Ok(()) => Ok(Some(bytes)),
        // The medium was cut off since.
        Err(StoreError::OutOfBounds) => Ok(None),
        Err(source) => Err(Error::store(Operation::Read { page })(source)),
    }
}

pub(super) fn usize_of(offset: u32) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}
