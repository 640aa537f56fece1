//! One copy of a directory block: slots, each a protected page.

use alloc::vec;
use alloc::vec::Vec;

use pagebox_store::{Checksum, PageSize, SEAL_LEN};

use super::{Limits, computed_seal, is_sealed, seal_flip, stored_seal};
use crate::codec::{array_at, put, u8_at, u32_at, u64_at};
use crate::facts::Location;
use crate::facts::ProtectedPage;
use crate::flip::Flip;
use crate::ids::ProtectedId;
use crate::ids::Side;

/// Byte offsets of the fields.
pub mod offset {
    /// Capacity, u32.
    pub const CAPACITY: usize = 0;
    /// Tag, u32.
    pub const TAG: usize = 4;
    /// The first slot.
    pub const SLOTS: usize = 8;
    /// Bytes in a slot.
    pub const SLOT_LEN: usize = 30;
    /// Within a slot: in use, u8.
    pub const IN_USE: usize = 0;
    /// Within a slot: page A, u64.
    pub const PAGE_A: usize = 1;
    /// Within a slot: page B, u64.
    pub const PAGE_B: usize = 9;
    /// Within a slot: active side, u8.
    pub const ACTIVE: usize = 17;
    /// Within a slot: generation, u64.
    pub const GENERATION: usize = 18;
    /// Within a slot: CRC-32 of the active page, u32.
    pub const CHECKSUM: usize = 26;
}

/// The byte offset of a slot.
pub const fn slot_offset(index: usize) -> usize {
    offset::SLOTS + index * offset::SLOT_LEN
}

/// A slot in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Its two physical pages.
    pub pages: [u64; 2],
    /// The side that counts.
    pub active: Side,
    /// How often the page was written. The peer begins at 0, we at 1.
    pub generation: u64,
    /// The CRC-32 of the active page.
    pub checksum: u32,
}

impl Slot {
    /// The page that counts.
    pub fn active_page(&self) -> u64 {
        self.active.of(self.pages)
    }

    /// Where the bytes that count are.
    pub fn location(&self) -> Location {
        Location {
            page: Some(self.active_page()),
            generation: self.generation,
            checksum: Checksum::crc32(self.checksum),
        }
    }

    /// The page that the directory lists under an id.
    pub fn listed(&self, id: ProtectedId) -> ProtectedPage {
        ProtectedPage {
            id,
            location: self.location(),
            next: Some(self.shadow_page()),
        }
    }

    /// The page that the next write goes to.
    pub fn shadow_page(&self) -> u64 {
        self.active.other().of(self.pages)
    }
}

/// Why a slot cannot be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SlotFault {
    /// Neither 0 nor 1.
    #[error("its in-use byte is {0}, neither 0 nor 1")]
    InUse(u8),
    /// Neither 0 nor 1.
    #[error("its active side is {0}, neither 0 nor 1")]
    Active(u8),
}

/// Why a copy cannot be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CopyFault {
    /// The bytes are not the ones that were written.
    #[error("checksum {stored:#010x} does not match the computed {computed:#010x}")]
    Checksum {
        /// As in the page.
        stored: u32,
        /// Of the page.
        computed: u32,
    },
    /// Only one capacity is possible for a page size.
    #[error("capacity {found} is not {expected}, the only one for this page size")]
    Capacity {
        /// As in the page.
        found: u32,
        /// (P-12)/30.
        expected: u64,
    },
}

impl CopyFault {
    /// The bit of the whole page that explains it.
    pub(crate) fn flip(&self, page: &[u8]) -> Option<Flip> {
        match self {
            Self::Checksum { .. } => seal_flip(page, 0),
            Self::Capacity { .. } => None,
        }
    }
}

/// The tag of a whole page, taken as a copy, whether it can be believed or not.
pub fn raw_tag(page: &[u8]) -> u32 {
    u32_at(page, offset::TAG)
}

/// A copy whose checksum and capacity agree: the page's bytes but the seal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryCopy {
    bytes: Vec<u8>,
}

impl DirectoryCopy {
    /// An empty copy.
    pub fn new(page_size: PageSize) -> Self {
        let mut bytes = vec![0; page_size.bytes() - SEAL_LEN];
        #[expect(clippy::cast_possible_truncation, reason = "34952 slots at most")]
        let capacity = Limits::of(page_size).slots_per_block as u32;
        put(&mut bytes, offset::CAPACITY, &capacity.to_le_bytes());
        Self { bytes }
    }

    /// Parses a whole page.
    ///
    /// # Errors
    /// The first [`CopyFault`] that is found, in their order.
    pub fn parse(mut page: Vec<u8>, page_size: PageSize) -> Result<Self, CopyFault> {
        if !is_sealed(&page, 0) {
            return Err(CopyFault::Checksum {
                stored: stored_seal(&page),
                computed: computed_seal(&page, 0),
            });
        }
        let found = u32_at(&page, offset::CAPACITY);
        let expected = Limits::of(page_size).slots_per_block;
        if u64::from(found) != expected {
            return Err(CopyFault::Capacity { found, expected });
        }
        page.truncate(page_size.bytes() - SEAL_LEN);
        Ok(Self { bytes: page })
    }

    /// All bytes but the seal.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The low half of the generation that wrote it; 0: the peer.
    pub fn tag(&self) -> u32 {
        raw_tag(&self.bytes)
    }

    /// Marks it as written by a generation.
    pub fn set_tag(&mut self, tag: u32) {
        put(&mut self.bytes, offset::TAG, &tag.to_le_bytes());
    }

    /// How many slots it has.
    pub fn capacity(&self) -> usize {
        self.bytes.len().saturating_sub(offset::SLOTS) / offset::SLOT_LEN
    }

    /// The slot at `index`; none if it is not in use.
    ///
    /// # Errors
    /// A [`SlotFault`].
    ///
    /// # Panics
    /// Where there is no such slot.
    pub fn slot(&self, index: usize) -> Result<Option<Slot>, SlotFault> {
        let bytes = &array_at::<{ offset::SLOT_LEN }>(&self.bytes, slot_offset(index));
        match u8_at(bytes, offset::IN_USE) {
            0 => return Ok(None),
            1 => {}
            other => return Err(SlotFault::InUse(other)),
        }
        let active = u8_at(bytes, offset::ACTIVE);
        Ok(Some(Slot {
            pages: [u64_at(bytes, offset::PAGE_A), u64_at(bytes, offset::PAGE_B)],
            active: Side::from_byte(active).ok_or(SlotFault::Active(active))?,
            generation: u64_at(bytes, offset::GENERATION),
            checksum: u32_at(bytes, offset::CHECKSUM),
        }))
    }

    /// Replaces the slot at `index`; none clears all its bytes.
    ///
    /// # Panics
    /// Where there is no such slot.
    pub fn set_slot(&mut self, index: usize, slot: Option<&Slot>) {
        let mut bytes = [0; offset::SLOT_LEN];
        if let Some(slot) = slot {
            let [page_a, page_b] = slot.pages;
            put(&mut bytes, offset::IN_USE, &[1]);
            put(&mut bytes, offset::PAGE_A, &page_a.to_le_bytes());
            put(&mut bytes, offset::PAGE_B, &page_b.to_le_bytes());
            put(&mut bytes, offset::ACTIVE, &[slot.active.byte()]);
            put(
                &mut bytes,
                offset::GENERATION,
                &slot.generation.to_le_bytes(),
            );
            put(&mut bytes, offset::CHECKSUM, &slot.checksum.to_le_bytes());
        }
        put(&mut self.bytes, slot_offset(index), &bytes);
    }
}
