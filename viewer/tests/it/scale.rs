//! The largest file that format 0 can have: 8,388,384 pages of 1 MiB, almost all
//! of them holes.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    path::Path,
};

use pagebox::{
    Change, Engine, Format, Geometry, NewFile, PageBuffer, PageSize, PageStore, Store, StoreError,
};
use pagebox_store::{Algorithm, Checksum, bounds, check_changes, seal};
use serde_json::Value;

use crate::program::Program;

const PAGES: u64 = 8_388_384;

/// A file that grows without reserving space: for files that are larger than
/// any disk.
struct SparseStore {
    file: File,
    page_count: u64,
}

const SIZE: PageSize = PageSize::MIB_1;

#[expect(clippy::needless_pass_by_value, reason = "as map_err passes it")]
fn failed(error: io::Error) -> StoreError {
    StoreError::io(error.to_string())
}

impl PageStore for SparseStore {
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

    fn write(&mut self, changes: &[Change<'_, PageBuffer>]) -> Result<(), StoreError> {
        check_changes(self.geometry(), changes)?;
        for change in changes {
            let position = change.pages().0 * SIZE.bytes() as u64;
            let bytes = match *change {
                Change::Sealed { bytes, start, .. } => [bytes, &seal(bytes, start)].concat(),
                Change::Staged { buffer, .. } => buffer.to_vec(),
                Change::Bytes { bytes, .. } => bytes.to_vec(),
                // Nothing is handed out twice here, and holes read as zeros.
                Change::Zero { .. } | Change::Order | Change::Sync => continue,
            };
            self.file.write_all_at(&bytes, position).map_err(failed)?;
        }
        Ok(())
    }

    fn grow(&mut self, page_count: u64) -> Result<Geometry, StoreError> {
        self.page_count = self.page_count.max(page_count);
        let len = self.page_count * SIZE.bytes() as u64;
        self.file.set_len(len).map_err(failed)?;
        Ok(self.geometry())
    }
}

impl Store for SparseStore {}

/// Makes the file, with one page in the middle of it that has rotted. Returns
/// that page.
fn make(path: &Path) -> u64 {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .open(path)
        .unwrap();
    let store = SparseStore {
        file,
        page_count: 0,
    };
    let engine = Engine::new().unwrap();
    let new = NewFile {
        format: Format::Zero,
        page_count: PAGES,
    };
    let mut pager = engine.create_store(store, new).unwrap();
    // Half of the file is allocated, so that the page is in its middle.
    let filler = pager.alloc_many(u32::try_from(PAGES / 2).unwrap()).unwrap();
    let mut tx = pager.begin().unwrap();
    let protected = tx.alloc_protected().unwrap();
    tx.write(protected).unwrap()[..5].copy_from_slice(b"sound");
    tx.commit().unwrap();
    drop((pager, filler));
    let entry = engine
        .inspect(path)
        .unwrap()
        .directory(protected.get(), 1, false)
        .unwrap()
        .remove(0);
    let page = entry.page.unwrap();
    let file = OpenOptions::new().write(true).open(path).unwrap();
    file.write_all_at(b"rot", page * SIZE.bytes() as u64)
        .unwrap();
    page
}

/// What says what each page is: page 0, the metadata and the directory, as far
/// as they are read, and what goes over the wire.
const STRUCTURES: u64 = 8 * SIZE.bytes() as u64 + 64 * 1024;

/// The summary, the check, the kinds of the pages: each reads the structures.
const LOOKING: u64 = 5 * STRUCTURES;

/// What the program read up to now. Of how long it took only a machine with
/// nothing else to do could tell.
#[cfg(target_os = "linux")]
fn bytes_read(program: &Program) -> u64 {
    let process = program.child.id();
    let io = std::fs::read_to_string(format!("/proc/{process}/io")).unwrap();
    let read = io.lines().find_map(|line| line.strip_prefix("rchar: "));
    read.unwrap().parse().unwrap()
}

/// Not known.
#[cfg(not(target_os = "linux"))]
fn bytes_read(_: &Program) -> u64 {
    0
}

fn json(program: &Program, route: &str) -> Value {
    let answer = program.get(route);
    assert_eq!(answer.status, 200, "{route}: {}", answer.text());
    serde_json::from_slice(&answer.body).unwrap()
}

#[test]
fn one_bad_page_in_eight_million_is_seen_in_few_reads_and_in_little_memory() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("largest.pages");
    let bad = make(&path);
    let program = Program::start(|command| command.arg("--no-open").arg(&path), 1);

    let before = bytes_read(&program);
    let map = program.get("/f/1/map");
    let looking = bytes_read(&program) - before;
    assert_eq!(map.status, 200, "{}", map.text());
    assert!(
        map.text().contains("class=\"cross\""),
        "the bad page is marked"
    );

    let view = json(&program, "/f/1/map.json");
    assert_eq!(view["pages"], PAGES);
    assert_eq!(view["flagged"], serde_json::json!([bad]));

    assert!(looking <= LOOKING, "the map read {looking} bytes");

    // Zoomed all the way out: the whole file in one answer.
    for per in [256, 1024, 1, 64] {
        let first = if per < 256 { bad - 100 } else { 0 };
        let route = format!("/f/1/tiles.json?first={first}&per={per}&count=32768");
        let before = bytes_read(&program);
        let tiles = json(&program, &route);
        let read = bytes_read(&program) - before;
        assert!(read <= STRUCTURES, "{per} pages a tile: {read} bytes");
        let mut page = first;
        let mut found = Vec::new();
        for run in tiles["tiles"].as_array().unwrap() {
            if run[2] == 3 {
                found.push(page);
            }
            page += run[0].as_u64().unwrap() * per;
        }
        assert_eq!(
            found,
            [first + (bad - first) / per * per],
            "{per} pages a tile"
        );
    }
    #[cfg(target_os = "linux")]
    {
        let process = program.child.id();
        let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
        let peak = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .unwrap();
        let kib: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
        assert!(kib < 300 * 1024, "{kib} KiB at the most");
    }
}
