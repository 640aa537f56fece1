//! [`Pager`]: an open page file.
//!
//! The pager shares its store with the sandbox: a call that only asks something
//! finds the store there to read from, and needs no more than `&self`. For a
//! call that changes something the store moves into the sandbox, and back out
//! after.
//!
//! What the sandbox says is not believed but checked, as far as that takes no
//! knowledge of the format:
//! - It changes the store in `create`, `commit`, `compact`, the verbs that create,
//!   delete and restore snapshots and, to write, `open` only, and syncs it besides in
//!   `sync`: whatever else it does, the file is as of the last commit.
//! - A page that it names as a caller's is in the store, is not page 0, and
//!   is nobody else's as far as is known here. What it says that no page holds
//!   was committed as zeros.
//! - What it was to write, it wrote.
//! - Its figures agree with the store and with each other, its lists are in
//!   order and no longer than asked for.
//!
//! An answer that cannot be is the end of that sandbox, as a trap is. What it
//! writes in a commit is up to it: a hostile one can ruin the file that it was
//! handed, and nothing else.

mod calls;
mod locating;
mod pages;
mod staging;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use pagebox_store::{Algorithm, Geometry, PageSize};
use wasmtime::component::ResourceAny;

use crate::cache::Cache;
use crate::dropped::Dropped;
use crate::figures::{COUNTS_MAX, CommitInfo, Stats};
use crate::home::Home;
use crate::new_file::NewFile;
use crate::owner::Owner;
use crate::page_stores::{PageStores, Right, Spare};
use crate::runtime::Runtime;
use crate::sandbox::{Data, Sandbox};
use crate::wit::PagerComponent;
use crate::wit::exports::pagebox::pager::pager as wit;
use crate::wit::pagebox::pager::page_store::Extent;
use crate::{Error, Store};

pub(crate) use self::calls::Answer;

/// What a pager may do with its store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Only look. Works on damaged files as far as their bytes prove
    /// themselves.
    Read,
    /// Change it too. Refused on a damaged file.
    Write,
}

/// An open page file.
///
/// It is read through `&self`, by any number of threads at once, and changed
/// through `&mut self`. References to pages end before a change:
///
/// ```no_run
/// # fn f(pager: &mut pagebox::Pager, id: pagebox::ProtectedId) -> Result<(), pagebox::Error> {
/// let bytes = pager.protected_page(id)?;
/// println!("{}", bytes[0]);
/// pager.begin()?.commit()?; // may move what `bytes` refers to
/// # Ok(()) }
/// ```
/// ```compile_fail,E0502
/// # fn f(pager: &mut pagebox::Pager, id: pagebox::ProtectedId) -> Result<(), pagebox::Error> {
/// let bytes = pager.protected_page(id)?;
/// pager.begin()?.commit()?;
/// println!("{}", bytes[0]); // so this does not compile
/// # Ok(()) }
/// ```
///
/// Regular pages are changed in place, and durable after [`sync`](Self::sync).
/// Protected pages are changed by a [`Transaction`](crate::Transaction), all or
/// nothing.
///
/// It belongs to the process that opened it: in a child that was forked since,
/// all that it is asked is answered by [`Error::Forked`], and dropping it
/// writes and unlocks nothing. [`MmapStore`](crate::MmapStore) says more. (A
/// store in memory is copied by the fork: pages of it that were found before
/// may still be looked at.)
pub struct Pager {
    store: Home,
    cache: Cache,
    sandbox: Mutex<Sandbox<PagerComponent>>,
    /// The component's pager.
    handle: ResourceAny,
    runtime: Arc<Runtime>,
    access: Access,
    owner: Owner,
    /// What the last commit came to.
    committed: CommitInfo,
    /// How the checksums of protected pages are computed.
    algorithm: Algorithm,
    /// What of it the format has.
    abilities: Vec<&'static str>,
    /// What views leave behind.
    dropped_pins: Dropped,
    /// Buffers that were used before.
    spare: Spare,
    /// Which opening of a pager of this process it is.
    opening: u64,
    /// A call that may have changed the file failed: only the component knows
    /// whether it goes on.
    unsure: bool,
}

/// What a format can have besides what every format can: words of the contract.
const ABILITIES: [&str; 4] = [COMPACTION, DEFERRED_COMMITS, SNAPSHOTS, VIEWS];
const COMPACTION: &str = "compaction";
const DEFERRED_COMMITS: &str = "deferred-commits";
const SNAPSHOTS: &str = "snapshots";
const VIEWS: &str = "views";

fn next_opening() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

impl Pager {
    /// Makes a page file in an empty store.
    pub(crate) fn create(
        runtime: &Arc<Runtime>,
        sandbox: Sandbox<PagerComponent>,
        store: Box<dyn Store>,
        new: NewFile,
    ) -> Result<Self, Error> {
        let file = new.drawn()?;
        Self::create_by(runtime, sandbox, store, |exports, store| {
            exports.call_create(store, PageStores::own(), file)
        })
    }

    /// The same around regular pages, whose numbers stay.
    pub(crate) fn create_around(
        runtime: &Arc<Runtime>,
        sandbox: Sandbox<PagerComponent>,
        store: Box<dyn Store>,
        new: NewFile,
        regular: &[Extent],
    ) -> Result<Self, Error> {
        Self::create_numbered(runtime, sandbox, store, new.drawn()?, regular)
    }

    /// The same with a number of the caller's.
    pub(crate) fn create_numbered(
        runtime: &Arc<Runtime>,
        sandbox: Sandbox<PagerComponent>,
        store: Box<dyn Store>,
        file: wit::NewFile,
        regular: &[Extent],
    ) -> Result<Self, Error> {
        Self::create_by(runtime, sandbox, store, |exports, store| {
            exports.call_create_around(store, PageStores::own(), file, regular)
        })
    }

    fn create_by(
        runtime: &Arc<Runtime>,
        mut sandbox: Sandbox<PagerComponent>,
        store: Box<dyn Store>,
        create: impl FnOnce(&wit::Guest, &mut wasmtime::Store<Data>) -> Answer<ResourceAny>,
    ) -> Result<Self, Error> {
        let mut store = Home::new(store);
        let handle = sandbox.ask_with(
            &mut store,
            Right::Write,
            "creating the file",
            |world, store| create(world.pagebox_pager_pager(), store),
        )?;
        Self::new(runtime, sandbox, handle, store, Access::Write)
    }

    /// Opens the page file in a store.
    pub(crate) fn open(
        runtime: &Arc<Runtime>,
        mut sandbox: Sandbox<PagerComponent>,
        store: Box<dyn Store>,
        access: Access,
    ) -> Result<Self, Error> {
        let mut store = Home::new(store);
        let handle = open(&mut sandbox, &mut store, access)?;
        Self::new(runtime, sandbox, handle, store, access)
    }

    /// The same file at the root of a view, to be read by an instance of its own.
    pub(crate) fn open_at(&self, root: &[u8]) -> Result<Self, Error> {
        let text = "the store has no second reader, so its pager has no views";
        let store = self.store.get();
        let store = match self.access {
            // Others write to it, perhaps.
            Access::Read => store.reader().or_else(|| store.viewer()),
            Access::Write => store.viewer(),
        };
        let mut store = Home::new(store.ok_or_else(|| Error::Other(text.into()))?);
        let mut sandbox = self.runtime.sandbox()?;
        let handle =
            sandbox.ask_with(&mut store, Right::Read, "opening a view", |world, store| {
                let exports = world.pagebox_pager_pager();
                exports.call_open_at(store, PageStores::own(), root)
            })?;
        Self::new(&self.runtime, sandbox, handle, store, Access::Read)
    }

    fn new(
        runtime: &Arc<Runtime>,
        sandbox: Sandbox<PagerComponent>,
        handle: ResourceAny,
        store: Home,
        access: Access,
    ) -> Result<Self, Error> {
        let mut pager = Self {
            store,
            cache: Cache::default(),
            sandbox: Mutex::new(sandbox),
            handle,
            runtime: runtime.clone(),
            access,
            owner: Owner::here(),
            committed: CommitInfo::default(),
            algorithm: Algorithm::Crc32,
            abilities: Vec::new(),
            dropped_pins: Dropped::default(),
            spare: Spare::default(),
            opening: next_opening(),
            unsure: false,
        };
        pager.make_room()?;
        Ok(pager)
    }

    /// Makes room in the cache for what the file holds.
    fn make_room(&mut self) -> Result<(), Error> {
        let figures = self.figures()?;
        let generation = figures.generation.unwrap_or(0);
        self.committed = CommitInfo {
            generation,
            durable: generation,
            page_count: figures.page_count.unwrap_or(0),
        };
        self.algorithm = figures.algorithm.into();
        let can = |word: &&str| figures.capabilities.iter().any(|it| it == word);
        self.abilities = ABILITIES.into_iter().filter(can).collect();
        let protected = figures.protected_capacity.max(figures.protected_pages);
        self.resize_cache(self.committed.page_count, protected.unwrap_or(0));
        Ok(())
    }

    /// Makes room in the cache. What the sandbox says of pages is bounded by what
    /// the store holds; protected pages may be more than that, where they are
    /// zeros, and the cache has a bound of its own.
    fn resize_cache(&mut self, regular: u64, protected: u64) {
        let bound = self.store.get().geometry().page_count;
        self.cache.resize(regular.min(bound), protected);
    }

    /// The shape of its store.
    pub(crate) fn geometry(&self) -> Geometry {
        self.store.get().geometry()
    }

    /// Makes room in the cache for what a commit added.
    pub(crate) fn grow_cache(&mut self, regular: u64, protected: u64) {
        let protected = protected.max(self.cache.protected_end());
        self.resize_cache(regular, protected);
    }

    pub(crate) fn cache(&mut self) -> &mut Cache {
        &mut self.cache
    }

    /// What the last commit came to.
    pub(crate) fn committed(&self) -> CommitInfo {
        self.committed
    }

    pub(crate) fn set_committed(&mut self, info: CommitInfo) -> CommitInfo {
        self.committed = info;
        info
    }

    /// How the checksums of protected pages are computed.
    pub(crate) fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Which opening of a pager of this process it is.
    pub(crate) fn opening(&self) -> u64 {
        self.opening
    }

    pub(crate) fn is_unsure(&self) -> bool {
        self.unsure
    }

    /// That this process opened it, to write.
    pub(crate) fn expect_writable(&self) -> Result<(), Error> {
        self.expect_own()?;
        match self.access {
            Access::Read => Err(Error::ReadOnly),
            Access::Write => Ok(()),
        }
    }

    /// Bytes that a transaction may have staged.
    pub(crate) fn staged_max(&self) -> usize {
        self.runtime.limits().staged
    }

    /// Figures of the committed state.
    ///
    /// # Errors
    /// [`Error::Damaged`] where the file does not say all of them;
    /// [`Error::Sandbox`].
    pub fn stats(&self) -> Result<Stats, Error> {
        let unknown = "its figures are not known: look at it with an inspector";
        let mut figures = self.figures()?;
        // Each call counts on, where there is much to count.
        for _ in 0..COUNTS_MAX {
            if figures.regular_pages.is_some() {
                break;
            }
            figures = self.figures()?;
        }
        Stats::of(figures).ok_or_else(|| Error::Damaged(unknown.into()))
    }

    /// The number that no other file has but its copies; none: the format has
    /// none.
    pub(crate) fn uuid(&self) -> Result<Option<(u64, u64)>, Error> {
        Ok(self.figures()?.uuid)
    }

    /// How many protected pages it shows.
    pub(crate) fn protected_count(&self) -> Result<u64, Error> {
        Ok(self.figures()?.protected_pages.unwrap_or(0))
    }

    /// What it runs in.
    pub(crate) fn runtime(&self) -> &Arc<Runtime> {
        &self.runtime
    }

    /// The same, as far as they are known.
    fn figures(&self) -> Result<wit::Stats, Error> {
        const OPERATION: &str = "reading figures";
        let stats = self.ask(OPERATION, |exports, store, pager| {
            exports.pager().call_stats(store, pager).map(Ok)
        })?;
        if self.are_possible(&stats) {
            Ok(stats)
        } else {
            Err(self.distrust(OPERATION, format!("its figures cannot be: {stats:?}")))
        }
    }

    /// Whether figures agree with the store and with each other.
    fn are_possible(&self, stats: &wit::Stats) -> bool {
        let geometry = self.store.get().geometry();
        let pages = [stats.free_pages, stats.regular_pages, stats.internal_pages];
        let sum = pages
            .into_iter()
            .try_fold(0_u64, |sum, pages| sum.checked_add(pages?));
        // They may be still to be counted, or what says it has rotted: that stands
        // in the way of nothing else.
        let is_uncounted = stats.regular_pages.is_none() && stats.internal_pages.is_none();
        let sums_up = sum == stats.page_count || is_uncounted && stats.free_pages.is_some();
        let holds = stats.internal_pages.unwrap_or(geometry.page_count);
        stats.page_size == geometry.page_size.bytes_u32()
            && stats.held_pages <= holds
            // A damaged file, which can be read only, does not say all.
            && (self.access == Access::Read
                || stats.page_count.is_some_and(|pages| pages <= geometry.page_count)
                    && sums_up
                    && stats.protected_pages.is_some()
                    && stats.protected_capacity.is_some()
                    && stats.generation.is_some())
    }

    /// Whether it shows the state of the file as it is now. False once somebody
    /// else has committed to a file that was opened to read;
    /// [`reopen`](Self::reopen) then shows what the file holds. A pager that
    /// may write keeps others out, and is always current.
    ///
    /// # Errors
    /// [`Error::Store`], [`Error::Sandbox`].
    pub fn is_current(&self) -> Result<bool, Error> {
        self.expect_own()?;
        let reader = match self.access {
            Access::Read => self.store.get().reader(),
            // Nobody else writes to it.
            Access::Write => None,
        };
        let Some(reader) = reader else {
            return Ok(true);
        };
        let mut sandbox = self.sandbox.lock().unwrap_or_else(PoisonError::into_inner);
        sandbox.ask_with(
            &mut Home::new(reader),
            Right::Read,
            "looking for changes",
            |world, store| {
                let exports = world.pagebox_pager_pager().pager();
                exports.call_is_current(store, self.handle)
            },
        )
    }

    /// The size of its pages.
    pub fn page_size(&self) -> PageSize {
        self.store.get().geometry().page_size
    }

    /// What it may do with its store.
    pub fn access(&self) -> Access {
        self.access
    }

    /// Whether a commit can be deferred.
    pub(crate) fn can_defer(&self) -> bool {
        self.abilities.contains(&DEFERRED_COMMITS)
    }

    /// Whether there can be views.
    pub(crate) fn has_views(&self) -> bool {
        self.abilities.contains(&VIEWS)
    }

    /// Whether the file can be made shorter.
    pub(crate) fn can_compact(&self) -> bool {
        self.abilities.contains(&COMPACTION)
    }

    /// Whether there can be snapshots.
    pub(crate) fn has_snapshots(&self) -> bool {
        self.abilities.contains(&SNAPSHOTS)
    }

    /// What views leave behind.
    pub(crate) fn dropped_pins(&self) -> &Dropped {
        &self.dropped_pins
    }

    /// Whether the last commits are not durable yet.
    pub(crate) fn has_deferred(&self) -> bool {
        self.committed.durable < self.committed.generation
    }

    /// Makes all that was written to regular pages durable, and all that was
    /// [deferred](crate::Transaction::commit_deferred).
    ///
    /// # Errors
    /// [`Error::ReadOnly`], [`Error::Poisoned`], [`Error::Store`].
    pub fn sync(&mut self) -> Result<(), Error> {
        // What was deferred becomes durable by a root that is written.
        let right = if self.has_deferred() {
            Right::Write
        } else {
            Right::Sync
        };
        self.lend("syncing", right, |exports, store, pager| {
            exports.pager().call_sync(store, pager)
        })?;
        self.committed.durable = self.committed.generation;
        Ok(())
    }

    /// Closes the file and hands its store back. Regular pages are not synced:
    /// see [`sync`](Self::sync), which also tells of a failure to make durable
    /// what was deferred; here that is tried, and no more.
    ///
    /// Dropping a pager closes it too.
    pub fn close(mut self) -> Box<dyn Store> {
        self.sync_deferred();
        self.store.take().into_store()
    }

    /// Makes durable what was deferred, as far as that can be done.
    fn sync_deferred(&mut self) {
        if self.has_deferred() {
            // Nobody is left to be told, and a crash would have the same effect.
            // A store that panics here, perhaps while a panic drops the pager,
            // would end the process.
            let _ = catch_unwind(AssertUnwindSafe(|| self.sync()));
            self.committed.durable = self.committed.generation;
        }
    }

    /// Starts over with a new sandbox, on the same store and under the same
    /// lock: the way on after [`Error::Sandbox`] and [`Error::Poisoned`], after
    /// which what was deferred is undone.
    ///
    /// # Errors
    /// As [`Engine::open_store`](crate::Engine::open_store), and
    /// [`Error::ViewsOpen`]; the pager stays as unusable as it was.
    pub fn reopen(&mut self) -> Result<(), Error> {
        self.expect_own()?;
        expect_unviewed(&self.store, self.access)?;
        self.sync_deferred();
        let reopened = self.store.get_mut().reopen();
        reopened.map_err(|cause| Error::Store {
            operation: "reopening the store".into(),
            cause,
        })?;
        let mut sandbox = self.runtime.sandbox()?;
        let handle = open(&mut sandbox, &mut self.store, self.access)?;
        let before = (
            std::mem::replace(&mut self.sandbox, Mutex::new(sandbox)),
            std::mem::replace(&mut self.handle, handle),
            std::mem::take(&mut self.cache),
            std::mem::take(&mut self.dropped_pins),
        );
        let reopened = self.make_room();
        if reopened.is_err() {
            (self.sandbox, self.handle, self.cache, self.dropped_pins) = before;
        } else {
            self.opening = next_opening();
            self.unsure = false;
        }
        reopened
    }
}

impl Drop for Pager {
    fn drop(&mut self) {
        self.sync_deferred();
    }
}

/// That nobody reads views of a file that is to be written: nobody would keep
/// what they read.
fn expect_unviewed(store: &Home, access: Access) -> Result<(), Error> {
    if access == Access::Write && store.get().viewers() > 0 {
        Err(Error::ViewsOpen)
    } else {
        Ok(())
    }
}

/// Hands a store to a sandbox that is to open it.
fn open(
    sandbox: &mut Sandbox<PagerComponent>,
    store: &mut Home,
    access: Access,
) -> Result<ResourceAny, Error> {
    expect_unviewed(store, access)?;
    let (wish, right) = match access {
        Access::Read => (wit::Access::Read, Right::Read),
        Access::Write => (wit::Access::Write, Right::Write),
    };
    sandbox.ask_with(store, right, "opening the file", |world, store| {
        let exports = world.pagebox_pager_pager();
        exports.call_open(store, PageStores::own(), wish)
    })
}

impl std::fmt::Debug for Pager {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pager")
            .field("geometry", &self.store.get().geometry())
            .field("access", &self.access)
            .finish_non_exhaustive()
    }
}
