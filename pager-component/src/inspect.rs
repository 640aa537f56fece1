//! The export `inspect`.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::cell::RefCell;

use pagebox_core::facts::CheckPart;
use pagebox_core::finding::{Finding, Severity};
use pagebox_core::inspect::{EntryInfo, Inspector, MarkedTile, PageInfo, Summary};
use pagebox_core::kinds::PageKind;
use pagebox_core::page_map::FreeSpace;
use pagebox_core::recovery::Step;
use pagebox_core::structure::{Field, LastCommit, Reference, Structure};
use pagebox_core::{Error, ProtectedId, SnapshotInfo};

use crate::Component;
use crate::convert::words_of;
use crate::store::HostStore;
use crate::wit::exports::pagebox::pager::inspect as wit;
use crate::wit::pagebox::pager::page_store::Store;

/// An inspector.
pub(crate) struct OpenInspector(RefCell<Inspector<HostStore>>);

impl wit::Guest for Component {
    type Inspector = OpenInspector;

    fn open(store: Store) -> wit::Inspector {
        let inspector = Inspector::open(HostStore::to_inspect(store));
        wit::Inspector::new(OpenInspector(RefCell::new(inspector)))
    }
}

impl wit::GuestInspector for OpenInspector {
    fn is_current(&self) -> bool {
        self.0.borrow().is_current()
    }

    fn summary(&self) -> wit::Summary {
        let mut inspector = self.0.borrow_mut();
        summary(inspector.summary(), inspector.last_commit())
    }

    fn snapshots(&self) -> Result<Vec<wit::Snapshot>, String> {
        match self.0.borrow_mut().snapshots() {
            Ok(snapshots) => Ok(convert(snapshots)),
            Err(error) => Err(error.to_string()),
        }
    }

    fn show_snapshot(&self, name: String) -> Result<bool, String> {
        match self.0.borrow_mut().show_snapshot(&name) {
            Ok(()) => Ok(true),
            Err(Error::NoSnapshot) => Ok(false),
            Err(error) => Err(error.to_string()),
        }
    }

    fn page_kinds(&self) -> Vec<wit::PageKind> {
        let counts = self.0.borrow_mut().counts();
        PageKind::ALL
            .into_iter()
            .zip(counts)
            .map(|(kind, count)| page_kind(kind, count))
            .collect()
    }

    fn kinds(&self, first: u64, count: u32) -> Vec<u8> {
        self.0
            .borrow_mut()
            .kinds(first, count)
            .into_iter()
            .map(|kind| kind.0)
            .collect()
    }

    fn tiles(&self, first: u64, pages_per_tile: u64, count: u32) -> Vec<wit::Tile> {
        convert(
            self.0
                .borrow_mut()
                .tiles(first, pages_per_tile, count as usize),
        )
    }

    fn free_space(&self) -> wit::FreeSpace {
        let FreeSpace { runs, longest } = self.0.borrow_mut().free_space();
        wit::FreeSpace { runs, longest }
    }

    fn structures(&self, start: u32, limit: u32) -> Vec<wit::Structure> {
        convert(
            self.0
                .borrow_mut()
                .structures(start as usize, limit as usize),
        )
    }

    fn directory(&self, start: u64, limit: u32, verify: bool) -> Vec<wit::Entry> {
        convert(
            self.0
                .borrow_mut()
                .directory(ProtectedId(start), limit as usize, verify),
        )
    }

    fn page(&self, page: u64) -> Option<wit::PageInfo> {
        self.0
            .borrow_mut()
            .page(page)
            .map(|info| page_info(page, info))
    }

    fn findings(&self, cursor: u64) -> wit::FindingsPart {
        self.0.borrow_mut().findings(cursor).into()
    }
}

impl From<SnapshotInfo> for wit::Snapshot {
    fn from(snapshot: SnapshotInfo) -> Self {
        Self {
            name: snapshot.name,
            generation: snapshot.generation,
            time: snapshot.time,
        }
    }
}

fn convert<T, U: From<T>>(list: Vec<T>) -> Vec<U> {
    list.into_iter().map(U::from).collect()
}

fn summary(summary: Summary, last_commit: Option<LastCommit>) -> wit::Summary {
    let stats = summary.stats;
    wit::Summary {
        format: stats.format.into(),
        capabilities: words_of(stats.capabilities),
        page_size: stats.page_size.bytes_u32(),
        page_count: stats.page_count,
        file_pages: summary.file_pages,
        tail: summary.tail,
        free_pages: stats.free_pages,
        regular_pages: stats.regular_pages,
        protected_pages: stats.protected_pages,
        internal_pages: stats.internal_pages,
        generation: stats.generation,
        page_limit: stats.page_limit,
        protected_limit: stats.protected_limit,
        protected_capacity: stats.protected_capacity,
        snapshots: summary.snapshots,
        recovery: wit::Recovery {
            verdict: summary.verdict.into(),
            explanation: summary.explanation,
            steps: convert(summary.steps),
        },
        last_commit: last_commit.map(|commit| wit::LastCommit {
            allocated: convert(commit.allocated),
            freed: convert(commit.freed),
        }),
    }
}

fn page_kind(kind: PageKind, count: u64) -> wit::PageKind {
    let text = kind.text();
    wit::PageKind {
        code: kind.0,
        name: text.name.into(),
        letter: text.letter.to_string(),
        description: text.description.into(),
        count,
    }
}

fn page_info(page: u64, info: PageInfo) -> wit::PageInfo {
    wit::PageInfo {
        page,
        kind: info.kind.0,
        protected: info.protected.map(|id| id.0),
        structures: convert(info.structures),
        referenced_by: convert(info.referenced_by),
        findings: convert(info.findings),
    }
}

impl From<Severity> for wit::Severity {
    fn from(severity: Severity) -> Self {
        match severity {
            Severity::Info => Self::Info,
            Severity::Warning => Self::Warning,
            Severity::Error => Self::Error,
        }
    }
}

impl From<Finding> for wit::Finding {
    fn from(finding: Finding) -> Self {
        Self {
            id: finding.kind.id().into(),
            severity: finding.kind.severity().into(),
            page: finding.page,
            offset: finding.offset,
            evidence: finding.evidence,
            message: finding.message,
            meaning: finding.kind.meaning().into(),
            remedy: finding.kind.remedy().into(),
        }
    }
}

impl From<Step> for wit::Step {
    fn from(step: Step) -> Self {
        Self {
            rule: step.rule.into(),
            text: step.text,
            page: step.page,
            offset: step.offset,
            evidence: step.evidence,
        }
    }
}

impl From<MarkedTile> for wit::Tile {
    fn from(MarkedTile { tile, worst }: MarkedTile) -> Self {
        Self {
            first: tile.first,
            count: tile.count,
            kind: tile.kind.0,
            worst: worst.map(Into::into),
            used: tile.used,
        }
    }
}

impl From<Field> for wit::Field {
    fn from(field: Field) -> Self {
        Self {
            name: field.name,
            offset: field.offset,
            len: field.len,
            value: field.value,
            meaning: field.meaning,
            refers_to: field.refers_to,
            problem: field.problem,
        }
    }
}

impl From<Structure> for wit::Structure {
    fn from(structure: Structure) -> Self {
        Self {
            name: structure.name.into(),
            title: structure.title,
            page: structure.page,
            counts: structure.counts,
            valid: structure.valid,
            fields: convert(structure.fields),
        }
    }
}

impl From<Reference> for wit::Reference {
    fn from(reference: Reference) -> Self {
        Self {
            page: reference.page,
            offset: reference.offset,
            text: reference.text,
        }
    }
}

impl From<EntryInfo> for wit::Entry {
    fn from(info: EntryInfo) -> Self {
        let entry = info.entry;
        let pages = entry.pages.into_iter();
        Self {
            id: entry.id.0,
            page: entry.location.page,
            pages: pages
                .map(|(page, kind)| wit::OwnedPage { page, kind: kind.0 })
                .collect(),
            generation: entry.location.generation,
            checksum: entry.location.checksum.into(),
            actual: info.actual.map(Into::into),
            problem: info.problem,
            place: entry.place,
        }
    }
}

impl From<CheckPart> for wit::FindingsPart {
    fn from(part: CheckPart) -> Self {
        Self {
            findings: convert(part.findings),
            next: part.next,
            done: part.done,
            total: part.total,
        }
    }
}
