//! Replacing a regular page in place, then making that durable. The peer has no
//! sync of its own: its map is synced through another handle on its file.

use pagebox::Format;

use super::Bench;
use crate::contestants::{Core, Lane, Name, PAGE, Pagebox, Pages, Peer, content};
use crate::measure::race;
use crate::syscalls::set_up;
use pagebox_tests::rng::Rng;

const REGULAR: u64 = 1500;

/// A contestant, and the pages that it replaces.
struct Writer {
    lane: Box<dyn Pages>,
    pages: Vec<u64>,
}

pub(crate) fn run(bench: &mut Bench) {
    bench.on_media(|bench, medium, folder| {
        let lanes = set_up(&folder, || -> Vec<Lane<dyn Pages>> {
            let engine = &bench.engine;
            let ours =
                |format| Box::new(Pagebox::create(engine, format, &folder, 2048, 0, REGULAR));
            let core = Core::create(&folder, 2048, 0, REGULAR);
            let peer = Peer::create(&folder, 0, REGULAR);
            vec![
                (Name::Pagebox, ours(Format::One)),
                (Name::PageboxZero, ours(Format::Zero)),
                (Name::PageboxCore, Box::new(core)),
                (Name::Mappedpages, Box::new(peer)),
            ]
        });
        let writer = |(name, lane): Lane<dyn Pages>| {
            let pages = lane.regular();
            (name, Box::new(Writer { lane, pages }))
        };
        let mut lanes: Vec<Lane<Writer>> = lanes.into_iter().map(writer).collect();
        let mut versions = vec![0; REGULAR as usize];
        let rounds = bench.rounds(1000);
        let mut rng = Rng::new(1);
        let picks: Vec<_> = (0..rounds).map(|_| rng.below(REGULAR) as usize).collect();
        let rows = race(
            "write-sync",
            medium,
            rounds,
            &mut lanes,
            |Writer { lane, pages }, round, recorder| {
                let index = picks[round as usize];
                let bytes = content(pages[index], round + 1);
                versions[index] = round + 1;
                recorder.time(1, || lane.write_and_sync(pages[index], &bytes));
            },
        );
        bench.add(rows);
        let mut buffer = vec![0; PAGE];
        for (name, writer) in lanes {
            let Writer { lane, pages } = *writer;
            let lane = lane.reopen_pages();
            for (page, version) in pages.iter().zip(&versions) {
                lane.copy_pages(&[*page], &mut buffer);
                assert_eq!(buffer, content(*page, *version), "{name}: page {page}");
            }
        }
    });
}
