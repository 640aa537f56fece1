//! [`Plan`]: everything that a commit will do, decided before anything is
//! written. Steps C1 and C2 of the protocol in `commit`; writes nothing.

use alloc::collections::BTreeMap;
use alloc::collections::btree_map::Entry;
use alloc::vec::Vec;

use pagebox_store::PageStore;

use crate::bitmap::Overlay;
use crate::directory::{Block, Directory};
use crate::error::{Error, Operation};
use crate::format::RESERVED_PAGES;
use crate::format::checksum::crc32_of_zeros;
use crate::format::directory::{DirectoryCopy, Slot};
use crate::format::superblock::{BlockRef, low15};
use crate::ids::{ProtectedId, Side};
use crate::recovery::low32;
use crate::state::State;
use crate::transaction::{SlotChange, Transaction};

/// Everything that a commit will do, decided before anything is written.
pub(crate) struct Plan {
    pub(crate) generation: u64,
    /// The inactive metadata side, which becomes the active one.
    pub(crate) side: Side,
    /// The page count after the commit.
    pub(crate) page_count: u64,
    /// Free pages after the commit.
    pub(crate) free_count: u64,
    /// Directory blocks after the commit, where they change.
    pub(crate) blocks: BTreeMap<usize, Block>,
    /// Those of them that are added.
    pub(crate) added: Vec<BlockRef>,
    /// Pages that become free.
    pub(crate) freed: Overlay,
}

impl Plan {
    /// Decides.
    ///
    /// # Errors
    /// [`Error::Full`], [`Error::GenerationsExhausted`]; [`Error::Store`] for a
    /// staged page whose checksum could not be had.
    pub(crate) fn new<S: PageStore>(
        store: &S,
        state: &State,
        transaction: &Transaction<S::Buffer>,
    ) -> Result<Self, Error> {
        let directory = state.directory()?;
        let added = place_added_blocks(state, transaction)?;
        let generation = next_generation(state, directory)?;
        let mut freed = transaction.freed.clone();
        let blocks = change_blocks(store, state, transaction, &added, generation, &mut freed)?;
        let used = state.allocation()?.used();
        let highest = transaction
            .taken
            .max()
            .into_iter()
            .chain(added.iter().map(|block| block.pages[1]))
            .max();
        let page_count = grown(used.len(), highest, state.limits().page_count);
        let allocated = transaction.taken.len() + 2 * added.len() as u64;
        Ok(Self {
            generation,
            side: state.side.other(),
            page_count,
            free_count: page_count - (used.ones() + allocated - freed.len()),
            blocks,
            added,
            freed,
        })
    }
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

/// The directory blocks that the transaction changes, as they will be.
fn change_blocks<S: PageStore>(
    store: &S,
    state: &State,
    transaction: &Transaction<S::Buffer>,
    added: &[BlockRef],
    generation: u64,
    freed: &mut Overlay,
) -> Result<BTreeMap<usize, Block>, Error> {
    let directory = state.directory()?;
    let count = directory.blocks().len();
    let mut blocks = BTreeMap::new();
    for (index, &place) in (count..).zip(added) {
        let copy = Some(DirectoryCopy::new(state.page_size));
        blocks.insert(
            index,
            Block {
                place,
                tags: [0; 2],
                copy,
            },
        );
    }
    for (&id, change) in &transaction.slots {
        let (index, slot) = directory.place(id);
        let block = match blocks.entry(index) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let Some(block) = directory.blocks().get(index) else {
                    continue;
                };
                let mut block = block.clone();
                block.place.active = block.place.active.other();
                entry.insert(block)
            }
        };
        let next = next_slot(store, state, id, change, freed)?;
        if let Some(copy) = &mut block.copy {
            copy.set_slot(slot, next.as_ref());
        }
    }
    for block in blocks.values_mut() {
        *block.place.active.of_mut(&mut block.tags) = low32(generation);
        if let Some(copy) = &mut block.copy {
            copy.set_tag(low32(generation));
        }
    }
    Ok(blocks)
}

/// What a change makes of a slot; none: it becomes free.
fn next_slot<S: PageStore>(
    store: &S,
    state: &State,
    id: ProtectedId,
    change: &SlotChange<S::Buffer>,
    freed: &mut Overlay,
) -> Result<Option<Slot>, Error> {
    let checksum = |buffer| {
        store
            .staged_crc32(buffer)
            .map_err(Error::store(Operation::Stage { id }))
    };
    Ok(match change {
        SlotChange::New { pages, staged } => Some(Slot {
            pages: *pages,
            active: Side::A,
            generation: 1,
            checksum: match staged {
                Some(buffer) => checksum(buffer)?,
                None => crc32_of_zeros(state.page_size),
            },
        }),
        SlotChange::Write { staged } => {
            let slot = state.protected(id)?;
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
                freed.insert(page);
            }
            None
        }
    })
}

/// The page count that reaches page `highest`: doubled, never past the limit.
fn grown(page_count: u64, highest: Option<u64>, limit: u64) -> u64 {
    let needed = highest.map_or(0, |page| page + 1);
    let mut grown = page_count;
    while grown < needed && grown < limit {
        grown = grown.saturating_mul(2).min(limit);
    }
    grown
}
