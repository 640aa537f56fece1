//! Iterating over 10,000 regular pages, in a file with 1,000 protected ones.

use pagebox::Format;

use super::Bench;
use crate::contestants::{Core, Lane, Name, Pagebox, Pages, Peer};
use crate::measure::race;
use crate::syscalls::set_up;

const REGULAR: u64 = 10_000;
const PROTECTED: u64 = 1000;

pub(crate) fn run(bench: &mut Bench) {
    bench.in_memory(|bench, medium, folder| {
        let mut lanes = set_up(&folder, || -> Vec<Lane<dyn Pages>> {
            let engine = &bench.engine;
            let ours = |format| {
                Box::new(Pagebox::create(
                    engine, format, &folder, 16384, PROTECTED, REGULAR,
                ))
            };
            let core = Core::create(&folder, 16384, PROTECTED, REGULAR);
            let peer = Peer::create(&folder, PROTECTED, REGULAR);
            vec![
                (Name::Pagebox, ours(Format::One)),
                (Name::PageboxZero, ours(Format::Zero)),
                (Name::PageboxCore, Box::new(core)),
                (Name::Mappedpages, Box::new(peer)),
            ]
        });
        let rounds = bench.rounds(100);
        let rows = race(
            "iterate",
            medium,
            rounds,
            &mut lanes,
            |lane, _, recorder| {
                let found = recorder.time(1, || lane.iterate());
                assert_eq!(found, (REGULAR, PROTECTED), "every page once");
            },
        );
        bench.add(rows);
    });
}
