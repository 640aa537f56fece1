//! Where the format ends, and how a file gets there.

use pagebox_core::recovery::{Explain, recover};
use pagebox_core::{Access, Error, Format, NewFile, Pager, ProtectedId};
use pagebox_store::{MemoryStore, PageSize, PageStore};
use pagebox_tests::craft::pages_max;

use crate::{alloc, alloc_protected, new_pager, said};

#[test]
fn growth_doubles_up_to_what_the_bitmap_can_name_and_then_it_is_full() {
    let limit = pages_max(1024);
    assert_eq!(limit, 7968);
    let mut pager = new_pager(PageSize::KIB_1);
    let mut counts = vec![4];
    for page in 3..limit {
        assert_eq!(alloc(&mut pager, 1).unwrap(), [page]);
        if pager.stats().page_count.unwrap() != *counts.last().unwrap() {
            counts.push(pager.stats().page_count.unwrap());
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

/// The limit of 7,968 pages lies in the middle of a word of 64.
#[test]
fn no_page_past_the_limit_is_free() {
    let pager = new_pager(PageSize::KIB_1);
    let store = pager.close();
    let mut file = recover(&store, Explain::No).unwrap().file;
    assert_eq!(file.free_word(&store, 0).unwrap(), !0b111);
    let words = [123, 124, 125, u64::MAX / 64];
    assert_eq!(
        words.map(|word| file.free_word(&store, word).unwrap()),
        [u64::MAX, u64::from(u32::MAX), 0, 0]
    );
}

/// The limit of 2^47 - 1 pages is one page short of a word of 64.
#[test]
fn no_page_past_the_limit_of_format_1_is_free() {
    let new = NewFile {
        format: Format::One,
        page_count: 0,
        uuid: [1; 16],
    };
    let pager = Pager::create_as(MemoryStore::new(PageSize::KIB_64), &new).unwrap();
    let store = pager.close();
    let mut file = recover(&store, Explain::No).unwrap().file;
    // The header, both roots, and eight homes.
    assert_eq!(file.free_word(&store, 0).unwrap(), !0b111_1111_1111);
    let last = ((1 << 47) - 1) / 64;
    let words = [last - 1, last, last + 1, u64::MAX / 64];
    assert_eq!(
        words.map(|word| file.free_word(&store, word).unwrap()),
        [u64::MAX, u64::MAX >> 1, 0, 0]
    );
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
        assert_eq!(pager.stats().free_pages.unwrap(), 0);
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
fn a_new_file_has_at_least_4_pages_and_as_many_as_asked_for() {
    for (asked, got) in [(0, 4), (3, 4), (4, 4), (5, 5), (100, 100), (7968, 7968)] {
        let mut pager = Pager::create(MemoryStore::new(PageSize::KIB_1), asked).unwrap();
        assert_eq!(pager.stats().page_count.unwrap(), got);
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
    assert_eq!(pager.stats().page_count.unwrap(), 200);
    alloc(&mut pager, 1000).unwrap();
    assert_eq!(pager.stats().page_count.unwrap(), 1600);
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

/// The pages of an added directory block come last and lie above all others of
/// the transaction. Where there are none, nothing is written, though lower ones
/// are free.
#[test]
fn a_directory_block_with_no_room_above_is_refused_before_anything_is_written() {
    let limit = pages_max(1024);
    let mut pager = new_pager(PageSize::KIB_1);
    let pages = alloc(&mut pager, limit as u32 - 3).unwrap();
    let mut transaction = pager.begin().unwrap();
    let [low, last] = [&pages[..6], &pages[pages.len() - 1..]];
    pager.free(&mut transaction, low).unwrap();
    pager.free(&mut transaction, last).unwrap();
    pager.commit(transaction).unwrap();
    let before = pager.store().bytes().to_vec();

    let mut transaction = pager.begin().unwrap();
    pager.alloc(&mut transaction, 7).unwrap();
    pager.free(&mut transaction, low).unwrap();
    pager.alloc_protected(&mut transaction, 1).unwrap();
    assert_eq!(
        pager.commit(transaction).unwrap_err(),
        Error::Full { limit }
    );
    assert!(before == pager.store().bytes(), "something was written");

    // Without the last page the block has room.
    assert_eq!(alloc_protected(&mut pager, 1).unwrap(), [ProtectedId(0)]);
    said(&pager).is_as_we_commit().unwrap();
}
