//! Opening regular files, without hanging, and locking them: what a path names.

use std::fs::{File, Metadata, OpenOptions, TryLockError};
use std::io;
use std::path::Path;

use super::bytes::read_at;
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
pub(crate) fn head(file: &File, path: &Path, len: u64) -> Result<Vec<u8>, Error> {
    let read = || {
        let len = file.metadata()?.len().min(len);
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

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

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
}
