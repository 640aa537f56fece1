//! A page 0 whose directory section is torn: rules R4 (our own commit) and R5
//! (the peer's). Each of them draws what page 0 was and what it was to become,
//! and holds only if every sector is one or the other.
//!
//! | Rule | Old page 0 | New page 0 | Counts |
//! |---|---|---|---|
//! | R4 | of each block the copy without the commit's tag | the one with it, and the added blocks | new; back if it counts no blocks |
//! | R5, one selector | all but the selector as found | the selector too | as the stored checksum says |
//! | R5, one added block | without it | with it, active B | as the stored checksum says |

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::cmp::Ordering;

use pagebox_store::{PageSize, SECTOR};

use super::Candidate;
use crate::codec::array_at;
use crate::codec::{narrow, wide};
use crate::flip::{self, Flip};
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
    Forward(Candidate, Mixture),
    /// The old page 0.
    Back(Candidate, Mixture),
}

/// Which bytes of a torn page 0 are old and which new, for people.
pub(super) struct Mixture {
    /// In words.
    pub(super) text: String,
    /// The first byte that shows that it is an old one.
    pub(super) at: usize,
}

/// Runs of sectors that are told one by one.
const RUNS: usize = 6;

/// A commit of ours that may have torn page 0.
struct Commit {
    /// Whether page 0's head is the new one: then its count is too.
    head_is_new: bool,
    tag: u32,
    /// Blocks, as page 0 counts them.
    count: usize,
    /// Pages that the commit took, ascending.
    fresh: Vec<u64>,
}

/// A directory section, before it was written anew and after.
struct Versions {
    old: Vec<BlockRef>,
    new: Vec<BlockRef>,
}

impl<F: FnMut(u64) -> Option<DirectoryCopy>> Torn<'_, F> {
    /// R4: a commit of ours, torn in step C5.
    pub(super) fn ours(&mut self) -> Option<Resolved> {
        let commit = self.our_commit()?;
        let sides: Vec<_> = (0..commit.count)
            .map(|index| self.sides_of(index, commit.tag))
            .collect();
        for added in 0..=commit.fresh.len() / 2 {
            // Where this is too many, more is too.
            let pairs = self.added(&commit, added)?;
            // The first sector has the count, new or old as its selector is.
            let old_count = if commit.head_is_new {
                commit.count.checked_sub(added)?
            } else {
                commit.count
            };
            if let Some(versions) = versions(&sides, old_count, pairs)
                && self.is_mixture(&versions, Some(commit.head_is_new))
            {
                let mixture = self.mixture(&versions, Some(commit.head_is_new));
                return Some(self.resolve(&commit, versions.new, mixture));
            }
        }
        None
    }

    /// The commit that the two metadata pages lie around.
    fn our_commit(&self) -> Option<Commit> {
        // C5 comes after both are durable.
        let other = self.other?;
        let head_is_new = self.named.generation > other.generation;
        let (newer, older) = match self.named.generation.cmp(&other.generation) {
            Ordering::Less => (other, self.named),
            // Without a commit between them there was no C5 to tear.
            Ordering::Equal => return None,
            Ordering::Greater => (self.named, other),
        };
        // We tag what we write: this head is the peer's.
        if head_is_new && self.head.tag.is_none() {
            return None;
        }
        // Commits skip such generations: copies with this tag are the peer's.
        let tag = low32(newer.generation);
        if tag == 0 {
            return None;
        }
        Some(Commit {
            head_is_new,
            tag,
            count: block_count(self.page0, self.page_size).ok()?,
            fresh: newer.used.difference(&older.used).iter().collect(),
        })
    }

    /// The pages of the blocks that the commit added, if it added so many; none:
    /// it did not.
    fn added<'c>(&mut self, commit: &'c Commit, added: usize) -> Option<&'c [u64]> {
        // Page 0 has no room for more.
        let limit = usize::try_from(Limits::of(self.page_size).blocks).unwrap_or(usize::MAX);
        if !commit.head_is_new && commit.count + added > limit {
            return None;
        }
        // C1 put them above every other page that the commit took.
        let pairs = commit.fresh.get(commit.fresh.len() - 2 * added..)?;
        // C3 tagged them before page 0 named them: else these are other pages.
        if let Some(&page_a) = pairs.first()
            && !self.is_tagged(page_a, commit.tag)
        {
            return None;
        }
        Some(pairs)
    }

    /// What counts of a commit that tore page 0.
    fn resolve(&self, commit: &Commit, new: Vec<BlockRef>, mixture: Mixture) -> Resolved {
        // The peer ignores the section where the count is 0 and goes on from
        // the empty directory; so must we.
        if commit.count == 0 {
            let candidate = Candidate {
                side: self.head.side,
                tagged: self.head.tag.is_some(),
                blocks: Vec::new(),
            };
            return Resolved::Back(candidate, mixture);
        }
        let side = if commit.head_is_new {
            self.head.side
        } else {
            self.head.side.other()
        };
        // C4 made all that it names durable.
        let candidate = Candidate {
            side,
            tagged: true,
            blocks: new,
        };
        Resolved::Forward(candidate, mixture)
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
        // The peer wrote one of the copies, without a tag: else it is damage of a
        // file of ours.
        let [page_a, page_b] = block_pages(self.page0, index);
        if !self.is_tagged(page_a, 0) && !self.is_tagged(page_b, 0) {
            return None;
        }
        let mut blocks = self.blocks(count)?;
        let block = blocks.get_mut(index)?;
        block.active = block.active.other();
        let at = block_offset(index) + offset::BLOCK_SIDE;
        let mixture = Mixture {
            text: format!(
                "byte {at}, the selector of directory block {index}, is the old one, and the checksum is the new one"
            ),
            at,
        };
        Some(Resolved::Forward(self.untagged(blocks), mixture))
    }

    /// One block added: its pair are the first two of exactly four fresh pages.
    fn peers_added(&mut self) -> Option<Resolved> {
        // The peer writes page 0 once for the metadata, and again for the block.
        let other = self
            .other
            .filter(|other| other.generation < self.named.generation)?;
        let fresh: Vec<u64> = self.named.used.difference(&other.used).iter().collect();
        // It takes them for the block first, then for the protected page.
        let &[page_a, page_b, _, _] = fresh.as_slice() else {
            return None;
        };
        // It writes copy B, without a tag: else these are pages of ours.
        if !self.is_tagged(page_b, 0) {
            return None;
        }
        let count = block_count(self.page0, self.page_size).ok()?;
        let added = BlockRef {
            pages: [page_a, page_b],
            active: Side::B,
        };
        // The first sector has the count; it may be the old or the new one.
        for old_count in [count, count.wrapping_sub(1)] {
            if old_count as u64 >= Limits::of(self.page_size).blocks {
                continue;
            }
            let Some(old) = self.blocks(old_count) else {
                continue;
            };
            let mut new = old.clone();
            new.push(added);
            let versions = Versions { old, new };
            if !self.is_mixture(&versions, None) {
                continue;
            }
            // The peer takes the section for what its checksum holds for.
            let old_page = self.page(&versions.old);
            let mixture = self.mixture(&versions, None);
            return Some(if stored_seal(self.page0) == stored_seal(&old_page) {
                Resolved::Back(self.untagged(versions.old), mixture)
            } else {
                Resolved::Forward(self.untagged(versions.new), mixture)
            });
        }
        None
    }

    /// As the peer would have written it: a tag of ours on it would be a lie.
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
            // A commit writes one copy of a block.
            (true, true) => return None,
            (true, false) => (Side::B, Side::A),
            (false, true) => (Side::A, Side::B),
            // The commit left this block alone.
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
    /// The first one holds the head: which it is may be known. A sector is the
    /// unit that arrives or does not: one with bytes of both is damage.
    fn is_mixture(&self, versions: &Versions, head_is_new: Option<bool>) -> bool {
        let (old, new) = (self.page(&versions.old), self.page(&versions.new));
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

    /// Which sectors of a mixture are old and which new. Both versions are of the
    /// head that was found; which one that is may be known.
    #[cold]
    #[inline(never)]
    fn mixture(&self, versions: &Versions, head_is_new: Option<bool>) -> Mixture {
        let (old, new) = (self.page(&versions.old), self.page(&versions.new));
        let sectors = self.page0.chunks(SECTOR).zip(old.chunks(SECTOR));
        let sectors = sectors.zip(new.chunks(SECTOR)).enumerate();
        let mut runs: Vec<(usize, usize, bool)> = Vec::new();
        let mut first_old = None;
        for (index, ((found, old), new)) in sectors {
            let is_new = match head_is_new {
                Some(is_new) if index == 0 => is_new,
                _ if old == new => continue,
                _ => found == new,
            };
            if !is_new && first_old.is_none() {
                let place = old.iter().zip(new).position(|(old, new)| old != new);
                first_old = Some(index * SECTOR + place.unwrap_or(offset::SIDE));
            }
            match runs.last_mut() {
                Some((_, end, of)) if (*end, *of) == (index, is_new) => *end += 1,
                _ => runs.push((index, index + 1, is_new)),
            }
        }
        let ages = runs.iter().take(RUNS).map(|&(first, end, is_new)| {
            let age = if is_new { "new" } else { "old" };
            let (from, to) = (first * SECTOR, end * SECTOR - 1);
            format!("bytes {from} to {to} are the {age} ones, ")
        });
        let ages: String = ages.collect();
        let rest = if runs.len() > RUNS {
            "and so on"
        } else {
            "the others are the same in both"
        };
        Mixture {
            text: format!("{ages}{rest}"),
            at: first_old.unwrap_or(0),
        }
    }
}

/// What page 0 was, with the first `old_count` blocks, and was to become. None:
/// there are not so many, or one of them has no old copy.
fn versions(
    sides: &[Option<(BlockRef, BlockRef)>],
    old_count: usize,
    pairs: &[u64],
) -> Option<Versions> {
    let sides = sides.get(..old_count)?.iter().copied();
    let (old, mut new): (Vec<_>, Vec<_>) = sides.collect::<Option<Vec<_>>>()?.into_iter().unzip();
    let (pairs, _) = pairs.as_chunks::<2>();
    new.extend(pairs.iter().map(|&pages| BlockRef {
        pages,
        active: Side::A,
    }));
    Some(Versions { old, new })
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
fn flipped_selector(page0: &[u8], count: usize) -> Option<usize> {
    let end = page0.len().checked_sub(pagebox_store::SEAL_LEN)?;
    let bits = 8 * wide(end.checked_sub(offset::SECTION)?);
    let computed = computed_seal(page0, offset::SECTION);
    let Some(Flip::Bytes { byte, bit: 0 }) = flip::one_bit(bits, stored_seal(page0), computed)
    else {
        return None;
    };
    let position = offset::SECTION + narrow(byte);
    let within = position.checked_sub(offset::BLOCKS)?;
    let index = within / offset::BLOCK_LEN;
    let is_selector = position == block_offset(index) + offset::BLOCK_SIDE;
    (is_selector && index < count).then_some(index)
}
