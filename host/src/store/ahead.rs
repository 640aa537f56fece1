//! [`Ahead`]: blocks reserved past the end of a file for its next growth, by a
//! thread of their own, while nobody waits for them.
//!
//! To reserve blocks takes a file system in memory 0.3 ms a MiB, since it zeroes
//! them, and all of it was in the one commit that grows the file. The length
//! stays as it is: nobody sees the blocks, and what is not used goes back when
//! the file is closed. After a kill they stay the file's until it is next grown
//! and closed.
//!
//! It is a help, never a duty: whatever is in its way ends it in silence, and
//! growth reserves what is missing, and reports.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use crate::os;

/// Files shorter than this grow at once.
const FILE_MIN: u64 = 1 << 20;

/// More than this is not reserved ahead, nor more than the file has, nor more
/// than a part of what is free.
const AHEAD_MAX: u64 = 64 << 20;

/// The part of the free space that may be reserved ahead: one in this many.
const OF_FREE: u64 = 8;

/// Bytes that are reserved in one call. Whoever writes to the file meanwhile
/// waits for it.
const STEP: u64 = 1 << 20;

/// What is reserved past the end of a file.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    thread: Option<JoinHandle<u64>>,
    /// Something may have been reserved that is not used yet.
    was_started: bool,
    stop: Arc<AtomicBool>,
    /// Where it ends, as far as is known.
    end: u64,
}

impl Ahead {
    /// Starts to reserve, past the `len` bytes of a file.
    pub(super) fn start(&mut self, file: &File, len: u64) {
        if len < FILE_MIN || self.thread.is_some() {
            return;
        }
        // A descriptor of its own: it is open for as long as the thread lives.
        let Ok(file) = file.try_clone() else {
            return;
        };
        let stop = self.stop.clone();
        self.thread = thread::Builder::new()
            .name("pagebox-ahead".into())
            .spawn(move || reserve(&file, len, &stop))
            .ok();
        self.was_started |= self.thread.is_some();
    }

    /// Up to where blocks are reserved. Waits for those that are being reserved:
    /// they are those that are needed.
    pub(super) fn end(&mut self) -> u64 {
        if let Some(thread) = self.thread.take() {
            self.end = thread.join().unwrap_or(0).max(self.end);
        }
        self.end
    }

    /// Notes that what was reserved is gone, as it is when the file is made
    /// shorter.
    pub(super) fn lose(&mut self) {
        self.end();
        self.end = 0;
    }

    /// Ends it. Returns whether something may be left to be given back.
    pub(super) fn stop(&mut self) -> bool {
        self.stop.store(true, Ordering::Relaxed);
        self.end();
        self.was_started
    }

    /// Forgets it, in a process that was forked since: there is no such thread
    /// here.
    pub(super) fn forget(&mut self) {
        std::mem::forget(self.thread.take());
    }
}

/// What the thread does. Returns up to where it reserved all blocks.
fn reserve(file: &File, len: u64, stop: &AtomicBool) -> u64 {
    let Ok(count) = room(file, len) else {
        return len;
    };
    let end = len.saturating_add(count);
    let mut next = len;
    while next < end && !stop.load(Ordering::Relaxed) {
        let step = STEP.min(end - next);
        if os::reserve_past_end(file, next, step).is_err() {
            break;
        }
        next += step;
    }
    next
}

/// How much may be reserved.
fn room(file: &File, len: u64) -> std::io::Result<u64> {
    // Who left holes spares space; and a length that is taken for blocks would
    // hide them.
    if os::is_sparse(&file.metadata()?) {
        return Ok(0);
    }
    let free = os::free_space(file)? / OF_FREE;
    // Past the limit there would be a signal.
    let limit = os::limit("Max file size").unwrap_or(u64::MAX);
    Ok(len.min(AHEAD_MAX).min(free).min(limit.saturating_sub(len)))
}

#[cfg(all(test, target_os = "linux"))]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    fn file(len: u64) -> (tempfile::TempDir, File) {
        let folder = tempfile::tempdir().unwrap();
        let file = File::create_new(folder.path().join("file")).unwrap();
        os::write_zeros(&file, 0, len).unwrap();
        file.sync_all().unwrap();
        (folder, file)
    }

    fn blocks(file: &File) -> u64 {
        file.metadata().unwrap().blocks() * 512
    }

    #[test]
    fn blocks_are_reserved_and_the_length_stays() {
        let (_folder, file) = file(FILE_MIN);
        let mut ahead = Ahead::default();
        ahead.start(&file, FILE_MIN);
        if os::reserve_past_end(&file, FILE_MIN, 1).is_err() {
            return; // a file system that cannot
        }
        assert_eq!(ahead.end(), 2 * FILE_MIN);
        assert!(blocks(&file) >= 2 * FILE_MIN, "{} bytes", blocks(&file));
        assert_eq!(file.metadata().unwrap().len(), FILE_MIN);
        assert!(ahead.stop());
    }

    #[test]
    fn small_files_and_files_with_holes_are_left_alone() {
        let (_folder, small) = file(FILE_MIN - 1);
        let mut ahead = Ahead::default();
        ahead.start(&small, FILE_MIN - 1);
        assert!(ahead.thread.is_none() && !ahead.stop());
        let mut ahead = Ahead::default();
        let (_folder, sparse) = file(FILE_MIN);
        sparse.set_len(3 * FILE_MIN).unwrap();
        if !os::is_sparse(&sparse.metadata().unwrap()) {
            return; // a file system without holes
        }
        ahead.start(&sparse, 3 * FILE_MIN);
        assert_eq!(ahead.end(), 3 * FILE_MIN);
        assert!(blocks(&sparse) < 2 * FILE_MIN);
    }

    /// A file that is closed at once is not kept waiting.
    #[test]
    fn what_is_stopped_reserves_nothing_more() {
        let (_folder, file) = file(FILE_MIN);
        assert_eq!(reserve(&file, FILE_MIN, &AtomicBool::new(true)), FILE_MIN);
    }
}
