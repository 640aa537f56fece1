//! Allocating a protected page, where there are few and where there are many:
//! a commit should take the same.

use pagebox::Format;

use super::Bench;
use crate::contestants::{Core, Lane, Name, Pagebox, Protects};
use crate::measure::race;
use crate::syscalls::set_up;

pub(crate) fn run(bench: &mut Bench) {
    for (case, records) in [("protect-100", 100), ("protect-8000", 8000)] {
        bench.in_memory(|bench, medium, folder| {
            let engine = &bench.engine;
            let mut lanes = set_up(&folder, || -> Vec<Lane<dyn Protects>> {
                let page_count = 2 * records + 512;
                let ours =
                    |format| Pagebox::create(engine, format, &folder, page_count, records, 0);
                vec![
                    (Name::Pagebox, Box::new(ours(Format::One))),
                    (Name::PageboxZero, Box::new(ours(Format::Zero))),
                    (
                        Name::PageboxCore,
                        Box::new(Core::create(&folder, page_count, records, 0)),
                    ),
                ]
            });
            let rounds = bench.rounds(500);
            let rows = race(case, medium, rounds, &mut lanes, |lane, _, recorder| {
                let id = recorder.time(1, || lane.protect());
                assert_eq!(id, records, "the lowest free id");
                lane.unprotect(id);
            });
            bench.add(rows);
        });
    }
}
