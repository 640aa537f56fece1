//! [`SlateReader`]: a look at a store.

use std::sync::Arc;
use std::time::Duration;

use pagebox_store::{Algorithm, Change, Checksum, Geometry, PageBuffer, PageStore, StoreError};
use slatedb::config::DbReaderOptions;
use slatedb::{DbReader, DbReaderMode};

use crate::bucket::Bucket;
use crate::driver::Driver;
use crate::options::Options;
use crate::pages::{Database, Pages, Shared};
use crate::{Error, SlateView, Writer, keys, record};

/// Between two looks for what is new: longer than any reader lives, which is to show
/// one state.
const NEVER: Duration = Duration::from_hours(24 * 365);

/// A look at a store: the state that was durable when it was opened. It writes
/// nothing, needs no right to, and disturbs no writer.
///
/// A writer that goes on collects, an hour later, what the state of then needed:
/// reads fail with [`Error::MovedOn`]'s words from then on, and never show another
/// state's page.
pub struct SlateReader(Pages);

impl SlateReader {
    /// Looks at the store in a bucket.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::UnknownVersion`], [`Error::NoAnswer`],
    /// [`Error::Unavailable`], [`Error::Damaged`].
    pub fn open(bucket: &Bucket, options: &Options) -> Result<Self, Error> {
        let driver = Driver::new(options.timeout)?;
        let reader = driver.call(async {
            if !bucket.has_database().await? {
                return Err(Error::NotFound);
            }
            look(bucket, options, Log::Read).await
        })?;
        let shared = Shared::new(
            Database::Reader(Box::new(reader)),
            driver,
            bucket.clone(),
            None,
        );
        let shape = shared.get(keys::SHAPE)?.ok_or(Error::NotFound)?;
        let (page_size, page_count) = keys::read_shape(&shape)?;
        Ok(Self(Pages::new(Arc::new(shared), page_size, page_count)))
    }

    /// Who has the store open to write, or did not close it.
    ///
    /// # Errors
    /// [`Error::NoAnswer`], [`Error::Unavailable`].
    pub fn writer(&self) -> Result<Option<Writer>, Error> {
        let bucket = &self.0.shared.bucket;
        let look = record::look(bucket.store(), bucket.prefix());
        let record = self.0.shared.driver.call(look)?;
        Ok(record.filter(|it| it.is_open).map(|it| it.writer))
    }

    /// The same state for another reader.
    pub fn again(&self) -> SlateView {
        SlateView(self.0.again())
    }
}

/// Whether what is in the log only is looked at too.
#[derive(Clone, Copy)]
pub(crate) enum Log {
    Read,
    /// The manifest alone is wanted.
    Skipped,
}

/// Opens a database as it is now, without a write.
pub(crate) async fn look(bucket: &Bucket, options: &Options, log: Log) -> Result<DbReader, Error> {
    let settings = DbReaderOptions {
        manifest_poll_interval: NEVER,
        checkpoint_lifetime: 3 * NEVER,
        skip_wal_replay: matches!(log, Log::Skipped),
        object_store_max_retries: Some(crate::bucket::RETRIES),
        ..DbReaderOptions::default()
    };
    DbReader::builder(bucket.prefix().clone(), bucket.shared_store())
        .with_reader_mode(DbReaderMode::FollowLatest)
        .with_options(settings)
        .with_db_cache(options.cache(), 0)
        .build()
        .await
        .map_err(|error| Error::of(&error, true))
}

impl PageStore for SlateReader {
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
