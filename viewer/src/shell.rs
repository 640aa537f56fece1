//! The frame around every screen: which file, which screens, in what state.

use std::fmt::Display;

use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    inspect::{Extent, Severity},
    respond::Asked,
    source::{LookError, View},
    state::File,
    text,
};

/// What every screen says of its file, taken in the same look as the rest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Head {
    /// The state in one label: `clean`, `unfinished commit`, `torn`,
    /// `damaged`, `not a page file`.
    pub(crate) state: String,
    /// What recovery decides, by its stable name.
    pub(crate) verdict: String,
    /// The commit counter.
    pub(crate) generation: u64,
    /// Bytes in a page.
    pub(crate) page_size: u32,
    /// The pages that the file accounts for or holds, whichever is more.
    pub(crate) pages: u64,
    /// How many errors the check has found so far.
    pub(crate) errors: usize,
}

impl Head {
    /// What the look says.
    pub(crate) fn of(view: &mut View) -> Result<Self, LookError> {
        let errors = errors_of(view);
        let summary = view.look().summary()?;
        Ok(Self {
            state: state_of(&summary.recovery.verdict).to_owned(),
            verdict: summary.recovery.verdict,
            generation: summary.generation,
            page_size: summary.page_size,
            pages: summary.page_count.max(summary.file_pages),
            errors,
        })
    }

    /// The same after more was checked.
    pub(crate) fn checked(self, view: &View) -> Self {
        Self {
            errors: errors_of(view),
            ..self
        }
    }

    /// How good it is, for its colour and its mark.
    pub(crate) fn tone(&self) -> &'static str {
        match self.verdict.as_str() {
            "clean" if self.errors == 0 => "good",
            "clean" => "bad",
            verdict => tone_of(verdict),
        }
    }

    /// The same for what recovery says alone.
    pub(crate) fn recovery_tone(&self) -> &'static str {
        tone_of(&self.verdict)
    }

    /// Whether the state in one label is what recovery says. Where that is that
    /// all is well, and the check found otherwise, the check has the word.
    pub(crate) fn recovery_has_the_word(&self) -> bool {
        self.verdict != "clean" || self.errors == 0
    }

    /// Whether errors are worth a label of their own.
    pub(crate) fn errors_are_news(&self) -> bool {
        self.errors > 0 && !self.foreign()
    }

    /// Whether there is a state that has a generation.
    pub(crate) fn has_generation(&self) -> bool {
        self.verdict == "clean" || self.generation > 0
    }

    /// What was found beside what recovery says, as a label.
    pub(crate) fn errors_label(&self) -> String {
        text::counted(self.errors as u64, "error")
    }

    /// Whether the bytes are no page file at all.
    pub(crate) fn foreign(&self) -> bool {
        self.verdict == "not-a-page-file"
    }
}

fn errors_of(view: &View) -> usize {
    let findings = view.check.findings.iter();
    findings
        .filter(|finding| finding.severity == Severity::Error)
        .count()
}

/// A verdict in a label. New verdicts show as they are.
fn state_of(verdict: &str) -> &str {
    match verdict {
        "rolled-back" => "unfinished commit",
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

/// A link.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    pub(crate) href: String,
    pub(crate) text: String,
    pub(crate) current: bool,
}

/// What the frame's template needs.
#[derive(Debug)]
pub(crate) struct Shell {
    pub(crate) home: String,
    pub(crate) about: String,
    pub(crate) assets: String,
    pub(crate) twin: String,
    pub(crate) files: Vec<Link>,
    pub(crate) screens: Vec<Link>,
    pub(crate) file: Option<FileShell>,
    pub(crate) demo: bool,
}

/// The part of the frame that is about a file.
#[derive(Debug)]
pub(crate) struct FileShell {
    pub(crate) name: String,
    pub(crate) base: String,
    pub(crate) tone: &'static str,
    pub(crate) head: Head,
}

const SCREENS: [(&str, &str); 8] = [
    ("overview", "Overview"),
    ("map", "Map"),
    ("metadata", "Metadata"),
    ("directory", "Directory"),
    ("page", "Page"),
    ("diff", "Diff"),
    ("health", "Health"),
    ("live", "Live"),
];

impl Shell {
    /// The frame for a request.
    pub(crate) fn new(asked: &Asked, file: Option<&File>, head: Option<Head>) -> Self {
        let viewer = &asked.viewer;
        let screen = asked.path().rsplit('/').next().unwrap_or_default();
        let file_base = |id: &str| viewer.href(&format!("/f/{id}"));
        let files = viewer
            .files()
            .iter()
            .map(|each| Link {
                href: format!("{}/overview", file_base(&each.id)),
                text: each.name.clone(),
                current: file.is_some_and(|file| file.id == each.id),
            })
            .collect();
        let screens = file.map_or_else(Vec::new, |file| {
            SCREENS
                .iter()
                .map(|(path, text)| Link {
                    href: format!("{}/{path}", file_base(&file.id)),
                    text: (*text).to_owned(),
                    current: *path == screen,
                })
                .collect()
        });
        let address = asked.address();
        let (path, query) = address.split_once('?').unwrap_or((&address, ""));
        let question = if query.is_empty() { "" } else { "?" };
        Self {
            home: viewer.href("/"),
            about: viewer.href("/about"),
            assets: viewer.href("/assets"),
            twin: match path {
                "/" => viewer.href("/files.json"),
                path => viewer.href(&format!("{path}.json{question}{query}")),
            },
            files,
            screens,
            file: file.zip(head).map(|(file, head)| FileShell {
                name: file.name.clone(),
                base: file_base(&file.id),
                tone: tone_of(&head.verdict),
                head,
            }),
            demo: viewer.demo(),
        }
    }

    /// The address of a screen of the file.
    pub(crate) fn to(&self, screen: &str) -> String {
        let base = self.file.as_ref().map_or("", |file| &file.base);
        format!("{base}/{screen}")
    }

    /// The address of a screen of any file.
    pub(crate) fn of(&self, id: &str, screen: &str) -> String {
        format!("{}f/{id}/{screen}", self.home)
    }

    /// The address of a page's screen.
    pub(crate) fn page(&self, page: impl Display) -> String {
        format!("{}?n={page}", self.to("page"))
    }

    /// The address of a page's screen, at a byte.
    pub(crate) fn page_at(&self, page: impl Display, offset: impl Display) -> String {
        format!("{}&at={offset}", self.page(page))
    }

    /// A run of pages in words.
    #[expect(clippy::unused_self, reason = "templates reach it through the frame")]
    pub(crate) fn run(&self, run: &Extent) -> String {
        if run.count == 1 {
            text::number(run.first)
        } else {
            let last = run.first.saturating_add(run.count.saturating_sub(1));
            format!("{}\u{2013}{}", text::number(run.first), text::number(last))
        }
    }
}
