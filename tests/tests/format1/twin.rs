//! Random work against a model.

use pagebox_core::format1::{File, Layout};
use pagebox_store::{MemoryStore, PageStore};
use pagebox_tests::decode::Image;
use pagebox_tests::decode1::{State, decode};
use pagebox_tests::rng::Rng;

use super::scene::{Scene, agree, layout, numbers};

fn state_of(scene: &Scene<MemoryStore>) -> State {
    let shape = scene.layout.shape();
    let image = Image {
        bytes: scene.store.bytes(),
        page_size: shape.page_size.bytes(),
    };
    decode(&image, numbers(shape)).unwrap_or_else(|error| panic!("{error}: {:#?}", scene.log))
}

fn run(layout: Layout, seed: u64, steps: usize) -> Scene<MemoryStore> {
    let mut scene = Scene::new(MemoryStore::new(layout.shape().page_size), layout, seed);
    let mut rng = Rng::new(seed ^ 1);
    for _ in 0..steps {
        let done = scene.step();
        done.unwrap_or_else(|error| panic!("{error}: {:#?}", scene.log));
        let state = state_of(&scene);
        let checked = scene.model.is(&state).and_then(|()| {
            if !state.is_acknowledged {
                return Err("the roots differ".into());
            }
            agree(&mut scene.file, &scene.store, &state)
        });
        checked.unwrap_or_else(|error| panic!("{error}: {:#?}", scene.log));
        if rng.chance(1, 10) {
            scene.file = File::open_shaped(&scene.store, layout.shape()).unwrap();
            scene.log.push("reopened".into());
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
    for seed in 0..64 {
        let scene = run(layout(seed), seed, 60);
        let heights = state_of(&scene).heights;
        highest = [0, 1].map(|tree| highest[tree].max(heights[tree]));
    }
    assert!(highest[0] >= 5 && highest[1] >= 2, "heights {highest:?}");
}
