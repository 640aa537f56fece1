//! [`Nibbles`]: what some pages are, sixteen in a word as in a leaf, so that many
//! of them cost little more than one.

use alloc::collections::BTreeMap;

use super::leaf::{self, Kind, LOWEST, WORD};

/// What some pages are.
#[derive(Clone, Debug, Default)]
pub(super) struct Nibbles {
    /// By the number of their word: sixteen pages each. None without a page.
    words: BTreeMap<u64, Word>,
}

/// What some of sixteen pages are.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Word {
    /// All bits of the nibbles that say something.
    known: u64,
    /// What they say; zeros elsewhere.
    kinds: u64,
}

impl Word {
    /// Laid over a word of a leaf.
    pub(super) fn over(self, leaf: u64) -> u64 {
        leaf & !self.known | self.kinds
    }

    /// The lowest bit of the nibble of each page that is free then.
    pub(super) fn free_over(self, leaf: u64) -> u64 {
        leaf::free(self.over(leaf))
    }

    /// The first place from `place` on that it knows.
    fn next(self, place: u64) -> Option<u64> {
        let here = self.known & LOWEST & !((1 << (4 * place)) - 1);
        (here != 0).then(|| u64::from(here.trailing_zeros()) / 4)
    }

    fn at(self, place: u64) -> Option<Kind> {
        let shift = 4 * place;
        if self.known >> shift & 1 == 0 {
            return None;
        }
        let [nibble, ..] = (self.kinds >> shift & 15).to_le_bytes();
        Kind::from_nibble(nibble)
    }
}

impl Nibbles {
    /// What a page is, if it is one of them.
    pub(super) fn get(&self, page: u64) -> Option<Kind> {
        self.words.get(&(page / WORD))?.at(page % WORD)
    }

    /// Says what a page is.
    pub(super) fn insert(&mut self, page: u64, kind: Kind) {
        let shift = 4 * (page % WORD);
        let word = self.words.entry(page / WORD).or_default();
        word.known |= 15 << shift;
        word.kinds = word.kinds & !(15 << shift) | u64::from(kind.nibble()) << shift;
    }

    /// The first of them from `page` on.
    pub(super) fn next(&self, page: u64) -> Option<u64> {
        let first = page / WORD;
        let here = self.words.get(&first);
        if let Some(place) = here.and_then(|word| word.next(page % WORD)) {
            return Some(first * WORD + place);
        }
        let (&number, word) = self.words.range(first + 1..).next()?;
        word.next(0).map(|place| number * WORD + place)
    }

    /// The word with this number; one that knows nothing where there is none.
    pub(super) fn word(&self, number: u64) -> Word {
        self.words.get(&number).copied().unwrap_or_default()
    }

    /// Those of the words `first..end` that have any.
    pub(super) fn words(&self, first: u64, end: u64) -> impl Iterator<Item = (u64, Word)> + '_ {
        let words = self.words.range(first..end);
        words.map(|(&number, &word)| (number, word))
    }

    /// All of them, ascending.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, Kind)> + '_ {
        self.words.iter().flat_map(|(&number, &word)| {
            let mut left = word.known & LOWEST;
            core::iter::from_fn(move || {
                let place = (left != 0).then(|| u64::from(left.trailing_zeros()) / 4)?;
                left &= left - 1;
                Some((number * WORD + place, word.at(place)?))
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against a map with an entry a page, over a leaf that is a vector of kinds.
    #[test]
    fn words_say_what_single_pages_say() {
        let mut random = 88_172_645_463_325_252_u64;
        let mut below = |limit: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random % limit
        };
        let kind_of = |number: u64| {
            let nibble = u8::try_from(number).ok();
            nibble.and_then(Kind::from_nibble).expect("there are seven")
        };
        let mut nibbles = Nibbles::default();
        let mut twin = BTreeMap::new();
        for step in 0..400 {
            let kind = kind_of(below(7));
            let page = below(10) * below(16);
            nibbles.insert(page, kind);
            twin.insert(page, kind);
            assert!(
                nibbles
                    .iter()
                    .eq(twin.iter().map(|(&page, &kind)| (page, kind)))
            );
            for page in 0..160 {
                assert_eq!(nibbles.get(page), twin.get(&page).copied(), "step {step}");
                let next = twin.range(page..).next().map(|(&next, _)| next);
                assert_eq!(nibbles.next(page), next, "step {step}, from {page}");
            }
            let mut leaf = [0; 80];
            for place in 0..160 {
                leaf::set(&mut leaf, place, kind_of(below(7)));
            }
            for number in 0..10 {
                let word = nibbles.word(number);
                let at = usize::try_from(number * 8).expect("below 80");
                let in_leaf = crate::codec::u64_at(&leaf, at);
                let over = word.over(in_leaf).to_le_bytes();
                let free = leaf::packed(word.free_over(in_leaf));
                for place in 0..WORD {
                    let page = number * WORD + place;
                    let read = leaf::kind(&leaf, page);
                    let kind = twin.get(&page).copied();
                    assert_eq!(leaf::kind(&over, place), kind.unwrap_or(read));
                    let is_free = kind.unwrap_or(read).is_free();
                    assert_eq!(free >> place & 1 == 1, is_free, "step {step}, page {page}");
                }
            }
        }
    }
}
