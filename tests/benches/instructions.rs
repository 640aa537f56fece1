//! How many instructions the hot paths take, as callgrind counts them. Unlike
//! times they repeat: a change of more than 5 % has to be explained, and the
//! table brought up to date.
//!
//! ```text
//! cargo bench -p pagebox-tests --bench instructions              compare
//! cargo bench -p pagebox-tests --bench instructions -- --update  write the table
//! ```
//!
//! It takes valgrind. `core` is the pager compiled natively, `sandbox` the
//! component; both over a store in memory, which takes its share.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use pagebox::{Engine, Format, MemoryStore, NewFile, PageSize};
use pagebox_core::ProtectedId;

/// What changes by more has to be explained.
const TOLERANCE: f64 = 0.05;
/// Operations of the shorter and of the longer run: their difference leaves
/// nothing but operations.
const RUNS: [u64; 2] = [20, 120];
/// Protected and regular pages in the file, and pages in all.
const RECORDS: u32 = 200;
const REGULAR: u32 = 10_000;
const PAGE_COUNT: u64 = 16_384;

/// A path, and what does it so many times.
type HotPath = (&'static str, fn(u64));

const PATHS: [HotPath; 13] = [
    ("core: alloc and free a page", |times| {
        let mut core = core();
        for _ in 0..times {
            let mut tx = core.begin().expect("a transaction");
            let page = core.alloc(&mut tx, 1).expect("a page");
            core.commit(tx).expect("a commit");
            let mut tx = core.begin().expect("a transaction");
            core.free(&mut tx, &page).expect("a page to free");
            core.commit(tx).expect("a commit");
        }
    }),
    ("core: alloc and free 1,000 pages", |times| {
        let mut core = core();
        for _ in 0..times {
            let mut tx = core.begin().expect("a transaction");
            let pages = core.alloc(&mut tx, 1000).expect("pages");
            core.commit(tx).expect("a commit");
            let mut tx = core.begin().expect("a transaction");
            core.free(&mut tx, &pages).expect("pages to free");
            core.commit(tx).expect("a commit");
        }
    }),
    ("core: overwrite a protected page", |times| {
        let mut core = core();
        for n in 0..times {
            overwrite_core(&mut core, n, 1);
        }
    }),
    ("core: overwrite 100 protected pages", |times| {
        let mut core = core();
        for n in 0..times {
            overwrite_core(&mut core, n, 100);
        }
    }),
    ("core: list 10,000 pages", |times| {
        let mut core = core();
        for _ in 0..times {
            let runs = core.allocated(0, usize::MAX).expect("pages");
            assert_eq!(runs.iter().map(|run| run.count).sum::<u64>(), 10_000);
        }
    }),
    ("core: open", |times| {
        let mut core = core();
        for _ in 0..times {
            core = pagebox_core::Pager::open(core.close(), pagebox_core::Access::Write)
                .expect("the file opens again");
        }
    }),
    ("sandbox: alloc and free a page", |times| {
        let mut pager = sandboxed();
        for _ in 0..times {
            let page = pager.alloc().expect("a page");
            pager.free(page).expect("a page to free");
        }
    }),
    ("sandbox: alloc and free 1,000 pages", |times| {
        let mut pager = sandboxed();
        for _ in 0..times {
            let pages = pager.alloc_many(1000).expect("pages");
            pager.free_many(&pages).expect("pages to free");
        }
    }),
    ("sandbox: overwrite a protected page", |times| {
        let mut pager = sandboxed();
        for n in 0..times {
            overwrite_sandboxed(&mut pager, n, 1);
        }
    }),
    ("sandbox: overwrite 100 protected pages", |times| {
        let mut pager = sandboxed();
        for n in 0..times {
            overwrite_sandboxed(&mut pager, n, 100);
        }
    }),
    ("sandbox: read a page", |times| {
        let pager = sandboxed();
        for _ in 0..times {
            for page in 1000..2000 {
                std::hint::black_box(pager.page(pagebox::PageId::new(page)).expect("a page")[0]);
            }
        }
    }),
    ("sandbox: read a protected page", |times| {
        let pager = sandboxed();
        for _ in 0..times {
            for id in 0..u64::from(RECORDS) {
                let id = pagebox::ProtectedId::new(id);
                std::hint::black_box(pager.protected_page(id).expect("a page")[0]);
            }
        }
    }),
    ("sandbox: open", |times| {
        let mut pager = sandboxed();
        for _ in 0..times {
            pager.reopen().expect("the file opens again");
        }
    }),
];

/// How many operations a path does in one of its times.
fn batch(path: &str) -> u64 {
    match path {
        "sandbox: read a page" => 1000,
        "sandbox: read a protected page" => u64::from(RECORDS),
        _ => 1,
    }
}

fn core() -> pagebox_core::Pager<MemoryStore> {
    let store = MemoryStore::new(PageSize::KIB_4);
    let core = pagebox_core::Pager::create(store, PAGE_COUNT);
    let mut core = core.expect("a new file");
    let mut tx = core.begin().expect("a transaction");
    core.alloc_protected(&mut tx, RECORDS).expect("pages");
    core.alloc(&mut tx, REGULAR).expect("pages");
    core.commit(tx).expect("a commit");
    core
}

fn sandboxed() -> pagebox::Pager {
    let engine = Engine::new().expect("an engine");
    let store = MemoryStore::new(PageSize::KIB_4);
    // Of the format that the core makes, too.
    let new = NewFile {
        format: Format::Zero,
        page_count: PAGE_COUNT,
    };
    let pager = engine.create_store(store, new);
    let mut pager = pager.expect("a new file");
    let mut tx = pager.begin().expect("a transaction");
    tx.alloc_protected_many(RECORDS).expect("pages");
    tx.alloc_many(REGULAR).expect("pages");
    tx.commit().expect("a commit");
    pager
}

fn overwrite_core(core: &mut pagebox_core::Pager<MemoryStore>, n: u64, count: u64) {
    let mut tx = core.begin().expect("a transaction");
    for id in 0..count {
        let buffer = core.stage(&mut tx, ProtectedId(id)).expect("a buffer");
        buffer.fill(n as u8);
    }
    core.commit(tx).expect("a commit");
}

fn overwrite_sandboxed(pager: &mut pagebox::Pager, n: u64, count: u64) {
    let mut tx = pager.begin().expect("a transaction");
    for id in 0..count {
        let id = pagebox::ProtectedId::new(id);
        tx.write(id).expect("a buffer").fill(n as u8);
    }
    tx.commit().expect("a commit");
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [child, path, times] = arguments.as_slice()
        && child == "--child"
    {
        let (_, run) = PATHS
            .iter()
            .find(|(name, _)| name == path)
            .expect("the path is known");
        run(times.parse().expect("a number of times"));
        return ExitCode::SUCCESS;
    }
    let version = Command::new("valgrind").arg("--version").output();
    if version.is_err() {
        println!("valgrind is not installed: nothing is counted");
        return ExitCode::SUCCESS;
    }
    let update = arguments.iter().any(|argument| argument == "--update");
    let before: BTreeMap<String, u64> = std::fs::read_to_string(file())
        .ok()
        .and_then(|json| serde_json::from_str(&json).ok())
        .unwrap_or_default();
    let mut now = BTreeMap::new();
    let mut changed = false;
    println!("{:<40} {:>10} {:>10}", "path", "now", "table");
    for (path, _) in PATHS {
        let [short, long] = RUNS.map(|times| instructions(path, times));
        let count = (long - short) / (RUNS[1] - RUNS[0]) / batch(path);
        let note = match before.get(path) {
            Some(&before) if is_changed(before, count) => {
                changed = true;
                "CHANGED"
            }
            Some(_) => "",
            None => "new",
        };
        let table = before.get(path).copied().unwrap_or(0);
        println!("{path:<40} {count:>10} {table:>10} {note}");
        now.insert(path, count);
    }
    if update {
        let json = serde_json::to_string_pretty(&now).expect("names and numbers");
        std::fs::write(file(), json + "\n").expect("the table can be written");
    } else if changed {
        println!("more than 5 % changed: explain why, and update the table with --update");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
fn is_changed(before: u64, now: u64) -> bool {
    (now as f64 / before as f64 - 1.0).abs() > TOLERANCE
}

fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("results/instructions.json")
}

/// Runs a path in a process of its own, under callgrind.
fn instructions(path: &str, times: u64) -> u64 {
    let program = std::env::current_exe().expect("this program is a file");
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args(["--child", path, &times.to_string()])
        .output()
        .expect("valgrind runs");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{path}: {text}");
    text.lines()
        .find_map(|line| line.split_once("Collected : "))
        .and_then(|(_, count)| count.trim().parse().ok())
        .unwrap_or_else(|| panic!("callgrind gives no count: {text}"))
}
