//! The start page: the files that can be looked at, and how each is.

use std::time::Duration;

use askama::Template;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    filters,
    head::{FileName, Head},
    respond::Asked,
    shell::Shell,
    text,
};

/// How long each file may take to be checked a little.
const CHECK_BUDGET: Duration = Duration::from_millis(100);

/// The files that can be looked at.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FilesView {
    /// In the order of the command line.
    files: Vec<FileLine>,
}

/// A file and how it is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FileLine {
    file: FileName,
    /// What it is there for; empty where nobody said.
    about: String,
    /// What its bytes say; none where they could not be read.
    state: Option<Head>,
    /// Why they could not be read.
    error: Option<String>,
}

impl FileLine {
    fn tone(&self) -> &'static str {
        self.state.as_ref().map_or("bad", Head::tone)
    }
}

#[derive(Template)]
#[template(path = "files.html")]
struct FilesPage<'a> {
    shell: &'a Shell,
    view: &'a FilesView,
}

/// The files that can be looked at.
#[utoipa::path(get, path = "/files.json", responses((status = 200, body = FilesView)), tag = "files")]
pub(crate) async fn show(asked: Asked) -> Response {
    let mut files = Vec::new();
    for file in asked.viewer.files() {
        let asked = file.source.ask(|view| {
            view.check_for(CHECK_BUDGET)?;
            Head::of(view)
        });
        let state = asked.await;
        files.push(FileLine {
            file: file.into(),
            about: file.about.clone(),
            error: state
                .as_ref()
                .err()
                .map(|error| text::visible(&error.to_string())),
            state: state.ok(),
        });
    }
    let view = FilesView { files };
    asked.answer_without_file(&view, |shell, view| FilesPage { shell, view }.render())
}
