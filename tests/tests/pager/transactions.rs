//! What a transaction may do, and when it is none any more.

use pagebox_core::{Access, Error, Pager, ProtectedId};
use pagebox_store::PageSize;
use pagebox_tests::counting::CountingStore;

use crate::{alloc, alloc_protected, new_pager, said};

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
    let mut other = new_pager(PageSize::KIB_4);
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
    let page = pager.verify_protected(new).unwrap().page.unwrap();
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

/// What is written whole need not be read, and its bytes need not be good.
#[test]
fn a_page_staged_blank_starts_as_zeros_and_is_neither_read_nor_verified() {
    let mut pager = new_pager(PageSize::KIB_1);
    let id = alloc_protected(&mut pager, 1).unwrap()[0];
    let mut transaction = pager.begin().unwrap();
    pager.stage(&mut transaction, id).unwrap().fill(5);
    pager.commit(transaction).unwrap();
    // It rots.
    let page = pager.locate_protected(id).unwrap().page.unwrap();
    pager.store_mut().page_mut(page).unwrap()[9] ^= 1;

    let (store, counter) = CountingStore::new(pager.close());
    let mut pager = Pager::open(store, Access::Write).unwrap();
    let mut transaction = pager.begin().unwrap();
    assert!(matches!(
        pager.stage(&mut transaction, id),
        Err(Error::ChecksumMismatch { .. })
    ));
    counter.take();
    assert!(
        pager
            .stage_blank(&mut transaction, id)
            .unwrap()
            .iter()
            .all(|byte| *byte == 0)
    );
    let counts = counter.take();
    assert_eq!((counts.reads, counts.checksums), (0, 0));
    pager.stage_blank(&mut transaction, id).unwrap()[3] = 7;
    // The same bytes, whoever asks again.
    assert_eq!(pager.stage(&mut transaction, id).unwrap()[3], 7);
    assert_eq!(pager.stage_blank(&mut transaction, id).unwrap()[3], 7);
    pager.commit(transaction).unwrap();
    pager.verify_protected(id).unwrap();

    let mut transaction = pager.begin().unwrap();
    let missing = ProtectedId(1);
    let error = pager.stage_blank(&mut transaction, missing).unwrap_err();
    assert_eq!(error, Error::NotProtected { id: missing });
    pager.free_protected(&mut transaction, &[id]).unwrap();
    let error = pager.stage_blank(&mut transaction, id).unwrap_err();
    assert_eq!(error, Error::NotProtected { id });
}
