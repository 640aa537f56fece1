//! The power goes.

use pagebox_core::Format;
use pagebox_store::PageSize;
use pagebox_tests::crash::{CrashStore, Record};
use pagebox_tests::legal::Legal;
use pagebox_tests::rng::Rng;
use pagebox_tests::workload::{Change, Part, Step};

use super::{IMAGES_PER_MOMENT, Scene, Start, Tally, goes_on};

/// Runs a step, and tries at most `limit` images of every moment of it.
fn crash_in(scene: &mut Scene, step: &Step, limit: u64, tally: &mut Tally, rng: &mut Rng) {
    let before = Legal::of(scene.store());
    let (done, moments) = scene.moments(Record::Syncs, |scene| scene.run(step));
    done.unwrap();
    let after = Legal::of(scene.store()).until_acknowledged(&before);
    for moment in &moments {
        let legal = [&before, &after];
        tally.images(
            moment,
            limit,
            &legal,
            &scene.log,
            rng,
            |tally, image, found, rng| {
                if rng.chance(1, 4) {
                    goes_on(tally, image, found, rng.chance(1, 4), rng)?;
                }
                Ok(())
            },
        );
    }
}

#[test]
fn power_loss_in_any_workload_leaves_the_state_before_or_after() {
    in_any_workload(Format::Zero);
}

#[test]
fn format_1_power_loss_in_any_workload_leaves_the_state_before_or_after() {
    in_any_workload(Format::One);
}

fn in_any_workload(format: Format) {
    const NAME: &str = "power lost in long workloads, and again in the next commit";
    Tally::new(NAME, format, 40).fill(|tally, start| {
        let mut rng = Rng::new(start.seed);
        let mut scene = Scene::new(start);
        for _ in 0..40 {
            let step = scene.workload.step();
            crash_in(&mut scene, &step, IMAGES_PER_MOMENT, tally, &mut rng);
        }
    });
}

#[test]
fn format_1_power_loss_in_an_upgraded_file_leaves_the_state_before_or_after() {
    const NAME: &str = "power lost in upgraded files, and again in the next commit";
    Tally::new(NAME, Format::One, 10).fill(|tally, start| {
        let mut rng = Rng::new(start.seed);
        let mut scene = Scene::upgraded(start);
        for _ in 0..20 {
            let step = scene.workload.step();
            crash_in(&mut scene, &step, IMAGES_PER_MOMENT, tally, &mut rng);
        }
    });
}

/// Every pair and triple of operations, in one transaction and in one each.
#[test]
fn power_loss_in_any_pair_and_triple_of_operations_leaves_the_state_before_or_after() {
    pairs_and_triples(Format::Zero);
}

#[test]
fn format_1_power_loss_in_any_pair_and_triple_leaves_the_state_before_or_after() {
    pairs_and_triples(Format::One);
}

fn pairs_and_triples(format: Format) {
    let part = Part::random(&mut Rng::new(7));
    let alphabet = [
        Change::Alloc(1),
        Change::Alloc(6),
        Change::Free(vec![0]),
        Change::Free(vec![1, 2]),
        Change::AllocProtected(1),
        Change::AllocProtected(3),
        Change::FreeProtected(vec![0]),
        Change::Write(0, part),
        Change::Write(1, part),
    ];
    // An empty file, one with a little of everything, one that needs another
    // directory block for its next protected page but one.
    let files = [(0, 0), (3, 2), (1, 32)];
    let words = words(&alphabet);
    let mut tally = Tally::new("power lost in pairs and triples of operations", format, 20);
    let starts = files.map(|file| [(file, false), (file, true)]);
    let moments = (2 * files.len() * 2 * words.len() * 3) as u64;
    let limit = (2 * tally.goal / moments).clamp(2, 4096);
    let mut rng = Rng::new(0);
    for ((regular, protected), keeps_order) in starts.into_iter().flatten() {
        let mut scene = Scene::new(Start {
            format,
            page_size: PageSize::KIB_1,
            keeps_order,
            seed: 0,
        });
        let file = vec![Change::Alloc(regular), Change::AllocProtected(protected)];
        scene.run(&Step::Commit(file)).unwrap();
        let file = scene.store().bytes();
        for word in &words {
            let together = vec![Step::Commit(word.clone())];
            let apart = word
                .iter()
                .map(|change| Step::Commit(vec![change.clone()]))
                .collect();
            for mut steps in [together, apart] {
                let store = CrashStore::from_bytes(PageSize::KIB_1, &file);
                if keeps_order {
                    store.keep_order();
                }
                let found = Legal::of(&store);
                let mut scene = Scene::open(&store, &found, &mut rng).unwrap();
                let last = steps.pop().unwrap();
                for step in steps {
                    scene.run(&step).unwrap();
                }
                crash_in(&mut scene, &last, limit, &mut tally, &mut rng);
            }
        }
    }
    tally.print();
}

/// All pairs and triples.
fn words(alphabet: &[Change]) -> Vec<Vec<Change>> {
    let longer = |words: &[Vec<Change>]| -> Vec<Vec<Change>> {
        let with =
            |word: &Vec<Change>, last: &Change| [&word[..], std::slice::from_ref(last)].concat();
        words
            .iter()
            .flat_map(|word| alphabet.iter().map(move |last| with(word, last)))
            .collect()
    };
    let singles: Vec<_> = alphabet.iter().map(|change| vec![change.clone()]).collect();
    let pairs = longer(&singles);
    let triples = longer(&pairs);
    [pairs, triples].concat()
}
