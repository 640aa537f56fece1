//! Files of any size: what an operation asks of its store is counted, at 2^14,
//! 2^28 and 2^40 pages. Only the height of the trees may show.

use std::cell::RefCell;

use pagebox_core::changes::{Change, Changes};
use pagebox_core::format1::{File, Shape, Verdict};
use pagebox_core::inspect::Inspector;
use pagebox_core::{Access, Pager, ProtectedId};
use pagebox_store::{PageSize, PageStore};
use pagebox_tests::counting::{Counter, CountingStore, Counts};
use pagebox_tests::craft1::{Crafted, Group, HEIGHTS, PAGE_COUNT, Tree, USED, leaf, put, space};
use pagebox_tests::rng::Rng;
use pagebox_tests::shown::numbers;
use pagebox_tests::sparse::SparseStore;

use super::scene::UUID;

const SIZE: PageSize = PageSize::KIB_4;

/// Powers of two.
const PAGES: [u32; 3] = [14, 28, 40];

/// How the pages of a file are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Used {
    /// All is free.
    Nothing,
    /// All but one group in the middle, and the last one, of which a page each is
    /// free.
    AlmostAll,
    /// Every second page of the first group, and all others but the last.
    InPieces,
}

/// A file of so many pages, one of them protected, acknowledged and folded.
fn file(log2: u32, used: Used) -> SparseStore {
    let mut store = SparseStore::new(SIZE);
    let mut file = File::create(&mut store, UUID, 1 << log2).unwrap();
    let numbers = numbers(SIZE.bytes());
    let page_count = file.stats().page_count;
    if used != Used::Nothing {
        let groups = page_count.div_ceil(numbers.group);
        let free = |group: u64| match used {
            Used::AlmostAll => group == groups / 2 || group == groups - 1,
            _ => group == 0 || group == groups - 1,
        };
        let made = RefCell::new(&mut store);
        let root = space(
            numbers,
            groups,
            |group| {
                if !free(group) {
                    return Group::Full;
                }
                Group::Leaf(leaf(numbers, group, page_count, |place| {
                    let is_free = match used {
                        Used::InPieces => place.is_multiple_of(2),
                        _ => place >= 8000,
                    };
                    u8::from(!is_free)
                }))
            },
            |page, bytes| made.borrow_mut().put_page(page, bytes),
        );
        let mut crafted = Crafted::of(&store, numbers);
        crafted.put_root(Tree::Space, root.root);
        crafted.payload[HEIGHTS[1]] = root.height as u8;
        put(&mut crafted.payload, USED, root.root.number());
        assert_eq!(crafted.number(PAGE_COUNT), page_count);
        crafted.write_root(1);
        crafted.write_root(2);
        store = crafted.store;
        file = File::open(&store).unwrap();
    }
    let mut bytes = store.stage(None).unwrap();
    bytes[7] = 7;
    let mut changes = Changes::default();
    changes
        .protected
        .insert(ProtectedId(0), Change::New(Some(bytes)));
    file.commit(&mut store, &changes).unwrap();
    file.close(&mut store).unwrap();
    store
}

/// What opening, a first read, a search, a commit and an allocation ask for.
#[derive(Debug, PartialEq, Eq)]
struct Asked {
    open: Counts,
    read: Counts,
    find: Counts,
    commit: Counts,
    alloc: Counts,
}

fn asked(store: SparseStore, from: u64) -> (Asked, SparseStore) {
    let (mut store, counter) = CountingStore::new(store);
    let count = |counter: &Counter| counter.take();
    let mut file = File::open(&store).unwrap();
    assert_eq!(file.verdict(), Verdict::Acknowledged);
    let open = count(&counter);
    let mut bytes = store.stage(None).unwrap();
    count(&counter);
    file.read(&store, ProtectedId(0), &mut bytes).unwrap();
    assert_eq!(bytes[7], 7);
    let read = count(&counter);
    let page = file.find_free(&store, from).unwrap();
    let find = count(&counter);
    file.settle(&mut store).unwrap();
    count(&counter);
    let mut changes = Changes::default();
    changes
        .protected
        .insert(ProtectedId(0), Change::Write(bytes));
    file.commit(&mut store, &changes).unwrap();
    let commit = count(&counter);
    // The commit may have taken it.
    let page = file.find_free(&store, page).unwrap();
    count(&counter);
    let mut changes = Changes::default();
    changes.allocated.insert(page);
    file.commit(&mut store, &changes).unwrap();
    let alloc = count(&counter);
    let asked = Asked {
        open,
        read,
        find,
        commit,
        alloc,
    };
    (asked, store.into_inner())
}

#[test]
fn operations_ask_for_as_much_whatever_the_size_but_for_the_height_of_the_trees() {
    for used in [Used::Nothing, Used::AlmostAll, Used::InPieces] {
        let mut all = Vec::new();
        for log2 in PAGES {
            let store = file(log2, used);
            let from = if used == Used::InPieces {
                0
            } else {
                1 << (log2 - 2)
            };
            let groups = (1_u64 << log2) / Shape::of(SIZE).group_len();
            let height = u64::from(groups.ilog2().div_ceil(Shape::of(SIZE).fan_log2));
            let (asked, store) = asked(store, from);
            assert!(store.written() < 1000, "{} pages", store.written());
            all.push((log2, height, asked));
        }
        let (_, _, small) = &all[0];
        for (log2, height, asked) in &all {
            let context = format!("{used:?}, 2^{log2} pages: {asked:#?}");
            assert_eq!(asked.open, small.open, "{context}");
            // The node of MAP and the page.
            assert_eq!(asked.read.reads, 2, "{context}");
            // A way down SPACE, and where the first is full a second one.
            let ways = if used == Used::Nothing { 1 } else { 2 };
            assert!(asked.find.reads <= ways * (height + 1), "{context}");
            assert!(
                asked.commit.reads <= small.commit.reads + height,
                "{context}"
            );
            assert!(asked.alloc.reads <= small.alloc.reads + height, "{context}");
            for (one, other) in [(asked.commit, small.commit), (asked.alloc, small.alloc)] {
                // A page and the record, twice; nothing is folded.
                let of = |it: Counts| (it.pages, it.syncs, it.writes, it.grows);
                assert_eq!(of(one), of(other), "{context}");
                assert!(one.pages <= 4, "{context}");
            }
        }
    }
}

#[test]
fn figures_and_maps_of_huge_files_read_a_few_pages() {
    let (store, counter) = CountingStore::new(file(40, Used::Nothing));
    let mut inspector = Inspector::open(store);
    let counts = inspector.counts();
    assert_eq!(counts.iter().sum::<u64>(), 1 << 40);
    let stats = inspector.summary().stats;
    assert_eq!(stats.free_pages, Some(counts[0]));
    let free = inspector.free_space();
    // One in each group.
    assert_eq!(free.runs.iter().sum::<u64>(), 1 << 27);
    assert_eq!(free.longest, Some(8190));
    let tiles = inspector.tiles(0, 1 << 30, 2000);
    assert_eq!(tiles.len(), 1 << 10);
    let asked = counter.take();
    assert!(asked.reads < 40, "{asked:?}");
}

/// Of 128 groups with a regular page in each, and 1,000 protected pages.
fn file_with_many_leaves() -> SparseStore {
    let numbers = numbers(SIZE.bytes());
    let mut store = SparseStore::new(SIZE);
    let mut file = File::create(&mut store, UUID, 1 << 20).unwrap();
    let mut changes = Changes::default();
    for group in 0..1 << 7 {
        changes.allocated.insert(group * numbers.group + 100);
    }
    for id in 0..1000 {
        let bytes = store.stage(None).unwrap();
        changes
            .protected
            .insert(ProtectedId(id), Change::New(Some(bytes)));
    }
    file.commit(&mut store, &changes).unwrap();
    file.close(&mut store).unwrap();
    store
}

/// They are counted for the figures, which are asked for when a file is opened.
#[test]
fn regular_pages_are_counted_a_bounded_part_at_a_time() {
    let (store, counter) = CountingStore::new(file_with_many_leaves());
    let mut pager = Pager::open(store, Access::Write).unwrap();
    counter.take();
    assert_eq!(pager.stats().regular_pages, None);
    let asked = counter.take();
    assert!(asked.reads <= 10, "{asked:?}");
    // What was counted is not what is there after a commit.
    let mut transaction = pager.begin().unwrap();
    pager.alloc(&mut transaction, 5).unwrap();
    pager.commit(transaction).unwrap();
    let counted = (0..3).find_map(|_| pager.stats().regular_pages);
    assert_eq!(counted, Some(128 + 5));
    // And from then on it is known.
    let mut transaction = pager.begin().unwrap();
    pager.free(&mut transaction, &[100]).unwrap();
    pager.commit(transaction).unwrap();
    assert_eq!(pager.stats().regular_pages, Some(128 + 4));
}

/// More leaves than one part of the check looks at, and more nodes.
#[test]
fn check_goes_up_part_by_part_and_tells_how_far_it_is() {
    let mut inspector = Inspector::open(file_with_many_leaves());
    let (mut next, mut shown) = (Some(0), Vec::new());
    while let Some(cursor) = next {
        let part = inspector.findings(cursor);
        assert!(part.findings.is_empty(), "{:?}", part.findings);
        assert!(part.next.is_none_or(|next| next > cursor), "{part:?}");
        next = part.next;
        shown.push((part.done, part.total));
    }
    // What recovery says, two parts of leaves and one that finds no more, eight
    // nodes, and the end.
    assert_eq!(shown.len(), 13, "{shown:?}");
    assert!(shown.is_sorted() && shown.iter().all(|(_, total)| *total == shown[0].1));
    // Half of the leaves are a sixteenth of all.
    assert_eq!(shown[1].0, 65, "{shown:?}");
    assert_eq!(shown.last(), Some(&(128 + 1000 + 2, 128 + 1000 + 2)));
}

/// More nodes of MAP than may be in memory, a page of zeros in each.
#[test]
fn million_random_reads_take_bounded_memory() {
    let shape = Shape::of(SIZE);
    let mut store = SparseStore::new(SIZE);
    let mut file = File::create(&mut store, UUID, 1 << 28).unwrap();
    let ids = (0..5000).map(|node| shape.first_key(1, node) + node % 128);
    let mut changes = Changes::default();
    changes
        .protected
        .extend(ids.map(|id| (ProtectedId(id), Change::New(None))));
    file.commit(&mut store, &changes).unwrap();
    file.close(&mut store).unwrap();
    let ids: Vec<ProtectedId> = changes.protected.into_keys().collect();
    let mut file = File::open(&store).unwrap();
    let mut rng = Rng::new(1);
    for _ in 0..1_000_000 {
        file.locate(&store, *rng.pick(&ids)).unwrap();
    }
    let cached = file.stats().cached_pages * SIZE.bytes();
    assert!(cached > 4 << 20 && cached <= 8 << 20, "{cached} bytes");
}
