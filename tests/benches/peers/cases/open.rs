//! Opening a file of 64 MiB with 1,000 protected pages: in a process that has
//! opened others, in a process of its own up to the first page read, and what
//! memory that takes.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use pagebox::{Engine, Format};

use super::Bench;
use crate::contestants::{Core, Name, PAGE, Pagebox, Peer, Records, content};
use crate::measure::{Medium, Recorder, count, race};
use crate::syscalls::set_up;

const PAGE_COUNT: u64 = 16_384;
const RECORDS: u64 = 1000;
/// So many that the peer's file doubles up to the page count.
const REGULAR: u64 = 7000;

/// The argument that makes this program a child that does one thing.
pub(crate) const CHILD: &str = "--child";

pub(crate) fn run(bench: &mut Bench) {
    bench.on_media(|bench, medium, folder| {
        let engine = &bench.engine;
        let ours = |format| Pagebox::create(engine, format, &folder, PAGE_COUNT, RECORDS, REGULAR);
        let (one, zero, core, peer) = set_up(&folder, || {
            (
                ours(Format::One),
                ours(Format::Zero),
                Core::create(&folder, PAGE_COUNT, RECORDS, REGULAR),
                Peer::create(&folder, RECORDS, REGULAR),
            )
        });
        let files = [
            (Name::Pagebox, one.path().to_owned()),
            (Name::PageboxZero, zero.path().to_owned()),
            (Name::PageboxCore, core.path().to_owned()),
            (Name::Mappedpages, peer.path().to_owned()),
        ];
        drop((one, zero, core, peer));
        for (name, path) in &files {
            let bytes = path.metadata().expect("the file is there").len();
            assert_eq!(bytes, PAGE_COUNT * PAGE as u64, "{name}: 64 MiB");
        }
        warm(bench, medium, &files);
        cold(bench, medium, &files);
        memory(bench, medium, &files);
    });
}

/// Opens a contestant's file; pagebox starts its engine here, if it has none.
fn open(engine: Option<&Engine>, name: Name, path: &Path) -> Box<dyn Records> {
    match name {
        Name::Pagebox | Name::PageboxZero => {
            let engine = engine.cloned();
            let engine = engine.unwrap_or_else(|| Engine::new().expect("an engine"));
            Box::new(Pagebox::open(&engine, path.to_owned()))
        }
        Name::PageboxCore => Box::new(Core::open(path.to_owned())),
        Name::Mappedpages => Box::new(Peer::open(path.to_owned())),
        Name::Redb | Name::Lmdb | Name::Floor => unreachable!("they take no part in this"),
    }
}

fn warm(bench: &mut Bench, medium: Medium, files: &[(Name, PathBuf)]) {
    let engine = bench.engine.clone();
    let mut lanes: Vec<_> = files
        .iter()
        .map(|(name, path)| (*name, Box::new((*name, path.clone()))))
        .collect();
    let rounds = bench.rounds(300);
    let rows = race(
        "open",
        medium,
        rounds,
        &mut lanes,
        |lane, round, recorder| {
            let (name, path) = lane;
            let opened = recorder.time(1, || open(Some(&engine), *name, path));
            let record = round % RECORDS;
            let mut buffer = vec![0; PAGE];
            opened.copy(&[record], &mut buffer);
            assert_eq!(buffer, content(record, 0), "{name}: record {record}");
        },
    );
    bench.add(rows);
}

fn cold(bench: &mut Bench, medium: Medium, files: &[(Name, PathBuf)]) {
    let mut lanes: Vec<_> = files
        .iter()
        .map(|(name, path)| (*name, Box::new((*name, path.clone()))))
        .collect();
    let rounds = bench.rounds(100);
    let rows = race("cold", medium, rounds, &mut lanes, |lane, _, recorder| {
        let (name, path) = lane;
        let (line, time) = first_line("cold", *name, path);
        recorder.add(1, time);
        assert_eq!(line, "read", "{name}: the child read its page");
    });
    bench.add(rows);
}

fn memory(bench: &mut Bench, medium: Medium, files: &[(Name, PathBuf)]) {
    let mut rows = Vec::new();
    for (name, path) in files {
        let mut recorder = Recorder::default();
        let (line, time) = first_line("memory", *name, path);
        recorder.add(1, time);
        let bytes: u64 = line.parse().expect("the child says a number");
        let mut row = recorder.row("memory", medium, *name);
        row.memory_bytes = Some(count(bytes));
        rows.push(row);
    }
    bench.add(rows);
}

/// Starts a child; its first line, and how long that took to be there.
fn first_line(task: &str, name: Name, path: &Path) -> (String, Duration) {
    let program = std::env::current_exe().expect("this program is a file");
    let start = Instant::now();
    let mut child = Command::new(program)
        .args([CHILD, task, name.text()])
        .arg(path)
        .stdout(Stdio::piped())
        .spawn()
        .expect("this program can start itself");
    let output = child.stdout.take().expect("its output is a pipe");
    let mut line = String::new();
    let read = BufReader::new(output).read_line(&mut line);
    let time = start.elapsed();
    read.expect("the child says something");
    let status = child.wait().expect("the child ends");
    assert!(status.success(), "{name}: the child did its task");
    (line.trim_end().to_owned(), time)
}

/// What a child does: opens a file and reads, and says that it has or what
/// memory it took.
pub(crate) fn child(arguments: &[String]) {
    let [task, name, path] = arguments else {
        panic!("a child is told a task, a contestant and a file");
    };
    let names = [
        Name::Pagebox,
        Name::PageboxZero,
        Name::PageboxCore,
        Name::Mappedpages,
    ];
    let name = names
        .into_iter()
        .find(|candidate| candidate.text() == name)
        .expect("a contestant that opens files");
    let mut buffer = vec![0; PAGE];
    let mut read = |engine: Option<&Engine>, records: u64| {
        let opened = open(engine, name, Path::new(path));
        for record in 0..records {
            opened.copy(&[record], &mut buffer);
            assert_eq!(buffer[..8], record.to_le_bytes(), "{name}: {record}");
        }
        opened
    };
    match task.as_str() {
        "cold" => {
            read(None, 1);
            println!("read");
        }
        "memory" => {
            let engine = Engine::new().expect("an engine");
            let before = private_memory();
            let opened = read(Some(&engine), RECORDS);
            let after = private_memory();
            drop(opened);
            println!("{}", after.saturating_sub(before));
        }
        task => panic!("there is no task {task}"),
    }
}

/// Bytes of this process's memory that are not of files.
fn private_memory() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kib = text
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"))
        .and_then(|rest| rest.trim().strip_suffix(" kB"))
        .and_then(|kib| kib.trim().parse::<u64>().ok());
    kib.expect("the system says how much memory a process has") * 1024
}
