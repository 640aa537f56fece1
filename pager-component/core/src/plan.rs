//! [`Plan`]: everything that a commit will do, decided before anything is
//! written, and the state that it leads to. Steps C1 and C2 of the protocol in
//! `commit`; writes nothing.

use alloc::collections::BTreeMap;
use alloc::collections::btree_map::Entry;
use alloc::vec::Vec;

use pagebox_store::{Change, PageStore};

use crate::bitmap::{Bitmap, Overlay};
use crate::directory::{Block, Directory};
use crate::error::{Error, Operation};
use crate::format::RESERVED_PAGES;
use crate::format::checksum::crc32_of_zeros;
use crate::format::directory::{DirectoryCopy, Slot};
use crate::format::superblock::{BlockRef, low15};
use crate::ids::{ProtectedId, Side};
use crate::recovery::{is_newer, low32};
use crate::state::State;
use crate::transaction::{SlotChange, Transaction};

/// Everything that a commit will do, decided before anything is written: what
/// is left can fail in the store only.
pub(crate) struct Plan<'t, B> {
    /// C3, as far as it is neither the directory's nor the metadata: all of it
    /// to pages that the durable state does not reach.
    pub(crate) writes: Vec<Change<'t, B>>,
    /// The rest, and what it comes to.
    pub(crate) next: Next,
}

/// What a commit makes of the state.
pub(crate) struct Next {
    pub(crate) generation: u64,
    /// The inactive metadata side, which becomes the active one.
    pub(crate) side: Side,
    /// The page count after the commit.
    pub(crate) page_count: u64,
    /// Free pages after the commit.
    pub(crate) free_count: u64,
    /// Directory blocks after the commit, where they change.
    pub(crate) blocks: BTreeMap<usize, NextBlock>,
    /// The pages of those of them that are added.
    pub(crate) added_pages: Overlay,
    /// Pages that become free.
    pub(crate) freed: Overlay,
}

/// A directory block after the commit. The copy that counts then is written.
pub(crate) struct NextBlock {
    pub(crate) place: BlockRef,
    pub(crate) tags: [u32; 2],
    pub(crate) copy: DirectoryCopy,
}

impl NextBlock {
    /// The page that the copy is written to.
    pub(crate) fn page(&self) -> u64 {
        self.place.active.of(self.place.pages)
    }
}

impl<'t, B> Plan<'t, B> {
    /// Decides.
    ///
    /// # Errors
    /// [`Error::Full`], [`Error::GenerationsExhausted`]; [`Error::Store`] for a
    /// staged page whose checksum could not be had.
    pub(crate) fn new<S: PageStore<Buffer = B>>(
        store: &S,
        state: &State,
        transaction: &'t Transaction<B>,
    ) -> Result<Self, Error> {
        let directory = state.directory()?;
        let used = state.allocation()?.used();
        assert_reachable_is_kept(used, transaction);
        let added = place_added_blocks(state, transaction)?;
        let mut writes = resets(transaction);
        let mut next = Next {
            generation: next_generation(state, directory)?,
            side: state.side.other(),
            page_count: 0,
            free_count: 0,
            blocks: BTreeMap::new(),
            added_pages: Overlay::default(),
            freed: transaction.freed.clone(),
        };
        assert!(
            next.generation > state.highest_generation,
            "a generation is used again"
        );
        next.add_blocks(state, &added);
        for (&id, change) in &transaction.slots {
            let slot = next.slot(store, state, id, change, &mut writes)?;
            let (block, index) = directory.place(id);
            let block = next.block(directory, block);
            block.copy.set_slot(index, slot.as_ref());
        }
        next.refresh(directory);
        for block in next.blocks.values_mut() {
            let tag = low32(next.generation);
            *block.place.active.of_mut(&mut block.tags) = tag;
            block.copy.set_tag(tag);
        }
        // An old page's bytes must not pass for a copy.
        writes.extend(added.iter().map(|block| Change::Zero {
            page: block.pages[1],
        }));
        let highest = [transaction.taken.max(), next.added_pages.max()]
            .into_iter()
            .flatten()
            .max();
        next.page_count = grown(used.len(), highest, state.limits().page_count);
        let allocated = transaction.taken.len() + next.added_pages.len();
        next.free_count = next.page_count - (used.ones() + allocated - next.freed.len());
        Ok(Self { writes, next })
    }
}

/// Nothing that the durable state reaches is written or given away: what is
/// taken was free, and what is freed was in use.
fn assert_reachable_is_kept<B>(used: &Bitmap, transaction: &Transaction<B>) {
    for (word, bits) in transaction.taken.words() {
        assert!(
            used.word(word) & bits == 0,
            "a page that is in use is taken"
        );
    }
    for (word, bits) in transaction.freed.words() {
        assert!(used.word(word) & bits == bits, "a free page is freed");
    }
}

/// Recycled pages must not show what they held, to nobody, once it is durable
/// that they are allocated: so they are zeroed before. The pages of protected
/// ones are written or never shown.
fn resets<'t, B>(transaction: &Transaction<B>) -> Vec<Change<'t, B>> {
    let mut changes = Vec::new();
    let regular = transaction
        .taken
        .iter()
        .filter(|&page| !transaction.backing.contains(page));
    let mut run: Option<(u64, u64)> = None;
    for page in regular {
        match &mut run {
            Some((first, count)) if *first + *count == page => *count += 1,
            _ => {
                if let Some((first, count)) = run {
                    changes.push(Change::Reset { first, count });
                }
                run = Some((page, 1));
            }
        }
    }
    if let Some((first, count)) = run {
        changes.push(Change::Reset { first, count });
    }
    changes
}

/// C1. The pages of added directory blocks.
fn place_added_blocks<B>(
    state: &State,
    transaction: &Transaction<B>,
) -> Result<Vec<BlockRef>, Error> {
    let allocation = state.allocation()?;
    let limit = state.limits().page_count;
    let mut next = transaction
        .taken
        .max()
        .map_or(RESERVED_PAGES, |page| page + 1);
    let mut take = || {
        let page = allocation
            .find_free(next)
            .unwrap_or_else(|| next.max(allocation.page_count()));
        next = page + 1;
        if page < limit {
            Ok(page)
        } else {
            Err(Error::Full { limit })
        }
    };
    (0..transaction.blocks_needed(state, 0)?)
        .map(|_| {
            Ok(BlockRef {
                pages: [take()?, take()?],
                active: Side::A,
            })
        })
        .collect()
}

/// Attempts to commit that may have failed since the last one that did not.
const ATTEMPTS_MAX: u32 = 0x7FFF;

/// C2. A generation whose tags nothing on the medium bears.
pub(crate) fn next_generation(state: &State, directory: &Directory) -> Result<u64, Error> {
    let mut generation = state.highest_generation;
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
        if tag != 0 && !taken && low15(generation) != low15(state.generation) {
            return Ok(generation);
        }
    }
}

impl Next {
    /// The added directory blocks, empty.
    fn add_blocks(&mut self, state: &State, added: &[BlockRef]) {
        let count = state
            .directory
            .as_ref()
            .map_or(0, |directory| directory.blocks().len());
        for (index, &place) in (count..).zip(added) {
            for page in place.pages {
                assert!(self.added_pages.insert(page), "a page is taken twice");
            }
            let block = NextBlock {
                place,
                tags: [0; 2],
                copy: DirectoryCopy::new(state.page_size),
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
    /// for it is added to `writes`.
    fn slot<'t, S: PageStore>(
        &mut self,
        store: &S,
        state: &State,
        id: ProtectedId,
        change: &'t SlotChange<S::Buffer>,
        writes: &mut Vec<Change<'t, S::Buffer>>,
    ) -> Result<Option<Slot>, Error> {
        let checksum = |buffer| {
            store
                .staged_crc32(buffer)
                .map_err(Error::store(Operation::Stage { id }))
        };
        Ok(match change {
            SlotChange::New { pages, staged } => {
                let active = Side::A;
                let page = active.of(*pages);
                let checksum = if let Some(buffer) = staged {
                    writes.push(Change::Staged { page, buffer });
                    checksum(buffer)?
                } else {
                    writes.push(Change::Zero { page });
                    crc32_of_zeros(state.page_size)
                };
                Some(Slot {
                    pages: *pages,
                    active,
                    generation: 1,
                    checksum,
                })
            }
            SlotChange::Write { staged } => {
                let slot = state.protected(id)?;
                writes.push(Change::Staged {
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
            SlotChange::Free => {
                for page in state.protected(id)?.pages {
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
