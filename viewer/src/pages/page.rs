//! One page: its bytes with its structure laid over them, who names it, what
//! is wrong with it.

use askama::Template;
use axum::{
    http::header,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    decoded::Decoded,
    described::{Described, other_copy, spans},
    error::Error,
    filters,
    head::{FileName, Head},
    hex::{self, ROW, Row},
    holders::Holders,
    inspect::{Field, Found, PageInfo, Reference, Severity},
    legend::{Legend, class_of},
    look::LookError,
    numbers::{Reading, readings},
    params::{AsOfParams, number_or_none},
    past::{Located, Snapshot},
    respond::Asked,
    schema,
    shell::Shell,
    source::View,
    text,
};

/// Bytes on one screen, if not said otherwise, and at most.
const WINDOW: u64 = 4096;
const WINDOW_MAX: u64 = 16_384;

/// Snapshots in the list of those that hold a page.
const HOLDERS_SHOWN: usize = 12;

/// Which page, and where in it.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageParams {
    /// The page.
    #[serde(deserialize_with = "number_or_none")]
    #[param(value_type = Option<u64>)]
    n: Option<u64>,
    /// The first byte to show; rounded down to a row.
    #[serde(deserialize_with = "number_or_none")]
    #[param(value_type = Option<u64>)]
    at: Option<u64>,
    /// How many bytes, at most 16,384.
    #[serde(deserialize_with = "number_or_none")]
    #[param(value_type = Option<u64>)]
    len: Option<u64>,
    /// Without what takes long to find out.
    brief: bool,
}

/// All about one page.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PageView {
    file: FileName,
    state: Head,
    page: u64,
    /// Where the page begins in the file, in bytes.
    file_offset: u64,
    /// The name of its kind.
    kind: String,
    /// What that is, in a sentence.
    kind_description: String,
    /// The protected page that it belongs to.
    protected: Option<u64>,
    /// The other of two alternating copies.
    other_copy: Option<u64>,
    /// What lies in it.
    structures: Vec<Described>,
    /// What the program's own decoder says of it; null where there is none, or no
    /// program has bytes in the page.
    decoded: Option<Decoded>,
    /// Who names it, as far as could be read.
    #[schema(value_type = Vec<schema::Reference>)]
    referenced_by: Vec<Reference>,
    /// The snapshots that it is held by; null where that is not known or not asked
    /// for, or no snapshot could.
    held_by: Option<Holders>,
    /// What is wrong with it.
    #[schema(value_type = Vec<schema::Found>)]
    findings: Vec<Found>,
    /// Where the shown bytes begin in the page.
    at: u64,
    /// The shown bytes, in hex; fewer where the file ends.
    hex: String,
    /// The bytes from the one that was asked for on, as numbers.
    numbers: Vec<Reading>,
    #[serde(skip)]
    rows: Vec<Row>,
    #[serde(skip)]
    all_names_known: bool,
    #[serde(skip)]
    window: u64,
    #[serde(skip)]
    cursor: Option<u64>,
}

impl PageView {
    fn class(&self) -> &'static str {
        class_of(&self.kind)
    }

    /// All fields in the order that rows number them in.
    fn fields(&self) -> impl Iterator<Item = (&Field, &String)> {
        self.structures.iter().flat_map(Described::lines)
    }

    /// Why nothing is made out in it, or how it comes that nothing is there to be
    /// made out.
    fn why_no_structure(&self) -> &'static str {
        match self.kind.as_str() {
            "regular" | "protected-active" | "protected-shadow" => {
                "The pager made no structure in this page: its bytes are its owner's."
            }
            "free" => "The page is nobody's: its bytes mean nothing.",
            "other" => {
                "The page is not of this snapshot: what its bytes mean is for others to say."
            }
            "slack" => "The file does not use this page: its bytes mean nothing.",
            "header" => "The header ends before this page: its bytes are not used.",
            "root-slot" => {
                "The root slot goes on in this page. What its record says is shown at its first page."
            }
            _ => "No structure can be made out in this page.",
        }
    }

    /// What is said where nothing was found that names the page.
    fn named_by_nothing(&self) -> &'static str {
        match self.kind.as_str() {
            "header" | "root-slot" => "nothing: it is always at this place",
            "space-home" => "nothing: of the two sides of this home the other is named, or none",
            "other" => "nothing of this snapshot",
            _ if !self.all_names_known => "nothing that can be read",
            "map-node" | "protected-active" if self.state.keeps_trees() => {
                "nothing that could be found"
            }
            _ => "nothing in this file",
        }
    }

    /// Whether something is to be said of the snapshots that hold it.
    fn may_be_held(&self) -> bool {
        self.state.keeps_trees() && can_be_held(&self.kind)
    }

    /// The snapshots that hold it, as far as they are listed.
    fn holders<'a>(&self, held_by: &'a Holders) -> &'a [Snapshot] {
        let all = &held_by.snapshots;
        all.get(..HOLDERS_SHOWN).unwrap_or(all)
    }

    /// What it is of in the snapshots, where it is of nothing in what is shown.
    fn of_another(&self, held_by: &Holders) -> Option<u64> {
        held_by.protected.filter(|_| self.protected.is_none())
    }

    /// How many of its fields have a problem.
    fn problems(&self, described: &Described) -> usize {
        let fields = described.structure.fields.iter();
        fields.filter(|field| !field.problem.is_empty()).count()
    }

    fn previous(&self) -> Option<u64> {
        self.page.checked_sub(1)
    }

    fn next(&self) -> Option<u64> {
        Some(self.page + 1).filter(|next| *next < self.state.pages)
    }

    fn before(&self) -> Option<u64> {
        (self.at > 0).then(|| self.at.saturating_sub(self.window))
    }

    fn after(&self) -> Option<u64> {
        Some(self.at + self.window).filter(|at| *at < u64::from(self.state.page_size))
    }

    /// The last byte that is shown.
    fn last(&self) -> u64 {
        let shown: u64 = self.rows.iter().map(|row| row.len as u64).sum();
        (self.at + shown).saturating_sub(1)
    }

    fn cursor_text(&self) -> String {
        self.cursor.map_or_else(String::new, |at| at.to_string())
    }

    fn finding_class(&self, finding: &Found) -> &'static str {
        match finding.severity {
            Severity::Error => "bad",
            Severity::Warning => "note",
            Severity::Info => "info",
        }
    }

    /// The fields of a structure with their places among all.
    fn numbered<'a>(
        &'a self,
        described: &'a Described,
    ) -> impl Iterator<Item = (usize, &'a Field, &'a String)> {
        let before: usize = self
            .structures
            .iter()
            .take_while(|other| !std::ptr::eq(*other, described))
            .map(|other| other.structure.fields.len())
            .sum();
        (before..)
            .zip(described.lines())
            .map(|(index, (field, raw))| (index, field, raw))
    }

    /// The offset of the row that a field begins in.
    fn row_of(&self, field: &Field) -> u32 {
        field.offset / 16 * 16
    }

    /// Which field a segment belongs to, in words.
    fn field_name(&self, index: &Option<usize>) -> String {
        index
            .and_then(|index| self.fields().nth(index))
            .map_or_else(String::new, |(field, _)| field.name.clone())
    }

    fn has(&self, row: &Row) -> bool {
        self.cursor
            .and_then(|cursor| usize::try_from(cursor).ok())
            .is_some_and(|cursor| (row.offset..row.offset + row.len).contains(&cursor))
    }
}

#[derive(Template)]
#[template(path = "page.html")]
struct PagePage<'a> {
    shell: &'a Shell,
    view: &'a PageView,
}

/// All about one page.
#[utoipa::path(get, path = "/f/{file}/page.json", tag = "file",
    params(("file" = String, Path, description = "The file's id"), AsOfParams, PageParams),
    responses((status = 200, body = PageView), (status = 400, body = crate::error_page::Said),
        (status = 404, body = crate::error_page::Said)))]
pub(crate) async fn show(asked: Asked) -> Response {
    let view = view(&asked).await;
    asked.answer(view, |shell, view| PagePage { shell, view }.render())
}

async fn view(asked: &Asked) -> Result<(Head, PageView), Error> {
    let file = FileName::from(asked.file()?);
    let params: PageParams = asked.query()?;
    let page = params.n.unwrap_or(0);
    let asked_at = params.at;
    let (head, found) = asked
        .look_as_of(move |view, head| {
            let Some(info) = view.look().page(page)? else {
                return Ok(None);
            };
            let legend = Legend::new(view.look().page_kinds()?);
            let kind = legend.name(info.kind).to_owned();
            let kind_description = legend
                .kinds
                .iter()
                .find(|line| line.kind.code == info.kind)
                .map_or_else(String::new, |line| line.kind.description.clone());
            let other_copy = other_copy(view, &info)?;
            let is_wanted = !params.brief && head.keeps_trees() && can_be_held(&kind);
            let held_by = if is_wanted {
                held_by(view, &info)?
            } else {
                None
            };
            let mut structures = Vec::new();
            for structure in info.structures {
                structures.push(Described::new(view, structure)?);
            }
            let decoded = Decoded::of(view, page, info.protected, &kind, &mut structures)?;
            let row = ROW as u64;
            let window = (params.len.unwrap_or(WINDOW).clamp(row, WINDOW_MAX) / row) * row;
            let at = params
                .at
                .filter(|at| *at < u64::from(head.page_size))
                .map_or(0, |at| {
                    if params.len.is_some() {
                        at / row * row
                    } else {
                        at / window * window
                    }
                });
            let (offset, len) = (clamped(at), clamped(window));
            let len = len.min(head.page_size.saturating_sub(offset));
            let bytes = view.look().bytes(page, offset, len)?;
            let start = usize::try_from(at).unwrap_or(0);
            // The byte that was asked for is to be seen among the others of its row.
            let cursor = params.at.and_then(|at| usize::try_from(at).ok());
            let rows = hex::rows(&bytes, start, &spans(&structures), |at| Some(at) == cursor);
            let numbers = match params.at.and_then(|at| u32::try_from(at).ok()) {
                Some(at) => {
                    let len = 8.min(head.page_size.saturating_sub(at));
                    readings(&view.look().bytes(page, at, len)?)
                }
                None => Vec::new(),
            };
            Ok(Some(PageView {
                file: file.clone(),
                state: head.clone(),
                page,
                file_offset: page.saturating_mul(u64::from(head.page_size)),
                kind,
                kind_description,
                protected: info.protected,
                other_copy,
                structures,
                decoded,
                referenced_by: info.referenced_by,
                held_by,
                findings: info.findings.into_iter().map(Found::from).collect(),
                at,
                hex: text::hex(&bytes).replace(' ', ""),
                numbers,
                rows,
                all_names_known: head.can_be_changed(),
                window,
                cursor: params.at,
            }))
        })
        .await?;
    let Some(view) = found else {
        return Err(Error::no_page(page, head.pages));
    };
    if let Some(at) = asked_at.filter(|at| *at >= u64::from(head.page_size)) {
        return Err(Error::Query(format!(
            "there is no byte {}: a page has {} bytes, the first of which is byte 0",
            text::number(at),
            text::number(u64::from(head.page_size))
        )));
    }
    // What is known of the page the check may not have come to yet.
    let errors = view.findings.iter();
    let errors = errors.filter(|found| found.severity == Severity::Error);
    let errors = errors.count().max(head.errors);
    Ok((Head { errors, ..head }, view))
}

/// Whether a snapshot could hold a page of a kind, and that can be found out.
fn can_be_held(kind: &str) -> bool {
    matches!(kind, "protected-active" | "other")
}

/// The snapshots that hold a page; none where what would tell cannot be read.
fn held_by(view: &mut View, info: &PageInfo) -> Result<Option<Holders>, LookError> {
    let known = match info.protected {
        Some(id) => {
            let entries = view.look().directory(id, 1, false)?.into_iter();
            let mut own = entries.filter(|each| each.id == id && each.page == Some(info.page));
            own.next().map(|entry| {
                let located = Located {
                    page: entry.page,
                    generation: entry.generation,
                };
                (id, located)
            })
        }
        None => None,
    };
    match Holders::of(view, info.page, known) {
        Ok(holders) => Ok(Some(holders)),
        Err(LookError::File { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

fn clamped(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

/// A page's bytes, to be saved: never to be shown by the browser.
#[utoipa::path(get, path = "/f/{file}/page.bin", tag = "file",
    params(("file" = String, Path, description = "The file's id"), AsOfParams, PageParams),
    responses((status = 200, body = Vec<u8>, content_type = "application/octet-stream"),
        (status = 400, body = crate::error_page::Said),
        (status = 404, body = crate::error_page::Said)))]
pub(crate) async fn raw(asked: Asked) -> Response {
    asked.or_error(raw_bytes(&asked).await)
}

async fn raw_bytes(asked: &Asked) -> Result<Response, Error> {
    let params: PageParams = asked.query()?;
    let page = params.n.unwrap_or(0);
    let (head, bytes) = asked
        .look_as_of(move |view, head| {
            if page < head.pages {
                view.look().bytes(page, 0, head.page_size).map(Some)
            } else {
                Ok(None)
            }
        })
        .await?;
    let bytes = bytes.ok_or_else(|| Error::no_page(page, head.pages))?;
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (
            header::CONTENT_DISPOSITION,
            format!("attachment; filename=\"page-{page}.bin\""),
        ),
    ];
    Ok((headers, bytes).into_response())
}
