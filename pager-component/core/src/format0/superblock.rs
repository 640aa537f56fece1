//! Page 0: the superblock's head, and the section of block references.

use alloc::vec;
use alloc::vec::Vec;

use pagebox_store::{PageSize, SEAL_LEN};

use super::{Limits, MINOR};
use crate::checksum::{CRC32_RESIDUE, crc8, crc32};
use crate::codec::{array_at, put, u8_at, u16_at, u32_at, u64_at};
use crate::identity::IdentityFault;
use crate::ids::Side;

/// Byte offsets of the fields.
pub mod offset {
    /// `MPPG`.
    pub const MAGIC: usize = 0;
    /// Major, minor, patch, build.
    pub const VERSION: usize = 4;
    /// Page size as a power of two, u32.
    pub const PAGE_SIZE_LOG2: usize = 8;
    /// Active metadata side, u8.
    pub const SIDE: usize = 12;
    /// Tag, u16.
    pub const TAG: usize = 13;
    /// CRC-8 of what comes before, if tagged.
    pub const TAG_CHECKSUM: usize = 15;
    /// CRC-32 of the active metadata page.
    pub const METADATA_CHECKSUM: usize = 16;
    /// The directory section, which begins with the block count, u32.
    pub const SECTION: usize = 20;
    /// The first block reference.
    pub const BLOCKS: usize = 24;
    /// Bytes in a block reference.
    pub const BLOCK_LEN: usize = 17;
    /// Within a block reference: active side, u8.
    pub const BLOCK_SIDE: usize = 16;
}

/// The first four bytes of every page file.
pub const MAGIC: [u8; 4] = *b"MPPG";

/// The bytes of page 0 that never change: magic, version, page size.
pub type Identity = [u8; offset::SIDE];

/// The page size that the first bytes of a page file announce.
///
/// # Errors
/// The first [`IdentityFault`] that is found, in their order.
pub fn identify(head: &[u8]) -> Result<PageSize, IdentityFault> {
    // As much as there is of the magic says more than how much there is.
    if let Some(&magic) = head.first_chunk()
        && magic != MAGIC
    {
        return Err(IdentityFault::Magic(magic));
    }
    if head.len() < offset::SECTION {
        return Err(IdentityFault::Short(head.len()));
    }
    let [major, minor, _patch, _build] = array_at(head, offset::VERSION);
    if major != 0 || minor > MINOR {
        return Err(IdentityFault::Version { major, minor });
    }
    let log2 = u32_at(head, offset::PAGE_SIZE_LOG2);
    PageSize::from_log2(log2).map_err(|_| IdentityFault::PageSize(log2))
}

/// The identity of a new file.
pub fn new_identity(page_size: PageSize) -> Identity {
    let mut identity = [0; offset::SIDE];
    put(&mut identity, offset::MAGIC, &MAGIC);
    put(&mut identity, offset::VERSION, &[0, MINOR, 0, 0]);
    put(
        &mut identity,
        offset::PAGE_SIZE_LOG2,
        &page_size.log2().to_le_bytes(),
    );
    identity
}

/// The part of the generation that a tag holds.
pub const fn low15(generation: u64) -> u16 {
    (generation & 0x7FFF) as u16
}

/// The first bytes of page 0, as far as they change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Magic, version, page size.
    pub identity: Identity,
    /// The active metadata side.
    pub side: Side,
    /// The low 15 bits of the generation; none: the peer wrote it.
    pub tag: Option<u16>,
}

/// Why a head cannot be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeadFault {
    /// Neither 0 nor 1.
    #[error("the active metadata side is {0}, neither 0 nor 1")]
    Side(u8),
    /// Neither three zeros nor a tag with its checksum.
    #[error("the tag {0:02x?} is neither zeros nor agrees with its checksum")]
    Tag([u8; 3]),
    /// Not the one value that every sound file has.
    #[error("the metadata checksum is {0:#010x}, not 0x2144df1c as in every sound file")]
    Residue(u32),
}

impl HeadFault {
    /// Where the fault is, in bytes, and how many bytes show it.
    pub const fn range(&self) -> (usize, usize) {
        match self {
            Self::Side(_) => (offset::SIDE, 1),
            Self::Tag(_) => (offset::TAG, 3),
            Self::Residue(_) => (offset::METADATA_CHECKSUM, 4),
        }
    }
}

impl Head {
    /// Parses the head of page 0, whose identity is known to be good.
    ///
    /// # Errors
    /// The first [`HeadFault`] that is found, in their order.
    pub fn parse(page: &[u8]) -> Result<Self, HeadFault> {
        let side = u8_at(page, offset::SIDE);
        let side = Side::from_byte(side).ok_or(HeadFault::Side(side))?;
        let bytes: [u8; 3] = array_at(page, offset::TAG);
        let before: [u8; offset::TAG_CHECKSUM] = array_at(page, 0);
        let tag = u16_at(page, offset::TAG);
        let tag = if bytes == [0; 3] {
            None
        } else if tag & 0x8000 != 0 && u8_at(page, offset::TAG_CHECKSUM) == crc8(&before) {
            Some(tag & 0x7FFF)
        } else {
            return Err(HeadFault::Tag(bytes));
        };
        let residue = u32_at(page, offset::METADATA_CHECKSUM);
        if residue != CRC32_RESIDUE {
            return Err(HeadFault::Residue(residue));
        }
        Ok(Self {
            identity: array_at(page, 0),
            side,
            tag,
        })
    }

    fn encode(&self) -> [u8; offset::SECTION] {
        let mut head = [0; offset::SECTION];
        put(&mut head, 0, &self.identity);
        put(&mut head, offset::SIDE, &[self.side.byte()]);
        if let Some(tag) = self.tag {
            put(&mut head, offset::TAG, &(0x8000 | tag).to_le_bytes());
            let before: [u8; offset::TAG_CHECKSUM] = array_at(&head, 0);
            put(&mut head, offset::TAG_CHECKSUM, &[crc8(&before)]);
        }
        put(
            &mut head,
            offset::METADATA_CHECKSUM,
            &CRC32_RESIDUE.to_le_bytes(),
        );
        head
    }
}

/// Where a directory block is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockRef {
    /// Its two physical pages.
    pub pages: [u64; 2],
    /// The side that counts.
    pub active: Side,
}

/// The byte offset of a block reference.
pub const fn block_offset(index: usize) -> usize {
    offset::BLOCKS + index * offset::BLOCK_LEN
}

/// The block count, if page 0 has room for so many.
///
/// # Errors
/// The count, if it has not.
pub fn block_count(page: &[u8], page_size: PageSize) -> Result<usize, u32> {
    let count = u32_at(page, offset::SECTION);
    match usize::try_from(count) {
        Ok(fits) if fits as u64 <= Limits::of(page_size).blocks => Ok(fits),
        _ => Err(count),
    }
}

/// The pages of block `index`, whatever they are.
pub fn block_pages(page: &[u8], index: usize) -> [u64; 2] {
    let start = block_offset(index);
    [u64_at(page, start), u64_at(page, start + 8)]
}

/// The selector of block `index`.
///
/// # Errors
/// The byte, if it is neither 0 nor 1.
pub fn block_side(page: &[u8], index: usize) -> Result<Side, u8> {
    let byte = u8_at(page, block_offset(index) + offset::BLOCK_SIDE);
    Side::from_byte(byte).ok_or(byte)
}

/// Whether the section is all zeros, its checksum apart: no block was ever
/// added. The peer does not look at the checksum then.
pub fn section_is_empty(page: &[u8]) -> bool {
    let end = page.len().saturating_sub(SEAL_LEN);
    page.get(offset::SECTION..end)
        .unwrap_or_default()
        .iter()
        .all(|&byte| byte == 0)
}

/// A page 0 in the making: its bytes but the seal. Kept from commit to commit,
/// so that each changes only what it must.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RootImage {
    bytes: Vec<u8>,
}

impl RootImage {
    /// Page 0 with this head, naming these blocks.
    pub fn new(page_size: PageSize, head: &Head, blocks: &[BlockRef]) -> Self {
        Self::with_head(page_size, head.encode(), blocks)
    }

    /// Page 0 with a head that is kept byte for byte, naming these blocks.
    pub fn with_head(
        page_size: PageSize,
        head: [u8; offset::SECTION],
        blocks: &[BlockRef],
    ) -> Self {
        let mut bytes = vec![0; page_size.bytes() - SEAL_LEN];
        put(&mut bytes, 0, &head);
        let mut image = Self { bytes };
        for (index, block) in blocks.iter().enumerate() {
            image.set_block(index, block);
        }
        image
    }

    /// All bytes but the seal.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Replaces the head.
    pub fn set_head(&mut self, head: &Head) {
        put(&mut self.bytes, 0, &head.encode());
    }

    /// Replaces a block reference, or adds the next one.
    ///
    /// # Panics
    /// Where blocks before it are missing, or page 0 has no room for it.
    pub fn set_block(&mut self, index: usize, block: &BlockRef) {
        let start = block_offset(index);
        let [page_a, page_b] = block.pages;
        put(&mut self.bytes, start, &page_a.to_le_bytes());
        put(&mut self.bytes, start + 8, &page_b.to_le_bytes());
        put(
            &mut self.bytes,
            start + offset::BLOCK_SIDE,
            &[block.active.byte()],
        );
        let count = u32_at(&self.bytes, offset::SECTION);
        #[expect(clippy::cast_possible_truncation, reason = "61679 blocks at most")]
        let index = index as u32;
        assert!(index <= count, "a directory block is left out");
        let count = count.max(index + 1);
        put(&mut self.bytes, offset::SECTION, &count.to_le_bytes());
    }

    /// The whole page, as a store writes it.
    pub fn sealed(mut self) -> Vec<u8> {
        let seal = crc32(self.bytes.get(offset::SECTION..).unwrap_or_default());
        self.bytes.extend(seal.to_le_bytes());
        self.bytes
    }
}
