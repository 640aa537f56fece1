//! The table of misuse: each is an error that names the page and what it is.

use std::collections::BTreeSet;

use pagebox_core::kinds::PageKind;
use pagebox_core::{Access, Error, Pager, ProtectedId};
use pagebox_store::{MemoryStore, PageSize};
use pagebox_tests::decode::Kind;

use crate::file::File;
use crate::{P, SIZE};

fn pager() -> (Pager<MemoryStore>, File) {
    let file = File::new();
    let store = MemoryStore::from_bytes(SIZE, file.bytes.clone());
    (Pager::open(store, Access::Write).unwrap(), file)
}

fn kind_of(kind: Kind) -> Option<PageKind> {
    match kind {
        Kind::Superblock => Some(PageKind::SUPERBLOCK),
        Kind::Metadata => Some(PageKind::METADATA),
        Kind::Directory => Some(PageKind::DIRECTORY),
        Kind::ProtectedActive => Some(PageKind::PROTECTED_ACTIVE),
        Kind::ProtectedShadow => Some(PageKind::PROTECTED_SHADOW),
        Kind::Regular | Kind::Free | Kind::Slack => None,
    }
}

#[test]
fn pages_that_are_not_a_callers_can_be_neither_reached_nor_freed() {
    let (mut pager, file) = pager();
    let mut kinds = BTreeSet::new();
    for page in 0..file.state.page_count {
        let kind = file.state.kind(page);
        kinds.insert(kind);
        let expected = match (kind, kind_of(kind)) {
            (_, Some(kind)) => Err(Error::NotRegular { page, kind }),
            (Kind::Free, _) => Err(Error::NotAllocated { page }),
            _ => Ok(()),
        };
        assert_eq!(pager.locate(page).map(drop), expected, "page {page}");
        let mut transaction = pager.begin().unwrap();
        assert_eq!(
            pager.free(&mut transaction, &[page]),
            expected,
            "page {page}"
        );
        assert_eq!(transaction.is_empty(), expected.is_err());
    }
    assert_eq!(kinds.len(), 7, "every kind was tried: {kinds:?}");
    let page_count = file.state.page_count;
    for page in [page_count, page_count + 1, 1 << 52, u64::MAX] {
        let expected = Err(Error::OutOfRange { page, page_count });
        assert_eq!(pager.locate(page).map(drop), expected);
        assert_eq!(pager.free(&mut pager.begin().unwrap(), &[page]), expected);
    }
    let text = Error::NotRegular {
        page: 0,
        kind: PageKind::SUPERBLOCK,
    }
    .to_string();
    assert!(
        text.contains("page 0") && text.contains("superblock"),
        "{text}"
    );
}

#[test]
fn ids_that_are_not_in_use_can_be_neither_reached_nor_freed_nor_written() {
    let (mut pager, _) = pager();
    for id in [3, 34, 36, 65, 66, 1914, 1 << 52, u64::MAX].map(ProtectedId) {
        let expected = Error::NotProtected { id };
        assert_eq!(pager.locate_protected(id).unwrap_err(), expected);
        assert_eq!(pager.verify_protected(id).unwrap_err(), expected);
        let mut transaction = pager.begin().unwrap();
        assert_eq!(
            pager.free_protected(&mut transaction, &[id]).unwrap_err(),
            expected
        );
        assert_eq!(pager.stage(&mut transaction, id).unwrap_err(), expected);
        assert!(transaction.is_empty());
    }
}

#[test]
fn freeing_a_bad_or_doubled_id_frees_none_and_names_it() {
    let (mut pager, file) = pager();
    let before = pager.store().bytes().to_vec();
    let page_count = file.state.page_count;
    let bad = [
        (vec![3, 5, 7, 5], Error::Duplicate { id: 5 }),
        (vec![3, 4], Error::NotAllocated { page: 4 }),
        (
            vec![3, 0],
            Error::NotRegular {
                page: 0,
                kind: PageKind::SUPERBLOCK,
            },
        ),
        (
            vec![3, 9999],
            Error::OutOfRange {
                page: 9999,
                page_count,
            },
        ),
    ];
    for (pages, expected) in bad {
        let mut transaction = pager.begin().unwrap();
        assert_eq!(pager.free(&mut transaction, &pages), Err(expected));
        pager.commit(transaction).unwrap();
        assert!(pager.store().bytes() == before, "something was freed");
    }
    let ids = |ids: &[u64]| ids.iter().copied().map(ProtectedId).collect::<Vec<_>>();
    let bad = [
        (ids(&[0, 1, 0]), Error::Duplicate { id: 0 }),
        (ids(&[0, 3]), Error::NotProtected { id: ProtectedId(3) }),
        (
            ids(&[0, 5000]),
            Error::NotProtected {
                id: ProtectedId(5000),
            },
        ),
    ];
    for (ids, expected) in bad {
        let mut transaction = pager.begin().unwrap();
        assert_eq!(pager.free_protected(&mut transaction, &ids), Err(expected));
        pager.commit(transaction).unwrap();
        assert!(pager.store().bytes() == before, "something was freed");
    }
}

#[test]
fn freeing_twice_in_one_transaction_is_refused() {
    let (mut pager, _) = pager();
    let mut transaction = pager.begin().unwrap();
    pager.free(&mut transaction, &[3]).unwrap();
    assert_eq!(
        pager.free(&mut transaction, &[3]),
        Err(Error::NotAllocated { page: 3 })
    );
    let id = ProtectedId(0);
    pager.free_protected(&mut transaction, &[id]).unwrap();
    assert_eq!(
        pager.free_protected(&mut transaction, &[id]),
        Err(Error::NotProtected { id })
    );
}

#[test]
fn a_pending_protected_pages_own_pages_cannot_be_freed() {
    let (mut pager, _) = pager();
    let mut transaction = pager.begin().unwrap();
    pager.alloc_protected(&mut transaction, 1).unwrap();
    for page in 0..pager.stats().page_count.unwrap() {
        if pager.locate(page).is_err() {
            assert!(
                pager.free(&mut transaction, &[page]).is_err(),
                "page {page} was freed"
            );
        }
    }
}

#[test]
fn a_recycled_page_reads_as_zeros() {
    let (mut pager, _) = pager();
    pager.store_mut().page_mut(3).unwrap().fill(0xAB);
    let mut transaction = pager.begin().unwrap();
    pager.free(&mut transaction, &[3]).unwrap();
    pager
        .free_protected(&mut transaction, &[ProtectedId(0)])
        .unwrap();
    pager.commit(transaction).unwrap();
    let mut transaction = pager.begin().unwrap();
    let ids = pager.alloc_protected(&mut transaction, 2).unwrap();
    let pages = pager.alloc(&mut transaction, 20).unwrap();
    pager.commit(transaction).unwrap();
    let protected: Vec<_> = ids
        .iter()
        .map(|&id| pager.verify_protected(id).unwrap().page.unwrap())
        .collect();
    for page in pages.into_iter().chain(protected) {
        assert_eq!(
            pager.store().page(page).unwrap(),
            [0; P],
            "page {page} shows old bytes"
        );
    }
}

#[test]
fn a_write_of_a_part_of_a_protected_page_keeps_the_rest() {
    let (mut pager, _) = pager();
    let id = ProtectedId(1);
    for round in 0..4_u8 {
        let mut transaction = pager.begin().unwrap();
        pager.stage(&mut transaction, id).unwrap()[usize::from(round)] = 100 + round;
        pager.commit(transaction).unwrap();
        let page = pager.verify_protected(id).unwrap().page.unwrap();
        let bytes = pager.store().page(page).unwrap();
        for at in 0..8 {
            let expected = if at <= round { 100 + at } else { 2 };
            assert_eq!(bytes[usize::from(at)], expected, "round {round}");
        }
    }
}

#[test]
fn the_page_after_the_last_that_the_format_can_name_is_full() {
    let limit = 32_544;
    let mut pager = Pager::create(MemoryStore::new(PageSize::KIB_4), 0).unwrap();
    let mut transaction = pager.begin().unwrap();
    pager.alloc(&mut transaction, limit as u32 - 3).unwrap();
    pager.commit(transaction).unwrap();
    assert_eq!(pager.stats().page_count.unwrap(), limit);
    let before = pager.store().bytes().to_vec();
    let mut transaction = pager.begin().unwrap();
    assert_eq!(pager.alloc(&mut transaction, 1), Err(Error::Full { limit }));
    pager.commit(transaction).unwrap();
    assert!(pager.store().bytes() == before, "the file changed");
}
