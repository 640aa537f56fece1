//! Hostile files: mutated by what knows the format, and examined in every way.
//! `PAGEBOX_HOSTILE_FILES` says how many.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use std::time::Instant;

use pagebox_store::PageSize;
use pagebox_tests::examine::examine;
use pagebox_tests::mutate::mutate;
use pagebox_tests::rng::Rng;
use pagebox_tests::specimens::specimens;
use pagebox_tests::{examine1, figures, mutate1};

use crate::{P, SIZE};

const FILES: u64 = 10_000;

/// How many to try.
fn files() -> u64 {
    match std::env::var("PAGEBOX_HOSTILE_FILES") {
        Ok(count) => count.parse().expect("PAGEBOX_HOSTILE_FILES is a number"),
        Err(_) => FILES,
    }
}

#[test]
fn no_mutated_file_panics_or_is_changed_or_gives_a_page_away_twice() {
    let start = Instant::now();
    let count = files();
    let files = specimens(SIZE);
    let (mut writable, mut readable, mut mended) = (0, 0, 0);
    for seed in 0..count {
        let mut rng = Rng::new(seed);
        let mut file = rng.pick(&files).clone();
        mutate(&mut file, P, &mut rng);
        let examined = catch_unwind(AssertUnwindSafe(|| examine(&file, SIZE)))
            .unwrap_or_else(|_| panic!("seed {seed}"));
        writable += u64::from(examined.is_writable());
        readable += u64::from(examined.read.is_ok());
        mended += u64::from(examined.repaired.is_ok());
    }
    let seconds = start.elapsed().as_secs_f64();
    figures::print(&format!(
        "{count} hostile files in {seconds:.1} s, {writable} of them sound in the end, \
         {readable} readable, {mended} mended: no panic, no page given away twice"
    ));
    // The mutations reach every depth.
    assert!(count < 1000 || (writable > count / 20 && writable < count / 2));
    assert!(count < 1000 || (readable > count / 3 && mended > count / 3));
}

/// What became of files of format 1.
#[derive(Clone, Copy, Default)]
struct Outcomes {
    sound: u64,
    writable: u64,
    readable: u64,
    mended: u64,
}

#[test]
fn format_1_no_mutated_file_panics_takes_for_ever_or_gives_a_page_away_twice() {
    let start = Instant::now();
    let count = files();
    let small = mutate1::specimens(SIZE);
    // Large pages take long, and small ones have the same rules.
    let others = [PageSize::KIB_4, PageSize::KIB_64].map(mutate1::specimens);
    let try_one = |seed: u64, outcomes: &mut Outcomes| {
        let mut rng = Rng::new(seed);
        let files = match seed % 64 {
            7 | 39 => &others[0],
            13 => &others[1],
            _ => &small,
        };
        let file = mutate1::mutate(files.pick(&mut rng), &mut rng);
        let examined = catch_unwind(AssertUnwindSafe(|| examine1::examine(&file)))
            .unwrap_or_else(|_| panic!("seed {seed}"));
        outcomes.sound += u64::from(examined.errors == 0);
        outcomes.writable += u64::from(examined.write.is_ok());
        outcomes.readable += u64::from(examined.read.is_ok());
        outcomes.mended += u64::from(examined.repaired.is_ok());
    };
    // One that failed is tried again alone.
    if let Ok(seed) = std::env::var("PAGEBOX_HOSTILE_SEED") {
        let seed = seed.parse().expect("PAGEBOX_HOSTILE_SEED is a number");
        return try_one(seed, &mut Outcomes::default());
    }
    // It takes longer than the other tests beside which it runs.
    let halves = thread::scope(|scope| {
        let half = |first| {
            move || {
                let mut outcomes = Outcomes::default();
                (first..count)
                    .step_by(2)
                    .for_each(|seed| try_one(seed, &mut outcomes));
                outcomes
            }
        };
        [0, 1]
            .map(|first| scope.spawn(half(first)))
            .map(|it| it.join().expect("no panic"))
    });
    let sum = |of: fn(&Outcomes) -> u64| halves.iter().map(of).sum::<u64>();
    let sound = sum(|it| it.sound);
    let writable = sum(|it| it.writable);
    let readable = sum(|it| it.readable);
    let mended = sum(|it| it.mended);
    let seconds = start.elapsed().as_secs_f64();
    figures::print(&format!(
        "format 1: {count} hostile files in {seconds:.1} s, {sound} of them sound in the end, \
         {writable} writable, {readable} readable, {mended} mended: no panic, no page given away twice"
    ));
    // The mutations reach every depth.
    assert!(count < 1000 || (sound > count / 5 && sound < count / 2));
    assert!(count < 1000 || (writable > sound && mended > count / 3));
}
