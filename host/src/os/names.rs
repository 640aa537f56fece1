//! The names of files: giving them, never over another file, and making them
//! durable.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

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
}
