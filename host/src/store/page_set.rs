//! [`PageSet`]: a set of page numbers, made for long runs.
//!
//! It has no room for what is not in it: a chunk of numbers that are all in it
//! takes some words, one of which some are in it 4 KiB, a bit each, and any
//! other one nothing. So what it takes grows with what was touched, and not
//! with the file.

use std::collections::BTreeMap;

/// A set of page numbers.
#[derive(Debug, Default)]
pub(crate) struct PageSet {
    chunks: BTreeMap<u64, Chunk>,
}

/// Words of 64 pages.
const WORDS: usize = 512;

/// Pages of a chunk.
const CHUNK: u64 = 64 * WORDS as u64;

#[derive(Debug)]
enum Chunk {
    /// All its pages are in the set.
    Full,
    Some {
        words: Box<[u64; WORDS]>,
        /// How many are.
        count: u64,
    },
}

/// The chunk of a page, the word in it, and the page's bit in that.
fn place(page: u64) -> (u64, usize, u64) {
    let word = page / 64 % WORDS as u64;
    (page / CHUNK, word as usize, 1 << (page % 64))
}

impl PageSet {
    pub(crate) fn contains(&self, page: u64) -> bool {
        let (chunk, word, bit) = place(page);
        match self.chunks.get(&chunk) {
            None => false,
            Some(Chunk::Full) => true,
            Some(Chunk::Some { words, .. }) => words[word] & bit != 0,
        }
    }

    /// Adds a page; whether it is new.
    pub(crate) fn insert(&mut self, page: u64) -> bool {
        let (number, word, bit) = place(page);
        let chunk = self.chunks.entry(number).or_insert_with(|| Chunk::Some {
            words: Box::new([0; WORDS]),
            count: 0,
        });
        let Chunk::Some { words, count } = chunk else {
            return false;
        };
        let new = words[word] & bit == 0;
        words[word] |= bit;
        *count += u64::from(new);
        if *count == CHUNK {
            *chunk = Chunk::Full;
        }
        new
    }

    /// Adds `count` pages from `first` on.
    pub(crate) fn insert_run(&mut self, first: u64, count: u64) {
        let end = first + count;
        let mut page = first;
        while page < end {
            if page.is_multiple_of(CHUNK) && end - page >= CHUNK {
                self.chunks.insert(page / CHUNK, Chunk::Full);
                page += CHUNK;
            } else {
                self.insert(page);
                page += 1;
            }
        }
    }

    /// Takes a page out; whether it was in.
    pub(crate) fn remove(&mut self, page: u64) -> bool {
        let (number, word, bit) = place(page);
        let Some(chunk) = self.chunks.get_mut(&number) else {
            return false;
        };
        if let Chunk::Full = chunk {
            *chunk = Chunk::Some {
                words: Box::new([u64::MAX; WORDS]),
                count: CHUNK,
            };
        }
        let Chunk::Some { words, count } = chunk else {
            return false;
        };
        let was = words[word] & bit != 0;
        words[word] &= !bit;
        *count -= u64::from(was);
        if *count == 0 {
            self.chunks.remove(&number);
        }
        was
    }

    /// Takes out all from `first` on.
    pub(crate) fn truncate(&mut self, first: u64) {
        drop(self.chunks.split_off(&first.div_ceil(CHUNK)));
        for page in first..first.next_multiple_of(CHUNK) {
            self.remove(page);
        }
    }

    pub(crate) fn clear(&mut self) {
        self.chunks.clear();
    }

    /// The bytes that its chunks take, about.
    #[cfg(test)]
    pub(crate) fn memory(&self) -> usize {
        let of = |chunk: &Chunk| match chunk {
            Chunk::Full => 0,
            Chunk::Some { words, .. } => size_of_val(&**words),
        };
        // A tree's nodes are half full at least.
        let node = 2 * size_of::<(u64, Chunk)>();
        self.chunks.values().map(|chunk| node + of(chunk)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::{CHUNK, PageSet};

    #[test]
    fn truncated_set_ends_where_it_was_cut() {
        for end in [
            0,
            1,
            63,
            64,
            CHUNK - 1,
            CHUNK,
            CHUNK + 1,
            3 * CHUNK,
            9 * CHUNK,
        ] {
            let mut set = PageSet::default();
            set.insert_run(5, 4 * CHUNK);
            set.truncate(end);
            for page in 0..6 * CHUNK {
                let expected = (5..end.min(4 * CHUNK + 5)).contains(&page);
                assert_eq!(set.contains(page), expected, "page {page}, cut at {end}");
            }
        }
    }

    #[test]
    fn run_equals_its_pages() {
        for (first, count) in [
            (0, 0),
            (5, 1),
            (0, 64),
            (60, 8),
            (63, 130),
            (1, 200),
            (0, CHUNK),
            (1, CHUNK - 1),
            (CHUNK - 7, CHUNK + 9),
            (3, 2 * CHUNK + 5),
        ] {
            let (mut whole, mut single) = (PageSet::default(), PageSet::default());
            whole.insert(70);
            single.insert(70);
            whole.insert_run(first, count);
            for page in first..first + count {
                single.insert(page);
            }
            for page in 0..3 * CHUNK + 10 {
                assert_eq!(
                    whole.contains(page),
                    single.contains(page),
                    "page {page} of {count} from {first}"
                );
            }
            assert_eq!(whole.memory(), single.memory(), "{count} from {first}");
        }
    }

    #[test]
    fn page_is_in_until_it_is_taken_out() {
        let mut set = PageSet::default();
        let pages = [0, 1, 63, 64, 65, 127, 129, 640, CHUNK, 7 * CHUNK + 3];
        assert!(pages.iter().all(|page| set.insert(*page)));
        assert!(!set.insert(640) && set.contains(640) && !set.contains(641));
        assert!(set.remove(64) && !set.remove(64) && !set.remove(9999));
        assert!(!set.contains(64) && set.contains(63) && set.contains(65));
        assert_eq!(pages.iter().filter(|page| set.remove(**page)).count(), 9);
        assert_eq!(set.memory(), 0, "nothing is left");
        set.insert(5);
        set.clear();
        assert!((0..700).all(|page| !set.contains(page)));
    }

    /// A set of the blank pages of a sparse file of 1 TiB took 32 MiB.
    #[test]
    fn long_run_takes_next_to_nothing() {
        const PAGES: u64 = 1 << 28;
        let mut set = PageSet::default();
        set.insert(PAGES - 1);
        assert!(set.memory() < 5000, "{} bytes for a page", set.memory());
        set.insert_run(0, PAGES);
        assert!(set.memory() < 1 << 20, "{} bytes", set.memory());
        assert!(set.contains(0) && set.contains(PAGES - 1) && !set.contains(PAGES));
        let before = set.memory();
        (0..100).for_each(|page| assert!(set.remove(page)));
        assert!(set.memory() <= before + 4096);
        assert!(!set.contains(99) && set.contains(100));
    }
}
