//! One instance of the component, and the way into it: every call has a
//! deadline, and a trap is an error that names the operation.

use pagebox_store::PageSize;
use wasmtime::component::{Instance, InstancePre, ResourceAny};
use wasmtime::{ResourceLimiter, Result, Trap, UpdateDeadline, bail};

use crate::Error;
use crate::clock::{Clock, TICKS};
use crate::home::Home;
use crate::limits::Limits;
use crate::page_stores::{HANDLE_COST, PageStoreView, PageStores, Right};
use crate::wit::exports::pagebox::pager::pager as wit;
use crate::wit::{Describes, TellsPageSize};

/// How often a call is granted its whole time anew because it made something
/// durable. More syncs than this no commit has.
const GRANTS_MAX: u32 = 4;

/// What belongs to one instance.
pub(crate) struct Data {
    stores: PageStores,
    memory: Memory,
    /// How often the call at hand was granted its whole time anew.
    grants: u32,
}

impl PageStoreView for Data {
    fn page_stores(&mut self) -> &mut PageStores {
        &mut self.stores
    }
}

/// Handles of its own resources that an instance may have besides those of
/// views: a pager, some transactions.
const HANDLES: usize = 1024;

/// Bytes of views that an instance may hold, whatever a transaction may stage:
/// what the host asked for is the host's, but handles of it are not.
const VIEWS_MIN: usize = 4 << 20;
const VIEWS_MAX: usize = 1 << 30;

/// What an entry of a table takes.
const TABLE_ENTRY: usize = 16;

/// The memory of an instance: of all its parts, which may be many, together.
struct Memory {
    left: usize,
}

impl Memory {
    fn take(&mut self, bytes: usize) -> Result<bool> {
        match self.left.checked_sub(bytes) {
            Some(left) => self.left = left,
            None => bail!("it needs more memory than it may have"),
        }
        Ok(true)
    }
}

impl ResourceLimiter for Memory {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> Result<bool> {
        self.take(desired.saturating_sub(current))
    }

    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> Result<bool> {
        let entries = desired.saturating_sub(current);
        self.take(entries.saturating_mul(TABLE_ENTRY))
    }
}

/// An instance, and its exports as `W`.
pub(crate) struct Sandbox<W> {
    store: wasmtime::Store<Data>,
    world: W,
    /// Why nothing can be called any more.
    gone: Option<Gone>,
}

/// What became of a sandbox.
#[derive(Clone, Copy, Debug)]
enum Gone {
    /// It trapped, or is not believed any more.
    Failed,
    /// A panic came out of a store that it was changing or syncing.
    InDoubt,
}

impl Gone {
    fn error(self) -> Error {
        match self {
            Self::Failed => Error::SandboxGone,
            Self::InDoubt => Error::Poisoned,
        }
    }
}

impl<W> Sandbox<W> {
    /// A new instance.
    pub(crate) fn new(
        limits: &Limits,
        clock: &Clock,
        pre: &InstancePre<Data>,
        exports: impl FnOnce(&mut wasmtime::Store<Data>, &Instance) -> Result<W>,
    ) -> Result<Self> {
        let budget = limits.staged.clamp(VIEWS_MIN, VIEWS_MAX);
        let data = Data {
            stores: PageStores::new(budget, limits.store, clock.clone()),
            memory: Memory {
                left: limits.memory,
            },
            grants: 0,
        };
        let mut store = wasmtime::Store::new(pre.engine(), data);
        store.limiter(|data| &mut data.memory);
        store.set_hostcall_fuel(limits.memory);
        // As many as there can be views.
        store.set_max_component_handles(HANDLES + budget / HANDLE_COST);
        store.epoch_deadline_callback(|mut context| {
            let data = context.data_mut();
            // What time stores take is not the guest's.
            let mut ticks = data.stores.take_ticks();
            // It has to come to say what is durable now.
            if data.stores.take_synced() && data.grants < GRANTS_MAX {
                data.grants += 1;
                ticks += TICKS;
            }
            Ok(match ticks {
                0 => UpdateDeadline::Interrupt,
                ticks => UpdateDeadline::Continue(ticks),
            })
        });
        store.set_epoch_deadline(TICKS);
        let instance = pre.instantiate(&mut store)?;
        let world = exports(&mut store, &instance)?;
        Ok(Self {
            store,
            world,
            gone: None,
        })
    }

    /// Calls an export. `operation` ends the sentence "failed while".
    pub(crate) fn call<R>(
        &mut self,
        operation: &'static str,
        f: impl FnOnce(&W, &mut wasmtime::Store<Data>) -> Result<R>,
    ) -> Result<R, Error> {
        if let Some(gone) = self.gone {
            return Err(gone.error());
        }
        let data = self.store.data_mut();
        // As long as the call lasts: a panic that passes by leaves it so.
        self.gone = Some(match data.stores.right() {
            Right::Read => Gone::Failed,
            Right::Sync | Right::Write => Gone::InDoubt,
        });
        data.stores.begin_call();
        data.grants = 0;
        self.store.set_epoch_deadline(TICKS);
        let result = f(&self.world, &mut self.store);
        self.gone = result.is_err().then_some(Gone::Failed);
        result.map_err(|cause| failure(operation, &cause))
    }

    /// The same with the store at hand that is in `home`, where it is again
    /// afterwards, whatever happens.
    pub(crate) fn call_with<R>(
        &mut self,
        home: &mut Home,
        right: Right,
        operation: &'static str,
        f: impl FnOnce(&W, &mut wasmtime::Store<Data>) -> Result<R>,
    ) -> Result<R, Error> {
        self.stores().exchange(home, right);
        let lent = Lent {
            sandbox: self,
            home,
        };
        lent.sandbox.call(operation, f)
    }

    /// The same, of an export that may say no: its error, told.
    pub(crate) fn ask_with<R>(
        &mut self,
        home: &mut Home,
        right: Right,
        operation: &'static str,
        f: impl FnOnce(&W, &mut wasmtime::Store<Data>) -> Result<Answered<R>>,
    ) -> Result<R, Error>
    where
        W: Describes,
    {
        self.call_with(home, right, operation, |world, store| told(world, store, f))?
    }

    /// Drops things of its own. One that cannot do that says so when it is next
    /// called.
    pub(crate) fn drop_all(&mut self, handles: Vec<ResourceAny>) {
        for handle in handles {
            let _ = self.call("dropping a view", |_, store| handle.resource_drop(store));
        }
    }

    /// What it answered cannot be: nothing that it says is believed any more.
    pub(crate) fn distrust(&mut self) {
        self.gone = Some(Gone::Failed);
    }

    /// The stores of the instance.
    pub(crate) fn stores(&mut self) -> &mut PageStores {
        &mut self.store.data_mut().stores
    }
}

impl<W: TellsPageSize + Describes> Sandbox<W> {
    /// The page size that the first bytes of a page file announce.
    pub(crate) fn page_size(&mut self, head: &[u8]) -> Result<PageSize, Error> {
        const OPERATION: &str = "finding the page size";
        let bytes = self.call(OPERATION, |world, store| {
            told(world, store, |world, store| {
                world.call_page_size(store, head)
            })
        })??;
        PageSize::from_bytes(bytes).map_err(|error| nonsense(OPERATION, error.to_string()))
    }
}

/// What an export answers that may say no.
pub(crate) type Answered<R> = std::result::Result<R, wit::Error>;

/// Calls an export; an error is put into words while it is fresh.
fn told<W: Describes, R>(
    world: &W,
    store: &mut wasmtime::Store<Data>,
    f: impl FnOnce(&W, &mut wasmtime::Store<Data>) -> Result<Answered<R>>,
) -> Result<std::result::Result<R, Error>> {
    let error = match f(world, store)? {
        Ok(answer) => return Ok(Ok(answer)),
        Err(error) => error,
    };
    let words = if Error::is_worded_by_pager(&error) {
        world.call_describe(&mut *store, error)?
    } else {
        String::new()
    };
    let failure = store.data_mut().stores.take_failure();
    Ok(Err(Error::told(error, words, failure)))
}

/// A store that a sandbox was lent. It goes back when this is dropped: a panic
/// that comes out of it takes neither the store nor its lock away.
struct Lent<'l, W> {
    sandbox: &'l mut Sandbox<W>,
    home: &'l mut Home,
}

impl<W> Drop for Lent<'_, W> {
    fn drop(&mut self) {
        self.sandbox.stores().exchange(self.home, Right::Read);
    }
}

/// What a trap means for people.
pub(crate) fn failure(operation: &'static str, cause: &wasmtime::Error) -> Error {
    let cause = match cause.downcast_ref::<Trap>() {
        Some(Trap::Interrupt) => "it took too long".to_owned(),
        Some(trap) => trap.to_string(),
        None => refusal(cause).map_or_else(|| cause.root_cause().to_string(), str::to_owned),
    };
    Error::Sandbox { operation, cause }
}

/// What it means that the system refused memory.
fn refusal(cause: &wasmtime::Error) -> Option<&'static str> {
    #[cfg(unix)]
    {
        use rustix::io::Errno;
        if is_no_room(cause) {
            return Some(
                "the system has no memory or no addresses left for it: raise the limit \
                 (`ulimit -v`, RLIMIT_AS), or have fewer files open at once",
            );
        }
        if let Some(&(Errno::ACCESS | Errno::PERM)) = cause.downcast_ref() {
            return Some(
                "the system forbids to execute memory that was written to, as its machine code \
                 is: allow it for this program (MemoryDenyWriteExecute of systemd, PR_SET_MDWE, \
                 execmem of SELinux)",
            );
        }
    }
    let _ = cause;
    None
}

/// Whether there was no room in the address space.
pub(crate) fn is_no_room(cause: &wasmtime::Error) -> bool {
    #[cfg(unix)]
    return cause.downcast_ref() == Some(&rustix::io::Errno::NOMEM);
    #[cfg(not(unix))]
    {
        let _ = cause;
        false
    }
}

/// An answer of the sandbox that cannot be.
pub(crate) fn nonsense(operation: &'static str, cause: impl Into<String>) -> Error {
    Error::Sandbox {
        operation,
        cause: cause.into(),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    /// An instance may have any number of memories and tables: a limit for each
    /// of them would be none for all.
    #[test]
    fn memory_of_all_parts_together_has_a_limit() {
        let mut memory = Memory { left: 1 << 20 };
        assert!(memory.memory_growing(0, 1 << 19, None).unwrap());
        assert!(memory.memory_growing(0, 1 << 18, None).unwrap());
        memory.memory_growing(0, 1 << 19, None).unwrap_err();
        assert!(memory.table_growing(0, 10, Some(usize::MAX)).unwrap());
        memory.table_growing(10, 1 << 17, None).unwrap_err();
        memory.table_growing(10, usize::MAX, None).unwrap_err();
        assert!(memory.memory_growing(1 << 18, 1 << 18, None).unwrap());
    }
}
