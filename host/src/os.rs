//! Everything that differs by operating system, by what it is about.

mod bytes;
mod copies;
mod holes;
mod names;
mod open;
mod space;

#[cfg(test)]
pub(crate) use bytes::writes;
pub(crate) use bytes::{SLICES_MAX, SYNC_COVERS_MAPS, read_at, sync, write_at, write_slices_at};
pub(crate) use copies::{copy_directly, keep_rights};
pub(crate) use holes::{holes, holes_need_room, is_sparse, next_data};
pub(crate) use names::{folder, name, publish, sync_name, unnamed};
pub(crate) use open::{Locked, head, open};
pub(crate) use space::{
    free_space, is_no_space, reserve, reserve_past_end, trim, write_zeros, zero,
};

/// Whether this process may only have so many addresses, which others in it
/// need too.
pub(crate) fn limits_addresses() -> bool {
    limit("Max address space").is_some()
}

/// A limit of this process's, by the name that the system has for it; none:
/// there is none, or it is not known.
pub(crate) fn limit(name: &str) -> Option<u64> {
    if !cfg!(any(target_os = "linux", target_os = "android")) {
        return None;
    }
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    let values = limits.lines().find_map(|line| line.strip_prefix(name))?;
    values.split_whitespace().next()?.parse().ok()
}
