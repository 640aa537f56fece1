//! What differs between two states: which protected pages were added, removed and
//! changed.

use std::sync::Arc;

use askama::Template;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    error::Error,
    filters,
    head::{FileName, Head},
    look::LookError,
    params::number_or_none,
    past::{AsOf, Change, Located, Snapshot},
    respond::Asked,
    shell::Shell,
    source::View,
    text,
};

/// Protected pages on one screen, if not said otherwise, and at most.
const LIMIT: usize = 50;
const LIMIT_MAX: usize = 500;

/// The most that are counted.
const COUNTED_MAX: usize = 100_000;

/// The most snapshots that can be chosen from.
const CHOICES_MAX: usize = 200;

/// Which two states.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(crate) struct ChangesParams {
    /// The name of the first snapshot; the committed state, if not given.
    before: Option<String>,
    /// The name of the second snapshot; the committed state, if not given.
    after: Option<String>,
    /// How many of the protected pages to pass over.
    #[serde(deserialize_with = "number_or_none")]
    #[param(value_type = Option<u64>)]
    skip: Option<u64>,
    /// How many, at most 500.
    #[serde(deserialize_with = "number_or_none")]
    #[param(value_type = Option<u64>)]
    limit: Option<u64>,
}

/// What differs between two states.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ChangesView {
    file: FileName,
    state: Head,
    /// The first state; null: the committed state.
    before: Option<Snapshot>,
    /// The second state; null: the committed state.
    after: Option<Snapshot>,
    /// Protected pages that only the second state has.
    added: usize,
    /// Protected pages that only the first state has.
    removed: usize,
    /// Protected pages that were written in between.
    changed: usize,
    /// Whether all were counted: there may be more than 100,000.
    complete: bool,
    /// How many were passed over.
    skip: usize,
    /// The most that are here.
    limit: usize,
    /// The protected pages, by their ids.
    changes: Vec<ChangeLine>,
    /// Why the snapshots cannot be read; empty where they can.
    problem: String,
    #[serde(skip)]
    choices: Vec<String>,
}

/// A protected page that is not the same in both states.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ChangeLine {
    #[serde(flatten)]
    change: Change,
    /// `added`, `removed` or `changed`, as `pagebox diff` says it.
    #[serde(rename = "change")]
    kind: &'static str,
}

impl From<Change> for ChangeLine {
    fn from(change: Change) -> Self {
        Self {
            kind: kind_of(&change),
            change,
        }
    }
}

fn kind_of(change: &Change) -> &'static str {
    match (change.before, change.after) {
        (None, _) => "added",
        (_, None) => "removed",
        _ => "changed",
    }
}

impl ChangeLine {
    /// What is drawn before it.
    fn sign(&self) -> &'static str {
        match self.kind {
            "added" => "+",
            "removed" => "\u{2212}",
            _ => "~",
        }
    }

    /// The two pages, where the bytes of both states can be compared.
    fn both(&self) -> Option<(u64, u64)> {
        Some((self.change.before?.page?, self.change.after?.page?))
    }

    /// Where it is on both sides.
    fn sides<'a>(&self, view: &'a ChangesView) -> [(Option<Located>, Option<&'a str>); 2] {
        let name = |state: &'a Option<Snapshot>| state.as_ref().map(|each| each.name.as_str());
        [
            (self.change.before, name(&view.before)),
            (self.change.after, name(&view.after)),
        ]
    }
}

impl ChangesView {
    fn counted(&self) -> usize {
        self.added + self.removed + self.changed
    }

    fn sides(&self) -> [Side<'_>; 2] {
        [
            Side::new("before", "Before", self.before.as_ref()),
            Side::new("after", "After", self.after.as_ref()),
        ]
    }

    /// The part of an address that says which states.
    fn which(&self) -> String {
        self.in_order(self.before.as_ref(), self.after.as_ref())
    }

    /// The same the other way round.
    fn turned(&self) -> String {
        self.in_order(self.after.as_ref(), self.before.as_ref())
    }

    fn in_order(&self, before: Option<&Snapshot>, after: Option<&Snapshot>) -> String {
        let name = |state: Option<&Snapshot>| {
            state.map_or_else(String::new, |each| text::in_address(&each.name))
        };
        format!(
            "before={}&after={}&limit={}",
            name(before),
            name(after),
            self.limit
        )
    }

    fn next(&self) -> Option<usize> {
        let next = self.skip + self.changes.len();
        (next < self.counted() && !self.changes.is_empty()).then_some(next)
    }

    fn previous(&self) -> Option<usize> {
        (self.skip > 0).then(|| self.skip.saturating_sub(self.limit))
    }
}

/// One of the two states.
struct Side<'a> {
    /// What its parameter is called.
    parameter: &'static str,
    title: &'static str,
    snapshot: Option<&'a Snapshot>,
}

impl<'a> Side<'a> {
    fn new(parameter: &'static str, title: &'static str, snapshot: Option<&'a Snapshot>) -> Self {
        Self {
            parameter,
            title,
            snapshot,
        }
    }

    fn is(&self, name: &str) -> bool {
        self.snapshot.is_some_and(|each| each.name == name)
    }

    fn name(&self) -> Option<&str> {
        self.snapshot.map(|each| each.name.as_str())
    }

    fn taken(&self) -> String {
        self.snapshot.map_or_else(String::new, Snapshot::taken)
    }
}

#[derive(Template)]
#[template(path = "changes.html")]
struct ChangesPage<'a> {
    shell: &'a Shell,
    view: &'a ChangesView,
}

/// What differs between two snapshots, or between one and the committed state.
#[utoipa::path(get, path = "/f/{file}/changes.json", tag = "file",
    params(("file" = String, Path, description = "The file's id"), ChangesParams),
    responses((status = 200, body = ChangesView), (status = 400, body = crate::error_page::Said),
        (status = 404, body = crate::error_page::Said)))]
pub(crate) async fn show(asked: Asked) -> Response {
    let view = view(&asked).await;
    asked.answer(view, |shell, view| ChangesPage { shell, view }.render())
}

async fn view(asked: &Asked) -> Result<(Head, ChangesView), Error> {
    let file = FileName::from(asked.file()?);
    let params: ChangesParams = asked.query()?;
    let place = |value: Option<u64>| value.and_then(|value| usize::try_from(value).ok());
    let limit = place(params.limit).unwrap_or(LIMIT).clamp(1, LIMIT_MAX);
    let skip = place(params.skip).unwrap_or(0);
    asked
        .look(move |view, head| {
            let asks = [&params.before, &params.after].into_iter().flatten();
            let (all, problem) = if asks.into_iter().all(String::is_empty) {
                view.snapshots_or_why()?
            } else {
                (view.snapshots()?, String::new())
            };
            let before = state_of(&all, params.before.as_deref())?;
            let after = state_of(&all, params.after.as_deref())?;
            let changes = changes(view, before.as_ref(), after.as_ref())?;
            let counted = changes.get(..COUNTED_MAX).unwrap_or(&changes);
            let of_kind = |kind| counted.iter().filter(|it| kind_of(it) == kind).count();
            let newest = all.iter().rev().take(CHOICES_MAX);
            Ok(ChangesView {
                file: file.clone(),
                state: head.clone(),
                added: of_kind("added"),
                removed: of_kind("removed"),
                changed: of_kind("changed"),
                complete: counted.len() == changes.len(),
                skip,
                limit,
                changes: counted
                    .iter()
                    .skip(skip)
                    .take(limit)
                    .map(|change| ChangeLine::from(*change))
                    .collect(),
                choices: newest.map(|each| each.name.clone()).collect(),
                before,
                after,
                problem,
            })
        })
        .await
}

/// The snapshot of a name; none: the committed state.
fn state_of(all: &Arc<Vec<Snapshot>>, name: Option<&str>) -> Result<Option<Snapshot>, LookError> {
    let Some(name) = name.filter(|name| !name.is_empty()) else {
        return Ok(None);
    };
    let found = AsOf::find(all, name).map(|found| found.snapshot);
    match found {
        Some(found) => Ok(Some(found)),
        None => Err(LookError::NoSnapshot(name.to_owned())),
    }
}

/// What differs, and one more than is counted, if there are so many.
fn changes(
    view: &mut View,
    before: Option<&Snapshot>,
    after: Option<&Snapshot>,
) -> Result<Vec<Change>, LookError> {
    if before == after {
        return Ok(Vec::new());
    }
    let states = [before, after].map(|state| state.map(|each| each.name.as_str()));
    view.look().changes(states, COUNTED_MAX + 1)
}
