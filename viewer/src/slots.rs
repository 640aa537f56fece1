//! The slots of a directory that somebody wants, in the order in which they are
//! wanted.

use std::cmp::Reverse;

use crate::{
    head::Head,
    inspect::{Side, Slot},
    look::LookError,
    source::View,
};

/// The most slots that are sorted or searched.
const SORTED_MAX: usize = 20_000;

/// The most bytes that are read to find out whose checksum disagrees.
const VERIFIED_BYTES_MAX: u64 = 256 << 20;

/// Slots asked for at a time.
const PART: u32 = 1000;

/// What slots are sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    Id,
    Generation,
    /// The physical page that counts.
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

    fn sort(self, slots: &mut [Slot]) {
        let key = |slot: &Slot| match (self.key, slot.active) {
            (Key::Id, _) => slot.id,
            (Key::Generation, _) => slot.generation,
            (Key::Page, Side::A) => slot.page_a,
            (Key::Page, Side::B) => slot.page_b,
        };
        if self.greatest_first {
            slots.sort_by_key(|slot| Reverse((key(slot), slot.id)));
        } else {
            slots.sort_by_key(|slot| (key(slot), slot.id));
        }
    }
}

/// Which slots.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    /// Those with this protected id or physical page.
    pub(crate) named: Option<u64>,
    /// Those with which something is wrong.
    pub(crate) only_problems: bool,
    pub(crate) order: Order,
}

impl Wanted {
    /// All of them, and whether there were too many to look at each.
    pub(crate) fn find(self, view: &mut View, head: &Head) -> Result<(Vec<Slot>, bool), LookError> {
        let pages = head.facts.protected_at_least;
        let bytes = pages.saturating_mul(u64::from(head.page_size));
        let verify = self.only_problems && bytes <= VERIFIED_BYTES_MAX;
        let (mut slots, truncated) = all(view, verify)?;
        slots.retain(|slot| self.has(slot));
        self.order.sort(&mut slots);
        Ok((slots, truncated))
    }

    fn has(self, slot: &Slot) -> bool {
        let names = |wanted| [slot.id, slot.page_a, slot.page_b].contains(&wanted);
        let differs = |actual| actual != slot.checksum;
        let is_bad = !slot.problem.is_empty() || slot.actual.is_some_and(differs);
        self.named.is_none_or(names) && (is_bad || !self.only_problems)
    }
}

/// All slots, or as many as are sorted, and whether there are more.
fn all(view: &mut View, verify: bool) -> Result<(Vec<Slot>, bool), LookError> {
    let mut slots: Vec<Slot> = Vec::new();
    let mut start = 0;
    while slots.len() < SORTED_MAX {
        let part = view.look().directory(start, PART, verify)?;
        let Some(last) = part.last() else {
            return Ok((slots, false));
        };
        start = last.id.saturating_add(1);
        slots.extend(part);
    }
    Ok((slots, true))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(id: u64, active: Side, generation: u64) -> Slot {
        Slot {
            id,
            block: 0,
            index: 0,
            active,
            page_a: 100 - id,
            page_b: 200 - id,
            generation,
            checksum: 7,
            actual: Some(7),
            problem: String::new(),
        }
    }

    #[test]
    fn order_is_that_of_a_word_and_no_other() {
        let slots = [
            slot(1, Side::B, 5),
            slot(2, Side::A, 5),
            slot(3, Side::A, 4),
        ];
        let sorted = |word| {
            let mut slots = slots.to_vec();
            Order::of(word).expect("an order").sort(&mut slots);
            slots.iter().map(|slot| slot.id).collect::<Vec<_>>()
        };
        assert_eq!(sorted("id"), [1, 2, 3]);
        assert_eq!(sorted("-id"), [3, 2, 1]);
        assert_eq!(sorted("generation"), [3, 1, 2]);
        assert_eq!(sorted("-generation"), [2, 1, 3]);
        assert_eq!(sorted("page"), [3, 2, 1]);
        for word in ["", "-", "--id", "Id", "checksum"] {
            assert_eq!(Order::of(word), None, "{word}");
        }
    }

    #[test]
    fn slot_is_wanted_by_id_by_either_page_or_for_what_is_wrong_with_it() {
        let wanted = |named, only_problems| Wanted {
            named,
            only_problems,
            order: Order::of("id").expect("an order"),
        };
        let sound = slot(1, Side::A, 1);
        for named in [None, Some(1), Some(99), Some(199)] {
            assert!(wanted(named, false).has(&sound), "{named:?}");
            assert!(!wanted(named, true).has(&sound), "{named:?}");
        }
        assert!(!wanted(Some(2), false).has(&sound));
        let rotten = Slot {
            actual: Some(8),
            ..slot(1, Side::A, 1)
        };
        let lost = Slot {
            problem: "it names page 0".to_owned(),
            ..slot(1, Side::A, 1)
        };
        for bad in [rotten, lost] {
            assert!(wanted(None, true).has(&bad));
            assert!(!wanted(Some(2), true).has(&bad));
        }
    }
}
