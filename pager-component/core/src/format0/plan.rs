//! [`Plan`]: everything that a commit will do, decided before anything is
//! written, and the state that it leads to. Steps C1 and C2 of the protocol in
//! `commit`; writes nothing.

use alloc::collections::BTreeMap;
use alloc::collections::btree_map::Entry;
use alloc::vec::Vec;

use pagebox_store::{Algorithm, Change as Step, Staged};

use super::RESERVED_PAGES;
use super::directory::{DirectoryCopy, Slot};
use super::recovery::{is_newer, low32};
use super::slots::{Block, Directory};
use super::state::{Root, Sound};
use super::superblock::{BlockRef, low15};
use crate::bitmap::Overlay;
use crate::changes::{Change, Changes};
use crate::checksum::crc32_of_zeros;
use crate::error::{Error, Operation};
use crate::ids::{ProtectedId, Side};

/// Everything that a commit will do, decided before anything is written: what
/// is left can fail in the store only.
pub(super) struct Plan<'t, B> {
    /// C3, as far as it is neither the directory's nor the metadata: all of it
    /// to pages that the durable state does not reach.
    pub(super) writes: Vec<Step<'t, B>>,
    /// The rest, and what it comes to.
    pub(super) next: Next,
}

/// What a commit makes of the state.
pub(super) struct Next {
    pub(super) generation: u64,
    /// The inactive metadata side, which becomes the active one.
    pub(super) side: Side,
    /// The page count after the commit.
    pub(super) page_count: u64,
    /// Free pages after the commit.
    pub(super) free_count: u64,
    /// Directory blocks after the commit, where they change.
    pub(super) blocks: BTreeMap<usize, NextBlock>,
    /// Slots after the commit, where they change; none: it becomes free.
    pub(super) slots: Vec<(ProtectedId, Option<Slot>)>,
    /// Pages of protected pages that are new.
    pub(super) backing: Overlay,
    /// Pages of directory blocks that are new.
    pub(super) added_pages: Overlay,
    /// Pages that become free.
    pub(super) freed: Overlay,
}

/// A directory block after the commit. The copy that counts then is written.
pub(super) struct NextBlock {
    pub(super) place: BlockRef,
    pub(super) tags: [u32; 2],
    pub(super) copy: DirectoryCopy,
}

impl NextBlock {
    /// The page that the copy is written to.
    pub(super) fn page(&self) -> u64 {
        self.place.active.of(self.place.pages)
    }
}

impl<'t, B: Staged> Plan<'t, B> {
    /// Decides.
    ///
    /// # Errors
    /// [`Error::Full`], [`Error::GenerationsExhausted`]; [`Error::Store`] for a
    /// staged page whose checksum could not be had.
    pub(super) fn new(sound: &Sound, changes: &'t Changes<B>) -> Result<Self, Error> {
        let Sound {
            root,
            allocation,
            directory,
        } = sound;
        let used = allocation.used();
        let mut places = Places::new(sound, changes);
        let pairs = places.pairs(created(changes))?;
        let added = places.blocks(added_blocks(sound, changes))?;
        let mut next = Next {
            generation: next_generation(root, directory)?,
            side: root.side.other(),
            page_count: 0,
            free_count: 0,
            blocks: BTreeMap::new(),
            slots: Vec::new(),
            backing: pairs.iter().flatten().copied().collect(),
            added_pages: Overlay::default(),
            freed: changes.freed.clone(),
        };
        assert!(
            next.generation > root.highest_generation,
            "a generation is used again"
        );
        let mut writes = Vec::new();
        // Recycled pages must not show what they held, to nobody, once it is
        // durable that they are allocated: so they are zeroed before.
        let resets = changes.allocated_runs();
        writes.extend(resets.map(|(first, count)| Step::Zero { first, count }));
        next.add_blocks(sound, &added);
        let mut pairs = pairs.into_iter();
        for (&id, change) in &changes.protected {
            let slot = next.slot(sound, (id, change), &mut pairs, &mut writes)?;
            let (block, index) = directory.place(id);
            let block = next.block(directory, block);
            block.copy.set_slot(index, slot.as_ref());
            next.slots.push((id, slot));
        }
        next.refresh(directory);
        for block in next.blocks.values_mut() {
            let tag = low32(next.generation);
            *block.place.active.of_mut(&mut block.tags) = tag;
            block.copy.set_tag(tag);
        }
        // An old page's bytes must not pass for a copy.
        writes.extend(added.iter().map(|block| Step::Zero {
            first: block.pages[1],
            count: 1,
        }));
        let taken = [&changes.allocated, &next.backing, &next.added_pages];
        let highest = taken.iter().filter_map(|pages| pages.max()).max();
        next.page_count = grown(used.len(), highest, root.limits().page_count);
        let taken: u64 = taken.iter().map(|pages| pages.len()).sum();
        next.free_count = next.page_count - (used.ones() + taken - next.freed.len());
        next.assert_reachable_is_kept(sound, changes);
        Ok(Self { writes, next })
    }
}

/// How many protected pages are allocated.
fn created<B>(changes: &Changes<B>) -> usize {
    let new = |change: &&Change<B>| change.is_new();
    changes.protected.values().filter(new).count()
}

/// How many directory blocks are added.
fn added_blocks<B>(sound: &Sound, changes: &Changes<B>) -> u64 {
    let mut ids = changes.protected.iter().rev();
    let highest = ids.find(|(_, change)| change.is_new());
    let end = highest.map_or(0, |(id, _)| id.0 + 1);
    blocks_needed(sound, end)
}

/// How many directory blocks have to be added for ids below `end`.
pub(super) fn blocks_needed(sound: &Sound, end: u64) -> u64 {
    let blocks = end.div_ceil(sound.root.limits().slots_per_block);
    blocks.saturating_sub(sound.directory.blocks().len() as u64)
}

/// Where what a commit adds goes.
struct Places<'a, B> {
    sound: &'a Sound,
    changes: &'a Changes<B>,
    /// No page below is taken.
    next: u64,
    /// The highest page that is taken, by callers or here.
    highest: Option<u64>,
}

impl<'a, B> Places<'a, B> {
    fn new(sound: &'a Sound, changes: &'a Changes<B>) -> Self {
        Self {
            sound,
            changes,
            next: RESERVED_PAGES,
            highest: changes.allocated.max(),
        }
    }

    /// The lowest free page that nobody has taken.
    fn take(&mut self) -> Result<u64, Error> {
        let allocation = &self.sound.allocation;
        let limit = self.sound.root.limits().page_count;
        loop {
            let found = allocation.find_free(self.next);
            let page = found.unwrap_or_else(|| self.next.max(allocation.page_count()));
            if page >= limit {
                return Err(Error::Full { limit });
            }
            self.next = page + 1;
            if !self.changes.allocated.contains(page) {
                self.highest = self.highest.max(Some(page));
                return Ok(page);
            }
        }
    }

    /// Pages A and B of so many protected pages: first all A, then all B, so that
    /// pages that were allocated together are overwritten in runs.
    fn pairs(&mut self, count: usize) -> Result<Vec<[u64; 2]>, Error> {
        let mut pairs = Vec::with_capacity(count);
        for _ in 0..count {
            pairs.push([self.take()?, 0]);
        }
        for pair in &mut pairs {
            pair[1] = self.take()?;
        }
        Ok(pairs)
    }

    /// C1. The pages of added directory blocks.
    fn blocks(&mut self, count: u64) -> Result<Vec<BlockRef>, Error> {
        self.next = self.highest.map_or(RESERVED_PAGES, |page| page + 1);
        (0..count)
            .map(|_| {
                Ok(BlockRef {
                    pages: [self.take()?, self.take()?],
                    active: Side::A,
                })
            })
            .collect()
    }
}

/// Attempts to commit that may have failed since the last one that did not.
const ATTEMPTS_MAX: u32 = 0x7FFF;

/// C2. A generation whose tags nothing on the medium bears.
pub(super) fn next_generation(root: &Root, directory: &Directory) -> Result<u64, Error> {
    let mut generation = root.highest_generation;
    // After syncs that failed, reads may show the last of several attempts to
    // write a copy, and the medium have an earlier one: go past all of them.
    for tag in directory.blocks().iter().flat_map(|block| block.tags) {
        let ahead = tag.wrapping_sub(low32(generation));
        if ahead <= ATTEMPTS_MAX {
            generation = generation
                .checked_add(u64::from(ahead))
                .unwrap_or(generation);
        }
    }
    loop {
        generation = generation
            .checked_add(1)
            .ok_or(Error::GenerationsExhausted)?;
        let tag = low32(generation);
        let taken = directory
            .blocks()
            .iter()
            .any(|block| block.tags.contains(&tag));
        if tag != 0 && !taken && low15(generation) != low15(root.generation) {
            return Ok(generation);
        }
    }
}

impl Next {
    /// Nothing that the durable state reaches is written or given away: what is
    /// taken was free, once; and what is freed was in use.
    fn assert_reachable_is_kept<B>(&self, sound: &Sound, changes: &Changes<B>) {
        let used = sound.allocation.used();
        for (word, bits) in changes.allocated.words() {
            let own = self.backing.word(word) | self.added_pages.word(word);
            assert!(
                (used.word(word) | own) & bits == 0,
                "a page that is in use is taken"
            );
        }
        for (word, bits) in self.backing.words() {
            let others = used.word(word) | self.added_pages.word(word);
            assert!(others & bits == 0, "a page that is in use is taken");
        }
        for (word, bits) in self.added_pages.words() {
            assert!(
                used.word(word) & bits == 0,
                "a page that is in use is taken"
            );
        }
        for (word, bits) in self.freed.words() {
            assert!(used.word(word) & bits == bits, "a free page is freed");
        }
    }

    /// The added directory blocks, empty.
    fn add_blocks(&mut self, sound: &Sound, added: &[BlockRef]) {
        let count = sound.directory.blocks().len();
        for (index, &place) in (count..).zip(added) {
            for page in place.pages {
                assert!(self.added_pages.insert(page), "a page is taken twice");
            }
            let block = NextBlock {
                place,
                tags: [0; 2],
                copy: DirectoryCopy::new(sound.root.page_size),
            };
            self.blocks.insert(index, block);
        }
    }

    /// C2. Blocks whose tag wraps around, and would pass for a newer one, are
    /// written again.
    fn refresh(&mut self, directory: &Directory) {
        for (index, block) in directory.blocks().iter().enumerate() {
            let tag = block.place.active.of(block.tags);
            if is_newer(tag, self.generation) {
                self.block(directory, index);
            }
        }
    }

    /// A block as it will be.
    fn block(&mut self, directory: &Directory, index: usize) -> &mut NextBlock {
        match self.blocks.entry(index) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let Some(Block {
                    place,
                    tags,
                    copy: Some(copy),
                }) = directory.blocks().get(index)
                else {
                    panic!("directory block {index} is changed, and is not there");
                };
                entry.insert(NextBlock {
                    place: BlockRef {
                        active: place.active.other(),
                        ..*place
                    },
                    tags: *tags,
                    copy: copy.clone(),
                })
            }
        }
    }

    /// What a change makes of a slot, none if it becomes free; what is written
    /// for it is added to `writes`, and the pages of a new one are the next of
    /// `pairs`.
    fn slot<'t, B: Staged>(
        &mut self,
        sound: &Sound,
        (id, change): (ProtectedId, &'t Change<B>),
        pairs: &mut impl Iterator<Item = [u64; 2]>,
        writes: &mut Vec<Step<'t, B>>,
    ) -> Result<Option<Slot>, Error> {
        #[expect(clippy::cast_possible_truncation, reason = "a CRC-32 has 32 bits")]
        let checksum = |buffer: &B| {
            buffer
                .staged_checksum(Algorithm::Crc32)
                .map(|checksum| checksum.value as u32)
                .map_err(Error::store(Operation::Stage { id }))
        };
        let slot = || match sound.directory.slot(id) {
            Some(slot) => slot,
            None => panic!("protected page {id} is changed, and is not there"),
        };
        Ok(match change {
            Change::New(staged) => {
                let Some(pages) = pairs.next() else {
                    panic!("protected page {id} has no pages");
                };
                assert!(
                    sound.directory.slot(id).is_none(),
                    "{id} is allocated twice"
                );
                let active = Side::A;
                let page = active.of(pages);
                let checksum = if let Some(buffer) = staged {
                    writes.push(Step::Staged { page, buffer });
                    checksum(buffer)?
                } else {
                    writes.push(Step::Zero {
                        first: page,
                        count: 1,
                    });
                    crc32_of_zeros(sound.root.page_size)
                };
                Some(Slot {
                    pages,
                    active,
                    generation: 1,
                    checksum,
                })
            }
            Change::Write(staged) => {
                let slot = slot();
                writes.push(Step::Staged {
                    page: slot.shadow_page(),
                    buffer: staged,
                });
                let generation = slot
                    .generation
                    .checked_add(1)
                    .ok_or(Error::GenerationsExhausted)?;
                Some(Slot {
                    active: slot.active.other(),
                    generation,
                    checksum: checksum(staged)?,
                    ..slot
                })
            }
            // Only snapshots are copied, and this format has none.
            Change::Copy(_) => unreachable!("format 0 has no snapshots"),
            Change::Free => {
                for page in slot().pages {
                    assert!(self.freed.insert(page), "a page is freed twice");
                }
                None
            }
        })
    }
}

/// The page count that reaches page `highest`: doubled, never past the limit.
fn grown(page_count: u64, highest: Option<u64>, limit: u64) -> u64 {
    let needed = highest.map_or(0, |page| page + 1);
    assert!(needed <= limit, "a page past the limit is taken");
    let mut grown = page_count;
    while grown < needed {
        grown = grown.saturating_mul(2).min(limit);
    }
    grown
}
