//! `--record`: what a program writes to its stores, kept as traces.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pagebox::{
    Algorithm, Change, Checksum, Error, Geometry, PageBuffer, PageStore, RecordingStore, Store,
    StoreError,
};

use super::super::Failure;
use super::super::output::shown;
use super::super::record::Tape;
use super::Named;

/// That each of `records` names a store that is granted to write, and no other
/// one names it.
pub(super) fn checked(
    records: &[Named],
    stores: &[Named],
    read_only_stores: &[Named],
) -> Result<(), Failure> {
    for (place, record) in records.iter().enumerate() {
        let name = &record.name;
        let is_it = |named: &&Named| named.name == *name;
        let text = if let Some(first) = records[..place].iter().find(is_it) {
            let first = shown(&first.path);
            format!("the store {name:?} is recorded to {first} already: once is enough")
        } else if stores.iter().any(|named| is_it(&named)) {
            continue;
        } else if read_only_stores.iter().any(|named| is_it(&named)) {
            format!("the store {name:?} is granted to read only: there is nothing to record")
        } else {
            format!("no store {name:?} is granted: --store {name}=FILE grants one")
        };
        return Err(Failure::Request {
            path: record.path.clone(),
            text,
        });
    }
    Ok(())
}

/// A store that is recorded. It stays open when the program drops it: what is
/// written between two times that it is taken would be missing in the trace.
#[derive(Clone)]
pub(super) struct Recorded(Arc<Mutex<RecordingStore>>);

impl Recorded {
    /// Makes the file of the trace, in which all that is written from now on is.
    pub(super) fn start(trace: &Path, store: Box<dyn Store>) -> Result<(Self, Tape), Failure> {
        let (store, tape) = Tape::start(trace, store)?;
        Ok((Self(Arc::new(Mutex::new(store))), tape))
    }

    /// The store, for a program that does not have it.
    pub(super) fn taken(&self) -> Result<Box<dyn Store>, Error> {
        self.store().reopen().map_err(|cause| Error::Store {
            operation: "opening it again".into(),
            cause,
        })?;
        Ok(Box::new(self.clone()))
    }

    fn store(&self) -> MutexGuard<'_, RecordingStore> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PageStore for Recorded {
    type Buffer = PageBuffer;

    fn geometry(&self) -> Geometry {
        self.store().geometry()
    }

    fn read(&self, page: u64, offset: u32, bytes: &mut [u8]) -> Result<(), StoreError> {
        self.store().read(page, offset, bytes)
    }

    fn checksum(&self, page: u64, algorithm: Algorithm) -> Result<Checksum, StoreError> {
        self.store().checksum(page, algorithm)
    }

    fn stage(&self, source: Option<u64>) -> Result<PageBuffer, StoreError> {
        self.store().stage(source)
    }

    fn write(&mut self, changes: &[Change<'_, PageBuffer>]) -> Result<(), StoreError> {
        self.store().write(changes)
    }

    fn grow(&mut self, page_count: u64) -> Result<Geometry, StoreError> {
        self.store().grow(page_count)
    }

    fn truncate(&mut self, page_count: u64) -> Result<Geometry, StoreError> {
        self.store().truncate(page_count)
    }
}

impl Store for Recorded {
    fn reader(&self) -> Option<Box<dyn Store>> {
        self.store().reader()
    }

    fn viewer(&self) -> Option<Box<dyn Store>> {
        self.store().viewer()
    }

    fn viewers(&self) -> usize {
        self.store().viewers()
    }

    fn reopen(&mut self) -> Result<(), StoreError> {
        self.store().reopen()
    }
}

/// Traces of a program that does not run yet. If it comes to nothing, they are
/// removed: there is nothing in them.
#[derive(Default)]
pub(super) struct Blank(Vec<Tape>);

impl Blank {
    pub(super) fn push(&mut self, tape: Tape) {
        self.0.push(tape);
    }

    /// The program starts.
    pub(super) fn start(mut self) -> Tapes {
        Tapes(Arc::new(Mutex::new(std::mem::take(&mut self.0))))
    }
}

impl Drop for Blank {
    fn drop(&mut self) {
        self.0.drain(..).for_each(Tape::discard);
    }
}

/// The traces of a program that runs.
#[derive(Clone)]
pub(super) struct Tapes(Arc<Mutex<Vec<Tape>>>);

impl Tapes {
    /// The program ended, however it did. Says which traces are not whole.
    pub(super) fn end(&self) {
        let mut tapes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tapes.drain(..).for_each(Tape::end);
    }
}
