//! [`PageMap`]: the kind of every page of a file, and pooled tiles of them. What
//! the pages are is asked of [`Kinds`], so that no map need be in memory whole.
//!
//! Invariant: the kinds' counts sum to the pages that the map has.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::allocation::AllocationMap;
use crate::kinds::PageKind;

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
    /// How many of them are not free; those that are missing count as what they
    /// were.
    pub used: u64,
}

/// How free space lies, in pages that are in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FreeSpace {
    /// For each power of two 2^n, how many runs of free pages have a length of
    /// 2^n up to less than 2^(n+1).
    pub runs: Vec<u64>,
    /// Pages in the longest run; none: it is not known which are free.
    pub longest: Option<u64>,
}

/// Runs of free pages, one behind the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FreeRuns {
    /// Where the first one begins.
    pub first: u64,
    /// Pages in the longest one.
    pub count: u64,
    /// How many there are. Of all of them the length has the same power of two.
    pub times: u64,
    /// The page behind the last one.
    pub next: u64,
}

impl FreeRuns {
    /// A run alone.
    pub fn one(first: u64, end: u64) -> Self {
        Self {
            first,
            count: end - first,
            times: 1,
            next: end,
        }
    }
}

/// What the pages are that a file accounts for.
pub trait Kinds {
    /// What a page is.
    fn kind(&mut self, page: u64) -> PageKind;

    /// Calls `f` with each kind that pages of `first..end` may have, and how
    /// many of them do.
    fn count(&mut self, first: u64, end: u64, f: &mut dyn FnMut(PageKind, u64));

    /// The first run of free pages from page `from` on and before `end`, and others
    /// like it that follow, where that is known.
    fn free_run(&mut self, from: u64, end: u64) -> Option<FreeRuns>;
}

impl Kinds for AllocationMap {
    fn kind(&mut self, page: u64) -> PageKind {
        self.get(page)
    }

    fn count(&mut self, first: u64, end: u64, f: &mut dyn FnMut(PageKind, u64)) {
        self.count_in(first, end, f);
    }

    fn free_run(&mut self, from: u64, end: u64) -> Option<FreeRuns> {
        let first = self.find_free(from).filter(|&first| first < end)?;
        let next = self.used().find_set(first).unwrap_or(self.page_count());
        Some(FreeRuns::one(first, next.min(end)))
    }
}

impl Kinds for Box<dyn Kinds + '_> {
    fn kind(&mut self, page: u64) -> PageKind {
        (**self).kind(page)
    }

    fn count(&mut self, first: u64, end: u64, f: &mut dyn FnMut(PageKind, u64)) {
        (**self).count(first, end, f);
    }

    fn free_run(&mut self, from: u64, end: u64) -> Option<FreeRuns> {
        (**self).free_run(from, end)
    }
}

/// Pages of which nothing is known.
#[derive(Debug)]
pub struct Unknown;

impl Kinds for Unknown {
    fn kind(&mut self, _page: u64) -> PageKind {
        PageKind::UNKNOWN
    }

    fn count(&mut self, first: u64, end: u64, f: &mut dyn FnMut(PageKind, u64)) {
        f(PageKind::UNKNOWN, end.saturating_sub(first));
    }

    fn free_run(&mut self, _from: u64, _end: u64) -> Option<FreeRuns> {
        None
    }
}

/// What every page of a file is.
#[derive(Debug)]
pub struct PageMap<K> {
    /// Pages that the file accounts for; none: that is not known.
    page_count: Option<u64>,
    /// Whole pages that there are.
    file_pages: u64,
    /// As many as the file accounts for, or else has.
    pages: K,
}

impl<K: Kinds> PageMap<K> {
    /// The map of a file of `file_pages` pages, of which `pages` says what they
    /// are. `page_count` is how many of them the file accounts for.
    pub fn new(pages: K, page_count: Option<u64>, file_pages: u64) -> Self {
        Self {
            page_count,
            file_pages,
            pages,
        }
    }

    /// How many pages there are: the greater of the page count and the file's.
    pub fn len(&self) -> u64 {
        self.page_count.unwrap_or(0).max(self.file_pages)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Where slack begins.
    fn accounted(&self) -> u64 {
        self.page_count.unwrap_or(self.file_pages)
    }

    /// What a page is; none past the end.
    pub fn kind(&mut self, page: u64) -> Option<PageKind> {
        if page >= self.len() {
            return None;
        }
        Some(if page >= self.file_pages {
            PageKind::MISSING
        } else if page >= self.accounted() {
            PageKind::SLACK
        } else {
            self.pages.kind(page)
        })
    }

    /// How many pages of `first..end` there are of each kind.
    pub fn counts(&mut self, first: u64, end: u64) -> Counts {
        let mut counts = [0; PageKind::ALL.len()];
        let end = end.min(self.len());
        let mut add = |kind: PageKind, count: u64| counts[usize::from(kind.0)] += count;
        let missing_from = self.file_pages.max(first);
        add(PageKind::MISSING, end.saturating_sub(missing_from));
        let end = end.min(self.file_pages);
        let slack_from = self.accounted().max(first);
        add(PageKind::SLACK, end.saturating_sub(slack_from));
        let end = end.min(self.accounted());
        if first < end {
            self.pages.count(first, end, &mut add);
        }
        counts
    }

    /// At most `count` tiles of `pages_per_tile` pages from `first` on.
    pub fn tiles(&mut self, first: u64, pages_per_tile: u64, count: usize) -> Vec<Tile> {
        let mut tiles = Vec::new();
        let mut first = first;
        while tiles.len() < count && first < self.len() && pages_per_tile > 0 {
            let end = first.saturating_add(pages_per_tile).min(self.len());
            let counts = self.counts(first, end);
            let kind = PageKind::ALL
                .into_iter()
                .max_by_key(|kind| (counts[usize::from(kind.0)], *kind != PageKind::FREE))
                .unwrap_or(PageKind::UNKNOWN);
            let free = counts[usize::from(PageKind::FREE.0)] + self.missing_free(first, end);
            let used = (end - first) - free;
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

    /// How many pages of `first..end` are missing and free.
    fn missing_free(&mut self, first: u64, end: u64) -> u64 {
        let (first, end) = (first.max(self.file_pages), end.min(self.accounted()));
        let mut free = 0;
        if first < end {
            self.pages.count(first, end, &mut |kind, count| {
                free += if kind == PageKind::FREE { count } else { 0 };
            });
        }
        free
    }

    /// How free space lies.
    pub fn free_space(&mut self) -> FreeSpace {
        let mut histogram = Vec::new();
        let mut longest = 0;
        let mut next = 0;
        while let Some(runs) = self.pages.free_run(next, self.file_pages) {
            longest = longest.max(runs.count);
            let bucket = runs.count.ilog2() as usize;
            if histogram.len() <= bucket {
                histogram.resize(bucket + 1, 0);
            }
            histogram[bucket] += runs.times;
            next = runs.next;
        }
        FreeSpace {
            runs: histogram,
            longest: self.page_count.map(|_| longest),
        }
    }
}
