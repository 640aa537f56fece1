//! [`Moment`]: a medium at the moment at which the power goes, and the images
//! that this can leave.

use std::fmt;

use pagebox_store::SECTOR;

use super::CrashStore;
use super::medium::{Medium, put_sector};
use crate::rng::Rng;

/// The medium as it was at one moment.
#[derive(Clone, Debug)]
pub struct Moment {
    /// How many syncs the store had seen.
    pub syncs: u64,
    /// What was going on, for people.
    pub during: &'static str,
    pub(super) medium: Medium,
    /// At each barrier since the last sync.
    pub(super) earlier: Vec<Medium>,
    pub(super) keeps_order: bool,
}

/// A sector in doubt, by page and place, and the versions that it may have
/// besides the durable one.
type Choice<'a> = ((u64, usize), &'a [[u8; SECTOR]]);

impl Moment {
    /// What a process that is started now finds, if this one is killed. The
    /// writes are as durable as they were.
    pub fn killed(&self) -> CrashStore {
        let medium = self.medium.clone();
        CrashStore::from_medium(medium, self.earlier.clone(), self.keeps_order)
    }

    /// What a power loss leaves that nothing in doubt survives.
    pub fn durable(&self) -> CrashStore {
        let first = self.earlier.first().unwrap_or(&self.medium);
        let choices = choices(first);
        self.image(first, &choices, &vec![0; choices.len()], lost(first))
            .0
    }

    /// How many images a power loss can leave.
    pub fn image_count(&self) -> u64 {
        self.media().map(image_count).fold(0, u64::saturating_add)
    }

    /// What may be all that the last barriers have let through, the latest last.
    fn media(&self) -> impl Iterator<Item = &Medium> {
        self.earlier.iter().chain([&self.medium])
    }

    /// Calls `try_image` with what a power loss can leave: with every image if
    /// there are at most `limit`, else with `limit` of them, chosen by `rng`.
    /// Returns how many.
    pub fn images(
        &self,
        limit: u64,
        rng: &mut Rng,
        mut try_image: impl FnMut(CrashStore, &Survivors),
    ) -> u64 {
        if self.image_count() <= limit {
            self.media()
                .for_each(|medium| self.every_image(medium, &mut try_image));
            return self.image_count();
        }
        let media: Vec<_> = self
            .media()
            .map(|medium| (medium, choices(medium)))
            .collect();
        for _ in 0..limit {
            let (medium, choices) = rng.pick(&media);
            let picks = sample(choices, rng);
            let length = *rng.pick(&lengths(medium));
            let (image, survivors) = self.image(medium, choices, &picks, length);
            try_image(image, &survivors);
        }
        limit
    }

    fn every_image(&self, medium: &Medium, try_image: &mut impl FnMut(CrashStore, &Survivors)) {
        let choices = choices(medium);
        let mut picks = vec![0; choices.len()];
        loop {
            for length in lengths(medium) {
                let (image, survivors) = self.image(medium, &choices, &picks, length);
                try_image(image, &survivors);
            }
            // Counts up, with a digit for each sector.
            let Some(digit) = (0..picks.len()).find(|&at| picks[at] < choices[at].1.len()) else {
                return;
            };
            picks[..digit].fill(0);
            picks[digit] += 1;
        }
    }

    /// The image in which each sector in doubt has the version that is picked
    /// for it; 0 is the durable one.
    fn image(
        &self,
        medium: &Medium,
        choices: &[Choice<'_>],
        picks: &[usize],
        length: Length,
    ) -> (CrashStore, Survivors) {
        let mut pages = medium.after_loss();
        let mut survivors = Survivors {
            sectors: Vec::new(),
            length,
        };
        for (&((page, sector), versions), &pick) in choices.iter().zip(picks) {
            survivors.sectors.push((page, sector, pick, versions.len()));
            if pick > 0 {
                put_sector(&mut pages[page as usize], sector, &versions[pick - 1]);
            }
        }
        match length {
            Length::Shown => {}
            Length::NotGrown(page_count) => pages.truncate(page_count as usize),
            Length::NotCut(_) => pages.extend_from_slice(medium.cut()),
        }
        let left = Medium::new(medium.geometry().page_size, pages);
        let left = CrashStore::from_medium(left, Vec::new(), self.keeps_order);
        (left, survivors)
    }
}

fn image_count(medium: &Medium) -> u64 {
    choices(medium)
        .iter()
        .map(|(_, versions)| versions.len() as u64 + 1)
        .fold(lengths(medium).len() as u64, u64::saturating_mul)
}

/// How long an image is.
#[derive(Clone, Copy, Debug)]
enum Length {
    /// As reads show it.
    Shown,
    /// The growth is lost: so many pages are left.
    NotGrown(u64),
    /// The cut is lost: so many pages are there still.
    NotCut(u64),
}

/// That of a medium that lost all it could.
fn lost(medium: &Medium) -> Length {
    *lengths(medium).last().expect("there is one at least")
}

fn lengths(medium: &Medium) -> Vec<Length> {
    let mut lengths = vec![Length::Shown];
    lengths.extend(medium.shorter().map(Length::NotGrown));
    if !medium.cut().is_empty() {
        let shown = medium.geometry().page_count;
        lengths.push(Length::NotCut(shown + medium.cut().len() as u64));
    }
    lengths
}

fn choices(medium: &Medium) -> Vec<Choice<'_>> {
    medium
        .doubtful()
        .iter()
        .map(|(&at, doubt)| (at, &doubt.versions[..]))
        .collect()
}

/// Picks versions; images that are likelier to be wrong come up more often.
fn sample(choices: &[Choice<'_>], rng: &mut Rng) -> Vec<usize> {
    let newest = |at: usize| choices[at].1.len();
    let any = |rng: &mut Rng, at: usize| rng.below(newest(at) as u64 + 1) as usize;
    if choices.is_empty() {
        return Vec::new();
    }
    let one = rng.below(choices.len() as u64) as usize;
    let all = 0..choices.len();
    match rng.below(6) {
        0 => all
            .map(|at| if at == one { 0 } else { newest(at) })
            .collect(),
        1 => all
            .map(|at| if at == one { newest(at) } else { 0 })
            .collect(),
        // Whole pages arrived or did not, and one page is torn.
        2 => {
            let torn = choices[one].0.0;
            let seed = rng.next_u64();
            all.map(|at| match choices[at].0.0 {
                page if page == torn => any(rng, at),
                page if Rng::new(seed ^ page).chance(1, 2) => newest(at),
                _ => 0,
            })
            .collect()
        }
        // Few arrived, half, or most.
        eighths => {
            let eighths = [1, 4, 7][eighths as usize - 3];
            all.map(|at| {
                if rng.chance(eighths, 8) {
                    any(rng, at).max(1)
                } else {
                    0
                }
            })
            .collect()
        }
    }
}

/// What an image has of all that was in doubt, to be printed when it fails.
#[derive(Clone, Debug)]
pub struct Survivors {
    /// Page, sector, the version it has, how many it could have.
    sectors: Vec<(u64, usize, usize, usize)>,
    length: Length,
}

impl fmt::Display for Survivors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("writes that survived (+) or did not (-), by page.sector:")?;
        for (page, sector, pick, count) in &self.sectors {
            match pick {
                0 => write!(f, " -{page}.{sector}")?,
                _ if *count == 1 => write!(f, " +{page}.{sector}")?,
                _ => write!(f, " +{page}.{sector}({pick} of {count})")?,
            }
        }
        match self.length {
            Length::Shown => Ok(()),
            Length::NotGrown(count) => write!(f, "; the growth is lost, {count} pages are left"),
            Length::NotCut(count) => write!(f, "; the cut is lost, {count} pages are there"),
        }
    }
}
