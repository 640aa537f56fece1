//! Any call of the store fails: what is committed stays readable, and either
//! the file goes on, or it refuses and is opened again.

use pagebox_core::ProtectedId;
use pagebox_core::changes::{Change, Changes};
use pagebox_core::format1::{Error, File, Operation, Stats};
use pagebox_store::{MemoryStore, StoreError};
use pagebox_tests::decode1::State;
use pagebox_tests::failing::{FailingStore, Fault, Verb};

use super::scene::{Scene, agree, layout, state_of};

fn decoded(store: &MemoryStore, scene: &Scene<FailingStore<MemoryStore>>) -> State {
    state_of(store, scene.layout.shape())
        .unwrap_or_else(|error| panic!("{error}: {:#?}", scene.log))
}

#[test]
fn any_failing_call_leaves_the_state_before_or_after() {
    let mut seen = [0_u32; 2];
    for seed in 0..12 {
        for verb in Verb::ALL {
            for after in 0..12 {
                let (store, switch) =
                    FailingStore::new(MemoryStore::new(layout(seed).shape().page_size));
                let mut scene = Scene::new(store, layout(seed), seed);
                for _ in 0..5 {
                    scene.step().unwrap();
                }
                // So that nothing is in memory.
                scene.file = File::open_shaped(&scene.store, scene.layout.shape()).unwrap();
                let (changes, next) = scene.changes();
                scene.file = File::open_shaped(&scene.store, scene.layout.shape()).unwrap();
                let before = scene.model.clone();
                switch.set(Fault {
                    verb,
                    after,
                    for_good: (seed + after) % 2 == 0,
                    no_space: (seed + after) % 3 == 0,
                });
                let stats = scene.file.stats();
                let done = scene.commit(&changes, next.clone());
                let failed = switch.clear() > 0;
                let state = decoded(scene.store.inner(), &scene);
                if !failed {
                    done.unwrap();
                    continue;
                }
                let is_copy_only = done.is_ok();
                let poisoned =
                    scene.file.locate(&scene.store, ProtectedId(0)) == Err(Error::Poisoned);
                match &done {
                    // The copy failed, or a growth that asked for too much.
                    Ok(()) => {
                        scene.model.is(&state).unwrap();
                        assert_eq!(poisoned, verb != Verb::Grow, "{verb:?}");
                    }
                    Err(Error::Store { operation, source }) => {
                        let harmless = match operation {
                            Operation::Read { .. } | Operation::Stage { .. } => true,
                            Operation::Grow { .. } => *source == StoreError::InsufficientSpace,
                            _ => false,
                        };
                        assert_eq!(poisoned, !harmless, "{operation:?}");
                        // Memory says nothing that is not durable.
                        let told = scene.file.stats();
                        let of = |it: &Stats| (it.generation, it.protected, it.used_pages);
                        assert_eq!(of(&told), of(&stats), "{operation:?}");
                        before.is(&state).or_else(|_| next.is(&state)).unwrap();
                        seen[usize::from(harmless)] += 1;
                        if harmless {
                            before.is(&state).unwrap();
                            scene.commit(&changes, next.clone()).unwrap();
                        }
                    }
                    Err(error) => panic!("{error}"),
                }
                if poisoned {
                    let again = scene.file.commit(&mut scene.store, &changes);
                    assert_eq!(again.err(), Some(Error::Poisoned));
                    assert!(verb != Verb::Read && verb != Verb::Checksum);
                }
                assert!(!is_copy_only || matches!(verb, Verb::Write | Verb::Grow | Verb::Stage));
                let mut file = File::open_shaped(&scene.store, scene.layout.shape()).unwrap();
                let state = decoded(scene.store.inner(), &scene);
                agree(&mut file, &scene.store, &state).unwrap();
            }
        }
    }
    assert!(seen.iter().all(|&count| count > 20), "{seen:?}");
}

#[test]
fn growth_that_fails_poisons_unless_there_was_no_space() {
    for no_space in [false, true] {
        let layout = layout(0);
        let (store, switch) = FailingStore::new(MemoryStore::new(layout.shape().page_size));
        let mut scene = Scene::new(store, layout, 1);
        let mut changes = Changes::default();
        for id in 0..6 {
            changes
                .protected
                .insert(ProtectedId(id), Change::New(Some(scene.buffer())));
        }
        let before = scene.store.inner().bytes().to_vec();
        switch.set(Fault {
            verb: Verb::Grow,
            after: 0,
            for_good: true,
            no_space,
        });
        let done = scene.file.commit(&mut scene.store, &changes);
        assert!(matches!(
            done,
            Err(Error::Store {
                operation: Operation::Grow { .. },
                ..
            })
        ));
        // Asked for less, too.
        assert_eq!(switch.clear(), if no_space { 2 } else { 1 });
        assert!(scene.store.inner().bytes() == before);
        let again = scene.file.commit(&mut scene.store, &changes);
        assert_eq!(again.err(), (!no_space).then_some(Error::Poisoned));
    }
}
