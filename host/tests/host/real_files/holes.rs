//! Files with holes on a full disk: what is read of them is zeros, what cannot
//! be written is an error, and nothing is a bus error.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;

use pagebox::{
    Access, Algorithm, Change, Error, MmapStore, PageSize, PageStore, Store, StoreError,
};

use super::{child, mounting, path, skip, succeed};
use crate::{P, engine, folder};

/// Copies a file, and leaves holes where it has a block of zeros.
fn copy_with_holes(from: &Path, to: &Path) {
    let bytes = fs::read(from).unwrap();
    let file = File::create_new(to).unwrap();
    file.set_len(bytes.len() as u64).unwrap();
    for (index, block) in bytes.chunks(P).enumerate() {
        if block.iter().any(|byte| *byte != 0) {
            file.write_all_at(block, (index * P) as u64).unwrap();
        }
    }
}

/// Fills the disk that a file is on.
fn fill_disk(path: &Path) {
    let ballast = File::create_new(path.with_file_name("ballast")).unwrap();
    let full = (0..).find_map(|page| ballast.write_all_at(&[1; P], page * P as u64).err());
    assert_eq!(full.unwrap().kind(), std::io::ErrorKind::StorageFull);
}

/// Not a test: looks at holes through all that looks.
#[test]
#[ignore = "started by the test of holes, in a process of its own"]
fn reader() {
    let path = path();
    let dense = path.with_file_name("dense");
    let pages = {
        let mut pager = engine().create_with(&dense, PageSize::KIB_4, 60).unwrap();
        let pages = pager.alloc_many(40).unwrap();
        pager.page_mut(pages[3]).unwrap().fill(3);
        pager.sync().unwrap();
        pages
    };
    copy_with_holes(&dense, &path);
    // Larger pages, of which a part is a hole.
    let large = path.with_file_name("large");
    let file = File::create_new(&large).unwrap();
    file.set_len(6 << 14).unwrap();
    file.write_all_at(&[9; P], (2 << 14) + P as u64).unwrap();
    fill_disk(&path);

    let mut pager = engine().open(&path).unwrap();
    for page in &pages {
        let expected = if *page == pages[3] { 3 } else { 0 };
        assert_eq!(pager.page(*page).unwrap(), [expected; P]);
        let mut bytes = [1; 100];
        pager.read(*page, 50, &mut bytes).unwrap();
        assert_eq!(bytes, [expected; 100]);
    }
    let is_no_space = |error: Error| {
        assert!(
            matches!(
                &error,
                Error::Store {
                    cause: StoreError::InsufficientSpace,
                    ..
                }
            ),
            "{error}"
        );
    };
    is_no_space(pager.page_mut(pages[7]).map(drop).unwrap_err());
    is_no_space(pager.write(pages[7], 0, b"x").unwrap_err());
    assert_eq!(pager.page(pages[7]).unwrap(), [0; P]);
    pager.page_mut(pages[3]).unwrap().fill(4);
    pager.sync().unwrap();
    drop(pager);

    let mut store = MmapStore::open(&large, PageSize::KIB_16).unwrap();
    let expected: Vec<u8> = [[0; P], [9; P], [0; P], [0; P]].concat();
    assert_eq!(store.page(1).unwrap(), vec![0; 1 << 14]);
    assert_eq!(store.page(2).unwrap(), expected);
    assert_eq!(store.page(2).unwrap(), expected, "the same, asked again");
    assert_eq!(store.stage(Some(2)).unwrap()[..], expected);
    assert_eq!(
        store.checksum(2, Algorithm::Crc32).unwrap(),
        store.stage(Some(2)).unwrap().checksum(Algorithm::Crc32)
    );
    let mut bytes = [1; 8];
    store.read(2, 4092, &mut bytes).unwrap();
    assert_eq!(bytes, [0, 0, 0, 0, 9, 9, 9, 9]);
    assert_eq!(
        store.page_mut(2).map(drop),
        Err(StoreError::InsufficientSpace)
    );
    assert_eq!(store.page(2).unwrap(), expected);

    // With room all is as in a file without holes.
    fs::remove_file(path.with_file_name("ballast")).unwrap();
    store.page_mut(2).unwrap().unwrap()[P + 1] = 8;
    assert_eq!(store.page(2).unwrap()[P..P + 2], [9, 8]);
    store.page_mut(1).unwrap().unwrap()[5] = 5;
    assert_eq!(store.page(1).unwrap()[5], 5);
    let buffer = store.stage(Some(2)).unwrap();
    let changes = [
        Change::Staged {
            page: 3,
            buffer: &buffer,
        },
        Change::Zero { first: 2, count: 1 },
        Change::Sync,
    ];
    store.write(&changes).unwrap();
    assert_eq!(store.page(2).unwrap(), vec![0; 1 << 14]);
    assert_eq!(store.page(3).unwrap()[P + 1], 8);
    store.grow(8).unwrap();
    assert_eq!(store.page(7).unwrap(), vec![0; 1 << 14]);
    drop(store);
    let written = fs::read(&large).unwrap();
    assert_eq!(written[(1 << 14) + 5], 5);
    assert_eq!(written[(3 << 14) + P + 1], 8);
    let mut pager = engine()
        .open_store(
            MmapStore::open(&path, PageSize::KIB_4).unwrap(),
            Access::Write,
        )
        .unwrap();
    pager.page_mut(pages[7]).unwrap().fill(1);
    assert_eq!(pager.page(pages[7]).unwrap(), [1; P]);
    assert_eq!(pager.page(pages[3]).unwrap(), [4; P]);
}

/// A file system in memory needs room even for the zeros that a map shows of a
/// hole: the first look at one was a bus error.
#[test]
fn holes_on_a_full_disk_are_read_as_zeros_and_written_with_an_error() {
    let (folder, path) = folder();
    let Some(space) = mounting(folder.path()) else {
        skip("holes on a full disk: no small disk can be mounted here");
        return;
    };
    let disk = folder.path().to_str().unwrap();
    let script = format!(r#"mount -t tmpfs -o size=3m none '{disk}' && exec "$0" "$@""#);
    let wrapper = [space, &["sh", "-c", &script]].concat();
    succeed(&mut child(&wrapper, "real_files::holes::reader", &path));
}
