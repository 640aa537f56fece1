//! Two pages compared: their fields as values, their bytes as bytes.

use askama::Template;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    compare::{self, Compared, FieldDifference, Line},
    decoded::Decoded,
    described::{Described, other_copy, twin_of},
    error::Error,
    filters,
    head::{FileName, Head},
    hex::{self, Difference, ROW, Row},
    legend::{Legend, class_of},
    look::LookError,
    params::number_or_none,
    respond::Asked,
    shell::Shell,
    source::View,
    state::File,
};

/// Bytes on one screen: most pages in full.
const WINDOW: usize = 4096;

/// The most files that each have a link of their own; a choice has all.
const FILES_LISTED: usize = 4;

/// The most differences in an answer.
const DIFFERENCES_MAX: usize = 2000;

/// Which pages.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(crate) struct DiffParams {
    /// The page on the left. If none is given: the first of the roots that has a
    /// copy, with that copy on the right; of a file without such, 0.
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
    /// The byte to go to; if not given, the one of the page on the left that something
    /// is wrong with, or the first difference.
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
    /// Where something is wrong with it, where that is known.
    #[serde(skip)]
    found_at: Option<usize>,
}

impl DiffSide {
    fn compared(&self) -> Compared<'_> {
        Compared {
            structures: &self.structures,
            bytes: &self.bytes,
        }
    }

    fn class(&self) -> &'static str {
        class_of(&self.kind)
    }
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

    /// Whether the two are the page that holds the bytes of a protected page and the
    /// one that is written next.
    fn is_shadow(&self) -> bool {
        let kinds = [&*self.left.kind, &*self.right.kind];
        self.is_same_file()
            && self.left.other_copy == Some(self.right.page)
            && kinds.contains(&"protected-shadow")
    }

    /// Whether they are beside each other for want of something better.
    fn is_neighbour(&self) -> bool {
        self.is_same_file()
            && self.left.other_copy.is_none()
            && self.right.page == self.left.page + 1
    }

    fn lists_files(&self) -> bool {
        self.files.len() <= FILES_LISTED + 1
    }

    fn window_end(&self) -> usize {
        (self.window() + WINDOW)
            .min(self.page_size)
            .saturating_sub(1)
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
    let named = params.other.as_deref().filter(|id| !id.is_empty());
    let image = named.and_then(|id| asked.viewer.image(id)).transpose()?;
    let other = match (&image, named) {
        (Some(image), _) => image,
        (None, Some(id)) => asked.named(id)?,
        (None, None) => file,
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
        .or(left.found_at)
        .filter(|at| *at < page_size)
        .unwrap_or(first);
    let rows = compare::lines(
        left.compared(),
        right.compared(),
        at / WINDOW * WINDOW,
        WINDOW,
    );
    let place = differences
        .iter()
        .position(|found| (found.offset..found.offset + found.len).contains(&at))
        .map(|place| place + 1);
    differences.truncate(DIFFERENCES_MAX);
    let head = left.state.clone();
    let view = DiffView {
        fields: compare::field_differences(&left.structures, &right.structures),
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
        let mut all = structures.iter();
        let first = all.find(|found| twin_of(found, &structures).is_some());
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
            let mut found = info.findings.iter();
            let found = found.find(|found| !found.evidence.is_empty());
            let found_at = found.and_then(|found| usize::try_from(found.offset).ok());
            let legend = Legend::new(view.look().page_kinds()?);
            let bytes = view.look().bytes(page, 0, state.page_size)?;
            let mut structures = Vec::new();
            for structure in info.structures {
                structures.push(Described::new(view, structure)?);
            }
            let kind = legend.name(info.kind).to_owned();
            // Its fields are compared as those of the pager are.
            Decoded::of(view, page, info.protected, &kind, &mut structures)?;
            Ok(Ok(DiffSide {
                file: name.clone(),
                state,
                page,
                kind,
                structures,
                bytes,
                other_copy,
                found_at,
            }))
        })
        .await?;
    found.map_err(|state: Head| Error::no_page(page, state.pages))
}
