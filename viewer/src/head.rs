//! What every answer says of its file: which it is, and in what state.

use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    inspect::{Severity, Summary},
    look::LookError,
    past::AsOf,
    source::View,
    text,
};

/// A file, by what addresses and what people call it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct FileName {
    /// What addresses call it.
    pub(crate) id: String,
    /// What people call it. Characters that cannot be seen are written out.
    pub(crate) name: String,
}

/// What every screen says of its file, taken in the same look as the rest.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct Head {
    /// The state in one label: `clean`, `unfinished commit`, `torn`,
    /// `damaged`, `not a page file`; of format 1 also `finished commit`.
    pub(crate) state: String,
    /// What recovery decides, by its stable name.
    pub(crate) verdict: String,
    /// The commit counter; none where it is not known.
    pub(crate) generation: Option<u64>,
    /// Bytes in a page.
    pub(crate) page_size: u32,
    /// The pages that the file accounts for or holds, whichever is more.
    pub(crate) pages: u64,
    /// How many errors the check has found so far.
    pub(crate) errors: usize,
    /// How many warnings it has found so far.
    pub(crate) warnings: usize,
    /// The snapshot that is shown; null: the committed state.
    pub(crate) snapshot: Option<AsOf>,
    /// The figures, for what else is said of the file.
    #[serde(skip)]
    pub(crate) summary: Summary,
}

impl Head {
    /// What the look says.
    pub(crate) fn of(view: &mut View) -> Result<Self, LookError> {
        let [errors, warnings] = counts_of(view);
        let mut summary = view.look().summary()?;
        if let Some(as_of) = view.as_of() {
            // What shows one of them does not know the others.
            summary.snapshots = Some(as_of.all.len() as u64);
        }
        Ok(Self {
            state: state_of(&summary).to_owned(),
            verdict: summary.recovery.verdict.clone(),
            generation: summary.generation,
            page_size: summary.page_size,
            pages: summary.page_count.unwrap_or(0).max(summary.file_pages),
            errors,
            warnings,
            snapshot: view.as_of().cloned(),
            summary,
        })
    }

    /// The same after more was checked.
    pub(crate) fn checked(self, view: &View) -> Self {
        let [errors, warnings] = counts_of(view);
        Self {
            errors,
            warnings,
            ..self
        }
    }

    /// How good it is, for its colour and its mark.
    pub(crate) fn tone(&self) -> &'static str {
        match self.verdict.as_str() {
            "clean" => self.found_tone(),
            verdict => tone_of(verdict),
        }
    }

    /// The same for what recovery says alone.
    pub(crate) fn recovery_tone(&self) -> &'static str {
        tone_of(&self.verdict)
    }

    /// The same for what the check found alone.
    pub(crate) fn found_tone(&self) -> &'static str {
        match (self.errors, self.warnings) {
            (0, 0) => "good",
            (0, _) => "note",
            _ => "bad",
        }
    }

    /// Whether the state in one label is what recovery says. Where that is that
    /// all is well, and the check found otherwise, the check has the word.
    pub(crate) fn recovery_has_the_word(&self) -> bool {
        self.verdict != "clean" || self.errors + self.warnings == 0
    }

    /// Whether what was found is worth a label of its own: errors, and warnings
    /// where there is nothing worse to be said.
    pub(crate) fn found_is_news(&self) -> bool {
        let warns = self.warnings > 0 && self.verdict == "clean";
        (self.errors > 0 || warns) && !self.foreign()
    }

    /// The worst of what is known, for the title of a window.
    pub(crate) fn label(&self) -> String {
        if self.recovery_has_the_word() {
            self.state.clone()
        } else {
            self.found_label()
        }
    }

    /// What was found beside what recovery says, as a label.
    pub(crate) fn found_label(&self) -> String {
        match self.errors {
            0 => text::counted(self.warnings as u64, "warning"),
            errors => text::counted(errors as u64, "error"),
        }
    }

    /// Whether a program could change the file as it is.
    pub(crate) fn can_be_changed(&self) -> bool {
        matches!(
            self.verdict.as_str(),
            "clean" | "rolled-back" | "rolled-forward"
        )
    }

    /// Whether all that changes atomically is a pair of pages, as in format 0.
    pub(crate) fn keeps_pairs(&self) -> bool {
        self.summary.format.starts_with("0.")
    }

    /// Whether two root slots and two trees say where everything is, as in format
    /// 1. Of a file whose format is not known neither is said.
    pub(crate) fn keeps_trees(&self) -> bool {
        keeps_trees(&self.summary)
    }

    /// How large the file is, in words.
    pub(crate) fn file_size(&self) -> String {
        let summary = &self.summary;
        let pages = u128::from(summary.file_pages) * u128::from(summary.page_size);
        text::size(pages + u128::from(summary.tail))
    }

    /// Whether the bytes are no page file at all.
    pub(crate) fn foreign(&self) -> bool {
        self.verdict == "not-a-page-file"
    }
}

/// How many errors and warnings were found.
fn counts_of(view: &View) -> [usize; 2] {
    [Severity::Error, Severity::Warning].map(|severity| {
        let findings = view.check.findings.iter();
        findings
            .filter(|finding| finding.severity == severity)
            .count()
    })
}

fn keeps_trees(summary: &Summary) -> bool {
    summary.format.starts_with("1.")
}

/// A verdict in a label. New verdicts show as they are.
fn state_of(summary: &Summary) -> &str {
    match summary.recovery.verdict.as_str() {
        "rolled-back" => "unfinished commit",
        // There the last write of a commit is a copy, and none of it is missed.
        "rolled-forward" if keeps_trees(summary) => "finished commit",
        "rolled-forward" => "torn",
        "not-a-page-file" => "not a page file",
        other => other,
    }
}

/// How good a state is, for its colour and its mark.
pub(crate) fn tone_of(verdict: &str) -> &'static str {
    match verdict {
        "clean" => "good",
        "rolled-back" | "rolled-forward" => "note",
        _ => "bad",
    }
}
