//! [`Choices`]: what is in doubt at a moment, and the images that this makes.

use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use super::medium::{Medium, put_sector};
use super::{Page, SectorBytes};

/// What a power loss decides: which version each sector in doubt has, and how
/// long the medium is.
#[derive(Clone, Debug)]
pub struct Choices<'a> {
    medium: &'a Medium,
    sectors: Vec<Sector<'a>>,
    lengths: Vec<Length>,
}

/// A sector in doubt.
#[derive(Clone, Copy, Debug)]
pub struct Sector<'a> {
    /// The page that it is in.
    pub page: u64,
    /// Its place there, in sectors.
    pub sector: usize,
    /// What it may hold besides what is durable, oldest first; never empty.
    pub versions: &'a [SectorBytes],
}

/// How long an image is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// As reads show it.
    Shown,
    /// The growth is lost: so many pages are left.
    NotGrown(u64),
    /// The cut is lost: so many pages are there still.
    NotCut(u64),
}

/// What an image has of all that was in doubt. It prints as what a failing test
/// says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survivors {
    /// Of each sector in doubt, in ascending order, what it has.
    pub sectors: Vec<Survivor>,
    /// How long it is.
    pub length: Length,
}

/// What an image has of a sector in doubt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Survivor {
    /// The page that it is in.
    pub page: u64,
    /// Its place there, in sectors.
    pub sector: usize,
    /// The version that it has: 0 is the durable one, 1 the oldest of the others.
    pub version: usize,
    /// How many there are besides the durable one.
    pub versions: usize,
}

impl<'a> Choices<'a> {
    pub(super) fn of(medium: &'a Medium) -> Self {
        let mut lengths = vec![Length::Shown];
        lengths.extend(medium.shorter().map(Length::NotGrown));
        if !medium.cut().is_empty() {
            let shown = medium.geometry().page_count;
            lengths.push(Length::NotCut(shown + medium.cut().len() as u64));
        }
        let sectors = medium.doubtful().iter();
        let sectors = sectors.map(|(&(page, sector), doubt)| Sector {
            page,
            sector,
            versions: &doubt.versions,
        });
        Self {
            medium,
            sectors: sectors.collect(),
            lengths,
        }
    }

    /// The sectors in doubt, in ascending order.
    pub fn sectors(&self) -> &[Sector<'a>] {
        &self.sectors
    }

    /// The lengths that the medium may have: first as reads show it; last what is
    /// left where all was lost.
    pub fn lengths(&self) -> &[Length] {
        &self.lengths
    }

    /// How many images these are; `u64::MAX` where they are more.
    pub fn image_count(&self) -> u64 {
        let versions = self.sectors.iter().map(|it| it.versions.len() as u64 + 1);
        versions.fold(self.lengths.len() as u64, u64::saturating_mul)
    }

    /// Nothing survives.
    pub fn none(&self) -> Survivors {
        let lost = self.lengths[self.lengths.len() - 1];
        self.survivors(lost, |_| 0)
    }

    /// Everything survives.
    pub fn all(&self) -> Survivors {
        self.survivors(Length::Shown, |at| self.sectors[at].versions.len())
    }

    /// Every one of them, once.
    pub fn every(&self) -> impl Iterator<Item = Survivors> {
        let mut next = Some(vec![0; self.sectors.len()]);
        let picks = core::iter::from_fn(move || {
            let picks = next.take()?;
            // Counts up, with a digit for each sector.
            let mut digits = 0..picks.len();
            if let Some(digit) = digits.find(|&at| picks[at] < self.sectors[at].versions.len()) {
                let mut higher = picks.clone();
                higher[..digit].fill(0);
                higher[digit] += 1;
                next = Some(higher);
            }
            Some(picks)
        });
        picks.flat_map(|picks| {
            let lengths = self.lengths.iter();
            let survivors = lengths.map(|&length| self.survivors(length, |at| picks[at]));
            survivors.collect::<Vec<_>>()
        })
    }

    /// One of them; those that are likelier to be wrong come up more often.
    /// `below` draws a number below its argument, which is not 0.
    pub fn sample(&self, below: &mut dyn FnMut(u64) -> u64) -> Survivors {
        let picks = self.picks(below);
        let length = *pick(&self.lengths, below);
        self.survivors(length, |at| picks[at])
    }

    /// The pages, each sector in doubt with the version that is picked for it.
    /// Survivors of other choices have no place here: they are left out.
    pub fn image(&self, survivors: &Survivors) -> Vec<Page> {
        let mut pages = self.medium.durable_pages().to_vec();
        for (sector, survivor) in self.sectors.iter().zip(&survivors.sectors) {
            let version = survivor.version.checked_sub(1);
            let version = version.and_then(|version| sector.versions.get(version));
            let page = usize::try_from(sector.page).ok();
            let page = page.and_then(|page| pages.get_mut(page));
            if let (Some(page), Some(version)) = (page, version) {
                put_sector(page, sector.sector, version);
            }
        }
        match survivors.length {
            Length::Shown => {}
            Length::NotGrown(count) => pages.truncate(usize::try_from(count).unwrap_or(usize::MAX)),
            Length::NotCut(_) => pages.extend_from_slice(self.medium.cut()),
        }
        pages
    }

    fn survivors(&self, length: Length, version: impl Fn(usize) -> usize) -> Survivors {
        let sectors = self.sectors.iter().enumerate();
        let sectors = sectors.map(|(at, sector)| Survivor {
            page: sector.page,
            sector: sector.sector,
            version: version(at),
            versions: sector.versions.len(),
        });
        Survivors {
            sectors: sectors.collect(),
            length,
        }
    }

    fn picks(&self, below: &mut dyn FnMut(u64) -> u64) -> Vec<usize> {
        let newest = |at: usize| self.sectors[at].versions.len();
        let all = 0..self.sectors.len();
        if all.is_empty() {
            return Vec::new();
        }
        let number = |end: usize, below: &mut dyn FnMut(u64) -> u64| usize_of(below(end as u64));
        let one = number(all.end, below);
        match below(6) {
            0 => all
                .map(|at| if at == one { 0 } else { newest(at) })
                .collect(),
            1 => all
                .map(|at| if at == one { newest(at) } else { 0 })
                .collect(),
            // Whole pages arrived or did not, and one page is torn.
            2 => {
                let torn = self.sectors[one].page;
                let mut arrived = BTreeMap::new();
                all.map(|at| match self.sectors[at].page {
                    page if page == torn => number(newest(at) + 1, below),
                    page if *arrived.entry(page).or_insert_with(|| below(2) == 0) => newest(at),
                    _ => 0,
                })
                .collect()
            }
            // Few arrived, half, or most.
            eighths => {
                let eighths = [1, 4, 7][usize_of(eighths) - 3];
                all.map(|at| {
                    if below(8) < eighths {
                        number(newest(at) + 1, below).max(1)
                    } else {
                        0
                    }
                })
                .collect()
            }
        }
    }
}

/// One of a slice, which is not empty.
pub(super) fn pick<'a, T>(from: &'a [T], below: &mut dyn FnMut(u64) -> u64) -> &'a T {
    &from[usize_of(below(from.len() as u64))]
}

/// A number below one that was a `usize`.
fn usize_of(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

impl fmt::Display for Survivors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("writes that survived (+) or did not (-), by page.sector:")?;
        for survivor in &self.sectors {
            let Survivor {
                page,
                sector,
                version,
                versions,
            } = survivor;
            match (version, versions) {
                (0, _) => write!(f, " -{page}.{sector}")?,
                (_, 1) => write!(f, " +{page}.{sector}")?,
                _ => write!(f, " +{page}.{sector}({version} of {versions})")?,
            }
        }
        match self.length {
            Length::Shown => Ok(()),
            Length::NotGrown(count) => write!(f, "; the growth is lost, {count} pages are left"),
            Length::NotCut(count) => write!(f, "; the cut is lost, {count} pages are there"),
        }
    }
}
