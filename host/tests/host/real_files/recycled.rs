//! Pages that were somebody else's: they read as zeros to everybody once it is
//! committed that they are allocated, whatever dies when.

use std::fs;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;

use pagebox::{Format, MmapStore, NewFile, PageId, PageSize, PageStore};

use super::{child, path};
use crate::{P, engine, folder};

/// Each format, with as many pages as are zeroed one by one, and as are zeroed at
/// once.
const CASES: [(Format, u32); 4] = [
    (Format::One, 3),
    (Format::One, 300),
    (Format::Zero, 3),
    (Format::Zero, 300),
];

/// A file with `count` free pages that hold `0xAB`, durably, and that number.
fn with_used_pages(path: &Path, format: Format, count: u32) -> Vec<PageId> {
    let new = NewFile {
        format,
        ..NewFile::default()
    };
    let mut pager = engine().create_with(path, PageSize::KIB_4, new).unwrap();
    let pages = pager.alloc_many(count).unwrap();
    for page in &pages {
        pager.page_mut(*page).unwrap().fill(0xAB);
    }
    pager.sync().unwrap();
    pager.free_many(&pages).unwrap();
    pages
}

/// That the file holds zeros in these pages, for whoever reads it.
#[track_caller]
fn are_zeros(path: &Path, pages: &[PageId]) {
    let file = fs::read(path).unwrap();
    let reader = engine().open_read_only(path).unwrap();
    for page in pages {
        let start = usize::try_from(page.get()).unwrap() * P;
        assert!(
            file[start..start + P].iter().all(|byte| *byte == 0),
            "page {page} holds what its last owner wrote"
        );
        let mut bytes = [1; P];
        reader.read(*page, 0, &mut bytes).unwrap();
        assert!(bytes == [0; P]);
    }
}

/// The old bytes were overwritten when the page was first touched, so that
/// other processes saw them until then.
#[test]
fn recycled_page_reads_as_zeros_to_others_while_the_writer_lives() {
    for (format, count) in CASES {
        let (_folder, path) = folder();
        let pages = with_used_pages(&path, format, count);
        let mut pager = engine().open(&path).unwrap();
        assert_eq!(pager.alloc_many(count).unwrap(), pages);
        are_zeros(&path, &pages);
        // And so on, in the same process.
        for page in &pages {
            pager.page_mut(*page).unwrap().fill(0xCD);
        }
        pager.free_many(&pages).unwrap();
        assert_eq!(pager.alloc_many(count).unwrap(), pages);
        are_zeros(&path, &pages);
        // Some were written since, and others were not.
        pager.write(pages[1], 7, b"written").unwrap();
        pager.free_many(&pages).unwrap();
        assert_eq!(pager.alloc_many(count).unwrap(), pages);
        are_zeros(&path, &pages);
        assert!(pager.page(pages[1]).unwrap() == [0; P]);
    }
}

/// Not a test: allocates, and ends without a destructor.
#[test]
#[ignore = "started by a test, in a process of its own"]
fn allocator() {
    let path = path();
    let count = std::env::var("PAGEBOX_TEST_COUNT").unwrap();
    let mut pager = engine().open(&path).unwrap();
    pager.alloc_many(count.parse().unwrap()).unwrap();
    if std::env::var_os("PAGEBOX_TEST_FORGETS").is_some() {
        std::mem::forget(pager);
        return;
    }
    std::io::stdout().flush().unwrap();
    std::process::abort();
}

/// They were overwritten when the store was dropped, which it was not.
#[test]
fn recycled_page_reads_as_zeros_after_its_writer_died() {
    for (format, count) in CASES {
        let (_folder, path) = folder();
        let pages = with_used_pages(&path, format, count);
        let status = child(&[], "real_files::recycled::allocator", &path)
            .env("PAGEBOX_TEST_COUNT", count.to_string())
            .output()
            .unwrap()
            .status;
        assert_eq!(status.signal(), Some(libc::SIGABRT));
        are_zeros(&path, &pages);
        let pager = engine().open(&path).unwrap();
        assert_eq!(pager.stats().unwrap().regular_pages, u64::from(count));
        assert!(pager.page(pages[0]).unwrap() == [0; P]);
    }
}

#[test]
fn recycled_page_reads_as_zeros_after_its_writer_ended_without_destructors() {
    for (format, count) in CASES {
        let (_folder, path) = folder();
        let pages = with_used_pages(&path, format, count);
        let status = child(&[], "real_files::recycled::allocator", &path)
            .env("PAGEBOX_TEST_COUNT", count.to_string())
            .env("PAGEBOX_TEST_FORGETS", "")
            .output()
            .unwrap()
            .status;
        assert!(status.success());
        are_zeros(&path, &pages);
    }
}

/// Zeroed is not reserved anew: the pages of a file that was not sparse can be
/// written when the disk is full.
#[test]
fn zeroed_pages_keep_their_space() {
    use std::os::unix::fs::MetadataExt;
    let (_folder, path) = folder();
    fs::write(&path, vec![7; 512 * P]).unwrap();
    let before = fs::metadata(&path).unwrap().blocks();
    let mut store = MmapStore::open(&path, PageSize::KIB_4).unwrap();
    let reset = [
        pagebox::Change::Zero {
            first: 100,
            count: 300,
        },
        pagebox::Change::Sync,
    ];
    store.write(&reset).unwrap();
    assert!(fs::metadata(&path).unwrap().blocks() >= before);
    let bytes = fs::read(&path).unwrap();
    assert!(bytes[100 * P..400 * P].iter().all(|byte| *byte == 0));
    assert!(bytes[..100 * P].iter().all(|byte| *byte == 7));
    assert!(bytes[400 * P..].iter().all(|byte| *byte == 7));
}
