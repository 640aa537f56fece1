//! [`Shape`]: the numbers that follow from the page size.

use pagebox_store::{PageSize, SECTOR};

use crate::codec::wide;

/// Payload bytes in a sector.
pub const PIECE: usize = SECTOR - 8;

/// A record is written in whole blocks of 4 KiB.
pub const BLOCK: usize = 4096;

/// Payload bytes in a block.
pub(super) const BLOCK_PAYLOAD: usize = BLOCK / SECTOR * PIECE;

/// Where the deltas begin.
pub(super) const DELTAS: usize = 256;

/// Bytes of an entry.
pub(super) const ENTRY_LEN: usize = 32;

/// Bits of a page number, and of a protected id.
const NUMBER_BITS: u32 = 48;

/// The numbers that follow from the page size. Tests make small ones, so that
/// small files have every level of both trees; no file says its shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// P.
    pub page_size: PageSize,
    /// Of the entries in a node; *fb* in the specification.
    pub fan_log2: u32,
    /// Of the pages in a group; *m*.
    pub group_log2: u32,
    /// Bits of a page number, and of a protected id.
    pub number_bits: u32,
    /// Bytes of deltas that a record is given at most. A reader takes as many
    /// as a root slot holds.
    pub deltas_len: usize,
}

impl Shape {
    /// That of every file with this page size.
    pub const fn of(page_size: PageSize) -> Self {
        Self {
            page_size,
            fan_log2: page_size.log2() - 5,
            group_log2: page_size.log2() + 1,
            number_bits: NUMBER_BITS,
            deltas_len: deltas_len(page_size),
        }
    }

    /// U: bytes of the header and of each root slot.
    pub const fn unit(self) -> u64 {
        unit(self.page_size)
    }

    /// Pages of the header and of each root slot: U / P.
    pub const fn unit_pages(self) -> u64 {
        self.unit() >> self.page_size.log2()
    }

    /// Pages of the *head*: header and both root slots.
    pub const fn head(self) -> u64 {
        3 * self.unit_pages()
    }

    /// Entries in a node.
    pub const fn fan(self) -> usize {
        1 << self.fan_log2
    }

    /// Pages in a group.
    pub const fn group_len(self) -> u64 {
        1 << self.group_log2
    }

    /// L: the highest level of SPACE.
    pub const fn space_levels(self) -> u32 {
        (self.number_bits - self.group_log2).div_ceil(self.fan_log2)
    }

    /// The height that MAP can have.
    pub const fn map_levels(self) -> u32 {
        self.number_bits.div_ceil(self.fan_log2)
    }

    /// Protected ids are below this.
    pub const fn id_limit(self) -> u64 {
        1 << self.number_bits
    }

    /// The most pages that a file can have: their numbers have so many bits,
    /// and its length in bytes is below 2^63.
    pub const fn page_limit(self) -> u64 {
        let by_number = 1 << self.number_bits;
        let by_length = (i64::MAX as u64) >> self.page_size.log2();
        if by_number < by_length {
            by_number
        } else {
            by_length
        }
    }

    /// The first key below the entry (`level`, `index`).
    pub const fn first_key(self, level: u32, index: u64) -> u64 {
        index << (self.fan_log2 * level)
    }

    /// The index of the entry of `level` that `key` lies below.
    pub const fn index_of(self, level: u32, key: u64) -> u64 {
        key >> (self.fan_log2 * level)
    }

    /// The place of the entry with this index in its node.
    pub fn place_of(self, index: u64) -> usize {
        crate::codec::narrow(index & (wide(self.fan()) - 1))
    }

    /// The lowest height from `height` on at which a tree reaches `key`.
    pub fn height_for(self, height: u32, key: u64) -> u32 {
        let mut height = height;
        while self.index_of(height, key) != 0 {
            height += 1;
        }
        height
    }
}

/// Bytes that the record of a full root slot has for deltas.
pub const fn deltas_len(page_size: PageSize) -> usize {
    let unit = if page_size.bytes() < BLOCK {
        BLOCK
    } else {
        page_size.bytes()
    };
    unit / BLOCK * BLOCK_PAYLOAD - DELTAS
}

/// U of a page size.
pub(super) const fn unit(page_size: PageSize) -> u64 {
    let bytes = page_size.bytes_u32() as u64;
    if bytes < 4096 { 4096 } else { bytes }
}
