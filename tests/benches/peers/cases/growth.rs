//! Growth: pages allocated one at a time, from a file of 4 pages to the limit.
//! The peer's is lower: up to there they race, and the others go on.

use super::Bench;
use crate::contestants::{Core, Lane, Name, Pagebox, Pages, Peer};
use crate::measure::race;

/// Where the peer stops, at 4 KiB.
const PEER_LIMIT: u64 = 16_384;
/// What the format can name.
const LIMIT: u64 = 32_544;
/// Pages that nobody can allocate.
const RESERVED: u64 = 3;

pub(crate) fn run(bench: &mut Bench) {
    bench.on_media(|bench, medium, folder| {
        let mut lanes: Vec<Lane<dyn Pages>> = vec![
            (
                Name::Pagebox,
                Box::new(Pagebox::create(&bench.engine, &folder, 4, 0, 0)),
            ),
            (Name::PageboxCore, Box::new(Core::create(&folder, 4, 0, 0))),
            (Name::Mappedpages, Box::new(Peer::create(&folder, 0, 0))),
        ];
        let mut next = RESERVED;
        let mut grow = |bench: &mut Bench, case, limit, lanes: &mut Vec<Lane<dyn Pages>>| {
            let rows = race(
                case,
                medium,
                limit - next,
                lanes,
                |lane, round, recorder| {
                    let page = recorder.time(1, || lane.alloc_one());
                    assert_eq!(page, next + round, "the lowest free page");
                },
            );
            next = limit;
            bench.add(rows);
        };
        if bench.quick {
            grow(bench, "growth", 1024, &mut lanes);
        } else {
            grow(bench, "growth", PEER_LIMIT, &mut lanes);
            let (name, peer) = lanes.pop().expect("the peer comes last");
            verify(name, peer, PEER_LIMIT);
            grow(bench, "growth-beyond", LIMIT, &mut lanes);
        }
        for (name, lane) in lanes {
            verify(name, lane, next);
        }
    });
}

/// Every page up to `end` is in use, after a reopen.
fn verify(name: Name, lane: Box<dyn Pages>, end: u64) {
    let regular = lane.reopen_pages().regular();
    assert!(regular.into_iter().eq(RESERVED..end), "{name}");
}
