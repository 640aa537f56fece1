use std::collections::BTreeMap;

use xxhash_rust::xxh3::xxh3_128;

use super::{Limits, expect_in_order, part};
use crate::craft1::{
    BASE, COUNTS, DELTA_LEN, DELTAS, Entry, FULL, GENERATION, HEIGHTS, HOMES, LOG2, PAGE_COUNT,
    PIECE, PRESENT, ROOTS, TABLE, USED, leaf, put,
};
use crate::decode::Image;
use crate::decode1::{Numbers, State, decode};

/// Groups of 32 pages, nodes of four entries: the head is pages 0 to 11, and the
/// homes of group 0 are 12 to 15.
const NUMBERS: Numbers = Numbers {
    page: 1024,
    fan: 4,
    group: 32,
    levels: 1,
};
const PAGES: u64 = 31;

/// A snapshot as a table has it.
#[derive(Clone)]
struct Row {
    id: u64,
    generation: u64,
    height: u8,
    name: &'static str,
    map: Entry,
}

impl Row {
    fn put(&self, page: &mut [u8], place: usize) {
        let bytes = &mut page[128 + 128 * place..][..128];
        put(bytes, 0, self.id);
        put(bytes, 8, self.generation);
        put(bytes, 16, 1_000_000);
        bytes[24] = self.height;
        bytes[25] = self.name.len() as u8;
        self.map.put(bytes, 32);
        bytes[64..64 + self.name.len()].copy_from_slice(self.name.as_bytes());
    }
}

/// A page with two snapshots.
fn table_page() -> Vec<u8> {
    let mut page = vec![0; 1024];
    let entry = |number, birth| Entry {
        word: PRESENT | number,
        birth,
        checksum: 1,
    };
    entry(20, 3).put(&mut page, 0);
    put(&mut page, 32, 2);
    for (place, name) in ["Monday", "Dienstag, früh"].into_iter().enumerate() {
        let generation = 4 + place as u64;
        let row = Row {
            id: 2 + 3 * place as u64,
            generation,
            height: 1,
            name,
            map: entry(21, generation),
        };
        row.put(&mut page, place);
    }
    page
}

fn read(page: &[u8]) -> Result<(), String> {
    let limits = Limits {
        id: 5,
        base: 5,
        height: 2,
    };
    expect_in_order(&part(page)?.1, limits)
}

#[test]
fn table_page_is_read() {
    let page = table_page();
    assert_eq!(read(&page), Ok(()));
    let (older, rows) = part(&page).unwrap();
    assert_eq!(older.map(|it| (it.number, it.birth)), Some((20, 3)));
    let names: Vec<_> = rows.iter().map(|row| (row.id, &*row.name)).collect();
    assert_eq!(names, [(2, "Monday"), (5, "Dienstag, früh")]);
    assert_eq!(rows[1].time, 1_000_000);
    // One without a page before it, one with a MAP of nothing, the longest name.
    for (range, byte) in [(0..32, 0), (256 + 32..256 + 64, 0), (256 + 64..384, b'x')] {
        let mut page = table_page();
        page[range].fill(byte);
        if byte != 0 {
            page[256 + 25] = 64;
        }
        assert_eq!(read(&page), Ok(()));
    }
}

#[test]
fn table_page_with_one_thing_wrong_is_refused() {
    let first = 128;
    let second = 256;
    let cases: &[(&str, usize, &[u8])] = &[
        ("begins no entry", 6, &[0]),
        ("begins no entry", 7, &[1]),
        ("0 snapshots in a page", 32, &[0]),
        ("8 snapshots in a page", 32, &[8]),
        ("snapshots in a page", 39, &[1]),
        ("after the last snapshot", 32, &[1]),
        ("a name of 0 bytes", 32, &[3]),
        ("after the count", 40, &[1]),
        ("after the count", 127, &[1]),
        ("after the last snapshot", 384, &[1]),
        ("after the last snapshot", 1023, &[1]),
        ("snapshot 0 after 0", first, &[0]),
        ("snapshot 5 after 5", first, &[5]),
        ("snapshot 6 after 2", second, &[6]),
        ("snapshot 2 after 2", second, &[2]),
        ("snapshot 1 after 2", second, &[1]),
        ("of generation 0", first + 8, &[0]),
        ("of generation 4", second + 8, &[4]),
        ("of generation 3", second + 8, &[3]),
        ("of generation 6", second + 8, &[6]),
        ("MAP of height 0", first + 24, &[0]),
        ("MAP of height 3", second + 24, &[3]),
        ("MAP of height 1", first + 24, &[2]),
        ("a name of 0 bytes", first + 25, &[0]),
        ("a name of 65 bytes", first + 25, &[65]),
        ("after the name", first + 25, &[5]),
        ("after the name", first + 127, b"x"),
        ("a control character", first + 25, &[7]),
        ("a control character", first + 64, b"\n"),
        ("a control character", first + 64, "\u{85}".as_bytes()),
        ("the name of 2", first + 64, &[0xFF]),
        ("before MAP", first + 26, &[1]),
        ("before MAP", first + 31, &[1]),
        ("begins no entry", first + 32 + 6, &[0]),
        ("older than its MAP", first + 32 + 8, &[5]),
        ("two snapshots", second + 25, b"\x06"),
    ];
    let mut wrong = Vec::new();
    for &(error, at, bytes) in cases {
        let mut page = table_page();
        page[at..at + bytes.len()].copy_from_slice(bytes);
        if error == "two snapshots" {
            page[second + 64..second + 128].copy_from_slice(&table_page()[first + 64..first + 128]);
        }
        let found = read(&page).err().unwrap_or_default();
        if !found.contains(error) {
            wrong.push(format!("{found:?}, not {error}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// A MAP of one node: page and birth of it, and of what it names.
#[derive(Clone)]
struct Map {
    node: (u64, u64),
    names: Vec<(u64, u64)>,
}

/// What a file is made of: three ids, the last of zeros, two snapshots, and a
/// record with deltas.
#[derive(Clone)]
struct Plan {
    maps: Vec<Map>,
    rows: Vec<Row>,
    /// Page and birth of those of the table, oldest first.
    tables: Vec<(u64, u64)>,
    deltas: Vec<(u64, u64, u64)>,
    kinds: BTreeMap<u64, u8>,
    used: u64,
    last: u64,
    base: u64,
    /// A page that rots.
    rotten: Option<u64>,
}

/// Makes another file of the sound one.
type Change = fn(&mut Plan);

impl Plan {
    fn sound() -> Self {
        let map = |node, names: [(u64, u64); 2]| Map {
            node,
            names: [&names[..], &[(0, 2)]].concat(),
        };
        let row = |id, generation, name| Row {
            id,
            generation,
            height: 1,
            name,
            map: Entry::default(),
        };
        let kinds = [
            [16, 19, 21].map(|page| (page, 3)),
            [17, 18, 20].map(|page| (page, 2)),
            [(22, 2), (23, 6), (24, 6)],
        ];
        Self {
            maps: vec![
                map((16, 3), [(17, 2), (18, 2)]),
                map((19, 5), [(17, 2), (20, 5)]),
                map((21, 7), [(17, 2), (22, 7)]),
            ],
            rows: vec![row(1, 3, "first"), row(4, 5, "second")],
            tables: vec![(23, 3), (24, 5)],
            // The one replaces what a snapshot holds, the other does not.
            deltas: vec![(0, 25, 8), (1, 26, 9)],
            kinds: kinds.into_iter().flatten().chain([(30, 1)]).collect(),
            used: 11,
            last: 4,
            base: 7,
            rotten: None,
        }
    }

    fn read(&self) -> Result<State, String> {
        let bytes = self.bytes();
        let image = Image {
            bytes: &bytes,
            page_size: 1024,
        };
        decode(&image, NUMBERS)
    }

    fn bytes(&self) -> Vec<u8> {
        let mut pages: Vec<Vec<u8>> = (0..PAGES).map(|page| vec![page as u8; 1024]).collect();
        let entry = |pages: &[Vec<u8>], word: u64, page: u64, birth| Entry {
            word: PRESENT | word | page,
            birth,
            checksum: xxh3_128(&pages[page as usize]),
        };
        let mut root = Entry::default();
        let mut newest = Entry::default();
        for (place, Map { node, names }) in self.maps.iter().enumerate() {
            let mut bytes = vec![0; 1024];
            for (id, &(page, birth)) in names.iter().enumerate() {
                let mut named = entry(&pages, FULL, page, birth);
                if page == 0 {
                    named.checksum = 0;
                }
                named.put(&mut bytes, 32 * id);
            }
            pages[node.0 as usize] = bytes;
            root = entry(&pages, 0, node.0, node.1);
            let Some(row) = self.rows.get(place) else {
                continue;
            };
            let (page, birth) = self.tables[place];
            let mut bytes = vec![0; 1024];
            newest.put(&mut bytes, 0);
            put(&mut bytes, 32, 1);
            Row { map: root, ..*row }.put(&mut bytes, 0);
            // One past the end has the checksum of another.
            let there = page % PAGES;
            if page < PAGES {
                pages[page as usize] = bytes;
            }
            newest = entry(&pages, 0, there, birth).with_number(page);
        }
        let kind = |page| self.kinds.get(&page).copied().unwrap_or(0);
        let leaf = leaf(NUMBERS, 0, PAGES, kind);
        let used = leaf.iter().flat_map(|byte| [byte & 15, byte >> 4]);
        let used = used.filter(|kind| ![0, 4, 5].contains(kind)).count() as u64;
        pages[12] = leaf;
        let space = entry(&pages, 0, 12, 5).with_number(used);

        let mut payload = vec![0; 8 * PIECE];
        payload[..8].copy_from_slice(b"PBOXROOT");
        let numbers = [
            (8, 8 * PIECE as u64),
            (GENERATION, 9),
            (BASE, self.base),
            (PAGE_COUNT, PAGES),
            (USED, self.used),
            (72, 3),
            (80, self.last),
        ];
        for (at, number) in numbers {
            put(&mut payload, at, number);
        }
        payload[LOG2] = 10;
        payload[HEIGHTS[0]] = 1;
        payload[COUNTS[0]] = self.deltas.len() as u8;
        for (group, first) in [12, 32, 64, 96].into_iter().enumerate() {
            put(&mut payload, HOMES + 8 * group, first);
        }
        root.put(&mut payload, ROOTS[0]);
        space.put(&mut payload, ROOTS[1]);
        newest.put(&mut payload, TABLE);
        for (n, &(id, page, birth)) in self.deltas.iter().enumerate() {
            let at = DELTAS + DELTA_LEN * n;
            put(&mut payload, at, id);
            entry(&pages, FULL, page, birth).put(&mut payload, at + 8);
        }
        let sum = xxh3_128(&payload[32..]);
        payload[16..32].copy_from_slice(&sum.to_le_bytes());

        if let Some(page) = self.rotten {
            pages[page as usize][3] ^= 1;
        }
        let mut bytes = pages.concat();
        bytes[..3 * 4096].fill(0);
        for (sector, piece) in bytes[4096..8192].chunks_mut(512).zip(payload.chunks(PIECE)) {
            sector[..PIECE].copy_from_slice(piece);
            put(sector, PIECE, 9);
        }
        bytes.copy_within(4096..8192, 8192);
        bytes
    }
}

#[test]
fn file_with_snapshots_is_read() {
    let state = Plan::sound().read().unwrap();
    let pages = |protected: &BTreeMap<u64, _>| -> Vec<u64> {
        let stored = protected.values();
        stored.map(|it: &crate::decode1::Stored| it.page).collect()
    };
    let shown: Vec<_> = state
        .snapshots
        .iter()
        .map(|it| (it.id, it.generation, &*it.name, pages(&it.protected)))
        .collect();
    let expected = [
        (1, 3, "first", vec![17, 18, 0]),
        (4, 5, "second", vec![17, 20, 0]),
    ];
    assert_eq!(shown, expected);
    assert_eq!(pages(&state.protected), [25, 26, 0]);
    assert_eq!(state.used(), 11);
    let reached = state.reached(&NUMBERS);
    let reached: Vec<u64> = reached.range(12..).copied().collect();
    assert_eq!(reached, [12, 16, 17, 18, 19, 20, 21, 23, 24, 25, 26, 30]);
}

/// What may be, though it is not so in the sound file.
#[test]
fn file_with_snapshots_may_differ() {
    let cases: &[Change] = &[
        // What nobody reaches any more may rot.
        |it| it.rotten = Some(22),
        // What was freed may be another's by now.
        |it| it.deltas[0].1 = 22,
        |it| it.last = 100,
        // Both pages of the table written anew.
        |it| it.tables = vec![(23, 6), (24, 6)],
        // No deltas.
        |it| {
            it.deltas.clear();
            it.used = 10;
        },
        // The newest snapshot is what is now.
        |it| {
            it.maps[2] = it.maps[1].clone();
            it.kinds.retain(|page, _| ![21, 22].contains(page));
            it.used = 10;
        },
    ];
    for (case, change) in cases.iter().enumerate() {
        let mut plan = Plan::sound();
        change(&mut plan);
        if let Err(error) = plan.read() {
            panic!("case {case}: {error}");
        }
    }
}

#[test]
fn file_with_one_thing_wrong_about_snapshots_is_refused() {
    let cases: &[(&str, Change)] = &[
        // The table.
        ("page 23 fails its checksum", |it| it.rotten = Some(23)),
        ("page 24 fails its checksum", |it| it.rotten = Some(24)),
        ("past the page count", |it| it.tables[1].0 = PAGES),
        ("table page 13 is reserved", |it| it.tables[0].0 = 13),
        ("page 40 is past", |it| it.tables[0].0 = 40),
        ("table page 23 is of 6", |it| it.tables[0].1 = 6),
        ("table page 24 is of 8", |it| it.tables[1].1 = 8),
        ("table page 23 is of 0", |it| it.tables[0].1 = 0),
        ("older than its snapshots", |it| it.tables[1].1 = 4),
        ("snapshot 1 after 1", |it| it.rows[1].id = 1),
        ("snapshot 4 after 1", |it| it.last = 3),
        ("two snapshots", |it| it.rows[1].name = "first"),
        ("MAP of height 2", |it| it.rows[0].height = 2),
        ("page 23 is 6, its leaf says 0", |it| {
            it.kinds.insert(23, 0);
        }),
        ("page 23 is 6, its leaf says 2", |it| {
            it.kinds.insert(23, 2);
        }),
        ("page 23 is 6, its leaf says 1", |it| {
            it.kinds.insert(23, 1);
        }),
        ("used pages", |it| it.used = 10),
        // What nobody reaches.
        ("page 28 is 0, its leaf says 2", |it| {
            it.kinds.insert(28, 2);
        }),
        ("page 28 is 0, its leaf says 3", |it| {
            it.kinds.insert(28, 3);
        }),
        ("page 28 is 0, its leaf says 6", |it| {
            it.kinds.insert(28, 6);
        }),
        ("page 16 is 0, its leaf says 3", |it| {
            it.rows.remove(0);
            it.maps.remove(0);
            it.tables.remove(0);
        }),
        // What only a snapshot reaches.
        ("page 18 is 2, its leaf says 0", |it| {
            it.kinds.insert(18, 0);
        }),
        ("page 16 is 3, its leaf says 2", |it| {
            it.kinds.insert(16, 2);
        }),
        ("snapshot 1: page 18 fails", |it| it.rotten = Some(18)),
        ("snapshot 1: page 16 fails", |it| it.rotten = Some(16)),
        ("snapshot 1: the entry of 1", |it| it.maps[0].names[1].1 = 4),
        ("snapshot 1 is older than its MAP", |it| {
            it.maps[0].node.1 = 4;
        }),
        ("snapshot 4: node", |it| it.maps[1].names.clear()),
        // A page that a snapshot holds, of an id that changed since.
        ("page 17 was not that", |it| {
            it.kinds.insert(17, 0);
        }),
        ("the page of 1 is of kind 2", |it| it.deltas[1].1 = 17),
        ("the page of 1 is of kind 2", |it| it.deltas[1].1 = 18),
        ("the page of 1 is of kind 3", |it| it.deltas[1].1 = 16),
        ("the page of 1 is of kind 6", |it| it.deltas[1].1 = 23),
        ("is of 5, and not in the snapshot of 5", |it| {
            it.maps[2].names[1].1 = 5;
        }),
        // What several trees reach.
        ("page 17 is named twice", |it| it.maps[0].names[0].1 = 1),
        ("page 17 is named twice", |it| it.maps[1].names.swap(0, 1)),
        ("page 23 is named by a tree", |it| {
            it.maps[1].names[1] = (23, 5);
        }),
        ("page 14 is reserved", |it| {
            it.maps[0].names[1] = (14, 2);
        }),
        ("page 16 is named twice", |it| {
            it.maps[1].names[1] = (16, 5);
        }),
        ("page 20 is named twice", |it| {
            it.maps[1].names[2] = (20, 5);
        }),
        // With a gap, and not from its birth on.
        ("is of 2, and not in the snapshot of 5", |it| {
            it.maps[2].names[1] = (18, 2);
            it.deltas.pop();
        }),
        ("is of 3, and not in the snapshot of 3", |it| {
            it.maps[1].names[1].1 = 3;
        }),
        ("is of 1, and not in the snapshot of 3", |it| {
            it.maps[1].names[2].1 = 1;
        }),
    ];
    let mut wrong = Vec::new();
    for (error, change) in cases {
        let mut plan = Plan::sound();
        change(&mut plan);
        let found = plan.read().err().unwrap_or_default();
        if !found.contains(error) {
            wrong.push(format!("{found:?}, not {error}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
