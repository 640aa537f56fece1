//! [`AllocationMap`]: what each page of a file is. Pure.
//!
//! Knows nothing of how it is stored, and nothing of the kinds but which two
//! are the callers' affair: free and regular. There may be any number of others.
//!
//! Invariants: a page that is not free has exactly one kind; the pages that are
//! not free are those of `used`.

use alloc::vec::Vec;

use crate::bitmap::{Bitmap, Overlay};
use crate::codec::narrow;
use crate::ids::Extent;
use crate::kinds::PageKind;

/// What each page is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllocationMap {
    used: Bitmap,
    regular: Bitmap,
    /// The pages of every other kind that there is or was.
    others: Vec<(PageKind, Bitmap)>,
}

impl AllocationMap {
    /// Every used page is regular until [`AllocationMap::set`] says otherwise.
    pub fn from_used(used: Bitmap) -> Self {
        Self {
            regular: used.clone(),
            used,
            others: Vec::new(),
        }
    }

    /// Pages of one kind.
    pub fn of_kind(kind: PageKind, page_count: u64) -> Self {
        let mut map = Self::from_used(Bitmap::all_ones(page_count));
        map.rename_regular(kind);
        map
    }

    /// How many pages there are.
    pub fn page_count(&self) -> u64 {
        self.used.len()
    }

    /// What a page is; free past the end.
    pub fn get(&self, page: u64) -> PageKind {
        if !self.used.get(page) {
            return PageKind::FREE;
        }
        if self.regular.get(page) {
            return PageKind::REGULAR;
        }
        let of_page = self.others.iter().find(|(_, pages)| pages.get(page));
        of_page.map_or(PageKind::UNKNOWN, |(kind, _)| *kind)
    }

    /// Changes what a page is.
    ///
    /// # Panics
    /// Past the end.
    pub fn set(&mut self, page: u64, kind: PageKind) {
        assert!(page < self.page_count(), "page {page} is past the end");
        let before = self.get(page);
        if before == kind {
            return;
        }
        match before {
            PageKind::FREE => {}
            PageKind::REGULAR => self.regular.set(page, false),
            _ => {
                let of_kind = self.others.iter_mut().find(|(found, _)| *found == before);
                if let Some((_, pages)) = of_kind {
                    pages.set(page, false);
                }
            }
        }
        if before == PageKind::FREE || kind == PageKind::FREE {
            self.used.set(page, kind != PageKind::FREE);
        }
        if kind == PageKind::REGULAR {
            self.regular.set(page, true);
        } else if let Some(pages) = self.pages_of(kind) {
            pages.set(page, true);
        }
    }

    /// Changes what many pages are.
    ///
    /// # Panics
    /// Past the end.
    pub fn set_all(&mut self, pages: &Overlay, kind: PageKind) {
        assert!(
            pages.max() < Some(self.page_count()),
            "a page is past the end"
        );
        if pages.is_empty() {
            return;
        }
        self.used.apply(pages, kind != PageKind::FREE);
        self.regular.apply(pages, kind == PageKind::REGULAR);
        for (_, of_kind) in &mut self.others {
            // Most changes are of pages that were of no other kind.
            if pages
                .words()
                .any(|(word, bits)| of_kind.word(word) & bits != 0)
            {
                of_kind.apply(pages, false);
            }
        }
        if let Some(of_kind) = self.pages_of(kind) {
            of_kind.apply(pages, true);
        }
    }

    /// The pages of a kind that is neither free nor regular.
    fn pages_of(&mut self, kind: PageKind) -> Option<&mut Bitmap> {
        if kind == PageKind::FREE || kind == PageKind::REGULAR {
            return None;
        }
        let known = self.others.iter().position(|(found, _)| *found == kind);
        let index = known.unwrap_or_else(|| {
            self.others.push((kind, Bitmap::new(self.used.len())));
            self.others.len() - 1
        });
        self.others.get_mut(index).map(|(_, pages)| pages)
    }

    /// Gives all regular pages another kind.
    pub fn rename_regular(&mut self, kind: PageKind) {
        let regular = core::mem::replace(&mut self.regular, Bitmap::new(self.used.len()));
        self.others.push((kind, regular));
    }

    /// The lowest free page at or after `start`.
    pub fn find_free(&self, start: u64) -> Option<u64> {
        self.used.find_clear(start)
    }

    /// How many pages have this kind.
    pub fn count(&self, kind: PageKind) -> u64 {
        match kind {
            PageKind::FREE => self.used.len() - self.used.ones(),
            PageKind::REGULAR => self.regular.ones(),
            _ => {
                let of_kind = self.others.iter().filter(|(found, _)| *found == kind);
                of_kind.map(|(_, pages)| pages.ones()).sum()
            }
        }
    }

    /// Calls `f` with each kind that pages of `first..end` may have, and how many
    /// of them do.
    pub fn count_in(&self, first: u64, end: u64, mut f: impl FnMut(PageKind, u64)) {
        let end = end.min(self.page_count());
        let used = self.used.count(first, end);
        f(PageKind::FREE, end.saturating_sub(first) - used);
        f(PageKind::REGULAR, self.regular.count(first, end));
        for (kind, pages) in &self.others {
            f(*kind, pages.count(first, end));
        }
    }

    /// How many pages are neither free nor regular.
    pub fn internal(&self) -> u64 {
        self.used.ones() - self.regular.ones()
    }

    /// Adds free pages at the end. Never shortens.
    pub fn grow(&mut self, page_count: u64) {
        self.used.grow(page_count);
        self.regular.grow(page_count);
        for (_, pages) in &mut self.others {
            pages.grow(page_count);
        }
    }

    /// The used pages as bits.
    pub fn used(&self) -> &Bitmap {
        &self.used
    }

    /// Regular pages from `start` on, in ascending runs, at most `limit`.
    pub fn regular(&self, start: u64, limit: usize) -> Vec<Extent> {
        runs(&self.regular, start, limit)
    }

    /// Fails where an invariant does not hold: in a debug build also one that
    /// takes time to check.
    ///
    /// # Panics
    /// See there.
    pub fn assert_consistent(&self) {
        let others: u64 = self.others.iter().map(|(_, pages)| pages.ones()).sum();
        assert_eq!(
            self.used.ones(),
            self.regular.ones() + others,
            "a page that is not free has one kind"
        );
        if cfg!(debug_assertions) {
            let others = self.others.iter().map(|(_, pages)| pages);
            for pages in others.chain([&self.regular]) {
                assert_eq!(pages.len(), self.used.len());
                assert_eq!(pages.difference(&self.used).ones(), 0, "it is free");
            }
        }
    }
}

/// Runs of set bits from `start` on, ascending, at most `limit`.
pub fn runs(bits: &Bitmap, start: u64, limit: usize) -> Vec<Extent> {
    let mut runs: Vec<Extent> = Vec::new();
    let words = (0..).zip(bits.words()).skip(narrow(start / 64));
    for (word, &bits) in words {
        let mut left = bits;
        if word == start / 64 {
            left &= u64::MAX << (start % 64);
        }
        while left != 0 {
            let first = left.trailing_zeros();
            let count = (left >> first).trailing_ones();
            left &= u64::MAX.checked_shl(first + count).unwrap_or(0);
            let (first, count) = (word * 64 + u64::from(first), u64::from(count));
            if let Some(run) = runs.last_mut()
                && run.first + run.count == first
            {
                run.count += count;
            } else if runs.len() < limit {
                runs.push(Extent { first, count });
            } else {
                return runs;
            }
        }
    }
    runs
}
