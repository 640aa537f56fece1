//! The start page: the files that can be looked at, and how each is.

use std::{path::PathBuf, time::Duration};

use askama::Template;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    error::Error,
    filters,
    head::{FileName, Head},
    recent::Recent,
    respond::Asked,
    shell::Shell,
    state::Viewer,
    text,
};

/// How long each file may take to be checked a little.
const CHECK_BUDGET: Duration = Duration::from_millis(100);

/// The files that can be looked at.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FilesView {
    /// In the order of the command line.
    files: Vec<FileLine>,
    /// What was looked at before, the newest first: only where such a list is
    /// kept.
    recent: Vec<RecentLine>,
    /// The address that has that list forgotten.
    #[serde(skip)]
    forgets: String,
}

/// Something that was looked at before.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RecentLine {
    path: String,
    /// Whether nothing is there any more.
    missing: bool,
    /// The file's id, where it can be looked at here.
    id: Option<String>,
    /// What looks at it, for a terminal.
    command: Option<String>,
}

/// A file and how it is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FileLine {
    file: FileName,
    /// What it is there for; empty where nobody said.
    about: String,
    /// What there is to be found in it; empty where nobody said.
    answer: String,
    /// Milliseconds since it was changed, by the clock of its folder; none of what is
    /// no file.
    changed: Option<u64>,
    /// What its bytes say; none where they could not be read.
    state: Option<Head>,
    /// Why they could not be read.
    error: Option<String>,
    /// Whether it is a trace of what was written to a file; the state is then that
    /// of the image that is shown first.
    trace: bool,
    /// How many steps it has, in words.
    #[serde(skip)]
    steps: String,
}

impl FilesView {
    fn some(&self, is_so: fn(&Head) -> bool) -> bool {
        let mut states = self.files.iter().filter_map(|line| line.state.as_ref());
        states.any(is_so)
    }

    /// Whether the story of format 1 is that of a file, or of none another is.
    fn has_trees(&self) -> bool {
        self.some(Head::keeps_trees) || !self.has_pairs()
    }

    /// The same of format 0.
    fn has_pairs(&self) -> bool {
        self.some(Head::keeps_pairs)
    }

    /// What was looked at before and is there.
    fn there(&self) -> impl Iterator<Item = &RecentLine> {
        self.recent.iter().filter(|line| !line.missing)
    }

    /// The same that is not there any more.
    fn missing(&self) -> impl Iterator<Item = &RecentLine> {
        self.recent.iter().filter(|line| line.missing)
    }

    fn gone(&self) -> usize {
        self.missing().count()
    }

    /// Whether there is something that only a token opens.
    fn needs_token(&self) -> bool {
        let mut there = self.recent.iter().filter(|line| !line.missing);
        there.any(|line| line.id.is_none())
    }
}

impl FileLine {
    fn changed_ago(&self) -> Option<String> {
        self.changed.map(text::ago)
    }

    /// What it is there for.
    fn first_screen(&self) -> &'static str {
        if self.trace { "crash" } else { "overview" }
    }

    fn tone(&self) -> &'static str {
        if self.trace {
            return "";
        }
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
    let named = asked.viewer.files().iter();
    for file in named.filter(|file| file.recent.is_none()) {
        let asked = file.source.ask(|view| {
            view.check_for(CHECK_BUDGET)?;
            Head::of(view)
        });
        let state = asked.await;
        files.push(FileLine {
            file: file.into(),
            about: file.about.clone(),
            answer: file.answer.clone(),
            changed: changed(file.path.clone()).await,
            error: state
                .as_ref()
                .err()
                .map(|error| text::visible(&error.to_string())),
            state: state.ok(),
            trace: file.traced.is_some(),
            steps: file.traced.as_ref().map_or_else(String::new, |traced| {
                text::counted(traced.simulator.steps().len() as u64, "step")
            }),
        });
    }
    let recent = asked.viewer.recent();
    let view = FilesView {
        files,
        recent: recent_lines(&asked.viewer).await,
        forgets: recent.map_or_else(String::new, |recent| {
            asked.viewer.href(&recent.forgotten_at())
        }),
    };
    asked.answer_without_file(&view, |shell, view| FilesPage { shell, view }.render())
}

/// Milliseconds since a file was changed: asked beside, as below.
async fn changed(path: Option<PathBuf>) -> Option<u64> {
    let asked = tokio::task::spawn_blocking(move || {
        let changed = path?.metadata().ok()?.modified().ok()?;
        // A clock that was put back makes it no older than now.
        let since = changed.elapsed().unwrap_or_default();
        u64::try_from(since.as_millis()).ok()
    });
    asked.await.ok().flatten()
}

/// What was looked at before, and whether it is still there: asked beside, since
/// a disk that is far away may take its time.
async fn recent_lines(viewer: &Viewer) -> Vec<RecentLine> {
    let asked = viewer.clone();
    let paths = tokio::task::spawn_blocking(move || {
        let paths = asked.recent().map_or_else(Vec::new, Recent::paths);
        let there = |path: PathBuf| (path.exists(), path);
        paths.into_iter().map(there).collect::<Vec<_>>()
    });
    let lines = paths.await.unwrap_or_default().into_iter();
    lines
        .map(|(there, path)| {
            let file = viewer
                .files()
                .iter()
                .find(|file| file.recent.as_ref() == Some(&path));
            RecentLine {
                path: text::visible(&path.to_string_lossy()),
                missing: !there,
                id: file.filter(|_| there).map(|file| file.id.clone()),
                command: text::view_command(&path).filter(|_| there),
            }
        })
        .collect()
}

/// Forgets what was looked at before.
pub(crate) async fn forget(asked: Asked) -> Response {
    let viewer = asked.viewer.clone();
    let done = tokio::task::spawn_blocking(move || match viewer.recent() {
        Some(recent) => recent.forget().map_err(Error::Forget),
        None => Err(Error::NotFound),
    });
    let answer = done.await.unwrap_or(Err(Error::Panic));
    asked.or_error(answer.map(|()| Redirect::to(&asked.viewer.href("/")).into_response()))
}
