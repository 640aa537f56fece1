//! What a record says of changes since the last fold: what it costs, when it
//! counts, and records that say what cannot be.

use pagebox_core::changes::{Change, Changes};
use pagebox_core::checksum::xxh3;
use pagebox_core::file::File as AnyFile;
use pagebox_core::format1::deltas::Deltas;
use pagebox_core::format1::entry::Entry;
use pagebox_core::format1::record::Record;
use pagebox_core::format1::{Damage, Error, File, Kind, Layout, Shape, Verdict};
use pagebox_core::kinds::PageKind;
use pagebox_core::{ProtectedId, Side};
use pagebox_store::{
    Algorithm, Change as Written, Checksum, Geometry, MemoryStore, PageBuffer, PageSize, PageStore,
    StoreError,
};

use super::scene::{SMALL, UUID, agree, state_of, with_deltas};

const UNIT: usize = 4096;

fn page(size: PageSize, byte: u8) -> PageBuffer {
    PageBuffer::from(&vec![byte; size.bytes()][..])
}

/// What a store was told, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Noted {
    Write(u64),
    Sync,
}

/// Notes what it is told.
#[derive(Debug)]
struct NotingStore {
    inner: MemoryStore,
    noted: Vec<Noted>,
}

impl PageStore for NotingStore {
    type Buffer = PageBuffer;

    fn geometry(&self) -> Geometry {
        self.inner.geometry()
    }

    fn read(&self, page: u64, offset: u32, bytes: &mut [u8]) -> Result<(), StoreError> {
        self.inner.read(page, offset, bytes)
    }

    fn checksum(&self, page: u64, algorithm: Algorithm) -> Result<Checksum, StoreError> {
        self.inner.checksum(page, algorithm)
    }

    fn stage(&self, source: Option<u64>) -> Result<PageBuffer, StoreError> {
        self.inner.stage(source)
    }

    fn write(&mut self, changes: &[Written<'_, PageBuffer>]) -> Result<(), StoreError> {
        self.noted
            .extend(changes.iter().map(|change| match *change {
                Written::Staged { page, .. } | Written::Bytes { page, .. } => Noted::Write(page),
                Written::Sync => Noted::Sync,
                _ => unreachable!("nothing else is written here"),
            }));
        self.inner.write(changes)
    }

    fn grow(&mut self, page_count: u64) -> Result<Geometry, StoreError> {
        self.inner.grow(page_count)
    }
}

/// Its page and a block with the record, one sync, and the block again.
#[test]
fn commit_between_folds_writes_its_page_and_one_block() {
    let shape = Shape::of(PageSize::KIB_4);
    let mut store = NotingStore {
        inner: MemoryStore::new(shape.page_size),
        noted: Vec::new(),
    };
    let mut file = File::create(&mut store, UUID, 1000).unwrap();
    let mut changes = Changes::default();
    for id in 0..200 {
        let bytes = page(shape.page_size, 1);
        let change = Change::New(Some(bytes));
        changes.protected.insert(ProtectedId(id), change);
    }
    file.commit(&mut store, &changes).unwrap();
    let mut folds = Vec::new();
    for number in 0..300 {
        let id = ProtectedId(number % 200);
        let mut changes = Changes::default();
        let bytes = page(shape.page_size, 2);
        changes.protected.insert(id, Change::Write(bytes));
        store.noted.clear();
        file.commit(&mut store, &changes).unwrap();
        let written = file.locate(&store, id).unwrap().page.unwrap();
        // The slots take turns, and the copy goes to the other one.
        let slots = if number % 2 == 0 { [1, 2] } else { [2, 1] };
        let [root, copy] = slots.map(Noted::Write);
        let last = [root, Noted::Sync, copy];
        if state_of(&store.inner, shape).unwrap().deltas.count() > 0 {
            let all = [&[Noted::Write(written)], &last[..]].concat();
            assert_eq!(store.noted, all, "commit {number}");
        } else {
            folds.push(number);
            assert!(store.noted.ends_with(&last));
            // At most the nodes of MAP, and the leaf of SPACE.
            assert!(store.noted.len() <= 1 + 3 + 1 + 3, "{:?}", store.noted);
        }
    }
    // 94 fit; the next one folds.
    assert_eq!(folds, [94, 189, 284]);
}

/// A file of one group: protected pages 0 to 3 and two regular pages as of a
/// fold; then id 1 was written, 2 freed, 4 stored, and one regular page freed.
struct Sample {
    store: MemoryStore,
    record: Record,
    /// The pages that ids 0 to 3 had at the fold.
    old: Vec<u64>,
    /// The regular pages of the fold.
    regular: [u64; 2],
}

fn sample() -> Sample {
    let mut store = MemoryStore::new(SMALL.page_size);
    let layout = with_deltas(Layout::regular(SMALL), 0);
    let mut file = File::create_shaped(&mut store, layout, UUID, 32).unwrap();
    let mut changes = Changes::default();
    let mut regular = [0; 2];
    for page in &mut regular {
        *page = file.find_free(&store, 28).unwrap();
        changes.allocated.insert(*page);
        file.commit(&mut store, &changes).unwrap();
        changes = Changes::default();
    }
    for id in 0..4 {
        let bytes = Change::New(Some(page(SMALL.page_size, id as u8)));
        changes.protected.insert(ProtectedId(id), bytes);
    }
    file.commit(&mut store, &changes).unwrap();
    let found = file.protected(&store, ProtectedId(0), 4).unwrap();
    let old = found.iter().map(|(_, at)| at.page.unwrap()).collect();
    let mut file = File::open_shaped(&store, SMALL).unwrap();
    let mut changes = Changes::default();
    let bytes = || page(SMALL.page_size, 9);
    changes.protected = [
        (ProtectedId(1), Change::Write(bytes())),
        (ProtectedId(2), Change::Free),
        (ProtectedId(4), Change::New(Some(bytes()))),
    ]
    .into();
    changes.freed.insert(regular[0]);
    file.commit(&mut store, &changes).unwrap();
    let record = Record::decode(&store.bytes()[UNIT..2 * UNIT]).unwrap();
    assert_eq!(record.deltas.encoded_len(), 3 * 40 + 8);
    Sample {
        store,
        record,
        old,
        regular,
    }
}

impl Sample {
    /// The file with other deltas, in both slots.
    fn with(&self, change: impl FnOnce(&mut Record)) -> MemoryStore {
        let mut record = self.record.clone();
        change(&mut record);
        let mut store = self.store.clone();
        let blocks = record.encode();
        for slot in [UNIT, 2 * UNIT] {
            store.bytes_mut()[slot..slot + blocks.len()].copy_from_slice(&blocks);
        }
        store
    }

    /// What an id names that was stored since the fold.
    fn entry(&self, id: u64) -> Entry {
        self.record.deltas.ids[&id].unwrap()
    }

    fn naming(&self, page: u64) -> Entry {
        Entry {
            number: page,
            full: true,
            side: Side::A,
            birth: self.record.generation,
            checksum: xxh3(self.store.page(page).unwrap()),
        }
    }
}

#[test]
fn trees_are_read_with_the_deltas_laid_over() {
    let sample = sample();
    let store = sample.with(|_| {});
    let state = state_of(&store, SMALL).unwrap();
    assert_eq!(state.deltas.count(), 4);
    let mut file = File::open_shaped(&store, SMALL).unwrap();
    agree(&mut file, &store, &state).unwrap();
    // What they freed is free, whatever the trees name.
    let freed = [sample.old[1], sample.old[2], sample.regular[0]];
    for page in freed {
        assert_eq!(file.kind(&store, page), Ok(Kind::Free));
        assert_eq!(file.find_free(&store, page), Ok(page));
    }
    let taken = sample.entry(4).number;
    assert_eq!(file.kind(&store, taken), Ok(Kind::Protected));
    assert_eq!(
        file.find_free_id(&store, ProtectedId(0)),
        Ok(ProtectedId(2))
    );
    assert_eq!(
        file.find_free_id(&store, ProtectedId(3)),
        Ok(ProtectedId(5))
    );
    assert_eq!(
        file.locate(&store, ProtectedId(2)),
        Err(Error::NotProtected { id: ProtectedId(2) })
    );
}

/// A page that a changed id had, and that another id or a caller has by now.
#[test]
fn page_that_was_freed_and_taken_again_is_the_new_ones() {
    let sample = sample();
    let mut store = sample.with(|_| {});
    let mut file = File::open_shaped(&store, SMALL).unwrap();
    let freed = [sample.old[1], sample.old[2], sample.regular[0]];
    // Each is taken by a protected page, but for one.
    let mut changes = Changes::default();
    changes.allocated.insert(freed[0]);
    file.commit(&mut store, &changes).unwrap();
    let mut id = 5;
    let mut taken = Vec::new();
    while !freed[1..].iter().all(|page| taken.contains(page)) {
        let mut changes = Changes::default();
        let bytes = Change::New(Some(page(SMALL.page_size, 7)));
        changes.protected.insert(ProtectedId(id), bytes);
        file.commit(&mut store, &changes).unwrap();
        let found = file.locate(&store, ProtectedId(id)).unwrap();
        taken.extend(found.page);
        id += 1;
    }
    let state = state_of(&store, SMALL).unwrap();
    assert!(state.deltas.count() > 4 && state.regular.contains(&freed[0]));
    let mut again = File::open_shaped(&store, SMALL).unwrap();
    agree(&mut again, &store, &state).unwrap();
    assert_eq!(again.kind(&store, freed[0]), Ok(Kind::Regular));
    assert_eq!(again.kind(&store, freed[2]), Ok(Kind::Protected));
    // And a fold writes it so.
    file.close(&mut store).unwrap();
    let folded = state_of(&store, SMALL).unwrap();
    assert_eq!(folded.deltas.count(), 0);
    assert_eq!(folded.protected, state.protected);
    assert_eq!(folded.regular, state.regular);
    let mut again = File::open_shaped(&store, SMALL).unwrap();
    agree(&mut again, &store, &folded).unwrap();
}

/// It is of the commit as much as a node.
#[test]
fn newer_root_whose_deltas_name_what_is_not_there_is_rolled_back() {
    let sample = sample();
    for id in [1, 4] {
        let mut store = sample.with(|_| {});
        // The record before has no deltas.
        let mut older = sample.record.clone();
        older.deltas = Deltas::default();
        older.generation -= 1;
        older.proven -= 1;
        (older.used, older.protected) = (older.space.unwrap().number, 4);
        let blocks = older.encode();
        store.bytes_mut()[2 * UNIT..2 * UNIT + blocks.len()].copy_from_slice(&blocks);
        let complete = File::open_shaped(&store, SMALL).unwrap();
        assert_eq!(complete.verdict(), Verdict::Complete);
        let page = sample.entry(id).number;
        store.page_mut(page).unwrap()[3] ^= 1;
        let mut file = File::open_shaped(&store, SMALL).unwrap();
        assert_eq!(file.verdict(), Verdict::RolledBack, "id {id}");
        assert!(file.locate(&store, ProtectedId(2)).is_ok());
    }
}

/// Each by itself: found when the file is opened.
#[test]
fn deltas_of_what_nobody_can_have_are_refused_at_opening() {
    type Spoil = fn(&Sample, &mut Record);
    let cases: [(Spoil, &str); 9] = [
        (
            |sample, record| _ = record.deltas.ids.insert(5, Some(sample.naming(4))),
            "an entry names a page of the file's own",
        ),
        (
            |sample, record| {
                let past = Entry {
                    number: record.page_count,
                    ..sample.entry(4)
                };
                record.deltas.ids.insert(5, Some(past));
            },
            "an entry names a page past the page count",
        ),
        (
            |_, record| _ = record.deltas.ids.insert(1 << 11, None),
            "a delta is of an id that can't be",
        ),
        (
            |_, record| {
                record
                    .deltas
                    .ids
                    .get_mut(&4)
                    .unwrap()
                    .as_mut()
                    .unwrap()
                    .birth += 1;
            },
            "a delta was not born since the fold",
        ),
        (
            |_, record| {
                let changed = record.deltas.ids.get_mut(&4).unwrap();
                changed.as_mut().unwrap().birth = record.base;
            },
            "a delta was not born since the fold",
        ),
        (
            |_, record| _ = record.deltas.regular.insert(3, false),
            "a delta is of a page that is never a caller's",
        ),
        (
            |_, record| _ = record.deltas.regular.insert(record.page_count, true),
            "a delta is of a page that is never a caller's",
        ),
        (
            |_, record| record.used += 6,
            "its count of used pages can't be",
        ),
        (
            |_, record| record.base -= 1,
            "a tree is younger than its fold",
        ),
    ];
    let sample = sample();
    for (spoil, expected) in cases {
        let store = sample.with(|record| spoil(&sample, record));
        let error = File::open_shaped(&store, SMALL).err();
        let Some(Error::Damaged(Damage::Unsound { fault, .. })) = error else {
            panic!("{error:?}, not {expected}");
        };
        assert_eq!(fault, expected);
    }
}

/// Together with the trees: found before a page is given out.
#[test]
fn deltas_that_do_not_fit_the_trees_give_nothing_away() {
    type Spoil = fn(&Sample, &mut Record);
    let misfit = "a delta names it, and it is something else";
    let cases: [(Spoil, &str); 6] = [
        // Named twice.
        (
            |sample, record| _ = record.deltas.ids.insert(5, Some(sample.entry(4))),
            misfit,
        ),
        // Named by the tree as well, of an id that did not change.
        (
            |sample, record| {
                let entry = sample.naming(sample.old[0]);
                record.deltas.ids.insert(5, Some(entry));
            },
            misfit,
        ),
        // A caller's, and not freed.
        (
            |sample, record| {
                let entry = sample.naming(sample.regular[1]);
                record.deltas.ids.insert(5, Some(entry));
            },
            misfit,
        ),
        // A node of MAP.
        (
            |sample, record| {
                let entry = sample.naming(record.map.unwrap().number);
                record.deltas.ids.insert(5, Some(entry));
            },
            misfit,
        ),
        // A caller's, and a protected page's.
        (
            |sample, record| _ = record.deltas.regular.insert(sample.old[0], true),
            misfit,
        ),
        (
            |sample, record| {
                record.deltas.regular.remove(&sample.regular[0]);
            },
            "the root record counts other used pages",
        ),
    ];
    let sample = sample();
    for (spoil, expected) in cases {
        let mut store = sample.with(|record| spoil(&sample, record));
        let before = store.bytes().to_vec();
        let mut file = File::open_shaped(&store, SMALL).unwrap();
        let fault = |error| match error {
            Some(Error::Corrupt { fault, .. }) => fault,
            error => panic!("{error:?}, not {expected}"),
        };
        assert_eq!(fault(file.find_free(&store, 0).err()), expected);
        assert_eq!(fault(file.kind(&store, 30).err()), expected);
        assert_eq!(fault(file.runs(&store, 0).err()), expected);
        let mut changes = Changes::default();
        let bytes = Change::New(Some(page(SMALL.page_size, 7)));
        changes.protected.insert(ProtectedId(9), bytes);
        let committed = file.commit(&mut store, &changes);
        assert_eq!(fault(committed.err()), expected);
        assert!(store.bytes() == before);
    }
}

/// Looks at all of a file; what is wrong with it.
fn checked(file: &mut AnyFile, store: &MemoryStore) -> Vec<String> {
    let mut found = Vec::new();
    let mut cursor = Some(0);
    while let Some(at) = cursor {
        let part = file.check_part(store, at);
        found.extend(part.findings.into_iter().map(|finding| finding.message));
        cursor = part.next;
    }
    found
}

#[test]
fn check_and_viewer_see_the_deltas() {
    let sample = sample();
    let store = sample.with(|_| {});
    let mut file = AnyFile::One(File::open_shaped(&store, SMALL).unwrap());
    assert_eq!(checked(&mut file, &store), [""; 0]);
    let stats = file.stats(&store);
    assert_eq!(
        (stats.protected_pages, stats.regular_pages),
        (Some(4), Some(1))
    );
    let mut free = 0;
    let mut add = |kind, count| free += if kind == PageKind::FREE { count } else { 0 };
    file.count_kinds(&store, 0, u64::MAX, &mut add);
    assert_eq!(Some(free), stats.free_pages);
    let run = file.free_run(&store, sample.old[1], u64::MAX).unwrap();
    assert_eq!(run.first, sample.old[1]);

    // Who has a page, and where that is said.
    let owner = |file: &mut AnyFile, page| file.owner(&store, page).map(|id| id.0);
    assert_eq!(owner(&mut file, sample.old[0]), Some(0));
    assert_eq!(owner(&mut file, sample.old[1]), None);
    for id in [1, 4] {
        let page = sample.entry(id).number;
        assert_eq!(owner(&mut file, page), Some(id));
        let [reference] = &file.references(&store, page)[..] else {
            panic!("one names it");
        };
        assert_eq!(
            reference.text,
            format!("a delta names it as protected page {id}")
        );
        let at = reference.offset as usize;
        let named = &store.page(reference.page).unwrap()[at..at + 6];
        assert_eq!(*named, page.to_le_bytes()[..6]);
    }
    let places: Vec<_> = file
        .entries(&store, ProtectedId(0), 9)
        .into_iter()
        .map(|entry| entry.place.contains("delta"))
        .collect();
    assert_eq!(places, [false, true, false, true]);
    let root = &file.structures_in(&store, 4, store.page(4).unwrap())[0];
    let value = |name: &str| {
        let field = root.fields.iter().find(|field| field.name == name);
        field.map(|field| field.value.as_str())
    };
    assert_eq!(value("deltas"), Some("3"));
    assert_eq!(value("id 2"), Some("freed"));
    assert_eq!(value(&format!("page {}", sample.regular[0])), Some("freed"));

    // Deltas that do not fit are told of.
    let store = sample.with(|record| _ = record.deltas.ids.insert(5, Some(sample.entry(4))));
    let mut file = AnyFile::One(File::open_shaped(&store, SMALL).unwrap());
    let found = checked(&mut file, &store);
    assert!(
        found.iter().any(|it| it.contains("the deltas do not fit")),
        "{found:?}"
    );
}
