//! [`Disk`]: a medium in memory that notes what a power loss could leave, counts
//! its syncs, and fails as it is told; and the VFS whose databases are on such.
//! Writes between two syncs reach it in any order, in sectors of 512 bytes, or
//! not at all.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Barrier, LazyLock, Mutex, Once};

use pagebox::{
    Access, Algorithm, Change, Checksum, Geometry, MemoryStore, NewFile, PageBuffer, PageSize,
    PageStore, Pager, Store, StoreError,
};
use pagebox_sqlite::Options;
use pagebox_tests::rng::Rng;
use rusqlite::Connection;

use crate::{engine, open};

pub(crate) const DISKS: &str = "disks";
const SECTOR: usize = 512;

/// Clones are handles of one medium.
#[derive(Clone)]
pub(crate) struct Disk(Arc<Mutex<Inner>>);

/// Holds a sync, once somebody asks for one.
#[derive(Clone)]
pub(crate) struct Gate(Arc<[Barrier; 2]>);

impl Gate {
    /// Waits for who asks for a sync.
    pub(crate) fn wait(&self) {
        self.0[0].wait();
    }

    /// Lets it go on.
    pub(crate) fn open(&self) {
        self.0[1].wait();
    }
}

/// A medium as it was, and how many there are of it.
struct Still {
    shown: MemoryStore,
    _count: Arc<()>,
}

struct Inner {
    shown: MemoryStore,
    durable: Vec<u8>,
    /// What was written since the last sync, in order.
    unsynced: Vec<(u64, Vec<u8>)>,
    syncs: u64,
    calls: u64,
    /// Every so many calls one fails; 0: none.
    fail_every: u64,
    failed: u64,
    /// How many images are noted at each sync and growth.
    note: usize,
    images: Vec<Vec<u8>>,
    rng: Rng,
    gate: Option<Gate>,
    stills: Arc<()>,
}

impl Disk {
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            shown: MemoryStore::from_bytes(PageSize::KIB_4, bytes.clone()),
            durable: bytes,
            unsynced: Vec::new(),
            syncs: 0,
            calls: 0,
            fail_every: 0,
            failed: 0,
            note: 0,
            images: Vec::new(),
            rng: Rng::new(1),
            gate: None,
            stills: Arc::new(()),
        })))
    }

    fn with<R>(&self, f: impl FnOnce(&mut Inner) -> R) -> R {
        f(&mut self.0.lock().unwrap())
    }

    /// Syncs since the last time that this was asked.
    pub(crate) fn take_syncs(&self) -> u64 {
        self.with(|it| std::mem::take(&mut it.syncs))
    }

    /// Lets every so many writes, syncs and growths fail, 0 none.
    pub(crate) fn fail_every(&self, calls: u64) {
        self.with(|it| it.fail_every = calls);
    }

    pub(crate) fn failed(&self) -> u64 {
        self.with(|it| it.failed)
    }

    /// Holds the next sync.
    pub(crate) fn hold_syncs(&self) -> Gate {
        let gate = Gate(Arc::new([2, 2].map(Barrier::new)));
        self.with(|it| it.gate = Some(gate.clone()));
        gate
    }

    /// How many images are to be noted at each sync and growth.
    pub(crate) fn note(&self, images: usize) {
        self.with(|it| it.note = images);
    }

    /// What a power loss could have left since the last time.
    pub(crate) fn take_images(&self) -> Vec<Vec<u8>> {
        self.with(|it| std::mem::take(&mut it.images))
    }
}

impl Inner {
    fn note_images(&mut self) {
        for image in 0..self.note {
            // Few of the sectors, half, or most.
            let share = 1 + image as u64 % 3;
            let mut bytes = self.durable.clone();
            let page_size = PageSize::KIB_4.bytes();
            for (page, written) in &self.unsynced {
                let start = usize::try_from(*page).unwrap() * page_size;
                for sector in (0..page_size).step_by(SECTOR) {
                    if self.rng.chance(share, 4) {
                        bytes[start + sector..][..SECTOR]
                            .copy_from_slice(&written[sector..][..SECTOR]);
                    }
                }
            }
            self.images.push(bytes);
        }
    }

    fn may_fail(&mut self) -> Result<(), StoreError> {
        self.calls += 1;
        if self.fail_every > 0 && self.calls.is_multiple_of(self.fail_every) {
            self.failed += 1;
            return Err(StoreError::io("it was told to fail"));
        }
        Ok(())
    }

    fn sync(&mut self) -> Result<(), StoreError> {
        self.note_images();
        self.may_fail()?;
        self.syncs += 1;
        self.unsynced.clear();
        self.durable = self.shown.bytes().to_vec();
        Ok(())
    }

    fn write(&mut self, change: &Change<'_, PageBuffer>) -> Result<(), StoreError> {
        if matches!(change, Change::Order | Change::Sync) {
            return self.sync();
        }
        self.may_fail()?;
        self.shown.write(std::slice::from_ref(change))?;
        let (first, count) = change.pages();
        for page in first..first + count {
            let bytes = self.shown.page(page)?.to_vec();
            self.unsynced.push((page, bytes));
        }
        Ok(())
    }

    fn grow(&mut self, page_count: u64) -> Result<Geometry, StoreError> {
        self.note_images();
        self.may_fail()?;
        let grown = self.shown.grow(page_count)?;
        self.durable.resize(self.shown.bytes().len(), 0);
        Ok(grown)
    }
}

impl PageStore for Disk {
    type Buffer = PageBuffer;

    fn geometry(&self) -> Geometry {
        self.with(|it| it.shown.geometry())
    }

    fn read(&self, page: u64, offset: u32, bytes: &mut [u8]) -> Result<(), StoreError> {
        self.with(|it| it.shown.read(page, offset, bytes))
    }

    fn checksum(&self, page: u64, algorithm: Algorithm) -> Result<Checksum, StoreError> {
        self.with(|it| it.shown.checksum(page, algorithm))
    }

    fn stage(&self, source: Option<u64>) -> Result<PageBuffer, StoreError> {
        self.with(|it| it.shown.stage(source))
    }

    fn write(&mut self, changes: &[Change<'_, PageBuffer>]) -> Result<(), StoreError> {
        if changes.iter().any(|it| matches!(it, Change::Sync))
            && let Some(gate) = self.with(|it| it.gate.take())
        {
            gate.wait();
            gate.open();
        }
        self.with(|it| changes.iter().try_for_each(|change| it.write(change)))
    }

    fn grow(&mut self, page_count: u64) -> Result<Geometry, StoreError> {
        self.with(|it| it.grow(page_count))
    }
}

impl Store for Disk {
    fn viewer(&self) -> Option<Box<dyn Store>> {
        self.with(|it| {
            Some(Box::new(Still {
                shown: it.shown.clone(),
                _count: it.stills.clone(),
            }) as Box<dyn Store>)
        })
    }

    fn viewers(&self) -> usize {
        self.with(|it| Arc::strong_count(&it.stills) - 1)
    }
}

impl PageStore for Still {
    type Buffer = PageBuffer;

    fn geometry(&self) -> Geometry {
        self.shown.geometry()
    }

    fn read(&self, page: u64, offset: u32, bytes: &mut [u8]) -> Result<(), StoreError> {
        self.shown.read(page, offset, bytes)
    }

    fn checksum(&self, page: u64, algorithm: Algorithm) -> Result<Checksum, StoreError> {
        self.shown.checksum(page, algorithm)
    }

    fn stage(&self, source: Option<u64>) -> Result<PageBuffer, StoreError> {
        self.shown.stage(source)
    }

    fn write(&mut self, _: &[Change<'_, PageBuffer>]) -> Result<(), StoreError> {
        Err(StoreError::ReadOnly)
    }

    fn grow(&mut self, _: u64) -> Result<Geometry, StoreError> {
        Err(StoreError::ReadOnly)
    }
}

impl Store for Still {}

/// The medium of each path.
static MEDIA: LazyLock<Mutex<HashMap<PathBuf, Disk>>> = LazyLock::new(Mutex::default);

fn pager(path: &Path, access: Access) -> Result<Pager, pagebox::Error> {
    let disk = MEDIA.lock().unwrap()[path].clone();
    if disk.geometry().page_count == 0 {
        return engine().create_store(disk, NewFile::default());
    }
    engine().open_store(disk, access)
}

/// A database on such a medium, without a journal. SQLite makes a journal beside
/// files only, with the rights of the file.
pub(crate) fn on_disk(disk: &Disk, path: &Path) -> Connection {
    static REGISTERED: Once = Once::new();
    REGISTERED.call_once(|| {
        let options = Options::new(engine()).open_with(pager);
        options.register(DISKS).unwrap();
    });
    std::fs::write(path, []).unwrap();
    MEDIA.lock().unwrap().insert(path.to_owned(), disk.clone());
    let db = open(path, DISKS);
    db.execute_batch("pragma journal_mode = memory").unwrap();
    db
}
