//! Any call of the store fails while a snapshot is taken, dropped or gone back to,
//! or only looked at.

use pagebox_core::ProtectedId;
use pagebox_core::format1::{Error, File, Operation};
use pagebox_store::{MemoryStore, StoreError};
use pagebox_tests::failing::{FailingStore, Fault, Switch, Verb};

use super::scene::{Model, Scene, agree, layout, state_of};

type Failing = Scene<FailingStore<MemoryStore>>;

/// What is done with the newest snapshot, or the oldest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    Take,
    Drop,
    DropOldest,
    Restore,
}

const DEEDS: [Deed; 4] = [Deed::Take, Deed::Drop, Deed::DropOldest, Deed::Restore];

fn scene(seed: u64) -> (Failing, Switch) {
    let layout = layout(seed);
    let (store, switch) = FailingStore::new(MemoryStore::new(layout.shape().page_size));
    let mut scene = Scene::new(store, layout, seed);
    scene.snapshots_max = 5;
    for _ in 0..6 {
        scene.step().unwrap();
    }
    if scene.model.snapshots.is_empty() {
        scene
            .file
            .create_snapshot(&mut scene.store, "one", 0)
            .unwrap();
        let protected = scene.model.protected.clone();
        scene.model.snapshots.push(("one".into(), protected));
    }
    scene.snapshots_max = 0;
    scene.step().unwrap();
    scene.durable = scene.model.clone();
    if seed.is_multiple_of(2) {
        // So that nothing is in memory.
        scene.file = File::open_shaped(&scene.store, layout.shape()).unwrap();
    } else {
        scene.defers = 4;
        scene.step().unwrap();
    }
    (scene, switch)
}

/// The model after a deed, if it is done.
fn after(model: &Model, deed: Deed) -> Model {
    let mut after = model.clone();
    match deed {
        Deed::Take => {
            let protected = after.protected.clone();
            after.snapshots.push(("new".into(), protected));
        }
        Deed::Drop => drop(after.snapshots.pop()),
        Deed::DropOldest => drop(after.snapshots.remove(0)),
        Deed::Restore => after.protected = after.snapshots[0].1.clone(),
    }
    after
}

fn do_it(scene: &mut Failing, deed: Deed) -> Result<(), Error> {
    let Scene {
        file, store, model, ..
    } = scene;
    let newest = &model.snapshots.last().unwrap().0;
    match deed {
        Deed::Take => file.create_snapshot(store, "new", 0).map(drop),
        Deed::Drop => file.delete_snapshot(store, newest).map(drop),
        Deed::DropOldest => file.delete_snapshot(store, &model.snapshots[0].0).map(drop),
        Deed::Restore => file.restore(store, &model.snapshots[0].0).map(drop),
    }
}

#[test]
fn any_failing_call_leaves_the_snapshots_before_or_after() {
    let [mut harmless, mut poisoned] = [0_u32; 2];
    for seed in 0..14 {
        for deed in DEEDS {
            for verb in Verb::ALL {
                for calls in 0..60 {
                    let (mut scene, switch) = scene(seed);
                    let (durable, before) = (scene.durable.clone(), scene.model.clone());
                    let after = after(&before, deed);
                    switch.set(Fault {
                        verb,
                        after: calls,
                        for_good: (seed + calls) % 2 == 0,
                        no_space: (seed + calls) % 3 == 0,
                    });
                    let done = do_it(&mut scene, deed);
                    let failed = switch.clear() > 0;
                    let context = format!("{seed}, {deed:?}, {verb:?} after {calls}: {done:?}");
                    let shape = scene.layout.shape();
                    let state = state_of(scene.store.inner(), shape).expect(&context);
                    let found = scene.file.locate(&scene.store, ProtectedId(0));
                    let is_poisoned = found == Err(Error::Poisoned);
                    match &done {
                        Ok(()) => after.is(&state).expect(&context),
                        Err(Error::Store { operation, source }) => {
                            let is_harmless = match operation {
                                Operation::Read { .. } | Operation::Stage { .. } => true,
                                Operation::Grow { .. } => *source == StoreError::InsufficientSpace,
                                _ => false,
                            };
                            assert_eq!(is_poisoned, !is_harmless, "{context}");
                            let legal = [&durable, &before, &after];
                            let legal = &legal[..if is_harmless { 2 } else { 3 }];
                            assert!(legal.iter().any(|it| it.is(&state).is_ok()), "{context}");
                        }
                        // The second record of the fold before could not be written.
                        Err(Error::Poisoned) => before.is(&state).expect(&context),
                        Err(error) => panic!("{error}: {context}"),
                    }
                    assert!(done.is_ok() || failed, "{context}");
                    if is_poisoned {
                        poisoned += 1;
                        assert!(
                            matches!(verb, Verb::Write | Verb::Sync | Verb::Grow),
                            "{context}"
                        );
                        let again = do_it(&mut scene, deed);
                        assert_eq!(again, Err(Error::Poisoned), "{context}");
                    } else if done.is_err() {
                        harmless += 1;
                        do_it(&mut scene, deed).expect(&context);
                        let state = state_of(scene.store.inner(), shape).expect(&context);
                        after.is(&state).expect(&context);
                    }
                    let mut file = File::open_shaped(&scene.store, shape).unwrap();
                    let state = state_of(scene.store.inner(), shape).unwrap();
                    agree(&mut file, &scene.store, &state).expect(&context);
                    if !failed {
                        break;
                    }
                }
            }
        }
    }
    assert!(harmless > 200 && poisoned > 200, "{harmless}, {poisoned}");
}

#[test]
fn read_that_fails_in_a_look_at_snapshots_is_told_and_passes() {
    let mut failures = 0;
    for seed in 0..14 {
        for look in 0..4 {
            for calls in 0.. {
                let (mut scene, switch) = scene(seed);
                let name = scene.model.snapshots[0].0.clone();
                let look = |scene: &mut Failing| {
                    let Scene { file, store, .. } = scene;
                    match look {
                        0 => file.snapshots(store).map(|it| it.len() as u64),
                        1 => file.held_alone(store, &name),
                        2 => file.root_of(store, &name).map(|it| it.len() as u64),
                        _ => file
                            .changes_between(store, [Some(&name), None], ProtectedId(0), 99)
                            .map(|it| it.len() as u64),
                    }
                };
                switch.set(Fault {
                    verb: Verb::Read,
                    after: calls,
                    for_good: calls % 2 == 0,
                    no_space: false,
                });
                let done = look(&mut scene);
                let failed = switch.clear() > 0;
                assert_eq!(done.is_err(), failed, "{done:?}");
                if let Err(error) = &done {
                    let is_read = matches!(
                        error,
                        Error::Store {
                            operation: Operation::Read { .. },
                            ..
                        }
                    );
                    assert!(is_read, "{error}");
                }
                let again = look(&mut scene).unwrap();
                let (mut other, _) = self::scene(seed);
                assert_eq!(Ok(again), look(&mut other));
                failures += u64::from(failed);
                if !failed {
                    break;
                }
            }
        }
    }
    assert!(failures > 100, "{failures}");
}
