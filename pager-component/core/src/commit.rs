//! The commit protocol: how a transaction becomes durable. The only file of
//! the pager proper that writes, grows or syncs.
//!
//! A page is *reachable* if the durable state names it.
//!
//! 1. A reachable page is never written, page 0 apart.
//! 2. Page 0 is written when, and only when, all that it names is durable.
//! 3. Memory changes when page 0 is durable, in one assignment.
//! 4. A generation's tag is on no copy of a directory block that the commit of
//!    that generation did not write.
//!
//! Losing any subset of the writes between two syncs, each torn at sectors,
//! leaves the state before or the state after. The steps:
//!
//! - C0. Once, before the first commit after opening: page 0 is written whole
//!   as recovery rebuilt it, and synced. Without it a process could build on
//!   what only the page cache shows.
//! - C1. Pages for added directory blocks are taken last, above every other
//!   page that this commit newly allocates, in ascending pairs: where page 0
//!   is torn, the two bitmaps then tell them. The file grows.
//! - C2. The generation is above that of every valid metadata page, and its
//!   tags differ from every tag that is on the medium.
//! - C3. Everything but page 0 is written: pages, changed directory blocks to
//!   their inactive copies, the inactive metadata.
//! - C4. Sync.
//! - C5. Page 0 is written once.
//! - C6. Sync.
//!
//! | From | By | To |
//! |---|---|---|
//! | unsettled | C0 | ready |
//! | ready | C6 | ready, a new state |
//! | any | a failed write or sync | poisoned |

use alloc::collections::BTreeMap;
use alloc::collections::btree_map::Entry;
use alloc::vec;
use alloc::vec::Vec;

use pagebox_store::{Change, PageStore, StoreError, Then};

use crate::allocation::Use;
use crate::bitmap::{Bitmap, Overlay};
use crate::directory::{Block, Directory};
use crate::error::{Error, Operation};
use crate::format::directory::{DirectoryCopy, Slot};
use crate::format::superblock::{self, BlockRef, low15};
use crate::format::{RESERVED_PAGES, metadata};
use crate::ids::{ProtectedId, Side};
use crate::recovery::low32;
use crate::state::State;
use crate::transaction::{SlotChange, Transaction};

/// Where a block reference's checksummed part begins.
#[expect(clippy::cast_possible_truncation, reason = "a constant of 20")]
const SECTION: u32 = superblock::offset::SECTION as u32;

/// C0. Makes what recovery decided durable, whatever it was decided from.
pub(crate) fn settle<S: PageStore>(store: &mut S, state: &State) -> Result<(), Error> {
    let places = state.directory()?.places();
    let bytes = superblock::encode(state.page_size, &state.head(), &places);
    let root = Change::Sealed {
        page: 0,
        bytes: &bytes,
        start: SECTION,
    };
    store
        .write(&[root], Then::Sync)
        .map_err(Error::store(Operation::WriteRoot))
}

/// C1 to C6.
///
/// # Errors
/// [`Error::Full`] and [`Error::GenerationsExhausted`], with nothing written;
/// [`Error::Store`], after which what is durable is not known, unless it says
/// [`StoreError::InsufficientSpace`].
pub(crate) fn commit<S: PageStore>(
    store: &mut S,
    state: &mut State,
    transaction: &Transaction<S::Buffer>,
) -> Result<(), Error> {
    let plan = Plan::new(store, state, transaction)?;
    if plan.used.len() > store.geometry().page_count {
        let page_count = plan.used.len();
        store
            .grow(page_count)
            .map_err(Error::store(Operation::Grow { page_count }))?;
    }
    plan.write_shadows(store, state, transaction)?;
    plan.write_root(store, state)?;
    plan.apply(state, transaction);
    Ok(())
}

/// Everything that a commit will do, decided before anything is written.
struct Plan {
    generation: u64,
    /// The inactive metadata side, which becomes the active one.
    side: Side,
    /// The allocation bitmap after the commit.
    used: Bitmap,
    /// Directory blocks after the commit, where they change.
    blocks: BTreeMap<usize, Block>,
    /// How many of them are added.
    added: Vec<BlockRef>,
    /// Pages that become free.
    freed: Overlay,
}

impl Plan {
    fn new<S: PageStore>(
        store: &S,
        state: &State,
        transaction: &Transaction<S::Buffer>,
    ) -> Result<Self, Error> {
        let directory = state.directory()?;
        let added = place_added_blocks(state, transaction)?;
        let generation = next_generation(state, directory)?;
        let mut freed = transaction.freed.clone();
        let blocks = change_blocks(store, state, transaction, &added, generation, &mut freed)?;
        let mut used = state.allocation()?.used().clone();
        let highest = transaction
            .taken
            .max()
            .into_iter()
            .chain(added.iter().map(|block| block.pages[1]))
            .max();
        used.grow(grown(used.len(), highest, state.limits().page_count));
        used.apply(&transaction.taken, true);
        for page in added.iter().flat_map(|block| block.pages) {
            used.set(page, true);
        }
        used.apply(&freed, false);
        Ok(Self {
            generation,
            side: state.side.other(),
            used,
            blocks,
            added,
            freed,
        })
    }

    /// C3 and C4.
    fn write_shadows<S: PageStore>(
        &self,
        store: &mut S,
        state: &State,
        transaction: &Transaction<S::Buffer>,
    ) -> Result<(), Error> {
        let mut changes = Vec::new();
        push_resets(transaction, &mut changes);
        for (&id, change) in &transaction.slots {
            match change {
                SlotChange::New {
                    pages,
                    staged: None,
                } => {
                    changes.push(Change::Zero {
                        page: Side::A.of(*pages),
                    });
                }
                SlotChange::New {
                    pages,
                    staged: Some(buffer),
                } => {
                    changes.push(Change::Staged {
                        page: Side::A.of(*pages),
                        buffer,
                    });
                }
                SlotChange::Write { staged } => {
                    let page = state.protected(id)?.shadow_page();
                    changes.push(Change::Staged {
                        page,
                        buffer: staged,
                    });
                }
                SlotChange::Free => {}
            }
        }
        for block in self.blocks.values() {
            if let Some(copy) = &block.copy {
                let page = block.place.active.of(block.place.pages);
                changes.push(Change::Sealed {
                    page,
                    bytes: copy.bytes(),
                    start: 0,
                });
            }
        }
        // An old page's bytes must not pass for a copy.
        changes.extend(self.added.iter().map(|block| Change::Zero {
            page: block.pages[1],
        }));
        let bytes = metadata::encode(state.page_size, self.generation, &self.used);
        let page = metadata::page_of(self.side);
        changes.push(Change::Sealed {
            page,
            bytes: &bytes,
            start: 0,
        });
        store
            .write(&changes, Then::Sync)
            .map_err(Error::store(Operation::WriteShadows))
    }

    /// C5 and C6.
    fn write_root<S: PageStore>(&self, store: &mut S, state: &State) -> Result<(), Error> {
        let mut places = state.directory()?.places();
        places.extend(&self.added);
        for (&index, block) in &self.blocks {
            if let Some(place) = places.get_mut(index) {
                *place = block.place;
            }
        }
        let head = superblock::Head {
            identity: state.identity,
            side: self.side,
            tag: Some(low15(self.generation)),
        };
        let bytes = superblock::encode(state.page_size, &head, &places);
        let root = Change::Sealed {
            page: 0,
            bytes: &bytes,
            start: SECTION,
        };
        store
            .write(&[root], Then::Sync)
            .map_err(Error::store(Operation::WriteRoot))
    }

    /// What is durable now becomes what memory says.
    fn apply<B>(self, state: &mut State, transaction: &Transaction<B>) {
        state.side = self.side;
        state.tagged = true;
        state.generation = self.generation;
        state.highest_generation = self.generation;
        if let Some(allocation) = &mut state.allocation {
            allocation.grow(self.used.len());
            allocation.set_all(&transaction.taken, Use::REGULAR);
            allocation.set_all(&transaction.backing, Use::INTERNAL);
            for page in self.added.iter().flat_map(|block| block.pages) {
                allocation.set(page, Use::INTERNAL);
            }
            allocation.set_all(&self.freed, Use::FREE);
        }
        if let Some(directory) = &mut state.directory {
            for (index, block) in self.blocks {
                directory.put(index, block);
            }
            for (&id, change) in &transaction.slots {
                directory.set_in_use(id, !matches!(change, SlotChange::Free));
            }
        }
        state.assert_consistent();
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

/// C2. A generation whose tags nothing on the medium bears.
pub(crate) fn next_generation(state: &State, directory: &Directory) -> Result<u64, Error> {
    let mut generation = state.highest_generation;
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
                None => crc32_of_zeros(state),
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

fn crc32_of_zeros(state: &State) -> u32 {
    crate::format::checksum::crc32(&vec![0; state.page_size.bytes()])
}

/// Recycled pages must not show what they held. The pages of protected ones
/// are written or never shown.
fn push_resets<B>(transaction: &Transaction<B>, changes: &mut Vec<Change<'_, B>>) {
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

/// Writes a new file: both copies of the metadata, and page 0.
pub(crate) fn write_new<S: PageStore>(store: &mut S, state: &State) -> Result<(), Error> {
    let allocation = state.allocation()?;
    let bytes = metadata::encode(state.page_size, state.generation, allocation.used());
    let root = superblock::encode(state.page_size, &state.head(), &[]);
    let copies = Side::BOTH.map(|side| Change::Sealed {
        page: metadata::page_of(side),
        bytes: &bytes,
        start: 0,
    });
    let [copy_a, copy_b] = copies;
    let root = Change::Sealed {
        page: 0,
        bytes: &root,
        start: SECTION,
    };
    store
        .write(&[copy_a, copy_b, root], Then::Sync)
        .map_err(Error::store(Operation::WriteNew))
}

/// Whether it is known what is durable after this error of [`settle`] or
/// [`commit`], or of a sync: nothing was written yet.
pub(crate) fn leaves_ready(error: &Error) -> bool {
    let Error::Store { operation, source } = error else {
        return true;
    };
    match operation {
        Operation::Grow { .. } => {
            matches!(source, StoreError::InsufficientSpace | StoreError::ReadOnly)
        }
        Operation::WriteShadows | Operation::WriteRoot | Operation::WriteNew | Operation::Sync => {
            false
        }
        _ => true,
    }
}
