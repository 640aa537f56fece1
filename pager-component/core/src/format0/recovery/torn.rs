//! A page 0 whose directory section is torn: rules R4 (our own commit) and R5
//! (the peer's). Both rebuild what page 0 was and what it was to become, and
//! accept only if every sector is one or the other.

use alloc::vec::Vec;
use core::cmp::Ordering;

use pagebox_store::{PageSize, SECTOR};

use super::Candidate;
use crate::codec::array_at;
use crate::format0::directory::DirectoryCopy;
use crate::format0::metadata::Metadata;
use crate::format0::superblock::{
    BlockRef, Head, RootImage, block_count, block_offset, block_pages, block_side, offset,
};
use crate::format0::{Limits, computed_seal, stored_seal};
use crate::ids::Side;

/// A page 0 that may be torn, and all that helps to understand it.
pub(super) struct Torn<'a, F> {
    pub(super) page_size: PageSize,
    pub(super) page0: &'a [u8],
    pub(super) head: Head,
    /// The metadata that page 0 names.
    pub(super) named: &'a Metadata,
    /// The other, where it is valid.
    pub(super) other: Option<&'a Metadata>,
    /// Reads a page as a copy of a directory block.
    pub(super) copy_at: F,
}

/// What a torn page 0 turned out to be.
pub(super) enum Resolved {
    /// The new page 0: all that it announces is durable.
    Forward(Candidate),
    /// The old page 0.
    Back(Candidate),
}

impl<F: FnMut(u64) -> Option<DirectoryCopy>> Torn<'_, F> {
    /// R4: a commit of ours, torn in step C5.
    pub(super) fn ours(&mut self) -> Option<Resolved> {
        let other = self.other?;
        let head_is_new = self.named.generation > other.generation;
        let (newer, older) = match self.named.generation.cmp(&other.generation) {
            Ordering::Less => (other, self.named),
            Ordering::Equal => return None,
            Ordering::Greater => (self.named, other),
        };
        if head_is_new && self.head.tag.is_none() {
            return None;
        }
        let tag = low32(newer.generation);
        if tag == 0 {
            // Commits skip such generations: it is the peer's.
            return None;
        }
        let fresh: Vec<u64> = newer.used.difference(&older.used).iter().collect();
        let count = block_count(self.page0, self.page_size).ok()?;
        let limit = usize::try_from(Limits::of(self.page_size).blocks).unwrap_or(usize::MAX);
        let mut older_blocks = Vec::new();
        for added in 0..=fresh.len() / 2 {
            let (old_count, new_count) = if head_is_new {
                (count.checked_sub(added)?, count)
            } else {
                (count, count + added)
            };
            if new_count > limit {
                return None;
            }
            let pairs = fresh.get(fresh.len() - 2 * added..)?;
            // An added block was tagged before page 0 named it.
            if let Some(&page_a) = pairs.first()
                && !self.is_tagged(page_a, tag)
            {
                return None;
            }
            let added_blocks = pairs.chunks_exact(2).map(|pair| BlockRef {
                pages: [pair[0], pair[1]],
                active: Side::A,
            });
            if older_blocks.is_empty() {
                older_blocks = (0..count).map(|index| self.sides_of(index, tag)).collect();
            }
            let Some(sides) = older_blocks.get(..old_count).and_then(|sides| {
                sides
                    .iter()
                    .copied()
                    .collect::<Option<Vec<(BlockRef, BlockRef)>>>()
            }) else {
                continue;
            };
            let old: Vec<BlockRef> = sides.iter().map(|&(old, _)| old).collect();
            let new: Vec<BlockRef> = sides
                .iter()
                .map(|&(_, new)| new)
                .chain(added_blocks)
                .collect();
            if !self.is_mixture(&old, &new, Some(head_is_new)) {
                continue;
            }
            // The peer ignores the section where the count is 0 and goes on
            // from the empty directory; so must we.
            return Some(if count == 0 {
                Resolved::Back(Candidate {
                    side: self.head.side,
                    tagged: self.head.tag.is_some(),
                    blocks: Vec::new(),
                })
            } else {
                let side = if head_is_new {
                    self.head.side
                } else {
                    self.head.side.other()
                };
                Resolved::Forward(Candidate {
                    side,
                    tagged: true,
                    blocks: new,
                })
            });
        }
        None
    }

    /// R5: the peer's rewriting of page 0 after it changed one block, or added
    /// one.
    pub(super) fn peers(&mut self) -> Option<Resolved> {
        self.peers_flip().or_else(|| self.peers_added())
    }

    /// One selector flipped, the rest equal; the stored checksum decides.
    fn peers_flip(&mut self) -> Option<Resolved> {
        let count = block_count(self.page0, self.page_size).ok()?;
        let index = flipped_selector(self.page0, count)?;
        let [page_a, page_b] = block_pages(self.page0, index);
        if !self.is_tagged(page_a, 0) && !self.is_tagged(page_b, 0) {
            return None;
        }
        let mut blocks = self.blocks(count)?;
        let block = blocks.get_mut(index)?;
        block.active = block.active.other();
        Some(Resolved::Forward(self.untagged(blocks)))
    }

    /// One block added: its pair are the first two of exactly four fresh pages.
    fn peers_added(&mut self) -> Option<Resolved> {
        let other = self
            .other
            .filter(|other| other.generation < self.named.generation)?;
        let fresh: Vec<u64> = self.named.used.difference(&other.used).iter().collect();
        let &[page_a, page_b, _, _] = fresh.as_slice() else {
            return None;
        };
        if !self.is_tagged(page_b, 0) {
            return None;
        }
        let count = block_count(self.page0, self.page_size).ok()?;
        let added = BlockRef {
            pages: [page_a, page_b],
            active: Side::B,
        };
        for old_count in [count, count.wrapping_sub(1)] {
            if old_count as u64 >= Limits::of(self.page_size).blocks {
                continue;
            }
            let Some(old) = self.blocks(old_count) else {
                continue;
            };
            let mut new = old.clone();
            new.push(added);
            if self.is_mixture(&old, &new, None) {
                let old_page = self.page(&old);
                return Some(if stored_seal(self.page0) == stored_seal(&old_page) {
                    Resolved::Back(self.untagged(old))
                } else {
                    Resolved::Forward(self.untagged(new))
                });
            }
        }
        None
    }

    fn untagged(&self, blocks: Vec<BlockRef>) -> Candidate {
        Candidate {
            side: self.head.side,
            tagged: false,
            blocks,
        }
    }

    /// The references as page 0 has them.
    fn blocks(&self, count: usize) -> Option<Vec<BlockRef>> {
        (0..count)
            .map(|index| {
                let active = block_side(self.page0, index).ok()?;
                Some(BlockRef {
                    pages: block_pages(self.page0, index),
                    active,
                })
            })
            .collect()
    }

    /// A block as the old and as the new page 0 have it: the copy with the tag
    /// is the new one. None where both copies have it.
    fn sides_of(&mut self, index: usize, tag: u32) -> Option<(BlockRef, BlockRef)> {
        let pages = block_pages(self.page0, index);
        let [a_is_new, b_is_new] = pages.map(|page| self.is_tagged(page, tag));
        let (old, new) = match (a_is_new, b_is_new) {
            (true, true) => return None,
            (true, false) => (Side::B, Side::A),
            (false, true) => (Side::A, Side::B),
            (false, false) => {
                let side = block_side(self.page0, index).ok()?;
                (side, side)
            }
        };
        Some((
            BlockRef { pages, active: old },
            BlockRef { pages, active: new },
        ))
    }

    fn is_tagged(&mut self, page: u64, tag: u32) -> bool {
        (self.copy_at)(page).is_some_and(|copy| copy.tag() == tag)
    }

    /// A whole page 0 with this section and the head that was found.
    fn page(&self, blocks: &[BlockRef]) -> Vec<u8> {
        let head = array_at::<{ offset::SECTION }>(self.page0, 0);
        RootImage::with_head(self.page_size, head, blocks).sealed()
    }

    /// Whether every sector of page 0 is that of the old or of the new page.
    /// The first one holds the head: which it is may be known.
    fn is_mixture(&self, old: &[BlockRef], new: &[BlockRef], head_is_new: Option<bool>) -> bool {
        let (old, new) = (self.page(old), self.page(new));
        let sectors = self
            .page0
            .chunks(SECTOR)
            .zip(old.chunks(SECTOR))
            .zip(new.chunks(SECTOR));
        sectors
            .enumerate()
            .all(|(index, ((found, old), new))| match (index, head_is_new) {
                (0, Some(true)) => found == new,
                (0, Some(false)) => found == old,
                _ => found == old || found == new,
            })
    }
}

/// The tag of a directory copy that a generation wrote.
pub(crate) fn low32(generation: u64) -> u32 {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the low half is what a tag is"
    )]
    let low = generation as u32;
    low
}

/// Whether a copy with this tag was written by a later commit than that of a
/// generation. A tag is half a generation and wraps around: what is less than
/// half of all tags ahead is later. See rule C2 of `commit`.
pub(crate) fn is_newer(tag: u32, generation: u64) -> bool {
    let ahead = tag.wrapping_sub(low32(generation));
    tag != 0 && ahead != 0 && ahead < 1 << 31
}

/// The block whose selector, flipped, makes the section's checksum agree.
///
/// A CRC is linear: a flipped lowest bit with `n` bytes after it changes the
/// checksum by a value that depends on `n` alone, and differs for all `n` of a
/// page. So one pass from the end finds the place.
fn flipped_selector(page0: &[u8], count: usize) -> Option<usize> {
    let syndrome = stored_seal(page0) ^ computed_seal(page0, offset::SECTION);
    if syndrome == 0 {
        return None;
    }
    let last = page0.len().checked_sub(pagebox_store::SEAL_LEN + 1)?;
    let mut effect = advance(1);
    let position = (offset::BLOCKS..=last).rev().find(|_| {
        let found = effect == syndrome;
        if !found {
            effect = advance(effect);
        }
        found
    })?;
    let within = position - offset::BLOCKS;
    let index = within / offset::BLOCK_LEN;
    let is_selector = position == block_offset(index) + offset::BLOCK_SIDE;
    (is_selector && index < count).then_some(index)
}

/// A CRC-32 register after one more byte of zeros.
fn advance(register: u32) -> u32 {
    const POLYNOMIAL: u32 = 0xEDB8_8320;
    (0..8).fold(register, |crc, _| {
        if crc & 1 == 0 {
            crc >> 1
        } else {
            (crc >> 1) ^ POLYNOMIAL
        }
    })
}
