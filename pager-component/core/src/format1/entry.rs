//! [`Entry`]: how a tree names a page, and what it says of it. `Tree`: where
//! one begins.

use super::shape::ENTRY_LEN;
use crate::checksum::Xxh3;
use crate::codec::{put, u64_at, u128_at};
use crate::ids::Side;

/// The bits of a page number, or of a protected id.
pub(super) const NUMBER: u64 = (1 << 48) - 1;
const PRESENT: u64 = 1 << 48;
const FULL: u64 = 1 << 49;
const SIDE_B: u64 = 1 << 50;

/// An entry that is present; an absent one is 32 bytes of zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Of MAP: the page that is named; 0 of level 0: it reads as zeros. Of
    /// SPACE: used pages below.
    pub number: u64,
    /// Whether nothing below is free.
    pub full: bool,
    /// Of SPACE: the side of the home that counts.
    pub side: Side,
    /// The generation that wrote what is named.
    pub birth: u64,
    /// Of what is named.
    pub checksum: Xxh3,
}

impl Entry {
    /// What a page of zeros that was never written is in MAP.
    pub const fn zeros(birth: u64) -> Self {
        Self {
            number: 0,
            full: true,
            side: Side::A,
            birth,
            checksum: 0,
        }
    }
}

/// Which of the two trees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    /// Protected id to page.
    Map,
    /// Group to leaf.
    Space,
}

/// A tree as a root record names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tree {
    pub(super) which: Which,
    pub(super) height: u32,
    pub(super) root: Option<Entry>,
}

/// Bytes that are no entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoEntry;

/// Reads the entry at `at`; none: it is absent.
pub fn decode(bytes: &[u8], at: usize) -> Result<Option<Entry>, NoEntry> {
    let [word, birth] = [u64_at(bytes, at), u64_at(bytes, at + 8)];
    let checksum = u128_at(bytes, at + 16);
    if word & PRESENT == 0 {
        let is_absent = word == 0 && birth == 0 && checksum == 0;
        return if is_absent { Ok(None) } else { Err(NoEntry) };
    }
    if word & !(NUMBER | PRESENT | FULL | SIDE_B) != 0 {
        return Err(NoEntry);
    }
    Ok(Some(Entry {
        number: word & NUMBER,
        full: word & FULL != 0,
        side: if word & SIDE_B == 0 { Side::A } else { Side::B },
        birth,
        checksum,
    }))
}

/// Writes an entry, or its absence, at `at`.
pub fn encode(bytes: &mut [u8], at: usize, entry: Option<&Entry>) {
    let mut out = [0; ENTRY_LEN];
    if let Some(entry) = entry {
        let mut word = (entry.number & NUMBER) | PRESENT;
        if entry.full {
            word |= FULL;
        }
        if entry.side == Side::B {
            word |= SIDE_B;
        }
        put(&mut out, 0, &word.to_le_bytes());
        put(&mut out, 8, &entry.birth.to_le_bytes());
        put(&mut out, 16, &entry.checksum.to_le_bytes());
    }
    put(bytes, at, &out);
}

/// Reads the entry at a place of a node that was checked when it was read.
pub(super) fn in_node(node: &[u8], place: usize) -> Option<Entry> {
    // `check` refused nodes with other bytes.
    decode(node, place * ENTRY_LEN).unwrap_or_default()
}
