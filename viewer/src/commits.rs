//! The states that were seen last, as lines for people and for programs.

use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    history::{History, Sample},
    inspect::Extent,
    text,
};

/// States in the list of the last ones.
const COMMITS_SHOWN: usize = 12;

/// A state and when it was seen.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Seen)]
pub(crate) struct SeenState {
    /// Milliseconds since watching began.
    at: u64,
    /// None where it is not known.
    generation: Option<u64>,
    /// How many pages were not as in the state before, as far as that is
    /// known.
    changed_pages: u64,
}

impl From<&Sample> for SeenState {
    fn from(sample: &Sample) -> Self {
        Self {
            at: sample.at,
            generation: sample.generation,
            changed_pages: pages_of(&sample.changed),
        }
    }
}

fn pages_of(changed: &[Extent]) -> u64 {
    changed.iter().map(|run| run.count).sum()
}

/// A state in the list of the last ones.
pub(crate) struct Commit {
    pub(crate) generation: String,
    pub(crate) tone: &'static str,
    pub(crate) age: String,
    pub(crate) pages: u64,
    pub(crate) first: Option<u64>,
}

/// The last states, the newest first.
pub(crate) fn last(history: &History) -> Vec<Commit> {
    let newest = history.samples.iter().rev().take(COMMITS_SHOWN);
    newest
        .map(|sample: &Sample| Commit {
            generation: sample
                .generation
                .map_or("not known".to_owned(), text::number),
            tone: sample.tone,
            age: text::ago(history.now.saturating_sub(sample.at)),
            pages: pages_of(&sample.changed),
            first: sample.changed.first().map(|run| run.first),
        })
        .collect()
}
