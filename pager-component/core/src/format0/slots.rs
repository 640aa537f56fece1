//! [`Directory`]: which two physical pages a protected page has. Pure.
//!
//! Invariants of a sound directory: every block has its copy; a bit of
//! `in_use` is set exactly if its slot is in use; no slot is suspect.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use super::Limits;
use super::directory::{DirectoryCopy, Slot};
use super::superblock::BlockRef;
use crate::bitmap::Bitmap;
use crate::codec::narrow;
use crate::ids::ProtectedId;

/// A directory block.
#[derive(Clone, Debug)]
pub struct Block {
    /// Where it is, and which copy counts.
    pub place: BlockRef,
    /// The tags of both copies, as they are on the medium.
    pub tags: [u32; 2],
    /// The copy that counts; none where it cannot be believed.
    pub copy: Option<DirectoryCopy>,
}

/// The map from protected ids to physical pages.
#[derive(Clone, Debug)]
pub struct Directory {
    limits: Limits,
    blocks: Vec<Block>,
    in_use: Bitmap,
    suspect: BTreeMap<ProtectedId, String>,
}

impl Directory {
    /// A directory of these blocks; suspect slots are not looked into.
    pub fn new(limits: Limits, blocks: Vec<Block>, suspect: BTreeMap<ProtectedId, String>) -> Self {
        let mut directory = Self {
            limits,
            in_use: Bitmap::new(limits.slots_per_block * blocks.len() as u64),
            blocks,
            suspect,
        };
        for block in 0..directory.blocks.len() {
            directory.note_in_use(block);
        }
        directory
    }

    /// The block and the slot in it that an id names.
    pub fn place(&self, id: ProtectedId) -> (usize, usize) {
        let block = id.0 / self.limits.slots_per_block;
        let slot = id.0 % self.limits.slots_per_block;
        (narrow(block), narrow(slot))
    }

    /// The id of a block's slot.
    pub fn id(&self, block: usize, slot: usize) -> ProtectedId {
        self.limits.id(block, slot)
    }

    /// The blocks.
    pub fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// Whether every block has the copy that counts.
    pub fn is_whole(&self) -> bool {
        self.blocks.iter().all(|block| block.copy.is_some())
    }

    /// Where the blocks are.
    pub fn places(&self) -> Vec<BlockRef> {
        self.blocks.iter().map(|block| block.place).collect()
    }

    /// How many slots there are, in use or not.
    pub fn capacity(&self) -> u64 {
        self.in_use.len()
    }

    /// How many slots are in use.
    pub fn count(&self) -> u64 {
        self.in_use.ones()
    }

    /// The slots in use, as bits.
    pub fn in_use(&self) -> &Bitmap {
        &self.in_use
    }

    /// Why a slot cannot be believed.
    pub fn suspicion(&self, id: ProtectedId) -> Option<&str> {
        self.suspect.get(&id).map(String::as_str)
    }

    /// A slot in use that can be believed.
    pub fn slot(&self, id: ProtectedId) -> Option<Slot> {
        if !self.in_use.get(id.0) {
            return None;
        }
        let (block, slot) = self.place(id);
        self.blocks.get(block)?.copy.as_ref()?.slot(slot).ok()?
    }

    /// The slots in use from `start` on, ascending.
    pub fn slots(&self, start: ProtectedId) -> impl Iterator<Item = (ProtectedId, Slot)> + '_ {
        let mut next = start.0;
        core::iter::from_fn(move || {
            loop {
                let id = ProtectedId(self.in_use.find_set(next)?);
                next = id.0 + 1;
                if let Some(slot) = self.slot(id) {
                    return Some((id, slot));
                }
            }
        })
    }

    /// Replaces a block, or adds the next one. Its slots' uses are noted with
    /// [`Directory::set_in_use`].
    ///
    /// # Panics
    /// Where blocks before it are missing.
    pub fn put(&mut self, index: usize, block: Block) {
        if let Some(place) = self.blocks.get_mut(index) {
            *place = block;
        } else {
            assert_eq!(index, self.blocks.len(), "a directory block is left out");
            self.blocks.push(block);
            self.in_use
                .grow(self.limits.slots_per_block * self.blocks.len() as u64);
        }
    }

    /// Notes whether a slot is in use.
    ///
    /// # Panics
    /// Where there is no such slot.
    pub fn set_in_use(&mut self, id: ProtectedId, used: bool) {
        assert!(id.0 < self.in_use.len(), "protected page {id} has no slot");
        self.in_use.set(id.0, used);
    }

    fn note_in_use(&mut self, block: usize) {
        let Some(copy) = self.blocks.get(block).and_then(|block| block.copy.as_ref()) else {
            return;
        };
        for slot in 0..copy.capacity() {
            let id = self.id(block, slot);
            let used = matches!(copy.slot(slot), Ok(Some(_))) && !self.suspect.contains_key(&id);
            self.in_use.set(id.0, used);
        }
    }
}
