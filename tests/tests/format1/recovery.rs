//! Which root counts, case by case.

use pagebox_core::ProtectedId;
use pagebox_core::changes::{Change, Changes};
use pagebox_core::format1::record::Record;
use pagebox_core::format1::{Damage, Error, File, Layout, Verdict};
use pagebox_store::{MemoryStore, PageBuffer, PageStore};

use super::scene::{SMALL, UUID, with_deltas};

const UNIT: usize = 4096;

fn put(store: &mut MemoryStore, file: &mut File, id: u64, byte: u8) {
    let mut changes = Changes::default();
    let bytes = PageBuffer::from(&vec![byte; 1024][..]);
    let id = ProtectedId(id);
    let change = match file.locate(store, id) {
        Ok(_) => Change::Write(bytes),
        Err(_) => Change::New(Some(bytes)),
    };
    changes.protected.insert(id, change);
    file.commit(store, &changes).unwrap();
}

/// A file after two commits to one page, and the slots of both.
fn two_commits() -> (MemoryStore, [Vec<u8>; 2]) {
    two_commits_of(Layout::regular(SMALL))
}

fn two_commits_of(layout: Layout) -> (MemoryStore, [Vec<u8>; 2]) {
    let mut store = MemoryStore::new(SMALL.page_size);
    let mut file = File::create_shaped(&mut store, layout, UUID, 100).unwrap();
    put(&mut store, &mut file, 0, 1);
    let old = store.bytes()[UNIT..2 * UNIT].to_vec();
    put(&mut store, &mut file, 0, 2);
    let new = store.bytes()[UNIT..2 * UNIT].to_vec();
    (store, [old, new])
}

fn set_slot(store: &mut MemoryStore, slot: usize, bytes: &[u8]) {
    store.bytes_mut()[slot * UNIT..(slot + 1) * UNIT].copy_from_slice(bytes);
}

fn open(store: &MemoryStore) -> Result<File, Error> {
    File::open_shaped(store, SMALL)
}

/// The verdict, and the first byte of the page.
fn shown(store: &MemoryStore) -> (Verdict, u8) {
    let mut file = open(store).unwrap();
    let mut bytes = vec![0; 1024];
    file.read(store, ProtectedId(0), &mut bytes).unwrap();
    (file.verdict(), bytes[0])
}

fn page_of(store: &MemoryStore) -> u64 {
    let mut file = open(store).unwrap();
    let location = file.locate(store, ProtectedId(0)).unwrap();
    location.page.unwrap()
}

#[test]
fn newer_root_counts_if_what_it_reaches_is_there() {
    let (store, [old, new]) = two_commits();
    assert_eq!(shown(&store), (Verdict::Acknowledged, 2));
    for slot in [1, 2] {
        let mut store = store.clone();
        set_slot(&mut store, slot, &old);
        assert_eq!(shown(&store), (Verdict::Complete, 2));
        set_slot(&mut store, slot, &vec![0; UNIT]);
        assert_eq!(shown(&store), (Verdict::OneRoot, 2));
        set_slot(&mut store, 3 - slot, &old);
        assert_eq!(shown(&store), (Verdict::OneRoot, 1));
        set_slot(&mut store, slot, &new);
        let page = page_of(&store);
        store.page_mut(page).unwrap()[1000] ^= 1;
        assert_eq!(shown(&store), (Verdict::RolledBack, 1));
        // The only root, or both: no crash leaves that.
        set_slot(&mut store, 3 - slot, &vec![0; UNIT]);
        let damage = open(&store).err();
        assert!(
            matches!(damage, Some(Error::Damaged(Damage::Unsound { .. }))),
            "{damage:?}"
        );
        set_slot(&mut store, 3 - slot, &new);
        assert_eq!(open(&store).unwrap().verdict(), Verdict::Acknowledged);
        let mut bytes = vec![0; 1024];
        let read = open(&store)
            .unwrap()
            .read(&store, ProtectedId(0), &mut bytes);
        assert!(matches!(read, Err(Error::ChecksumMismatch { .. })));
    }
}

/// Nodes and leaves count as much as the pages.
#[test]
fn newer_root_whose_node_or_leaf_is_not_there_is_rolled_back() {
    let layout = with_deltas(Layout::regular(SMALL), 0);
    let (store, [old, new]) = two_commits_of(layout);
    let record = Record::decode(&new).unwrap();
    let node = record.map.unwrap().number;
    let leaf = layout.home(0, 0, record.space.unwrap().side);
    for page in [node, leaf] {
        let mut store = store.clone();
        set_slot(&mut store, 2, &old);
        store.page_mut(page).unwrap()[5] ^= 1;
        assert_eq!(shown(&store), (Verdict::RolledBack, 1));
    }
}

/// What was born before *proven* was durable: rot there is no unfinished commit.
#[test]
fn newer_root_is_not_rolled_back_for_what_was_proven_before() {
    let mut store = MemoryStore::new(SMALL.page_size);
    let mut file = File::create_shaped(&mut store, Layout::regular(SMALL), UUID, 100).unwrap();
    put(&mut store, &mut file, 0, 1);
    put(&mut store, &mut file, 1, 1);
    let old = store.bytes()[UNIT..2 * UNIT].to_vec();
    put(&mut store, &mut file, 1, 2);
    set_slot(&mut store, 2, &old);
    let page = page_of(&store);
    store.page_mut(page).unwrap()[7] ^= 1;
    assert_eq!(open(&store).unwrap().verdict(), Verdict::Complete);
}

#[test]
fn file_that_was_cut_off_is_damage() {
    let (store, [old, _]) = two_commits();
    for slots in [[1, 2], [1, 1]] {
        let mut store = store.clone();
        if slots == [1, 1] {
            set_slot(&mut store, 2, &old);
        }
        let len = store.bytes().len();
        store.bytes_mut().truncate(len - 1);
        let damage = open(&store).err();
        assert!(
            matches!(damage, Some(Error::Damaged(Damage::Short(short))) if short.pages == 99),
            "{damage:?}"
        );
    }
    // Longer is slack, and is used before the file grows.
    let mut longer = store;
    longer.grow(150).unwrap();
    let mut file = open(&longer).unwrap();
    assert_eq!(file.stats().page_count, 100);
    let grown = (0..).find_map(|id| {
        put(&mut longer, &mut file, id, 3);
        (file.stats().page_count != 100).then_some(file.stats().page_count)
    });
    assert_eq!((grown, longer.geometry().page_count), (Some(150), 150));
}

/// A torn record of a commit that never was: its sectors say which generation
/// must not come again, since they could complete one.
#[test]
fn next_generation_is_above_every_stamp_but_rotten_ones() {
    for (stamp, next) in [
        (9, 10),
        (3 + (1 << 20), 4 + (1 << 20)),
        (4 + (1 << 20), 4),
        (u64::MAX, 4),
    ] {
        let (mut store, [_, new]) = two_commits();
        assert_eq!(Record::decode(&new).unwrap().generation, 3);
        let at = 2 * UNIT + 3 * 512 + 504;
        store.bytes_mut()[at..at + 8].copy_from_slice(&stamp.to_le_bytes());
        let mut file = open(&store).unwrap();
        put(&mut store, &mut file, 0, 3);
        assert_eq!(file.stats().generation, next, "{stamp}");
    }
}

/// Settling writes nothing but what is there already, and both slots.
#[test]
fn settling_makes_both_slots_equal() {
    let (store, [old, _]) = two_commits();
    for slot in [1, 2] {
        let mut store = store.clone();
        set_slot(&mut store, slot, &old);
        let mut file = open(&store).unwrap();
        file.settle(&mut store).unwrap();
        assert_eq!(shown(&store), (Verdict::Acknowledged, 2));
        // What rotted since it was verified is not made durable.
        set_slot(&mut store, slot, &old);
        let mut file = open(&store).unwrap();
        let page = page_of(&store);
        store.page_mut(page).unwrap()[7] ^= 1;
        let settled = file.settle(&mut store);
        assert!(matches!(settled, Err(Error::Corrupt { .. })), "{settled:?}");
        assert_eq!(shown(&store), (Verdict::RolledBack, 1));
    }
}
