//! The check of a file: what was found, what it means, what would mend it.

use std::time::Duration;

use askama::Template;
use axum::response::Response;
use pagebox::report::Decoding;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    checked::Checked,
    decoded,
    error::Error,
    filters,
    gauge::{Gauge, gauges},
    head::{FileName, Head},
    inspect::{Finding, Found, Severity},
    params::AsOfParams,
    respond::Asked,
    schema,
    shell::Shell,
    text,
};

/// How long an answer may wait for the check. It goes on in the background.
const CHECK_BUDGET: Duration = Duration::from_secs(2);

/// Findings of one kind that are listed below the first.
const LISTED_MAX: usize = 100;

/// The most findings in an answer.
const FINDINGS_MAX: usize = 500;

/// What the check of a file found.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HealthView {
    file: FileName,
    state: Head,
    /// Pages that were looked at.
    pages: u64,
    #[serde(flatten)]
    check: Checked,
    /// In the order in which they were found; the 500 worst, if there are
    /// more.
    #[schema(value_type = Vec<schema::Found>)]
    findings: Vec<Found>,
    /// Findings that were left out, being too many.
    omitted: usize,
    /// What the program's own decoder made of the pages so far; null where there is
    /// none, or it was not asked yet.
    #[schema(value_type = Option<schema::Decoding>)]
    decoded: Option<Decoding>,
    /// What makes a mended copy of the file; none where there is nothing to
    /// mend, no file that a command could name, or none of format 0.
    repair_command: Option<String>,
    #[serde(skip)]
    explanation: String,
    #[serde(skip)]
    gauges: [Gauge; 2],
}

/// Findings of one severity.
struct Group<'a> {
    title: &'static str,
    class: &'static str,
    meaning: &'static str,
    cards: Vec<Card<'a>>,
}

/// Findings of one kind, told once.
struct Card<'a> {
    first: &'a Found,
    others: Vec<&'a Found>,
}

impl<'a> Card<'a> {
    /// The others, as far as they are listed.
    fn listed(&self) -> &[&'a Found] {
        self.others.get(..LISTED_MAX).unwrap_or(&self.others)
    }

    fn more(&self) -> String {
        text::counted(self.others.len() as u64, "more finding")
    }

    fn left_out(&self) -> usize {
        self.others.len().saturating_sub(LISTED_MAX)
    }
}

/// Those of a severity, in the order in which each kind was first found.
fn cards<'a>(findings: impl Iterator<Item = &'a Found>) -> Vec<Card<'a>> {
    let mut cards: Vec<Card<'a>> = Vec::new();
    for finding in findings {
        match cards.iter_mut().find(|card| card.first.id == finding.id) {
            Some(card) => card.others.push(finding),
            None => cards.push(Card {
                first: finding,
                others: Vec::new(),
            }),
        }
    }
    cards
}

impl HealthView {
    /// Whether the bytes of a protected page are not those that were committed.
    fn has_rotten_page(&self) -> bool {
        let mut findings = self.findings.iter();
        findings.any(|finding| finding.id == "protected-checksum")
    }

    fn groups(&self) -> Vec<Group<'_>> {
        let of = |severity, title, class, meaning| Group {
            title,
            class,
            meaning,
            cards: cards(
                self.findings
                    .iter()
                    .filter(|finding| finding.severity == severity),
            ),
        };
        let groups = [
            of(
                Severity::Error,
                "Errors",
                "bad",
                "damage, which no crash can leave",
            ),
            of(
                Severity::Warning,
                "Warnings",
                "note",
                "unproven or wasteful; nothing is lost",
            ),
            of(Severity::Info, "Notes", "info", "worth knowing"),
        ];
        groups
            .into_iter()
            .filter(|group| !group.cards.is_empty())
            .collect()
    }
}

/// Whether a mended copy is a way out of what was found.
fn is_mended(finding: &Finding) -> bool {
    // What is in the pages of a program the pager does not change.
    finding.severity != Severity::Info && !finding.id.starts_with("decoder-")
}

#[derive(Template)]
#[template(path = "health.html")]
struct HealthPage<'a> {
    shell: &'a Shell,
    view: &'a HealthView,
}

/// What the check of a file found, as `pagebox check --json` gives it. Ask
/// again until `complete` is true.
#[utoipa::path(get, path = "/f/{file}/health.json", tag = "file",
    params(("file" = String, Path, description = "The file's id"), AsOfParams),
    responses((status = 200, body = HealthView), (status = 404, body = crate::error_page::Said)))]
pub(crate) async fn show(asked: Asked) -> Response {
    let view = view(&asked).await;
    asked.answer(view, |shell, view| HealthPage { shell, view }.render())
}

async fn view(asked: &Asked) -> Result<(Head, HealthView), Error> {
    let file = FileName::from(asked.file()?);
    let mends = asked.file()?.mends.clone();
    asked
        .look_as_of(move |view, head| {
            view.check_for(CHECK_BUDGET)?;
            let check = Checked::of(&view.check);
            let mut findings = view.check.findings.clone();
            let omitted = findings.len().saturating_sub(FINDINGS_MAX);
            if omitted > 0 {
                findings.sort_by_key(|finding| match finding.severity {
                    Severity::Error => 0,
                    Severity::Warning => 1,
                    Severity::Info => 2,
                });
                findings.truncate(FINDINGS_MAX);
            }
            let findings = findings.into_iter().map(Found::from).collect();
            Ok(HealthView {
                file: file.clone(),
                state: head.clone(),
                pages: head.pages,
                check,
                findings,
                omitted,
                decoded: view.decoding().map(|run| decoded::visible(run.told())),
                repair_command: mends
                    .clone()
                    .filter(|_| !head.foreign() && view.check.findings.iter().any(is_mended)),
                gauges: gauges(&head.summary),
                explanation: head.summary.recovery.explanation.clone(),
            })
        })
        .await
}
