//! Stands in for the calls that make files durable: it counts them, for every
//! contestant alike, and can leave them out, to show what is left without.
//!
//! The definitions here take precedence over those of the C library, for the
//! code of all crates that is linked into this program. [`assert_counting`]
//! proves it. LMDB's second sync is a write to a file opened with `O_DSYNC`: it
//! is not counted, nor ever left out.
#![expect(unsafe_code, reason = "the C library's functions are replaced")]

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use libc::{c_int, c_long, c_void, size_t};

static SYNCS: AtomicU64 = AtomicU64::new(0);
static LEFT_OUT: AtomicBool = AtomicBool::new(false);

/// Syncs so far, of the whole process.
pub(crate) fn syncs() -> u64 {
    SYNCS.load(Ordering::Relaxed)
}

/// Does something whose syncs cost nothing, and do nothing.
pub(crate) fn without_syncs<R>(f: impl FnOnce() -> R) -> R {
    struct Restore;
    impl Drop for Restore {
        fn drop(&mut self) {
            LEFT_OUT.store(false, Ordering::Relaxed);
        }
    }
    LEFT_OUT.store(true, Ordering::Relaxed);
    let _restore = Restore;
    f()
}

/// Makes the files that a contest begins with: without syncs, which take most
/// of the time, and with one of each file at the end.
pub(crate) fn set_up<R>(folder: &Path, f: impl FnOnce() -> R) -> R {
    let made = without_syncs(f);
    sync_files(folder);
    made
}

/// Syncs all files in a folder and in those in it.
fn sync_files(folder: &Path) {
    for entry in std::fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("the folder can be read").path();
        if path.is_dir() {
            sync_files(&path);
        } else {
            let file = std::fs::File::open(&path).expect("the file is there");
            file.sync_all().expect("the file can be synced");
        }
    }
}

/// Fails unless the syncs of a map and of a file arrive here.
pub(crate) fn assert_counting(folder: &Path) {
    let before = syncs();
    let file = tempfile::tempfile_in(folder).expect("a temporary file");
    file.set_len(4096).expect("room for a page");
    file.sync_data().expect("a sync");
    file.sync_all().expect("a sync");
    assert_eq!(syncs() - before, 2, "the syncs of files are counted");
    // Its metadata goes out with one msync.
    let path = folder.join("counting.pages");
    mappedpages::Pager::<4096>::create(&path).expect("the peer's file");
    std::fs::remove_file(&path).expect("the file is ours");
    assert_eq!(syncs() - before, 3, "the syncs of maps are counted");
}

fn counted(call: impl FnOnce() -> c_long) -> c_int {
    SYNCS.fetch_add(1, Ordering::Relaxed);
    if LEFT_OUT.load(Ordering::Relaxed) {
        0
    } else {
        c_int::try_from(call()).unwrap_or(-1)
    }
}

#[unsafe(no_mangle)]
extern "C" fn msync(address: *mut c_void, len: size_t, flags: c_int) -> c_int {
    // SAFETY: the arguments go to the kernel as they came; it checks them.
    counted(|| unsafe { libc::syscall(libc::SYS_msync, address, len, flags) })
}

#[unsafe(no_mangle)]
extern "C" fn fdatasync(file: c_int) -> c_int {
    // SAFETY: as above.
    counted(|| unsafe { libc::syscall(libc::SYS_fdatasync, file) })
}

#[unsafe(no_mangle)]
extern "C" fn fsync(file: c_int) -> c_int {
    // SAFETY: as above.
    counted(|| unsafe { libc::syscall(libc::SYS_fsync, file) })
}
