//! The header: what the first page says, once and for all.

use pagebox_store::PageSize;

use super::layout::NAMED;
use crate::checksum::{Xxh3, xxh3};
use crate::codec::{array_at, part, put, u8_at, u32_at, u64_at, u128_at};

/// Bytes of the header that say something; the rest of its unit is zero.
pub const HEADER_LEN: usize = 512;

/// Where its checksum stands: of what comes before.
pub(super) const HEADER_SUM: usize = 496;

/// What a file of this format begins with.
pub const MAGIC: [u8; 4] = *b"PBOX";
const MAJOR: u8 = 1;

/// Drawn when the file is made, by whoever makes it.
pub type Uuid = [u8; 16];

/// What names a file, and says how it is laid out. The header says it, and each
/// root record repeats it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The size of a page.
    pub page_size: PageSize,
    /// Of this file.
    pub uuid: Uuid,
    /// The first page of the homes of the groups 0 to 3.
    pub homes: [u64; NAMED],
}

/// Why bytes are no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderFault {
    /// They begin otherwise.
    #[error("the first bytes are not PBOX")]
    Magic([u8; 4]),
    /// The checksum is right, and the version is another.
    #[error("version {major}.{minor} of the format is not known here")]
    Version {
        /// Not 1.
        major: u8,
        /// Any.
        minor: u8,
    },
    /// The checksum is not that of the bytes.
    #[error("the checksum of the header is wrong")]
    Checksum,
    /// The checksum is right, and the page size is none.
    #[error("2 to the power of {0} is no page size")]
    PageSize(u32),
}

impl Header {
    /// The first [`HEADER_LEN`] bytes of the file.
    pub fn encode(&self) -> [u8; HEADER_LEN] {
        let mut out = [0; HEADER_LEN];
        put(&mut out, 0, &MAGIC);
        put(&mut out, 4, &[MAJOR, 0, 0, 0]);
        put(&mut out, 8, &self.page_size.log2().to_le_bytes());
        put(&mut out, 16, &self.uuid);
        put(&mut out, 32, &encode_homes(self.homes));
        let sum = header_sum(&out);
        put(&mut out, HEADER_SUM, &sum.to_le_bytes());
        out
    }

    /// Reads [`HEADER_LEN`] bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, HeaderFault> {
        let magic = array_at(bytes, 0);
        if magic != MAGIC {
            return Err(HeaderFault::Magic(magic));
        }
        if u128_at(bytes, HEADER_SUM) != header_sum(bytes) {
            return Err(HeaderFault::Checksum);
        }
        let (major, minor) = (u8_at(bytes, 4), u8_at(bytes, 5));
        if major != MAJOR {
            return Err(HeaderFault::Version { major, minor });
        }
        let log2 = u32_at(bytes, 8);
        Ok(Self {
            page_size: PageSize::from_log2(log2).map_err(|_| HeaderFault::PageSize(log2))?,
            uuid: array_at(bytes, 16),
            homes: decode_homes(bytes, 32),
        })
    }
}

/// The checksum that a header with these bytes has to say.
pub(super) fn header_sum(bytes: &[u8]) -> Xxh3 {
    xxh3(part(bytes, 0, HEADER_SUM))
}

pub(super) fn encode_homes(homes: [u64; NAMED]) -> [u8; 8 * NAMED] {
    let mut out = [0; 8 * NAMED];
    for (number, home) in homes.iter().enumerate() {
        put(&mut out, 8 * number, &home.to_le_bytes());
    }
    out
}

pub(super) fn decode_homes(bytes: &[u8], at: usize) -> [u64; NAMED] {
    [0, 1, 2, 3].map(|number| u64_at(bytes, at + 8 * number))
}
