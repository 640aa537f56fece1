//! [`mutate`]: files that somebody could have made to do harm. It knows the
//! format: fields get the values that hurt, and checksums are put right again,
//! so that the deep paths are reached.

use crate::craft;
use crate::rng::Rng;

/// Changes a file in some ways.
pub fn mutate(file: &mut Vec<u8>, page_size: usize, rng: &mut Rng) {
    for _ in 0..rng.between(1, 4) {
        let pages = file.len() / page_size;
        if pages == 0 {
            return;
        }
        let page = some_page(file, page_size, rng).min(pages - 1);
        let whole = &mut file[page * page_size..][..page_size];
        match rng.below(12) {
            0 | 1 => {
                let bit = rng.below(8 * page_size as u64) as usize;
                whole[bit / 8] ^= 1 << (bit % 8);
            }
            2 => whole[rng.below(page_size as u64) as usize] = *rng.pick(&[0, 1, 2, 7, 128, 255]),
            3..9 => set_field(whole, page, pages as u64, rng),
            9 => {
                let other = rng.below(pages as u64) as usize * page_size;
                let from = file[other..other + page_size].to_vec();
                file[page * page_size..][..page_size].copy_from_slice(&from);
            }
            10 => whole[rng.below(2) as usize * page_size / 2..].fill(0),
            _ => resize(file, page_size, rng),
        }
        if file.len() >= (page + 1) * page_size && rng.chance(7, 8) {
            seal(&mut file[page * page_size..][..page_size], page, rng);
        }
    }
}

/// Mostly a page that the format cares about.
fn some_page(file: &[u8], page_size: usize, rng: &mut Rng) -> usize {
    let pages = (file.len() / page_size) as u64;
    match rng.below(8) {
        0 | 1 => 0,
        2 => 1,
        3 => 2,
        // A copy of a directory block, as page 0 has it.
        4..7 => {
            let count = u64::from(file[craft::SECTION]).clamp(1, 3);
            let block = rng.below(count) as usize;
            let at = craft::BLOCKS + block * craft::BLOCK_LEN + 8 * rng.below(2) as usize;
            usize::from(u16::from_le_bytes([file[at], file[at + 1]]))
        }
        _ => rng.below(pages) as usize,
    }
}

/// Puts a value that hurts into a field.
fn set_field(page: &mut [u8], number: usize, pages: u64, rng: &mut Rng) {
    let len = page.len();
    let (offset, width) = match number {
        0 => {
            let block = craft::BLOCKS + rng.below(3) as usize * craft::BLOCK_LEN;
            *rng.pick(&[
                (4, 1),
                (5, 1),
                (8, 4),
                (12, 1),
                (13, 2),
                (15, 1),
                (16, 4),
                (craft::SECTION, 4),
                (block, 8),
                (block + 8, 8),
                (block + 16, 1),
            ])
        }
        1 | 2 => {
            let word = craft::BITMAP + rng.below(pages.div_ceil(8) + 2) as usize;
            *rng.pick(&[(0, 8), (8, 8), (16, 8), (word.min(len - 5), 1)])
        }
        _ => {
            let slot = craft::SLOTS
                + rng.below(craft::slots_per_block(len) as u64) as usize * craft::SLOT_LEN;
            let near = craft::SLOTS + rng.below(4) as usize * craft::SLOT_LEN;
            let slot = *rng.pick(&[slot, near]);
            *rng.pick(&[
                (0, 4),
                (4, 4),
                (slot, 1),
                (slot + 1, 8),
                (slot + 9, 8),
                (slot + 17, 1),
                (slot + 18, 8),
                (slot + 26, 4),
            ])
        }
    };
    let mut bytes = [0; 8];
    bytes[..width].copy_from_slice(&page[offset..offset + width]);
    let now = u64::from_le_bytes(bytes);
    let limit = craft::pages_max(len);
    let value = match rng.below(6) {
        0 => rng.below(pages + 2),
        1 => now.wrapping_add(1),
        2 => now.wrapping_sub(1),
        3 => now ^ 1 << rng.below(8 * width as u64),
        4 => *rng.pick(&[
            0,
            1,
            2,
            3,
            pages - 1,
            pages,
            pages + 1,
            limit - 1,
            limit,
            limit + 1,
        ]),
        _ => *rng.pick(&[
            1 << 31,
            1 << 32,
            1 << 52,
            1 << 54,
            1 << 63,
            u64::MAX - 1,
            u64::MAX,
        ]),
    };
    page[offset..offset + width].copy_from_slice(&value.to_le_bytes()[..width]);
}

/// Makes the checksums of a page agree, most often.
fn seal(page: &mut [u8], number: usize, rng: &mut Rng) {
    if number > 0 {
        craft::seal_page(page);
        return;
    }
    if page[13..16] != [0; 3] && rng.chance(1, 2) {
        let generation = u64::from(u16::from_le_bytes([page[13], page[14]]));
        craft::tag_superblock(page, generation);
    }
    if rng.chance(7, 8) {
        craft::seal_section(page);
    }
}

fn resize(file: &mut Vec<u8>, page_size: usize, rng: &mut Rng) {
    let pages = (file.len() / page_size) as u64;
    let page_count = *rng.pick(&[0, 1, 2, 3, 4, pages - 1, pages, pages + 1, 2 * pages]);
    let tail = *rng.pick(&[0, 0, 1, page_size - 1]);
    let fill = *rng.pick(&[0, 0xEE]);
    file.resize(
        (page_count.min(4 * pages) as usize) * page_size + tail,
        fill,
    );
}
