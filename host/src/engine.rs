//! [`Engine`]: the component, ready to be instantiated, and what its instances
//! may use.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use pagebox_store::PageSize;
use wasmtime::EngineWeak;
use wasmtime::component::{Component, Linker};

use crate::config::{Room, config};
use crate::copy::Copied;
use crate::inspect::Inspector;
use crate::os::{self, Locked};
use crate::owner::Owner;
use crate::page_stores::add_to_linker;
use crate::pager::{Access, Pager};
use crate::repair::RepairAction;
use crate::sandbox::{Clock, Data, Sandbox, failure, is_no_room, nonsense};
use crate::steady::{Attempt, steadily};
use crate::store::{MmapStore, ReadOnlyStore};
use crate::unpublished::Unpublished;
use crate::wit::inspecting::{Inspecting, InspectingPre};
use crate::wit::{PagerComponent, PagerComponentPre};
use crate::{Error, Store, copy, repair};

/// The component: WebAssembly that imports `pagebox:pager/page-store` and
/// nothing else, for any engine.
pub const COMPONENT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/pager.wasm"));

/// The same, compiled ahead of time for this build's own engine.
fn compiled(room: Room) -> &'static [u8] {
    match room {
        Room::Ample => include_bytes!(concat!(env!("OUT_DIR"), "/ample.cwasm")),
        Room::Tight => include_bytes!(concat!(env!("OUT_DIR"), "/tight.cwasm")),
    }
}

/// How many ticks of the clock a call may take.
pub(crate) const TICKS: u64 = 8;

/// What one instance of the component may use.
///
/// ```
/// # fn main() -> Result<(), pagebox::Error> {
/// let mut limits = pagebox::Limits::default();
/// limits.memory = 16 << 20; // bytes
/// limits.time = std::time::Duration::from_secs(1);
/// let engine = pagebox::Engine::with_limits(limits)?;
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of memory, of all its parts together. 256 MiB unless changed.
    pub memory: usize,
    /// Bytes of protected pages that a transaction may have staged, in memory
    /// of this process: [`Error::StagedLimit`] for one more. No limit unless
    /// changed, since they are what the caller asked for: a transaction can
    /// write every protected page that a file has. The component itself may
    /// hold as much besides, but not more than 1 GiB.
    pub staged: usize,
    /// Bytes that a store may grow to. No limit unless changed: then the medium
    /// has one.
    pub store: u64,
    /// Time that one call may compute, store calls not counted. 10 seconds
    /// unless changed; not zero. It is measured in eighths, and by no finer
    /// clock than one of a millisecond: less than 8 milliseconds are as many.
    pub time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory: 256 << 20,
            staged: usize::MAX,
            store: u64::MAX,
            time: Duration::from_secs(10),
        }
    }
}

/// The component, compiled and linked. Cheap to clone; every pager and
/// inspector runs in an instance of its own.
///
/// It belongs to the process that made it, and is of no use in a child that was
/// forked since: its clock runs in the parent only. The child makes its own.
///
/// ```
/// # fn main() -> Result<(), pagebox::Error> {
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("data.pages");
/// let engine = pagebox::Engine::new()?;
/// let mut pager = engine.create(&path, pagebox::PageSize::KIB_4)?;
/// let id = pager.alloc()?;
/// // Others may look at a file that is open to be changed; it is locked only
/// // against those who would change it too.
/// let mut bytes = [1; 8];
/// engine.open_read_only(&path)?.read(id, 0, &mut bytes)?;
/// assert_eq!(bytes, [0; 8]);
/// assert!(matches!(engine.open(&path), Err(pagebox::Error::Locked { .. })));
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

struct Inner {
    code: Code,
    room: Room,
    /// For where the address space has no room for another instance of `code`.
    tight: OnceLock<Result<Code, Error>>,
    source: Source,
    limits: Limits,
    clock: Clock,
    ticking: Ticking,
}

/// Where the component comes from.
enum Source {
    Embedded,
    #[cfg(feature = "compile")]
    Given(Box<[u8]>),
}

/// The component as machine code, linked.
struct Code {
    engine: wasmtime::Engine,
    component: Component,
    pager: PagerComponentPre<Data>,
    inspecting: InspectingPre<Data>,
}

impl Code {
    fn new(source: &Source, room: Room) -> Result<Self, Error> {
        let engine = wasmtime::Engine::new(&config(room)).map_err(failed)?;
        let component = match source {
            Source::Embedded => embedded(&engine, room)?,
            #[cfg(feature = "compile")]
            Source::Given(wasm) => Component::from_binary(&engine, wasm).map_err(failed)?,
        };
        let mut linker = Linker::<Data>::new(&engine);
        add_to_linker(&mut linker).map_err(failed)?;
        let pre = linker.instantiate_pre(&component).map_err(failed)?;
        Ok(Self {
            pager: PagerComponentPre::new(pre.clone()).map_err(failed)?,
            inspecting: InspectingPre::new(pre).map_err(failed)?,
            engine,
            component,
        })
    }
}

impl Engine {
    /// The embedded component, within the default [`Limits`].
    ///
    /// # Errors
    /// [`Error::Sandbox`] where this machine cannot run it.
    pub fn new() -> Result<Self, Error> {
        Self::with_limits(Limits::default())
    }

    /// The embedded component, within `limits`.
    ///
    /// # Errors
    /// As [`new`](Self::new), and [`Error::Other`] for a [`Limits::time`] of
    /// zero.
    pub fn with_limits(limits: Limits) -> Result<Self, Error> {
        Self::of(Source::Embedded, limits)
    }

    /// Another component that exports the same, compiled here and now.
    ///
    /// # Errors
    /// [`Error::Sandbox`] if it is no such component.
    #[cfg(feature = "compile")]
    pub fn with_component(wasm: &[u8], limits: Limits) -> Result<Self, Error> {
        Self::of(Source::Given(wasm.into()), limits)
    }

    fn of(source: Source, limits: Limits) -> Result<Self, Error> {
        if limits.time.is_zero() {
            let text = "the limit of time is zero (Limits::time): no call could be made";
            return Err(Error::Other(text.into()));
        }
        let room = if os::limits_addresses() {
            Room::Tight
        } else {
            Room::Ample
        };
        let code = Code::new(&source, room)?;
        let clock = Clock::default();
        let ticking = Ticking::start(&code.engine, &clock, limits.time)?;
        let inner = Inner {
            code,
            room,
            tight: OnceLock::new(),
            source,
            limits,
            clock,
            ticking,
        };
        Ok(Self(Arc::new(inner)))
    }

    /// Makes a page file and opens it to write. After a crash in here there is
    /// no file of that name, or the whole of it.
    ///
    /// # Errors
    /// [`Error::Exists`], [`Error::Store`], [`Error::Io`].
    pub fn create(&self, path: impl AsRef<Path>, page_size: PageSize) -> Result<Pager, Error> {
        self.create_with_pages(path, page_size, 0)
    }

    /// The same with room for at least `page_count` pages, the pager's own
    /// ones included.
    ///
    /// # Errors
    /// As [`create`](Self::create), and [`Error::Full`].
    pub fn create_with_pages(
        &self,
        path: impl AsRef<Path>,
        page_size: PageSize,
        page_count: u64,
    ) -> Result<Pager, Error> {
        let path = path.as_ref();
        let (file, unpublished) = Unpublished::create(path)?;
        let store = MmapStore::new(file, path, page_size)?;
        let pager = self.create_store(store, page_count)?;
        unpublished.publish()?;
        Ok(pager)
    }

    /// Opens a page file to change it, and locks it. Its page size is found in
    /// the file. Its first page is written and synced, as it is unless a crash
    /// tore it: so what the pager shows is durable, whatever happened before.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::NotAFile`], [`Error::Locked`],
    /// [`Error::NotAPageFile`], [`Error::UnsupportedVersion`],
    /// [`Error::Damaged`], [`Error::Corrupt`], [`Error::Store`],
    /// [`Error::Io`].
    pub fn open(&self, path: impl AsRef<Path>) -> Result<Pager, Error> {
        let path = path.as_ref();
        let file = Locked::open(path, true)?;
        let mut sandbox = self.sandbox()?;
        let page_size = page_size(&mut sandbox, &os::head(file.file(), path)?)?;
        let store = MmapStore::new(file, path, page_size)?;
        Pager::open(self, sandbox, Box::new(store), Access::Write)
    }

    /// Opens a page file to look at it: no lock, no write. Works on damaged
    /// files as far as their bytes prove themselves.
    ///
    /// The pager shows the state that it found at opening. Another process may
    /// be writing to the file: what was found is one of its committed states
    /// all the same, and once that is being overwritten, reads of protected
    /// pages are [`Error::Changed`], never a mixture.
    /// [`read_with`](Self::read_with) spares a caller that. Its pages are copied with
    /// [`Pager::read`] and [`Pager::read_protected`]; regular pages are read as
    /// they are now.
    ///
    /// # Errors
    /// As [`open`](Self::open), [`Error::Locked`] and [`Error::Damaged`] apart;
    /// [`Error::Busy`].
    pub fn open_read_only(&self, path: impl AsRef<Path>) -> Result<Pager, Error> {
        let path = path.as_ref();
        steadily(|| self.try_read_only(path).map(Attempt::Steady))
    }

    fn try_read_only(&self, path: &Path) -> Result<Pager, Error> {
        let file = os::open(path, false)?;
        let mut sandbox = self.sandbox()?;
        let page_size = page_size(&mut sandbox, &os::head(&file, path)?)?;
        let store = ReadOnlyStore::new(file, path, page_size)?;
        Pager::open(self, sandbox, Box::new(store), Access::Read)
    }

    /// Reads a file that others may be writing to: what `f` returns is of one
    /// committed state. `f` is called again, with a pager opened anew, where
    /// the file changed meanwhile; it should do nothing but read.
    ///
    /// ```
    /// # fn main() -> Result<(), pagebox::Error> {
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let path = folder.path().join("data.pages");
    /// let engine = pagebox::Engine::new()?;
    /// let mut writer = engine.create(&path, pagebox::PageSize::KIB_4)?;
    /// let ids = [writer.alloc_protected()?, writer.alloc_protected()?];
    /// let bytes = engine.read_with(&path, |pager| {
    ///     let mut bytes = [[1; 8]; 2];
    ///     pager.read_protected(ids[0], 0, &mut bytes[0])?;
    ///     pager.read_protected(ids[1], 0, &mut bytes[1])?;
    ///     Ok(bytes)
    /// })?;
    /// assert_eq!(bytes, [[0; 8]; 2]);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// What `f` returns, and the errors of
    /// [`open_read_only`](Self::open_read_only).
    pub fn read_with<R>(
        &self,
        path: impl AsRef<Path>,
        mut f: impl FnMut(&Pager) -> Result<R, Error>,
    ) -> Result<R, Error> {
        let path = path.as_ref();
        steadily(|| {
            let pager = self.try_read_only(path)?;
            let answer = f(&pager);
            // What could not be read of a file that changed may be there now.
            Ok(if pager.is_current()? {
                Attempt::Steady(answer?)
            } else {
                Attempt::Changed
            })
        })
    }

    /// Makes a page file of at least `page_count` pages in an empty store.
    ///
    /// # Errors
    /// [`Error::Other`] where the store is not empty, [`Error::Full`],
    /// [`Error::Store`].
    pub fn create_store(
        &self,
        store: impl Store + 'static,
        page_count: u64,
    ) -> Result<Pager, Error> {
        Pager::create(self, self.sandbox()?, Box::new(store), page_count)
    }

    /// Opens the page file in a store.
    ///
    /// # Errors
    /// As [`open`](Self::open), and [`Error::PageSizeMismatch`].
    pub fn open_store(&self, store: impl Store + 'static, access: Access) -> Result<Pager, Error> {
        Pager::open(self, self.sandbox()?, Box::new(store), access)
    }

    /// Looks at any file, without a lock and without a write. Another process
    /// may be writing to it: what is found at first is one of its committed
    /// states, and [`Inspector::is_current`] says how long it is.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::NotAFile`], [`Error::Io`],
    /// [`Error::Busy`]. What is wrong with the bytes is in the inspector's
    /// results.
    pub fn inspect(&self, path: impl AsRef<Path>) -> Result<Inspector, Error> {
        self.inspect_with(path, |_| Ok(()))
            .map(|(inspector, ())| inspector)
    }

    /// Asks something about a file that others may be writing to: what `f`
    /// returns is of one committed state. `f` is called again, with a new
    /// inspector, where the file changed meanwhile. The inspector that was asked
    /// last comes with the answer.
    ///
    /// # Errors
    /// What `f` returns, and the errors of [`inspect`](Self::inspect).
    pub fn inspect_with<R>(
        &self,
        path: impl AsRef<Path>,
        mut f: impl FnMut(&mut Inspector) -> Result<R, Error>,
    ) -> Result<(Inspector, R), Error> {
        let path = path.as_ref();
        steadily(|| {
            let mut inspector = self.try_inspect(path)?;
            let answer = f(&mut inspector);
            Ok(if inspector.is_current()? {
                Attempt::Steady((inspector, answer?))
            } else {
                Attempt::Changed
            })
        })
    }

    fn try_inspect(&self, path: &Path) -> Result<Inspector, Error> {
        let file = os::open(path, false)?;
        let page_size = match page_size(&mut self.sandbox()?, &os::head(&file, path)?) {
            Err(error) if !error.is_corrupt() => return Err(error),
            // Of something that is no page file any size shows the bytes.
            found => found.unwrap_or(PageSize::KIB_4),
        };
        self.inspect_store(ReadOnlyStore::new(file, path, page_size)?)
    }

    /// Looks at whatever is in a store.
    ///
    /// # Errors
    /// [`Error::Sandbox`].
    pub fn inspect_store(&self, store: impl Store + 'static) -> Result<Inspector, Error> {
        Inspector::new(self, Box::new(store))
    }

    /// Copies a page file, though somebody may be at work on it: the copy has
    /// one committed state, wholly. Nobody can change the file meanwhile if
    /// nobody has it open to write; else it is copied again when something was
    /// committed meanwhile.
    ///
    /// Regular pages, which no commit guards, are copied as they are, each at
    /// a moment of its own. Holes stay holes, and nobody may read the copy who
    /// may not read the file. A damaged file is copied as it is. After a crash
    /// in here there is no file of the copy's name, or the whole of it.
    ///
    /// ```
    /// # fn main() -> Result<(), pagebox::Error> {
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let (path, copy) = (folder.path().join("data.pages"), folder.path().join("copy.pages"));
    /// let engine = pagebox::Engine::new()?;
    /// let mut pager = engine.create(&path, pagebox::PageSize::KIB_4)?;
    /// let id = pager.alloc_protected()?;
    /// let copied = engine.copy(&path, &copy)?; // the pager has it open meanwhile
    /// assert_eq!(copied.damage, None);
    /// assert!(engine.open(&copy)?.protected_page(id)?.iter().all(|byte| *byte == 0));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::NotAFile`], [`Error::NotAPageFile`],
    /// [`Error::UnsupportedVersion`], [`Error::Exists`] for `output`,
    /// [`Error::Busy`] where commits leave no time for a copy, [`Error::Io`].
    pub fn copy(&self, path: impl AsRef<Path>, output: impl AsRef<Path>) -> Result<Copied, Error> {
        self.copy_with_progress(path, output, |_, _| {})
    }

    /// The same; `progress` is told how many bytes are done, and of how many,
    /// as it goes.
    ///
    /// # Errors
    /// As [`copy`](Self::copy).
    pub fn copy_with_progress(
        &self,
        path: impl AsRef<Path>,
        output: impl AsRef<Path>,
        mut progress: impl FnMut(u64, u64),
    ) -> Result<Copied, Error> {
        copy::copy(self, path.as_ref(), output.as_ref(), &mut progress)
    }

    /// Makes a mended copy of a damaged file. The file itself stays as it is,
    /// and is locked meanwhile. The result says what was done and what was
    /// lost; it is empty for a sound file, whose copy is exact.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::NotAFile`], [`Error::Locked`],
    /// [`Error::Exists`] for `output`; [`Error::NotAPageFile`],
    /// [`Error::UnsupportedVersion`] and [`Error::Corrupt`], where nothing can
    /// be proven; [`Error::Store`], [`Error::Io`].
    pub fn repair(
        &self,
        path: impl AsRef<Path>,
        output: impl AsRef<Path>,
    ) -> Result<Vec<RepairAction>, Error> {
        repair::repair(self, path.as_ref(), output.as_ref())
    }

    /// The engine that the component runs in, for programs that add guests of
    /// their own. It interrupts guests by epochs: a store of such a program
    /// needs a deadline, or its guests end at once.
    pub fn wasmtime(&self) -> &wasmtime::Engine {
        &self.0.code.engine
    }

    /// The compiled component.
    pub fn component(&self) -> &Component {
        &self.0.code.component
    }

    /// That this is the process that made it.
    fn expect_own(&self) -> Result<(), Error> {
        if self.0.ticking.owner.is_here() {
            Ok(())
        } else {
            Err(Error::Other(
                "the engine was made by another process: this one was forked from it, and has to \
                 make its own"
                    .into(),
            ))
        }
    }

    /// A new instance that serves a pager.
    pub(crate) fn sandbox(&self) -> Result<Sandbox<PagerComponent>, Error> {
        self.expect_own()?;
        self.instance(|code| {
            let pre = code.pager.instance_pre();
            Sandbox::new(self, &code.engine, pre, |store, instance| {
                PagerComponent::new(store, instance)
            })
        })
    }

    /// A new instance that serves an inspector.
    pub(crate) fn inspecting(&self) -> Result<Sandbox<Inspecting>, Error> {
        self.expect_own()?;
        self.instance(|code| {
            let pre = code.inspecting.instance_pre();
            Sandbox::new(self, &code.engine, pre, |store, instance| {
                Inspecting::new(store, instance)
            })
        })
    }

    /// A new instance, of the code that there is room for.
    fn instance<W>(
        &self,
        start: impl Fn(&Code) -> wasmtime::Result<Sandbox<W>>,
    ) -> Result<Sandbox<W>, Error> {
        let inner = &*self.0;
        let cause = match start(&inner.code) {
            Ok(sandbox) => return Ok(sandbox),
            Err(cause) => cause,
        };
        if inner.room == Room::Tight || !is_no_room(&cause) {
            return Err(failed(cause));
        }
        let tight = inner.tight.get_or_init(|| {
            let code = Code::new(&inner.source, Room::Tight)?;
            inner.ticking.add(&code.engine);
            Ok(code)
        });
        start(tight.as_ref().map_err(Error::clone)?).map_err(failed)
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.0.limits
    }

    pub(crate) fn clock(&self) -> Clock {
        self.0.clock.clone()
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("limits", self.limits())
            .finish_non_exhaustive()
    }
}

/// The page size that the first bytes of a page file announce.
pub(crate) fn page_size(
    sandbox: &mut Sandbox<PagerComponent>,
    head: &[u8],
) -> Result<PageSize, Error> {
    const OPERATION: &str = "finding the page size";
    let bytes = sandbox.call(OPERATION, |world, store| {
        world.pagebox_pager_pager().call_page_size(store, head)
    })??;
    PageSize::from_bytes(bytes).map_err(|error| nonsense(OPERATION, error.to_string()))
}

#[expect(clippy::needless_pass_by_value, reason = "as `map_err` calls it")]
fn failed(cause: wasmtime::Error) -> Error {
    failure("starting", &cause)
}

/// The embedded component. Machine code that does not fit the engine or the
/// processor is made anew, where there is a compiler.
fn embedded(engine: &wasmtime::Engine, room: Room) -> Result<Component, Error> {
    #[expect(unsafe_code, reason = "machine code is trusted, whoever made it")]
    // SAFETY: the build script made these bytes with wasmtime's own compiler,
    // and nothing can change them in the program since; wasmtime refuses those
    // of another version or other settings.
    let loaded = unsafe { Component::deserialize(engine, compiled(room)) };
    #[cfg(feature = "compile")]
    let loaded = loaded.or_else(|cause| {
        log::warn!(
            "compiling the component, since what was compiled ahead of time does not fit: {cause:#}"
        );
        Component::from_binary(engine, COMPONENT)
    });
    loaded.map_err(failed)
}

/// The thread that moves the clock. It ends when this is dropped.
struct Ticking {
    engines: Arc<Mutex<Vec<EngineWeak>>>,
    /// None only once it is dropped.
    alive: Option<Sender<()>>,
    owner: Owner,
}

impl Ticking {
    /// `TICKS` ticks in `time`.
    fn start(engine: &wasmtime::Engine, clock: &Clock, time: Duration) -> Result<Self, Error> {
        let (alive, receiver) = mpsc::channel();
        let engines = Arc::new(Mutex::new(vec![engine.weak()]));
        let (all, clock) = (engines.clone(), clock.clone());
        let period = time / u32::try_from(TICKS).unwrap_or(u32::MAX);
        // No thread is to do nothing else.
        let period = period.max(Duration::from_millis(1));
        std::thread::Builder::new()
            .name("pagebox-clock".into())
            .spawn(move || {
                while receiver.recv_timeout(period) == Err(RecvTimeoutError::Timeout) {
                    clock.fetch_add(1, Ordering::Relaxed);
                    let all = all.lock().unwrap_or_else(PoisonError::into_inner);
                    let alive = all.iter().filter_map(EngineWeak::upgrade);
                    alive.for_each(|engine| engine.increment_epoch());
                }
            })
            .map_err(|source| {
                let text = format!(
                    "the system starts no thread for it: {source}: raise the limit \
                     (`ulimit -v`, `ulimit -u`)"
                );
                nonsense("starting its clock", text)
            })?;
        Ok(Self {
            engines,
            alive: Some(alive),
            owner: Owner::here(),
        })
    }

    /// Interrupts the guests of another engine too.
    fn add(&self, engine: &wasmtime::Engine) {
        let mut engines = self.engines.lock().unwrap_or_else(PoisonError::into_inner);
        engines.push(engine.weak());
    }
}

impl Drop for Ticking {
    fn drop(&mut self) {
        // Nobody ticks in a child that was forked, and to tell a thread that is
        // not there may be to wait for it.
        if !self.owner.is_here() {
            std::mem::forget(self.alive.take());
        }
    }
}

#[cfg(all(test, feature = "compile"))]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::sync::Mutex;

    use super::{COMPONENT, embedded};
    use crate::config::{Room, config};

    /// Keeps what is logged.
    struct Kept(Mutex<Vec<String>>);

    static LOG: Kept = Kept(Mutex::new(Vec::new()));

    impl log::Log for Kept {
        fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
            metadata.level() <= log::Level::Warn
        }

        fn log(&self, record: &log::Record<'_>) {
            if self.enabled(record.metadata()) {
                self.0.lock().unwrap().push(record.args().to_string());
            }
        }

        fn flush(&self) {}
    }

    /// An engine with other settings, as of a processor that lacks what the
    /// machine code uses: it is refused, and compiled for this engine.
    #[test]
    fn machine_code_that_does_not_fit_is_compiled_anew_and_the_log_says_so() {
        log::set_logger(&LOG).unwrap();
        log::set_max_level(log::LevelFilter::Warn);

        embedded(
            &wasmtime::Engine::new(&config(Room::Ample)).unwrap(),
            Room::Ample,
        )
        .unwrap();
        assert!(
            LOG.0.lock().unwrap().is_empty(),
            "what fits is taken as it is"
        );

        let mut other = config(Room::Ample);
        other.consume_fuel(true);
        let engine = wasmtime::Engine::new(&other).unwrap();
        let component = embedded(&engine, Room::Ample).unwrap();
        let said = LOG.0.lock().unwrap().join("\n");
        assert!(said.contains("does not fit"), "{said}");
        let directly = wasmtime::component::Component::from_binary(&engine, COMPONENT).unwrap();
        assert_eq!(
            component.serialize().unwrap().len(),
            directly.serialize().unwrap().len()
        );
    }
}
