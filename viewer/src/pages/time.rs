//! A file's past: its snapshots, and the states that were seen while somebody
//! watched.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use askama::Template;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    commits::{self, Commit, SeenState},
    error::Error,
    filters,
    head::{FileName, Head},
    history::History,
    line::{By, Line, When},
    look::LookError,
    params::number_or_none,
    past::Snapshot,
    respond::Asked,
    shell::Shell,
    source::View,
    text,
};

/// Snapshots on one screen, if not said otherwise, and at most.
const LIMIT: usize = 25;
const LIMIT_MAX: usize = 150;

/// How long may be counted which pages snapshots have alone.
const COUNT_BUDGET: Duration = Duration::from_millis(500);

/// Which snapshots.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(crate) struct TimeParams {
    /// How many of the newest snapshots to pass over.
    #[serde(deserialize_with = "number_or_none")]
    #[param(value_type = Option<u64>)]
    skip: Option<u64>,
    /// How many, at most 150.
    #[serde(deserialize_with = "number_or_none")]
    #[param(value_type = Option<u64>)]
    limit: Option<u64>,
    /// What the line goes by: `generation`, or `time`; for the screen.
    by: Option<String>,
}

/// The past of a file.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TimeView {
    file: FileName,
    state: Head,
    /// How many snapshots the file has; null where that is not known.
    all: Option<usize>,
    /// Why they cannot be read; empty where they can.
    problem: String,
    /// How many of the newest were passed over.
    skip: usize,
    /// The most that are here.
    limit: usize,
    /// The snapshots, the newest first.
    snapshots: Vec<SnapshotLine>,
    /// The states that were seen, oldest first: at most 240 since somebody
    /// began to watch.
    history: Vec<SeenState>,
    /// Milliseconds since somebody began to watch.
    now: u64,
    #[serde(skip)]
    by: By,
    #[serde(skip)]
    seen: History,
    #[serde(skip)]
    clock: u64,
}

/// A snapshot in a listing.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SnapshotLine {
    #[serde(flatten)]
    snapshot: Snapshot,
    /// Pages that it has alone: what deleting it would give back. Null where that
    /// is not known, or would take long to find out.
    pages: Option<u64>,
    /// The name of the snapshot before it.
    earlier: Option<String>,
}

impl SnapshotLine {
    fn taken(&self) -> String {
        self.snapshot.taken()
    }

    /// The snapshot, as addresses have it.
    fn named(&self) -> String {
        text::in_address(&self.snapshot.name)
    }

    /// The one before it.
    fn earlier_named(&self) -> Option<String> {
        self.earlier.as_deref().map(text::in_address)
    }
}

impl TimeView {
    fn commits(&self) -> Vec<Commit> {
        commits::last(&self.seen)
    }

    fn by_time(&self) -> bool {
        self.by == By::Time
    }

    fn line(&self) -> Option<Line> {
        let snapshots: Vec<(String, When)> = self
            .snapshots
            .iter()
            .map(|line| {
                let Snapshot {
                    name,
                    generation,
                    time,
                } = line.snapshot.clone();
                (name, When { generation, time })
            })
            .collect();
        let seen: Vec<When> = self
            .seen
            .samples
            .iter()
            .filter_map(|sample| {
                let ago = self.seen.now.saturating_sub(sample.at);
                Some(When {
                    generation: sample.generation?,
                    time: self.clock.saturating_sub(ago.saturating_mul(1_000_000)),
                })
            })
            .collect();
        let now = When {
            generation: self.state.generation?,
            time: self.clock,
        };
        let is_now = |when: &When| when.generation == now.generation;
        if snapshots.is_empty() && seen.iter().all(is_now) {
            return None;
        }
        Line::new(self.by, &snapshots, &seen, now)
    }

    /// What the left end of the line is.
    fn start_of(&self, line: &Line) -> String {
        match self.by {
            By::Generation => format!("generation {}", text::number(line.first.generation)),
            By::Time => crate::clock::utc(line.first.time),
        }
    }

    /// The part of an address that keeps what the line goes by.
    fn kept(&self) -> String {
        let by = if self.by_time() { "&by=time" } else { "" };
        format!("limit={}{by}", self.limit)
    }

    fn title(&self, line: &SnapshotLine) -> String {
        format!(
            "{}, generation {}, taken {}",
            line.snapshot.name,
            text::number(line.snapshot.generation),
            line.taken()
        )
    }

    /// The snapshot of a mark.
    fn of(&self, index: &usize) -> Option<&SnapshotLine> {
        self.snapshots.get(*index)
    }

    fn older(&self) -> Option<usize> {
        let next = self.skip + self.snapshots.len();
        (self.all.is_some_and(|all| next < all) && !self.snapshots.is_empty()).then_some(next)
    }

    fn newer(&self) -> Option<usize> {
        (self.skip > 0).then(|| self.skip.saturating_sub(self.limit))
    }
}

#[derive(Template)]
#[template(path = "time.html")]
struct TimePage<'a> {
    shell: &'a Shell,
    view: &'a TimeView,
    commits: Vec<Commit>,
}

/// The past of a file: its snapshots, and the states that were seen.
#[utoipa::path(get, path = "/f/{file}/time.json", tag = "file",
    params(("file" = String, Path, description = "The file's id"), TimeParams),
    responses((status = 200, body = TimeView), (status = 400, body = crate::error_page::Said),
        (status = 404, body = crate::error_page::Said)))]
pub(crate) async fn show(asked: Asked) -> Response {
    let view = view(&asked).await;
    asked.answer(view, |shell, view| {
        let commits = view.commits();
        let page = TimePage {
            shell,
            view,
            commits,
        };
        page.render()
    })
}

/// What was found of the snapshots.
struct Found {
    all: Option<usize>,
    problem: String,
    lines: Vec<SnapshotLine>,
}

async fn view(asked: &Asked) -> Result<(Head, TimeView), Error> {
    let file = asked.file()?;
    let params: TimeParams = asked.query()?;
    let by = match params.by.as_deref().unwrap_or_default() {
        "" | "generation" => By::Generation,
        "time" => By::Time,
        _ => {
            let text = "the line goes by generation or by time";
            return Err(Error::Query(text.to_owned()));
        }
    };
    let place = |value: Option<u64>| value.and_then(|value| usize::try_from(value).ok());
    let limit = place(params.limit).unwrap_or(LIMIT).clamp(1, LIMIT_MAX);
    let skip = place(params.skip).unwrap_or(0);
    // Who looks at the past watches what becomes of it.
    drop(file.live.watch());
    let (state, found) = asked.look(move |view, _| find(view, skip, limit)).await?;
    let seen = file.live.history();
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let view = TimeView {
        file: file.into(),
        state: state.clone(),
        all: found.all,
        problem: found.problem,
        skip,
        limit,
        snapshots: found.lines,
        history: seen.samples.iter().map(SeenState::from).collect(),
        now: seen.now,
        by,
        seen,
        clock: u64::try_from(since.unwrap_or_default().as_nanos()).unwrap_or(u64::MAX),
    };
    Ok((state, view))
}

/// The snapshots of a part of the list, the newest first.
fn find(view: &mut View, skip: usize, limit: usize) -> Result<Found, LookError> {
    let (all, problem) = view.snapshots_or_why()?;
    let newest = all.iter().enumerate().rev().skip(skip).take(limit);
    let mut lines: Vec<SnapshotLine> = newest
        .map(|(place, snapshot)| SnapshotLine {
            snapshot: snapshot.clone(),
            pages: None,
            earlier: place
                .checked_sub(1)
                .and_then(|place| all.get(place))
                .map(|earlier| earlier.name.clone()),
        })
        .collect();
    let names: Vec<String> = lines
        .iter()
        .map(|line| line.snapshot.name.clone())
        .collect();
    let until = Instant::now() + COUNT_BUDGET;
    match view.look().snapshot_pages(&names, until) {
        Ok(pages) => {
            for (line, pages) in lines.iter_mut().zip(pages) {
                line.pages = Some(pages);
            }
        }
        // The names can be read, and not all that is below them.
        Err(LookError::File { .. }) => {}
        Err(error) => return Err(error),
    }
    Ok(Found {
        all: problem.is_empty().then_some(all.len()),
        problem,
        lines,
    })
}
