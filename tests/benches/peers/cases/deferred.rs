//! Overwrites of a record that are deferred: what each takes, and what it takes
//! to make many of them durable together.

use pagebox::Format;

use super::Bench;
use crate::contestants::{Core, Defers, Lane, Name, PAGE, Pagebox, content};
use crate::measure::{Medium, race};
use crate::syscalls::set_up;

const RECORDS: u64 = 1000;
const PAGE_COUNT: u64 = 4096;
/// Commits that become durable together.
const TOGETHER: u64 = 64;

pub(crate) fn run(bench: &mut Bench) {
    bench.on_media(|bench, medium, folder| {
        let engine = &bench.engine;
        let mut lanes = set_up(&folder, || -> Vec<Lane<dyn Defers>> {
            let pagebox = Pagebox::create(engine, Format::One, &folder, PAGE_COUNT, RECORDS, 0);
            let core = Core::create(&folder, PAGE_COUNT, RECORDS, 0);
            vec![
                (Name::Pagebox, Box::new(pagebox)),
                (Name::PageboxCore, Box::new(core)),
            ]
        });
        let rounds = bench.rounds(200);
        let contents: Vec<_> = (0..RECORDS).map(|record| content(record, 1)).collect();
        let write = |lane: &mut dyn Defers, round: u64| {
            for number in 0..TOGETHER {
                let record = (round * TOGETHER + number) * 7 % RECORDS;
                lane.defer(record, &contents[record as usize]);
            }
        };
        if medium == Medium::Tmpfs {
            bench.add(race(
                "overwrite-1-deferred",
                medium,
                rounds,
                &mut lanes,
                |lane, round, recorder| {
                    recorder.time(TOGETHER, || write(lane, round));
                    lane.make_durable();
                },
            ));
        }
        bench.add(race(
            "deferred-64",
            medium,
            rounds,
            &mut lanes,
            |lane, round, recorder| {
                recorder.time(TOGETHER, || {
                    write(lane, round);
                    lane.make_durable();
                });
            },
        ));
        let mut buffer = vec![0; PAGE];
        for (name, lane) in lanes {
            let lane = lane.reopen_records();
            let written = (0..rounds * TOGETHER).map(|number| number * 7 % RECORDS);
            for record in written.take(RECORDS as usize) {
                lane.copy(&[record], &mut buffer);
                assert_eq!(buffer, contents[record as usize], "{name}: record {record}");
            }
        }
    });
}
