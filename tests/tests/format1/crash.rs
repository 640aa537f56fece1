//! The power goes, at any time and again: each image opens as the state before
//! or after, and goes on working.

use std::time::Instant;

use pagebox_tests::crash::{CrashStore, FailedSync, Moment, Record};
use pagebox_tests::figures;
use pagebox_tests::rng::Rng;

use super::scene::{Model, Scene, find, layout, reach};

/// Images that all tests together try, unless `PAGEBOX_CRASH_IMAGES` says how
/// many.
const IMAGES: u64 = 110_000;

/// Of a moment with at most so many images all are tried, of others so many.
const IMAGES_PER_MOMENT: u64 = 48;

/// As above, for a crash in the first transaction after a crash.
pub(crate) const IMAGES_PER_SECOND_MOMENT: u64 = 12;

/// What a test has tried.
pub(crate) struct Tally {
    name: &'static str,
    start: Instant,
    goal: u64,
    pub(crate) images: u64,
}

impl Tally {
    /// A test that tries `percent` of all images: calls `run` with one seed
    /// after the other.
    pub(crate) fn fill(name: &'static str, percent: u64, mut run: impl FnMut(&mut Self, u64)) {
        let all = match std::env::var("PAGEBOX_CRASH_IMAGES") {
            Ok(count) => count.parse().expect("PAGEBOX_CRASH_IMAGES is a number"),
            Err(_) => IMAGES,
        };
        let mut tally = Self {
            name,
            start: Instant::now(),
            goal: all / 100 * percent,
            images: 0,
        };
        for seed in 0.. {
            run(&mut tally, seed);
            if tally.images >= tally.goal {
                break;
            }
        }
        figures::print(&format!(
            "format 1: {} crash images in {:.1} s, nothing lost: {}",
            tally.images,
            tally.start.elapsed().as_secs_f64(),
            tally.name
        ));
    }

    /// Tries images of a moment. Each must show one of the legal states;
    /// `go_on` is told which.
    pub(crate) fn images<'a>(
        &mut self,
        moment: &Moment,
        limit: u64,
        legal: &[&'a Model],
        scene: &Scene<CrashStore>,
        rng: &mut Rng,
        mut go_on: impl FnMut(&mut Self, &CrashStore, &'a Model, &mut Rng) -> Result<(), String>,
    ) {
        let mut fork = rng.fork();
        self.images += moment.images(limit, rng, |image, survivors| {
            let found = find(&image, scene.layout, legal);
            let done = found.and_then(|(found, _)| go_on(self, &image, found, &mut fork));
            if let Err(error) = done {
                scene.fail(moment, survivors, &error);
            }
        });
    }

    /// As [`Tally::images`]; of each so many images one goes on to work.
    fn go_on(
        &mut self,
        (moment, limit): (&Moment, u64),
        legal: &[&Model],
        scene: &Scene<CrashStore>,
        rng: &mut Rng,
        one_of: u64,
    ) {
        self.images(
            moment,
            limit,
            legal,
            scene,
            rng,
            |tally, image, found, rng| {
                if rng.chance(1, one_of) {
                    goes_on(tally, scene, image, found, rng)?;
                }
                Ok(())
            },
        );
    }

    /// As [`Tally::images`], and no more.
    pub(crate) fn look(
        &mut self,
        moments: &[Moment],
        legal: &[&Model],
        scene: &Scene<CrashStore>,
        rng: &mut Rng,
    ) {
        for moment in moments {
            self.images(
                moment,
                IMAGES_PER_SECOND_MOMENT,
                legal,
                scene,
                rng,
                |_, _, _, _| Ok(()),
            );
        }
    }
}

/// What a crash left, opened to write, on a guarded medium.
pub(crate) fn reopen(
    image: &CrashStore,
    scene: &Scene<CrashStore>,
    found: &Model,
    rng: &mut Rng,
) -> Result<Scene<CrashStore>, String> {
    image.guard(&reach(scene.layout.shape()));
    let mut next = Scene::open(image.clone(), scene.layout, found, rng.next_u64())
        .map_err(|error| error.to_string())?;
    next.log = [&scene.log[..], &next.log].concat();
    Ok(next)
}

/// One more commit works. In some cases it crashes in turn.
fn goes_on(
    tally: &mut Tally,
    scene: &Scene<CrashStore>,
    image: &CrashStore,
    found: &Model,
    rng: &mut Rng,
) -> Result<(), String> {
    let mut next = reopen(image, scene, found, rng)?;
    if rng.chance(1, 3) {
        image.record(Record::Syncs);
    }
    // Some are deferred; then one is durable.
    for defers in [rng.below(5), 0] {
        next.defers = defers;
        next.views_max = 1;
        next.snapshots_max = 3;
        next.compacts = 2;
        let before = next.before();
        next.step().map_err(|error| error.to_string())?;
        let legal = next.legal(&before);
        tally.look(&image.take_moments(), &legal, &next, rng);
        tally.look(&[image.now()], &[&next.durable], &next, rng);
    }
    image.record(Record::Nothing);
    // The last step may have found no room.
    let (_, state) = find(image, scene.layout, &[&next.durable])?;
    if !state.is_acknowledged {
        return Err("the roots differ after a commit".into());
    }
    Ok(())
}

#[test]
fn power_loss_leaves_the_state_before_or_after() {
    Tally::fill(
        "power lost, and again in the next commit",
        60,
        |tally, seed| {
            let mut rng = Rng::new(seed);
            let mut scene = Scene::on_crash_store(layout(seed), seed);
            scene.lengthen_records();
            crashes(tally, &mut scene, &mut rng);
        },
    );
}

/// Works on a file, and tries images of every moment of it.
pub(crate) fn crashes(tally: &mut Tally, scene: &mut Scene<CrashStore>, rng: &mut Rng) {
    for _ in 0..25 {
        // In runs, with durable ones between them.
        scene.defers = *rng.pick(&[0, 0, 3, 4]);
        scene.views_max = *rng.pick(&[0, 2, 4]);
        scene.snapshots_max = *rng.pick(&[0, 2, 5]);
        scene.compacts = *rng.pick(&[0, 2, 6]);
        if rng.chance(1, 8) {
            let longer = pagebox_store::PageStore::geometry(&scene.store).page_count + 20;
            scene.store.set_len(longer);
            scene.log.push(format!("{longer} pages long"));
            let found = scene.durable.clone();
            *scene = reopen(&scene.store.clone(), scene, &found, rng).unwrap();
        }
        let before = scene.recorded_step(Record::Syncs);
        let legal = scene.legal(&before);
        for moment in &scene.store.take_moments() {
            tally.go_on((moment, IMAGES_PER_MOMENT), &legal, scene, rng, 4);
        }
        // What was acknowledged as durable is, and what was deferred is not.
        tally.go_on((&scene.store.now(), 16), &[&scene.durable], scene, rng, 6);
    }
}

/// A file is filled, emptied, and made shorter; every moment of that is tried.
#[test]
fn power_loss_while_a_file_gets_shorter_leaves_what_was_there() {
    Tally::fill("power lost while a file gets shorter", 15, |tally, seed| {
        let mut rng = Rng::new(seed);
        let mut scene = Scene::on_crash_store(layout(seed), seed);
        scene.fill_and_empty();
        scene.snapshots_max = *rng.pick(&[0, 0, 2]);
        for _ in 0..40 {
            // The end of one is an eighth of its steps.
            scene.compacts = *rng.pick(&[6, 8, 8]);
            let before = scene.recorded_step(Record::Syncs);
            let legal = scene.legal(&before);
            let mut moments = scene.store.take_moments();
            moments.push(scene.store.now());
            for moment in &moments {
                let limit = IMAGES_PER_SECOND_MOMENT;
                tally.go_on((moment, limit), &legal, &scene, &mut rng, 4);
            }
        }
    });
}

/// A sync fails; the file is opened again on a system that may have given the
/// writes up, or forgotten them; another sync fails; and the power goes.
#[test]
fn power_loss_after_failed_syncs_leaves_an_acknowledged_state() {
    Tally::fill("power lost after failed syncs", 15, |tally, seed| {
        let mut rng = Rng::new(seed);
        let mut scene = Scene::on_crash_store(layout(seed), seed);
        for _ in 0..6 {
            scene.step().unwrap();
        }
        let mut legal = vec![scene.model.clone()];
        for _ in 0..12 {
            // What was given up may be shown to the next process, or not.
            if rng.chance(1, 2) {
                scene.store.evict(&mut rng);
                scene.log.push("evict".into());
            }
            legal = until_a_sync_fails(&mut scene, &legal, tally, &mut rng);
        }
    });
}

/// Opens a file that shows one of the legal states, and works until a sync
/// fails. Returns what a power loss may leave then.
fn until_a_sync_fails(
    scene: &mut Scene<CrashStore>,
    legal: &[Model],
    tally: &mut Tally,
    rng: &mut Rng,
) -> Vec<Model> {
    let store = scene.store.clone();
    let all: Vec<_> = legal.iter().collect();
    let found = find(&store, scene.layout, &all);
    let (found, _) = found.unwrap_or_else(|error| panic!("{error}: {:#?}", scene.log));
    let found = found.clone();
    let how = *rng.pick(&[FailedSync::KeepsThem, FailedSync::GivesThemUp]);
    let passing = rng.below(6);
    *scene = reopen(&store, scene, &found, rng).unwrap();
    scene
        .log
        .push(format!("sync {passing} from here fails, {how:?}"));
    store.fail_sync(passing, how);
    store.record(Record::Syncs);
    let settled = scene.file.settle(&mut scene.store);
    store.record(Record::Nothing);
    let moments = store.take_moments();
    tally.look(&moments, &all, scene, rng);
    if settled.is_err() {
        return legal.to_vec();
    }
    tally.look(&[store.now()], &[&found], scene, rng);
    scene.defers = *rng.pick(&[0, 0, 2, 3]);
    scene.views_max = 3;
    loop {
        scene.change_views().unwrap();
        let durable = scene.durable.clone();
        let before = scene.model.clone();
        let (changes, after) = scene.changes();
        store.record(Record::Syncs);
        let done = scene.commit(&changes, after.clone());
        store.record(Record::Nothing);
        // Where there was no room, what was deferred became durable first.
        let legal = [&durable, &before, &after];
        tally.look(&store.take_moments(), &legal, scene, rng);
        scene.check_views();
        if done.is_err() {
            tally.look(&[store.now()], &legal, scene, rng);
            return vec![durable, before, after];
        }
        tally.look(&[store.now()], &[&scene.durable], scene, rng);
    }
}
