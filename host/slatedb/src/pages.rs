//! What a writer and a reader share: an open database, and pages read from it.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pagebox_store::{
    Algorithm, Change, Checksum, Geometry, PageBuffer, PageSize, PageStore, StoreError, bounds,
};
use slatedb::bytes::Bytes;
use slatedb::config::{CloseOptions, FlushOptions, FlushType, ScanOptions};
use slatedb::{Db, DbIterator, DbReader};

use crate::ahead::{Ahead, Plan};
use crate::bucket::Bucket;
use crate::driver::Driver;
use crate::record::{self, Writer};
use crate::{Error, keys};

/// Requests for pages ahead that are under way at once.
const FETCHES: usize = 8;

/// Bytes of a request for pages ahead.
const FETCH_BYTES: usize = 512 << 10;

/// Objects of the write-ahead log that a close leaves to be read at the next opening.
/// Fewer of them cost less there than their flush costs here.
const CLOSE_BACKLOG: u64 = 64;

/// Objects of the first level that a close adds to. With more it would wait for the
/// compaction of those that there are.
const CLOSE_L0: usize = 7;

/// Whether a store can be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Health {
    Sound,
    Poisoned,
    Fenced,
}

/// An open database.
pub(crate) enum Database {
    Writer(Db),
    Reader(Box<DbReader>),
}

/// An open database with all that its end takes. It is closed with its last handle.
pub(crate) struct Shared {
    pub(crate) database: Database,
    pub(crate) driver: Driver,
    pub(crate) bucket: Bucket,
    /// Who writes: this process. None of a reader.
    pub(crate) writer: Option<Writer>,
    /// Objects of the write-ahead log that an opening has to read.
    pub(crate) backlog: AtomicU64,
    /// Whether the log is being flushed to the first level.
    pub(crate) is_flushing: AtomicBool,
    health: AtomicU8,
}

impl Shared {
    pub(crate) fn new(
        database: Database,
        driver: Driver,
        bucket: Bucket,
        writer: Option<Writer>,
    ) -> Self {
        let backlog = match &database {
            Database::Writer(db) => {
                let manifest = db.manifest();
                let first = manifest.replay_after_wal_id();
                manifest.next_wal_sst_id().saturating_sub(first)
            }
            Database::Reader(_) => 0,
        };
        Self {
            database,
            driver,
            bucket,
            writer,
            backlog: AtomicU64::new(backlog),
            is_flushing: AtomicBool::new(false),
            health: AtomicU8::new(Health::Sound as u8),
        }
    }

    pub(crate) fn health(&self) -> Health {
        match self.health.load(Ordering::Acquire) {
            0 => Health::Sound,
            1 => Health::Poisoned,
            _ => Health::Fenced,
        }
    }

    /// The database, if it can be changed.
    pub(crate) fn writable(&self) -> Result<&Db, Error> {
        match (self.health(), &self.database) {
            (Health::Sound, Database::Writer(db)) => Ok(db),
            (Health::Fenced, _) => Err(Error::Fenced),
            (_, _) => Err(Error::Poisoned),
        }
    }

    /// After a failed change nothing is known but what is opened anew.
    pub(crate) fn poison(&self, error: Error) -> Error {
        let health = match error {
            Error::Fenced => Health::Fenced,
            _ => Health::Poisoned,
        };
        self.health.store(health as u8, Ordering::Release);
        error
    }

    pub(crate) fn error(&self, error: &slatedb::Error) -> Error {
        Error::of(error, matches!(self.database, Database::Reader(_)))
    }

    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        self.driver.call(async {
            let found = match &self.database {
                Database::Writer(db) => db.get(key).await,
                Database::Reader(reader) => reader.get(key).await,
            };
            found.map_err(|error| self.error(&error))
        })
    }

    async fn scan(&self, range: std::ops::Range<Vec<u8>>) -> Result<DbIterator, slatedb::Error> {
        let options = ScanOptions::default()
            .with_read_ahead_bytes(FETCH_BYTES)
            .with_max_fetch_tasks(FETCHES)
            .with_cache_blocks(true);
        match &self.database {
            Database::Writer(db) => db.scan_with_options(range, &options).await,
            Database::Reader(reader) => reader.scan_with_options(range, &options).await,
        }
    }

    /// The pages of a range; none where one is zeros.
    fn fetch(&self, pages: std::ops::Range<u64>) -> Result<Vec<Option<Bytes>>, Error> {
        let count = usize::try_from(pages.end - pages.start).unwrap_or(0);
        self.driver.call(async {
            let mut found = vec![None; count];
            let fetched = async {
                let mut rows = self.scan(keys::pages(pages.clone())).await?;
                while let Some(row) = rows.next().await? {
                    let index = keys::page_of(&row.key)
                        .and_then(|page| usize::try_from(page - pages.start).ok());
                    if let Some(place) = index.and_then(|index| found.get_mut(index)) {
                        *place = Some(row.value);
                    }
                }
                Ok(found)
            };
            fetched.await.map_err(|error| self.error(&error))
        })
    }

    /// Makes what was written durable and ends, as long as this is the writer.
    pub(crate) fn close(&self) -> Result<(), Error> {
        let (Database::Writer(db), Some(writer)) = (&self.database, &self.writer) else {
            return Ok(());
        };
        self.writable()?;
        let has_room = db.manifest().l0().len() <= CLOSE_L0;
        let flush_type = if has_room && self.backlog.load(Ordering::Relaxed) >= CLOSE_BACKLOG {
            FlushType::MemTable
        } else {
            FlushType::Wal
        };
        let closed = self.driver.call(async {
            let options = CloseOptions::default().with_flush_type(Some(flush_type));
            let closed = db.close_with_options(options).await;
            closed.map_err(|error| self.error(&error))?;
            record::note(self.bucket.store(), self.bucket.prefix(), writer, false).await
        });
        // It is no store any more.
        self.health.store(Health::Poisoned as u8, Ordering::Release);
        closed
    }

    /// Makes what an opening has to read less, beside.
    pub(crate) fn flush_log(self: &Arc<Self>) {
        let Database::Writer(db) = &self.database else {
            return;
        };
        if self.is_flushing.swap(true, Ordering::AcqRel) {
            return;
        }
        self.backlog.store(0, Ordering::Relaxed);
        let (db, shared) = (db.clone(), Arc::downgrade(self));
        self.driver.spawn(async move {
            let options = FlushOptions {
                flush_type: FlushType::MemTable,
            };
            // Where it fails the next sync does, or there is more to read at the next
            // opening.
            let _ = db.flush_with_options(options).await;
            if let Some(shared) = shared.upgrade() {
                shared.is_flushing.store(false, Ordering::Release);
            }
        });
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // What was synced is durable: what fails here is noticed by nobody but the
        // next writer, whom the record tells.
        let _ = self.close();
    }
}

/// A handle on the pages of an open database.
pub(crate) struct Pages {
    pub(crate) shared: Arc<Shared>,
    pub(crate) page_size: PageSize,
    pub(crate) page_count: u64,
    ahead: Mutex<Ahead>,
}

impl Pages {
    pub(crate) fn new(shared: Arc<Shared>, page_size: PageSize, page_count: u64) -> Self {
        Self {
            shared,
            page_size,
            page_count,
            ahead: Mutex::default(),
        }
    }

    /// The same pages for another reader.
    pub(crate) fn again(&self) -> Self {
        Self::new(self.shared.clone(), self.page_size, self.page_count)
    }

    pub(crate) fn geometry(&self) -> Geometry {
        Geometry {
            page_size: self.page_size,
            page_count: self.page_count,
            tail: 0,
        }
    }

    fn ahead(&self) -> MutexGuard<'_, Ahead> {
        self.ahead.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was fetched may not be what is there any more.
    pub(crate) fn forget(&self) {
        self.ahead().forget();
    }

    fn get(&self, page: u64) -> Result<Option<Bytes>, Error> {
        // The lock is not held while others could read.
        let plan = self
            .ahead()
            .plan(page, self.page_size.bytes(), self.page_count);
        let found = match plan {
            Plan::Here(found) => found,
            Plan::Ask => self.shared.get(&keys::page(page))?,
            Plan::Fetch(range) => {
                let first = range.start;
                let pages = self.shared.fetch(range)?;
                let found = pages.first().cloned().flatten();
                self.ahead().keep(first, pages);
                found
            }
        };
        match &found {
            Some(bytes) if bytes.len() != self.page_size.bytes() => Err(Error::Damaged(format!(
                "page {page} has {} bytes",
                bytes.len()
            ))),
            _ => Ok(found),
        }
    }

    pub(crate) fn read(&self, page: u64, offset: u32, bytes: &mut [u8]) -> Result<(), StoreError> {
        bounds(self.geometry(), page, offset, bytes.len())?;
        let found = self.get(page)?;
        let start = offset as usize;
        match found
            .as_ref()
            .and_then(|it| it.get(start..start + bytes.len()))
        {
            Some(found) => bytes.copy_from_slice(found),
            None => bytes.fill(0),
        }
        Ok(())
    }

    pub(crate) fn stage(&self, source: Option<u64>) -> Result<PageBuffer, StoreError> {
        let Some(page) = source else {
            return Ok(PageBuffer::zeroed(self.page_size));
        };
        bounds(self.geometry(), page, 0, 0)?;
        Ok(match self.get(page)? {
            Some(bytes) => PageBuffer::from(&*bytes),
            None => PageBuffer::zeroed(self.page_size),
        })
    }

    pub(crate) fn checksum(&self, page: u64, algorithm: Algorithm) -> Result<Checksum, StoreError> {
        self.stage(Some(page)).map(|it| it.checksum(algorithm))
    }
}

/// The pages of a store to be read while its writer goes on. It shows what they are
/// at the time of each read.
pub struct SlateView(pub(crate) Pages);

impl PageStore for SlateView {
    type Buffer = PageBuffer;

    fn geometry(&self) -> Geometry {
        self.0.geometry()
    }

    fn read(&self, page: u64, offset: u32, bytes: &mut [u8]) -> Result<(), StoreError> {
        self.0.read(page, offset, bytes)
    }

    fn checksum(&self, page: u64, algorithm: Algorithm) -> Result<Checksum, StoreError> {
        self.0.checksum(page, algorithm)
    }

    fn stage(&self, source: Option<u64>) -> Result<PageBuffer, StoreError> {
        self.0.stage(source)
    }

    fn write(&mut self, _: &[Change<'_, PageBuffer>]) -> Result<(), StoreError> {
        Err(StoreError::ReadOnly)
    }

    fn grow(&mut self, _: u64) -> Result<Geometry, StoreError> {
        Err(StoreError::ReadOnly)
    }
}
