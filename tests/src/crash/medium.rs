//! [`Medium`]: what reads show, what is durable, and what is in doubt.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::rc::Rc;

use pagebox_store::{Change, Geometry, PageBuffer, PageSize, SECTOR, StoreError, bounds, seal};

use super::FailedSync;
use crate::decode::Pages;
use crate::rng::Rng;

/// The bytes of a page; shared by all media that hold the same.
pub(super) type Page = Rc<[u8]>;

/// A medium. Clones are media of their own, and cheap.
#[derive(Clone, Debug)]
pub(super) struct Medium {
    page_size: PageSize,
    /// What reads show.
    cache: Vec<Page>,
    /// What is there after a power loss, if nothing that is in doubt arrived.
    /// As long as the cache.
    durable: Vec<Page>,
    /// How many of these pages are there if the last growth did not arrive.
    durable_count: u64,
    /// Pages behind the end that are there if the last cut did not arrive.
    cut: Vec<Page>,
    /// Sectors, by page and place, of which there may be another version.
    doubtful: BTreeMap<(u64, usize), Doubt>,
    zero: Page,
}

/// The versions of a sector that may be there besides the durable one.
#[derive(Clone, Debug)]
pub(super) struct Doubt {
    /// Oldest first; never empty.
    pub(super) versions: Vec<[u8; SECTOR]>,
    /// Whether the next sync makes the last version durable.
    dirty: bool,
}

impl Medium {
    pub(super) fn new(page_size: PageSize, pages: Vec<Page>) -> Self {
        Self {
            page_size,
            cache: pages.clone(),
            durable_count: pages.len() as u64,
            durable: pages,
            cut: Vec::new(),
            doubtful: BTreeMap::new(),
            zero: vec![0; page_size.bytes()].into(),
        }
    }

    pub(super) fn geometry(&self) -> Geometry {
        Geometry {
            page_size: self.page_size,
            page_count: self.cache.len() as u64,
            tail: 0,
        }
    }

    /// How many pages there are if the last growth did not arrive; none where
    /// that is not in doubt.
    pub(super) fn shorter(&self) -> Option<u64> {
        (self.durable_count < self.page_count()).then_some(self.durable_count)
    }

    /// What is there behind the end if the last cut did not arrive.
    pub(super) fn cut(&self) -> &[Page] {
        &self.cut
    }

    /// Whether a power loss leaves the page as reads show it.
    pub(super) fn is_settled(&self, page: u64) -> bool {
        self.doubtful
            .range((page, 0)..(page + 1, 0))
            .next()
            .is_none()
    }

    /// Whether a change writes what is durable there.
    pub(super) fn has_durable(&self, change: &Change<'_, PageBuffer>) -> bool {
        match *change {
            Change::Staged { page, buffer } => *self.durable[page as usize] == **buffer,
            Change::Bytes { page, bytes } => *self.durable[page as usize] == *bytes,
            _ => false,
        }
    }

    /// Sectors in doubt, in ascending order.
    pub(super) fn doubtful(&self) -> &BTreeMap<(u64, usize), Doubt> {
        &self.doubtful
    }

    /// Whether page 0 may differ from its durable bytes for good, because a
    /// failed sync gave it up.
    pub(super) fn has_given_up_page_0(&self) -> bool {
        self.doubtful
            .iter()
            .any(|(at, doubt)| at.0 == 0 && !doubt.dirty)
    }

    /// The pages after a power loss that nothing in doubt survived but growth.
    pub(super) fn after_loss(&self) -> Vec<Page> {
        self.durable.clone()
    }

    pub(super) fn bytes(&self, page: u64, offset: u32, len: usize) -> Result<&[u8], StoreError> {
        bounds(self.geometry(), page, offset, len)?;
        let start = offset as usize;
        Ok(&self.cache[page as usize][start..start + len])
    }

    pub(super) fn all_bytes(&self) -> Vec<u8> {
        self.cache.concat()
    }

    /// Makes a change, and calls `halfway` in the middle of a write.
    pub(super) fn apply(
        &mut self,
        change: &Change<'_, PageBuffer>,
        mut halfway: impl FnMut(&Self),
    ) {
        let zero = self.zero.clone();
        let (page, bytes) = match *change {
            Change::Sealed { page, bytes, start } => {
                (page, [bytes, &seal(bytes, start)].concat().into())
            }
            Change::Staged { page, buffer } => (page, Page::from(&**buffer)),
            Change::Bytes { page, bytes } => (page, Page::from(bytes)),
            Change::Zero { first, count } => {
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

    pub(super) fn write(&mut self, page: u64, offset: usize, bytes: &[u8]) {
        let index = page as usize;
        Rc::make_mut(&mut self.cache[index])[offset..offset + bytes.len()].copy_from_slice(bytes);
        for sector in offset / SECTOR..(offset + bytes.len()).div_ceil(SECTOR) {
            let at = sector * SECTOR..(sector + 1) * SECTOR;
            let mut new = [0; SECTOR];
            new.copy_from_slice(&self.cache[index][at.clone()]);
            if let Some(doubt) = self.doubtful.get_mut(&(page, sector)) {
                doubt.versions.retain(|version| *version != new);
                doubt.versions.push(new);
                doubt.dirty = true;
            } else if self.durable[index][at] != new {
                self.doubtful.insert(
                    (page, sector),
                    Doubt {
                        versions: vec![new],
                        dirty: true,
                    },
                );
            }
        }
    }

    /// Makes what is dirty in these pages durable, and the length. Returns
    /// whether anything was.
    pub(super) fn sync(&mut self, pages: Range<u64>) -> bool {
        let mut changed = self.shorter().is_some() || !self.cut.is_empty();
        self.durable_count = self.page_count();
        self.cut.clear();
        let sectors = (pages.start, 0)..(pages.end, 0);
        for ((page, sector), doubt) in self.doubtful.extract_if(sectors, |_, doubt| doubt.dirty) {
            let newest = &doubt.versions[doubt.versions.len() - 1];
            put_sector(&mut self.durable[page as usize], sector, newest);
            changed = true;
        }
        changed
    }

    pub(super) fn sync_fails(&mut self, how: FailedSync) {
        if how == FailedSync::GivesThemUp {
            self.doubtful
                .values_mut()
                .for_each(|doubt| doubt.dirty = false);
        }
    }

    /// Shortens the medium; durable after a sync.
    pub(super) fn truncate(&mut self, page_count: u64) {
        let end = page_count as usize;
        if end >= self.durable.len() {
            return;
        }
        let mut cut = self.durable.split_off(end);
        cut.append(&mut self.cut);
        self.cut = cut;
        self.cache.truncate(end);
        self.durable_count = self.durable_count.min(page_count);
        // What was written there is in no image.
        drop(self.doubtful.split_off(&(page_count, 0)));
    }

    /// Lengthens the medium with zeros; durable after a sync. A cut before it is
    /// then, too.
    pub(super) fn grow(&mut self, page_count: u64) {
        self.cut.clear();
        self.cache.resize(page_count as usize, self.zero.clone());
        self.durable.resize(page_count as usize, self.zero.clone());
    }

    /// Forgets about half of what is cached of pages that a sync gave up: from
    /// now on they are what is on the medium.
    pub(super) fn evict(&mut self, rng: &mut Rng) {
        let mut pages: BTreeSet<u64> = self.doubtful.keys().map(|at| at.0).collect();
        pages.retain(|&page| {
            let is_dirty = self
                .doubtful
                .range((page, 0)..(page + 1, 0))
                .any(|(_, it)| it.dirty);
            !is_dirty && rng.chance(1, 2)
        });
        for page in pages {
            let index = page as usize;
            for (at, doubt) in self
                .doubtful
                .extract_if((page, 0)..(page + 1, 0), |_, _| true)
            {
                let pick = rng.below(doubt.versions.len() as u64 + 1) as usize;
                if pick > 0 {
                    put_sector(&mut self.durable[index], at.1, &doubt.versions[pick - 1]);
                }
            }
            self.cache[index] = self.durable[index].clone();
        }
    }
}

/// What reads show.
impl Pages for Medium {
    fn page_size(&self) -> usize {
        self.page_size.bytes()
    }

    fn page_count(&self) -> u64 {
        self.cache.len() as u64
    }

    fn page(&self, number: u64) -> &[u8] {
        &self.cache[number as usize]
    }
}

/// What is there after a power loss, if nothing that is in doubt arrived.
pub(super) struct Durable<'a>(pub(super) &'a Medium);

impl Pages for Durable<'_> {
    fn page_size(&self) -> usize {
        self.0.page_size.bytes()
    }

    fn page_count(&self) -> u64 {
        self.0.durable.len() as u64
    }

    fn page(&self, number: u64) -> &[u8] {
        &self.0.durable[number as usize]
    }
}

/// Puts a sector into a page, which is copied first if others hold it too.
pub(super) fn put_sector(page: &mut Page, sector: usize, bytes: &[u8; SECTOR]) {
    Rc::make_mut(page)[sector * SECTOR..(sector + 1) * SECTOR].copy_from_slice(bytes);
}
