//! The kinds of pages of a file: their counts and shares, and how each is drawn.

use serde::Serialize;
use utoipa::ToSchema;

use crate::{facts::Facts, inspect::PageKind, schema, text};

/// The kinds of pages that a file has, for legends.
#[derive(Clone, Debug)]
pub(crate) struct Legend {
    pub(crate) kinds: Vec<LegendLine>,
    pub(crate) total: u64,
    /// The code that is not believed, and the one that stands in its place.
    doubted: Option<(u8, u8)>,
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
    /// The kinds as the sandbox tells them. Where the directory is not whole,
    /// an allocated page may be regular or a copy of a protected one: it is
    /// counted as unknown.
    pub(crate) fn new(mut kinds: Vec<PageKind>, facts: &Facts) -> Self {
        let place = |name| kinds.iter().position(|kind| kind.name == name);
        let mut doubted = None;
        if !facts.directory_is_whole()
            && let (Some(regular), Some(unknown)) = (place("regular"), place("unknown"))
        {
            let count = std::mem::take(&mut kinds[regular].count);
            kinds[unknown].count += count;
            if count > 0 {
                "allocated, or not known to be free; whether it is regular or protected the \
                 directory would say, and it cannot be read in full"
                    .clone_into(&mut kinds[unknown].description);
            }
            doubted = Some((kinds[regular].code, kinds[unknown].code));
        }
        Self::of_lines(kinds, doubted)
    }

    fn of_lines(kinds: Vec<PageKind>, doubted: Option<(u8, u8)>) -> Self {
        let counts: Vec<u64> = kinds.iter().map(|kind| kind.count).collect();
        let total = counts.iter().sum();
        let kinds = kinds
            .into_iter()
            .zip(text::percents(&counts))
            .map(|(kind, percent)| LegendLine { kind, percent })
            .collect();
        Self {
            kinds,
            total,
            doubted,
        }
    }

    /// The kinds of a file that keeps nothing back.
    #[cfg(test)]
    pub(crate) fn plain(kinds: Vec<PageKind>) -> Self {
        Self::of_lines(kinds, None)
    }

    /// The code of a kind, as far as it is believed.
    pub(crate) fn code(&self, code: u8) -> u8 {
        match self.doubted {
            Some((doubted, instead)) if doubted == code => instead,
            _ => code,
        }
    }

    /// The kind of a code.
    pub(crate) fn name(&self, code: u8) -> &str {
        let code = self.code(code);
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
const DRAWN: [&str; 10] = [
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
];

/// How a kind is drawn, as the name of a class.
pub(crate) fn class_of(kind: &str) -> &'static str {
    DRAWN
        .into_iter()
        .find(|drawn| *drawn == kind)
        .unwrap_or("unknown")
}
