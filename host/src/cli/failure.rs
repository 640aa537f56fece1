//! Why a command was not done, as one line on standard error and an exit code.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use pagebox::{Error, ErrorClass};

use super::output::shown;

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

    /// Says what went wrong. The exit code of the program.
    pub(crate) fn report(&self) -> ExitCode {
        match self {
            Self::File { path, error } => {
                eprintln!(
                    "pagebox: {}: {}{}",
                    shown(path),
                    what(error),
                    way_out(error)
                );
            }
            Self::Request { path, text } => eprintln!("pagebox: {}: {text}", shown(path)),
            Self::Input(error) => eprintln!("pagebox: cannot read standard input: {error}"),
            Self::Output(error) => eprintln!("pagebox: cannot write standard output: {error}"),
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
        Error::Exists { .. } => "exists already".into(),
        Error::NotFound { .. } => "no such file".into(),
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

/// What to do about it.
fn way_out(error: &Error) -> &'static str {
    match error {
        Error::Damaged(_) | Error::Corrupt { .. } => {
            ": `pagebox check` shows the evidence, `pagebox repair` makes a mended copy"
        }
        Error::ChecksumMismatch { .. } => ": `pagebox check` shows all that is wrong",
        Error::OutOfRange(_) | Error::NotAllocated(_) | Error::NotProtected(_) => {
            ": `pagebox list` shows what there is"
        }
        Error::NotRegular { kind, .. } if kind.starts_with("protected") => {
            ": `pagebox list` shows it, --protected takes it"
        }
        Error::Full(_) | Error::DirectoryFull(_) => ": free some, or make a file of larger pages",
        Error::Locked { .. } => ": wait until it is done",
        Error::Busy => ": another process writes to it all the time, try again later",
        Error::Exists { .. } => ": choose another name",
        Error::NotFound { .. } => ": `pagebox create` makes one",
        _ => "",
    }
}
