//! [`Layout`]: where the homes of SPACE lie, and how many pages a file of so
//! many can use. Pure arithmetic.
//!
//! Each node of SPACE has a fixed *home* of two pages, side A, then B. The
//! homes of group `g` hold the nodes of the levels 0 to [`Layout::levels`] of
//! it, in a row. They lie at the start of their group, behind the head in group
//! 0: that is the *regular place*. For the groups 0 to 3 the header says where;
//! homes that are not at the regular place are *odd*.
//!
//! Invariant: no homes overlap the head, other homes, or what any group keeps
//! for itself ([`Layout::new`] refuses others).

use alloc::vec::Vec;
use core::ops::Range;

use super::shape::Shape;
use crate::bitmap::Overlay;
use crate::codec::wide;
use crate::ids::Side;

/// Groups whose homes the header names.
pub const NAMED: usize = 4;

/// A shape, and where the first homes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    shape: Shape,
    /// The first page of the homes of the groups 0 to 3.
    homes: [u64; NAMED],
}

impl Layout {
    /// All homes at the regular place.
    pub fn regular(shape: Shape) -> Self {
        let homes = [0, 1, 2, 3].map(|group| regular_place(shape, group));
        Self { shape, homes }
    }

    /// Homes that leave these regular pages alone: at the regular place, or,
    /// where one of the pages lies there, in the lowest run that is nobody's, be
    /// it past the end of the file.
    pub fn around(shape: Shape, regular: &Overlay) -> Self {
        let usual = Self::regular(shape);
        let groups = [0, 1, 2, 3];
        let place = |group| usual.first(group)..usual.first(group) + usual.homes_len(group);
        let is_clear = |homes: &Range<u64>| !homes.clone().any(|page| regular.contains(page));
        let mut placed: Vec<_> = groups.into_iter().map(place).filter(is_clear).collect();
        let homes = groups.map(|group| {
            let at_place = place(group);
            if is_clear(&at_place) {
                return at_place.start;
            }
            let is_taken = |page| {
                let of = usual.group_of(page);
                regular.contains(page)
                    || placed.iter().any(|homes| homes.contains(&page))
                    || (of >= wide(NAMED) && place(of).contains(&page))
            };
            let len = usual.homes_len(group);
            let mut first = shape.head();
            while let Some(page) = (first..first + len).rev().find(|&page| is_taken(page)) {
                first = page + 1;
            }
            placed.push(first..first + len);
            first
        });
        Self { shape, homes }
    }

    /// The first homes where these numbers from a file say; none where they
    /// cannot be there.
    pub fn new(shape: Shape, homes: [u64; NAMED]) -> Option<Self> {
        let layout = Self { shape, homes };
        let limit = shape.page_limit();
        let mut seen: [Range<u64>; NAMED] = [const { 0..0 }; NAMED];
        for ((group, &first), slot) in (0..).zip(&homes).zip(&mut seen) {
            let end = first.checked_add(layout.homes_len(group))?;
            if end > limit {
                return None;
            }
            if layout.is_odd(group) {
                *slot = first..end;
            }
        }
        for (number, run) in seen.iter().enumerate() {
            for page in run.clone() {
                let elsewhere = seen
                    .iter()
                    .enumerate()
                    .any(|(other, run)| other != number && run.contains(&page));
                if elsewhere || layout.in_group(page) < layout.own(layout.group_of(page)) {
                    return None;
                }
            }
        }
        Some(layout)
    }

    /// The shape.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// The first page of the homes of the groups 0 to 3.
    pub fn homes(&self) -> [u64; NAMED] {
        self.homes
    }

    /// The group that a page is of.
    pub fn group_of(&self, page: u64) -> u64 {
        page >> self.shape.group_log2
    }

    /// The first page of a group.
    pub fn group_start(&self, group: u64) -> u64 {
        group << self.shape.group_log2
    }

    fn in_group(&self, page: u64) -> u64 {
        page & (self.shape.group_len() - 1)
    }

    /// v: the highest level of which a node has its home with this group.
    pub fn levels(&self, group: u64) -> u32 {
        let most = self.shape.space_levels();
        if group == 0 {
            most
        } else {
            (group.trailing_zeros() / self.shape.fan_log2).min(most)
        }
    }

    /// Pages of the homes of a group.
    pub fn homes_len(&self, group: u64) -> u64 {
        2 * (1 + u64::from(self.levels(group)))
    }

    /// The first page of the homes of a group.
    pub fn first(&self, group: u64) -> u64 {
        let named = usize::try_from(group)
            .ok()
            .and_then(|group| self.homes.get(group));
        match named {
            Some(&first) => first,
            None => regular_place(self.shape, group),
        }
    }

    /// Whether the homes of a group are not at the regular place.
    pub fn is_odd(&self, group: u64) -> bool {
        self.first(group) != regular_place(self.shape, group)
    }

    /// The home of a node of SPACE: the page of one side.
    pub fn home(&self, level: u32, index: u64, side: Side) -> u64 {
        let group = self.shape.first_key(level, index);
        self.first(group) + 2 * u64::from(level) + u64::from(side.byte())
    }

    /// The node of SPACE that a page is a home of: its level, its index, and
    /// which side of it.
    pub fn node_at(&self, page: u64) -> Option<(u32, u64, Side)> {
        let named = (0..wide(NAMED)).filter(|&group| self.is_odd(group));
        let group = named.chain([self.group_of(page)]).find(|&group| {
            (self.first(group)..self.first(group) + self.homes_len(group)).contains(&page)
        })?;
        let place = page - self.first(group);
        let level = (0..=self.levels(group)).find(|&level| u64::from(level) == place / 2)?;
        let side = if place.is_multiple_of(2) {
            Side::A
        } else {
            Side::B
        };
        Some((level, self.shape.index_of(level, group), side))
    }

    /// Pages at the start of a group that are no data pages.
    pub fn own(&self, group: u64) -> u64 {
        let head = if group == 0 { self.shape.head() } else { 0 };
        let homes = if self.is_odd(group) {
            0
        } else {
            self.homes_len(group)
        };
        head + homes
    }

    /// The odd homes.
    fn odd_homes(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        (0..)
            .zip(&self.homes)
            .filter(|&(group, _)| self.is_odd(group))
            .map(|(group, &first)| first..first + self.homes_len(group))
    }

    /// Whether a page is the head's or of a home: kind 5, wherever it lies and
    /// whether that home's group exists or not.
    pub fn is_reserved(&self, page: u64) -> bool {
        self.in_group(page) < self.own(self.group_of(page))
            || self.odd_homes().any(|homes| homes.contains(&page))
    }

    /// The reserved pages of a group.
    pub fn reserved_in(&self, group: u64) -> impl Iterator<Item = u64> + '_ {
        let start = self.group_start(group);
        let odd = self.odd_homes().flatten();
        (start..start + self.own(group))
            .chain(odd.filter(move |&page| self.group_of(page) == group))
    }

    /// The page count is never below this.
    pub fn floor(&self) -> u64 {
        self.odd_homes()
            .map(|homes| homes.end)
            .fold(self.own(0) + 1, u64::max)
    }

    /// The most pages at or below `count`, and at or above the floor, that a
    /// file can have: a last group too small for its homes is left out.
    pub fn round(&self, count: u64) -> u64 {
        let group = self.group_of(count);
        let rounded = if group > 0 && self.in_group(count) <= self.own(group) {
            self.group_start(group)
        } else {
            count
        };
        rounded.max(self.floor())
    }

    /// The fewest pages at or above `count` that a file can have.
    pub fn round_up(&self, count: u64) -> u64 {
        let count = count.max(self.floor());
        if self.round(count) == count {
            count
        } else {
            let group = self.group_of(count);
            self.group_start(group) + self.own(group) + 1
        }
    }

    /// Groups that a file of so many pages has.
    pub fn groups(&self, page_count: u64) -> u64 {
        page_count.div_ceil(self.shape.group_len())
    }

    /// How many pages below this one are the head's or homes.
    pub fn reserved_below(&self, page: u64) -> u64 {
        let group = self.group_of(page);
        let nodes: u64 = (0..=self.shape.space_levels())
            .map(|level| group.div_ceil(self.shape.first_key(level, 1)))
            .sum();
        let head = if group > 0 { self.shape.head() } else { 0 };
        let elsewhere: u64 = (0..group.min(wide(NAMED)))
            .filter(|&group| self.is_odd(group))
            .map(|group| self.homes_len(group))
            .sum();
        let odd: u64 = self
            .odd_homes()
            .map(|homes| homes.end.min(page) - homes.start.min(page))
            .sum();
        head + 2 * nodes - elsewhere + odd + self.own(group).min(self.in_group(page))
    }

    /// The first group from `group` on with an odd home in it.
    pub(super) fn next_odd(&self, group: u64) -> Option<u64> {
        let groups = self.odd_homes().flatten().map(|page| self.group_of(page));
        groups.filter(|&odd| odd >= group).min()
    }

    /// How many of so many pages are the head's or homes.
    pub fn reserved(&self, page_count: u64) -> u64 {
        let groups = self.groups(page_count);
        let nodes: u64 = (0..=self.shape.space_levels())
            .map(|level| groups.div_ceil(self.shape.first_key(level, 1)))
            .sum();
        let absent = (0..)
            .zip(&self.homes)
            .filter(|&(group, _)| group >= groups && self.is_odd(group))
            .count();
        self.shape.head() + 2 * nodes + 2 * wide(absent)
    }
}

fn regular_place(shape: Shape, group: u64) -> u64 {
    let head = if group == 0 { shape.head() } else { 0 };
    (group << shape.group_log2) + head
}
