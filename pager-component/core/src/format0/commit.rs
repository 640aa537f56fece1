//! The commit protocol: how a transaction becomes durable. The only file
//! that writes a commit.
//!
//! A page is *reachable* if the durable state names it.
//!
//! 1. A reachable page is never written, page 0 apart.
//! 2. Page 0 is written when, and only when, all that it names is durable.
//! 3. Memory changes when page 0 is durable, but for the images of pages, which
//!    nobody sees after a failure.
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
//!   tags differ from every tag that is on the medium. A directory block that
//!   was last written so long ago that its tag, which wraps around, would pass
//!   for a newer one is written again.
//! - C3. Everything but page 0 is written: pages, changed directory blocks to
//!   their inactive copies, the inactive metadata.
//! - C4. Order: nothing below is durable before what is above.
//! - C5. Page 0 is written once.
//! - C6. Sync.
//!
//! C3 to C6 are one call of the store.
//!
//! | From | By | To |
//! |---|---|---|
//! | opening | C0 | ready |
//! | ready | C6 | ready, a new state |
//! | any | a failed write or sync | poisoned |

use alloc::vec::Vec;

use pagebox_store::{Change, PageStore};

use super::directory::Slot;
use super::metadata::{self, MetadataImage};
use super::plan::{Next, NextBlock, Plan};
use super::slots::Block;
use super::state::Sound;
use super::superblock::{self, RootImage, low15};
use crate::changes::Changes;
use crate::error::{Error, Operation};
use crate::ids::Side;
use crate::kinds::PageKind;

/// Where the checksummed part of page 0 begins.
#[expect(clippy::cast_possible_truncation, reason = "a constant of 20")]
const SECTION: u32 = superblock::offset::SECTION as u32;

/// The pages that every commit writes, as they are after the last one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Images {
    metadata: MetadataImage,
    root: RootImage,
}

impl Images {
    /// Those of a file.
    pub(super) fn of(sound: &Sound) -> Self {
        let Sound {
            root,
            allocation,
            directory,
        } = sound;
        Self {
            metadata: MetadataImage::new(root.page_size, root.generation, allocation.used()),
            root: RootImage::new(root.page_size, &root.head(), &directory.places()),
        }
    }
}

impl RootImage {
    /// Page 0, to be written whole.
    fn change<B>(&self) -> Change<'_, B> {
        Change::Sealed {
            page: 0,
            bytes: self.bytes(),
            start: SECTION,
        }
    }
}

/// C0. Makes what recovery decided durable, whatever it was decided from.
pub(super) fn settle<S: PageStore>(store: &mut S, images: &Images) -> Result<(), Error> {
    store
        .write(&[images.root.change(), Change::Sync])
        .map_err(Error::store(Operation::Settle))
}

/// C1 to C6.
///
/// # Errors
/// [`Error::Full`] and [`Error::GenerationsExhausted`], with nothing written;
/// [`Error::Store`], after which what is durable is not known, unless it says
/// [`StoreError::InsufficientSpace`].
pub(super) fn commit<S: PageStore>(
    store: &mut S,
    sound: &mut Sound,
    images: &mut Images,
    changes: &Changes<S::Buffer>,
) -> Result<(), Error> {
    let Plan { writes, next } = Plan::new(sound, changes)?;
    let page_count = next.page_count;
    // A store may be longer than the file accounts for, never shorter; where
    // nothing is added it need not be asked.
    if page_count > sound.allocation.page_count() && page_count > store.geometry().page_count {
        store
            .grow(page_count)
            .map_err(Error::store(Operation::Grow { page_count }))?;
    }
    // From here on only the store can fail; then the pager is poisoned, and
    // nobody sees the images.
    next.draw(sound, images, changes);
    write(store, writes, &next, images)?;
    next.apply(sound, changes);
    debug_assert!(
        Images::of(sound) == *images,
        "what was written is not what memory says"
    );
    Ok(())
}

/// C3 to C6: what was planned, the directory blocks, the metadata; and then page
/// 0.
fn write<'a, S: PageStore>(
    store: &mut S,
    mut writes: Vec<Change<'a, S::Buffer>>,
    next: &'a Next,
    images: &'a Images,
) -> Result<(), Error> {
    writes.extend(next.blocks.values().map(|block| Change::Sealed {
        page: block.page(),
        bytes: block.copy.bytes(),
        start: 0,
    }));
    writes.push(Change::Sealed {
        page: metadata::page_of(next.side),
        bytes: images.metadata.bytes(),
        start: 0,
    });
    writes.push(Change::Order);
    writes.push(images.root.change());
    writes.push(Change::Sync);
    store
        .write(&writes)
        .map_err(Error::store(Operation::Commit))
}

impl Next {
    /// Draws the pages that every commit writes.
    fn draw<B>(&self, sound: &Sound, images: &mut Images, changes: &Changes<B>) {
        let metadata = &mut images.metadata;
        metadata.set_counts(self.page_count, self.generation, self.free_count);
        metadata.set_pages(&changes.allocated, true);
        metadata.set_pages(&self.backing, true);
        metadata.set_pages(&self.added_pages, true);
        metadata.set_pages(&self.freed, false);
        images.root.set_head(&superblock::Head {
            identity: sound.root.identity,
            side: self.side,
            tag: Some(low15(self.generation)),
        });
        for (&index, block) in &self.blocks {
            images.root.set_block(index, &block.place);
        }
    }

    /// What is durable now becomes what memory says.
    fn apply<B>(self, sound: &mut Sound, changes: &Changes<B>) {
        let Sound {
            root,
            allocation,
            directory,
        } = sound;
        root.side = self.side;
        root.tagged = true;
        root.generation = self.generation;
        root.highest_generation = self.generation;
        allocation.grow(self.page_count);
        allocation.set_all(&changes.allocated, PageKind::REGULAR);
        allocation.set_all(&self.added_pages, PageKind::DIRECTORY);
        allocation.set_all(&self.freed, PageKind::FREE);
        for (index, NextBlock { place, tags, copy }) in self.blocks {
            let copy = Some(copy);
            directory.put(index, Block { place, tags, copy });
        }
        for (id, slot) in self.slots {
            directory.set_in_use(id, slot.is_some());
            if let Some(Slot { pages, active, .. }) = slot {
                allocation.set(active.of(pages), PageKind::PROTECTED_ACTIVE);
                allocation.set(active.other().of(pages), PageKind::PROTECTED_SHADOW);
            }
        }
        sound.assert_consistent();
    }
}

/// Writes a new file: both copies of the metadata, and page 0.
pub(super) fn write_new<S: PageStore>(store: &mut S, images: &Images) -> Result<(), Error> {
    let [copy_a, copy_b] = Side::BOTH.map(|side| Change::Sealed {
        page: metadata::page_of(side),
        bytes: images.metadata.bytes(),
        start: 0,
    });
    store
        .write(&[copy_a, copy_b, images.root.change(), Change::Sync])
        .map_err(Error::store(Operation::WriteNew))
}
