//! Snapshots: what they keep, what that costs, when it is given back, and how one
//! goes back to them. That they show their state through random work and crashes
//! is in `twin`, `crash` and `kill`.

use pagebox_core::changes::{Change, Changes};
use pagebox_core::format1::{Error, File, Kind, Shape};
use pagebox_core::{Access, Format, NewFile, Pager, ProtectedId};
use pagebox_store::{MemoryStore, PageSize};
use pagebox_tests::counting::CountingStore;

use super::scene::{MEDIUM, SMALL, WIDE, byte, file_of, page, state_of, write};

fn names(file: &mut File, store: &MemoryStore) -> Vec<String> {
    let snapshots = file.snapshots(store).unwrap();
    snapshots.into_iter().map(|it| it.name).collect()
}

/// A file that only reads a snapshot, by its root alone.
fn at(file: &mut File, store: &MemoryStore, shape: Shape, name: &str) -> File {
    let root = file.root_of(store, name).unwrap();
    File::open_at_shaped(store, &root, Some(shape)).unwrap()
}

fn used(file: &File) -> u64 {
    file.stats().used_pages
}

#[test]
fn snapshot_shows_what_was_committed_when_it_was_taken() {
    let (mut store, mut file) = file_of(SMALL, 20);
    let taken = file.create_snapshot(&mut store, "first", 17).unwrap();
    assert_eq!((taken.time, taken.id, &*taken.name), (17, 1, "first"));
    assert_eq!(taken.generation, file.stats().generation);
    let mut changes = write(SMALL, 0..10, 2);
    changes.protected.insert(ProtectedId(15), Change::Free);
    changes.protected.insert(ProtectedId(40), Change::New(None));
    file.commit(&mut store, &changes).unwrap();
    file.create_snapshot(&mut store, "second", 18).unwrap();
    file.commit(&mut store, &write(SMALL, 0..5, 3)).unwrap();
    // In this process, and in one that opens the file.
    let mut other = File::open_shaped(&store, SMALL).unwrap();
    for file in [&mut file, &mut other] {
        assert_eq!(names(file, &store), ["first", "second"]);
        let mut first = at(file, &store, SMALL, "first");
        assert_eq!(
            (0..20).map(|id| byte(&mut first, &store, id)).max(),
            Some(1)
        );
        assert_eq!(first.stats().protected, 20);
        assert_eq!(
            first.locate(&store, ProtectedId(40)),
            Err(Error::NotProtected {
                id: ProtectedId(40)
            })
        );
        let mut second = at(file, &store, SMALL, "second");
        assert_eq!(second.stats().protected, 20);
        assert_eq!(byte(&mut second, &store, 4), 2);
        assert_eq!(byte(&mut second, &store, 40), 0);
        assert!(second.locate(&store, ProtectedId(15)).is_err());
        assert_eq!(byte(file, &store, 4), 3);
    }
}

#[test]
fn dropping_gives_back_what_a_snapshot_has_alone() {
    for [first, second, third] in [
        ["a", "b", "c"],
        ["a", "c", "b"],
        ["b", "a", "c"],
        ["b", "c", "a"],
        ["c", "a", "b"],
        ["c", "b", "a"],
    ] {
        let (mut store, mut file) = file_of(MEDIUM, 60);
        for (name, byte) in [("a", 2), ("b", 3), ("c", 4)] {
            file.create_snapshot(&mut store, name, 0).unwrap();
            file.commit(&mut store, &write(MEDIUM, 10..20, byte))
                .unwrap();
        }
        for name in [first, second, third] {
            let before = used(&file);
            let alone = file.held_alone(&store, name).unwrap();
            let freed = file.delete_snapshot(&mut store, name).unwrap();
            assert!(freed >= alone.max(10), "{freed} of {alone}");
            assert!(used(&file) <= before - 10);
            state_of(&store, MEDIUM).unwrap();
        }
        assert_eq!(names(&mut file, &store), [""; 0]);
        // As if there had never been any.
        let (mut store, mut plain) = file_of(MEDIUM, 60);
        plain.commit(&mut store, &write(MEDIUM, 10..20, 4)).unwrap();
        let plain = File::open_shaped(&store, MEDIUM).map(|file| {
            let mut file = file;
            file.create_snapshot(&mut store, "folds", 0).unwrap();
            file.delete_snapshot(&mut store, "folds").unwrap();
            used(&file)
        });
        assert_eq!(used(&file), plain.unwrap());
    }
}

#[test]
fn restore_is_a_commit_that_keeps_all_snapshots() {
    let (mut store, mut file) = file_of(SMALL, 20);
    file.create_snapshot(&mut store, "then", 0).unwrap();
    let mut changes = write(SMALL, 0..5, 2);
    changes.protected.insert(ProtectedId(7), Change::Free);
    changes
        .protected
        .insert(ProtectedId(30), Change::New(Some(page(SMALL, 9))));
    changes.protected.insert(ProtectedId(31), Change::New(None));
    file.commit(&mut store, &changes).unwrap();
    file.create_snapshot(&mut store, "later", 0).unwrap();
    let changed = file.restore(&mut store, "then").unwrap();
    assert_eq!(changed, 8);
    assert_eq!(file.stats().protected, 20);
    assert_eq!((0..20).map(|id| byte(&mut file, &store, id)).max(), Some(1));
    // Nothing changes a second time.
    let generation = file.stats().generation;
    assert_eq!(file.restore(&mut store, "then").unwrap(), 0);
    assert_eq!(file.stats().generation, generation);
    assert_eq!(file.restore(&mut store, "later").unwrap(), 8);
    assert_eq!(byte(&mut file, &store, 30), 9);
    assert_eq!(byte(&mut file, &store, 31), 0);
    assert_eq!(byte(&mut file, &store, 3), 2);
    assert_eq!(names(&mut file, &store), ["then", "later"]);
    for name in ["then", "later"] {
        file.delete_snapshot(&mut store, name).unwrap();
        state_of(&store, SMALL).unwrap();
    }
    assert_eq!(byte(&mut file, &store, 30), 9);
    assert_eq!(
        file.restore(&mut store, "then"),
        Err(Error::NoSnapshot),
        "it was dropped"
    );
}

#[test]
fn names_are_texts_that_no_other_snapshot_has() {
    let (mut store, mut file) = file_of(SMALL, 2);
    let longest = "n".repeat(64);
    for bad in ["", "a\nb", "a\0", &"n".repeat(65), &"\u{e4}".repeat(33)] {
        let done = file.create_snapshot(&mut store, bad, 0);
        assert!(matches!(done, Err(Error::SnapshotName(_))), "{bad:?}");
    }
    let generation = file.stats().generation;
    for name in [&longest, "\u{e4}\u{1f600} x", " "] {
        file.create_snapshot(&mut store, name, 0).unwrap();
        let again = file.create_snapshot(&mut store, name, 0);
        assert_eq!(again, Err(Error::IsSnapshot));
    }
    assert_eq!(file.stats().generation, generation + 3);
    // A name can be had again, and is another snapshot then.
    file.delete_snapshot(&mut store, " ").unwrap();
    let again = file.create_snapshot(&mut store, " ", 0).unwrap();
    assert_eq!(again.id, 4);
    for verb in [
        file.delete_snapshot(&mut store, "none"),
        file.restore(&mut store, "none"),
        file.held_alone(&store, "none"),
    ] {
        assert_eq!(verb, Err(Error::NoSnapshot));
    }
}

/// Taking one: its page of the table, what a fold writes, one record and its copy,
/// one sync. Dropping the newest of a folded file: the table, SPACE, one sync.
#[test]
fn taking_and_dropping_cost_one_sync() {
    let (store, mut file) = file_of(WIDE, 40);
    let (mut store, counter) = CountingStore::new(store);
    file.create_snapshot(&mut store, "one", 0).unwrap();
    counter.take();
    file.create_snapshot(&mut store, "two", 0).unwrap();
    let counts = counter.take();
    assert_eq!(counts.syncs, 1);
    // A page of the table, a leaf of SPACE and what is above it, the record twice.
    assert!(counts.pages <= 6, "{counts:?}");
    file.delete_snapshot(&mut store, "one").unwrap();
    assert_eq!(counter.take().syncs, 1);
    file.commit(&mut store, &write(WIDE, 0..3, 2)).unwrap();
    counter.take();
    // What was committed since is folded first.
    file.delete_snapshot(&mut store, "two").unwrap();
    assert_eq!(counter.take().syncs, 2);
}

/// A commit after a snapshot costs no more than one before it.
#[test]
fn commits_cost_the_same_beside_snapshots() {
    let (store, mut file) = file_of(WIDE, 40);
    let (mut store, counter) = CountingStore::new(store);
    file.commit(&mut store, &write(WIDE, [7], 2)).unwrap();
    counter.take();
    file.commit(&mut store, &write(WIDE, [7], 3)).unwrap();
    let before = counter.take();
    file.create_snapshot(&mut store, "one", 0).unwrap();
    counter.take();
    file.commit(&mut store, &write(WIDE, [7], 4)).unwrap();
    assert_eq!(counter.take(), before);
}

#[test]
fn ten_thousand_snapshots_are_kept_and_dropped_in_any_order() {
    let shape = Shape::of(PageSize::KIB_4);
    let mut store = MemoryStore::new(PageSize::KIB_4);
    let mut file = File::create(&mut store, *b"0123456789abcdef", 0).unwrap();
    let mut changes = Changes::default();
    for id in 0..40 {
        let bytes = page(shape, 0);
        changes
            .protected
            .insert(ProtectedId(id), Change::New(Some(bytes)));
    }
    file.commit(&mut store, &changes).unwrap();
    let count = 10_000;
    for number in 0..count {
        file.create_snapshot(&mut store, &number.to_string(), number)
            .unwrap();
        if number % 100 == 0 {
            let byte = u8::try_from(number / 100).unwrap();
            file.commit(&mut store, &write(shape, [number % 40], byte))
                .unwrap();
        }
    }
    let mut file = File::open(&store).unwrap();
    assert_eq!(file.snapshots(&store).unwrap().len(), 10_000);
    let mut then = at(&mut file, &store, shape, "4242");
    assert_eq!(byte(&mut then, &store, 4200 % 40), 42);
    for number in (0..count).step_by(37).chain((1..count).step_by(991)) {
        let done = file.delete_snapshot(&mut store, &number.to_string());
        assert!(done.is_ok() || number % 37 == 0, "{number}: {done:?}");
    }
    let mut then = at(&mut file, &store, shape, "4242");
    assert_eq!(byte(&mut then, &store, 4200 % 40), 42);
    let state = state_of(&store, shape).unwrap();
    assert_eq!(state.snapshots.len(), file.snapshots(&store).unwrap().len());
}

/// Two connections in one process: a view of a snapshot outlives its name.
#[test]
fn view_of_a_dropped_snapshot_shows_it_still() {
    let (mut store, mut file) = file_of(SMALL, 20);
    file.create_snapshot(&mut store, "one", 0).unwrap();
    let (mut view, pin) = file.view_snapshot(&store, "one").unwrap();
    file.commit(&mut store, &write(SMALL, 0..20, 2)).unwrap();
    file.delete_snapshot(&mut store, "one").unwrap();
    for value in 3..9 {
        file.commit(&mut store, &write(SMALL, 0..20, value))
            .unwrap();
        assert_eq!((0..20).map(|id| byte(&mut view, &store, id)).max(), Some(1));
    }
    let held = |file: &mut File, store: &MemoryStore| {
        let pages = 0..file.stats().page_count;
        let held = pages.filter(|&page| file.kind(store, page).unwrap() == Kind::Limbo);
        held.count()
    };
    assert!(held(&mut file, &store) >= 20);
    drop(pin);
    file.commit(&mut store, &write(SMALL, 0..1, 9)).unwrap();
    assert_eq!(held(&mut file, &store), 0);
    state_of(&store, SMALL).unwrap();
}

/// Deferred commits become durable with the snapshot that is taken of them.
#[test]
fn snapshot_of_what_was_deferred_is_durable() {
    let (mut store, mut file) = file_of(SMALL, 20);
    for value in 2..5 {
        file.commit_deferred(&mut store, &write(SMALL, 0..3, value))
            .unwrap();
    }
    file.create_snapshot(&mut store, "one", 0).unwrap();
    let stats = file.stats();
    assert_eq!(stats.generation, stats.durable);
    let mut other = File::open_shaped(&store, SMALL).unwrap();
    let mut then = at(&mut other, &store, SMALL, "one");
    assert_eq!(byte(&mut then, &store, 2), 4);
    file.commit_deferred(&mut store, &write(SMALL, 0..3, 7))
        .unwrap();
    // So with what is dropped, and gone back to.
    file.restore(&mut store, "one").unwrap();
    file.commit_deferred(&mut store, &write(SMALL, 0..3, 8))
        .unwrap();
    file.delete_snapshot(&mut store, "one").unwrap();
    let stats = file.stats();
    assert_eq!(stats.generation, stats.durable);
    state_of(&store, SMALL).unwrap();
}

#[test]
fn differences_are_what_was_changed() {
    let (mut store, mut file) = file_of(MEDIUM, 60);
    file.create_snapshot(&mut store, "a", 0).unwrap();
    let mut changes = write(MEDIUM, [3, 50], 2);
    changes.protected.insert(ProtectedId(20), Change::Free);
    changes
        .protected
        .insert(ProtectedId(9000), Change::New(None));
    file.commit(&mut store, &changes).unwrap();
    file.create_snapshot(&mut store, "b", 0).unwrap();
    file.commit(&mut store, &write(MEDIUM, [4], 2)).unwrap();
    let ids = |file: &mut File, states, from, limit| -> Vec<u64> {
        let found = file.changes_between(&store, states, ProtectedId(from), limit);
        found.unwrap().iter().map(|it| it.id.0).collect()
    };
    let [a, b] = [Some("a"), Some("b")];
    assert_eq!(ids(&mut file, [a, b], 0, 99), [3, 20, 50, 9000]);
    assert_eq!(ids(&mut file, [b, a], 0, 99), [3, 20, 50, 9000]);
    assert_eq!(ids(&mut file, [a, b], 4, 2), [20, 50]);
    assert_eq!(ids(&mut file, [a, None], 0, 99), [3, 4, 20, 50, 9000]);
    assert_eq!(ids(&mut file, [b, None], 0, 99), [4]);
    assert_eq!(ids(&mut file, [None, b], 0, 99), [4]);
    assert_eq!(ids(&mut file, [None, None], 0, 99), [0; 0]);
    assert_eq!(ids(&mut file, [a, b], 0, 0), [0; 0]);
    let changed = file.changes_between(&store, [a, b], ProtectedId(20), 1);
    let changed = changed.unwrap()[0];
    assert!(changed.before.is_some() && changed.after.is_none());
}

#[test]
fn format_0_has_none_and_readers_take_none() {
    let new = |format| NewFile {
        format,
        page_count: 0,
        uuid: [7; 16],
    };
    let create = |format| Pager::create_as(MemoryStore::new(PageSize::KIB_4), &new(format));
    let mut zero = create(Format::Zero).unwrap();
    assert_eq!(zero.snapshots(), Ok(Vec::new()));
    let error = zero.create_snapshot("one", 0).unwrap_err();
    assert_eq!(error, pagebox_core::Error::NotSupported);
    assert_eq!(
        zero.restore("one").unwrap_err(),
        pagebox_core::Error::NoSnapshot
    );
    let mut one = create(Format::One).unwrap();
    one.create_snapshot("one", 0).unwrap();
    let mut reader = Pager::open(one.close(), Access::Read).unwrap();
    assert_eq!(reader.snapshots().unwrap().len(), 1);
    for error in [
        reader.create_snapshot("two", 0).map(drop),
        reader.delete_snapshot("one").map(drop),
        reader.restore("one").map(drop),
    ] {
        assert_eq!(error, Err(pagebox_core::Error::ReadOnly));
    }
}
