//! The stores that a program was granted: the import `stores`.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use pagebox::{
    Algorithm, Change, Checksum, Engine, Error, Geometry, PageBuffer, PageStore, PageStores, Store,
    StoreError, StoreHandle,
};
use wasmtime::component::Resource;

use super::super::output::shown;
use super::super::streams::complain;
use super::super::{Failure, Wait};
use super::recorded::{Blank, Recorded, Tapes, checked};
use super::wit::pagebox::pager::stores::GrantError;
use super::{Named, Run};

/// What a program was granted.
pub(super) struct Grants {
    engine: Engine,
    all: Vec<Grant>,
    /// What is recorded of them.
    traces: Blank,
}

struct Grant {
    named: Named,
    read_only: bool,
    /// The store, until it is first taken.
    ready: Option<Box<dyn Store>>,
    /// What stands for it since.
    taken: Option<u32>,
    /// Whether the program tried to write what it may only read.
    refused: Arc<AtomicBool>,
    /// The store, if what is written to it is recorded.
    recorded: Option<Recorded>,
}

impl Grant {
    fn new(named: &Named, read_only: bool) -> Self {
        Self {
            named: named.clone(),
            read_only,
            ready: None,
            taken: None,
            refused: Arc::default(),
            recorded: None,
        }
    }

    /// The store, of a file that was opened as a page file, so that what is
    /// wrong with it is told before the program starts.
    fn open(&self, engine: &Engine) -> Result<Box<dyn Store>, Error> {
        let path = &self.named.path;
        if self.read_only {
            return Ok(Box::new(ToRead {
                store: engine.open_read_only(path)?.close(),
                refused: Arc::clone(&self.refused),
            }));
        }
        Ok(engine.open(path)?.close())
    }

    /// The store, after the program has dropped it.
    fn open_again(&self, engine: &Engine) -> Result<Box<dyn Store>, Error> {
        match &self.recorded {
            Some(recorded) => recorded.taken(),
            None => self.open(engine),
        }
    }
}

/// Whether two paths name one file.
fn is_same_file(one: &Path, other: &Path) -> bool {
    #[cfg(unix)]
    let id = |path: &Path| {
        use std::os::unix::fs::MetadataExt;
        let metadata = path.metadata().ok()?;
        Some((metadata.dev(), metadata.ino()))
    };
    #[cfg(not(unix))]
    let id = |path: &Path| path.canonicalize().ok();
    id(one).is_some_and(|one| id(other) == Some(one))
}

/// A store that was granted to read only. It notes who tries more: the program
/// is told that the store is read-only, but not which one.
struct ToRead {
    store: Box<dyn Store>,
    refused: Arc<AtomicBool>,
}

impl ToRead {
    fn noted<R>(&self, result: Result<R, StoreError>) -> Result<R, StoreError> {
        if matches!(result, Err(StoreError::ReadOnly)) {
            self.refused.store(true, Ordering::Relaxed);
        }
        result
    }
}

impl PageStore for ToRead {
    type Buffer = PageBuffer;

    fn geometry(&self) -> Geometry {
        self.store.geometry()
    }

    fn read(&self, page: u64, offset: u32, bytes: &mut [u8]) -> Result<(), StoreError> {
        self.store.read(page, offset, bytes)
    }

    fn checksum(&self, page: u64, algorithm: Algorithm) -> Result<Checksum, StoreError> {
        self.store.checksum(page, algorithm)
    }

    fn stage(&self, source: Option<u64>) -> Result<PageBuffer, StoreError> {
        self.store.stage(source)
    }

    fn write(&mut self, changes: &[Change<'_, PageBuffer>]) -> Result<(), StoreError> {
        let result = self.store.write(changes);
        self.noted(result)
    }

    fn grow(&mut self, page_count: u64) -> Result<Geometry, StoreError> {
        let result = self.store.grow(page_count);
        self.noted(result)
    }
}

impl Store for ToRead {
    fn reader(&self) -> Option<Box<dyn Store>> {
        self.store.reader()
    }

    fn page(&self, page: u64) -> Option<&[u8]> {
        self.store.page(page)
    }

    fn page_mut(&mut self, page: u64) -> Result<Option<&mut [u8]>, StoreError> {
        let result = self.store.page_mut(page);
        if matches!(result, Err(StoreError::ReadOnly)) {
            self.refused.store(true, Ordering::Relaxed);
        }
        result
    }
}

/// Makes the traces of stores that are open.
fn record(grants: &mut [Grant], records: &[Named]) -> Result<Blank, Failure> {
    let mut traces = Blank::default();
    for Named { name, path } in records {
        let named = grants.iter_mut().find(|grant| grant.named.name == *name);
        let Some(grant) = named else { continue };
        let Some(store) = grant.ready.take() else {
            continue;
        };
        let (recorded, tape) = Recorded::start(path, store)?;
        grant.recorded = Some(recorded);
        traces.push(tape);
    }
    Ok(traces)
}

impl Grants {
    /// Opens all of the files, and makes those of the traces.
    pub(super) fn open(command: &Run, wait: Wait) -> Result<Self, Failure> {
        let Run {
            stores,
            read_only_stores,
            records,
            ..
        } = command;
        checked(records, stores, read_only_stores)?;
        let stores = stores.iter().map(|named| (named, false));
        let all = stores.chain(read_only_stores.iter().map(|named| (named, true)));
        let engine = Engine::new().map_err(|error| Failure::File {
            path: "pagebox".into(),
            error,
        })?;
        let mut grants: Vec<Grant> = Vec::new();
        for (named, read_only) in all {
            let name = &named.name;
            if grants.iter().any(|grant| grant.named.name == *name) {
                return Err(Failure::Request {
                    path: named.path.clone(),
                    text: format!("another file is granted as {name:?} already"),
                });
            }
            // Its lock would keep out this process itself.
            let first = grants
                .iter()
                .find(|grant| !grant.read_only && is_same_file(&grant.named.path, &named.path));
            if let Some(first) = first.filter(|_| !read_only) {
                let first = &first.named.name;
                return Err(Failure::Request {
                    path: named.path.clone(),
                    text: format!("granted to write as {first:?} and as {name:?}: once is enough"),
                });
            }
            let mut grant = Grant::new(named, read_only);
            let opened = wait.wait(|| grant.open(&engine));
            grant.ready = Some(opened.map_err(Failure::of(&named.path))?);
            grants.push(grant);
        }
        let traces = record(&mut grants, records)?;
        Ok(Self {
            engine,
            all: grants,
            traces,
        })
    }

    /// The program starts: what is recorded of its stores.
    pub(super) fn start(&mut self) -> Tapes {
        std::mem::take(&mut self.traces).start()
    }

    /// Which stores the program may only read and tried to write, to be added
    /// to what it came to.
    pub(super) fn refused(&self) -> String {
        let refused = |grant: &&Grant| grant.refused.load(Ordering::Relaxed);
        self.all
            .iter()
            .filter(refused)
            .map(|grant| format!(": {:?} was granted to read only", grant.named.name))
            .collect::<Vec<_>>()
            .concat()
    }

    pub(super) fn names(&self) -> Vec<String> {
        let names = self.all.iter().map(|grant| grant.named.name.clone());
        names.collect()
    }

    /// Hands a store out.
    pub(super) fn take(
        &mut self,
        name: &str,
        stores: &mut PageStores,
    ) -> wasmtime::Result<Result<Resource<StoreHandle>, GrantError>> {
        let granted = self.names();
        let Some(grant) = self.all.iter_mut().find(|grant| grant.named.name == name) else {
            let text = if granted.is_empty() {
                format!("no store was granted: {name:?} is missing")
            } else {
                let granted = granted.join(", ");
                format!("no store {name:?} was granted: there is {granted}")
            };
            return Ok(Err(GrantError::NotGranted(text)));
        };
        if grant.taken.is_some_and(|rep| stores.holds(rep)) {
            let text = format!("the store {name:?} is taken already: drop it first");
            return Ok(Err(GrantError::Taken(text)));
        }
        let store = match grant.ready.take() {
            Some(store) => store,
            None => match grant.open_again(&self.engine) {
                Ok(store) => store,
                Err(error) => {
                    // The program is not told where the file is.
                    complain(format_args!("{}: {error}", shown(&grant.named.path)));
                    let text = format!("the store {name:?} cannot be opened again");
                    return Ok(Err(GrantError::Unavailable(text)));
                }
            },
        };
        let handle = stores.insert(store)?;
        for grant in &mut self.all {
            // What stood for a store that is gone may stand for another now.
            grant.taken = grant.taken.filter(|rep| *rep != handle.rep());
        }
        if let Some(grant) = self.all.iter_mut().find(|grant| grant.named.name == name) {
            grant.taken = Some(handle.rep());
        }
        Ok(Ok(handle))
    }
}
