//! SQLite over page files beside stock SQLite, in one run and taking turns.
//!
//! `cargo bench --bench speed -- [ROUNDS] [FOLDER...]` prints a table for each
//! folder: one on a disk and one in memory unless they are named.
#![expect(clippy::unwrap_used, reason = "it ends where something fails")]

use std::path::{Path, PathBuf};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use pagebox::Engine;
use pagebox_tests::rng::Rng;
use rusqlite::{Connection, OpenFlags};

struct Contender {
    name: &'static str,
    vfs: &'static str,
    pragmas: &'static str,
}

/// All of them with `synchronous = full`. The first is what the others are
/// compared to.
const CONTENDERS: [Contender; 4] = [
    Contender {
        name: "pagebox",
        vfs: "pagebox",
        pragmas: "pragma journal_mode = memory; pragma synchronous = full",
    },
    Contender {
        name: "pagebox, `journal_mode = delete`",
        vfs: "pagebox",
        pragmas: "pragma journal_mode = delete; pragma synchronous = full",
    },
    Contender {
        name: "DELETE",
        vfs: "unix",
        pragmas: "pragma journal_mode = delete; pragma synchronous = full",
    },
    Contender {
        name: "WAL",
        vfs: "unix",
        pragmas: "pragma journal_mode = wal; pragma synchronous = full",
    },
];

const CASES: [&str; 9] = [
    "2,000 inserts, each a transaction",
    "200 transactions of 50 updates",
    "50,000 rows in one transaction",
    "100,000 selects, each a transaction",
    "100,000 selects in one transaction",
    "the same, with `mmap_size`",
    "1,000 selects, each a transaction, beside a thread that inserts",
    "the slowest of them",
    "size on disk, MiB",
];

fn open(contender: &Contender, path: &Path) -> Connection {
    let db =
        Connection::open_with_flags_and_vfs(path, OpenFlags::default(), contender.vfs).unwrap();
    db.execute_batch(contender.pragmas).unwrap();
    db.execute_batch("pragma cache_size = -2000").unwrap();
    db
}

fn timed(f: impl FnOnce()) -> f64 {
    let start = Instant::now();
    f();
    start.elapsed().as_secs_f64() * 1000.0
}

fn inserts(db: &Connection) -> f64 {
    db.execute_batch(
        "create table a (id integer primary key, k int, v text); create index a_k on a (k)",
    )
    .unwrap();
    let mut insert = db
        .prepare("insert into a (k, v) values (?, hex(zeroblob(50)))")
        .unwrap();
    let mut rng = Rng::new(1);
    timed(|| {
        for _ in 0..2000 {
            insert.execute([rng.below(1 << 30).cast_signed()]).unwrap();
        }
    })
}

const ROWS: u64 = 50_000;

fn load(db: &Connection) -> f64 {
    db.execute_batch(
        "create table b (id integer primary key, k int, v text); create index b_k on b (k)",
    )
    .unwrap();
    let mut insert = db
        .prepare("insert into b (k, v) values (?, hex(zeroblob(80)))")
        .unwrap();
    let mut rng = Rng::new(2);
    timed(|| {
        db.execute_batch("begin").unwrap();
        for _ in 0..ROWS {
            insert.execute([rng.below(1 << 30).cast_signed()]).unwrap();
        }
        db.execute_batch("commit").unwrap();
    })
}

fn updates(db: &Connection) -> f64 {
    let mut update = db.prepare("update b set v = ? where id = ?").unwrap();
    let mut rng = Rng::new(3);
    timed(|| {
        for round in 0..200 {
            db.execute_batch("begin").unwrap();
            for _ in 0..50 {
                let id = rng.between(1, ROWS).cast_signed();
                update.execute((format!("{round:0160}"), id)).unwrap();
            }
            db.execute_batch("commit").unwrap();
        }
    })
}

fn selects(db: &Connection) -> f64 {
    let mut select = db.prepare("select length(v) from b where id = ?").unwrap();
    let mut rng = Rng::new(4);
    timed(|| {
        for _ in 0..100_000 {
            let id = rng.between(1, ROWS).cast_signed();
            let length: i64 = select.query_row([id], |row| row.get(0)).unwrap();
            assert_eq!(length, 160);
        }
    })
}

fn selects_at_once(db: &Connection) -> f64 {
    db.execute_batch("begin").unwrap();
    let time = selects(db);
    db.execute_batch("commit").unwrap();
    time
}

/// Selects while another connection does one insert after the other: what a thousand
/// take, and the slowest.
fn beside_a_writer(contender: &Contender, path: &Path, reader: &Connection) -> (f64, f64) {
    let (is_done, begun) = (AtomicBool::new(false), Barrier::new(2));
    reader.busy_timeout(Duration::from_mins(1)).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let writer = open(contender, path);
            writer.busy_timeout(Duration::from_mins(1)).unwrap();
            let mut insert = writer.prepare("insert into a (k) values (1)").unwrap();
            begun.wait();
            while !is_done.load(Ordering::Relaxed) {
                insert.execute([]).unwrap();
            }
        });
        begun.wait();
        let mut select = reader
            .prepare("select length(v) from b where id = ?")
            .unwrap();
        let mut rng = Rng::new(5);
        let (mut slowest, mut count) = (0.0_f64, 0_u32);
        let begin = Instant::now();
        let all = timed(|| {
            // With a journal one may wait for many commits.
            while count < 50_000 && begin.elapsed() < Duration::from_secs(1) {
                count += 1;
                let id = rng.between(1, ROWS).cast_signed();
                let each = timed(|| {
                    let length: i64 = select.query_row([id], |row| row.get(0)).unwrap();
                    assert_eq!(length, 160);
                });
                slowest = slowest.max(each);
            }
        });
        is_done.store(true, Ordering::Relaxed);
        (all * 1000.0 / f64::from(count), slowest)
    })
}

/// What each case takes, in milliseconds but for the last.
fn round(contender: &Contender, folder: &Path) -> [f64; CASES.len()] {
    let folder = tempfile::tempdir_in(folder).unwrap();
    let path = folder.path().join("data");
    let db = open(contender, &path);
    let inserts = inserts(&db);
    let load = load(&db);
    let updates = updates(&db);
    let (each, at_once) = (selects(&db), selects_at_once(&db));
    db.execute_batch("pragma mmap_size = 1000000000").unwrap();
    let mapped = selects_at_once(&db);
    db.execute_batch("pragma mmap_size = 0").unwrap();
    let (beside, slowest) = beside_a_writer(contender, &path, &db);
    drop(db);
    let size = std::fs::metadata(&path).unwrap().len();
    // What a drive has to forget of it is nobody's time.
    drop(folder);
    std::thread::sleep(Duration::from_millis(20));
    #[expect(clippy::cast_precision_loss, reason = "files are not that long")]
    let size = size as f64 / 1_048_576.0;
    [
        inserts, updates, load, each, at_once, mapped, beside, slowest, size,
    ]
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn compare(folder: &Path, rounds: usize) {
    let mut measured = vec![Vec::new(); CONTENDERS.len()];
    for _ in 0..rounds {
        for (contender, measured) in CONTENDERS.iter().zip(&mut measured) {
            measured.push(round(contender, folder));
        }
    }
    let median_of = |contender: usize, case: usize| {
        median(measured[contender].iter().map(|it| it[case]).collect())
    };
    println!("\n{}, medians of {rounds} rounds\n", folder.display());
    print!("| Case | {} |", CONTENDERS[0].name);
    for contender in &CONTENDERS[1..] {
        print!(" {} | x |", contender.name);
    }
    println!("\n|---|---|{}", "---|---|".repeat(CONTENDERS.len() - 1));
    for (case, name) in CASES.iter().enumerate() {
        let own = median_of(0, case);
        print!("| {name} | {own:.1} |");
        for contender in 1..CONTENDERS.len() {
            let other = median_of(contender, case);
            print!(" {other:.1} | {:.2} |", own / other);
        }
        println!();
    }
}

fn main() {
    let mut rounds = 7;
    let mut folders = Vec::new();
    // `cargo bench` adds an option for a harness that there is none of.
    for argument in std::env::args().skip(1).filter(|it| it != "--bench") {
        match argument.parse() {
            Ok(number) => rounds = number,
            Err(_) => folders.push(PathBuf::from(argument)),
        }
    }
    if folders.is_empty() {
        folders = vec![std::env::current_dir().unwrap(), PathBuf::from("/dev/shm")];
    }
    pagebox_sqlite::register(&Engine::new().unwrap()).unwrap();
    for folder in folders {
        compare(&folder, rounds);
    }
}
