//! Growth that fails, whatever step of it does: the file is as long as it was,
//! goes on, and opens as before.

use std::fs;
use std::path::Path;

use pagebox::{Error, MmapStore, PageSize, PageStore, ProtectedId, Store, StoreError};

use super::{child, path, succeed};
use crate::{P, engine, folder, sample};

/// Lets this process have no more than this much of a resource, in bytes.
fn limit(resource: libc::__rlimit_resource_t, bytes: u64) {
    let limit = libc::rlimit {
        rlim_cur: bytes,
        rlim_max: bytes,
    };
    // SAFETY: the pointer is that of a variable of ours.
    assert_eq!(unsafe { libc::setrlimit(resource, &raw const limit) }, 0);
}

/// The bytes of address space that this process has.
fn address_space() -> u64 {
    let pages = fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = pages.split(' ').next().unwrap().parse().unwrap();
    pages * 4096
}

fn len(path: &Path) -> u64 {
    fs::metadata(path).unwrap().len()
}

/// Not a test: grows a store, and then a pager, further than can be mapped.
#[test]
#[ignore = "started by a test, in a process of its own"]
fn grower_of_maps() {
    /// Pages that need 64 MiB.
    const LARGE: u32 = 16_384;
    let path = path();
    sample(&path);
    let before = fs::read(&path).unwrap();
    engine();
    let bare = path.with_file_name("bare");
    fs::write(&bare, [vec![7; 2 * P], vec![6; 100]].concat()).unwrap();
    let mut store = MmapStore::open(&bare, PageSize::KIB_4).unwrap();
    let mut pager = engine().open(&path).unwrap();
    limit(libc::RLIMIT_AS, address_space() + (32 << 20));

    let error = store.grow(LARGE.into()).unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, StoreError::Io(_)), "{error}");
    assert!(text.contains("address space"), "{text}");
    assert_eq!(store.page(1).unwrap(), [7; P]);
    assert_eq!(store.geometry().page_count, 2);
    store.page_mut(1).unwrap().unwrap()[0] = 8;
    store.sync().unwrap();
    drop(store);
    let bytes = fs::read(&bare).unwrap();
    assert_eq!(bytes.len(), 2 * P + 100);
    assert_eq!(
        bytes[2 * P..],
        [6; 100],
        "what lay past the last whole page"
    );
    let mut store = MmapStore::open(&bare, PageSize::KIB_4).unwrap();
    assert_eq!(store.grow(30).unwrap().page_count, 30);
    assert_eq!(store.page(1).unwrap()[..2], [8, 7]);
    assert_eq!(store.page(2).unwrap(), [0; P]);

    let error = pager.alloc_many(LARGE).unwrap_err();
    assert!(matches!(error, Error::Store { .. }), "{error}");
    assert_eq!(len(&path), before.len() as u64);
    drop(pager);
    let mut pager = engine().open(&path).unwrap();
    assert_eq!(
        &pager.protected_page(ProtectedId::new(0)).unwrap()[..5],
        b"hello"
    );
    pager.alloc_many(30).unwrap();
}

/// It left the file doubled, so that it could not be mapped and opened under
/// the same limit any more.
#[test]
fn growth_that_cannot_be_mapped_leaves_the_file_as_it_was() {
    let (_folder, path) = folder();
    let role = "real_files::growth::grower_of_maps";
    succeed(&mut child(&[], role, &path));
}

/// Not a test: grows a store further than files may be long.
#[test]
#[ignore = "started by a test, in a process of its own"]
fn grower_of_files() {
    let path = path();
    fs::write(&path, [vec![7; 2 * P], vec![6; 100]].concat()).unwrap();
    let mut store = MmapStore::open(&path, PageSize::KIB_4).unwrap();
    limit(libc::RLIMIT_FSIZE, 40 * P as u64);
    assert_eq!(store.grow(41).unwrap_err(), StoreError::InsufficientSpace);
    assert_eq!(len(&path), 2 * P as u64 + 100);
    assert_eq!(store.page(1).unwrap(), [7; P]);
    assert_eq!(fs::read(&path).unwrap()[2 * P..], [6; 100]);
    assert_eq!(store.grow(40).unwrap().page_count, 40);
    assert_eq!(store.page(39).unwrap(), [0; P]);
    assert_eq!(store.page(2).unwrap(), [0; P]);
}

#[test]
fn growth_past_the_limit_of_file_sizes_leaves_the_file_as_it_was() {
    let (_folder, path) = folder();
    // The signal would end the process; a program that is to live on ignores it.
    let ignoring = ["sh", "-c", r#"trap "" XFSZ; exec "$0" "$@""#];
    let role = "real_files::growth::grower_of_files";
    succeed(&mut child(&ignoring, role, &path));
}
