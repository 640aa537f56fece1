//! What a power loss can leave on a medium. [`Disk`] is a medium in memory that
//! keeps beside what reads show what is not durable yet, and gives every image
//! of it that may be found afterwards. The fault model:
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
//! It knows sectors, pages and barriers. It knows nothing of what is in the
//! pages, of who writes them, or of whether an image is a good one.

mod images;
mod medium;

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Range;

pub use self::images::{Choices, Length, Sector, Survivor, Survivors};
use self::medium::Medium;
use crate::{Change, Geometry, PageBuffer, PageSize, SECTOR, StoreError};

/// The bytes of a page; shared by all disks and images that hold the same.
pub type Page = Arc<[u8]>;

/// The bytes of a sector.
pub type SectorBytes = [u8; SECTOR];

/// What happens to the writes that a failed sync should have made durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailedSync {
    /// The next sync tries them again.
    KeepsThem,
    /// No sync tries them again: reads show them, the medium may lack them.
    GivesThemUp,
}

/// A medium of pages that can lose power. Clones are disks of their own, and
/// cheap: they share the pages.
///
/// Pages and places that a method is told have to be on the disk: it panics
/// where they are not.
///
/// ```
/// use pagebox_store::PageSize;
/// use pagebox_store::crash::Disk;
///
/// let mut disk = Disk::new(PageSize::KIB_1, vec![vec![0; 1024].into()]);
/// disk.write(0, 0, &[7; 1024]);
/// // Each of the two sectors is new or old.
/// assert_eq!(disk.image_count(), 4);
/// disk.sync(0..u64::MAX);
/// assert_eq!(disk.image_count(), 1);
/// assert_eq!(disk.durable()[0][..], [7; 1024]);
/// ```
#[derive(Clone, Debug)]
pub struct Disk {
    medium: Medium,
    /// The medium at each barrier since the last sync: what may still be all
    /// that is there.
    earlier: Vec<Medium>,
    /// Whether a barrier is less than a sync.
    keeps_order: bool,
}

impl Disk {
    /// A disk with these pages, all of them durable. For it an order is a sync.
    pub fn new(page_size: PageSize, pages: Vec<Page>) -> Self {
        Self {
            medium: Medium::new(page_size, pages),
            earlier: Vec::new(),
            keeps_order: false,
        }
    }

    /// Makes it a medium that keeps order without a sync.
    pub fn keep_order(&mut self) {
        self.keeps_order = true;
    }

    /// Whether it is one.
    pub fn keeps_order(&self) -> bool {
        self.keeps_order
    }

    /// Its shape, as reads show it.
    pub fn geometry(&self) -> Geometry {
        self.medium.geometry()
    }

    /// A page, as reads show it.
    pub fn page(&self, page: u64) -> &Page {
        self.medium.page(page)
    }

    /// All pages, as reads show them.
    pub fn pages(&self) -> &[Page] {
        self.medium.pages()
    }

    /// All pages as a power loss leaves them that nothing in doubt survives but
    /// the length.
    pub fn durable_pages(&self) -> &[Page] {
        self.medium.durable_pages()
    }

    /// Bytes of a page, as reads show them.
    ///
    /// # Errors
    /// [`StoreError::OutOfBounds`].
    pub fn bytes(&self, page: u64, offset: u32, len: usize) -> Result<&[u8], StoreError> {
        self.medium.bytes(page, offset, len)
    }

    /// Whether every power loss leaves the page as reads show it.
    pub fn is_settled(&self, page: u64) -> bool {
        self.medium.is_settled(page)
    }

    /// Whether a page may differ from its durable bytes for good, because a
    /// failed sync gave it up.
    pub fn has_given_up(&self, page: u64) -> bool {
        self.medium.has_given_up(page)
    }

    /// Whether a change writes what is durable there.
    pub fn has_durable(&self, change: &Change<'_, PageBuffer>) -> bool {
        self.medium.has_durable(change)
    }

    /// Makes a change that writes, and calls `halfway` in the middle of each
    /// page. An order or a sync does nothing here.
    pub fn apply(&mut self, change: &Change<'_, PageBuffer>, mut halfway: impl FnMut(&Self)) {
        let (page, bytes) = match *change {
            Change::Sealed { page, bytes, start } => {
                let seal = crate::seal(bytes, start);
                (page, [bytes, &seal].concat().into())
            }
            Change::Staged { page, buffer } => (page, Page::from(&**buffer)),
            Change::Bytes { page, bytes } => (page, Page::from(bytes)),
            Change::Zero { first, count } => {
                let zero = self.medium.zero();
                for page in first..first + count {
                    self.write(page, 0, &zero);
                    halfway(self);
                }
                return;
            }
            Change::Order | Change::Sync => return,
        };
        let (first, second) = bytes.split_at(bytes.len() / 2);
        self.write(page, 0, first);
        halfway(self);
        self.write(page, first.len(), second);
    }

    /// Writes bytes of a page.
    pub fn write(&mut self, page: u64, offset: usize, bytes: &[u8]) {
        self.medium.write(page, offset, bytes);
    }

    /// A barrier; for a disk that keeps no order, a sync.
    pub fn order(&mut self) {
        if self.keeps_order {
            self.earlier.push(self.medium.clone());
            self.medium.sync(0..u64::MAX);
        } else {
            self.sync(0..u64::MAX);
        }
    }

    /// Makes what was written to these pages durable, and the length. Returns
    /// whether anything was not.
    pub fn sync(&mut self, pages: Range<u64>) -> bool {
        self.earlier.clear();
        self.medium.sync(pages)
    }

    /// A sync that fails.
    pub fn sync_fails(&mut self, how: FailedSync) {
        self.medium.sync_fails(how);
    }

    /// Shortens it; durable after a sync.
    pub fn truncate(&mut self, page_count: u64) {
        self.media_mut()
            .for_each(|medium| medium.truncate(page_count));
    }

    /// Begins to lengthen it with zeros. The length is in doubt until
    /// [`finish_growth`](Self::finish_growth).
    pub fn begin_growth(&mut self, page_count: u64) {
        // A growth is durable whatever is not before it.
        self.media_mut().for_each(|medium| medium.grow(page_count));
    }

    /// The growth has returned: it is durable.
    pub fn finish_growth(&mut self) {
        self.media_mut().for_each(|medium| {
            medium.sync(0..0);
        });
    }

    /// Lengthens it with zeros, as anybody can lengthen a file: durable after a
    /// sync.
    pub fn set_len(&mut self, page_count: u64) {
        self.medium.grow(page_count);
    }

    /// Forgets about half of what is cached of pages that a sync gave up: from
    /// now on they are what is on the medium. `below` draws a number below its
    /// argument, which is not 0.
    pub fn evict(&mut self, below: &mut dyn FnMut(u64) -> u64) {
        self.medium.evict(below);
    }

    /// What a power loss now can leave, in parts that have nothing in common: one
    /// for each barrier that may be all that was passed, the latest last.
    pub fn choices(&self) -> Vec<Choices<'_>> {
        self.media().map(Choices::of).collect()
    }

    /// How many images a power loss can leave; `u64::MAX` where they are more.
    pub fn image_count(&self) -> u64 {
        let counts = self.media().map(|medium| Choices::of(medium).image_count());
        counts.fold(0, u64::saturating_add)
    }

    /// What a power loss leaves that nothing in doubt survives.
    pub fn durable(&self) -> Vec<Page> {
        let first = Choices::of(self.earlier.first().unwrap_or(&self.medium));
        first.image(&first.none())
    }

    /// Calls `try_image` with what a power loss can leave: with every image if
    /// there are at most `limit`, else with `limit` of them. `below` draws a
    /// number below its argument, which is not 0. Returns how many.
    pub fn images(
        &self,
        limit: u64,
        below: &mut dyn FnMut(u64) -> u64,
        mut try_image: impl FnMut(Vec<Page>, &Survivors),
    ) -> u64 {
        let choices = self.choices();
        let count = self.image_count();
        if count <= limit {
            for part in &choices {
                for survivors in part.every() {
                    try_image(part.image(&survivors), &survivors);
                }
            }
            return count;
        }
        for _ in 0..limit {
            let part = images::pick(&choices, below);
            let survivors = part.sample(below);
            try_image(part.image(&survivors), &survivors);
        }
        limit
    }

    fn media(&self) -> impl Iterator<Item = &Medium> {
        self.earlier.iter().chain([&self.medium])
    }

    fn media_mut(&mut self) -> impl Iterator<Item = &mut Medium> {
        self.earlier.iter_mut().chain([&mut self.medium])
    }
}
