//! Durable overwrites of records, one or a hundred in a transaction.

use pagebox::Format;

use super::Bench;
use crate::contestants::{
    Core, Floor, Lane, Lmdb, Name, PAGE, Pagebox, Peer, Records, Redb, content,
};
use crate::measure::race;
use crate::syscalls::set_up;
use pagebox_tests::rng::Rng;

/// Records that are overwritten.
const RECORDS: u64 = 1000;
/// Pages in 16 MiB.
const PAGE_COUNT: u64 = 4096;

pub(crate) fn run(bench: &mut Bench) {
    bench.on_media(|bench, medium, folder| {
        // The peer's file reaches its 16 MiB by doubling: it takes more than
        // half to be in use.
        let pages = 100;
        // As many values as there are pages, where all pages are alike.
        let values = PAGE_COUNT - 100;
        let engine = &bench.engine;
        let ours = |format| Pagebox::create(engine, format, &folder, PAGE_COUNT, RECORDS, pages);
        let mut lanes = set_up(&folder, || -> Vec<Lane<dyn Records>> {
            let mut lanes: Vec<Lane<dyn Records>> = vec![
                (Name::Pagebox, Box::new(ours(Format::One))),
                (Name::PageboxZero, Box::new(ours(Format::Zero))),
                (
                    Name::PageboxCore,
                    Box::new(Core::create(&folder, PAGE_COUNT, RECORDS, pages)),
                ),
                (
                    Name::Mappedpages,
                    Box::new(Peer::create(&folder, RECORDS, pages)),
                ),
                (Name::Redb, Box::new(Redb::create(&folder, values))),
                (Name::Lmdb, Box::new(Lmdb::create(&folder, values))),
                (Name::Floor, Box::new(Floor::create(&folder, values))),
            ];
            for (_, lane) in &mut lanes {
                touch(&mut **lane);
            }
            lanes
        });
        let mut versions = vec![0; RECORDS as usize];
        let mut next = 1;
        for (case, batch, rounds) in [("overwrite-1", 1, 1000), ("overwrite-100", 100, 100)] {
            let rounds = bench.rounds(rounds);
            let changes: Vec<Vec<_>> = (next..next + rounds)
                .map(|version| pick(version, batch))
                .collect();
            let rows = race(case, medium, rounds, &mut lanes, |lane, round, recorder| {
                let changes = &changes[round as usize];
                let changes: Vec<_> = changes
                    .iter()
                    .map(|(record, bytes)| (*record, bytes.as_slice()))
                    .collect();
                recorder.time(1, || lane.overwrite(&changes));
            });
            bench.add(rows);
            for (version, changes) in (next..).zip(&changes) {
                for (record, _) in changes {
                    versions[*record as usize] = version;
                }
            }
            next += rounds;
        }
        for (name, lane) in lanes {
            verify(name, &*lane.reopen(), &versions);
        }
    });
}

/// Overwrites every record so often that every copy of it was written once: what
/// a file system does at the first write to a block is not what is measured.
fn touch(lane: &mut dyn Records) {
    let records: Vec<_> = (0..RECORDS)
        .map(|record| (record, content(record, 0)))
        .collect();
    for _ in 0..2 {
        for batch in records.chunks(100) {
            let batch: Vec<_> = batch
                .iter()
                .map(|(record, bytes)| (*record, bytes.as_slice()))
                .collect();
            lane.overwrite(&batch);
        }
    }
}

/// `count` different records and their new bytes.
fn pick(version: u64, count: usize) -> Vec<(u64, Vec<u8>)> {
    let mut rng = Rng::new(version);
    let mut rest: Vec<u64> = (0..RECORDS).collect();
    (0..count)
        .map(|_| {
            let record = rest.swap_remove(rng.below(rest.len() as u64) as usize);
            (record, content(record, version))
        })
        .collect()
}

fn verify(name: Name, lane: &dyn Records, versions: &[u64]) {
    let mut buffer = vec![0; PAGE];
    for (record, version) in (0..).zip(versions) {
        lane.copy(&[record], &mut buffer);
        assert_eq!(buffer, content(record, *version), "{name}: record {record}");
    }
}
