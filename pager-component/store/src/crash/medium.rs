//! [`Medium`]: what reads show, what is durable, and what is in doubt.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;

use super::{FailedSync, Page, SectorBytes};
use crate::{Change, Geometry, PageBuffer, PageSize, SECTOR, StoreError, bounds};

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
    pub(super) versions: Vec<SectorBytes>,
    /// Whether the next sync makes the last version durable.
    dirty: bool,
}

/// A page as a place in memory; one that no vector has, where it is none.
fn place(page: u64) -> usize {
    usize::try_from(page).unwrap_or(usize::MAX)
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

    pub(super) fn zero(&self) -> Page {
        self.zero.clone()
    }

    /// What reads show.
    pub(super) fn page(&self, page: u64) -> &Page {
        &self.cache[place(page)]
    }

    pub(super) fn pages(&self) -> &[Page] {
        &self.cache
    }

    pub(super) fn durable_pages(&self) -> &[Page] {
        &self.durable
    }

    /// How many pages there are if the last growth did not arrive; none where
    /// that is not in doubt.
    pub(super) fn shorter(&self) -> Option<u64> {
        (self.durable_count < self.geometry().page_count).then_some(self.durable_count)
    }

    /// What is there behind the end if the last cut did not arrive.
    pub(super) fn cut(&self) -> &[Page] {
        &self.cut
    }

    pub(super) fn is_settled(&self, page: u64) -> bool {
        self.doubtful
            .range((page, 0)..(page + 1, 0))
            .next()
            .is_none()
    }

    pub(super) fn has_durable(&self, change: &Change<'_, PageBuffer>) -> bool {
        match *change {
            Change::Staged { page, buffer } => *self.durable[place(page)] == **buffer,
            Change::Bytes { page, bytes } => *self.durable[place(page)] == *bytes,
            _ => false,
        }
    }

    /// Sectors in doubt, in ascending order.
    pub(super) fn doubtful(&self) -> &BTreeMap<(u64, usize), Doubt> {
        &self.doubtful
    }

    pub(super) fn has_given_up(&self, page: u64) -> bool {
        self.doubtful
            .range((page, 0)..(page + 1, 0))
            .any(|(_, doubt)| !doubt.dirty)
    }

    pub(super) fn bytes(&self, page: u64, offset: u32, len: usize) -> Result<&[u8], StoreError> {
        bounds(self.geometry(), page, offset, len)?;
        let start = offset as usize;
        Ok(&self.page(page)[start..start + len])
    }

    pub(super) fn write(&mut self, page: u64, offset: usize, bytes: &[u8]) {
        let index = place(page);
        Arc::make_mut(&mut self.cache[index])[offset..offset + bytes.len()].copy_from_slice(bytes);
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
        self.durable_count = self.geometry().page_count;
        self.cut.clear();
        let sectors = (pages.start, 0)..(pages.end, 0);
        for ((page, sector), doubt) in self.doubtful.extract_if(sectors, |_, doubt| doubt.dirty) {
            let newest = &doubt.versions[doubt.versions.len() - 1];
            put_sector(&mut self.durable[place(page)], sector, newest);
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
        let end = place(page_count);
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
        self.cache.resize(place(page_count), self.zero.clone());
        self.durable.resize(place(page_count), self.zero.clone());
    }

    /// Forgets about half of what is cached of pages that a sync gave up: from
    /// now on they are what is on the medium.
    pub(super) fn evict(&mut self, below: &mut dyn FnMut(u64) -> u64) {
        let mut pages: BTreeSet<u64> = self.doubtful.keys().map(|at| at.0).collect();
        pages.retain(|&page| {
            let is_dirty = self
                .doubtful
                .range((page, 0)..(page + 1, 0))
                .any(|(_, it)| it.dirty);
            !is_dirty && below(2) == 0
        });
        for page in pages {
            let index = place(page);
            for (at, doubt) in self
                .doubtful
                .extract_if((page, 0)..(page + 1, 0), |_, _| true)
            {
                let pick = place(below(doubt.versions.len() as u64 + 1));
                if pick > 0 {
                    put_sector(&mut self.durable[index], at.1, &doubt.versions[pick - 1]);
                }
            }
            self.cache[index] = self.durable[index].clone();
        }
    }
}

/// Puts a sector into a page, which is copied first if others hold it too.
pub(super) fn put_sector(page: &mut Page, sector: usize, bytes: &SectorBytes) {
    Arc::make_mut(page)[sector * SECTOR..(sector + 1) * SECTOR].copy_from_slice(bytes);
}
