//! Allocating and freeing at random, at several sizes and fillings: the cost of
//! an operation should depend on neither. Without syncs, over stores in memory.

use pagebox::{Format, PageSize};

use super::Bench;
use crate::contestants::{CoreIn, Lane, Name, Pagebox, Pages, Peer};
use crate::measure::race;
use crate::sparse::SparseStore;
use crate::syscalls::without_syncs;
use pagebox_tests::rng::Rng;

/// Pages and their size. The peer's files end before the last.
const SIZES: [(u64, PageSize); 3] = [
    (1_000, PageSize::KIB_4),
    (10_000, PageSize::KIB_4),
    (500_000, PageSize::KIB_64),
];

/// A contestant and the pages that it has allocated.
struct Churner {
    pages: Box<dyn Pages>,
    allocated: Vec<u64>,
    rng: Rng,
}

impl Churner {
    /// Allocates a page and frees another one.
    fn churn(&mut self) {
        self.allocated.push(self.pages.alloc_one());
        let index = self.rng.below(self.allocated.len() as u64) as usize;
        let page = self.allocated.swap_remove(index);
        self.pages.free(&[page]);
    }
}

pub(crate) fn run(bench: &mut Bench) {
    for (page_count, page_size) in SIZES {
        for percent in [1, 50, 99] {
            bench.in_memory(|bench, medium, folder| {
                let case = format!("churn-{percent}-{page_count}");
                let rounds = bench.rounds(200);
                let in_use = page_count * percent / 100;
                let store = || SparseStore::new(page_size);
                let ours = |format| {
                    Box::new(Pagebox::create_in(
                        &bench.engine,
                        format,
                        store(),
                        page_count,
                    ))
                };
                let core = CoreIn::create(store(), page_count);
                let mut lanes: Vec<Lane<dyn Pages>> = vec![
                    (Name::Pagebox, ours(Format::One)),
                    (Name::PageboxZero, ours(Format::Zero)),
                    (Name::PageboxCore, Box::new(core)),
                ];
                if page_size == PageSize::KIB_4 {
                    let peer = Peer::create(&folder, 0, 0);
                    lanes.push((Name::Mappedpages, Box::new(peer)));
                }
                let mut lanes: Vec<Lane<Churner>> = lanes
                    .into_iter()
                    .map(|(name, pages)| (name, Box::new(fill(pages, in_use))))
                    .collect();
                let rows = without_syncs(|| {
                    race(&case, medium, rounds, &mut lanes, |lane, _, recorder| {
                        recorder.time(40, || (0..20).for_each(|_| lane.churn()));
                    })
                });
                bench.add(rows);
                for (name, lane) in lanes {
                    verify(name, *lane);
                }
            });
        }
    }
}

/// Allocates `in_use` pages, with the free ones in between.
fn fill(mut pages: Box<dyn Pages>, in_use: u64) -> Churner {
    let mut rng = Rng::new(in_use);
    let allocated = pages.alloc(in_use as u32);
    let mut churner = Churner {
        pages,
        allocated,
        rng: rng.fork(),
    };
    (0..100).for_each(|_| churner.churn());
    churner
}

fn verify(name: Name, churner: Churner) {
    let mut allocated = churner.allocated;
    allocated.sort_unstable();
    let pages = churner.pages.reopen_pages();
    assert_eq!(pages.regular(), allocated, "{name}: after a reopen");
}
