//! The translation cache: where pages are, so that reading one need not enter
//! the sandbox. What a commit changes is dropped.
//!
//! Readers fill it from many threads at once. An entry is written whole and
//! depends on nothing else, so relaxed atomics are enough.

use std::sync::atomic::{AtomicU64, Ordering};

/// Which ids are known to be regular pages, and where protected pages are whose
/// bytes were verified.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    /// A bit each.
    regular: Vec<AtomicU64>,
    /// The physical page plus 1; 0 is not known.
    protected: Vec<AtomicU64>,
}

fn resize(entries: &mut Vec<AtomicU64>, len: u64) {
    entries.resize_with(usize::try_from(len).unwrap_or(0), AtomicU64::default);
}

fn bit(id: u64) -> u64 {
    1 << (id % 64)
}

impl Cache {
    /// Makes room for regular pages and protected ids below these. What lies
    /// beyond is simply never known.
    pub(crate) fn resize(&mut self, regular: u64, protected: u64) {
        resize(&mut self.regular, regular.div_ceil(64));
        resize(&mut self.protected, protected);
    }

    /// The protected ids that there is room for.
    pub(crate) fn protected_end(&self) -> u64 {
        self.protected.len() as u64
    }

    /// Forgets all, and keeps the room for it.
    pub(crate) fn clear(&self) {
        for entry in self.regular.iter().chain(&self.protected) {
            entry.store(0, Ordering::Relaxed);
        }
    }

    fn word(&self, id: u64) -> Option<&AtomicU64> {
        self.regular.get(usize::try_from(id / 64).ok()?)
    }

    #[inline]
    pub(crate) fn is_regular(&self, id: u64) -> bool {
        self.word(id)
            .is_some_and(|word| word.load(Ordering::Relaxed) & bit(id) != 0)
    }

    pub(crate) fn add_regular(&self, id: u64) {
        if let Some(word) = self.word(id) {
            word.fetch_or(bit(id), Ordering::Relaxed);
        }
    }

    /// What a commit allocated and freed. Nobody reads meanwhile.
    pub(crate) fn change_regular(&mut self, allocated: &[u64], freed: &[u64]) {
        for &id in freed {
            if let Some(word) = self.word_mut(id) {
                *word &= !bit(id);
            }
        }
        for &id in allocated {
            if let Some(word) = self.word_mut(id) {
                *word |= bit(id);
            }
        }
    }

    fn word_mut(&mut self, id: u64) -> Option<&mut u64> {
        let index = usize::try_from(id / 64).ok()?;
        self.regular.get_mut(index).map(AtomicU64::get_mut)
    }

    fn entry(&self, id: u64) -> Option<&AtomicU64> {
        self.protected.get(usize::try_from(id).ok()?)
    }

    #[inline]
    pub(crate) fn protected(&self, id: u64) -> Option<u64> {
        self.entry(id)?.load(Ordering::Relaxed).checked_sub(1)
    }

    pub(crate) fn add_protected(&self, id: u64, page: u64) {
        if let Some(entry) = self.entry(id) {
            entry.store(page.saturating_add(1), Ordering::Relaxed);
        }
    }

    pub(crate) fn drop_protected(&self, id: u64) {
        if let Some(entry) = self.entry(id) {
            entry.store(0, Ordering::Relaxed);
        }
    }
}
