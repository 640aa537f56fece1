//! Replacing a regular page in place, then making that durable. The peer has no
//! sync of its own: its map is synced through another handle on its file.

use super::Bench;
use crate::contestants::{Core, Lane, Name, PAGE, Pagebox, Pages, Peer, content};
use crate::measure::race;
use crate::syscalls::set_up;
use pagebox_tests::rng::Rng;

const REGULAR: u64 = 1500;

pub(crate) fn run(bench: &mut Bench) {
    bench.on_media(|bench, medium, folder| {
        let mut lanes = set_up(&folder, || -> Vec<Lane<dyn Pages>> {
            let engine = &bench.engine;
            let pagebox = Pagebox::create(engine, &folder, 2048, 0, REGULAR);
            let core = Core::create(&folder, 2048, 0, REGULAR);
            let peer = Peer::create(&folder, 0, REGULAR);
            vec![
                (Name::Pagebox, Box::new(pagebox)),
                (Name::PageboxCore, Box::new(core)),
                (Name::Mappedpages, Box::new(peer)),
            ]
        });
        // All of them have the same pages.
        let pages = lanes[0].1.regular();
        let mut versions = vec![0; pages.len()];
        let rounds = bench.rounds(1000);
        let mut rng = Rng::new(1);
        let picks: Vec<_> = (0..rounds)
            .map(|_| rng.below(pages.len() as u64) as usize)
            .collect();
        let rows = race(
            "write-sync",
            medium,
            rounds,
            &mut lanes,
            |lane, round, recorder| {
                let index = picks[round as usize];
                let bytes = content(pages[index], round + 1);
                versions[index] = round + 1;
                recorder.time(1, || lane.write_and_sync(pages[index], &bytes));
            },
        );
        bench.add(rows);
        let mut buffer = vec![0; PAGE];
        for (name, lane) in lanes {
            let lane = lane.reopen_pages();
            for (page, version) in pages.iter().zip(&versions) {
                lane.copy_pages(&[*page], &mut buffer);
                assert_eq!(buffer, content(*page, *version), "{name}: page {page}");
            }
        }
    });
}
