//! How many requests it takes.

use pagebox_core::{Access, Format, Pager};
use pagebox_slatedb::{SlateReader, SlateStore};
use pagebox_store::{PageSize, PageStore};

use crate::file::{create, fill, filled, open, options};
use crate::tricky::Tricky;

#[test]
fn durable_commit_is_one_put_whatever_it_covers() {
    for format in [Format::Zero, Format::One] {
        let objects = Tricky::new();
        let mut pager = create(&objects.bucket(), format, 100);
        // The first commit after an opening settles what was found there; the next
        // ones make room.
        for _ in 0..3 {
            fill(&mut pager, 100, 1).unwrap();
        }
        for pages in [1, 100, 1] {
            let before = objects.rules().puts;
            fill(&mut pager, pages, 2).unwrap();
            assert_eq!(
                objects.rules().puts - before,
                1,
                "{format:?}, {pages} pages"
            );
        }
        // A growth is durable before its commit begins.
        let before = objects.rules().puts;
        let mut transaction = pager.begin().unwrap();
        pager.alloc(&mut transaction, 5000).unwrap();
        pager.commit(transaction).unwrap();
        assert_eq!(objects.rules().puts - before, 2, "{format:?}, growth");
        let before = objects.rules().bytes;
        fill(&mut pager, 1, 3).unwrap();
        let bytes = objects.rules().bytes - before;
        assert!(bytes < 24 << 10, "{format:?}: {bytes} bytes of one page");
    }
}

#[test]
fn sync_of_nothing_puts_nothing() {
    let objects = Tricky::new();
    let store = SlateStore::create(&objects.bucket(), PageSize::KIB_4, &options());
    let mut store = store.unwrap();
    store.sync().unwrap();
    store.grow(1).unwrap();
    store.sync().unwrap();
    objects.rules().names.clear();
    store.sync().unwrap();
    assert_eq!(objects.rules().names, [""; 0]);
}

#[test]
fn reader_puts_nothing_and_works_without_the_right_to() {
    let objects = Tricky::new();
    let mut pager = create(&objects.bucket(), Format::One, 20);
    fill(&mut pager, 20, 9).unwrap();
    let reading = objects.another();
    reading.rules().is_read_only = true;
    let reader = SlateReader::open(&reading.bucket(), &options()).unwrap();
    let mut look = Pager::open(reader, Access::Read).unwrap();
    assert_eq!(filled(&mut look, 20), 9);
    assert_eq!(reading.rules().puts, 0);
}

#[test]
fn scan_asks_for_many_pages_at_once() {
    let objects = Tricky::new();
    let pager = create(&objects.bucket(), Format::One, 2000);
    drop(pager);
    // Out of the log, so that pages are asked for.
    let mut pager = open(&objects.bucket());
    fill(&mut pager, 2000, 1).unwrap();
    for _ in 0..70 {
        fill(&mut pager, 1, 1).unwrap();
    }
    drop(pager);
    let reading = objects.another();
    let reader = SlateReader::open(&reading.bucket(), &options()).unwrap();
    let before = reading.rules().others;
    let pages = reader.geometry().page_count;
    for page in 0..pages {
        reader.read(page, 0, &mut [0; 4096]).unwrap();
    }
    let requests = reading.rules().others - before;
    assert!(
        requests * 20 < pages,
        "{requests} requests for {pages} pages"
    );
}

/// After a crash an opening reads the log: it is flushed before it grows long.
#[test]
fn recovery_after_a_crash_reads_a_bounded_log() {
    let objects = Tricky::new();
    let mut pager = create(&objects.bucket(), Format::One, 1);
    for byte in 0..=255 {
        fill(&mut pager, 1, byte).unwrap();
    }
    // Beside; a writer that ends waits for nothing.
    let flushed = || {
        objects
            .names()
            .iter()
            .any(|name| name.contains("compacted/"))
    };
    for _ in 0..600 {
        if flushed() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    assert!(flushed(), "{:?}", objects.names().len());
    // Nobody closes it.
    std::mem::forget(pager);
    let opening = objects.another();
    let store = SlateStore::open(&opening.bucket(), &options().take_over()).unwrap();
    let requests = opening.rules().others;
    assert!(requests < 200, "{requests} requests");
    let mut pager = Pager::open(store, Access::Write).unwrap();
    assert_eq!(filled(&mut pager, 1), 255);
}
