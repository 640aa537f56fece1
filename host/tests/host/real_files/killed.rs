//! Writers that are killed at any moment, under group load: what they
//! acknowledged is there, what was under way is there wholly or not at all, and
//! the lock is free at once. `PAGEBOX_KILLS` says how often.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::Stdio;
use std::sync::mpsc;
use std::time::Duration;

use pagebox::report::Check;
use pagebox::{Error, PageSize, Pager, SharedPager, Transaction};
use pagebox_tests::figures;
use pagebox_tests::rng::Rng;

use super::{child, path};
use crate::{engine, folder};

const KILLS: u64 = 100;
const THREADS: u64 = 6;

/// No thread owns more pages of a kind than this.
const OWNED: usize = 40;

/// What a thread's two pages say of it: how often it committed, and which pages
/// it owns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Journal {
    thread: u64,
    commits: u64,
    regular: Vec<u64>,
    protected: Vec<u64>,
}

impl Journal {
    /// A page: the numbers, and then bytes that only these numbers have.
    fn encode(&self) -> Vec<u8> {
        let mut page = Vec::new();
        let lens = [self.regular.len() as u64, self.protected.len() as u64];
        let head = [self.thread, self.commits].into_iter().chain(lens);
        for number in head
            .chain(self.regular.clone())
            .chain(self.protected.clone())
        {
            page.extend(number.to_le_bytes());
        }
        let mut rest = vec![0; PageSize::KIB_4.bytes() - page.len()];
        Rng::new(self.thread << 48 ^ self.commits).fill(&mut rest);
        page.extend(rest);
        page
    }

    fn decode(page: &[u8]) -> Self {
        let mut numbers = page
            .chunks_exact(8)
            .map(|bytes| u64::from_le_bytes(bytes.try_into().unwrap()));
        let mut next = || numbers.next().unwrap();
        let (thread, commits) = (next(), next());
        let lens = [next(), next()].map(|len| usize::try_from(len).unwrap().min(OWNED));
        let [regular, protected] = lens.map(|len| (0..len).map(|_| next()).collect());
        let journal = Self {
            thread,
            commits,
            regular,
            protected,
        };
        assert!(journal.encode() == page, "a mixture of pages: {journal:?}");
        journal
    }

    /// What is in the protected pages that a thread owns.
    fn mark(&self) -> [u8; 8] {
        (self.thread + 1).to_le_bytes()
    }

    /// The ids of a thread's two pages.
    fn ids(thread: u64) -> [u64; 2] {
        [2 * thread, 2 * thread + 1]
    }

    /// One more commit: allocates or frees something, and writes both pages.
    fn step(tx: &mut Transaction<'_>, thread: u64) -> Result<u64, Error> {
        let [one, two] = Self::ids(thread);
        let mut journal = Self::decode(tx.write(one)?);
        journal.commits += 1;
        let mut rng = Rng::new(thread << 32 ^ journal.commits);
        match rng.below(5) {
            0 if journal.regular.len() + 3 <= OWNED => {
                journal.regular.extend(tx.alloc_many(3)?);
            }
            1 if journal.protected.len() < OWNED => {
                let id = tx.alloc_protected()?;
                tx.write(id)?[..8].copy_from_slice(&journal.mark());
                journal.protected.push(id);
            }
            2 if !journal.regular.is_empty() => {
                let count = journal.regular.len().min(2);
                let freed: Vec<_> = journal.regular.drain(..count).collect();
                tx.free_many(&freed)?;
            }
            3 if !journal.protected.is_empty() => {
                let at = rng.below(journal.protected.len() as u64);
                let id = journal.protected.remove(usize::try_from(at).unwrap());
                tx.free_protected(id)?;
            }
            _ => {}
        }
        let page = journal.encode();
        tx.write(one)?.copy_from_slice(&page);
        tx.write(two)?.copy_from_slice(&page);
        Ok(journal.commits)
    }
}

/// Not a test: what the other process does, until it is killed.
#[test]
#[ignore = "started by the test of killed writers, in a process of its own"]
fn writer() {
    let pager = engine().open(path()).unwrap();
    let shared = SharedPager::new(pager).unwrap();
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

/// That the file is sound and every page has the owner that the journals name.
/// Returns how often each thread committed.
fn verify(pager: &Pager) -> Vec<u64> {
    let mut regular = BTreeSet::new();
    let mut protected = BTreeSet::new();
    let mut commits = Vec::new();
    for thread in 0..THREADS {
        let ids = Journal::ids(thread);
        let [one, two] = ids.map(|id| Journal::decode(pager.protected_page(id).unwrap()));
        assert_eq!(one, two, "half a commit");
        assert_eq!(one.thread, thread);
        for id in &one.protected {
            assert_eq!(pager.protected_page(*id).unwrap()[..8], one.mark());
        }
        let owned = one.protected.iter().chain(&ids);
        assert!(owned.into_iter().all(|id| protected.insert(*id)));
        assert!(one.regular.iter().all(|page| regular.insert(*page)));
        commits.push(one.commits);
    }
    let listed: BTreeSet<_> = pager.regular_pages().map(Result::unwrap).collect();
    assert_eq!(listed, regular, "lost, or nobody's");
    let listed: BTreeSet<_> = pager.protected_pages().map(|it| it.unwrap().id).collect();
    assert_eq!(listed, protected, "lost, or nobody's");
    commits
}

#[test]
fn writer_killed_at_any_moment_loses_nothing_that_it_acknowledged() {
    let kills = match std::env::var("PAGEBOX_KILLS") {
        Ok(kills) => kills.parse().expect("PAGEBOX_KILLS is a number"),
        Err(_) => KILLS,
    };
    let (_folder, path) = folder();
    {
        let mut pager = engine().create(&path, PageSize::KIB_4).unwrap();
        let mut tx = pager.begin().unwrap();
        for thread in 0..THREADS {
            let page = Journal {
                thread,
                ..Journal::default()
            }
            .encode();
            for id in Journal::ids(thread) {
                assert_eq!(tx.alloc_protected().unwrap(), id);
                tx.write(id).unwrap().copy_from_slice(&page);
            }
        }
        tx.commit().unwrap();
    }
    let mut rng = Rng::new(0);
    let mut before = vec![0; usize::try_from(THREADS).unwrap()];
    let (mut acknowledged, mut under_way) = (0, 0);
    for kill in 0..kills {
        let acks = kill_a_writer(&path, &mut rng);
        // No wait: the lock went with its owner.
        let pager = engine().open(&path).unwrap();
        let after = verify(&pager);
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
