//! An independent reader of format 0: what a file says, read plainly.
//!
//! Written from the format's description, not from the code under test, and an
//! oracle for it. It is strict: it knows no recovery, and refuses every file
//! that is not exactly as a finished commit left it.

use std::collections::{BTreeMap, BTreeSet};

use crate::craft::{
    BITMAP, BLOCK_LEN, BLOCKS, RESIDUE, SECTION, SLOT_LEN, SLOTS, blocks_max, crc8, pages_max,
    slots_per_block,
};

/// Something made of pages.
pub trait Pages {
    /// Bytes in a page.
    fn page_size(&self) -> usize;
    /// Whole pages.
    fn page_count(&self) -> u64;
    /// The bytes of a page below the count.
    fn page(&self, number: u64) -> &[u8];
}

/// The bytes of a file.
#[derive(Clone, Copy, Debug)]
pub struct Image<'a> {
    /// All of them.
    pub bytes: &'a [u8],
    /// Bytes in a page.
    pub page_size: usize,
}

impl Pages for Image<'_> {
    fn page_size(&self) -> usize {
        self.page_size
    }

    fn page_count(&self) -> u64 {
        (self.bytes.len() / self.page_size) as u64
    }

    fn page(&self, number: u64) -> &[u8] {
        let start = number as usize * self.page_size;
        &self.bytes[start..start + self.page_size]
    }
}

/// A directory block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The pages of its copies, A and B.
    pub page: [u64; 2],
    /// Which of them page 0 names.
    pub active: usize,
    /// The tags of its copies; none where a copy is not valid.
    pub tag: [Option<u32>; 2],
}

/// A protected page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Protected {
    /// Its pages.
    pub page: [u64; 2],
    /// Which of them counts.
    pub active: usize,
    /// How often it was written.
    pub generation: u64,
    /// The CRC-32 of the page that counts.
    pub checksum: u32,
}

impl Protected {
    /// The page that counts.
    pub fn active_page(&self) -> u64 {
        self.page[self.active]
    }

    /// The page that the next write goes to.
    pub fn shadow_page(&self) -> u64 {
        self.page[1 - self.active]
    }
}

/// What a page is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Page 0.
    Superblock,
    /// Pages 1 and 2.
    Metadata,
    /// A copy of a directory block.
    Directory,
    /// The page of a protected page that counts.
    ProtectedActive,
    /// The other page of a protected page.
    ProtectedShadow,
    /// Allocated, and nothing of the above.
    Regular,
    /// Not allocated.
    Free,
    /// In the file, past the page count.
    Slack,
}

/// What a file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// Bytes in a page.
    pub page_size: usize,
    /// Pages in the file.
    pub file_pages: u64,
    /// Pages that the file accounts for.
    pub page_count: u64,
    /// The commit counter.
    pub generation: u64,
    /// What the metadata says of free pages; nobody believes it.
    pub free_count: u64,
    /// The metadata side that counts: 0 = A, 1 = B.
    pub side: usize,
    /// The generation of the other metadata page; none where it is not valid.
    pub other_generation: Option<u64>,
    /// Whether page 0 is tagged.
    pub tagged: bool,
    /// For each page, whether it is allocated.
    pub allocated: Vec<bool>,
    /// The directory.
    pub blocks: Vec<Block>,
    /// The protected pages, by id.
    pub protected: BTreeMap<u64, Protected>,
    kinds: Vec<Kind>,
}

impl State {
    /// What a file says, which is known to be sound.
    pub fn of(bytes: &[u8], page_size: usize) -> Self {
        decode(&Image { bytes, page_size }).expect("the file is sound")
    }

    /// What a page is for.
    pub fn kind(&self, page: u64) -> Kind {
        self.kinds
            .get(page as usize)
            .copied()
            .unwrap_or(Kind::Slack)
    }

    /// The allocated regular pages.
    pub fn regular(&self) -> BTreeSet<u64> {
        self.of_kind(Kind::Regular)
    }

    /// The pages that are not allocated.
    pub fn free(&self) -> BTreeSet<u64> {
        self.of_kind(Kind::Free)
    }

    fn of_kind(&self, kind: Kind) -> BTreeSet<u64> {
        (0..self.page_count)
            .filter(|&page| self.kind(page) == kind)
            .collect()
    }

    /// Whether this state needs the bytes of a page: no write may touch it.
    pub fn reaches(&self, page: u64) -> bool {
        match self.kind(page) {
            Kind::Superblock | Kind::ProtectedActive | Kind::Regular => true,
            Kind::Metadata => page == 1 + self.side as u64,
            Kind::Directory => self
                .blocks
                .iter()
                .any(|block| block.page[block.active] == page),
            Kind::ProtectedShadow | Kind::Free | Kind::Slack => false,
        }
    }

    /// Protected pages whose bytes are not those that were committed.
    pub fn rotten(&self, pages: &impl Pages) -> Vec<u64> {
        self.protected
            .iter()
            .filter(|(_, slot)| crc32fast::hash(pages.page(slot.active_page())) != slot.checksum)
            .map(|(&id, _)| id)
            .collect()
    }

    /// What a commit of ours leaves, beyond what any reader demands: rules C2
    /// and C3, and a free count that is right.
    pub fn is_as_we_commit(&self) -> Result<(), String> {
        let need = |holds: bool, what: &str| {
            if holds {
                Ok(())
            } else {
                Err(format!("{what}: {self:?}"))
            }
        };
        need(self.tagged, "page 0 is not tagged")?;
        need(
            self.free_count == self.free().len() as u64,
            "the free count is wrong",
        )?;
        need(
            self.other_generation
                .is_some_and(|other| other < self.generation),
            "the other metadata page is not older",
        )?;
        for block in &self.blocks {
            let named = block.tag[block.active];
            let unnamed = block.tag[1 - block.active];
            need(
                named.is_some_and(|tag| Some(tag) != unnamed || tag == 0),
                "two copies, one tag",
            )?;
            let tag = self.generation as u32;
            need(
                named.is_some_and(|named| named == 0 || tag.wrapping_sub(named) <= 1 << 31),
                "a named copy is newer than page 0",
            )?;
            need(
                tag != 0 && unnamed != Some(tag),
                "an unnamed copy has the tag of page 0",
            )?;
        }
        Ok(())
    }
}

/// Reads a file.
pub fn decode(pages: &impl Pages) -> Result<State, String> {
    let size = pages.page_size();
    if pages.page_count() < 4 {
        return Err(format!("{} pages", pages.page_count()));
    }
    let page0 = pages.page(0);
    if &page0[..4] != b"MPPG" || page0[4] != 0 || page0[5] > 2 {
        return Err(format!("magic and version are {:?}", &page0[..8]));
    }
    if u32_at(page0, 8) != size.trailing_zeros() {
        return Err(format!("page size is 2^{}", u32_at(page0, 8)));
    }
    let side = usize::from(page0[12]);
    if side > 1 {
        return Err(format!("metadata side is {side}"));
    }
    let tag = u16::from_le_bytes([page0[13], page0[14]]);
    let tagged = page0[13..16] != [0; 3];
    if tagged && (tag & 0x8000 == 0 || page0[15] != crc8(&page0[..15])) {
        return Err(format!("tag of page 0 is {:?}", &page0[13..16]));
    }
    if u32_at(page0, 16) != RESIDUE {
        return Err(format!(
            "metadata checksum in page 0 is {:#010x}",
            u32_at(page0, 16)
        ));
    }
    let metadata = pages.page(1 + side as u64);
    if !is_sealed(metadata, 0) {
        return Err(format!("metadata page {} fails its checksum", 1 + side));
    }
    let page_count = u64_at(metadata, 0);
    let generation = u64_at(metadata, 8);
    if tagged && generation as u16 & 0x7FFF != tag & 0x7FFF {
        return Err(format!(
            "page 0 is tagged {tag:#06x}, the metadata has generation {generation}"
        ));
    }
    if page_count < 4 || page_count > pages_max(size) || page_count > pages.page_count() {
        return Err(format!(
            "page count is {page_count}, the file has {}",
            pages.page_count()
        ));
    }
    let bit = |page: u64| metadata[BITMAP + (page / 8) as usize] >> (page % 8) & 1 == 1;
    let bitmap = &metadata[BITMAP..size - 4];
    let (within, past) = bitmap.split_at(page_count.div_ceil(8) as usize);
    let last_is_odd =
        !page_count.is_multiple_of(8) && within[within.len() - 1] >> (page_count % 8) != 0;
    if last_is_odd || past.iter().any(|&byte| byte != 0) {
        return Err(format!("bits past page count {page_count} are set"));
    }
    let other = pages.page(2 - side as u64);
    let mut state = State {
        page_size: size,
        file_pages: pages.page_count(),
        page_count,
        generation,
        free_count: u64_at(metadata, 16),
        side,
        other_generation: is_sealed(other, 0).then(|| u64_at(other, 8)),
        tagged,
        allocated: (0..page_count).map(bit).collect(),
        blocks: Vec::new(),
        protected: BTreeMap::new(),
        kinds: (0..page_count)
            .map(|page| if bit(page) { Kind::Regular } else { Kind::Free })
            .collect(),
    };
    for (page, kind) in [
        (0, Kind::Superblock),
        (1, Kind::Metadata),
        (2, Kind::Metadata),
    ] {
        claim(&mut state, page, kind)?;
    }
    decode_directory(pages, &mut state)?;
    Ok(state)
}

fn decode_directory(pages: &impl Pages, state: &mut State) -> Result<(), String> {
    let size = state.page_size;
    let page0 = pages.page(0);
    let section_is_zero = page0[SECTION..size - 4].iter().all(|&byte| byte == 0);
    if !section_is_zero && !is_sealed(page0, SECTION) {
        return Err("the directory section of page 0 fails its checksum".into());
    }
    let count = u32_at(page0, SECTION) as usize;
    if count > blocks_max(size) {
        return Err(format!("{count} directory blocks"));
    }
    let capacity = slots_per_block(size);
    for index in 0..count {
        let at = BLOCKS + index * BLOCK_LEN;
        let page = [u64_at(page0, at), u64_at(page0, at + 8)];
        let active = usize::from(page0[at + 16]);
        if active > 1 {
            return Err(format!("block {index} has side {active}"));
        }
        claim(state, page[0], Kind::Directory)?;
        claim(state, page[1], Kind::Directory)?;
        let tag = page.map(|page| {
            let copy = pages.page(page);
            (is_sealed(copy, 0) && u32_at(copy, 0) as usize == capacity).then(|| u32_at(copy, 4))
        });
        if tag[active].is_none() {
            return Err(format!(
                "block {index}: the copy in page {} is not valid",
                page[active]
            ));
        }
        state.blocks.push(Block { page, active, tag });
        let copy = pages.page(page[active]);
        for slot in 0..capacity {
            let at = SLOTS + slot * SLOT_LEN;
            let id = (index * capacity + slot) as u64;
            match copy[at] {
                0 => continue,
                1 => (),
                other => return Err(format!("slot {id}: in use is {other}")),
            }
            let page = [u64_at(copy, at + 1), u64_at(copy, at + 9)];
            let active = usize::from(copy[at + 17]);
            if active > 1 {
                return Err(format!("slot {id} has side {active}"));
            }
            claim(state, page[active], Kind::ProtectedActive)?;
            claim(state, page[1 - active], Kind::ProtectedShadow)?;
            let generation = u64_at(copy, at + 18);
            let checksum = u32_at(copy, at + 26);
            state.protected.insert(
                id,
                Protected {
                    page,
                    active,
                    generation,
                    checksum,
                },
            );
        }
    }
    Ok(())
}

/// Gives an allocated page that nobody owns an owner.
fn claim(state: &mut State, page: u64, kind: Kind) -> Result<(), String> {
    match state.kinds.get_mut(page as usize) {
        Some(found @ Kind::Regular) => *found = kind,
        Some(found) => return Err(format!("page {page} is {found:?} and {kind:?}")),
        None => {
            return Err(format!(
                "page {page} is {kind:?}, past page count {}",
                state.page_count
            ));
        }
    }
    Ok(())
}

fn is_sealed(page: &[u8], start: usize) -> bool {
    let end = page.len() - 4;
    crc32fast::hash(&page[start..end]) == u32_at(page, end)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}
