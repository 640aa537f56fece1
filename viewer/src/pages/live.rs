//! A file as it changes: its generations over time, and the events that keep
//! all screens current.

use std::{convert::Infallible, sync::Arc, time::Duration};

use askama::Template;
use axum::{
    http::{HeaderName, HeaderValue, header},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures_util::stream;
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, watch};
use utoipa::ToSchema;

use crate::{
    commits::{self, Commit, SeenState},
    error::Error,
    filters,
    head::{FileName, Head},
    history::History,
    live::Watched,
    moment::Moment,
    respond::Asked,
    shell::Shell,
    text,
    timeline::Timeline,
};

/// How often an event stream says that it is there.
const KEEP_ALIVE: Duration = Duration::from_secs(5);

/// How long the screen waits for the first state.
const FIRST_STATE: Duration = Duration::from_secs(2);

/// A file as it changes.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LiveView {
    file: FileName,
    state: Head,
    /// The state that was seen last; none where the file did not hold still.
    last: Option<Moment>,
    /// The states that were seen, oldest first: at most 240 since somebody
    /// began to watch.
    history: Vec<SeenState>,
    /// Milliseconds since somebody began to watch.
    now: u64,
    /// Commits in the last ten seconds; none before there is a time to speak
    /// of.
    recent_commits: Option<u64>,
    /// How many milliseconds of those ten seconds were watched.
    recent_milliseconds: Option<u64>,
    #[serde(skip)]
    seen: History,
}

impl LiveView {
    fn timeline(&self) -> Option<Timeline> {
        Timeline::new(&self.seen.samples, self.seen.now)
    }

    /// Commits a second, to a tenth.
    fn rate(&self) -> Option<String> {
        let tenths = self.recent_commits? * 10_000 / self.recent_milliseconds?.max(1);
        Some(format!("{}.{}", text::number(tenths / 10), tenths % 10))
    }
}

#[derive(Template)]
#[template(path = "live.html")]
struct LivePage<'a> {
    shell: &'a Shell,
    view: &'a LiveView,
    commits: Vec<Commit>,
}

/// A file as it changes, up to now.
#[utoipa::path(get, path = "/f/{file}/live.json", tag = "file",
    params(("file" = String, Path, description = "The file's id")),
    responses((status = 200, body = LiveView), (status = 404, body = crate::error_page::Said)))]
pub(crate) async fn show(asked: Asked) -> Response {
    let view = view(&asked).await;
    asked.answer(view, |shell, view| {
        let commits = commits::last(&view.seen);
        let page = LivePage {
            shell,
            view,
            commits,
        };
        page.render()
    })
}

async fn view(asked: &Asked) -> Result<(Head, LiveView), Error> {
    let file = asked.file()?;
    let (state, ()) = asked.look(|_, _| Ok(())).await?;
    let mut watched = file.live.watch();
    let first = watched.wait_for(|watched| watched.last.is_some());
    // A file that never holds still is shown without a state.
    let last = match tokio::time::timeout(FIRST_STATE, first).await {
        Ok(Ok(watched)) => watched.last.as_deref().cloned(),
        _ => None,
    };
    let seen = file.live.history();
    let recent = seen.recent();
    let view = LiveView {
        file: file.into(),
        state: state.clone(),
        last,
        history: seen.samples.iter().map(SeenState::from).collect(),
        now: seen.now,
        recent_commits: recent.map(|(commits, _)| commits),
        recent_milliseconds: recent.map(|(_, milliseconds)| milliseconds),
        seen,
    };
    Ok((state, view))
}

/// Every state of a file that is seen from now on, as server-sent events:
/// `state` with what is seen, `problem` with a text.
#[utoipa::path(get, path = "/f/{file}/events", tag = "file",
    params(("file" = String, Path, description = "The file's id")),
    responses((status = 200, body = Moment, content_type = "text/event-stream"),
        (status = 404, body = crate::error_page::Said), (status = 503, body = crate::error_page::Said)))]
pub(crate) async fn events(asked: Asked) -> Response {
    asked.or_error(stream_of(&asked))
}

/// An event stream: what it watches, and its place among the few.
struct Stream {
    watched: watch::Receiver<Watched>,
    closing: watch::Receiver<bool>,
    sent: Option<Arc<Moment>>,
    _permit: OwnedSemaphorePermit,
}

fn stream_of(asked: &Asked) -> Result<Response, Error> {
    let file = asked.file()?;
    let permit = Arc::clone(asked.viewer.event_streams())
        .try_acquire_owned()
        .map_err(|_| Error::EventStreams)?;
    let mut watched = file.live.watch();
    // What is there already is the first event.
    watched.mark_changed();
    let stream = stream::unfold(
        Stream {
            watched,
            closing: asked.viewer.closing(),
            sent: None,
            _permit: permit,
        },
        next_event,
    );
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE);
    let mut response = Sse::new(stream).keep_alive(keep_alive).into_response();
    // What lies in between passes each event on as it comes: nothing is stored,
    // recoded, or gathered until there is more.
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store, no-transform"),
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ] {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    Ok(response)
}

async fn next_event(mut stream: Stream) -> Option<(Result<Event, Infallible>, Stream)> {
    loop {
        tokio::select! {
            biased;
            _ = stream.closing.wait_for(|closing| *closing) => return None,
            changed = stream.watched.changed() => changed.ok()?,
        }
        let watched = stream.watched.borrow_and_update().clone();
        if let Some(problem) = watched.problem {
            let event = Event::default()
                .event("problem")
                .data(problem.replace(['\r', '\n'], " "));
            return Some((Ok(event), stream));
        }
        let Some(moment) = watched.last else {
            continue;
        };
        let known = stream.sent.replace(Arc::clone(&moment));
        if known.is_some_and(|known| known.sequence == moment.sequence) {
            // A problem has passed: the same state counts again.
            let event = Event::default().event("recovered").data("");
            return Some((Ok(event), stream));
        }
        let event = Event::default().event("state").json_data(&*moment).ok()?;
        return Some((Ok(event), stream));
    }
}
