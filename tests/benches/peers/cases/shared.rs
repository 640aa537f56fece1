//! One pager and many threads: writers of a protected page each, whose changes
//! are committed together; readers at the same time; and views beside a writer.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use pagebox::{Error, ProtectedId, SharedPager};

use super::Bench;
use crate::contestants::{Floor, Name, PAGE, Records, content};
use crate::measure::{Medium, Recorder};

/// Writers at the same time.
const MANY: u64 = 64;
/// Protected pages.
const RECORDS: u64 = 1000;

pub(crate) fn run(bench: &mut Bench) {
    bench.on_media(|bench, medium, folder| {
        let path = folder.join("pagebox");
        let size = pagebox::PageSize::KIB_4;
        let pager = bench.engine.create(&path, size);
        let pager = SharedPager::new(pager.expect("a new file"));
        let ids = pager.transact(|tx| tx.alloc_protected_many(RECORDS as u32));
        ids.expect("protected pages");
        let floor = Floor::create(&folder, RECORDS);
        write(bench, medium, &pager, floor);
        read(bench, medium, &pager);
        view(bench, medium, &pager);
        drop(pager);
        let pager = bench.engine.open(&path).expect("the file opens again");
        for record in 0..MANY {
            let page = pager
                .protected_page(ProtectedId::new(record))
                .expect("the page");
            assert_eq!(page[..8], record.to_le_bytes(), "record {record}");
        }
    });
}

fn write(bench: &mut Bench, medium: Medium, pager: &SharedPager, mut floor: Floor) {
    let rounds = bench.rounds(50);
    let mut one = Group::default();
    let mut many = Group::default();
    let mut floors = [Recorder::default(), Recorder::default()];
    for round in 0..rounds {
        one.run(pager, 1, 20, round);
        many.run(pager, MANY, 10, round);
        for (recorder, count) in floors.iter_mut().zip([1, MANY]) {
            let contents: Vec<_> = (0..count).map(|record| content(record, round)).collect();
            let changes: Vec<_> = (0..).zip(contents.iter().map(Vec::as_slice)).collect();
            recorder.time(count, || floor.overwrite(&changes));
        }
    }
    for ((case, group), floor) in [("group-1", one), ("group-64", many)]
        .into_iter()
        .zip(floors)
    {
        // Throughput is a round's, the tail a request's.
        let mut row = group.rounds.row(case, medium, Name::Pagebox);
        let requests = group.requests.row(case, medium, Name::Pagebox);
        row.p99_ns = requests.p99_ns;
        row.slowest_ns = requests.slowest_ns;
        bench.add(vec![row, floor.row(case, medium, Name::Floor)]);
    }
}

/// What writers at the same time took.
#[derive(Default)]
struct Group {
    rounds: Recorder,
    requests: Recorder,
}

impl Group {
    /// `writers` threads replace a page each, `times` times.
    fn run(&mut self, pager: &SharedPager, writers: u64, times: u64, version: u64) {
        let (requests, rounds) = (&mut self.requests, &mut self.rounds);
        rounds.time(writers * times, || {
            std::thread::scope(|scope| {
                let threads: Vec<_> = (0..writers)
                    .map(|record| scope.spawn(move || replace(pager, record, times, version)))
                    .collect();
                for thread in threads {
                    for time in thread.join().expect("a writer") {
                        requests.add(1, time);
                    }
                }
            });
        });
    }
}

/// Replaces a page some times; how long each took.
fn replace(pager: &SharedPager, record: u64, times: u64, version: u64) -> Vec<std::time::Duration> {
    (0..times)
        .map(|time| {
            let bytes = content(record, version + time);
            let start = Instant::now();
            let written = pager.transact(move |tx| {
                tx.write(ProtectedId::new(record))?.copy_from_slice(&bytes);
                Ok(())
            });
            written.expect("a commit");
            start.elapsed()
        })
        .collect()
}

/// Reads a thread and sample.
const READS: u64 = 100_000;

/// One thread that reads, and two.
fn read(bench: &mut Bench, medium: Medium, pager: &SharedPager) {
    let rounds = bench.rounds(50);
    let mut recorders = [Recorder::default(), Recorder::default()];
    for _ in 0..rounds {
        in_threads(&mut recorders, || {
            let pager = pager.read();
            copy(|id| pager.protected_page(id));
        });
    }
    let cases = ["read-threads-1", "read-threads-2"];
    add(bench, medium, recorders, cases);
}

/// The same with views, and beside a writer; and what it takes to make one.
fn view(bench: &mut Bench, medium: Medium, pager: &SharedPager) {
    let rounds = bench.rounds(50);
    let mut making = Recorder::default();
    let (mut alone, mut beside) = (Recorders::default(), Recorders::default());
    for round in 0..rounds {
        let view = making.time(1, || pager.view()).expect("a view");
        in_threads(&mut alone, || copy(|id| view.protected_page(id)));
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    replace(pager, round % MANY, 1, round);
                }
            });
            in_threads(&mut beside, || copy(|id| view.protected_page(id)));
            is_over.store(true, Ordering::Relaxed);
        });
    }
    bench.add(vec![making.row("view", medium, Name::Pagebox)]);
    add(bench, medium, alone, ["view-threads-1", "view-threads-2"]);
    add(bench, medium, beside, ["view-writer-1", "view-writer-2"]);
}

/// Of one thread, and of two.
type Recorders = [Recorder; 2];

fn in_threads(recorders: &mut Recorders, read: impl Fn() + Sync) {
    for (recorder, threads) in recorders.iter_mut().zip(1..) {
        recorder.time(threads * READS, || {
            std::thread::scope(|scope| {
                for _ in 0..threads {
                    scope.spawn(&read);
                }
            });
        });
    }
}

fn add(bench: &mut Bench, medium: Medium, recorders: Recorders, cases: [&str; 2]) {
    for (recorder, case) in recorders.into_iter().zip(cases) {
        bench.add(vec![recorder.row(case, medium, Name::Pagebox)]);
    }
}

/// Copies protected pages.
fn copy<'p>(page: impl Fn(ProtectedId) -> Result<&'p [u8], Error>) {
    let mut buffer = [0; PAGE];
    for read in 0..READS {
        let page = page(ProtectedId::new(read % RECORDS)).expect("the page");
        buffer.copy_from_slice(page);
        std::hint::black_box(&buffer);
    }
}
