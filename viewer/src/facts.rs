//! What is known of a file. The sandbox puts a nought where it could not find
//! out; here such a nought becomes *not known*, so that no screen and no answer
//! states it as a fact.

use serde_json::{Map, Value};

use crate::{
    inspect::{Extent, Info, Severity, Side, Structure, Summary},
    look::{Look, LookError},
};

/// How much of the directory could be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Directory {
    Whole,
    /// What it holds is true, and not all.
    Part,
    Lost,
}

/// Findings that say that protected pages may exist which nobody can name.
const OF_THE_DIRECTORY: [&str; 4] = [
    "directory-section",
    "block-count",
    "block-reference",
    "directory-copy",
];

/// What is known of a file.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Facts {
    pub(crate) generation: Option<u64>,
    pub(crate) page_count: Option<u64>,
    /// Free by the allocation bitmap, whether the file holds them or not.
    pub(crate) free_pages: Option<u64>,
    pub(crate) regular_pages: Option<u64>,
    pub(crate) internal_pages: Option<u64>,
    pub(crate) protected_pages: Option<u64>,
    /// Protected pages that the directory has slots for, without growth.
    pub(crate) protected_capacity: Option<u64>,
    /// Protected pages that are known of; where the directory is not whole
    /// there may be more.
    pub(crate) protected_at_least: u64,
    pub(crate) last_allocated: Option<Vec<Extent>>,
    pub(crate) last_freed: Option<Vec<Extent>>,
    pub(crate) directory: Directory,
    /// Whether a program could change the file as it is.
    pub(crate) can_be_changed: bool,
}

impl Facts {
    /// What a look at a file knows, whose summary is this.
    pub(crate) fn of(look: &mut dyn Look, summary: &Summary) -> Result<Self, LookError> {
        let can_be_changed = matches!(
            summary.recovery.verdict.as_str(),
            "clean" | "rolled-back" | "rolled-forward"
        );
        // A page file has pages: none are those of metadata that was not read.
        let allocated = summary.page_count > 0;
        let directory = if can_be_changed {
            Directory::Whole
        } else if allocated || summary.protected_pages > 0 {
            directory(look, summary)?
        } else {
            Directory::Lost
        };
        let whole = directory == Directory::Whole;
        let of_metadata = |value| allocated.then_some(value);
        let commit = allocated && tells_of_the_last_commit(look, summary)?;
        Ok(Self {
            generation: of_metadata(summary.generation),
            page_count: of_metadata(summary.page_count),
            free_pages: of_metadata(summary.free_pages),
            // Which of the allocated pages are regular the directory says.
            regular_pages: of_metadata(summary.regular_pages).filter(|_| whole),
            internal_pages: of_metadata(summary.internal_pages).filter(|_| whole),
            protected_pages: whole.then_some(summary.protected_pages),
            protected_capacity: whole.then_some(summary.protected_capacity),
            protected_at_least: summary.protected_pages,
            last_allocated: commit.then(|| summary.last_allocated.clone()),
            last_freed: commit.then(|| summary.last_freed.clone()),
            directory,
            can_be_changed,
        })
    }

    /// Whether all protected pages are known.
    pub(crate) fn directory_is_whole(&self) -> bool {
        self.directory == Directory::Whole
    }

    /// The figures as the command line gives them, with nothing in place of
    /// what is not known.
    pub(crate) fn info(&self, summary: Summary) -> Map<String, Value> {
        let known = [
            ("page_count", self.page_count.is_some()),
            ("free_pages", self.free_pages.is_some()),
            ("regular_pages", self.regular_pages.is_some()),
            ("internal_pages", self.internal_pages.is_some()),
            ("protected_pages", self.protected_pages.is_some()),
            ("protected_capacity", self.protected_capacity.is_some()),
            ("generation", self.generation.is_some()),
            ("last_allocated", self.last_allocated.is_some()),
            ("last_freed", self.last_freed.is_some()),
        ];
        let info = serde_json::to_value(Info::from(summary));
        let Ok(Value::Object(mut info)) = info else {
            return Map::new();
        };
        for (key, _) in known.iter().filter(|(_, known)| !known) {
            info.insert((*key).to_owned(), Value::Null);
        }
        info
    }
}

/// How much of the directory of a damaged file could be read.
fn directory(look: &mut dyn Look, summary: &Summary) -> Result<Directory, LookError> {
    // The first step of the check is what recovery found.
    let found = look.findings(0)?.findings;
    let is_whole = !found.iter().any(|finding| {
        finding.severity == Severity::Error && OF_THE_DIRECTORY.contains(&finding.id.as_str())
    });
    Ok(match (is_whole, summary.protected_pages) {
        (true, _) => Directory::Whole,
        (false, 1..) => Directory::Part,
        (false, 0) => Directory::Lost,
    })
}

/// Whether the two copies of the metadata tell what the last commit did: the
/// other one has to be the state before.
fn tells_of_the_last_commit(look: &mut dyn Look, summary: &Summary) -> Result<bool, LookError> {
    if !summary.last_allocated.is_empty() || !summary.last_freed.is_empty() {
        return Ok(true);
    }
    let copies: Vec<Structure> = look
        .structures(0, 0)?
        .into_iter()
        .filter(|structure| structure.side.is_some())
        .collect();
    let other = summary
        .active_side
        .and_then(|active| copies.iter().find(|copy| copy.side != Some(active)));
    Ok(other.is_some_and(|other| {
        let generation = other.fields.iter().find(|field| field.name == "generation");
        let generation = generation.and_then(|field| field.value.parse::<u64>().ok());
        other.valid == Some(true) && generation.is_some_and(|before| before < summary.generation)
    }))
}

/// A side's letter.
pub(crate) fn side_name(side: Side) -> &'static str {
    match side {
        Side::A => "A",
        Side::B => "B",
    }
}
