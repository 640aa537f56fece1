//! Bytes of format 1 made by hand: fields put where the format's table has
//! them, and the checksums that make the result believable.
//!
//! Written from the format's description, not from the code under test.

use xxhash_rust::xxh3::xxh3_128;

use crate::decode::Pages;
use crate::decode1::{Numbers, Root, root, u64_at};
use crate::sparse::SparseStore;

/// Payload bytes in a sector of a root record; its stamp follows.
pub const PIECE: usize = 504;
/// Where the numbers of a root record stand in its payload: generation, base,
/// proven, page count, used pages, protected ids, last snapshot.
pub const NUMBERS: [usize; 7] = [32, 40, 48, 56, 64, 72, 80];
/// The generation.
pub const GENERATION: usize = 32;
/// The generation of the last fold.
pub const BASE: usize = 40;
/// The page count.
pub const PAGE_COUNT: usize = 56;
/// Used pages.
pub const USED: usize = 64;
/// The page size, as a power of two.
pub const LOG2: usize = 88;
/// Heights of MAP and SPACE.
pub const HEIGHTS: [usize; 2] = [89, 90];
/// Numbers of deltas, and of regular ones.
pub const COUNTS: [usize; 2] = [96, 100];
/// The uuid.
pub const UUID: usize = 112;
/// Homes of the groups 0 to 3.
pub const HOMES: usize = 128;
/// Root entries of MAP and SPACE.
pub const ROOTS: [usize; 2] = [160, 192];
/// The entry of the table of snapshots.
pub const TABLE: usize = 224;
/// Bytes of a snapshot in its table, and before the first one.
pub const SNAPSHOT_LEN: usize = 128;
/// The deltas.
pub const DELTAS: usize = 256;
/// Bytes of a delta.
pub const DELTA_LEN: usize = 40;
/// Bytes of an entry.
pub const ENTRY_LEN: usize = 32;
/// Marks an entry that is there.
pub const PRESENT: u64 = 1 << 48;
/// Marks one below which nothing is free.
pub const FULL: u64 = 1 << 49;
/// Marks the second side of a home.
pub const SIDE: u64 = 1 << 50;
/// The bits of a number in an entry.
pub const NUMBER: u64 = (1 << 48) - 1;

/// An entry, with whatever bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// Number and flags.
    pub word: u64,
    /// The generation that wrote what is named.
    pub birth: u64,
    /// Of what is named.
    pub checksum: u128,
}

impl Entry {
    /// The entry at a place.
    pub fn at(bytes: &[u8], at: usize) -> Self {
        let sum = bytes[at + 16..at + 32].try_into().expect("sixteen bytes");
        Self {
            word: u64_at(bytes, at),
            birth: u64_at(bytes, at + 8),
            checksum: u128::from_le_bytes(sum),
        }
    }

    /// Puts it there.
    pub fn put(self, bytes: &mut [u8], at: usize) {
        put(bytes, at, self.word);
        put(bytes, at + 8, self.birth);
        bytes[at + 16..at + 32].copy_from_slice(&self.checksum.to_le_bytes());
    }

    /// Whether something is named.
    pub fn is_present(self) -> bool {
        self.word & PRESENT != 0
    }

    /// The number.
    pub fn number(self) -> u64 {
        self.word & NUMBER
    }

    /// The same with another number.
    #[must_use]
    pub fn with_number(self, number: u64) -> Self {
        Self {
            word: self.word & !NUMBER | number & NUMBER,
            ..self
        }
    }

    fn with_full(self, full: bool) -> Self {
        Self {
            word: if full {
                self.word | FULL
            } else {
                self.word & !FULL
            },
            ..self
        }
    }
}

/// Puts a number into bytes.
pub fn put(bytes: &mut [u8], at: usize, number: u64) {
    bytes[at..at + 8].copy_from_slice(&number.to_le_bytes());
}

/// Which of the two trees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tree {
    /// From protected ids to pages.
    Map,
    /// What each page is.
    Space,
}

/// What sealing does besides checksums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recount {
    /// Nothing: counts and flags stay as they are.
    No,
    /// Counts, flags and births become what they must be.
    Yes,
}

/// Nodes and leaves that are sealed at most.
const SEALED_MAX: u32 = 300;

/// A file whose checksums can be made right again.
#[derive(Clone, Debug)]
pub struct Crafted {
    /// Its pages.
    pub store: SparseStore,
    /// The numbers of its page size.
    pub numbers: Numbers,
    /// What its root record says.
    pub payload: Vec<u8>,
    left: u32,
}

impl Crafted {
    /// Of a sound file.
    pub fn of(store: &SparseStore, numbers: Numbers) -> Self {
        let slots = [1, 2].map(|slot| root(&bytes(store, slot * numbers.unit(), numbers.unit())));
        let newest = slots.into_iter().flatten().max_by_key(Root::generation);
        Self {
            store: store.clone(),
            numbers,
            payload: newest.expect("a sound file has a root").payload,
            left: 0,
        }
    }

    /// A number of the root record.
    pub fn number(&self, at: usize) -> u64 {
        u64_at(&self.payload, at)
    }

    /// The root entry of a tree.
    pub fn root(&self, tree: Tree) -> Entry {
        Entry::at(&self.payload, ROOTS[tree as usize])
    }

    /// Puts the root entry of a tree.
    pub fn put_root(&mut self, tree: Tree, entry: Entry) {
        entry.put(&mut self.payload, ROOTS[tree as usize]);
    }

    /// The height of a tree.
    pub fn height(&self, tree: Tree) -> u32 {
        self.payload[HEIGHTS[tree as usize]].into()
    }

    /// The first page of the homes of a group.
    pub fn first(&self, group: u64) -> u64 {
        match group {
            0..4 => u64_at(&self.payload, HOMES + 8 * group as usize),
            _ => group * self.numbers.group,
        }
    }

    /// The page of the node or leaf that an entry names, if numbers like these
    /// have one.
    pub fn page_of(&self, tree: Tree, level: u32, index: u64, entry: Entry) -> Option<u64> {
        if tree == Tree::Map {
            return Some(entry.number());
        }
        let group = index.checked_mul(self.numbers.fan.checked_pow(level)?)?;
        let first = if group < 4 {
            self.first(group)
        } else {
            group.checked_mul(self.numbers.group)?
        };
        let side = u64::from(entry.word & SIDE != 0);
        first.checked_add(2 * u64::from(level) + side)
    }

    /// The number of deltas, and of regular ones.
    pub fn counts(&self) -> [usize; 2] {
        COUNTS.map(|at| {
            let count = self.payload[at..at + 4].try_into().expect("four bytes");
            u32::from_le_bytes(count) as usize
        })
    }

    /// Says how many deltas of a sort there are.
    pub fn put_count(&mut self, sort: usize, count: u32) {
        self.payload[COUNTS[sort]..COUNTS[sort] + 4].copy_from_slice(&count.to_le_bytes());
    }

    /// The bytes of the deltas of both sorts, as far as they are in the record.
    pub fn deltas(&self) -> [Vec<[u8; DELTA_LEN]>; 2] {
        let mut sorts = [Vec::new(), Vec::new()];
        let mut at = DELTAS;
        for (sort, len) in [(0, DELTA_LEN), (1, 8)] {
            for _ in 0..self.counts()[sort] {
                let Some(bytes) = self.payload.get(at..at + len) else {
                    break;
                };
                let mut delta = [0; DELTA_LEN];
                delta[..len].copy_from_slice(bytes);
                sorts[sort].push(delta);
                at += len;
            }
        }
        sorts
    }

    /// Replaces the deltas, as far as one block has room for them.
    pub fn put_deltas(&mut self, deltas: &[Vec<[u8; DELTA_LEN]>; 2]) {
        self.payload.truncate(8 * PIECE);
        self.payload[DELTAS..].fill(0);
        let mut at = DELTAS;
        for (sort, len) in [(0, DELTA_LEN), (1, 8)] {
            let room = (self.payload.len() - at) / len;
            let held = &deltas[sort][..deltas[sort].len().min(room)];
            for delta in held {
                self.payload[at..at + len].copy_from_slice(&delta[..len]);
                at += len;
            }
            self.put_count(sort, held.len() as u32);
        }
    }

    /// Makes the checksums of both trees and of the deltas right, as far as that
    /// does not take for ever.
    pub fn seal_trees(&mut self, recount: Recount) {
        self.left = SEALED_MAX;
        for tree in [Tree::Map, Tree::Space] {
            let (root, before) = (self.root(tree), self.root(Tree::Space).number());
            let sealed = self.sealed(tree, self.height(tree), 0, root, recount);
            self.put_root(tree, sealed);
            if recount == Recount::Yes && tree == Tree::Space {
                // What the deltas come to stays the same.
                let used = self.number(USED).wrapping_sub(before);
                put(&mut self.payload, USED, used.wrapping_add(sealed.number()));
            }
            if recount == Recount::Yes && sealed.is_present() {
                for at in [BASE, GENERATION] {
                    let youngest = self.number(at).max(sealed.birth);
                    put(&mut self.payload, at, youngest);
                }
            }
        }
        self.left = SEALED_MAX;
        let table = self.sealed_table(Entry::at(&self.payload, TABLE), recount, 20);
        table.put(&mut self.payload, TABLE);
        let mut deltas = self.deltas();
        for delta in &mut deltas[0] {
            let entry = Entry::at(delta, 8);
            if entry.is_present() && entry.number() != 0 {
                let checksum = self.checksum(entry.number()).unwrap_or(entry.checksum);
                Entry { checksum, ..entry }.put(delta, 8);
            }
        }
        // Longer records keep what they have.
        if self.payload.len() == 8 * PIECE {
            let counts = self.counts();
            self.put_deltas(&deltas);
            (0..2).for_each(|sort| self.put_count(sort, counts[sort] as u32));
        }
    }

    /// The pages of the table of snapshots, newest first, as far as they can be
    /// followed.
    pub fn tables(&self) -> Vec<u64> {
        let mut pages = Vec::new();
        let mut next = Entry::at(&self.payload, TABLE);
        while next.is_present() && next.number() < self.store.page_count() && pages.len() < 20 {
            pages.push(next.number());
            next = Entry::at(self.store.page(next.number()), 0);
        }
        pages
    }

    /// Snapshots that a page of their table holds, as it says.
    pub fn count_in(&self, table: u64) -> u64 {
        let most = self.numbers.page / SNAPSHOT_LEN as u64 - 1;
        u64_at(self.store.page(table), 32).min(most)
    }

    fn sealed_table(&mut self, entry: Entry, recount: Recount, left: u32) -> Entry {
        let page = entry.number();
        if !entry.is_present() || page >= self.store.page_count() || left == 0 {
            return entry;
        }
        let older = Entry::at(self.store.page(page), 0);
        let sealed = self.sealed_table(older, recount, left - 1);
        if sealed != older {
            sealed.put(self.store.page_mut(page), 0);
        }
        for number in 0..self.count_in(page) {
            let at = SNAPSHOT_LEN * (1 + number as usize);
            let height = self.store.page(page)[at + 24];
            let root = Entry::at(self.store.page(page), at + 32);
            let sealed = self.sealed(Tree::Map, height.into(), 0, root, recount);
            if sealed != root {
                sealed.put(self.store.page_mut(page), at + 32);
            }
        }
        let checksum = xxh3_128(self.store.page(page));
        Entry { checksum, ..entry }
    }

    fn checksum(&self, page: u64) -> Option<u128> {
        (page < self.store.page_count()).then(|| xxh3_128(self.store.page(page)))
    }

    fn sealed(
        &mut self,
        tree: Tree,
        level: u32,
        index: u64,
        entry: Entry,
        recount: Recount,
    ) -> Entry {
        let page = self.page_of(tree, level, index, entry);
        let page = page.filter(|&page| page < self.store.page_count());
        let (Some(page), true) = (page, entry.is_present() && level < 20 && self.left > 0) else {
            return entry;
        };
        let is_zeros = tree == Tree::Map && level == 0 && page == 0;
        if is_zeros {
            return entry;
        }
        self.left -= 1;
        let mut entry = entry;
        if level > 0 {
            let [mut present, mut full, mut used] = [0; 3];
            for place in 0..self.numbers.fan {
                let at = ENTRY_LEN * place as usize;
                let child = Entry::at(self.store.page(page), at);
                if !child.is_present() {
                    continue;
                }
                let child_index = index.wrapping_mul(self.numbers.fan).wrapping_add(place);
                let sealed = self.sealed(tree, level - 1, child_index, child, recount);
                if sealed != child {
                    sealed.put(self.store.page_mut(page), at);
                }
                present += 1;
                full += u64::from(sealed.word & FULL != 0);
                used += sealed.number();
                if recount == Recount::Yes {
                    entry.birth = entry.birth.max(sealed.birth);
                }
            }
            if recount == Recount::Yes {
                entry = entry.with_full(present == full && present == self.numbers.fan);
                if tree == Tree::Space {
                    entry = entry.with_number(used);
                }
            }
        } else if tree == Tree::Space && recount == Recount::Yes {
            let nibbles = self.store.page(page).iter();
            let nibbles = nibbles.flat_map(|byte| [byte & 15, byte >> 4]);
            let count = |kinds: &[u8]| nibbles.clone().filter(|it| kinds.contains(it)).count();
            let free = count(&[0, 4]);
            let used = self.numbers.group - (free + count(&[5])) as u64;
            entry = entry.with_number(used).with_full(free == 0);
        }
        Entry {
            checksum: xxh3_128(self.store.page(page)),
            ..entry
        }
    }

    /// Writes the root record into a slot: 1 or 2.
    pub fn write_root(&mut self, slot: u64) {
        let sum = xxh3_128(&self.payload[32..]);
        self.payload[16..32].copy_from_slice(&sum.to_le_bytes());
        let stamp = self.number(GENERATION).to_le_bytes();
        let blocks: Vec<u8> = self
            .payload
            .chunks(PIECE)
            .flat_map(|piece| [piece, &stamp].concat())
            .collect();
        self.put_bytes(slot * self.numbers.unit(), &blocks);
    }

    /// Writes a header that says what the root record repeats of it.
    pub fn write_header(&mut self) {
        let mut header = bytes(&self.store, 0, 512);
        header[8] = self.payload[LOG2];
        header[16..64].copy_from_slice(&self.payload[UUID..UUID + 48]);
        let sum = xxh3_128(&header[..496]);
        header[496..].copy_from_slice(&sum.to_le_bytes());
        self.put_bytes(0, &header);
    }

    /// Replaces bytes, as far as there are pages for them.
    pub fn put_bytes(&mut self, at: u64, bytes: &[u8]) {
        let page_len = self.numbers.page as usize;
        let offset = at as usize % page_len;
        let page = at / self.numbers.page;
        let (first, rest) = bytes.split_at(bytes.len().min(page_len - offset));
        let parts = [(offset, first)]
            .into_iter()
            .chain(rest.chunks(page_len).map(|part| (0, part)));
        for (page, (offset, part)) in (page..self.store.page_count()).zip(parts) {
            self.store.page_mut(page)[offset..offset + part.len()].copy_from_slice(part);
        }
    }
}

/// A tree of SPACE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Its root entry.
    pub root: Entry,
    /// Its height.
    pub height: u32,
}

/// What SPACE says of a group.
#[derive(Clone, Debug)]
pub enum Group {
    /// A leaf with these bytes.
    Leaf(Vec<u8>),
    /// All of it is used. Nobody reads the leaf, so there is none.
    Full,
}

/// Makes SPACE of a file with homes at their regular places, of so many groups,
/// and gives each page of it to `put`. Groups that are full lie below nodes that
/// are not made either, where they fill them.
pub fn space(
    numbers: Numbers,
    groups: u64,
    mut group: impl FnMut(u64) -> Group,
    mut put: impl FnMut(u64, &[u8]),
) -> Space {
    let mut height = 0;
    while numbers.fan.pow(height) < groups {
        height += 1;
    }
    let root = space_below(numbers, groups, (height, 0), &mut group, &mut put);
    Space { root, height }
}

fn space_below(
    numbers: Numbers,
    groups: u64,
    (level, index): (u32, u64),
    group: &mut dyn FnMut(u64) -> Group,
    put: &mut dyn FnMut(u64, &[u8]),
) -> Entry {
    let below = numbers.fan.pow(level);
    let first = index * below;
    let described = |used: u64, is_full: bool, checksum| {
        Entry {
            word: PRESENT | used,
            birth: 1,
            checksum,
        }
        .with_full(is_full)
    };
    let bytes = if level == 0 {
        match group(first) {
            Group::Leaf(bytes) => bytes,
            Group::Full => {
                let homes = if first == 0 { numbers.head() } else { 0 } + homes_len(numbers, first);
                return described(numbers.group - homes, true, 0);
            }
        }
    } else {
        // One that is full to the brim is not made.
        let is_full = first + below <= groups
            && matches!(group(first), Group::Full)
            && matches!(group(first + below - 1), Group::Full);
        if is_full {
            let homes: u64 = (0..=numbers.levels)
                .map(|level| {
                    let apart = numbers.fan.pow(level);
                    2 * ((first + below).div_ceil(apart) - first.div_ceil(apart))
                })
                .sum();
            let head = if first == 0 { numbers.head() } else { 0 };
            return described(below * numbers.group - homes - head, true, 0);
        }
        let mut node = vec![0; numbers.page as usize];
        for place in 0..numbers.fan {
            let child = index * numbers.fan + place;
            if child * (below / numbers.fan) < groups {
                let entry = space_below(numbers, groups, (level - 1, child), group, put);
                entry.put(&mut node, ENTRY_LEN * place as usize);
            }
        }
        node
    };
    let head = if first == 0 { numbers.head() } else { 0 };
    put(first * numbers.group + head + 2 * u64::from(level), &bytes);
    let (used, is_full) = if level == 0 {
        let nibbles = bytes.iter().flat_map(|byte| [byte & 15, byte >> 4]);
        let count = |kinds: &[u8]| nibbles.clone().filter(|it| kinds.contains(it)).count() as u64;
        let free = count(&[0, 4]);
        (numbers.group - free - count(&[5]), free == 0)
    } else {
        let entries = bytes.chunks(ENTRY_LEN).map(|bytes| Entry::at(bytes, 0));
        let used = entries.clone().map(Entry::number).sum();
        (used, entries.clone().all(|it| it.word & FULL != 0))
    };
    described(used, is_full, xxh3_128(&bytes))
}

/// Pages of the homes of a group.
fn homes_len(numbers: Numbers, group: u64) -> u64 {
    let is_home = |level: &u32| group.is_multiple_of(numbers.fan.pow(*level));
    2 * (0..=numbers.levels).filter(is_home).count() as u64
}

/// A leaf of a group: its own pages, then pages of the kinds that `kind` says by
/// their place, up to the page count.
pub fn leaf(numbers: Numbers, group: u64, page_count: u64, kind: impl Fn(u64) -> u8) -> Vec<u8> {
    let head = if group == 0 { numbers.head() } else { 0 };
    let own = head + homes_len(numbers, group);
    let mut bytes = vec![0; numbers.page as usize];
    for place in 0..numbers.group.min(page_count - group * numbers.group) {
        let kind = if place < own { 5 } else { kind(place) };
        bytes[place as usize / 2] |= kind << (4 * (place % 2));
    }
    bytes
}

/// Bytes of a store, zeros past its end.
fn bytes(store: &SparseStore, at: u64, len: u64) -> Vec<u8> {
    let page_len = store.page_size() as u64;
    let pages = at / page_len..(at + len).div_ceil(page_len);
    let mut bytes = Vec::new();
    for page in pages {
        if page < store.page_count() {
            bytes.extend_from_slice(store.page(page));
        } else {
            bytes.resize(bytes.len() + page_len as usize, 0);
        }
    }
    let start = (at % page_len) as usize;
    bytes[start..start + len as usize].to_vec()
}
