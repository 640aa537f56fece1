//! Which snapshots a page is held by, as far as that can be told without reading
//! all of the file.
//!
//! A page that a state names has not been written since its birth: else that state
//! would not have the bytes that it names. So a snapshot that is older than the
//! birth does not name it, and a younger one names it as the same protected page,
//! or not at all. One look at the directory of each says which.

use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    look::LookError,
    past::{Located, Snapshot},
    source::View,
};

/// The most snapshots that are asked, the newest first.
const SNAPSHOTS_MAX: usize = 100;

/// The most protected pages of snapshots that are looked at to find out whose
/// bytes a page holds.
const SEARCHED_MAX: usize = 20_000;

/// The snapshots that a page is held by.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(crate) struct Holders {
    /// The newest first.
    pub(crate) snapshots: Vec<Snapshot>,
    /// The protected page whose bytes it holds there.
    pub(crate) protected: Option<u64>,
    /// Whether there are no others: all snapshots were asked, and if none was
    /// found to hold it, all that they name was looked at.
    pub(crate) complete: bool,
}

impl Holders {
    /// Those of a page. `known` is the protected page that it belongs to in the
    /// state that is shown, if it does.
    pub(crate) fn of(
        view: &mut View,
        page: u64,
        known: Option<(u64, Located)>,
    ) -> Result<Self, LookError> {
        let all = view.snapshots()?;
        let newest: Vec<&Snapshot> = all.iter().rev().take(SNAPSHOTS_MAX).collect();
        let (owner, is_searched) = match known {
            Some(known) => (Some(known), true),
            None => search(view, page, &newest)?,
        };
        let complete = is_searched && newest.len() == all.len();
        let Some((id, located)) = owner else {
            return Ok(Self {
                complete,
                ..Self::default()
            });
        };
        let young = newest.into_iter();
        let young = young.filter(|each| each.generation >= located.generation);
        let young: Vec<&Snapshot> = young.collect();
        let names: Vec<String> = young.iter().map(|each| each.name.clone()).collect();
        let there = view.look().located(id, &names)?;
        let holds = |there: &Option<Located>| there.is_some_and(|there| there.page == Some(page));
        Ok(Self {
            snapshots: young
                .into_iter()
                .zip(there)
                .filter(|(_, there)| holds(there))
                .map(|(snapshot, _)| snapshot.clone())
                .collect(),
            protected: Some(id),
            complete,
        })
    }
}

/// The protected page whose bytes a page holds in one of the snapshots, and
/// whether all of them were searched for it, unless it was found.
fn search(
    view: &mut View,
    page: u64,
    snapshots: &[&Snapshot],
) -> Result<(Option<(u64, Located)>, bool), LookError> {
    let mut left = SEARCHED_MAX;
    for snapshot in snapshots {
        if left == 0 {
            return Ok((None, false));
        }
        let owner = view.look().owner_in(&snapshot.name, page, left)?;
        if owner.found.is_some() {
            return Ok((owner.found, true));
        }
        left -= owner.looked_at.min(left);
    }
    Ok((None, left > 0))
}
