//! [`CrashStore`]: a medium that can lose power at any moment, by the fault model
//! of [`pagebox_store::crash`].
//!
//! On each write it checks that the durable state does not reach the page:
//! page 0 apart, everything that the state needs stays as it is. While page 0
//! itself is torn or in doubt, no other page may be written.

mod moment;

use std::cell::{Ref, RefCell, RefMut};
use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
use std::rc::Rc;

use pagebox_store::check_changes;
use pagebox_store::crash::Disk;
pub use pagebox_store::crash::{FailedSync, Survivors};
use pagebox_store::trace;
use pagebox_store::{
    Algorithm, Change, Checksum, Geometry, PageBuffer, PageSize, PageStore, StoreError,
};

pub use self::moment::Moment;
use crate::decode::{Pages, State, decode};
use crate::rng::Rng;

/// A medium that can lose power. Clones are handles of one medium.
#[derive(Clone, Debug)]
pub struct CrashStore(Rc<RefCell<Inner>>);

/// What a store notes while it is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Record {
    /// Nothing.
    Nothing,
    /// The medium at each sync and growth, before it takes effect. All that a
    /// power loss between two syncs can leave is among its images.
    Syncs,
    /// Also the medium after each write, and in the middle of each.
    Writes,
}

#[derive(Debug)]
struct Inner {
    disk: Disk,
    record: Record,
    moments: Vec<Moment>,
    /// What was done since the moments are noted.
    steps: Vec<trace::Step>,
    syncs: u64,
    /// The sync that is to fail, by its number.
    failing: Option<(u64, FailedSync)>,
    guard: Guard,
    /// Of another format than 0.
    reach: Option<Reached>,
}

/// Which pages may be written.
#[derive(Debug)]
enum Guard {
    /// The durable bytes changed since they were last looked at.
    Unknown,
    /// Those that this state does not reach.
    Unreached(Rc<State>),
    /// Page 0 is torn or in doubt: only it.
    OnlyPage0,
    /// Any: there is no page file yet.
    Any,
    /// Those that a file of another format does not reach.
    Not(BTreeSet<u64>),
}

/// Which pages the durable state reaches, by its bytes.
pub type Reach = Rc<dyn Fn(&dyn Pages) -> BTreeSet<u64>>;

#[derive(Clone)]
struct Reached(Reach);

impl fmt::Debug for Reached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reached")
    }
}

impl CrashStore {
    /// An empty medium.
    pub fn new(page_size: PageSize) -> Self {
        Self::from_bytes(page_size, &[])
    }

    /// A medium with these whole pages, all of them durable.
    pub fn from_bytes(page_size: PageSize, bytes: &[u8]) -> Self {
        let pages = bytes
            .chunks_exact(page_size.bytes())
            .map(Into::into)
            .collect();
        Self::from_disk(Disk::new(page_size, pages))
    }

    fn from_disk(disk: Disk) -> Self {
        let is_empty = disk.pages().is_empty();
        Self(Rc::new(RefCell::new(Inner {
            disk,
            record: Record::Nothing,
            moments: Vec::new(),
            steps: Vec::new(),
            syncs: 0,
            failing: None,
            guard: if is_empty { Guard::Any } else { Guard::Unknown },
            reach: None,
        })))
    }

    /// Makes it a medium that keeps order without a sync.
    pub fn keep_order(&self) {
        self.inner().disk.keep_order();
    }

    /// What to note from now on.
    pub fn record(&self, record: Record) {
        self.inner().record = record;
    }

    /// What was noted since the last call.
    pub fn take_moments(&self) -> Vec<Moment> {
        std::mem::take(&mut self.inner().moments)
    }

    /// The steps of a trace that were done since the last call, while moments were
    /// noted.
    pub fn take_steps(&self) -> Vec<trace::Step> {
        std::mem::take(&mut self.inner().steps)
    }

    /// This moment.
    pub fn now(&self) -> Moment {
        self.inner().moment("nothing")
    }

    /// Lets a sync fail, once: the next one, or one after `after` others.
    pub fn fail_sync(&self, after: u64, how: FailedSync) {
        let mut inner = self.inner();
        inner.failing = Some((inner.syncs + after, how));
    }

    /// Lets the system forget cached pages that it believes are on the medium:
    /// what a failed sync gave up is read from there again.
    pub fn evict(&self, rng: &mut Rng) {
        let mut inner = self.inner();
        inner.disk.evict(&mut |end| rng.below(end));
        inner.guard = Guard::Unknown;
    }

    /// A write to a regular page by its owner, not by the pager.
    pub fn write_bytes(&self, page: u64, offset: usize, bytes: &[u8]) {
        self.inner().disk.write(page, offset, bytes);
    }

    /// Makes what was written to one page durable, and the length: what a sync
    /// of a part of a map does.
    pub fn sync_page(&self, page: u64) -> Result<(), StoreError> {
        self.inner().sync(page..page + 1)
    }

    /// Lengthens the medium with zeros, as a file can be: durable after a sync.
    pub fn set_len(&self, page_count: u64) {
        self.inner().disk.set_len(page_count);
    }

    /// The CRC-32 of a page of which nothing is in doubt.
    pub fn settled_crc32(&self, page: u64) -> Option<u32> {
        let disk = &self.0.borrow().disk;
        disk.is_settled(page)
            .then(|| crc32fast::hash(disk.page(page)))
    }

    /// Guards the pages that the durable state of a file of another format
    /// reaches.
    pub fn guard(&self, reach: &Reach) {
        let mut inner = self.inner();
        inner.reach = Some(Reached(reach.clone()));
        inner.guard = Guard::Unknown;
    }

    /// What reads show.
    pub fn pages(&self) -> Ref<'_, impl Pages + use<>> {
        Ref::map(self.0.borrow(), |inner| &inner.disk)
    }

    /// All bytes, as reads show them.
    pub fn bytes(&self) -> Vec<u8> {
        self.0.borrow().disk.pages().concat()
    }

    fn inner(&self) -> RefMut<'_, Inner> {
        self.0.borrow_mut()
    }
}

impl Inner {
    fn moment(&self, during: &'static str) -> Moment {
        Moment {
            syncs: self.syncs,
            during,
            disk: self.disk.clone(),
        }
    }

    fn note(&mut self, from: Record, during: &'static str) {
        if self.record >= from {
            let moment = self.moment(during);
            self.moments.push(moment);
        }
    }

    fn step(&mut self, step: trace::Step) {
        if self.record > Record::Nothing {
            self.steps.push(step);
        }
    }

    fn apply(&mut self, change: &Change<'_, PageBuffer>) {
        self.check_unreached(change);
        let (record, syncs) = (self.record, self.syncs);
        let moments = &mut self.moments;
        self.disk.apply(change, |disk| {
            if record >= Record::Writes {
                moments.push(Moment {
                    syncs,
                    during: "half a write",
                    disk: disk.clone(),
                });
            }
        });
        self.note(Record::Writes, "a write");
    }

    fn order(&mut self) -> Result<(), StoreError> {
        if !self.disk.keeps_order() {
            return self.sync(0..u64::MAX);
        }
        self.note(Record::Syncs, "a barrier");
        self.disk.order();
        self.guard = Guard::Unknown;
        Ok(())
    }

    fn sync(&mut self, pages: Range<u64>) -> Result<(), StoreError> {
        self.note(Record::Syncs, "a sync");
        let number = self.syncs;
        self.syncs += 1;
        if let Some((failing, how)) = self.failing
            && failing == number
        {
            self.disk.sync_fails(how);
            self.guard = Guard::Unknown;
            return Err(StoreError::io("this sync was told to fail"));
        }
        if self.disk.sync(pages) && !matches!(self.guard, Guard::Any) {
            self.guard = Guard::Unknown;
        }
        Ok(())
    }

    fn check_unreached(&mut self, change: &Change<'_, PageBuffer>) {
        self.know_guard();
        match &self.guard {
            // The same bytes again change nothing.
            Guard::Not(_) if self.disk.has_durable(change) => (),
            _ => {
                let (first, count) = change.pages();
                self.check_range(first, count, "written");
            }
        }
    }

    fn know_guard(&mut self) {
        if matches!(self.guard, Guard::Unknown) {
            self.guard = match (&self.reach, decode(&Durable(&self.disk))) {
                (Some(reach), _) => Guard::Not(reach.0(&Durable(&self.disk))),
                (None, Ok(state)) if !self.disk.has_given_up(0) => Guard::Unreached(Rc::new(state)),
                _ => Guard::OnlyPage0,
            };
        }
    }

    /// That nothing that the durable state needs is among pages that are changed.
    fn check_range(&mut self, first: u64, count: u64, how: &str) {
        self.know_guard();
        match &self.guard {
            Guard::Unknown | Guard::Any => (),
            Guard::Not(reached) => {
                for page in first..first + count {
                    assert!(
                        !reached.contains(&page),
                        "page {page} is {how} while the durable state reaches it"
                    );
                }
            }
            Guard::OnlyPage0 => assert!(
                (first, count) == (0, 1),
                "page {first} is {how} while page 0 is torn or in doubt"
            ),
            Guard::Unreached(state) => {
                for page in (first..first + count).filter(|&page| page != 0) {
                    assert!(
                        !state.reaches(page),
                        "page {page}, {:?}, is {how} while the durable state reaches it",
                        state.kind(page)
                    );
                }
            }
        }
    }
}

impl PageStore for CrashStore {
    type Buffer = PageBuffer;

    fn geometry(&self) -> Geometry {
        self.0.borrow().disk.geometry()
    }

    fn read(&self, page: u64, offset: u32, bytes: &mut [u8]) -> Result<(), StoreError> {
        bytes.copy_from_slice(self.0.borrow().disk.bytes(page, offset, bytes.len())?);
        Ok(())
    }

    fn checksum(&self, page: u64, algorithm: Algorithm) -> Result<Checksum, StoreError> {
        let disk = &self.0.borrow().disk;
        let len = disk.geometry().page_size.bytes();
        Ok(Checksum::of(algorithm, disk.bytes(page, 0, len)?))
    }

    fn stage(&self, source: Option<u64>) -> Result<PageBuffer, StoreError> {
        let page_size = self.geometry().page_size;
        match source {
            Some(page) => Ok(self
                .0
                .borrow()
                .disk
                .bytes(page, 0, page_size.bytes())?
                .into()),
            None => Ok(PageBuffer::zeroed(page_size)),
        }
    }

    fn write(&mut self, changes: &[Change<'_, PageBuffer>]) -> Result<(), StoreError> {
        let mut inner = self.inner();
        check_changes(inner.disk.geometry(), changes)?;
        for change in changes {
            inner.step(trace::Step::of(change));
            match change {
                Change::Order => inner.order()?,
                Change::Sync => inner.sync(0..u64::MAX)?,
                change => inner.apply(change),
            }
        }
        Ok(())
    }

    fn truncate(&mut self, page_count: u64) -> Result<Geometry, StoreError> {
        let mut inner = self.inner();
        let old = inner.disk.geometry().page_count;
        if page_count < old {
            inner.check_range(page_count, old - page_count, "cut off");
            inner.step(trace::Step::Truncate { page_count });
            inner.disk.truncate(page_count);
            inner.note(Record::Writes, "a cut");
        }
        Ok(inner.disk.geometry())
    }

    fn grow(&mut self, page_count: u64) -> Result<Geometry, StoreError> {
        let mut inner = self.inner();
        if page_count > inner.disk.geometry().page_count {
            inner.step(trace::Step::Grow { page_count });
            inner.disk.begin_growth(page_count);
            inner.note(Record::Syncs, "a growth");
            inner.disk.finish_growth();
        }
        Ok(inner.disk.geometry())
    }
}

/// What reads show.
impl Pages for Disk {
    fn page_size(&self) -> usize {
        self.geometry().page_size.bytes()
    }

    fn page_count(&self) -> u64 {
        self.geometry().page_count
    }

    fn page(&self, number: u64) -> &[u8] {
        &self.pages()[number as usize]
    }
}

/// What is there after a power loss, if nothing that is in doubt arrived.
struct Durable<'a>(&'a Disk);

impl Pages for Durable<'_> {
    fn page_size(&self) -> usize {
        self.0.geometry().page_size.bytes()
    }

    fn page_count(&self) -> u64 {
        self.0.durable_pages().len() as u64
    }

    fn page(&self, number: u64) -> &[u8] {
        &self.0.durable_pages()[number as usize]
    }
}
