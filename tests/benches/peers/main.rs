//! The benchmark: pagebox through its sandbox and without, its peer, redb, LMDB
//! and what the medium takes at the least, in one run, taking turns.
//!
//! ```text
//! cargo bench -p pagebox-tests --bench peers [-- OPTIONS]
//!
//! --quick            few rounds: a test of this program, not of the times
//! --folder FOLDER    where the files go (default: one on disk, and one in
//!                    memory where the system has that)
//! --only GROUP       run a group of cases; can be given several times
//! --output FILE      where the results go (default: target/peers.json)
//! --markdown FILE    run nothing; show results as a table of goals
//! ```
//!
//! Only ratios within one run mean anything: machines differ, and so do times
//! of day.

mod cases;
mod contestants;
mod goals;
mod measure;
mod report;
mod sparse;
mod syscalls;

use std::path::{Path, PathBuf};

use cases::{Bench, CHILD, GROUPS};
use measure::Medium;

/// What was asked for.
#[derive(Default)]
struct Options {
    quick: bool,
    folder: Option<PathBuf>,
    only: Vec<String>,
    output: Option<PathBuf>,
    markdown: Option<String>,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [first, rest @ ..] = arguments.as_slice()
        && first == CHILD
    {
        return cases::child(rest);
    }
    let options = options(arguments);
    if let Some(file) = &options.markdown {
        return report::markdown(&report::read(file));
    }
    let media = options.folder.map_or_else(media, |folder| {
        let medium = if is_in_memory(&folder) {
            Medium::Tmpfs
        } else {
            Medium::Disk
        };
        vec![(medium, folder)]
    });
    for (_, folder) in &media {
        syscalls::assert_counting(folder);
    }
    let mut bench = Bench {
        engine: pagebox::Engine::new().expect("an engine"),
        quick: options.quick,
        media,
        rows: Vec::new(),
    };
    for (group, run) in GROUPS {
        if options.only.is_empty() || options.only.iter().any(|only| only == group) {
            run(&mut bench);
        }
    }
    report::table(&bench.rows);
    report::goals(&bench.rows);
    report::write(&bench.rows, &options.output.unwrap_or_else(output));
}

fn options(arguments: Vec<String>) -> Options {
    let mut options = Options::default();
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        let mut value = || {
            let value = arguments.next();
            value.unwrap_or_else(|| panic!("{argument} takes a value"))
        };
        match argument.as_str() {
            "--quick" => options.quick = true,
            "--folder" => options.folder = Some(value().into()),
            "--only" => options.only.push(value()),
            "--output" => options.output = Some(value().into()),
            "--markdown" => options.markdown = Some(value()),
            // What cargo adds.
            "--bench" => {}
            _ => panic!("there is no option {argument}: see the first lines of the source"),
        }
    }
    options
}

/// A folder on disk, and one in memory where there is that.
fn media() -> Vec<(Medium, PathBuf)> {
    let disk = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let memory = PathBuf::from("/dev/shm");
    let mut media = Vec::new();
    if !is_in_memory(&disk) {
        media.push((Medium::Disk, disk));
    }
    if is_in_memory(&memory) {
        media.push((Medium::Tmpfs, memory));
    }
    assert!(!media.is_empty(), "there is a folder: name one");
    media
}

fn is_in_memory(folder: &Path) -> bool {
    rustix::fs::statfs(folder).is_ok_and(|found| found.f_type == libc::TMPFS_MAGIC)
}

fn output() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent();
    target
        .expect("it is in the target folder")
        .join("peers.json")
}
