//! Reading the structures of the format from a store, whatever is in it.

use alloc::format;
use alloc::vec::Vec;

use pagebox_store::{PageStore, StoreError};

use super::directory::{self, DirectoryCopy};
use super::findings;
use super::metadata::{self, Metadata, MetadataFault};
use super::seal_flip;
use crate::error::{Error, Operation};
use crate::finding::{self, Finding};
use crate::ids::Side;
use crate::read::read_page;
use crate::verify::{at_flip, explained};

/// One of the two metadata pages as it was read.
pub(super) struct MetadataRead {
    pub(super) side: Side,
    pub(super) bytes: Vec<u8>,
    pub(super) parsed: Result<Metadata, Finding>,
}

/// A metadata page.
pub(super) fn metadata_page<S: PageStore>(store: &S, side: Side) -> Result<MetadataRead, Error> {
    let page = metadata::page_of(side);
    let page_size = store.geometry().page_size;
    let Some(bytes) = read_page(store, page)? else {
        let message = format!("the file ends before metadata {side}, in page {page}");
        let finding = Finding::new(finding::FILE_TOO_SHORT, Some(page), message);
        return Ok(MetadataRead {
            side,
            bytes: Vec::new(),
            parsed: Err(finding),
        });
    };
    let parsed = Metadata::parse(&bytes, page_size).map_err(|fault| {
        let flip = match fault {
            MetadataFault::Checksum { .. } => seal_flip(&bytes, 0),
            _ => None,
        };
        let message = format!(
            "metadata {side} cannot be believed: {fault}{}",
            explained(flip)
        );
        let finding = Finding::new(findings::METADATA_NAMED, Some(page), message);
        let finding = finding.with_evidence(&bytes, fault.offset(page_size), 8);
        at_flip(finding, &bytes, flip)
    });
    Ok(MetadataRead {
        side,
        bytes,
        parsed,
    })
}

/// A page as a copy of a directory block; none where it is not one.
pub(super) fn directory_copy<S: PageStore>(
    store: &S,
    page: u64,
) -> Result<Option<DirectoryCopy>, Error> {
    let page_size = store.geometry().page_size;
    let found = read_page(store, page)?;
    Ok(found.and_then(|page| DirectoryCopy::parse(page, page_size).ok()))
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
