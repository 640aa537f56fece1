//! [`AllocationMap`]: what each page of a file is used for. Pure.
//!
//! Knows nothing of how it is stored. The kind of a page is a small integer
//! that other formats may add to.
//!
//! Invariant: every internal page is a used page.

use alloc::vec::Vec;

use crate::bitmap::{Bitmap, Overlay};
use crate::ids::Extent;

/// What a page is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Use(pub u8);

impl Use {
    /// Nobody's.
    pub const FREE: Self = Self(0);
    /// A caller's regular page.
    pub const REGULAR: Self = Self(1);
    /// The pager's own: reserved, directory, or a copy of a protected page.
    pub const INTERNAL: Self = Self(2);
}

/// What each page is used for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllocationMap {
    used: Bitmap,
    internal: Bitmap,
}

impl AllocationMap {
    /// Every used page is regular until [`AllocationMap::set`] says otherwise.
    pub fn from_used(used: Bitmap) -> Self {
        Self {
            internal: Bitmap::new(used.len()),
            used,
        }
    }

    /// How many pages there are.
    pub fn page_count(&self) -> u64 {
        self.used.len()
    }

    /// What a page is used for; free past the end.
    pub fn get(&self, page: u64) -> Use {
        match (self.used.get(page), self.internal.get(page)) {
            (false, _) => Use::FREE,
            (true, false) => Use::REGULAR,
            (true, true) => Use::INTERNAL,
        }
    }

    /// Changes what a page is used for.
    ///
    /// # Panics
    /// Past the end, and for a use that is none of the three.
    pub fn set(&mut self, page: u64, kind: Use) {
        assert!(page < self.page_count(), "page {page} is past the end");
        assert!(kind <= Use::INTERNAL, "{kind:?} cannot be told apart");
        self.used.set(page, kind != Use::FREE);
        self.internal.set(page, kind == Use::INTERNAL);
    }

    /// Changes what many pages are used for.
    ///
    /// # Panics
    /// As [`AllocationMap::set`].
    pub fn set_all(&mut self, pages: &Overlay, kind: Use) {
        assert!(
            pages.max() < Some(self.page_count()),
            "a page is past the end"
        );
        assert!(kind <= Use::INTERNAL, "{kind:?} cannot be told apart");
        self.used.apply(pages, kind != Use::FREE);
        self.internal.apply(pages, kind == Use::INTERNAL);
    }

    /// The lowest free page at or after `start`.
    pub fn find_free(&self, start: u64) -> Option<u64> {
        self.used.find_clear(start)
    }

    /// How many pages have this use.
    pub fn count(&self, kind: Use) -> u64 {
        match kind {
            Use::FREE => self.used.len() - self.used.ones(),
            Use::REGULAR => self.used.ones() - self.internal.ones(),
            Use::INTERNAL => self.internal.ones(),
            _ => 0,
        }
    }

    /// Adds free pages at the end. Never shortens.
    pub fn grow(&mut self, page_count: u64) {
        self.used.grow(page_count);
        self.internal.grow(page_count);
    }

    /// The used pages as bits.
    pub fn used(&self) -> &Bitmap {
        &self.used
    }

    /// Regular pages from `start` on, in ascending runs, at most `limit`.
    pub fn regular(&self, start: u64, limit: usize) -> Vec<Extent> {
        let mut runs: Vec<Extent> = Vec::new();
        let words = (0..).zip(self.used.words()).skip(to_index(start / 64));
        for (word, used) in words {
            let mut left = used & !self.internal.word(word);
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

    /// Fails where an invariant does not hold: in a debug build also one that
    /// takes time to check.
    ///
    /// # Panics
    /// See there.
    pub fn assert_consistent(&self) {
        assert_eq!(self.used.len(), self.internal.len());
        assert!(self.internal.ones() <= self.used.ones());
        debug_assert_eq!(
            self.internal.difference(&self.used).ones(),
            0,
            "an internal page is free"
        );
    }
}

fn to_index(word: u64) -> usize {
    usize::try_from(word).unwrap_or(usize::MAX)
}
