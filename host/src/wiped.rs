//! A number in memory that a fork wipes.
//!
//! Facts that this file relies on:
//! 1. Anonymous memory is nobody else's, begins at a page, and reads as zeros
//!    until it is written to, which is every value of an atomic number.
#![cfg_attr(
    any(target_os = "linux", target_os = "android"),
    expect(
        unsafe_code,
        reason = "memory is asked for that Rust's allocators do not have"
    )
)]

use std::sync::atomic::AtomicU64;
#[cfg(any(target_os = "linux", target_os = "android"))]
use std::sync::atomic::{AtomicPtr, Ordering};

/// A number that reads as 0 in a child after a fork, whatever it was in the
/// parent; none: this system has no such memory. The same for all callers.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn wiped_by_fork() -> Option<&'static AtomicU64> {
    /// What stands for there being none.
    static NONE: AtomicU64 = AtomicU64::new(0);
    // No lock: in a child its holder may be a thread that is not there.
    static NUMBER: AtomicPtr<AtomicU64> = AtomicPtr::new(std::ptr::null_mut());

    let mut number = NUMBER.load(Ordering::Acquire);
    if number.is_null() {
        let made = make_wiped_by_fork().unwrap_or((&raw const NONE).cast_mut());
        // Whoever comes second takes the first one's, and leaves a page unused.
        let set = NUMBER.compare_exchange(
            std::ptr::null_mut(),
            made,
            Ordering::AcqRel,
            Ordering::Acquire,
        );
        number = set.map_or_else(|first| first, |_| made);
    }
    // SAFETY: it points to `NONE` or to memory that is never unmapped, at the
    // beginning of a page, where there is an atomic number (1).
    let number: &'static AtomicU64 = unsafe { &*number };
    (!std::ptr::eq(number, &raw const NONE)).then_some(number)
}

/// Elsewhere there is none.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) fn wiped_by_fork() -> Option<&'static AtomicU64> {
    None
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn make_wiped_by_fork() -> Option<*mut AtomicU64> {
    use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous, munmap};

    const LEN: usize = size_of::<AtomicU64>();
    let access = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: new memory, wherever there is room for it (1).
    let page = unsafe { mmap_anonymous(std::ptr::null_mut(), LEN, access, MapFlags::PRIVATE) };
    let page = page.ok()?;
    // SAFETY: the memory is that of above, which nobody else uses.
    let advised = unsafe { madvise(page, LEN, Advice::LinuxWipeOnFork) };
    if advised.is_err() {
        // SAFETY: as above, and nobody uses it from here on.
        let _ = unsafe { munmap(page, LEN) };
        return None;
    }
    Some(page.cast())
}
