//! Processes that are killed while they write: what SQLite told them is done is
//! there, and nothing by half. `PAGEBOX_KILLS` says how often.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::time::Duration;

use pagebox_tests::figures;
use pagebox_tests::rng::Rng;
use pagebox_tests::scratch::folder;

use crate::processes::{child, path};
use crate::{PAGES, assert_clean, ledger, open};

const KILLS: u64 = 20;

/// Not a test: what the other process does, until it is killed.
#[test]
#[ignore = "started by the test of killed writers, in a process of its own"]
fn writer() {
    let mut seed = [0; 8];
    Rng::new(u64::from(std::process::id())).fill(&mut seed);
    let mut rng = Rng::new(u64::from_le_bytes(seed));
    let db = open(&path(), PAGES[0]);
    // Without a journal, and with one that a small cache leaves behind.
    if rng.chance(1, 2) {
        db.execute_batch("pragma journal_mode = memory").unwrap();
    }
    if rng.chance(1, 2) {
        db.execute_batch("pragma cache_size = 4").unwrap();
    }
    let is_new = db.prepare("select * from state").is_err();
    if is_new {
        ledger::create(&db).unwrap();
    }
    let mut out = std::io::stdout();
    for n in ledger::verify(&db) + 1.. {
        ledger::step(&db, n, &mut rng).unwrap();
        out.write_all(format!("done {n}\n").as_bytes()).unwrap();
        out.flush().unwrap();
        if rng.chance(1, 50) {
            db.execute_batch("vacuum").unwrap();
        }
    }
}

/// Starts a writer and kills it. Returns the last transaction that it said was
/// done.
fn kill_a_writer(path: &Path, rng: &mut Rng) -> Option<i64> {
    let mut child = child("kill::writer", path).spawn().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
    let said = |line: String| line.strip_prefix("done ").map(|n| n.parse().unwrap());
    // Mostly when it is at work, sometimes while it opens the file.
    let mut last = None;
    if !rng.chance(1, 8) {
        last = output.by_ref().map(Result::unwrap).find_map(said);
    }
    std::thread::sleep(Duration::from_micros(rng.below(30_000)));
    child.kill().unwrap();
    child.wait().unwrap();
    output.map(Result::unwrap).filter_map(said).last().or(last)
}

#[test]
fn writer_killed_at_any_moment_loses_nothing_that_was_done() {
    let kills = match std::env::var("PAGEBOX_KILLS") {
        Ok(kills) => kills.parse().expect("PAGEBOX_KILLS is a number"),
        Err(_) => KILLS,
    };
    let mut rng = Rng::new(0);
    let (mut acknowledged, mut more, mut hot) = (0, 0, 0);
    let mut folder = folder();
    let mut before = 0;
    for kill in 0..kills {
        // Now and then from the very first page on.
        if kill % 10 == 0 {
            folder = pagebox_tests::scratch::folder();
            before = 0;
        }
        let path = folder.path().join("data.pages");
        let said = kill_a_writer(&path, &mut rng);
        hot += u64::from(path.with_extension("pages-journal").exists());
        if !path.exists() {
            continue;
        }
        let db = open(&path, PAGES[0]);
        if db.prepare("select * from state").is_err() {
            assert_eq!(said, None, "kill {kill}: all is gone");
            continue;
        }
        let after = ledger::verify(&db);
        let known = said.unwrap_or(before);
        assert!(
            after == known || after == known + 1 || said.is_none() && after > known,
            "kill {kill}: {known} were done, {after} are there"
        );
        acknowledged += known - before;
        more += after - known;
        before = after;
        drop(db);
        assert_clean(&path);
    }
    assert!(acknowledged > 0, "the writers did nothing");
    figures::print(&format!(
        "{kills} processes killed that wrote by SQLite: {acknowledged} acknowledged transactions, \
         none lost; {more} more were there, {hot} journals left behind"
    ));
}
