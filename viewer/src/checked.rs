//! How far the check of a file has come, in numbers and in a line.

use std::borrow::Borrow;

use serde::Serialize;
use utoipa::ToSchema;

use crate::{inspect::Severity, source::Check, text};

/// How far the check has come, and what it found, by severity.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub(crate) struct Checked {
    /// Whether the counts are final.
    pub(crate) complete: bool,
    /// Steps of equal work done.
    pub(crate) done: u64,
    /// Steps in all.
    pub(crate) total: u64,
    /// Damage.
    pub(crate) errors: usize,
    /// Unproven or wasteful.
    pub(crate) warnings: usize,
    /// Worth knowing.
    pub(crate) infos: usize,
}

impl Checked {
    pub(crate) fn of(check: &Check) -> Self {
        let count = |severity| {
            let findings = check.findings.iter();
            findings.filter(|found| found.severity == severity).count()
        };
        Self {
            complete: check.complete,
            done: check.done,
            total: check.total,
            errors: count(Severity::Error),
            warnings: count(Severity::Warning),
            infos: count(Severity::Info),
        }
    }

    pub(crate) fn tone(&self) -> &'static str {
        match self {
            Self { errors: 1.., .. } => "bad",
            Self { warnings: 1.., .. } => "note",
            _ => "good",
        }
    }

    /// In a line.
    pub(crate) fn line(&self, pages: impl Borrow<u64>) -> String {
        let found: Vec<String> = [(self.errors, "error"), (self.warnings, "warning")]
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, thing)| text::counted(count as u64, thing))
            .collect();
        let verdict = match (found.is_empty(), self.complete) {
            (true, true) => "OK".to_owned(),
            (true, false) => "nothing wrong so far".to_owned(),
            (false, true) => found.join(", "),
            (false, false) => format!("{} so far", found.join(", ")),
        };
        let notes = if self.infos == 0 {
            String::new()
        } else {
            format!(", {}", text::counted(self.infos as u64, "note"))
        };
        let progress = if self.complete {
            String::new()
        } else {
            format!(" ({} done)", text::percent(self.done, self.total))
        };
        let how = if found.is_empty() || !self.complete {
            ":"
        } else {
            " found by"
        };
        format!(
            "{verdict}{how} {} on {}{notes}{progress}",
            text::counted(self.total, "check"),
            text::pages(*pages.borrow())
        )
    }
}
