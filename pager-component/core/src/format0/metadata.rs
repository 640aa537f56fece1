//! The metadata page: page count, generation, and the allocation bitmap.

use alloc::vec;
use alloc::vec::Vec;

use pagebox_store::{PageSize, SEAL_LEN};

use super::{Limits, MIN_PAGE_COUNT, RESERVED_PAGES, computed_seal, is_sealed, stored_seal};
use crate::bitmap::{Bitmap, Overlay};
use crate::codec::{put, u64_at};
use crate::ids::Side;

/// Byte offsets of the fields.
pub mod offset {
    /// Page count, u64.
    pub const PAGE_COUNT: usize = 0;
    /// Generation, u64.
    pub const GENERATION: usize = 8;
    /// Free count, u64.
    pub const FREE_COUNT: usize = 16;
    /// The allocation bitmap.
    pub const BITMAP: usize = 24;
}

/// The physical page of a side.
pub const fn page_of(side: Side) -> u64 {
    match side {
        Side::A => 1,
        Side::B => 2,
    }
}

/// A metadata page whose checksum and contents agree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// The commit counter.
    pub generation: u64,
    /// Free pages, as stored. The bitmap is what counts.
    pub stored_free_count: u64,
    /// Allocated pages; as long as the page count.
    pub used: Bitmap,
}

/// Why a metadata page cannot be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetadataFault {
    /// The bytes are not the ones that were written.
    #[error("checksum {stored:#010x} does not match the computed {computed:#010x}")]
    Checksum {
        /// As in the page.
        stored: u32,
        /// Of the page.
        computed: u32,
    },
    /// The page count is one that no pager writes.
    #[error("page count {page_count} is not between 4 and {limit}")]
    PageCount {
        /// As in the page.
        page_count: u64,
        /// The most that the bitmap can name.
        limit: u64,
    },
    /// A reserved page is marked as free.
    #[error("reserved page {page} is marked free")]
    ReservedFree {
        /// 0, 1 or 2.
        page: u64,
    },
    /// A page past the page count is marked as allocated.
    #[error("page {page} is marked allocated past the page count {page_count}")]
    PastEnd {
        /// The lowest such page.
        page: u64,
        /// As in the page.
        page_count: u64,
    },
}

impl MetadataFault {
    /// Where in the page the fault shows.
    pub fn offset(&self, page_size: PageSize) -> usize {
        match self {
            Self::Checksum { .. } => page_size.bytes() - SEAL_LEN,
            Self::PageCount { .. } => offset::PAGE_COUNT,
            Self::ReservedFree { .. } => offset::BITMAP,
            Self::PastEnd { page, .. } => {
                offset::BITMAP + usize::try_from(page / 8).unwrap_or(page_size.bytes())
            }
        }
    }
}

impl Metadata {
    /// Parses a whole page.
    ///
    /// # Errors
    /// The first [`MetadataFault`] that is found, in their order.
    pub fn parse(page: &[u8], page_size: PageSize) -> Result<Self, MetadataFault> {
        if !is_sealed(page, 0) {
            return Err(MetadataFault::Checksum {
                stored: stored_seal(page),
                computed: computed_seal(page, 0),
            });
        }
        let page_count = u64_at(page, offset::PAGE_COUNT);
        let limit = Limits::of(page_size).page_count;
        if !(MIN_PAGE_COUNT..=limit).contains(&page_count) {
            return Err(MetadataFault::PageCount { page_count, limit });
        }
        let all = Bitmap::from_words(bitmap_words(page), limit);
        if let Some(page) = (0..RESERVED_PAGES).find(|&page| !all.get(page)) {
            return Err(MetadataFault::ReservedFree { page });
        }
        if let Some(page) = all.find_set(page_count) {
            return Err(MetadataFault::PastEnd { page, page_count });
        }
        Ok(Self {
            generation: u64_at(page, offset::GENERATION),
            stored_free_count: u64_at(page, offset::FREE_COUNT),
            used: Bitmap::from_words(all.words().to_vec(), page_count),
        })
    }

    /// How many pages the file accounts for.
    pub fn page_count(&self) -> u64 {
        self.used.len()
    }
}

/// The bits of a whole page's bitmap, whether they can be believed or not.
fn bitmap_words(page: &[u8]) -> Vec<u64> {
    let end = page.len().saturating_sub(SEAL_LEN);
    let bits = page.get(offset::BITMAP..end).unwrap_or_default();
    bits.chunks(8)
        .map(|chunk| {
            let mut word = [0; 8];
            put(&mut word, 0, chunk);
            u64::from_le_bytes(word)
        })
        .collect()
}

/// A metadata page in the making: its bytes but the seal. Kept from commit to
/// commit, so that each changes only what it must.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetadataImage {
    bytes: Vec<u8>,
}

impl MetadataImage {
    /// The page of these allocated pages.
    pub fn new(page_size: PageSize, generation: u64, used: &Bitmap) -> Self {
        let mut image = Self {
            bytes: vec![0; page_size.bytes() - SEAL_LEN],
        };
        image.set_counts(used.len(), generation, used.len() - used.ones());
        for (word, &bits) in (0..).zip(used.words()) {
            image.merge(word, bits, 0);
        }
        image
    }

    /// All bytes but the seal.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Sets everything but the bitmap.
    pub fn set_counts(&mut self, page_count: u64, generation: u64, free_count: u64) {
        put(
            &mut self.bytes,
            offset::PAGE_COUNT,
            &page_count.to_le_bytes(),
        );
        put(
            &mut self.bytes,
            offset::GENERATION,
            &generation.to_le_bytes(),
        );
        put(
            &mut self.bytes,
            offset::FREE_COUNT,
            &free_count.to_le_bytes(),
        );
    }

    /// Marks pages as allocated or free.
    ///
    /// # Panics
    /// For pages that the bitmap cannot name.
    pub fn set_pages(&mut self, pages: &Overlay, allocated: bool) {
        for (word, bits) in pages.words() {
            if allocated {
                self.merge(word, bits, 0);
            } else {
                self.merge(word, 0, bits);
            }
        }
    }

    /// Sets and clears bits of one word.
    fn merge(&mut self, word: u64, set: u64, clear: u64) {
        let Some(chunk) = usize::try_from(word)
            .ok()
            .and_then(|word| self.bytes.get_mut(offset::BITMAP + word * 8..))
            .filter(|chunk| !chunk.is_empty())
        else {
            panic!("the bitmap has no word {word}");
        };
        // The bitmap's last word may be short; no page it could name exists.
        let len = chunk.len().min(8);
        let mut bytes = [0; 8];
        put(&mut bytes, 0, chunk.get(..len).unwrap_or_default());
        let merged = (u64::from_le_bytes(bytes) | set) & !clear;
        put(
            chunk,
            0,
            merged.to_le_bytes().get(..len).unwrap_or_default(),
        );
    }
}
