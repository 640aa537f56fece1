//! [`Runtime`]: the component as machine code, and all that it takes to make
//! sandboxes of it.

use std::sync::{Arc, OnceLock};

use wasmtime::component::{Component, Linker};

use crate::Error;
use crate::clock::Ticking;
use crate::config::{Room, config};
use crate::limits::Limits;
use crate::os;
use crate::page_stores::add_to_linker;
use crate::sandbox::{Data, Sandbox, failure, is_no_room, nonsense};
use crate::wit::inspecting::InspectingPre;
use crate::wit::{Inspecting, PagerComponent, PagerComponentPre, Places};

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

/// The component, compiled and linked, with what its instances may use. What
/// needs a sandbox keeps hold of one.
pub(crate) struct Runtime {
    code: Code,
    room: Room,
    /// For where the address space has no room for another instance of `code`.
    tight: OnceLock<Result<Code, Error>>,
    source: Source,
    limits: Limits,
    ticking: Ticking,
    /// How many instances were made.
    #[cfg(test)]
    pub(crate) instances: std::sync::atomic::AtomicU64,
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
    /// Where the inspector's world has it.
    places: Places,
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
            places: Places::find(&component).map_err(failed)?,
            engine,
            component,
        })
    }
}

impl Runtime {
    /// Of the embedded component.
    pub(crate) fn embedded(limits: Limits) -> Result<Arc<Self>, Error> {
        Self::of(Source::Embedded, limits)
    }

    /// Of another component, compiled here and now.
    #[cfg(feature = "compile")]
    pub(crate) fn given(wasm: &[u8], limits: Limits) -> Result<Arc<Self>, Error> {
        Self::of(Source::Given(wasm.into()), limits)
    }

    fn of(source: Source, limits: Limits) -> Result<Arc<Self>, Error> {
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
        let ticking = Ticking::start(&code.engine, limits.time).map_err(|source| {
            let text = format!(
                "the system starts no thread for it: {source}: raise the limit \
                 (`ulimit -v`, `ulimit -u`)"
            );
            nonsense("starting its clock", text)
        })?;
        Ok(Arc::new(Self {
            code,
            room,
            tight: OnceLock::new(),
            source,
            limits,
            ticking,
            #[cfg(test)]
            instances: std::sync::atomic::AtomicU64::default(),
        }))
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The engine that the component runs in.
    pub(crate) fn wasmtime(&self) -> &wasmtime::Engine {
        &self.code.engine
    }

    pub(crate) fn component(&self) -> &Component {
        &self.code.component
    }

    /// A new instance that serves a pager.
    pub(crate) fn sandbox(&self) -> Result<Sandbox<PagerComponent>, Error> {
        self.instance(|code| {
            let pre = code.pager.instance_pre();
            Sandbox::new(
                &self.limits,
                self.ticking.clock(),
                pre,
                |store, instance| PagerComponent::new(store, instance),
            )
        })
    }

    /// A new instance that serves an inspector.
    pub(crate) fn inspecting(&self) -> Result<Sandbox<Inspecting>, Error> {
        self.instance(|code| {
            let pre = code.inspecting.instance_pre();
            Sandbox::new(
                &self.limits,
                self.ticking.clock(),
                pre,
                |store, instance| Inspecting::new(store, instance, &code.places),
            )
        })
    }

    /// A new instance, of the code that there is room for.
    fn instance<W>(
        &self,
        start: impl Fn(&Code) -> wasmtime::Result<Sandbox<W>>,
    ) -> Result<Sandbox<W>, Error> {
        self.expect_own()?;
        #[cfg(test)]
        self.instances
            .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let cause = match start(&self.code) {
            Ok(sandbox) => return Ok(sandbox),
            Err(cause) => cause,
        };
        if self.room == Room::Tight || !is_no_room(&cause) {
            return Err(failed(cause));
        }
        let tight = self.tight.get_or_init(|| {
            let code = Code::new(&self.source, Room::Tight)?;
            self.ticking.add(&code.engine);
            Ok(code)
        });
        start(tight.as_ref().map_err(Error::clone)?).map_err(failed)
    }

    /// That this is the process that made it.
    fn expect_own(&self) -> Result<(), Error> {
        if self.ticking.owner().is_here() {
            Ok(())
        } else {
            Err(Error::Other(
                "the engine was made by another process: this one was forked from it, and has to \
                 make its own"
                    .into(),
            ))
        }
    }
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
