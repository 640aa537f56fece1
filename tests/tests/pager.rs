//! The pager, natively: transactions against the naive model, what they cost,
//! and what it refuses.

use pagebox_core::{Access, Error, Pager, ProtectedId};
use pagebox_store::{MemoryStore, PageSize, PageStore};
use pagebox_tests::counting::{Counter, CountingStore, Counts};
use pagebox_tests::craft::pages_max;
use pagebox_tests::decode::{Image, State, decode};
use pagebox_tests::model::{Change, Model, Step, Workload, regular_pages};

const SIZES: [PageSize; 3] = [PageSize::KIB_1, PageSize::KIB_4, PageSize::KIB_64];

fn new_pager(page_size: PageSize) -> Pager<MemoryStore> {
    Pager::create(MemoryStore::new(page_size), 0).unwrap()
}

fn image(pager: &Pager<MemoryStore>) -> Image<'_> {
    let store = pager.store();
    Image {
        bytes: store.bytes(),
        page_size: pager.stats().page_size.bytes(),
    }
}

fn said(pager: &Pager<MemoryStore>) -> State {
    decode(&image(pager)).unwrap()
}

fn alloc<S: PageStore>(pager: &mut Pager<S>, count: u32) -> Result<Vec<u64>, Error> {
    let mut transaction = pager.begin()?;
    let pages = pager.alloc(&mut transaction, count)?;
    pager.commit(transaction)?;
    Ok(pages)
}

fn alloc_protected<S: PageStore>(
    pager: &mut Pager<S>,
    count: u32,
) -> Result<Vec<ProtectedId>, Error> {
    let mut transaction = pager.begin()?;
    let ids = pager.alloc_protected(&mut transaction, count)?;
    pager.commit(transaction)?;
    Ok(ids)
}

#[test]
fn any_workload_agrees_with_the_model_and_the_independent_reader() {
    for (page_size, steps) in SIZES.into_iter().zip([3000, 1000, 200]) {
        for seed in 0..3 {
            let mut workload = Workload::new(seed);
            let mut pager = new_pager(page_size);
            let mut model = Model::new(page_size.bytes());
            let mut most = (0, 0);
            for number in 0..steps {
                let step = workload.step();
                let before = said(&pager);
                model.run(&mut pager, &step).unwrap();
                let context =
                    format!("page size {page_size}, seed {seed}, step {number}: {step:?}");
                model.check(&mut pager).expect(&context);
                let after = said(&pager);
                model.check_state(&after, &image(&pager)).expect(&context);
                assert_eq!(after.generation, pager.stats().generation, "{context}");
                if after.generation > before.generation {
                    after.is_as_we_commit().expect(&context);
                    check_places(&before, &after, &step, &context);
                } else {
                    assert_eq!(before, after, "{context}");
                }
                if number % 50 == 0 {
                    pager = Pager::open(pager.close(), Access::Write).unwrap();
                    model.check(&mut pager).expect(&context);
                }
                most = (most.0.max(after.page_count), most.1.max(after.blocks.len()));
            }
            let blocks = if page_size == PageSize::KIB_1 { 2 } else { 1 };
            assert!(most.0 >= 64 && most.1 >= blocks, "it only came to {most:?}");
        }
    }
}

/// New pages are the lowest that were free before, unless the transaction let
/// some go again; those of new directory blocks come last.
fn check_places(before: &State, after: &State, step: &Step, context: &str) {
    let is_new = |page: &u64| !before.allocated.get(*page as usize).is_some_and(|it| *it);
    let blocks: Vec<u64> = after.blocks[before.blocks.len()..]
        .iter()
        .flat_map(|block| block.page)
        .collect();
    let taken: Vec<u64> = (0..after.page_count)
        .filter(|&page| after.allocated[page as usize])
        .filter(is_new)
        .collect();
    assert!(
        taken.ends_with(&blocks),
        "blocks in {blocks:?} of {taken:?}; {context}"
    );
    let Step::Commit(changes) = step else { return };
    let frees = |change: &Change| matches!(change, Change::Free(_) | Change::FreeProtected(_));
    if !changes.iter().any(frees) {
        let lowest: Vec<u64> = (0..after.page_count)
            .filter(is_new)
            .take(taken.len())
            .collect();
        assert_eq!(taken, lowest, "{context}");
    }
}

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

/// As [`counted`], with the first transaction done.
fn settled() -> (Pager<CountingStore<MemoryStore>>, Counter) {
    let (mut pager, counter) = counted();
    alloc(&mut pager, 1).unwrap();
    counter.take();
    (pager, counter)
}

#[test]
fn opening_to_write_syncs_once_and_to_read_never() {
    let (pager, counter) = counted();
    let Counts {
        writes,
        pages,
        resets,
        syncs,
        grows,
        ..
    } = counter.take();
    assert_eq!((writes, pages, resets, syncs, grows), (1, 0, 0, 1, 0));

    let pager = Pager::open(pager.close(), Access::Read).unwrap();
    let Counts {
        writes,
        pages,
        resets,
        syncs,
        grows,
        ..
    } = counter.take();
    assert_eq!((writes, pages, resets, syncs, grows), (0, 0, 0, 0, 0));
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
    regular_pages(&pager, 1).unwrap();
    assert_eq!(pager.protected(ProtectedId(0)).unwrap().count(), 5);
    assert_eq!(counter.take(), Counts::default());
    pager.verify_protected(ProtectedId(2)).unwrap();
    assert_eq!(
        counter.take(),
        Counts {
            crc32s: 1,
            ..Counts::default()
        }
    );
    pager.verify_protected(ProtectedId(2)).unwrap();
    assert_eq!(counter.take(), Counts::default());
}

#[test]
fn the_first_transaction_after_opening_syncs_three_times() {
    let (mut pager, counter) = counted();
    counter.take();
    alloc(&mut pager, 1).unwrap();
    let expected = Counts {
        writes: 3,
        pages: 3,
        resets: 1,
        syncs: 3,
        ..Counts::default()
    };
    assert_eq!(counter.take(), expected);
}

#[test]
fn every_other_transaction_syncs_twice_whatever_its_size() {
    let two = Counts {
        writes: 2,
        syncs: 2,
        ..Counts::default()
    };

    let (mut pager, counter) = settled();
    alloc(&mut pager, 1).unwrap();
    assert_eq!(
        counter.take(),
        Counts {
            pages: 2,
            resets: 1,
            ..two
        }
    );

    let (mut pager, counter) = settled();
    alloc(&mut pager, 500).unwrap();
    assert_eq!(
        counter.take(),
        Counts {
            pages: 2,
            resets: 500,
            grows: 1,
            ..two
        }
    );

    let (mut pager, counter) = settled();
    let mut transaction = pager.begin().unwrap();
    pager.free(&mut transaction, &[3, 5, 8]).unwrap();
    pager.commit(transaction).unwrap();
    assert_eq!(counter.take(), Counts { pages: 2, ..two });

    // The page, its directory block, the metadata, page 0.
    let (mut pager, counter) = settled();
    let mut transaction = pager.begin().unwrap();
    pager.stage(&mut transaction, ProtectedId(1)).unwrap()[0] = 1;
    pager.commit(transaction).unwrap();
    assert_eq!(
        counter.take(),
        Counts {
            pages: 4,
            crc32s: 1,
            stages: 1,
            ..two
        }
    );

    let (mut pager, counter) = settled();
    let mut transaction = pager.begin().unwrap();
    for id in 0..5 {
        pager.stage(&mut transaction, ProtectedId(id)).unwrap()[0] = 1;
    }
    pager.commit(transaction).unwrap();
    assert_eq!(
        counter.take(),
        Counts {
            pages: 8,
            crc32s: 5,
            stages: 5,
            ..two
        }
    );

    let (mut pager, counter) = settled();
    alloc_protected(&mut pager, 1).unwrap();
    assert_eq!(counter.take(), Counts { pages: 4, ..two });

    // One block has room for 136: a second is added, both its copies written.
    let (mut pager, counter) = settled();
    alloc_protected(&mut pager, 132).unwrap();
    assert_eq!(
        counter.take(),
        Counts {
            pages: 132 + 5,
            grows: 1,
            ..two
        }
    );

    let (mut pager, counter) = settled();
    let mut transaction = pager.begin().unwrap();
    pager
        .free_protected(&mut transaction, &[ProtectedId(0), ProtectedId(4)])
        .unwrap();
    pager.commit(transaction).unwrap();
    assert_eq!(counter.take(), Counts { pages: 3, ..two });

    let (mut pager, counter) = settled();
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
        pages: 5,
        resets: 2,
        crc32s: 1,
        stages: 1,
        ..two
    };
    assert_eq!(counter.take(), expected);
}

#[test]
fn an_empty_or_rolled_back_transaction_does_no_io() {
    for (mut pager, counter) in [counted(), settled()] {
        counter.take();
        let generation = pager.stats().generation;
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
    let (mut pager, counter) = settled();
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
            crc32s: 1,
            ..Counts::default()
        }
    );
}

#[test]
fn growth_doubles_up_to_what_the_bitmap_can_name_and_then_it_is_full() {
    let limit = pages_max(1024);
    assert_eq!(limit, 7968);
    let mut pager = new_pager(PageSize::KIB_1);
    let mut counts = vec![4];
    for page in 3..limit {
        assert_eq!(alloc(&mut pager, 1).unwrap(), [page]);
        if pager.stats().page_count != *counts.last().unwrap() {
            counts.push(pager.stats().page_count);
        }
    }
    assert_eq!(
        counts,
        [4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, limit]
    );
    assert_eq!(pager.store().geometry().page_count, limit);
    let full = pager.store().bytes().to_vec();
    assert_eq!(alloc(&mut pager, 1).unwrap_err(), Error::Full { limit });
    assert_eq!(
        alloc_protected(&mut pager, 1).unwrap_err(),
        Error::Full { limit }
    );
    assert!(
        full == pager.store().bytes(),
        "a refused allocation changed the file"
    );

    let mut transaction = pager.begin().unwrap();
    pager.free(&mut transaction, &[5000]).unwrap();
    // It stays taken until it is durable that it is free.
    assert_eq!(
        pager.alloc(&mut transaction, 1).unwrap_err(),
        Error::Full { limit }
    );
    pager.commit(transaction).unwrap();
    assert_eq!(alloc(&mut pager, 2).unwrap_err(), Error::Full { limit });
    assert_eq!(alloc(&mut pager, 1).unwrap(), [5000]);
    said(&pager).is_as_we_commit().unwrap();
}

#[test]
fn an_allocation_that_does_not_fit_changes_nothing_however_large() {
    let limit = pages_max(1024);
    for count in [7966, 100_000, u32::MAX] {
        let mut pager = new_pager(PageSize::KIB_1);
        let mut transaction = pager.begin().unwrap();
        assert_eq!(
            pager.alloc(&mut transaction, count).unwrap_err(),
            Error::Full { limit }
        );
        assert!(transaction.is_empty());
        let refused = pager.alloc_protected(&mut transaction, count).unwrap_err();
        assert!(
            matches!(refused, Error::Full { .. } | Error::DirectoryFull { .. }),
            "{refused}"
        );
        assert!(transaction.is_empty());
        // The transaction is as good as before.
        assert_eq!(pager.alloc(&mut transaction, 7965).unwrap().len(), 7965);
        pager.commit(transaction).unwrap();
        assert_eq!(pager.stats().free_pages, 0);
    }
}

#[test]
fn pages_of_a_directory_block_are_kept_free_for_it() {
    // 3 reserved and 4 for a protected page: its own two and its block's.
    let fits = pages_max(1024) as u32 - 7;
    for (count, refused) in [(fits, false), (fits + 1, true)] {
        for protected_first in [false, true] {
            let mut pager = new_pager(PageSize::KIB_1);
            let mut transaction = pager.begin().unwrap();
            let done = if protected_first {
                pager.alloc_protected(&mut transaction, 1).unwrap();
                pager.alloc(&mut transaction, count).map(drop)
            } else {
                pager.alloc(&mut transaction, count).unwrap();
                pager.alloc_protected(&mut transaction, 1).map(drop)
            };
            assert_eq!(done.is_err(), refused, "{count} pages: {done:?}");
            pager.commit(transaction).unwrap();
            said(&pager).is_as_we_commit().unwrap();
        }
    }
}

#[test]
fn the_directory_ends_where_page_0_has_no_room_for_more_blocks() {
    let limit = 58 * 33;
    let mut pager = new_pager(PageSize::KIB_1);
    let ids = alloc_protected(&mut pager, limit as u32).unwrap();
    assert!(ids.iter().map(|id| id.0).eq(0..limit));
    assert_eq!(
        alloc_protected(&mut pager, 1).unwrap_err(),
        Error::DirectoryFull { limit }
    );
    let state = said(&pager);
    state.is_as_we_commit().unwrap();
    assert_eq!(state.blocks.len(), 58);
    let mut pager = Pager::open(pager.close(), Access::Write).unwrap();
    let mut transaction = pager.begin().unwrap();
    pager
        .free_protected(&mut transaction, &[ProtectedId(1000)])
        .unwrap();
    pager.commit(transaction).unwrap();
    assert_eq!(alloc_protected(&mut pager, 1).unwrap(), [ProtectedId(1000)]);
}

#[test]
fn ids_and_pages_freed_by_a_transaction_are_not_given_out_by_it() {
    let mut pager = new_pager(PageSize::KIB_4);
    alloc(&mut pager, 5).unwrap();
    alloc_protected(&mut pager, 3).unwrap();
    let mut transaction = pager.begin().unwrap();
    pager.free(&mut transaction, &[3, 4]).unwrap();
    pager
        .free_protected(&mut transaction, &[ProtectedId(1)])
        .unwrap();
    let before = said(&pager);
    let pages = pager.alloc(&mut transaction, 4).unwrap();
    assert!(
        pages
            .iter()
            .all(|&page| !before.allocated.get(page as usize).is_some_and(|it| *it))
    );
    assert_eq!(
        pager.alloc_protected(&mut transaction, 1).unwrap(),
        [ProtectedId(3)]
    );
    pager.commit(transaction).unwrap();
    assert_eq!(alloc(&mut pager, 2).unwrap(), [3, 4]);
    assert_eq!(alloc_protected(&mut pager, 1).unwrap(), [ProtectedId(1)]);
}

#[test]
fn a_transaction_is_stale_once_another_was_committed() {
    let mut pager = new_pager(PageSize::KIB_4);
    alloc_protected(&mut pager, 1).unwrap();
    let mut stale = pager.begin().unwrap();
    let mut fresh = pager.begin().unwrap();
    pager.alloc(&mut stale, 1).unwrap();
    pager.alloc(&mut fresh, 1).unwrap();
    pager.commit(fresh).unwrap();
    let bytes = pager.store().bytes().to_vec();
    assert_eq!(
        pager.alloc(&mut stale, 1).unwrap_err(),
        Error::StaleTransaction
    );
    assert_eq!(
        pager.alloc_protected(&mut stale, 1).unwrap_err(),
        Error::StaleTransaction
    );
    assert_eq!(
        pager.free(&mut stale, &[3]).unwrap_err(),
        Error::StaleTransaction
    );
    let id = ProtectedId(0);
    assert_eq!(
        pager.free_protected(&mut stale, &[id]).unwrap_err(),
        Error::StaleTransaction
    );
    assert_eq!(
        pager.stage(&mut stale, id).unwrap_err(),
        Error::StaleTransaction
    );
    assert_eq!(pager.commit(stale).unwrap_err(), Error::StaleTransaction);
    assert!(
        bytes == pager.store().bytes(),
        "a stale transaction changed the file"
    );
    // That is no reason to stop.
    alloc(&mut pager, 1).unwrap();
}

#[test]
fn a_transaction_of_another_pager_is_refused() {
    let mut pager = new_pager(PageSize::KIB_4);
    let other = new_pager(PageSize::KIB_4);
    let mut transaction = other.begin().unwrap();
    other.alloc(&mut transaction, 1).unwrap();
    assert_eq!(
        pager.commit(transaction).unwrap_err(),
        Error::StaleTransaction
    );

    // Neither is one of the same file, opened before.
    let transaction = pager.begin().unwrap();
    let mut pager = Pager::open(pager.close(), Access::Write).unwrap();
    assert_eq!(
        pager.commit(transaction).unwrap_err(),
        Error::StaleTransaction
    );
    assert!(other.begin().is_ok());
}

#[test]
fn staging_gives_the_same_pending_bytes_until_the_page_is_freed() {
    let mut pager = new_pager(PageSize::KIB_4);
    let id = alloc_protected(&mut pager, 1).unwrap()[0];
    let mut transaction = pager.begin().unwrap();
    pager.stage(&mut transaction, id).unwrap()[7] = 7;
    assert_eq!(
        pager.stage(&mut transaction, id).unwrap()[..9],
        [0, 0, 0, 0, 0, 0, 0, 7, 0]
    );
    let new = pager.alloc_protected(&mut transaction, 1).unwrap()[0];
    pager.stage(&mut transaction, new).unwrap()[1] = 1;
    assert_eq!(pager.stage(&mut transaction, new).unwrap()[..3], [0, 1, 0]);
    pager.free_protected(&mut transaction, &[id]).unwrap();
    assert_eq!(
        pager.stage(&mut transaction, id).unwrap_err(),
        Error::NotProtected { id }
    );
    pager.commit(transaction).unwrap();
    let page = pager.verify_protected(new).unwrap().page;
    assert_eq!(pager.store().page(page).unwrap()[..3], [0, 1, 0]);
    assert_eq!(
        pager.locate_protected(id).unwrap_err(),
        Error::NotProtected { id }
    );
}

#[test]
fn our_slot_generations_start_at_1_and_count_writes() {
    let mut pager = new_pager(PageSize::KIB_4);
    let id = alloc_protected(&mut pager, 1).unwrap()[0];
    assert_eq!(pager.locate_protected(id).unwrap().generation, 1);
    for generation in 2..5 {
        let mut transaction = pager.begin().unwrap();
        pager.stage(&mut transaction, id).unwrap()[0] = 1;
        pager.commit(transaction).unwrap();
        assert_eq!(pager.locate_protected(id).unwrap().generation, generation);
    }
}

#[test]
fn a_new_file_has_at_least_4_pages_and_as_many_as_asked_for() {
    for (asked, got) in [(0, 4), (3, 4), (4, 4), (5, 5), (100, 100), (7968, 7968)] {
        let pager = Pager::create(MemoryStore::new(PageSize::KIB_1), asked).unwrap();
        assert_eq!(pager.stats().page_count, got);
        assert_eq!(pager.store().geometry().page_count, got);
        let state = said(&pager);
        assert_eq!((state.page_count, state.free_count), (got, got - 3));
        assert_eq!(state.other_generation, Some(state.generation));
    }
    for asked in [7969, u64::MAX] {
        let refused = Pager::create(MemoryStore::new(PageSize::KIB_1), asked).unwrap_err();
        assert_eq!(refused, Error::Full { limit: 7968 });
    }
}

#[test]
fn a_file_of_any_page_count_grows_by_doubling() {
    let mut pager = Pager::create(MemoryStore::new(PageSize::KIB_1), 100).unwrap();
    alloc(&mut pager, 98).unwrap();
    assert_eq!(pager.stats().page_count, 200);
    alloc(&mut pager, 1000).unwrap();
    assert_eq!(pager.stats().page_count, 1600);
}

#[test]
fn creating_over_anything_is_refused() {
    for bytes in [vec![1], vec![0; 1024], vec![0; 5000]] {
        let store = MemoryStore::from_bytes(PageSize::KIB_1, bytes);
        assert!(matches!(
            Pager::create(store, 4).unwrap_err(),
            Error::NotEmpty { .. }
        ));
    }
}
