//! [`Deltas`]: what changed since the last fold. A root record holds them, and
//! the trees that it names are as of that fold.

use alloc::collections::BTreeMap;

use super::entry::{self, Entry, NUMBER};
use super::leaf::Kind;
use super::shape::ENTRY_LEN;
use crate::codec::{put, u64_at, wide};

/// Bytes of what became of a protected id: the id, and its entry.
pub(super) const ID_LEN: usize = 8 + ENTRY_LEN;

/// Bytes of what became of a regular page.
pub(super) const PAGE_LEN: usize = 8;

/// Where the kind of a regular page stands, above its number.
const KIND_SHIFT: u32 = 48;

/// What changed since the last fold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deltas {
    /// What protected ids name now; none: they were freed.
    pub ids: BTreeMap<u64, Option<Entry>>,
    /// Whether these pages are regular now. One that is not may have become
    /// something else.
    pub regular: BTreeMap<u64, bool>,
}

impl Deltas {
    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty() && self.regular.is_empty()
    }

    /// Bytes that they take in a record.
    pub fn encoded_len(&self) -> usize {
        encoded_len(self.counts_with(&Self::default()))
    }

    /// How many ids and regular pages changed, of these and later ones.
    pub(super) fn counts_with(&self, later: &Self) -> [usize; 2] {
        [
            count(&self.ids, &later.ids),
            count(&self.regular, &later.regular),
        ]
    }

    /// The highest id that is stored since the fold; 0 if none is.
    pub(super) fn highest_stored(&self) -> u64 {
        let mut ids = self.ids.iter().rev();
        ids.find(|(_, entry)| entry.is_some())
            .map_or(0, |(&id, _)| id)
    }

    /// The first id from `id` on that is stored since the fold.
    pub(super) fn next_stored(&self, id: u64) -> Option<u64> {
        let mut ids = self.ids.range(id..);
        ids.find(|(_, entry)| entry.is_some()).map(|(&id, _)| id)
    }

    /// Adds what changed after these.
    pub(super) fn extend(&mut self, later: Self) {
        self.ids.extend(later.ids);
        self.regular.extend(later.regular);
    }

    /// The first id from `id` on that is not stored since the fold.
    pub(super) fn next_unstored(&self, id: u64) -> u64 {
        let stored = self.ids.range(id..).zip(id..);
        let run = stored.take_while(|((at, entry), id)| *at == id && entry.is_some());
        id + wide(run.count())
    }

    /// Writes them at `at`, with what changed after them.
    pub(super) fn encode_with(&self, later: &Self, bytes: &mut [u8], at: usize) {
        let mut at = at;
        merge(&self.ids, &later.ids, |id, entry| {
            put(bytes, at, &id.to_le_bytes());
            entry::encode(bytes, at + 8, entry.as_ref());
            at += ID_LEN;
        });
        merge(&self.regular, &later.regular, |page, &is_regular| {
            let kind = if is_regular {
                Kind::Regular
            } else {
                Kind::Free
            };
            let word = page | u64::from(kind.nibble()) << KIND_SHIFT;
            put(bytes, at, &word.to_le_bytes());
            at += PAGE_LEN;
        });
    }

    /// Reads so many from the start of these bytes; none where they can't be.
    pub(super) fn decode(bytes: &[u8], ids: u32, regular: u32) -> Option<Self> {
        let len = u64::from(ids) * wide(ID_LEN) + u64::from(regular) * wide(PAGE_LEN);
        if len > wide(bytes.len()) {
            return None;
        }
        let mut deltas = Self::default();
        let mut at = 0;
        for _ in 0..ids {
            let id = u64_at(bytes, at);
            if id > NUMBER || !is_ascending(&deltas.ids, id) {
                return None;
            }
            let entry = entry::decode(bytes, at + 8).ok()?;
            deltas.ids.insert(id, entry);
            at += ID_LEN;
        }
        for _ in 0..regular {
            let word = u64_at(bytes, at);
            let page = word & NUMBER;
            let is_regular = match word >> KIND_SHIFT {
                0 => false,
                1 => true,
                _ => return None,
            };
            if !is_ascending(&deltas.regular, page) {
                return None;
            }
            deltas.regular.insert(page, is_regular);
            at += PAGE_LEN;
        }
        Some(deltas)
    }
}

/// Bytes that so many ids and regular pages take in a record.
pub(super) fn encoded_len([ids, regular]: [usize; 2]) -> usize {
    ids * ID_LEN + regular * PAGE_LEN
}

/// How many numbers two maps have together.
fn count<T>(before: &BTreeMap<u64, T>, later: &BTreeMap<u64, T>) -> usize {
    let new = later.keys().filter(|number| !before.contains_key(number));
    before.len() + new.count()
}

/// Calls `f` with what two maps have, ascending; where both have a number, with
/// the later.
fn merge<T>(before: &BTreeMap<u64, T>, later: &BTreeMap<u64, T>, mut f: impl FnMut(u64, &T)) {
    let mut old = before.iter().peekable();
    for (&number, new) in later {
        while let Some((&before, value)) = old.next_if(|(before, _)| **before < number) {
            f(before, value);
        }
        old.next_if(|(before, _)| **before == number);
        f(number, new);
    }
    old.for_each(|(&number, value)| f(number, value));
}

/// Whether a number comes after all that are there.
fn is_ascending<T>(before: &BTreeMap<u64, T>, number: u64) -> bool {
    before
        .last_key_value()
        .is_none_or(|(&last, _)| last < number)
}
