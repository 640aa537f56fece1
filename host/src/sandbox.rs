//! One instance of the component, and the way into it: every call has a
//! deadline, and a trap is an error that names the operation.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use wasmtime::component::InstancePre;
use wasmtime::{Result, StoreLimits, StoreLimitsBuilder, Trap, UpdateDeadline};

use crate::Error;
use crate::engine::{Engine, TICKS};
use crate::page_stores::{PageStoreView, PageStores};

/// What a sandbox may spend on store calls, as a multiple of its own time: a
/// sync of much data takes long without being its fault, but a guest that does
/// nothing but sync comes to an end too.
const STORE_TICKS: u64 = 60 * TICKS;

/// What belongs to one instance.
pub(crate) struct Data {
    stores: PageStores,
    limits: StoreLimits,
    /// Ticks that the call at hand was granted for store calls.
    granted: u64,
}

impl PageStoreView for Data {
    fn page_stores(&mut self) -> &mut PageStores {
        &mut self.stores
    }
}

/// An instance, and its exports as `W`.
pub(crate) struct Sandbox<W> {
    store: wasmtime::Store<Data>,
    world: W,
    /// It trapped: nothing can be called any more.
    crashed: bool,
}

impl<W> Sandbox<W> {
    /// A new instance.
    pub(crate) fn new(
        engine: &Engine,
        pre: &InstancePre<Data>,
        exports: impl FnOnce(&mut wasmtime::Store<Data>, &wasmtime::component::Instance) -> Result<W>,
    ) -> Result<Self, Error> {
        let limits = engine.limits();
        let data = Data {
            stores: PageStores::new(limits.staged, engine.clock()),
            limits: StoreLimitsBuilder::new()
                .memory_size(limits.memory)
                .trap_on_grow_failure(true)
                .build(),
            granted: 0,
        };
        let mut store = wasmtime::Store::new(engine.wasmtime(), data);
        store.limiter(|data| &mut data.limits);
        store.set_hostcall_fuel(limits.memory);
        // As many as there can be private buffers.
        store.set_max_component_handles(usize::MAX);
        store.epoch_deadline_callback(|mut context| {
            let data = context.data_mut();
            let ticks = data.stores.take_ticks();
            data.granted += ticks;
            Ok(if ticks == 0 || data.granted > STORE_TICKS {
                UpdateDeadline::Interrupt
            } else {
                UpdateDeadline::Continue(ticks)
            })
        });
        store.set_epoch_deadline(TICKS);
        let started = pre
            .instantiate(&mut store)
            .and_then(|instance| exports(&mut store, &instance));
        match started {
            Ok(world) => Ok(Self {
                store,
                world,
                crashed: false,
            }),
            Err(cause) => Err(failure("starting", &cause)),
        }
    }

    /// Calls an export. `operation` ends the sentence "failed while".
    pub(crate) fn call<R>(
        &mut self,
        operation: &'static str,
        f: impl FnOnce(&W, &mut wasmtime::Store<Data>) -> Result<R>,
    ) -> Result<R, Error> {
        if self.crashed {
            return Err(Error::SandboxGone);
        }
        let data = self.store.data_mut();
        data.stores.take_ticks();
        data.granted = 0;
        self.store.set_epoch_deadline(TICKS);
        f(&self.world, &mut self.store).map_err(|cause| {
            self.crashed = true;
            failure(operation, &cause)
        })
    }

    /// The stores of the instance.
    pub(crate) fn stores(&mut self) -> &mut PageStores {
        &mut self.store.data_mut().stores
    }
}

/// What a trap means for people.
pub(crate) fn failure(operation: &'static str, cause: &wasmtime::Error) -> Error {
    let cause = match cause.downcast_ref::<Trap>() {
        Some(Trap::Interrupt) => "it took too long".to_owned(),
        Some(trap) => trap.to_string(),
        None => cause.root_cause().to_string(),
    };
    Error::Sandbox { operation, cause }
}

/// The clock of an engine.
pub(crate) type Clock = Arc<AtomicU64>;

/// An answer of the sandbox that cannot be.
pub(crate) fn nonsense(operation: &'static str, cause: impl Into<String>) -> Error {
    Error::Sandbox {
        operation,
        cause: cause.into(),
    }
}
