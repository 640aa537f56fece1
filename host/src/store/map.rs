//! The one place that maps files.
//!
//! Facts that this file relies on:
//! 1. The file is locked exclusively for as long as the map lives: [`Map::new`]
//!    takes the lock's witness. Whoever respects the lock does not change it.
//! 2. The map never exceeds the file: `len` is at most the file's length when
//!    the map is made or grows. A file is shortened to undo a growth that failed,
//!    to the length that it had before, and the map grows when nothing of that can
//!    fail any more; or to give its end back, which the map has given up before,
//!    and of which no view has a map.
//! 3. Bytes of the map are written by positioned writes only through
//!    `&mut self` of the store that owns it, so never while a slice of it lives.
//!    So are the bytes zeroed that the file is told to forget.
//!
//! 4. The map of a view shows bytes that the store's owner may write to, but no
//!    slice of it does: slices are made of pages that the view's generation
//!    reaches, and as long as it lives the component writes to none of them. A
//!    component that did not keep to that could change bytes under a slice, which
//!    are then read in no particular order, and no more.
//!
//! A child that was forked since has the same map, and no lock of its own. It
//! makes no slices of it, and drops it with no more effect than that. Those
//! that it has from before show what the parent does to the pages meanwhile.
//!
//! Somebody who ignores the lock can break 1 and 2: changed bytes are then read
//! in no particular order, and a shortened file ends the process with a bus
//! error. No program that maps a file can prevent that; the read-only store
//! does not map.
#![expect(
    unsafe_code,
    reason = "a map can be changed from outside; the facts say why it is not"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "everybody else is kept from mapping"
)]

use std::fs::File;
use std::io;

use memmap2::{Mmap, MmapMut, MmapOptions};

use crate::os::{self, Locked};

/// The first bytes of a locked file, mapped to be read and written.
#[derive(Debug)]
pub(super) struct Map(MmapMut);

impl Map {
    /// Maps the first `len` bytes of a file.
    pub(super) fn new(file: &Locked, len: usize) -> io::Result<Self> {
        let file = long_enough(file, len)?;
        // SAFETY: the lock is held (1), the file has at least `len` bytes (2),
        // and no slice of the map lives while it is written to (3).
        unsafe { MmapOptions::new().len(len).map_mut(file) }.map(Self)
    }

    /// Maps more or fewer bytes of the same file. If that fails, nothing changed.
    ///
    /// The system only enters what is new in its tables. To take the old map
    /// down and make another takes as long as it has pages in use, twice: they
    /// are looked for again when they are next read. With 64 MiB it took 2.5
    /// and 6 ms, on ext4 and in memory.
    pub(super) fn resize(&mut self, file: &Locked, len: usize) -> io::Result<()> {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        if !self.0.is_empty() && len > 0 {
            long_enough(file, len)?;
            let options = memmap2::RemapOptions::new().may_move(true);
            // SAFETY: as in `new`, for `len` bytes; no slice of the map lives,
            // since it is borrowed mutably (3).
            return unsafe { self.0.remap(len, options) };
        }
        *self = Self::new(file, len)?;
        Ok(())
    }

    /// Hands what was written through the map to the file, where a sync of the
    /// file does not do that.
    pub(super) fn flush(&self) -> io::Result<()> {
        if os::SYNC_COVERS_MAPS {
            Ok(())
        } else {
            self.0.flush()
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

/// The first bytes of a locked file, mapped to be read by views.
#[derive(Debug)]
pub(super) struct ViewMap(Mmap);

impl ViewMap {
    /// Maps the first `len` bytes of a file.
    pub(super) fn new(file: &Locked, len: usize) -> io::Result<Self> {
        let file = long_enough(file, len)?;
        // SAFETY: the lock is held (1), the file has at least `len` bytes (2),
        // and nobody writes to a page of which a slice lives (4).
        unsafe { MmapOptions::new().len(len).map(file) }.map(Self)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// The file, if it has so many bytes.
fn long_enough(file: &Locked, len: usize) -> io::Result<&File> {
    let file = file.file();
    if file.metadata()?.len() < len as u64 {
        let text = "the file is shorter";
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, text));
    }
    Ok(file)
}
