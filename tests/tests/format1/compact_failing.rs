//! Any call of the store fails in the middle of a compaction: nothing is lost, and it
//! can be ended later.

use pagebox_core::ProtectedId;
use pagebox_core::format1::{Error, File, Operation};
use pagebox_store::{MemoryStore, StoreError};
use pagebox_tests::failing::{FailingStore, Fault, Verb};

use super::compact::compact;
use super::scene::{Scene, agree, layout, state_of};

#[test]
fn any_failing_call_of_a_compaction_loses_nothing() {
    let mut failed = 0;
    for seed in 0..10 {
        for verb in Verb::ALL {
            for after in 0..14 {
                let layout = layout(seed);
                let shape = layout.shape();
                let (store, switch) = FailingStore::new(MemoryStore::new(shape.page_size));
                let mut scene = Scene::new(store, layout, seed);
                scene.fill_and_empty();
                scene.file = File::open_shaped(&scene.store, shape).unwrap();
                let for_good = (seed + after) % 2 == 0;
                switch.set(Fault {
                    verb,
                    after,
                    for_good,
                    no_space: false,
                });
                let done = compact(&mut scene.file, &mut scene.store, 0, 3);
                let has_failed = switch.clear() > 0;
                let state = state_of(scene.store.inner(), shape).unwrap();
                scene.model.is(&state).unwrap();
                let poisoned =
                    scene.file.locate(&scene.store, ProtectedId(0)) == Err(Error::Poisoned);
                match done {
                    Ok(_) => assert!(!has_failed || verb == Verb::Read, "{verb:?}"),
                    Err(Error::Store { operation, .. }) => {
                        failed += 1;
                        let is_read = matches!(operation, Operation::Read { .. });
                        assert_eq!(poisoned, !is_read, "{operation:?}");
                        if let Operation::Truncate { page_count } = operation {
                            // All but the last is done.
                            assert_eq!(state.page_count, page_count);
                        }
                    }
                    // The copy of a record, of which the next call is told.
                    Err(Error::Poisoned) => failed += 1,
                    Err(error) => panic!("{error}"),
                }
                scene.file = File::open_shaped(&scene.store, shape).unwrap();
                agree(&mut scene.file, &scene.store, &state).unwrap();
                compact(&mut scene.file, &mut scene.store, 0, 50).unwrap();
                let state = state_of(scene.store.inner(), shape).unwrap();
                scene.model.is(&state).unwrap();
                agree(&mut scene.file, &scene.store, &state).unwrap();
            }
        }
    }
    assert!(failed > 100, "{failed}");
}

/// A store that cannot be cut keeps what it has behind the end.
#[test]
fn store_that_cannot_be_cut_is_as_good_as_before() {
    let layout = layout(0);
    let (store, switch) = FailingStore::new(MemoryStore::new(layout.shape().page_size));
    let mut scene = Scene::new(store, layout, 3);
    scene.fill_and_empty();
    switch.refuse_cuts();
    let error = compact(&mut scene.file, &mut scene.store, 0, 50).unwrap_err();
    assert!(
        matches!(
            error,
            Error::Store {
                operation: Operation::Truncate { .. },
                source: StoreError::Other(_)
            }
        ),
        "{error}"
    );
    for _ in 0..20 {
        scene.step().unwrap();
    }
    let state = state_of(scene.store.inner(), layout.shape()).unwrap();
    scene.model.is(&state).unwrap();
}
