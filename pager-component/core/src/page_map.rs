//! [`PageMap`]: the kind of every page of a file, and pooled tiles of them.
//! Pure; counts words of bits, not pages.
//!
//! Invariant: the kinds' counts sum to the pages that the map has.

use alloc::vec::Vec;

use crate::allocation::AllocationMap;
use crate::bitmap::Bitmap;
use crate::format::RESERVED_PAGES;
use crate::ids::ProtectedId;
use crate::kinds::PageKind;
use crate::state::State;

/// How many pages of each kind, by code.
pub type Counts = [u64; PageKind::ALL.len()];

/// Neighbouring pages, pooled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tile {
    /// The first page.
    pub first: u64,
    /// How many.
    pub count: u64,
    /// The kind that most of them have; of equals the one that is not free.
    pub kind: PageKind,
    /// How many of them are not free.
    pub used: u64,
}

/// What every page of a file is.
#[derive(Debug)]
pub struct PageMap {
    /// Pages that the file accounts for.
    page_count: u64,
    /// Whole pages that there are.
    file_pages: u64,
    /// Whether it is a page file at all: the first pages are the reserved ones.
    is_page_file: bool,
    /// Whether free and regular pages can be told apart.
    known: bool,
    used: Bitmap,
    directory: Bitmap,
    active: Bitmap,
    shadow: Bitmap,
}

impl PageMap {
    /// The map of a file of `file_pages` pages; without a state nothing is
    /// known of any.
    pub fn new(state: Option<&State>, file_pages: u64) -> Self {
        let allocation = state.and_then(|state| state.allocation.as_ref());
        let page_count = allocation.map_or(0, AllocationMap::page_count);
        let len = page_count.max(file_pages);
        let mut map = Self {
            page_count,
            file_pages,
            is_page_file: state.is_some(),
            known: allocation.is_some(),
            used: allocation.map_or_else(|| Bitmap::new(0), |allocation| allocation.used().clone()),
            directory: Bitmap::new(len),
            active: Bitmap::new(len),
            shadow: Bitmap::new(len),
        };
        if let Some(directory) = state.and_then(|state| state.directory.as_ref()) {
            for block in directory
                .blocks()
                .iter()
                .filter(|block| block.copy.is_some())
            {
                for page in block.place.pages {
                    map.directory.set(page, true);
                }
            }
            for (_, slot) in directory.slots(ProtectedId(0)) {
                map.active.set(slot.active_page(), true);
                map.shadow.set(slot.shadow_page(), true);
            }
        }
        map
    }

    /// How many pages there are: the greater of the page count and the file's.
    pub fn len(&self) -> u64 {
        self.page_count.max(self.file_pages)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What a page is; none past the end.
    pub fn kind(&self, page: u64) -> Option<PageKind> {
        if page >= self.len() {
            return None;
        }
        Some(if page >= self.file_pages {
            PageKind::MISSING
        } else if self.known && page >= self.page_count {
            PageKind::SLACK
        } else if self.directory.get(page) {
            PageKind::DIRECTORY
        } else if self.active.get(page) {
            PageKind::PROTECTED_ACTIVE
        } else if self.shadow.get(page) {
            PageKind::PROTECTED_SHADOW
        } else if self.is_page_file && page == 0 {
            PageKind::SUPERBLOCK
        } else if self.is_page_file && page < RESERVED_PAGES {
            PageKind::METADATA
        } else if !self.known {
            PageKind::UNKNOWN
        } else if self.used.get(page) {
            PageKind::REGULAR
        } else {
            PageKind::FREE
        })
    }

    /// How many pages of `first..end` there are of each kind.
    pub fn counts(&self, first: u64, end: u64) -> Counts {
        let mut counts = [0; PageKind::ALL.len()];
        let end = end.min(self.len());
        let mut add = |kind: PageKind, count: u64| counts[usize::from(kind.0)] += count;
        let missing_from = self.file_pages.max(first);
        add(PageKind::MISSING, end.saturating_sub(missing_from));
        let end = end.min(self.file_pages);
        let end = if self.known {
            add(
                PageKind::SLACK,
                end.saturating_sub(self.page_count.max(first)),
            );
            end.min(self.page_count)
        } else {
            end
        };
        let mut first = first;
        // The few reserved pages one by one, the rest by words of bits.
        while first < RESERVED_PAGES.min(end) {
            add(self.kind(first).unwrap_or(PageKind::UNKNOWN), 1);
            first += 1;
        }
        if first >= end {
            return counts;
        }
        let directory = self.directory.count(first, end);
        let active = self.active.count(first, end);
        let shadow = self.shadow.count(first, end);
        add(PageKind::DIRECTORY, directory);
        add(PageKind::PROTECTED_ACTIVE, active);
        add(PageKind::PROTECTED_SHADOW, shadow);
        let internal = directory + active + shadow;
        if self.known {
            let used = self.used.count(first, end);
            add(PageKind::REGULAR, used.saturating_sub(internal));
            add(PageKind::FREE, (end - first).saturating_sub(used));
        } else {
            add(PageKind::UNKNOWN, (end - first).saturating_sub(internal));
        }
        counts
    }

    /// At most `count` tiles of `pages_per_tile` pages from `first` on.
    pub fn tiles(&self, first: u64, pages_per_tile: u64, count: usize) -> Vec<Tile> {
        let mut tiles = Vec::new();
        let mut first = first;
        while tiles.len() < count && first < self.len() && pages_per_tile > 0 {
            let end = first.saturating_add(pages_per_tile).min(self.len());
            let counts = self.counts(first, end);
            let kind = PageKind::ALL
                .into_iter()
                .max_by_key(|kind| (counts[usize::from(kind.0)], *kind != PageKind::FREE))
                .unwrap_or(PageKind::UNKNOWN);
            let used = (end - first) - counts[usize::from(PageKind::FREE.0)];
            tiles.push(Tile {
                first,
                count: end - first,
                kind,
                used,
            });
            first = end;
        }
        tiles
    }

    /// For each power of two 2^n, how many runs of free pages have a length of
    /// 2^n up to less than 2^(n+1).
    pub fn free_runs(&self) -> Vec<u64> {
        let mut histogram = Vec::new();
        let mut next = RESERVED_PAGES;
        while self.known
            && let Some(first) = self.used.find_clear(next)
        {
            let end = self.used.find_set(first).unwrap_or(self.used.len());
            let bucket = (end - first).ilog2() as usize;
            if histogram.len() <= bucket {
                histogram.resize(bucket + 1, 0);
            }
            histogram[bucket] += 1;
            next = end;
        }
        histogram
    }
}
