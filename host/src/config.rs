//! The settings of the sandbox, shared by the build script, which compiles the
//! component, and by the library, which runs it: if they differ, loading fails.

/// The settings that the embedded component is compiled for.
pub(crate) fn config() -> wasmtime::Config {
    let mut config = wasmtime::Config::new();
    // An endless loop in the sandbox comes to an end.
    config.epoch_interruption(true);
    // Every call is synchronous: no tasks to keep account of.
    config.concurrency_support(false);
    // Tables for debuggers and for traces of traps: a trap's name is all that
    // is shown, and what is not there need not be loaded.
    config.generate_address_map(false);
    config.native_unwind_info(false);
    config
}
