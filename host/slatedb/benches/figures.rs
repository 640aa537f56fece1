//! The figures of the README, as its table: `cargo bench -p pagebox-slatedb`.
//!
//! The object store is in memory and sleeps 60 ms before each PUT and 30 ms before
//! any other request: it stands for S3, and is the same on every machine. With
//! `PAGEBOX_BENCH_ADDRESS` a real one is measured instead, whose requests are not
//! counted.

#[path = "../tests/it/tricky.rs"]
#[expect(dead_code, reason = "the tests use the rest")]
mod tricky;

use std::time::{Duration, Instant};

use pagebox_core::{Access, Format, NewFile, Pager, ProtectedId};
use pagebox_slatedb::{Address, Bucket, Options, SlateReader, SlateStore};
use pagebox_store::{PageSize, PageStore};
use tricky::Tricky;

const PAGES: u32 = 2000;

/// What S3 takes for a million PUTs, in US dollars.
const MILLION_PUTS: u64 = 5;

fn open(bucket: &Bucket) -> Pager<SlateStore> {
    let store = SlateStore::open(bucket, &Options::default().take_over()).expect("a store");
    Pager::open(store, Access::Write).expect("a file")
}

fn fill(pager: &mut Pager<SlateStore>, pages: u32, byte: u8) {
    let mut transaction = pager.begin().expect("sound");
    for id in 0..pages {
        let page = pager.stage(&mut transaction, ProtectedId(id.into()));
        page.expect("sound").fill(byte);
    }
    pager.commit(transaction).expect("durable");
}

struct Table {
    objects: Tricky,
    bucket: Bucket,
    is_real: bool,
}

impl Table {
    /// Times some work, and counts its requests.
    fn row(&self, what: &str, times: u32, mut work: impl FnMut(u32)) {
        let count = || {
            let rules = self.objects.rules();
            (rules.puts, rules.bytes, rules.others)
        };
        let before = count();
        let mut each: Vec<Duration> = (0..times)
            .map(|time| {
                let start = Instant::now();
                work(time);
                start.elapsed()
            })
            .collect();
        each.sort();
        let median = each[each.len() / 2];
        let after = count();
        let times = u64::from(times);
        // Of a hundredth of them there is no need.
        let per = |n: u64| format!("{}.{}", n / times, n % times * 10 / times);
        let requests = if self.is_real {
            "- | - | -".into()
        } else {
            let (puts, others) = (per(after.0 - before.0), per(after.2 - before.2));
            format!("{puts} | {others} | {}", per((after.1 - before.1) / 1024))
        };
        println!("| {what} | {median:.2?} | {requests} |");
    }
}

fn main() {
    let objects = Tricky::new();
    objects.rules().takes = (Duration::from_millis(60), Duration::from_millis(30));
    let real = std::env::var("PAGEBOX_BENCH_ADDRESS").ok();
    let bucket = real.as_ref().map_or_else(
        || objects.bucket(),
        |text| {
            let address: Address = text.parse().expect("an address");
            address.new_bucket().expect("a bucket")
        },
    );
    let table = Table {
        objects,
        bucket,
        is_real: real.is_some(),
    };
    println!("| | time | PUTs | other requests | KiB put |\n|---|---|---|---|---|");
    let mut pager = None;
    table.row("create", 1, |_| {
        let store = SlateStore::create(&table.bucket, PageSize::KIB_4, &Options::default());
        let new = NewFile {
            format: Format::One,
            page_count: 0,
            uuid: [1; 16],
        };
        pager = Some(Pager::create_as(store.expect("new"), &new).expect("a file"));
    });
    let mut pager = pager.expect("made");
    let mut transaction = pager.begin().expect("sound");
    let ids = pager.alloc_protected(&mut transaction, PAGES);
    ids.expect("room");
    pager.commit(transaction).expect("durable");
    fill(&mut pager, PAGES, 1);
    table.row("commit of 1 page", 50, |_| fill(&mut pager, 1, 2));
    table.row("commit of 100 pages", 20, |_| fill(&mut pager, 100, 3));
    table.row("commit of 64 pages, as of 64 writers together", 20, |_| {
        fill(&mut pager, 64, 4);
    });
    let mut pager = Some(pager);
    table.row("close", 1, |_| {
        let pager = pager.take().expect("open");
        pager.close().close().expect("closed");
    });
    table.row("open after a close", 5, |_| drop(open(&table.bucket)));
    let mut pager = open(&table.bucket);
    for number in 0..255 {
        fill(&mut pager, 1, number);
    }
    std::mem::forget(pager);
    table.row("open after a crash, 255 commits later", 1, |_| {
        std::mem::forget(open(&table.bucket));
    });
    let options = Options::default();
    table.row("look", 5, |_| {
        drop(SlateReader::open(&table.bucket, &options).expect("there"));
    });
    let reader = SlateReader::open(&table.bucket, &options).expect("there");
    let pages = reader.geometry().page_count;
    let mut page = [0; 4096];
    let mut read = |number: u64| reader.read(number, 0, &mut page).expect("there");
    table.row("cold read", 20, |time| read(u64::from(time) * 97 % pages));
    table.row("warm read", 2000, |_| read(0));
    table.row(&format!("scan of {pages} pages"), 1, |_| {
        (0..pages).for_each(&mut read);
    });
    println!("\nA million durable commits cost {MILLION_PUTS} US dollars of PUTs on S3.");
}
