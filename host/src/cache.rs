//! The translation cache: where pages are, so that reading one need not enter
//! the sandbox. What a commit changes is dropped.
//!
//! The first 131,072 pages (512 MiB, with 4 KiB a page) and the first 8192
//! protected ids have a place each. Those past them share places, as addresses
//! do in a processor's cache: the last one to come has it, and it says whose it
//! is. Two millions of pages in a row, or 65,536 protected ids, share none. So all
//! of it takes 1.4 MiB at most, however long the file is, and of what is shared only
//! as much as was touched: opening a long file costs what opening a short one
//! does. What is not known is asked for again.
//!
//! It also tells which protected page is known to be in a physical page, so that
//! what a pager says of one page can be held against what it said of others.
//!
//! Readers fill it from many threads at once. A word is written whole and
//! depends on nothing else, so relaxed atomics are enough.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// Which ids are known to be regular pages, and where protected pages are whose
/// bytes were verified.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    /// The key is a group of pages, the value a bit for each that is known.
    regular: Table<GROUP>,
    /// The key is an id, the value the physical page plus 1, or [`ZEROS`].
    protected: Table<PAGE>,
    /// Ids plus 1 of protected pages that were found lately, by the low bits of
    /// their physical page. Only `protected` says whether it is there still.
    holders: Chunks,
    /// Ids from here on are never known.
    regular_end: u64,
    protected_end: u64,
}

/// Groups of regular pages that have a place each.
const REGULAR_NEAR: u64 = 1 << 12;

/// Protected ids that have a place each.
const PROTECTED_NEAR: u64 = 1 << 13;

/// Places that the others share: a power of two.
const FAR: u64 = 1 << 16;

/// Places for the holders of physical pages, at most: a power of two.
const HOLDERS: u64 = 1 << 15;

/// The pages of a group, which has a bit for each.
const GROUP: u32 = 32;

/// The bits of a physical page plus 1. One that needs more is never known, nor
/// is, in a shared place, a protected id that needs more than the others.
const PAGE: u32 = 36;

/// Stands for the page of a protected page that no page holds: its bytes are
/// zeros.
const ZEROS: u64 = (1 << PAGE) - 1;

/// Words by number, 0 at first. Those that nobody changed take no memory.
#[derive(Debug, Default)]
struct Chunks(Vec<OnceLock<Box<Chunk>>>);

type Chunk = [AtomicU64; CHUNK];

/// The words of a chunk: 4 KiB.
const CHUNK: usize = 512;

impl Chunks {
    /// Makes room for so many words.
    fn resize(&mut self, len: u64) {
        let chunks = usize::try_from(len).unwrap_or(0).div_ceil(CHUNK);
        self.0.resize_with(chunks, OnceLock::new);
    }

    fn len(&self) -> u64 {
        (self.0.len() * CHUNK) as u64
    }

    /// The chunk of a word, and where in it the word is.
    fn place(&self, word: u64) -> Option<(&OnceLock<Box<Chunk>>, usize)> {
        let word = usize::try_from(word).ok()?;
        Some((self.0.get(word / CHUNK)?, word % CHUNK))
    }

    fn get(&self, word: u64) -> u64 {
        let found = self.place(word).and_then(|(chunk, word)| {
            let chunk = chunk.get()?;
            Some(chunk[word].load(Ordering::Relaxed))
        });
        found.unwrap_or(0)
    }

    /// A word to be changed, if there is room for it.
    fn word(&self, word: u64) -> Option<&AtomicU64> {
        let (chunk, word) = self.place(word)?;
        let zeros = || Box::new([const { AtomicU64::new(0) }; CHUNK]);
        Some(&chunk.get_or_init(zeros)[word])
    }

    /// Words that are there.
    fn words(&self) -> impl Iterator<Item = &AtomicU64> {
        self.0
            .iter()
            .filter_map(OnceLock::get)
            .flat_map(|chunk| chunk.iter())
    }
}

/// Values by key. 0 is none.
#[derive(Debug, Default)]
struct Table<const BITS: u32> {
    /// Those of the first keys.
    near: Vec<AtomicU64>,
    /// Those of others: a value of so many bits, and above it its key.
    far: Chunks,
}

impl<const BITS: u32> Table<BITS> {
    #[inline]
    fn near(&self, key: u64) -> Option<&AtomicU64> {
        self.near.get(usize::try_from(key).ok()?)
    }

    /// The value of a key in a shared place's word.
    fn value(word: u64, key: u64) -> u64 {
        if word >> BITS == key {
            word & ((1 << BITS) - 1)
        } else {
            0
        }
    }

    /// What becomes of a shared place's word where a key gets a value. If they
    /// find no room in one, nothing is known of the key.
    fn changed(word: u64, key: u64, value: u64) -> u64 {
        if key >> (64 - BITS) == 0 && value >> BITS == 0 {
            key << BITS | value
        } else if word >> BITS == key {
            0
        } else {
            word
        }
    }

    #[inline]
    fn get(&self, key: u64) -> u64 {
        match self.near(key) {
            Some(value) => value.load(Ordering::Relaxed),
            None => self.get_far(key),
        }
    }

    #[cold]
    fn get_far(&self, key: u64) -> u64 {
        Self::value(self.far.get(key % FAR), key)
    }

    /// Changes the value of a key. Others may do the same.
    fn change(&self, key: u64, to: impl Fn(u64) -> u64) {
        let relaxed = Ordering::Relaxed;
        if let Some(value) = self.near(key) {
            let _ = value.fetch_update(relaxed, relaxed, |value| Some(to(value)));
        } else if let Some(word) = self.far.word(key % FAR) {
            let change = |word| Some(Self::changed(word, key, to(Self::value(word, key))));
            let _ = word.fetch_update(relaxed, relaxed, change);
        }
    }

    fn clear(&self) {
        for word in self.near.iter().chain(self.far.words()) {
            word.store(0, Ordering::Relaxed);
        }
    }

    /// Makes room for so many keys, of which the first ones get a place each.
    fn resize(&mut self, keys: u64, near: u64) {
        let first = usize::try_from(keys.min(near)).unwrap_or(0);
        self.near.resize_with(first, AtomicU64::default);
        self.far.resize(if keys > near { FAR } else { 0 });
    }
}

fn group(id: u64) -> u64 {
    id / u64::from(GROUP)
}

fn bit(id: u64) -> u64 {
    1 << (id % u64::from(GROUP))
}

impl Cache {
    /// Makes room for regular pages and protected ids below these. What lies
    /// beyond is simply never known.
    pub(crate) fn resize(&mut self, regular: u64, protected: u64) {
        if regular < self.regular_end || protected < self.protected_end {
            self.clear();
        }
        let groups = regular.div_ceil(u64::from(GROUP));
        self.regular.resize(groups, REGULAR_NEAR);
        self.protected.resize(protected, PROTECTED_NEAR);
        // A protected page may have two physical ones.
        let holders = protected.saturating_mul(2).min(HOLDERS);
        self.holders.resize(holders.next_power_of_two());
        (self.regular_end, self.protected_end) = (regular, protected);
    }

    /// The protected ids that there is room for.
    pub(crate) fn protected_end(&self) -> u64 {
        self.protected_end
    }

    /// Forgets all, and keeps the room for it.
    pub(crate) fn clear(&self) {
        self.regular.clear();
        self.protected.clear();
        for id in self.holders.words() {
            id.store(0, Ordering::Relaxed);
        }
    }

    #[inline]
    pub(crate) fn is_regular(&self, id: u64) -> bool {
        self.regular.get(group(id)) & bit(id) != 0
    }

    pub(crate) fn add_regular(&self, id: u64) {
        if id < self.regular_end {
            self.regular.change(group(id), |bits| bits | bit(id));
        }
    }

    /// What a commit allocated and freed. Nobody reads meanwhile.
    pub(crate) fn change_regular(&mut self, allocated: &[u64], freed: &[u64]) {
        for &id in freed {
            if self.is_regular(id) {
                self.regular.change(group(id), |bits| bits & !bit(id));
            }
        }
        for &id in allocated {
            if id < self.regular_end {
                self.regular.change(group(id), |bits| bits | bit(id));
            }
        }
    }

    /// The physical page of a protected page, if it is known and has one.
    #[inline]
    pub(crate) fn protected(&self, id: u64) -> Option<u64> {
        // One comparison for both that are no page: 0, which is none, and zeros.
        let page = self.protected.get(id).wrapping_sub(1);
        (page < ZEROS - 1).then_some(page)
    }

    /// Whether it is known that a protected page is zeros which no page holds.
    pub(crate) fn is_zeros(&self, id: u64) -> bool {
        self.protected.get(id) == ZEROS
    }

    pub(crate) fn add_zeros(&self, id: u64) {
        if id < self.protected_end {
            self.protected.change(id, |_| ZEROS);
        }
    }

    pub(crate) fn add_protected(&self, id: u64, page: u64) {
        if page >= ZEROS - 1 {
            self.drop_protected(id);
        } else if id < self.protected_end {
            self.protected.change(id, |_| page + 1);
            if let Some(place) = self.holders.word(self.place_of_holder(page)) {
                place.store(id.saturating_add(1), Ordering::Relaxed);
            }
        }
    }

    fn place_of_holder(&self, page: u64) -> u64 {
        page % self.holders.len().max(1)
    }

    /// The protected page that is known to be in a physical page. None: nobody
    /// knows of one.
    pub(crate) fn holder(&self, page: u64) -> Option<u64> {
        let id = self
            .holders
            .get(self.place_of_holder(page))
            .checked_sub(1)?;
        (self.protected(id) == Some(page)).then_some(id)
    }

    pub(crate) fn drop_protected(&self, id: u64) {
        if self.protected.get(id) != 0 {
            self.protected.change(id, |_| 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    /// `SplitMix64`, as in the test kit, which the package is tested without.
    struct Rng(u64);

    impl Rng {
        fn below(&mut self, end: u64) -> u64 {
            self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut z = self.0;
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            (z ^ (z >> 31)) % end
        }
    }

    fn cache(regular: u64, protected: u64) -> Cache {
        let mut cache = Cache::default();
        cache.resize(regular, protected);
        cache
    }

    #[test]
    fn memory_does_not_grow_with_the_file() {
        fn of_chunks(chunks: &Chunks) -> usize {
            size_of_val(&chunks.0[..]) + chunks.words().count() * size_of::<AtomicU64>()
        }
        fn of<const BITS: u32>(table: &Table<BITS>) -> usize {
            table.near.capacity() * size_of::<AtomicU64>() + of_chunks(&table.far)
        }
        let memory =
            |cache: &Cache| of(&cache.regular) + of(&cache.protected) + of_chunks(&cache.holders);
        assert_eq!(memory(&Cache::default()), 0);
        assert!(memory(&cache(4, 1)) < 100);
        for pages in [1 << 28, 1 << 40, u64::MAX] {
            let cache = cache(pages, pages);
            let untouched = memory(&cache);
            assert!(untouched < 110_000, "{untouched} bytes for {pages} pages");
            for id in (0..1 << 25).step_by(16) {
                cache.add_regular(id);
                cache.add_protected(id, id);
            }
            let full = untouched + (5 << 18);
            assert_eq!(memory(&cache), full, "{pages} pages");
        }
    }

    #[test]
    fn first_pages_have_a_place_each_and_the_others_are_known_too() {
        let cache = cache(1 << 40, 1 << 28);
        let regular = (0..1 << 20).chain(1 << 36..(1 << 36) + 1000);
        regular.clone().for_each(|id| cache.add_regular(id));
        assert!(regular.clone().all(|id| cache.is_regular(id)));
        let protected = (0..1 << 16).chain(1 << 27..(1 << 27) + 1000);
        protected
            .clone()
            .for_each(|id| cache.add_protected(id, id + 7));
        assert!(
            protected
                .clone()
                .all(|id| cache.protected(id) == Some(id + 7))
        );
    }

    /// Nothing is ever known that was not said, however many share a slot.
    #[test]
    fn what_is_known_is_so() {
        const END: u64 = 1 << 40;
        let mut cache = cache(END, END);
        let mut rng = Rng(1);
        let (mut regular, mut protected) = (HashMap::new(), HashMap::new());
        let (mut known, mut held, mut zeros) = (0, 0, 0);
        for step in 0..200_000_u64 {
            // Ids that share slots, those of neighbours, and those without room.
            let id = rng.below(4) * (FAR * 32) + rng.below(70) + ((step % 3 / 2) << 38);
            match rng.below(5) {
                0 => {
                    cache.add_regular(id);
                    regular.insert(id, true);
                }
                1 => {
                    let new = [id, id + 1];
                    cache.change_regular(&new[..1], &new[1..]);
                    regular.extend([(id, true), (id + 1, false)]);
                }
                2 => {
                    cache.add_protected(id, step << (step % 30));
                    protected.insert(id, Some(step << (step % 30)));
                }
                3 => {
                    cache.drop_protected(id);
                    protected.insert(id, None);
                }
                4 if step % 2 == 0 => {
                    cache.add_zeros(id);
                    protected.insert(id, Some(ZEROS));
                }
                _ => {}
            }
            let is_regular = cache.is_regular(id);
            assert!(!is_regular || regular.get(&id) == Some(&true), "{id}");
            let page = cache.protected(id);
            assert!(page.is_none() || protected.get(&id) == Some(&page), "{id}");
            let is_zeros = cache.is_zeros(id);
            assert!(
                !is_zeros || protected.get(&id) == Some(&Some(ZEROS)),
                "{id}"
            );
            zeros += u64::from(is_zeros);
            if let Some(page) = page {
                let holder = cache.holder(page);
                assert!(holder.is_none_or(|id| protected.get(&id) == Some(&Some(page))));
                held += u64::from(holder == Some(id));
            }
            known += u64::from(is_regular) + u64::from(page.is_some());
        }
        assert!(known > 10_000, "{known} known");
        assert!(held > 1000, "{held} found by their pages");
        assert!(zeros > 100, "{zeros} known to be zeros");
        cache.clear();
        assert!(regular.keys().all(|id| !cache.is_regular(*id)));
        let is_known = |id: &u64| cache.protected(*id).is_some() || cache.is_zeros(*id);
        assert!(!protected.keys().any(is_known));
    }

    #[test]
    fn growth_keeps_what_is_known_and_nothing_is_known_past_the_end() {
        let mut cache = cache(100, 10);
        for id in [0, 31, 32, 99, 100, 131] {
            cache.add_regular(id);
        }
        cache.change_regular(&[50, 101], &[]);
        cache.add_protected(3, 40);
        cache.add_protected(10, 41);
        cache.resize(5000, 300);
        let known: Vec<_> = (0..6000).filter(|id| cache.is_regular(*id)).collect();
        assert_eq!(known, [0, 31, 32, 50, 99]);
        let known: Vec<_> = (0..400).filter_map(|id| cache.protected(id)).collect();
        assert_eq!((known, cache.protected(3)), (vec![40], Some(40)));
        cache.add_regular(4999);
        assert!(cache.is_regular(4999));
        cache.resize(4999, 300);
        assert!(!cache.is_regular(4999), "it became shorter");
    }
}
