//! One state of a file that is watched, and what is not as it was in the state
//! before.

use std::{collections::HashMap, sync::Arc};

use serde::Serialize;
use utoipa::ToSchema;

use crate::{head::Head, inspect::Extent, look::LookError, schema, source::View};

/// The most pages, and protected pages, that are compared one by one. Of larger files
/// only what the last commit did is shown.
const COMPARED_PAGES_MAX: u64 = 1 << 20;
const COMPARED_ENTRIES_MAX: u32 = 4096;

/// The most runs of changed pages in an event.
const CHANGED_MAX: usize = 500;

/// One state of a file that is watched.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Moment {
    /// Counts the states seen since watching began.
    pub(crate) sequence: u64,
    /// Milliseconds since watching began.
    pub(crate) at: u64,
    pub(crate) state: Head,
    /// The pages that the file accounts for; none where that is not known, as
    /// for the counts that follow.
    pub(crate) page_count: Option<u64>,
    /// Free pages.
    pub(crate) free_pages: Option<u64>,
    /// Allocated regular pages.
    pub(crate) regular_pages: Option<u64>,
    /// Protected pages.
    pub(crate) protected_pages: Option<u64>,
    /// Pages that are not as they were in the state before: of another kind,
    /// or of a protected page that was written. At most 500 runs.
    #[schema(value_type = Vec<schema::Extent>)]
    pub(crate) changed: Vec<Extent>,
    /// Whether no other page is of another kind than in the state before.
    pub(crate) changes_complete: bool,
}

/// What the next state is compared with.
#[derive(Clone, Default)]
pub(crate) struct Seen {
    stamp: Option<u64>,
    sequence: u64,
    kinds: Arc<Vec<u8>>,
    /// Of each protected page the page that holds its bytes, and its generation.
    entries: Arc<HashMap<u64, (Option<u64>, u64)>>,
}

impl Seen {
    /// Whether a look shows no other state.
    pub(crate) fn is_of(&self, view: &View) -> bool {
        self.stamp == Some(view.stamp())
    }

    /// The state that a look shows, and what to compare the one after with.
    pub(crate) fn next(&self, view: &mut View, at: u64) -> Result<(Moment, Self), LookError> {
        let state = Head::of(view)?;
        let look = view.look();
        let mut kinds = Vec::new();
        let mut entries = HashMap::new();
        if state.pages <= COMPARED_PAGES_MAX {
            kinds = look.kinds(0, u32::try_from(state.pages).unwrap_or(u32::MAX))?;
            for entry in look.directory(0, COMPARED_ENTRIES_MAX, false)? {
                entries.insert(entry.id, (entry.page, entry.generation));
            }
        }
        let all = self.stamp.is_some() && !kinds.is_empty();
        let changed = match (self.stamp, kinds.is_empty()) {
            // There is nothing to compare the first state with.
            (None, _) => Vec::new(),
            (Some(_), false) => self.changed(&kinds, &entries),
            (Some(_), true) => {
                let last = state.summary.last_commit.as_ref();
                last.map_or_else(Vec::new, |last| {
                    [last.allocated.as_slice(), &last.freed].concat()
                })
            }
        };
        let sequence = self.sequence + 1;
        let moment = Moment {
            sequence,
            at,
            page_count: state.summary.page_count,
            free_pages: state.summary.free_pages,
            regular_pages: state.summary.regular_pages,
            protected_pages: state.summary.protected_pages,
            changes_complete: all && changed.len() < CHANGED_MAX,
            changed,
            state,
        };
        let now = Self {
            stamp: Some(view.stamp()),
            sequence,
            kinds: Arc::new(kinds),
            entries: Arc::new(entries),
        };
        Ok((moment, now))
    }

    fn changed(&self, kinds: &[u8], entries: &HashMap<u64, (Option<u64>, u64)>) -> Vec<Extent> {
        let mut pages: Vec<u64> = (0..)
            .zip(kinds)
            .zip(self.kinds.iter().map(Some).chain(std::iter::repeat(None)))
            .filter(|((_, now), before)| Some(*now) != *before)
            .map(|((page, _), _)| page)
            .collect();
        pages.extend(
            entries
                .iter()
                .filter(|(id, now)| self.entries.get(id) != Some(now))
                .filter_map(|(_, (page, _))| *page),
        );
        pages.sort_unstable();
        pages.dedup();
        let mut runs: Vec<Extent> = Vec::new();
        for page in pages {
            match runs.last_mut() {
                Some(run) if run.first + run.count == page => run.count += 1,
                _ => runs.push(Extent {
                    first: page,
                    count: 1,
                }),
            }
        }
        runs.truncate(CHANGED_MAX);
        runs
    }
}
