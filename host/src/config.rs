//! The settings of the sandbox, shared by the build script, which compiles the
//! component, and by the library, which runs it: if they differ, loading fails.

/// How much of the address space the memory of a sandbox takes. Machine code
/// relies on it, so there is a version for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    /// 4 GiB: every address that a guest can name lies in them, so machine code
    /// need not compare it with the memory's end. No memory is used for that,
    /// but a limit on addresses may be less (`ulimit -v`).
    Ample,
    /// 4 MiB, and more when they are used up. Machine code compares addresses.
    Tight,
}

/// What a sandbox in [`Room::Tight`] reserves at first.
const TIGHT: u64 = 4 << 20;
/// And what it reserves besides when it has to move, for it to be seldom.
const GROWTH: u64 = 16 << 20;

/// The settings that the embedded component is compiled for.
pub(crate) fn config(room: Room) -> wasmtime::Config {
    let mut config = wasmtime::Config::new();
    if room == Room::Tight {
        config.memory_reservation(TIGHT);
        config.memory_reservation_for_growth(GROWTH);
        config.memory_guard_size(1 << 16);
    }
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
