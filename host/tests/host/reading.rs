//! Readers: many threads, no lock, files that rot or shrink under them.

use std::fs;

use pagebox::{Error, PageId, StoreError};

use crate::{P, engine, folder, sample};

#[test]
fn readers_share_a_pager() {
    let (_folder, path) = folder();
    let (regular, protected) = sample(&path);
    let pager = engine().open(&path).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..200 {
                    assert_eq!(pager.page(regular).unwrap()[P - 1], 0xAB);
                    assert_eq!(&pager.protected_page(protected).unwrap()[..5], b"hello");
                    assert!(pager.page(PageId::new(protected.get())).is_err());
                    assert_eq!(pager.protected_pages().count(), 1);
                }
            });
        }
    });
}

#[test]
fn reader_copies_and_changes_nothing() {
    let (_folder, path) = folder();
    let (regular, protected) = sample(&path);
    let before = (
        fs::read(&path).unwrap(),
        fs::metadata(&path).unwrap().modified().unwrap(),
    );
    let mut permissions = fs::metadata(&path).unwrap().permissions();
    permissions.set_readonly(true);
    fs::set_permissions(&path, permissions).unwrap();

    let mut pager = engine().open_read_only(&path).unwrap();
    let mut bytes = [0; 5];
    pager.read_protected(protected, 0, &mut bytes).unwrap();
    assert_eq!(&bytes, b"hello");
    pager.read(regular, P - 5, &mut bytes).unwrap();
    assert_eq!(bytes, [0xAB; 5]);
    let error = pager.read(regular, P - 4, &mut bytes).unwrap_err();
    assert!(matches!(
        error,
        Error::PastPageEnd {
            offset: 4092,
            len: 5,
            page_size: P
        }
    ));
    assert!(matches!(pager.page(regular), Err(Error::NotLendable)));
    assert!(matches!(
        pager.protected_page(protected),
        Err(Error::NotLendable)
    ));
    assert!(matches!(pager.page_mut(regular), Err(Error::ReadOnly)));
    assert!(matches!(
        pager.write(regular, 0, &[1]),
        Err(Error::ReadOnly)
    ));
    assert!(matches!(pager.begin(), Err(Error::ReadOnly)));
    assert!(matches!(pager.sync(), Err(Error::ReadOnly)));
    drop(pager);
    let after = (
        fs::read(&path).unwrap(),
        fs::metadata(&path).unwrap().modified().unwrap(),
    );
    assert_eq!(before, after);
}

#[test]
fn file_that_shrinks_under_a_reader_is_an_error() {
    let (_folder, path) = folder();
    let (regular, protected) = sample(&path);
    let pager = engine().open_read_only(&path).unwrap();
    fs::OpenOptions::new()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(3 * P as u64)
        .unwrap();
    let mut bytes = [0; 5];
    for error in [
        pager.read(regular, 0, &mut bytes).unwrap_err(),
        pager.read_protected(protected, 0, &mut bytes).unwrap_err(),
    ] {
        assert!(
            matches!(
                error,
                Error::Store {
                    cause: StoreError::OutOfBounds,
                    ..
                }
            ),
            "{error}"
        );
    }
}

#[test]
fn rotten_protected_page_is_named() {
    let (_folder, path) = folder();
    let (_, protected) = sample(&path);
    let page = {
        let pager = engine().open(&path).unwrap();
        pager
            .protected_pages()
            .next()
            .unwrap()
            .unwrap()
            .page
            .unwrap()
    };
    let mut bytes = fs::read(&path).unwrap();
    bytes[usize::try_from(page).unwrap() * P + 77] ^= 0x10;
    fs::write(&path, bytes).unwrap();
    let mut copy = [0; 1];
    let mut pager = engine().open(&path).unwrap();
    for error in [
        pager.protected_page(protected).unwrap_err(),
        pager.read_protected(protected, 0, &mut copy).unwrap_err(),
        engine()
            .open_read_only(&path)
            .unwrap()
            .read_protected(protected, 0, &mut copy)
            .unwrap_err(),
        pager.begin().unwrap().write(protected).unwrap_err(),
    ] {
        assert!(
            matches!(error, Error::ChecksumMismatch { id, page: at, unproven: false, .. }
                if id == protected && at == page),
            "{error}"
        );
        assert!(error.is_corrupt());
    }
}
