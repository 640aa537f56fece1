//! Growth: pages allocated one at a time, from a file of 4 pages to the limit
//! of format 0. The peer's is lower: up to there they race, and the others go on.

use pagebox::Format;

use super::Bench;
use crate::contestants::{Core, Lane, Name, Pagebox, Pages, Peer};
use crate::measure::race;

/// Where the peer stops, at 4 KiB.
const PEER_LIMIT: u64 = 16_384;
/// What format 0 can name.
const LIMIT: u64 = 32_544;
/// Pages of format 0 that nobody can allocate.
const RESERVED: u64 = 3;

pub(crate) fn run(bench: &mut Bench) {
    bench.on_media(|bench, medium, folder| {
        let engine = &bench.engine;
        let ours = |format| Box::new(Pagebox::create(engine, format, &folder, 4, 0, 0));
        let mut lanes: Vec<Lane<dyn Pages>> = vec![
            (Name::Pagebox, ours(Format::One)),
            (Name::PageboxZero, ours(Format::Zero)),
            (Name::PageboxCore, Box::new(Core::create(&folder, 4, 0, 0))),
            (Name::Mappedpages, Box::new(Peer::create(&folder, 0, 0))),
        ];
        let mut next = RESERVED;
        let mut grow = |bench: &mut Bench, case, limit, lanes: &mut Vec<Lane<dyn Pages>>| {
            let rows = race(case, medium, limit - next, lanes, |lane, _, recorder| {
                recorder.time(1, || lane.alloc_one());
            });
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

/// Every page that was handed out is in use, after a reopen; in the peer's
/// format, the lowest ones.
fn verify(name: Name, lane: Box<dyn Pages>, end: u64) {
    let regular = lane.reopen_pages().regular();
    assert_eq!(regular.len() as u64, end - RESERVED, "{name}");
    let is_lowest = regular.into_iter().eq(RESERVED..end);
    assert!(
        is_lowest || matches!(name, Name::Pagebox | Name::PageboxCore),
        "{name}"
    );
}
