//! Whether a file of a terabyte is as quick as a small one: operations on sparse
//! files of format 1 with 2^14 and 2^28 pages of 4 KiB, taking turns in one run.
//!
//! ```text
//! cargo bench -p pagebox-tests --bench scale [-- --quick] [-- --folder FOLDER]
//! ```
//!
//! It prints the table of the README. In the fragmented file every second page
//! is a regular one, so SPACE has all its leaves; in the full one all pages but
//! some of the last group are.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use pagebox::report::Check;
use pagebox::{Access, Engine, PageId, PageSize, Pager, ProtectedId};
use pagebox_core::Side;
use pagebox_core::changes::{Change, Changes};
use pagebox_core::format1;
use pagebox_core::format1::record::Record;
use pagebox_store::{
    Algorithm, Change as Written, Checksum, Geometry, PageBuffer, PageStore, StoreError, bounds,
    check_changes,
};
use pagebox_tests::craft1::{FULL, Group, leaf, space};
use pagebox_tests::rng::Rng;
use pagebox_tests::shown::numbers;

const SIZE: PageSize = PageSize::KIB_4;
const P: u64 = SIZE.bytes() as u64;

/// Powers of two.
const PAGES: [u32; 2] = [14, 28];

/// How the pages of a file are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Used {
    Little,
    InPieces,
    Full,
}

const USES: [(Used, &str); 3] = [
    (Used::Little, "almost empty"),
    (Used::InPieces, "fragmented"),
    (Used::Full, "almost full"),
];

fn main() {
    let mut folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let mut rounds = 60;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--quick" => rounds = 3,
            "--folder" => folder = arguments.next().expect("a folder").into(),
            "--bench" => {}
            _ => panic!("there is no option {argument}: see the first lines of the source"),
        }
    }
    let folder = tempfile::tempdir_in(folder).expect("a folder to work in");
    let engine = Engine::new().expect("an engine");
    println!("| File | Operation | 2^14 pages, 64 MiB | 2^28 pages, 1 TiB | Ratio |");
    println!("|---|---|---|---|---|");
    for (used, name) in USES {
        let files = PAGES.map(|log2| {
            let path = folder.path().join(format!("{used:?}-{log2}"));
            make(&path, log2, used).expect("room for a sparse file");
            path
        });
        for (operation, times) in measure(&engine, &files, rounds) {
            let [small, large] = times;
            let ratio = large.as_secs_f64() / small.as_secs_f64();
            println!("| {name} | {operation} | {small:.1?} | {large:.1?} | {ratio:.2} x |");
        }
        for (log2, path) in PAGES.into_iter().zip(&files) {
            check(&engine, path, log2, name);
        }
        if used == Used::InPieces {
            memory(&engine, &files[1], rounds);
        }
        for path in files {
            std::fs::remove_file(path).expect("it was made");
        }
    }
}

/// A sparse file with one protected page.
fn make(path: &Path, log2: u32, used: Used) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let file = options.read(true).write(true).create_new(true).open(path)?;
    let mut store = SparseFile {
        file,
        page_count: 0,
    };
    let new = format1::File::create(&mut store, [3; 16], 1 << log2);
    let page_count = new.expect("a new file").stats().page_count;
    if used != Used::Little {
        let numbers = numbers(SIZE.bytes());
        let groups = page_count.div_ceil(numbers.group);
        let made = space(
            numbers,
            groups,
            |group| {
                Group::Leaf(leaf(numbers, group, page_count, |place| {
                    let is_used = match used {
                        Used::InPieces => place % 2 == 1,
                        _ => group < groups - 1 || place < 8000,
                    };
                    u8::from(is_used)
                }))
            },
            |page, bytes| {
                let written = store.file.write_all_at(bytes, page * P);
                written.expect("room for SPACE");
            },
        );
        let mut slot = vec![0; SIZE.bytes()];
        store.file.read_exact_at(&mut slot, P)?;
        let mut record = Record::decode(&slot).expect("it was just written");
        record.used = made.root.number();
        record.space = Some(format1::entry::Entry {
            number: made.root.number(),
            full: made.root.word & FULL != 0,
            side: Side::A,
            birth: made.root.birth,
            checksum: made.root.checksum,
        });
        record.space_height = u8::try_from(made.height).expect("a tree is not so high");
        for slot in [1, 2] {
            store.file.write_all_at(&record.encode(), slot * P)?;
        }
    }
    let mut file = format1::File::open(&store).expect("it is sound");
    let mut changes = Changes::default();
    let bytes = PageBuffer::from(&vec![7; SIZE.bytes()][..]);
    changes
        .protected
        .insert(pagebox_core::ProtectedId(0), Change::New(Some(bytes)));
    file.commit(&mut store, &changes).expect("there is room");
    file.close(&mut store).expect("there is room");
    store.file.sync_all()
}

/// Medians, of both files.
fn measure(
    engine: &Engine,
    files: &[PathBuf; 2],
    rounds: usize,
) -> Vec<(&'static str, [Duration; 2])> {
    const OPERATIONS: [&str; 6] = [
        "open to read",
        "open to write",
        "first read",
        "commit of a page",
        "find a free page",
        "allocate a page",
    ];
    let mut samples: [[Vec<Duration>; 2]; 6] = Default::default();
    for _ in 0..rounds {
        for (which, path) in files.iter().enumerate() {
            let mut time = |operation: usize, time| samples[operation][which].push(time);
            let (opened, pager) = timed(|| engine.open_read_only(path).expect("a sound file"));
            drop(pager);
            time(0, opened);
            let (opened, mut pager) = timed(|| engine.open(path).expect("a sound file"));
            time(1, opened);
            time(2, timed(|| first_read(&pager)).0);
            for _ in 0..5 {
                time(3, timed(|| commit(&mut pager)).0);
                time(4, timed(|| find(&mut pager)).0);
                let (allocated, page) = timed(|| pager.alloc().expect("a page"));
                time(5, allocated);
                pager.free(page).expect("it was allocated");
            }
        }
    }
    OPERATIONS
        .into_iter()
        .zip(samples.map(|both| both.map(median)))
        .collect()
}

fn first_read(pager: &Pager) {
    let mut byte = [0];
    let read = pager.read_protected(ProtectedId::new(0), 100, &mut byte);
    read.expect("a protected page");
    assert_eq!(byte, [7]);
}

fn commit(pager: &mut Pager) {
    let mut transaction = pager.begin().expect("a transaction");
    let page = transaction.write(ProtectedId::new(0));
    page.expect("a protected page")[0] ^= 1;
    transaction.commit().expect("a commit");
}

fn find(pager: &mut Pager) {
    let mut transaction = pager.begin().expect("a transaction");
    transaction.alloc_many(1).expect("a free page");
}

/// How long a check takes, and how often it tells how far it is.
fn check(engine: &Engine, path: &Path, log2: u32, name: &str) {
    let start = Instant::now();
    let (mut told, mut last, mut longest) = (0_u64, start, Duration::ZERO);
    let found = Check::of_file(engine, path, |_, _| {
        told += 1;
        longest = longest.max(last.elapsed());
        last = Instant::now();
    });
    assert_eq!(found.expect("an answer").errors, 0);
    let seconds = start.elapsed().as_secs_f64();
    let rate = f64::from(1_u32 << log2) / seconds / 1e6;
    println!(
        "| {name} | check of 2^{log2} pages | {seconds:.3} s | {rate:.0} million pages a second | \
         told {told} times, {longest:.1?} apart at most |"
    );
}

/// What a million random reads leave in memory.
fn memory(engine: &Engine, path: &Path, rounds: usize) {
    let pager = engine.open_store(
        pagebox::ReadOnlyStore::open(path, SIZE).expect("a file"),
        Access::Read,
    );
    let pager = pager.expect("a sound file");
    let mut rng = Rng::new(1);
    let mut byte = [0];
    let mut read = |count: u64| {
        for _ in 0..count {
            // Every second page is a regular one, but homes.
            let page = rng.below(1 << 27) * 2 + 1;
            let _ = pager.read(PageId::new(page), 0, &mut byte);
        }
    };
    read(1000);
    let before = anonymous_bytes();
    read(if rounds < 10 { 10_000 } else { 1_000_000 });
    let after = anonymous_bytes();
    let kib = u32::try_from((after - before.min(after)) >> 10).unwrap_or(u32::MAX);
    let mib = f64::from(kib) / 1024.0;
    println!("| fragmented | memory that a million random reads take | | {mib:.1} MiB | |");
}

/// Memory of this process that is of no file.
fn anonymous_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    kib.and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) * 1024
}

fn timed<T>(f: impl FnOnce() -> T) -> (Duration, T) {
    let start = Instant::now();
    let result = f();
    (start.elapsed(), result)
}

fn median(mut samples: Vec<Duration>) -> Duration {
    samples.sort_unstable();
    samples[samples.len() / 2]
}

/// A file that grows without reserving space: larger than any disk.
struct SparseFile {
    file: File,
    page_count: u64,
}

#[expect(clippy::needless_pass_by_value, reason = "as map_err passes it")]
fn failed(error: io::Error) -> StoreError {
    StoreError::io(error.to_string())
}

impl PageStore for SparseFile {
    type Buffer = PageBuffer;

    fn geometry(&self) -> Geometry {
        Geometry {
            page_size: SIZE,
            page_count: self.page_count,
            tail: 0,
        }
    }

    fn read(&self, page: u64, offset: u32, bytes: &mut [u8]) -> Result<(), StoreError> {
        let position = bounds(self.geometry(), page, offset, bytes.len())?;
        self.file.read_exact_at(bytes, position).map_err(failed)
    }

    fn checksum(&self, page: u64, algorithm: Algorithm) -> Result<Checksum, StoreError> {
        Ok(self.stage(Some(page))?.checksum(algorithm))
    }

    fn stage(&self, source: Option<u64>) -> Result<PageBuffer, StoreError> {
        let mut buffer = PageBuffer::zeroed(SIZE);
        if let Some(page) = source {
            self.read(page, 0, &mut buffer)?;
        }
        Ok(buffer)
    }

    fn write(&mut self, changes: &[Written<'_, PageBuffer>]) -> Result<(), StoreError> {
        check_changes(self.geometry(), changes)?;
        for change in changes {
            let (page, bytes) = match *change {
                Written::Staged { page, buffer } => (page, &buffer[..]),
                Written::Bytes { page, bytes } => (page, bytes),
                // Holes read as zeros, and it is synced when it is made.
                Written::Zero { .. } | Written::Order | Written::Sync => continue,
                Written::Sealed { .. } => return Err(StoreError::Other(None)),
            };
            self.file.write_all_at(bytes, page * P).map_err(failed)?;
        }
        Ok(())
    }

    fn grow(&mut self, page_count: u64) -> Result<Geometry, StoreError> {
        self.file.set_len(page_count * P).map_err(failed)?;
        self.page_count = page_count;
        Ok(self.geometry())
    }
}
