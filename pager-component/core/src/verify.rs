//! Whether the bytes of a protected page are those that were committed.

use alloc::format;
use alloc::string::String;

use pagebox_store::{Algorithm, Checksum, PageSize, PageStore};

use crate::codec::narrow;
use crate::error::Error;
use crate::facts::ProtectedPage;
use crate::finding::{self, Finding};
use crate::flip::{self, Flip};
use crate::read::{page_checksum, read_page};

/// What is wrong with the bytes of a protected page.
pub(crate) fn protected_page<S: PageStore>(store: &S, of: &ProtectedPage) -> Option<Finding> {
    let ProtectedPage { id, location, .. } = of;
    // Without a page they are zeros, which nothing can spoil.
    let page = location.page?;
    let actual = match page_checksum(store, page, location.checksum.algorithm) {
        Ok(actual) if actual == location.checksum => return None,
        Ok(actual) => actual,
        Err(error) => {
            let message = format!("protected page {id} cannot be read: {error}");
            return Some(Finding::new(finding::UNREADABLE, Some(page), message));
        }
    };
    let kind = if location.is_unproven() {
        finding::PROTECTED_UNPROVEN
    } else {
        finding::PROTECTED_CHECKSUM
    };
    let flip = flip_in(store.geometry().page_size, location.checksum, actual);
    let message = format!(
        "protected page {id}: the checksum of page {page} is {actual}, not {} as committed{}",
        location.checksum,
        explained(flip)
    );
    let finding = Finding::new(kind, Some(page), message);
    // Where the byte is not known, none is evidence more than the others.
    let Some(Flip::Bytes { byte, .. }) = flip else {
        return Some(finding);
    };
    Some(match read_page(store, page) {
        Ok(Some(bytes)) => finding.with_evidence(&bytes, narrow(byte), 16),
        _ => finding,
    })
}

/// The one bit of a page that explains its checksum. Only of a CRC it can be
/// told.
pub(crate) fn flip_in(page_size: PageSize, expected: Checksum, actual: Checksum) -> Option<Flip> {
    let crc = |checksum: Checksum| {
        let value = u32::try_from(checksum.value).ok();
        value.filter(|_| checksum.algorithm == Algorithm::Crc32)
    };
    let bits = u64::from(page_size.bytes_u32()) * 8;
    flip::one_bit(bits, crc(expected)?, crc(actual)?)
}

/// What one flipped bit has to do with it, to end a sentence; empty where that
/// is nothing.
pub(crate) fn explained(flip: Option<Flip>) -> String {
    flip.map_or_else(String::new, |flip| format!("; {flip}"))
}

/// A page that the medium did not give.
pub(crate) fn unreadable(page: u64, error: &Error) -> Finding {
    Finding::new(finding::UNREADABLE, Some(page), format!("{error}"))
}
