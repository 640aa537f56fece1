//! Bytes of format 0 made by hand: fields put where the format's table has
//! them, and the checksums that make the result believable.
//!
//! Written from the format's description, not from the code under test.

/// The CRC-32 of data that ends in its own CRC-32, little-endian.
pub const RESIDUE: u32 = 0x2144_DF1C;

/// Bytes of page 0 before the directory section.
pub const SECTION: usize = 20;
/// Bytes of page 0 before the first directory block.
pub const BLOCKS: usize = 24;
/// Bytes of a directory block in page 0.
pub const BLOCK_LEN: usize = 17;
/// Bytes of a metadata page before its bitmap.
pub const BITMAP: usize = 24;
/// Bytes of a directory copy before its slots.
pub const SLOTS: usize = 8;
/// Bytes of a slot.
pub const SLOT_LEN: usize = 30;

/// Slots in a directory copy.
pub const fn slots_per_block(page_size: usize) -> usize {
    (page_size - 12) / SLOT_LEN
}

/// Directory blocks that page 0 has room for.
pub const fn blocks_max(page_size: usize) -> usize {
    (page_size - 28) / BLOCK_LEN
}

/// Pages that the bitmap has room for.
pub const fn pages_max(page_size: usize) -> u64 {
    ((page_size - 28) * 8) as u64
}

/// The CRC-8 of the tag in page 0: polynomial 0x07, initial value 0xFF.
pub fn crc8(bytes: &[u8]) -> u8 {
    let mut crc = 0xFF_u8;
    for byte in bytes {
        crc ^= byte;
        for _ in 0..8 {
            crc = if crc & 0x80 == 0 {
                crc << 1
            } else {
                (crc << 1) ^ 0x07
            };
        }
    }
    crc
}

/// The page's last four bytes: the CRC-32 of what precedes them. For metadata
/// pages and directory copies.
pub fn seal_page(page: &mut [u8]) {
    seal_from(page, 0);
}

/// Page 0's last four bytes: the CRC-32 of the directory section.
pub fn seal_section(page0: &mut [u8]) {
    seal_from(page0, SECTION);
}

fn seal_from(page: &mut [u8], start: usize) {
    let end = page.len() - 4;
    let crc = crc32fast::hash(&page[start..end]);
    page[end..].copy_from_slice(&crc.to_le_bytes());
}

/// Page 0's tag, for this generation; after everything before it is in place.
pub fn tag_superblock(page0: &mut [u8], generation: u64) {
    let tag = 0x8000 | (generation as u16 & 0x7FFF);
    page0[13..15].copy_from_slice(&tag.to_le_bytes());
    page0[15] = crc8(&page0[..15]);
}

/// Page 0 as the peer writes it: untagged.
pub fn superblock(page_size: usize, active: u8, blocks: &[(u64, u64, u8)]) -> Vec<u8> {
    let mut page = vec![0; page_size];
    page[..8].copy_from_slice(b"MPPG\x00\x02\x00\x00");
    page[8..12].copy_from_slice(&page_size.trailing_zeros().to_le_bytes());
    page[12] = active;
    page[16..20].copy_from_slice(&RESIDUE.to_le_bytes());
    page[20..24].copy_from_slice(&(blocks.len() as u32).to_le_bytes());
    for (index, (a, b, active)) in blocks.iter().enumerate() {
        let at = BLOCKS + index * BLOCK_LEN;
        page[at..at + 8].copy_from_slice(&a.to_le_bytes());
        page[at + 8..at + 16].copy_from_slice(&b.to_le_bytes());
        page[at + 16] = *active;
    }
    seal_section(&mut page);
    page
}

/// A metadata page.
pub fn metadata(
    page_size: usize,
    total_pages: u64,
    generation: u64,
    allocated: impl IntoIterator<Item = u64>,
) -> Vec<u8> {
    let mut page = vec![0; page_size];
    page[..8].copy_from_slice(&total_pages.to_le_bytes());
    page[8..16].copy_from_slice(&generation.to_le_bytes());
    let mut free = total_pages;
    for number in allocated {
        page[BITMAP + (number / 8) as usize] |= 1 << (number % 8);
        free = free.wrapping_sub(1);
    }
    page[16..24].copy_from_slice(&free.to_le_bytes());
    seal_page(&mut page);
    page
}

/// A slot of a directory copy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Slot {
    /// 1 where the slot holds a protected page.
    pub in_use: u8,
    /// Its two pages.
    pub page: [u64; 2],
    /// Which of the two counts.
    pub active: u8,
    /// How often it was written.
    pub generation: u64,
    /// The CRC-32 of the page that counts.
    pub checksum: u32,
}

impl Slot {
    /// The bytes of the slot.
    pub fn encode(&self) -> [u8; SLOT_LEN] {
        let mut bytes = [0; SLOT_LEN];
        bytes[0] = self.in_use;
        bytes[1..9].copy_from_slice(&self.page[0].to_le_bytes());
        bytes[9..17].copy_from_slice(&self.page[1].to_le_bytes());
        bytes[17] = self.active;
        bytes[18..26].copy_from_slice(&self.generation.to_le_bytes());
        bytes[26..30].copy_from_slice(&self.checksum.to_le_bytes());
        bytes
    }
}

/// A directory copy with its first slots; the others are empty.
pub fn directory(page_size: usize, tag: u32, slots: &[Slot]) -> Vec<u8> {
    let mut page = vec![0; page_size];
    page[..4].copy_from_slice(&(slots_per_block(page_size) as u32).to_le_bytes());
    page[4..8].copy_from_slice(&tag.to_le_bytes());
    for (index, slot) in slots.iter().enumerate() {
        let at = SLOTS + index * SLOT_LEN;
        page[at..at + SLOT_LEN].copy_from_slice(&slot.encode());
    }
    seal_page(&mut page);
    page
}
