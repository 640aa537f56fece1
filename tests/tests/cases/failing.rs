//! Devices that fail: the nth call of each verb, once or from then on, for all
//! n until a workload passes clean. The error names what failed; the pager is
//! poisoned where it is not known what is durable; and the file, opened again,
//! is in a state that it may be in.

use pagebox_core::{Access, Error, Operation, Pager, ProtectedId};
use pagebox_store::{PageSize, StoreError};
use pagebox_tests::crash::CrashStore;
use pagebox_tests::failing::{FailingStore, Fault, Switch, Verb};
use pagebox_tests::figures;
use pagebox_tests::legal::{Legal, find, is_poisoned};
use pagebox_tests::model::Model;
use pagebox_tests::rng::Rng;
use pagebox_tests::workload::{Change, Step, Workload};

type FailingPager = Pager<FailingStore<CrashStore>>;

/// Opens a file, to write, on a device that may fail.
fn open(store: &CrashStore) -> Result<(FailingPager, Switch), Error> {
    let (failing, switch) = FailingStore::new(store.clone());
    Ok((Pager::open(failing, Access::Write)?, switch))
}

/// A copy of the medium, its doubts included.
fn copy(store: &CrashStore) -> CrashStore {
    store.now().killed()
}

/// Whether an error is one that the device was told to give.
fn is_told(error: &Error, verb: Verb) -> bool {
    let Error::Store { operation, source } = error else {
        return false;
    };
    let names_it = match verb {
        Verb::Read | Verb::Checksum => {
            matches!(operation, Operation::Read { .. } | Operation::Stage { .. })
        }
        Verb::Stage | Verb::StagedChecksum => matches!(operation, Operation::Stage { .. }),
        Verb::Grow => matches!(operation, Operation::Grow { .. }),
        Verb::Truncate => matches!(operation, Operation::Truncate { .. }),
        Verb::Write => matches!(operation, Operation::Commit | Operation::Settle),
        Verb::Sync => {
            matches!(
                operation,
                Operation::Commit | Operation::Settle | Operation::Sync
            )
        }
    };
    names_it && matches!(source, StoreError::Io(_) | StoreError::InsufficientSpace)
}

#[test]
fn any_failing_call_in_a_commit_is_named_and_leaves_a_legal_state() {
    let mut failures = 0;
    for (page_size, seed) in [
        (PageSize::KIB_1, 0),
        (PageSize::KIB_1, 1),
        (PageSize::KIB_4, 2),
    ] {
        let mut workload = Workload::new(seed);
        let store = CrashStore::new(page_size);
        let mut pager = Pager::create(store.clone(), 0).unwrap();
        let mut model = Model::new(page_size.bytes());
        for number in 0..100 {
            let step = workload.step();
            // First transactions after an opening, and others.
            for is_first in [true, false] {
                for verb in Verb::ALL {
                    for for_good in [false, true] {
                        for no_space in [false, true] {
                            if no_space && verb != Verb::Grow {
                                continue;
                            }
                            failures += fail_everywhere(
                                &store,
                                &model,
                                &step,
                                is_first,
                                Fault {
                                    verb,
                                    after: 0,
                                    for_good,
                                    no_space,
                                },
                                &format!("seed {seed}, step {number}: {step:?}"),
                            );
                        }
                    }
                }
            }
            model.run(&mut pager, &step).unwrap();
        }
    }
    assert!(failures > 3000, "only {failures} failures were tried");
    figures::print(&format!(
        "{failures} failing calls in commits: nothing lost"
    ));
}

/// The state that a step leads to on a sound device.
fn finish(store: &CrashStore, model: &Model, step: &Step) -> Legal {
    let store = copy(store);
    let mut pager = Pager::open(store.clone(), Access::Write).unwrap();
    model.clone().run(&mut pager, step).unwrap();
    Legal::of(&store)
}

/// Lets the first, the second and so on of the verb's calls fail until the step
/// passes. Returns how many failures that were.
fn fail_everywhere(
    store: &CrashStore,
    model: &Model,
    step: &Step,
    is_first: bool,
    fault: Fault,
    context: &str,
) -> u64 {
    let mut failures = 0;
    for after in 0.. {
        let store = copy(store);
        let (mut pager, switch) = open(&store).unwrap();
        let mut model = model.clone();
        if !is_first {
            model
                .run(&mut pager, &Step::Commit(vec![Change::Alloc(1)]))
                .unwrap();
        }
        let before = Legal::of(&store);
        let stats = pager.stats();
        let finished = finish(&store, &model, step);
        let context = format!("{fault:?} after {after} calls; {context}");
        switch.set(Fault { after, ..fault });
        let done = model.run(&mut pager, step);
        let failed = switch.clear();
        assert_eq!(done.is_err(), failed > 0, "{done:?}; {context}");
        if failed == 0 {
            model.check(&mut pager).expect(&context);
            return failures;
        }
        failures += 1;
        let error = done.unwrap_err();
        assert!(is_told(&error, fault.verb), "{error:?}; {context}");
        // Memory changes when it is durable, and not before.
        assert_eq!(pager.stats(), stats, "{context}");

        // Where nothing was written, nothing is in doubt.
        let in_doubt = matches!(fault.verb, Verb::Write | Verb::Sync)
            || fault.verb == Verb::Grow && !fault.no_space;
        assert!(
            !in_doubt || is_poisoned(&mut pager),
            "{error}, but not poisoned; {context}"
        );
        if !is_poisoned(&mut pager) {
            model.check(&mut pager).expect(&context);
            model.run(&mut pager, step).expect(&context);
            model.check(&mut pager).expect(&context);
            continue;
        }
        // The states before and after, in what a reader sees and on the medium.
        let legal = [&before, &finished];
        let mut rng = Rng::new(0);
        store.now().images(8, &mut rng, |image, survivors| {
            find(&image, &legal).unwrap_or_else(|error| panic!("{error}; {survivors}; {context}"));
        });
        find(&store, &legal).unwrap_or_else(|error| panic!("{error}; {context}"));
        // And it works again.
        let (mut pager, _) = open(&store).unwrap();
        let found = Legal::of(&store);
        let mut model = Model::of(&found.shown, &*store.pages());
        for _ in 0..2 {
            model
                .run(&mut pager, &Step::Commit(vec![Change::Alloc(1)]))
                .expect(&context);
            model.check(&mut pager).expect(&context);
        }
        Legal::of(&store).shown.is_as_we_commit.expect(&context);
    }
    failures
}

#[test]
fn any_failing_call_in_opening_is_named_and_changes_nothing() {
    let store = CrashStore::new(PageSize::KIB_1);
    let mut pager = Pager::create(store.clone(), 0).unwrap();
    let mut model = Model::new(PageSize::KIB_1.bytes());
    let changes = vec![Change::Alloc(3), Change::AllocProtected(40)];
    model.run(&mut pager, &Step::Commit(changes)).unwrap();
    let before = store.bytes();
    for access in [Access::Read, Access::Write] {
        let mut failures = 0;
        for verb in Verb::ALL {
            for after in 0.. {
                let (failing, switch) = FailingStore::new(store.clone());
                switch.set(Fault {
                    verb,
                    after,
                    for_good: false,
                    no_space: false,
                });
                let opened = Pager::open(failing, access);
                if switch.clear() == 0 {
                    model.check(&mut opened.unwrap()).unwrap();
                    break;
                }
                failures += 1;
                let error = opened.unwrap_err();
                assert!(is_told(&error, verb), "{error:?}, {verb:?} after {after}");
                // To write, page 0 is written: as it is, for the file is sound.
                assert!(store.bytes() == before, "the file changed");
            }
        }
        let least = if access == Access::Write { 11 } else { 8 };
        assert!(failures > least, "only {failures} failures were tried");
    }
}

#[test]
fn a_failing_read_is_no_reason_to_stop() {
    let store = CrashStore::new(PageSize::KIB_1);
    let mut pager = Pager::create(store.clone(), 0).unwrap();
    let mut model = Model::new(PageSize::KIB_1.bytes());
    model
        .run(&mut pager, &Step::Commit(vec![Change::AllocProtected(2)]))
        .unwrap();
    for access in [Access::Read, Access::Write] {
        let (failing, switch) = FailingStore::new(store.clone());
        let mut pager = Pager::open(failing, access).unwrap();
        switch.set(Fault {
            verb: Verb::Checksum,
            after: 0,
            for_good: false,
            no_space: false,
        });
        let error = pager.verify_protected(ProtectedId(0)).unwrap_err();
        assert!(is_told(&error, Verb::Checksum), "{error:?}");
        // What failed was not taken for verified.
        assert_eq!(switch.clear(), 1);
        switch.set(Fault {
            verb: Verb::Checksum,
            after: 0,
            for_good: false,
            no_space: false,
        });
        pager.verify_protected(ProtectedId(0)).unwrap_err();
        switch.clear();
        model.check(&mut pager).unwrap();
    }
}

#[test]
fn a_failing_creation_is_named_and_leaves_nothing_that_opens_wrongly() {
    for verb in [Verb::Write, Verb::Sync, Verb::Grow] {
        let store = CrashStore::new(PageSize::KIB_1);
        let (failing, switch) = FailingStore::new(store.clone());
        switch.set(Fault {
            verb,
            after: 0,
            for_good: false,
            no_space: verb == Verb::Grow,
        });
        let error = Pager::create(failing, 0).unwrap_err();
        assert_eq!(switch.clear(), 1);
        let Error::Store { operation, .. } = &error else {
            panic!("{error:?}")
        };
        assert!(
            matches!(operation, Operation::WriteNew | Operation::Grow { .. }),
            "{error}"
        );
        store.now().images(64, &mut Rng::new(0), |image, _| {
            // Nothing, part of a file, or all of an empty one.
            if let Ok(mut pager) = Pager::open(image, Access::Write) {
                assert_eq!(
                    (
                        pager.stats().regular_pages.unwrap(),
                        pager.stats().protected_pages.unwrap()
                    ),
                    (0, 0)
                );
            }
        });
    }
}
