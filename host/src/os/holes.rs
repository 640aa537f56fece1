//! Files that have fewer blocks than bytes: where they have none.

use std::fs::{File, Metadata};
use std::io;
use std::ops::Range;

/// Whether the file takes less space than it has bytes: then parts of it have
/// no blocks, or it is compressed.
pub(crate) fn is_sparse(metadata: &Metadata) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        // POSIX leaves the unit open; every system that we know counts 512.
        metadata.blocks().saturating_mul(512) < metadata.len()
    }
    #[cfg(not(unix))]
    {
        let _ = metadata;
        false
    }
}

/// Whether this file system needs room even to show the zeros of a hole that is
/// read through a map, as those in memory do.
pub(crate) fn holes_need_room(file: &File) -> io::Result<bool> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        // From linux/magic.h: tmpfs, ramfs, hugetlbfs.
        const IN_MEMORY: [u64; 3] = [0x0102_1994, 0x8584_58F6, 0x9584_58F6];
        let kind = rustix::fs::fstatfs(file)?.f_type;
        Ok(u64::try_from(kind).is_ok_and(|kind| IN_MEMORY.contains(&kind)))
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    {
        let _ = file;
        Ok(false)
    }
}

/// The parts of the first `len` bytes of the file that have no blocks, or are
/// reserved but were never written: all of it zeros. What the file system
/// keeps to itself is not among them.
pub(crate) fn holes(file: &File, len: u64) -> io::Result<Vec<Range<u64>>> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        use rustix::fs::{SeekFrom, seek};
        use rustix::io::Errno;
        let mut holes = Vec::new();
        let mut next = 0;
        while next < len {
            let start = match seek(file, SeekFrom::Hole(next)) {
                Ok(start) if start < len => start,
                // One that does not tell; one that is shorter by now.
                Ok(_) | Err(Errno::INVAL | Errno::OPNOTSUPP | Errno::NXIO) => break,
                Err(error) => return Err(error.into()),
            };
            next = match seek(file, SeekFrom::Data(start)) {
                Ok(end) => end.min(len),
                // There is no more.
                Err(Errno::NXIO) => len,
                Err(error) => return Err(error.into()),
            };
            if next > start {
                holes.push(start..next);
            }
        }
        Ok(holes)
    }
    // Elsewhere none is known that needs room to be read.
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    {
        let _ = (file, len);
        Ok(Vec::new())
    }
}

/// The next part of a file of `len` bytes from `at` on that is no hole: where
/// it starts, and where it ends. Moves the file's own position.
pub(crate) fn next_data(file: &File, at: u64, len: u64) -> io::Result<Option<(u64, u64)>> {
    if at >= len {
        return Ok(None);
    }
    #[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
    {
        use rustix::fs::{SeekFrom, seek};
        use rustix::io::Errno;
        match seek(file, SeekFrom::Data(at)) {
            Ok(start) if start < len => {
                let end = seek(file, SeekFrom::Hole(start))?.min(len);
                return Ok(Some((start, end)));
            }
            Ok(_) | Err(Errno::NXIO) => return Ok(None),
            // A file system that does not tell.
            Err(Errno::INVAL | Errno::OPNOTSUPP | Errno::NOSYS) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let _ = file;
    Ok(Some((at, len)))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::super::{write_at, write_zeros};
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn holes_are_found_where_nothing_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let file = File::create_new(&path).unwrap();
        file.set_len(1 << 20).unwrap();
        if holes(&file, 1 << 20).unwrap().is_empty() {
            return; // a file system without them
        }
        write_at(&file, &[1; 4096], 256 << 10).unwrap();
        let found = holes(&file, 1 << 20).unwrap();
        assert_eq!((found.len(), found[0].start, found[1].end), (2, 0, 1 << 20));
        assert!(found[0].end <= 256 << 10 && found[1].start >= (256 << 10) + 4096);
        write_zeros(&file, 0, 1 << 20).unwrap();
        assert_eq!(holes(&file, 1 << 20).unwrap(), []);
        assert_eq!(holes(&file, 0).unwrap(), []);
    }
}
