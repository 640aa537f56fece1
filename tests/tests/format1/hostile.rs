//! Files that somebody made, with good checksums: no panic, no endless walk, no
//! page outside, none of the file's own and none twice.

use std::collections::BTreeSet;

use pagebox_core::ProtectedId;
use pagebox_core::Side;
use pagebox_core::changes::{Change, Changes};
use pagebox_core::checksum::xxh3;
use pagebox_core::format1::deltas::Deltas;
use pagebox_core::format1::entry::{self, Entry};
use pagebox_core::format1::record::{self, Record};
use pagebox_core::format1::{Error, File, Kind, Layout, Shape, leaf};
use pagebox_store::{MemoryStore, PageSize, PageStore};
use pagebox_tests::counting::CountingStore;
use pagebox_tests::figures;
use pagebox_tests::rng::Rng;

use super::scene::{SMALL, Scene, UUID, layout, odd, with_deltas};

/// Files that are tried, unless `PAGEBOX_HOSTILE_FILES` says how many.
const FILES: u64 = 20_000;

/// A file whose checksums can be made right again.
pub(crate) struct Crafted {
    layout: Layout,
    pub(crate) store: MemoryStore,
    record: Record,
    /// Pages that may still be sealed.
    budget: u32,
}

impl Crafted {
    pub(crate) fn of(store: &MemoryStore, layout: Layout) -> Self {
        let unit = layout.shape().unit() as usize;
        let slot = &store.bytes()[unit..2 * unit];
        let len = record::len_of(slot, unit).unwrap();
        let record = Record::decode(&slot[..len]).unwrap();
        Self {
            layout,
            store: store.clone(),
            record,
            budget: 0,
        }
    }

    /// Says in its leaf, which has to be there, and in all that counts what a page
    /// is.
    pub(crate) fn mark(&mut self, page: u64, kind: Kind) {
        let shape = self.layout.shape();
        let group = page / shape.group_len();
        let mut path = Vec::new();
        let mut entry = self.record.space.unwrap();
        for level in (0..=u32::from(self.record.space_height)).rev() {
            let index = group >> (shape.fan_log2 * level);
            let at = self.layout.home(level, index, entry.side);
            path.push((level, index, at));
            if level > 0 {
                let place = (group >> (shape.fan_log2 * (level - 1))) as usize % shape.fan();
                let node = self.store.page(at).unwrap();
                entry = entry::decode(node, 32 * place).unwrap().unwrap();
            }
        }
        let (_, _, leaf) = path.pop().unwrap();
        let bytes = self.store.page_mut(leaf).unwrap();
        leaf::set(bytes, page % shape.group_len(), kind);
        let mut counted = leaf::count(bytes, shape);
        let mut child = group;
        while let Some((_, index, at)) = path.pop() {
            let bytes = self.store.page_mut(at).unwrap();
            let place = 32 * (child as usize % shape.fan());
            let mut entry = entry::decode(bytes, place).unwrap().unwrap();
            (entry.number, entry.full) = counted;
            entry::encode(bytes, place, Some(&entry));
            let entries = (0..shape.fan()).filter_map(|it| entry::decode(bytes, 32 * it).unwrap());
            let entries: Vec<Entry> = entries.collect();
            counted = (
                entries.iter().map(|entry| entry.number).sum(),
                entries.iter().filter(|entry| entry.full).count() == shape.fan(),
            );
            child = index;
        }
        let root = self.record.space.as_mut().unwrap();
        let change = counted.0.wrapping_sub(root.number);
        (root.number, root.full) = counted;
        self.record.used = self.record.used.wrapping_add(change);
    }

    /// Changes something.
    fn change(&mut self, rng: &mut Rng) {
        let pages = self.store.geometry().page_count;
        let number = |rng: &mut Rng| match rng.below(6) {
            0 => rng.next_u64(),
            1 => 1 << rng.below(64),
            2 => pages - rng.below(2),
            _ => rng.below(pages),
        };
        let record = &mut self.record;
        match rng.below(20) {
            0 => record.page_count = number(rng),
            1 => record.used = number(rng),
            2 => record.protected = number(rng),
            3 => record.map_height = rng.below(8) as u8,
            4 => record.space_height = rng.below(8) as u8,
            5 => record.map_height = rng.next_u64() as u8,
            6 => record.generation = number(rng),
            7 => record.proven = number(rng).min(record.generation),
            8 => (record.map, record.space) = (record.space, record.map),
            9 => {
                if let Some(root) = &mut record.map {
                    root.number = number(rng) & ((1 << 48) - 1);
                    root.full ^= rng.chance(1, 2);
                }
            }
            10 => {
                if let Some(root) = &mut record.space {
                    root.number = number(rng) & ((1 << 48) - 1);
                    root.side = root.side.other();
                }
            }
            11 => record.base = number(rng).min(record.generation),
            12..16 => {
                // Another id, another page of one, or one that is as it was.
                let known = rng.below(record.deltas.ids.len().max(1) as u64) as usize;
                let known = record.deltas.ids.keys().nth(known).copied();
                let id = known.filter(|_| rng.chance(1, 2)).unwrap_or(rng.below(20));
                let entry = Entry {
                    number: number(rng) & ((1 << 48) - 1),
                    full: !rng.chance(1, 20),
                    side: Side::A,
                    birth: record.generation - rng.below(3).min(record.generation),
                    checksum: 0,
                };
                match rng.below(4) {
                    0 => _ = record.deltas.ids.remove(&id),
                    1 => _ = record.deltas.ids.insert(id, None),
                    _ => _ = record.deltas.ids.insert(id, Some(entry)),
                }
                self.count_used(rng);
            }
            16 | 17 => {
                let page = number(rng) & ((1 << 48) - 1);
                if rng.chance(1, 4) {
                    record.deltas.regular.pop_first();
                } else {
                    record.deltas.regular.insert(page, rng.chance(1, 2));
                }
                self.count_used(rng);
            }
            _ => {
                // A byte, a bit, or an entry in a used page.
                let page = rng.below(pages);
                let bytes = self.store.page_mut(page).unwrap();
                match rng.below(3) {
                    0 => bytes[rng.below(128) as usize] = rng.next_u64() as u8,
                    1 => bytes[rng.below(128) as usize] ^= 1 << rng.below(8),
                    _ => {
                        let entry = Entry {
                            number: rng.below(pages),
                            full: rng.chance(1, 2),
                            side: *rng.pick(&Side::BOTH),
                            birth: rng.below(12),
                            checksum: 0,
                        };
                        let at = 32 * rng.below(4) as usize;
                        entry::encode(bytes, at, Some(&entry));
                    }
                }
            }
        }
    }

    /// A count that is likely, so that it is not what is refused.
    fn count_used(&mut self, rng: &mut Rng) {
        self.record.used = match rng.below(4) {
            0 => self.record.used,
            1 => self.record.used.saturating_sub(1),
            _ => self.record.used.saturating_add(1),
        };
    }

    /// Pages that the deltas name.
    fn pages_of_deltas(&self) -> BTreeSet<u64> {
        let Deltas { ids, regular } = &self.record.deltas;
        let stored = ids.values().flatten().map(|entry| entry.number);
        let taken = regular.iter().filter(|(_, is_regular)| **is_regular);
        stored.chain(taken.map(|(&page, _)| page)).collect()
    }

    /// Makes all checksums right, as far as the budget goes, and writes both
    /// roots.
    pub(crate) fn seal(&mut self, equal: bool) {
        self.budget = 400;
        let (map, space) = (self.record.map, self.record.space);
        self.record.map = map.map(|root| self.sealed(true, self.record.map_height.into(), 0, root));
        self.record.space =
            space.map(|root| self.sealed(false, self.record.space_height.into(), 0, root));
        for entry in self.record.deltas.ids.values_mut().flatten() {
            if entry.number > 0
                && let Ok(bytes) = self.store.page(entry.number)
            {
                entry.checksum = xxh3(bytes);
            }
        }
        let unit = self.layout.shape().unit() as usize;
        let mut blocks = self.record.encode();
        blocks.truncate(unit);
        let slots: &[usize] = if equal { &[1, 2] } else { &[1] };
        for slot in slots {
            let at = slot * unit;
            self.store.bytes_mut()[at..at + blocks.len()].copy_from_slice(&blocks);
        }
    }

    fn sealed(&mut self, map: bool, level: u32, index: u64, entry: Entry) -> Entry {
        let page = if map {
            entry.number
        } else {
            let shape = self.layout.shape();
            match shape.fan_log2.checked_mul(level) {
                Some(shift) if shift < 30 && index < 1 << 20 => {
                    self.layout.home(level, index, entry.side)
                }
                _ => return entry,
            }
        };
        if self.budget == 0 || self.store.page(page).is_err() || (map && level == 0 && page == 0) {
            return entry;
        }
        self.budget -= 1;
        if level > 0 && index < 1 << 40 {
            for place in 0..4 {
                let bytes = self.store.page(page).unwrap();
                if let Ok(Some(child)) = entry::decode(bytes, 32 * place) {
                    let child = self.sealed(map, level - 1, 4 * index + place as u64, child);
                    let bytes = self.store.page_mut(page).unwrap();
                    entry::encode(bytes, 32 * place, Some(&child));
                }
            }
        }
        Entry {
            checksum: xxh3(self.store.page(page).unwrap()),
            ..entry
        }
    }
}

/// Does all that can be done with a file. Returns how far that came.
fn use_all(
    layout: Layout,
    store: MemoryStore,
    taken: &BTreeSet<u64>,
    rng: &mut Rng,
) -> Result<(), Error> {
    let pages = store.geometry().page_count;
    let (mut store, counter) = CountingStore::new(store);
    let bounded = |what: &str, limit: u64| {
        let reads = counter.take().reads;
        assert!(reads <= limit, "{reads} reads to {what}, of {pages} pages");
    };
    let mut file = File::open_shaped(&store, layout.shape())
        .inspect_err(|_| bounded("open", 8 * pages + 64))?;
    bounded("open", 8 * pages + 64);
    let mut bytes = vec![0; layout.shape().page_size.bytes()];
    let listed = file.protected(&store, ProtectedId(0), 200);
    bounded("list", 4000);
    for (id, location) in listed.iter().flatten() {
        assert!(
            location
                .page
                .is_none_or(|page| page < pages && !layout.is_reserved(page))
        );
        let _ = file.read(&store, *id, &mut bytes);
    }
    for _ in 0..10 {
        let _ = file.locate(&store, ProtectedId(rng.next_u64() >> rng.below(64)));
        let _ = file.kind(&store, rng.next_u64() >> rng.below(64));
    }
    let mut from = Some(0);
    while let Some(page) = from {
        from = file.runs(&store, page)?.next;
    }
    counter.take();
    let _ = file.find_free_id(&store, ProtectedId(0));
    let _ = file.find_free(&store, rng.below(pages));
    bounded("find", 100);
    for round in 0..4 {
        let mut changes = Changes::default();
        let id = file.find_free_id(&store, ProtectedId(0))?;
        let free = file.find_free(&store, 0)?;
        assert!(!layout.is_reserved(free));
        changes.allocated.insert(free);
        changes
            .protected
            .insert(id, Change::New(Some(store.stage(None).unwrap())));
        if let Some((id, _)) = listed.iter().flatten().next() {
            changes.protected.entry(*id).or_insert(Change::Free);
        }
        counter.take();
        let done = file.commit(&mut store, &changes);
        bounded("commit", 400);
        done?;
        let page = file.locate(&store, id)?.page;
        assert!(page.is_some_and(|page| page != free && !layout.is_reserved(page)));
        // Another one may have been freed since.
        assert!(round > 0 || !taken.contains(&free));
        assert!(round > 0 || page.is_none_or(|page| !taken.contains(&page)));
        file.regular(&store, free)?;
    }
    Ok(())
}

#[test]
fn no_crafted_file_panics_hangs_or_gives_away_what_is_not_free() {
    let mut outcomes = [0_u32; 3];
    let scenes: Vec<_> = (0..12)
        .map(|seed| {
            let layout = if seed == 5 {
                odd(SMALL)
            } else {
                layout(4 * (seed % 2) + seed / 4)
            };
            let mut scene = Scene::new(MemoryStore::new(layout.shape().page_size), layout, seed);
            for _ in 0..12 {
                scene.step().unwrap();
            }
            scene
        })
        .collect();
    let mut rng = Rng::new(5);
    let files = match std::env::var("PAGEBOX_HOSTILE_FILES") {
        Ok(count) => count.parse().expect("PAGEBOX_HOSTILE_FILES is a number"),
        Err(_) => FILES,
    };
    for number in 0..files {
        let mut crafted = {
            let scene = &scenes[number as usize % scenes.len()];
            Crafted::of(&scene.store, scene.layout)
        };
        for _ in 0..rng.between(1, 3) {
            crafted.change(&mut rng);
        }
        let equal = rng.chance(1, 2);
        crafted.seal(equal);
        let layout = crafted.layout;
        // Where the roots differ the other one may count.
        let taken = if equal {
            crafted.pages_of_deltas()
        } else {
            BTreeSet::new()
        };
        let outcome = match use_all(layout, crafted.store, &taken, &mut rng) {
            Ok(()) => 0,
            Err(Error::Damaged(_) | Error::Identity(_)) => 1,
            Err(_) => 2,
        };
        outcomes[outcome] += 1;
    }
    figures::print(&format!(
        "format 1: crafted files used, refused at opening, refused later: {outcomes:?}"
    ));
    assert!(
        outcomes.iter().all(|&count| count > files as u32 / 100),
        "{outcomes:?}"
    );
}

/// Nine levels of nodes, all entries of each naming the one page below: 2^45
/// paths, through nine pages.
#[test]
fn nodes_that_share_their_children_do_not_make_opening_or_finding_long() {
    let shape = Shape::of(PageSize::KIB_1);
    let layout = Layout::regular(shape);
    for (lie, equal) in [(false, false), (false, true), (true, true)] {
        let mut store = MemoryStore::new(shape.page_size);
        File::create_shaped(&mut store, layout, UUID, 60).unwrap();
        let mut entry = Entry::zeros(2);
        for page in 40..49 {
            let bytes = store.page_mut(page).unwrap();
            for place in 0..32 {
                entry::encode(bytes, 32 * place, Some(&entry));
            }
            entry = Entry {
                number: page,
                full: !lie,
                side: Side::A,
                birth: 2,
                checksum: xxh3(store.page(page).unwrap()),
            };
        }
        let unit = shape.unit() as usize;
        let mut record = Record::decode(&store.bytes()[unit..unit + 4096]).unwrap();
        (record.generation, record.base) = (2, 2);
        (record.map, record.map_height) = (Some(entry), 9);
        let blocks = record.encode();
        store.bytes_mut()[unit..unit + 4096].copy_from_slice(&blocks);
        if equal {
            store.bytes_mut()[2 * unit..2 * unit + 4096].copy_from_slice(&blocks);
        }
        let (mut store, counter) = CountingStore::new(store);
        match File::open(&store) {
            Ok(mut file) if equal => {
                let listed = file.protected(&store, ProtectedId(0), 100);
                assert_eq!(listed.is_err(), lie);
                let free = file.find_free_id(&store, ProtectedId(0));
                assert_eq!(free.ok(), (!lie).then_some(ProtectedId(1 << 45)));
                // Those that move nothing end, too.
                let mut steps = (0..9).map(|_| file.compact(&mut store, 58, 100));
                assert!(steps.any(|step| step.is_err()));
            }
            // The commit before counts.
            Ok(file) => assert_eq!(file.stats().generation, 1),
            Err(error) => panic!("{error}"),
        }
        assert!(counter.take().reads < 100);
    }
}

/// A file of one group, with three protected pages below one node.
fn small_file() -> Crafted {
    let layout = with_deltas(Layout::regular(SMALL), 0);
    let mut store = MemoryStore::new(SMALL.page_size);
    let mut file = File::create_shaped(&mut store, layout, UUID, 30).unwrap();
    let mut changes = Changes::default();
    for id in 0..3 {
        let bytes = store.stage(None).unwrap();
        let change = Change::New(Some(bytes));
        changes.protected.insert(ProtectedId(id), change);
    }
    file.commit(&mut store, &changes).unwrap();
    let record = Record::decode(&store.bytes()[4096..8192]).unwrap();
    assert_eq!((record.map_height, record.space_height), (1, 0));
    Crafted {
        layout,
        store,
        record,
        budget: 0,
    }
}

fn corrupt<T>(result: Result<T, Error>) -> Option<&'static str> {
    match result {
        Ok(_) => None,
        Err(Error::Corrupt { fault, .. }) => Some(fault),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn entries_of_pages_that_nobody_can_have_are_refused() {
    let page_count = small_file().record.page_count;
    let home = small_file().layout.home(0, 0, Side::A);
    let past = "an entry names a page past the page count";
    let own = "an entry names a page of the file's own";
    let zeros = "a page of zeros has a checksum";
    for (page, fault) in [
        (1, own),
        (4, own),
        (11, own),
        (home, own),
        (home + 1, own),
        (page_count, past),
        (1 << 47, past),
        (0, zeros),
    ] {
        let mut crafted = small_file();
        let node = crafted.record.map.unwrap().number;
        let bytes = crafted.store.page_mut(node).unwrap();
        let mut entry = entry::decode(bytes, 0).unwrap().unwrap();
        entry.number = page;
        entry::encode(bytes, 0, Some(&entry));
        crafted.seal(true);
        let mut file = File::open_shaped(&crafted.store, SMALL).unwrap();
        let listed = file.protected(&crafted.store, ProtectedId(0), 9);
        assert_eq!(corrupt(listed), Some(fault), "page {page}");
        let found = file.locate(&crafted.store, ProtectedId(1));
        assert_eq!(corrupt(found), Some(fault), "page {page}");
    }
}

#[test]
fn leaves_that_give_away_what_is_not_free_are_refused() {
    let layout = small_file().layout;
    let home = layout.home(0, 0, Side::B);
    let unmarked = "a page of the file's own is not marked";
    let marked = "a page that is not the file's own is marked as that";
    let past = "a page past the page count is used";
    let unknown = "a page is of a kind that is not known here";
    for (place, nibble, fault) in [
        (0, 0, unmarked),
        (8, 1, unmarked),
        (home, 2, unmarked),
        (layout.own(0), 5, marked),
        (29, 7, unknown),
        (29, 8, unknown),
        (29, 15, unknown),
        (31, 1, past),
        (31, 6, past),
    ] {
        let mut crafted = small_file();
        if crafted.record.page_count > 31 {
            crafted.record.page_count = 31;
        }
        let mut root = crafted.record.space.unwrap();
        let leaf = layout.home(0, 0, root.side);
        let bytes = crafted.store.page_mut(leaf).unwrap();
        let byte = &mut bytes[place as usize / 2];
        let shift = 4 * (place % 2);
        *byte = *byte & !(15 << shift) | nibble << shift;
        (root.number, root.full) = leaf::count(bytes, SMALL);
        (crafted.record.space, crafted.record.used) = (Some(root), root.number);
        crafted.seal(true);
        let mut file = File::open_shaped(&crafted.store, SMALL).unwrap();
        let found = file.find_free(&crafted.store, 0);
        assert_eq!(corrupt(found), Some(fault), "page {place}");
        let regular = file.kind(&crafted.store, place);
        assert!(
            place >= 31 || corrupt(regular) == Some(fault),
            "page {place}"
        );
    }
}
