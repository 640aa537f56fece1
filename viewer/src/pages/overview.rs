//! A file at a glance: what it holds, how full it is, whether it is well, what
//! recovery makes of it.

use std::{borrow::Borrow, time::Duration};

use askama::Template;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    error::Error,
    filters,
    inspect::{Info, Severity, Side},
    pages::{FileName, Legend, LegendLine, side_name},
    plots::{Bar, Gauge, Histogram},
    respond::Asked,
    schema,
    shell::{Head, Shell, tone_of},
    source::Check,
    text,
};

/// How long the overview may wait for the check.
const CHECK_BUDGET: Duration = Duration::from_millis(150);

/// A file at a glance.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OverviewView {
    file: FileName,
    state: Head,
    /// The figures, as `pagebox info --json` gives them.
    #[schema(value_type = schema::Info)]
    info: Info,
    /// The kinds of pages. Their counts sum to all pages.
    kinds: Vec<LegendLine>,
    /// How many runs of free pages are 2^n to less than 2^(n+1) long, by n.
    free_runs: Vec<u64>,
    check: Checked,
    #[serde(skip)]
    first_bytes: Vec<u8>,
}

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
            let same = |found: &&_| found_severity(found) == severity;
            check.findings.iter().filter(same).count()
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

fn found_severity(finding: &crate::inspect::Finding) -> Severity {
    finding.severity
}

impl OverviewView {
    fn total(&self) -> u64 {
        self.kinds.iter().map(|line| line.kind.count).sum()
    }

    fn bytes(&self) -> u128 {
        u128::from(self.info.file_pages) * u128::from(self.info.page_size)
            + u128::from(self.info.tail)
    }

    fn page_bytes(&self) -> String {
        text::size(u128::from(self.info.page_size))
    }

    fn file_bytes(&self) -> String {
        text::size(self.bytes())
    }

    fn tone(&self) -> &'static str {
        tone_of(&self.state.verdict)
    }

    fn side(&self, side: &Side) -> &'static str {
        side_name(*side)
    }

    fn gauges(&self) -> [Gauge; 2] {
        gauges(&self.info)
    }

    /// Why it is no page file, without saying first that it is none.
    fn why_foreign(&self) -> &str {
        let why = &self.info.explanation;
        why.strip_prefix("not a page file: ").unwrap_or(why)
    }

    fn first_rows(&self) -> Vec<(u32, String, String)> {
        (0..)
            .step_by(16)
            .zip(self.first_bytes.chunks(16))
            .map(|(offset, row)| (offset, text::hex(row), text::ascii(row)))
            .collect()
    }
}

/// How much room is left before the format's limits.
pub(crate) fn gauges(info: &Info) -> [Gauge; 2] {
    [
        Gauge::new(
            "Pages",
            info.page_count,
            info.page_limit,
            "can still be added before the format is full",
        ),
        Gauge::new(
            "Protected pages",
            info.protected_pages,
            info.protected_limit,
            "can still be named by the directory",
        ),
    ]
}

#[derive(Template)]
#[template(path = "overview.html")]
struct OverviewPage<'a> {
    shell: &'a Shell,
    view: &'a OverviewView,
    bar: Bar,
    histogram: Histogram,
}

/// A file at a glance.
#[utoipa::path(get, path = "/f/{file}/overview.json", tag = "file",
    params(("file" = String, Path, description = "The file's id, from `/files.json`")),
    responses((status = 200, body = OverviewView), (status = 404, body = crate::error::Said)))]
pub(crate) async fn show(asked: Asked) -> Response {
    let view = view(&asked).await;
    asked.answer(view, |shell, view| {
        let page = OverviewPage {
            shell,
            view,
            bar: Bar::new(&view.kinds),
            histogram: Histogram::new(&view.free_runs),
        };
        page.render()
    })
}

async fn view(asked: &Asked) -> Result<(Head, OverviewView), Error> {
    let file = FileName::from(asked.file()?);
    asked
        .look(move |view, head| {
            view.check_for(CHECK_BUDGET)?;
            let check = Checked::of(&view.check);
            let look = view.look();
            let legend = Legend::new(look.page_kinds()?);
            Ok(OverviewView {
                file: file.clone(),
                state: head.clone(),
                info: look.summary()?.into(),
                kinds: legend.kinds,
                free_runs: look.free_runs()?,
                check,
                first_bytes: if head.foreign() {
                    look.bytes(0, 0, 256)?
                } else {
                    Vec::new()
                },
            })
        })
        .await
}
