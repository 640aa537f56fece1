//! [`Bucket`]: an object store, and the prefix in it that is a store's name.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use futures_util::StreamExt;
use slatedb::db_cache::DbCache;
use slatedb::db_cache::moka::{MokaCache, MokaCacheOptions};
use slatedb::object_store::local::LocalFileSystem;
use slatedb::object_store::memory::InMemory;
use slatedb::object_store::path::Path;
use slatedb::object_store::{
    Error as ObjectError, ObjectStore, ObjectStoreExt, PutMode, PutOptions,
};

use crate::{Error, Options};

/// How often `SlateDB` tries a failed request again, beside what the client of a cloud
/// does by itself. Most errors come again: wrong keys, for one.
pub(crate) const RETRIES: u32 = 2;

/// An object store, and the prefix in it that is a store's name. Nobody else may put
/// objects under that prefix.
#[derive(Clone)]
pub struct Bucket {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
    is_folder: bool,
}

impl Bucket {
    /// A prefix in an object store of the caller's. It has to honour
    /// `If-None-Match: *` on a PUT, which is tried out when a store is made.
    ///
    /// # Errors
    /// [`Error::Address`] for a prefix with an empty part, or with `.` or `..`.
    pub fn new(store: Arc<dyn ObjectStore>, prefix: &str) -> Result<Self, Error> {
        let prefix = Path::parse(prefix)
            .map_err(|error| Error::Address(format!("no prefix of a bucket: {error}")))?;
        Ok(Self {
            store,
            prefix,
            is_folder: false,
        })
    }

    /// A folder. What is synced is synced to the disk.
    ///
    /// # Errors
    /// [`Error::NotFound`] where there is no such folder.
    pub fn folder(path: &std::path::Path) -> Result<Self, Error> {
        if !path.is_dir() {
            return Err(Error::NotFound);
        }
        let store = LocalFileSystem::new_with_prefix(path)
            .map_err(|error| Error::of_object(&error))?
            // Without it an acknowledged write is in the system's memory only.
            .with_fsync(true);
        Ok(Self {
            store: Arc::new(store),
            prefix: Path::default(),
            is_folder: true,
        })
    }

    /// Memory of this process, the same for the same name.
    pub fn in_memory(name: &str) -> Self {
        static ALL: Mutex<Option<HashMap<String, Arc<InMemory>>>> = Mutex::new(None);
        let mut all = ALL.lock().unwrap_or_else(PoisonError::into_inner);
        let all = all.get_or_insert_default();
        Self {
            store: all.entry(name.to_owned()).or_default().clone(),
            prefix: Path::default(),
            is_folder: false,
        }
    }

    pub(crate) fn store(&self) -> &dyn ObjectStore {
        &*self.store
    }

    pub(crate) fn shared_store(&self) -> Arc<dyn ObjectStore> {
        self.store.clone()
    }

    pub(crate) fn prefix(&self) -> &Path {
        &self.prefix
    }

    pub(crate) fn is_folder(&self) -> bool {
        self.is_folder
    }

    /// Whether there is a database. One request, which makes nothing.
    pub(crate) async fn has_database(&self) -> Result<bool, Error> {
        let manifests = self.prefix.clone().join("manifest");
        match self.store.list(Some(&manifests)).next().await {
            None | Some(Err(ObjectError::NotFound { .. })) => Ok(false),
            Some(Ok(_)) => Ok(true),
            Some(Err(error)) => Err(Error::of_object(&error)),
        }
    }

    /// Tries out that an object is made only where there is none.
    pub(crate) async fn probe(&self) -> Result<(), Error> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.unwrap_or_default().as_nanos();
        let name = format!("probe-{}-{now}", std::process::id());
        let name = self.prefix.clone().join("pagebox").join(name);
        let create = || {
            let options = PutOptions::from(PutMode::Create);
            self.store.put_opts(&name, "probe".into(), options)
        };
        match create().await {
            // A client that tries again may find what it put itself.
            Ok(_) | Err(ObjectError::AlreadyExists { .. }) => {}
            Err(error) => return Err(refused_condition(&error)),
        }
        let second = create().await;
        // What stays of it is ten bytes that nobody reads.
        let _ = self.store.delete(&name).await;
        match second {
            Err(ObjectError::AlreadyExists { .. } | ObjectError::Precondition { .. }) => Ok(()),
            Ok(_) => Err(Error::IgnoresConditions),
            Err(error) => Err(refused_condition(&error)),
        }
    }
}

fn refused_condition(error: &ObjectError) -> Error {
    match error {
        ObjectError::NotImplemented { .. } | ObjectError::NotSupported { .. } => {
            Error::IgnoresConditions
        }
        error => Error::of_object(error),
    }
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What a client knows of itself has keys among it.
        f.debug_struct("Bucket")
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

impl Options {
    /// A cache for one database.
    pub(crate) fn cache(&self) -> Arc<dyn DbCache> {
        Arc::new(MokaCache::new_with_opts(MokaCacheOptions {
            max_capacity: self.cache_bytes,
            ..MokaCacheOptions::default()
        }))
    }
}
