//! [`Tricky`]: an object store that counts, fails and lies as it is told. It is in memory,
//! or in front of a real one.
//! Each handle has rules of its own: what happens to one writer does not to another.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::stream::{BoxStream, StreamExt};
use pagebox_slatedb::Bucket;
use pagebox_slatedb::object_store::memory::InMemory;
use pagebox_slatedb::object_store::path::Path;
use pagebox_slatedb::object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, ObjectStoreExt, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult,
    Result,
};

/// When a PUT fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// Nothing was stored.
    Before,
    /// It was stored, and nobody hears of it.
    After,
}

/// What a store does where something is to be made only where there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Conditions {
    #[default]
    Honoured,
    /// It is put over what there is.
    Ignored,
    /// That cannot be had.
    Refused,
}

/// What happens to requests, and what did.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    /// PUTs so far.
    pub(crate) puts: u64,
    /// What was put.
    pub(crate) names: Vec<String>,
    /// The bytes of it.
    pub(crate) bytes: u64,
    /// All other requests so far.
    pub(crate) others: u64,
    /// PUTs from this number on fail, as many as this.
    pub(crate) fails: Option<(u64, u64, When)>,
    /// Every request fails from this number of them on.
    pub(crate) is_gone_after: Option<u64>,
    /// How long a PUT takes, and any other request.
    pub(crate) takes: (Duration, Duration),
    /// No request is answered.
    pub(crate) hangs: bool,
    /// What it does where something is to be made only where there is none.
    pub(crate) conditions: Conditions,
    /// Refuses all that changes something, as a server does without the right.
    pub(crate) is_read_only: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Tricky<O = InMemory> {
    objects: O,
    rules: Arc<Mutex<Rules>>,
}

impl<O> fmt::Display for Tricky<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tricky")
    }
}

fn failure(text: &'static str) -> Error {
    Error::Generic {
        store: "Tricky",
        source: text.into(),
    }
}

impl Tricky {
    pub(crate) fn new() -> Self {
        Self::over(InMemory::new())
    }

    /// The same objects, reached by another way.
    pub(crate) fn another(&self) -> Self {
        Self::over(self.objects.clone())
    }

    /// The objects as they are now, on their own.
    pub(crate) fn fork(&self) -> Self {
        Self::over(self.objects.fork())
    }

    /// The names of all objects.
    pub(crate) fn names(&self) -> Vec<String> {
        let list = self.objects.list(None);
        let names = list.map(|it| it.expect("memory").location.to_string());
        futures_executor::block_on(names.collect())
    }

    /// Deletes all objects whose names contain this.
    pub(crate) fn forget(&self, part: &str) {
        for name in self.names().iter().filter(|name| name.contains(part)) {
            let path = Path::parse(name).expect("a path");
            futures_executor::block_on(self.objects.delete(&path)).expect("memory");
        }
    }
}

impl<O: ObjectStore + Clone> Tricky<O> {
    /// In front of another one.
    pub(crate) fn over(objects: O) -> Self {
        Self {
            objects,
            rules: Arc::default(),
        }
    }

    pub(crate) fn bucket(&self) -> Bucket {
        Bucket::new(Arc::new(self.clone()), "a/store").expect("a prefix")
    }

    pub(crate) fn rules(&self) -> MutexGuard<'_, Rules> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for ever, or fails, where the rules say so. Whether it is a PUT tells
    /// how it fails.
    async fn meet(&self, is_put: bool) -> Result<Option<When>> {
        let (hangs, gone, fault, takes) = {
            let mut rules = self.rules();
            let number = rules.puts;
            if is_put {
                rules.puts += 1;
            } else {
                rules.others += 1;
            }
            let all = rules.puts + rules.others;
            let gone = rules.is_gone_after.is_some_and(|after| all > after);
            let fault = rules.fails.filter(|&(first, count, _)| {
                is_put && (first..first.saturating_add(count)).contains(&number)
            });
            let (put, other) = rules.takes;
            (rules.hangs, gone, fault, if is_put { put } else { other })
        };
        if !takes.is_zero() {
            tokio::time::sleep(takes).await;
        }
        if hangs {
            std::future::pending::<()>().await;
        }
        if gone {
            return Err(failure("the server is away"));
        }
        Ok(fault.map(|(_, _, when)| when))
    }
}

#[async_trait::async_trait]
impl<O: ObjectStore + Clone> ObjectStore for Tricky<O> {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        mut options: PutOptions,
    ) -> Result<PutResult> {
        let fault = self.meet(true).await?;
        {
            let mut rules = self.rules();
            rules.names.push(location.to_string());
            rules.bytes += payload.content_length() as u64;
            if rules.is_read_only {
                return Err(Error::PermissionDenied {
                    path: location.to_string(),
                    source: "read only".into(),
                });
            }
            if options.mode == PutMode::Create && rules.conditions == Conditions::Refused {
                return Err(Error::NotImplemented {
                    operation: "put if absent".into(),
                    implementer: "Tricky".into(),
                });
            }
            if rules.conditions == Conditions::Ignored {
                options.mode = PutMode::Overwrite;
            }
        }
        if fault == Some(When::Before) {
            return Err(failure("told to fail"));
        }
        let put = self.objects.put_opts(location, payload, options).await;
        if fault == Some(When::After) {
            return Err(failure("told to fail, after it was done"));
        }
        put
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.meet(true).await?;
        self.objects.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.meet(false).await?;
        self.objects.get_opts(location, options).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.objects.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (this, prefix) = (self.clone(), prefix.cloned());
        futures_util::stream::once(async move {
            match this.meet(false).await {
                Ok(_) => this.objects.list(prefix.as_ref()),
                Err(error) => futures_util::stream::once(async { Err(error) }).boxed(),
            }
        })
        .flatten()
        .boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.meet(false).await?;
        self.objects.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.meet(true).await?;
        self.objects.copy_opts(from, to, options).await
    }
}
