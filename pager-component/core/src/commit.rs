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
//! - C0. Once, in opening, before anything is served: page 0 is written whole as
//!   recovery rebuilt it, and synced. Without it a process could show, and build
//!   on, what only the page cache has. Page 0 is enough: whatever it names was
//!   synced before it was written.
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
//! | opening | C0 | ready |
//! | ready | C6 | ready, a new state |
//! | any | a failed write or sync | poisoned |

use alloc::vec::Vec;

use pagebox_store::{Change, PageStore, StoreError, Then};

use crate::allocation::Use;
use crate::bitmap::Overlay;
use crate::error::{Error, Operation};
use crate::format::metadata::{self, MetadataImage};
use crate::format::superblock::{self, RootImage, low15};
use crate::ids::Side;
use crate::plan::Plan;
use crate::state::State;
use crate::transaction::{SlotChange, Transaction};

/// Where a block reference's checksummed part begins.
#[expect(clippy::cast_possible_truncation, reason = "a constant of 20")]
const SECTION: u32 = superblock::offset::SECTION as u32;

/// The pages that every commit writes, as they are after the last one.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Images {
    metadata: MetadataImage,
    root: RootImage,
}

impl Images {
    /// Those of a state.
    pub(crate) fn of(state: &State) -> Result<Self, Error> {
        let used = state.allocation()?.used();
        let places = state.directory()?.places();
        Ok(Self {
            metadata: MetadataImage::new(state.page_size, state.generation, used),
            root: RootImage::new(state.page_size, &state.head(), &places),
        })
    }
}

/// C0. Makes what recovery decided durable, whatever it was decided from.
pub(crate) fn settle<S: PageStore>(store: &mut S, images: &Images) -> Result<(), Error> {
    write_root(store, &images.root)
}

fn write_root<S: PageStore>(store: &mut S, image: &RootImage) -> Result<(), Error> {
    let root = Change::Sealed {
        page: 0,
        bytes: image.bytes(),
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
    images: &mut Images,
    transaction: &Transaction<S::Buffer>,
) -> Result<(), Error> {
    let plan = Plan::new(store, state, transaction)?;
    let page_count = plan.page_count;
    // A store may be longer than the file accounts for, never shorter; where
    // nothing is added it need not be asked.
    if page_count > state.page_count() && page_count > store.geometry().page_count {
        store
            .grow(page_count)
            .map_err(Error::store(Operation::Grow { page_count }))?;
    }
    plan.draw(state, images, transaction);
    plan.write_shadows(store, state, images, transaction)?;
    write_root(store, &images.root)?;
    plan.apply(state, transaction);
    debug_assert_eq!(Images::of(state)?, *images);
    Ok(())
}

impl Plan {
    /// Draws the pages that the commit will write. If it fails after this the
    /// pager is poisoned, so that nobody sees them.
    fn draw<B>(&self, state: &State, images: &mut Images, transaction: &Transaction<B>) {
        let metadata = &mut images.metadata;
        metadata.set_counts(self.page_count, self.generation, self.free_count);
        metadata.set_pages(&transaction.taken, true);
        metadata.set_pages(&self.added_pages(), true);
        metadata.set_pages(&self.freed, false);
        images.root.set_head(&superblock::Head {
            identity: state.identity,
            side: self.side,
            tag: Some(low15(self.generation)),
        });
        for (&index, block) in &self.blocks {
            images.root.set_block(index, &block.place);
        }
    }

    /// The pages of added directory blocks.
    fn added_pages(&self) -> Overlay {
        let mut pages = Overlay::default();
        for page in self.added.iter().flat_map(|block| block.pages) {
            pages.insert(page);
        }
        pages
    }

    /// C3 and C4.
    fn write_shadows<S: PageStore>(
        &self,
        store: &mut S,
        state: &State,
        images: &Images,
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
        changes.push(Change::Sealed {
            page: metadata::page_of(self.side),
            bytes: images.metadata.bytes(),
            start: 0,
        });
        store
            .write(&changes, Then::Sync)
            .map_err(Error::store(Operation::WriteShadows))
    }

    /// What is durable now becomes what memory says.
    fn apply<B>(self, state: &mut State, transaction: &Transaction<B>) {
        state.side = self.side;
        state.tagged = true;
        state.generation = self.generation;
        state.highest_generation = self.generation;
        if let Some(allocation) = &mut state.allocation {
            allocation.grow(self.page_count);
            allocation.set_all(&transaction.taken, Use::REGULAR);
            allocation.set_all(&transaction.backing, Use::INTERNAL);
            allocation.set_all(&self.added_pages(), Use::INTERNAL);
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
pub(crate) fn write_new<S: PageStore>(store: &mut S, images: &Images) -> Result<(), Error> {
    let [copy_a, copy_b] = Side::BOTH.map(|side| Change::Sealed {
        page: metadata::page_of(side),
        bytes: images.metadata.bytes(),
        start: 0,
    });
    let root = Change::Sealed {
        page: 0,
        bytes: images.root.bytes(),
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
