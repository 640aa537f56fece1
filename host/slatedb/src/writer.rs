//! [`SlateStore`]: the writer.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use pagebox_store::{
    Algorithm, Change, Checksum, Geometry, PageBuffer, PageSize, PageStore, StoreError,
    check_changes, seal,
};
use slatedb::config::{GarbageCollectorDirectoryOptions, GarbageCollectorOptions, Settings};
use slatedb::{CloseReason, Db, ErrorKind, IterationOrder, SstBlockSize, WriteBatch};

use crate::bucket::{Bucket, RETRIES};
use crate::driver::Driver;
use crate::options::Options;
use crate::pages::{Database, Health, Pages, Shared};
use crate::reader::{Log, look};
use crate::record::{self, Writer};
use crate::{Error, SlateView, keys};

/// Objects of the write-ahead log after which it is flushed to the first level, so
/// that an opening after a crash reads not many more. Each takes two requests there.
const BACKLOG: u64 = 256;

/// How long what is not needed any more is kept, so that readers can go on.
const KEPT: std::time::Duration = std::time::Duration::from_hours(1);

/// Pages deleted in one batch, where what an interrupted creation left is cleared.
const CLEARED_AT_ONCE: usize = 4096;

/// A store open to write.
///
/// A sync is one PUT, whatever it covers; an order is none; a growth is one, since it is
/// durable when it returns. After a write or a sync that failed
/// all but reads are refused until it is [reopened](Self::reopen). Dropping it closes
/// it, with what was written.
///
/// Once another writer has taken the store over, the next sync is
/// [`StoreError::Fenced`] and nothing of what it covers persists. Until then it reads
/// its own last state.
pub struct SlateStore {
    pages: Pages,
    options: Options,
    /// Whom it was taken over from.
    ended: Option<Writer>,
    /// Past the last page that was ever written: the others are zeros.
    written_end: u64,
    /// Whether something was written since the last sync.
    is_dirty: bool,
    /// Whether it is durable what the store is. Before that there is no store.
    is_published: bool,
}

/// By which right a database is opened to write.
#[derive(Clone, Copy)]
enum Claim {
    /// There is none yet, or one that was never made to the end.
    New,
    /// It is there, and nobody else has it open.
    Free,
    /// It was this process's, with this epoch.
    Own(u64),
}

impl SlateStore {
    /// Makes a store in a bucket, and opens it. There is none before the first sync
    /// returned: with it all that was written until then becomes durable at once.
    ///
    /// # Errors
    /// [`Error::Exists`], [`Error::IgnoresConditions`]; [`Error::Locked`] and
    /// [`Error::Opening`], where another one is making it or ended while it did,
    /// unless [`take_over`](Options::take_over) is set; [`Error::NoAnswer`],
    /// [`Error::Unavailable`].
    pub fn create(bucket: &Bucket, page_size: PageSize, options: &Options) -> Result<Self, Error> {
        let (shared, ended) = open(bucket, options, Claim::New)?;
        Ok(Self {
            pages: Pages::new(shared, page_size, 0),
            options: *options,
            ended,
            written_end: 0,
            is_dirty: false,
            is_published: false,
        })
    }

    /// Opens the store in a bucket. It is looked at first: where there is none,
    /// nothing is made.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Locked`]
    /// and [`Error::Opening`] unless [`take_over`](Options::take_over) is set;
    /// [`Error::UnknownVersion`], [`Error::NoAnswer`], [`Error::Unavailable`], [`Error::Damaged`].
    pub fn open(bucket: &Bucket, options: &Options) -> Result<Self, Error> {
        Self::claimed(bucket, options, Claim::Free)
    }

    fn claimed(bucket: &Bucket, options: &Options, claim: Claim) -> Result<Self, Error> {
        let (shared, ended) = open(bucket, options, claim)?;
        let shape = shared.get(keys::SHAPE)?.ok_or(Error::NotFound)?;
        let (page_size, page_count) = keys::read_shape(&shape)?;
        let written_end = written_end(&shared)?;
        Ok(Self {
            pages: Pages::new(shared, page_size, page_count),
            options: *options,
            ended,
            written_end,
            is_dirty: false,
            is_published: true,
        })
    }

    /// After a write or a sync that failed: opens it anew, with what is durable. A
    /// store that another writer has taken over stays fenced.
    ///
    /// # Errors
    /// As [`open`](Self::open). The store stays as it was.
    pub fn reopen(&mut self) -> Result<(), Error> {
        let shared = &self.pages.shared;
        match shared.health() {
            Health::Sound => return Ok(()),
            Health::Fenced => return Err(Error::Fenced),
            Health::Poisoned => {}
        }
        let epoch = shared.writer.as_ref().map_or(0, |writer| writer.epoch);
        *self = Self::claimed(&shared.bucket, &self.options, Claim::Own(epoch))?;
        Ok(())
    }

    /// Makes what was written durable and ends.
    ///
    /// # Errors
    /// [`Error::Fenced`], [`Error::Poisoned`], [`Error::NoAnswer`],
    /// [`Error::Unavailable`].
    pub fn close(self) -> Result<(), Error> {
        self.pages.shared.close()
    }

    /// The pages as they are, to be read while this writer goes on.
    pub fn view(&self) -> SlateView {
        SlateView(self.pages.again())
    }

    /// How many such views there are.
    pub fn views(&self) -> usize {
        Arc::strong_count(&self.pages.shared) - 1
    }

    /// Who this writer is.
    pub fn writer(&self) -> Option<&Writer> {
        self.pages.shared.writer.as_ref()
    }

    /// Whom it was taken over from: who had it open, or did not close it.
    pub fn ended(&self) -> Option<&Writer> {
        self.ended.as_ref()
    }

    /// Puts what was written so far without a sync: of a new store, which there is
    /// only with its first sync, more may be written than memory holds.
    ///
    /// # Errors
    /// As those of a sync.
    pub fn spill(&mut self) -> Result<(), StoreError> {
        Ok(self.put_log()?)
    }

    fn put(&mut self, batch: &mut WriteBatch, page: u64, bytes: &[u8]) {
        batch.put(keys::page(page), bytes);
        self.written_end = self.written_end.max(page + 1);
    }

    /// Pages that were never written are zeros already.
    fn delete(&self, batch: &mut WriteBatch, pages: std::ops::Range<u64>) {
        for page in pages.start..pages.end.min(self.written_end) {
            batch.delete(keys::page(page));
        }
    }

    fn put_shape(&self, batch: &mut WriteBatch) {
        let shape = keys::shape(self.pages.page_size, self.pages.page_count);
        batch.put(keys::SHAPE, &shape);
    }

    fn apply(&mut self, batch: WriteBatch) -> Result<(), Error> {
        if batch.is_empty() {
            return Ok(());
        }
        self.is_dirty = true;
        let shared = &self.pages.shared;
        let db = shared.writable()?;
        let written = shared.driver.call(async {
            let written = db.write(batch).await;
            written.map_err(|error| shared.error(&error))
        });
        written.map(drop).map_err(|error| shared.poison(error))
    }

    fn flush(&mut self) -> Result<(), Error> {
        self.put_log()?;
        self.is_published = true;
        Ok(())
    }

    fn put_log(&mut self) -> Result<(), Error> {
        let shared = &self.pages.shared;
        let db = shared.writable()?;
        if !self.is_dirty {
            return Ok(());
        }
        let flushed = shared.driver.call(async {
            let flushed = db.flush().await;
            flushed.map_err(|error| shared.error(&error))
        });
        flushed.map_err(|error| shared.poison(error))?;
        self.is_dirty = false;
        if shared.backlog.fetch_add(1, Ordering::Relaxed) + 1 >= BACKLOG {
            shared.flush_log();
        }
        Ok(())
    }

    fn set_page_count(&mut self, page_count: u64) -> Result<Geometry, StoreError> {
        let mut batch = WriteBatch::new();
        self.pages.forget();
        self.delete(&mut batch, page_count..self.pages.page_count);
        let before = std::mem::replace(&mut self.pages.page_count, page_count);
        if self.is_published {
            self.put_shape(&mut batch);
        }
        if let Err(error) = self.apply(batch) {
            self.pages.page_count = before;
            return Err(error.into());
        }
        self.written_end = self.written_end.min(page_count);
        Ok(self.geometry())
    }
}

impl PageStore for SlateStore {
    type Buffer = PageBuffer;

    fn geometry(&self) -> Geometry {
        self.pages.geometry()
    }

    fn read(&self, page: u64, offset: u32, bytes: &mut [u8]) -> Result<(), StoreError> {
        self.pages.read(page, offset, bytes)
    }

    fn checksum(&self, page: u64, algorithm: Algorithm) -> Result<Checksum, StoreError> {
        self.pages.checksum(page, algorithm)
    }

    fn stage(&self, source: Option<u64>) -> Result<PageBuffer, StoreError> {
        self.pages.stage(source)
    }

    fn write(&mut self, changes: &[Change<'_, PageBuffer>]) -> Result<(), StoreError> {
        check_changes(self.geometry(), changes)?;
        self.pages.shared.writable()?;
        self.pages.forget();
        let mut batch = WriteBatch::new();
        for change in changes {
            match *change {
                Change::Sealed { page, bytes, start } => {
                    let sealed = [bytes, &seal(bytes, start)].concat();
                    self.put(&mut batch, page, &sealed);
                }
                Change::Staged { page, buffer } => self.put(&mut batch, page, buffer),
                Change::Bytes { page, bytes } => self.put(&mut batch, page, bytes),
                Change::Zero { first, count } => self.delete(&mut batch, first..first + count),
                // What is durable is a prefix of what was written.
                Change::Order => {}
                Change::Sync => {
                    if !self.is_published {
                        self.put_shape(&mut batch);
                    }
                    self.apply(std::mem::take(&mut batch))?;
                    self.flush()?;
                }
            }
        }
        Ok(self.apply(batch)?)
    }

    fn grow(&mut self, page_count: u64) -> Result<Geometry, StoreError> {
        self.pages.shared.writable()?;
        if page_count <= self.pages.page_count {
            return Ok(self.geometry());
        }
        self.set_page_count(page_count)?;
        // Before its first sync there is no store yet that could have become longer.
        if self.is_published {
            self.flush()?;
        }
        Ok(self.geometry())
    }

    fn truncate(&mut self, page_count: u64) -> Result<Geometry, StoreError> {
        self.pages.shared.writable()?;
        if page_count >= self.pages.page_count {
            return Ok(self.geometry());
        }
        self.set_page_count(page_count)
    }
}

fn open(
    bucket: &Bucket,
    options: &Options,
    claim: Claim,
) -> Result<(Arc<Shared>, Option<Writer>), Error> {
    let driver = Driver::new(options.timeout)?;
    let ended = match claim {
        Claim::New | Claim::Free if options.take_over => {
            let record = driver.call(record::look(bucket.store(), bucket.prefix()))?;
            record.filter(|it| it.is_open).map(|it| it.writer)
        }
        _ => None,
    };
    let (db, writer) = driver.call(claimed(bucket, options, claim))?;
    let shared = Shared::new(Database::Writer(db), driver, bucket.clone(), Some(writer));
    Ok((Arc::new(shared), ended))
}

/// Claims the database: of two who do at once, one does.
async fn claimed(bucket: &Bucket, options: &Options, claim: Claim) -> Result<(Db, Writer), Error> {
    let found = if bucket.has_database().await? {
        Some(look(bucket, options, Log::Skipped).await?.manifest())
    } else {
        None
    };
    let epoch = match (claim, &found) {
        (Claim::New, None) => {
            bucket.probe().await?;
            0
        }
        (Claim::New, Some(manifest)) => {
            let reader = look(bucket, options, Log::Read).await?;
            let shape = reader.get(keys::SHAPE).await;
            if shape.map_err(|error| Error::of(&error, true))?.is_some() {
                return Err(Error::Exists);
            }
            // Who is making it right now has the first claim.
            if !options.take_over {
                expect_free(bucket, manifest.writer_epoch()).await?;
            }
            manifest.writer_epoch()
        }
        (Claim::Free, Some(manifest)) => {
            if !options.take_over {
                expect_free(bucket, manifest.writer_epoch()).await?;
            }
            manifest.writer_epoch()
        }
        (Claim::Own(epoch), Some(_)) => epoch,
        (_, None) => return Err(Error::NotFound),
    };
    let built = Db::builder(bucket.prefix().clone(), bucket.shared_store())
        .with_expected_epoch(epoch)
        .with_settings(settings(bucket))
        .with_sst_block_size(SstBlockSize::Block64Kib)
        .with_db_cache(options.cache(), 0)
        .build()
        .await;
    let db = match (built, claim) {
        (Ok(db), _) => db,
        (Err(error), Claim::New) if is_fenced(&error) => return Err(Error::Exists),
        (Err(error), Claim::Free) if is_fenced(&error) => return Err(Error::Opening),
        (Err(error), _) => return Err(Error::of(&error, false)),
    };
    if let (Claim::New, Some(_)) = (claim, &found) {
        let cleared = clear(&db).await;
        if !cleared.map_err(|error| Error::of(&error, false))? {
            return Err(Error::Exists);
        }
    }
    let writer = Writer::own(db.manifest().writer_epoch());
    record::note(bucket.store(), bucket.prefix(), &writer, true).await?;
    Ok((db, writer))
}

/// That whoever opened the database last has closed it. The record of another epoch
/// than the last one is that of somebody before.
async fn expect_free(bucket: &Bucket, epoch: u64) -> Result<(), Error> {
    match record::look(bucket.store(), bucket.prefix()).await? {
        Some(record) if record.writer.epoch == epoch && !record.is_open => Ok(()),
        Some(record) if record.writer.epoch == epoch => Err(Error::Locked(record.writer)),
        _ => Err(Error::Opening),
    }
}

fn is_fenced(error: &slatedb::Error) -> bool {
    error.kind() == ErrorKind::Closed(CloseReason::Fenced)
}

fn settings(bucket: &Bucket) -> Settings {
    let kept = Some(GarbageCollectorDirectoryOptions {
        min_age: KEPT,
        ..GarbageCollectorDirectoryOptions::default()
    });
    Settings {
        // Syncs alone put the log.
        flush_interval: None,
        object_store_max_retries: Some(RETRIES),
        garbage_collector_options: Some(GarbageCollectorOptions {
            manifest_options: kept,
            wal_options: kept,
            // A fence that was collected fences nobody: a writer that was stopped
            // that long would be told that its commit is durable.
            wal_fence_options: None,
            compacted_options: kept,
            compactions_options: kept,
            boundary_files_enabled: !bucket.is_folder(),
            ..GarbageCollectorOptions::default()
        }),
        ..Settings::default()
    }
}

/// Deletes the pages that a creation left which did not come to its end. False: it
/// did, since it was looked at.
async fn clear(db: &Db) -> Result<bool, slatedb::Error> {
    if db.get(keys::SHAPE).await?.is_some() {
        return Ok(false);
    }
    let mut rows = db.scan(keys::pages_from(0)).await?;
    let (mut batch, mut count) = (WriteBatch::new(), 0);
    while let Some(row) = rows.next().await? {
        batch.delete(&row.key);
        count += 1;
        if count % CLEARED_AT_ONCE == 0 {
            db.write(std::mem::take(&mut batch)).await?;
        }
    }
    if !batch.is_empty() {
        db.write(batch).await?;
    }
    Ok(true)
}

/// Past the last page that has a key.
fn written_end(shared: &Shared) -> Result<u64, Error> {
    let db = shared.writable()?;
    shared.driver.call(async {
        let options =
            slatedb::config::ScanOptions::default().with_order(IterationOrder::Descending);
        let last = async {
            let mut rows = db.scan_with_options(keys::pages_from(0), &options).await?;
            rows.next().await
        };
        let last = last.await.map_err(|error| shared.error(&error))?;
        let last = last.and_then(|row| keys::page_of(&row.key));
        Ok(last.map_or(0, |page| page.saturating_add(1)))
    })
}
