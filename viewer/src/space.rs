//! The room in a file: how fragmented what is free is, and how much may still
//! come.

use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    head::Head,
    inspect::{self, Extent},
    look::{Look, LookError},
    text,
};

/// Pages that are gone through one by one. Of larger files the lengths of runs
/// are known to a power of two.
const PAGES_MAX: u64 = 1 << 20;

/// Pages asked for at a time.
const PART: u32 = 65_536;

/// Runs that are listed.
const LISTED: usize = 10;

/// Runs that are shorter than this are called short.
const SHORT: u64 = 8;

/// How the free pages of a file lie.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub(crate) struct FreeSpace {
    /// How many runs of free pages are 2^n to less than 2^(n+1) long, by n;
    /// none where it is not known which pages are free.
    pub(crate) runs: Option<Vec<u64>>,
    /// Pages in the longest run; none as before.
    pub(crate) longest: Option<u64>,
    /// Where the longest run begins; none where there is none, or where the
    /// file is too large to go through.
    pub(crate) longest_first: Option<u64>,
    /// How many pages lie in those runs; none where the file is too large to
    /// go through.
    pub(crate) pages_by_run: Option<Vec<u64>>,
    /// Free pages in runs of less than 8 pages; none as before.
    pub(crate) pages_in_short_runs: Option<u64>,
    /// The longest runs, the longest first, ten at most; none as before.
    #[schema(value_type = Option<Vec<crate::schema::Extent>>)]
    pub(crate) longest_runs: Option<Vec<Extent>>,
}

impl FreeSpace {
    /// What a look has told of the free pages, and what more it can.
    pub(crate) fn of(look: &mut dyn Look, told: inspect::FreeSpace) -> Result<Self, LookError> {
        if told.longest.is_none() {
            return Ok(Self::default());
        }
        let kinds = look.page_kinds()?;
        let pages: u64 = kinds.iter().map(|kind| kind.count).sum();
        let free = kinds.iter().find(|kind| kind.name == "free");
        let Some(free) = free.filter(|_| pages <= PAGES_MAX) else {
            return Ok(Self {
                runs: Some(told.runs),
                longest: told.longest,
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
        let longest = runs.longest.as_ref();
        Ok(Self {
            longest: Some(longest.map_or(0, |run| run.count)),
            longest_first: longest.map(|run| run.first),
            runs: Some(runs.counts),
            pages_by_run: Some(runs.pages),
            pages_in_short_runs: Some(runs.short),
            longest_runs: Some(runs.listed),
        })
    }

    /// Runs of free pages in the order of the file, at most `limit`; none where it is
    /// not known which pages are free.
    pub(crate) fn runs_of(
        look: &mut dyn Look,
        limit: usize,
    ) -> Result<Option<Vec<Extent>>, LookError> {
        if look.free_space()?.longest.is_none() {
            return Ok(None);
        }
        let kinds = look.page_kinds()?;
        let Some(free) = kinds.iter().find(|kind| kind.name == "free") else {
            return Ok(Some(Vec::new()));
        };
        let mut found: Vec<Extent> = Vec::new();
        let mut page = 0;
        loop {
            let part = look.kinds(page, PART)?;
            if part.is_empty() {
                return Ok(Some(found));
            }
            for kind in part {
                if kind == free.code {
                    let is_full = found.len() == limit;
                    match found.last_mut() {
                        Some(run) if run.first + run.count == page => run.count += 1,
                        _ if is_full => return Ok(Some(found)),
                        _ => found.push(Extent {
                            first: page,
                            count: 1,
                        }),
                    }
                }
                page += 1;
            }
        }
    }

    /// How many runs there are.
    pub(crate) fn count(&self) -> u64 {
        self.runs.iter().flatten().sum()
    }

    /// Free pages that the file holds; none where it is too large to go through.
    pub(crate) fn free_in_file(&self) -> Option<u64> {
        self.pages_by_run.as_ref().map(|pages| pages.iter().sum())
    }

    /// How much of what is free lies in short runs.
    pub(crate) fn short_share(&self) -> Option<String> {
        let short = self.pages_in_short_runs?;
        Some(text::percent(short, self.free_in_file()?))
    }
}

/// Runs of free pages, as a walk over all pages meets them.
#[derive(Debug, Default)]
struct Runs {
    counts: Vec<u64>,
    pages: Vec<u64>,
    longest: Option<Extent>,
    /// The longest of all, in their order.
    listed: Vec<Extent>,
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
        let place = self
            .listed
            .partition_point(|other| other.count >= run.count);
        if place < LISTED {
            self.listed.insert(place, run);
            self.listed.truncate(LISTED);
        }
        if self
            .longest
            .as_ref()
            .is_none_or(|longest| run.count > longest.count)
        {
            self.longest = Some(run);
        }
    }
}

/// What may be allocated without growth, in words; nothing where nothing may
/// be, or where that is not known.
pub(crate) fn room(head: &Head) -> Option<String> {
    let summary = &head.summary;
    let free = summary.free_pages.filter(|_| head.can_be_changed())?;
    let regular = text::counted(free, "further page");
    if head.keeps_trees() {
        return Some(format!(
            "Without growth there is room for {regular}, regular or protected. A commit takes some \
             of them for what it changes, too: it writes that to free pages."
        ));
    }
    if !head.keeps_pairs() {
        return Some(format!("Without growth there is room for {regular}."));
    }
    let named = summary
        .protected_capacity?
        .saturating_sub(summary.protected_pages?);
    // Each takes two pages, of the same free ones.
    if named < free / 2 {
        return Some(format!(
            "Without growth there is room for {regular}. The directory has slots for {} more \
             protected ones, which take two pages each; another block of slots takes two pages as \
             well.",
            text::number(named)
        ));
    }
    let protected = text::counted(free / 2, "protected one");
    Some(format!(
        "Without growth there is room for {regular}, or for {protected} instead, which take two \
         each."
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
        assert_eq!(runs.longest.map(|run| (run.first, run.count)), Some((2, 3)));
        assert_eq!(runs.short, 5);
        let listed: Vec<(u64, u64)> = runs
            .listed
            .iter()
            .map(|run| (run.first, run.count))
            .collect();
        assert_eq!(listed, [(2, 3), (0, 1), (6, 1)]);
    }
}
