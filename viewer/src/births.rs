//! When pages were written: known of those that hold the bytes of protected pages,
//! since the directory says which generation wrote each.

use crate::{
    inspect::{PageKind, Tile},
    legend::Legend,
    look::{Look, LookError},
};

/// The most protected pages whose births are known.
const KNOWN_MAX: usize = 100_000;

/// How many are asked for at a time.
const PART: u32 = 1000;

/// An age: what it is called, what that is, and how many commits before the state
/// that is shown a page of it was written at most.
struct Age {
    name: &'static str,
    about: &'static str,
    commits: u64,
}

/// The youngest first. What is older than all of them but the last is of that.
const AGES: [Age; 5] = [
    Age {
        name: "newest",
        about: "written by the last commit of the state that is shown",
        commits: 0,
    },
    Age {
        name: "under-10-commits-old",
        about: "written 1 to 9 commits before it",
        commits: 9,
    },
    Age {
        name: "under-100-commits-old",
        about: "written 10 to 99 commits before it",
        commits: 99,
    },
    Age {
        name: "under-1000-commits-old",
        about: "written 100 to 999 commits before it",
        commits: 999,
    },
    Age {
        name: "older",
        about: "written before all of these",
        commits: u64::MAX,
    },
];

/// What is said of all other pages.
const UNKNOWN: &str = "age-unknown";

/// The code of the youngest age, and of none, apart from all codes of kinds.
const YOUNGEST: u8 = 200;
const NONE: u8 = 255;

fn code_of(age: usize) -> u8 {
    u8::try_from(age).map_or(NONE, |age| YOUNGEST.saturating_add(age))
}

/// The pages whose age is known.
#[derive(Clone, Debug, Default)]
pub(crate) struct Births {
    /// Each page and the place of its age among all, by page.
    ages: Vec<(u64, usize)>,
    /// Whether there are protected pages that were not asked for.
    pub(crate) truncated: bool,
}

impl Births {
    /// Those of the state that a look shows, of this generation.
    pub(crate) fn of(look: &mut dyn Look, generation: u64) -> Result<Self, LookError> {
        let mut births = Vec::new();
        let mut start = 0;
        let mut seen = 0;
        let truncated = loop {
            let part = look.directory(start, PART, false)?;
            let Some(last) = part.last() else { break false };
            if seen >= KNOWN_MAX {
                break true;
            }
            seen += part.len();
            start = last.id.saturating_add(1);
            let known = part.iter().filter(|entry| entry.problem.is_empty());
            births.extend(known.filter_map(|entry| Some((entry.page?, entry.generation))));
        };
        Ok(Self::new(births, generation, truncated))
    }

    fn new(births: Vec<(u64, u64)>, generation: u64, truncated: bool) -> Self {
        let mut ages: Vec<(u64, usize)> = births
            .into_iter()
            .filter_map(|(page, birth)| {
                // What is said to be of the future is not believed.
                let commits = generation.checked_sub(birth)?;
                let age = AGES.iter().position(|age| commits <= age.commits)?;
                Some((page, age))
            })
            .collect();
        ages.sort_unstable();
        ages.dedup_by_key(|(page, _)| *page);
        Self { ages, truncated }
    }

    /// The ages as kinds of pages, with counts that sum to all pages.
    pub(crate) fn legend(&self, pages: u64) -> Legend {
        let of = |place| self.ages.iter().filter(|(_, age)| *age == place).count() as u64;
        let known = AGES.iter().enumerate().map(|(place, age)| PageKind {
            code: code_of(place),
            name: age.name.to_owned(),
            letter: place.to_string(),
            description: age.about.to_owned(),
            count: of(place),
        });
        let rest = PageKind {
            code: NONE,
            name: UNKNOWN.to_owned(),
            letter: "-".to_owned(),
            description: "no protected page's bytes, or not known when it was written".to_owned(),
            count: pages.saturating_sub(self.ages.len() as u64),
        };
        Legend::new(known.chain([rest]).collect())
    }

    /// Tiles with the youngest age of their pages in place of a kind.
    pub(crate) fn recoded(&self, mut tiles: Vec<Tile>) -> Vec<Tile> {
        for tile in &mut tiles {
            let end = tile.first.saturating_add(tile.count);
            let start = self.ages.partition_point(|(page, _)| *page < tile.first);
            let inside = self.ages.get(start..).unwrap_or_default().iter();
            let inside = inside.take_while(|(page, _)| *page < end);
            let youngest = inside.map(|(_, age)| *age).min();
            tile.kind = youngest.map_or(NONE, code_of);
        }
        tiles
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tile(first: u64, count: u64) -> Tile {
        Tile {
            first,
            count,
            kind: 1,
            worst: None,
            used: count,
        }
    }

    #[test]
    fn age_is_how_many_commits_ago_a_page_was_written() {
        let births = [
            (9, 2000),
            (8, 1999),
            (7, 1991),
            (6, 1990),
            (5, 1001),
            (4, 1),
            (3, 2001),
        ];
        let births = Births::new(births.to_vec(), 2000, false);
        let ages = |pages: std::ops::RangeInclusive<u64>| {
            let tiles = births.recoded(pages.map(|page| tile(page, 1)).collect());
            tiles.iter().map(|tile| tile.kind).collect::<Vec<_>>()
        };
        assert_eq!(ages(3..=10), [255, 204, 203, 202, 201, 201, 200, 255]);
        let legend = births.legend(20);
        let counts: Vec<u64> = legend.kinds.iter().map(|line| line.kind.count).collect();
        assert_eq!(counts, [1, 2, 1, 1, 1, 14]);
        assert_eq!(legend.total, 20);
    }

    /// Else the one page that was written just now is lost among old ones.
    #[test]
    fn tile_of_several_pages_has_the_age_of_the_youngest() {
        let births = (0..1000).map(|page| (page, if page == 700 { 5000 } else { 1 }));
        let births = Births::new(births.collect(), 5000, false);
        let tiles = births.recoded(vec![tile(0, 512), tile(512, 512), tile(1024, 512)]);
        let kinds: Vec<u8> = tiles.iter().map(|tile| tile.kind).collect();
        assert_eq!(kinds, [204, 200, 255]);
    }
}
