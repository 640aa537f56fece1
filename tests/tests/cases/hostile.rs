//! Hostile files: mutated by what knows the format, and examined in every way.
//! `PAGEBOX_HOSTILE_FILES` says how many.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use pagebox_tests::examine::examine;
use pagebox_tests::figures;
use pagebox_tests::mutate::mutate;
use pagebox_tests::rng::Rng;
use pagebox_tests::specimens::specimens;

use crate::{P, SIZE};

const FILES: u64 = 10_000;

#[test]
fn no_mutated_file_panics_or_is_changed_or_gives_a_page_away_twice() {
    let start = Instant::now();
    let count = match std::env::var("PAGEBOX_HOSTILE_FILES") {
        Ok(count) => count.parse().expect("PAGEBOX_HOSTILE_FILES is a number"),
        Err(_) => FILES,
    };
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
