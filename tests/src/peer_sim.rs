//! [`PeerSim`]: what the peer writes and syncs, step by step, on a medium that
//! can lose power.
//!
//! The real peer writes through a memory map, where nobody can stop it between
//! two steps. This stand-in was written from what the peer does; a test holds
//! it to the peer's own files, byte by byte.

use std::collections::BTreeMap;

use pagebox_store::{PageStore, StoreError};

use crate::craft::{self, Slot, blocks_max, slots_per_block};
use crate::crash::CrashStore;
use crate::decode::Pages;
use crate::peer::{Op, Peer, Seen};

/// The peer, with a file open. All of it is as the peer has it in memory.
#[derive(Clone, Debug)]
pub struct PeerSim {
    store: CrashStore,
    page_size: usize,
    side: usize,
    generation: u64,
    free_count: u64,
    allocated: Vec<bool>,
    blocks: Vec<Block>,
}

#[derive(Clone, Debug)]
struct Block {
    page: [u64; 2],
    active: usize,
    slots: Vec<Slot>,
}

impl PeerSim {
    /// Opens a file as the peer does: it believes the side that page 0 names if
    /// its checksum holds, else the other; the same for each directory block.
    pub fn open(store: &CrashStore) -> Result<Self, String> {
        let pages = store.pages();
        let page_size = pages.page_size();
        if pages.page_count() < 4 {
            return Err("the file is too short".into());
        }
        let page0 = pages.page(0);
        if &page0[..5] != b"MPPG\0" || page0[5] > 2 || page0[12] > 1 {
            return Err("the superblock is corrupt".into());
        }
        if int(page0, 8, 4) != u64::from(page_size.trailing_zeros()) {
            return Err("the page size is another".into());
        }
        let named = usize::from(page0[12]);
        let believed = |side: usize| {
            let page = pages.page(1 + side as u64);
            let fits = (int(page, 0, 8) as usize).div_ceil(8) <= page_size - 28;
            let agrees = side != named || int(page0, 16, 4) == u64::from(crc32fast::hash(page));
            is_sealed(page, 0) && fits && agrees
        };
        let side = [named, 1 - named]
            .into_iter()
            .find(|&side| believed(side))
            .ok_or("both metadata pages are corrupt")?;
        let metadata = pages.page(1 + side as u64);
        let count = int(page0, craft::SECTION, 4) as usize;
        if count != 0 && (!is_sealed(page0, craft::SECTION) || count > blocks_max(page_size)) {
            return Err("the directory section is corrupt".into());
        }
        let mut blocks = Vec::new();
        for index in 0..count {
            let at = craft::BLOCKS + index * craft::BLOCK_LEN;
            let page = [int(page0, at, 8), int(page0, at + 8, 8)];
            let named = usize::from(page0[at + 16]);
            if named > 1 {
                return Err(format!("block {index} is corrupt"));
            }
            let found = [named, 1 - named].into_iter().find_map(|side| {
                let copy = (page[side] < pages.page_count()).then(|| pages.page(page[side]))?;
                Some((side, slots_of(copy)?))
            });
            let (active, slots) = found.ok_or_else(|| format!("block {index} is corrupt"))?;
            blocks.push(Block {
                page,
                active,
                slots,
            });
        }
        Ok(Self {
            store: store.clone(),
            page_size,
            side,
            generation: int(metadata, 8, 8),
            free_count: int(metadata, 16, 8),
            allocated: (0..int(metadata, 0, 8) as usize)
                .map(|page| metadata[craft::BITMAP + page / 8] >> (page % 8) & 1 == 1)
                .collect(),
            blocks,
        })
    }

    /// Bytes in a page.
    pub fn page_size(&self) -> usize {
        self.page_size
    }

    fn alloc(&mut self) -> u64 {
        let page = self
            .allocated
            .iter()
            .position(|taken| !taken)
            .unwrap_or_else(|| {
                let page_count = self.allocated.len();
                self.allocated.resize(2 * page_count, false);
                self.free_count += page_count as u64;
                self.store.set_len(2 * page_count as u64);
                page_count
            });
        self.allocated[page] = true;
        self.free_count -= 1;
        page as u64
    }

    fn free(&mut self, page: u64) {
        self.allocated[page as usize] = false;
        self.free_count += 1;
    }

    fn commit(&mut self) -> Result<(), StoreError> {
        self.generation += 1;
        let taken = (0..)
            .zip(&self.allocated)
            .filter(|(_, taken)| **taken)
            .map(|(page, _)| page);
        let page_count = self.allocated.len() as u64;
        let mut metadata = craft::metadata(self.page_size, page_count, self.generation, taken);
        metadata[16..24].copy_from_slice(&self.free_count.to_le_bytes());
        craft::seal_page(&mut metadata);
        self.put(2 - self.side as u64, &metadata)?;
        self.side = 1 - self.side;
        self.put_page_0()
    }

    fn commit_block(&mut self, index: usize) -> Result<(), StoreError> {
        let block = &mut self.blocks[index];
        block.active = 1 - block.active;
        let page = block.page[block.active];
        let copy = craft::directory(self.page_size, 0, &block.slots);
        self.put(page, &copy)?;
        self.put_page_0()
    }

    fn put_page_0(&mut self) -> Result<(), StoreError> {
        let blocks: Vec<_> = self
            .blocks
            .iter()
            .map(|block| (block.page[0], block.page[1], block.active as u8))
            .collect();
        self.put(
            0,
            &craft::superblock(self.page_size, self.side as u8, &blocks),
        )
    }

    /// Writes through the map and syncs that part of it.
    fn put(&mut self, page: u64, bytes: &[u8]) -> Result<(), StoreError> {
        self.store.write_bytes(page, 0, bytes);
        self.store.sync_page(page)
    }

    fn alloc_protected(&mut self) -> Result<u64, StoreError> {
        let in_block = |block: &Block| block.slots.iter().position(|slot| slot.in_use == 0);
        let found = self
            .blocks
            .iter()
            .enumerate()
            .find_map(|(index, block)| in_block(block).map(|slot| (index, slot)));
        let new_block = found.is_none().then(|| [self.alloc(), self.alloc()]);
        let page = [self.alloc(), self.alloc()];
        self.commit()?;
        let capacity = slots_per_block(self.page_size);
        if let Some(page) = new_block {
            self.blocks.push(Block {
                page,
                active: 0,
                slots: vec![Slot::default(); capacity],
            });
        }
        let (index, slot) = found.unwrap_or((self.blocks.len() - 1, 0));
        // The bytes that it takes the checksum of were not synced.
        let checksum = crc32fast::hash(self.store.pages().page(page[0]));
        self.blocks[index].slots[slot] = Slot {
            in_use: 1,
            page,
            active: 0,
            generation: 0,
            checksum,
        };
        self.commit_block(index)?;
        Ok((index * capacity + slot) as u64)
    }

    fn free_protected(&mut self, id: u64) -> Result<(), StoreError> {
        let (block, slot) = self.slot(id);
        slot.in_use = 0;
        let page = slot.page;
        self.commit_block(block)?;
        for page in page {
            self.free(page);
        }
        self.commit()
    }

    fn slot(&mut self, id: u64) -> (usize, &mut Slot) {
        let capacity = slots_per_block(self.page_size);
        let block = id as usize / capacity;
        (block, &mut self.blocks[block].slots[id as usize % capacity])
    }

    fn run_on_store(&mut self, op: &Op) -> Result<Vec<u64>, StoreError> {
        match op {
            Op::Alloc(0) => return Ok(Vec::new()),
            Op::Alloc(count) => {
                let ids = (0..*count).map(|_| self.alloc()).collect();
                self.commit()?;
                return Ok(ids);
            }
            Op::AllocProtected(count) => {
                return (0..*count).map(|_| self.alloc_protected()).collect();
            }
            Op::Free(ids) => {
                for &id in ids {
                    self.free(id);
                }
                if !ids.is_empty() {
                    self.commit()?;
                }
            }
            Op::FreeProtected(ids) => {
                let mut ids = ids.clone();
                ids.sort_unstable();
                ids.into_iter().try_for_each(|id| self.free_protected(id))?;
            }
            Op::Write(fill) => self.store.write_bytes(fill.id, 0, &fill.bytes()),
            Op::WriteProtected(fill) => {
                let slot = self.slot(fill.id).1;
                let shadow = 1 - slot.active;
                let page = slot.page[usize::from(shadow)];
                self.store.write_bytes(page, 0, &fill.bytes());
                self.store.sync_page(page)?;
                let checksum = crc32fast::hash(self.store.pages().page(page));
                let (block, slot) = self.slot(fill.id);
                slot.active = shadow;
                slot.generation += 1;
                slot.checksum = checksum;
                self.commit_block(block)?;
            }
        }
        Ok(Vec::new())
    }
}

impl Peer for PeerSim {
    fn run(&mut self, op: &Op) -> Result<Vec<u64>, String> {
        self.run_on_store(op).map_err(|error| error.to_string())
    }

    fn see(&mut self) -> Result<Seen, String> {
        let file_pages = self.store.geometry().page_count;
        let pages = self.store.pages();
        let crc = |page: u64| {
            let there = page < file_pages;
            there
                .then(|| crc32fast::hash(pages.page(page)))
                .ok_or(format!("no page {page}"))
        };
        let mut internal = Vec::new();
        let mut protected = BTreeMap::new();
        let capacity = slots_per_block(self.page_size);
        for (index, block) in self.blocks.iter().enumerate() {
            internal.extend(block.page);
            for (slot, entry) in block.slots.iter().enumerate().filter(|it| it.1.in_use != 0) {
                internal.extend(entry.page);
                let active = usize::from(entry.active != 0);
                protected.insert((index * capacity + slot) as u64, crc(entry.page[active])?);
            }
        }
        let regular = (3..self.allocated.len() as u64)
            .filter(|&page| self.allocated[page as usize] && !internal.contains(&page))
            .map(|page| Ok((page, crc(page)?)))
            .collect::<Result<_, String>>()?;
        Ok(Seen {
            page_count: self.allocated.len() as u64,
            free_count: self.free_count,
            regular,
            protected,
        })
    }
}

/// The slots of a copy that the peer believes.
fn slots_of(copy: &[u8]) -> Option<Vec<Slot>> {
    if !is_sealed(copy, 0) || int(copy, 0, 4) as usize != slots_per_block(copy.len()) {
        return None;
    }
    let slots = copy[craft::SLOTS..copy.len() - 4].chunks_exact(craft::SLOT_LEN);
    let slot = |bytes: &[u8]| Slot {
        in_use: bytes[0],
        page: [int(bytes, 1, 8), int(bytes, 9, 8)],
        active: bytes[17],
        generation: int(bytes, 18, 8),
        checksum: int(bytes, 26, 4) as u32,
    };
    Some(slots.map(slot).collect())
}

fn is_sealed(page: &[u8], start: usize) -> bool {
    let end = page.len() - 4;
    u64::from(crc32fast::hash(&page[start..end])) == int(page, end, 4)
}

fn int(bytes: &[u8], at: usize, len: usize) -> u64 {
    bytes[at..at + len]
        .iter()
        .rev()
        .fold(0, |value, &byte| value << 8 | u64::from(byte))
}
