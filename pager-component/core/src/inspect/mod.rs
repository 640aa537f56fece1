//! [`Inspector`]: a look at a store, whatever is in it. Never writes, syncs or
//! fails: what is wrong is in the results.
//!
//! Nothing here is particular to a format but the decoding of structures into
//! named fields, in [`structure`].

pub mod structure;

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use pagebox_store::{PageSize, PageStore};

use crate::check;
use crate::error::Error;
use crate::finding::{Finding, Severity};
use crate::format::directory::{Slot, slot_offset};
use crate::format::metadata::{self, Metadata};
use crate::format::superblock::block_offset;
use crate::format::{self as format0, Limits};
use crate::ids::{Extent, ProtectedId, Side};
use crate::kinds::PageKind;
use crate::page_map::{Counts, PageMap, Tile};
use crate::pager::{Stats, page_checksum};
use crate::recovery::{Explain, Recovery, Step, Verdict, Witness, read_page, recover_steadily};
use crate::state::State;
use structure::Structure;

/// The most runs of pages in [`LastCommit`], each way.
const LAST_COMMIT_RUNS: usize = 256;

/// What a file is, as far as its bytes say.
#[derive(Clone, Debug)]
pub struct Summary {
    /// `0.2`; empty where the format is not known.
    pub format: &'static str,
    /// The figures; zeros for what is not known.
    pub stats: Stats,
    /// Whole pages in the store.
    pub file_pages: u64,
    /// Bytes past the last whole page.
    pub tail: u32,
    /// The metadata side that counts, where that is known.
    pub active_side: Option<Side>,
    /// `clean`, `rolled-back`, `rolled-forward`, `damaged`, `not-a-page-file`,
    /// `unreadable`, `busy`.
    pub verdict: &'static str,
    /// The verdict in a sentence.
    pub explanation: String,
    /// The reasoning.
    pub steps: Vec<Step>,
}

/// What the last commit changed, as far as the two copies of the metadata tell.
#[derive(Clone, Debug, Default)]
pub struct LastCommit {
    /// Pages that it allocated.
    pub allocated: Vec<Extent>,
    /// Pages that it freed.
    pub freed: Vec<Extent>,
}

/// A reference to a page.
#[derive(Clone, Debug)]
pub struct Reference {
    /// The page that holds it.
    pub page: u64,
    /// Where in the page.
    pub offset: u32,
    /// What refers, for people.
    pub text: String,
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

/// A slot of the directory that is in use.
#[derive(Clone, Debug)]
pub struct SlotInfo {
    /// Its id.
    pub id: ProtectedId,
    /// Its block.
    pub block: u64,
    /// Its place in the block.
    pub index: u64,
    /// What it holds.
    pub slot: Slot,
    /// The checksum of the active page, where it was asked for.
    pub actual: Option<u32>,
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

/// A part of the check's results.
#[derive(Clone, Debug)]
pub struct FindingsPart {
    /// What was found.
    pub findings: Vec<Finding>,
    /// The next cursor; none: complete.
    pub next: Option<u64>,
    /// Steps done.
    pub done: u64,
    /// Steps in all.
    pub total: u64,
}

/// A look at one store, as it was when the inspector was made.
#[derive(Debug)]
pub struct Inspector<S> {
    store: S,
    outcome: Result<Recovery, Error>,
    /// What the outcome rests on; none: the bytes that decide could not be read,
    /// or changed each time.
    witness: Option<Witness>,
    map: PageMap,
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
        let state = outcome.as_ref().ok().map(|recovery| &recovery.state);
        let map = PageMap::new(state, store.geometry().page_count);
        let mut inspector = Self {
            store,
            outcome,
            witness,
            map,
            problems: BTreeMap::new(),
        };
        let found = check::step(&inspector.store, &inspector.outcome, 0);
        inspector.note_problems(&found);
        inspector
    }

    /// Hands the store back.
    pub fn close(self) -> S {
        self.store
    }

    /// Whether the file is still in the state that was found when the inspector
    /// was made. Where it is not, what was answered since may be of another
    /// state, or of two.
    pub fn is_current(&self) -> bool {
        match (&self.witness, &self.outcome) {
            (Some(witness), _) => witness.still_holds(&self.store).unwrap_or(false),
            (None, outcome) => !matches!(outcome, Err(Error::Busy)),
        }
    }

    fn state(&self) -> Option<&State> {
        self.outcome.as_ref().ok().map(|recovery| &recovery.state)
    }

    fn page_size(&self) -> PageSize {
        self.store.geometry().page_size
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
    pub fn summary(&self) -> Summary {
        let geometry = self.store.geometry();
        let limits = Limits::of(geometry.page_size);
        let (format, stats, active_side, verdict, explanation, steps) = match &self.outcome {
            Ok(Recovery {
                verdict,
                state,
                steps,
                ..
            }) => (
                format0::NAME,
                Stats::of(state),
                Some(state.side),
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
                let stats = Stats {
                    page_size: geometry.page_size,
                    page_count: 0,
                    page_limit: limits.page_count,
                    free_pages: 0,
                    regular_pages: 0,
                    protected_pages: 0,
                    protected_capacity: 0,
                    protected_limit: limits.protected(),
                    internal_pages: 0,
                    generation: 0,
                };
                ("", stats, None, verdict, format!("{error}"), Vec::new())
            }
        };
        Summary {
            format,
            stats,
            file_pages: geometry.page_count,
            tail: geometry.tail,
            active_side,
            verdict,
            explanation,
            steps,
        }
    }

    /// The pages that the last commit allocated and freed: where both copies
    /// of the metadata are valid and the other is the one before.
    pub fn last_commit(&self) -> LastCommit {
        let Some(state) = self.state() else {
            return LastCommit::default();
        };
        let read = |side| {
            let bytes = read_page(&self.store, metadata::page_of(side))
                .ok()
                .flatten()?;
            Metadata::parse(&bytes, state.page_size).ok()
        };
        let (Some(now), Some(before)) = (read(state.side), read(state.side.other())) else {
            return LastCommit::default();
        };
        if state.allocation.is_none() || before.generation >= now.generation {
            return LastCommit::default();
        }
        let runs = |from: &Metadata, to: &Metadata| {
            let changed = from.used.difference(&to.used);
            crate::allocation::AllocationMap::from_used(changed).regular(0, LAST_COMMIT_RUNS)
        };
        LastCommit {
            allocated: runs(&now, &before),
            freed: runs(&before, &now),
        }
    }

    /// How many pages there are of each kind.
    pub fn counts(&self) -> Counts {
        self.map.counts(0, self.map.len())
    }

    /// The kinds of `count` pages from `first` on; fewer at the end.
    pub fn kinds(&self, first: u64, count: u32) -> Vec<PageKind> {
        (first..first.saturating_add(u64::from(count)))
            .map_while(|page| self.map.kind(page))
            .collect()
    }

    /// At most `count` tiles of `pages_per_tile` pages from `first` on.
    pub fn tiles(&self, first: u64, pages_per_tile: u64, count: usize) -> Vec<MarkedTile> {
        self.map
            .tiles(first, pages_per_tile, count)
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

    /// Runs of free pages by length, a count for each power of two.
    pub fn free_runs(&self) -> Vec<u64> {
        self.map.free_runs()
    }

    /// The superblock, both copies of the metadata, and both copies of the
    /// directory blocks from `start_block` on, at most `limit` blocks.
    pub fn structures(&self, start_block: usize, limit: usize) -> Vec<Structure> {
        let mut found = Vec::new();
        let mut push = |page, slots| {
            if let Ok(Some(bytes)) = read_page(&self.store, page) {
                found.extend(structure::of(page, &bytes, self.state(), slots));
            }
        };
        for page in 0..format0::RESERVED_PAGES {
            push(page, structure::Slots::Leave);
        }
        let directory = self.state().and_then(|state| state.directory.as_ref());
        let blocks = directory.map_or(&[][..], |directory| directory.blocks());
        for block in blocks.iter().skip(start_block).take(limit) {
            for page in block.place.pages {
                push(page, structure::Slots::Leave);
            }
        }
        found
    }

    /// Slots in use from id `start` on, ascending, at most `limit`. With
    /// `verify` the checksums of their pages are computed.
    pub fn directory(&self, start: ProtectedId, limit: usize, verify: bool) -> Vec<SlotInfo> {
        let Some(directory) = self.state().and_then(|state| state.directory.as_ref()) else {
            return Vec::new();
        };
        directory
            .slots(start)
            .take(limit)
            .map(|(id, slot)| {
                let (block, index) = directory.place(id);
                let checked = verify
                    .then(|| page_checksum(&self.store, self.page_size(), slot.active_page()));
                let (actual, problem) = match checked {
                    None => (None, String::new()),
                    Some(Ok(actual)) if actual == slot.checksum => (Some(actual), String::new()),
                    Some(Ok(actual)) => (
                        Some(actual),
                        format!(
                            "the page's checksum is {actual:#010x}, not {:#010x}",
                            slot.checksum
                        ),
                    ),
                    Some(Err(error)) => (None, format!("{error}")),
                };
                SlotInfo {
                    id,
                    block: block as u64,
                    index: index as u64,
                    slot,
                    actual,
                    problem,
                }
            })
            .collect()
    }

    /// All about one page; none where there is no such page.
    pub fn page(&self, page: u64) -> Option<PageInfo> {
        let kind = self.map.kind(page)?;
        let bytes = read_page(&self.store, page).ok().flatten();
        let protected = match kind {
            PageKind::PROTECTED_ACTIVE | PageKind::PROTECTED_SHADOW => {
                self.state().and_then(|state| state.owner(page).1)
            }
            _ => None,
        };
        let structures = bytes
            .map(|bytes| structure::of(page, &bytes, self.state(), structure::Slots::List))
            .unwrap_or_default();
        Some(PageInfo {
            kind,
            protected,
            structures,
            referenced_by: self.references(page, protected),
            findings: self.findings_of(page, protected),
        })
    }

    fn references(&self, page: u64, protected: Option<ProtectedId>) -> Vec<Reference> {
        let offset = |offset| u32::try_from(offset).unwrap_or(u32::MAX);
        let mut found = Vec::new();
        let Some(state) = self.state() else {
            return found;
        };
        for side in Side::BOTH {
            if metadata::page_of(side) == page {
                let text = if side == state.side {
                    format!("the superblock names metadata {side} as the one that counts")
                } else {
                    format!("the superblock knows metadata {side}, which does not count")
                };
                found.push(Reference {
                    page: 0,
                    offset: offset(format0::superblock::offset::SIDE),
                    text,
                });
            }
        }
        let Some(directory) = &state.directory else {
            return found;
        };
        for (index, block) in directory.blocks().iter().enumerate() {
            for side in Side::BOTH {
                if side.of(block.place.pages) == page {
                    let text = format!(
                        "the superblock names it as copy {side} of directory block {index}"
                    );
                    found.push(Reference {
                        page: 0,
                        offset: offset(block_offset(index)),
                        text,
                    });
                }
            }
        }
        if let Some(id) = protected
            && let Some(slot) = directory.slot(id)
        {
            let (block, index) = directory.place(id);
            if let Some(place) = directory.blocks().get(block).map(|block| block.place) {
                let side = if Side::A.of(slot.pages) == page {
                    Side::A
                } else {
                    Side::B
                };
                found.push(Reference {
                    page: place.active.of(place.pages),
                    offset: offset(slot_offset(index)),
                    text: format!(
                        "slot {index} of directory block {block}, copy {}, names it as page {side} of protected page {id}",
                        place.active
                    ),
                });
            }
        }
        found
    }

    fn findings_of(&self, page: u64, protected: Option<ProtectedId>) -> Vec<Finding> {
        let mut found: Vec<Finding> = check::step(&self.store, &self.outcome, 0)
            .into_iter()
            .filter(|finding| finding.page == Some(page))
            .collect();
        let Some(state) = self.state() else {
            return found;
        };
        let slot = protected.and_then(|id| Some((id, state.directory.as_ref()?.slot(id)?)));
        if let Some((id, slot)) = slot
            && slot.active_page() == page
        {
            found.extend(check::protected_page(&self.store, state, id, &slot));
        }
        found
    }

    /// A step of a full check; pass 0 first, then `next`.
    pub fn findings(&mut self, cursor: u64) -> FindingsPart {
        let total = check::steps(&self.outcome);
        let findings = check::step(&self.store, &self.outcome, cursor);
        self.note_problems(&findings);
        let done = cursor.saturating_add(1).min(total);
        FindingsPart {
            findings,
            next: (done < total).then_some(done),
            done,
            total,
        }
    }
}
