//! What transactions cost: exact counts of what they ask of the store.

use pagebox_core::{Access, Error, Pager, ProtectedId};
use pagebox_store::{MemoryStore, PageSize};
use pagebox_tests::counting::{Counter, CountingStore, Counts};
use pagebox_tests::model::regular_pages;

use crate::{alloc, alloc_protected, new_pager};

/// A pager on a file with regular pages 3 to 12 and protected pages 0 to 4,
/// opened to write, and what it asks of its store from now on.
fn counted() -> (Pager<CountingStore<MemoryStore>>, Counter) {
    let mut pager = new_pager(PageSize::KIB_4);
    alloc(&mut pager, 10).unwrap();
    alloc_protected(&mut pager, 5).unwrap();
    let (store, counter) = CountingStore::new(pager.close());
    let pager = Pager::open(store, Access::Write).unwrap();
    (pager, counter)
}

/// As [`counted`], with the opening done.
fn opened() -> (Pager<CountingStore<MemoryStore>>, Counter) {
    let (pager, counter) = counted();
    counter.take();
    (pager, counter)
}

/// A sync, so that what is read is durable, and page 0, so that what was
/// decided is.
#[test]
fn opening_to_write_writes_page_0_between_two_syncs_and_to_read_nothing() {
    let (pager, counter) = counted();
    let Counts {
        writes,
        pages,
        zeroed,
        syncs,
        grows,
        ..
    } = counter.take();
    assert_eq!((writes, pages, zeroed, syncs, grows), (2, 1, 0, 2, 0));

    let pager = Pager::open(pager.close(), Access::Read).unwrap();
    let Counts {
        writes,
        pages,
        zeroed,
        syncs,
        grows,
        ..
    } = counter.take();
    assert_eq!((writes, pages, zeroed, syncs, grows), (0, 0, 0, 0, 0));
    drop(pager.close());
    assert_eq!(counter.take(), Counts::default());
}

#[test]
fn reads_never_write_and_verify_once() {
    let (mut pager, counter) = counted();
    counter.take();
    pager.locate(3).unwrap();
    pager.locate_protected(ProtectedId(2)).unwrap();
    pager.stats();
    regular_pages(&mut pager, 1).unwrap();
    assert_eq!(pager.protected(ProtectedId(0), 9).unwrap().len(), 5);
    assert_eq!(counter.take(), Counts::default());
    pager.verify_protected(ProtectedId(2)).unwrap();
    assert_eq!(
        counter.take(),
        Counts {
            checksums: 1,
            ..Counts::default()
        }
    );
    pager.verify_protected(ProtectedId(2)).unwrap();
    assert_eq!(counter.take(), Counts::default());
}

/// What every commit takes.
fn commit() -> Counts {
    Counts {
        writes: 1,
        syncs: 2,
        ..Counts::default()
    }
}

#[test]
fn every_transaction_is_one_write_that_syncs_twice_whatever_its_size() {
    let two = commit();

    let (mut pager, counter) = opened();
    alloc(&mut pager, 1).unwrap();
    assert_eq!(
        counter.take(),
        Counts {
            pages: 2,
            zeroed: 1,
            ..two
        }
    );

    let (mut pager, counter) = opened();
    alloc(&mut pager, 500).unwrap();
    assert_eq!(
        counter.take(),
        Counts {
            pages: 2,
            zeroed: 500,
            grows: 1,
            ..two
        }
    );

    let (mut pager, counter) = opened();
    let mut transaction = pager.begin().unwrap();
    pager.free(&mut transaction, &[3, 5, 8]).unwrap();
    pager.commit(transaction).unwrap();
    assert_eq!(counter.take(), Counts { pages: 2, ..two });

    // The page, its directory block, the metadata, page 0.
    let (mut pager, counter) = opened();
    let mut transaction = pager.begin().unwrap();
    pager.stage(&mut transaction, ProtectedId(1)).unwrap()[0] = 1;
    pager.commit(transaction).unwrap();
    assert_eq!(
        counter.take(),
        Counts {
            pages: 4,
            checksums: 1,
            stages: 1,
            ..two
        }
    );

    let (mut pager, counter) = opened();
    let mut transaction = pager.begin().unwrap();
    for id in 0..5 {
        pager.stage(&mut transaction, ProtectedId(id)).unwrap()[0] = 1;
    }
    pager.commit(transaction).unwrap();
    assert_eq!(
        counter.take(),
        Counts {
            pages: 8,
            checksums: 5,
            stages: 5,
            ..two
        }
    );

    let (mut pager, counter) = opened();
    alloc_protected(&mut pager, 1).unwrap();
    assert_eq!(
        counter.take(),
        Counts {
            pages: 3,
            zeroed: 1,
            ..two
        }
    );

    // One block has room for 136: a second is added, both its copies written.
    let (mut pager, counter) = opened();
    alloc_protected(&mut pager, 132).unwrap();
    assert_eq!(
        counter.take(),
        Counts {
            pages: 4,
            zeroed: 132 + 1,
            grows: 1,
            ..two
        }
    );
}

#[test]
fn freeing_and_everything_at_once_are_one_write_too() {
    let two = commit();

    let (mut pager, counter) = opened();
    let mut transaction = pager.begin().unwrap();
    pager
        .free_protected(&mut transaction, &[ProtectedId(0), ProtectedId(4)])
        .unwrap();
    pager.commit(transaction).unwrap();
    assert_eq!(counter.take(), Counts { pages: 3, ..two });

    let (mut pager, counter) = opened();
    let mut transaction = pager.begin().unwrap();
    pager.alloc(&mut transaction, 2).unwrap();
    pager.free(&mut transaction, &[3]).unwrap();
    pager
        .free_protected(&mut transaction, &[ProtectedId(0)])
        .unwrap();
    pager.alloc_protected(&mut transaction, 1).unwrap();
    pager.stage(&mut transaction, ProtectedId(1)).unwrap()[0] = 1;
    pager.commit(transaction).unwrap();
    let expected = Counts {
        pages: 4,
        zeroed: 3,
        checksums: 1,
        stages: 1,
        ..two
    };
    assert_eq!(counter.take(), expected);
}

#[test]
fn an_empty_or_rolled_back_transaction_does_no_io() {
    for (mut pager, counter) in [counted(), opened()] {
        counter.take();
        let generation = pager.stats().generation.unwrap();
        let transaction = pager.begin().unwrap();
        assert_eq!(pager.commit(transaction).unwrap().generation, generation);

        let mut transaction = pager.begin().unwrap();
        let pages = pager.alloc(&mut transaction, 3).unwrap();
        pager.free(&mut transaction, &pages).unwrap();
        let ids = pager.alloc_protected(&mut transaction, 2).unwrap();
        pager.free_protected(&mut transaction, &ids).unwrap();
        pager.alloc(&mut transaction, 0).unwrap();
        assert_eq!(pager.commit(transaction).unwrap().generation, generation);

        let mut transaction = pager.begin().unwrap();
        pager.alloc(&mut transaction, 3).unwrap();
        pager.free(&mut transaction, &[3]).unwrap();
        drop(transaction);
        assert_eq!(counter.take(), Counts::default());
        assert_eq!(alloc(&mut pager, 1).unwrap().len(), 1);
    }
}

#[test]
fn a_sync_of_regular_pages_is_one_sync() {
    let (mut pager, counter) = opened();
    pager.sync().unwrap();
    assert_eq!(
        counter.take(),
        Counts {
            writes: 1,
            syncs: 1,
            ..Counts::default()
        }
    );
}

#[test]
fn a_pager_opened_to_read_refuses_to_change() {
    let (pager, counter) = counted();
    let mut pager = Pager::open(pager.close(), Access::Read).unwrap();
    counter.take();
    assert_eq!(pager.begin().unwrap_err(), Error::ReadOnly);
    assert_eq!(pager.sync().unwrap_err(), Error::ReadOnly);
    pager.verify_protected(ProtectedId(0)).unwrap();
    assert_eq!(
        counter.take(),
        Counts {
            checksums: 1,
            ..Counts::default()
        }
    );
}
