//! The space of files: reserving it, giving it back, and zeroing what is in it.

use std::fs::File;
use std::io;

use super::bytes::write_at;

/// Whether an error says that there is no space, or none for this user, or
/// that files cannot be that long.
pub(crate) fn is_no_space(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}

/// Reserves the blocks of a part of the file, which may lie past its end: the
/// bytes that are new read as zeros, the others stay as they are.
pub(crate) fn reserve(file: &File, position: u64, len: u64) -> io::Result<()> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    loop {
        match rustix::fs::fallocate(file, rustix::fs::FallocateFlags::empty(), position, len) {
            Ok(()) => return Ok(()),
            Err(rustix::io::Errno::INTR) => {}
            // A file system that cannot: see below.
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => break,
            Err(error) => return Err(error.into()),
        }
    }
    reserve_by_writing(file, position, len)
}

/// Reserves blocks past the end of the file, which stays as long as it is.
pub(crate) fn reserve_past_end(file: &File, position: u64, len: u64) -> io::Result<()> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        use rustix::fs::{FallocateFlags, fallocate};
        let keep = || fallocate(file, FallocateFlags::KEEP_SIZE, position, len);
        Ok(rustix::io::retry_on_intr(keep)?)
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    {
        let _ = (file, position, len);
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// Gives back blocks past the end of the file.
pub(crate) fn trim(file: &File) -> io::Result<()> {
    file.set_len(file.metadata()?.len())
}

/// How much of the file's file system this user may still use.
pub(crate) fn free_space(file: &File) -> io::Result<u64> {
    #[cfg(unix)]
    {
        let system = rustix::fs::fstatvfs(file)?;
        Ok(system.f_bavail.saturating_mul(system.f_frsize))
    }
    #[cfg(not(unix))]
    {
        let _ = file;
        Ok(0)
    }
}

/// Writes zeros where the file has no bytes yet.
fn reserve_by_writing(file: &File, position: u64, len: u64) -> io::Result<()> {
    let start = position.max(file.metadata()?.len());
    write_zeros(file, start, (position + len).saturating_sub(start))
}

/// Writes zeros over a part of the file.
pub(crate) fn write_zeros(file: &File, position: u64, len: u64) -> io::Result<()> {
    const CHUNK: u64 = 1 << 20;
    let zeros = vec![0; usize::try_from(len.min(CHUNK)).unwrap_or(0)];
    let end = position + len;
    let mut next = position;
    while next < end {
        let part = CHUNK.min(end - next);
        write_at(file, &zeros[..usize::try_from(part).unwrap_or(0)], next)?;
        next += part;
    }
    Ok(())
}

/// Lets a part of the file read as zeros, and keeps the space for it. Durable
/// after a sync.
pub(crate) fn zero(file: &File, position: u64, len: u64) -> io::Result<()> {
    /// A shorter part is zeroed by writing zeros: a sync takes less to write
    /// them than to write what the file system notes instead.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    const NOTED_MIN: u64 = 64 << 10;
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if len >= NOTED_MIN {
        use rustix::fs::{FallocateFlags, fallocate};
        let note = || fallocate(file, FallocateFlags::ZERO_RANGE, position, len);
        // An error is a file system that cannot, as one in memory, or one that
        // comes up in writing too.
        if rustix::io::retry_on_intr(note).is_ok() {
            return Ok(());
        }
    }
    write_zeros(file, position, len)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::super::open;
    use super::*;

    #[test]
    fn zeroing_changes_nothing_but_what_is_zeroed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        // As zeros that are written, and as zeros that are noted.
        for (position, len) in [
            (0, 1),
            (4096, 4096),
            (5000, 60_000),
            (4096, 1 << 20),
            (7, 99_999),
        ] {
            std::fs::write(&path, vec![7; 2 << 20]).unwrap();
            let file = open(&path, true).unwrap();
            zero(&file, position as u64, len as u64).unwrap();
            let bytes = std::fs::read(&path).unwrap();
            assert_eq!(bytes.len(), 2 << 20);
            for (index, byte) in bytes.into_iter().enumerate() {
                let is_zeroed = (position..position + len).contains(&index);
                assert_eq!(byte == 0, is_zeroed, "byte {index} of {position}+{len}");
            }
        }
    }

    #[test]
    fn reserving_by_writing_keeps_what_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, b"old").unwrap();
        let file = open(&path, true).unwrap();
        reserve_by_writing(&file, 1, 2_000_000).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(bytes.len(), 2_000_001);
        assert_eq!(&bytes[..3], b"old");
        assert!(bytes[3..].iter().all(|byte| *byte == 0));
    }
}
