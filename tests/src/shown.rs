//! [`Shown`]: what a file of either format holds, as its independent reader says.

use std::collections::{BTreeMap, BTreeSet};

use pagebox_core::Format;
use pagebox_store::{Algorithm, Checksum};

use crate::decode::{self, Pages};
use crate::decode1::{self, Numbers};

/// A protected page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownPage {
    /// The page of its bytes; none: they are zeros.
    pub page: Option<u64>,
    /// The page that is written next, where that is decided.
    pub next: Option<u64>,
    /// The generation that wrote it; in files of format 0, how often that was.
    pub generation: u64,
    /// Of its bytes.
    pub checksum: Checksum,
}

/// What a file holds.
#[derive(Clone, Debug)]
pub struct Shown {
    /// Its format.
    pub format: Format,
    /// Bytes in a page.
    pub page_size: usize,
    /// Of the state that counts.
    pub generation: u64,
    /// Pages that the file accounts for.
    pub page_count: u64,
    /// How many of them are free.
    pub free: u64,
    /// Regular pages.
    pub regular: BTreeSet<u64>,
    /// Protected pages, by id.
    pub protected: BTreeMap<u64, ShownPage>,
    /// Whether it is as a commit of ours that was acknowledged leaves it.
    pub is_as_we_commit: Result<(), String>,
}

/// The numbers of a page size of format 1.
pub fn numbers(page_size: usize) -> Numbers {
    let page = page_size as u64;
    let (fan, group) = (page / 32, 2 * page);
    Numbers {
        page,
        fan,
        group,
        levels: (48 - group.ilog2()).div_ceil(fan.ilog2()),
    }
}

/// Which format a file is of.
pub fn format_of(pages: &dyn Pages) -> Format {
    if pages.page_count() > 0 && pages.page(0).starts_with(b"PBOX") {
        Format::One
    } else {
        Format::Zero
    }
}

impl Shown {
    /// What a medium shows.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn of(pages: &impl Pages) -> Result<Self, String> {
        match format_of(pages) {
            Format::One => {
                let numbers = numbers(pages.page_size());
                decode1::decode(pages, numbers).map(|state| Self::one(state, numbers))
            }
            _ => decode::decode(pages).map(Self::from),
        }
    }

    fn one(state: decode1::State, numbers: Numbers) -> Self {
        let reserved = state.reserved.range(..state.page_count).count() as u64;
        let used = state.used();
        let protected = state.protected.iter().map(|(&id, stored)| {
            let page = ShownPage {
                page: (stored.page != 0).then_some(stored.page),
                next: None,
                generation: stored.birth,
                checksum: Checksum {
                    algorithm: Algorithm::Xxh3,
                    value: stored.checksum,
                },
            };
            (id, page)
        });
        Self {
            format: Format::One,
            page_size: numbers.page as usize,
            generation: state.generation,
            page_count: state.page_count,
            free: state.page_count - (reserved + used),
            protected: protected.collect(),
            regular: state.regular,
            is_as_we_commit: if state.is_acknowledged {
                Ok(())
            } else {
                Err("the roots differ after a commit".into())
            },
        }
    }
}

impl From<decode::State> for Shown {
    fn from(state: decode::State) -> Self {
        let protected = state.protected.iter().map(|(&id, slot)| {
            let page = ShownPage {
                page: Some(slot.active_page()),
                next: Some(slot.shadow_page()),
                generation: slot.generation,
                checksum: Checksum::crc32(slot.checksum),
            };
            (id, page)
        });
        Self {
            format: Format::Zero,
            page_size: state.page_size,
            generation: state.generation,
            page_count: state.page_count,
            free: state.free().len() as u64,
            protected: protected.collect(),
            regular: state.regular(),
            is_as_we_commit: state.is_as_we_commit(),
        }
    }
}
