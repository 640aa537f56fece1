//! Two pages compared: their fields as values, their bytes as bytes.

use askama::Template;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    described::{Described, other_copy, spans},
    error::Error,
    filters,
    head::{FileName, Head},
    hex::{self, Difference, ROW, Row},
    legend::{Legend, class_of},
    params::number_or_none,
    respond::Asked,
    shell::Shell,
    source::{LookError, View},
    state::File,
};

/// Bytes on one screen: most pages in full.
const WINDOW: usize = 4096;

/// Rows that are the same on both sides are shown as far as this from a
/// difference; longer runs of them are folded.
const CONTEXT: usize = 2;

/// The most differences in an answer.
const DIFFERENCES_MAX: usize = 2000;

/// Which pages.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(crate) struct DiffParams {
    /// The page on the left. If none is given: A of the metadata, with B on the
    /// right; of something without them, 0.
    #[serde(deserialize_with = "number_or_none")]
    #[param(value_type = Option<u64>)]
    n: Option<u64>,
    /// The page on the right. If not given: of another file the same page; of
    /// the same file the other copy, or the page that follows.
    #[serde(deserialize_with = "number_or_none")]
    #[param(value_type = Option<u64>)]
    m: Option<u64>,
    /// The id of the file on the right, if it is another one.
    other: Option<String>,
    /// The byte to go to; if not given, the first difference.
    #[serde(deserialize_with = "number_or_none")]
    #[param(value_type = Option<u64>)]
    at: Option<u64>,
}

/// Two pages compared.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DiffView {
    left: DiffSide,
    right: DiffSide,
    /// How many bytes differ.
    differing_bytes: usize,
    /// Where they differ, the first 2000 runs.
    differences: Vec<Difference>,
    /// Fields with the same name at the same place whose values differ, and
    /// fields that only one side has.
    fields: Vec<FieldDifference>,
    #[serde(skip)]
    rows: Vec<Line>,
    #[serde(skip)]
    at: usize,
    /// The difference that is gone to, counted from 1; none between two.
    #[serde(skip)]
    place: Option<usize>,
    #[serde(skip)]
    files: Vec<FileName>,
    #[serde(skip)]
    page_size: usize,
}

/// One of the two pages.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DiffSide {
    file: FileName,
    state: Head,
    page: u64,
    /// The name of its kind.
    kind: String,
    #[serde(skip)]
    structures: Vec<Described>,
    #[serde(skip)]
    bytes: Vec<u8>,
    #[serde(skip)]
    other_copy: Option<u64>,
}

impl DiffSide {
    fn class(&self) -> &'static str {
        class_of(&self.kind)
    }
}

/// A field that is not the same on both sides.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FieldDifference {
    name: String,
    /// Where it is in the page, in bytes.
    offset: u32,
    /// Its value on the left; none where it is not there.
    left: Option<String>,
    /// Its value on the right; none where it is not there.
    right: Option<String>,
}

/// A line of the bytes: a row of both pages, or how many rows are the same.
#[derive(Debug)]
enum Line {
    Rows(Option<Row>, Option<Row>),
    Same(usize),
}

impl DiffView {
    /// The first difference in a later row.
    fn next(&self) -> Option<usize> {
        let mut offsets = self.differences.iter().map(|found| found.offset);
        offsets.find(|offset| *offset >= (self.at / ROW + 1) * ROW)
    }

    /// The last difference in an earlier row.
    fn previous(&self) -> Option<usize> {
        let mut offsets = self.differences.iter().map(|found| found.offset);
        offsets.rfind(|offset| *offset < self.at / ROW * ROW)
    }

    /// The row that is gone to.
    fn row(&self) -> usize {
        self.at / ROW * ROW
    }

    /// Where the bytes on this screen begin.
    fn window(&self) -> usize {
        self.at / WINDOW * WINDOW
    }

    fn sides(&self) -> [&DiffSide; 2] {
        [&self.left, &self.right]
    }

    fn page_of(&self, side: &DiffSide, shell: &Shell) -> String {
        format!("{}?n={}", shell.of(&side.file.id, "page"), side.page)
    }

    fn offset_of(&self, left: &Option<Row>, right: &Option<Row>) -> usize {
        let row = left.as_ref().or(right.as_ref());
        row.map_or(0, |row| row.offset)
    }

    fn both<'a>(&self, left: &'a Option<Row>, right: &'a Option<Row>) -> [Option<&'a Row>; 2] {
        [left.as_ref(), right.as_ref()]
    }

    fn is_same_file(&self) -> bool {
        self.left.file.id == self.right.file.id
    }

    /// The part of an address that says which pages.
    fn which(&self) -> String {
        let other = if self.is_same_file() {
            String::new()
        } else {
            format!("&other={}", self.right.file.id)
        };
        format!("n={}&m={}{other}", self.left.page, self.right.page)
    }

    fn window_end(&self) -> usize {
        (self.window() + WINDOW).min(self.page_size)
    }
}

#[derive(Template)]
#[template(path = "diff.html")]
struct DiffPage<'a> {
    shell: &'a Shell,
    view: &'a DiffView,
}

/// Two pages compared.
#[utoipa::path(get, path = "/f/{file}/diff.json", tag = "file",
    params(("file" = String, Path, description = "The file's id"), DiffParams),
    responses((status = 200, body = DiffView), (status = 400, body = crate::error_page::Said),
        (status = 404, body = crate::error_page::Said)))]
pub(crate) async fn show(asked: Asked) -> Response {
    let view = view(&asked).await;
    asked.answer(view, |shell, view| DiffPage { shell, view }.render())
}

async fn view(asked: &Asked) -> Result<(Head, DiffView), Error> {
    let params: DiffParams = asked.query()?;
    let file = asked.file()?;
    let other = match params.other.as_deref().filter(|id| !id.is_empty()) {
        Some(id) => asked.named(id)?,
        None => file,
    };
    let page = match params.n {
        Some(page) => page,
        None => first_of_two(file).await?,
    };
    let left = side(file, page).await?;
    let default = if other.id == file.id {
        left.other_copy.unwrap_or_else(|| {
            let follows = page + 1;
            if follows < left.state.pages {
                follows
            } else {
                0
            }
        })
    } else {
        page
    };
    let right = side(other, params.m.unwrap_or(default)).await?;
    let mut differences = hex::differences(&left.bytes, &right.bytes);
    let differing_bytes = differences.iter().map(|difference| difference.len).sum();
    let page_size = left.bytes.len().max(right.bytes.len());
    let first = differences
        .first()
        .map_or(0, |difference| difference.offset);
    let at = params
        .at
        .and_then(|at| usize::try_from(at).ok())
        .filter(|at| *at < page_size)
        .unwrap_or(first);
    let rows = folded(rows(&left, &right, at / WINDOW * WINDOW));
    let place = differences
        .iter()
        .position(|found| (found.offset..found.offset + found.len).contains(&at))
        .map(|place| place + 1);
    differences.truncate(DIFFERENCES_MAX);
    let head = left.state.clone();
    let view = DiffView {
        fields: field_differences(&left.structures, &right.structures),
        rows,
        at,
        place,
        files: asked.viewer.files().iter().map(FileName::from).collect(),
        page_size,
        left,
        right,
        differing_bytes,
        differences,
    };
    Ok((head, view))
}

/// The first page that has another copy.
async fn first_of_two(file: &File) -> Result<u64, LookError> {
    let ask = |view: &mut View| {
        let structures = view.look().structures(0, 0)?;
        let first = structures.iter().find(|found| found.side.is_some());
        Ok(first.map_or(0, |found| found.page))
    };
    file.source.ask(ask).await
}

async fn side(file: &File, page: u64) -> Result<DiffSide, Error> {
    let name = FileName::from(file);
    let found = file
        .source
        .ask(move |view| {
            let state = Head::of(view)?;
            let Some(info) = view.look().page(page)? else {
                return Ok(Err(state));
            };
            let other_copy = other_copy(view, &info)?;
            let legend = Legend::new(view.look().page_kinds()?, &state.facts);
            let bytes = view.look().bytes(page, 0, state.page_size)?;
            let mut structures = Vec::new();
            for structure in info.structures {
                structures.push(Described::new(view, structure)?);
            }
            Ok(Ok(DiffSide {
                file: name.clone(),
                state,
                page,
                kind: legend.name(info.kind).to_owned(),
                structures,
                bytes,
                other_copy,
            }))
        })
        .await?;
    found.map_err(|state: Head| Error::no_page(page, state.pages))
}

/// The rows of both pages from `at` on, beside each other.
fn rows(left: &DiffSide, right: &DiffSide, at: usize) -> Vec<(Option<Row>, Option<Row>)> {
    let lay = |side: &DiffSide, other: &DiffSide| -> Vec<Row> {
        let end = (at + WINDOW).min(side.bytes.len());
        let mut all = Vec::new();
        for start in (at..end).step_by(ROW) {
            let row = side
                .bytes
                .get(start..(start + ROW).min(end))
                .unwrap_or_default();
            // Row by row, so that none are folded and the two stay level.
            all.extend(hex::rows(row, start, &spans(&side.structures), |offset| {
                side.bytes.get(offset) != other.bytes.get(offset)
            }));
        }
        all
    };
    let (mut ours, mut theirs) = (lay(left, right).into_iter(), lay(right, left).into_iter());
    let mut rows = Vec::new();
    loop {
        match (ours.next(), theirs.next()) {
            (None, None) => return rows,
            pair => rows.push(pair),
        }
    }
}

/// Folds what is the same on both sides and far from every difference.
fn folded(rows: Vec<(Option<Row>, Option<Row>)>) -> Vec<Line> {
    let differs = |row: &Option<Row>| match row {
        Some(row) => row.segments.iter().any(|segment| segment.differs),
        None => true,
    };
    let marked: Vec<bool> = rows
        .iter()
        .map(|(left, right)| differs(left) || differs(right))
        .collect();
    let near = |place: usize| {
        let first = place.saturating_sub(CONTEXT);
        let last = (place + CONTEXT).min(marked.len() - 1);
        marked[first..=last].contains(&true)
    };
    let mut lines = Vec::new();
    for (place, (left, right)) in rows.into_iter().enumerate() {
        match lines.last_mut() {
            _ if near(place) => lines.push(Line::Rows(left, right)),
            Some(Line::Same(count)) => *count += 1,
            _ => lines.push(Line::Same(1)),
        }
    }
    lines
}

fn field_differences(left: &[Described], right: &[Described]) -> Vec<FieldDifference> {
    let flat = |side: &[Described]| -> Vec<(String, u32, String)> {
        side.iter()
            .flat_map(|described| &described.structure.fields)
            .map(|field| (field.name.clone(), field.offset, field.value.clone()))
            .collect()
    };
    let (left, right) = (flat(left), flat(right));
    let value = |side: &[(String, u32, String)], name: &str, offset: u32| {
        side.iter()
            .find(|field| field.0 == name && field.1 == offset)
            .map(|field| field.2.clone())
    };
    let mut found = Vec::new();
    for (name, offset, ours) in &left {
        let theirs = value(&right, name, *offset);
        if theirs.as_ref() != Some(ours) {
            found.push(FieldDifference {
                name: name.clone(),
                offset: *offset,
                left: Some(ours.clone()),
                right: theirs,
            });
        }
    }
    for (name, offset, theirs) in &right {
        if value(&left, name, *offset).is_none() {
            found.push(FieldDifference {
                name: name.clone(),
                offset: *offset,
                left: None,
                right: Some(theirs.clone()),
            });
        }
    }
    found.sort_by_key(|difference| difference.offset);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_far_from_a_difference_are_folded() {
        let rows = |bytes: &[u8]| {
            let parts = bytes.chunks(ROW).zip((0..).step_by(ROW));
            parts
                .flat_map(|(part, start)| hex::rows(part, start, &[], |at| at == 160))
                .map(Some)
                .collect::<Vec<_>>()
        };
        let pairs = rows(&[0; 480]).into_iter().zip(rows(&[0; 480])).collect();
        let shape: Vec<String> = folded(pairs)
            .iter()
            .map(|line| match line {
                Line::Rows(left, _) => left
                    .as_ref()
                    .map_or_else(String::new, |row| row.offset.to_string()),
                Line::Same(count) => format!("{count} same"),
            })
            .collect();
        assert_eq!(
            shape,
            ["8 same", "128", "144", "160", "176", "192", "17 same"]
        );
        assert!(folded(Vec::new()).is_empty());
    }
}
