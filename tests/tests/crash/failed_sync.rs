//! A sync fails. The pager refuses all further work; the file is opened again,
//! on a system that may have given up the writes, or forgotten them; another
//! sync fails; and at any time the power goes.

use pagebox_tests::crash::{CrashStore, FailedSync, Record};
use pagebox_tests::decode::decode;
use pagebox_tests::legal::{Legal, find, is_io, is_poisoned};
use pagebox_tests::rng::Rng;
use pagebox_tests::workload::Step;

use super::{IMAGES_PER_SECOND_MOMENT, Scene, Tally};

#[test]
fn power_loss_after_failed_syncs_leaves_an_acknowledged_state() {
    Tally::new("power lost after failed syncs", 10).fill(|tally, page_size, seed| {
        let mut rng = Rng::new(seed);
        let mut scene = Scene::new(page_size, seed);
        for _ in 0..10 {
            let step = scene.workload.step();
            scene.run(&step).unwrap();
        }
        let store = scene.store().clone();
        // What a power loss may leave.
        let mut legal = vec![Legal::of(&store)];
        let mut log = scene.log;
        for _ in 0..30 {
            store.evict(&mut rng);
            legal = until_a_sync_fails(&store, legal, &mut log, tally, &mut rng);
        }
    });
}

/// Opens a file that shows one of the legal states and works on it until a sync
/// fails. Returns what a power loss may leave then.
fn until_a_sync_fails(
    store: &CrashStore,
    mut legal: Vec<Legal>,
    log: &mut Vec<String>,
    tally: &mut Tally,
    rng: &mut Rng,
) -> Vec<Legal> {
    let all: Vec<_> = legal.iter().collect();
    let found = find(store, &all).unwrap_or_else(|error| panic!("{error}: {log:#?}"));
    let mut current = found.clone();

    let how = *rng.pick(&[FailedSync::KeepsThem, FailedSync::GivesThemUp]);
    let passing = rng.below(9);
    log.push(format!("open, sync {passing} from here fails, {how:?}"));
    store.fail_sync(passing, how);
    let mut scene = match Scene::open(store, found, rng) {
        Ok(scene) => scene,
        Err(error) => {
            assert!(passing == 0 && is_io(&error), "{error}: {log:#?}");
            return legal;
        }
    };
    // Whether page 0 was written and synced since the opening: before, nothing
    // else may be touched.
    let mut is_settled = false;
    loop {
        let step = if is_settled {
            scene.workload.step()
        } else {
            Step::Commit(scene.workload.changes())
        };
        log.push(format!("{step:?}"));
        scene.log.clone_from(log);
        let (done, moments) = scene.moments(Record::Syncs, |scene| scene.run(&step));
        let shown = decode(&*store.pages()).map(|state| Legal::with(state, store));
        for (number, moment) in moments.iter().enumerate() {
            let after = shown.as_ref().unwrap_or(&current);
            let sets = if is_settled {
                vec![&current, after]
            } else {
                legal.iter().collect()
            };
            tally.images(
                moment,
                IMAGES_PER_SECOND_MOMENT,
                &sets,
                &scene,
                rng,
                |_, _, _, _| Ok(()),
            );
            // The sync after this moment was good, unless it was the last.
            is_settled |= number + 1 < moments.len() || done.is_ok();
        }
        if is_settled {
            let shown = shown.unwrap();
            legal = match &done {
                Ok(()) => vec![shown.clone()],
                Err(_) => vec![current, shown.clone()],
            };
            current = shown;
        }
        if let Err(error) = done {
            assert!(
                is_io(&error) && is_poisoned(&mut scene.pager),
                "{error}: {log:#?}"
            );
            return legal;
        }
    }
}
