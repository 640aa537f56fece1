//! Snapshots: committed states of the protected pages that have a name and stay.

use std::time::{Duration, SystemTime, UNIX_EPOCH};
use std::vec;

use serde::Serialize;

use crate::effects::{COMMITTING, Effects};
use crate::figures::ProtectedPage;
use crate::ids::ProtectedId;
use crate::page_stores::Right;
use crate::pager::{Access, Answer, Pager};
use crate::view::View;
use crate::wit::exports::pagebox::pager::pager as wit;
use crate::wit::inspecting::exports::pagebox::pager::inspect;
use crate::{CommitInfo, Error};

const LISTING: &str = "listing snapshots";

/// A committed state of the protected pages that has a name, and stays until it is
/// dropped, whatever is committed later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Snapshot {
    /// What it is called.
    pub name: String,
    /// The generation that was committed when it was made.
    pub generation: u64,
    /// When that was, in nanoseconds since 1970, by the clock of who made it.
    pub time: u64,
}

impl Snapshot {
    /// When it was made, by the clock of who made it.
    pub fn made(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_nanos(self.time)
    }
}

impl From<wit::Snapshot> for Snapshot {
    fn from(snapshot: wit::Snapshot) -> Self {
        Self {
            name: snapshot.name,
            generation: snapshot.generation,
            time: snapshot.time,
        }
    }
}

impl From<inspect::Snapshot> for Snapshot {
    fn from(snapshot: inspect::Snapshot) -> Self {
        Self {
            name: snapshot.name,
            generation: snapshot.generation,
            time: snapshot.time,
        }
    }
}

/// A protected page whose bytes are others in one state than in another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ChangedPage {
    /// Its id.
    pub id: ProtectedId,
    /// Where the first state has it; none: it has no such page.
    pub before: Option<ProtectedPage>,
    /// Where the second state has it.
    pub after: Option<ProtectedPage>,
}

impl From<wit::ChangedPage> for ChangedPage {
    fn from(page: wit::ChangedPage) -> Self {
        let id = page.id;
        let located = |location| wit::ProtectedPage { id, location }.into();
        Self {
            id: ProtectedId::new(id),
            before: page.before.map(located),
            after: page.after.map(located),
        }
    }
}

/// An error with the name that was asked for.
fn named(name: &str) -> impl FnOnce(Error) -> Error + '_ {
    move |error| match error {
        Error::NoSnapshot(_) => Error::NoSnapshot(name.into()),
        Error::IsSnapshot(_) => Error::IsSnapshot(name.into()),
        error => error,
    }
}

/// Snapshots: see [`Snapshot`]. They are of format 1 only.
///
/// ```
/// # fn main() -> Result<(), pagebox::Error> {
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("data.pages");
/// let mut pager = pagebox::Engine::new()?.create(&path, pagebox::PageSize::KIB_4)?;
/// let id = pager.alloc_protected()?;
/// pager.create_snapshot("monday")?;
/// let mut tx = pager.begin()?;
/// tx.write(id)?[0] = 1;
/// tx.commit()?;
/// assert_eq!(pager.snapshot("monday")?.protected_page(id)?[0], 0);
/// assert_eq!(pager.restore_snapshot("monday")?, 1);
/// assert_eq!(pager.protected_page(id)?[0], 0);
/// pager.delete_snapshot("monday")?;
/// # Ok(()) }
/// ```
impl Pager {
    /// The snapshots, oldest first. A file of format 0 has none.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Changed`], [`Error::Store`].
    pub fn snapshots(&self) -> Result<Vec<Snapshot>, Error> {
        let snapshots = self.ask(LISTING, |exports, store, pager| {
            exports.pager().call_snapshots(store, pager)
        })?;
        if snapshots.is_sorted_by(|one, next| one.generation < next.generation) {
            Ok(snapshots.into_iter().map(Into::into).collect())
        } else {
            Err(self.distrust(
                LISTING,
                "it does not list them in the order of their making",
            ))
        }
    }

    /// Gives the committed state of the protected pages a name, under which it can
    /// be read and gone back to whatever is committed later. Durable when this
    /// returns, with all that was deferred. Nothing is copied: what is changed
    /// later goes elsewhere anyway, and its old pages are kept.
    ///
    /// Regular pages are changed in place, so no snapshot has them. A name is a
    /// text of 1 to 64 bytes; a file has at most 32,767 snapshots.
    ///
    /// # Errors
    /// [`Error::IsSnapshot`], [`Error::SnapshotName`]; [`Error::Other`] for a file
    /// of format 0; as [`Transaction::commit`](crate::Transaction::commit).
    pub fn create_snapshot(&mut self, name: &str) -> Result<Snapshot, Error> {
        self.expect_writable()?;
        if !self.has_snapshots() {
            return Err(Error::Other(
                "the format has no snapshots: upgrade the file to format 1".into(),
            ));
        }
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        // A clock before 1970 knows no time.
        let since = since.unwrap_or_default().as_nanos();
        let time = u64::try_from(since).unwrap_or(u64::MAX);
        let taken = self.commit_by("creating a snapshot", |exports, store, pager| {
            let info = exports
                .pager()
                .call_create_snapshot(store, pager, name, time)?;
            Ok(info.map(|info| wit::Done { pages: 0, info }))
        });
        let (_, info) = taken.map_err(named(name))?;
        Ok(Snapshot {
            name: name.into(),
            generation: info.generation,
            time,
        })
    }

    /// Drops a snapshot, durably: how many pages that gives back. What a
    /// [`View`] of it reads stays until that is dropped, too.
    ///
    /// # Errors
    /// [`Error::NoSnapshot`]; as [`Transaction::commit`](crate::Transaction::commit).
    pub fn delete_snapshot(&mut self, name: &str) -> Result<u64, Error> {
        self.expect_writable()?;
        let dropped = self.commit_by("deleting a snapshot", |exports, store, pager| {
            exports.pager().call_delete_snapshot(store, pager, name)
        });
        Ok(dropped.map_err(named(name))?.0)
    }

    /// Goes back to a snapshot: gives every protected page the bytes that it had,
    /// and frees those that there were not, in one durable commit. How many
    /// protected pages change. Their bytes are copied; all snapshots stay, also
    /// those that are newer; regular pages stay as they are.
    ///
    /// # Errors
    /// [`Error::NoSnapshot`]; [`Error::ChecksumMismatch`], with nothing changed;
    /// [`Error::Other`] where more than 524,288 pages change; as
    /// [`Transaction::commit`](crate::Transaction::commit).
    pub fn restore_snapshot(&mut self, name: &str) -> Result<u64, Error> {
        self.expect_writable()?;
        let restored = self.commit_by("restoring a snapshot", |exports, store, pager| {
            exports.pager().call_restore_snapshot(store, pager, name)
        });
        // Every protected page may be elsewhere, also after a failure.
        self.cache().clear();
        Ok(restored.map_err(named(name))?.0)
    }

    /// How many pages a snapshot has that nothing else has: what dropping it gives
    /// back.
    ///
    /// # Errors
    /// [`Error::NoSnapshot`], [`Error::Corrupt`], [`Error::Changed`],
    /// [`Error::Store`].
    pub fn snapshot_pages(&self, name: &str) -> Result<u64, Error> {
        let pages = self.ask("comparing snapshots", |exports, store, pager| {
            exports.pager().call_snapshot_pages(store, pager, name)
        });
        pages.map_err(named(name))
    }

    /// The state of a snapshot, to be read while commits go on. A pager that may
    /// write keeps it until it is dropped here, whatever becomes of its name. One
    /// that was opened to read cannot keep what another process drops: then what
    /// is not found any more is [`Error::Changed`].
    ///
    /// # Errors
    /// [`Error::NoSnapshot`]; as [`view`](Self::view).
    pub fn snapshot(&self, name: &str) -> Result<View, Error> {
        const OPERATION: &str = "opening a snapshot";
        match self.access() {
            Access::Write => {
                let view = self.pinned(OPERATION, |exports, store, pager| {
                    exports.pager().call_pin_snapshot(store, pager, name)
                });
                view.map_err(named(name))
            }
            Access::Read => {
                let root = self.ask(OPERATION, |exports, store, pager| {
                    exports.pager().call_snapshot_root(store, pager, name)
                });
                let pager = self.open_at(&root.map_err(named(name))?)?;
                Ok(View::unpinned(pager))
            }
        }
    }

    /// The protected pages whose bytes are others in one snapshot than in another
    /// one, in ascending order of their ids. In place of a name that is not
    /// given: the committed state. What both have in common is not read, so that
    /// this takes as long as much changed.
    pub fn changes<'p>(&'p self, before: Option<&str>, after: Option<&str>) -> ChangedPages<'p> {
        ChangedPages {
            pager: self,
            states: [before, after].map(|name| name.map(ToOwned::to_owned)),
            pages: Vec::new().into_iter(),
            next: Some(0),
        }
    }

    /// A commit of which no transaction knows: what it did, and to how many pages.
    fn commit_by(
        &mut self,
        operation: &'static str,
        f: impl FnOnce(
            &wit::Guest,
            &mut wasmtime::Store<crate::sandbox::Data>,
            wasmtime::component::ResourceAny,
        ) -> Answer<wit::Done>,
    ) -> Result<(u64, CommitInfo), Error> {
        let before = self.committed();
        let done = self.lend(operation, Right::Write, f)?;
        Ok((done.pages, self.expect_durable(before, done.info)?))
    }

    /// That a commit of the sandbox's own is durable, and not older than the one
    /// before it.
    pub(crate) fn expect_durable(
        &mut self,
        before: CommitInfo,
        info: wit::CommitInfo,
    ) -> Result<CommitInfo, Error> {
        if info.generation < before.generation || info.durable != info.generation {
            let cause = format!("it committed generation {}", info.generation);
            return Err(self.distrust(COMMITTING, cause));
        }
        Effects::default().apply(self, info)
    }
}

/// How many pages are asked for at once.
const BATCH: u32 = 1024;

/// The protected pages whose bytes are others in one state than in another one:
/// see [`Pager::changes`]. After an error it ends.
#[derive(Debug)]
pub struct ChangedPages<'p> {
    pager: &'p Pager,
    states: [Option<String>; 2],
    pages: vec::IntoIter<wit::ChangedPage>,
    /// The least id that may come next; none: there is none.
    next: Option<u64>,
}

impl ChangedPages<'_> {
    fn advance(&mut self) -> Result<Option<ChangedPage>, Error> {
        let Some(start) = self.next else {
            return Ok(None);
        };
        if self.pages.len() == 0 {
            self.pages = self.batch(start)?.into_iter();
        }
        let page = self.pages.next();
        self.next = page.as_ref().and_then(|page| page.id.checked_add(1));
        Ok(page.map(Into::into))
    }

    fn batch(&self, start: u64) -> Result<Vec<wit::ChangedPage>, Error> {
        const OPERATION: &str = "comparing snapshots";
        let [before, after] = self.states.each_ref().map(Option::as_deref);
        let pages = self.pager.ask(OPERATION, |exports, store, pager| {
            let pager_exports = exports.pager();
            pager_exports.call_changes(store, pager, before, after, start, BATCH)
        });
        let pages = pages.map_err(|error| match (error, before, after) {
            (Error::NoSnapshot(_), Some(name), None) | (Error::NoSnapshot(_), None, Some(name)) => {
                Error::NoSnapshot(name.into())
            }
            (error, ..) => error,
        })?;
        let is_ordered = pages.is_sorted_by(|one, next| one.id < next.id)
            && pages.first().is_none_or(|page| page.id >= start);
        if is_ordered && pages.len() <= BATCH as usize {
            Ok(pages)
        } else {
            let cause = "it does not list what was asked for";
            Err(self.pager.distrust(OPERATION, cause))
        }
    }
}

impl Iterator for ChangedPages<'_> {
    type Item = Result<ChangedPage, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let result = self.advance();
        if result.is_err() {
            self.next = None;
        }
        result.transpose()
    }
}
