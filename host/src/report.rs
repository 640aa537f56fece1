//! What is said of a file to programs: the JSON of `pagebox --json`, and of the
//! viewer's API.
//!
//! Keys are only ever added.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::Error;
use crate::ids::{PageId, ProtectedId};
use crate::inspect::{Finding, FreeSpace, Inspector, Severity, Step, Structure, Summary};
use crate::wit::pagebox::pager::page_store::Extent;

/// How many pages or slots are asked for at once.
const BATCH: u32 = 4096;

/// What those structures are called that a file is read from on.
const ROOTS: [&str; 3] = ["superblock", "metadata", "root"];

/// Figures of a file, as `pagebox info` tells them. In pages unless said
/// otherwise. None, in JSON null: the file's bytes do not say.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Info {
    /// `0.2` or `1.0`; empty where it is not known.
    pub format: String,
    /// What can be done with the file besides what every format can.
    pub capabilities: Vec<String>,
    /// Bytes in a page.
    pub page_size: u32,
    /// Pages that the file accounts for.
    pub page_count: Option<u64>,
    /// Whole pages in the file.
    pub file_pages: u64,
    /// Bytes past the last whole page.
    pub tail: u32,
    /// Pages that can be allocated without growth.
    pub free_pages: Option<u64>,
    /// Runs of free pages, the neighbours of which are in use.
    pub free_runs: Option<u64>,
    /// Pages in the longest of them.
    pub longest_free_run: Option<u64>,
    /// Allocated regular pages.
    pub regular_pages: Option<u64>,
    /// Protected pages.
    pub protected_pages: Option<u64>,
    /// Pages that are neither free nor regular.
    pub internal_pages: Option<u64>,
    /// The commit counter.
    pub generation: Option<u64>,
    /// The roots that count: `Metadata A`, or `Root A` and `Root B`, which are
    /// alike once a commit is done.
    pub roots: Vec<String>,
    /// The most pages that the format can account for.
    pub page_limit: u64,
    /// The most protected pages that the format can name.
    pub protected_limit: u64,
    /// Protected pages that there is room for without growth.
    pub protected_capacity: Option<u64>,
    /// Snapshots.
    pub snapshots: Option<u64>,
    /// `clean`, or what was found: `rolled-back`, `rolled-forward`, `damaged`,
    /// `not-a-page-file`.
    pub recovery: String,
    /// The same in a sentence.
    pub explanation: String,
    /// The reasoning.
    pub steps: Vec<Reason>,
    /// Pages that the last commit allocated, at most 256 runs. A file of format 1
    /// does not say it.
    pub last_allocated: Option<Vec<Extent>>,
    /// Pages that the last commit freed, at most 256 runs, in the same way.
    pub last_freed: Option<Vec<Extent>>,
}

/// A step of the reasoning at open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Reason {
    /// The rule that was applied.
    pub rule: String,
    /// What was looked at and what follows.
    pub text: String,
    /// The page that was looked at.
    pub page: Option<u64>,
    /// Where in the page, in bytes.
    pub offset: u32,
    /// The bytes found there; in JSON in hexadecimal.
    #[serde(serialize_with = "as_hex")]
    pub evidence: Vec<u8>,
}

/// The pages of a file, as `pagebox list` tells them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Listing {
    /// The regular pages, in ascending order.
    pub regular: Vec<PageId>,
    /// The protected pages, in ascending order of their ids.
    pub protected: Vec<Protected>,
}

/// A protected page in a [`Listing`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Protected {
    /// Its id.
    pub id: ProtectedId,
    /// The physical page that holds its bytes; none: they are zeros.
    pub page: Option<u64>,
    /// The other physical pages that are its own.
    pub others: Vec<u64>,
    /// Changes with every write of the page.
    pub generation: u64,
    /// What is wrong with it; absent where nothing is.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub problem: String,
}

/// What a check found, as `pagebox check` tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Check {
    /// Pages that were looked at.
    pub pages: u64,
    /// How many findings are damage.
    pub errors: usize,
    /// How many are unproven or wasteful.
    pub warnings: usize,
    /// How many are worth knowing.
    pub infos: usize,
    /// All of them, in the order in which they were found.
    pub findings: Vec<Found>,
    /// What a decoder made of the pages; absent where none was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decoded: Option<Decoding>,
}

/// What a page decoder made of the pages of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Decoding {
    /// What it calls itself.
    pub decoder: String,
    /// Pages that it was asked about: the protected ones and the regular ones.
    pub pages: u64,
    /// Pages that it knew.
    pub known: u64,
    /// What is wrong with pages, as it says; the first 10,000 are among the
    /// findings.
    pub problems: u64,
    /// Pages at which it failed.
    pub failures: u64,
    /// Whether it was not asked about the rest, since it failed too often.
    pub given_up: bool,
    /// The kinds of pages that it knew, by name: the first 64 of them.
    pub kinds: Vec<DecodedKind>,
}

/// A kind of pages, by a decoder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct DecodedKind {
    /// What the decoder calls it.
    pub kind: String,
    /// What stands for it in maps.
    pub letter: char,
    /// How many pages are of it.
    pub count: u64,
}

/// One finding of a [`Check`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Found {
    /// A stable name of what was found.
    pub id: String,
    /// `error`, `warning` or `info`.
    #[serde(serialize_with = "as_text")]
    pub severity: Severity,
    /// The page that shows it, where there is one.
    pub page: Option<u64>,
    /// Where in the page, in bytes.
    pub offset: u32,
    /// The bytes found there; in JSON in hexadecimal.
    #[serde(serialize_with = "as_hex")]
    pub evidence: Vec<u8>,
    /// What is wrong, with its numbers.
    pub message: String,
    /// What it means.
    pub meaning: String,
    /// What would mend it.
    pub remedy: String,
}

impl Info {
    /// What an inspector says of its file.
    ///
    /// # Errors
    /// [`Error::Sandbox`].
    pub fn of(inspector: &mut Inspector) -> Result<Self, Error> {
        let summary = inspector.summary()?;
        let roots = inspector.structures(0, 0)?;
        let free = inspector.free_space()?;
        Ok(Self::new(summary, &roots, &free))
    }

    /// The same of what an inspector said: its summary, its first structures, and
    /// how free space lies.
    pub fn new(summary: Summary, roots: &[Structure], free: &FreeSpace) -> Self {
        let counting = roots
            .iter()
            .filter(|root| root.counts && ROOTS.contains(&root.name.as_str()));
        let (last_allocated, last_freed) = summary
            .last_commit
            .map(|commit| (commit.allocated, commit.freed))
            .unzip();
        let runs = free.runs.iter().copied().fold(0, u64::saturating_add);
        Self {
            format: summary.format,
            capabilities: summary.capabilities,
            page_size: summary.page_size,
            page_count: summary.page_count,
            file_pages: summary.file_pages,
            tail: summary.tail,
            free_pages: summary.free_pages,
            free_runs: free.longest.map(|_| runs),
            longest_free_run: free.longest,
            regular_pages: summary.regular_pages,
            protected_pages: summary.protected_pages,
            internal_pages: summary.internal_pages,
            generation: summary.generation,
            roots: counting.map(|root| root.title.clone()).collect(),
            page_limit: summary.page_limit,
            protected_limit: summary.protected_limit,
            protected_capacity: summary.protected_capacity,
            snapshots: summary.snapshots,
            recovery: summary.recovery.verdict,
            explanation: summary.recovery.explanation,
            steps: summary
                .recovery
                .steps
                .into_iter()
                .map(Reason::from)
                .collect(),
            last_allocated,
            last_freed,
        }
    }
}

impl From<Step> for Reason {
    fn from(step: Step) -> Self {
        Self {
            rule: step.rule,
            text: step.text,
            page: step.page,
            offset: step.offset,
            evidence: step.evidence,
        }
    }
}

impl Listing {
    /// What an inspector says of its file's pages.
    ///
    /// # Errors
    /// [`Error::Sandbox`].
    pub fn of(inspector: &mut Inspector) -> Result<Self, Error> {
        Ok(Self {
            regular: regular(inspector)?,
            protected: protected(inspector)?,
        })
    }
}

fn regular(inspector: &mut Inspector) -> Result<Vec<PageId>, Error> {
    let kinds = inspector.page_kinds()?;
    let code = kinds
        .iter()
        .find(|kind| kind.name == "regular")
        .map(|kind| kind.code);
    let mut pages = Vec::new();
    let mut first = 0;
    // What is not in the file is no regular page.
    let end = inspector.geometry().page_count;
    while first < end {
        let count = u32::try_from(end - first).unwrap_or(BATCH).min(BATCH);
        let kinds = inspector.kinds(first, count)?;
        let here = (first..)
            .zip(&kinds)
            .filter(|(_, kind)| Some(**kind) == code);
        pages.extend(here.map(|(page, _)| PageId::new(page)));
        if kinds.is_empty() {
            break;
        }
        first += kinds.len() as u64;
    }
    Ok(pages)
}

fn protected(inspector: &mut Inspector) -> Result<Vec<Protected>, Error> {
    let mut pages = Vec::new();
    let mut start = 0;
    // Each takes a byte at least.
    let most = inspector.geometry().byte_count();
    loop {
        let entries = inspector.directory(start, BATCH, false)?;
        let Some(last) = entries.last() else {
            return Ok(pages);
        };
        if pages.len() as u64 > most {
            return Err(inspector.distrust(
                "reading the directory",
                "it has more pages than there can be",
            ));
        }
        start = last.id.saturating_add(1);
        pages.extend(entries.into_iter().map(|entry| {
            let own = entry.pages.iter().map(|own| own.page);
            Protected {
                id: ProtectedId::new(entry.id),
                page: entry.page,
                others: own.filter(|&page| Some(page) != entry.page).collect(),
                generation: entry.generation,
                problem: entry.problem,
            }
        }));
    }
}

impl Check {
    pub(crate) fn new(summary: &Summary, findings: Vec<Found>) -> Self {
        let count = |severity| {
            findings
                .iter()
                .filter(|found| found.severity == severity)
                .count()
        };
        Self {
            pages: summary.page_count.unwrap_or(0).max(summary.file_pages),
            errors: count(Severity::Error),
            warnings: count(Severity::Warning),
            infos: count(Severity::Info),
            findings,
            decoded: None,
        }
    }

    /// Whether nothing is wrong: the file is not damaged, and a decoder that was
    /// asked found no problem and did not fail.
    pub fn is_sound(&self) -> bool {
        let decoded = self.decoded.as_ref();
        self.errors == 0 && decoded.is_none_or(|it| it.problems == 0 && it.failures == 0)
    }
}

impl From<Finding> for Found {
    fn from(finding: Finding) -> Self {
        Self {
            id: finding.id,
            severity: finding.severity,
            page: finding.page,
            offset: finding.offset,
            evidence: finding.evidence,
            message: finding.message,
            meaning: finding.meaning,
            remedy: finding.remedy,
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn as_text<S: Serializer>(severity: &Severity, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(severity)
}

fn as_hex<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(&Hex(bytes))
}

/// Bytes in hexadecimal: `001f`.
struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
