//! [`CountingStore`]: counts what a pager asks of its store, so that tests can
//! hold operations to an exact budget.

use std::cell::Cell;
use std::rc::Rc;

use pagebox_store::{Algorithm, Change, Checksum, Geometry, PageStore, StoreError};

use crate::model::RegularPages;

/// How often each thing was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Reads of bytes.
    pub reads: u64,
    /// Checksums of pages.
    pub checksums: u64,
    /// Private buffers made.
    pub stages: u64,
    /// Calls of `write`, syncs alone included.
    pub writes: u64,
    /// Pages written, the zeroed ones apart.
    pub pages: u64,
    /// Pages zeroed.
    pub zeroed: u64,
    /// Syncs, and barriers, for which a file syncs too.
    pub syncs: u64,
    /// Growths.
    pub grows: u64,
}

/// A store that counts. Clones of the counter are handles of one counter.
#[derive(Debug)]
pub struct CountingStore<S> {
    inner: S,
    counter: Counter,
}

/// What a [`CountingStore`] counted.
#[derive(Clone, Debug, Default)]
pub struct Counter(Rc<Cell<Counts>>);

impl Counter {
    /// What was counted since the last call.
    pub fn take(&self) -> Counts {
        self.0.take()
    }

    fn add(&self, what: impl FnOnce(&mut Counts)) {
        let mut counts = self.0.get();
        what(&mut counts);
        self.0.set(counts);
    }
}

impl<S> CountingStore<S> {
    /// Counts what `inner` is asked for.
    pub fn new(inner: S) -> (Self, Counter) {
        let counter = Counter::default();
        (
            Self {
                inner,
                counter: counter.clone(),
            },
            counter,
        )
    }

    /// The store behind it.
    pub fn inner(&self) -> &S {
        &self.inner
    }

    /// The store that is asked.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S: RegularPages> RegularPages for CountingStore<S> {
    fn put(&mut self, page: u64, offset: usize, bytes: &[u8]) {
        self.inner.put(page, offset, bytes);
    }
}

impl<S: PageStore> PageStore for CountingStore<S> {
    type Buffer = S::Buffer;

    fn geometry(&self) -> Geometry {
        self.inner.geometry()
    }

    fn read(&self, page: u64, offset: u32, bytes: &mut [u8]) -> Result<(), StoreError> {
        self.counter.add(|counts| counts.reads += 1);
        self.inner.read(page, offset, bytes)
    }

    fn checksum(&self, page: u64, algorithm: Algorithm) -> Result<Checksum, StoreError> {
        self.counter.add(|counts| counts.checksums += 1);
        self.inner.checksum(page, algorithm)
    }

    fn stage(&self, source: Option<u64>) -> Result<S::Buffer, StoreError> {
        self.counter.add(|counts| counts.stages += 1);
        self.inner.stage(source)
    }

    fn write(&mut self, changes: &[Change<'_, S::Buffer>]) -> Result<(), StoreError> {
        self.counter.add(|counts| {
            counts.writes += 1;
            for change in changes {
                match change {
                    Change::Order | Change::Sync => counts.syncs += 1,
                    Change::Zero { count, .. } => counts.zeroed += count,
                    change => counts.pages += change.pages().1,
                }
            }
        });
        self.inner.write(changes)
    }

    fn grow(&mut self, page_count: u64) -> Result<Geometry, StoreError> {
        self.counter.add(|counts| counts.grows += 1);
        self.inner.grow(page_count)
    }

    fn truncate(&mut self, page_count: u64) -> Result<Geometry, StoreError> {
        self.inner.truncate(page_count)
    }
}
