//! What a file tells of its past: the records of snapshots, and of what differs
//! between two states.

use std::sync::Arc;

use pagebox::ChangedPage;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{clock, text};

/// A committed state of the protected pages that has a name, and stays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = NamedSnapshot)]
pub struct Snapshot {
    /// What it is called.
    pub name: String,
    /// The generation that was committed when it was taken.
    pub generation: u64,
    /// When that was, in nanoseconds since 1970, as who took it said.
    pub time: u64,
}

impl Snapshot {
    /// When it was taken, as people write it.
    pub(crate) fn taken(&self) -> String {
        clock::utc(self.time)
    }
}

impl From<pagebox::Snapshot> for Snapshot {
    fn from(snapshot: pagebox::Snapshot) -> Self {
        Self {
            name: snapshot.name,
            generation: snapshot.generation,
            time: snapshot.time,
        }
    }
}

/// Where a protected page's bytes are in a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Located {
    /// The page that holds them; none: they are zeros.
    pub page: Option<u64>,
    /// The generation that wrote them.
    pub generation: u64,
}

impl From<pagebox::ProtectedPage> for Located {
    fn from(page: pagebox::ProtectedPage) -> Self {
        Self {
            page: page.page,
            generation: page.generation,
        }
    }
}

/// A protected page that is not the same in two states.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Change {
    /// The protected page.
    pub id: u64,
    /// Where its bytes are in the first state; none: there is no such page.
    pub before: Option<Located>,
    /// Where they are in the second.
    pub after: Option<Located>,
}

impl From<ChangedPage> for Change {
    fn from(page: ChangedPage) -> Self {
        Self {
            id: page.id.get(),
            before: page.before.map(Into::into),
            after: page.after.map(Into::into),
        }
    }
}

/// The snapshot that is shown in place of the committed state, among the others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct AsOf {
    /// Which it is.
    #[serde(flatten)]
    pub snapshot: Snapshot,
    /// The name of the one before it.
    pub earlier: Option<String>,
    /// The name of the one after it; none: what follows is the committed state.
    pub later: Option<String>,
    /// All of them, oldest first.
    #[serde(skip)]
    pub(crate) all: Arc<Vec<Snapshot>>,
}

impl AsOf {
    /// The snapshot of a name among all, oldest first. A name may also be given as
    /// screens write it, which a form sends: characters that cannot be seen by
    /// their numbers. Where that is the name of another one, that one is meant.
    pub(crate) fn find(all: &Arc<Vec<Snapshot>>, name: &str) -> Option<Self> {
        let exact = all.iter().position(|each| each.name == name);
        let shown = || {
            all.iter()
                .position(|each| text::visible(&each.name) == name)
        };
        let place = exact.or_else(shown)?;
        let name_of = |place: usize| all.get(place).map(|each| each.name.clone());
        Some(Self {
            snapshot: all.get(place)?.clone(),
            earlier: place.checked_sub(1).and_then(name_of),
            later: name_of(place + 1),
            all: Arc::clone(all),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(names: &[&str]) -> Arc<Vec<Snapshot>> {
        let snapshots = names.iter().zip(1..).map(|(name, generation)| Snapshot {
            name: (*name).to_owned(),
            generation,
            time: 0,
        });
        Arc::new(snapshots.collect())
    }

    #[test]
    fn snapshot_stands_between_its_neighbours() {
        let all = named(&["a", "b", "c"]);
        let found = |name| AsOf::find(&all, name).map(|found| (found.earlier, found.later));
        let some = |name: &str| Some(name.to_owned());
        assert_eq!(found("a"), Some((None, some("b"))));
        assert_eq!(found("b"), Some((some("a"), some("c"))));
        assert_eq!(found("c"), Some((some("b"), None)));
        assert_eq!(found("d"), None);
    }

    /// A form cannot send every character: HTML has none of some.
    #[test]
    fn name_is_found_as_it_is_or_as_it_is_shown() {
        let all = named(&["a\nb", "a\u{0}", "a«U+0000»"]);
        let found = |name| AsOf::find(&all, name).map(|found| found.snapshot.generation);
        assert_eq!(found("a\nb"), Some(1));
        assert_eq!(found("a«U+000A»b"), Some(1));
        assert_eq!(found("a\u{0}"), Some(2));
        assert_eq!(found("a«U+0000»"), Some(3), "its own name goes first");
    }
}
