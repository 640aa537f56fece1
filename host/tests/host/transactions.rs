//! Transactions, and what is read after them.

use std::fs;

use pagebox::{Error, Format, MemoryStore, NewFile, PageSize, ProtectedId};

use crate::{engine, folder, sample};

/// A count that no file of format 0 can hold is refused before it is searched for:
/// with the largest pages as well, where it has room for eight million of them.
#[test]
fn more_protected_pages_than_fit_are_full() {
    let new = NewFile {
        format: Format::Zero,
        ..NewFile::default()
    };
    let mut pager = engine()
        .create_store(MemoryStore::new(PageSize::MIB_1), new)
        .unwrap();
    let mut tx = pager.begin().unwrap();
    let error = tx.alloc_protected_many(u32::MAX).unwrap_err();
    assert!(matches!(error, Error::Full(_)), "{error}");
    let ids = tx.alloc_protected_many(2).unwrap();
    tx.commit().unwrap();
    assert_eq!(pager.protected_page(ids[1]).unwrap().len(), 1 << 20);
}

#[test]
fn file_reopened_holds_what_was_committed() {
    let (_folder, path) = folder();
    let (regular, protected) = sample(&path);
    let mut pager = engine().open(&path).unwrap();
    assert!(
        pager
            .page(regular)
            .unwrap()
            .iter()
            .all(|byte| *byte == 0xAB)
    );
    assert_eq!(&pager.protected_page(protected).unwrap()[..5], b"hello");

    let mut tx = pager.begin().unwrap();
    tx.write(protected).unwrap()[0] = b'j';
    let many = tx.alloc_many(3000).unwrap();
    let more = tx.alloc_protected_many(300).unwrap();
    tx.write(more[299]).unwrap().fill(7);
    let info = tx.commit().unwrap();
    assert!(info.page_count >= 3000);
    assert_eq!(pager.stats().unwrap().generation, info.generation);

    let mut pager = {
        drop(pager);
        engine().open(&path).unwrap()
    };
    assert_eq!(&pager.protected_page(protected).unwrap()[..5], b"jello");
    assert!(
        pager
            .protected_page(more[299])
            .unwrap()
            .iter()
            .all(|byte| *byte == 7)
    );
    let listed: Vec<_> = pager.regular_pages().map(Result::unwrap).collect();
    let mut expected = many;
    expected.push(regular);
    expected.sort_unstable();
    assert_eq!(listed, expected);
    let listed: Vec<_> = pager
        .protected_pages()
        .map(|page| page.unwrap().id)
        .collect();
    assert_eq!(listed, (0..301).map(ProtectedId::new).collect::<Vec<_>>());

    pager.free_many(&expected).unwrap();
    pager.free_protected(protected).unwrap();
    assert!(matches!(pager.page(regular), Err(Error::NotAllocated(id)) if id == regular));
    assert!(matches!(
        pager.protected_page(protected),
        Err(Error::NotProtected(id)) if id == protected
    ));
    assert_eq!(pager.regular_pages().count(), 0);
}

/// What a transaction changes is dropped from the pager's cache, so that no
/// read answers with what was.
#[test]
fn reads_after_a_commit_see_what_it_changed() {
    let mut pager = engine()
        .create_store(MemoryStore::new(PageSize::KIB_1), 0)
        .unwrap();
    let id = pager.alloc_protected().unwrap();
    for round in 0..5_u8 {
        let mut tx = pager.begin().unwrap();
        tx.write(id).unwrap().fill(round);
        tx.commit().unwrap();
        assert!(
            pager
                .protected_page(id)
                .unwrap()
                .iter()
                .all(|byte| *byte == round)
        );
    }
    let regular = pager.alloc().unwrap();
    pager.page(regular).unwrap();
    pager.free(regular).unwrap();
    assert!(matches!(pager.page(regular), Err(Error::NotAllocated(_))));
    let mut tx = pager.begin().unwrap();
    let backing = tx.alloc_protected().unwrap();
    tx.write(backing).unwrap().fill(0);
    tx.commit().unwrap();
    // The page that was freed now belongs to a protected one.
    assert!(
        matches!(pager.page(regular), Err(Error::NotRegular { .. })),
        "page {regular}"
    );
    assert!(
        pager
            .protected_page(backing)
            .unwrap()
            .iter()
            .all(|byte| *byte == 0)
    );
}

#[test]
fn transaction_rolled_back_leaves_nothing() {
    let (_folder, path) = folder();
    let (_, protected) = sample(&path);
    let before = fs::read(&path).unwrap();
    let mut pager = engine().open(&path).unwrap();
    let mut tx = pager.begin().unwrap();
    tx.alloc_many(10).unwrap();
    tx.write(protected).unwrap().fill(1);
    // The same bytes again.
    assert_eq!(tx.write(protected).unwrap()[17], 1);
    tx.rollback();
    let mut tx = pager.begin().unwrap();
    tx.write(protected).unwrap().fill(2);
    drop(tx);
    let tx = pager.begin().unwrap();
    tx.commit().unwrap();
    assert_eq!(&pager.protected_page(protected).unwrap()[..5], b"hello");
    drop(pager);
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn page_freed_after_it_was_staged_is_gone() {
    let mut pager = engine()
        .create_store(MemoryStore::new(PageSize::KIB_1), 0)
        .unwrap();
    let id = pager.alloc_protected().unwrap();
    let mut tx = pager.begin().unwrap();
    tx.write(id).unwrap().fill(9);
    tx.free_protected(id).unwrap();
    assert!(matches!(tx.write(id), Err(Error::NotProtected(it)) if it == id));
    tx.commit().unwrap();
    assert!(matches!(
        pager.protected_page(id),
        Err(Error::NotProtected(it)) if it == id
    ));
    let id = pager.alloc_protected().unwrap();
    assert!(
        pager
            .protected_page(id)
            .unwrap()
            .iter()
            .all(|byte| *byte == 0)
    );
}

#[test]
fn page_replaced_is_written_whole_and_by_as_many_bytes_as_it_has() {
    let mut pager = engine()
        .create_store(MemoryStore::new(PageSize::KIB_1), 0)
        .unwrap();
    let id = pager.alloc_protected().unwrap();
    let before = pager.stats().unwrap().generation;
    let nowhere = ProtectedId::new(id.get() + 1);
    for len in [0, 1023, 1025] {
        let mut tx = pager.begin().unwrap();
        let error = tx.replace(id, &vec![5; len]).unwrap_err();
        let text = format!("a page has 1024 bytes: {len} cannot replace it");
        assert!(
            error.to_string() == text && error.is_caller_fault(),
            "{error}"
        );
        assert!(matches!(
            tx.replace(nowhere, &[5; 1024]),
            Err(Error::NotProtected(it)) if it == nowhere
        ));
        tx.commit().unwrap();
        assert_eq!(pager.stats().unwrap().generation, before);
    }
    let mut tx = pager.begin().unwrap();
    tx.replace(id, &[5; 1024]).unwrap();
    tx.commit().unwrap();
    assert_eq!(pager.protected_page(id).unwrap(), [5; 1024]);
    // Of a page that is staged, and staged again.
    let mut tx = pager.begin().unwrap();
    tx.write(id).unwrap()[0] = 6;
    tx.replace(id, &[7; 1024]).unwrap();
    assert_eq!(tx.write(id).unwrap(), [7; 1024]);
    tx.write(id).unwrap()[0] = 8;
    tx.commit().unwrap();
    assert_eq!(pager.protected_page(id).unwrap()[..2], [8, 7]);
}

/// What `check` advises for a page whose bytes went bad, to write it again, was
/// refused with the very error that was to be mended.
#[test]
fn page_whose_bytes_are_rotten_is_mended_by_replacing_it() {
    let (_folder, path) = folder();
    let mut pager = engine().create(&path, PageSize::KIB_1).unwrap();
    let id = pager.alloc_protected().unwrap();
    let mut tx = pager.begin().unwrap();
    tx.replace(id, &[5; 1024]).unwrap();
    tx.commit().unwrap();
    drop(pager);
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes.windows(9).position(|found| found == [5; 9]).unwrap();
    bytes[at] ^= 1;
    fs::write(&path, bytes).unwrap();

    let mut pager = engine().open(&path).unwrap();
    let mut tx = pager.begin().unwrap();
    assert!(matches!(
        tx.write(id),
        Err(Error::ChecksumMismatch { id: it, .. }) if it == id
    ));
    tx.replace(id, &[6; 1024]).unwrap();
    tx.commit().unwrap();
    assert_eq!(pager.protected_page(id).unwrap(), [6; 1024]);
}

#[test]
fn recycled_page_reads_as_zeros() {
    let (_folder, path) = folder();
    let mut pager = engine().create(&path, PageSize::KIB_4).unwrap();
    let ids = pager.alloc_many(8).unwrap();
    for id in &ids {
        pager.page_mut(*id).unwrap().fill(0xEE);
    }
    pager.free_many(&ids).unwrap();
    let again = pager.alloc_many(8).unwrap();
    assert_eq!(again, ids);
    assert!(
        again
            .iter()
            .all(|id| pager.page(*id).unwrap().iter().all(|byte| *byte == 0))
    );
    // One changed in part, one by a copy, the others untouched.
    pager.page_mut(ids[0]).unwrap()[0] = 1;
    pager.write(ids[1], 4000, &[2]).unwrap();
    let mut byte = [9];
    pager.read(ids[2], 100, &mut byte).unwrap();
    assert_eq!(byte, [0]);
    drop(pager);
    let pager = engine().open(&path).unwrap();
    for id in ids {
        let sum: u32 = pager
            .page(id)
            .unwrap()
            .iter()
            .map(|byte| u32::from(*byte))
            .sum();
        assert!(sum <= 2, "page {id} shows bytes of its former owner");
    }
}
