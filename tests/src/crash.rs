//! [`CrashStore`]: a medium that can lose power at any moment. This is the
//! fault model that the crash tests run under:
//!
//! 1. Between two syncs, any subset of the writes reaches the medium, in any
//!    order. The unit is a sector of 512 bytes: a torn write is a write
//!    of which any subset of the sectors arrived. A sector that was written
//!    several times may hold any of the versions. A system that writes pages
//!    back early does nothing that is not among these.
//! 2. After a sync that returned ok, exactly what was written is there.
//! 3. Power lost during a growth finds the old length or the new one; after it
//!    returned, the new one. Power lost between a cut and the next sync or growth
//!    finds the new length, or the old one with what was durable there.
//! 4. *Order* is a barrier: a write after it is on the medium only if all before
//!    it are. A file syncs for it. A medium that keeps order of its own may lose
//!    all since the last sync still: what is there then is all up to some
//!    barrier, any subset of what lies between that one and the next, and
//!    nothing behind.
//! 5. A process that is killed leaves all that it wrote, and at most one write
//!    in part, where the next process reads it; none of it is durable yet.
//! 6. After a sync that failed, reads still show what was written, and the
//!    medium may have any of it. Either nothing is lost, and the next sync
//!    tries again; or the system gave the writes up, so that later syncs
//!    return ok without them; and what it gave up may be read again from the
//!    medium at any time. A medium that keeps order gives up nothing from before
//!    a barrier, or what is written later could be durable before it.
//! 7. Bytes that nobody wrote do not change.
//!
//! On each write it checks that the durable state does not reach the page:
//! page 0 apart, everything that the state needs stays as it is. While page 0
//! itself is torn or in doubt, no other page may be written.

mod medium;
mod moment;

use std::cell::{Ref, RefCell, RefMut};
use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
use std::rc::Rc;

use pagebox_store::check_changes;
use pagebox_store::{
    Algorithm, Change, Checksum, Geometry, PageBuffer, PageSize, PageStore, StoreError,
};

use self::medium::{Durable, Medium, Page};
pub use self::moment::{Moment, Survivors};
use crate::decode::{Pages, State, decode};
use crate::rng::Rng;

/// A medium that can lose power. Clones are handles of one medium.
#[derive(Clone, Debug)]
pub struct CrashStore(Rc<RefCell<Inner>>);

/// What happens to the writes that a failed sync should have made durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailedSync {
    /// The next sync tries them again.
    KeepsThem,
    /// No sync tries them again: reads show them, the medium may lack them.
    GivesThemUp,
}

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
    medium: Medium,
    /// The medium at each barrier since the last sync: what may still be all
    /// that is there.
    earlier: Vec<Medium>,
    /// Whether a barrier is less than a sync.
    keeps_order: bool,
    record: Record,
    moments: Vec<Moment>,
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
            .map(Page::from)
            .collect();
        Self::from_medium(Medium::new(page_size, pages), Vec::new(), false)
    }

    fn from_medium(medium: Medium, earlier: Vec<Medium>, keeps_order: bool) -> Self {
        let is_empty = medium.page_count() == 0;
        Self(Rc::new(RefCell::new(Inner {
            medium,
            earlier,
            keeps_order,
            record: Record::Nothing,
            moments: Vec::new(),
            syncs: 0,
            failing: None,
            guard: if is_empty { Guard::Any } else { Guard::Unknown },
            reach: None,
        })))
    }

    /// Makes it a medium that keeps order without a sync.
    pub fn keep_order(&self) {
        self.inner().keeps_order = true;
    }

    /// What to note from now on.
    pub fn record(&self, record: Record) {
        self.inner().record = record;
    }

    /// What was noted since the last call.
    pub fn take_moments(&self) -> Vec<Moment> {
        std::mem::take(&mut self.inner().moments)
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
        inner.medium.evict(rng);
        inner.guard = Guard::Unknown;
    }

    /// A write to a regular page by its owner, not by the pager.
    pub fn write_bytes(&self, page: u64, offset: usize, bytes: &[u8]) {
        self.inner().medium.write(page, offset, bytes);
    }

    /// Makes what was written to one page durable, and the length: what a sync
    /// of a part of a map does.
    pub fn sync_page(&self, page: u64) -> Result<(), StoreError> {
        self.inner().sync(page..page + 1)
    }

    /// Lengthens the medium with zeros, as a file can be: durable after a sync.
    pub fn set_len(&self, page_count: u64) {
        self.inner().medium.grow(page_count);
    }

    /// The CRC-32 of a page of which nothing is in doubt.
    pub fn settled_crc32(&self, page: u64) -> Option<u32> {
        let medium = &self.0.borrow().medium;
        medium
            .is_settled(page)
            .then(|| crc32fast::hash(medium.page(page)))
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
        Ref::map(self.0.borrow(), |inner| &inner.medium)
    }

    /// All bytes, as reads show them.
    pub fn bytes(&self) -> Vec<u8> {
        self.0.borrow().medium.all_bytes()
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
            medium: self.medium.clone(),
            earlier: self.earlier.clone(),
            keeps_order: self.keeps_order,
        }
    }

    /// What may be all that the barriers have let through.
    fn media(&mut self) -> impl Iterator<Item = &mut Medium> {
        self.earlier.iter_mut().chain([&mut self.medium])
    }

    fn note(&mut self, from: Record, during: &'static str) {
        if self.record >= from {
            let moment = self.moment(during);
            self.moments.push(moment);
        }
    }

    fn apply(&mut self, change: &Change<'_, PageBuffer>) {
        self.check_unreached(change);
        let Self {
            medium,
            earlier,
            moments,
            record,
            syncs,
            keeps_order,
            ..
        } = self;
        medium.apply(change, |medium| {
            if *record >= Record::Writes {
                moments.push(Moment {
                    syncs: *syncs,
                    during: "half a write",
                    medium: medium.clone(),
                    earlier: earlier.clone(),
                    keeps_order: *keeps_order,
                });
            }
        });
        self.note(Record::Writes, "a write");
    }

    fn order(&mut self) -> Result<(), StoreError> {
        if !self.keeps_order {
            return self.sync(0..u64::MAX);
        }
        self.note(Record::Syncs, "a barrier");
        self.earlier.push(self.medium.clone());
        self.medium.sync(0..u64::MAX);
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
            self.medium.sync_fails(how);
            self.guard = Guard::Unknown;
            return Err(StoreError::io("this sync was told to fail"));
        }
        self.earlier.clear();
        if self.medium.sync(pages) && !matches!(self.guard, Guard::Any) {
            self.guard = Guard::Unknown;
        }
        Ok(())
    }

    fn check_unreached(&mut self, change: &Change<'_, PageBuffer>) {
        self.know_guard();
        match &self.guard {
            // The same bytes again change nothing.
            Guard::Not(_) if self.medium.has_durable(change) => (),
            _ => {
                let (first, count) = change.pages();
                self.check_range(first, count, "written");
            }
        }
    }

    fn know_guard(&mut self) {
        if matches!(self.guard, Guard::Unknown) {
            self.guard = match (&self.reach, decode(&Durable(&self.medium))) {
                (Some(reach), _) => Guard::Not(reach.0(&Durable(&self.medium))),
                (None, Ok(state)) if !self.medium.has_given_up_page_0() => {
                    Guard::Unreached(Rc::new(state))
                }
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
        self.0.borrow().medium.geometry()
    }

    fn read(&self, page: u64, offset: u32, bytes: &mut [u8]) -> Result<(), StoreError> {
        bytes.copy_from_slice(self.0.borrow().medium.bytes(page, offset, bytes.len())?);
        Ok(())
    }

    fn checksum(&self, page: u64, algorithm: Algorithm) -> Result<Checksum, StoreError> {
        let medium = &self.0.borrow().medium;
        let len = medium.geometry().page_size.bytes();
        Ok(Checksum::of(algorithm, medium.bytes(page, 0, len)?))
    }

    fn stage(&self, source: Option<u64>) -> Result<PageBuffer, StoreError> {
        let page_size = self.geometry().page_size;
        match source {
            Some(page) => Ok(self
                .0
                .borrow()
                .medium
                .bytes(page, 0, page_size.bytes())?
                .into()),
            None => Ok(PageBuffer::zeroed(page_size)),
        }
    }

    fn write(&mut self, changes: &[Change<'_, PageBuffer>]) -> Result<(), StoreError> {
        let mut inner = self.inner();
        check_changes(inner.medium.geometry(), changes)?;
        for change in changes {
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
        let old = inner.medium.page_count();
        if page_count < old {
            inner.check_range(page_count, old - page_count, "cut off");
            let media = inner.media();
            media.for_each(|medium| medium.truncate(page_count));
            inner.note(Record::Writes, "a cut");
        }
        Ok(inner.medium.geometry())
    }

    fn grow(&mut self, page_count: u64) -> Result<Geometry, StoreError> {
        let mut inner = self.inner();
        if page_count > inner.medium.page_count() {
            // A growth is durable whatever is not before it.
            inner.media().for_each(|medium| medium.grow(page_count));
            inner.note(Record::Syncs, "a growth");
            inner.media().for_each(|medium| {
                medium.sync(0..0);
            });
        }
        Ok(inner.medium.geometry())
    }
}
