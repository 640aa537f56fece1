//! One pager and many threads: writers of a protected page each, whose changes
//! are committed together, and readers at the same time.

use std::time::Instant;

use pagebox::{ProtectedId, SharedPager};

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

fn read(bench: &mut Bench, medium: Medium, pager: &SharedPager) {
    const READS: u64 = 100_000;
    let rounds = bench.rounds(50);
    let mut recorders = [Recorder::default(), Recorder::default()];
    for _ in 0..rounds {
        for (recorder, threads) in recorders.iter_mut().zip(1..) {
            recorder.time(threads * READS, || {
                std::thread::scope(|scope| {
                    for _ in 0..threads {
                        scope.spawn(|| copy(pager, READS));
                    }
                });
            });
        }
    }
    for (recorder, case) in recorders
        .into_iter()
        .zip(["read-threads-1", "read-threads-2"])
    {
        bench.add(vec![recorder.row(case, medium, Name::Pagebox)]);
    }
}

/// Copies protected pages through one guard.
fn copy(pager: &SharedPager, reads: u64) {
    let pager = pager.read();
    let mut buffer = [0; PAGE];
    for read in 0..reads {
        let id = ProtectedId::new(read % RECORDS);
        let page = pager.protected_page(id).expect("the page");
        buffer.copy_from_slice(page);
        std::hint::black_box(&buffer);
    }
}
