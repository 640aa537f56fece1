//! [`FailingStore`]: a store of which the nth call fails, once or from then on.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard};

use pagebox_store::{Algorithm, Change, Checksum, Geometry, PageStore, Staged, StoreError};

use crate::model::RegularPages;

/// What a pager can ask of its store that can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Reading bytes.
    Read,
    /// The checksum of a page.
    Checksum,
    /// Making a private buffer.
    Stage,
    /// The checksum of a private buffer.
    StagedChecksum,
    /// Writing pages, up to a barrier or a sync. A failed write makes the first
    /// half of its changes.
    Write,
    /// A sync or a barrier.
    Sync,
    /// A growth.
    Grow,
    /// A cut.
    Truncate,
}

impl Verb {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Read,
        Self::Checksum,
        Self::Stage,
        Self::StagedChecksum,
        Self::Write,
        Self::Sync,
        Self::Grow,
        Self::Truncate,
    ];
}

/// Which calls fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Of this verb.
    pub verb: Verb,
    /// How many calls of the verb pass before one fails.
    pub after: u64,
    /// Whether the calls that follow fail too.
    pub for_good: bool,
    /// Whether a growth fails for want of space rather than by an I/O error.
    pub no_space: bool,
}

/// A store that fails as it is told.
#[derive(Debug)]
pub struct FailingStore<S> {
    inner: S,
    switch: Switch,
}

/// Tells a [`FailingStore`] what to do. Clones are handles of one switch.
#[derive(Clone, Debug, Default)]
pub struct Switch(Arc<Mutex<Inner>>);

#[derive(Clone, Copy, Debug, Default)]
struct Inner {
    fault: Option<Fault>,
    calls: u64,
    failures: u64,
    refuses_cuts: bool,
}

impl Switch {
    /// Lets calls fail from now on; counts from here.
    pub fn set(&self, fault: Fault) {
        *self.inner() = Inner {
            fault: Some(fault),
            ..Inner::default()
        };
    }

    /// Lets the store be one that cannot be made shorter.
    pub fn refuse_cuts(&self) {
        self.inner().refuses_cuts = true;
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().expect("nobody panics with it")
    }

    /// Lets no call fail any more. Returns how many did.
    pub fn clear(&self) -> u64 {
        std::mem::take(&mut *self.inner()).failures
    }

    fn ask(&self, verb: Verb) -> Result<(), StoreError> {
        let mut inner = self.inner();
        let Some(fault) = inner.fault.filter(|fault| fault.verb == verb) else {
            return Ok(());
        };
        let fails = inner.calls == fault.after || (fault.for_good && inner.calls > fault.after);
        inner.calls += 1;
        inner.failures += u64::from(fails);
        match fails {
            true if verb == Verb::Grow && fault.no_space => Err(StoreError::InsufficientSpace),
            true => Err(StoreError::io(format!("{verb:?} was told to fail"))),
            false => Ok(()),
        }
    }
}

impl<S> FailingStore<S> {
    /// A store that fails where its switch says so.
    pub fn new(inner: S) -> (Self, Switch) {
        let switch = Switch::default();
        (
            Self {
                inner,
                switch: switch.clone(),
            },
            switch,
        )
    }

    /// The store behind it.
    pub fn inner(&self) -> &S {
        &self.inner
    }

    /// The store behind it.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S: PageStore> FailingStore<S> {
    /// A buffer of the store behind, or a failure.
    ///
    /// # Errors
    /// What it was told, and those of the store behind.
    pub fn stage_behind(&self, source: Option<u64>) -> Result<S::Buffer, StoreError> {
        self.switch.ask(Verb::Stage)?;
        self.inner.stage(source)
    }

    /// Writes buffers of the store behind, or fails.
    ///
    /// # Errors
    /// What it was told, and those of the store behind.
    pub fn write_behind(&mut self, changes: &[Change<'_, S::Buffer>]) -> Result<(), StoreError> {
        let is_barrier =
            |change: &Change<'_, S::Buffer>| matches!(change, Change::Order | Change::Sync);
        for part in changes.split_inclusive(is_barrier) {
            let (pages, barrier) = match part.split_last() {
                Some((last, pages)) if is_barrier(last) => (pages, &part[pages.len()..]),
                _ => (part, &[][..]),
            };
            if !pages.is_empty()
                && let Err(error) = self.switch.ask(Verb::Write)
            {
                self.inner.write(&pages[..pages.len() / 2])?;
                return Err(error);
            }
            self.inner.write(pages)?;
            if !barrier.is_empty() {
                self.switch.ask(Verb::Sync)?;
                self.inner.write(barrier)?;
            }
        }
        Ok(())
    }
}

/// A private buffer of a store that fails as it is told.
#[derive(Debug)]
pub struct FailingBuffer<B> {
    inner: B,
    switch: Switch,
}

impl<B: Deref> Deref for FailingBuffer<B> {
    type Target = B::Target;

    fn deref(&self) -> &B::Target {
        &self.inner
    }
}

impl<B: DerefMut> DerefMut for FailingBuffer<B> {
    fn deref_mut(&mut self) -> &mut B::Target {
        &mut self.inner
    }
}

impl<B: Staged> Staged for FailingBuffer<B> {
    fn staged_checksum(&self, algorithm: Algorithm) -> Result<Checksum, StoreError> {
        self.switch.ask(Verb::StagedChecksum)?;
        self.inner.staged_checksum(algorithm)
    }
}

/// The change for the store behind.
fn behind<'a, B>(change: &Change<'a, FailingBuffer<B>>) -> Change<'a, B> {
    match *change {
        Change::Sealed { page, bytes, start } => Change::Sealed { page, bytes, start },
        Change::Staged { page, buffer } => Change::Staged {
            page,
            buffer: &buffer.inner,
        },
        Change::Bytes { page, bytes } => Change::Bytes { page, bytes },
        Change::Zero { first, count } => Change::Zero { first, count },
        Change::Order => Change::Order,
        Change::Sync => Change::Sync,
    }
}

impl<S: RegularPages> RegularPages for FailingStore<S> {
    fn put(&mut self, page: u64, offset: usize, bytes: &[u8]) {
        self.inner.put(page, offset, bytes);
    }
}

impl<S: PageStore> PageStore for FailingStore<S> {
    type Buffer = FailingBuffer<S::Buffer>;

    fn geometry(&self) -> Geometry {
        self.inner.geometry()
    }

    fn read(&self, page: u64, offset: u32, bytes: &mut [u8]) -> Result<(), StoreError> {
        self.switch.ask(Verb::Read)?;
        self.inner.read(page, offset, bytes)
    }

    fn checksum(&self, page: u64, algorithm: Algorithm) -> Result<Checksum, StoreError> {
        self.switch.ask(Verb::Checksum)?;
        self.inner.checksum(page, algorithm)
    }

    fn stage(&self, source: Option<u64>) -> Result<Self::Buffer, StoreError> {
        Ok(FailingBuffer {
            inner: self.stage_behind(source)?,
            switch: self.switch.clone(),
        })
    }

    fn write(&mut self, changes: &[Change<'_, Self::Buffer>]) -> Result<(), StoreError> {
        let changes: Vec<_> = changes.iter().map(behind).collect();
        self.write_behind(&changes)
    }

    fn grow(&mut self, page_count: u64) -> Result<Geometry, StoreError> {
        self.switch.ask(Verb::Grow)?;
        self.inner.grow(page_count)
    }

    fn truncate(&mut self, page_count: u64) -> Result<Geometry, StoreError> {
        self.switch.ask(Verb::Truncate)?;
        if self.switch.inner().refuses_cuts {
            return Err(StoreError::Other(None));
        }
        self.inner.truncate(page_count)
    }
}
