//! Positioned input and output, and making it durable.

use std::fs::File;
use std::io::{self, IoSlice};

/// Fills `bytes` from a position in the file.
pub(crate) fn read_at(file: &File, bytes: &mut [u8], position: u64) -> io::Result<()> {
    #[cfg(unix)]
    return std::os::unix::fs::FileExt::read_exact_at(file, bytes, position);
    #[cfg(not(unix))]
    return portable::read_at(file, bytes, position);
}

/// Writes `bytes` at a position in the file.
pub(crate) fn write_at(file: &File, bytes: &[u8], position: u64) -> io::Result<()> {
    #[cfg(unix)]
    return std::os::unix::fs::FileExt::write_all_at(file, bytes, position);
    #[cfg(not(unix))]
    return portable::write_at(file, bytes, position);
}

/// More slices than this are not written by one [`write_slices_at`].
pub(crate) const SLICES_MAX: usize = 1024;

/// Writes slices one after the other, from a position in the file on. Changes
/// the slices.
pub(crate) fn write_slices_at(
    file: &File,
    slices: &mut [IoSlice<'_>],
    position: u64,
) -> io::Result<()> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        let (mut left, mut position) = (slices, position);
        while !left.is_empty() {
            #[cfg(test)]
            WRITES.set(WRITES.get() + 1);
            let write = || rustix::io::pwritev(file, left, position);
            let written = rustix::io::retry_on_intr(write)?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            position += written as u64;
            IoSlice::advance_slices(&mut left, written);
        }
        Ok(())
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    {
        let mut position = position;
        for slice in slices {
            write_at(file, slice, position)?;
            position += slice.len() as u64;
        }
        Ok(())
    }
}

#[cfg(test)]
thread_local! {
    static WRITES: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// How many calls this thread wrote slices by.
#[cfg(test)]
pub(crate) fn writes() -> u64 {
    WRITES.get()
}

/// Whether [`sync`] covers what was written through a map of the file.
pub(crate) const SYNC_COVERS_MAPS: bool = cfg!(any(target_os = "linux", target_os = "android"));

/// Makes the file's bytes durable, and as much of its metadata as reading them
/// back takes.
pub(crate) fn sync(file: &File) -> io::Result<()> {
    file.sync_data()
}

#[cfg(not(unix))]
mod portable {
    //! Positioned input and output by way of the file's own position.

    use std::fs::File;
    use std::io::{self, Read, Seek, SeekFrom, Write};
    use std::sync::Mutex;

    /// The position is the file's, and threads share files.
    static POSITION: Mutex<()> = Mutex::new(());

    pub(super) fn read_at(mut file: &File, bytes: &mut [u8], position: u64) -> io::Result<()> {
        let _guard = POSITION
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        file.seek(SeekFrom::Start(position))?;
        file.read_exact(bytes)
    }

    pub(super) fn write_at(mut file: &File, bytes: &[u8], position: u64) -> io::Result<()> {
        let _guard = POSITION
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        file.seek(SeekFrom::Start(position))?;
        file.write_all(bytes)
    }
}
