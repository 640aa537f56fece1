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
    /// How it is drawn.
    #[serde(skip)]
    pub(crate) class: &'static str,
}

impl LegendLine {
    /// Whether its drawing is not its own: its letter tells it from the others.
    pub(crate) fn is_lettered(&self) -> bool {
        LETTERED.contains(&self.class)
    }
}

impl Legend {
    /// The kinds as the sandbox tells them.
    pub(crate) fn new(kinds: Vec<PageKind>) -> Self {
        let drawn = kinds.into_iter().map(|kind| {
            let class = class_of(&kind.name);
            (kind, class)
        });
        Self::drawn(drawn.collect())
    }

    /// Kinds, and how each of them is drawn.
    pub(crate) fn drawn(kinds: Vec<(PageKind, &'static str)>) -> Self {
        let counts: Vec<u64> = kinds.iter().map(|(kind, _)| kind.count).collect();
        let total = counts.iter().sum();
        let kinds = kinds
            .into_iter()
            .zip(text::percents(&counts))
            .map(|((kind, class), percent)| LegendLine {
                kind,
                percent,
                class,
            })
            .collect();
        Self { kinds, total }
    }

    /// The kind of a code.
    pub(crate) fn name(&self, code: u8) -> &str {
        self.line(code).map_or("unknown", |line| &line.kind.name)
    }

    pub(crate) fn class(&self, code: u8) -> &'static str {
        self.line(code).map_or("unknown", |line| line.class)
    }

    /// The letter of a kind that has no drawing of its own.
    pub(crate) fn letter(&self, code: u8) -> Option<&str> {
        let line = self.line(code).filter(|line| line.is_lettered())?;
        Some(&line.kind.letter)
    }

    fn line(&self, code: u8) -> Option<&LegendLine> {
        self.kinds.iter().find(|line| line.kind.code == code)
    }
}

/// The drawings of kinds that a program's own decoder names: after the last the first
/// comes again, and a letter tells them apart.
pub(crate) const LETTERED: [&str; 8] = ["d0", "d1", "d2", "d3", "d4", "d5", "d6", "d7"];

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
