//! A program and the pager as one component, and what it can reach: the stores
//! that it was granted, standard input and output, clocks, random numbers.

use std::path::Path;
use std::process;

use pagebox::{COMPONENT, Error, PageStoreView, PageStores, StoreHandle};
use wac_graph::types::Package;
use wac_graph::{CompositionGraph, EncodeOptions, PlugError, plug};
use wasmtime::component::{Component, HasSelf, Linker, Resource, ResourceTable};
use wasmtime::{Cache, CacheConfig, Config, Engine, Trap};
use wasmtime_wasi::{I32Exit, WasiCtx, WasiCtxView, WasiView};

use super::super::output::{plural, shown};
use super::super::streams::complain;
use super::super::{Failure, Outcome, Wait};
use super::Run;
use super::grants::Grants;
use super::limits::{Memory, out_of_time, watch};
use super::wit::{ProgramPre, pagebox::pager::stores};

/// What `pagebox` says of a failing sandbox.
const SYSTEM: u8 = 4;

/// What belongs to one program.
struct Data {
    stores: PageStores,
    grants: Grants,
    wasi: WasiCtx,
    table: ResourceTable,
    memory: Memory,
}

impl PageStoreView for Data {
    fn page_stores(&mut self) -> &mut PageStores {
        &mut self.stores
    }
}

impl WasiView for Data {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl stores::Host for Data {
    fn names(&mut self) -> wasmtime::Result<Vec<String>> {
        Ok(self.grants.names())
    }

    fn take(
        &mut self,
        name: String,
    ) -> wasmtime::Result<Result<Resource<StoreHandle>, stores::GrantError>> {
        self.grants.take(&name, &mut self.stores)
    }
}

/// Runs a program to its end.
pub(super) fn run(command: &Run, wait: Wait) -> Outcome {
    let app = &command.app;
    let bytes = std::fs::read(app).map_err(Failure::reading(app))?;
    // What is wrong with the files is told before the compiler takes its time.
    let mut grants = Grants::open(command, wait)?;
    let refused = |error: wasmtime::Error| Failure::Request {
        path: app.clone(),
        text: format!("not a program for pagebox: {error:#}"),
    };
    let engine = engine().map_err(|cause| failed(app, "starting", &cause))?;
    let component = composed(bytes)
        .and_then(|bytes| Component::new(&engine, bytes))
        .map_err(refused)?;
    let mut linker = Linker::new(&engine);
    link(&mut linker).map_err(|cause| failed(app, "starting", &cause))?;
    let program = linker
        .instantiate_pre(&component)
        .and_then(ProgramPre::new)
        .map_err(refused)?;

    let tapes = grants.start();
    let data = Data {
        stores: PageStores::default(),
        grants,
        wasi: WasiCtx::builder()
            .inherit_stdio()
            .allow_blocking_current_thread(true)
            .allow_tcp(false)
            .allow_udp(false)
            .build(),
        table: ResourceTable::new(),
        memory: Memory::new(command.max_memory),
    };
    let mut store = wasmtime::Store::new(&engine, data);
    store.limiter(|data| &mut data.memory);
    store.set_epoch_deadline(1);
    let late = tapes.clone();
    let watching = command.timeout.map(|time| {
        watch(&engine, time, move || {
            late.end();
            process::exit(SYSTEM.into());
        })
    });
    let _watching = watching
        .transpose()
        .map_err(|error| failed(app, "starting", &error.into()))?;

    let ended = program
        .instantiate(&mut store)
        .and_then(|program| program.call_run(&mut store, &command.args));
    tapes.end();
    match ended {
        Ok(result) => {
            // After a crash there is nobody who could have dropped them.
            report_left_open(app, store.data());
            result.map_err(|text| Failure::Request {
                path: app.clone(),
                text: text + &store.data().grants.refused(),
            })
        }
        Err(cause) => match (cause.downcast_ref(), cause.downcast_ref(), command.timeout) {
            (Some(I32Exit(0)), ..) => Ok(()),
            (Some(I32Exit(code)), ..) => Err(Failure::Request {
                path: app.clone(),
                text: format!("it ended with exit code {code}"),
            }),
            (_, Some(Trap::Interrupt), Some(time)) => {
                Err(sandbox(app, "running", out_of_time(time)))
            }
            _ => {
                let cause = cause_of(&cause) + &store.data().grants.refused();
                Err(sandbox(app, "running", cause))
            }
        },
    }
}

/// A compiler that remembers what it compiled: large programs take it seconds.
fn engine() -> wasmtime::Result<Engine> {
    let mut config = Config::new();
    config.epoch_interruption(true);
    // Where there is nowhere to keep it, it is compiled each time.
    config.cache(Cache::new(CacheConfig::new()).ok());
    Engine::new(&config)
}

/// The program, with the pager plugged in where it imports it.
fn composed(program: Vec<u8>) -> wasmtime::Result<Vec<u8>> {
    let mut graph = CompositionGraph::new();
    let types = graph.types_mut();
    let program_package = Package::from_bytes("program", None, program.as_slice(), types)
        .map_err(|_| wasmtime::format_err!("it is no WebAssembly component"))?;
    let pager = Package::from_bytes("pager", None, COMPONENT, types).map_err(|e| other(&e))?;
    let socket = graph
        .register_package(program_package)
        .map_err(|e| other(&e))?;
    let pager = graph.register_package(pager).map_err(|e| other(&e))?;
    match plug(&mut graph, vec![pager], socket) {
        Ok(()) => graph
            .encode(EncodeOptions::default())
            .map_err(|e| other(&e)),
        // It looks at stores by itself, or uses none.
        Err(PlugError::NoPlugHappened) => Ok(program),
        Err(error) => Err(other(&error)),
    }
}

fn other(error: &dyn std::fmt::Display) -> wasmtime::Error {
    wasmtime::format_err!("{error:#}")
}

/// All that a program can reach.
fn link(linker: &mut Linker<Data>) -> wasmtime::Result<()> {
    pagebox::add_to_linker(linker)?;
    stores::add_to_linker::<_, HasSelf<Data>>(linker, |data| data)?;
    wasmtime_wasi::p2::add_to_linker_sync(linker)
}

/// Says what a program forgot to drop.
fn report_left_open(app: &Path, data: &Data) {
    let (stores, views) = data.stores.left_open();
    let left = [(stores, "store"), (views, "page view")]
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, thing)| plural(count as u64, thing))
        .collect::<Vec<_>>();
    if !left.is_empty() {
        complain(format_args!(
            "{}: it left {} open",
            shown(app),
            left.join(" and ")
        ));
    }
}

fn failed(app: &Path, operation: &'static str, cause: &wasmtime::Error) -> Failure {
    sandbox(app, operation, cause_of(cause))
}

fn cause_of(cause: &wasmtime::Error) -> String {
    match cause.downcast_ref::<Trap>() {
        Some(trap) => trap.to_string(),
        None => cause.root_cause().to_string(),
    }
}

fn sandbox(app: &Path, operation: &'static str, cause: String) -> Failure {
    Failure::File {
        path: app.to_owned(),
        error: Error::Sandbox { operation, cause },
    }
}
