//! The kinds of pages of a file: their counts and shares, and how each is drawn.

use serde::Serialize;
use utoipa::ToSchema;

use crate::{inspect::PageKind, schema, text};

/// The kinds of pages that a file has, for legends.
#[derive(Clone, Debug)]
pub(crate) struct Legend {
    pub(crate) kinds: Vec<LegendLine>,
    pub(crate) total: u64,
}

/// A line of a legend.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct LegendLine {
    /// The kind.
    #[serde(flatten)]
    #[schema(value_type = schema::PageKind)]
    pub(crate) kind: PageKind,
    /// Its share of all pages.
    pub(crate) percent: String,
}

impl LegendLine {
    /// How it is drawn.
    pub(crate) fn class(&self) -> &'static str {
        class_of(&self.kind.name)
    }
}

impl Legend {
    /// The kinds as the sandbox tells them.
    pub(crate) fn new(kinds: Vec<PageKind>) -> Self {
        let counts: Vec<u64> = kinds.iter().map(|kind| kind.count).collect();
        let total = counts.iter().sum();
        let kinds = kinds
            .into_iter()
            .zip(text::percents(&counts))
            .map(|(kind, percent)| LegendLine { kind, percent })
            .collect();
        Self { kinds, total }
    }

    /// The kind of a code.
    pub(crate) fn name(&self, code: u8) -> &str {
        self.kinds
            .iter()
            .find(|line| line.kind.code == code)
            .map_or("unknown", |line| &line.kind.name)
    }

    pub(crate) fn class(&self, code: u8) -> &'static str {
        class_of(self.name(code))
    }
}

/// The kinds that have a drawing of their own; others are drawn as unknown.
const DRAWN: [&str; 22] = [
    "free",
    "regular",
    "protected-active",
    "protected-shadow",
    "directory",
    "superblock",
    "metadata",
    "slack",
    "missing",
    "unknown",
    "header",
    "root-slot",
    "map-node",
    "space-home",
    "snapshot-table",
    "other",
    "newest",
    "under-10-commits-old",
    "under-100-commits-old",
    "under-1000-commits-old",
    "older",
    "age-unknown",
];

/// How a kind is drawn, as the name of a class.
pub(crate) fn class_of(kind: &str) -> &'static str {
    DRAWN
        .into_iter()
        .find(|drawn| *drawn == kind)
        .unwrap_or("unknown")
}
