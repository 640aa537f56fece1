//! A file at a glance: what it holds, how full it is, whether it is well, what
//! recovery makes of it.

use std::{fmt::Write as _, time::Duration};

use askama::Template;
use axum::{
    http::header,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    checked::Checked,
    described::twin_of,
    error::Error,
    filters,
    gauge::{Gauge, gauges},
    head::{FileName, Head, tone_of},
    inspect::{Info, Structure},
    legend::{Legend, LegendLine},
    params::AsOfParams,
    plots::{Bar, Histogram},
    respond::Asked,
    schema,
    shell::Shell,
    space::{self, FreeSpace},
    text,
};

/// Runs of free pages in a table: an answer has at most a MiB.
const FREE_RUNS_MAX: usize = 50_000;

/// How long the overview may wait for the check.
const CHECK_BUDGET: Duration = Duration::from_millis(150);

/// A file at a glance.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OverviewView {
    file: FileName,
    state: Head,
    /// The figures, as `pagebox info --json` gives them; null is what is not
    /// known.
    #[schema(value_type = schema::Info)]
    info: Info,
    /// The kinds of pages. Their counts sum to all pages.
    kinds: Vec<LegendLine>,
    /// How the free pages lie.
    free_space: FreeSpace,
    check: Checked,
    /// Of the roots that there are copies of, those that count: all of them where
    /// they are alike.
    #[serde(skip)]
    counting: Vec<Structure>,
    #[serde(skip)]
    first_bytes: Vec<u8>,
}

impl OverviewView {
    fn total(&self) -> u64 {
        self.kinds.iter().map(|line| line.kind.count).sum()
    }

    fn page_bytes(&self) -> String {
        text::size(u128::from(self.state.page_size))
    }

    /// That the roots are in order is no praise for a file in which more was
    /// found.
    fn tone(&self) -> &'static str {
        match self.check.tone() {
            "bad" if self.state.verdict == "clean" => "",
            _ => tone_of(&self.state.verdict),
        }
    }

    /// The one copy that counts.
    fn one(&self) -> Option<&Structure> {
        match self.counting.as_slice() {
            [one] => Some(one),
            _ => None,
        }
    }

    /// The copies that count, where they are more than one: `Root A and Root B`.
    fn all(&self) -> Option<String> {
        let titles: Vec<&str> = self.counting.iter().map(|copy| &*copy.title).collect();
        (titles.len() > 1).then(|| titles.join(" and "))
    }

    fn gauges(&self) -> [Gauge; 2] {
        gauges(&self.state.summary)
    }

    fn room(&self) -> Option<String> {
        space::room(&self.state)
    }

    /// Why it is no page file, without saying first that it is none.
    fn why_foreign(&self) -> &str {
        let why = &self.state.summary.recovery.explanation;
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
    params(("file" = String, Path, description = "The file's id, from `/files.json`"), AsOfParams),
    responses((status = 200, body = OverviewView), (status = 404, body = crate::error_page::Said)))]
pub(crate) async fn show(asked: Asked) -> Response {
    let view = view(&asked).await;
    asked.answer(view, |shell, view| {
        let page = OverviewPage {
            shell,
            view,
            bar: Bar::new(&view.kinds),
            histogram: Histogram::new(&view.free_space),
        };
        page.render()
    })
}

/// Runs of free pages as a table for other programs, in the order of the file: the
/// first 50,000.
#[utoipa::path(get, path = "/f/{file}/free.csv", tag = "file",
    params(("file" = String, Path, description = "The file's id")),
    responses((status = 200, body = String, content_type = "text/csv"),
        (status = 404, body = crate::error_page::Said)))]
pub(crate) async fn free(asked: Asked) -> Response {
    let found = asked.look(|view, _| FreeSpace::runs_of(view.look(), FREE_RUNS_MAX));
    let answer = found.await.and_then(|(_, runs)| {
        let runs =
            runs.ok_or_else(|| Error::Query("it is not known which pages are free".to_owned()))?;
        let mut csv = String::from("first,pages\r\n");
        for run in runs {
            // Writing to a string does not fail.
            let _ = write!(csv, "{},{}\r\n", run.first, run.count);
        }
        let headers = [
            (header::CONTENT_TYPE, "text/csv; charset=utf-8"),
            (
                header::CONTENT_DISPOSITION,
                "attachment; filename=\"free.csv\"",
            ),
        ];
        Ok((headers, csv).into_response())
    });
    asked.or_error(answer)
}

async fn view(asked: &Asked) -> Result<(Head, OverviewView), Error> {
    let file = FileName::from(asked.file()?);
    asked
        .look_as_of(move |view, head| {
            view.check_for(CHECK_BUDGET)?;
            let check = Checked::of(&view.check);
            let look = view.look();
            let legend = Legend::new(look.page_kinds()?);
            let free = look.free_space()?;
            let roots = look.structures(0, 0)?;
            let counting = roots
                .iter()
                .filter(|root| root.counts && twin_of(root, &roots).is_some());
            Ok(OverviewView {
                file: file.clone(),
                state: head.clone(),
                info: Info::new(head.summary.clone(), &roots, &free),
                kinds: legend.kinds,
                free_space: FreeSpace::of(look, free)?,
                counting: counting.cloned().collect(),
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
