//! Where header and root records lie on the medium; reads them.

use alloc::borrow::Cow;
use alloc::vec;
use alloc::vec::Vec;

use pagebox_store::{Change, SECTOR};

use super::error::{Damage, Error};
use super::header::{HEADER_LEN, Header, HeaderFault};
use super::medium::Medium;
use super::record::{self, Record, RecordFault};
use super::shape::{Shape, unit};
use crate::codec::{narrow, part, wide};
use crate::ids::Side;

/// A valid record, and the blocks that it takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) record: Record,
    pub(super) blocks: Vec<u8>,
}

/// What stands in a root slot.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) found: Result<Found, RecordFault>,
    /// Of all its sectors, whatever they hold.
    pub(super) stamps: Vec<u64>,
}

/// The largest unit that a file can have.
const UNIT_MAX: u64 = 1 << 20;

/// The position in bytes of a root slot.
pub(super) fn position(unit: u64, side: Side) -> u64 {
    match side {
        Side::A => unit,
        Side::B => 2 * unit,
    }
}

/// Reads a root slot whole. What is past the end of the file is no record.
pub(super) fn read<S: Medium>(store: &S, unit: u64, side: Side) -> Result<Slot, Error> {
    let Some(slot) = slot_bytes(store, unit, side)? else {
        return Ok(Slot {
            found: Err(RecordFault::Magic),
            stamps: Vec::new(),
        });
    };
    Ok(Slot {
        found: parse(&slot),
        stamps: record::stamps(&slot).collect(),
    })
}

/// The bytes of a root slot; none past the end of the file.
pub(super) fn slot_bytes<S: Medium>(
    store: &S,
    unit: u64,
    side: Side,
) -> Result<Option<Vec<u8>>, Error> {
    bytes(store, position(unit, side), unit)
}

fn parse(slot: &[u8]) -> Result<Found, RecordFault> {
    let len = record::len_of(slot, slot.len())?;
    let blocks = part(slot, 0, len);
    Ok(Found {
        record: Record::decode(blocks)?,
        blocks: blocks.to_vec(),
    })
}

fn bytes<S: Medium>(store: &S, at: u64, len: u64) -> Result<Option<Vec<u8>>, Error> {
    let geometry = store.geometry();
    let whole = geometry.byte_count() - u64::from(geometry.tail);
    if at.saturating_add(len) > whole {
        return Ok(None);
    }
    let mut bytes = vec![0; narrow(len)];
    let page = at >> geometry.page_size.log2();
    store
        .read_at(at, &mut bytes)
        .map_err(Error::reading(page))?;
    Ok(Some(bytes))
}

/// The header of a file, and whether it is rotten: then it is what the root
/// records repeat of it. Works on a store with pages of any size.
///
/// # Errors
/// [`Error::Identity`], [`Error::Damaged`], [`Error::Store`].
pub fn identify<S: Medium>(store: &S) -> Result<(Header, bool), Error> {
    let Some(first) = bytes(store, 0, wide(HEADER_LEN))? else {
        return Err(Error::Identity(HeaderFault::Magic([0; 4])));
    };
    let fault = match Header::decode(&first) {
        Ok(header) => return Ok((header, false)),
        Err(fault @ (HeaderFault::Version { .. } | HeaderFault::PageSize(_))) => {
            return Err(Error::Identity(fault));
        }
        Err(fault) => fault,
    };
    // Smallest first: below the true unit lie only the header's zeros, and at
    // most root slot A, whose page size has another unit.
    let mut size = unit(pagebox_store::PageSize::KIB_1);
    while size <= UNIT_MAX {
        let mut header = None;
        for side in Side::BOTH {
            let Some(found) = at_unit(store, size, side)? else {
                continue;
            };
            if header.is_some_and(|header| header != found) {
                return Err(Error::Damaged(Damage::TwoFiles));
            }
            header = Some(found);
        }
        if let Some(header) = header {
            return Ok((header, true));
        }
        size *= 2;
    }
    Err(Error::Identity(fault))
}

/// What a valid record in the slot of this unit says of the file, if its page
/// size has this unit.
fn at_unit<S: Medium>(store: &S, size: u64, side: Side) -> Result<Option<Header>, Error> {
    let Some(first) = bytes(store, position(size, side), wide(SECTOR))? else {
        return Ok(None);
    };
    if record::len_of(&first, narrow(size)).is_err() {
        return Ok(None);
    }
    match read(store, size, side)?.found {
        Ok(found) => {
            let header = found.record.header;
            Ok((unit(header.page_size) == size).then_some(header))
        }
        Err(_) => Ok(None),
    }
}

/// The pages of a root slot that a record takes, with their bytes.
pub(super) fn pages(shape: Shape, side: Side, blocks: &[u8]) -> Vec<(u64, Cow<'_, [u8]>)> {
    let first = position(shape.unit(), side) >> shape.page_size.log2();
    let pages = blocks.chunks(shape.page_size.bytes());
    let whole = pages.map(|bytes| {
        if bytes.len() == shape.page_size.bytes() {
            Cow::Borrowed(bytes)
        } else {
            Cow::Owned(whole(shape, bytes))
        }
    });
    (first..).zip(whole).collect()
}

/// A page that begins with these bytes; the rest is zeros.
pub(super) fn whole(shape: Shape, bytes: &[u8]) -> Vec<u8> {
    let mut page = bytes.to_vec();
    page.resize(shape.page_size.bytes(), 0);
    page
}

/// Pages to be written.
pub(super) fn changes<'a, B: 'a>(
    pages: &'a [(u64, impl AsRef<[u8]>)],
) -> impl Iterator<Item = Change<'a, B>> {
    pages.iter().map(|&(page, ref bytes)| Change::Bytes {
        page,
        bytes: bytes.as_ref(),
    })
}
