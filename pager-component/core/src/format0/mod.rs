//! Format 0, the page file of `mappedpages` 0.2.0, with what we add to it.
//!
//! | File | Knows |
//! |---|---|
//! | [`superblock`], [`metadata`], [`directory`] | bytes to types and back |
//! | `slots`, `state` | what is committed, as maps |
//! | `file` | the verbs; writing a new file |
//! | `plan`, `commit` | what a commit will do; doing it |
//! | `recovery`, `witness` | which state counts; whether it still does |
//! | `read`, `check`, `describe`, [`findings`] | looking |
//! | `repair` | mending |
//!
//! All integers are little-endian; P is the page size.
//!
//! Page 0, the superblock and the block references ([`superblock`]):
//!
//! | Offset | Bytes | Field |
//! |---|---|---|
//! | 0 | 4 | magic `MPPG` |
//! | 4 | 4 | version: major 0, minor at most 2, patch, build |
//! | 8 | 4 | page size, as a power of two |
//! | 12 | 1 | active metadata side: 0 = A = page 1, 1 = B = page 2 |
//! | 13 | 2 | tag: `0x8000 \| (generation & 0x7FFF)`; 0 = untagged |
//! | 15 | 1 | CRC-8 of bytes 0 to 15 if tagged, else 0 |
//! | 16 | 4 | CRC-32 of the active metadata page: the constant `0x2144DF1C` |
//! | 20 | 4 | directory block count |
//! | 24 | 17 each | block: page A u64, page B u64, active side u8 |
//! | P-4 | 4 | CRC-32 of bytes 20 to P-4 |
//!
//! Page 1 (A) and page 2 (B), the metadata ([`metadata`]):
//!
//! | Offset | Bytes | Field |
//! |---|---|---|
//! | 0 | 8 | page count |
//! | 8 | 8 | generation |
//! | 16 | 8 | free count |
//! | 24 | P-28 | allocation bitmap, lowest bit first, 1 = allocated |
//! | P-4 | 4 | CRC-32 of bytes 0 to P-4 |
//!
//! A copy of a directory block ([`directory`]):
//!
//! | Offset | Bytes | Field |
//! |---|---|---|
//! | 0 | 4 | capacity: (P-12)/30 |
//! | 4 | 4 | tag: low 32 bits of the generation that wrote it; 0 = the peer |
//! | 8 | 30 each | slot: in use u8, page A u64, page B u64, active u8, generation u64, CRC-32 u32 |
//! | P-4 | 4 | CRC-32 of bytes 0 to P-4 |
//!
//! The tags lie in bytes that `mappedpages` ignores and writes as zeros.
#![deny(clippy::indexing_slicing)]

mod check;
mod commit;
mod describe;
pub mod directory;
mod file;
pub mod findings;
pub mod metadata;
mod plan;
mod read;
mod recovery;
mod repair;
mod slots;
mod state;
pub mod superblock;
mod witness;

pub use file::File;
pub use recovery::{Decision, recover};
pub(crate) use repair::mend;
pub use slots::{Block, Directory};
pub use state::{Remains, Sound, State};
pub use superblock::identify;
pub use witness::Witness;

use pagebox_store::{PageSize, SEAL_LEN};

use crate::allocation::AllocationMap;
use crate::checksum;
use crate::codec::wide;
use crate::flip::{self, Flip};
use crate::ids::ProtectedId;
use crate::kinds::PageKind;

/// Pages 0 to 2: the superblock and both copies of the metadata.
pub const RESERVED_PAGES: u64 = 3;

/// The pages of a new file.
pub const MIN_PAGE_COUNT: u64 = 4;

/// The highest minor version that can be read, and the one that is written.
pub const MINOR: u8 = 2;

/// What the format is called.
pub const NAME: &str = "0.2";

/// What a page size allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most pages that the bitmap can name: (P-28) x 8.
    pub page_count: u64,
    /// Slots in a directory block: (P-12)/30.
    pub slots_per_block: u64,
    /// The most directory blocks that page 0 can name: (P-28)/17.
    pub blocks: u64,
}

impl Limits {
    /// The limits of a page size.
    pub const fn of(page_size: PageSize) -> Self {
        let bytes = page_size.bytes() as u64;
        Self {
            page_count: (bytes - 28) * 8,
            slots_per_block: (bytes - 12) / 30,
            blocks: (bytes - 28) / 17,
        }
    }

    /// The id of a directory block's slot.
    pub(crate) const fn id(self, block: usize, slot: usize) -> ProtectedId {
        ProtectedId(block as u64 * self.slots_per_block + slot as u64)
    }

    /// The most protected pages that the directory can name.
    pub const fn protected(self) -> u64 {
        self.slots_per_block * self.blocks
    }
}

/// Marks the reserved pages. A store of fewer pages is damaged, and says so
/// elsewhere.
fn reserve(allocation: &mut AllocationMap) {
    for page in 0..RESERVED_PAGES.min(allocation.page_count()) {
        let kind = match page {
            0 => PageKind::SUPERBLOCK,
            _ => PageKind::METADATA,
        };
        allocation.set(page, kind);
    }
}

/// Whether a whole page ends in the CRC-32 of what comes before it, from
/// `start` on.
pub fn is_sealed(page: &[u8], start: usize) -> bool {
    stored_seal(page) == computed_seal(page, start)
}

/// The CRC-32 that a whole page ends in.
pub fn stored_seal(page: &[u8]) -> u32 {
    page.last_chunk().copied().map_or(0, u32::from_le_bytes)
}

/// The CRC-32 that a whole page should end in.
pub fn computed_seal(page: &[u8], start: usize) -> u32 {
    let end = page.len().saturating_sub(SEAL_LEN);
    checksum::crc32(page.get(start..end).unwrap_or_default())
}

/// The bit of a whole page that explains that its seal does not agree.
#[cold]
#[inline(never)]
pub(crate) fn seal_flip(page: &[u8], start: usize) -> Option<Flip> {
    let end = page.len().checked_sub(SEAL_LEN)?;
    let bits = 8 * wide(end.checked_sub(start)?);
    match flip::one_bit(bits, stored_seal(page), computed_seal(page, start))? {
        Flip::Bytes { byte, bit } => Some(Flip::Bytes {
            byte: byte + wide(start),
            bit,
        }),
        flip @ Flip::Checksum { .. } => Some(flip),
    }
}
