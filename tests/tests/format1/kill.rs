//! A process is killed; the next one goes on from what the page cache shows,
//! of which nothing is durable yet; then the power goes.

use pagebox_tests::crash::Record;
use pagebox_tests::rng::Rng;

use super::crash::{Tally, reopen};
use super::scene::{Scene, find, layout};

#[test]
fn power_loss_after_a_kill_leaves_an_acknowledged_state() {
    Tally::fill("power lost after a kill", 25, |tally, seed| {
        let mut rng = Rng::new(seed);
        let mut scene = Scene::on_crash_store(layout(seed), seed);
        scene.lengthen_records();
        for _ in 0..6 {
            scene.defers = *rng.pick(&[0, 2, 4]);
            scene.views_max = *rng.pick(&[0, 3]);
            scene.snapshots_max = *rng.pick(&[0, 4]);
            scene.compacts = *rng.pick(&[0, 2, 6]);
            let before = scene.recorded_step(Record::Writes);
            let legal = scene.legal(&before);
            let mut moments = scene.store.take_moments();
            // Some of the many.
            while moments.len() > 6 {
                moments.swap_remove(rng.below(moments.len() as u64) as usize);
            }
            moments.push(scene.store.now());
            for moment in &moments {
                let store = moment.killed();
                let (found, _) = find(&store, scene.layout, &legal)
                    .unwrap_or_else(|error| panic!("{error}, after a kill: {:#?}", scene.log));
                let mut next = reopen(&store, &scene, found, &mut rng).unwrap();
                next.log.push(format!("a kill during {}", moment.during));
                // Until the first sync nothing is known; then it is durable.
                store.record(Record::Syncs);
                next.file.settle(&mut next.store).unwrap();
                let settling = store.take_moments();
                tally.look(&settling[..1], &legal, &next, &mut rng);
                tally.look(&settling[1..], &[found], &next, &mut rng);
                for _ in 0..2 {
                    next.defers = *rng.pick(&[0, 2]);
                    next.snapshots_max = *rng.pick(&[0, 3]);
                    next.compacts = *rng.pick(&[0, 3]);
                    let before = next.before();
                    next.step()
                        .unwrap_or_else(|error| panic!("{error}: {:#?}", next.log));
                    let legal = next.legal(&before);
                    tally.look(&store.take_moments(), &legal, &next, &mut rng);
                    tally.look(&[store.now()], &[&next.durable], &next, &mut rng);
                }
            }
        }
    });
}
