//! Random work against a model.

use pagebox_core::format1::{File, Layout, record};
use pagebox_store::{MemoryStore, PageStore};
use pagebox_tests::decode1::State;
use pagebox_tests::rng::Rng;

use super::scene::{Scene, agree, expect_sound, layout, shows, state_of};

fn decoded(scene: &Scene<MemoryStore>) -> State {
    state_of(&scene.store, scene.layout.shape())
        .unwrap_or_else(|error| panic!("{error}: {:#?}", scene.log))
}

/// What a run came to: commits that folded, those that did not, records of
/// several blocks, and deferred ones.
type Seen = [u32; 4];

fn run(layout: Layout, seed: u64, steps: usize, seen: &mut Seen) -> Scene<MemoryStore> {
    let mut scene = Scene::new(MemoryStore::new(layout.shape().page_size), layout, seed);
    let mut rng = Rng::new(seed ^ 1);
    // Each step of a compaction folds, and then records stay short.
    let compacts = if seed.is_multiple_of(3) { 3 } else { 0 };
    scene.lengthen_records();
    for _ in 0..steps {
        scene.defers = *rng.pick(&[0, 0, 3, 4]);
        scene.views_max = *rng.pick(&[0, 3, 3]);
        scene.snapshots_max = *rng.pick(&[0, 0, 3, 9]);
        scene.compacts = *rng.pick(&[0, compacts]);
        let done = scene.step();
        done.unwrap_or_else(|error| panic!("{error}: {:#?}", scene.log));
        let shown = shows(&mut scene.file, &scene.store, &scene.model);
        shown.unwrap_or_else(|error| panic!("{error}: {:#?}", scene.log));
        let state = decoded(&scene);
        let shape = layout.shape();
        let mut opened = File::open_shaped(&scene.store, shape).unwrap();
        for file in [&mut scene.file, &mut opened] {
            let sound = expect_sound(file, &scene.store, shape);
            sound.unwrap_or_else(|error| panic!("{error}: {:#?}", scene.log));
        }
        let stats = scene.file.stats();
        if stats.durable < stats.generation {
            seen[3] += 1;
            let checked = scene.durable.is(&state);
            checked.unwrap_or_else(|error| panic!("{error}: {:#?}", scene.log));
            if rng.chance(1, 12) {
                let file = File::open_shaped(&scene.store, layout.shape()).unwrap();
                scene.replace_file(file);
                scene.model.clone_from(&scene.durable);
                scene.log.push("killed".into());
            }
            continue;
        }
        let unit = layout.shape().unit() as usize;
        let blocks = record::len_of(&scene.store.bytes()[unit..], unit).unwrap();
        seen[usize::from(state.deltas.count() > 0)] += 1;
        seen[2] += u32::from(blocks > 4096);
        let checked = scene.model.is(&state).and_then(|()| {
            if !state.is_acknowledged {
                return Err("the roots differ".into());
            }
            agree(&mut scene.file, &scene.store, &state)
        });
        checked.unwrap_or_else(|error| panic!("{error}: {:#?}", scene.log));
        let next = rng.below(10);
        if next == 0 {
            let file = File::open_shaped(&scene.store, layout.shape()).unwrap();
            scene.replace_file(file);
            scene.log.push("reopened".into());
        } else if next == 1 {
            let file = File::open_shaped(&scene.store, layout.shape()).unwrap();
            let closed = std::mem::replace(&mut scene.file, file);
            closed.close(&mut scene.store).unwrap();
            scene.check_views();
            let file = File::open_shaped(&scene.store, layout.shape()).unwrap();
            scene.replace_file(file);
            let state = decoded(&scene);
            scene.model.is(&state).unwrap();
            // One that committed nothing leaves them.
            let is_full = scene.log.last().is_some_and(|it| it == "full");
            assert!(is_full || state.deltas.count() == 0);
            scene.log.push("closed".into());
        }
        if rng.chance(1, 20) {
            // What a growth leaves that no commit followed.
            let longer = scene.store.geometry().page_count + rng.between(1, 40);
            scene.store.grow(longer).unwrap();
            scene.log.push(format!("{longer} pages long"));
        }
    }
    scene
}

#[test]
fn random_work_leaves_what_a_model_says() {
    let mut highest = [0, 0];
    let mut seen = Seen::default();
    for seed in 0..120 {
        let scene = run(layout(seed), seed, 60, &mut seen);
        let heights = decoded(&scene).heights;
        highest = [0, 1].map(|tree| highest[tree].max(heights[tree]));
    }
    assert!(seen.iter().all(|&count| count > 10), "{seen:?}");
    assert!(highest[0] >= 5 && highest[1] >= 2, "heights {highest:?}");
}
