//! What every store does, and the same bytes as one in memory after the same work.

use pagebox_core::{Access, Format, Pager};
use pagebox_slatedb::{Bucket, Error, Options, SlateReader, SlateStore};
use pagebox_store::{Algorithm, Change, MemoryStore, PageBuffer, PageSize, PageStore, StoreError};
use pagebox_tests::rng::Rng;

use crate::file::{new_file, options};
use crate::tricky::Tricky;

/// Draws changes that fit a store of so many pages.
fn draw<'a>(rng: &mut Rng, pages: u64, bytes: &'a [u8; 1024]) -> Vec<Change<'a, PageBuffer>> {
    let page = rng.below(pages);
    vec![match rng.below(8) {
        0 => Change::Zero {
            first: page,
            count: rng.below(pages - page) + 1,
        },
        1 => Change::Sealed {
            page,
            bytes: &bytes[..1020],
            start: 8,
        },
        2 => Change::Order,
        3 => Change::Sync,
        _ => Change::Bytes { page, bytes },
    }]
}

fn all_bytes(store: &impl PageStore) -> Vec<u8> {
    let pages = store.geometry().page_count;
    let mut bytes = vec![0; usize::try_from(pages).unwrap() * 1024];
    for (page, bytes) in (0..).zip(bytes.chunks_mut(1024)) {
        store.read(page, 0, bytes).unwrap();
    }
    bytes
}

/// Random work on a store and on one in memory, with openings anew in between.
fn compare(bucket: &Bucket, seed: u64) {
    let mut rng = Rng::new(seed);
    let mut twin = MemoryStore::new(PageSize::KIB_1);
    let mut store = SlateStore::create(bucket, PageSize::KIB_1, &options()).unwrap();
    for round in 0..400 {
        let pages = twin.geometry().page_count;
        match rng.below(40) {
            0 => {
                let pages = pages + rng.below(30);
                assert_eq!(store.grow(pages), twin.grow(pages));
            }
            1 => {
                let pages = pages.saturating_sub(rng.below(9));
                assert_eq!(store.truncate(pages), twin.truncate(pages));
            }
            2 => {
                store.sync().unwrap();
                let reader = SlateReader::open(bucket, &options()).unwrap();
                assert!(
                    all_bytes(&reader) == twin.bytes(),
                    "seed {seed}, round {round}"
                );
            }
            3 if round > 40 => {
                store.sync().unwrap();
                store.close().unwrap();
                store = SlateStore::open(bucket, &options()).unwrap();
            }
            _ if pages == 0 => continue,
            _ => {
                let byte = u8::try_from(round % 251).unwrap();
                let bytes = [byte; 1024];
                let changes = draw(&mut rng, pages, &bytes);
                store.write(&changes).unwrap();
                twin.write(&changes).unwrap();
            }
        }
        assert_eq!(store.geometry(), twin.geometry());
    }
    assert!(all_bytes(&store) == twin.bytes(), "seed {seed}");
    let page = twin.geometry().page_count - 1;
    for algorithm in [Algorithm::Crc32, Algorithm::Xxh3] {
        assert_eq!(
            store.checksum(page, algorithm),
            twin.checksum(page, algorithm)
        );
    }
    assert_eq!(store.stage(Some(page)), twin.stage(Some(page)));
    assert_eq!(store.stage(None), twin.stage(None));
}

#[test]
fn store_after_random_work_holds_what_one_in_memory_does() {
    for seed in 0..6 {
        compare(&Tricky::new().bucket(), seed);
    }
}

#[test]
fn store_in_a_folder_after_random_work_holds_what_one_in_memory_does() {
    let folder = tempfile::tempdir().unwrap();
    compare(&Bucket::folder(folder.path()).unwrap(), 77);
}

#[test]
fn what_does_not_fit_is_refused_and_changes_nothing() {
    let bucket = Tricky::new().bucket();
    let mut store = SlateStore::create(&bucket, PageSize::KIB_1, &options()).unwrap();
    store.grow(3).unwrap();
    let bytes = [1; 1024];
    for changes in [
        vec![
            Change::Bytes {
                page: 0,
                bytes: &bytes,
            },
            Change::Bytes {
                page: 3,
                bytes: &bytes,
            },
        ],
        vec![Change::Bytes {
            page: 0,
            bytes: &bytes[1..],
        }],
        vec![Change::Zero { first: 2, count: 2 }],
    ] {
        assert_eq!(store.write(&changes), Err(StoreError::OutOfBounds));
    }
    assert_eq!(store.read(3, 0, &mut [0]), Err(StoreError::OutOfBounds));
    assert_eq!(
        store.read(0, 1020, &mut [0; 5]),
        Err(StoreError::OutOfBounds)
    );
    assert_eq!(store.stage(Some(3)), Err(StoreError::OutOfBounds));
    assert!(all_bytes(&store).iter().all(|&byte| byte == 0));
}

#[test]
fn reader_shows_the_state_of_its_opening_and_changes_nothing() {
    let bucket = Tricky::new().bucket();
    let mut store = SlateStore::create(&bucket, PageSize::KIB_1, &options()).unwrap();
    store.grow(1).unwrap();
    let write = |store: &mut SlateStore, byte| {
        store.write(&[
            Change::Bytes {
                page: 0,
                bytes: &[byte; 1024],
            },
            Change::Sync,
        ])
    };
    write(&mut store, 1).unwrap();
    let mut reader = SlateReader::open(&bucket, &options()).unwrap();
    assert_eq!(reader.writer().unwrap().as_ref(), store.writer());
    write(&mut store, 2).unwrap();
    assert!(all_bytes(&reader).iter().all(|&byte| byte == 1));
    assert!(all_bytes(&store).iter().all(|&byte| byte == 2));
    assert_eq!(reader.write(&[Change::Sync]), Err(StoreError::ReadOnly));
    assert_eq!(reader.grow(9), Err(StoreError::ReadOnly));
    assert_eq!(store.views(), 0);
    let view = store.view();
    assert_eq!(store.views(), 1);
    assert!(all_bytes(&view) == all_bytes(&store));
}

/// A store is made with its first sync, wholly.
#[test]
fn what_was_not_synced_once_is_no_store() {
    let objects = Tricky::new();
    let bucket = objects.bucket();
    for _ in 0..2 {
        let mut store = SlateStore::create(&bucket, PageSize::KIB_1, &options()).unwrap();
        store.grow(5).unwrap();
        store
            .write(&[Change::Bytes {
                page: 4,
                bytes: &[1; 1024],
            }])
            .unwrap();
        drop(store);
        let found = SlateReader::open(&bucket, &options()).map(drop);
        assert_eq!(found, Err(Error::NotFound));
        let found = SlateStore::open(&bucket, &options()).map(drop);
        assert_eq!(found, Err(Error::NotFound));
    }
    let mut store = SlateStore::create(&bucket, PageSize::KIB_1, &options()).unwrap();
    store.grow(5).unwrap();
    store.sync().unwrap();
    let reader = SlateReader::open(&bucket, &options()).unwrap();
    assert!(
        all_bytes(&reader).iter().all(|&byte| byte == 0),
        "what was left is cleared"
    );
    let again = SlateStore::create(&bucket, PageSize::KIB_1, &options()).map(drop);
    assert_eq!(again, Err(Error::Exists));
}

#[test]
fn store_is_usable_inside_and_outside_of_runtimes() {
    let bucket = Tricky::new().bucket();
    let work = || {
        let options = Options::default();
        let mut store = SlateStore::create(&bucket, PageSize::KIB_1, &options)
            .or_else(|_| SlateStore::open(&bucket, &options))
            .unwrap();
        store.grow(1).unwrap();
        store.sync().unwrap();
    };
    work();
    let one = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    one.block_on(async { work() });
    let many = tokio::runtime::Builder::new_multi_thread().build().unwrap();
    many.block_on(async { tokio::spawn(async move {}).await.unwrap() });
    many.block_on(async { work() });
    futures_executor::block_on(async { work() });
}

/// The same work of a pager on both: the same bytes.
#[test]
fn page_file_on_a_store_has_the_bytes_of_one_in_memory() {
    for format in [Format::Zero, Format::One] {
        let bucket = Tricky::new().bucket();
        let store = SlateStore::create(&bucket, PageSize::KIB_1, &options()).unwrap();
        let mut file = Pager::create_as(store, &new_file(format)).unwrap();
        let twin = MemoryStore::new(PageSize::KIB_1);
        let mut twin = Pager::create_as(twin, &new_file(format)).unwrap();
        work(&mut file, 3);
        work(&mut twin, 3);
        let bytes = all_bytes(file.store());
        assert!(bytes == twin.store().bytes(), "{format:?}");
        drop(file);
        let reader = SlateReader::open(&bucket, &options()).unwrap();
        let mut file = Pager::open(reader, Access::Read).unwrap();
        assert!(all_bytes(file.store()) == bytes, "{format:?}");
        assert_eq!(file.stats(), twin.stats());
    }
}

fn work<S: PageStore<Buffer = PageBuffer>>(pager: &mut Pager<S>, seed: u64) {
    let mut rng = Rng::new(seed);
    let (mut ids, mut pages) = (Vec::new(), Vec::new());
    for _ in 0..60 {
        let mut transaction = pager.begin().unwrap();
        match rng.below(6) {
            0 => ids.extend(pager.alloc_protected(&mut transaction, 3).unwrap()),
            1 => pages.extend(pager.alloc(&mut transaction, 5).unwrap()),
            2 if !pages.is_empty() => pager.free(&mut transaction, &[pages.remove(0)]).unwrap(),
            _ => {
                for &id in &ids {
                    if rng.below(3) > 0 {
                        continue;
                    }
                    pager
                        .stage(&mut transaction, id)
                        .unwrap()
                        .fill(u8::try_from(rng.below(256)).unwrap());
                }
            }
        }
        pager.commit(transaction).unwrap();
        if let Some(&page) = pages.last() {
            let bytes = [u8::try_from(rng.below(256)).unwrap(); 1024];
            pager
                .store_mut()
                .write(&[Change::Bytes {
                    page,
                    bytes: &bytes,
                }])
                .unwrap();
        }
    }
    pager.sync().unwrap();
}
