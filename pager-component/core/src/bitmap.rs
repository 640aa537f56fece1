//! A bitmap that finds its lowest clear bit without scanning from the start,
//! and [`Overlay`], a sparse set of bits to be merged into one. Pure.
//!
//! Invariants: bits at or past `len` are clear; `ones` counts the set bits; bit
//! `w` of `full` is set exactly if word `w` is all ones.

use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;

use crate::codec::narrow;
use crate::ids::Extent;

const WORD: u64 = 64;

/// The word that a bit is in, and the bit's mask within it.
fn place(bit: u64) -> (u64, u64) {
    (bit / WORD, 1 << (bit % WORD))
}

/// Bits by number, the lowest first. Bit `n` is bit `n % 64` of word `n / 64`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bitmap {
    len: u64,
    ones: u64,
    words: Vec<u64>,
    full: Vec<u64>,
}

impl Bitmap {
    /// `len` clear bits.
    pub fn new(len: u64) -> Self {
        Self::from_words(Vec::new(), len)
    }

    /// `len` set bits.
    pub fn all_ones(len: u64) -> Self {
        let mut map = Self::new(len);
        for word in 0..map.words.len() as u64 {
            map.merge(word, u64::MAX, 0);
        }
        map
    }

    /// The first `len` bits of `words`; missing words are clear.
    pub fn from_words(mut words: Vec<u64>, len: u64) -> Self {
        words.resize(narrow(len.div_ceil(WORD)), 0);
        if let Some(last) = words.last_mut()
            && !len.is_multiple_of(WORD)
        {
            *last &= (1 << (len % WORD)) - 1;
        }
        let mut map = Self {
            len,
            ones: words.iter().map(|word| u64::from(word.count_ones())).sum(),
            full: vec![0; words.len().div_ceil(64)],
            words,
        };
        for word in 0..map.words.len() as u64 {
            map.note_full(word);
        }
        map
    }

    /// How many bits there are.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there are no bits at all.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many bits are set.
    pub fn ones(&self) -> u64 {
        self.ones
    }

    /// The words, lowest bits first.
    pub fn words(&self) -> &[u64] {
        &self.words
    }

    /// Word `word`; zero past the end.
    pub fn word(&self, word: u64) -> u64 {
        self.words.get(narrow(word)).copied().unwrap_or(0)
    }

    /// Whether `bit` is set; false past the end.
    pub fn get(&self, bit: u64) -> bool {
        let (word, mask) = place(bit);
        self.word(word) & mask != 0
    }

    /// Sets or clears `bit`. Past the end nothing happens.
    pub fn set(&mut self, bit: u64, value: bool) {
        let (word, mask) = place(bit);
        if value {
            self.merge(word, mask, 0);
        } else {
            self.merge(word, 0, mask);
        }
    }

    /// Sets and clears bits of one word. Past the end nothing happens.
    fn merge(&mut self, word: u64, set: u64, clear: u64) {
        let valid = match self.len.saturating_sub(word * WORD) {
            bits @ 0..WORD => (1 << bits) - 1,
            _ => u64::MAX,
        };
        let Some(slot) = self.words.get_mut(narrow(word)) else {
            return;
        };
        let before = *slot;
        *slot = (before | (set & valid)) & !clear;
        self.ones += u64::from(slot.count_ones());
        self.ones -= u64::from(before.count_ones());
        self.note_full(word);
    }

    fn note_full(&mut self, word: u64) {
        let all_ones = self.word(word) == u64::MAX;
        let (group, mask) = place(word);
        if let Some(full) = self.full.get_mut(narrow(group)) {
            *full = if all_ones {
                *full | mask
            } else {
                *full & !mask
            };
        }
    }

    /// Sets every bit of `overlay` to `value`.
    pub fn apply(&mut self, overlay: &Overlay, value: bool) {
        for (&word, &mask) in &overlay.words {
            if value {
                self.merge(word, mask, 0);
            } else {
                self.merge(word, 0, mask);
            }
        }
    }

    /// Makes room for `len` bits; the new ones are clear. Never shortens.
    pub fn grow(&mut self, len: u64) {
        if len > self.len {
            self.len = len;
            self.words.resize(narrow(len.div_ceil(WORD)), 0);
            self.full.resize(self.words.len().div_ceil(64), 0);
        }
    }

    /// The lowest clear bit at or after `start`.
    pub fn find_clear(&self, start: u64) -> Option<u64> {
        let first = start / WORD;
        let here = !self.word(first) & (u64::MAX << (start % WORD));
        let found = if here != 0 && narrow(first) < self.words.len() {
            first * WORD + u64::from(here.trailing_zeros())
        } else {
            let word = self.find_word_with_room(first + 1)?;
            word * WORD + u64::from(self.word(word).trailing_ones())
        };
        (found < self.len).then_some(found)
    }

    /// The first word at or after `start` that is not all ones.
    fn find_word_with_room(&self, start: u64) -> Option<u64> {
        let group = start / WORD;
        let mut mask = u64::MAX << (start % WORD);
        for (group, full) in (group..).zip(self.full.get(narrow(group)..)?) {
            let room = !full & mask;
            if room != 0 {
                let word = group * WORD + u64::from(room.trailing_zeros());
                return (narrow(word) < self.words.len()).then_some(word);
            }
            mask = u64::MAX;
        }
        None
    }

    /// The lowest set bit at or after `start`.
    pub fn find_set(&self, start: u64) -> Option<u64> {
        let first = start / WORD;
        let mut mask = u64::MAX << (start % WORD);
        for (word, bits) in (first..).zip(self.words.get(narrow(first)..)?) {
            let here = bits & mask;
            if here != 0 {
                return Some(word * WORD + u64::from(here.trailing_zeros()));
            }
            mask = u64::MAX;
        }
        None
    }

    /// How many bits of `first..end` are set.
    pub fn count(&self, first: u64, end: u64) -> u64 {
        let end = end.min(self.len);
        if first >= end {
            return 0;
        }
        let words = self
            .words
            .get(narrow(first / WORD)..narrow(end.div_ceil(WORD)));
        let ones: u64 = words
            .unwrap_or_default()
            .iter()
            .map(|word| u64::from(word.count_ones()))
            .sum();
        let before = self.word(first / WORD) & !(u64::MAX << (first % WORD));
        let after = match end % WORD {
            0 => 0,
            bits => self.word(end / WORD) & (u64::MAX << bits),
        };
        ones - u64::from(before.count_ones()) - u64::from(after.count_ones())
    }

    /// The set bits, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        let mut next = 0;
        core::iter::from_fn(move || {
            let bit = self.find_set(next)?;
            next = bit + 1;
            Some(bit)
        })
    }

    /// The set bits of `self` that `other` has clear, ascending.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        let words = self
            .words
            .iter()
            .zip(0..)
            .map(|(word, n)| word & !other.word(n))
            .collect();
        Self::from_words(words, self.len)
    }
}

/// A sparse set of bits, kept apart from the bitmap that they are meant for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overlay {
    words: BTreeMap<u64, u64>,
    len: u64,
}

impl FromIterator<u64> for Overlay {
    fn from_iter<T: IntoIterator<Item = u64>>(bits: T) -> Self {
        let mut overlay = Self::default();
        for bit in bits {
            overlay.insert(bit);
        }
        overlay
    }
}

impl Overlay {
    /// The bits of some runs, all below `limit`.
    ///
    /// # Errors
    /// The first bit of a run that is not.
    pub fn of_runs(runs: &[Extent], limit: u64) -> Result<Self, u64> {
        let mut overlay = Self::default();
        for &Extent { first, count } in runs {
            let end = first.saturating_add(count);
            if count > 0 && end > limit {
                return Err(first.max(limit));
            }
            overlay.insert_run(first, end);
        }
        Ok(overlay)
    }

    /// How many bits it holds.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether it holds `bit`.
    pub fn contains(&self, bit: u64) -> bool {
        let (word, mask) = place(bit);
        self.words.get(&word).is_some_and(|bits| bits & mask != 0)
    }

    /// Word `word`: bits `64 * word` and up.
    pub fn word(&self, word: u64) -> u64 {
        self.words.get(&word).copied().unwrap_or(0)
    }

    /// Adds `bit`; false if it was there.
    pub fn insert(&mut self, bit: u64) -> bool {
        let (word, mask) = place(bit);
        self.insert_word(word, mask) != 0
    }

    /// Adds bits of a word; those of them that were not there.
    pub fn insert_word(&mut self, word: u64, bits: u64) -> u64 {
        if bits == 0 {
            return 0;
        }
        let slot = self.words.entry(word).or_default();
        let fresh = bits & !*slot;
        *slot |= bits;
        self.len += u64::from(fresh.count_ones());
        fresh
    }

    /// Adds the bits of another one.
    pub fn extend(&mut self, other: &Self) {
        for (word, bits) in other.words() {
            self.insert_word(word, bits);
        }
    }

    /// Adds the bits from `first` on, below `end`.
    fn insert_run(&mut self, first: u64, end: u64) {
        let mut next = first;
        while next < end {
            let (word, _) = place(next);
            let below = u64::MAX << (next % WORD);
            next = (word + 1) * WORD;
            let above = match next.saturating_sub(end) {
                past @ 0..WORD => u64::MAX >> past,
                _ => 0,
            };
            self.insert_word(word, below & above);
        }
    }

    /// Removes `bit`; false if it was not there.
    pub fn remove(&mut self, bit: u64) -> bool {
        let (word, mask) = place(bit);
        self.remove_word(word, mask) != 0
    }

    /// Removes bits of a word; those of them that were there.
    pub fn remove_word(&mut self, word: u64, bits: u64) -> u64 {
        let Some(slot) = self.words.get_mut(&word) else {
            return 0;
        };
        let found = *slot & bits;
        *slot &= !bits;
        if *slot == 0 {
            self.words.remove(&word);
        }
        self.len -= u64::from(found.count_ones());
        found
    }

    /// The lowest bit from `from` on that it holds.
    pub fn next(&self, from: u64) -> Option<u64> {
        let (first, mask) = place(from);
        let here = self.word(first) & !(mask - 1);
        let (word, bits) = if here == 0 {
            let (&word, &bits) = self.words.range(first + 1..).next()?;
            (word, bits)
        } else {
            (first, here)
        };
        Some(word * WORD + u64::from(bits.trailing_zeros()))
    }

    /// The highest bit that it holds.
    pub fn max(&self) -> Option<u64> {
        let (word, bits) = self.words.last_key_value()?;
        Some(word * WORD + u64::from(bits.ilog2()))
    }

    /// How many words that are not zero there are.
    pub fn word_count(&self) -> usize {
        self.words.len()
    }

    /// Its words that are not zero, ascending, each with its number.
    pub fn words(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.words.iter().map(|(&word, &bits)| (word, bits))
    }

    /// Its bits, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        self.words.iter().flat_map(|(&word, &bits)| {
            let mut left = bits;
            core::iter::from_fn(move || {
                let bit = (left != 0).then(|| u64::from(left.trailing_zeros()))?;
                left &= left - 1;
                Some(word * WORD + bit)
            })
        })
    }
}
