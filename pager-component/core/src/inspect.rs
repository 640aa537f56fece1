//! [`Inspector`]: a look at a store, whatever is in it. Never writes, syncs or
//! fails: what is wrong is in the results.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use pagebox_store::{Checksum, PageStore};

use crate::check;
use crate::codec::wide;
use crate::error::Error;
use crate::facts::{CheckPart, SnapshotInfo, Stats};
use crate::file::{File, FileKinds};
use crate::finding::{Finding, Severity};
use crate::ids::ProtectedId;
use crate::kinds::PageKind;
use crate::page_map::{Counts, FreeSpace, Kinds, PageMap, Tile, Unknown};
use crate::read::{page_checksum, read_page};
use crate::recovery::{
    Explain, Recovery, Step, Verdict, Witness, format_of, has_snapshot, recover_steadily,
};
use crate::structure::{Entry, LastCommit, Reference, Structure};
use crate::verify::{Looks, protected_page};

/// What a file is, as far as its bytes say.
#[derive(Clone, Debug)]
pub struct Summary {
    /// The figures.
    pub stats: Stats,
    /// Whole pages in the store.
    pub file_pages: u64,
    /// Bytes past the last whole page.
    pub tail: u32,
    /// Snapshots; none where that is not known.
    pub snapshots: Option<u64>,
    /// `clean`, `rolled-back`, `rolled-forward`, `damaged`, `not-a-page-file`,
    /// `unreadable`, `busy`.
    pub verdict: &'static str,
    /// The verdict in a sentence.
    pub explanation: String,
    /// The reasoning.
    pub steps: Vec<Step>,
}

/// All about one page.
#[derive(Clone, Debug)]
pub struct PageInfo {
    /// What it is.
    pub kind: PageKind,
    /// The protected page that it belongs to.
    pub protected: Option<ProtectedId>,
    /// What lies in it.
    pub structures: Vec<Structure>,
    /// Who names it.
    pub referenced_by: Vec<Reference>,
    /// What is wrong with it.
    pub findings: Vec<Finding>,
}

/// A protected page in the directory.
#[derive(Clone, Debug)]
pub struct EntryInfo {
    /// What the directory says of it.
    pub entry: Entry,
    /// The checksum of its bytes, where it was asked for.
    pub actual: Option<Checksum>,
    /// What is wrong with it; empty where nothing is.
    pub problem: String,
}

/// A tile with the worst finding among its pages.
#[derive(Clone, Copy, Debug)]
pub struct MarkedTile {
    /// The pages.
    pub tile: Tile,
    /// The worst finding.
    pub worst: Option<Severity>,
}

/// A look at one store, as it was when the inspector was made.
#[derive(Debug)]
pub struct Inspector<S> {
    store: S,
    outcome: Result<Recovery, Error>,
    /// What the outcome rests on; none: the bytes that decide could not be read,
    /// or changed each time.
    witness: Option<Witness>,
    /// The worst finding of each page that has one, as far as it was looked for.
    problems: BTreeMap<u64, Severity>,
}

impl<S: PageStore> Inspector<S> {
    /// Looks at a store.
    pub fn open(store: S) -> Self {
        let (outcome, witness) = match recover_steadily(&store, Explain::Yes) {
            Ok((outcome, witness)) => (outcome, Some(witness)),
            Err(error) => (Err(error), None),
        };
        let mut inspector = Self {
            store,
            outcome,
            witness,
            problems: BTreeMap::new(),
        };
        let found = check::part(&inspector.store, &mut inspector.outcome, 0);
        inspector.note_problems(&found.findings);
        inspector
    }

    /// The snapshots, oldest first.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Store`]; why the file cannot be read.
    pub fn snapshots(&mut self) -> Result<Vec<SnapshotInfo>, Error> {
        match &mut self.outcome {
            Ok(recovery) => recovery.file.snapshots(&self.store),
            Err(error) => Err(error.clone()),
        }
    }

    /// Shows a snapshot from now on, in place of the committed state: its protected
    /// pages. What is not of it is not known.
    ///
    /// # Errors
    /// [`Error::NoSnapshot`]; as [`Inspector::snapshots`].
    pub fn show_snapshot(&mut self, name: &str) -> Result<(), Error> {
        let recovery = self.outcome.as_mut().map_err(|error| error.clone())?;
        let root = recovery.file.root_of(&self.store, name)?;
        recovery.file = File::open_at(&self.store, &root)?;
        self.problems.clear();
        Ok(())
    }

    /// Hands the store back.
    pub fn close(self) -> S {
        self.store
    }

    /// Whether the file is still in the state that was found when the inspector
    /// was made; of a snapshot, whether there still is one. Where it is not, what
    /// was answered since may be of another state, or of two.
    pub fn is_current(&self) -> bool {
        let file = self.outcome.as_ref().ok().map(|recovery| &recovery.file);
        if let Some(generation) = file.and_then(File::shown_snapshot) {
            return has_snapshot(&self.store, generation).unwrap_or(false);
        }
        match (&self.witness, &self.outcome) {
            (Some(witness), _) => witness.still_holds(&self.store).unwrap_or(false),
            (None, outcome) => !matches!(outcome, Err(Error::Busy)),
        }
    }

    /// The map of the file, read as far as it is asked for.
    fn map(&mut self) -> PageMap<Box<dyn Kinds + '_>> {
        let file_pages = self.store.geometry().page_count;
        match &mut self.outcome {
            Ok(recovery) => {
                let page_count = recovery.file.page_count();
                let kinds = FileKinds {
                    file: &mut recovery.file,
                    store: &self.store,
                };
                PageMap::new(Box::new(kinds), page_count, file_pages)
            }
            Err(_) => PageMap::new(Box::new(Unknown), None, file_pages),
        }
    }

    fn note_problems(&mut self, findings: &[Finding]) {
        for finding in findings {
            if let Some(page) = finding.page {
                let severity = finding.kind.severity();
                let worst = self.problems.entry(page).or_insert(severity);
                *worst = (*worst).max(severity);
            }
        }
    }

    /// The file in figures, and recovery's verdict.
    pub fn summary(&mut self) -> Summary {
        let geometry = self.store.geometry();
        // A snapshot does not say which others there are.
        let is_one = |recovery: &Recovery| recovery.file.shown_snapshot().is_some();
        let snapshots = match &self.outcome {
            Ok(recovery) if is_one(recovery) => None,
            _ => self.snapshots().map(|all| wide(all.len())).ok(),
        };
        let (stats, verdict, explanation, steps) = match &mut self.outcome {
            Ok(Recovery {
                verdict,
                file,
                steps,
                ..
            }) => (
                file.stats(&self.store),
                verdict.name(),
                verdict.explanation().to_string(),
                steps.clone(),
            ),
            Err(error) => {
                let verdict = match error {
                    Error::Identity(_) => "not-a-page-file",
                    Error::Store { .. } => "unreadable",
                    Error::Busy => "busy",
                    _ => Verdict::Damaged.name(),
                };
                let stats = File::unknown_stats(format_of(&self.store), geometry.page_size);
                (stats, verdict, format!("{error}"), Vec::new())
            }
        };
        Summary {
            stats,
            file_pages: geometry.page_count,
            tail: geometry.tail,
            snapshots,
            verdict,
            explanation,
            steps,
        }
    }

    /// What the last commit changed, as far as the file tells.
    pub fn last_commit(&self) -> Option<LastCommit> {
        let recovery = self.outcome.as_ref().ok()?;
        recovery.file.last_commit(&self.store)
    }

    /// How many pages there are of each kind.
    pub fn counts(&mut self) -> Counts {
        let mut map = self.map();
        map.counts(0, map.len())
    }

    /// The kinds of `count` pages from `first` on; fewer at the end.
    pub fn kinds(&mut self, first: u64, count: u32) -> Vec<PageKind> {
        let mut map = self.map();
        (first..first.saturating_add(u64::from(count)))
            .map_while(|page| map.kind(page))
            .collect()
    }

    /// At most `count` tiles of `pages_per_tile` pages from `first` on.
    pub fn tiles(&mut self, first: u64, pages_per_tile: u64, count: usize) -> Vec<MarkedTile> {
        let tiles = self.map().tiles(first, pages_per_tile, count);
        tiles
            .into_iter()
            .map(|tile| MarkedTile {
                tile,
                worst: self
                    .problems
                    .range(tile.first..tile.first + tile.count)
                    .map(|(_, &severity)| severity)
                    .max(),
            })
            .collect()
    }

    /// How free space lies.
    pub fn free_space(&mut self) -> FreeSpace {
        self.map().free_space()
    }

    /// The structures that describe the file: roots first, then all copies
    /// of the parts of the directory from the `start`-th part on, of at most
    /// `limit` parts.
    pub fn structures(&mut self, start: usize, limit: usize) -> Vec<Structure> {
        match &mut self.outcome {
            Ok(recovery) => recovery.file.structures(&self.store, start, limit),
            Err(_) => Vec::new(),
        }
    }

    /// Protected pages from id `start` on, ascending, at most `limit`. With
    /// `verify` the checksums of their bytes are computed.
    pub fn directory(&mut self, start: ProtectedId, limit: usize, verify: bool) -> Vec<EntryInfo> {
        let Ok(recovery) = &mut self.outcome else {
            return Vec::new();
        };
        let entries = recovery.file.entries(&self.store, start, limit).into_iter();
        entries.map(|entry| self.checked(entry, verify)).collect()
    }

    fn checked(&self, entry: Entry, verify: bool) -> EntryInfo {
        let expected = entry.location.checksum;
        let page = entry.location.page.filter(|_| verify);
        let checked = page.map(|page| page_checksum(&self.store, page, expected.algorithm));
        let (actual, problem) = match checked {
            None => (None, String::new()),
            Some(Ok(actual)) if actual == expected => (Some(actual), String::new()),
            Some(Ok(actual)) => (
                Some(actual),
                format!("the page's checksum is {actual}, not {expected}"),
            ),
            Some(Err(error)) => (None, format!("{error}")),
        };
        EntryInfo {
            entry,
            actual,
            problem,
        }
    }

    /// All about one page; none where there is no such page.
    pub fn page(&mut self, page: u64) -> Option<PageInfo> {
        let kind = self.map().kind(page)?;
        let store = &self.store;
        let (mut protected, mut structures, mut referenced_by) = (None, Vec::new(), Vec::new());
        if let Ok(Recovery { file, .. }) = &mut self.outcome {
            if matches!(
                kind,
                PageKind::PROTECTED_ACTIVE | PageKind::PROTECTED_SHADOW
            ) {
                protected = file.owner(store, page);
            }
            if let Ok(Some(bytes)) = read_page(store, page) {
                structures = file.structures_in(store, page, &bytes);
            }
            referenced_by = file.references(store, page);
        }
        Some(PageInfo {
            kind,
            protected,
            structures,
            referenced_by,
            findings: self.findings_of(page, protected),
        })
    }

    /// What a check finds in a page, where that can be found with bounded work.
    fn findings_of(&mut self, page: u64, protected: Option<ProtectedId>) -> Vec<Finding> {
        let mut found: Vec<Finding> = check::part(&self.store, &mut self.outcome, 0)
            .findings
            .into_iter()
            .filter(|finding| finding.page == Some(page))
            .collect();
        let of_page = protected.and_then(|id| {
            let file = &mut self.outcome.as_mut().ok()?.file;
            let found = file.protected(&self.store, id, 1).ok()?.pop()?;
            Some(found).filter(|found| found.id == id && found.location.page == Some(page))
        });
        found.extend(
            of_page.and_then(|of_page| protected_page(&self.store, &of_page, &mut Looks::one())),
        );
        if let Ok(recovery) = &mut self.outcome {
            for finding in recovery.file.page_findings(&self.store, page) {
                if !found.contains(&finding) {
                    found.push(finding);
                }
            }
        }
        found
    }

    /// A part of a full check; pass 0 first, then `next`.
    pub fn findings(&mut self, cursor: u64) -> CheckPart {
        let part = check::part(&self.store, &mut self.outcome, cursor);
        self.note_problems(&part.findings);
        part
    }
}
