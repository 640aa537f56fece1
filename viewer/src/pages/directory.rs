//! The directory: which protected page lies where, and whether its bytes are
//! the ones that were committed.

use askama::Template;
use axum::{
    http::header,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;
use utoipa::{IntoParams, ToSchema};

use crate::{
    described::Described,
    entries::{Order, Wanted},
    error::Error,
    filters,
    format::Format,
    head::{FileName, Head},
    inspect::{Entry, OwnedPage, Structure},
    legend::Legend,
    params::{AsOfParams, number_or_none},
    respond::Asked,
    schema,
    shell::Shell,
    text,
};

/// Protected pages on one screen, if not said otherwise, and at most.
const LIMIT: usize = 50;
const LIMIT_MAX: usize = 1000;

/// Structures of the directory that are asked for at a time.
const STRUCTURES: u32 = 8;

/// A node of the tree that is the directory of format 1.
const MAP_NODE: &str = "map-node";

/// Which protected pages, in which order.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(crate) struct DirectoryParams {
    /// How many of the result to pass over.
    #[serde(deserialize_with = "number_or_none")]
    #[param(value_type = Option<u64>)]
    skip: Option<u64>,
    /// How many, at most 1000.
    #[serde(deserialize_with = "number_or_none")]
    #[param(value_type = Option<u64>)]
    limit: Option<u64>,
    /// `id`, `generation` or `page`; with `-` before it, the greatest first.
    sort: Option<String>,
    /// Only those with this protected id or physical page.
    #[serde(deserialize_with = "number_or_none")]
    #[param(value_type = Option<u64>)]
    q: Option<u64>,
    /// `problems`: only those with which something is wrong.
    only: Option<String>,
    /// How many of the directory's own structures to pass over.
    #[serde(deserialize_with = "number_or_none")]
    #[param(value_type = Option<u64>)]
    start: Option<u64>,
}

/// A part of the directory.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DirectoryView {
    file: FileName,
    state: Head,
    /// How many there are in the whole file; none where not all of the
    /// directory could be read.
    protected_pages: Option<u64>,
    /// How many are like what was asked for, before paging.
    matches: usize,
    /// How many of them were passed over.
    skip: usize,
    /// The most that are here.
    limit: usize,
    /// The order: `id`, `generation` or `page`, `-` before it for the greatest
    /// first.
    sort: String,
    /// The protected pages.
    entries: Vec<EntryLine>,
    /// Whether there were too many to sort or search all of them.
    truncated: bool,
    /// Whether only those with which something is wrong were asked for, and
    /// those whose checksum differs are missing: there was too much to read to
    /// compare checksums. The check compares all of them.
    unverified: bool,
    /// Structures that the directory is made of, all copies that are known.
    structures: Vec<Described>,
    /// How many of them were passed over, as the sandbox counts them.
    start: u32,
    #[serde(skip)]
    structures_next: Option<u32>,
    #[serde(skip)]
    known: u64,
    #[serde(skip)]
    legend: Legend,
    #[serde(skip)]
    q: Option<u64>,
    #[serde(skip)]
    only: bool,
}

/// A protected page and whether its bytes are the ones that were committed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EntryLine {
    #[serde(flatten)]
    #[schema(value_type = schema::Entry)]
    entry: Entry,
    /// `verified`, `differs` or `unread`.
    checksum_state: &'static str,
}

impl From<Entry> for EntryLine {
    fn from(entry: Entry) -> Self {
        let checksum_state = match entry.actual {
            Some(actual) if actual == entry.checksum => "verified",
            Some(_) => "differs",
            None => "unread",
        };
        Self {
            entry,
            checksum_state,
        }
    }
}

impl EntryLine {
    /// The page that holds its bytes; none: they are zeros.
    fn page(&self) -> Option<&OwnedPage> {
        let mut pages = self.entry.pages.iter();
        pages.find(|own| Some(own.page) == self.entry.page)
    }

    /// The other pages that are its own.
    fn others(&self) -> Vec<&OwnedPage> {
        let pages = self.entry.pages.iter();
        pages
            .filter(|own| Some(own.page) != self.entry.page)
            .collect()
    }

    /// Whether all of its bytes are zeros, which no page holds.
    fn is_zeros(&self) -> bool {
        self.entry.page.is_none() && self.entry.problem.is_empty()
    }

    fn is_bad(&self) -> bool {
        self.checksum_state == "differs" || !self.entry.problem.is_empty()
    }
}

impl DirectoryView {
    /// Whether it is known that there are none.
    fn has_none(&self) -> bool {
        self.protected_pages == Some(0)
    }

    /// Whether there are more than could be listed, though not too many to sort.
    fn lacks_some(&self) -> bool {
        let known = self.protected_pages.map(|all| all > self.known);
        !self.truncated && !self.state.foreign() && known.unwrap_or(true)
    }

    /// Whether some have pages besides the one that holds their bytes.
    fn has_others(&self) -> bool {
        let mut entries = self.entries.iter();
        self.state.keeps_pairs() || entries.any(|line| !line.others().is_empty())
    }

    fn q_text(&self) -> String {
        self.q.map_or_else(String::new, |q| q.to_string())
    }

    /// How a page is drawn.
    fn class(&self, own: &OwnedPage) -> &'static str {
        self.legend.class(own.kind)
    }

    /// What a page is.
    fn kind(&self, own: &OwnedPage) -> &str {
        self.legend.name(own.kind)
    }

    fn next(&self) -> Option<usize> {
        let next = self.skip + self.entries.len();
        (next < self.matches && !self.entries.is_empty()).then_some(next)
    }

    fn previous(&self) -> Option<usize> {
        (self.skip > 0).then(|| self.skip.saturating_sub(self.limit))
    }

    /// The part of an address that keeps the filter.
    fn filter(&self) -> String {
        let q = self.q.map_or_else(String::new, |q| format!("&q={q}"));
        let only = if self.only { "&only=problems" } else { "" };
        format!("{q}{only}&limit={}", self.limit)
    }

    /// The order that a click on a column's title asks for.
    fn toggled(&self, column: &str) -> String {
        if self.sort == column {
            format!("-{column}")
        } else {
            column.to_owned()
        }
    }

    /// The order of a column, for those who hear it.
    fn order(&self, column: &str) -> &'static str {
        match self.sort.strip_prefix('-') {
            Some(sorted) if sorted == column => "descending",
            None if self.sort == column => "ascending",
            _ => "none",
        }
    }

    /// The same as a table for other programs.
    fn csv(&self) -> String {
        let mut csv = String::from(
            "id,page,pages,generation,checksum,actual,checksum_state,problem,place\r\n",
        );
        for line in &self.entries {
            let entry = &line.entry;
            let page = entry.page.map_or_else(String::new, |page| page.to_string());
            let pages: Vec<String> = entry.pages.iter().map(|own| own.page.to_string()).collect();
            let actual = entry
                .actual
                .map_or_else(String::new, |actual| actual.to_string());
            let quoted = |text: &str| text::visible(text).replace('"', "\"\"");
            // Writing to a string does not fail.
            let _ = write!(
                csv,
                "{},{page},{},{},{},{actual},{},\"{}\",\"{}\"\r\n",
                entry.id,
                pages.join(" "),
                entry.generation,
                entry.checksum,
                line.checksum_state,
                quoted(&entry.problem),
                quoted(&entry.place),
            );
        }
        csv
    }
}

#[derive(Template)]
#[template(path = "directory.html")]
struct DirectoryPage<'a> {
    shell: &'a Shell,
    view: &'a DirectoryView,
}

/// A part of the directory.
#[utoipa::path(get, path = "/f/{file}/directory.json", tag = "file",
    params(("file" = String, Path, description = "The file's id"), AsOfParams, DirectoryParams),
    responses((status = 200, body = DirectoryView), (status = 400, body = crate::error_page::Said),
        (status = 404, body = crate::error_page::Said)))]
pub(crate) async fn show(asked: Asked) -> Response {
    let view = view(&asked).await;
    asked.answer(view, |shell, view| DirectoryPage { shell, view }.render())
}

/// The same as a table for other programs.
#[utoipa::path(get, path = "/f/{file}/directory.csv", tag = "file",
    params(("file" = String, Path, description = "The file's id"), AsOfParams, DirectoryParams),
    responses((status = 200, body = String, content_type = "text/csv"),
        (status = 400, body = crate::error_page::Said),
        (status = 404, body = crate::error_page::Said)))]
pub(crate) async fn csv(asked: Asked) -> Response {
    debug_assert_eq!(asked.format, Format::Csv);
    let answer = view(&asked).await.map(|(_, view)| {
        let headers = [
            (header::CONTENT_TYPE, "text/csv; charset=utf-8"),
            (
                header::CONTENT_DISPOSITION,
                "attachment; filename=\"directory.csv\"",
            ),
        ];
        (headers, view.csv()).into_response()
    });
    asked.or_error(answer)
}

async fn view(asked: &Asked) -> Result<(Head, DirectoryView), Error> {
    let file = FileName::from(asked.file()?);
    let params: DirectoryParams = asked.query()?;
    let sort = params.sort.clone().unwrap_or_else(|| "id".to_owned());
    let Some(order) = Order::of(&sort) else {
        return Err(Error::Query(
            "sort is one of id, generation and page, with or without a -".to_owned(),
        ));
    };
    let place = |value: Option<u64>| value.and_then(|value| usize::try_from(value).ok());
    let limit = place(params.limit).unwrap_or(LIMIT).clamp(1, LIMIT_MAX);
    let skip = place(params.skip).unwrap_or(0);
    let start = params
        .start
        .and_then(|start| u32::try_from(start).ok())
        .unwrap_or(0);
    let wanted = Wanted {
        named: params.q,
        only_problems: params.only.as_deref() == Some("problems"),
        order,
    };
    asked
        .look_as_of(move |view, head| {
            let found = wanted.find(view, head)?;
            let matches = found.entries.len();
            let mut entries = Vec::new();
            for entry in found.entries.into_iter().skip(skip).take(limit) {
                let verified = view.look().directory(entry.id, 1, true)?.into_iter().next();
                let same = verified.filter(|same| same.id == entry.id);
                entries.push(same.unwrap_or(entry).into());
            }
            let roots = view.look().structures(0, 0)?.len();
            let all = view.look().structures(start, STRUCTURES)?;
            let mut structures = Vec::new();
            // The topmost node of the directory may be among the roots.
            let is_wanted = |(place, structure): &(usize, Structure)| {
                *place >= roots || start == 0 && structure.name == MAP_NODE
            };
            for (_, structure) in all.into_iter().enumerate().filter(is_wanted) {
                structures.push(Described::new(view, structure)?);
            }
            let next = start.saturating_add(STRUCTURES);
            let has_more = view.look().structures(next, 1)?.len() > roots;
            Ok(DirectoryView {
                file: file.clone(),
                state: head.clone(),
                protected_pages: head.summary.protected_pages,
                known: found.seen as u64,
                legend: Legend::new(view.look().page_kinds()?),
                matches,
                skip,
                limit,
                sort: sort.clone(),
                entries,
                truncated: found.truncated,
                unverified: found.unverified,
                structures_next: has_more.then_some(next),
                structures,
                start,
                q: wanted.named,
                only: wanted.only_problems,
            })
        })
        .await
}
