//! The room in a file: how fragmented what is free is, and how much may still
//! come.

use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    facts::Facts,
    inspect::Extent,
    look::{Look, LookError},
    schema, text,
};

/// Pages that are gone through one by one. Of larger files the lengths of runs
/// are known to a power of two.
const PAGES_MAX: u64 = 1 << 20;

/// Pages asked for at a time.
const PART: u32 = 65_536;

/// Runs that are shorter than this are called short.
const SHORT: u64 = 8;

/// The free pages of a file, by the runs that they lie in.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub(crate) struct FreeSpace {
    /// How many runs of free pages are 2^n to less than 2^(n+1) long, by n;
    /// none where it is not known which pages are free.
    pub(crate) free_runs: Option<Vec<u64>>,
    /// How many pages lie in those runs; none where the file is too large to
    /// go through.
    pub(crate) free_pages_by_run: Option<Vec<u64>>,
    /// The longest run of free pages; none where there is none, or where the
    /// file is too large to go through.
    #[schema(value_type = Option<schema::Extent>)]
    pub(crate) largest_free_run: Option<Extent>,
    /// Free pages in runs of less than 8 pages; none as before.
    pub(crate) free_pages_in_short_runs: Option<u64>,
}

impl FreeSpace {
    /// What a look tells of the free pages.
    pub(crate) fn of(look: &mut dyn Look, facts: &Facts) -> Result<Self, LookError> {
        if facts.free_pages.is_none() {
            return Ok(Self::default());
        }
        let free_runs = Some(look.free_runs()?);
        let kinds = look.page_kinds()?;
        let pages: u64 = kinds.iter().map(|kind| kind.count).sum();
        let free = kinds.iter().find(|kind| kind.name == "free");
        let Some(free) = free.filter(|_| pages <= PAGES_MAX) else {
            return Ok(Self {
                free_runs,
                ..Self::default()
            });
        };
        let mut runs = Runs::default();
        let mut first = 0;
        while first < pages {
            let kinds = look.kinds(first, PART)?;
            if kinds.is_empty() {
                break;
            }
            for kind in &kinds {
                runs.add(first, *kind == free.code);
                first += 1;
            }
        }
        runs.end();
        Ok(Self {
            free_runs: Some(runs.counts),
            free_pages_by_run: Some(runs.pages),
            largest_free_run: runs.largest,
            free_pages_in_short_runs: Some(runs.short),
        })
    }

    /// How many runs there are.
    pub(crate) fn runs(&self) -> u64 {
        self.free_runs.iter().flatten().sum()
    }

    /// The longest run in words, where it is known to a power of two only.
    pub(crate) fn largest_about(&self) -> Option<String> {
        let power = self.free_runs.iter().flatten().count().checked_sub(1)?;
        let low = 1_u64.checked_shl(u32::try_from(power).ok()?)?;
        Some(format!(
            "{} to {}",
            text::number(low),
            text::pages(low.saturating_mul(2) - 1)
        ))
    }

    /// Free pages that the file holds; none where it is too large to go through.
    pub(crate) fn free_in_file(&self) -> Option<u64> {
        self.free_pages_by_run
            .as_ref()
            .map(|pages| pages.iter().sum())
    }

    /// How much of what is free lies in short runs.
    pub(crate) fn short_share(&self) -> Option<String> {
        let short = self.free_pages_in_short_runs?;
        Some(text::percent(short, self.free_in_file()?))
    }
}

/// Runs of free pages, as a walk over all pages meets them.
#[derive(Debug, Default)]
struct Runs {
    counts: Vec<u64>,
    pages: Vec<u64>,
    largest: Option<Extent>,
    short: u64,
    open: Option<Extent>,
}

impl Runs {
    fn add(&mut self, page: u64, is_free: bool) {
        match &mut self.open {
            Some(run) if is_free => run.count += 1,
            None if is_free => {
                self.open = Some(Extent {
                    first: page,
                    count: 1,
                });
            }
            _ => self.end(),
        }
    }

    fn end(&mut self) {
        let Some(run) = self.open.take() else { return };
        let class = usize::try_from(run.count.ilog2()).unwrap_or(0);
        let len = self.counts.len().max(class + 1);
        self.counts.resize(len, 0);
        self.pages.resize(len, 0);
        if let (Some(count), Some(pages)) = (self.counts.get_mut(class), self.pages.get_mut(class))
        {
            *count += 1;
            *pages += run.count;
        }
        if run.count < SHORT {
            self.short += run.count;
        }
        if self
            .largest
            .as_ref()
            .is_none_or(|largest| run.count > largest.count)
        {
            self.largest = Some(run);
        }
    }
}

/// What may be allocated without growth, in words; nothing where nothing may
/// be, or where that is not known.
pub(crate) fn room(facts: &Facts) -> Option<String> {
    let free = facts.free_pages.filter(|_| facts.can_be_changed)?;
    let slots = facts
        .protected_capacity?
        .saturating_sub(facts.protected_pages?);
    // Each takes two pages, of the same free ones.
    let protected = (free / 2).min(slots);
    Some(format!(
        "Without growth there is room for {}, or for {} instead, which take two each.",
        text::counted(free, "further page"),
        text::counted(protected, "protected one"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_counted_by_length_and_the_longest_is_kept() {
        let mut runs = Runs::default();
        for (page, free) in (0..).zip([true, false, true, true, true, false, true]) {
            runs.add(page, free);
        }
        runs.end();
        assert_eq!((runs.counts, runs.pages), (vec![2, 1], vec![2, 3]));
        assert_eq!(runs.largest.map(|run| (run.first, run.count)), Some((2, 3)));
        assert_eq!(runs.short, 5);
    }

    #[test]
    fn longest_run_of_a_file_that_is_too_large_is_known_to_a_power_of_two() {
        let space = FreeSpace {
            free_runs: Some(vec![1, 0, 2]),
            ..FreeSpace::default()
        };
        assert_eq!(space.largest_about().as_deref(), Some("4 to 7 pages"));
        assert_eq!(FreeSpace::default().largest_about(), None);
    }
}
