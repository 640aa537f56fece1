//! Allocating and freeing pages: durably, durably in a file that was copied,
//! many in a commit, and without syncs, for what the processor does.

use std::path::{Path, PathBuf};

use pagebox::{Format, MemoryStore, PageSize};

use super::Bench;
use crate::contestants::{Core, CoreIn, Lane, Name, Pagebox, Pages, Peer, copy_in_one_write};
use crate::measure::{Medium, Row, race};
use crate::syscalls::{set_up, without_syncs};

type Lanes = Vec<Lane<dyn Pages>>;

pub(crate) fn run(bench: &mut Bench) {
    bench.on_media(|bench, medium, folder| {
        let rounds = bench.rounds(1000);
        let mut lanes = create(bench, &folder, 2048, 1500);
        bench.add(alloc_free("alloc-free", medium, rounds, &mut lanes));
        drop(lanes);
        let mut lanes = copied(bench, &folder);
        bench.add(alloc_free("alloc-free-copied", medium, rounds, &mut lanes));
        verify(lanes);
    });
    bench.on_media(|bench, medium, folder| {
        let rounds = bench.rounds(200);
        let mut lanes = create(bench, &folder, 16384, 10_000);
        bench.add(many("alloc-1000", medium, rounds, &mut lanes));
        verify(lanes);
    });
}

/// The cases without syncs.
pub(crate) fn run_cpu(bench: &mut Bench) {
    bench.in_memory(|bench, medium, folder| {
        let rounds = bench.rounds(200);
        let mut lanes = create(bench, &folder, 16384, 10_000);
        bench.add(without_syncs(|| {
            many("alloc-1000-cpu", medium, rounds, &mut lanes)
        }));
        verify(lanes);
    });
    for (case, in_use) in [("alloc-cpu-100", 100), ("alloc-cpu-10000", 10_000)] {
        bench.in_memory(|bench, medium, folder| {
            let rounds = bench.rounds(1000);
            let page_count = if in_use == 100 { 256 } else { 16_384 };
            let memory = || MemoryStore::new(PageSize::KIB_4);
            let ours = |format| {
                let mut pagebox = Pagebox::create_in(&bench.engine, format, memory(), page_count);
                pagebox.alloc(in_use as u32);
                Box::new(pagebox)
            };
            let mut core = CoreIn::create(memory(), page_count);
            Pages::alloc(&mut core, in_use as u32);
            let mut lanes: Lanes = vec![
                (Name::Pagebox, ours(Format::One)),
                (Name::PageboxZero, ours(Format::Zero)),
                (Name::PageboxCore, Box::new(core)),
                (
                    Name::Mappedpages,
                    Box::new(Peer::create(&folder, 0, in_use)),
                ),
            ];
            bench.add(without_syncs(|| single(case, medium, rounds, &mut lanes)));
            verify(lanes);
        });
    }
}

/// Files of `page_count` pages, of which `pages` are regular and in use.
fn create(bench: &Bench, folder: &Path, page_count: u64, pages: u64) -> Lanes {
    set_up(folder, || -> Lanes {
        let ours = |format| {
            Box::new(Pagebox::create(
                &bench.engine,
                format,
                folder,
                page_count,
                0,
                pages,
            ))
        };
        let core = Core::create(folder, page_count, 0, pages);
        let peer = Peer::create(folder, 0, pages);
        vec![
            (Name::Pagebox, ours(Format::One)),
            (Name::PageboxZero, ours(Format::Zero)),
            (Name::PageboxCore, Box::new(core)),
            (Name::Mappedpages, Box::new(peer)),
        ]
    })
}

/// The same files, copied.
fn copied(bench: &Bench, folder: &Path) -> Lanes {
    let copy = |name: Name| -> PathBuf {
        let target = folder.join(format!("{name}.copy"));
        copy_in_one_write(&folder.join(name.text()), &target);
        target
    };
    let ours = |name| Box::new(Pagebox::open(&bench.engine, copy(name)));
    let core = Core::open(copy(Name::PageboxCore));
    let peer = Peer::open(copy(Name::Mappedpages));
    vec![
        (Name::Pagebox, ours(Name::Pagebox)),
        (Name::PageboxZero, ours(Name::PageboxZero)),
        (Name::PageboxCore, Box::new(core)),
        (Name::Mappedpages, Box::new(peer)),
    ]
}

/// Alloc and free, one at a time; an operation is either.
fn alloc_free(case: &str, medium: Medium, rounds: u64, lanes: &mut Lanes) -> Vec<Row> {
    race(case, medium, rounds, lanes, |lane, _, recorder| {
        let page = recorder.time(1, || lane.alloc_one());
        recorder.time(1, || lane.free(&[page]));
    })
}

/// Alloc of 1,000 pages and free of the same, a commit each; an operation is
/// both.
fn many(case: &str, medium: Medium, rounds: u64, lanes: &mut Lanes) -> Vec<Row> {
    race(case, medium, rounds, lanes, |lane, _, recorder| {
        recorder.time(1, || {
            let pages = lane.alloc(1000);
            assert_eq!(pages.len(), 1000, "all or nothing");
            lane.free(&pages);
        });
    })
}

/// Allocs, one at a time.
fn single(case: &str, medium: Medium, rounds: u64, lanes: &mut Lanes) -> Vec<Row> {
    const BATCH: u64 = 20;
    race(case, medium, rounds, lanes, |lane, _, recorder| {
        let pages: Vec<_> = recorder.time(BATCH, || (0..BATCH).map(|_| lane.alloc_one()).collect());
        lane.free(&pages);
    })
}

/// Every contestant has the same pages in use, before and after a reopen, and
/// hands out the same next.
fn verify(lanes: Lanes) {
    let mut in_use = None;
    for (name, lane) in lanes {
        let before = lane.regular();
        let mut lane = lane.reopen_pages();
        assert_eq!(lane.regular(), before, "{name}: after a reopen");
        assert_eq!(*in_use.get_or_insert(before.len()), before.len(), "{name}");
        let page = lane.alloc_one();
        assert!(!before.contains(&page), "{name}: page {page} is in use");
        assert!(lane.reopen_pages().regular().contains(&page), "{name}");
    }
}
