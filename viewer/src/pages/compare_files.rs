//! Two files compared, page by page: a backup with the file of today, a file before
//! and after. As far as a moment's work goes; then it goes on from there.

use std::time::{Duration, Instant};

use askama::Template;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    error::Error,
    filters,
    head::{FileName, Head},
    inspect::Extent,
    look::LookError,
    params::number_or_none,
    respond::Asked,
    schema,
    shell::Shell,
    state::File,
};

/// How long a comparison may take: from where it ended it goes on.
const BUDGET: Duration = Duration::from_secs(1);

/// Bytes that are read of each file at a time.
const PART_BYTES: u64 = 1 << 20;

/// The most runs of pages in an answer.
const RUNS_MAX: usize = 500;

/// With what to compare, and from where on.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(crate) struct CompareParams {
    /// The id of the other file. Without it nothing is compared.
    other: Option<String>,
    /// The page to begin at; 0 if not given.
    #[serde(deserialize_with = "number_or_none")]
    #[param(value_type = Option<u64>)]
    n: Option<u64>,
}

/// Where two files differ.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CompareView {
    file: FileName,
    state: Head,
    /// The other file; null: none was named.
    other: Option<FileName>,
    /// How many whole pages that one has.
    other_pages: Option<u64>,
    /// The page that it began at.
    first: u64,
    /// Pages that were compared.
    compared: u64,
    /// Pages of them that differ.
    differing: u64,
    /// Which they are, in the order of the files.
    #[schema(value_type = Vec<schema::Extent>)]
    runs: Vec<Extent>,
    /// Where to go on; null: all pages that both files have are compared.
    next: Option<u64>,
    #[serde(skip)]
    files: Vec<FileName>,
}

impl CompareView {
    fn is_other(&self, file: &FileName) -> bool {
        self.other.as_ref().is_some_and(|other| other.id == file.id)
    }

    /// Pages that one of the files has and the other has not, and which file that is.
    fn only(&self) -> Option<(u64, &FileName)> {
        let (ours, theirs) = (self.state.summary.file_pages, self.other_pages?);
        match ours.checked_sub(theirs) {
            Some(0) => None,
            Some(more) => Some((more, &self.file)),
            None => Some((theirs - ours, self.other.as_ref()?)),
        }
    }
}

#[derive(Template)]
#[template(path = "compare_files.html")]
struct ComparePage<'a> {
    shell: &'a Shell,
    view: &'a CompareView,
}

/// Two files compared, page by page.
#[utoipa::path(get, path = "/f/{file}/compare.json", tag = "file",
    params(("file" = String, Path, description = "The file's id"), CompareParams),
    responses((status = 200, body = CompareView), (status = 400, body = crate::error_page::Said),
        (status = 404, body = crate::error_page::Said)))]
pub(crate) async fn show(asked: Asked) -> Response {
    let view = view(&asked).await;
    asked.answer(view, |shell, view| ComparePage { shell, view }.render())
}

async fn view(asked: &Asked) -> Result<(Head, CompareView), Error> {
    let params: CompareParams = asked.query()?;
    let file = asked.file()?;
    let first = params.n.unwrap_or(0);
    let state = head_of(file).await?;
    let mut view = CompareView {
        file: FileName::from(file),
        state: state.clone(),
        other: None,
        other_pages: None,
        first,
        compared: 0,
        differing: 0,
        runs: Vec::new(),
        next: None,
        files: asked.viewer.files().iter().map(FileName::from).collect(),
    };
    if let Some(id) = params.other.as_deref().filter(|id| !id.is_empty()) {
        let image = asked.viewer.image(id).transpose()?;
        let other = match &image {
            Some(image) => image,
            None => asked.named(id)?,
        };
        compare(&mut view, file, other).await?;
    }
    Ok((state, view))
}

async fn compare(view: &mut CompareView, file: &File, other: &File) -> Result<(), Error> {
    let theirs = head_of(other).await?;
    let page_size = view.state.page_size;
    if theirs.page_size != page_size {
        return Err(Error::Query(format!(
            "the files have pages of {page_size} and of {} bytes: there is nothing to compare page \
             by page",
            theirs.page_size
        )));
    }
    // What is missing at the end of a file is in none.
    let there = theirs.summary.file_pages;
    let pages = view.state.summary.file_pages.min(there);
    view.other = Some(FileName::from(other));
    view.other_pages = Some(there);
    let part = (PART_BYTES / u64::from(page_size.max(1))).max(1);
    let until = Instant::now() + BUDGET;
    let mut page = view.first;
    while page < pages {
        if page > view.first && Instant::now() > until || view.runs.len() >= RUNS_MAX {
            view.next = Some(page);
            break;
        }
        let count = part.min(pages - page);
        let mine = bytes_of(file, page, count, page_size).await?;
        let its = bytes_of(other, page, count, page_size).await?;
        for (one, two) in mine.iter().zip(&its) {
            if one != two {
                add(&mut view.runs, page);
                view.differing += 1;
            }
            page += 1;
        }
    }
    view.compared = page.saturating_sub(view.first);
    Ok(())
}

fn add(runs: &mut Vec<Extent>, page: u64) {
    match runs.last_mut() {
        Some(run) if run.first + run.count == page => run.count += 1,
        _ => runs.push(Extent {
            first: page,
            count: 1,
        }),
    }
}

async fn head_of(file: &File) -> Result<Head, LookError> {
    file.source.ask(Head::of).await
}

/// The bytes of some pages, each by itself.
async fn bytes_of(
    file: &File,
    first: u64,
    count: u64,
    page_size: u32,
) -> Result<Vec<Vec<u8>>, LookError> {
    let ask = move |view: &mut crate::source::View| {
        let pages = first..first + count;
        pages
            .map(|page| view.look().bytes(page, 0, page_size))
            .collect()
    };
    file.source.ask(ask).await
}
