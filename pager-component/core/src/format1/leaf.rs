//! Leaves of SPACE: what each page of a group is, a nibble a page.

use alloc::vec;
use alloc::vec::Vec;

use super::layout::Layout;
use super::shape::Shape;
use crate::codec::{narrow, put, u8_at, u64_at};
use crate::kinds::PageKind;

/// What a page is: the nibble of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Kind {
    /// Nobody's.
    Free = 0,
    /// A caller's regular page.
    Regular = 1,
    /// The bytes of a protected page.
    Protected = 2,
    /// A node of MAP.
    Node = 3,
    /// Freed, but still read by somebody when this was written; free when it is
    /// read.
    Limbo = 4,
    /// The head's, or a home of SPACE.
    Reserved = 5,
    /// A page of the table of snapshots.
    Snapshots = 6,
}

impl Kind {
    /// The kind of a nibble.
    pub const fn from_nibble(nibble: u8) -> Option<Self> {
        Some(match nibble {
            0 => Self::Free,
            1 => Self::Regular,
            2 => Self::Protected,
            3 => Self::Node,
            4 => Self::Limbo,
            5 => Self::Reserved,
            6 => Self::Snapshots,
            _ => return None,
        })
    }

    /// Its nibble.
    pub const fn nibble(self) -> u8 {
        match self {
            Self::Free => 0,
            Self::Regular => 1,
            Self::Protected => 2,
            Self::Node => 3,
            Self::Limbo => 4,
            Self::Reserved => 5,
            Self::Snapshots => 6,
        }
    }

    /// Whether an allocation may take the page.
    pub const fn is_free(self) -> bool {
        matches!(self, Self::Free | Self::Limbo)
    }

    /// Whether the page counts as used.
    pub const fn is_used(self) -> bool {
        !matches!(self, Self::Free | Self::Limbo | Self::Reserved)
    }
}

/// The kind of a page in the words of every format.
pub(super) fn in_words(shape: Shape, page: u64, kind: Kind) -> PageKind {
    match kind {
        Kind::Free | Kind::Limbo => PageKind::FREE,
        Kind::Regular => PageKind::REGULAR,
        Kind::Protected => PageKind::PROTECTED_ACTIVE,
        Kind::Node => PageKind::MAP_NODE,
        Kind::Reserved => reserved_kind(shape, page),
        Kind::Snapshots => PageKind::SNAPSHOTS,
    }
}

/// What of the file's own a page is.
pub(super) fn reserved_kind(shape: Shape, page: u64) -> PageKind {
    if page < shape.unit_pages() {
        PageKind::HEADER
    } else if page < shape.head() {
        PageKind::ROOT
    } else {
        PageKind::SPACE
    }
}

/// The nibble of a page of the leaf's group; `place` counts from the group's
/// start.
pub fn nibble(leaf: &[u8], place: u64) -> u8 {
    let byte = u8_at(leaf, narrow(place / 2));
    if place.is_multiple_of(2) {
        byte & 15
    } else {
        byte >> 4
    }
}

/// What a page is, by a leaf that was checked when it was read.
pub fn kind(leaf: &[u8], place: u64) -> Kind {
    // `check` refused leaves with other nibbles.
    Kind::from_nibble(nibble(leaf, place)).unwrap_or(Kind::Reserved)
}

/// Says what a page is.
pub fn set(leaf: &mut [u8], place: u64, kind: Kind) {
    let at = narrow(place / 2);
    let old = u8_at(leaf, at);
    let new = if place.is_multiple_of(2) {
        (old & 0xF0) | kind.nibble()
    } else {
        (old & 0x0F) | (kind.nibble() << 4)
    };
    put(leaf, at, &[new]);
}

/// What an absent leaf stands for: all is free but what is reserved.
pub fn absent(layout: &Layout, group: u64) -> Vec<u8> {
    let mut leaf = vec![0; layout.shape().page_size.bytes()];
    for page in layout.reserved_in(group) {
        set(&mut leaf, page - layout.group_start(group), Kind::Reserved);
    }
    leaf
}

/// The word of sixteen pages from `first` on of an absent leaf.
pub(super) fn absent_word(layout: &Layout, first: u64) -> u64 {
    let pages = first..first + WORD;
    layout
        .reserved_in(layout.group_of(first))
        .filter(|page| pages.contains(page))
        .map(|page| u64::from(Kind::Reserved.nibble()) << (4 * (page - first)))
        .fold(0, |word, nibble| word | nibble)
}

/// Pages in a word of a leaf.
pub(super) const WORD: u64 = 16;

/// The lowest bit of each nibble.
pub(super) const LOWEST: u64 = 0x1111_1111_1111_1111;

/// The lowest bit of each nibble of a word that is zero.
const fn zeros(word: u64) -> u64 {
    !(word | word >> 1 | word >> 2 | word >> 3) & LOWEST
}

/// The lowest bit of each nibble of a page that an allocation may take: 0 or 4.
pub(super) const fn free(word: u64) -> u64 {
    zeros(word & (0xB * LOWEST))
}

/// The lowest bits of nibbles, one behind the other.
pub(super) const fn packed(lowest: u64) -> u64 {
    let pairs = (lowest | lowest >> 3) & 0x0303_0303_0303_0303;
    let fours = (pairs | pairs >> 6) & 0x000F_000F_000F_000F;
    let eights = (fours | fours >> 12) & 0x0000_00FF_0000_00FF;
    (eights | eights >> 24) & 0xFFFF
}

/// The pages of a group, sixteen at a time.
fn words(leaf: &[u8], shape: Shape) -> impl Iterator<Item = u64> + '_ {
    (0..shape.group_len() / WORD).map(|word| u64_at(leaf, narrow(word * 8)))
}

/// How many pages of a group are of a kind.
pub fn count_of(leaf: &[u8], shape: Shape, kind: Kind) -> u64 {
    let pattern = u64::from(kind.nibble()) * LOWEST;
    words(leaf, shape)
        .map(|word| u64::from(zeros(word ^ pattern).count_ones()))
        .sum()
}

/// Whether every nibble is that of a kind.
pub fn is_known(leaf: &[u8], shape: Shape) -> bool {
    words(leaf, shape).all(|word| word & (8 * LOWEST) == 0 && zeros(word ^ (7 * LOWEST)) == 0)
}

/// Used pages, and whether no page is free.
pub fn count(leaf: &[u8], shape: Shape) -> (u64, bool) {
    let free: u64 = words(leaf, shape)
        .map(|word| u64::from(free(word).count_ones()))
        .sum();
    let reserved = count_of(leaf, shape, Kind::Reserved);
    (shape.group_len() - free - reserved, free == 0)
}

/// The first place from `place` on, below `end`, of a page that an allocation
/// may take.
pub fn next_free(leaf: &[u8], place: u64, end: u64) -> Option<u64> {
    let mut from = place;
    while from < end {
        let word = u64_at(leaf, narrow(from / WORD * 8));
        let here = free(word) >> (4 * (from % WORD));
        if here != 0 {
            let found = from + u64::from(here.trailing_zeros() / 4);
            return (found < end).then_some(found);
        }
        from = (from / WORD + 1) * WORD;
    }
    None
}

/// The first place from `place` on, below `end`, of a page that no allocation may
/// take.
pub(super) fn next_taken(leaf: &[u8], place: u64, end: u64) -> Option<u64> {
    let mut from = place;
    while from < end {
        let word = u64_at(leaf, narrow(from / WORD * 8));
        let here = (free(word) ^ LOWEST) >> (4 * (from % WORD));
        if here != 0 {
            let found = from + u64::from(here.trailing_zeros() / 4);
            return (found < end).then_some(found);
        }
        from = (from / WORD + 1) * WORD;
    }
    None
}

/// The places of used pages from `place` on, and what they are, ascending.
pub(super) fn used_from(
    leaf: &[u8],
    shape: Shape,
    place: u64,
) -> impl Iterator<Item = (u64, Kind)> {
    let mut from = place;
    core::iter::from_fn(move || {
        loop {
            let place = next_taken(leaf, from, shape.group_len())?;
            from = place + 1;
            let kind = kind(leaf, place);
            if kind.is_used() {
                return Some((place, kind));
            }
        }
    })
}

/// The places of the pages of a kind, ascending.
pub(super) fn places_of(leaf: &[u8], shape: Shape, kind: Kind) -> impl Iterator<Item = u64> + '_ {
    let pattern = u64::from(kind.nibble()) * LOWEST;
    let starts = (0..).step_by(narrow(WORD));
    words(leaf, shape)
        .zip(starts)
        .flat_map(move |(word, start)| {
            let mut left = zeros(word ^ pattern);
            core::iter::from_fn(move || {
                let bit = (left != 0).then(|| u64::from(left.trailing_zeros()))?;
                left &= left - 1;
                Some(start + bit / 4)
            })
        })
}
