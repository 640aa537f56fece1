//! Views: what they keep, what that costs, and when it is given back. That they
//! show their state through random work and crashes is in `twin`, `crash` and
//! `kill`.

use pagebox_core::changes::{Change, Changes};
use pagebox_core::format1::{File, Kind, Layout};
use pagebox_core::{Access, Error, Format, NewFile, Pager, ProtectedId, View};
use pagebox_store::{MemoryStore, PageStore};
use pagebox_tests::counting::{CountingStore, Counts};

use super::scene::{SMALL, TINY, UUID, byte, file_of, page, with_deltas, write};

/// Pages that nobody can take though they are free.
fn held(file: &mut File, store: &MemoryStore) -> usize {
    let pages = 0..file.stats().page_count;
    pages
        .filter(|&page| file.kind(store, page).unwrap() == Kind::Limbo)
        .count()
}

#[test]
fn view_takes_no_input_and_output_and_no_commit_costs_more_beside_it() {
    let (store, mut file) = file_of(SMALL, 20);
    let (mut store, counter) = CountingStore::new(store);
    let mut costs = [Counts::default(); 2];
    for cost in &mut costs {
        counter.take();
        let view = file.view().unwrap();
        assert_eq!(counter.take(), Counts::default());
        for id in 0..5 {
            file.commit(&mut store, &write(SMALL, [id], 2)).unwrap();
        }
        *cost = counter.take();
        drop(view);
    }
    assert_eq!(costs[0], costs[1]);
    assert_eq!(costs[0].syncs, 5);
}

/// A page that was born after the newest view is free when it is freed; one that
/// only some views read is free when the last of those is gone.
#[test]
fn only_what_a_view_reads_is_kept_and_as_long_as_it_does() {
    let (mut store, mut file) = file_of(SMALL, 4);
    file.commit(&mut store, &write(SMALL, [0], 2)).unwrap();
    let (_, first) = file.view().unwrap();
    file.commit(&mut store, &write(SMALL, [0, 1], 3)).unwrap();
    assert_eq!(held(&mut file, &store), 2);
    for byte in 4..9 {
        file.commit(&mut store, &write(SMALL, [0], byte)).unwrap();
        assert_eq!(held(&mut file, &store), 2, "born since");
    }
    let (_, second) = file.view().unwrap();
    let (mut view, third) = file.view().unwrap();
    assert_eq!(second.generation(), third.generation());
    file.commit(&mut store, &write(SMALL, [0, 1, 2], 9))
        .unwrap();
    assert_eq!(held(&mut file, &store), 5);
    // Page 2 is of both generations: the older view goes on to hold it.
    drop(second);
    let nothing = write(SMALL, [3], 9);
    file.commit(&mut store, &nothing).unwrap();
    assert_eq!(held(&mut file, &store), 6, "the third one reads the same");
    assert_eq!(byte(&mut view, &store, 1), 3);
    drop(third);
    file.commit(&mut store, &nothing).unwrap();
    assert_eq!(held(&mut file, &store), 4);
    drop(first);
    file.commit(&mut store, &nothing).unwrap();
    assert_eq!(held(&mut file, &store), 0);
}

/// The durable commit that follows deferred ones gets the generation of the last
/// of them: a view of that generation is older than its fold.
#[test]
fn view_of_a_deferred_generation_outlives_the_fold_that_makes_it_durable() {
    let shape = with_deltas(Layout::regular(SMALL), 128).shape();
    let (mut store, mut file) = file_of(shape, 60);
    for id in 0..50 {
        file.commit_deferred(&mut store, &write(shape, [id], 2))
            .unwrap();
    }
    let (mut view, _pin) = file.view().unwrap();
    file.commit(&mut store, &Changes::default()).unwrap();
    for round in 0..40 {
        for id in [round, round + 10, 59 - round % 9] {
            file.commit(&mut store, &write(shape, [id], 3)).unwrap();
        }
        // Nothing of it is in memory.
        let mut anew = File::open_at_shaped(&store, &view.root(), Some(shape)).unwrap();
        for file in [&mut view, &mut anew] {
            for id in 0..60 {
                let expected = if id < 50 { 2 } else { 1 };
                assert_eq!(byte(file, &store, id), expected, "id {id}, round {round}");
            }
        }
    }
}

/// A full store says so where a view keeps what would be free, and has room when
/// the view is gone.
#[test]
fn full_store_has_room_again_when_the_view_is_gone() {
    for deltas in [0, 48, 400] {
        let shape = with_deltas(Layout::regular(TINY), deltas).shape();
        let (mut store, mut file) = file_of(shape, 40);
        let (mut view, pin) = file.view().unwrap();
        let mut written = 0;
        for id in 0..40 {
            let before = file.stats().generation;
            if file.commit(&mut store, &write(shape, [id], 2)).is_err() {
                assert_eq!(file.stats().generation, before, "it folded for nothing");
                break;
            }
            written += 1;
        }
        assert!((1..40).contains(&written), "{written}");
        for id in 0..40 {
            assert_eq!(byte(&mut view, &store, id), 1);
        }
        drop(pin);
        for id in 0..40 {
            file.commit(&mut store, &write(shape, [id], 3)).unwrap();
        }
        assert_eq!(held(&mut file, &store), 0);
    }
}

/// A root that is not of the file, or of no file, is refused in words.
#[test]
fn root_that_is_none_is_refused() {
    let (store, mut file) = file_of(SMALL, 4);
    let (view, _pin) = file.view().unwrap();
    let root = view.root();
    let open = |root: &[u8]| File::open_at_shaped(&store, root, Some(SMALL)).map(drop);
    open(&root).unwrap();
    for bad in [&[][..], &root[1..], &root[..root.len() - 1], &[7; 4096]] {
        open(bad).unwrap_err();
    }
    for at in (0..root.len()).step_by(97) {
        let mut root = root.clone();
        root[at] ^= 1;
        assert!(open(&root).is_err(), "byte {at}");
    }
    // Of another file, which has as many pages.
    let mut other = MemoryStore::new(SMALL.page_size);
    let pages = store.geometry().page_count;
    File::create_shaped(&mut other, Layout::regular(SMALL), [9; 16], pages).unwrap();
    File::open_at_shaped(&other, &root, Some(SMALL)).unwrap_err();
    // Of pages that the file does not have.
    let (mut longer, mut file) = file_of(SMALL, 4);
    let ids: Vec<u64> = (4..200).collect();
    let mut changes = Changes::default();
    for id in ids {
        let new = Change::New(Some(page(SMALL, 1)));
        changes.protected.insert(ProtectedId(id), new);
    }
    file.commit(&mut longer, &changes).unwrap();
    open(&file.root()).unwrap_err();
}

fn pager(format: Format) -> Pager<MemoryStore> {
    let new = NewFile {
        format,
        page_count: 0,
        uuid: UUID,
    };
    Pager::create_as(MemoryStore::new(SMALL.page_size), &new).unwrap()
}

fn commit_byte(pager: &mut Pager<MemoryStore>, ids: &[ProtectedId], byte: u8) {
    let mut transaction = pager.begin().unwrap();
    for &id in ids {
        pager.stage_blank(&mut transaction, id).unwrap().fill(byte);
    }
    pager.commit(transaction).unwrap();
}

fn first_byte(view: &mut View, store: &MemoryStore, id: ProtectedId) -> u8 {
    let page = view.verify(store, id).unwrap().page.unwrap();
    store.page(page).unwrap()[0]
}

#[test]
fn figures_say_what_views_keep() {
    let mut pager = pager(Format::One);
    let mut transaction = pager.begin().unwrap();
    let below = pager.alloc(&mut transaction, 5).unwrap();
    let ids = pager.alloc_protected(&mut transaction, 10).unwrap();
    pager.commit(transaction).unwrap();
    commit_byte(&mut pager, &ids, 1);
    let before = pager.stats();
    assert_eq!((before.held_pages, before.oldest_view), (0, None));
    let mut view = pager.view().unwrap();
    let generation = pager.committed().generation;
    assert_eq!(view.generation(), generation);
    commit_byte(&mut pager, &ids[..3], 2);
    commit_byte(&mut pager, &ids[..3], 3);
    let stats = pager.stats();
    assert_eq!((stats.held_pages, stats.oldest_view), (3, Some(generation)));
    let sum = [stats.free_pages, stats.regular_pages, stats.internal_pages];
    assert_eq!(
        sum.into_iter().map(Option::unwrap).sum::<u64>(),
        stats.page_count.unwrap()
    );
    let listed = view.protected(pager.store(), ProtectedId(0), 100).unwrap();
    assert_eq!(listed.len(), 10);
    for &id in &ids {
        assert_eq!(first_byte(&mut view, pager.store(), id), 1);
    }
    // The same from elsewhere.
    let mut elsewhere = Pager::open_at(pager.store().clone(), &view.root()).unwrap();
    assert_eq!(elsewhere.committed().generation, generation);
    elsewhere.verify_protected(ids[0]).unwrap();
    // What is changed in place is in no view.
    assert_eq!(elsewhere.locate(12), Err(Error::NotSupported));
    assert_eq!(elsewhere.allocated(0, 9), Err(Error::NotSupported));
    assert_eq!(elsewhere.stats().regular_pages, None);
    assert_eq!(elsewhere.begin().unwrap_err(), Error::ReadOnly);
    // No allocation takes what it keeps, between pages that are free.
    let mut transaction = pager.begin().unwrap();
    pager.free(&mut transaction, &below).unwrap();
    pager.commit(transaction).unwrap();
    let mut transaction = pager.begin().unwrap();
    let taken = pager.alloc(&mut transaction, 40).unwrap();
    assert_eq!(taken[..5], below);
    pager.commit(transaction).unwrap();
    let mut transaction = pager.begin().unwrap();
    pager.free(&mut transaction, &taken).unwrap();
    pager.commit(transaction).unwrap();
    for &id in &ids {
        assert_eq!(first_byte(&mut view, pager.store(), id), 1);
    }
    drop(view);
    commit_byte(&mut pager, &ids[4..5], 4);
    let stats = pager.stats();
    assert_eq!((stats.held_pages, stats.oldest_view), (0, None));
}

#[test]
fn format_0_and_readers_have_no_views() {
    assert_eq!(pager(Format::Zero).view().unwrap_err(), Error::NotSupported);
    let store = pager(Format::One).close();
    let mut reader = Pager::open(store, Access::Read).unwrap();
    assert_eq!(reader.view().unwrap_err(), Error::ReadOnly);
}
