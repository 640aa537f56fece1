//! Changes that do not fit the file: refused whole, by name; and what callers
//! may count on.

use pagebox_core::ProtectedId;
use pagebox_core::changes::{Change, Changes};
use pagebox_core::format1::{Error, File, Kind, Layout};
use pagebox_core::kinds::PageKind;
use pagebox_store::{MemoryStore, PageBuffer, PageStore};

use super::scene::{SMALL, UUID, with_deltas};

/// Puts a change among others.
type Spoil = Box<dyn Fn(&mut Changes<PageBuffer>)>;

/// A file with the protected page 0 and one regular page.
fn file() -> (MemoryStore, File, u64) {
    let mut store = MemoryStore::new(SMALL.page_size);
    let layout = with_deltas(Layout::regular(SMALL), 0);
    let mut file = File::create_shaped(&mut store, layout, UUID, 100).unwrap();
    let mut changes = Changes::default();
    changes.protected.insert(ProtectedId(0), Change::New(None));
    file.commit(&mut store, &changes).unwrap();
    // So that there are a node and a delta.
    let mut file = File::open_shaped(&store, SMALL).unwrap();
    let page = file.find_free(&store, 0).unwrap();
    let mut changes = Changes::default();
    changes.allocated.insert(page);
    file.commit(&mut store, &changes).unwrap();
    (store, file, page)
}

#[test]
fn changes_that_do_not_fit_are_refused_whole() {
    let (store, _, regular) = file();
    let id = ProtectedId;
    let node = {
        let mut file = File::open_shaped(&store, SMALL).unwrap();
        (0..100)
            .find(|&page| file.kind(&store, page) == Ok(Kind::Node))
            .unwrap()
    };
    let bytes = || PageBuffer::from(&[0; 1024][..]);
    let protect = |at, change: fn() -> Change<PageBuffer>| -> Spoil {
        Box::new(move |changes| drop(changes.protected.insert(id(at), change())))
    };
    let free = |page| -> Spoil {
        Box::new(move |changes| {
            changes.freed.insert(page);
        })
    };
    let take = |page| -> Spoil {
        Box::new(move |changes| {
            changes.allocated.insert(page);
        })
    };
    let limit = 1 << 11;
    let cases: Vec<(Spoil, Error)> = vec![
        (
            protect(0, || Change::New(None)),
            Error::IsProtected { id: id(0) },
        ),
        (
            protect(1, || Change::Free),
            Error::NotProtected { id: id(1) },
        ),
        (
            protect(limit, || Change::Free),
            Error::NotProtected { id: id(limit) },
        ),
        (
            protect(u64::MAX, || Change::New(None)),
            Error::NoFreeId { limit },
        ),
        (
            free(100),
            Error::OutOfRange {
                page: 100,
                page_count: 100,
            },
        ),
        (free(99), Error::NotAllocated { page: 99 }),
        (
            free(0),
            Error::NotRegular {
                page: 0,
                kind: PageKind::HEADER,
            },
        ),
        (
            free(node),
            Error::NotRegular {
                page: node,
                kind: PageKind::MAP_NODE,
            },
        ),
        (take(regular), Error::NotFree { page: regular }),
        (take(node), Error::NotFree { page: node }),
        (take(3), Error::NotFree { page: 3 }),
        (
            take(SMALL.page_limit()),
            Error::Full {
                limit: SMALL.page_limit(),
            },
        ),
        (
            take(u64::MAX - 1),
            Error::Full {
                limit: SMALL.page_limit(),
            },
        ),
    ];
    for (spoil, error) in cases {
        let (mut store, mut file, regular) = file();
        let before = store.bytes().to_vec();
        let mut changes = Changes::default();
        changes.protected.insert(id(5), Change::New(Some(bytes())));
        changes.freed.insert(regular);
        spoil(&mut changes);
        assert_eq!(file.commit(&mut store, &changes).err(), Some(error.clone()));
        assert!(store.bytes() == before, "{error}");
        // And it goes on.
        let mut changes = Changes::default();
        changes.protected.insert(id(5), Change::New(Some(bytes())));
        file.commit(&mut store, &changes).unwrap();
    }
}

#[test]
fn recycled_regular_page_reads_as_zeros() {
    let (mut store, mut file, page) = file();
    store.page_mut(page).unwrap().fill(9);
    let mut changes = Changes::default();
    changes.freed.insert(page);
    file.commit(&mut store, &changes).unwrap();
    assert_eq!(
        file.regular(&store, page),
        Err(Error::NotAllocated { page })
    );
    assert_eq!(file.find_free(&store, 0), Ok(page));
    let mut changes = Changes::default();
    changes.allocated.insert(page);
    file.commit(&mut store, &changes).unwrap();
    file.regular(&store, page).unwrap();
    assert!(store.page(page).unwrap().iter().all(|&byte| byte == 0));
}

#[test]
fn pages_are_found_lowest_first_and_past_the_end() {
    let (mut store, mut file, regular) = file();
    let free: Vec<u64> = (0..100)
        .filter(|&page| file.kind(&store, page) == Ok(Kind::Free))
        .collect();
    assert!(!free.contains(&regular) && free.len() as u64 == file.stats().free_pages);
    for page in 0..100 {
        let next = free.iter().find(|&&free| free >= page).copied();
        let found = file.find_free(&store, page).unwrap();
        assert_eq!(next.unwrap_or(100), found, "{page}");
    }
    // A page far behind the end: the file grows for it, homes and all.
    let far = file.find_free(&store, 128).unwrap();
    let mut changes = Changes::default();
    changes.allocated.insert(far);
    file.commit(&mut store, &changes).unwrap();
    assert!(file.stats().page_count > far && far > 128);
    assert_eq!(store.geometry().page_count, file.stats().page_count);
    assert_eq!(file.kind(&store, 128), Ok(Kind::Reserved));
}

/// Eight pages or more lie in runs, though there are holes before.
#[test]
fn large_commit_lies_in_a_run() {
    let (mut store, mut file, _) = file();
    let ids = |ids: std::ops::Range<u64>| {
        let mut changes = Changes::default();
        for id in ids {
            let bytes = PageBuffer::from(&[1; 1024][..]);
            changes
                .protected
                .insert(ProtectedId(id), Change::New(Some(bytes)));
        }
        changes
    };
    for id in 1..12 {
        file.commit(&mut store, &ids(id..id + 1)).unwrap();
    }
    for id in (1..12).step_by(2) {
        let mut changes = Changes::default();
        changes.protected.insert(ProtectedId(id), Change::Free);
        file.commit(&mut store, &changes).unwrap();
    }
    file.commit(&mut store, &ids(100..112)).unwrap();
    file.commit(&mut store, &ids(112..124)).unwrap();
    let pages: Vec<u64> = (112..124)
        .map(|id| file.locate(&store, ProtectedId(id)).unwrap().page.unwrap())
        .collect();
    let breaks = pages
        .windows(2)
        .filter(|pair| pair[1] != pair[0] + 1)
        .count();
    assert!(breaks <= 2, "{pages:?}");
}
