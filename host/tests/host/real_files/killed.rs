//! Writers that are killed at any moment, under group load: what they
//! acknowledged is there, what was under way is there wholly or not at all, and
//! the lock is free at once. `PAGEBOX_KILLS` says how often.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::Stdio;
use std::sync::mpsc;
use std::time::Duration;

use pagebox::SharedPager;
use pagebox::report::Check;
use pagebox_tests::figures;
use pagebox_tests::rng::Rng;

use super::journal::{self, Journal, THREADS};
use super::{child, path};
use crate::{engine, folder};

const KILLS: u64 = 100;
/// Not a test: what the other process does, until it is killed.
#[test]
#[ignore = "started by the test of killed writers, in a process of its own"]
fn writer() {
    let pager = engine().open(path()).unwrap();
    let shared = SharedPager::new(pager);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let shared = shared.clone();
            scope.spawn(move || {
                loop {
                    let commits = shared
                        .transact(move |tx| Journal::step(tx, thread))
                        .unwrap();
                    let line = format!("ack {thread} {commits}\n");
                    std::io::stdout().write_all(line.as_bytes()).unwrap();
                    std::io::stdout().flush().unwrap();
                }
            });
        }
    });
}

/// Starts a writer and kills it. Returns the last commit that it acknowledged
/// of each thread, 0 for none.
fn kill_a_writer(path: &Path, rng: &mut Rng) -> Vec<u64> {
    let mut child = child(&[], "real_files::killed::writer", path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    let (started, acknowledged) = mpsc::channel();
    let reading = std::thread::spawn(move || {
        let mut last = vec![0; usize::try_from(THREADS).unwrap()];
        for line in output.split(b'\n') {
            let line = String::from_utf8(line.unwrap()).unwrap();
            let Some(ack) = line.strip_prefix("ack ") else {
                continue;
            };
            let (thread, commits) = ack.split_once(' ').unwrap();
            last[thread.parse::<usize>().unwrap()] = commits.parse().unwrap();
            let _ = started.send(());
        }
        last
    });
    // Mostly when it is at work, sometimes while it opens the file.
    if !rng.chance(1, 8) {
        acknowledged
            .recv_timeout(Duration::from_mins(1))
            .expect("the writer does not work");
    }
    std::thread::sleep(Duration::from_micros(rng.below(30_000)));
    child.kill().unwrap();
    child.wait().unwrap();
    // Lines are short and written at once, so that none is cut off.
    reading.join().unwrap()
}

#[test]
fn writer_killed_at_any_moment_loses_nothing_that_it_acknowledged() {
    let kills = match std::env::var("PAGEBOX_KILLS") {
        Ok(kills) => kills.parse().expect("PAGEBOX_KILLS is a number"),
        Err(_) => KILLS,
    };
    let (_folder, path) = folder();
    journal::create(&path);
    let mut rng = Rng::new(0);
    let mut before = vec![0; usize::try_from(THREADS).unwrap()];
    let (mut acknowledged, mut under_way) = (0, 0);
    for kill in 0..kills {
        let acks = kill_a_writer(&path, &mut rng);
        // No wait: the lock went with its owner.
        let pager = engine().open(&path).unwrap();
        let after = journal::verify(&pager).unwrap();
        for ((before, ack), after) in before.iter().zip(&acks).zip(&after) {
            let known = ack.max(before);
            assert!(
                after == known || *after == known + 1,
                "kill {kill}: {acks:?} were acknowledged, {after} is there"
            );
            acknowledged += known - before;
            under_way += after - known;
        }
        before = after;
        drop(pager);
        let check = Check::of(&mut engine().inspect(&path).unwrap(), |_, _| {}).unwrap();
        assert_eq!(check.errors, 0, "kill {kill}: {check:?}");
    }
    assert!(acknowledged > kills, "the writers hardly worked");
    figures::print(&format!(
        "{kills} writers killed with {THREADS} threads at work: {acknowledged} acknowledged \
         commits, none lost; {under_way} more had become durable"
    ));
}
