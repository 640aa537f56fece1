//! Whether the bytes of a protected page are those that were committed.

use alloc::format;
use alloc::string::String;

use pagebox_store::{Algorithm, Checksum, PageSize, PageStore};

use crate::checksum::Xxh3;
use crate::codec::narrow;
use crate::error::Error;
use crate::facts::ProtectedPage;
use crate::finding::{self, Finding};
use crate::flip::{self, Flip};
use crate::flip_xxh3;
use crate::read::{page_checksum, read_page};

/// How many more checksums of format 1 are explained. To try all bits of a page
/// of 8 KiB, the largest of which that is done, takes about as long as to hash 50
/// MiB, so a whole check does it [`Looks::A_CHECK`] times at most: it comes to a
/// third of a second at worst, wherever in it the rotten pages are, which is far
/// below what a sandbox gives a single call. Whatever is found after these is
/// told without an explanation. That of a CRC-32 takes a few instructions a bit; it
/// is counted in recovery, where a file may have many of a mebibyte, and not where
/// each part of a check has one.
#[derive(Clone, Debug)]
pub(crate) struct Looks(u32);

impl Looks {
    const A_CHECK: u32 = 64;

    /// For one page.
    pub(crate) const fn one() -> Self {
        Self(1)
    }

    /// For recovery, which is explained at once.
    pub(crate) const fn recovery() -> Self {
        Self(16)
    }

    /// For nobody who looks.
    pub(crate) const fn none() -> Self {
        Self(0)
    }

    /// Whether one more may be explained.
    pub(crate) fn take(&mut self) -> bool {
        let left = self.0.checked_sub(1);
        self.0 = left.unwrap_or(0);
        left.is_some()
    }

    /// The bit of `bytes` that explains that their XXH3 is not `expected`.
    pub(crate) fn explain(&mut self, bytes: &[u8], expected: Xxh3) -> Option<Flip> {
        if bytes.len() > flip_xxh3::LEN_MAX || !self.take() {
            return None;
        }
        flip_xxh3::one_bit(bytes, expected)
    }
}

impl Default for Looks {
    fn default() -> Self {
        Self(Self::A_CHECK)
    }
}

/// Bytes from a flipped one on that show it.
pub(crate) const FLIP_EVIDENCE: usize = 16;

/// What is wrong with the bytes of a protected page.
#[cold]
#[inline(never)]
pub(crate) fn protected_page<S: PageStore>(
    store: &S,
    of: &ProtectedPage,
    looks: &mut Looks,
) -> Option<Finding> {
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
    let bytes = || read_page(store, page).ok().flatten();
    let flip = match location.checksum.algorithm {
        Algorithm::Crc32 => flip_in(store.geometry().page_size, location.checksum, actual),
        Algorithm::Xxh3 => bytes().and_then(|bytes| looks.explain(&bytes, location.checksum.value)),
    };
    let message = format!(
        "protected page {id}: the checksum of page {page} is {actual}, not {} as committed{}",
        location.checksum,
        explained(flip)
    );
    let finding = Finding::new(kind, Some(page), message);
    Some(match bytes() {
        Some(bytes) => at_flip(finding, &bytes, flip),
        None => finding,
    })
}

/// A finding of bytes, with those from the flipped one on as its evidence. Where
/// that is not known, none is evidence more than the others.
#[cold]
#[inline(never)]
pub(crate) fn at_flip(finding: Finding, bytes: &[u8], flip: Option<Flip>) -> Finding {
    match flip {
        Some(Flip::Bytes { byte, .. }) => finding.with_evidence(bytes, narrow(byte), FLIP_EVIDENCE),
        _ => finding,
    }
}

/// The one bit of a page that explains its CRC-32.
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
#[cold]
#[inline(never)]
pub(crate) fn explained(flip: Option<Flip>) -> String {
    flip.map_or_else(String::new, |flip| format!("; {flip}"))
}

/// A page that the medium did not give.
pub(crate) fn unreadable(page: u64, error: &Error) -> Finding {
    Finding::new(finding::UNREADABLE, Some(page), format!("{error}"))
}
