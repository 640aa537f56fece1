//! [`Limbo`]: pages that were freed while somebody reads them. Nobody takes them
//! before the last of those is gone. In a leaf of SPACE they are free: nothing
//! here outlives a process.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::pins::Readers;
use crate::bitmap::Overlay;

/// A page of a protected page, or a node of MAP, that was freed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Freed {
    pub(super) page: u64,
    /// The generation that wrote it.
    pub(super) birth: u64,
    /// The generation that does not read it any more.
    pub(super) at: u64,
}

/// Pages that are free, and read.
#[derive(Clone, Debug, Default)]
pub(super) struct Limbo {
    pages: Overlay,
    /// Those that have a birth, by the newest of their readers: when it is gone
    /// they are the next older one's, if there is one. So each is looked at once
    /// for each of its readers, and not at every commit.
    by_reader: BTreeMap<u64, Vec<Freed>>,
    /// Regular pages: only the durable state reads them.
    regular: Vec<u64>,
}

impl Limbo {
    /// How many there are.
    pub(super) fn len(&self) -> u64 {
        self.pages.len()
    }

    /// Whether a page is there.
    pub(super) fn contains(&self, page: u64) -> bool {
        self.pages.contains(page)
    }

    /// Which of sixteen pages from `first` on, a multiple of that, are there, as
    /// bits.
    pub(super) fn sixteen(&self, first: u64) -> u64 {
        self.pages.word(first / 64) >> (first % 64) & 0xFFFF
    }

    /// Takes in a page that was freed, if anybody reads it.
    pub(super) fn hold(&mut self, readers: &Readers<'_>, freed: Freed) {
        if let Some(reader) = readers.newest(freed.birth, freed.at) {
            self.pages.insert(freed.page);
            self.by_reader.entry(reader).or_default().push(freed);
        }
    }

    /// Takes in a regular page that the durable state has.
    pub(super) fn hold_regular(&mut self, page: u64) {
        self.pages.insert(page);
        self.regular.push(page);
    }

    /// Lets the regular pages go: another state is durable.
    pub(super) fn release_regular(&mut self) -> Vec<u64> {
        let released = core::mem::take(&mut self.regular);
        for &page in &released {
            self.pages.remove(page);
        }
        released
    }

    /// Lets go what nobody reads any more.
    pub(super) fn release(&mut self, readers: &Readers<'_>) -> Vec<u64> {
        let gone = self.by_reader.keys().copied();
        let gone: Vec<u64> = gone.filter(|&it| !readers.contains(it)).collect();
        let mut released = Vec::new();
        // Newest first: what an older one takes over may be gone as well.
        for reader in gone.into_iter().rev() {
            for freed in self.by_reader.remove(&reader).unwrap_or_default() {
                if let Some(older) = readers.newest(freed.birth, freed.at.min(reader)) {
                    self.by_reader.entry(older).or_default().push(freed);
                } else {
                    self.pages.remove(freed.page);
                    released.push(freed.page);
                }
            }
        }
        released
    }
}
