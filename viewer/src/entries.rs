//! The protected pages that somebody wants to see, in the order in which they
//! are wanted.

use std::cmp::Reverse;

use crate::{head::Head, inspect::Entry, look::LookError, source::View};

/// The most that are sorted or searched.
const SORTED_MAX: usize = 20_000;

/// The most bytes that are read to find out whose checksum disagrees.
const VERIFIED_BYTES_MAX: u64 = 256 << 20;

/// How many are asked for at a time.
const PART: u32 = 1000;

/// What they are sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    Id,
    Generation,
    /// The page that holds the bytes; those of zeros come first.
    Page,
}

/// In which order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Order {
    key: Key,
    greatest_first: bool,
}

impl Order {
    /// The order of a word: `id`, `generation` or `page`, with `-` before it the
    /// greatest first.
    pub(crate) fn of(word: &str) -> Option<Self> {
        let (greatest_first, word) = match word.strip_prefix('-') {
            Some(word) => (true, word),
            None => (false, word),
        };
        let key = match word {
            "id" => Key::Id,
            "generation" => Key::Generation,
            "page" => Key::Page,
            _ => return None,
        };
        Some(Self {
            key,
            greatest_first,
        })
    }

    fn sort(self, entries: &mut [Entry]) {
        let key = |entry: &Entry| match self.key {
            Key::Id => Some(entry.id),
            Key::Generation => Some(entry.generation),
            Key::Page => entry.page,
        };
        if self.greatest_first {
            entries.sort_by_key(|entry| Reverse((key(entry), entry.id)));
        } else {
            entries.sort_by_key(|entry| (key(entry), entry.id));
        }
    }
}

/// Which of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    /// Those with this protected id or physical page.
    pub(crate) named: Option<u64>,
    /// Those with which something is wrong.
    pub(crate) only_problems: bool,
    pub(crate) order: Order,
}

/// What was found of what is wanted.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) entries: Vec<Entry>,
    /// How many were looked at.
    pub(crate) seen: usize,
    /// Whether there were too many to look at each.
    pub(crate) truncated: bool,
    /// Whether those whose checksum disagrees were wanted as well, and could not
    /// be found: that is too much to read.
    pub(crate) unverified: bool,
}

impl Wanted {
    /// All of them, or as many as are sorted.
    pub(crate) fn find(self, view: &mut View, head: &Head) -> Result<Found, LookError> {
        let (mut entries, truncated) = all(view, false)?;
        let seen = entries.len();
        let bytes = (seen as u64).saturating_mul(u64::from(head.page_size));
        let unverified = self.only_problems && bytes > VERIFIED_BYTES_MAX;
        if self.only_problems && !unverified {
            entries = all(view, true)?.0;
        }
        entries.retain(|entry| self.has(entry));
        self.order.sort(&mut entries);
        Ok(Found {
            entries,
            seen,
            truncated,
            unverified,
        })
    }

    fn has(self, entry: &Entry) -> bool {
        let names = |wanted| entry.id == wanted || owns(entry, wanted);
        let differs = |actual| actual != entry.checksum;
        let is_bad = !entry.problem.is_empty() || entry.actual.is_some_and(differs);
        self.named.is_none_or(names) && (is_bad || !self.only_problems)
    }
}

fn owns(entry: &Entry, page: u64) -> bool {
    entry.pages.iter().any(|own| own.page == page)
}

/// All protected pages, or as many as are sorted, and whether there are more.
fn all(view: &mut View, verify: bool) -> Result<(Vec<Entry>, bool), LookError> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut start = 0;
    while entries.len() < SORTED_MAX {
        let part = view.look().directory(start, PART, verify)?;
        let Some(last) = part.last() else {
            return Ok((entries, false));
        };
        start = last.id.saturating_add(1);
        entries.extend(part);
    }
    let has_more = !view.look().directory(start, 1, false)?.is_empty();
    Ok((entries, has_more))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::{Algorithm, Checksum, OwnedPage};

    fn crc(value: u64) -> Checksum {
        Checksum {
            algorithm: Algorithm::Crc32,
            low: value,
            high: 0,
        }
    }

    fn entry(id: u64, page: Option<u64>, generation: u64) -> Entry {
        let other = OwnedPage {
            page: 200 - id,
            kind: 3,
        };
        let own = page.map(|page| OwnedPage { page, kind: 2 });
        Entry {
            id,
            page,
            pages: own.into_iter().chain([other]).collect(),
            generation,
            checksum: crc(7),
            actual: Some(crc(7)),
            problem: String::new(),
            place: String::new(),
        }
    }

    #[test]
    fn order_is_that_of_a_word_and_no_other() {
        let entries = [
            entry(1, Some(99), 5),
            entry(2, Some(98), 5),
            entry(3, Some(197), 4),
            entry(4, None, 6),
        ];
        let sorted = |word| {
            let mut entries = entries.to_vec();
            Order::of(word).expect("an order").sort(&mut entries);
            entries.iter().map(|entry| entry.id).collect::<Vec<_>>()
        };
        assert_eq!(sorted("id"), [1, 2, 3, 4]);
        assert_eq!(sorted("-id"), [4, 3, 2, 1]);
        assert_eq!(sorted("generation"), [3, 1, 2, 4]);
        assert_eq!(sorted("-generation"), [4, 2, 1, 3]);
        assert_eq!(sorted("page"), [4, 2, 1, 3]);
        for word in ["", "-", "--id", "Id", "checksum"] {
            assert_eq!(Order::of(word), None, "{word}");
        }
    }

    #[test]
    fn entry_is_wanted_by_id_by_each_page_or_for_what_is_wrong_with_it() {
        let wanted = |named, only_problems| Wanted {
            named,
            only_problems,
            order: Order::of("id").expect("an order"),
        };
        let sound = entry(1, Some(99), 1);
        for named in [None, Some(1), Some(99), Some(199)] {
            assert!(wanted(named, false).has(&sound), "{named:?}");
            assert!(!wanted(named, true).has(&sound), "{named:?}");
        }
        assert!(!wanted(Some(2), false).has(&sound));
        let rotten = Entry {
            actual: Some(crc(8)),
            ..entry(1, Some(99), 1)
        };
        let lost = Entry {
            problem: "it names page 0".to_owned(),
            ..entry(1, Some(99), 1)
        };
        for bad in [rotten, lost] {
            assert!(wanted(None, true).has(&bad));
            assert!(!wanted(Some(2), true).has(&bad));
        }
    }
}
