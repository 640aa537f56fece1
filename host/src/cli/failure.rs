//! Why a command was not done, as one line on standard error and an exit code.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use pagebox::{Error, ErrorClass, StoreError, is_address};

use super::output::{shown, size};
use super::streams::complain;
use super::system::file_size_limit;

/// Why a command was not done.
#[derive(Debug)]
pub(crate) enum Failure {
    /// What the library says of a file.
    File { path: PathBuf, error: Error },
    /// What was asked of a file cannot be done.
    Request { path: PathBuf, text: String },
    /// Standard input failed.
    Input(io::Error),
    /// Standard output failed.
    Output(io::Error),
    /// Damage was found, and has been told on standard output.
    Damage,
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

impl Failure {
    /// What went wrong with `path`, unless the error names another file.
    pub(crate) fn of(path: &Path) -> impl Fn(Error) -> Self + '_ {
        move |error| {
            let path = path_of(&error).unwrap_or(path).to_owned();
            Self::File { path, error }
        }
    }

    /// That a component at `path` cannot be read.
    #[cfg(feature = "compile")]
    pub(crate) fn reading(path: &Path) -> impl Fn(io::Error) -> Self + '_ {
        move |error| Self::Request {
            path: path.to_owned(),
            text: match error.kind() {
                io::ErrorKind::NotFound => "no such file".into(),
                _ => format!("cannot read it: {error}"),
            },
        }
    }

    /// Says what went wrong, and what is done all the same. The exit code of
    /// the program.
    pub(crate) fn report(&self, done: Option<&str>) -> ExitCode {
        match self {
            Self::File { path, error } => complain(format_args!(
                "{}: {}{}",
                shown(path),
                what(error),
                way_out(error)
            )),
            Self::Request { path, text } => complain(format_args!("{}: {text}", shown(path))),
            Self::Input(error) => {
                complain(format_args!("cannot read standard input: {error}"));
            }
            Self::Output(error) => {
                let done = done.map(|done| format!(": {done}")).unwrap_or_default();
                let limit = io_way_out(error);
                complain(format_args!(
                    "cannot write standard output: {error}{limit}{done}"
                ));
            }
            Self::Damage => {}
        }
        ExitCode::from(self.code())
    }

    fn code(&self) -> u8 {
        match self {
            Self::Request { .. } => 1,
            Self::Damage => 3,
            Self::Input(_) | Self::Output(_) => 4,
            Self::File { error, .. } => match error.class() {
                ErrorClass::Caller => 1,
                ErrorClass::Corrupt => 3,
                ErrorClass::System => 4,
            },
        }
    }
}

/// The file that an error names itself.
fn path_of(error: &Error) -> Option<&Path> {
    match error {
        Error::NotAFile { path, .. }
        | Error::Locked { path }
        | Error::Held { path, .. }
        | Error::Exists { path }
        | Error::NotFound { path }
        | Error::Io { path, .. } => Some(path),
        _ => None,
    }
}

/// The error in words that need not name the file again.
fn what(error: &Error) -> String {
    match error {
        Error::NotAFile { kind, .. } => format!("not a page file: it is {kind}"),
        Error::Locked { .. } => "in use by another process".into(),
        Error::Held { by, .. } => format!("in use: {by}"),
        Error::NotFound { path } if is_address(path) => "there is no page store there".into(),
        Error::Exists { .. } => "exists already".into(),
        Error::Busy => "busy: it was changed each time that it was read".into(),
        Error::NotFound { path } => match missing(path) {
            Missing::Folder(folder) => format!("there is no folder {}", shown(folder)),
            Missing::Target => "it is a link to a file that is not there".into(),
            Missing::File => "no such file".into(),
        },
        Error::Io {
            operation, source, ..
        } => format!("cannot {operation} it: {source}"),
        Error::NotRegular { page, kind } if kind.starts_with("protected") => {
            format!("page {page} belongs to a protected page, which goes by its id")
        }
        Error::NotRegular { page, kind } => format!("page {page} is the pager's own: {kind}"),
        _ => error.to_string(),
    }
}

/// All files of format 0 end below so many pages, those of format 1 far above.
const FORMAT_0_END: u64 = 1 << 32;

/// What to do about it.
fn way_out(error: &Error) -> String {
    let way_out = match error {
        Error::Io { source, .. } => return io_way_out(source),
        Error::Store {
            cause: StoreError::InsufficientSpace,
            ..
        } => return limit(),
        // Sandboxes take files in memory, which have the same limit.
        Error::Sandbox { cause, .. } if cause.contains("File too large") => return limit(),
        Error::NotFound { path } if is_address(path) => ": `pagebox create` makes one",
        Error::NotFound { path } => match missing(path) {
            Missing::Folder(_) => ": make it first",
            Missing::Target => "",
            Missing::File => ": `pagebox create` makes one",
        },
        Error::Damaged(_) | Error::Corrupt { .. } => {
            ": `pagebox check` shows the evidence, `pagebox repair` makes a mended copy"
        }
        Error::ChecksumMismatch { .. } => ": `pagebox check` shows all that is wrong",
        Error::OutOfRange(_) | Error::NotAllocated(_) | Error::NotProtected(_) => {
            ": `pagebox list` shows what there is"
        }
        Error::CopyIsAhead { .. } => ": back up to another copy, so that neither is lost",
        Error::NoSnapshot(_) => ": `pagebox snapshot list` shows them",
        Error::NotRegular { kind, .. } if kind.starts_with("protected") => {
            ": `pagebox list` shows it, --protected takes it"
        }
        Error::Full(limit) | Error::DirectoryFull(limit) if *limit < FORMAT_0_END => {
            ": free some, or make a file of format 1"
        }
        Error::NoPlace {
            is_protected: false,
            ..
        } => ": free it, or copy what it holds to a page of a new file",
        Error::NoPlace { .. } => ": free it, or copy what it holds to a lower id",
        Error::Held { .. } => {
            ": `--wait SECONDS` waits for it, `--take-over` ends whoever has it open"
        }
        Error::Locked { .. } => ": `--wait SECONDS` waits for it longer",
        Error::Busy => {
            ": another process writes to it all the time, `--wait SECONDS` tries for longer"
        }
        Error::Exists { .. } | Error::IsSnapshot(_) | Error::NotACopy { .. } => {
            ": choose another name"
        }
        _ => "",
    };
    way_out.into()
}

/// What is not there of a path that was not found.
enum Missing<'p> {
    Folder(&'p Path),
    /// What a symbolic link leads to.
    Target,
    File,
}

fn missing(path: &Path) -> Missing<'_> {
    if path.symlink_metadata().is_ok() {
        return Missing::Target;
    }
    // The outermost: the others cannot be there without it.
    let folders = path.ancestors().skip(1);
    folders
        .filter(|folder| !folder.as_os_str().is_empty())
        .take_while(|folder| folder.metadata().is_err())
        .last()
        .map_or(Missing::File, Missing::Folder)
}

/// What to do about an error of the system.
fn io_way_out(error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::FileTooLarge {
        limit()
    } else {
        String::new()
    }
}

/// The limit that keeps files small, where there is one.
fn limit() -> String {
    file_size_limit()
        .map(|bytes| {
            let bytes = size(bytes.into());
            format!(": a file may have {bytes} at most here (`ulimit -f`)")
        })
        .unwrap_or_default()
}
