//! A sync fails. The pager refuses all further work; the file is opened again,
//! on a system that may have given up the writes, or forgotten them; another
//! sync fails; and at any time the power goes.

use pagebox_core::Format;
use pagebox_tests::crash::{CrashStore, FailedSync, Moment, Record};
use pagebox_tests::legal::{Legal, find, is_io, is_poisoned};
use pagebox_tests::rng::Rng;

use super::{IMAGES_PER_SECOND_MOMENT, Scene, Tally};

#[test]
fn power_loss_after_failed_syncs_leaves_an_acknowledged_state() {
    after_failed_syncs(Format::Zero);
}

#[test]
fn format_1_power_loss_after_failed_syncs_leaves_an_acknowledged_state() {
    after_failed_syncs(Format::One);
}

fn after_failed_syncs(format: Format) {
    Tally::new("power lost after failed syncs", format, 10).fill(|tally, start| {
        let mut rng = Rng::new(start.seed);
        let mut scene = Scene::new(start);
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
    legal: Vec<Legal>,
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
    store.record(Record::Syncs);
    let opened = Scene::open(store, found, rng);
    store.record(Record::Nothing);
    for moment in &store.take_moments() {
        try_all(tally, moment, &all, log, rng);
    }
    let mut scene = match opened {
        Ok(scene) => scene,
        Err(error) => {
            assert!(passing < 2 && is_io(&error), "{error}: {log:#?}");
            return legal;
        }
    };
    // What it serves from now on is durable, whatever it was found in.
    found.is_shown_by(&mut scene.pager).unwrap();
    try_all(tally, &store.now(), &[found], log, rng);
    loop {
        let step = scene.workload.step();
        log.push(format!("{step:?}"));
        scene.log.clone_from(log);
        let (done, moments) = scene.moments(Record::Syncs, |scene| scene.run(&step));
        let shown = Legal::of(store);
        let unacknowledged = shown.until_acknowledged(&current);
        for moment in &moments {
            try_all(tally, moment, &[&current, &unacknowledged], log, rng);
        }
        if let Err(error) = done {
            assert!(
                is_io(&error) && is_poisoned(&mut scene.pager),
                "{error}: {log:#?}"
            );
            return vec![current, unacknowledged];
        }
        current = shown;
    }
}

fn try_all(tally: &mut Tally, moment: &Moment, legal: &[&Legal], log: &[String], rng: &mut Rng) {
    let limit = IMAGES_PER_SECOND_MOMENT;
    tally.images(moment, limit, legal, log, rng, |_, _, _, _| Ok(()));
}
