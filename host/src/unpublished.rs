//! [`Unpublished`]: a file that is being made, and has no name of its own yet.
//!
//! Where the system has them it is a file without any name, which is gone with
//! its process, whatever ends that. Elsewhere its name is a temporary one.

use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::{io, process};

use crate::Error;
use crate::os::{self, Locked};

/// The rights of a new file, of which the process's mask takes some away.
const ANYBODY: u32 = 0o666;

/// Those of a file that shows what another one holds.
const OWNER: u32 = 0o600;

/// A new file that takes its name when it is published; dropped before, it is
/// gone.
#[derive(Debug)]
pub(crate) struct Unpublished {
    path: PathBuf,
    file: File,
    /// None: it has no name at all.
    temporary: Option<Temporary>,
}

impl Unpublished {
    /// Makes and locks an empty file in the folder of `path`.
    pub(crate) fn create(path: &Path) -> Result<(Locked, Self), Error> {
        Self::with_mode(path, ANYBODY)
    }

    /// The same, for nobody but its owner.
    pub(crate) fn create_private(path: &Path) -> Result<(Locked, Self), Error> {
        Self::with_mode(path, OWNER)
    }

    /// Makes and locks an empty file that is to take the place of the one at
    /// `path`, for nobody but its owner.
    pub(crate) fn replacement(path: &Path) -> Result<(Locked, Self), Error> {
        Self::named(path, OWNER)
    }

    fn with_mode(path: &Path, mode: u32) -> Result<(Locked, Self), Error> {
        // Better known now than after the work.
        if path.symlink_metadata().is_ok() {
            return Err(Error::Exists {
                path: path.to_owned(),
            });
        }
        let names_folder = path.as_os_str().as_encoded_bytes().ends_with(b"/");
        if names_folder || path.file_name().is_none() {
            return Err(Error::NotAFile {
                path: path.to_owned(),
                kind: "a folder",
            });
        }
        match os::unnamed(os::folder(path), mode) {
            Some(file) => Self::new(path, file, None),
            None => Self::named(path, mode),
        }
    }

    /// Makes a file with a temporary name.
    fn named(path: &Path, mode: u32) -> Result<(Locked, Self), Error> {
        let (temporary, file) =
            Temporary::create(os::folder(path), mode).map_err(|source| not_made(path, source))?;
        Self::new(path, file, Some(temporary))
    }

    fn new(path: &Path, file: File, temporary: Option<Temporary>) -> Result<(Locked, Self), Error> {
        let unpublished = Self {
            path: path.to_owned(),
            file: file.try_clone().map_err(|source| not_made(path, source))?,
            temporary,
        };
        Ok((Locked::new(file, path)?, unpublished))
    }

    /// Gives the file its name, durably. A file that has the name stays.
    pub(crate) fn publish(self) -> Result<(), Error> {
        match &self.temporary {
            Some(temporary) => os::publish(&temporary.0, &self.path),
            None => os::name(&self.file, &self.path),
        }
        .and_then(|()| {
            os::sync_name(&self.file, &self.path).inspect_err(|_| {
                // What is said to have failed must not be there.
                let _ = fs::remove_file(&self.path);
            })
        })
        .map_err(|source| not_made(&self.path, source))
    }
}

impl Unpublished {
    /// Gives a [replacement](Self::replacement) the name of the file that it
    /// replaces, durably: after a crash one of the two has it.
    pub(crate) fn replace(self) -> Result<(), Error> {
        let temporary = self.temporary.as_ref().map(|temporary| &temporary.0);
        let Some(temporary) = temporary else {
            return self.publish();
        };
        fs::rename(temporary, &self.path)
            .and_then(|()| os::sync_name(&self.file, &self.path))
            .map_err(|source| Error::io("replace", &self.path, source))
    }
}

/// Why there is no such file. Where its folder is there, it is not that
/// something was not found.
fn not_made(path: &Path, source: io::Error) -> Error {
    let operation = "create";
    if source.kind() == io::ErrorKind::NotFound && os::folder(path).is_dir() {
        let path = path.to_owned();
        return Error::Io {
            operation,
            path,
            source: source.into(),
        };
    }
    Error::io(operation, path, source)
}

/// A name that nobody else uses, and that is gone when this is dropped.
#[derive(Debug)]
struct Temporary(PathBuf);

/// All of them, each with the process that made it: after a fork they are the
/// parent's.
static TEMPORARY: Mutex<Vec<(u32, PathBuf)>> = Mutex::new(Vec::new());

impl Temporary {
    /// Makes a file that has it.
    fn create(folder: &Path, mode: u32) -> io::Result<(Self, File)> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
        #[cfg(not(unix))]
        let _ = mode;
        loop {
            let (owner, count) = (process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
            let path = folder.join(format!(".pagebox-{owner}-{count}.tmp"));
            let mut all = TEMPORARY.lock().unwrap_or_else(PoisonError::into_inner);
            match options.open(&path) {
                Ok(file) => {
                    all.push((owner, path.clone()));
                    return Ok((Self(path), file));
                }
                // Left over from a process of the same number that was killed.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let mut all = TEMPORARY.lock().unwrap_or_else(PoisonError::into_inner);
        let ours = (process::id(), &self.0);
        if let Some(at) = all.iter().position(|(owner, path)| (*owner, path) == ours) {
            all.swap_remove(at);
            // After publishing there is nothing of this name.
            let _ = fs::remove_file(&self.0);
        }
    }
}

/// Removes the files that this process is making and that have no name of their
/// own yet, for a program that is about to be ended by a signal.
///
/// [`Engine::create`](crate::Engine::create), [`Engine::copy`](crate::Engine::copy),
/// [`Engine::backup`](crate::Engine::backup),
/// [`Engine::repair`](crate::Engine::repair) and
/// [`Engine::upgrade`](crate::Engine::upgrade) that are at work then leave nothing
/// behind. Where the system has files without names, as Linux has on
/// most file systems, they leave nothing anyway. It waits for a lock: call it
/// from a thread that waits for signals, not from a handler.
pub fn remove_temporary_files() {
    let mut all = TEMPORARY.lock().unwrap_or_else(PoisonError::into_inner);
    let owner = process::id();
    all.retain(|(of, path)| {
        if *of == owner {
            let _ = fs::remove_file(path);
        }
        *of != owner
    });
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    /// What a system without unnamed files gets.
    #[test]
    fn file_with_a_temporary_name_is_published_or_gone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let (locked, unpublished) = Unpublished::named(&path, ANYBODY).unwrap();
        assert_eq!(names(folder.path()).len(), 1);
        assert!(!path.exists());
        drop((locked, unpublished));
        assert_eq!(names(folder.path()).len(), 0);

        let (locked, unpublished) = Unpublished::named(&path, ANYBODY).unwrap();
        os::write_at(locked.file(), b"whole", 0).unwrap();
        unpublished.publish().unwrap();
        assert_eq!(names(folder.path()), ["file"]);
        assert_eq!(fs::read(&path).unwrap(), b"whole");

        let (_locked, unpublished) = Unpublished::named(&path, ANYBODY).unwrap();
        let error = unpublished.publish().unwrap_err();
        assert!(matches!(error, Error::Exists { .. }), "{error}");
        assert_eq!(names(folder.path()), ["file"]);
        assert_eq!(fs::read(&path).unwrap(), b"whole");

        // A signal ended the process, and its temporary file stayed.
        let other = folder.path().join("other");
        let (_locked, unpublished) = Unpublished::named(&other, OWNER).unwrap();
        assert_eq!(names(folder.path()).len(), 2);
        remove_temporary_files();
        assert_eq!(names(folder.path()), ["file"]);
        assert!(unpublished.publish().is_err());
        assert_eq!(names(folder.path()), ["file"]);
    }

    /// Where there are unnamed files, nothing shows before it is published.
    #[cfg(target_os = "linux")]
    #[test]
    fn unnamed_file_is_nowhere_until_it_is_published() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        if os::unnamed(folder.path(), OWNER).is_none() {
            eprintln!("skipped: this file system has no unnamed files");
            return;
        }
        let (locked, unpublished) = Unpublished::create(&path).unwrap();
        assert_eq!(names(folder.path()).len(), 0);
        os::write_at(locked.file(), b"whole", 0).unwrap();
        unpublished.publish().unwrap();
        assert_eq!(names(folder.path()), ["file"]);
        let (_locked, late) = Unpublished::create(&folder.path().join("late")).unwrap();
        fs::write(folder.path().join("late"), b"other").unwrap();
        let error = late.publish().unwrap_err();
        assert!(matches!(error, Error::Exists { .. }), "{error}");
        assert_eq!(fs::read(folder.path().join("late")).unwrap(), b"other");
    }
}
