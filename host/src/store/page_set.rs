//! [`PageSet`]: a set of page numbers, one bit each.

/// A set of page numbers below a bound.
#[derive(Debug, Default)]
pub(crate) struct PageSet {
    words: Vec<u64>,
}

/// The word that holds a page, and the page's bit in it.
fn place(page: u64) -> (Option<usize>, u64) {
    (usize::try_from(page / 64).ok(), 1 << (page % 64))
}

impl PageSet {
    pub(crate) fn contains(&self, page: u64) -> bool {
        let (word, bit) = place(page);
        word.and_then(|word| self.words.get(word))
            .is_some_and(|word| word & bit != 0)
    }

    /// Adds a page; whether it is new.
    pub(crate) fn insert(&mut self, page: u64) -> bool {
        let (Some(index), bit) = place(page) else {
            return false;
        };
        if index >= self.words.len() {
            self.words.resize(index + 1, 0);
        }
        let new = self.words[index] & bit == 0;
        self.words[index] |= bit;
        new
    }

    /// Adds `count` pages from `first` on.
    pub(crate) fn insert_run(&mut self, first: u64, count: u64) {
        let end = first + count;
        let mut page = first;
        while page < end {
            let (Some(index), _) = place(page) else {
                return;
            };
            if index >= self.words.len() {
                self.words.resize(index + 1, 0);
            }
            let in_word = (64 - page % 64).min(end - page);
            let bits = (u64::MAX >> (64 - in_word)) << (page % 64);
            self.words[index] |= bits;
            page += in_word;
        }
    }

    /// Takes a page out; whether it was in.
    pub(crate) fn remove(&mut self, page: u64) -> bool {
        let (Some(index), bit) = place(page) else {
            return false;
        };
        let Some(word) = self.words.get_mut(index) else {
            return false;
        };
        let was = *word & bit != 0;
        *word &= !bit;
        was
    }

    pub(crate) fn clear(&mut self) {
        self.words.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::PageSet;

    #[test]
    fn run_equals_its_pages() {
        for (first, count) in [
            (0, 0),
            (5, 1),
            (0, 64),
            (60, 8),
            (63, 130),
            (64, 64),
            (1, 200),
        ] {
            let (mut whole, mut single) = (PageSet::default(), PageSet::default());
            whole.insert(70);
            single.insert(70);
            whole.insert_run(first, count);
            for page in first..first + count {
                single.insert(page);
            }
            for page in 0..400 {
                assert_eq!(
                    whole.contains(page),
                    single.contains(page),
                    "page {page} of {count} from {first}"
                );
            }
        }
    }

    #[test]
    fn page_is_in_until_it_is_taken_out() {
        let mut set = PageSet::default();
        let pages = [0, 1, 63, 64, 65, 127, 129, 640];
        assert!(pages.iter().all(|page| set.insert(*page)));
        assert!(!set.insert(640) && set.contains(640) && !set.contains(641));
        assert!(set.remove(64) && !set.remove(64) && !set.remove(9999));
        assert!(!set.contains(64) && set.contains(63) && set.contains(65));
        assert_eq!(pages.iter().filter(|page| set.remove(**page)).count(), 7);
        set.insert(5);
        set.clear();
        assert!((0..700).all(|page| !set.contains(page)));
    }
}
