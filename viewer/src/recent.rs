//! The page files that were looked at last: their paths, in a file of the
//! user's own. Only a program that gives a viewer such a list has one.

use std::{
    fs, io,
    io::{Read, Write},
    path::{Path, PathBuf},
};

use crate::token::{self, same};

/// The most paths that are kept.
const PATHS_MAX: usize = 20;

/// The most bytes of the list that are read.
const BYTES_MAX: u64 = 128 * 1024;

/// A list of paths, the newest first: one in each line of a file that nobody
/// but its owner can read. Of two programs that write at once the later wins.
#[derive(Debug)]
pub struct Recent {
    list: PathBuf,
    /// Paths that are shown elsewhere.
    named: Vec<PathBuf>,
    /// What has to be known to have the list forgotten: a page of another site
    /// cannot read it.
    code: String,
}

impl Recent {
    /// The list in a file, which need not be there.
    ///
    /// # Errors
    /// Where the system has no random bits to give.
    pub fn new(list: &Path) -> Result<Self, getrandom::Error> {
        Ok(Self {
            list: list.to_owned(),
            named: Vec::new(),
            code: token::hex_128()?,
        })
    }

    /// Puts paths at the top. One that is no text, or holds what cannot be
    /// typed, is left out.
    ///
    /// # Errors
    /// Where the list cannot be written.
    pub fn remember(&self, paths: &[PathBuf]) -> io::Result<()> {
        if paths.is_empty() {
            return Ok(());
        }
        let mut all: Vec<PathBuf> = Vec::new();
        for path in paths.iter().cloned().chain(self.read()) {
            if line(&path).is_some() && !all.contains(&path) {
                all.push(path);
            }
        }
        all.truncate(PATHS_MAX);
        let text: String = all.iter().filter_map(|path| line(path)).collect();
        let folder = self.list.parent().unwrap_or(Path::new(""));
        own_folder(folder)?;
        let new = self
            .list
            .with_extension(format!("{}.new", std::process::id()));
        // One that was left by a program that was stopped.
        let _ = fs::remove_file(&new);
        let written = own_file(&new)
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .and_then(|()| fs::rename(&new, &self.list));
        if written.is_err() {
            let _ = fs::remove_file(&new);
        }
        written
    }

    /// The same list without these paths, which are shown elsewhere.
    #[must_use]
    pub fn without(mut self, named: Vec<PathBuf>) -> Self {
        self.named = named;
        self
    }

    /// The paths, without those that are shown elsewhere.
    pub(crate) fn paths(&self) -> Vec<PathBuf> {
        let mut paths = self.read();
        paths.retain(|path| !self.named.contains(path));
        paths
    }

    /// Removes the list.
    pub(crate) fn forget(&self) -> io::Result<()> {
        match fs::remove_file(&self.list) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// The path of the address that has the list forgotten.
    pub(crate) fn forgotten_at(&self) -> String {
        format!("/recent/forget/{}", self.code)
    }

    /// Whether this path is that one.
    pub(crate) fn is_forgotten_at(&self, path: &str) -> bool {
        same(&self.forgotten_at(), path)
    }

    /// Everything that the list holds; nothing where it cannot be read.
    fn read(&self) -> Vec<PathBuf> {
        // What is no file could keep its reader waiting.
        let is_file = fs::metadata(&self.list).is_ok_and(|found| found.is_file());
        let mut text = String::new();
        let read = is_file.then(|| fs::File::open(&self.list)).map(|file| {
            let mut file = file?.take(BYTES_MAX);
            file.read_to_string(&mut text)
        });
        if !matches!(read, Some(Ok(_))) {
            return Vec::new();
        }
        let paths = text.lines().map(PathBuf::from);
        let paths = paths.filter(|path| path.is_absolute() && line(path).is_some());
        paths.take(PATHS_MAX).collect()
    }
}

/// A path as the list has it.
fn line(path: &Path) -> Option<String> {
    let text = path.to_str()?;
    (!text.chars().any(char::is_control)).then(|| format!("{text}\n"))
}

/// Makes a folder for this user alone, and those above it.
fn own_folder(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// Makes a file for this user alone.
fn own_file(path: &Path) -> io::Result<fs::File> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list() -> (tempfile::TempDir, Recent) {
        let folder = tempfile::tempdir().expect("a folder");
        let list = folder.path().join("state/pagebox/recent");
        (folder, Recent::new(&list).expect("random bits"))
    }

    fn paths(names: &[&str]) -> Vec<PathBuf> {
        names.iter().map(PathBuf::from).collect()
    }

    #[test]
    fn newest_paths_come_first_once_and_the_oldest_go() -> io::Result<()> {
        let (_folder, recent) = list();
        assert_eq!(recent.paths(), paths(&[]));
        recent.remember(&paths(&["/a", "/b"]))?;
        recent.remember(&paths(&["/b", "/c"]))?;
        assert_eq!(recent.paths(), paths(&["/b", "/c", "/a"]));
        for number in 0..30 {
            recent.remember(&[format!("/{number}").into()])?;
        }
        assert_eq!(recent.paths().len(), PATHS_MAX);
        assert_eq!(recent.paths()[0], Path::new("/29"));
        let recent = recent.without(paths(&["/29"]));
        assert_eq!(recent.paths()[0], Path::new("/28"));
        recent.forget()?;
        recent.forget()?;
        assert_eq!(recent.paths(), paths(&[]));
        Ok(())
    }

    #[test]
    fn path_that_would_be_two_lines_is_left_out() -> io::Result<()> {
        let (_folder, recent) = list();
        recent.remember(&paths(&["/a\n/b", "/a\u{1b}[2J", "/c"]))?;
        assert_eq!(recent.paths(), paths(&["/c"]));
        fs::write(&recent.list, "relative\n/d\u{7}\n/e\n")?;
        assert_eq!(recent.paths(), paths(&["/e"]));
        fs::write(&recent.list, b"/f\n\xff\n")?;
        assert_eq!(recent.paths(), paths(&[]));
        Ok(())
    }

    #[cfg(unix)]
    #[test]
    fn list_is_for_its_owner_alone() -> io::Result<()> {
        use std::os::unix::fs::PermissionsExt;
        let (_folder, recent) = list();
        recent.remember(&paths(&["/a"]))?;
        let mode = |path: &Path| Ok::<_, io::Error>(fs::metadata(path)?.permissions().mode());
        assert_eq!(mode(&recent.list)? & 0o777, 0o600);
        let folder = recent.list.parent().unwrap_or(Path::new("/"));
        assert_eq!(mode(folder)? & 0o777, 0o700);
        assert_eq!(fs::read_dir(folder)?.count(), 1, "nothing else is left");
        // One that others could read becomes the owner's with the next path.
        fs::set_permissions(&recent.list, fs::Permissions::from_mode(0o644))?;
        recent.remember(&paths(&["/b"]))?;
        assert_eq!(mode(&recent.list)? & 0o777, 0o600);
        Ok(())
    }

    #[test]
    fn nothing_but_its_own_address_forgets_a_list() {
        let (_folder, recent) = list();
        assert!(recent.is_forgotten_at(&recent.forgotten_at()));
        assert!(!recent.is_forgotten_at("/recent/forget/"));
        let (_other, other) = list();
        assert!(!recent.is_forgotten_at(&other.forgotten_at()));
    }
}
