//! Everything that differs by operating system: opening without hanging,
//! locking, positioned input and output, reserving space, syncing, publishing.

use std::fs::{File, Metadata, OpenOptions, TryLockError};
use std::io::{self, IoSlice};
use std::ops::Range;
use std::path::Path;

use crate::Error;
use crate::owner::Owner;

/// A file that is locked exclusively until it is dropped by the process that
/// locked it.
#[derive(Debug)]
pub(crate) struct Locked {
    file: File,
    owner: Owner,
}

impl Locked {
    /// Opens an existing regular file and locks it.
    pub(crate) fn open(path: &Path, write: bool) -> Result<Self, Error> {
        Self::open_as(path, write, is_named)
    }

    /// The same with another way to tell whether a path names a file.
    fn open_as(
        path: &Path,
        write: bool,
        is_named: impl Fn(&File, &Path) -> io::Result<bool>,
    ) -> Result<Self, Error> {
        for _ in 0..TRIES {
            let locked = Self::new(open(path, write)?, path)?;
            // Another file may have taken the name in between: a lock on the
            // old one keeps nobody out.
            if is_named(locked.file(), path).map_err(|source| Error::io("lock", path, source))? {
                return Ok(locked);
            }
        }
        // Either somebody replaces it without end, or the file system makes
        // file numbers up anew each time.
        let text = format!(
            "its name led to another file after each of {TRIES} locks: it is replaced all the \
             time, or is on a file system whose file numbers change, where a lock keeps nobody out"
        );
        Err(Error::io("lock", path, io::Error::other(text)))
    }

    /// Locks a file against everybody else who does so.
    pub(crate) fn new(file: File, path: &Path) -> Result<Self, Error> {
        match file.try_lock() {
            Ok(()) => Ok(Self {
                file,
                owner: Owner::here(),
            }),
            Err(TryLockError::WouldBlock) => Err(Error::Locked {
                path: path.to_owned(),
            }),
            Err(TryLockError::Error(source)) => Err(Error::io("lock", path, source)),
        }
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Whose lock it is.
    #[inline]
    pub(crate) fn owner(&self) -> &Owner {
        &self.owner
    }
}

/// How often a file is opened that is another one once it is locked.
const TRIES: u32 = 100;

impl Drop for Locked {
    /// Closing the file does not unlock it for as long as somebody has a copy
    /// of the descriptor, as a process has that is just being started by
    /// another thread of this one. So the lock is released, but not by a child
    /// that was forked: it is the parent's still.
    fn drop(&mut self) {
        if self.owner.is_surely_here() {
            let _ = self.file.unlock();
        }
    }
}

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

/// Opens an existing regular file; anything else is refused, and never waited
/// for.
pub(crate) fn open(path: &Path, write: bool) -> Result<File, Error> {
    let metadata = std::fs::metadata(path).map_err(|source| Error::io("open", path, source))?;
    require_regular(path, &metadata)?;
    let mut options = OpenOptions::new();
    options.read(true).write(write);
    // A FIFO that took the file's place meanwhile is not waited for either.
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed());
    }
    let file = options
        .open(path)
        .map_err(|source| Error::io("open", path, source))?;
    let metadata = file
        .metadata()
        .map_err(|source| Error::io("open", path, source))?;
    require_regular(path, &metadata)?;
    Ok(file)
}

/// The first bytes of a file: enough to tell what it is.
pub(crate) fn head(file: &File, path: &Path) -> Result<Vec<u8>, Error> {
    const HEAD: u64 = 4096;
    let read = || {
        let len = file.metadata()?.len().min(HEAD);
        let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
        read_at(file, &mut bytes, 0)?;
        Ok(bytes)
    };
    read().map_err(|source| Error::io("read", path, source))
}

/// Whether this file is the one that a path names.
fn is_named(file: &File, path: &Path) -> io::Result<bool> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let (ours, named) = (file.metadata()?, std::fs::metadata(path)?);
        Ok((ours.dev(), ours.ino()) == (named.dev(), named.ino()))
    }
    // Elsewhere an open file keeps its name.
    #[cfg(not(unix))]
    {
        let _ = (file, path);
        Ok(true)
    }
}

fn require_regular(path: &Path, metadata: &Metadata) -> Result<(), Error> {
    if metadata.is_file() {
        return Ok(());
    }
    Err(Error::NotAFile {
        path: path.to_owned(),
        kind: kind(metadata),
    })
}

fn kind(metadata: &Metadata) -> &'static str {
    let kind = metadata.file_type();
    if kind.is_dir() {
        return "a folder";
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        if kind.is_fifo() {
            return "a pipe";
        }
        if kind.is_socket() {
            return "a socket";
        }
        if kind.is_block_device() || kind.is_char_device() {
            return "a device";
        }
    }
    "no regular file"
}

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

/// Makes the name of a file durable.
pub(crate) fn sync_name(file: &File, path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    {
        // It may have been without a name when it was synced.
        file.sync_all()?;
        match File::open(folder(path)).and_then(|folder| folder.sync_all()) {
            // A folder that may be written but not read, or one that cannot be
            // synced by itself.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::PermissionDenied
                        | io::ErrorKind::InvalidInput
                        | io::ErrorKind::Unsupported
                ) =>
            {
                sync_file_system(file)
            }
            result => result,
        }
    }
    // Elsewhere a folder cannot be opened as a file; names are journalled.
    #[cfg(not(unix))]
    {
        let _ = (file, path);
        Ok(())
    }
}

/// Makes everything durable on the file system of a file.
#[cfg(unix)]
fn sync_file_system(file: &File) -> io::Result<()> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    return Ok(rustix::fs::syncfs(file)?);
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    {
        let _ = file;
        rustix::fs::sync();
        Ok(())
    }
}

/// The folder that a path's name is in.
pub(crate) fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

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

/// Gives a file its name. A file that has the name already stays, and that is
/// an error.
pub(crate) fn publish(temporary: &Path, path: &Path) -> io::Result<()> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        use rustix::io::Errno;
        match renameat_with(CWD, temporary, CWD, path, RenameFlags::NOREPLACE) {
            Ok(()) => return Ok(()),
            // A file system or a kernel that cannot.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {}
            Err(error) => return Err(error.into()),
        }
    }
    match std::fs::hard_link(temporary, path) {
        Ok(()) => {
            // It is published, whatever becomes of its other name.
            let _ = std::fs::remove_file(temporary);
            Ok(())
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
        Err(_) => claim(temporary, path),
    }
}

/// The same where files can have one name only: an empty file takes the name,
/// and the file replaces that. A crash in between leaves the empty one.
fn claim(temporary: &Path, path: &Path) -> io::Result<()> {
    OpenOptions::new().write(true).create_new(true).open(path)?;
    std::fs::rename(temporary, path).inspect_err(|_| {
        let _ = std::fs::remove_file(path);
    })
}

/// A new file in `folder` that has no name, for its owner and those whom `mode`
/// and the process's mask let in; none where the system has no such files.
pub(crate) fn unnamed(folder: &Path, mode: u32) -> Option<File> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        use rustix::fs::{Mode, OFlags};
        // What gives it a name later.
        if !Path::new("/proc/self/fd").exists() {
            return None;
        }
        let flags = OFlags::RDWR | OFlags::TMPFILE | OFlags::CLOEXEC;
        let file = rustix::fs::open(folder, flags, Mode::from_raw_mode(mode));
        file.ok().map(File::from)
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    {
        let _ = (folder, mode);
        None
    }
}

/// Gives an [`unnamed`] file its name. A file that has the name already stays,
/// and that is an error.
pub(crate) fn name(file: &File, path: &Path) -> io::Result<()> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        use rustix::fs::{AtFlags, CWD};
        use std::os::fd::AsRawFd;
        let unnamed = format!("/proc/self/fd/{}", file.as_raw_fd());
        Ok(rustix::fs::linkat(
            CWD,
            unnamed,
            CWD,
            path,
            AtFlags::SYMLINK_FOLLOW,
        )?)
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    {
        let _ = (file, path);
        Err(io::ErrorKind::Unsupported.into())
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

/// Copies as much as it can of a part of a file to the same place in another
/// one, without its bytes coming by here. Returns how much that was.
pub(crate) fn copy_directly(source: &File, target: &File, position: u64, len: u64) -> u64 {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        let (mut from, mut to) = (position, position);
        while from < position + len {
            let left = usize::try_from(position + len - from).unwrap_or(usize::MAX);
            match rustix::fs::copy_file_range(source, Some(&mut from), target, Some(&mut to), left)
            {
                Ok(0) => break,
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                // Whoever copies the rest is told why it cannot be.
                Err(_) => break,
            }
        }
        from - position
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    {
        let _ = (source, target, position, len);
        0
    }
}

/// Gives a copy of a file, which is its owner's alone so far, the file's owner
/// and rights, as far as this process may. Nobody gets a right to the copy who
/// has none to the file.
pub(crate) fn keep_rights(source: &File, copy: &File) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
        let of_source = source.metadata()?;
        // Not everybody may give files away.
        let _ = fchown(copy, None, Some(of_source.gid()));
        let _ = fchown(copy, Some(of_source.uid()), None);
        let of_copy = copy.metadata()?;
        let mode = of_source.mode() & 0o777;
        let mode = if of_copy.gid() != of_source.gid() {
            // One group's members are the others of the other one.
            let both = mode >> 3 & mode & 0o7;
            mode & 0o700 | both << 3 | both
        } else if keep_access_list(source, copy) {
            mode
        } else {
            mode & 0o700
        };
        copy.set_permissions(std::fs::Permissions::from_mode(mode))
    }
    #[cfg(not(unix))]
    {
        copy.set_permissions(source.metadata()?.permissions())
    }
}

/// Gives a copy of a file its list of users and groups, or takes away the one
/// that its folder gave it. Returns whether that is how it is now.
#[cfg(unix)]
fn keep_access_list(source: &File, copy: &File) -> bool {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        use rustix::fs::{XattrFlags, fgetxattr, fremovexattr, fsetxattr};
        use rustix::io::Errno;
        const LIST: &str = "system.posix_acl_access";
        let mut list = vec![0; 1 << 16];
        match fgetxattr(source, LIST, &mut list[..]) {
            Ok(len) => fsetxattr(copy, LIST, &list[..len], XattrFlags::empty()).is_ok(),
            Err(Errno::NODATA | Errno::OPNOTSUPP) => matches!(
                fremovexattr(copy, LIST),
                Ok(()) | Err(Errno::NODATA | Errno::OPNOTSUPP)
            ),
            Err(_) => false,
        }
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    {
        let _ = (source, copy);
        true
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    /// Two processes that create the same file: the second one's file must not
    /// take the place of the first one's.
    #[test]
    fn publish_over_a_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = (folder.path().join("first"), folder.path().join("second"));
        std::fs::write(&first, b"first").unwrap();
        std::fs::write(&second, b"second").unwrap();
        let error = publish(&second, &first).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read(&first).unwrap(), b"first");
        assert_eq!(std::fs::read(&second).unwrap(), b"second");
        publish(&second, &folder.path().join("third")).unwrap();
        assert!(!second.exists());
    }

    /// A file system that knows neither renaming without replacing nor links.
    #[test]
    fn claim_of_a_taken_name_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = (folder.path().join("first"), folder.path().join("second"));
        std::fs::write(&first, b"first").unwrap();
        std::fs::write(&second, b"second").unwrap();
        let error = claim(&second, &first).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read(&first).unwrap(), b"first");
        let third = folder.path().join("third");
        claim(&second, &third).unwrap();
        assert!(!second.exists());
        assert_eq!(std::fs::read(&third).unwrap(), b"second");
        // Nor is the name taken in vain.
        let fourth = folder.path().join("fourth");
        claim(&second, &fourth).unwrap_err();
        assert!(!fourth.exists());
    }

    /// A file was opened, another one took its name, and only then the lock was
    /// taken: it would keep out nobody.
    #[cfg(unix)]
    #[test]
    fn file_that_lost_its_name_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, b"old").unwrap();
        let file = open(&path, true).unwrap();
        assert!(is_named(&file, &path).unwrap());
        let new = folder.path().join("new");
        std::fs::write(&new, b"new").unwrap();
        std::fs::rename(&new, &path).unwrap();
        assert!(!is_named(&file, &path).unwrap());
    }

    /// On a file system whose file numbers change, the file was opened and
    /// locked without end.
    #[test]
    fn file_that_is_another_one_each_time_is_given_up() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, b"").unwrap();
        let tries = std::cell::Cell::new(0);
        let error = Locked::open_as(&path, true, |_, _| {
            tries.set(tries.get() + 1);
            Ok(false)
        })
        .unwrap_err();
        assert_eq!(tries.get(), TRIES);
        assert!(error.is_system(), "{error}");
        assert!(error.to_string().contains("file numbers change"), "{error}");
        // It took a while, but it is the file.
        let last = |_: &File, _: &Path| Ok(tries.replace(tries.get() - 1) == 1);
        Locked::open_as(&path, true, last).unwrap();
    }

    /// A process that was being started by another thread had a copy of the
    /// descriptor: the file was in use although its store was dropped.
    #[test]
    fn lock_dropped_is_gone_whoever_has_a_copy_of_the_descriptor() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, b"").unwrap();
        let locked = Locked::open(&path, true).unwrap();
        let _copy = locked.file().try_clone().unwrap();
        assert!(matches!(
            Locked::open(&path, true),
            Err(Error::Locked { .. })
        ));
        drop(locked);
        Locked::open(&path, true).unwrap();
    }

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
