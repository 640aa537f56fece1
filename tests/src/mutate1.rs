//! [`mutate`]: files of format 1 that somebody could have made to do harm, and
//! [`specimens`] to make them from. It knows the format: fields get the values
//! that hurt, entries name what they must not, nodes share their children, files
//! are as long as they say; and all checksums and stamps are right again, so
//! that the deep paths are reached.

use pagebox_core::ProtectedId;
use pagebox_core::changes::{Change, Changes};
use pagebox_core::format1::File;
use pagebox_store::{PageSize, PageStore};

use crate::craft1::{
    BASE, Crafted, DELTA_LEN, ENTRY_LEN, Entry, FULL, GENERATION, HEIGHTS, HOMES, LOG2, NUMBER,
    NUMBERS, PAGE_COUNT, PRESENT, Recount, SIDE, SNAPSHOT_LEN, TABLE, Tree, USED, UUID, put,
};
use crate::decode::Pages;
use crate::decode1::u64_at;
use crate::rng::Rng;
use crate::shown::numbers;
use crate::sparse::SparseStore;

/// Sound files to make others from.
#[derive(Debug)]
pub struct Specimens {
    small: Vec<Crafted>,
    large: Vec<Crafted>,
}

impl Specimens {
    /// A small one, most often: they take less long, and have the same rules.
    pub fn pick(&self, rng: &mut Rng) -> &Crafted {
        if rng.chance(1, 12) {
            rng.pick(&self.large)
        } else {
            rng.pick(&self.small)
        }
    }
}

/// Files that are empty, small, with and without deltas; of several groups, with
/// ids and pages far away.
///
/// # Panics
/// Where they cannot be made.
pub fn specimens(page_size: PageSize) -> Specimens {
    let far = |log2: u32| 1 << log2;
    let mut small: Vec<Crafted> = [
        // Pages, ids from 0 on and others, the lowest regular pages and others,
        // whether all is folded, and snapshots after each of two rounds.
        (0, 0, vec![], 0, vec![], false, 0),
        (0, 3, vec![], 2, vec![], false, 0),
        (0, 12, vec![], 5, vec![], true, 0),
        (0, 60, vec![], 3, vec![], false, 0),
        (0, 40, vec![far(9), far(20)], 2, vec![], true, 0),
        (0, 5, vec![far(47)], 0, vec![], false, 0),
        (0, 12, vec![], 2, vec![], false, 1),
        (0, 40, vec![far(9)], 2, vec![], true, 1),
        (0, 30, vec![far(20)], 1, vec![], false, 5),
        (
            3 * 2 * page_size.bytes() as u64,
            4,
            vec![],
            3,
            vec![5000, 4200],
            true,
            1,
        ),
        (far(30), 3, vec![far(30)], 2, vec![far(29) + 77], true, 0),
        (far(30), 2, vec![], 2, vec![far(28) + 78], false, 2),
    ]
    .into_iter()
    .map(
        |(page_count, ids, others, regular, pages, is_folded, snapshots)| {
            let mut store = SparseStore::new(page_size);
            let mut file = File::create(&mut store, [7; 16], page_count).expect("there is room");
            let mut rng = Rng::new(ids);
            for round in 0..2 {
                let mut changes = Changes::default();
                for id in (0..ids)
                    .filter(|id| id % 2 == round)
                    .chain(others.iter().copied())
                {
                    let mut bytes = store.stage(None).expect("a buffer");
                    rng.fill(&mut bytes);
                    let is_there = file.locate(&store, ProtectedId(id)).is_ok();
                    let change = match is_there {
                        true => Change::Write(bytes),
                        false if id % 7 == 3 => Change::New(None),
                        false => Change::New(Some(bytes)),
                    };
                    changes.protected.insert(ProtectedId(id), change);
                }
                if round == 0 {
                    let mut from = 0;
                    for _ in 0..regular {
                        let page = file.find_free(&store, from).expect("there is room");
                        changes.allocated.insert(page);
                        from = page + 1;
                    }
                    for &page in pages.iter().filter(|&&page| page < page_count) {
                        changes.allocated.insert(page);
                    }
                }
                file.commit(&mut store, &changes).expect("there is room");
                for number in 0..snapshots {
                    let name = format!("{round} {number}");
                    let taken = file.create_snapshot(&mut store, &name, number);
                    taken.expect("there is room");
                    let mut changes = Changes::default();
                    let mut bytes = store.stage(None).expect("a buffer");
                    rng.fill(&mut bytes);
                    let id = ProtectedId(round + 2 * (number % (ids / 2)));
                    changes.protected.insert(id, Change::Write(bytes));
                    file.commit(&mut store, &changes).expect("there is room");
                }
            }
            if is_folded {
                file.close(&mut store).expect("there is room");
            }
            Crafted::of(&store, numbers(page_size.bytes()))
        },
    )
    .collect();
    let large = small.split_off(9);
    Specimens { small, large }
}

/// Changes a file in some ways, and seals it.
pub fn mutate(specimen: &Crafted, rng: &mut Rng) -> SparseStore {
    let mut file = specimen.clone();
    let mut header = rng.chance(1, 10);
    let mut recount = if rng.chance(4, 5) {
        Recount::Yes
    } else {
        Recount::No
    };
    for _ in 0..rng.between(1, 3) {
        match rng.below(26) {
            20..26 => snapshots(&mut file, rng),
            0..3 => number(&mut file, rng),
            3 => {
                let at = *rng.pick(&HEIGHTS);
                file.payload[at] = *rng.pick(&[0, 1, 2, 3, 9, 10, 11, 200, 255]);
            }
            4 => root_entry(&mut file, rng),
            5 => header |= identity(&mut file, rng),
            6..9 => deltas(&mut file, rng),
            9..12 => node(&mut file, rng),
            12..14 => leaf(&mut file, rng),
            14 => copied_page(&mut file, rng),
            15 => length(&mut file, rng),
            16 => {
                tower(&mut file, rng);
                recount = Recount::Yes;
            }
            17 => high_space(&mut file, rng),
            18 => header |= odd_homes(&mut file, rng),
            _ => likely_use(&mut file, rng),
        }
    }
    let before = specimen.number(GENERATION);
    file.seal_trees(recount);
    if header {
        file.write_header();
    }
    match rng.below(6) {
        // Acknowledged.
        0..3 => {
            file.write_root(1);
            file.write_root(2);
        }
        // The newer of two.
        3 => {
            put(&mut file.payload, GENERATION, before.saturating_add(1));
            file.write_root(rng.between(1, 2));
        }
        slot => {
            file.write_root(slot - 3);
            let other = (3 - (slot - 3)) * file.numbers.unit();
            file.put_bytes(other, &vec![0; 512]);
        }
    }
    // Rot. At the bottom of a tower it is come by again and again.
    if rng.chance(1, 12) {
        let page = some_page(&file, rng) % file.store.page_count().max(1);
        if page < file.store.page_count() {
            let at = rng.below(file.numbers.page) as usize;
            file.store.page_mut(page)[at] ^= 1 << rng.below(8);
        }
    }
    file.store
}

/// A value that hurts.
fn value(now: u64, pages: u64, rng: &mut Rng) -> u64 {
    match rng.below(6) {
        0 => rng.below(pages.saturating_add(2)),
        1 => now.wrapping_add(1),
        2 => now.wrapping_sub(1),
        3 => now ^ 1 << rng.below(64),
        4 => *rng.pick(&[
            0,
            1,
            2,
            3,
            pages.wrapping_sub(1),
            pages,
            pages.saturating_add(1),
        ]),
        _ => *rng.pick(&[
            1 << 31,
            1 << 32,
            (1 << 47) + 1,
            NUMBER,
            1 << 48,
            1 << 52,
            1 << 62,
            1 << 63,
            u64::MAX - 1,
            u64::MAX,
        ]),
    }
}

/// Mostly a page that the format cares about.
fn some_page(file: &Crafted, rng: &mut Rng) -> u64 {
    let pages = file.store.page_count();
    let head = file.numbers.head();
    match rng.below(9) {
        0 => rng.below(head),
        1 | 2 => file.first(rng.below(2)).wrapping_add(rng.below(20)),
        3 => file.root(Tree::Map).number(),
        4 => pages.wrapping_sub(rng.below(3)),
        5 => some_node(file, Tree::Map, rng).map_or(0, |(page, _)| page),
        6 => value(0, pages, rng) & NUMBER,
        _ => head + 18 + rng.below(80),
    }
}

fn number(file: &mut Crafted, rng: &mut Rng) {
    let at = *rng.pick(&NUMBERS);
    let now = file.number(at);
    put(
        &mut file.payload,
        at,
        value(now, file.store.page_count(), rng),
    );
}

fn root_entry(file: &mut Crafted, rng: &mut Rng) {
    let tree = *rng.pick(&[Tree::Map, Tree::Space]);
    let entry = match rng.below(4) {
        0 => Entry::default(),
        1 => file.root(if tree == Tree::Map {
            Tree::Space
        } else {
            Tree::Map
        }),
        _ => hurt(file, file.root(tree), rng),
    };
    file.put_root(tree, entry);
}

/// An entry, changed.
fn hurt(file: &Crafted, entry: Entry, rng: &mut Rng) -> Entry {
    let generation = file.number(GENERATION);
    let mut entry = entry;
    match rng.below(8) {
        0 => entry.word ^= FULL,
        1 => entry.word ^= SIDE,
        2 => entry.word ^= 1 << rng.between(48, 63),
        3 => entry.birth = value(entry.birth, generation, rng),
        _ => entry = entry.with_number(some_page(file, rng)),
    }
    entry
}

/// What names a file, in the record, and mostly in the header too.
fn identity(file: &mut Crafted, rng: &mut Rng) -> bool {
    match rng.below(4) {
        0 => file.payload[LOG2] = *rng.pick(&[0, 9, 10, 11, 12, 16, 20, 21, 255]),
        1 => file.payload[UUID] ^= 1,
        2 => put(&mut file.payload, TABLE, PRESENT | rng.below(99)),
        _ => {
            let at = HOMES + 8 * rng.below(4) as usize;
            let now = file.number(at);
            put(
                &mut file.payload,
                at,
                value(now, file.store.page_count(), rng),
            );
        }
    }
    rng.chance(3, 4)
}

/// Homes at another place, and the leaves that say so, as far as they exist.
fn odd_homes(file: &mut Crafted, rng: &mut Rng) -> bool {
    let group = rng.below(4);
    let len = file.numbers.group;
    let pages = file.store.page_count();
    let first = match rng.below(5) {
        0 => rng.below(pages.max(1)),
        1 => pages.saturating_sub(rng.below(30)),
        2 => file.first(rng.below(4)).wrapping_add(rng.below(4)),
        3 => rng.below(4) * len + rng.between(20, 60),
        _ => value(0, pages, rng),
    };
    put(&mut file.payload, HOMES + 8 * group as usize, first);
    let homes = if group == 0 { 18 } else { 2 };
    for page in first..first.saturating_add(homes).min(pages) {
        mark(file, page, 5);
    }
    rng.chance(7, 8)
}

/// Says in the leaf of a page what it is, where there is a leaf.
fn mark(file: &mut Crafted, page: u64, kind: u8) {
    let group = page / file.numbers.group;
    let side = file.root(Tree::Space).word & SIDE;
    // Of the others it is not looked for on which side they are.
    let sides = if file.height(Tree::Space) == 0 {
        [side; 2]
    } else {
        [0, SIDE]
    };
    for side in sides {
        let entry = Entry {
            word: side,
            ..Entry::default()
        };
        let leaf = file.page_of(Tree::Space, 0, group, entry);
        if let Some(leaf) = leaf.filter(|&leaf| leaf < file.store.page_count()) {
            put_nibble(file.store.page_mut(leaf), page % file.numbers.group, kind);
        }
    }
}

fn put_nibble(leaf: &mut [u8], place: u64, kind: u8) {
    let shift = 4 * (place % 2);
    let byte = &mut leaf[place as usize / 2];
    *byte = *byte & !(15 << shift) | (kind & 15) << shift;
}

fn deltas(file: &mut Crafted, rng: &mut Rng) {
    let mut deltas = file.deltas();
    let generation = file.number(GENERATION);
    let sort = usize::from(rng.chance(1, 3));
    let list = &mut deltas[sort];
    let at = rng.below(list.len() as u64 + 1) as usize;
    match rng.below(6) {
        0 if at < list.len() => drop(list.remove(at)),
        1 if at < list.len() => list.insert(at, list[at]),
        2 => {
            let other = rng.below(list.len().max(1) as u64) as usize;
            if other < list.len() && at < list.len() {
                list.swap(at, other);
            }
        }
        3 if at < list.len() => {
            let delta = &mut list[at];
            if sort == 0 && rng.chance(2, 3) {
                let entry = hurt(file, Entry::at(delta, 8), rng);
                entry.put(delta, 8);
            } else {
                let now = u64_at(delta, 0);
                put(delta, 0, value(now, file.store.page_count(), rng));
            }
        }
        4 => {
            let count = rng.pick(&[0, 1, 2, 200, 0xFFFF, u32::MAX]);
            file.put_count(sort, *count);
            return;
        }
        _ => {
            let mut delta = [0; DELTA_LEN];
            if sort == 0 {
                let ids = [rng.below(20), rng.below(300), value(0, 99, rng) & NUMBER];
                put(&mut delta, 0, *rng.pick(&ids));
                if rng.chance(4, 5) {
                    Entry {
                        word: PRESENT | FULL | some_page(file, rng),
                        birth: generation - rng.below(2).min(generation),
                        checksum: 0,
                    }
                    .put(&mut delta, 8);
                }
            } else {
                put(&mut delta, 0, some_page(file, rng) | rng.below(3) << 48);
            }
            list.push(delta);
            // In order, most often.
            if rng.chance(5, 6) {
                let key = |delta: &[u8; DELTA_LEN]| u64_at(delta, 0) & NUMBER;
                list.sort_by_key(key);
                list.dedup_by_key(|delta| key(delta));
            }
        }
    }
    file.put_deltas(&deltas);
    if rng.chance(2, 3) {
        likely_use(file, rng);
    }
}

/// A count that is likely, so that it is not what is refused.
fn likely_use(file: &mut Crafted, rng: &mut Rng) {
    let used = file.number(USED);
    let likely = [
        used.wrapping_sub(1),
        used.wrapping_add(1),
        used.wrapping_add(2),
    ];
    put(&mut file.payload, USED, *rng.pick(&likely));
}

/// A node of a tree on some way down, and its level.
fn some_node(file: &Crafted, tree: Tree, rng: &mut Rng) -> Option<(u64, u32)> {
    let (mut level, mut index, mut entry) = (file.height(tree), 0, file.root(tree));
    let lowest = rng.below(u64::from(level.min(12)) + 1) as u32;
    loop {
        let page = file.page_of(tree, level, index, entry)?;
        if !entry.is_present() || page >= file.store.page_count() {
            return None;
        }
        if level <= lowest.max(1) {
            return Some((page, level));
        }
        let bytes = file.store.page(page);
        let present: Vec<u64> = (0..file.numbers.fan)
            .filter(|place| Entry::at(bytes, ENTRY_LEN * *place as usize).is_present())
            .collect();
        if present.is_empty() {
            return None;
        }
        let place = *rng.pick(&present);
        index = index.checked_mul(file.numbers.fan)?.checked_add(place)?;
        entry = Entry::at(bytes, ENTRY_LEN * place as usize);
        level -= 1;
    }
}

/// Changes an entry of a node.
fn node(file: &mut Crafted, rng: &mut Rng) {
    let tree = if rng.chance(3, 4) {
        Tree::Map
    } else {
        Tree::Space
    };
    let Some((page, _)) = some_node(file, tree, rng) else {
        return;
    };
    let fan = file.numbers.fan;
    let at = |place: u64| ENTRY_LEN * place as usize;
    let place = if rng.chance(1, 2) {
        rng.below(4)
    } else {
        rng.below(fan)
    };
    let entry = Entry::at(file.store.page(page), at(place));
    let entry = match rng.below(5) {
        0 => Entry::default(),
        1 => Entry::at(file.store.page(page), at(rng.below(4))),
        _ if entry.is_present() => hurt(file, entry, rng),
        _ => Entry {
            word: PRESENT | FULL | some_page(file, rng),
            birth: file.number(BASE),
            checksum: 0,
        },
    };
    entry.put(file.store.page_mut(page), at(place));
}

/// Says something else of a page.
fn leaf(file: &mut Crafted, rng: &mut Rng) {
    let kind = *rng.pick(&[0, 0, 1, 2, 3, 4, 5, 6, 7, 15]);
    let page = some_page(file, rng);
    mark(file, page, kind);
}

fn copied_page(file: &mut Crafted, rng: &mut Rng) {
    let pages = file.store.page_count();
    let (from, to) = (some_page(file, rng), some_page(file, rng));
    if from < pages && to < pages {
        let bytes = file.store.page(from).to_vec();
        file.store.put_page(to, &bytes);
    }
}

/// A file of another length; in some it is what the root record says.
fn length(file: &mut Crafted, rng: &mut Rng) {
    let pages = file.store.page_count();
    let limit = (1_u64 << 48).min((i64::MAX as u64) / file.numbers.page);
    let len = match rng.below(5) {
        0 => rng.below(pages + 1),
        1 => pages + rng.below(40),
        2 => pages - rng.below(3).min(pages),
        3 => limit - rng.below(30),
        _ => 1 << rng.between(26, 47),
    };
    file.store.set_len(len.min(limit));
    if rng.chance(2, 3) {
        put(&mut file.payload, PAGE_COUNT, len);
    }
}

/// Does something to the table of snapshots, or to a tree that one names.
fn snapshots(file: &mut Crafted, rng: &mut Rng) {
    let tables = file.tables();
    let newest = Entry::at(&file.payload, TABLE);
    if tables.is_empty() || rng.chance(1, 12) {
        let entry = match rng.below(3) {
            0 => hurt(file, newest, rng),
            1 => Entry::default(),
            _ => Entry {
                word: PRESENT | FULL | some_page(file, rng),
                birth: file.number(BASE),
                checksum: 0,
            },
        };
        entry.put(&mut file.payload, TABLE);
        return;
    }
    let page = *rng.pick(&tables);
    let count = file.count_in(page).max(1);
    let number = rng.below(count.max(1)) as usize;
    let at = SNAPSHOT_LEN * (1 + number);
    let root = Entry::at(file.store.page(page), at + 32);
    let height = file.store.page(page)[at + 24];
    let (map, map_height) = (file.root(Tree::Map), file.payload[HEIGHTS[0]]);
    let generation = file.number(GENERATION);
    match rng.below(12) {
        0 => {
            // In a circle, or somewhere else.
            let older = Entry::at(file.store.page(page), 0);
            let older = match rng.below(3) {
                0 => newest,
                1 => Entry {
                    word: PRESENT | FULL | some_page(file, rng),
                    birth: generation,
                    checksum: 0,
                },
                _ => hurt(file, older, rng),
            };
            older.put(file.store.page_mut(page), 0);
        }
        1 => {
            let count = value(count, 8, rng);
            put(file.store.page_mut(page), 32, count);
        }
        2 | 3 => {
            let field = at + 8 * rng.below(3) as usize;
            let now = u64_at(file.store.page(page), field);
            put(
                file.store.page_mut(page),
                field,
                value(now, generation, rng),
            );
        }
        4 => file.store.page_mut(page)[at + 24] = *rng.pick(&[0, 1, 2, 3, 9, 10, 11, 255]),
        5 => {
            let byte = at + *rng.pick(&[25, 25, 64, 65, 66]);
            file.store.page_mut(page)[byte] = *rng.pick(&[0, 1, 3, 9, 64, 65, 200, 255]);
        }
        6 => hurt(file, root, rng).put(file.store.page_mut(page), at + 32),
        7 => {
            // As it is now, or what is now as it was then.
            if rng.chance(1, 2) {
                map.put(file.store.page_mut(page), at + 32);
                file.store.page_mut(page)[at + 24] = map_height;
            } else {
                file.put_root(Tree::Map, root);
                file.payload[HEIGHTS[0]] = height;
            }
        }
        8 => {
            let other = SNAPSHOT_LEN * (1 + rng.below(count) as usize);
            let bytes = file.store.page(page)[other..other + SNAPSHOT_LEN].to_vec();
            file.store.page_mut(page)[at..at + SNAPSHOT_LEN].copy_from_slice(&bytes);
        }
        9 => {
            let kind = *rng.pick(&[0, 1, 2, 3, 5]);
            mark(file, page, kind);
        }
        // Something about its tree, by what knows how to hurt that of now.
        _ => {
            file.put_root(Tree::Map, root);
            file.payload[HEIGHTS[0]] = height;
            if rng.chance(1, 3) {
                tower(file, rng);
            } else {
                node(file, rng);
            }
            let (changed, high) = (file.root(Tree::Map), file.payload[HEIGHTS[0]]);
            changed.put(file.store.page_mut(page), at + 32);
            file.store.page_mut(page)[at + 24] = high;
            file.put_root(Tree::Map, map);
            file.payload[HEIGHTS[0]] = map_height;
        }
    }
}

/// Nodes of MAP upon each other, all entries of each naming the one below.
fn tower(file: &mut Crafted, rng: &mut Rng) {
    let levels = 48_u32.div_ceil(file.numbers.fan.ilog2());
    let height = file.height(Tree::Map);
    let mut entry = file.root(Tree::Map);
    if !entry.is_present() || height == 0 || height >= levels {
        return;
    }
    let height_to_be = rng.between(u64::from(height) + 1, levels.into()) as u32;
    let pages = file.store.page_count();
    let first = pages.min(2000);
    file.store.set_len(pages.max(first + 12));
    for page in (first..).take((height_to_be - height) as usize) {
        let copies = *rng.pick(&[1, 2, file.numbers.fan]);
        let node = file.store.page_mut(page);
        node.fill(0);
        for place in 0..copies {
            entry.put(node, ENTRY_LEN * place as usize);
        }
        entry = Entry {
            word: PRESENT | page,
            ..entry
        };
        mark(file, page, 3);
    }
    file.payload[HEIGHTS[0]] = height_to_be as u8;
    file.put_root(Tree::Map, entry);
    let page_count = file.number(PAGE_COUNT).max(first + 12);
    put(&mut file.payload, PAGE_COUNT, page_count);
}

/// A tree of SPACE that is higher than it must be.
fn high_space(file: &mut Crafted, rng: &mut Rng) {
    let levels = (48 - file.numbers.group.ilog2()).div_ceil(file.numbers.fan.ilog2());
    let height = file.height(Tree::Space);
    let root = file.root(Tree::Space);
    if !root.is_present() || height >= levels {
        return;
    }
    let entry = root;
    let Some(page) = file.page_of(Tree::Space, height + 1, 0, entry) else {
        return;
    };
    if page >= file.store.page_count() {
        return;
    }
    let mut node = vec![0; file.numbers.page as usize];
    entry.put(&mut node, 0);
    if rng.chance(1, 2) {
        let place = rng.between(1, file.numbers.fan - 1) as usize;
        hurt(file, entry, rng).put(&mut node, ENTRY_LEN * place);
    }
    file.store.put_page(page, &node);
    file.payload[HEIGHTS[1]] = (height + 1) as u8;
    file.put_root(Tree::Space, entry);
}
