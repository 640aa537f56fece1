//! [`Inspector`]: a look at whatever is in a store.

use pagebox_store::Geometry;
use serde::Serialize;
use serde::ser::{SerializeStruct, Serializer};
use wasmtime::component::ResourceAny;

use crate::figures::COUNTS_MAX;
use crate::home::Home;
use crate::owner::Owner;
use crate::page_stores::{PageStores, Right};
use crate::sandbox::{Data, Sandbox, nonsense};
use crate::snapshots::Snapshot;
use crate::wit::Inspecting;
use crate::wit::inspecting::exports::pagebox::pager::inspect as wit;
use crate::wit::pagebox::pager::page_store::{Checksum, Extent};
use crate::{Error, Store};

pub use wit::{
    Entry, Field, Finding, FindingsPart, FreeSpace, LastCommit, OwnedPage, PageInfo, PageKind,
    Recovery, Reference, Severity, Step, Structure, Summary, Tile,
};

/// A look at a store as it was when the inspector was made, whatever is in it:
/// damaged page files, other files, nothing. What is wrong is in the results;
/// the errors of all methods are those of the sandbox, and [`Error::Forked`] in
/// a child of the process that made it.
///
/// Made by [`Engine::inspect`](crate::Engine::inspect).
///
/// ```no_run
/// # fn main() -> Result<(), pagebox::Error> {
/// let mut inspector = pagebox::Engine::new()?.inspect("data.pages")?;
/// let summary = inspector.summary()?;
/// println!("{:?} pages, {}", summary.page_count, summary.recovery.verdict);
/// # Ok(()) }
/// ```
pub struct Inspector {
    sandbox: Sandbox<Inspecting>,
    store: Home,
    /// The component's inspector.
    handle: ResourceAny,
    owner: Owner,
}

pub(crate) const CHECKING: &str = "checking the file";

impl Inspector {
    pub(crate) fn new(
        mut sandbox: Sandbox<Inspecting>,
        store: Box<dyn Store>,
    ) -> Result<Self, Error> {
        let store = Home::new(store);
        // For as long as it lives: all that it does is to read.
        sandbox.stores().exchange(&mut store.shared(), Right::Read);
        let handle = sandbox.call("looking at the file", |world, store| {
            let exports = world.exports.pagebox_pager_inspect();
            exports.call_open(store, PageStores::own())
        })?;
        Ok(Self {
            sandbox,
            store,
            handle,
            owner: Owner::here(),
        })
    }

    fn call<R>(
        &mut self,
        operation: &'static str,
        f: impl FnOnce(
            wit::GuestInspector<'_>,
            &mut wasmtime::Store<Data>,
            ResourceAny,
        ) -> wasmtime::Result<R>,
    ) -> Result<R, Error> {
        self.expect_own()?;
        self.sandbox.call(operation, |world, store| {
            let exports = world.exports.pagebox_pager_inspect().inspector();
            f(exports, store, self.handle)
        })
    }

    /// That this is the process that made it: the clock that would end its
    /// sandbox is not in a child that was forked.
    fn expect_own(&self) -> Result<(), Error> {
        if self.owner.is_here() {
            Ok(())
        } else {
            Err(Error::Forked)
        }
    }

    /// That a list is no longer than it was asked to be.
    fn expect_at_most<T>(
        &mut self,
        operation: &'static str,
        limit: u32,
        list: Vec<T>,
    ) -> Result<Vec<T>, Error> {
        if list.len() > limit as usize {
            return Err(self.distrust(operation, "it lists more than it was asked for"));
        }
        Ok(list)
    }

    /// The error for an answer that cannot be: the end of the sandbox that gave
    /// it.
    pub(crate) fn distrust(&mut self, operation: &'static str, cause: impl Into<String>) -> Error {
        self.sandbox.distrust();
        nonsense(operation, cause)
    }

    /// Whether the file is still in the state that was found when the inspector
    /// was made. Where it is not, what was answered since may be of another
    /// state, or of two.
    ///
    /// # Errors
    /// [`Error::Sandbox`].
    pub fn is_current(&mut self) -> Result<bool, Error> {
        self.call("looking for changes", |exports, store, this| {
            exports.call_is_current(store, this)
        })
    }

    /// The snapshots, oldest first. A file of format 0 has none.
    ///
    /// # Errors
    /// [`Error::Other`] where they cannot be read; [`Error::Sandbox`].
    pub fn snapshots(&mut self) -> Result<Vec<Snapshot>, Error> {
        let snapshots = self.call("listing snapshots", |exports, store, this| {
            exports.call_snapshots(store, this)
        })?;
        let snapshots = snapshots.map_err(Error::Other)?;
        Ok(snapshots.into_iter().map(Into::into).collect())
    }

    /// Shows a snapshot from now on, in place of the committed state: all else that
    /// it is asked is about the protected pages of that. Which other pages are
    /// free is not known then.
    ///
    /// # Errors
    /// [`Error::NoSnapshot`]; [`Error::Other`] where it cannot be read;
    /// [`Error::Sandbox`].
    pub fn show_snapshot(&mut self, name: &str) -> Result<(), Error> {
        let shown = self.call("looking for a snapshot", |exports, store, this| {
            exports.call_show_snapshot(store, this, name)
        })?;
        match shown {
            Ok(true) => Ok(()),
            Ok(false) => Err(Error::NoSnapshot(name.into())),
            Err(text) => Err(Error::Other(text)),
        }
    }

    /// Figures of the file, and what recovery decides about it.
    ///
    /// # Errors
    /// [`Error::Sandbox`].
    pub fn summary(&mut self) -> Result<Summary, Error> {
        let mut summary = self.sum_up()?;
        // Each call counts on, where there is much to count.
        for _ in 0..COUNTS_MAX {
            if summary.regular_pages.is_some() {
                break;
            }
            summary = self.sum_up()?;
        }
        Ok(summary)
    }

    fn sum_up(&mut self) -> Result<Summary, Error> {
        self.call("summing up the file", |exports, store, this| {
            exports.call_summary(store, this)
        })
    }

    /// Every kind of page that there can be, with its count.
    ///
    /// # Errors
    /// [`Error::Sandbox`].
    pub fn page_kinds(&mut self) -> Result<Vec<PageKind>, Error> {
        self.call("counting pages", |exports, store, this| {
            exports.call_page_kinds(store, this)
        })
    }

    /// The kinds' codes of `count` pages from `first` on; fewer at the end.
    ///
    /// # Errors
    /// [`Error::Sandbox`].
    pub fn kinds(&mut self, first: u64, count: u32) -> Result<Vec<u8>, Error> {
        const OPERATION: &str = "telling pages apart";
        let kinds = self.call(OPERATION, |exports, store, this| {
            exports.call_kinds(store, this, first, count)
        })?;
        self.expect_at_most(OPERATION, count, kinds)
    }

    /// `count` tiles of `pages_per_tile` pages from `first` on; fewer at the
    /// end.
    ///
    /// # Errors
    /// [`Error::Sandbox`].
    pub fn tiles(
        &mut self,
        first: u64,
        pages_per_tile: u64,
        count: u32,
    ) -> Result<Vec<Tile>, Error> {
        const OPERATION: &str = "drawing a map";
        let tiles = self.call(OPERATION, |exports, store, this| {
            exports.call_tiles(store, this, first, pages_per_tile, count)
        })?;
        self.expect_at_most(OPERATION, count, tiles)
    }

    /// How free space lies: runs by length, and the longest.
    ///
    /// # Errors
    /// [`Error::Sandbox`].
    pub fn free_space(&mut self) -> Result<FreeSpace, Error> {
        self.call("measuring free space", |exports, store, this| {
            exports.call_free_space(store, this)
        })
    }

    /// The structures that describe the file: its roots, and all copies of
    /// the parts of its directory from the `start`-th part on, of at most `limit`
    /// parts.
    ///
    /// # Errors
    /// [`Error::Sandbox`].
    pub fn structures(&mut self, start: u32, limit: u32) -> Result<Vec<Structure>, Error> {
        self.call("reading structures", |exports, store, this| {
            exports.call_structures(store, this, start, limit)
        })
    }

    /// Protected pages in ascending order of id, at most `limit`, from id
    /// `start` on. With `verify` the checksums of their bytes are computed.
    ///
    /// # Errors
    /// [`Error::Sandbox`].
    pub fn directory(&mut self, start: u64, limit: u32, verify: bool) -> Result<Vec<Entry>, Error> {
        const OPERATION: &str = "reading the directory";
        let entries = self.call(OPERATION, |exports, store, this| {
            exports.call_directory(store, this, start, limit, verify)
        })?;
        if entries.first().is_some_and(|entry| entry.id < start)
            || !entries.is_sorted_by(|one, next| one.id < next.id)
        {
            let cause = "it does not list protected pages in ascending order";
            return Err(self.distrust(OPERATION, cause));
        }
        self.expect_at_most(OPERATION, limit, entries)
    }

    /// All about one page; none where there is no such page.
    ///
    /// # Errors
    /// [`Error::Sandbox`].
    pub fn page(&mut self, page: u64) -> Result<Option<PageInfo>, Error> {
        self.call("reading a page", |exports, store, this| {
            exports.call_page(store, this, page)
        })
    }

    /// A part of a full check, from `cursor` on: 0 at first, then each part's
    /// `next`.
    ///
    /// # Errors
    /// [`Error::Sandbox`].
    pub fn findings(&mut self, cursor: u64) -> Result<FindingsPart, Error> {
        let part = self.call(CHECKING, |exports, store, this| {
            exports.call_findings(store, this, cursor)
        })?;
        if part.next.is_some_and(|next| next <= cursor) {
            return Err(self.distrust(CHECKING, "it does not come to an end"));
        }
        Ok(part)
    }

    /// The shape of the store.
    pub fn geometry(&self) -> Geometry {
        self.store.get().geometry()
    }

    /// Copies the bare bytes of a page, from `offset` on.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn read(&self, page: u64, offset: u32, bytes: &mut [u8]) -> Result<(), Error> {
        self.expect_own()?;
        self.store
            .get()
            .read(page, offset, bytes)
            .map_err(|cause| Error::Store {
                operation: format!("reading page {page}"),
                cause,
            })
    }
}

impl std::fmt::Debug for Inspector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inspector").finish_non_exhaustive()
    }
}

impl std::fmt::Display for Severity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

impl PartialEq for Checksum {
    fn eq(&self, other: &Self) -> bool {
        pagebox_store::Checksum::from(*self) == pagebox_store::Checksum::from(*other)
    }
}

impl Serialize for Checksum {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl std::fmt::Display for Checksum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        pagebox_store::Checksum::from(*self).fmt(f)
    }
}

// As the records of the inspector, which are generated apart from it.
impl PartialEq for Extent {
    fn eq(&self, other: &Self) -> bool {
        (self.first, self.count) == (other.first, other.count)
    }
}

impl Serialize for Extent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut extent = serializer.serialize_struct("Extent", 2)?;
        extent.serialize_field("first", &self.first)?;
        extent.serialize_field("count", &self.count)?;
        extent.end()
    }
}
