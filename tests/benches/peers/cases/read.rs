//! Random reads: 8 bytes, or a copy of 4 KiB; of regular and of protected pages.
//! Values stand for both where there is only one kind.
//!
//! What is read was read just before, and is little enough to be in the
//! processor's caches: reads of memory would cost everybody the same.

use pagebox::Format;

use super::Bench;
use crate::contestants::{
    Core, Floor, Lane, Lmdb, Name, PAGE, Pagebox, Pages, Peer, Records, Redb,
};
use crate::measure::race;
use crate::syscalls::set_up;
use pagebox_tests::rng::Rng;

/// Pages of each kind.
const COUNT: u64 = 1000;
/// Pages among which a sample chooses.
const HOT: u64 = 64;
/// Reads a sample.
const BATCH: u64 = 1000;

/// What everybody copies into. A buffer that begins within a cache line makes
/// copies take up to three times as long, depending on where the kernel put the
/// pages that are copied.
#[repr(align(64))]
struct Aligned([u8; PAGE]);

/// Regular pages, or records.
enum Readers {
    Pages(Box<dyn Pages>),
    Records(Box<dyn Records>),
}

impl Readers {
    fn sum(&self, ids: &[u64]) -> u64 {
        match self {
            Self::Pages(pages) => pages.sum_pages(ids),
            Self::Records(records) => records.sum(ids),
        }
    }

    fn copy(&self, ids: &[u64], buffer: &mut [u8]) {
        match self {
            Self::Pages(pages) => pages.copy_pages(ids, buffer),
            Self::Records(records) => records.copy(ids, buffer),
        }
    }

    /// What there is to be read.
    fn ids(&self) -> Vec<u64> {
        match self {
            Self::Pages(pages) => pages.regular(),
            Self::Records(_) => (0..COUNT).collect(),
        }
    }
}

pub(crate) fn run(bench: &mut Bench) {
    for (of, protected) in [("read", false), ("read-protected", true)] {
        let folder = &bench.media[0];
        let (medium, folder) = (folder.0, tempfile::tempdir_in(&folder.1));
        let folder = folder.expect("a folder to work in");
        let folder = folder.path();
        let mut lanes: Vec<Lane<Readers>> = set_up(folder, || {
            let ours = |format| {
                let pagebox = Pagebox::create(&bench.engine, format, folder, 4096, COUNT, COUNT);
                Box::new(of_kind(pagebox, protected))
            };
            let core = Core::create(folder, 4096, COUNT, COUNT);
            let peer = Peer::create(folder, COUNT, COUNT);
            vec![
                (Name::Pagebox, ours(Format::One)),
                (Name::PageboxZero, ours(Format::Zero)),
                (Name::PageboxCore, Box::new(of_kind(core, protected))),
                (Name::Mappedpages, Box::new(of_kind(peer, protected))),
                (Name::Redb, Box::new(records(Redb::create(folder, COUNT)))),
                (Name::Lmdb, Box::new(records(Lmdb::create(folder, COUNT)))),
                (Name::Floor, Box::new(records(Floor::create(folder, COUNT)))),
            ]
        });
        let rounds = bench.rounds(300);
        let rows = race(
            &format!("{of}-8"),
            medium,
            rounds,
            &mut lanes,
            |lane, round, recorder| {
                let ids = pick(lane, round);
                // Every page begins with its own number.
                let expected: u64 = ids.iter().sum();
                assert_eq!(lane.sum(&ids), expected, "the bytes written");
                let sum = recorder.time(BATCH, || lane.sum(&ids));
                assert_eq!(sum, expected, "the bytes written");
            },
        );
        bench.add(rows);
        let mut buffer = Box::new(Aligned([0; PAGE]));
        let rows = race(
            &format!("{of}-4096"),
            medium,
            rounds,
            &mut lanes,
            |lane, round, recorder| {
                let ids = pick(lane, round);
                lane.copy(&ids, &mut buffer.0);
                recorder.time(BATCH, || lane.copy(&ids, &mut buffer.0));
                let last = ids.last().expect("a batch has pages");
                assert_eq!(buffer.0[..8], last.to_le_bytes(), "the bytes written");
            },
        );
        bench.add(rows);
    }
}

fn of_kind(contestant: impl Pages + Records + 'static, protected: bool) -> Readers {
    if protected {
        Readers::Records(Box::new(contestant))
    } else {
        Readers::Pages(Box::new(contestant))
    }
}

fn records(contestant: impl Records + 'static) -> Readers {
    Readers::Records(Box::new(contestant))
}

fn pick(lane: &Readers, round: u64) -> Vec<u64> {
    let mut rng = Rng::new(round);
    let hot: Vec<_> = {
        let ids = lane.ids();
        (0..HOT).map(|_| *rng.pick(&ids)).collect()
    };
    (0..BATCH).map(|_| *rng.pick(&hot)).collect()
}
