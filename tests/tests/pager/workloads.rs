//! Long seeded workloads, against the naive model and the independent reader.

use pagebox_core::{Access, Format, NewFile, Pager};
use pagebox_store::{MemoryStore, PageSize};
use pagebox_tests::decode::State;
use pagebox_tests::legal::check_is_clean;
use pagebox_tests::model::Model;
use pagebox_tests::shown::Shown;
use pagebox_tests::workload::{Change, Step, Workload};

use crate::{image, new_pager, said};

const SIZES: [PageSize; 3] = [PageSize::KIB_1, PageSize::KIB_4, PageSize::KIB_64];

#[test]
fn any_workload_agrees_with_the_model_and_the_independent_reader() {
    for (page_size, steps) in SIZES.into_iter().zip([3000, 1000, 200]) {
        for seed in 0..3 {
            let mut workload = Workload::new(seed);
            let mut pager = new_pager(page_size);
            let mut model = Model::new(page_size.bytes());
            let mut most = (0, 0);
            for number in 0..steps {
                let step = workload.step();
                let before = said(&pager);
                model.run(&mut pager, &step).unwrap();
                let context =
                    format!("page size {page_size}, seed {seed}, step {number}: {step:?}");
                model.check(&mut pager).expect(&context);
                let after = said(&pager);
                let shown = Shown::from(after.clone());
                model.check_shown(&shown, &image(&pager)).expect(&context);
                assert_eq!(
                    after.generation,
                    pager.stats().generation.unwrap(),
                    "{context}"
                );
                if after.generation > before.generation {
                    after.is_as_we_commit().expect(&context);
                    check_places(&before, &after, &step, &context);
                } else {
                    assert_eq!(before, after, "{context}");
                }
                if number % 50 == 0 {
                    pager = Pager::open(pager.close(), Access::Write).unwrap();
                    model.check(&mut pager).expect(&context);
                }
                most = (most.0.max(after.page_count), most.1.max(after.blocks.len()));
            }
            let blocks = if page_size == PageSize::KIB_1 { 2 } else { 1 };
            assert!(most.0 >= 64 && most.1 >= blocks, "it only came to {most:?}");
        }
    }
}

#[test]
fn any_workload_of_format_1_agrees_with_the_model_and_the_independent_reader() {
    for (page_size, steps) in SIZES.into_iter().zip([1500, 500, 100]) {
        for seed in 0..3 {
            let mut workload = Workload::deferring(seed);
            let new = NewFile {
                format: Format::One,
                page_count: 0,
                uuid: *b"a uuid of a file",
            };
            let mut pager = Pager::create_as(MemoryStore::new(page_size), &new).unwrap();
            let mut model = Model::new(page_size.bytes());
            for number in 0..steps {
                let step = workload.step();
                let before = pager.committed().durable;
                model.run(&mut pager, &step).unwrap();
                let context =
                    format!("page size {page_size}, seed {seed}, step {number}: {step:?}");
                model.check(&mut pager).expect(&context);
                let info = pager.committed();
                if info.durable > before {
                    assert_eq!(info.durable, info.generation, "{context}");
                    let shown = Shown::of(&image(&pager)).expect(&context);
                    model.check_shown(&shown, &image(&pager)).expect(&context);
                    assert_eq!(
                        Some(shown.generation),
                        pager.stats().generation,
                        "{context}"
                    );
                    assert_eq!(Some(shown.free), pager.stats().free_pages, "{context}");
                    shown.is_as_we_commit.expect(&context);
                }
                if number % 50 == 0 {
                    pager.sync().unwrap();
                    check_is_clean(pager.store()).expect(&context);
                    pager = Pager::open(pager.close(), Access::Write).unwrap();
                    model.check(&mut pager).expect(&context);
                }
            }
            let (least, most) = (Some(40), pager.stats().page_count);
            assert!(most > least, "it only came to {most:?}");
        }
    }
}

/// New pages are the lowest that were free before, unless the transaction let
/// some go again; those of new directory blocks come last.
fn check_places(before: &State, after: &State, step: &Step, context: &str) {
    let is_new = |page: &u64| !before.allocated.get(*page as usize).is_some_and(|it| *it);
    let blocks: Vec<u64> = after.blocks[before.blocks.len()..]
        .iter()
        .flat_map(|block| block.page)
        .collect();
    let taken: Vec<u64> = (0..after.page_count)
        .filter(|&page| after.allocated[page as usize])
        .filter(is_new)
        .collect();
    assert!(
        taken.ends_with(&blocks),
        "blocks in {blocks:?} of {taken:?}; {context}"
    );
    let Step::Commit(changes) = step else { return };
    let frees = |change: &Change| matches!(change, Change::Free(_) | Change::FreeProtected(_));
    if !changes.iter().any(frees) {
        let lowest: Vec<u64> = (0..after.page_count)
            .filter(is_new)
            .take(taken.len())
            .collect();
        assert_eq!(taken, lowest, "{context}");
    }
}
