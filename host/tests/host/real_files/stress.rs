//! All at once on one file, for `PAGEBOX_STRESS_SECONDS`: writers that take
//! turns, fork and are killed; readers, copies, checks. No reader sees a mixture
//! or a false alarm, every copy is a state, and no acknowledged commit is lost.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use pagebox::report::Check;
use pagebox::{Error, Pager};
use pagebox_tests::figures;
use pagebox_tests::rng::Rng;

use super::forked::{end, fork};
use super::journal::{self, Journal, THREADS};
use super::{child, path};
use crate::{engine, folder};

const SECONDS: u64 = 3;
const WRITERS: u64 = 2;
/// Tells a writer what its choices begin with.
const SEED: &str = "PAGEBOX_TEST_SEED";

/// Not a test: a writer that takes its turn at the file again and again, until
/// it is killed or ends itself without a word.
#[test]
#[ignore = "started by the stress test, in a process of its own"]
fn writer() {
    let mut rng = Rng::new(std::env::var(SEED).unwrap().parse().unwrap());
    let path = path();
    loop {
        let mut pager = turn(&path);
        for _ in 0..=rng.below(40) {
            let thread = rng.below(THREADS);
            let mut tx = pager.begin().unwrap();
            let commits = Journal::step(&mut tx, thread).unwrap();
            if rng.chance(1, 20) {
                tx.rollback();
                continue;
            }
            tx.commit().unwrap();
            let line = format!("ack {thread} {commits}\n");
            std::io::stdout().write_all(line.as_bytes()).unwrap();
            std::io::stdout().flush().unwrap();
        }
        let pager = match rng.below(8) {
            // No destructor runs.
            0 => std::process::abort(),
            // Two of them run: the child's must not do anything.
            1 | 2 => forks(pager),
            _ => pager,
        };
        drop(pager);
        std::thread::sleep(Duration::from_micros(rng.below(3_000)));
    }
}

/// A child that tries to use the pager, and drops it while the parent commits.
fn forks(mut pager: Pager) -> Pager {
    let Some(child) = fork() else {
        end(|| {
            assert!(matches!(pager.alloc(), Err(Error::Forked)));
            drop(pager);
        })
    };
    pager.begin().unwrap().commit().unwrap();
    child.succeed();
    pager
}

/// Opens the file as soon as nobody else has it.
fn turn(path: &Path) -> Pager {
    loop {
        match engine().open(path) {
            Ok(pager) => return pager,
            Err(Error::Locked { .. }) => std::thread::sleep(Duration::from_micros(300)),
            Err(error) => panic!("{error}"),
        }
    }
}

/// What was acknowledged so far: the last commit of each thread.
type Acknowledged = Arc<Mutex<Vec<u64>>>;

/// A writer, and the thread that listens to it.
struct Writer(Child, JoinHandle<()>);

impl Writer {
    fn start(path: &Path, seed: u64, acknowledged: &Acknowledged) -> Self {
        let mut child = child(&[], "real_files::stress::writer", path)
            .env(SEED, seed.to_string())
            .stdout(Stdio::piped())
            // One that aborts says so.
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let acknowledged = acknowledged.clone();
        let listening = std::thread::spawn(move || {
            for line in output.split(b'\n') {
                let line = String::from_utf8(line.unwrap()).unwrap();
                let Some(ack) = line.strip_prefix("ack ") else {
                    // Of the test harness, or why a writer failed.
                    assert!(!line.contains("panicked"), "{line}");
                    continue;
                };
                let (thread, commits) = ack.split_once(' ').unwrap();
                let commits: u64 = commits.parse().unwrap();
                let mut known = acknowledged.lock().unwrap();
                let known = &mut known[thread.parse::<usize>().unwrap()];
                *known = commits.max(*known);
            }
        });
        Self(child, listening)
    }

    fn end(mut self) {
        let _ = self.0.kill();
        self.0.wait().unwrap();
        self.1.join().unwrap();
    }
}

/// Does something again and again until it is told to stop; how often.
fn again_and_again(stop: &AtomicBool, mut work: impl FnMut() -> bool) -> u64 {
    let mut count = 0;
    while !stop.load(Ordering::Relaxed) {
        count += u64::from(work());
    }
    count
}

/// What may be an answer where writers never rest.
fn unless_busy<T>(result: Result<T, Error>) -> Option<T> {
    match result {
        Ok(answer) => Some(answer),
        Err(Error::Busy | Error::Changed) => None,
        Err(error) => panic!("{error}"),
    }
}

/// That a state holds all that was acknowledged before it was read.
fn expect_all(known: &[u64], found: &[u64]) {
    let all = known.iter().zip(found).all(|(known, found)| found >= known);
    assert!(all, "{known:?} were acknowledged, {found:?} is there");
}

#[test]
fn one_file_under_stress_loses_nothing_and_shows_no_mixture() {
    let seconds = match std::env::var("PAGEBOX_STRESS_SECONDS") {
        Ok(seconds) => seconds.parse().expect("PAGEBOX_STRESS_SECONDS is a number"),
        Err(_) => SECONDS,
    };
    let (folder, path) = folder();
    journal::create(&path);
    let nothing = (0..THREADS).map(|_| 0).collect();
    let acknowledged: Acknowledged = Arc::new(Mutex::new(nothing));
    let known = || acknowledged.lock().unwrap().clone();
    let stop = AtomicBool::new(false);
    let kills = AtomicU64::new(0);

    let [read, opened, checked, copied] = std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            again_and_again(&stop, || {
                let known = known();
                let found = engine().read_with(&path, journal::verify);
                unless_busy(found).is_some_and(|found| {
                    expect_all(&known, &found);
                    true
                })
            })
        });
        // Who opens once, and reads what is still there.
        let opener = scope.spawn(|| {
            again_and_again(&stop, || {
                let known = known();
                let pager = unless_busy(engine().open_read_only(&path));
                let found = pager.and_then(|pager| unless_busy(journal::verify(&pager)));
                found.is_some_and(|found| {
                    expect_all(&known, &found);
                    true
                })
            })
        });
        let checker = scope.spawn(|| {
            again_and_again(&stop, || {
                let check = Check::of_file(&engine(), &path, |_, _| {});
                unless_busy(check).is_some_and(|check| {
                    assert_eq!(check.errors, 0, "{check:?}");
                    true
                })
            })
        });
        let copier = scope.spawn(|| {
            let copy = folder.path().join("copy.pages");
            again_and_again(&stop, || {
                let known = known();
                let copied = unless_busy(engine().copy(&path, &copy));
                copied.is_some_and(|copied| {
                    assert_eq!(copied.damage, None);
                    expect_all(
                        &known,
                        &journal::verify(&engine().open(&copy).unwrap()).unwrap(),
                    );
                    let check = Check::of_file(&engine(), &copy, |_, _| {}).unwrap();
                    assert_eq!(check.errors, 0, "{check:?}");
                    std::fs::remove_file(&copy).unwrap();
                    true
                })
            })
        });
        let all = [&reader, &opener, &checker, &copier];
        let stop_all = Stop(&stop);
        let end = Instant::now() + Duration::from_secs(seconds);
        let mut rng = Rng::new(seconds);
        let mut seeds = 0..;
        let mut start = || Writer::start(&path, seeds.next().unwrap(), &acknowledged);
        let mut writers: Vec<_> = (0..WRITERS).map(|_| start()).collect();
        while Instant::now() < end && !all.iter().any(|it| it.is_finished()) {
            std::thread::sleep(Duration::from_millis(20 + rng.below(200)));
            let which = usize::try_from(rng.below(WRITERS)).unwrap();
            std::mem::replace(&mut writers[which], start()).end();
            kills.fetch_add(1, Ordering::Relaxed);
        }
        writers.into_iter().for_each(Writer::end);
        drop(stop_all);
        [reader, opener, checker, copier].map(|it| it.join().unwrap())
    });

    let found = journal::verify(&engine().open(&path).unwrap()).unwrap();
    expect_all(&known(), &found);
    let check = Check::of_file(&engine(), &path, |_, _| {}).unwrap();
    assert_eq!(check.errors, 0, "{check:?}");
    let commits: u64 = known().iter().sum();
    assert!(commits > 0 && read > 0 && checked > 0 && copied > 0);
    figures::print(&format!(
        "{commits} commits of {} writers, all killed, in {seconds} s under {read} readings, \
         {opened} openings, {checked} checks and {copied} copies: no mixture, no false alarm, \
         none lost",
        kills.into_inner() + WRITERS
    ));
}

/// Ends the threads of a test, also where it fails.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
