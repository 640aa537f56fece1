//! A process is killed; the next one goes on from what the page cache shows,
//! of which nothing is durable yet; then the power goes.

use pagebox_core::Format;
use pagebox_tests::crash::{Moment, Record};
use pagebox_tests::legal::{Legal, find};
use pagebox_tests::rng::Rng;

use super::{IMAGES_PER_SECOND_MOMENT, Scene, Tally};

#[test]
fn power_loss_after_a_kill_leaves_an_acknowledged_state() {
    after_a_kill(Format::Zero);
}

#[test]
fn format_1_power_loss_after_a_kill_leaves_an_acknowledged_state() {
    after_a_kill(Format::One);
}

fn after_a_kill(format: Format) {
    Tally::new("power lost after a kill", format, 10).fill(|tally, start| {
        let mut rng = Rng::new(start.seed);
        let mut scene = Scene::new(start);
        for _ in 0..25 {
            let step = scene.workload.step();
            let before = Legal::of(scene.store());
            let (done, moments) = scene.moments(Record::Writes, |scene| scene.run(&step));
            done.unwrap();
            let after = Legal::of(scene.store()).until_acknowledged(&before);
            for moment in &moments {
                let store = moment.killed();
                let found = find(&store, &[&before, &after])
                    .unwrap_or_else(|error| panic!("{error}, after a kill: {:#?}", scene.log));
                // A writer begins with a sync; until then nothing is known.
                store.record(Record::Syncs);
                let mut next = Scene::open(&store, found, &mut rng).unwrap();
                next.log.extend(scene.log.iter().cloned());
                next.log.push(format!("a kill during {}", moment.during));
                for moment in &store.take_moments() {
                    try_all(tally, moment, &[&before, &after], &next, &mut rng);
                }
                let (done, moments) = next.moments(Record::Syncs, Scene::commit);
                done.unwrap();
                let committed = Legal::of(&store).until_acknowledged(found);
                committed.shown.is_as_we_commit.clone().unwrap();
                for moment in &moments {
                    try_all(tally, moment, &[found, &committed], &next, &mut rng);
                }
            }
        }
    });
}

fn try_all(tally: &mut Tally, moment: &Moment, legal: &[&Legal], scene: &Scene, rng: &mut Rng) {
    let limit = IMAGES_PER_SECOND_MOMENT;
    tally.images(moment, limit, legal, &scene.log, rng, |_, _, _, _| Ok(()));
}
