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

use alloc::vec::Vec;

use pagebox_store::{Change, PageStore, StoreError, Then};

use crate::allocation::Use;
use crate::error::{Error, Operation};
use crate::format::metadata;
use crate::format::superblock::{self, low15};
use crate::ids::Side;
use crate::plan::Plan;
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

impl Plan {
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
